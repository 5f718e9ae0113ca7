"""A new stream made of pieces of an old one and of new content, handles renumbered.

Every piece that is copied keeps its bytes, but for the numbers in references. A value that was
defined in a piece left out, and is referred to later on, is written out at that later place, as
Java would have done without the piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from qpgaze.bridge.qpdata.javatypes import BASE_HANDLE, ClassDesc
from qpgaze.bridge.qpdata.javawriter import ClassSpec, JavaWriter
from qpgaze.errors import UnsupportedDataError

if TYPE_CHECKING:
    from qpgaze.bridge.qpdata.scan import Scan

_MAX_NESTING: Final = 50


def rank(column: npt.NDArray[Any], value: int, side: Literal["left", "right"] = "left") -> int:
    """Return where a value belongs in an ascending column.

    The value gets the column's type first: numpy would copy the whole column to a wider one.
    """
    return int(column.searchsorted(column.dtype.type(value), side))


class HandleTable:
    """Where every handle of a stream is defined, and every reference to one.

    Parameters
    ----------
    scan : Scan
    first : int
        Handles before it are left out, and given out before `since`.
    since : int
        References before this offset are left out.

    Attributes
    ----------
    start, assign, end : (n,) int32 or int64
        By handle index, from `first` on: where its element begins, the offset at which the handle
        is given out (ascending), where the element ends.
    ref_at, target : (m,) int32 or int64
        Offsets of the four bytes of each reference, ascending, and the handle index it names.
    """

    def __init__(self, scan: Scan, first: int = 0, since: int = 0) -> None:
        # A file of less than 2 GiB, as nearly all are, needs half of the memory.
        form = np.int32 if len(scan.data) < 2**31 else np.int64
        self.first = first
        self.start, self.assign, self.end = _definitions(scan, form, first)
        self.ref_at = _references(scan, form, since)
        windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(scan.data, np.uint8), 4)
        self.target = (windows[self.ref_at].view(">i4")[:, 0] - BASE_HANDLE).astype(np.int32)

    def given_before(self, at: int) -> int:
        """Return how many handles are given out before the element that begins at an offset."""
        return self.first + rank(self.assign, at, "right")

    def span(self, handle: int) -> tuple[int, int]:
        """Return where the element of a handle begins and ends."""
        row = handle - self.first
        return int(self.start[row]), int(self.end[row])

    def given_after(self, handle: int) -> int:
        """Return how many handles are given out when the element of a handle has ended."""
        start, stop = self.span(handle)
        count = rank(self.assign, stop)
        # An object without content gets its handle where it ends; but there, too, an object gets
        # its handle whose class description is the element that ends.
        while (
            count < len(self.assign) and self.assign[count] == stop and self.start[count] >= start
        ):
            count += 1
        return self.first + count


def _definitions(scan: Scan, form: Any, first: int) -> Any:
    """Return where each handle's element begins, where it is given out, where it ends.

    The three rows are arrays of the numpy type `form`; handles before `first`, which is no
    recognised object's middle, are left out.
    """
    reader = scan.reader
    table = np.full((3, reader.given - first), -1, dtype=form)
    own = np.array(reader.def_handle, dtype=np.int64) - first
    late = own >= 0
    for row, column in enumerate((reader.def_start, reader.def_assign, reader.def_end)):
        table[row, own[late]] = np.array(column, dtype=np.int64)[late]
    for rows in scan.rows:
        late = rows.handles >= first
        for i, places in enumerate(rows.template.defs) if late.any() else ():
            for row, place in enumerate(places):
                table[row, rows.handles[late] - first + i] = rows.at(place)[late]
    return table


def _references(scan: Scan, form: Any, since: int) -> Any:
    """Return the offsets of the handles of all references, ascending, in a numpy type.

    Those before the offset `since` are left out.
    """
    found = [np.array(scan.reader.refs, dtype=form)]
    late = [rows for rows in scan.rows if rows.ends.max() > since]
    found += [rows.at(p).astype(form) for rows in late for p in rows.template.refs]
    offsets = np.concatenate(found)
    offsets = offsets[offsets >= since] if since else offsets
    offsets.sort()
    return offsets


class Assembler(JavaWriter):
    """Copies pieces of an old stream and takes new content between them.

    Parameters
    ----------
    scan : Scan
        Of the old stream.
    table : HandleTable
        Of the old stream.
    """

    def __init__(self, scan: Scan, table: HandleTable) -> None:
        super().__init__()
        self._scan = scan
        self._data = memoryview(scan.data)
        self._table = table
        handles = table.first + len(table.start)
        self.new_of: npt.NDArray[np.int32] = np.full(handles, -1, dtype=np.int32)
        self._old_texts: dict[str, int] = {}
        self._old_classes: dict[str, ClassDesc] = {}
        for handle, value in scan.reader.values.items():
            if type(value) is str:
                self._old_texts.setdefault(value, handle)
            elif type(value) is ClassDesc:
                self._old_classes.setdefault(value.name, value)
        self._nesting = 0

    # -- what new content may refer to ---------------------------------------------------------

    def new_handle(self, old: int | None) -> int | None:
        """Return the new index of an old handle, None while it is not written yet."""
        if old is None:
            return None
        found = int(self.new_of[old])
        return found if found >= 0 else None

    def find_text(self, text: str) -> int | None:
        """Return the handle of a text of the old content that is written already."""
        return self.new_handle(self._old_texts.get(text))

    def find_class(self, spec: ClassSpec) -> int | None:
        """Return the handle of a class that is written already; refuse one described otherwise."""
        desc = self._old_classes.get(spec.name)
        if desc is None:
            return None
        if not same_class(desc, spec):
            raise UnsupportedDataError(
                f"The image's data describe {spec.name} otherwise than QuPath 0.3 - 0.7 do.",
                hint="Nothing was changed; please report the QuPath version that saved them.",
            )
        return self.new_handle(desc.handle)

    def note_class(self, spec: ClassSpec, handle: int) -> None:
        """Make a later description of the class in old content a reference."""
        desc = self._old_classes.get(spec.name)
        if desc is not None:
            self.new_of[desc.handle] = handle

    def _new_class(self, spec: ClassSpec) -> None:
        """Describe a class; the texts in its old description are those in the new one then."""
        super()._new_class(spec)
        desc = self._old_classes.get(spec.name)
        if desc is None or desc.handle < self._table.first:
            return
        values = self._scan.reader.values
        for handle in range(desc.handle + 1, self._table.given_after(desc.handle)):
            known = self._texts.get(values.get(handle, ""))
            if known is not None and self.new_of[handle] < 0:
                self.new_of[handle] = int.from_bytes(known[1:], "big") - BASE_HANDLE

    # -- copying -------------------------------------------------------------------------------

    def copy(self, start: int, stop: int) -> None:
        """Append the old bytes from `start` to `stop`, where objects or their parts begin or end.

        Raises
        ------
        UnsupportedDataError
            If values left out refer to one another without end.
        """
        table = self._table
        self._copy(start, stop, table.given_before(start), table.given_before(stop))

    def _copy(self, start: int, stop: int, first: int, last: int) -> None:
        """Copy a piece in which the handles `first` up to `last` are given out."""
        table = self._table
        written = first + np.flatnonzero(self.new_of[first:last] >= 0)
        at = start
        for handle in written.tolist():
            # Already written elsewhere: refer to it, and pass over its old definition.
            begin, end = table.span(handle)
            if begin < at:
                continue
            self._fresh(at, begin, first, table.given_before(begin))
            self.ref(int(self.new_of[handle]))
            at, first = end, table.given_after(handle)
        self._fresh(at, stop, first, last)

    def _fresh(self, start: int, stop: int, first: int, last: int) -> None:
        """Copy a piece none of whose definitions has been written yet."""
        table = self._table
        low, high = rank(table.ref_at, start), rank(table.ref_at, stop)
        targets = table.target[low:high]
        lost = (self.new_of[targets] < 0) & ((targets < first) | (targets >= last))
        at = start
        for row in np.flatnonzero(lost).tolist():
            target = int(targets[row])
            if self.new_of[target] >= 0:
                continue  # written out for an earlier reference of this piece
            tag = int(table.ref_at[low + row]) - 1
            given = table.given_before(tag)
            self._plain(at, tag, first, given)
            self._inline(target)
            at, first = tag + 5, given
        self._plain(at, stop, first, last)

    def _plain(self, start: int, stop: int, first: int, last: int) -> None:
        """Copy bytes whose references all lead to something written."""
        table = self._table
        self.new_of[first:last] = np.arange(self.next, self.next + last - first)
        self.next += last - first
        low, high = rank(table.ref_at, start), rank(table.ref_at, stop)
        base = len(self.out)
        self.out += self._data[start:stop]
        if low == high:
            return
        fresh = self.new_of[table.target[low:high]]
        changed = np.flatnonzero(fresh != table.target[low:high])
        if len(changed):
            places = table.ref_at[low:high][changed].astype(np.int64) + (base - start)
            raw = (fresh[changed] + BASE_HANDLE).astype(">i4").view(np.uint8).reshape(-1, 4)
            view = np.frombuffer(self.out, np.uint8)
            for i in range(4):
                view[places + i] = raw[:, i]
            del view  # or the buffer could not grow

    def _inline(self, handle: int) -> None:
        """Write out, here, a value whose definition was left out."""
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            raise UnsupportedDataError(
                "Objects to change hold values that other content shares, nested too deep.",
                hint="Nothing was changed.",
            )
        table = self._table
        start, stop = table.span(handle)
        self._copy(start, stop, table.given_before(start), table.given_after(handle))
        self._nesting -= 1


def same_class(desc: ClassDesc, spec: ClassSpec | None) -> bool:
    """Tell whether a stream describes a class as we would."""
    level: Any = desc
    while level is not None and spec is not None:
        if (level.name, level.suid, level.flags, level.fields) != (
            spec.name,
            spec.suid,
            spec.flags,
            spec.fields,
        ):
            return False
        level, spec = level.parent, spec.parent
    return level is None and spec is None
