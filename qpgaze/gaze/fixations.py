"""Fixations on a slide that zooms, pans and turns under the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qpgaze.errors import UsageError
from qpgaze.frames import FloatArray, IntArray
from qpgaze.gaze import ivt
from qpgaze.gaze.degrees import eye_positions, screen_px_per_degree
from qpgaze.gaze.mapping import LeftOut, MappedGaze
from qpgaze.gaze.parameters import IvtParameters
from qpgaze.gaze.resting import Resting, ViewOfSamples, classify
from qpgaze.gaze.views import BoolArray, image_of
from qpgaze.model import Fixation
from qpgaze.samples import GazeSamples
from qpgaze.viewing import Display, ViewerState


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
    if np.isnan(ivt.typical_interval_us(mapped.t_us)) or not (mapped.reason == LeftOut.OK).any():
        return ()
    eyes = eye_positions(gaze, display)
    per_degree = screen_px_per_degree(display, eyes.z_mm)
    view = ViewOfSamples.of(mapped)
    resting = classify(gaze, mapped, display, eyes, per_degree, view, p)
    found = _gather(mapped, view, per_degree, resting, p)
    return _as_records(mapped, states, view, found, per_degree, accuracy_deg, sync_uncertainty_us)


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
    view: ViewOfSamples,
    per_degree: FloatArray,
    rest: Resting,
    p: IvtParameters,
) -> _Found:
    """Join resting samples to fixations: runs, then merge, then discard."""
    starts, ends = ivt.runs(rest.resting, view.cuts(p.content))
    on_slide = np.flatnonzero(rest.resting & (mapped.reason == LeftOut.OK))
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
    degree = per_degree[first] * mapped.downsample[first]
    # Gaze on the screen alone does not know that the view changed.
    group = view.segment[first] if p.content != "split" else view.pose[first]
    joined = ivt.merge_runs(
        t_us[low],
        t_us[high - 1],
        np.add.reduceat(xs, low) / count,
        np.add.reduceat(ys, low) / count,
        count,
        group if p.content != "screen" else np.zeros_like(group),
        p.merge_angle_deg * degree,
        p.merge_gap_ms * 1000.0,
        noise=p.merge_noise * rest.noise_deg * degree,
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
    view: ViewOfSamples,
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
