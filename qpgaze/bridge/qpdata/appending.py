"""The usual edit, objects put after all others: the rest of the file is not taken apart for it.

Everything before the new objects stays where it is to the byte, handles included, so that only
they and the little that follows them are written, read back and compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import numpy as np

from qpgaze.bridge.qpdata.adding import EditShared, NewObjects, write_children
from qpgaze.bridge.qpdata.asked import fault, require_as_asked
from qpgaze.bridge.qpdata.assembling import Assembler, HandleTable
from qpgaze.bridge.qpdata.encoding import ObjectWriter, check_all
from qpgaze.bridge.qpdata.identities import id_columns, id_keys, split_keys
from qpgaze.bridge.qpdata.resuming import ResumedScan
from qpgaze.bridge.qpdata.scan import Scan, quick_and_guarded
from qpgaze.bridge.qpdata.verifying import Digests
from qpgaze.errors import UnsupportedDataError
from qpgaze.model import SlideObject


def append_objects(
    scan: Scan, add: Sequence[SlideObject], class_colors: Mapping[str, int]
) -> bytes | None:
    """Return a stream with objects added under its root, or under one another.

    Parameters
    ----------
    scan : Scan
    add : sequence of SlideObject
        Parents before children.
    class_colors : mapping of str to int
        0xRRGGBB.

    Returns
    -------
    bytes or None
        Read back and compared; None where this is no such edit, or not one that can be made.

    Raises
    ------
    ProjectError, UnsupportedDataError
        As :func:`~qpgaze.bridge.qpdata.editing.edit_qpdata`.
    """
    root = _fit(scan, add)
    if root is None:
        return None
    tail, given = int(scan.tails[0]), scan.at_tail[0]
    table = HandleTable(scan, given, tail)
    with quick_and_guarded(scan.data):
        _refuse_other_bytes(scan, table)
        check_all(add)
        new = NewObjects.of(add)
        for i, o in enumerate(add):
            parent = o.parent
            new.below[parent if parent is None or parent != root else None].append(i)
        made = _written(scan, table, new, class_colors)
    _verify(scan, table, made, new, root)
    return made


def _fit(scan: Scan, add: Sequence[SlideObject]) -> UUID | None:
    """Return the root's id where objects can be appended, None where anything is unusual."""
    ids, kept = id_columns(scan)
    if not add or not kept.all() or any(o.kind == "tma_core" for o in add):
        return None
    keys = id_keys(add)
    if len(set(keys)) < len(keys) or not set(split_keys(ids)).isdisjoint(keys):
        return None
    root = UUID(bytes=ids[0].tobytes())
    if any(o.parent is not None for o in add):
        seen = {root}
        for o in add:
            if o.parent is not None and o.parent not in seen:
                return None
            seen.add(o.id)
    return root


def _assembler(scan: Scan, table: HandleTable) -> Assembler:
    """Return an assembler that has copied everything before the table's first handle."""
    out = Assembler(scan, table)
    out.next = table.first
    out.new_of[: table.first] = np.arange(table.first)
    return out


def _refuse_other_bytes(scan: Scan, table: HandleTable) -> None:
    """Write the end unchanged; refuse to append where that does not give the same bytes."""
    whole = _assembler(scan, table)
    tail = int(scan.tails[0])
    whole.copy(tail, len(scan.data))
    if whole.out != scan.data[tail:]:
        raise UnsupportedDataError(
            "The image's data do not come out the same when written unchanged.",
            hint="Nothing was changed; please report the QuPath version that saved it.",
        )


def _written(
    scan: Scan, table: HandleTable, new: NewObjects, class_colors: Mapping[str, int]
) -> bytes:
    out = _assembler(scan, table)
    write_children(ObjectWriter(out, EditShared(out, scan, class_colors)), new, None)
    tail, count_at = int(scan.tails[0]), int(scan.counts[0])
    out.copy(tail, len(scan.data))
    before = memoryview(scan.data)
    children = int.from_bytes(before[count_at : count_at + 4], "big") + len(new.below[None])
    count = children.to_bytes(4, "big")
    return b"".join((before[:count_at], count, before[count_at + 4 : tail], out.out))


# -- reading back ----------------------------------------------------------------------------------


class _TailDigests(Digests):
    """Digests of values at the end of a stream.

    A handle given out before is the same value in both streams, whose bytes are the same there.
    """

    def of(self, handle: int) -> bytes:
        """Return the digest of a handle's value."""
        return b"before %d" % handle if handle < self._table.first else super().of(handle)


def _verify(scan: Scan, table: HandleTable, made: bytes, new: NewObjects, root: UUID) -> None:
    """Check that a stream holds what it held, to the byte, and what was to be added.

    Nothing that was worked out while writing is used, but the old stream, and what was asked for.
    """
    try:
        came = ResumedScan(scan, made)
    except ValueError as error:
        raise fault("what was to stay has changed") from error
    ids, kept = id_columns(came)
    number_of = {key: number for number, key in enumerate(split_keys(ids)) if number}
    keys = id_keys(new.objects)
    if len(came) != len(keys) + 1 or not kept.all() or number_of.keys() != set(keys):
        raise fault("an object is missing")
    alone = np.full(len(came), -1)
    old, now = (
        _TailDigests(one, one_table, alone).span(int(one.tails[0]), len(one.data))
        for one, one_table in (
            (scan, table),
            (came, HandleTable(came, table.first, int(scan.tails[0]))),
        )
    )
    if old != now:
        raise fault("what follows the objects has changed")
    wanted = list(zip(new.objects, new.regions, new.nuclei, strict=True))
    with quick_and_guarded(made):
        numbers = [number_of[key] for key in keys]
        require_as_asked(came, numbers, wanted, {root: 0}, np.zeros(1, dtype=np.int64))
