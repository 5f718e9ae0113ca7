"""Which monitors there are, and where they lie in physical and in logical pixels.

*Physical* pixels are those of the panel. *Logical* pixels are what QuPath (JavaFX) counts in:
physical divided by the monitor's scale (150 % is 1.5). A session stores logical ones.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from qpgaze.errors import FormatError, UsageError
from qpgaze.viewing import Display, Rect, ViewerState
from qpgaze.viewing_json import numbers, rect_from_json, rect_to_json

PLAUSIBLE_MM_PER_PX = (0.04, 0.7)
"""From a small phone-like panel to a television; outside, the monitor's word is no size."""

SAME_PX = 2.0
"""Bounds that differ less are the same monitor: scales leave rounding behind."""


@dataclass(frozen=True)
class Monitor:
    """One monitor of the desktop.

    Parameters
    ----------
    name : str
        As the system calls it.
    bounds_physical_px : Rect
    scale : float
        Physical pixels per logical pixel.
    width_mm, height_mm : float
        As the monitor says; 0 where it does not.
    primary : bool
    bounds_screen_px : Rect or None
        Logical pixels; filled in by :func:`place_logically`.
    """

    name: str
    bounds_physical_px: Rect
    scale: float = 1.0
    width_mm: float = 0.0
    height_mm: float = 0.0
    primary: bool = False
    bounds_screen_px: Rect | None = None

    @property
    def logical(self) -> Rect:
        """The bounds in logical pixels."""
        if self.bounds_screen_px is None:
            raise UsageError(f"The monitor {self.name!r} was not placed on the desktop yet.")
        return self.bounds_screen_px

    @property
    def size_known(self) -> bool:
        """Whether its word about its size can be right."""
        low, high = PLAUSIBLE_MM_PER_PX
        box = self.bounds_physical_px
        sizes = ((self.width_mm, box.width), (self.height_mm, box.height))
        return all(px > 0 and low <= mm / px <= high for mm, px in sizes)

    def describe(self, number: int) -> str:
        """Say it in one line, both kinds of pixels told apart.

        Examples
        --------
        >>> screen = Monitor("DP-1", Rect(0, 0, 3840, 2160), 1.5, 600, 340, True)
        >>> place_logically([screen])[0].describe(1)
        '1: DP-1, 3840 x 2160 physical = 2560 x 1440 logical px at 0, 0 (150 %), 600 x 340 mm'
        """
        p, q = self.bounds_physical_px, self.logical
        size = f", {self.width_mm:g} x {self.height_mm:g} mm" if self.size_known else ""
        return (
            f"{number}: {self.name}, {p.width:g} x {p.height:g} physical = {q.width:g} x "
            f"{q.height:g} logical px at {q.x:g}, {q.y:g} ({self.scale:.0%}){size}"
        ).replace("%)", " %)")


def place_logically(monitors: Sequence[Monitor]) -> tuple[Monitor, ...]:
    """Give every monitor its bounds in logical pixels, as JavaFX places them.

    Parameters
    ----------
    monitors : sequence of Monitor

    Returns
    -------
    tuple of Monitor
        In the same order.

    Notes
    -----
    With one scale for all, logical is physical divided by it. With several, dividing would make
    neighbours overlap or part; JavaFX on Windows keeps the primary monitor's corner and lays each
    neighbour against the edge that they share, the middle of the shared stretch on itself.
    A monitor that touches none keeps its physical corner.

    Examples
    --------
    >>> left = Monitor("a", Rect(0, 0, 3840, 2160), 2.0, primary=True)
    >>> right = Monitor("b", Rect(3840, 540, 1920, 1080), 1.0)
    >>> [m.logical for m in place_logically([left, right])]
    [Rect(x=0, y=0, width=1920, height=1080), Rect(x=1920, y=0, width=1920, height=1080)]
    """
    if len({m.scale for m in monitors}) == 1:
        return tuple(replace(m, bounds_screen_px=_divided(m)) for m in monitors)
    placed: dict[int, Rect] = {}
    order = sorted(range(len(monitors)), key=lambda i: not monitors[i].primary)
    for start in order:
        if start in placed:
            continue
        first = monitors[start]
        placed[start] = _sized(first, first.bounds_physical_px.x, first.bounds_physical_px.y)
        waiting = deque([start])
        while waiting:
            anchor = waiting.popleft()
            for other in range(len(monitors)):
                if other in placed:
                    continue
                box = _beside(monitors[anchor], placed[anchor], monitors[other])
                if box is not None:
                    placed[other] = box
                    waiting.append(other)
    return tuple(replace(m, bounds_screen_px=placed[i]) for i, m in enumerate(monitors))


