"""Connected components over blocks that are seen one after the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qpgaze.frames import IntArray

Box = tuple[int, int, int, int]


class Stitcher:
    """Labels the pixels of blocks and joins what touches across their edges (8 neighbours).

    Blocks may have any place and size but must not overlap. Of each block only the outermost
    pixels are kept.
    """

    def __init__(self) -> None:
        self._boxes: list[Box] = []
        self._edges: list[IntArray] = []

    def add(self, mask: npt.NDArray[np.bool_], x0: int, y0: int) -> IntArray | None:
        """Take one block.

        Parameters
        ----------
        mask : (h, w) bool
        x0, y0 : int
            Place of its first pixel.

        Returns
        -------
        (h, w) int64 or None
            Number of each pixel's part, -1 where the mask is false; None where it is all false.
        """
        if not mask.any():
            return None
        from scipy import ndimage

        labels, _count = ndimage.label(mask, structure=np.ones((3, 3)))
        first = len(self._boxes)
        for rows, columns in ndimage.find_objects(labels):
            self._boxes.append(
                (x0 + columns.start, y0 + rows.start, x0 + columns.stop, y0 + rows.stop)
            )
        parts: IntArray = labels.astype(np.int64) + (first - 1)
        parts[labels == 0] = -1
        rim = np.zeros(mask.shape, dtype=bool)
        rim[[0, -1]] = True
        rim[:, [0, -1]] = True
        y, x = np.nonzero(rim & mask)
        self._edges.append(np.column_stack([x + x0, y + y0, parts[y, x]]))
        return parts

    def finish(self) -> tuple[IntArray, dict[int, Box]]:
        """Join all parts.

        Returns
        -------
        (n,) int64
            The component of each part.
        dict
            Bounds x0, y0, x1, y1 of each component.
        """
        n = len(self._boxes)
        if not n:
            return np.empty(0, dtype=np.int64), {}
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        a, b = self._touching()
        links = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n))
        count, component = connected_components(links, directed=False)
        boxes = np.array(self._boxes)
        low = np.full((count, 2), np.iinfo(np.int64).max)
        high = np.full((count, 2), np.iinfo(np.int64).min)
        np.minimum.at(low, component, boxes[:, :2])
        np.maximum.at(high, component, boxes[:, 2:])
        joined = np.hstack([low, high]).tolist()
        return component.astype(np.int64), {
            g: (b[0], b[1], b[2], b[3]) for g, b in enumerate(joined)
        }

    def _touching(self) -> tuple[IntArray, IntArray]:
        """Return pairs of parts with neighbouring rim pixels."""
        rim = np.concatenate(self._edges)
        if not len(rim):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        # One number per pixel, rows far enough apart that neighbours never wrap around.
        stride = int(rim[:, 0].max()) + 3
        key = rim[:, 1] * stride + rim[:, 0] + 1
        order = np.argsort(key)
        key, part = key[order], rim[order, 2]
        pairs_a, pairs_b = [], []
        for step in (1, stride - 1, stride, stride + 1):
            at = np.searchsorted(key, key + step)
            at[at == len(key)] = 0
            hit = key[at] == key + step
            pairs_a.append(part[hit])
            pairs_b.append(part[at[hit]])
        return np.concatenate(pairs_a), np.concatenate(pairs_b)
