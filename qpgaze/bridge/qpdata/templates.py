"""Recognise objects that are laid out like one seen before, without reading them piece by piece.

Most objects of a file share a few layouts: the same tags, classes and names, only numbers, ids and
corners differ. Once a layout was read twice, it becomes a chain of byte patterns with gaps for
what may differ; a match proves that an object has just this layout, so that all its values,
handles and references lie where they lay in the one that was read. Values are then taken out for
all objects of a layout at once.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from qpgaze.bridge.qpdata import content
from qpgaze.bridge.qpdata.javastream import JavaReader
from qpgaze.bridge.qpdata.javatypes import BASE_HANDLE, damaged
from qpgaze.bridge.qpdata.records import Raw

IntArray = npt.NDArray[np.int64]

_MAX_TEMPLATES: Final = 48
_MOST_FLOATS: Final = 1 << 20
_MAX_TRIES: Final = 3000
"""Objects looked at for a common layout; a file where none is found costs no more than these."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise content.unknown("something else where a text belongs")
    return value


def _lock(value: Any) -> bool:
    if value is None:
        raise content.unknown("nothing as an object's lock")
    return bool(content.boxed(value, "java.lang.Boolean"))


_REFERENCES: Final[dict[str, Callable[[Any], Any]]] = {
    "class": content.path_class,
    "locked": _lock,
    "name ref": _text,
    "metadata ref": _text,
}
"""Roles of references, and what becomes of what they lead to."""


class Gap(NamedTuple):
    """Bytes that may differ: `size` of them at offset `at`.

    `unit` is 0 for a fixed size. Else the bytes are a length (of 2 bytes before a text, 4 before
    an array) and that many units follow it; `follow` says how many bytes those are here.
    """

    at: int
    size: int
    role: str
    key: str = ""
    unit: int = 0
    follow: int = 0


class Template:
    """One layout.

    Attributes
    ----------
    number : int
        Its place among the templates.
    given : int
        How many handles an object of this layout takes.
    cuts : array of int64
        For each object found, the offsets at which its further segments begin.
    literals : list of list of (int, bytes)
        For each segment, the bytes that are the same in all, and how far in they lie.
    opens : list of (int, int)
        For each segment, size and unit of the open gap that ends it; zeros for the last.
    sample : Raw
        The object that it was learnt from; what no gap covers is the same in all.
    """

    def __init__(
        self,
        number: int,
        data: bytes,
        span: tuple[int, int],
        gaps: Sequence[Gap],
        sample: Raw,
    ) -> None:
        self.number = number
        self.sample = sample
        self.gaps = tuple(gaps)
        self.cuts = array("q")
        self.begins = [span[0]]
        self.given = 0
        self.refs: list[tuple[int, int]] = []
        self.defs: list[tuple[tuple[int, int], ...]] = []
        self.count_at = (0, 0)
        self.sizes: list[int] = []
        self.literals: list[list[tuple[int, bytes]]] = [[]]
        self.opens: list[tuple[int, int]] = []
        pieces: list[bytes] = []
        self.steps: list[tuple[Any, int, int]] = []
        at = span[0]
        for gap in gaps:
            pieces += [self._literal(at, data[at : gap.at]), b".{%d}" % gap.size]
            at = gap.at + gap.size
            if gap.unit:
                self._segment(pieces, gap.size, gap.unit, at)
                pieces = []
                at += gap.follow
                self.begins.append(at)
                self.literals.append([])
        pieces.append(self._literal(at, data[at : span[1]]))
        self._segment(pieces, 0, 0, span[1])

    def _literal(self, at: int, found: bytes) -> bytes:
        if found:
            self.literals[-1].append((at - self.begins[-1], found))
        return re.escape(found)

    def _segment(self, pieces: list[bytes], size: int, unit: int, stop: int) -> None:
        pattern = re.compile(b"".join(pieces), re.DOTALL)
        self.steps.append((pattern.match, size, unit))
        self.opens.append((size, unit))
        self.sizes.append(stop - self.begins[-1])

    def place(self, at: int) -> tuple[int, int]:
        """Return the segment of an offset in the sample, and how far in it is."""
        segment = max(i for i, begin in enumerate(self.begins) if begin <= at)
        return segment, at - self.begins[segment]

    def match(self, data: bytes, pos: int) -> int:
        """Return where the object at `pos` ends if it has this layout, else -1."""
        steps = self.steps
        if len(steps) == 1:
            found = steps[0][0](data, pos)
            return -1 if found is None else found.end()
        cuts = []
        for match, size, unit in steps:
            found = match(data, pos)
            if found is None:
                return -1
            pos = found.end()
            if unit:
                pos += int.from_bytes(data[pos - size : pos], "big") * unit
                cuts.append(pos)
        self.cuts.extend(cuts)
        return pos


