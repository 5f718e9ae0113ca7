"""One writer at a time: a lock that also works on a network share.

The lock is a file that only one program can create. QuPath knows nothing of it; against QuPath's
own saves helps that every file is checked for change before it is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from qpgaze.errors import ConflictError, ProjectError

WAIT_S = 3.0
"""How long a writer waits for another to finish: a commit takes well under a second."""
_POLL_S = 0.05


@contextlib.contextmanager
def writer_lock(project_folder: Path, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold ``<project>/qpgaze/lock`` while a block runs.

    Parameters
    ----------
    project_folder : Path
    wait_s : float
        Seconds to wait for another writer.

    Raises
    ------
    ConflictError
        If another writer holds it: the message says who, where and since when.
    ProjectError
        If the folder cannot be written.
    """
    folder = project_folder / "qpgaze"
    path = folder / "lock"
    made_folder = not folder.exists()
    holds = False
    try:
        try:
            folder.mkdir(exist_ok=True)
            deadline = time.monotonic() + wait_s
            while not holds:
                holds = _try_create(path)
                if not holds:
                    if time.monotonic() >= deadline:
                        raise _held(path)
                    time.sleep(_POLL_S)
        except OSError as error:
            full = error.errno == errno.ENOSPC
            raise ProjectError(
                f"{project_folder} cannot be written: "
                f"{'the disk is full' if full else error.strerror or error}. Nothing was changed.",
                hint=None if full else "Ask for the right to write there, or work on a copy.",
            ) from error
        yield
    finally:
        if holds:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        if made_folder:
            with contextlib.suppress(OSError):  # not empty: it has another use by now
                folder.rmdir()


def _try_create(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, json.dumps(_myself()).encode("utf-8"))
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    os.close(descriptor)
    return True


def _myself() -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user on this system: containers
        user = "unknown"
    return {
        "version": 1,
        "host": socket.gethostname(),
        "user": user,
        "pid": os.getpid(),
        "since_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _held(path: Path) -> ConflictError:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        who = (
            f"{holder['user']} on {holder['host']} (process {holder['pid']}, "
            f"since {holder['since_utc']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ConflictError(
            f"Another program is writing to this project ({path}); nothing was written.",
            hint="Try again; if nobody is, delete that file.",
        )
    gone = holder["host"] == socket.gethostname() and not _runs(holder["pid"])
    stale = " That process no longer runs: it was ended in the middle." if gone else ""
    return ConflictError(
        f"{who} is writing to this project; nothing was written.{stale}",
        hint=f"Wait and try again; if that program was ended, delete {path}.",
    )


def _runs(pid: Any) -> bool:
    """Tell whether a process of this computer runs; True where we cannot know."""
    if os.name == "nt" or not isinstance(pid, int) or pid <= 0:
        return True  # os.kill would end it on Windows
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
