"""Bring together what several people did to copies of one image's objects: pure, no disk.

An object is the same one where its id is the same. What it was before people went their ways is
told by the last version of the image's data that both copies once had, or else, for what we wrote
ourselves, by the ledger's last record that both share: who departed from it changed it. Where both
did, and differently, or nobody can tell, both are told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal
from uuid import UUID

from qpgaze.bridge.differing import difference
from qpgaze.bridge.ledger import Ledger, Operation, Record, Standing, is_ours
from qpgaze.bridge.projects.checking import check_objects, settle_replacements
from qpgaze.bridge.records import as_recorded, has_details
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
    add, change, remove : list of SlideObject
        New here; changed in the copy alone; deleted in the copy alone, where that is wanted.
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
    remove: list[SlideObject] = field(default_factory=list)
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
    base: Callable[[], Sequence[SlideObject]] = tuple,
    prefer: Prefer | None = None,
    take_deletions: bool = False,
) -> ImageMerge:
    """Merge a copy's objects of one image into ours.

    Parameters
    ----------
    here, there : sequence of SlideObject
        All objects of the image, parents before children.
    here_records, there_records : sequence of Record
        Both ledgers' records of that image, oldest first, under the entry id that it has here.
    base : callable
        Gives the objects of the last version that both once had, none where there is no such
        version; called only where it is needed.
    prefer : "here", "copy" or None
        Which side to take where both changed an object; None: neither.
    take_deletions : bool
        Delete here what was deleted in the copy, where it is known to have been there and nobody
        changed it here.

    Returns
    -------
    ImageMerge

    Notes
    -----
    What stays is never changed in part: an object is taken whole from one side.
    """
    merging = _Merging(here, there, here_records, there_records, base, prefer)
    return merging.merge(take_deletions=take_deletions)


_DECISIONS = {"here": "left as it is here", "copy": "taken from the copy"}


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


_Departed = Callable[[SlideObject, Mapping[UUID, Sequence[Record]]], bool]
"""Tells of an object, given its side's records, whether it is no longer what both once had."""


def _departed_from_object(once: SlideObject) -> _Departed:
    return lambda item, _records: difference(once, item) is not None


def _departed_from_record(base: Record) -> _Departed:
    def departed(item: SlideObject, records: Mapping[UUID, Sequence[Record]]) -> bool:
        """Tell whether qpgaze wrote it anew or a person changed it."""
        mine = [_content(record) for record in records.get(item.id, ())]
        last = len(mine) - 1 - mine[::-1].index(_content(base))
        if any(content != mine[last] for content in mine[last:]):
            return True
        if not has_details(item, base):
            return True
        standing = Ledger(Path(), [base]).compare([item], entry=base.entry)
        return standing[item.id] is Standing.CHANGED

    return departed


