"""What tells a fixation from a saccade, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qpgaze.errors import UsageError

Content = Literal["view", "screen", "split", "image"]


@dataclass(frozen=True)
class IvtParameters:
    """How fixations are told from saccades.

    Parameters
    ----------
    max_gap_ms : float
        Gaps up to this long are filled in.
    smoothing_ms : float
        Moving average before the velocity; 0 for none.
    smoothing_from_hz : float
        Slower recordings are not smoothed: three samples would be longer than the window.
    window_ms : float
        Velocity window.
    threshold_deg_s : float
        Slower is a fixation while the view stands still.
    panning_threshold_deg_s : float
        Slower over the *slide* is a fixation while the view moves.
    panning_window_ms : float
        Velocity window and moving average over the slide: about two frames of the viewer, whose
        picture moves in steps.
    moving_ms : float
        So long before and after a pan step the view counts as moving.
    merge_gap_ms, merge_angle_deg : float
        Neighbours closer than both become one.
    min_duration_ms : float
        Shorter ones are dropped.
    smoothing_noise : float
        The moving average is widened (to 50 ms at most) until the threshold is this many times
        the speed that the recording's own noise feigns. 0 never widens.
    merge_noise : float
        Two centres may lie this many of their standard errors further apart to become one. 0 for
        Tobii's rule to the letter.
    content : "view", "screen", "split" or "image"
        ``view``: as said above, cut where zoom, image or plane change. ``screen``: gaze on the
        screen alone. ``split``: that, cut at every change of view. ``image``: over the slide
        alone, cut at zoom.

    Raises
    ------
    UsageError
        If a number is negative or not a number, or the content is unknown.

    Notes
    -----
    Defaults are Tobii's (Olsen 2012), but for moving average and noise terms, without which they
    break up fixations in noise of 0.3 deg, and for all about moving content, which nobody
    published; those were chosen on simulated gaze (``benchmarks/fixations.py``).
    """

    max_gap_ms: float = 75.0
    smoothing_ms: float = 20.0
    smoothing_from_hz: float = 120.0
    window_ms: float = 20.0
    threshold_deg_s: float = 30.0
    panning_threshold_deg_s: float = 15.0
    panning_window_ms: float = 40.0
    moving_ms: float = 50.0
    merge_gap_ms: float = 75.0
    merge_angle_deg: float = 0.5
    min_duration_ms: float = 60.0
    smoothing_noise: float = 2.0
    merge_noise: float = 3.0
    content: Content = "view"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "content" and not value >= 0:
                raise UsageError(f"{name} is a number from 0 on, but {value!r} came.")
        if self.content not in ("view", "screen", "split", "image"):
            raise UsageError(
                f"content is 'view', 'screen', 'split' or 'image', but {self.content!r} came."
            )
