"""Which samples rest: the classification step, on a view that may move under the eye."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from qpgaze.frames import FloatArray, IntArray
from qpgaze.gaze import ivt
from qpgaze.gaze.degrees import Eyes, display_size_mm
from qpgaze.gaze.mapping import MappedGaze
from qpgaze.gaze.parameters import Content, IvtParameters
from qpgaze.gaze.views import NEVER_US, BoolArray
from qpgaze.samples import GazeSamples
from qpgaze.viewing import Display

WIDEST_AVERAGE_US = 51_000.0
"""No wider than three samples at 60 Hz: saccades last 20 - 60 ms and must stay visible."""


class ViewOfSamples(NamedTuple):
    """What the viewer did at each sample; a sample that fell on none keeps the last one."""

    state: IntArray
    segment: IntArray
    pose: IntArray

    @classmethod
    def of(cls, mapped: MappedGaze) -> ViewOfSamples:
        """Look up state, segment and pose of every sample, -1 before the first known one."""
        fell_on = mapped.state >= 0
        last = np.maximum.accumulate(np.where(fell_on, np.arange(len(mapped)), -1))
        state = np.where(last >= 0, mapped.state[last], -1).astype(np.int64)
        if not len(mapped.views):
            nothing = np.full(len(mapped), -1)
            return cls(state, nothing, nothing)
        segment = np.where(state >= 0, mapped.views.segment[state], -1)
        return cls(state, segment, np.where(state >= 0, mapped.views.pose[state], -1))

    def cuts(self, content: Content) -> BoolArray:
        """Tell before which samples a fixation must end."""
        cut = np.zeros(len(self.state), dtype=np.bool_)
        if content != "screen":
            key = self.pose if content == "split" else self.segment
            cut[1:] = key[1:] != key[:-1]
        return cut


class Resting(NamedTuple):
    """Which samples rest, and the noise that they were told by (degrees, one axis)."""

    resting: BoolArray
    noise_deg: float


def classify(
    gaze: GazeSamples,
    mapped: MappedGaze,
    display: Display,
    eyes: Eyes,
    per_degree: FloatArray,
    view: ViewOfSamples,
    p: IvtParameters,
) -> Resting:
    """Tell which samples belong to a fixation, by speed on the screen and over the slide.

    Parameters
    ----------
    gaze, mapped, display, p
        As for :func:`~qpgaze.gaze.detect_fixations`; at least two different stamps.
    eyes : Eyes
    per_degree : (n,) float64
        Screen px per degree.
    view : ViewOfSamples
    """
    t_us, interval_us = mapped.t_us, ivt.typical_interval_us(mapped.t_us)
    # Slow sources (10 Hz) have longer steps than the longest gap that is filled.
    hole_us = max(p.max_gap_ms * 1000.0, 2.5 * interval_us)
    x, y = _display_mm(gaze, display, t_us, p.max_gap_ms * 1000.0)
    no_cut = np.zeros(len(t_us), dtype=np.bool_)
    stretch = ivt.stretches(t_us, ~np.isnan(x), hole_us, no_cut)
    noise_deg = ivt.noise(x, y) / (float(np.median(eyes.z_mm)) * math.tan(math.radians(1.0)))
    window = ivt.window_samples(interval_us, p.window_ms)
    half = _half_window(noise_deg, interval_us, window, p)
    x, y = (ivt.moving_average(values, stretch, half) for values in (x, y))
    speed = ivt.angular_velocity(t_us, x, y, eyes, stretch, window)
    resting = speed < p.threshold_deg_s
    if p.content in ("screen", "split"):
        return Resting(resting, noise_deg)
    moving = _moving(mapped, view, p.moving_ms * 1000.0)
    if p.content == "image":
        moving = np.ones(len(t_us), dtype=np.bool_)
    if moving.any():
        over_slide = _speed_over_slide(mapped, view, per_degree, interval_us, hole_us, half, p)
        np.copyto(resting, over_slide < p.panning_threshold_deg_s, where=moving)
    return Resting(resting, noise_deg)


def _half_window(noise_deg: float, interval_us: float, window: int, p: IvtParameters) -> int:
    """Return samples on each side of the moving average."""
    half = 0
    if p.smoothing_ms > 0 and 1e6 / interval_us >= 0.95 * p.smoothing_from_hz:
        half = max(1, round(p.smoothing_ms * 500.0 / interval_us))
    if p.smoothing_ms > 0 and p.smoothing_noise > 0:
        while (2 * half + 3) * interval_us <= WIDEST_AVERAGE_US:
            feigned = ivt.noise_speed(noise_deg, interval_us, half, window)
            if feigned * p.smoothing_noise <= p.threshold_deg_s:
                break
            half += 1
    return half


def _display_mm(
    gaze: GazeSamples, display: Display, t_us: IntArray, max_gap_us: float
) -> tuple[FloatArray, FloatArray]:
    """Return mean gaze on the display plane in mm, short gaps of each eye filled in."""
    width_mm, height_mm = display_size_mm(display)
    sides = []
    for eye in ("left", "right"):
        x = gaze.records[f"{eye}_x_adcs"].astype(np.float64) * width_mm
        y = gaze.records[f"{eye}_y_adcs"].astype(np.float64) * height_mm
        lost = (gaze.records[f"{eye}_gaze_valid"] == 0) | np.isnan(x) | np.isnan(y)
        x[lost], y[lost] = np.nan, np.nan
        if lost.any() and not lost.all():
            ivt.fill_gaps(t_us, x, y, max_gap_us)
        sides.append((x, y, np.isnan(x)))
    (lx, ly, no_left), (rx, ry, no_right) = sides
    x, y = (lx + rx) / 2, (ly + ry) / 2
    for alone, (ox, oy) in ((no_right, (lx, ly)), (no_left, (rx, ry))):
        np.copyto(x, ox, where=alone)
        np.copyto(y, oy, where=alone)
    return x, y


def _moving(mapped: MappedGaze, view: ViewOfSamples, margin_us: float) -> BoolArray:
    """Tell at which samples the view pans or turns."""
    views = mapped.views
    if not (views.pan_end_us < NEVER_US).any():
        return np.zeros(len(mapped), dtype=np.bool_)
    moving = mapped.t_us - views.pan_start_us[view.state] < margin_us
    moving |= views.pan_end_us[view.state] - mapped.t_us < margin_us
    return np.asarray(moving & (view.state >= 0), dtype=np.bool_)


def _speed_over_slide(
    mapped: MappedGaze,
    view: ViewOfSamples,
    per_degree: FloatArray,
    interval_us: float,
    hole_us: float,
    half: int,
    p: IvtParameters,
) -> FloatArray:
    """Return degrees per second over the slide, NaN where the slide was not looked at."""
    x, y = mapped.image.x.copy(), mapped.image.y.copy()
    cut = view.cuts("view")
    ivt.fill_gaps(mapped.t_us, x, y, p.max_gap_ms * 1000.0)
    stretch = ivt.stretches(mapped.t_us, ~np.isnan(x), hole_us, cut)
    if half:
        half = max(half, round(p.panning_window_ms * 500.0 / interval_us))
    x, y = (ivt.moving_average(values, stretch, half) for values in (x, y))
    window = ivt.window_samples(interval_us, p.panning_window_ms)
    image_per_degree = per_degree * mapped.views.downsample[view.state]
    return ivt.planar_velocity(mapped.t_us, x, y, image_per_degree, stretch, window)
