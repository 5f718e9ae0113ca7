"""Write several files so that each is the old one or the new one, never half of either.

A change is written beside its target, flushed to the disk, read back and checked; only when all
of a commit's changes got so far are they moved into place, each in one step. When a move fails,
those already made are taken back. So a full disk, a missing permission or Ctrl-C leaves what was
there before; a power cut between two moves leaves whole files, some of them new.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from qpgaze.bridge.projects.pieces import PIECE, copy_durably, holds, sync_folder, write_durably
from qpgaze.errors import ConflictError, ProjectError

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class FileChangedError(ConflictError):
    """A file is another than when it was read: read again, and ours may go on top."""


RETRY_AFTER_S: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Pauses between tries to move a file into place: on Windows a virus scanner or QuPath may hold
the old one open for a moment."""


@dataclass(frozen=True)
class Snapshot:
    """What a file was like when it was read; ``size`` is -1 where there was none."""

    path: Path
    size: int = -1
    mtime_ns: int = 0
    digest: bytes = b""

    @property
    def exists(self) -> bool:
        """Whether there was a file."""
        return self.size >= 0


def read_file(path: Path) -> tuple[bytes, Snapshot]:
    """Read a file and remember what it was like; no file reads as nothing.

    Raises
    ------
    ProjectError
        If it is there but cannot be read.
    """

    def read(file: IO[bytes]) -> tuple[bytes, Snapshot]:
        content, status = file.read(), os.fstat(file.fileno())
        digest = hashlib.sha256(content).digest()
        return content, Snapshot(path, len(content), status.st_mtime_ns, digest)

    return _patiently(path, read) or (b"", Snapshot(path))


def look_at(path: Path) -> Snapshot:
    """Remember what a file is like, without holding its content.

    Raises
    ------
    ProjectError
        If it is there but cannot be read.
    """

    def look(file: IO[bytes]) -> Snapshot:
        total, size = hashlib.sha256(), 0
        while piece := file.read(PIECE):
            total.update(piece)
            size += len(piece)
        return Snapshot(path, size, os.fstat(file.fileno()).st_mtime_ns, total.digest())

    return _patiently(path, look) or Snapshot(path)


def _patiently(path: Path, use: Callable[[IO[bytes]], _T]) -> _T | None:
    """Open a file and use it; None where there is none."""
    try:
        for pause_s in (*RETRY_AFTER_S, None):
            try:
                with path.open("rb") as file:
                    return use(file)
            except PermissionError:
                if pause_s is None or os.name != "nt":  # elsewhere it is a matter of rights
                    raise
                time.sleep(pause_s)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror or error}.") from error
    raise AssertionError  # the last turn returns or raises


def require_unchanged(before: Snapshot) -> Snapshot:
    """Read a file again, refuse it when its content is another; returns its present stamp.

    Raises
    ------
    FileChangedError
        If it changed, vanished or appeared.
    """
    now = look_at(before.path)
    if (now.exists, now.digest) != (before.exists, before.digest):
        raise FileChangedError(
            f"{before.path} changed since it was read (by QuPath or another program); "
            "nothing was written.",
            hint="Close the image in QuPath, then do the same again.",
        )
    return now


@dataclass
class Change:
    """One file to write.

    Parameters
    ----------
    path : Path
    content : bytes
    before : Snapshot
        What the file was like when it was read.
    backup : Path, optional
        Where the old file is kept.
    verify : callable, optional
        Is given the bytes, once they came back from the disk, and raises when they are not right.
    """

    path: Path
    content: bytes
    before: Snapshot
    backup: Path | None = None
    verify: Callable[[bytes], None] | None = None
    _new: Path = field(init=False)
    _old: Path = field(init=False)
    _kept: Path = field(init=False)

    def __post_init__(self) -> None:
        stem = f".{self.path.name}.{os.urandom(4).hex()}"
        self._new, self._old, self._kept = (
            self.path.with_name(f"{stem}.{kind}~") for kind in ("new", "old", "kept")
        )

    @property
    def digest(self) -> bytes:
        """SHA-256 of what is written."""
        return hashlib.sha256(self.content).digest()

    def prepare(self) -> None:
        """Write everything beside its place and check it."""
        self.before = require_unchanged(self.before)
        write_durably(self._new, self.content)
        if not holds(self._new, self.content):
            raise ProjectError(
                f"{self.path} did not come back from the disk as it was written; "
                "what was there before is still there.",
                hint="Check the disk or network share.",
            )
        if self.verify is not None:
            self.verify(self.content)
        if self.before.exists:
            copy_durably(self.path, self._old)
            with contextlib.suppress(OSError):  # times and modes: some shares keep none
                shutil.copystat(self.path, self._old)
                shutil.copymode(self.path, self._new)

    def publish(self) -> None:
        """Move everything into place."""
        stamp = _stamp(self.path)
        if stamp != (self.before.size, self.before.mtime_ns if self.before.exists else 0):
            require_unchanged(self.before)
        if self.backup is not None and self.before.exists:
            if self.backup.exists():
                replace_patiently(self.backup, self._kept)
            replace_patiently(self._old, self.backup)
        replace_patiently(self._new, self.path)

    def take_back(self) -> None:
        """Undo whatever of :meth:`publish` was done."""
        published = not self._new.exists()
        moved_old = self.backup is not None and self.before.exists and not self._old.exists()
        if published and self.before.exists:
            source = self.backup if self.backup is not None and moved_old else self._old
            replace_patiently(source, self.path)
        elif published:
            self.path.unlink(missing_ok=True)
        elif moved_old and self.backup is not None:
            self.backup.unlink(missing_ok=True)
        if self.backup is not None and self._kept.exists():
            replace_patiently(self._kept, self.backup)

    def is_beside(self, path: str | Path) -> bool:
        """Tell whether this is one of the files that lie beside the target meanwhile."""
        return str(path) in (str(self._new), str(self._old), str(self._kept))

    def clean(self) -> None:
        """Remove what lies beside the target."""
        for path in (self._new, self._old, self._kept):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def replace_files(
    changes: Sequence[Change], *, before_publish: Callable[[], None] | None = None
) -> None:
    """Write all changes or none.

    Parameters
    ----------
    changes : sequence of Change
        Published in this order.
    before_publish : callable, optional
        Called once everything lies ready and is checked; when it raises, nothing is changed.

    Raises
    ------
    ConflictError
        If a file changed since it was read.
    ProjectError
        If one cannot be written: a full disk, a read-only folder, a file held open. Whatever was
        there before is there again.
    """
    made: list[Path] = []
    reached: list[Change] = []
    done = False
    try:
        for change in changes:
            _make_folders(change.path.parent, made)
            change.prepare()
        if before_publish is not None:
            before_publish()
        for change in changes:
            reached.append(change)
            change.publish()
        for folder in {change.path.parent for change in changes}:
            sync_folder(folder)
        done = True
    except OSError as error:
        raise _in_words(error, changes) from error
    finally:
        if not done:
            _take_back(reached)
        for change in changes:
            change.clean()
        if not done:
            for folder in reversed(made):
                with contextlib.suppress(OSError):  # not empty: somebody else uses it
                    folder.rmdir()


