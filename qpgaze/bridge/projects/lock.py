"""One writer at a time: a lock that also works on a network share.

The lock is a file, ``<project>/qpgaze/lock``, that only one program can create. It says who holds
it, and while it is held a heartbeat adds a byte now and then, so that the share's own clock shows
that the holder still works. A lock whose process surely ended (same computer, no such process) is
taken over; any other is explained, and :func:`break_lock` removes it where no heart beats.

QuPath knows nothing of the lock; against QuPath's own saves helps that every file is checked for
change before it is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from qpgaze.bridge.projects.files import sweep_project
from qpgaze.bridge.projects.holder import (
    LIVELY_S,
    Holder,
    explained,
    heartbeat_age_s,
    myself,
    read_holder,
    unlink,
    who,
)
from qpgaze.errors import ConflictError, ProjectError

WAIT_S = 10.0
"""How long a writer waits for another: a commit of 100,000 objects takes a few seconds."""
HEARTBEAT_S = 5.0
"""How often a holder shows that it works."""
_POLL_S = 0.05


@dataclass
class Held:
    """A lock that we hold.

    Parameters
    ----------
    path : Path
    token : str
    took_over : bool
        Whether a writer before us was ended in the middle.
    """

    path: Path
    token: str
    took_over: bool = False
    _depth: int = 1
    _thread: int = field(default_factory=threading.get_ident)
    _pid: int = field(default_factory=os.getpid)

    def require(self) -> None:
        """Refuse to go on where somebody broke the lock meanwhile.

        Raises
        ------
        ConflictError
            If the file is gone or another's.
        """
        holder = read_holder(self.path)
        if holder is None or holder.token != self.token:
            raise ConflictError(
                "Somebody took the project's lock away while we held it (a computer that slept?); "
                "nothing was written.",
                hint="Do the same again.",
            )


_held: dict[str, Held] = {}


@contextlib.contextmanager
def writer_lock(project_folder: Path, *, wait_s: float = WAIT_S) -> Iterator[Held]:
    """Hold ``<project>/qpgaze/lock`` while a block runs; a thread that has it may take it again.

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
    key = os.path.realpath(project_folder)
    mine = _held.get(key)
    if mine is not None and (mine._thread, mine._pid) == (threading.get_ident(), os.getpid()):
        mine._depth += 1
        try:
            yield mine
        finally:
            mine._depth -= 1
        return
    folder = project_folder / "qpgaze"
    made_folder = not folder.exists()
    try:
        lock = _acquire(project_folder, folder, wait_s)
    except BaseException:
        _remove_made(folder, made_folder)
        raise
    _held[key] = lock
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(lock.path, stop), name="qpgaze-lock", daemon=True)
    beat.start()
    try:
        if lock.took_over:
            sweep_project(project_folder)
        yield lock
    finally:
        stop.set()
        beat.join()
        _held.pop(key, None)
        _release(lock)
        _remove_made(folder, made_folder)


def break_lock(project_folder: Path) -> Holder | None:
    """Remove a lock that was left behind.

    Parameters
    ----------
    project_folder : Path

    Returns
    -------
    Holder or None
        Whose lock it was; None where there was none.

    Raises
    ------
    ConflictError
        If its holder shows signs of life.
    """
    path = project_folder / "qpgaze" / "lock"
    if not path.exists():
        return None
    holder = read_holder(path)
    if holder is not None and holder.surely_gone:
        _take_away(path, holder)
        return holder
    age_s = heartbeat_age_s(path)
    if age_s is not None and age_s < LIVELY_S:
        name = "The program" if holder is None else who(holder)
        raise ConflictError(
            f"{name} that holds the project's lock showed signs of life {age_s:.0f} s ago; the "
            "lock was not broken.",
            hint=f"End that program; after {LIVELY_S:.0f} s without a sign the lock can be broken.",
        )
    _take_away(path, holder)
    return holder or Holder("unknown", "unknown", 0, "")


def _acquire(project_folder: Path, folder: Path, wait_s: float) -> Held:
    path, took_over = folder / "lock", False
    deadline = time.monotonic() + wait_s
    try:
        while True:
            folder.mkdir(exist_ok=True)  # a writer that is done may remove it again
            token = os.urandom(8).hex()
            if _try_create(path, token):
                _sweep(path)
                return Held(path, token, took_over)
            holder = read_holder(path)
            if holder is not None and holder.surely_gone:
                took_over = _take_away(path, holder) or took_over
                continue
            if time.monotonic() >= deadline:
                raise explained(path)
            time.sleep(_POLL_S)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise ProjectError(
            f"{project_folder} cannot be written: "
            f"{'the disk is full' if full else error.strerror or error}. Nothing was changed.",
            hint=None if full else "Ask for the right to write there, or work on a copy.",
        ) from error


def _try_create(path: Path, token: str) -> bool:
    """Create the lock with its content in one step; False where another has it."""
    text = json.dumps(myself(token)).encode("utf-8") + b"\n"
    whole = path.with_name(f"{path.name}.{token}~")
    try:
        try:
            _write_new(whole, text)
            os.link(whole, path)
        except (FileExistsError, FileNotFoundError):  # held, or another writer just cleaned up
            return False
        except OSError:  # no hard links there (FAT, some shares)
            return _try_create_plainly(path, text)
        return True
    finally:
        unlink(whole)


def _try_create_plainly(path: Path, text: bytes) -> bool:
    try:
        _write_new(path, text)
    except FileExistsError:
        return False
    return True


def _write_new(path: Path, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        os.write(descriptor, text)
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    os.close(descriptor)


def _take_away(path: Path, holder: Holder | None) -> bool:
    """Remove a lock that was judged dead, and no other; whether it was there to remove."""
    aside = path.with_name(f"{path.name}.{os.urandom(4).hex()}~")
    try:
        path.replace(aside)
    except FileNotFoundError:
        return False
    taken = read_holder(aside)
    if taken != holder and taken is not None:
        # Somebody was faster and took it over: give it back. Where that fails, its holder
        # notices before it writes.
        with contextlib.suppress(OSError):
            os.link(aside, path)
        unlink(aside)
        return False
    unlink(aside)
    return True


def _release(lock: Held) -> None:
    holder = read_holder(lock.path)
    if holder is None or holder.token == lock.token:
        unlink(lock.path)


def _sweep(path: Path) -> None:
    """Remove what writers that were ended left beside the lock."""
    with contextlib.suppress(OSError):
        for left in path.parent.glob("lock.*~"):
            unlink(left)


def _remove_made(folder: Path, made: bool) -> None:
    if made:
        with contextlib.suppress(OSError):  # not empty: it has another use by now
            folder.rmdir()


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        # Not O_CREAT: a lock that was taken away must not come back.
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, b"\n")
            finally:
                os.close(descriptor)
