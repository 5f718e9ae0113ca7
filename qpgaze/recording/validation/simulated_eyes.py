"""Eyes that look at the target, measured by a tracker of known error: for practice and tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import numpy as np
import numpy.typing as npt

import qpgaze
from qpgaze.frames import FloatArray
from qpgaze.recording.protocol import Batch
from qpgaze.recording.validation.targets import Target
from qpgaze.samples import GAZE_COLUMNS, Column, empty_records
from qpgaze.session import SessionHeader
from qpgaze.simulate import default_display
from qpgaze.simulate.tracker import EYE_DISTANCE_MM, ScreenPlane, deflect
from qpgaze.viewing import Display

SACCADE_US = 250_000
"""From a target's appearance until the eye is there: 200 ms to start, 50 ms on the way."""

BATCH_US = 20_000
"""How often samples come."""


class SimulatedEyes:
    """A source of gaze that looks where it is told, with an error that is known.

    Parameters
    ----------
    display : Display
    rate_hz : float
    offset_deg : (right, up)
        Constant error of both eyes.
    sd_deg : float
        Standard deviation of one eye's noise, both axes together; the eyes' noise is independent.
    loss : float
        Share of samples in which both eyes are lost.
    seed : int

    Notes
    -----
    Each eye sees the target from its own place, 63 mm apart, so that a measurement which took
    one place for both would be found out.
    """

    def __init__(
        self,
        display: Display | None = None,
        *,
        rate_hz: float = 120.0,
        offset_deg: tuple[float, float] = (0.35, -0.25),
        sd_deg: float = 0.15,
        loss: float = 0.01,
        seed: int = 0,
    ) -> None:
        self.display = display or default_display()
        self.rate_hz = rate_hz
        self._offset = offset_deg
        self._sd = sd_deg
        self._loss = loss
        self._rng = np.random.default_rng(seed)
        self._plane = ScreenPlane.of(self.display)
        self._from: Target = (0.5, 0.5)
        self._to: Target = (0.5, 0.5)
        self._turn_us = 0
        self._done_us = 0
        self._stop = threading.Event()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of format 1."""
        return GAZE_COLUMNS

    @property
    def duration_us(self) -> int | None:
        """Nobody knows."""
        return None

    def start(self) -> SessionHeader:
        """Begin, and describe the simulation."""
        self._stop.clear()
        return SessionHeader(
            id=uuid4(),
            pseudonym="simulated",
            tracker="Simulated eyes",
            display=self.display,
            gaze_rate_hz=self.rate_hz,
            software={"qpgaze": qpgaze.__version__},
            extra={"simulated": {"offset_deg": list(self._offset), "sd_deg": self._sd}},
        )

    def stop(self) -> None:
        """End the stream."""
        self._stop.set()

    def look_at(self, target: Target) -> None:
        """Turn the eyes to a target that was shown just now."""
        if target != self._to:
            self._from, self._to, self._turn_us = self._to, target, self._done_us

    def batches(self) -> Iterator[Batch]:
        """Yield samples as time passes, until stopped."""
        began = time.monotonic()
        while not self._stop.wait(BATCH_US / 1e6):
            yield self.until(int((time.monotonic() - began) * 1e6))

    def until(self, end_us: int) -> Batch:
        """Return what was sampled since the last call and before `end_us`, session clock."""
        period_us = 1e6 / self.rate_hz
        first = int(np.ceil(self._done_us / period_us))
        t_us = np.rint(np.arange(first, int(np.ceil(end_us / period_us))) * period_us)
        self._done_us = max(end_us, self._done_us)
        return Batch(self._done_us, self._sample(t_us.astype(np.int64)))

    def _sample(self, t_us: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
        there = t_us >= self._turn_us + SACCADE_US
        looked = np.where(there[:, None], np.array(self._to), np.array(self._from))
        aim = self._plane.point(looked)
        head = self._plane.eye_centre(self.display.distance_mm)
        records = empty_records(len(t_us))
        records["t_us"] = records["system_us"] = records["device_us"] = t_us
        seen = self._rng.random(len(t_us)) >= self._loss
        for number, eye in enumerate(("left", "right")):
            beside = np.array([(number - 0.5) * EYE_DISTANCE_MM, 0.0, 0.0])
            place = np.tile(head + beside, (len(t_us), 1))
            noise = self._rng.normal(0.0, self._sd / np.sqrt(2), (len(t_us), 2))
            gaze = self._plane.hit(place, deflect(place, aim, noise + self._offset))
            _fill(records, eye, seen, gaze, place)
        return records


def _fill(
    records: npt.NDArray[np.void],
    eye: str,
    seen: npt.NDArray[np.bool_],
    gaze: FloatArray,
    place: FloatArray,
) -> None:
    for axis, name in enumerate("xy"):
        records[f"{eye}_{name}_adcs"][seen] = gaze[seen, axis]
    for axis, name in enumerate("xyz"):
        records[f"{eye}_origin_{name}_mm"][seen] = place[seen, axis]
    records[f"{eye}_pupil_mm"][seen] = 3.4
    for what in ("gaze", "origin", "pupil"):
        records[f"{eye}_{what}_valid"] = seen
