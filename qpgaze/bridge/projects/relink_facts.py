"""What is remembered of a project's images, so that they are known again under another name.

``<project>/qpgaze/images.json`` holds for each image that was in its place: the file's name without
folders, its size in bytes, and a checksum of samples of it. A slide has gigabytes; reading all of
it for a checksum would take longer than a person waits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qpgaze.bridge.projects.files import Change, Snapshot, read_file
from qpgaze.errors import ProjectError, SlideError

VERSION: Final = 1
FILE: Final = "images.json"
_SAMPLE: Final = 1 << 16
_CHECKSUMS: Final = {"sha256": "sha256", "sha-256": "sha256", "md5": "md5"}


@dataclass(frozen=True)
class FileFacts:
    """A file's identity.

    Parameters
    ----------
    name : str
        Without folders.
    size : int
        Bytes.
    samples : str
        SHA-256 of the size and of 64 KiB at the start, in the middle and at the end.
    """

    name: str
    size: int
    samples: str

    def same_content(self, other: FileFacts) -> bool:
        """Tell whether two are one file, whatever its name."""
        return (self.size, self.samples) == (other.size, other.samples)


def file_facts(path: Path) -> FileFacts:
    """Take a file's identity.

    Raises
    ------
    ProjectError
        If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            digest.update(f"{size}\n".encode("ascii"))
            for at in (0, max(size // 2 - _SAMPLE // 2, 0), max(size - _SAMPLE, 0)):
                file.seek(at)
                digest.update(file.read(_SAMPLE))
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror or error}.") from error
    return FileFacts(path.name, size, digest.hexdigest())


def known_checksum(metadata: Mapping[str, str]) -> tuple[str, str] | None:
    """Return algorithm and checksum of the whole file, where an image's metadata hold one.

    Examples
    --------
    >>> known_checksum({"MD5": "D41D8CD98F00B204E9800998ECF8427E"})
    ('md5', 'd41d8cd98f00b204e9800998ecf8427e')
    """
    for key, value in metadata.items():
        algorithm = _CHECKSUMS.get(key.strip().casefold())
        if algorithm is not None and value.strip():
            return algorithm, value.strip().lower()
    return None


def has_checksum(path: Path, checksum: tuple[str, str]) -> bool:
    """Tell whether a file has a checksum; reads all of it.

    Raises
    ------
    ProjectError
        If it cannot be read.
    """
    digest = hashlib.new(checksum[0], usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest() == checksum[1]


def picture_size(path: Path) -> tuple[int, int] | None:
    """Return width and height of a slide, level 0, None where it is no picture that we read."""
    from qpgaze.slides import open_slide

    try:
        with open_slide(path) as slide:
            return slide.width_px, slide.height_px
    except SlideError:  # no picture, or of a kind that only QuPath reads
        return None


class RememberedImages:
    """``images.json`` of one project.

    Parameters
    ----------
    folder : Path
        The project's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "qpgaze" / FILE
        content, self._before = read_file(self.path)
        self._known = _parse(content)
        self._now: dict[tuple[str, str], FileFacts] = dict(self._known)

    def of(self, entry: str, name: str) -> FileFacts | None:
        """Return what is remembered of an image's file of that name."""
        return self._known.get((entry, name))

    def remember(self, entry: str, facts: FileFacts) -> None:
        """Stage what is to be remembered."""
        self._now[entry, facts.name] = facts

    def change(self) -> Change | None:
        """Return the file to write; None where it says all that already."""
        if self._now == self._known:
            return None
        images = [
            {"entry": entry, "name": facts.name, "bytes": facts.size, "samples": facts.samples}
            for (entry, _), facts in sorted(self._now.items())
        ]
        content = json.dumps({"version": VERSION, "images": images}, indent=1)
        before: Snapshot = self._before
        return Change(self.path, content.encode("ascii") + b"\n", before)


def _parse(content: bytes) -> dict[tuple[str, str], FileFacts]:
    """Read what is remembered; what is not understood is forgotten: it is only a help."""
    known: dict[tuple[str, str], FileFacts] = {}
    try:
        raw = json.loads(content)
        items = raw["images"] if raw["version"] == VERSION else []
        for item in items:
            facts = FileFacts(str(item["name"]), int(item["bytes"]), str(item["samples"]))
            known[str(item["entry"]), facts.name] = facts
    except (ValueError, KeyError, TypeError, RecursionError):
        return known
    return known
