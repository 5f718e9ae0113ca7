"""What a file was before a project and its copy went their ways: the last version that both had.

A project remembers versions of its files in several places: the file itself, the backup beside it,
the snapshots that qpgaze took, and the checksums of what qpgaze wrote. A copy of the whole folder
takes all of that along. So a version that both know was there before they parted, and the youngest
of these is the best that can be known.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qpgaze.bridge.projects.folder import now_ms
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.inside import is_inside
from qpgaze.bridge.projects.snapshots import prune, snapshots_of, take_snapshots
from qpgaze.bridge.projects.writes import read_writes
from qpgaze.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qpgaze.bridge.projects.protocol import Entry, Project

_DIGEST_CHARS: Final = 8
"""Snapshots bear that much of their SHA-256 in their names."""
_NOW, _BEFORE_NOW = "9", "8"
"""Later than any time stamp (``2...``)."""


@dataclass
class _Versions:
    """What one side knows of a file, by the first characters of the SHA-256."""

    folder: Path
    moments: dict[str, str] = field(default_factory=dict)
    digests: dict[str, set[str]] = field(default_factory=dict)
    places: dict[str, list[Path]] = field(default_factory=dict)

    def note(self, digest: str, moment: str, place: Path | None = None) -> None:
        """Take note of a version that was there at a moment."""
        short = digest[:_DIGEST_CHARS]
        self.moments[short] = max(moment, self.moments.get(short, ""))
        if len(digest) > _DIGEST_CHARS:
            self.digests.setdefault(short, set()).add(digest)
        if place is not None:
            self.places.setdefault(short, []).append(place)


def last_common_version(here: Path, there: Path) -> bytes | None:
    """Return the youngest version of a file that a project and its copy both had.

    Parameters
    ----------
    here, there : Path
        The file in the project's folder and in the copy's: an image's ``data.qpdata``
        (``FOLDER/data/7/data.qpdata``), or the project file itself.

    Returns
    -------
    bytes or None
        None where they share no version that is still there.

    Raises
    ------
    ProjectError
        If an account is there and cannot be read.
    """
    mine, other = _versions(here), _versions(there)
    shared = mine.moments.keys() & other.moments.keys()
    youngest = sorted(shared, key=lambda v: min(mine.moments[v], other.moments[v]), reverse=True)
    for version in youngest:
        content = _content(version, mine, other)
        if content is not None:
            return content
    return None


def keep_versions(project: Project, entries: Iterable[Entry]) -> None:
    """Keep a copy of the project file and of images' data as they are now.

    Who gets a copy of the project afterwards departs from here.

    Parameters
    ----------
    project : Project
        Just written; its lock is held.
    entries : iterable of Entry

    Raises
    ------
    ProjectError
        If that cannot be written.
    """
    folder = project.path.parent
    files = [entry.data_path for entry in entries if isinstance(entry, FolderEntry)]
    try:
        take_snapshots(folder, [project.path, *files], now_ms=now_ms(), made=[])
    except OSError as error:
        raise ProjectError(
            f"{folder} cannot be written: {error.strerror or error}. Everything was collected; "
            "only no copy was kept of how it is now.",
        ) from error
    prune(folder, [project.path, *files])


def _folder_of(file: Path) -> Path:
    return file.parent if file.suffix.lower() == ".qpproj" else file.parent.parent.parent


def _versions(file: Path) -> _Versions:
    folder = _folder_of(file)
    found = _Versions(folder)
    name = file.relative_to(folder).as_posix()
    ending = "backup" if file.suffix.lower() == ".qpproj" else "bkp"
    for write in read_writes(folder):
        if name in write.files:
            # A snapshot of the same moment is of the version before this one.
            found.note(write.files[name], f"{_digits(write.time_utc)}+")
    for copy in snapshots_of(folder, file):
        stamp, _, digest = copy.name.rpartition("-")
        found.note(digest, _digits(stamp), copy)
    for place, moment in ((file.with_name(f"{file.name}.{ending}"), _BEFORE_NOW), (file, _NOW)):
        content = _read(folder, place)
        if content is not None:
            found.note(hashlib.sha256(content).hexdigest(), moment, place)
    return found


def _content(version: str, mine: _Versions, other: _Versions) -> bytes | None:
    """Read a version from wherever it is still there, and check that it is the one meant."""
    known = [side.digests[version] for side in (mine, other) if version in side.digests]
    for side in (mine, other):
        for place in side.places.get(version, ()):
            content = _read(side.folder, place)
            if content is None:
                continue
            digest = hashlib.sha256(content).hexdigest()
            if digest.startswith(version) and all(digest in digests for digests in known):
                return content
    return None


def _read(folder: Path, place: Path) -> bytes | None:
    """Read a file that lies in a folder, links followed; None where there is none."""
    try:
        return place.read_bytes() if is_inside(folder, place) else None
    except OSError:
        return None


def _digits(time: str) -> str:
    """Return a time stamp in digits, down to the millisecond.

    Examples
    --------
    >>> _digits("2026-01-31T23:59:59.123+00:00") == _digits("20260131T235959123Z")
    True
    """
    return re.sub(r"\D", "", time)[:17]
