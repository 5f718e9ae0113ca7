"""Reads edited data back and compares it with what was there and with what was asked.

Nothing that the edit worked out is used: the new bytes are read from their beginning, their
objects are paired with the old ones in order, and the bytes of each pair are compared with every
reference followed to what it means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

from qpgaze.bridge.qpdata.asked import Wanted, fault, require_as_asked
from qpgaze.bridge.qpdata.assembling import HandleTable, rank
from qpgaze.bridge.qpdata.identities import stored_ids
from qpgaze.bridge.qpdata.scan import Scan, quick_and_guarded

if TYPE_CHECKING:
    pass

_MAX_DEPTH: Final = 150


def verify(
    old: Scan,
    old_table: HandleTable,
    made: bytes,
    wanted: Sequence[Wanted],
    gone: set[int],
    place_of: Mapping[UUID, int],
) -> None:
    """Check the outcome of an edit.

    Parameters
    ----------
    old : Scan
    old_table : HandleTable
    made : bytes
        The outcome.
    wanted : sequence of (SlideObject, Roi or None, Roi or None)
        What was added or replaced, with the region chosen for it and that of its nucleus.
    gone : set of int
        Numbers of the removed objects in `old`.
    place_of : mapping of UUID to int
        Numbers of the old objects.

    Raises
    ------
    ProjectError
        If anything differs.
    """
    new = Scan(made)
    table = HandleTable(new)
    ids = stored_ids(new)
    number_of = {o.id: -1 for o, _, _ in wanted}
    for number, found in enumerate(ids):
        if found in number_of:
            number_of[found] = number
    if -1 in number_of.values():
        raise fault("an object is missing")
    kept, same = np.ones(len(old), dtype=bool), np.ones(len(new), dtype=bool)
    kept[list(gone)] = False
    same[list(number_of.values())] = False
    partner = np.full(len(old) + 1, -1, dtype=np.int64)
    for o, _, _ in wanted:
        if o.id in place_of:
            kept[place_of[o.id]] = False
            partner[place_of[o.id]] = number_of[o.id]
    if kept.sum() != same.sum():
        raise fault("objects were lost")
    partner[:-1][kept] = np.flatnonzero(same)
    _same_parents(old, new, partner, gone)
    if old.header_text != new.header_text:
        raise fault("another image's header")
    comparison = _Comparison(old, old_table, new, table, partner)
    comparison.run(np.flatnonzero(kept), np.flatnonzero(same))
    with quick_and_guarded(made):
        numbers = [number_of[o.id] for o, _, _ in wanted]
        require_as_asked(new, numbers, wanted, place_of, partner)


def _same_parents(old: Scan, new: Scan, partner: Any, gone: set[int]) -> None:
    """Check that each object lies under its old parent, or the next that is left above it."""
    heirs = np.arange(-1, len(old))  # by number + 1: the nearest ancestor, or itself, that stays
    for number in sorted(gone):
        heirs[number + 1] = heirs[old.parents[number] + 1]
    alive = partner[:-1] >= 0
    parents = partner[heirs[old.parents[alive] + 1]]
    if not np.array_equal(parents, new.parents[partner[:-1][alive]]):
        raise fault("an object lies under another one than before")


# -- what was to stay ------------------------------------------------------------------------------


class Digests:
    """Digests of values in which references and definitions of one value are the same."""

    def __init__(self, scan: Scan, table: HandleTable, partner: Any) -> None:
        self._scan, self._table = scan, table
        self._data = memoryview(scan.data)
        self._partner = partner
        self._known: dict[int, bytes] = {}
        self._depth = 0

    def of(self, handle: int) -> bytes:
        """Return the digest of a handle's value; objects of the hierarchy stand for themselves."""
        number = self._scan.object_of(handle)
        if number >= 0 and self._partner[number] >= 0:
            return b"object %d" % self._partner[number]
        found = self._known.get(handle)
        if found is None:
            self._known[handle] = b"cycle"
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise fault("values refer to one another too deep to compare")
            found = self.span(*self._table.span(handle), handle)
            self._depth -= 1
            self._known[handle] = found
        return found

    def span(self, start: int, stop: int, itself: int = -1) -> bytes:
        """Return the digest of a piece of the stream."""
        table = self._table
        handles = range(table.given_before(start), table.given_before(stop))
        low, high = rank(table.ref_at, start), rank(table.ref_at, stop)
        events = [(*table.span(h), h) for h in handles]
        events += [
            (int(table.ref_at[r]) - 1, int(table.ref_at[r]) + 4, int(table.target[r]))
            for r in range(low, high)
        ]
        total = hashlib.sha256()
        at = start
        for begin, end, handle in sorted(events):
            if at <= begin and end <= stop and handle != itself:
                total.update(self._data[at:begin])
                total.update(b"<" + self.of(handle) + b">")
                at = end
        total.update(self._data[at:stop])
        return total.digest()


