"""Reads on where an earlier scan of the same bytes left off: objects put after the others.

What a reader has learnt at some offset follows from the bytes before it. Where those are the same
as in a stream that was scanned, its reader's knowledge at that offset is taken over, and only the
rest is read.
"""

from __future__ import annotations

from array import array

from qpgaze.bridge.qpdata.javastream import JavaReader
from qpgaze.bridge.qpdata.objects import Parts
from qpgaze.bridge.qpdata.records import Raw
from qpgaze.bridge.qpdata.runs import RunFinder, Whereabouts
from qpgaze.bridge.qpdata.scan import Scan, quick_and_guarded
from qpgaze.bridge.qpdata.templates import Templates

_COPIED = 1 << 20


def same_bytes(one: bytes, other: bytes, start: int, stop: int) -> bool:
    """Tell whether two streams hold the same between two offsets, with little memory."""
    return stop <= min(len(one), len(other)) and all(
        one[at : min(at + _COPIED, stop)] == other[at : min(at + _COPIED, stop)]
        for at in range(start, stop, _COPIED)
    )


class _Whereabouts(Whereabouts):
    """Knows the recognised objects of the earlier scan as well."""

    before: Whereabouts
    given = 0

    def __call__(self, handle: int) -> tuple[int, int]:
        """Return the offset of the element, and the handles given out before it."""
        return self.before(handle) if handle < self.given else super().__call__(handle)


class ResumedScan(Scan):
    """What a stream holds after the root's children that an earlier stream had.

    Number 0 is the root, 1 the first child that the earlier stream lacks, and so on. Handles count
    from the stream's beginning.

    Parameters
    ----------
    old : Scan
        Of the earlier stream.
    data : bytes
        The same up to the end of the root's last child in `old`, but for the root's number of
        children, which is larger.

    Raises
    ------
    ValueError
        If it is not the same there, or the number not larger.
    ProjectError, UnsupportedDataError
        As for any stream.
    """

    def __init__(self, old: Scan, data: bytes) -> None:
        tail, count_at = int(old.tails[0]), int(old.counts[0])
        before = int.from_bytes(old.data[count_at : count_at + 4], "big")
        now = int.from_bytes(data[count_at : count_at + 4], "big")
        same = same_bytes(old.data, data, 0, count_at)
        if not same or now <= before or not same_bytes(old.data, data, count_at + 4, tail):
            raise ValueError("the streams do not begin alike")
        given, slots, references = old.at_tail
        self.data = data
        self.reader = reader = JavaReader(data, tail)
        reader.given = given
        reader.values = {h: value for h, value in old.reader.values.items() if h < given}
        reader.refs = old.reader.refs[:references]
        for name in ("def_handle", "def_start", "def_assign", "def_end"):
            setattr(reader, name, getattr(old.reader, name)[:slots])
        self.header_text, self.header = old.header_text, old.header
        self.parts, self.rows, self.at_tail = {}, [], old.at_tail
        self._old, self._templates, self._runs = old, Templates(), RunFinder(data)
        self._begin(before, now - before)

    def _begin(self, place: int, added: int) -> None:
        """Open the root again, and read the rest of its children and of the file."""
        old = self._old
        root = Raw()
        for name in Raw.__slots__:
            setattr(root, name, getattr(old.read[0], name))
        parts = Parts()
        parts.count_at = int(old.counts[0])
        self.read, self._open, self._which = {0: root}, {0: parts}, array("h", [-1])
        self._columns = {
            name: array("q", [int(getattr(old, name)[0])]) for name in Scan.__annotations__
        }
        where = _Whereabouts(self._columns["starts"], self._columns["handles"], self._which)
        where.before, where.given = old._where, old.at_tail[0]
        self._where = self.reader.locate = where
        slot = self.reader.def_handle.index(int(old.handles[0]))
        with quick_and_guarded(self.data):
            self._tree(0, slot, added, place)
            self._after_tree(self.reader.def_handle.index(old.hierarchy))
            self._rest()

    def _is_object(self, handle: int) -> bool:
        if handle < self.at_tail[0]:  # it has no number here, unless it is the root
            return self._old.object_of(handle) >= 0
        return super()._is_object(handle)