class _Merging:
    """One merge while it goes on."""

    def __init__(
        self,
        here: Sequence[SlideObject],
        there: Sequence[SlideObject],
        here_records: Sequence[Record],
        there_records: Sequence[Record],
        base: Callable[[], Sequence[SlideObject]],
        prefer: Prefer | None,
    ) -> None:
        self.here = {item.id: item for item in here}
        self.there = {item.id: item for item in there}
        counted = Counter(item.id for item in here)
        counted_there = Counter(item.id for item in there)
        self.twice = {i for count in (counted, counted_there) for i, n in count.items() if n > 1}
        self.here_records = _by_id(here_records)
        self.there_records = _by_id(there_records)
        self.read_base = base
        self.prefer = prefer
        self.result = ImageMerge()

    @cached_property
    def base(self) -> dict[UUID, SlideObject]:
        """What both once had, by id; without objects whose ids say nothing."""
        objects = self.read_base()
        counted = Counter(item.id for item in objects)
        return {item.id: item for item in objects if counted[item.id] == 1}

    def merge(self, *, take_deletions: bool) -> ImageMerge:
        fresh: list[SlideObject] = []
        for identity, item in self.there.items():
            if identity in self.twice:
                self._tell(self.result.conflicts, item, "several objects bear this id")
            elif identity in self.here:
                self._both(self.here[identity], item)
            elif self._is_new(item):
                fresh.append(item)
        for identity, item in self.here.items():
            if identity not in self.there and identity not in self.twice:
                self._only_here(item, take_deletions=take_deletions)
        self.result.add = self._placed(self._writable(fresh))
        self.result.change = self._writable(self.result.change, self._check_change)
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
        ways = self._departures(mine.id)
        told = [(way(mine, self.here_records), way(other, self.there_records)) for way in ways]
        for changed_here, changed_there in told:
            if changed_there and not changed_here:
                self.result.change.append(other)
                return
            if changed_here and not changed_there:
                self.result.kept += 1
                return
        why = f"differs in {what}, with no record of what it was before"
        home = self._collected(mine)
        if home is not None:
            why = f"differs in {what}; here it is as it was collected on {home.time_utc[:10]}"
        if (True, True) in told:
            why = f"changed on both sides, in {what}"
        if self._conflict(other, why):
            self.result.change.append(other)

    def _is_new(self, other: SlideObject) -> bool:
        """Decide on an object that only the copy has."""
        if other.id not in self.here_records and other.id not in self.base:
            return True
        if self._as_once(other, self.there_records) or self._collected(other):
            self._tell(self.result.gone_here, other, "deleted here, unchanged in the copy")
            return False
        return self._conflict(other, "deleted here, changed in the copy")

    def _only_here(self, mine: SlideObject, *, take_deletions: bool) -> None:
        """Decide on an object that the copy lacks: it never had it, or it was deleted there."""
        if mine.id not in self.there_records and mine.id not in self.base:
            return
        unchanged = self._as_once(mine, self.here_records)
        why = "deleted in the copy" if unchanged else "deleted in the copy, changed here"
        if not take_deletions:
            self._tell(self.result.gone_there, mine, why)
        elif unchanged or self._conflict(mine, why):
            self.result.remove.append(mine)

    def _as_once(self, item: SlideObject, records: Mapping[UUID, Sequence[Record]]) -> bool:
        """Tell whether an object is as both once had it."""
        return any(not way(item, records) for way in self._departures(item.id))

    def _collected(self, item: SlideObject) -> Record | None:
        """Return the record of when an object was brought home as it is, None where it was not."""
        for record in reversed(self.here_records.get(item.id, [])):
            home = record.op is Operation.COLLECT
            if home and as_recorded(item, record) and has_details(item, record):
                return record
        return None

    def _conflict(self, other: SlideObject, why: str) -> bool:
        """Note a conflict; True where the copy's side is to be taken."""
        if self.prefer is None:
            self._tell(self.result.conflicts, other, why)
            return False
        taken = self.prefer == "copy"
        self._tell(self.result.decided, other, f"{why}; {_DECISIONS[self.prefer]}")
        return taken

    def _ancestor(self, identity: UUID) -> Record | None:
        """Return the last record of an object that both ledgers hold."""
        known = {_content(record) for record in self.there_records.get(identity, ())}
        for record in reversed(self.here_records.get(identity, [])):
            if _content(record) in known:
                return None if record.op is Operation.REMOVE else record
        return None

    def _departures(self, identity: UUID) -> list[_Departed]:
        """Return what tells whether an object departed from what both once had, best first.

        The file that both had says everything of an object; the ledger does not tell of its
        measurements and metadata, but may be younger.
        """
        record, once = self._ancestor(identity), self.base.get(identity)
        if once is None:
            return [] if record is None else [_departed_from_record(record)]
        by_file = [_departed_from_object(once)]
        if record is None or (as_recorded(once, record) and has_details(once, record)):
            return by_file
        return [_departed_from_record(record), *by_file]

    def _check_change(self, items: Sequence[SlideObject]) -> None:
        settle_replacements(items, self.here)

    def _writable(
        self,
        items: list[SlideObject],
        check: Callable[[Sequence[SlideObject]], None] = check_objects,
    ) -> list[SlideObject]:
        """Return those that can be written here, and tell of the others."""
        lasting = []
        for item in items:
            if item.id.version == 5 and not is_ours(item):
                # Made up from the position in the file, which says nothing in another file.
                self._tell(self.result.left_out, item, "QuPath 0.3 gave it no lasting id")
            else:
                lasting.append(item)
        try:
            check(lasting)
        except ProjectError:
            return [item for item in lasting if self._can_be_written(item, check)]
        return lasting

    def _can_be_written(
        self, item: SlideObject, check: Callable[[Sequence[SlideObject]], None]
    ) -> bool:
        try:
            check([item])
        except ProjectError as error:
            why = error.message.partition(" cannot be written: ")[2]
            why = why.removesuffix(" Nothing was staged.").rstrip(".")
            self._tell(self.result.left_out, item, why or error.message)
            return False
        return True

    def _placed(self, fresh: list[SlideObject]) -> list[SlideObject]:
        """Put new objects under what is there of their parents in the copy."""
        known = {*self.here, *(item.id for item in fresh)}
        known -= {item.id for item in self.result.remove}

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