def _divided(monitor: Monitor) -> Rect:
    box = monitor.bounds_physical_px
    x, y, width, height = (_whole(v / monitor.scale) for v in (box.x, box.y, box.width, box.height))
    return Rect(x, y, width, height)


def _sized(monitor: Monitor, x: float, y: float) -> Rect:
    box = monitor.bounds_physical_px
    return Rect(x, y, _whole(box.width / monitor.scale), _whole(box.height / monitor.scale))


def _whole(value: float) -> int:
    return math.floor(value + 0.5)


def _beside(anchor: Monitor, at: Rect, other: Monitor) -> Rect | None:
    """Return the logical bounds of a monitor that touches the anchor, None where it does not."""
    a, b = anchor.bounds_physical_px, other.bounds_physical_px
    size = _sized(other, 0, 0)
    shift_y = _shift((a.y, a.height, anchor.scale), (b.y, b.height, other.scale))
    shift_x = _shift((a.x, a.width, anchor.scale), (b.x, b.width, other.scale))
    if shift_y is not None and a.x + a.width == b.x:
        return Rect(at.x + at.width, at.y + shift_y, size.width, size.height)
    if shift_y is not None and b.x + b.width == a.x:
        return Rect(at.x - size.width, at.y + shift_y, size.width, size.height)
    if shift_x is not None and a.y + a.height == b.y:
        return Rect(at.x + shift_x, at.y + at.height, size.width, size.height)
    if shift_x is not None and b.y + b.height == a.y:
        return Rect(at.x + shift_x, at.y - size.height, size.width, size.height)
    return None


def _shift(a: tuple[float, float, float], b: tuple[float, float, float]) -> int | None:
    """Return how far b's origin lies from a's along their shared edge, logical px."""
    low, high = max(a[0], b[0]), min(a[0] + a[1], b[0] + b[1])
    if low >= high:
        return None
    middle = (low + high) / 2
    shift = (middle - a[0]) / a[2] - (middle - b[0]) / b[2]
    return _whole(shift)


