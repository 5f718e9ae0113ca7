"""Relate clocks by ping-pong: offset, drift, and how surely both are known.

Notes
-----
A question leaves at ``sent``, comes at ``there``, its answer leaves at ``left`` and comes back at
``back``. Whatever the two ways took, the other clock's middle ``(there + left) / 2`` lies within
half of the time on the way of this clock's middle ``(sent + back) / 2`` (Cristian, 1989). The
smallest round trip of a burst therefore says most. A straight line through the comparisons of the
last minutes gives offset and drift; its uncertainty follows from the same bounds, so that it is a
limit and no standard deviation. Pure: no clock is read here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from qpgaze.errors import UsageError
from qpgaze.frames import Clock, ClockRelation, HostClock, SessionClock
from qpgaze.samples import MISSING_STAMP
from qpgaze.wire import RoundTrip

C = TypeVar("C", bound=Clock)

INTERVAL_US: Final = 10_000_000
"""Clocks are compared so often; a relation's uncertainty holds for as long."""
SETTLING_US: Final = (250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, INTERVAL_US)
"""Pauses after the first comparisons, where it costs nothing to ask: two clocks may part by 200
us in a second, until two comparisons that lie apart say by how much they do."""
LATE_US: Final = 500_000
"""A comparison may be so late, on a busy computer; an uncertainty holds for this long more."""
BURST: Final = 8
"""Questions of one comparison: on a busy computer one of them usually goes through at once."""
WINDOW: Final = 31
"""Comparisons that a line is laid through: five minutes. Crystals wander over longer times."""
MAX_DRIFT_PPM: Final = 200.0
"""Crystals are good to 20 - 100 ppm; two of them differ by less than this."""


@dataclass(frozen=True)
class Comparison:
    """One clock's reading held against another's.

    Parameters
    ----------
    source_us, target_us : int
        What both showed at the same moment.
    half_trip_us : float
        By how much that may be wrong, either way.
    """

    source_us: int
    target_us: int
    half_trip_us: float


def compare(trips: Sequence[RoundTrip]) -> Comparison:
    """Take the best of a burst: the other clock is the source, ours the target.

    Parameters
    ----------
    trips : sequence of RoundTrip
        At least one.

    Raises
    ------
    UsageError
        If there is none, or an answer came before its question.

    Examples
    --------
    >>> compare([RoundTrip(0, 1040, 1060, 300), RoundTrip(1000, 2050, 2070, 1120)])
    Comparison(source_us=2060, target_us=1060, half_trip_us=51.0)
    """
    way = {trip: (trip.back_us - trip.sent_us) - (trip.left_us - trip.there_us) for trip in trips}
    # Two clocks of whole microseconds may seem to be one faster than light.
    possible = [trip for trip in trips if way[trip] >= -2 and trip.left_us >= trip.there_us]
    if not possible:
        raise UsageError("Expected round trips whose answers come after their questions.")
    best = min(possible, key=lambda trip: way[trip])
    return Comparison(
        (best.there_us + best.left_us) // 2,
        (best.sent_us + best.back_us) // 2,
        max(way[best], 0) / 2 + 1.0,
    )


def compare_one_way(
    source_us: npt.NDArray[np.int64],
    arrived_us: npt.NDArray[np.int64],
    *,
    least_us: float = 0.0,
    most_us: float,
) -> Comparison:
    """Compare clocks where the other end answers no questions: by its fastest line.

    Parameters
    ----------
    source_us : (n,) int64
        Stamps of lines on the other clock; a missing one does not count.
    arrived_us : (n,) int64
        When each came, on this one.
    least_us, most_us : float
        How long the fastest line of them was on its way, at least and at most.

    Raises
    ------
    UsageError
        If there is no stamp.
    """
    known = source_us != MISSING_STAMP
    if not known.any():
        raise UsageError("Expected stamps of the other clock.")
    source_us, arrived_us = source_us[known], arrived_us[known]
    best = int(np.argmin(arrived_us - source_us))
    way_us = (least_us + most_us) / 2
    half = (most_us - least_us) / 2 + 1.0
    return Comparison(int(source_us[best]), round(int(arrived_us[best]) - way_us), half)


