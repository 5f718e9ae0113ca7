"""A sum of truncated Gaussians over a whole slide that is never held in memory.

Three facts make it cheap. The mean over pixels that are not zero needs no pixels: the sum is that
of the kernels, the count is the area of the union of their windows. Where the sum can exceed a
threshold is bounded on a coarse grid. And inside a block the sum is one matrix product, because
the kernel is separable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qpgaze.frames import FloatArray, IntArray
from qpgaze.refine.stitch import Stitcher

_SUPER_PX = 4096
"""Side of the squares in which union area and bounds are worked out."""
_CELL_PX = 16
"""Side of the cells of the bound; small against sigma, or the bound is loose."""
_BLOCK_CELLS = 16
"""Side of a block that is evaluated pixel by pixel, in cells: 256 px, 0.5 MB of float64."""


@dataclass(frozen=True)
class Blob:
    """A connected set of pixels above the threshold (8 neighbours).

    Parameters
    ----------
    box_image_px : (x0, y0, x1, y1)
        Bounds of its pixels' areas, level-0 pixels.
    points : (n,) int64
        Indices of the points whose pixel belongs to it.
    """

    box_image_px: tuple[int, int, int, int]
    points: IntArray


class HeatField:
    """Gaussians at integer pixels, summed over a slide.

    Parameters
    ----------
    xy : (n, 2) int64
        Pixels (column, row) of the points, all on the slide.
    width_px, height_px : int
        Size of the slide, level-0 pixels.
    window_px : int
        Side of the square in which a point's Gaussian is counted: ``-window // 2`` to
        ``window - window // 2 - 1`` around it.
    sigma_px : float
    """

    def __init__(
        self, xy: IntArray, width_px: int, height_px: int, *, window_px: int, sigma_px: float
    ) -> None:
        self.size = (width_px, height_px)
        self.sigma = sigma_px
        self.before = window_px // 2
        self.after = window_px - self.before
        self._line = np.exp(-0.5 * (np.arange(-self.before, self.after) / sigma_px) ** 2)
        # The same pixel counts as often as it was looked at.
        unique, self._index, counts = np.unique(xy, axis=0, return_inverse=True, return_counts=True)
        self._index = self._index.reshape(-1)
        self.xy: IntArray = unique
        self.counts: FloatArray = counts.astype(np.float64)
        self._buckets = _bucket(self.xy, _SUPER_PX)

    def _near(self, x0: int, y0: int, x1: int, y1: int) -> IntArray:
        """Return the points whose window touches [x0, x1) x [y0, y1)."""
        low_x, high_x = (x0 - self.after + 1) // _SUPER_PX, (x1 + self.before) // _SUPER_PX
        low_y, high_y = (y0 - self.after + 1) // _SUPER_PX, (y1 + self.before) // _SUPER_PX
        some = [
            self._buckets[column, row]
            for row in range(low_y, high_y + 1)
            for column in range(low_x, high_x + 1)
            if (column, row) in self._buckets
        ]
        if not some:
            return np.empty(0, dtype=np.int64)
        near = np.concatenate(some)
        x, y = self.xy[near, 0], self.xy[near, 1]
        keep = (x > x0 - self.after) & (x < x1 + self.before)
        keep &= (y > y0 - self.after) & (y < y1 + self.before)
        return np.asarray(near[keep])

    def mean_of_nonzero(self) -> float:
        """Return the mean over all pixels of the slide that any window covers; 0 for no points."""
        if not len(self.xy):
            return 0.0
        mass = self.counts.copy()
        below = np.concatenate([[0.0], np.cumsum(self._line)])
        for axis, size in enumerate(self.size):
            at = self.xy[:, axis]
            first = np.maximum(0, self.before - at)
            last = np.minimum(self.before + self.after, size - at + self.before)
            mass *= below[last] - below[first]
        area = sum(self._union_area(*square) for square in self._squares())
        return float(mass.sum() / area)

    def _squares(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the squares of the slide that some window touches, row by row."""
        low = np.maximum(self.xy - self.before, 0) // _SUPER_PX
        high = np.minimum(self.xy + self.after - 1, np.array(self.size) - 1) // _SUPER_PX
        touched: set[tuple[int, int]] = set()
        for corner_x in (low[:, 0], high[:, 0]):
            for corner_y in (low[:, 1], high[:, 1]):
                touched.update(zip(corner_y.tolist(), corner_x.tolist(), strict=True))
        if self.before + self.after > _SUPER_PX:  # windows wider than a square touch more
            for (x_low, y_low), (x_high, y_high) in zip(low.tolist(), high.tolist(), strict=True):
                touched.update(
                    (r, c) for r in range(y_low, y_high + 1) for c in range(x_low, x_high + 1)
                )
        for row, column in sorted(touched):
            x0, y0 = column * _SUPER_PX, row * _SUPER_PX
            yield x0, y0, min(x0 + _SUPER_PX, self.size[0]), min(y0 + _SUPER_PX, self.size[1])

    def _union_area(self, x0: int, y0: int, x1: int, y1: int) -> int:
        """Count the pixels of a square that any window covers, on the grid of window edges."""
        points = self.xy[self._near(x0, y0, x1, y1)]
        low_x, high_x = _clip_edges(points[:, 0], self.before, self.after, x0, x1)
        low_y, high_y = _clip_edges(points[:, 1], self.before, self.after, y0, y1)
        edges_x, edges_y = np.unique([low_x, high_x]), np.unique([low_y, high_y])
        cover = np.zeros((len(edges_y), len(edges_x)), dtype=np.int32)
        left, right = np.searchsorted(edges_x, low_x), np.searchsorted(edges_x, high_x)
        top, bottom = np.searchsorted(edges_y, low_y), np.searchsorted(edges_y, high_y)
        for rows, columns, sign in (
            (top, left, 1),
            (top, right, -1),
            (bottom, left, -1),
            (bottom, right, 1),
        ):
            np.add.at(cover, (rows, columns), sign)
        np.cumsum(cover, axis=0, out=cover)
        np.cumsum(cover, axis=1, out=cover)
        covered = cover[:-1, :-1] > 0
        return int(np.diff(edges_y) @ (covered @ np.diff(edges_x)))

    def evaluate(self, x0: int, y0: int, x1: int, y1: int) -> FloatArray:
        """Return the sum at the pixels of [x0, x1) x [y0, y1), (y1 - y0, x1 - x0) float64."""
        near = self._near(x0, y0, x1, y1)
        rows = self._kernels(y0, y1, self.xy[near, 1]) * self.counts[near, None]
        columns = self._kernels(x0, x1, self.xy[near, 0])
        # Not `@`: its threads cost more than they give on products this small.
        return np.asarray(np.einsum("ny,nx->yx", rows, columns))

    def _kernels(self, low: int, high: int, at: IntArray) -> FloatArray:
        """Return the kernel of each point at [low, high) along one axis, (n, high - low)."""
        from numpy.lib.stride_tricks import sliding_window_view

        size = high - low
        line = np.zeros(2 * size + self.before + self.after)
        line[size : size + len(self._line)] = self._line
        # Every point reaches into [low, high), so each window lies within the padded line.
        return np.asarray(sliding_window_view(line, size)[low - at + self.before + size])

    def _bound(self, x0: int, y0: int, x1: int, y1: int) -> FloatArray:
        """Return a value per cell that no pixel of the cell exceeds."""
        columns, rows = -(-(x1 - x0) // _CELL_PX), -(-(y1 - y0) // _CELL_PX)
        reach = max(self.before, self.after) // _CELL_PX + 1
        near = self._near(x0, y0, x1, y1)
        column = (self.xy[near, 0] - x0) // _CELL_PX + reach
        row = (self.xy[near, 1] - y0) // _CELL_PX + reach
        grid = np.zeros((rows + 2 * reach, columns + 2 * reach))
        np.add.at(grid, (row, column), self.counts[near])
        # A point and a pixel whose cells are k apart are at least (k - 1) cells + 1 px apart.
        gap = np.maximum(np.abs(np.arange(-reach, reach + 1)) - 1, 0) * _CELL_PX
        loose = np.exp(-0.5 * (gap / self.sigma) ** 2)
        from numpy.lib.stride_tricks import sliding_window_view

        down = sliding_window_view(grid, len(loose), axis=0) @ loose
        bound: FloatArray = sliding_window_view(down, len(loose), axis=1) @ loose
        return bound

    def blobs(
        self, threshold: float, *, progress: Callable[[int, int], None] | None = None
    ) -> list[Blob]:
        """Return the connected pixels above a threshold, by their upper left corners.

        Parameters
        ----------
        threshold : float
        progress : callable, optional
            Called with squares done and squares in all.
        """
        stitched = Stitcher()
        squares = list(self._squares())
        point_part = np.full(len(self.xy), -1, dtype=np.int64)
        for n, (x0, y0, x1, y1) in enumerate(squares):
            hot = self._bound(x0, y0, x1, y1) > threshold
            for block in _hot_blocks(hot):
                bx0, by0 = x0 + block[0] * _CELL_PX, y0 + block[1] * _CELL_PX
                bx1 = min(x0 + block[2] * _CELL_PX, x1)
                by1 = min(y0 + block[3] * _CELL_PX, y1)
                mask = self.evaluate(bx0, by0, bx1, by1) > threshold
                parts = stitched.add(mask, bx0, by0)
                if parts is not None:
                    here = self._near(bx0, by0, bx1, by1)
                    x, y = self.xy[here, 0] - bx0, self.xy[here, 1] - by0
                    on = (x >= 0) & (y >= 0) & (x < bx1 - bx0) & (y < by1 - by0)
                    point_part[here[on]] = parts[y[on], x[on]]
            if progress:
                progress(n + 1, len(squares))
        groups, boxes = stitched.finish()
        group = np.append(groups, -1)[point_part][self._index]
        blobs = [Blob(box, np.flatnonzero(group == g)) for g, box in boxes.items()]
        return sorted(blobs, key=lambda blob: (blob.box_image_px[1], blob.box_image_px[0]))


def _bucket(xy: IntArray, side: int) -> dict[tuple[int, int], IntArray]:
    """Group points by the square they lie in: (column, row) -> indices."""
    if not len(xy):
        return {}
    squares, inverse = np.unique(xy // side, axis=0, return_inverse=True)
    order = np.argsort(inverse.reshape(-1), kind="stable")
    starts = np.searchsorted(inverse.reshape(-1)[order], np.arange(1, len(squares)))
    pieces = np.split(order, starts)
    return {
        (int(column), int(row)): piece for (column, row), piece in zip(squares, pieces, strict=True)
    }


def _clip_edges(
    at: IntArray, before: int, after: int, low: int, high: int
) -> tuple[IntArray, IntArray]:
    return np.clip(at - before, low, high), np.clip(at + after, low, high)


def _hot_blocks(hot: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int, int, int]]:
    """Yield cell ranges (x0, y0, x1, y1) that hold all hot cells, none wider than a block."""
    rows = np.flatnonzero(hot.any(axis=1))
    for row in np.unique(rows // _BLOCK_CELLS) * _BLOCK_CELLS:
        band = hot[row : row + _BLOCK_CELLS]
        columns = np.flatnonzero(band.any(axis=0))
        for column in np.unique(columns // _BLOCK_CELLS) * _BLOCK_CELLS:
            ys, xs = np.nonzero(band[:, column : column + _BLOCK_CELLS])
            yield (
                int(column + xs.min()),
                int(row + ys.min()),
                int(column + xs.max() + 1),
                int(row + ys.max() + 1),
            )
