"""What became of readers' copies that were collected."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from qpgaze.bridge.merge import ImageMerge, Told
from qpgaze.bridge.merge_fields import FieldMerge
from qpgaze.workflows.collect_sessions import CollectedSession


@dataclass
class CollectedImage:
    """What became of one image of a copy: counts of objects, and those to look at.

    Parameters
    ----------
    entry, name : str
        Here.
    copy_entry : str
        Its id in the copy.
    new : bool
        The image itself was added.
    added : int
        Objects that were only in the copy.
    changed : int
        Taken because only the copy changed them.
    removed : int
        Deleted because only the copy deleted them, where that is wanted.
    same : int
    kept : int
        Left as they are because only the project changed them.
    gone_here, gone_there : list of Told
        Deleted here and not brought back; deleted in the copy and not deleted here.
    conflicts : list of Told
        Changed on both sides: left as they are here.
    decided : list of Told
        The same, where a side was preferred.
    left_out : list of Told
        What cannot be carried over.
    fields : list of str
        What the copy says of the image and is taken: metadata, description, type, tags.
    field_conflicts : list of Told
        What both say of it, and differently; `decided` has those where a side was preferred.
    problem : str
        Why the image's objects could not be read, in here or there.
    """

    entry: str
    name: str
    copy_entry: str
    new: bool = False
    added: int = 0
    changed: int = 0
    removed: int = 0
    same: int = 0
    kept: int = 0
    gone_here: list[Told] = field(default_factory=list)
    gone_there: list[Told] = field(default_factory=list)
    conflicts: list[Told] = field(default_factory=list)
    decided: list[Told] = field(default_factory=list)
    left_out: list[Told] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    field_conflicts: list[Told] = field(default_factory=list)
    problem: str = ""


@dataclass
class CollectedCopy:
    """What became of one copy.

    Parameters
    ----------
    copy : str
        The project file.
    images : list of CollectedImage
    unmatched : list of (id, name, why)
        Images that are only in the copy and were not added.
    sessions : list of CollectedSession
    classes : list of str
        New here.
    notes : list of str
    """

    copy: str
    images: list[CollectedImage] = field(default_factory=list)
    unmatched: list[tuple[str, str, str]] = field(default_factory=list)
    sessions: list[CollectedSession] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is left for a person to decide."""
        sessions = any(one.status in ("conflict", "damaged") for one in self.sessions)
        images = any(
            one.conflicts or one.field_conflicts or one.left_out or one.problem
            for one in self.images
        )
        return not (sessions or images or self.unmatched)


@dataclass
class CollectReport:
    """What :func:`~qpgaze.workflows.collect.collect_projects` did.

    Parameters
    ----------
    project : str
    dry_run : bool
        Nothing was written.
    copies : list of CollectedCopy
    notes : list of str
        Images that a QuPath seems to have open; traces of writes that were cut.
    """

    project: str
    dry_run: bool
    copies: list[CollectedCopy] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is left for a person to decide."""
        return all(copy.clean for copy in self.copies)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {**asdict(self), "clean": self.clean}


def count_objects(image: CollectedImage, merged: ImageMerge) -> None:
    """Tell in an image's report what becomes of its objects."""
    image.added, image.changed = len(merged.add), len(merged.change)
    image.removed = len(merged.remove)
    image.same, image.kept = merged.same, merged.kept
    image.gone_here, image.gone_there = merged.gone_here, merged.gone_there
    image.conflicts, image.decided = merged.conflicts, merged.decided
    image.left_out = merged.left_out


def tell_fields(image: CollectedImage, merged: FieldMerge) -> None:
    """Tell in an image's report what becomes of its fields."""
    image.fields, image.field_conflicts = merged.taken, merged.conflicts
    image.gone_there += merged.gone_there
    image.decided += merged.decided
