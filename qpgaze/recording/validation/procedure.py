"""Validation as a state machine: shows targets, gathers gaze on each, measures. No window.

Samples carry the session clock, silence is noticed by the host's: a source may run ahead or lag,
but a tracker that fell silent has no clock any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qpgaze.errors import SessionError, UsageError
from qpgaze.gaze.quality import GazeQuality, TargetQuality, TargetWindow, measure_quality
from qpgaze.recording.protocol import Batch
from qpgaze.recording.validation.protocol import ENDED, Phase
from qpgaze.recording.validation.result import ValidationResult
from qpgaze.recording.validation.targets import Target, shuffled
from qpgaze.samples import GazeSamples
from qpgaze.viewing import Display


@dataclass(frozen=True)
class ValidationTiming:
    """How long each target is shown, and what counts as having looked at it.

    Parameters
    ----------
    settle_us : int
        A target is shown so long before its samples count: the eye needs about 200 ms to start,
        less than 100 ms to arrive, and then corrects itself once or twice.
    least_us : int
        Gathered for at least this long: at 1200 Hz thirty samples are over in 25 ms.
    limit_us : int
        Gathered for at most this long.
    samples : int
        Enough with so many in which both eyes are valid.
    attempts : int
        A target that was not looked at is shown so often in all.
    unsteady_deg, astray_deg : float
        A standard deviation above, or a mean of gaze further from the target: the reader looked
        elsewhere, the target is shown again.
    silence_us : int
        No sample for so long, by the host's clock: the tracker is gone.

    Notes
    -----
    Thirty samples with both eyes valid within one second is the rule of Tobii's own validation.
    """

    settle_us: int = 700_000
    least_us: int = 500_000
    limit_us: int = 1_000_000
    samples: int = 30
    attempts: int = 2
    unsteady_deg: float = 1.5
    astray_deg: float = 5.0
    silence_us: int = 3_000_000

    def __post_init__(self) -> None:
        whole = (self.settle_us, self.least_us, self.samples, self.attempts, self.silence_us)
        if min(whole) < 1 or self.limit_us < self.least_us:
            raise UsageError("Times, samples and attempts must be above 0, limit_us >= least_us.")


DEFAULT_TIMING = ValidationTiming()


class ValidationRun:
    """Show targets in random order and measure gaze on each.

    Parameters
    ----------
    targets : sequence of (x, y)
        ADCS.
    display : Display
        That the tracker measures on.
    seed : int
        Fixes the order.
    tracker : str
        Its model, for the result.
    timing : ValidationTiming

    Raises
    ------
    UsageError
        If there are no targets.
    """

    title = "Checking the eye tracker"

    def __init__(
        self,
        targets: Sequence[Target],
        display: Display,
        *,
        seed: int = 0,
        tracker: str = "",
        timing: ValidationTiming = DEFAULT_TIMING,
    ) -> None:
        if not targets:
            raise UsageError("A validation needs at least one target.")
        self.display = display
        self.tracker = tracker
        self.seed = seed
        self.phase = Phase.READY
        self._timing = timing
        self._layout = tuple(targets)
        self._waiting = deque(shuffled(self._layout, seed))
        self._attempts = dict.fromkeys(self._layout, 0)
        self._found: dict[Target, TargetQuality] = {}
        self._missed: set[Target] = set()
        self._shown = 0
        self._stream_us = 0
        self._onset_us = 0
        self._heard_us: int | None = None
        self._parts: list[npt.NDArray[np.void]] = []
        self._recent: tuple[bool | None, bool | None] = (None, None)
        self._failure = ""

    @property
    def target(self) -> Target | None:
        """The target shown now, ADCS."""
        showing = self.phase in (Phase.SETTLING, Phase.COLLECTING)
        return self._waiting[0] if showing else None

    @property
    def share(self) -> float:
        """How much of the current target's usual time is over."""
        usual = self._timing.settle_us + self._timing.least_us
        return float(np.clip((self._stream_us - self._onset_us) / usual, 0.0, 1.0))

    @property
    def place(self) -> tuple[int, int]:
        """Number of the current target and of all."""
        return self._shown, self._shown + max(len(self._waiting) - 1, 0)

    @property
    def eyes_seen(self) -> tuple[bool | None, bool | None]:
        """Whether each eye was valid in most of the last batch."""
        return self._recent

    def begin(self, now_us: int) -> None:
        """Show the first target. Does nothing unless the run is ready."""
        if self.phase is Phase.READY:
            self._heard_us = now_us
            self._show()

    def cancel(self) -> None:
        """Stop early, without a result. Does nothing once the run has ended."""
        if self.phase not in ENDED:
            self.phase = Phase.CANCELLED

    def fail(self, reason: str) -> None:
        """End with a sentence that says why. Does nothing once the run has ended."""
        if self.phase not in ENDED:
            self._failure = reason
            self.phase = Phase.FAILED

    def feed(self, batch: Batch, now_us: int) -> None:
        """Take what came from the tracker."""
        self._stream_us = max(self._stream_us, batch.end_us)
        if len(batch.gaze):
            self._heard_us = now_us
            valid = [float((batch.gaze[f"{eye}_gaze_valid"] != 0).mean()) for eye in _EYES]
            self._recent = (valid[0] > 0.5, valid[1] > 0.5)
        if self.target is None:
            return
        starts_us = self._onset_us + self._timing.settle_us
        t_us = batch.gaze["t_us"]
        self._parts.append(batch.gaze[(t_us >= starts_us) & (t_us < self._ends_us)])
        if self._stream_us >= starts_us:
            self.phase = Phase.COLLECTING
            self._judge()

    def tick(self, now_us: int) -> None:
        """Notice that the tracker fell silent."""
        if self.target is None or self._heard_us is None:
            return
        if now_us - self._heard_us > self._timing.silence_us:
            self.fail(
                f"The eye tracker has sent nothing for {self._timing.silence_us / 1e6:.0f} "
                "seconds. Check its cable and light, then start again."
            )

    def result(self) -> ValidationResult:
        """Return what was measured.

        Raises
        ------
        SessionError
            If the run did not end, was cancelled, or no target was seen.
        """
        if self.phase is not Phase.DONE:
            raise SessionError(
                self._failure or "Cancelled: the points were not all shown; nothing was measured."
            )
        quality = GazeQuality(tuple(self._found[t] for t in self._layout))
        return ValidationResult(
            quality=quality,
            display=self.display,
            tracker=self.tracker,
            missed=tuple(t for t in self._layout if t in self._missed),
            seed=self.seed,
        )

    def closing_lines(self) -> tuple[str, ...]:
        """Say how it ended."""
        if self.phase is Phase.CANCELLED:
            return ("Cancelled. Nothing was stored.",)
        if self.phase is Phase.FAILED:
            return (self._failure,)
        return self.result().lines()

    @property
    def _ends_us(self) -> int:
        return self._onset_us + self._timing.settle_us + self._timing.limit_us

    def _show(self) -> None:
        self._shown += 1
        self._attempts[self._waiting[0]] += 1
        self._onset_us = self._stream_us
        self._parts = []
        self.phase = Phase.SETTLING

    def _judge(self) -> None:
        """End the current target where enough came or its time is over."""
        records = np.concatenate(self._parts)
        over = self._stream_us >= self._ends_us
        if not over:
            both = (records["left_gaze_valid"] != 0) & (records["right_gaze_valid"] != 0)
            since_us = self._stream_us - self._onset_us - self._timing.settle_us
            if int(both.sum()) < self._timing.samples or since_us < self._timing.least_us:
                return
        target = self._waiting.popleft()
        # Some trackers send a stamp twice, or one before the last.
        records = records[np.argsort(records["t_us"], kind="stable")]
        window = TargetWindow(*target, GazeSamples(records))
        found = measure_quality([window], self.display).targets[0]
        if self._looked_at(found):
            self._missed.discard(target)
        else:
            self._missed.add(target)
            if self._attempts[target] < self._timing.attempts:
                self._waiting.append(target)
        if found.mean.valid or target not in self._found:
            self._found[target] = found
        if self._waiting:
            self._show()
        elif any(t.mean.valid for t in self._found.values()):
            self.phase = Phase.DONE
        else:
            self.fail(
                "The eye tracker saw no eye on any point. Sit within its range, remove what "
                "covers it, and calibrate first."
            )

    def _looked_at(self, found: TargetQuality) -> bool:
        """Tell whether the samples are those of an eye that rests on the target."""
        # One eye alone will do once the time is over: some trackers, and some readers, have one.
        enough = found.mean.valid >= self._timing.samples
        steady = found.mean.precision_sd_deg <= self._timing.unsteady_deg
        return enough and steady and found.mean.accuracy_deg <= self._timing.astray_deg


_EYES = ("left", "right")
