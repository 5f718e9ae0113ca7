"""What a recording needs, what of it is here, and how to get the rest. Nothing is changed."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import qpgaze
from qpgaze.bridge.projects.detect_qupath import Found, paquo_or_reason
from qpgaze.errors import QpgazeError, WireError
from qpgaze.recording.attached import Attached, attached_trackers
from qpgaze.recording.libraries import tracker_libraries
from qpgaze.recording.validation.settings import Settings, load_settings
from qpgaze.recording.watch import disk_state
from qpgaze.wire import connect, discovery_folders, find_hooks
from qpgaze.workflows.record import OLD_HOURS

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal["ok", "note", "missing"]

TOBII_GLIBC: Final = (2, 34)
"""What the wheels of tobii-research need on Linux."""
_MACHINES: Final = {
    0x3E: "x86_64", 0xB7: "arm64",  # ELF
    0x8664: "x86_64", 0xAA64: "arm64",  # PE
    0x01000007: "x86_64", 0x0100000C: "arm64",  # Mach-O
}  # fmt: skip
HOOK_NEEDS: Final = (0, 4)
"""The oldest QuPath that the hook runs in."""
_SAME: Final = {"amd64": "x86_64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Check:
    """One thing that a recording needs.

    Parameters
    ----------
    name : str
    state : "ok", "note" or "missing"
        ``note``: recording works without it, with less.
    text : str
        What there is.
    how : str
        What to do about it; empty where all is well.
    """

    name: str
    state: State
    text: str
    how: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as JSON values."""
        return asdict(self)


def examine(
    folder: Path | None = None,
    *,
    python: str | None = None,
    settings: Path | None = None,
    hooks: tuple[Path, ...] | None = None,
    qupath: Callable[[], Found] = paquo_or_reason,
    trackers: Callable[[str | None], Attached] = attached_trackers,
) -> tuple[Check, ...]:
    """Look at everything that a recording needs.

    Parameters
    ----------
    folder : Path, optional
        Where sessions will go; the current folder where not given.
    python : str, optional
        The Python that has the tracker's library; this one where not given.
    settings : Path, optional
        Folder of the settings.
    hooks : tuple of Path, optional
        Where to look for running QuPaths instead of the user's discovery folders.
    qupath : callable
        Finds the installed QuPath.
    trackers : callable
        Finds the attached eye trackers, given that Python.

    Returns
    -------
    tuple of Check
        Always the same names in the same order; no error leaves it.
    """
    found = _try("QuPath", qupath)
    installed = found if isinstance(found, Found) else Found(None, "", False, "")
    remembered = _try("settings", lambda: load_settings(settings))
    known = remembered if isinstance(remembered, Settings) else Settings()
    hook = _try("hook", lambda: _hook(hooks))
    steps: Sequence[tuple[str, Callable[[], Check]]] = (
        ("Python", _python),
        ("tracker library", lambda: _libraries(python)),
        ("tracker", lambda: _trackers(trackers(python))),
        ("settings", lambda: _settings(remembered)),
        ("monitor", lambda: _monitor(known)),
        ("calibration", lambda: _validation(known)),
        ("window", _window),
        ("QuPath", lambda: _qupath(installed, runs=hook.state != "missing")),
        ("Java", lambda: _java(installed)),
        ("hook", lambda: hook),
        ("port", _port),
        ("discovery", lambda: _discovery(hooks)),
        ("disk", lambda: _disk(folder or Path.cwd())),
    )
    checks = []
    for name, step in steps:
        result = _try(name, step)
        checks.append(result if isinstance(result, Check) else Check(name, "ok", str(result)))
    return tuple(checks)


def _try(name: str, step: Callable[[], Any]) -> Any:
    """Return what a step finds; what goes wrong in it is a finding, too."""
    try:
        return step()
    except QpgazeError as error:
        return Check(name, "missing", error.message, error.hint or "")
    except OSError as error:
        return Check(name, "missing", f"The system says: {error}.")


# -- tracker -----------------------------------------------------------------------------------


def _python() -> Check:
    version = platform.python_version()
    bits = struct.calcsize("P") * 8
    text = f"Python {version}, {bits} bit, {_machine()}; qpgaze {qpgaze.__version__}"
    if bits != 64:
        return Check("Python", "missing", text, "Install a 64-bit Python: trackers need it.")
    return Check("Python", "ok", text)


def _machine() -> str:
    name = platform.machine().lower()
    return _SAME.get(name, name)


