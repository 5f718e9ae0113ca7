"""What may go wrong around a recording: the disk fills, the computer sleeps."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Final, Literal

WARN_BYTES: Final = 1 << 30
"""Below this the status says so: an hour at 1200 Hz and 60 views a second takes half of it."""
END_BYTES: Final = 64 << 20
"""Below this a recording ends by itself, while there is room to close it."""
SLEPT_US: Final = 2_000_000
"""So far the clocks must part, or so long nobody must have run, before it counts as sleep."""

DiskState = Literal["enough", "low", "full"]


def disk_state(free_bytes: int) -> DiskState:
    """Judge the room that is left.

    Examples
    --------
    >>> [disk_state(n << 20) for n in (2000, 500, 10)]
    ['enough', 'low', 'full']
    """
    if free_bytes < END_BYTES:
        return "full"
    return "low" if free_bytes < WARN_BYTES else "enough"


@dataclass(frozen=True)
class Slept:
    """The computer stood still.

    Parameters
    ----------
    start_us, end_us : int
        On the monotonic clock: the last moment before and the first after.
    seconds : float
        How long by the other clock; the monotonic one may have slept, too.
    """

    start_us: int
    end_us: int
    seconds: float


class SleepWatch:
    """Notice that the computer slept: clocks that part, or a tick that comes much too late.

    Notes
    -----
    On Linux the monotonic clock stands still in sleep and CLOCK_BOOTTIME goes on; on Windows the
    monotonic clock goes on. A wall clock that a person sets looks like sleep, which costs a note.
    """

    def __init__(self) -> None:
        self._mono_us: int | None = None
        self._other_us = 0

    def tick(self, mono_us: int, other_us: int) -> Slept | None:
        """Tell whether the computer slept since the last tick; ticks come about twice a second.

        Parameters
        ----------
        mono_us, other_us : int
            The host clock, and one that goes on in sleep (:func:`waking_us`).
        """
        before_us, self._mono_us = self._mono_us, mono_us
        other_before_us, self._other_us = self._other_us, other_us
        if before_us is None:
            return None
        passed, other = mono_us - before_us, other_us - other_before_us
        if other - passed < SLEPT_US and passed < 5 * SLEPT_US:
            return None
        return Slept(before_us, mono_us, max(passed, other) / 1e6)


def waking_us() -> int:
    """Return a clock that goes on while the computer sleeps, microseconds."""
    if sys.platform == "linux":  # the only one whose steady clock has a sister that never rests
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return time.time_ns() // 1000
