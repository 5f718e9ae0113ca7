"""The course of an eye over a screen: rests, saccades, and following what moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from qpgaze.simulate.saccades import saccade_progress

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rest:
    """The eye rests, drifting evenly; position at the middle, drift in px per microsecond."""

    start_us: int
    end_us: int
    x_screen_px: float
    y_screen_px: float
    drift_x: float
    drift_y: float

    def at(self, t_us: FloatArray) -> FloatArray:
        """Return the eye's place on the screen, (n, 2) px."""
        since = t_us - (self.start_us + self.end_us) / 2
        return np.column_stack(
            [self.x_screen_px + self.drift_x * since, self.y_screen_px + self.drift_y * since]
        )


@dataclass(frozen=True)
class Saccade:
    """The eye jumps."""

    start_us: int
    end_us: int
    from_screen_px: tuple[float, float]
    to_screen_px: tuple[float, float]

    def at(self, t_us: FloatArray) -> FloatArray:
        """Return the eye's place on the screen, (n, 2) px."""
        share = saccade_progress((t_us - self.start_us) / max(1, self.end_us - self.start_us))
        begin, end = np.array(self.from_screen_px), np.array(self.to_screen_px)
        return np.asarray(begin + share[:, None] * (end - begin), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Follow:
    """The eye follows a place of a moving picture, `lag_us` behind it."""

    start_us: int
    end_us: int
    lag_us: int
    track_t_us: FloatArray
    track_screen_px: FloatArray

    def at(self, t_us: FloatArray) -> FloatArray:
        """Return the eye's place on the screen, (n, 2) px."""
        seen = t_us - self.lag_us
        return np.column_stack(
            [np.interp(seen, self.track_t_us, self.track_screen_px[:, axis]) for axis in (0, 1)]
        )


Movement = Rest | Saccade | Follow


@dataclass
class EyePath:
    """Movements that follow one another without a gap; grows at its end."""

    movements: list[Movement] = field(default_factory=list)

    @property
    def end_us(self) -> int:
        """When the last movement ends."""
        return self.movements[-1].end_us if self.movements else 0

    def add(self, movement: Movement) -> None:
        """Append a movement that starts where the last one ended."""
        self.movements.append(movement)

    def end_screen_px(self) -> tuple[float, float]:
        """Return where the eye is at the end."""
        x, y = self.movements[-1].at(np.array([float(self.end_us)]))[0]
        return float(x), float(y)

    def at(self, t_us: IntArray) -> FloatArray:
        """Return where the eye is at rising times within the path, (n, 2) screen px."""
        xy = np.full((len(t_us), 2), np.nan)
        ends = np.array([m.end_us for m in self.movements])
        stops = np.searchsorted(t_us, ends, side="left")
        first = 0
        for movement, stop in zip(self.movements, stops, strict=True):
            if stop > first:
                xy[first:stop] = movement.at(t_us[first:stop].astype(np.float64))
            first = stop
        return xy
