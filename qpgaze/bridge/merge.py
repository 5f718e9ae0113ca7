"""Bring together what several people did to copies of one image's objects: pure, no disk.

An object is the same one where its id is the same. What it was before people went their ways is
told by the ledger's last record that both copies share: who departed from it changed it. Where both
did, and differently, nobody here knows who is right, and both are told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from uuid import UUID

from qpgaze import keys
from qpgaze.bridge.ledger import Ledger, Operation, Record, Standing, is_ours
from qpgaze.bridge.projects.staging import check_objects
from qpgaze.bridge.records import has_details
from qpgaze.bridge.shapecode import encode_shape, same_shape
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

Prefer = Literal["here", "copy"]


@dataclass(frozen=True)
class Told:
    """An object that a person has to look at.

    Parameters
    ----------
    id : str
    name : str
        Its name or class, for people.
    why : str
    """

    id: str
    name: str
    why: str


@dataclass
class ImageMerge:
    """What becomes of one image's objects.

    Parameters
    ----------
    add, change : list of SlideObject
        New here; changed in the copy alone.
    same : int
        Alike in both.
    kept : int
        Changed here alone.
    gone_here : list of Told
        Deleted here, unchanged in the copy: not brought back.
    gone_there : list of Told
        Deleted in the copy: not deleted here.
    conflicts : list of Told
        Changed in both; what is here stays.
    decided : list of Told
        Changed in both, and a side was preferred.
    left_out : list of Told
        Cannot be carried over.
    nested_otherwise : int
        Alike, but under another object in the copy; they stay where they are here.
    records : list of Record
        Of the copy's ledger, to be appended here.
    """

    add: list[SlideObject] = field(default_factory=list)
    change: list[SlideObject] = field(default_factory=list)
    same: int = 0
    kept: int = 0
    gone_here: list[Told] = field(default_factory=list)
    gone_there: list[Told] = field(default_factory=list)
    conflicts: list[Told] = field(default_factory=list)
    decided: list[Told] = field(default_factory=list)
    left_out: list[Told] = field(default_factory=list)
    nested_otherwise: int = 0
    records: list[Record] = field(default_factory=list)


def merge_objects(
    here: Sequence[SlideObject],
    there: Sequence[SlideObject],
    *,
    here_records: Sequence[Record] = (),
    there_records: Sequence[Record] = (),
    prefer: Prefer | None = None,
) -> ImageMerge:
    """Merge a copy's objects of one image into ours.

    Parameters
    ----------
    here, there : sequence of SlideObject
        All objects of the image, parents before children.
    here_records, there_records : sequence of Record
        Both ledgers' records of that image, oldest first, under the entry id that it has here.
    prefer : "here", "copy" or None
        Which side to take where both changed an object; None: neither.

    Returns
    -------
    ImageMerge

    Notes
    -----
    Nothing that is here is ever deleted, and what stays is never changed in part: an object is
    taken whole from one side.
    """
    return _Merging(here, there, here_records, there_records, prefer).merge()


def difference(one: SlideObject, other: SlideObject) -> str | None:
    """Name the first thing in which two objects differ, None where they are alike.

    QuPath's rounding of shapes counts as no difference, and neither does the object that one lies
    under: QuPath sorts objects under others as a whole, whenever somebody asks it to.
    """
    for what, words in _COMPARED.items():
        if getattr(one, what) != getattr(other, what):
            return words
    if dict(one.metadata) != dict(other.metadata):
        return _differing_texts(one.metadata, other.metadata)
    if not _alike_numbers(one.measurements, other.measurements):
        return "measurements"
    return None if _same_geometry(one, other) else "shape"


_DECISIONS = {"here": "left as it is here", "copy": "taken from the copy"}
_COMPARED = {
    "kind": "kind",
    "class_name": "class",
    "color": "colour",
    "name": "name",
    "description": "description",
    "locked": "lock",
    "is_ellipse": "shape",
    "c": "channel",
    "z": "z-slice",
    "t": "time point",
}


def _differing_texts(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    differing = sorted(key for key in {**one, **other} if one.get(key) != other.get(key))
    if keys.STATE in differing:  # what a person looks for first
        states = [texts.get(keys.STATE, "none") for texts in (one, other)]
        return f"review state ({states[0]} here, {states[1]} in the copy)"
    return "metadata " + ", ".join(f"'{key}'" for key in differing)


def _alike_numbers(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return one.keys() == other.keys() and all(
        one[key] == other[key] or (one[key] != one[key] and other[key] != other[key]) for key in one
    )


def _same_geometry(one: SlideObject, other: SlideObject) -> bool:
    if one.geometry.equals_exact(other.geometry, 0.0):
        return True
    try:
        code = encode_shape(one.geometry, is_ellipse=one.is_ellipse)
    except ProjectError:  # empty, or a collection: alike to the last digit or not at all
        return False
    return same_shape(code, other.geometry, is_ellipse=other.is_ellipse)


def _content(record: Record) -> tuple[str, ...]:
    """Return what a record says of an object, the moment and the occasion left out."""
    shape = json.dumps(dict(record.shape), sort_keys=True)
    removed = str(record.op is Operation.REMOVE)
    return (str(record.id), removed, record.method, record.class_name or "", shape)


def _line(record: Record) -> tuple[str, ...]:
    return (*_content(record), record.op.value, record.entry, record.time_utc)


def _by_id(records: Iterable[Record]) -> dict[UUID, list[Record]]:
    sorted_: dict[UUID, list[Record]] = {}
    for record in records:
        sorted_.setdefault(record.id, []).append(record)
    return sorted_


class _Merging:
    """One merge while it goes on."""

    def __init__(
        self,
        here: Sequence[SlideObject],
        there: Sequence[SlideObject],
        here_records: Sequence[Record],
        there_records: Sequence[Record],
        prefer: Prefer | None,
    ) -> None:
        self.here = {item.id: item for item in here}
        self.there = {item.id: item for item in there}
        counted = Counter(item.id for item in here)
        counted_there = Counter(item.id for item in there)
        self.twice = {i for count in (counted, counted_there) for i, n in count.items() if n > 1}
        self.here_records = _by_id(here_records)
        self.there_records = _by_id(there_records)
        self.prefer = prefer
        self.result = ImageMerge()

    def merge(self) -> ImageMerge:
        fresh: list[SlideObject] = []
        for identity, item in self.there.items():
            if identity in self.twice:
                self._tell(self.result.conflicts, item, "several objects bear this id")
            elif identity in self.here:
                self._both(self.here[identity], item)
            elif self._is_new(item):
                fresh.append(item)
        for identity, item in self.here.items():
            if identity not in self.there and identity in self.there_records:
                self._tell(self.result.gone_there, item, "deleted in the copy")
        self.result.add = self._placed(self._writable(fresh))
        self.result.change = self._writable(self.result.change)
        for item in self.result.add:
            self._take_records(item.id)
        for item in self.result.change:
            self._take_records(item.id)
        return self.result

    def _both(self, mine: SlideObject, other: SlideObject) -> None:
        """Decide on an object that both have."""
        what = difference(mine, other)
        if what is None:
            self.result.same += 1
            self.result.nested_otherwise += mine.parent != other.parent
            self._take_records(mine.id)
            return
        base = self._ancestor(mine.id)
        changed_here = base is None or self._changed(mine, self.here_records, base)
        changed_there = base is None or self._changed(other, self.there_records, base)
        if changed_there and not changed_here:
            self.result.change.append(other)
        elif changed_here and not changed_there:
            self.result.kept += 1
        elif changed_here and base is not None:
            self._conflict(other, f"changed on both sides, in {what}")
        else:
            self._conflict(other, f"differs in {what}, with no record of what it was before")

    def _is_new(self, other: SlideObject) -> bool:
        """Decide on an object that only the copy has."""
        if not self.here_records.get(other.id):
            return True
        base = self._ancestor(other.id)
        if base is not None and not self._changed(other, self.there_records, base):
            self._tell(self.result.gone_here, other, "deleted here, unchanged in the copy")
            return False
        return self._conflict(other, "deleted here, changed in the copy")

    def _conflict(self, other: SlideObject, why: str) -> bool:
        """Note a conflict; True where the copy's side is to be taken as a new object."""
        if self.prefer is None:
            self._tell(self.result.conflicts, other, why)
            return False
        taken = self.prefer == "copy"
        self._tell(self.result.decided, other, f"{why}; {_DECISIONS[self.prefer]}")
        if taken and other.id in self.here:
            self.result.change.append(other)
        return taken

    def _ancestor(self, identity: UUID) -> Record | None:
        """Return the last record of an object that both ledgers hold."""
        known = {_content(record) for record in self.there_records.get(identity, ())}
        for record in reversed(self.here_records.get(identity, [])):
            if _content(record) in known:
                return None if record.op is Operation.REMOVE else record
        return None

    @staticmethod
    def _changed(item: SlideObject, records: Mapping[UUID, Sequence[Record]], base: Record) -> bool:
        """Tell whether a side departed from what both once had: by qpgaze or by hand."""
        mine = [_content(record) for record in records.get(item.id, ())]
        last = len(mine) - 1 - mine[::-1].index(_content(base))
        if any(content != mine[last] for content in mine[last:]):
            return True
        if not has_details(item, base):
            return True
        standing = Ledger(Path(), [base]).compare([item], entry=base.entry)
        return standing[item.id] is Standing.CHANGED

    def _writable(self, items: list[SlideObject]) -> list[SlideObject]:
        """Return those that can be written here, and tell of the others."""
        lasting = []
        for item in items:
            if item.id.version == 5 and not is_ours(item):
                # Made up from the position in the file, which says nothing in another file.
                self._tell(self.result.left_out, item, "QuPath 0.3 gave it no lasting id")
            else:
                lasting.append(item)
        try:
            check_objects(lasting)
        except ProjectError:
            return [item for item in lasting if self._can_be_written(item)]
        return lasting

    def _can_be_written(self, item: SlideObject) -> bool:
        try:
            check_objects([item])
        except ProjectError as error:
            why = error.message.partition(" cannot be written: ")[2]
            why = why.removesuffix(" Nothing was staged.").rstrip(".")
            self._tell(self.result.left_out, item, why or error.message)
            return False
        return True

    def _placed(self, fresh: list[SlideObject]) -> list[SlideObject]:
        """Put new objects under what is there of their parents in the copy."""
        known = {*self.here, *(item.id for item in fresh)}

        def nearest(parent: UUID | None) -> UUID | None:
            steps = len(self.there)
            while parent is not None and parent not in known and steps:
                above = self.there.get(parent)
                parent, steps = (None if above is None else above.parent), steps - 1
            return parent if parent in known else None

        return [replace(item, parent=nearest(item.parent)) for item in fresh]

    def _take_records(self, identity: UUID) -> None:
        have = {_line(record) for record in self.here_records.get(identity, ())}
        self.result.records += [
            record for record in self.there_records.get(identity, ()) if _line(record) not in have
        ]

    @staticmethod
    def _tell(where: list[Told], item: SlideObject, why: str) -> None:
        where.append(Told(str(item.id), item.name or item.class_name or item.kind, why))
