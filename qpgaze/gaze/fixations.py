"""Fixations on a slide that zooms, pans and turns under the eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from qpgaze.errors import UsageError
from qpgaze.frames import FloatArray, IntArray
from qpgaze.gaze import ivt
from qpgaze.gaze.degrees import Eyes, display_size_mm, eye_positions, screen_px_per_degree
from qpgaze.gaze.mapping import LeftOut, MappedGaze
from qpgaze.gaze.views import BoolArray, image_of
from qpgaze.model import Fixation
from qpgaze.samples import GazeSamples
from qpgaze.viewing import Display, ViewerState

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
    Defaults are Tobii's (Olsen 2012), but for the moving average, without which they break up
    fixations in noise of 0.3 deg, and for all about moving content, which nobody published.
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
    content: Content = "view"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "content" and not value >= 0:
                raise UsageError(f"{name} is a number from 0 on, but {value!r} came.")
        if self.content not in ("view", "screen", "split", "image"):
            raise UsageError(
                f"content is 'view', 'screen', 'split' or 'image', but {self.content!r} came."
            )


def detect_fixations(
    gaze: GazeSamples,
    mapped: MappedGaze,
    states: Sequence[ViewerState],
    display: Display,
    *,
    parameters: IvtParameters | None = None,
    accuracy_deg: float,
    sync_uncertainty_us: int = 0,
) -> tuple[Fixation, ...]:
    """Find where the eye rested on the slide.

    Parameters
    ----------
    gaze : GazeSamples
    mapped : MappedGaze
        From :func:`~qpgaze.gaze.map_samples` on the same gaze and states.
    states : sequence of ViewerState
    display : Display
    parameters : IvtParameters, optional
    accuracy_deg : float
        The tracker's accuracy, degrees.
    sync_uncertainty_us : int
        How far viewer and tracker stamps may be apart.

    Returns
    -------
    tuple of Fixation
        In time order. Only samples on the slide count: a fixation has at least two, and lasts at
        least ``min_duration_ms`` from the first to the last. Empty input gives an empty tuple.

    Raises
    ------
    UsageError
        If gaze and mapped gaze differ in length, or a number is negative.

    Notes
    -----
    Gaps are filled for each eye before both are averaged, or an eye that drops out would look
    like a saccade from the mean to the other eye.
    """
    if len(gaze) != len(mapped):
        raise UsageError(
            f"Expected the gaze that was mapped, but {len(gaze)} and {len(mapped)} samples came."
        )
    if not accuracy_deg >= 0 or sync_uncertainty_us < 0:
        raise UsageError(
            "Accuracy and sync uncertainty are numbers from 0 on, but "
            f"{accuracy_deg} deg and {sync_uncertainty_us} us came."
        )
    p = parameters or IvtParameters()
    interval_us = ivt.typical_interval_us(mapped.t_us)
    if np.isnan(interval_us) or not (mapped.reason == LeftOut.OK).any():
        return ()
    eyes = eye_positions(gaze, display)
    per_degree = screen_px_per_degree(display, eyes.z_mm)
    view = _ViewOfSamples.of(mapped)
    resting = _classify(gaze, mapped, display, eyes, per_degree, view, interval_us, p)
    found = _gather(mapped, view, per_degree, resting, view.cuts(p.content), p)
    return _as_records(mapped, states, view, found, per_degree, accuracy_deg, sync_uncertainty_us)


class _ViewOfSamples(NamedTuple):
    """What the viewer did at each sample; a sample that fell on none keeps the last one."""

    state: IntArray
    segment: IntArray
    pose: IntArray

    @classmethod
    def of(cls, mapped: MappedGaze) -> _ViewOfSamples:
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


def _classify(
    gaze: GazeSamples,
    mapped: MappedGaze,
    display: Display,
    eyes: Eyes,
    per_degree: FloatArray,
    view: _ViewOfSamples,
    interval_us: float,
    p: IvtParameters,
) -> BoolArray:
    """Tell which samples belong to a fixation."""
    t_us = mapped.t_us
    # Slow sources (10 Hz) have longer steps than the longest gap that is filled.
    hole_us = max(p.max_gap_ms * 1000.0, 2.5 * interval_us)
    rate_hz = 1e6 / interval_us
    smooth = rate_hz >= 0.95 * p.smoothing_from_hz
    x, y = _display_mm(gaze, display, t_us, p.max_gap_ms * 1000.0)
    no_cut = np.zeros(len(t_us), dtype=np.bool_)
    stretch = ivt.stretches(t_us, ~np.isnan(x), hole_us, no_cut)
    half = _half_window(p.smoothing_ms, interval_us) if smooth else 0
    x, y = (ivt.moving_average(values, stretch, half) for values in (x, y))
    window = ivt.window_samples(interval_us, p.window_ms)
    with np.errstate(invalid="ignore"):
        speed = ivt.angular_velocity(t_us, x, y, eyes, stretch, window)
        resting = speed < p.threshold_deg_s
    if p.content in ("screen", "split"):
        return resting
    moving = _moving(mapped, view, p.moving_ms * 1000.0)
    if p.content == "image":
        moving = np.ones(len(t_us), dtype=np.bool_)
    if moving.any():
        over_slide = _speed_over_slide(mapped, view, per_degree, interval_us, hole_us, smooth, p)
        np.copyto(resting, over_slide < p.panning_threshold_deg_s, where=moving)
    return resting


def _half_window(length_ms: float, interval_us: float) -> int:
    """Return samples on each side of a moving average, at least one."""
    return max(1, round(length_ms * 500.0 / interval_us)) if length_ms > 0 else 0


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


def _moving(mapped: MappedGaze, view: _ViewOfSamples, margin_us: float) -> BoolArray:
    """Tell at which samples the view pans or turns."""
    views = mapped.views
    if not (np.abs(views.pan_start_us) < 2**61).any():
        return np.zeros(len(mapped), dtype=np.bool_)
    moving = mapped.t_us - views.pan_start_us[view.state] < margin_us
    moving |= views.pan_end_us[view.state] - mapped.t_us < margin_us
    return np.asarray(moving & (view.state >= 0), dtype=np.bool_)


def _speed_over_slide(
    mapped: MappedGaze,
    view: _ViewOfSamples,
    per_degree: FloatArray,
    interval_us: float,
    hole_us: float,
    smooth: bool,
    p: IvtParameters,
) -> FloatArray:
    """Return degrees per second over the slide, NaN where the slide was not looked at."""
    x, y = mapped.image.x.copy(), mapped.image.y.copy()
    cut = view.cuts("view")
    ivt.fill_gaps(mapped.t_us, x, y, p.max_gap_ms * 1000.0)
    stretch = ivt.stretches(mapped.t_us, ~np.isnan(x), hole_us, cut)
    half = _half_window(p.panning_window_ms, interval_us) if smooth else 0
    x, y = (ivt.moving_average(values, stretch, half) for values in (x, y))
    window = ivt.window_samples(interval_us, p.panning_window_ms)
    image_per_degree = per_degree * mapped.views.downsample[view.state]
    return ivt.planar_velocity(mapped.t_us, x, y, image_per_degree, stretch, window)


class _Found(NamedTuple):
    """Fixations as columns; first and last are sample numbers."""

    first: IntArray
    last: IntArray
    samples: IntArray
    x: FloatArray
    y: FloatArray
    spread: FloatArray


def _gather(
    mapped: MappedGaze,
    view: _ViewOfSamples,
    per_degree: FloatArray,
    resting: BoolArray,
    cut: BoolArray,
    p: IvtParameters,
) -> _Found:
    """Join resting samples to fixations: runs, then merge, then discard."""
    starts, ends = ivt.runs(resting, cut)
    on_slide = np.flatnonzero(resting & (mapped.reason == LeftOut.OK))
    low = np.searchsorted(on_slide, starts)
    high = np.searchsorted(on_slide, ends)
    low, high = low[high > low], high[high > low]
    if not len(low):
        nothing = np.zeros(0)
        whole = np.zeros(0, dtype=np.int64)
        return _Found(whole, whole, whole, nothing, nothing, nothing)
    xs, ys, t_us = mapped.image.x[on_slide], mapped.image.y[on_slide], mapped.t_us[on_slide]
    count = high - low
    first = on_slide[low]
    radius = p.merge_angle_deg * per_degree[first] * mapped.downsample[first]
    # Gaze on the screen alone does not know that the view changed.
    group = view.segment[first] if p.content != "split" else view.pose[first]
    joined = ivt.merge_runs(
        t_us[low],
        t_us[high - 1],
        np.add.reduceat(xs, low) / count,
        np.add.reduceat(ys, low) / count,
        count,
        group if p.content != "screen" else np.zeros_like(group),
        radius,
        p.merge_gap_ms * 1000.0,
    )
    new = np.flatnonzero(np.diff(joined, prepend=-1))
    low, high = low[new], np.append(high[new[1:] - 1], high[-1])
    long_enough = (t_us[high - 1] - t_us[low] >= p.min_duration_ms * 1000.0) & (high - low >= 2)
    return _measure(on_slide, xs, ys, low, high, long_enough)


def _measure(
    on_slide: IntArray,
    xs: FloatArray,
    ys: FloatArray,
    low: IntArray,
    high: IntArray,
    keep: BoolArray,
) -> _Found:
    """Average and spread of every fixation over its samples on the slide."""
    count = high - low
    mean_x, mean_y = (np.add.reduceat(values, low) / count for values in (xs, ys))
    which = np.repeat(np.arange(len(low)), count)
    squares = (xs - mean_x[which]) ** 2 + (ys - mean_y[which]) ** 2
    spread = np.sqrt(np.add.reduceat(squares, low) / count)
    return _Found(
        on_slide[low][keep],
        on_slide[high - 1][keep],
        count[keep],
        mean_x[keep],
        mean_y[keep],
        spread[keep],
    )


def _as_records(
    mapped: MappedGaze,
    states: Sequence[ViewerState],
    view: _ViewOfSamples,
    found: _Found,
    per_degree: FloatArray,
    accuracy_deg: float,
    sync_uncertainty_us: int,
) -> tuple[Fixation, ...]:
    views = mapped.views
    middle = (found.first + found.last) // 2
    downsample = views.downsample[view.state[found.first]]
    accuracy = accuracy_deg * per_degree[middle] * downsample
    panning = view.pose[found.first] != view.pose[found.last]
    near = np.zeros(len(middle), dtype=np.bool_)
    for sample in (found.first, found.last):
        at, row = mapped.t_us[sample], view.state[sample]
        near |= at - views.change_start_us[row] <= sync_uncertainty_us
        near |= views.change_end_us[row] - at <= sync_uncertainty_us
    records = []
    for i, (first, last) in enumerate(zip(found.first.tolist(), found.last.tolist(), strict=True)):
        state = int(view.state[first])
        records.append(
            Fixation(
                start_us=int(mapped.t_us[first]),
                end_us=int(mapped.t_us[last]),
                x_image_px=float(found.x[i]),
                y_image_px=float(found.y[i]),
                spread_image_px=float(found.spread[i]),
                accuracy_image_px=float(accuracy[i]),
                downsample=float(downsample[i]),
                samples=int(found.samples[i]),
                image=image_of(states, state),
                z=states[state].z,
                t=states[state].t,
                motion="panning" if panning[i] else "static",
                near_view_change=bool(near[i]),
            )
        )
    return tuple(records)
