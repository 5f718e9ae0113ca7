"""Put the hook into QuPath's user folder and have QuPath start it; take it away again.

Everything of ours lies in one folder, ``qpgaze`` inside QuPath's user folder. QuPath's preference
for a start-up script then names ``start.groovy`` there; a script that a site named before is kept
in ``install.json``, runs first at every start, and is named again after an uninstall.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any, Final

import qpgaze
from qpgaze.bridge.hook_install_04 import (
    STARTUP_FILE,
    put_startup_file,
    startup_file_before,
    take_startup_file_out,
)
from qpgaze.bridge.qupath_scripts import SCRIPT_WAIT_S, Preference, run_preference_script
from qpgaze.errors import FormatError, UsageError
from qpgaze.resources import groovy_dir

FOLDER: Final = "qpgaze"
INSTALL_FILE: Final = "install.json"
BEFORE_FILE: Final = "startup_before.txt"
_OURS: Final = (
    INSTALL_FILE,
    BEFORE_FILE,
    "settings.json",
    "start.groovy",
    "boot.groovy",
    "recorder.log",
    "hook",
    "cache",
)
_VERSION_FOLDER = re.compile(r"v(\d+)\.(\d+)(?:\.\d+)?")


@dataclass(frozen=True)
class HookReport:
    """What an installation or its removal did.

    Parameters
    ----------
    folder : Path
        Of the hook, inside QuPath's user folder.
    version_before, version : str
        Of the hook; empty where there was or is none.
    changed : tuple of str
        Files that were written or removed, relative to the folder.
    startup : str
        ``set``, ``kept`` (it was ours already), ``restored``, or ``by hand``: QuPath was not asked.
    startup_before : str
        Start-up script of the site, which runs first; empty where there is none.
    notes : tuple of str
        What a person should know or do.
    """

    folder: Path
    version_before: str
    version: str
    changed: tuple[str, ...]
    startup: str
    startup_before: str = ""
    notes: tuple[str, ...] = field(default=())


def user_folders(home: Path | None = None) -> tuple[Path, ...]:
    """Return the user folders that QuPath made where it does so by itself, the newest first.

    Parameters
    ----------
    home : Path, optional
    """
    base = (Path.home() if home is None else home) / "QuPath"
    try:
        found = [(m, p) for p in base.iterdir() if (m := _VERSION_FOLDER.fullmatch(p.name))]
    except OSError:  # QuPath never made one there
        return ()
    found.sort(key=lambda item: (int(item[0][1]), int(item[0][2])), reverse=True)
    return tuple(path for _, path in found if path.is_dir())


def program() -> list[str]:
    """Return the command that runs this qpgaze, whatever QuPath's search path holds."""
    return [sys.executable, "-m", "qpgaze"]


def install_hook(
    user_dir: Path | None = None,
    *,
    qupath: Path | None = None,
    startup_before: str | None = None,
    runs_file: bool | None = None,
    command: Sequence[str] | None = None,
) -> HookReport:
    """Install or renew the hook.

    Parameters
    ----------
    user_dir : Path, optional
        QuPath's user folder; asked of QuPath, or looked for, where not given.
    qupath : Path, optional
        Folder of a QuPath that is asked and whose preference is set. None: the files are put
        there, and setting the preference is left to the script inside QuPath.
    startup_before : str, optional
        The site's start-up script where QuPath is not asked.
    runs_file : bool, optional
        Where QuPath is not asked and is 0.4: whether it runs ``startup.groovy`` so far.
    command : sequence of str, optional
        What starts qpgaze; this one where not given.

    Raises
    ------
    UsageError
        If there is no user folder to put it into, or the command does not start.
    """
    there = None if qupath is None else run_preference_script(qupath, "get")
    folder = _user_dir(user_dir, there) / FOLDER
    command = program() if command is None else list(command)
    _require_runs(command)
    known, start = _read_install(folder), folder / "start.groovy"
    if there is not None:
        startup_before, runs_file = there.startup_script, there.runs_file
    if startup_before is None or _same_file(startup_before, start):
        startup_before = str(known.get("startup_before") or "")
    wanted = _wanted_files()
    said: dict[str, Any] = {"version": qpgaze.__version__, "command": command}
    if runs_file is not None:
        # One that lay there switched off stays off.
        said["ran_file"] = bool(known.get("ran_file", runs_file))
        startup_before = startup_file_before(folder) if said["ran_file"] else ""
    if startup_before:
        wanted[BEFORE_FILE] = startup_before.encode("utf-8") + b"\n"
    said["startup_before"] = startup_before or None
    said["files"] = {name: sha256(data).hexdigest() for name, data in sorted(wanted.items())}
    wanted[INSTALL_FILE] = json.dumps(said, indent=2, ensure_ascii=False).encode("utf-8") + b"\n"
    changed = _write(folder, wanted, known)
    startup, put = _set_startup(folder, qupath, there, runs_file)
    notes = _by_hand(start, runs_file) if startup == "by hand" else ()
    was, now = str(known.get("version") or ""), qpgaze.__version__
    return HookReport(folder, was, now, (*changed, *put), startup, startup_before, notes)