class Templates:
    """The layouts of one file."""

    def __init__(self) -> None:
        self.all: list[Template] = []
        self.tries = 0
        self._seen: dict[tuple[Any, ...], int] = {}
        self._follow: dict[int, Template] = {}
        self.last = -1

    def find(self, data: bytes, pos: int) -> tuple[Template, int] | None:
        """Return the template that matches at an offset, and where the object ends."""
        guess = self._follow.get(self.last)
        if guess is not None:
            end = guess.match(data, pos)
            if end >= 0:
                self.last = guess.number
                return guess, end
        for template in self.all:
            if template is not guess:
                end = template.match(data, pos)
                if end >= 0:
                    self._follow[self.last] = template
                    self.last = template.number
                    return template, end
        return None

    @property
    def learning(self) -> bool:
        """Whether further layouts are wanted."""
        return len(self.all) < _MAX_TEMPLATES and self.tries < _MAX_TRIES

    def learn(
        self, data: bytes, span: tuple[int, int], gaps: Sequence[Gap], sample: Raw
    ) -> Template | None:
        """Take note of a layout; return its template when it is the second of its kind."""
        self.tries += 1
        gaps = sorted(gaps)
        fixed: list[Any] = []
        at = span[0]
        for gap in gaps:
            fixed += [data[at : gap.at], gap.size, gap.unit]
            at = gap.at + gap.size + gap.follow
        key = (*fixed, data[at : span[1]])
        count = self._seen[key] = self._seen.get(key, 0) + 1
        if count != 2:
            return None
        template = Template(len(self.all), data, span, gaps, sample)
        self.all.append(template)
        return template


