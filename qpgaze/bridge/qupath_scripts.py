"""Run a small script inside an installed QuPath, without a window."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qpgaze.errors import UsageError
from qpgaze.resources import groovy_dir

SCRIPT_WAIT_S: Final = 120.0
_MARK: Final = "QPGAZE "


@dataclass(frozen=True)
class Preference:
    """What QuPath says of its user folder and start-up script; empty where it has none.

    Parameters
    ----------
    user_path, startup_script : str
    runs_file : bool or None
        QuPath 0.4: whether ``startup.groovy`` of the user folder is run. None: newer, which name
        their script.
    """

    user_path: str
    startup_script: str
    runs_file: bool | None = None


def launcher(folder: Path, system: str | None = None) -> list[str] | None:
    """Return the command that starts the QuPath of a folder; None where the folder holds none.

    Parameters
    ----------
    folder : Path
        As QuPath is installed: ``QuPath.app`` on macOS.
    system : str, optional
        As :func:`platform.system` names it.
    """
    system = system or platform.system()
    if system == "Windows":  # only the console program says what a script prints
        places = [*sorted(folder.glob("QuPath*(console).exe")), *sorted(folder.glob("QuPath*.exe"))]
        java = folder / "runtime" / "bin" / "java.exe"
        app = folder / "app"
    elif system == "Darwin":
        places = sorted((folder / "Contents" / "MacOS").glob("QuPath*"))
        java = folder / "Contents" / "runtime" / "Contents" / "Home" / "bin" / "java"
        app = folder / "Contents" / "app"
    else:
        places = sorted((folder / "bin").glob("QuPath*"))
        java = folder / "lib" / "runtime" / "bin" / "java"
        app = folder / "lib" / "app"
    for place in places:
        if place.is_file():
            return [str(place)]
    if java.is_file() and app.is_dir():
        # JAVA_TOOL_OPTIONS may name another preference tree; the class path is QuPath's own.
        return [str(java), "-cp", str(app / "*"), "qupath.QuPath"]
    return None


def run_preference_script(folder: Path, verb: str, value: str = "") -> Preference:
    """Ask QuPath for its preferences, or set its start-up script.

    Parameters
    ----------
    folder : Path
        Of the QuPath.
    verb : str
        ``get`` or ``set``.
    value : str
        The script's path; empty: none. QuPath 0.4 switches ``startup.groovy`` on or off.

    Raises
    ------
    UsageError
        If there is no QuPath, or it does not answer.
    """
    start = launcher(folder)
    if start is None:
        raise UsageError(
            f"There is no QuPath in {folder}.",
            hint="Name the folder that QuPath is installed in.",
        )
    script = groovy_dir() / "startup_preference.groovy"
    line = [*start, "script", str(script), "-a", verb]
    if verb == "set":
        line += ["-a", value]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own QuPath
            line,
            capture_output=True,
            timeout=SCRIPT_WAIT_S,
            check=False,
            env={**os.environ, "PYTHONUTF8": "1"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"The QuPath in {folder} does not answer: {error}.") from error
    out = done.stdout.decode("utf-8", "replace")
    place = out.rfind(_MARK)
    if place < 0:
        words = (out + done.stderr.decode("utf-8", "replace")).strip().splitlines()
        raise UsageError(
            f"The QuPath in {folder} did not say its preferences: {(words or ['nothing'])[-1]}",
            hint="QuPath 0.4 or newer is needed; or drop install_qpgaze.groovy onto its window.",
        )
    said = json.loads(out[place + len(_MARK) :].splitlines()[0])
    runs = said.get("runs_file")
    return Preference(
        str(said["user_path"]), str(said["startup_script"]), None if runs is None else bool(runs)
    )