def _set_startup(
    folder: Path, qupath: Path | None, there: Preference | None, runs_file: bool | None
) -> tuple[str, tuple[str, ...]]:
    """Have QuPath start the hook; say what became of that, and which file was written for it."""
    start = folder / "start.groovy"
    as_it_should = there is not None and _same_file(there.startup_script, start)
    put: tuple[str, ...] = ()
    if runs_file is not None:
        put = (STARTUP_FILE,) if put_startup_file(folder) else ()
        as_it_should = runs_file and not put
    if qupath is None:
        return "by hand", put
    if as_it_should:
        return "kept", put
    run_preference_script(qupath, "set", str(start))
    return "set", put


def _by_hand(start: Path, runs_file: bool | None) -> tuple[str, ...]:
    """Say what is left to do where QuPath was not asked."""
    named = (
        f"name {start} in Preferences > General > Startup script path"
        if runs_file is None
        else "switch on Preferences > General > Run startup script"
    )
    return (
        "QuPath was not asked to start the hook. Drop install_qpgaze.groovy onto its window "
        f"and press Run, or {named}.",
    )


def uninstall_hook(user_dir: Path | None = None, *, qupath: Path | None = None) -> HookReport:
    """Take the hook away and name the start-up script that was there before.

    Parameters
    ----------
    user_dir, qupath
        As for :func:`install_hook`.

    Raises
    ------
    UsageError
        If no user folder is known.
    """
    there = None if qupath is None else run_preference_script(qupath, "get")
    folder = _user_dir(user_dir, there) / FOLDER
    known = _read_install(folder)
    before = str(known.get("startup_before") or "")
    startup, notes = "by hand", []
    if qupath is not None and there is not None:
        startup = "kept"
        if there.runs_file is not None:
            startup = "restored" if take_startup_file_out(folder) else "kept"
            if startup == "restored" and not known.get("ran_file", False):
                run_preference_script(qupath, "set", "")
        elif _same_file(there.startup_script, folder / "start.groovy"):
            run_preference_script(qupath, "set", before)
            startup = "restored"
    elif "ran_file" in known:
        startup = "restored" if take_startup_file_out(folder) else startup
    elif known:
        notes.append(
            "QuPath was not asked: if its preference 'Startup script path' still names "
            f"{folder / 'start.groovy'}, " + (f"set it to {before}." if before else "clear it.")
        )
    changed = []
    for name in _OURS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        else:
            continue
        changed.append(name)
    if folder.is_dir():
        left = sorted(p.name for p in folder.iterdir())
        if left:
            notes.append(f"Not ours and left in {folder}: {', '.join(left)}.")
        else:
            folder.rmdir()
    was = str(known.get("version") or "")
    return HookReport(folder, was, "", tuple(changed), startup, before, tuple(notes))


def _user_dir(given: Path | None, there: Preference | None) -> Path:
    if given is not None:
        if not given.is_dir():
            raise UsageError(
                f"There is no folder {given}.",
                hint="Name QuPath's user folder: Preferences > Extensions > QuPath user directory.",
            )
        return given.resolve()
    if there is not None and there.user_path and Path(there.user_path).is_dir():
        return Path(there.user_path)
    found = user_folders()
    if not found:
        raise UsageError(
            "QuPath's user folder was not found.",
            hint="Start QuPath once and let it make one, or name it with --user-dir.",
        )
    return found[0]


def _require_runs(command: Sequence[str]) -> None:
    """Refuse a command that QuPath could not start later."""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own qpgaze
            [*command, "--version"], capture_output=True, timeout=SCRIPT_WAIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"qpgaze does not start as {command[0]}: {error}.") from error
    if done.returncode != 0:
        raise UsageError(
            f"qpgaze does not start as {' '.join(command)} (status {done.returncode}).",
            hint="Install qpgaze again.",
        )


def _wanted_files() -> dict[str, bytes]:
    """Return what belongs into the folder, by its name there."""
    scripts = groovy_dir()
    wanted = {name: (scripts / name).read_bytes() for name in ("start.groovy", "boot.groovy")}
    for path in sorted((scripts / "qpgaze").glob("*.groovy")):
        wanted[f"hook/qpgaze/{path.name}"] = path.read_bytes()
    schema = resources.files("qpgaze.wire").joinpath("wire-schema.json")
    wanted["hook/wire-schema.json"] = schema.read_bytes()
    return wanted


def _read_install(folder: Path) -> dict[str, Any]:
    path = folder / INSTALL_FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{path} cannot be read: {error}.",
            hint="Delete it; the start-up script that was named before is then no longer known.",
        ) from error
    return value if isinstance(value, dict) else {}


def _write(folder: Path, wanted: dict[str, bytes], known: dict[str, Any]) -> tuple[str, ...]:
    """Write what differs and remove what an older version put there."""
    changed = []
    for name in sorted(set(known.get("files") or {}) - set(wanted)):
        path = folder / name
        # The list is read from a file: nothing outside our folder is touched.
        if ".." not in Path(name).parts and not Path(name).is_absolute() and path.is_file():
            path.unlink()
            changed.append(name)
    for name, data in wanted.items():
        path = folder / name
        if path.is_file() and path.read_bytes() == data:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(data)
        os.replace(part, path)  # noqa: PTH105 - the one call that replaces on Windows, too
        changed.append(name)
    return tuple(changed)


def _same_file(one: str, other: Path) -> bool:
    return bool(one) and os.path.normcase(Path(one)) == os.path.normcase(other)
