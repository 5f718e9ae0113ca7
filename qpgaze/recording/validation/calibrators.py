"""Trackers that can be calibrated from here, and why the others cannot."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from qpgaze.errors import UsageError
from qpgaze.recording.validation.protocol import CalibrationOutcome, Calibrator
from qpgaze.viewing import Display, Rect

if TYPE_CHECKING:
    from qpgaze.recording.trackers import TobiiSource

ELSEWHERE = {
    "gazepoint": "Gazepoint calibrates in its own Gazepoint Control; its window must be open "
    "anyway. Then run 'qpgaze validate-gaze --source gazepoint'.",
    "lsl": "A stream cannot be calibrated; calibrate in the program that sends it.",
    "mouse": "A mouse needs no calibration.",
    "replay": "A recording cannot be calibrated any more.",
}


class ClosableCalibrator(Calibrator, Protocol):
    """A calibrator that holds a tracker until it is closed."""

    def close(self) -> None:
        """Let go of the tracker. Closing twice does nothing."""
        ...


class SimulatedCalibrator:
    """A tracker that takes its time and always succeeds: for practice.

    Parameters
    ----------
    collect_s : float
        How long it gathers on each target; Tobii's takes about as long.
    """

    name = "The simulated tracker"

    def __init__(self, collect_s: float = 0.7) -> None:
        self._collect_s = collect_s

    def enter(self) -> None:
        """Begin."""

    def collect(self, x_adcs: float, y_adcs: float) -> bool:  # noqa: ARG002
        """Take the usual time."""
        time.sleep(self._collect_s)
        return True

    def compute(self) -> CalibrationOutcome:
        """Succeed."""
        return CalibrationOutcome(True, "simulated")

    def leave(self) -> None:
        """End."""

    def close(self) -> None:
        """Hold nothing."""


class TobiiCalibration:
    """A Tobii tracker that calibrates itself, held until it is closed.

    Parameters
    ----------
    source : TobiiSource
        Not yet started.

    Raises
    ------
    SourceError
        If there is no tracker, or no library to reach it.
    """

    def __init__(self, source: TobiiSource) -> None:
        self._source = source
        source.start()
        self._calibrator = source.calibrator()

    @property
    def name(self) -> str:
        """Model of the tracker."""
        return self._calibrator.name

    def enter(self) -> None:
        """Begin a new calibration."""
        self._calibrator.enter()

    def collect(self, x_adcs: float, y_adcs: float) -> bool:
        """Gather gaze on a target, and tell whether the eyes were seen."""
        return self._calibrator.collect(x_adcs, y_adcs)

    def compute(self) -> CalibrationOutcome:
        """Compute from all targets, and apply it."""
        return self._calibrator.compute()

    def leave(self) -> None:
        """End calibration."""
        self._calibrator.leave()

    def close(self) -> None:
        """Let go of the tracker."""
        self._source.stop()


def open_calibrator(spec: str, *, python: str | None = None) -> ClosableCalibrator:
    """Return the calibration of a tracker.

    Parameters
    ----------
    spec : str
        ``tobii``, ``tobii:ADDRESS`` or ``simulated``.
    python : str, optional
        The Python that has the tracker's library; this one where not given.

    Raises
    ------
    UsageError
        If this tracker cannot be calibrated from here, with where it can.
    SourceError
        If the tracker cannot be reached.
    """
    kind, _, address = spec.partition(":")
    if spec == "simulated":
        return SimulatedCalibrator()
    if kind == "tobii":
        from qpgaze.recording.live import LiveSetup
        from qpgaze.recording.trackers import TobiiSource

        # Which place the gaze would have is all one here: none is mapped.
        nowhere = Display(Rect(0.0, 0.0, 1.0, 1.0), 1.0, 1.0)
        setup = LiveSetup(display=nowhere, python=python)
        return TobiiCalibration(TobiiSource(setup, address or None))
    if kind in ELSEWHERE:
        raise UsageError(ELSEWHERE[kind])
    raise UsageError(f"There is no tracker {spec!r}; expected tobii or simulated.")