def _libraries(python: str | None) -> Check:
    where = "" if python is None else f", in {python}"
    there = tracker_libraries(python)
    if there:
        return Check("tracker library", "ok", ", ".join(there) + where)
    how = "Tobii: pip install 'qpgaze[tobii]'. LSL: pip install 'qpgaze[lsl]'."
    libc, release = platform.libc_ver()
    if sys.platform == "linux" and libc == "glibc":
        numbers = tuple(int(part) for part in release.split(".")[:2] if part.isdigit())
        if numbers < TOBII_GLIBC:
            how += f" Tobii's needs glibc 2.34; this system has {release}."
    text = f"none{where}. Gazepoint, mouse, simulated and replay need none"
    return Check("tracker library", "missing", text, how)


def _trackers(attached: Attached) -> Check:
    if attached.found:
        return Check("tracker", "ok", ", ".join(attached.found))
    how = "An LSL stream, the mouse, a replay and the simulation need none."
    return Check("tracker", "note", " ".join(attached.troubles), how)


def _settings(remembered: Any) -> Check:
    if isinstance(remembered, Check):
        return remembered
    return Check("settings", "ok", "can be read")


def _monitor(settings: Settings) -> Check:
    how = "Run 'qpgaze validate-gaze': it asks, once."
    chosen = settings.monitor
    if chosen is None:
        return Check("monitor", "missing", "the tracker's monitor was never chosen", how)
    text = f"{chosen.number}: {chosen.name}, {chosen.width_mm:.0f} x {chosen.height_mm:.0f} mm"
    from qpgaze.recording.validation.screens import list_monitors

    try:
        monitors = list_monitors()
    except QpgazeError as error:
        return Check("monitor", "note", f"{text}; monitors cannot be seen: {error.message}")
    if chosen.among(monitors) is None:
        return Check("monitor", "missing", f"{text}; the monitors changed since", how)
    return Check("monitor", "ok", text)


def _validation(settings: Settings) -> Check:
    how = "Calibrate with 'qpgaze calibrate' (or the tracker's own program), then run "
    how += "'qpgaze validate-gaze'."
    last = settings.validation
    if last is None:
        return Check("calibration", "missing", "the tracker was never validated here", how)
    accuracy = last.data.get("accuracy_deg")
    known = isinstance(accuracy, (int, float))
    text = f"accuracy {accuracy:.2f} deg" if known else "no accuracy"
    hours = (datetime.now(timezone.utc) - last.at_utc).total_seconds() / 3600
    text += f", measured {_ago(hours)}"
    if hours > OLD_HOURS:
        return Check("calibration", "note", text, "Validate again before a session: " + how)
    return Check("calibration", "ok", text)


def _ago(hours: float) -> str:
    """Say how long ago something was.

    Examples
    --------
    >>> _ago(0.25), _ago(30.0), _ago(100.0)
    ('15 minutes ago', '30 hours ago', '4 days ago')
    """
    if hours < 1:
        return f"{hours * 60:.0f} minutes ago"
    return f"{hours:.0f} hours ago" if hours < 48 else f"{hours / 24:.0f} days ago"


def _window() -> Check:
    if importlib.util.find_spec("tkinter") is None or importlib.util.find_spec("_tkinter") is None:
        how = "Linux: the package python3-tk. macOS, Homebrew: python-tk. Windows: Python's "
        how += "installer, 'tcl/tk'."
        return Check("window", "missing", "tkinter is not there: no targets can be shown", how)
    return Check("window", "ok", "tkinter")


# -- QuPath ------------------------------------------------------------------------------------


def _qupath(found: Found, *, runs: bool) -> Check:
    """Look for a QuPath that the hook runs in, and say how projects are written.

    ``runs``: one with the hook answers, wherever it is installed.
    """
    if found.folder is None and runs:
        return Check("QuPath", "ok", "one with the hook is running; its folder is not known")
    if found.folder is None:
        how = "Get QuPath 0.4 or newer from qupath.github.io; if it is there, name its folder in "
        how += "PAQUO_QUPATH_DIR."
        return Check("QuPath", "missing", found.reason or "no QuPath was found", how)
    text = f"QuPath {found.version or '(version unknown)'} in {found.folder}"
    numbers = tuple(int(part) for part in found.version.split(".")[:2] if part.isdigit())
    if numbers and numbers < HOOK_NEEDS and not runs:
        how = "Get QuPath 0.4 or newer from qupath.github.io: the hook does not run in older ones."
        return Check("QuPath", "missing", text, how)
    way = "paquo" if found.usable else f"qpgaze's own store ({found.reason})"
    return Check("QuPath", "ok", f"{text}. Closed images are written through {way}")


