"""Area averaging on a pixel grid that may start and end inside source pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]


def _average_rows(
    pixels: npt.NDArray[Any], start: float, step: float, n: int
) -> npt.NDArray[np.float32]:
    """Average along axis 0 over the intervals [start + i step, start + (i + 1) step)."""
    edges = start + step * np.arange(n + 1)
    low, high = edges[:-1], edges[1:]
    first = np.floor(low).astype(np.int64)
    total = np.zeros((n, *pixels.shape[1:]), dtype=np.float32)
    tail = (1,) * (pixels.ndim - 1)
    # One pass for each source row that an interval may hold: many rows at once, few passes.
    for k in range(math.ceil(step) + 1):
        row = first + k
        share = np.clip(np.minimum(high, row + 1) - np.maximum(low, row), 0.0, None) / step
        if share.any():
            weight = share.astype(np.float32).reshape(-1, *tail)
            total += weight * pixels[np.minimum(row, len(pixels) - 1)]
    return total


def area_average(pixels: Rgb, x: float, y: float, step: float, width: int, height: int) -> Rgb:
    """Resample by the mean over each target pixel's own area of the source.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        The source; it must cover the target's area.
    x, y : float
        Upper left corner of the first target pixel, source pixels.
    step : float
        Side of a target pixel, source pixels.
    width, height : int
        Size of the target.

    Returns
    -------
    (height, width, 3) uint8
        Halves are rounded up.

    Notes
    -----
    Pillow's BOX filter gives each source pixel the weight 0 or 1 and so shifts edges by up to
    half a pixel; here a source pixel that is cut by an edge counts by its share.

    Examples
    --------
    >>> import numpy as np
    >>> row = np.array([[[0] * 3, [100] * 3, [200] * 3]], dtype=np.uint8)
    >>> area_average(np.repeat(row, 3, axis=0), 0.5, 0, 2.0, 1, 1).tolist()
    [[[100, 100, 100]]]
    """
    if step == 1.0 and x.is_integer() and y.is_integer():
        return np.ascontiguousarray(pixels[int(y) : int(y) + height, int(x) : int(x) + width])
    if step.is_integer() and x.is_integer() and y.is_integer():
        from PIL import Image

        factor = int(step)
        box = (int(x), int(y), int(x) + factor * width, int(y) + factor * height)
        return np.asarray(Image.fromarray(pixels).reduce(factor, box))
    rows = _average_rows(pixels, y, step, height)
    columns = _average_rows(np.moveaxis(rows, 1, 0), x, step, width)
    mean = np.floor(np.moveaxis(columns, 0, 1) + 0.5).clip(0, 255)
    return np.asarray(mean, dtype=np.uint8)
