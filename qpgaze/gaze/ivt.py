"""Velocity-threshold classification on plain arrays: stamps in us, places in any one length unit.

The steps of Tobii's I-VT filter (Olsen 2012, "The Tobii I-VT Fixation Filter: Algorithm
description"), each a function of its own. Stamps may jitter and rows may be missing: a *stretch*
is a row of samples without NaN and without a hole in time, and nothing reaches over its ends.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from qpgaze.frames import FloatArray, IntArray
from qpgaze.gaze.degrees import Eyes, angle_deg
from qpgaze.gaze.views import BoolArray


def typical_interval_us(t_us: IntArray) -> float:
    """Return the interval at which samples come, holes in the recording aside.

    Parameters
    ----------
    t_us : (n,) int64
        In time order.

    Returns
    -------
    float
        Microseconds, NaN for fewer than two different stamps.

    Notes
    -----
    Olsen takes the mean of the first 100 samples; one hole there would widen every window. This
    is the mean of all intervals of at most twice the median.

    Examples
    --------
    >>> import numpy as np
    >>> typical_interval_us(np.array([0, 8000, 17000, 25000, 900000]))
    8333.333333333334
    """
    gaps = np.diff(t_us)
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return float("nan")
    return float(gaps[gaps <= 2 * np.median(gaps)].mean())


def runs(mask: BoolArray, cut: BoolArray | None = None) -> tuple[IntArray, IntArray]:
    """Find the rows of True.

    Parameters
    ----------
    mask : (n,) bool
    cut : (n,) bool, optional
        True where a run ends before this place and another begins.

    Returns
    -------
    starts, ends : (r,) int64
        A run is ``mask[start:end]``.

    Examples
    --------
    >>> import numpy as np
    >>> runs(np.array([0, 1, 1, 0, 1], bool))
    (array([1, 4]), array([3, 5]))
    """
    before = np.concatenate([[False], mask[:-1]]) if len(mask) else mask
    after = np.concatenate([mask[1:], [False]]) if len(mask) else mask
    starts, ends = mask & ~before, mask & ~after
    if cut is not None and len(mask):
        starts = starts | (mask & cut)
        ends = ends | (mask & np.concatenate([cut[1:], [False]]))
    return np.flatnonzero(starts), np.flatnonzero(ends) + 1


def fill_gaps(t_us: IntArray, x: FloatArray, y: FloatArray, max_gap_us: float) -> None:
    """Fill short gaps on a straight line, in place.

    Parameters
    ----------
    t_us : (n,) int64
    x, y : (n,) float64
        NaN in the same places. Changed.
    max_gap_us : float
        From the last sample before a gap to the first one after it. NaN at the recording's ends
        has only one neighbour and stays.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([np.nan, 0, np.nan, 4]); y = x.copy()
    >>> fill_gaps(np.array([0, 10, 20, 30]), x, y, 75)
    >>> x
    array([nan,  0.,  2.,  4.])
    """
    starts, ends = runs(np.isnan(x))
    bounded = (starts > 0) & (ends < len(x))
    starts, ends = starts[bounded], ends[bounded]
    short = t_us[ends] - t_us[starts - 1] <= max_gap_us
    starts, ends = starts[short], ends[short]
    if not len(starts):
        return
    length = ends - starts
    inside = np.repeat(starts - np.cumsum(length) + length, length) + np.arange(length.sum())
    low, high = np.repeat(starts - 1, length), np.repeat(ends, length)
    span = np.maximum(t_us[high] - t_us[low], 1)
    part = (t_us[inside] - t_us[low]) / span
    for values in (x, y):
        values[inside] = values[low] + part * (values[high] - values[low])


def stretches(t_us: IntArray, valid: BoolArray, max_gap_us: float, cut: BoolArray) -> IntArray:
    """Give a number to each stretch in which samples follow each other without a gap.

    Parameters
    ----------
    t_us : (n,) int64
    valid : (n,) bool
    max_gap_us : float
        Rows further apart than this belong to two stretches.
    cut : (n,) bool
        True where a new stretch must begin.

    Returns
    -------
    (n,) int64
        -1 where not valid. Equal numbers lie side by side.
    """
    begins = np.ones(len(t_us), dtype=np.bool_)
    begins[1:] = (np.diff(t_us) > max_gap_us) | (valid[1:] != valid[:-1]) | cut[1:]
    return np.where(valid, np.cumsum(begins), -1)


def moving_average(values: FloatArray, stretch: IntArray, half: int) -> FloatArray:
    """Average over a window that shrinks on both sides alike where a stretch ends.

    Parameters
    ----------
    values : (n,) float64
    stretch : (n,) int64
        From :func:`stretches`.
    half : int
        Samples on each side; the window holds ``2 half + 1``.

    Returns
    -------
    (n,) float64
        NaN outside any stretch.

    Examples
    --------
    >>> import numpy as np
    >>> moving_average(np.array([0., 3, 6, 0]), np.array([1, 1, 1, 1]), 1)
    array([0., 3., 3., 0.])
    """
    n = len(values)
    if half < 1 or n == 0:
        return np.where(stretch >= 0, values, np.nan)
    inside = stretch >= 0
    total = np.concatenate([[0.0], np.cumsum(np.where(inside, values, 0.0))])
    smooth = np.where(inside, values, np.nan)
    width = 2 * half + 1
    if n >= width:
        whole = (stretch[width - 1 :] == stretch[: n - width + 1]) & inside[: n - width + 1]
        mean = (total[width:] - total[:-width]) / width
        np.copyto(smooth[half : n - half], mean, where=whole)
    else:
        whole = np.zeros(0, dtype=np.bool_)
    edge = inside.copy()
    edge[half : half + len(whole)] &= ~whole
    i = np.flatnonzero(edge)
    starts, ends = runs(inside, np.concatenate([[True], stretch[1:] != stretch[:-1]]))
    at = np.searchsorted(starts, i, side="right") - 1
    reach = np.minimum(half, np.minimum(i - starts[at], ends[at] - 1 - i))
    smooth[i] = (total[i + reach + 1] - total[i - reach]) / (2 * reach + 1)
    return smooth


def window_samples(interval_us: float, window_ms: float) -> int:
    """Return how many samples a velocity window spans: its length in intervals, plus one.

    Examples
    --------
    >>> [window_samples(1e6 / rate, 20.0) for rate in (60, 120, 300, 1200)]
    [2, 3, 7, 25]
    """
    return max(2, round(window_ms * 1000.0 / interval_us) + 1)


def noise(x: FloatArray, y: FloatArray) -> float:
    """Estimate the noise of one axis from how far each sample lies from the next.

    Parameters
    ----------
    x, y : (n,) float64
        NaN where not valid.

    Returns
    -------
    float
        Standard deviation of one axis in the unit of x and y; 0 where there are no neighbours.

    Notes
    -----
    Independent normal noise of SD s gives steps with a Rayleigh distribution, whose median is
    ``s sqrt(2) sqrt(2 ln 2)``. The median ignores saccades, which are few.
    """
    step = np.hypot(np.diff(x), np.diff(y))
    step = step[~np.isnan(step)]
    return float(np.median(step)) / (2.0 * math.sqrt(math.log(2.0))) if len(step) else 0.0


def noise_speed(noise_deg: float, interval_us: float, half: int, window: int) -> float:
    """Return the speed that noise feigns (SD of one axis, degrees per second).

    Parameters
    ----------
    noise_deg : float
        Standard deviation of one axis.
    interval_us : float
    half, window : int
        As for :func:`moving_average` and :func:`angular_velocity`.

    Examples
    --------
    >>> round(noise_speed(0.3, 1e6 / 120, half=1, window=3), 1)
    12.0
    """
    width, apart = 2 * half + 1, window - 1
    # Two averages share the samples in which they overlap; those cancel.
    moved = noise_deg * math.sqrt(2.0 * min(width, apart)) / width
    return moved / (apart * interval_us * 1e-6)


def angular_velocity(
    t_us: IntArray, x_mm: FloatArray, y_mm: FloatArray, eyes: Eyes, stretch: IntArray, window: int
) -> FloatArray:
    """Compute how fast gaze moves over the display, seen from the eye.

    Parameters
    ----------
    t_us : (n,) int64
    x_mm, y_mm : (n,) float64
        Display plane.
    eyes : Eyes
    stretch : (n,) int64
        From :func:`stretches`.
    window : int
        Samples from the first to the last point, both counted.

    Returns
    -------
    (n,) float64
        Degrees per second; NaN within half a window of a stretch's ends and outside any.

    Notes
    -----
    First to last gaze point over their time difference, seen from the eye position of the middle
    sample (Olsen 2012). Two equal stamps count as one microsecond apart.
    """
    n, first = len(t_us), window // 2
    velocity = np.full(n, np.nan)
    if n < window:
        return velocity
    low, high = slice(0, n - window + 1), slice(window - 1, n)
    middle = slice(first, first + n - window + 1)
    eye = (eyes.x_mm[middle], eyes.y_mm[middle], eyes.z_mm[middle])
    angle = angle_deg(x_mm[low], y_mm[low], x_mm[high], y_mm[high], eye)
    speed = angle * (1e6 / np.maximum(t_us[high] - t_us[low], 1))
    whole = (stretch[low] == stretch[high]) & (stretch[low] >= 0)
    np.copyto(velocity[middle], speed, where=whole)
    return velocity


def planar_velocity(
    t_us: IntArray,
    x: FloatArray,
    y: FloatArray,
    per_degree: FloatArray,
    stretch: IntArray,
    window: int,
) -> FloatArray:
    """Compute how fast gaze moves over the slide, in degrees at the present zoom.

    Parameters
    ----------
    t_us : (n,) int64
    x, y : (n,) float64
        Image px (or any length).
    per_degree : (n,) float64
        The same length per degree of visual angle.
    stretch : (n,) int64
        From :func:`stretches`.
    window : int
        Samples from the first to the last point, both counted.

    Returns
    -------
    (n,) float64
        Degrees per second; NaN where the window leaves its stretch.
    """
    n, first = len(t_us), window // 2
    velocity = np.full(n, np.nan)
    if n < window:
        return velocity
    low, high = slice(0, n - window + 1), slice(window - 1, n)
    middle = slice(first, first + n - window + 1)
    distance = np.hypot(x[high] - x[low], y[high] - y[low]) / per_degree[middle]
    speed = distance * (1e6 / np.maximum(t_us[high] - t_us[low], 1))
    whole = (stretch[low] == stretch[high]) & (stretch[low] >= 0)
    np.copyto(velocity[middle], speed, where=whole)
    return velocity


def merge_runs(
    start_us: npt.ArrayLike,
    end_us: npt.ArrayLike,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    weight: npt.ArrayLike,
    group: npt.ArrayLike,
    radius: npt.ArrayLike,
    max_gap_us: float,
    *,
    noise: npt.ArrayLike = 0.0,
) -> IntArray:
    """Join neighbours that are close in time and in place.

    Parameters
    ----------
    start_us, end_us : (r,) array_like, in time order
    x, y, weight : (r,) array_like
        Their centres and numbers of samples; joined ones centre on the mean of all samples.
    group, radius : (r,) array_like
        Only members of one group join; how far apart two centres may lie, in the unit of x and y.
    max_gap_us : float
        The gap between them must be shorter.
    noise : (r,) array_like or float
        SD of one sample; by their standard error centres may lie further apart.

    Returns
    -------
    (r,) int64
        Which of the joined ones each belongs to, from 0, never falling.

    Examples
    --------
    >>> merge_runs([0, 100, 300], [50, 150, 350], [0, 1, 1], [0] * 3, [5] * 3, [0] * 3, [2] * 3, 75)
    array([0, 0, 1])
    """
    columns: list[list[Any]] = [
        np.asarray(column).tolist() for column in (start_us, end_us, x, y, weight, group, radius)
    ]
    columns.append(np.broadcast_to(noise, len(columns[0])).tolist())
    joined: list[int] = []
    end = mx = my = total = 0.0
    last_group = None
    number = -1
    for start, stop, px, py, n, g, limit, sd in zip(*columns, strict=True):
        near = (
            g == last_group
            and start - end < max_gap_us
            and (px - mx) ** 2 + (py - my) ** 2 <= limit * limit + sd * sd * (1.0 / n + 1.0 / total)
        )
        if near:
            total += n
            mx += (px - mx) * n / total
            my += (py - my) * n / total
        else:
            number += 1
            mx, my, total, last_group = px, py, n, g
        end = stop
        joined.append(number)
    return np.array(joined, dtype=np.int64)
