"""How a recording fares, for the status line, for machines, and for QuPath."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from qpgaze.recording.watch import DiskState

WINDOW_US: Final = 5_000_000
"""Rate and share of valid samples are those of the last five seconds."""


@dataclass(frozen=True)
class Status:
    """A recording at one moment.

    Parameters
    ----------
    t_us : int
        Session clock.
    state : "recording", "paused" or "trouble"
    hz : float
        Samples a second, lately.
    valid : float
        Share of these with at least one valid eye; NaN of none.
    samples, viewer_states, events : int
        Written so far.
    viewer : "none", "waiting" or "connected"
        Whether QuPath is there; ``none`` where it is not wanted.
    images : tuple of str
        Names of the images open in it.
    sync_us : int or None
        How surely the clocks are related; None while none were compared.
    labels : int or None
        Provisional labels so far; None where they are not made.
    bytes : int
        Size of the session so far.
    free_bytes : int
        Room on its disk.
    trouble : str
        What a person should know now, empty where all is well.
    """

    t_us: int
    state: Literal["recording", "paused", "trouble"]
    hz: float
    valid: float
    samples: int
    viewer_states: int
    events: int
    viewer: str
    images: tuple[str, ...]
    sync_us: int | None
    labels: int | None
    bytes: int
    free_bytes: int
    trouble: str = ""

    @property
    def paused(self) -> bool:
        """Whether gaze is thrown away for now, as a person wished."""
        return self.state == "paused"

    def words(self) -> str:
        """Say it for the line in QuPath's viewer: rate, how well the clocks agree, labels."""
        parts = [f"{self.hz:.0f} Hz"]
        if self.sync_us is not None:
            parts.append(f"clocks within {self.sync_us / 1000:.1f} ms")
        if self.labels is not None:
            parts.append("1 label" if self.labels == 1 else f"{self.labels} labels")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "images": list(self.images), "paused": self.paused}


class Tally:
    """Counts gaze of the last seconds."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, int, int]] = deque()
        self.samples = 0

    def add(self, records: npt.NDArray[np.void]) -> None:
        """Take samples that were written."""
        if not len(records):
            return
        valid = (records["left_gaze_valid"] | records["right_gaze_valid"]) != 0
        last_us = int(records["t_us"][-1])
        self._recent.append((last_us, len(records), int(np.count_nonzero(valid))))
        self.samples += len(records)
        self._forget(last_us)

    def lately(self, now_us: int) -> tuple[float, float]:
        """Return samples a second and share of valid ones of the last five seconds."""
        self._forget(now_us)
        count = sum(n for _, n, _ in self._recent)
        valid = sum(n for _, _, n in self._recent)
        span_us = min(max(now_us, 1), WINDOW_US)
        return count / span_us * 1e6, valid / count if count else float("nan")

    def _forget(self, now_us: int) -> None:
        while self._recent and self._recent[0][0] < now_us - WINDOW_US:
            self._recent.popleft()


def trouble_of(
    *,
    gaze_lost: bool,
    silent_us: int,
    disk: DiskState,
    free_bytes: int,
    viewer: str,
    display: str = "",
) -> str:
    """Say in a few words what keeps a recording from being of use.

    Examples
    --------
    >>> trouble_of(gaze_lost=False, silent_us=9_000_000, disk="enough", free_bytes=0, viewer="")
    'no gaze for 9 s'
    """
    if disk != "enough":
        return f"only {free_bytes / 1e6:.0f} MB of disk are left"
    if gaze_lost:
        return "the tracker is lost"
    if silent_us >= 2_000_000:
        return f"no gaze for {silent_us // 1_000_000} s"
    return "no QuPath with the hook" if viewer == "waiting" else display