_LEFT = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.(?P<kind>new|old|kept)~")


def sweep(path: Path, backup: Path | None = None) -> bool:
    """Remove what a writer that was ended in the middle left beside a file.

    Only for who holds the project's lock: a living writer's files look the same.

    Parameters
    ----------
    path : Path
        The file that was to be written.
    backup : Path, optional
        Where its version before is kept; put back where it was just on the way.

    Returns
    -------
    bool
        Whether there was anything.
    """
    found = False
    try:
        beside = [entry.name for entry in os.scandir(path.parent)]
    except OSError:  # no such folder yet
        return False
    for name in beside:
        match = _LEFT.fullmatch(name)
        if match is None or match["name"] != path.name:
            continue
        left, found = path.with_name(name), True
        with contextlib.suppress(OSError):
            if match["kind"] == "kept" and backup is not None and not backup.exists():
                left.replace(backup)
            else:
                left.unlink(missing_ok=True)
    return found


def sweep_image(folder: Path) -> bool:
    """Remove what an ended writer left in the folder of one image; whether there was anything."""
    found = sweep(folder / "data.qpdata", folder / "data.qpdata.bkp")
    for name in ("summary.json", "server.json", "thumbnail.jpg"):
        found = sweep(folder / name) or found
    return found


def sweep_project(folder: Path) -> None:
    """Remove what an ended writer left anywhere in a project, emptied folders included.

    Only for who holds the project's lock.
    """
    for path in folder.glob("*.qpproj"):
        sweep(path, path.with_name(f"{path.name}.backup"))
    sweep(folder / "classifiers" / "classes.json")
    for part in (folder / "qpgaze" / "snapshots").rglob("*.part~"):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    sessions = folder / "qpgaze" / "sessions"
    for part in sessions.glob(".*.part~"):  # on their way from a reader's copy
        shutil.rmtree(part, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty, or there is none
        sessions.rmdir()
    try:
        images = [path for path in (folder / "data").iterdir() if path.is_dir()]
    except OSError:  # no image has data yet
        return
    for image in images:
        if sweep_image(image):
            with contextlib.suppress(OSError):  # not empty: not just made for a new image
                image.rmdir()


def _take_back(reached: Sequence[Change]) -> None:
    for change in reversed(reached):
        try:
            change.take_back()
        except OSError as error:
            _log.error("%s could not be put back: %s", change.path, error)


def replace_patiently(source: Path, target: Path) -> None:
    """Move a file over another in one step; where the other is held open, try a few times."""
    for pause_s in RETRY_AFTER_S:
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    source.replace(target)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return -1, 0
    return status.st_size, status.st_mtime_ns


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder with its parents; add those that were not there to `made`, outermost first."""
    missing: list[Path] = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        made.append(path)
        path.mkdir(exist_ok=True)


def _in_words(error: OSError, changes: Sequence[Change]) -> ProjectError:
    where = error.filename or (changes[0].path.parent if changes else "the project")
    for change in changes:  # people know the file by its own name
        where = change.path if change.is_beside(where) else where
    stays = "What was there before is still there."
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return ProjectError(f"The disk is full: {where} cannot be written. {stays}")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return ProjectError(
            f"{where} may not be written: it is read-only, or another program (QuPath?) holds it "
            f"open. {stays}",
            hint="Close the image in QuPath or ask for the right to write, then try again.",
        )
    return ProjectError(f"{where} cannot be written: {error.strerror or error}. {stays}")
