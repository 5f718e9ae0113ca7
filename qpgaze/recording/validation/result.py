"""What a validation found, as an event of the session and as sentences for the reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from qpgaze.gaze.quality import EYES, EyeQuality, GazeQuality
from qpgaze.model import Event
from qpgaze.recording.validation.targets import Target
from qpgaze.viewing import Display

GOOD_DEG = 0.6
"""Trackers promise 0.4 - 0.5 deg on their best readers; a little more is a good calibration."""

USABLE_DEG = 1.0
"""What is assumed where nothing was measured: worse than that, measuring has found a problem."""

MUCH_LOSS = 0.2
"""A fifth of the samples lost: more than blinks, which take some five per cent."""

Verdict = Literal["good", "usable", "poor"]


@dataclass(frozen=True)
class ValidationResult:
    """What a validation measured.

    Parameters
    ----------
    quality : GazeQuality
        Targets in the order of their layout.
    display : Display
    tracker : str
    missed : tuple of (x, y)
        Targets that were not looked at steadily, even when shown again, ADCS.
    seed : int
        Of their order.
    """

    quality: GazeQuality
    display: Display
    tracker: str
    missed: tuple[Target, ...] = ()
    seed: int = 0

    @property
    def mean(self) -> EyeQuality:
        """Figures of the mean of both eyes, which is what maps onto the slide."""
        return self.quality.over("mean")

    @property
    def accuracy_screen_px(self) -> float:
        """The accuracy at the screen's centre, logical pixels."""
        return self.mean.accuracy_deg * self.display.screen_px_per_degree()

    @property
    def verdict(self) -> Verdict:
        """``good`` up to 0.6 deg, ``usable`` up to 1.0; a missed target is never good."""
        accuracy, missed = self.mean.accuracy_deg, len(self.missed)
        if accuracy <= GOOD_DEG and not missed and self.mean.loss <= MUCH_LOSS:
            return "good"
        half = 2 * missed >= len(self.quality.targets)
        return "usable" if accuracy <= USABLE_DEG and not half else "poor"

    def to_json(self) -> dict[str, Any]:
        """Return the data of a ``validation`` event."""
        mean = self.mean
        return {
            "accuracy_deg": mean.accuracy_deg,
            "precision_sd_deg": mean.precision_sd_deg,
            "precision_rms_deg": mean.precision_rms_deg,
            "accuracy_screen_px": self.accuracy_screen_px,
            "loss": mean.loss,
            "verdict": self.verdict,
            "points": len(self.quality.targets),
            "missed": [list(target) for target in self.missed],
            "tracker": self.tracker,
            "monitor": self.display.monitor,
            "seed": self.seed,
            **self.quality.to_json(),
        }

    def event(self, t_us: int) -> Event:
        """Return the event that stores it with a session, at `t_us` of the session clock."""
        return Event(t_us, "validation", self.to_json())

    def lines(self) -> tuple[str, ...]:
        """Say it in plain words: the sentence that counts, then what explains it."""
        mean = self.mean
        said = [
            f"{self.verdict.capitalize()}: {mean.accuracy_deg:.1f} degrees. "
            f"On this screen that is {_pixels(self.accuracy_screen_px)}."
        ]
        advice = _advice(self)
        if advice:
            said.append(advice)
        for eye in EYES:
            q = self.quality.over(eye)
            name = "both eyes" if eye == "mean" else f"{eye} eye"
            said.append(
                f"{name}: {q.accuracy_deg:.2f} deg off, scatter {q.precision_sd_deg:.2f} deg "
                f"(sample to sample {q.precision_rms_deg:.2f} deg), {q.loss:.1%} lost"
                if q.valid > 1
                else f"{name}: not seen"
            )
        said.append(
            f"Good: up to {GOOD_DEG} degrees. Usable: up to {USABLE_DEG:.1f}, "
            "which is assumed where nobody measured."
        )
        return tuple(said)


def _advice(result: ValidationResult) -> str:
    """Say what to do about a result that is not good; empty where it is."""
    missed, every = len(result.missed), len(result.quality.targets)
    if missed:
        were = "was" if missed == 1 else "were"
        then = "Check again." if 2 * missed < every else "Calibrate, then check again."
        return f"{missed} of {every} points {were} not looked at steadily. {then}"
    if result.mean.loss > MUCH_LOSS:
        return (
            f"{result.mean.loss:.0%} of the gaze was lost. Clean glasses, sit in the middle "
            "and calibrate again."
        )
    return "" if result.verdict == "good" else "Calibrate again, and keep the head where it is."


def _pixels(value: float) -> str:
    rounded = round(value)
    return f"{rounded} pixel" if rounded == 1 else f"{rounded} pixels"
