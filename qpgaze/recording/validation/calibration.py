"""Calibration as a state machine round the vendor's own calibration. No window.

The vendor computes; here targets are shown in order, each collected when the eye has come to
rest, and the tracker is never left in calibration mode, whatever happens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from qpgaze.errors import QpgazeError, SessionError, UsageError
from qpgaze.recording.protocol import Batch
from qpgaze.recording.validation.protocol import ENDED, CalibrationOutcome, Calibrator, Phase
from qpgaze.recording.validation.targets import Target, shuffled

SETTLE_US = 800_000
"""A target is shown so long before the tracker collects. Longer than in a validation: a bad point
here spoils every sample of the session."""

ATTEMPTS = 2
"""A target that could not be collected is shown so often in all."""


Submit = Callable[[Callable[[], Any]], "Future[Any]"]
"""Runs a call elsewhere, so that the picture does not stand still meanwhile; one at a time."""


class CalibrationRun:
    """Show targets in random order and have the tracker collect each.

    Parameters
    ----------
    targets : sequence of (x, y)
        ADCS.
    calibrator : Calibrator
    submit : callable
        Such as ``ThreadPoolExecutor(1).submit``.
    seed : int
        Fixes the order.
    settle_us : int

    Raises
    ------
    UsageError
        If there are no targets.
    """

    title = "Calibrating the eye tracker"

    def __init__(
        self,
        targets: Sequence[Target],
        calibrator: Calibrator,
        *,
        submit: Submit,
        seed: int = 0,
        settle_us: int = SETTLE_US,
    ) -> None:
        if not targets:
            raise UsageError("A calibration needs at least one target.")
        self.phase = Phase.READY
        self.outcome: CalibrationOutcome | None = None
        self.uncollected: list[Target] = []
        self._calibrator = calibrator
        self._submit = submit
        self._settle_us = settle_us
        self._waiting = deque(shuffled(tuple(targets), seed))
        self._attempts = dict.fromkeys(targets, 0)
        self._shown = 0
        self._onset_us = 0
        self._now_us = 0
        self._pending: Future[Any] | None = None
        self._entered = False
        self._leaving: Future[Any] | None = None
        self._failure = ""

    @property
    def target(self) -> Target | None:
        """The target shown now, ADCS."""
        showing = self.phase in (Phase.SETTLING, Phase.COLLECTING) and self._shown > 0
        return self._waiting[0] if showing else None

    @property
    def share(self) -> float:
        """How much of the time before collecting is over."""
        if self.phase is Phase.COLLECTING:
            return 1.0
        return min(max((self._now_us - self._onset_us) / self._settle_us, 0.0), 1.0)

    @property
    def place(self) -> tuple[int, int]:
        """Number of the current target and of all."""
        return self._shown, self._shown + max(len(self._waiting) - 1, 0)

    @property
    def eyes_seen(self) -> tuple[bool | None, bool | None]:
        """Unknown: the tracker keeps its gaze for itself meanwhile."""
        return (None, None)

    def begin(self, now_us: int) -> None:
        """Enter calibration mode; the first target follows. Does nothing unless ready."""
        if self.phase is not Phase.READY:
            return
        self._now_us = now_us
        self._entered = True
        self.phase = Phase.WORKING
        self._pending = self._submit(self._calibrator.enter)
        self.tick(now_us)

    def feed(self, batch: Batch, now_us: int) -> None:
        """Take no gaze: the tracker calibrates itself."""

    def tick(self, now_us: int) -> None:
        """Go on where the tracker has answered or the eye has settled."""
        self._now_us = now_us
        if self.phase in ENDED:
            return
        if self._pending is not None:
            if self._pending.done():
                self._answered(self._pending)
        elif self.phase is Phase.SETTLING and now_us - self._onset_us >= self._settle_us:
            self.phase = Phase.COLLECTING
            x, y = self._waiting[0]
            self._pending = self._submit(lambda: self._calibrator.collect(x, y))

    def cancel(self) -> None:
        """Stop early; the tracker keeps the calibration it had."""
        if self.phase not in ENDED:
            self._end(Phase.CANCELLED)

    def fail(self, reason: str) -> None:
        """End with a sentence that says why. Does nothing once the run has ended."""
        if self.phase not in ENDED:
            self._failure = reason
            self._end(Phase.FAILED)

    def closing_lines(self) -> tuple[str, ...]:
        """Say how it ended."""
        if self.phase is Phase.CANCELLED:
            return ("Cancelled. The tracker keeps the calibration it had.",)
        if self.phase is Phase.FAILED:
            return (self._failure, "The tracker keeps the calibration it had.")
        said = [f"{self._calibrator.name} is calibrated."]
        if self.uncollected:
            points = "point was" if len(self.uncollected) == 1 else "points were"
            said.append(f"{len(self.uncollected)} {points} not seen and left out.")
        said.append("Now measure its accuracy.")
        return tuple(said)

    def wait_until_left(self, timeout_s: float = 10.0) -> None:
        """Wait until the tracker has left calibration mode, where it had entered it.

        Raises
        ------
        SessionError
            If it would not.
        """
        leaving = self._leaving
        if leaving is None:
            return
        try:
            leaving.result(timeout_s)
        except Exception as error:
            why = str(error) or type(error).__name__
            raise SessionError(
                f"The tracker did not leave calibration mode: {why}.",
                hint="Unplug it and plug it in again.",
            ) from error

    def _answered(self, pending: Future[Any]) -> None:
        self._pending = None
        try:
            answer = pending.result()
        except QpgazeError as error:
            self.fail(str(error))
            return
        except Exception as error:
            self.fail(f"The tracker's calibration failed: {str(error) or type(error).__name__}.")
            return
        if isinstance(answer, CalibrationOutcome):
            self._computed(answer)
        elif self.phase is Phase.COLLECTING:
            self._collected(bool(answer))
        else:
            self._show()

    def _show(self) -> None:
        self._shown += 1
        self._attempts[self._waiting[0]] += 1
        self._onset_us = self._now_us
        self.phase = Phase.SETTLING

    def _collected(self, seen: bool) -> None:
        target = self._waiting.popleft()
        if not seen and self._attempts[target] < ATTEMPTS:
            self._waiting.append(target)
        elif not seen:
            self.uncollected.append(target)
        if self._waiting:
            self._show()
            return
        if len(self.uncollected) == len(self._attempts):
            self.fail("The tracker saw no eye on any point. Sit within its range and try again.")
            return
        self.phase = Phase.WORKING
        self._pending = self._submit(self._calibrator.compute)

    def _computed(self, outcome: CalibrationOutcome) -> None:
        self.outcome = outcome
        if outcome.success:
            self._end(Phase.DONE)
        else:
            detail = f": {outcome.detail}" if outcome.detail else ""
            self.fail(f"The tracker could not compute a calibration{detail}. Try again.")

    def _end(self, phase: Phase) -> None:
        self.phase = phase
        if self._entered:
            self._entered = False
            # Behind whatever the tracker still does: the calls run one at a time.
            self._leaving = self._submit(self._calibrator.leave)


def require_success(run: CalibrationRun) -> CalibrationOutcome:
    """Return the outcome of a run that succeeded.

    Raises
    ------
    SessionError
        If it failed or was cancelled.
    """
    if run.phase is not Phase.DONE or run.outcome is None:
        raise SessionError(" ".join(run.closing_lines()))
    return run.outcome
