"""The start-up script of QuPath 0.4: the file ``startup.groovy`` of its user folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from qpgaze.errors import UsageError
from qpgaze.resources import groovy_dir

STARTUP_FILE: Final = "startup.groovy"
KEPT_FILE: Final = "startup-before-qpgaze.groovy"
_SOURCE: Final = "startup_04.groovy"


def startup_file_before(folder: Path) -> str:
    """Return the path of the site's own script as it is once ours is there; empty where none is.

    Parameters
    ----------
    folder : Path
        Of the hook, inside QuPath's user folder.
    """
    there, kept = folder.parent / STARTUP_FILE, folder.parent / KEPT_FILE
    if kept.is_file() or (there.is_file() and not _is_ours(there)):
        return str(kept)
    return ""


def put_startup_file(folder: Path) -> bool:
    """Put our script there, the site's own aside; False where nothing had to change.

    Raises
    ------
    UsageError
        If a script is there and one was put aside before: nobody can tell which one counts.
    """
    there, kept = folder.parent / STARTUP_FILE, folder.parent / KEPT_FILE
    wanted = _wanted()
    if there.is_file():
        if there.read_bytes() == wanted:
            return False
        if not _is_ours(there):
            if kept.exists():
                raise UsageError(
                    f"There are both {there} and {kept}.",
                    hint=f"Keep one of them as {STARTUP_FILE}, then install again.",
                )
            os.replace(there, kept)  # noqa: PTH105 - the one call that replaces on Windows, too
    part = there.with_name(f".{STARTUP_FILE}.part")
    part.write_bytes(wanted)
    os.replace(part, there)  # noqa: PTH105
    return True


def take_startup_file_out(folder: Path) -> bool:
    """Take our script away and bring the site's own back; False where ours is not there."""
    there, kept = folder.parent / STARTUP_FILE, folder.parent / KEPT_FILE
    if not there.is_file() or not _is_ours(there):
        return False
    if kept.is_file():
        os.replace(kept, there)  # noqa: PTH105
    else:
        there.unlink()
    return True


def _wanted() -> bytes:
    return (groovy_dir() / _SOURCE).read_bytes()


def _is_ours(path: Path) -> bool:
    """Tell a script of any version of ours by its second line."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return len(lines) > 1 and lines[1].strip().startswith("* qpgaze:")
