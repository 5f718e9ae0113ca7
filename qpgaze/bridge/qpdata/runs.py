"""Recognise long runs of objects at once, where :mod:`templates` goes from one to the next.

Every place where an object might begin is looked at with all templates together, byte for byte;
then the run is followed from its first object, each beginning where the one before ends. A place
that only looks like a beginning (corners may hold any bytes) is never reached.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from qpgaze.bridge.qpdata import content
from qpgaze.bridge.qpdata.templates import Template

IntArray = npt.NDArray[np.int64]

WORTH: Final = 64
"""Objects to recognise one by one before a run is looked for."""
_FIRST_WINDOW: Final = 1 << 16
_LAST_WINDOW: Final = 1 << 22
"""Bytes searched at once; doubled while the run goes on, so that one that ends costs little."""


class Whereabouts:
    """Says where the element of a recognised object's handle begins.

    It is an object of its own, so that reader and scan need not know each other.
    """

    def __init__(self, starts: Any, handles: Any, which: Any) -> None:
        self.starts, self.handles, self.which = starts, handles, which

    def __call__(self, handle: int) -> tuple[int, int]:
        """Return the offset of the element, and the handles given out before it."""
        number = bisect_right(self.handles, handle) - 1
        if number < 0 or self.which[number] < 0:
            raise content.unknown("a reference into an object that was not read")
        return int(self.starts[number]), int(self.handles[number])


class Run(NamedTuple):
    """Objects found, in the stream's order.

    `starts` are their offsets, `which` the numbers of their templates, `end` is where the last
    ends, `cuts` holds for each template (by number) the offsets of further segments, (n, k).
    """

    starts: IntArray
    which: npt.NDArray[np.int16]
    end: int
    cuts: dict[int, IntArray]


class RunFinder:
    """Finds runs in one file.

    Parameters
    ----------
    data : bytes
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._raw = np.frombuffer(data, np.uint8)
        self._window = _FIRST_WINDOW

    def find(self, templates: list[Template], pos: int, most: int) -> Run:
        """Return the objects of a run that begins at an offset, as many as one window holds.

        Parameters
        ----------
        templates : list of Template
        pos : int
        most : int
            Objects wanted at most.
        """
        stop = min(pos + self._window, len(self._data))
        starts = self._beginnings(templates, pos, stop)
        ends = np.full(len(starts), -1, dtype=np.int64)
        which = np.full(len(starts), -1, dtype=np.int16)
        cuts: dict[int, IntArray] = {}
        for template in templates:
            left = np.flatnonzero(ends < 0)
            found, found_ends, found_cuts = self._match(template, starts[left])
            rows = left[found]
            ends[rows], which[rows] = found_ends, template.number
            table = cuts[template.number] = np.zeros((len(starts), found_cuts.shape[1]), np.int64)
            table[rows] = found_cuts
        chain = _chain(starts, ends, pos, most)
        end = int(ends[chain[-1]]) if len(chain) else pos
        whole = end >= stop or len(chain) == most
        self._window = min(self._window * 2, _LAST_WINDOW) if whole else _FIRST_WINDOW
        return Run(
            starts[chain],
            which[chain],
            end,
            {n: table[chain[which[chain] == n]] for n, table in cuts.items()},
        )

    def _beginnings(self, templates: list[Template], pos: int, stop: int) -> IntArray:
        """Return every offset at which an object of some template may begin."""
        heads = {template.literals[0][0][1] for template in templates}
        found = []
        for head in heads:
            # A beginning just before `stop` counts, though its first bytes end behind it.
            places = re.compile(re.escape(head)).finditer(self._data, pos, stop + len(head) - 1)
            found.append(np.fromiter((p.start() for p in places), dtype=np.int64))
        return np.unique(np.concatenate(found))

    def _match(self, template: Template, starts: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return which of some offsets begin an object of a layout, its ends and its cuts."""
        rows = np.arange(len(starts))
        at = starts
        cuts = np.zeros((len(starts), len(template.sizes) - 1), dtype=np.int64)
        for segment, (size, literals) in enumerate(
            zip(template.sizes, template.literals, strict=True)
        ):
            gap, unit = template.opens[segment]
            alike = at + size <= len(self._data)
            rows, at = rows[alike], at[alike]
            for offset, literal in literals:
                alike = self._alike(at + offset, literal)
                rows, at = rows[alike], at[alike]
            at = at + size
            if unit:
                at = at + self._lengths(at - gap, gap) * unit
                cuts[rows, segment] = at
        return rows, at, cuts[rows]

    def _alike(self, at: IntArray, literal: bytes) -> npt.NDArray[np.bool_]:
        """Tell at which offsets some bytes lie."""
        windows = np.lib.stride_tricks.sliding_window_view(self._raw, len(literal))
        wanted = np.frombuffer(literal, np.uint8)
        alike: Any = (windows[at] == wanted).all(axis=1)
        return alike  # type: ignore[no-any-return]

    def _lengths(self, at: IntArray, size: int) -> IntArray:
        """Read big-endian, unsigned lengths."""
        windows = np.lib.stride_tricks.sliding_window_view(self._raw, size)
        raw = np.ascontiguousarray(windows[at])
        return raw.view(f">u{size}")[:, 0].astype(np.int64)


def _chain(starts: IntArray, ends: IntArray, pos: int, most: int) -> IntArray:
    """Follow objects from one's end to the next one's start; return their rows."""
    follow = np.searchsorted(starts, ends)
    known = np.append(starts, -1)
    follow[(ends < 0) | (known[follow] != ends)] = -1
    row = int(np.searchsorted(starts, pos))
    if row == len(starts) or starts[row] != pos or ends[row] < 0:
        return np.zeros(0, dtype=np.int64)
    ahead, good = follow.tolist(), (ends >= 0).tolist()
    rows: list[int] = []
    while row >= 0 and good[row] and len(rows) < most:
        rows.append(row)
        row = ahead[row]
    return np.array(rows, dtype=np.int64)
