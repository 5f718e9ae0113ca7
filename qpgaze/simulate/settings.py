"""What a simulated reader and tracker are like, and the screen they work at.

The defaults of :class:`ReaderSettings` and :class:`TrackerSettings` were **frozen before the
refinement was tuned**: 0.5 deg accuracy, 0.3 deg precision, 120 Hz, a key pressed and released
about 0.3 s late, 4 - 10 fixations an object. Figures that the project publishes name any setting
that differs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from qpgaze.errors import UsageError
from qpgaze.viewing import Display, Rect


@dataclass(frozen=True)
class ReaderSettings:
    """How a simulated reader reads a slide in QuPath.

    Parameters
    ----------
    name : str
        Pseudonym.
    label_event : {"hold", "toggle", "mark"}
        How an object is labelled.
    coverage : {"whole", "core"}
        Where the fixations on an object fall: all over it, or within its core only. Both kinds of
        readers exist, and the second halves what a refinement can know.
    core_share : float
        Size of the core relative to the object (0.6: of its radius).
    fixations : (int, int)
        Fewest and most fixations while an object is examined, drawn evenly.
    fixation_median_ms, fixation_sigma : float
        Fixation durations are log-normal: median, and standard deviation of the logarithm.
    landing_share : float
        Standard deviation of a saccade's landing error per axis, as a share of its amplitude.
    drift_deg_per_s : float
        Speed of the eye's slow drift during a fixation.
    key_lag_ms, key_lag_sd_ms : float
        A key goes down (up) so long after the eye came to (left) the object. Kept >= 100 ms.
    search_fixations : (int, int)
        Fewest and most fixations of a search before something is noticed.
    overview_fixations : int
        Fixations on the whole slide at the start.
    lookalike_share : float
        Share of objects that are no target, yet get a short closer look.
    false_label_share : float
        Share of these that are labelled by mistake.
    undo_share : float
        Share of such mistakes that the reader takes back at once.
    missed_share : float
        Share of targets that are passed over.
    close_fill : (float, float)
        While examined, an object's longer side fills this share of the viewer's height.
    finest_um_per_screen_px : float
        No closer than this (0.5: a 20x objective). Without a pixel size: image px per screen px.
    pan_share : float
        Share of examinations during which the view is panned a little.
    glance_share : float
        Share of searches with a look at the overview map or beside the viewer.
    rotation_deg : float
        The view is turned by so much for about a third of the targets; 0: never.
    keyframe_ms : int
        The hook repeats an unchanged state so often.

    Notes
    -----
    Durations and the landing error follow common figures for scene viewing (fixations 200 - 350 ms;
    saccades land within some 5 - 10 % of their amplitude); the lag of 0.3 s is a simple reaction
    plus the key's travel.
    """

    name: str = "reader1"
    label_event: Literal["hold", "toggle", "mark"] = "hold"
    coverage: Literal["whole", "core"] = "whole"
    core_share: float = 0.6
    fixations: tuple[int, int] = (4, 10)
    fixation_median_ms: float = 260.0
    fixation_sigma: float = 0.35
    landing_share: float = 0.06
    drift_deg_per_s: float = 0.3
    key_lag_ms: float = 300.0
    key_lag_sd_ms: float = 50.0
    search_fixations: tuple[int, int] = (2, 5)
    overview_fixations: int = 6
    lookalike_share: float = 0.5
    false_label_share: float = 0.0
    undo_share: float = 0.0
    missed_share: float = 0.0
    close_fill: tuple[float, float] = (0.3, 0.45)
    finest_um_per_screen_px: float = 0.5
    pan_share: float = 0.2
    glance_share: float = 0.15
    rotation_deg: float = 25.0
    keyframe_ms: int = 1000

    def __post_init__(self) -> None:
        if self.label_event not in ("hold", "toggle", "mark"):
            raise UsageError(
                f"A reader labels by hold, toggle or mark, but '{self.label_event}' came."
            )
        if self.coverage not in ("whole", "core"):
            raise UsageError(f"Coverage is whole or core, but '{self.coverage}' came.")
        for name in ("fixations", "search_fixations"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise UsageError(f"{name} needs 1 <= fewest <= most, but {(low, high)} came.")
        for name in ("lookalike_share", "false_label_share", "undo_share", "missed_share"):
            _need_share(name, getattr(self, name))
        for name in ("pan_share", "glance_share"):
            _need_share(name, getattr(self, name))
        _need_positive("core_share", self.core_share)
        _need_positive("fixation_median_ms", self.fixation_median_ms)
        _need_positive("finest_um_per_screen_px", self.finest_um_per_screen_px)
        _need_positive("keyframe_ms", self.keyframe_ms)
        if not 0 < self.close_fill[0] <= self.close_fill[1] <= 1:
            raise UsageError(f"close_fill lies in (0, 1], but {self.close_fill} came.")


@dataclass(frozen=True)
class TrackerSettings:
    """How well a simulated eye tracker measures.

    Parameters
    ----------
    name : str
        Model.
    rate_hz : float
    stamp_jitter_us : float
        Standard deviation of a sample's time about its even grid.
    accuracy_deg : float
        Mean angle between where the eye looks and where the tracker says it does, noise aside.
        The offset is drawn from a round two-dimensional normal distribution, so its length is
        Rayleigh distributed with this mean (standard deviation per axis: accuracy / 1.2533).
    precision_deg : float
        Standard deviation of the noise of both eyes' mean, ``sqrt(var x + var y)``, white.
    eye_correlation : float
        Correlation of the two eyes' noise, 0..1; a lone eye is the noisier the lower it is.
    fixation_share, object_share : float
        Shares of the offset's variance that are drawn anew for each fixation and for each visit
        to an object; the rest is one offset a session. A share per fixation averages out and is
        the kindest, one per object the harshest.
    blinks_per_minute : float
        Blinks come at random (Poisson); both eyes are lost.
    blink_median_ms : float
        Log-normal durations.
    loss_share : float
        Share of samples lost for both eyes outside blinks, in bursts of about three.
    one_eye_loss_share : float
        Share of samples lost for one eye only, in bursts of about a quarter second.
    drift_ppm : float
        How much the device clock gains on the host's.
    sync_uncertainty_us : int
        Largest error of the viewer's clock against the host's; one error a session is drawn
        evenly from within.

    Notes
    -----
    SD as validation tools for eye trackers give it (both axes together); RMS-S2S of white noise
    is sqrt(2) x SD.
    """

    name: str = "Simulated tracker"
    rate_hz: float = 120.0
    stamp_jitter_us: float = 150.0
    accuracy_deg: float = 0.5
    precision_deg: float = 0.3
    eye_correlation: float = 0.3
    fixation_share: float = 0.0
    object_share: float = 0.0
    blinks_per_minute: float = 12.0
    blink_median_ms: float = 150.0
    loss_share: float = 0.01
    one_eye_loss_share: float = 0.02
    drift_ppm: float = 20.0
    sync_uncertainty_us: int = 1000

    def __post_init__(self) -> None:
        _need_positive("rate_hz", self.rate_hz)
        for name in ("fixation_share", "object_share", "loss_share", "one_eye_loss_share"):
            _need_share(name, getattr(self, name))
        _need_share("eye_correlation", self.eye_correlation)
        if self.fixation_share + self.object_share > 1:
            raise UsageError("fixation_share and object_share together exceed 1.")
        for name in ("accuracy_deg", "precision_deg", "blinks_per_minute", "stamp_jitter_us"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} cannot be negative, but {getattr(self, name)} came.")
        if self.sync_uncertainty_us < 0:
            raise UsageError("sync_uncertainty_us cannot be negative.")


def default_display() -> Display:
    """Return a 24 inch, 1920 x 1080 screen with the tracker under its lower edge.

    The screen leans back by ten degrees; its corners are in the tracker's frame (UCS: x right,
    y up, z to the user, millimetres).

    Examples
    --------
    >>> round(default_display().screen_px_per_degree(), 1)
    41.3
    """
    width_mm, height_mm, lean = 527.0, 296.5, math.radians(10.0)
    bottom_y, bottom_z = 14.0, -6.0
    top_y = round(bottom_y + height_mm * math.cos(lean), 3)
    top_z = round(bottom_z - height_mm * math.sin(lean), 3)
    half = width_mm / 2
    return Display(
        bounds_screen_px=Rect(0.0, 0.0, 1920.0, 1080.0),
        width_mm=width_mm,
        height_mm=height_mm,
        corners_ucs_mm=(
            (-half, top_y, top_z),
            (half, top_y, top_z),
            (-half, bottom_y, bottom_z),
        ),
        distance_mm=650.0,
        monitor="1",
    )


def _need_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise UsageError(f"{name} is a share and lies in [0, 1], but {value} came.")


def _need_positive(name: str, value: float) -> None:
    if not 0.0 < value < math.inf:
        raise UsageError(f"{name} must be above 0, but {value} came.")
