"""What calibrations and validations, and the trackers that calibrate themselves, offer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from qpgaze.recording.protocol import Batch
from qpgaze.recording.validation.targets import Target


class Phase(Enum):
    """Where a run stands."""

    READY = "ready"
    """Explains itself and waits for the reader to begin."""
    SETTLING = "settling"
    """Shows a target; the eye is on its way."""
    COLLECTING = "collecting"
    """Shows the same target and measures."""
    WORKING = "working"
    """All targets were shown; the tracker computes."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({Phase.DONE, Phase.FAILED, Phase.CANCELLED})


class Run(Protocol):
    """A calibration or a validation, without any window; moments are the host's monotonic clock.

    Attributes
    ----------
    phase : Phase
    target : (x, y) or None
        What to show now, ADCS.
    share : float
        How much of the current target's time is over, 0..1: the target shrinks with it.
    place : (int, int)
        Number of the current target, from 1, and of all; one to be repeated counts again.
    eyes_seen : (bool or None, bool or None)
        Whether the tracker sees left and right eye; None: nothing is known.
    title : str
        What it is, for the first screen.
    """

    @property
    def phase(self) -> Phase: ...
    @property
    def target(self) -> Target | None: ...
    @property
    def share(self) -> float: ...
    @property
    def place(self) -> tuple[int, int]: ...
    @property
    def eyes_seen(self) -> tuple[bool | None, bool | None]: ...
    @property
    def title(self) -> str: ...

    def begin(self, now_us: int) -> None:
        """Show the first target. Does nothing unless the run is ready."""
        ...

    def feed(self, batch: Batch, now_us: int) -> None:
        """Take what came from the tracker."""
        ...

    def tick(self, now_us: int) -> None:
        """Let time pass."""
        ...

    def cancel(self) -> None:
        """Stop early. Does nothing once the run has ended."""
        ...

    def closing_lines(self) -> tuple[str, ...]:
        """Say how it ended: first the sentence that counts, then what explains it."""
        ...


@dataclass(frozen=True)
class CalibrationOutcome:
    """What the tracker said of its own calibration.

    Parameters
    ----------
    success : bool
    detail : str
        In the vendor's words.
    """

    success: bool
    detail: str = ""


class Calibrator(Protocol):
    """A tracker's own calibration. Each call may take a second or more; errors are SessionError.

    Attributes
    ----------
    name : str
        Model of the tracker.
    """

    @property
    def name(self) -> str: ...

    def enter(self) -> None:
        """Begin a new calibration."""
        ...

    def collect(self, x_adcs: float, y_adcs: float) -> bool:
        """Gather gaze on the target shown there, and tell whether the eyes were seen."""
        ...

    def compute(self) -> CalibrationOutcome:
        """Compute from all targets, and apply it."""
        ...

    def leave(self) -> None:
        """End calibration, with or without a result. Leaving twice does nothing."""
        ...