class ClockTracker(Generic[C]):
    """Follow another clock through a session.

    Parameters
    ----------
    clock : type[Clock]
        The other one.
    origin_us : int
        Host clock when the session clock was 0.
    pauses_us : sequence of int
        After each comparison until the next; the last for ever.
    """

    def __init__(
        self, clock: type[C], origin_us: int, pauses_us: Sequence[int] = (INTERVAL_US,)
    ) -> None:
        self.clock, self.origin_us, self._pauses_us = clock, origin_us, tuple(pauses_us)
        self._seen: deque[Comparison] = deque(maxlen=WINDOW)
        self._relation: ClockRelation[C, HostClock] | None = None
        self.steps = 0
        """How often the other clock jumped (the computer slept, the device was restarted)."""

    @property
    def relation(self) -> ClockRelation[C, HostClock] | None:
        """To the host clock, by all that is known now; None before the first comparison."""
        return self._relation

    @property
    def pause_us(self) -> int:
        """How long until the clocks are to be compared again."""
        return self._pauses_us[min(max(len(self._seen), 1), len(self._pauses_us)) - 1]

    def add(self, comparison: Comparison) -> ClockRelation[C, SessionClock]:
        """Take a comparison and return the relation to the session clock that holds from now on.

        Its uncertainty is a limit until the next comparison, should that be a little late, too.
        """
        if self._seen and _jumped(self._seen[-1], self._relation, comparison):
            self._seen.clear()
            self.steps += 1
        self._seen.append(comparison)
        holds_us = self.pause_us + LATE_US
        host = self._relation = fit(self.clock, tuple(self._seen), holds_us)
        return ClockRelation(
            self.clock,
            SessionClock,
            offset_us=host.offset_us - self.origin_us,
            at_us=host.at_us,
            drift_ppm=host.drift_ppm,
            uncertainty_us=host.uncertainty_us,
        )

    def to_session(self, stamps_us: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Carry stamps of the other clock to the session clock; a missing one stays missing.

        Raises
        ------
        UsageError
            Before the first comparison.
        """
        host = self.to_host(stamps_us)
        return np.where(host == MISSING_STAMP, MISSING_STAMP, host - self.origin_us)

    def one_to_session(self, stamp_us: int) -> int:
        """Carry one stamp of the other clock to the session clock, as :meth:`to_session` does.

        Raises
        ------
        UsageError
            Before the first comparison.
        """
        r = self._relation
        if r is None:
            raise UsageError("The clocks were not compared yet.")
        drift = round((stamp_us - r.at_us) * (r.drift_ppm * 1e-6))
        return stamp_us + r.offset_us + drift - self.origin_us

    def to_host(self, stamps_us: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Carry stamps of the other clock to the host clock; a missing one stays missing.

        Raises
        ------
        UsageError
            Before the first comparison.
        """
        if self._relation is None:
            raise UsageError("The clocks were not compared yet.")
        stamps = np.asarray(stamps_us, dtype=np.int64)
        r = self._relation
        known = np.where(stamps == MISSING_STAMP, r.at_us, stamps)
        drift = np.rint((known - r.at_us) * (r.drift_ppm * 1e-6)).astype(np.int64)
        return np.where(stamps == MISSING_STAMP, MISSING_STAMP, known + r.offset_us + drift)


def fit(
    clock: type[C], seen: Sequence[Comparison], holds_us: int = INTERVAL_US
) -> ClockRelation[C, HostClock]:
    """Lay a line through comparisons.

    Parameters
    ----------
    clock : type[Clock]
        The source.
    seen : sequence of Comparison
        In time order; at least one.
    holds_us : int
        How long the relation is to hold.

    Returns
    -------
    ClockRelation
        From `clock` to the host clock, at the last comparison. Its uncertainty is a limit from
        then on for `holds_us`, if both clocks run evenly.
    """
    last = seen[-1]
    t = np.array([c.source_us - last.source_us for c in seen], dtype=np.float64)
    base = last.target_us - last.source_us
    offset = np.array([c.target_us - c.source_us - base for c in seen], dtype=np.float64)
    half = np.array([c.half_trip_us for c in seen], dtype=np.float64)
    level, drift = _line(t, offset, half)
    drift_error = _drift_error(t, offset, half, drift)
    # The line is this far from what was seen there, that is this far from the truth, and the two
    # grow apart by the error of the drift; whichever comparison says most.
    beside = np.abs(level + drift * t - offset) + half + drift_error * np.abs(t)
    error_us = float(beside.min()) + drift_error * holds_us
    shift = round(level)
    return ClockRelation(
        clock,
        HostClock,
        offset_us=base + shift,
        at_us=last.source_us,
        drift_ppm=drift * 1e6,
        uncertainty_us=int(np.ceil(error_us + 1.0)),
    )


def _line(t: Any, offset: Any, half: Any) -> tuple[float, float]:
    """Return level at t = 0 and slope of the line through points of unequal weight."""
    weight = 1.0 / half**2
    mean_t = float(np.average(t, weights=weight))
    mean_offset = float(np.average(offset, weights=weight))
    spread = float(np.sum(weight * (t - mean_t) ** 2))
    if spread <= 0.0 or t[-1] - t[0] <= 0.0:
        return float(offset[-1]), 0.0
    slope = float(np.sum(weight * (t - mean_t) * (offset - mean_offset))) / spread
    slope = min(max(slope, -MAX_DRIFT_PPM * 1e-6), MAX_DRIFT_PPM * 1e-6)
    return mean_offset - slope * mean_t, slope


def _drift_error(t: Any, offset: Any, half: Any, drift: float) -> float:
    """Return by how much the slope may be wrong, from the pair of comparisons that says most."""
    known = MAX_DRIFT_PPM * 1e-6 + abs(drift)
    for i in range(len(t)):
        apart = t[i + 1 :] - t[i]
        far = apart > 0
        if not far.any():
            continue
        slope = (offset[i + 1 :][far] - offset[i]) / apart[far]
        error = np.abs(slope - drift) + (half[i + 1 :][far] + half[i]) / apart[far]
        known = min(known, float(error.min()))
    return float(known)


def _jumped(last: Comparison, relation: ClockRelation[Any, Any] | None, new: Comparison) -> bool:
    """Tell whether two clocks that run evenly cannot show what was seen."""
    if relation is None:
        return False
    apart = new.source_us - last.source_us
    moved = abs((new.target_us - new.source_us) - (last.target_us - last.source_us))
    allowed = last.half_trip_us + new.half_trip_us + 2 * MAX_DRIFT_PPM * 1e-6 * abs(apart)
    return apart < 0 or moved > allowed


class NeverBack:
    """Keep times from running backwards, and count what would have.

    A new relation between clocks may set times back by microseconds, a device may repeat a stamp
    or send one late: the session clock of a file never does. The raw stamps stay in its columns.
    """

    def __init__(self) -> None:
        self._last_us: int | None = None
        self.backward = 0
        """Times that were held back so far."""
        self.repeated = 0
        """Times equal to the one before."""

    def __call__(self, t_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return times of which none lies before one that came earlier.

        Parameters
        ----------
        t_us : (n,) int64
        """
        if not len(t_us):
            return t_us
        before = t_us if self._last_us is None else np.concatenate([[self._last_us], t_us])
        forward = np.maximum.accumulate(before)
        steps = before[1:] - forward[:-1]
        self.backward += int(np.count_nonzero(steps < 0))
        self.repeated += int(np.count_nonzero(steps == 0))
        self._last_us = int(forward[-1])
        return forward[-len(t_us) :]
