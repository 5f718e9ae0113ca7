"""Is there a QuPath that paquo can work through? Answered without starting Java.

paquo finds out by importing it, which starts a Java machine for seconds; so the same places are
looked at here with nothing but the file system.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SEARCH_FOLDERS = (
    "/opt",
    "/Applications",
    "c:/Program Files",
    "/usr/local",
    "~/Applications",
    "~/AppData/Local",
    "~",
)
"""Where paquo 0.9 looks for a folder called QuPath-something; the first that works is taken."""

USABLE_VERSIONS = ((0, 5), (0, 6))
"""paquo 0.9 knows QuPath 0.2 - 0.6; before 0.4 an object has no id that lasts, before 0.5 no
metadata that a program may set, and ours need both."""

_LAYOUT = {
    "Linux": ("lib/app", "lib/runtime/lib/server/libjvm.so"),
    "Darwin": ("Contents/app", "Contents/runtime/Contents/Home/lib/libjli.dylib"),
    "Windows": ("app", "runtime/bin/server/jvm.dll"),
}
_CORE_JAR = re.compile(r"qupath-core-(\d+)\.(\d+)\.(\S+)\.jar", re.IGNORECASE)
_SETTING = re.compile(r"""^\s*qupath_dir\s*=\s*(["'])(.+?)\1""", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """A QuPath, or the reason why there is none to work through.

    Parameters
    ----------
    folder : Path or None
    version : str
        Empty where unknown.
    usable : bool
        Whether paquo can work through it.
    reason : str
        For a person: why paquo is taken or not.
    """

    folder: Path | None
    version: str
    usable: bool
    reason: str


def qupath_version(folder: Path, system: str | None = None) -> str | None:
    """Return the version of a QuPath installation, None where the folder holds none.

    Parameters
    ----------
    folder : Path
    system : str, optional
        As :func:`platform.system` names it; default this one.
    """
    layout = _LAYOUT.get(system or platform.system())
    if layout is None:
        return None
    app, machine = folder / layout[0], folder / layout[1]
    try:
        if not (app.is_dir() and machine.is_file()):
            return None
        names = [path.name for path in app.iterdir()]
    except OSError:  # not ours to look into
        return None
    for name in names:
        match = _CORE_JAR.fullmatch(name)
        if match:
            return ".".join(match.groups())
    return ""


def paquo_or_reason(
    *, environment: dict[str, str] | None = None, search: Iterable[str] = SEARCH_FOLDERS
) -> Found:
    """Find the QuPath that paquo would take, and say whether it can.

    Parameters
    ----------
    environment : dict, optional
        Default the process's.
    search : iterable of str
        Folders to look into.
    """
    environment = dict(os.environ) if environment is None else environment
    named, where = environment.get("PAQUO_QUPATH_DIR"), "PAQUO_QUPATH_DIR"
    if not named:
        named, where = _configured(Path.cwd()), ".paquo.toml"
    if named:
        folder = Path(named).expanduser()
        version = qupath_version(folder)
        if version is None:
            return Found(None, "", False, f"no QuPath in {folder}, where {where} points")
        return _judge(folder, version)
    for folder in _installed(environment, search):
        version = qupath_version(folder)
        if version is not None:
            return _judge(folder, version)
    return Found(None, "", False, "no QuPath was found")


def _judge(folder: Path, version: str) -> Found:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None:
        return Found(folder, version, False, f"the QuPath in {folder} does not say its version")
    if (int(numbers[1]), int(numbers[2])) not in USABLE_VERSIONS:
        why = f"paquo keeps our objects through QuPath 0.5 and 0.6 only, this is {version}"
        return Found(folder, version, False, why)
    if importlib.util.find_spec("paquo") is None:
        return Found(folder, version, False, "paquo is not installed")
    return Found(folder, version, True, f"QuPath {version} was found")


def _installed(environment: dict[str, str], search: Iterable[str]) -> Iterator[Path]:
    prefix = environment.get("CONDA_PREFIX")
    if prefix:
        for inside in ("opt/QuPath", "bin/QuPath.app", "Library/QuPath"):
            yield Path(prefix) / inside
    for name in search:
        folder = Path(name).expanduser()
        try:
            there = sorted(folder.iterdir(), key=lambda path: path.name.lower(), reverse=True)
        except OSError:  # not there, or not ours to look into
            continue
        yield from (path for path in there if path.name.lower().startswith("qupath"))


def _configured(folder: Path) -> str | None:
    """Read ``qupath_dir`` from the nearest ``.paquo.toml``, as paquo does."""
    for place in (folder, *folder.parents):
        file = place / ".paquo.toml"
        if file.is_file():
            match = _SETTING.search(file.read_text(encoding="utf-8", errors="replace"))
            return match[2] if match else None
    return None