def _java(found: Found) -> Check:
    if found.folder is None:
        return Check("Java", "note", "QuPath brings its own; none was found yet")
    for place in _java_machines(found.folder):
        if place.is_file():
            machines = machines_of(place)
            break
    else:
        how = "Install QuPath again: its own Java is missing."
        return Check("Java", "missing", f"no Java in {found.folder}", how)
    text = f"QuPath's Java is {' and '.join(sorted(machines)) or 'of an unknown kind'}"
    # Where projects are not written through QuPath, nobody but QuPath itself uses its Java.
    if found.usable and machines and _machine() not in machines:
        how = f"Python is {_machine()}: install the QuPath, or the Python, of the other kind. "
        how += "Recording works all the same; projects are then written without QuPath."
        return Check("Java", "note", text, how)
    return Check("Java", "ok", text)


def _java_machines(folder: Path) -> Iterator[Path]:
    yield folder / "lib/runtime/lib/server/libjvm.so"
    yield folder / "Contents/runtime/Contents/Home/lib/server/libjvm.dylib"
    yield folder / "Contents/runtime/Contents/Home/lib/libjli.dylib"
    yield folder / "runtime/bin/server/jvm.dll"


def machines_of(library: Path) -> frozenset[str]:
    """Return the kinds of processor that a shared library is made for; empty where unknown.

    Parameters
    ----------
    library : Path
        ELF, PE or Mach-O, its universal form included.
    """
    with library.open("rb") as file:
        head = file.read(4096)
    kinds: list[int] = []
    with suppress(struct.error):
        if head[:4] == b"\x7fELF":
            kinds = [struct.unpack_from("<H", head, 18)[0]]
        elif head[:2] == b"MZ":
            at = struct.unpack_from("<I", head, 0x3C)[0]
            if head[at : at + 4] == b"PE\0\0":
                kinds = [struct.unpack_from("<H", head, at + 4)[0]]
        elif head[:4] == b"\xcf\xfa\xed\xfe":
            kinds = [struct.unpack_from("<I", head, 4)[0]]
        elif head[:4] == b"\xca\xfe\xba\xbe":
            count = min(struct.unpack_from(">I", head, 4)[0], 8)
            kinds = [struct.unpack_from(">I", head, 8 + 20 * n)[0] for n in range(count)]
    return frozenset(_MACHINES[kind] for kind in kinds if kind in _MACHINES)


def _hook(folders: tuple[Path, ...] | None) -> Check:
    how = "Put the hook into QuPath with 'qpgaze install-hook', then start QuPath."
    found = find_hooks(folders)
    troubles = [text for _, text in found.troubles]
    running = []
    for hook in found.hooks:
        try:
            with connect(hook, name="doctor", software=qpgaze.__version__) as client:
                images = len(client.images())
                said = client.welcome
                text = f"QuPath {said.get('qupath') or '?'} with hook {said.get('software') or '?'}"
                text += f", {images} images open"
                running.append((hook.pid, text))
        except WireError as error:
            troubles.append(str(error))
    if len(running) == 1:
        return Check("hook", "ok", running[0][1])
    if running:
        text = "; ".join(f"process {pid}: {what}" for pid, what in running)
        return Check("hook", "note", text, "Say which one to record: --hook PROCESS.")
    if troubles:
        return Check("hook", "missing", " ".join(dict.fromkeys(troubles)), how)
    return Check("hook", "missing", "no QuPath with the hook is running", how)


def _port() -> Check:
    """Talk to ourselves over the loopback, as hook and recorder do."""
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            with socket.create_connection(listener.getsockname(), 2.0):
                pass
    except OSError as error:
        how = "Allow connections from this computer to itself (127.0.0.1) in its firewall."
        text = f"programs of this computer cannot talk to each other: {error}"
        return Check("port", "missing", text, how)
    return Check("port", "ok", "free ports on 127.0.0.1 can be used")


def _discovery(folders: tuple[Path, ...] | None) -> Check:
    places = discovery_folders() if folders is None else folders
    for place in places:
        there = next((p for p in (place, *place.parents) if p.exists()), None)
        if there is not None and os.access(there, os.W_OK):
            return Check("discovery", "ok", str(place))
    how = "See that your user folder can be written; QuPath leaves its port there."
    return Check("discovery", "missing", f"{places[0]} cannot be written", how)


def _disk(folder: Path) -> Check:
    there = next((p for p in (folder, *folder.parents) if p.exists()), Path.cwd())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free in {there}"
    if not os.access(there, os.W_OK):
        return Check("disk", "missing", f"{there} cannot be written", "Choose another folder.")
    state = disk_state(free)
    how = "An hour at 1200 Hz with QuPath takes about 0.5 GB. Make room, or record elsewhere."
    if state == "enough":
        return Check("disk", "ok", text)
    return Check("disk", "missing" if state == "full" else "note", text, how)


def to_json(checks: Sequence[Check]) -> Mapping[str, Any]:
    """Return the findings as JSON values."""
    return {
        "ready": all(check.state != "missing" for check in checks),
        "checks": [check.to_json() for check in checks],
    }