@dataclass(frozen=True)
class ChosenMonitor:
    """The monitor that carries the tracker, as it was when it was chosen.

    Parameters
    ----------
    name : str
    number : int
        As shown on it then.
    bounds_physical_px, bounds_screen_px : Rect
    scale : float
    width_mm, height_mm : float
        Measured or the monitor's word.
    scale_by_hand : bool
        The scale is a person's word, and holds against the system's.
    """

    name: str
    number: int
    bounds_physical_px: Rect
    bounds_screen_px: Rect
    scale: float
    width_mm: float
    height_mm: float
    scale_by_hand: bool = False

    @classmethod
    def of(
        cls,
        monitor: Monitor,
        number: int,
        size_mm: tuple[float, float] | None = None,
        scale_by_hand: bool = False,
    ) -> ChosenMonitor:
        """Choose a monitor; its size where it is known or given.

        Raises
        ------
        UsageError
            If neither the monitor nor the caller says how large it is.
        """
        if size_mm is None and not monitor.size_known:
            raise UsageError(
                f"The monitor {monitor.name!r} does not say how large it is.",
                hint="Measure the picture with a ruler and give --size-mm WIDTH HEIGHT.",
            )
        width, height = size_mm or (monitor.width_mm, monitor.height_mm)
        box = monitor.bounds_physical_px
        low, high = PLAUSIBLE_MM_PER_PX
        if not (low <= width / box.width <= high and low <= height / box.height <= high):
            raise UsageError(
                f"A picture of {width:g} x {height:g} mm does not fit {box.width:g} x "
                f"{box.height:g} pixels; expected millimetres of the lit area."
            )
        return cls(
            monitor.name,
            number,
            box,
            monitor.logical,
            monitor.scale,
            float(width),
            float(height),
            scale_by_hand,
        )

    @property
    def forced_scale(self) -> float | None:
        """The scale to list monitors with: a person's word, None where the system's counts."""
        return self.scale if self.scale_by_hand else None

    def among(self, monitors: Sequence[Monitor]) -> Monitor | None:
        """Return this monitor as it is now, None where the arrangement has changed."""
        for monitor in monitors:
            same = (
                _alike(monitor.bounds_physical_px, self.bounds_physical_px)
                and _alike(monitor.logical, self.bounds_screen_px)
                and abs(monitor.scale - self.scale) < 0.01
            )
            if same and monitor.name == self.name:
                return monitor
        return None

    def display(self, base: Display | None = None) -> Display:
        """Return the display: this monitor's place, the tracker's own geometry where it has one.

        Parameters
        ----------
        base : Display, optional
            From the tracker: its corners, distance and millimetres count.
        """
        mine = Display(
            self.bounds_screen_px,
            self.width_mm,
            self.height_mm,
            monitor=f"{self.number}: {self.name}",
            scale=self.scale,
        )
        if base is None or base.corners_ucs_mm is None:
            return mine
        return replace(
            mine,
            width_mm=base.width_mm,
            height_mm=base.height_mm,
            corners_ucs_mm=base.corners_ucs_mm,
            distance_mm=base.distance_mm,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "number": self.number,
            "bounds_physical_px": rect_to_json(self.bounds_physical_px),
            "bounds_screen_px": rect_to_json(self.bounds_screen_px),
            "scale": self.scale,
            "width_mm": self.width_mm,
            "height_mm": self.height_mm,
            "scale_by_hand": self.scale_by_hand,
        }

    @classmethod
    def from_json(cls, value: Any) -> ChosenMonitor:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        FormatError
            If something is missing or of the wrong kind.
        """
        if not isinstance(value, dict):
            raise FormatError(f"Expected a monitor as a JSON object, but {value!r} came.")
        physical = rect_from_json(value.get("bounds_physical_px"))
        logical = rect_from_json(value.get("bounds_screen_px"))
        names = ("scale", "width_mm", "height_mm")
        scale, width, height = numbers([value.get(n) for n in names], 3, "a monitor's size")
        number = value.get("number")
        if physical is None or logical is None or min(scale, width, height) <= 0:
            raise FormatError("A monitor needs its bounds, scale and size above 0.")
        if type(number) is not int:
            raise FormatError(f"Expected a monitor's number, but {number!r} came.")
        by_hand = value.get("scale_by_hand", False) is True
        name = str(value.get("name", ""))
        return cls(name, number, physical, logical, scale, width, height, by_hand)


def contradiction(display: Display, state: ViewerState) -> str | None:
    """Tell whether QuPath sees the tracker's monitor elsewhere, or in another scale.

    Parameters
    ----------
    display : Display
    state : ViewerState
        Of any viewer; it names the monitor that the viewer lies on.

    Returns
    -------
    str or None
        A sentence; None where they agree, the viewer lies on another monitor, or none is named.
    """
    ours, theirs = display.bounds_screen_px, state.screen_bounds_px
    if theirs is None:
        return None
    wide = min(ours.x + ours.width, theirs.x + theirs.width) - max(ours.x, theirs.x)
    high = min(ours.y + ours.height, theirs.y + theirs.height) - max(ours.y, theirs.y)
    if wide <= SAME_PX or high <= SAME_PX:
        return None
    if _alike(ours, theirs) and abs(display.scale - state.screen_scale) < 0.01:
        return None
    return (
        f"The tracker's monitor was chosen as {ours.width:g} x {ours.height:g} logical px at "
        f"{ours.x:g}, {ours.y:g} ({display.scale:.0%}), but QuPath sees {theirs.width:g} x "
        f"{theirs.height:g} at {theirs.x:g}, {theirs.y:g} ({state.screen_scale:.0%}). Choose it "
        "again with 'qpgaze validate-gaze --monitor ask', or give --scale."
    )


def _alike(a: Rect, b: Rect) -> bool:
    pairs = ((a.x, b.x), (a.y, b.y), (a.width, b.width), (a.height, b.height))
    return all(abs(p - q) < SAME_PX for p, q in pairs)
