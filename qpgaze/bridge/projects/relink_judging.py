"""Which of several files is the image that a project lost: compared, never guessed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from qpgaze.bridge.projects.uris import plain_name


@dataclass(frozen=True)
class Candidate:
    """A file that may be it.

    Parameters
    ----------
    path : PurePath
    folders_alike : int
        How many folders above it are called as those above the lost image, from the last one on.
    same_size : bool or None
        Whether it has as many pixels; None where the project or the file does not say.
    same_content : bool or None
        Whether its checksum is the one known; None where none is.
    size_px : (width, height) or None
        None where it cannot be read as a picture.
    """

    path: PurePath
    folders_alike: int
    same_size: bool | None = None
    same_content: bool | None = None
    size_px: tuple[int, int] | None = None

    @property
    def refuted(self) -> bool:
        """Whether it certainly is another image."""
        return self.same_content is False or (
            self.same_size is False and self.same_content is not True
        )

    def words(self) -> str:
        """Say how it compares."""
        size = "no picture that can be read here"
        if self.size_px is not None:
            size = f"{self.size_px[0]} x {self.size_px[1]} px"
            if self.same_size is not None:
                size = f"same size ({size})" if self.same_size else f"another size ({size})"
        said = [size]
        if self.same_content is not None:
            said.insert(0, "same checksum" if self.same_content else "another checksum")
        if self.folders_alike:
            plural = "folder" if self.folders_alike == 1 else "folders"
            said.append(f"{self.folders_alike} {plural} alike")
        return ", ".join(said)


def folders_alike(lost: PurePath, found: PurePath) -> int:
    """Count the folders that two paths have in common, from their last one on.

    Examples
    --------
    >>> from pathlib import PurePosixPath, PureWindowsPath
    >>> lost = PureWindowsPath("D:/Study/batch 1/a.svs")
    >>> folders_alike(lost, PurePosixPath("/mnt/study/batch 1/a.svs"))
    2
    """
    count = 0
    for one, other in zip(reversed(lost.parts[1:-1]), reversed(found.parts[1:-1]), strict=False):
        if plain_name(one) != plain_name(other):
            break
        count += 1
    return count


def choose(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the one that is clearly it, None where none or several may be.

    Notes
    -----
    A checksum decides alone. Without one, a single file of the name is taken where it is a picture
    of the recorded size (or of any, where none was recorded), or lies in a folder of the same name;
    of several, the one that shares more folders with the lost place than every other and is as
    sure of its size as they are.

    Examples
    --------
    >>> from pathlib import PurePosixPath as P
    >>> near = Candidate(P("/new/batch 1/a.svs"), 1, True, None, (9, 9))
    >>> far = Candidate(P("/old/batch 2/a.svs"), 0, True, None, (9, 9))
    >>> choose([far, near]) is near, choose([far, far]) is None
    (True, True)
    """
    left = [item for item in candidates if not item.refuted]
    certain = [item for item in left if item.same_content]
    left = certain or left
    if len(left) == 1:
        only = left[0]
        is_picture = only.size_px is not None
        return only if only.same_content or is_picture or only.folders_alike else None
    left.sort(key=lambda item: item.folders_alike, reverse=True)
    if not left or left[0].folders_alike == left[1].folders_alike:
        return None
    best = left[0]
    surest = any(item.same_size for item in left)
    return best if best.same_size or not surest else None


def one_file_twice(
    places: Sequence[tuple[str, str | None]], fresh: Collection[str | None]
) -> list[str]:
    """Say which images read one and the same file now.

    Parameters
    ----------
    places : sequence of (str, str or None)
        Ids of images, and their files.
    fresh : collection of str
        Files that were just found or named.
    """
    notes = []
    for path in sorted({path for path in fresh if path is not None}):
        ids = sorted({entry for entry, place in places if place == path}, key=int)
        if len(ids) > 1:
            notes.append(f"Images {' and '.join(ids)} are one file now: {path}.")
    return notes