class _Comparison:
    """Compares the content of paired objects, long runs of them at once."""

    def __init__(
        self, old: Scan, old_table: HandleTable, new: Scan, table: HandleTable, partner: Any
    ) -> None:
        self._scans = (old, new)
        self._tables = (old_table, table)
        self._bytes = tuple(np.frombuffer(s.data, np.uint8) for s in self._scans)
        self._digests = (
            Digests(old, old_table, partner),
            Digests(new, table, np.arange(len(new))),
        )

    def run(self, kept: Any, same: Any) -> None:
        """Compare everything but numbers of children; `kept` of the old are `same` of the new."""
        pieces = []
        for scan, rows in zip(self._scans, (kept, same), strict=True):
            starts, counts, tails, ends = (
                column[rows] for column in (scan.starts, scan.counts, scan.tails, scan.ends)
            )
            starts[0], ends[0] = 0, len(scan.data)  # the root's piece takes in the rest of the file
            begin, stop = np.concatenate([starts, tails]), np.concatenate([counts, ends])
            order = np.argsort(begin, kind="stable")
            pieces.append((order, begin[order], stop[order]))
        (order, a, b), (other, a2, b2) = pieces
        if not np.array_equal(order, other):
            raise fault("objects changed their order")
        gap, gap2 = a[1:] - b[:-1], a2[1:] - b2[:-1]
        equal = b - a == b2 - a2  # else a value was written out in it: compared by itself below
        joined = (gap == gap2) & ((gap == 0) | (gap == 4)) & equal[1:] & equal[:-1]
        wide = np.flatnonzero(joined & (gap == 4))
        four = np.arange(4)
        joined[wide] = (
            self._bytes[0][b[wide, None] + four] == self._bytes[1][b2[wide, None] + four]
        ).all(axis=1)
        cuts = np.flatnonzero(~joined) + 1
        firsts = np.concatenate([[0], cuts])
        lasts = np.concatenate([cuts, [len(a)]]) - 1
        for i, j in zip(firsts.tolist(), lasts.tolist(), strict=True):
            if not self._alike(int(a[i]), int(b[j]), int(a2[i]), int(b2[j])):
                for k in range(i, j + 1):
                    spans = (int(a[k]), int(b[k])), (int(a2[k]), int(b2[k]))
                    if self._digests[0].span(*spans[0]) != self._digests[1].span(*spans[1]):
                        raise fault("an object that was to stay has changed")

    def _alike(self, a: int, b: int, a2: int, b2: int) -> bool:
        """Compare two runs of equal length byte by byte, and what their references mean."""
        if b - a != b2 - a2:
            return False
        old, new = self._tables
        low, high = rank(old.ref_at, a), rank(old.ref_at, b)
        low2, high2 = rank(new.ref_at, a2), rank(new.ref_at, b2)
        places = old.ref_at[low:high] - a
        if high - low != high2 - low2 or not np.array_equal(places, new.ref_at[low2:high2] - a2):
            return False
        differ = np.flatnonzero(self._bytes[0][a:b] != self._bytes[1][a2:b2])
        if len(differ):
            if not len(places):
                return False
            owner = np.searchsorted(places, differ, side="right") - 1
            if (owner < 0).any() or (differ - places[owner] >= 4).any():
                return False
        targets, targets2 = old.target[low:high], new.target[low2:high2]
        inside = (old.start[targets] >= a) & (old.start[targets] - a == new.start[targets2] - a2)
        pairs = np.unique(np.column_stack([targets[~inside], targets2[~inside]]), axis=0)
        return all(self._digests[0].of(t) == self._digests[1].of(t2) for t, t2 in pairs.tolist())
