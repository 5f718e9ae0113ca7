"""How well gaze and viewer share one clock, followed through a recording in flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpgaze.frames import ClockRelation
from qpgaze.viewing import ViewerState

SETTLED_US: Final = 2_000_000
"""Views come later than the gaze that fell on them; after so long they have come."""

COUNTED_AT_ONCE: Final = 128
"""So many additions of times are counted together."""
_EDGES = np.geomspace(1.0, 1e8, 801)
"""Bins of 2.3 % from a microsecond to a hundred seconds."""


class Spread:
    """Quantiles of many times in little memory.

    Examples
    --------
    >>> spread = Spread()
    >>> spread.add(np.array([1000.0] * 99 + [50_000.0]))
    >>> [round(spread.quantile(q), -2) for q in (0.5, 0.99)], round(spread.quantile(1.0))
    ([1000.0, 1000.0], 50000)
    """

    def __init__(self) -> None:
        self._counts = np.zeros(len(_EDGES) + 1, dtype=np.int64)
        self._largest = 0.0
        self._waiting: list[npt.NDArray[np.float64]] = []

    def add(self, values_us: npt.ArrayLike) -> None:
        """Take times, microseconds; what is below one counts as one."""
        values = np.atleast_1d(np.asarray(values_us, dtype=np.float64))
        if not len(values):
            return
        # A few at a time cost nearly as much as many: they are counted together.
        self._waiting.append(values)
        if len(self._waiting) >= COUNTED_AT_ONCE:
            self._count()

    def _count(self) -> None:
        if not self._waiting:
            return
        values = np.concatenate(self._waiting)
        self._waiting = []
        self._largest = max(self._largest, float(values.max()))
        bins = np.searchsorted(_EDGES, values)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    def quantile(self, q: float) -> float:
        """Return a quantile within 2.3 %, microseconds; NaN of nothing."""
        self._count()
        total = int(self._counts.sum())
        if not total:
            return float("nan")
        if q >= 1.0:
            return self._largest
        place = int(np.searchsorted(np.cumsum(self._counts), q * total))
        return min(float(_EDGES[min(place, len(_EDGES) - 1)]), self._largest)

    def to_json(self) -> dict[str, float]:
        """Return median, 95th percentile and largest, microseconds."""
        names = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
        return {name: round(self.quantile(q), 1) for name, q in names}


class SyncAudit:
    """Follows latencies, intervals, clocks and changes of view through a session."""

    def __init__(self) -> None:
        self.gaze_latency, self.gaze_interval = Spread(), Spread()
        self.viewer_latency, self.viewer_interval = Spread(), Spread()
        self._last_gaze_us: int | None = None
        self._last_view_us: dict[str, int] = {}
        self._pose: dict[str, Any] = {}
        self._changes: deque[int] = deque()
        self._waiting: deque[npt.NDArray[np.int64]] = deque()
        self._uncertainty: dict[tuple[str, str], int] = {}
        self._near = self._settled = self._view_changes = self._compared = 0
        self._worst_us = 0

    @property
    def uncertainty_us(self) -> int | None:
        """How surely the clocks are related now; None where none were compared."""
        return sum(self._uncertainty.values()) if self._uncertainty else None

    def clock(self, relation: ClockRelation[Any, Any]) -> None:
        """Take a comparison of clocks."""
        pair = (relation.source.__name__, relation.target.__name__)
        self._uncertainty[pair] = relation.uncertainty_us
        self._compared += 1
        self._worst_us = max(self._worst_us, self.uncertainty_us or 0)

    def gaze(self, t_us: npt.NDArray[np.int64], arrived_us: int | None) -> None:
        """Take samples, session clock, and when they came (None: not on this computer's time)."""
        if not len(t_us):
            return
        if arrived_us is not None:
            self.gaze_latency.add(arrived_us - t_us)
        self._waiting.append(np.array(t_us))
        if t_us[-1] - self._waiting[0][0] >= 2 * SETTLED_US:
            self._settle(int(t_us[-1]) - SETTLED_US)

    def views(self, states: Sequence[ViewerState], arrived_us: int | None) -> None:
        """Take viewer states in the order they came."""
        for state in states:
            if arrived_us is not None:
                self.viewer_latency.add(arrived_us - state.t_us)
            before = self._last_view_us.get(state.viewer)
            if before is not None:
                self.viewer_interval.add(state.t_us - before)
            self._last_view_us[state.viewer] = state.t_us
            pose = (
                state.image and state.image.name,
                state.corners_image_px,
                state.bounds_screen_px,
                state.z,
                state.t,
            )
            if pose != self._pose.get(state.viewer):
                if state.viewer in self._pose:
                    self._changes.append(state.t_us)
                    self._view_changes += 1
                self._pose[state.viewer] = pose

    def _settle(self, upto_us: int) -> None:
        """Hold the samples before a moment against the changes of view around them."""
        reach = self.uncertainty_us or 0
        parts = []
        while self._waiting and self._waiting[0][-1] <= upto_us:
            parts.append(self._waiting.popleft())
        if not parts:
            return
        t_us = np.concatenate(parts)
        before = [] if self._last_gaze_us is None else [np.array([self._last_gaze_us])]
        self.gaze_interval.add(np.diff(np.concatenate([*before, t_us])))
        self._last_gaze_us = int(t_us[-1])
        while self._changes and self._changes[0] < t_us[0] - 2 * SETTLED_US:
            self._changes.popleft()
        self._settled += len(t_us)
        changes = np.sort(np.array(self._changes, dtype=np.int64))
        if len(changes):
            at = np.searchsorted(changes, t_us - reach, side="left")
            near = at < len(changes)
            near &= changes[np.minimum(at, len(changes) - 1)] <= t_us + reach
            self._near += int(np.count_nonzero(near))

    def result(self) -> dict[str, Any]:
        """Return the data of the ``audit`` event; call it once, at the end."""
        self._settle(2**62)
        latency = [s.quantile(0.5) for s in (self.viewer_latency, self.gaze_latency)]
        return {
            "gaze_latency_us": self.gaze_latency.to_json(),
            "viewer_latency_us": self.viewer_latency.to_json(),
            "viewer_after_gaze_us": round(latency[0] - latency[1], 1),
            "gaze_interval_us": self.gaze_interval.to_json(),
            "viewer_interval_us": self.viewer_interval.to_json(),
            "uncertainty_us": self.uncertainty_us,
            "worst_uncertainty_us": self._worst_us if self._compared else None,
            "comparisons": self._compared,
            "view_changes": self._view_changes,
            "samples": self._settled,
            "near_view_change": round(self._near / self._settled, 6) if self._settled else None,
        }
