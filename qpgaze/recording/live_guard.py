"""What a source may get wrong about its samples, put right or refused before it is written."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpgaze.model import Event
from qpgaze.samples import MISSING_STAMP

HOLE_US: Final = 250_000
"""Absent rows over so long are a gap: longer than a blink, which comes as invalid rows anyway."""
AHEAD_US: Final = 1_000_000
"""A sample cannot have been taken after it came; this much is left to the clocks."""
TURNED_BACK_US: Final = 1_000_000
"""A clock that runs evenly for so long after it was set back is believed again, shifted."""

Records = npt.NDArray[np.void]


class GazeGuard:
    """Hold samples to what a session promises: stamps that never run back, flags that are true.

    Notes
    -----
    *Backward* stamps (and missing ones, and ones of the future) are refused: the sample is not
    written, counted, and the stretch is a ``gap``. They cannot be held back to the last good
    stamp, for then nobody could tell them from samples of that moment. A clock that was set back
    and goes on evenly is believed again after a second, shifted to where it left off, and a note
    says by how much. *Repeated* stamps are kept and counted. *NaN* or infinite gaze that claims to
    be valid loses its flag and is counted: readers trust the flag.
    """

    def __init__(self) -> None:
        self._last_us: int | None = None
        self._shift_us = 0
        self._refused_now = 0
        self._turned_us: int | None = None
        self._turned_last_us = 0
        self.counts = {"repeated": 0, "backward": 0, "unstamped": 0, "ahead": 0, "not_finite": 0}
        """How many samples each befell."""

    @property
    def last_us(self) -> int | None:
        """Session clock of the last sample that was let through."""
        return self._last_us

    def take(self, records: Records, now_us: int | None = None) -> tuple[Records, list[Event]]:
        """Return the samples that can be written, and gaps and notes about the others.

        Parameters
        ----------
        records : (n,) structured array
        now_us : int, optional
            Session clock at their arrival, where the source runs on this computer's time.
        """
        if not len(records):
            return records, []
        events: list[Event] = []
        t_us = np.asarray(records["t_us"])
        if self._shift_us:
            records = records.copy()
            records["t_us"] = t_us = np.where(
                t_us == MISSING_STAMP, MISSING_STAMP, t_us + self._shift_us
            )
        if not self._all_new(t_us, now_us):
            good = self._good(t_us, now_us)
            if not good.all():
                events += self._refuse(t_us, good, now_us)
                records, t_us = records[good], t_us[good]
        if len(records):
            events += self._follow(t_us)
            records = self._true_flags(records)
        return records, events

    def finish(self, end_us: int) -> list[Event]:
        """Return what is still to be said at the end."""
        events = []
        if self._refused_now:
            events.append(self._refusal(end_us))
        said = {name: n for name, n in self.counts.items() if n}
        if said:
            words = ", ".join(f"{n} {_WORDS[name]}" for name, n in said.items())
            events.append(Event(end_us, "note", {"text": f"The source sent {words}.", **said}))
        return events

    def _all_new(self, t_us: Any, now_us: int | None) -> bool:
        """Tell whether every stamp is later than the one before, and none of the future."""
        last_us = MISSING_STAMP if self._last_us is None else self._last_us
        if t_us[0] <= last_us or (now_us is not None and t_us[-1] > now_us + AHEAD_US):
            return False
        return bool((t_us[1:] > t_us[:-1]).all())

    def _good(self, t_us: Any, now_us: int | None) -> npt.NDArray[np.bool_]:
        stamped = t_us != MISSING_STAMP
        ahead = stamped & (t_us > now_us + AHEAD_US) if now_us is not None else ~stamped & False
        candidate = np.where(stamped & ~ahead, t_us, MISSING_STAMP)
        first = MISSING_STAMP if self._last_us is None else self._last_us
        before = np.maximum.accumulate(np.concatenate([[first], candidate]))[:-1]
        backward = stamped & ~ahead & (t_us < before)
        good = stamped & ~ahead & ~backward
        self.counts["unstamped"] += int(np.count_nonzero(~stamped))
        self.counts["ahead"] += int(np.count_nonzero(ahead))
        self.counts["backward"] += int(np.count_nonzero(backward))
        repeated = good & (t_us == before)
        self.counts["repeated"] += int(np.count_nonzero(repeated))
        return np.asarray(good, dtype=np.bool_)

    def _refuse(self, t_us: Any, good: Any, now_us: int | None) -> list[Event]:
        self._refused_now += int(np.count_nonzero(~good))
        back = t_us[~good & (t_us != MISSING_STAMP)]
        if good.any() or not len(back) or self._last_us is None:
            self._turned_us = None
            return []
        if self._turned_us is None or back[0] < self._turned_last_us:
            self._turned_us = int(back[0])
        self._turned_last_us = int(back[-1])
        if self._turned_last_us - self._turned_us < TURNED_BACK_US:
            return []
        target = self._last_us if now_us is None else max(now_us, self._last_us)
        shift = target - self._turned_last_us
        self._shift_us += shift
        self._turned_us = None
        text = (
            f"The source's clock was set by {-shift / 1e6:+.3f} s; its samples are written "
            f"{shift / 1e6:+.3f} s later from here on."
        )
        return [Event(target, "note", {"text": text, "shift_us": shift})]

    def _follow(self, t_us: Any) -> list[Event]:
        events = []
        if self._refused_now:
            events.append(self._refusal(int(t_us[0])))
        elif self._last_us is not None and t_us[0] - self._last_us > HOLE_US:
            events.append(gap(self._last_us, int(t_us[0]), "gaze", "no samples came"))
        if t_us[-1] - t_us[0] > HOLE_US:
            for i in np.flatnonzero(np.diff(t_us) > HOLE_US):
                events.append(gap(int(t_us[i]), int(t_us[i + 1]), "gaze", "no samples came"))
        self._last_us = int(t_us[-1])
        return events

    def _refusal(self, end_us: int) -> Event:
        start_us = end_us if self._last_us is None else min(self._last_us, end_us)
        refused, self._refused_now = self._refused_now, 0
        return gap(start_us, end_us, "gaze", "stamps that cannot be", samples=refused)

    def _true_flags(self, records: Records) -> Records:
        # A sum is finite where all its parts are: mostly one question answers all.
        if np.isfinite(sum(records[name] for name in _MEASURES)).all():
            return records
        copied = False
        for eye in ("left", "right"):
            for flag, columns in (
                (f"{eye}_gaze_valid", (f"{eye}_x_adcs", f"{eye}_y_adcs")),
                (f"{eye}_origin_valid", tuple(f"{eye}_origin_{axis}_mm" for axis in "xyz")),
                (f"{eye}_pupil_valid", (f"{eye}_pupil_mm",)),
            ):
                total = records[columns[0]]
                for name in columns[1:]:
                    total = total + records[name]
                wrong = (records[flag] != 0) & ~np.isfinite(total)
                if not wrong.any():
                    continue
                if not copied:
                    records, copied = records.copy(), True
                records[flag][wrong] = 0
                if flag.endswith("gaze_valid"):
                    self.counts["not_finite"] += int(np.count_nonzero(wrong))
        return records


_MEASURES = tuple(
    f"{eye}_{what}"
    for eye in ("left", "right")
    for what in ("x_adcs", "y_adcs", "origin_x_mm", "origin_y_mm", "origin_z_mm", "pupil_mm")
)
_WORDS = {
    "repeated": "repeated stamps (kept)",
    "backward": "stamps that ran backwards (refused)",
    "unstamped": "samples without a stamp (refused)",
    "ahead": "stamps of the future (refused)",
    "not_finite": "values that are no numbers as valid (flag taken off)",
}


def gap(start_us: int, end_us: int, source: str, reason: str, **more: Any) -> Event:
    """Return the event of a stretch in which something did not come.

    Parameters
    ----------
    start_us, end_us : int
        Session clock.
    source : str
        What did not come: ``gaze``, ``viewer``; ``computer`` where all stood still.
    reason : str
        For a person.
    **more
        Further JSON values.
    """
    data = {"start_us": start_us, "end_us": max(start_us, end_us), "source": source}
    return Event(max(start_us, end_us), "gap", {**data, "reason": reason, **more})