class Rows:
    """The objects that one template found, as columns.

    Parameters
    ----------
    template : Template
    data : bytes
    numbers : (n,) int64
        Numbers of the objects in the file.
    starts, handles : (n,) int64
        Where each begins, and its first handle.
    """

    def __init__(
        self,
        template: Template,
        data: bytes,
        numbers: IntArray,
        starts: IntArray,
        handles: IntArray,
    ) -> None:
        self.template = template
        self.data = data
        self.numbers = numbers
        self.handles = handles
        cuts = np.array(template.cuts, dtype=np.int64).reshape(len(starts), -1)
        self.segments = np.column_stack([starts, cuts])
        self.shared: dict[int, Any] = {}
        self._raw = np.frombuffer(data, np.uint8)

    def at(self, place: tuple[int, int]) -> IntArray:
        """Return the offsets that a place of the layout has in each object."""
        return self.segments[:, place[0]] + place[1]

    @property
    def ends(self) -> IntArray:
        """Where each object ends."""
        return self.at((len(self.template.sizes) - 1, self.template.sizes[-1]))

    def raw(self, gap: Gap) -> npt.NDArray[np.uint8]:
        """Return the bytes of a fixed gap, (n, size)."""
        windows = np.lib.stride_tricks.sliding_window_view(self._raw, gap.size)
        return np.ascontiguousarray(windows[self.at(self.template.place(gap.at))])

    def numbers_of(self, gap: Gap, form: Any) -> Any:
        """Return the numbers of a fixed gap, (n, k), in a numpy format."""
        return self.raw(gap).view(form)

    def bounds(self, gap: Gap) -> tuple[IntArray, IntArray]:
        """Return where the content after an open gap begins and ends in each object."""
        segment, inside = self.template.place(gap.at)
        return self.segments[:, segment] + inside + gap.size, self.segments[:, segment + 1]

    def spans(self, gap: Gap) -> tuple[list[int], list[int]]:
        """Return the same as lists."""
        begin, end = self.bounds(gap)
        return begin.tolist(), end.tolist()

    def floats(self, gap: Gap) -> npt.NDArray[np.float32]:
        """Return the numbers after an open gap, of all objects in a row."""
        begin, end = self.bounds(gap)
        counts = (end - begin) // 4
        stops = np.cumsum(counts)
        made = np.empty(int(stops[-1]) if len(stops) else 0, dtype=np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._raw, 4)
        row = 0
        while row < len(counts):
            # A million corners at once: their offsets take more than they do.
            done = int(stops[row] - counts[row])
            last = max(int(np.searchsorted(stops, done + _MOST_FLOATS)), row + 1)
            many = counts[row:last]
            first = begin[row:last] - 4 * (stops[row:last] - many - done)
            at = np.repeat(first, many) + 4 * np.arange(int(many.sum()))
            made[done : done + len(at)] = np.ascontiguousarray(windows[at]).view(">f4")[:, 0]
            row = last
        return made

    def take(self, chosen: npt.NDArray[np.bool_] | slice) -> Rows:
        """Return some of the objects."""
        some = object.__new__(Rows)
        some.template, some.data, some._raw = self.template, self.data, self._raw
        some.shared = self.shared
        some.numbers, some.handles = self.numbers[chosen], self.handles[chosen]
        some.segments = self.segments[chosen]
        return some

    def check(self, reader: JavaReader) -> None:
        """Look at what the patterns left open: references and lengths.

        Raises
        ------
        ProjectError
            If a reference leads to nothing, or to something of another kind than it should.
        """
        for gap in self.template.gaps:
            if gap.role in _REFERENCES:
                targets = self.numbers_of(gap, ">i4")[:, 0].astype(np.int64) - BASE_HANDLE
                if (targets >= self.handles).any():
                    raise damaged(0, "a reference to something that does not come before it")
                for handle in np.unique(targets).tolist():
                    self.shared[handle] = _REFERENCES[gap.role](reader.resolve(handle))
            elif gap.key == "y":
                before = self.template.gaps[self.template.gaps.index(gap) - 1]
                xs, ys = (np.subtract(*self.bounds(g)) for g in (before, gap))
                if not np.array_equal(xs, ys):
                    raise content.unknown("a region whose x and y differ in number")

    def shared_values(self, gap: Gap, of: Callable[[Any], Any] | None = None) -> list[Any]:
        """Return what the references of a gap lead to, or something of it, taken once."""
        targets = (self.numbers_of(gap, ">i4")[:, 0].astype(np.int64) - BASE_HANDLE).tolist()
        values = self.shared
        if of is not None:
            values = {handle: of(self.shared[handle]) for handle in set(targets)}
        return [values[handle] for handle in targets]

    def counts_of(self, gap: Gap) -> list[tuple[Any, int, int]]:
        """Return what the references of a gap lead to: each, its first object, how many have it."""
        handles, rows, counts = np.unique(
            self.numbers_of(gap, ">i4")[:, 0], return_index=True, return_counts=True
        )
        return [
            (self.shared[handle - BASE_HANDLE], int(self.numbers[row]), count)
            for handle, row, count in zip(
                handles.tolist(), rows.tolist(), counts.tolist(), strict=True
            )
        ]
