"""Copies of files as they were before we wrote them, so that any of our writes can be undone.

They lie in ``<project>/qpgaze/snapshots``, for each file a folder named after it, without a dot:
programs that look for ``*.qpproj`` or ``data.qpdata`` must not take folders for files. Before
``data/7/data.qpdata`` is written, it is copied to
``qpgaze/snapshots/data/7/data_qpdata/20260131T235959123Z-1a2b3c4d``: the time (UTC), then the start
of the content's SHA-256, by which a damaged copy is told. The oldest copy, from before qpgaze first
wrote that file, is kept for good, and of the others the newest.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from qpgaze.bridge.projects.files import replace_patiently
from qpgaze.bridge.projects.pieces import copy_durably, digest_of, same_files

KEEP = 10
"""Copies kept of each file, the oldest included."""

_NAME = re.compile(r"\d{8}T\d{9}Z-(?P<digest>[0-9a-f]{8})")


def snapshot_folder(project_folder: Path, path: Path) -> Path:
    """Return where the copies of a project's file lie.

    Examples
    --------
    >>> snapshot_folder(Path("p"), Path("p/data/7/data.qpdata")).as_posix()
    'p/qpgaze/snapshots/data/7/data_qpdata'
    """
    place = path.relative_to(project_folder)
    plain = place.name.replace("_", "__").replace(".", "_")  # two files never share a folder
    return project_folder / "qpgaze" / "snapshots" / place.with_name(plain)


def snapshots_of(project_folder: Path, path: Path) -> list[Path]:
    """Return the copies of a project's file, newest first."""
    try:
        every = list(snapshot_folder(project_folder, path).iterdir())
    except OSError:  # none yet
        return []
    copies = [copy for copy in every if _NAME.fullmatch(copy.name)]
    return sorted(copies, key=lambda copy: copy.name, reverse=True)


def is_whole(copy: Path) -> bool:
    """Tell whether a copy holds what it held when it was made."""
    match = _NAME.fullmatch(copy.name)
    try:
        return match is not None and _short(digest_of(copy)) == match["digest"]
    except OSError:
        return False


def take_snapshots(
    project_folder: Path, paths: Iterable[Path], *, now_ms: int, made: list[Path]
) -> None:
    """Copy files as they are now.

    Parameters
    ----------
    project_folder : Path
    paths : iterable of Path
        Files in the project; one that is not there has nothing to lose, and one of which the
        newest copy is the same gets no other.
    now_ms : int
        Milliseconds since 1970, for the names.
    made : list of Path
        Each copy is appended before it is begun, for :func:`discard`.

    Raises
    ------
    OSError
        If one cannot be made.
    """
    for path in paths:
        try:
            digest = _short(digest_of(path))
        except FileNotFoundError:
            continue
        newest = snapshots_of(project_folder, path)[:1]
        if newest and newest[0].name.endswith(digest) and same_files(newest[0], path):
            continue
        copy = snapshot_folder(project_folder, path) / f"{_stamp(now_ms)}-{digest}"
        made.append(copy)
        copy.parent.mkdir(parents=True, exist_ok=True)
        part = _part(copy)
        part.unlink(missing_ok=True)
        if _short(copy_durably(path, part)) != digest:
            raise OSError(f"{path} changed while it was copied")
        replace_patiently(part, copy)


def discard(copies: Iterable[Path], project_folder: Path) -> None:
    """Remove copies again, and folders that are empty then: nothing was written after all."""
    top = project_folder / "qpgaze"
    for copy in copies:
        with contextlib.suppress(OSError):
            copy.unlink(missing_ok=True)
            _part(copy).unlink(missing_ok=True)
            folder = copy.parent
            while folder != top and top in folder.parents:
                folder.rmdir()  # raises where it is not empty
                folder = folder.parent


def prune(project_folder: Path, paths: Iterable[Path]) -> None:
    """Remove all copies but the oldest and the newest, and what a cut write left."""
    for path in paths:
        copies = snapshots_of(project_folder, path)
        for copy in copies[KEEP - 1 : -1]:
            with contextlib.suppress(OSError):
                copy.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            for part in snapshot_folder(project_folder, path).glob("*.part~"):
                part.unlink(missing_ok=True)


def _part(copy: Path) -> Path:
    return copy.with_name(f"{copy.name}.part~")


def _stamp(now_ms: int) -> str:
    seconds, rest = divmod(now_ms, 1000)
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y%m%dT%H%M%S}{rest:03d}Z"


def _short(digest: bytes) -> str:
    return digest.hex()[:8]
