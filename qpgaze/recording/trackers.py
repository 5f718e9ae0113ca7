"""Sources that a vendor's library stands behind: Tobii, and Lab Streaming Layer."""

from __future__ import annotations

from typing import Final

from qpgaze.errors import SourceError
from qpgaze.recording.live import LiveSetup
from qpgaze.recording.sidecar_source import SidecarSource
from qpgaze.recording.validation.protocol import CalibrationOutcome

STEP_S: Final = 20.0
"""A step of a calibration takes a second or two; a tracker that is stuck must end in words."""


class TobiiSource(SidecarSource):
    """A Tobii tracker, through ``tobii_research`` or ``TittaPy_v2`` in a process of its own.

    Parameters
    ----------
    setup : LiveSetup
    address : str, optional
        Of the tracker, where several are attached.
    library : str, optional
        ``tobii_research`` or ``TittaPy_v2``; whichever the Python has where not given.
    """

    def __init__(
        self, setup: LiveSetup, address: str | None = None, library: str | None = None
    ) -> None:
        options = {"address": address, "library": library, "rate_hz": setup.rate_hz}
        super().__init__(setup, "tobii", options, name="tobii", system_stamps=True)

    def read_rate(self) -> None:
        """Have the tracker say its rate again; it comes with the next batches."""
        if self._sidecar is not None:
            self._sidecar.send({"type": "rate"})

    def calibrator(self) -> TobiiCalibrator:
        """Return the tracker's own calibration. The source must be running."""
        return TobiiCalibrator(self)


class TobiiCalibrator:
    """The calibration of a Tobii tracker that a source holds.

    Afterwards the rate is read again, for it may have fallen.
    """

    def __init__(self, source: TobiiSource) -> None:
        self._source = source
        self._entered = False

    @property
    def name(self) -> str:
        """Model of the tracker."""
        return str(self._source.ready.get("model") or "Tobii")

    def enter(self) -> None:
        """Begin a new calibration.

        Raises
        ------
        SourceError
            If the tracker cannot.
        """
        self._step("enter")
        self._entered = True

    def collect(self, x_adcs: float, y_adcs: float) -> bool:
        """Gather gaze on the target shown there, and tell whether the eyes were seen."""
        answer = self._ask("collect", x_adcs, y_adcs)
        return bool(answer["ok"])

    def compute(self) -> CalibrationOutcome:
        """Compute from all targets, and apply it."""
        answer = self._ask("compute")
        return CalibrationOutcome(bool(answer["ok"]), str(answer["detail"]))

    def leave(self) -> None:
        """End calibration, with or without a result. Leaving twice does nothing."""
        if self._entered:
            self._entered = False
            self._step("leave")

    def _step(self, do: str) -> None:
        answer = self._ask(do)
        if not answer["ok"]:
            raise SourceError(f"The tracker could not {do} calibration: {answer['detail']}.")

    def _ask(self, do: str, x: float | None = None, y: float | None = None) -> dict[str, object]:
        return self._source.ask({"type": "calibrate", "do": do, "x": x, "y": y}, STEP_S)


class LslSource(SidecarSource):
    """A Lab Streaming Layer stream of gaze, through ``pylsl`` in a process of its own.

    Parameters
    ----------
    setup : LiveSetup
        Its ``channels`` where the stream does not label them.
    stream : str, optional
        Name of the stream; the only one of the type Gaze where not given.
    find_s : float
        How long to look for it.
    """

    def __init__(self, setup: LiveSetup, stream: str | None = None, find_s: float = 3.0) -> None:
        options = {"stream": stream, "channels": list(setup.channels), "find_s": find_s}
        super().__init__(setup, "lsl", options, name="lsl", system_stamps=False)
