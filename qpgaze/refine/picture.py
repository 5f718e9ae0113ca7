"""What the picture says of an ellipse: how its inside differs from a ring around it.

Colour (optical densities) and texture (how much they vary nearby) on a small grid around each
label. Two scores: *contrast* knows nothing of the class, *appearance* has seen what the session's
labels of the class look like inside and around.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qpgaze.frames import FloatArray
from qpgaze.refine.ellipses import Ellipses, unit_disc, unit_ring
from qpgaze.slides.protocol import Slide

GRID = 112
"""Cells of a patch per side: an object fills some 35 of them, so edges are known to 3 %."""
_FINE = 3
"""Pixels per cell and side that are read; texture is what varies within and beside cells."""
_POINTS = 96
_RING = (1.0, 1.4)
"""Radii of the ring: nearly as much area as the inside."""
_FLOOR = 0.02
"""Differences in optical density below this are noise of cameras and compression."""


@dataclass(frozen=True, eq=False)
class Patch:
    """Features around one label.

    Parameters
    ----------
    x0_image_px, y0_image_px : float
        Upper left corner.
    cell_px : float
        Side of a cell, level-0 pixels.
    features : (GRID * GRID, f) float32
        Rows of the grid after each other.
    """

    x0_image_px: float
    y0_image_px: float
    cell_px: float
    features: npt.NDArray[np.float32]

    def cells(self, points: FloatArray) -> npt.NDArray[np.int64]:
        """Return the cell of each point (m, k, 2), clipped to the patch, (m, k)."""
        column = np.clip((points[:, :, 0] - self.x0_image_px) / self.cell_px, 0, GRID - 1)
        row = np.clip((points[:, :, 1] - self.y0_image_px) / self.cell_px, 0, GRID - 1)
        return row.astype(np.int64) * GRID + column.astype(np.int64)


def read_patch(slide: Slide, x: float, y: float, half_px: float, seen_downsample: float) -> Patch:
    """Read the surroundings of a place and compute their features.

    Parameters
    ----------
    slide : Slide
    x, y : float
        Middle, level-0 pixels.
    half_px : float
        Half of the side.
    seen_downsample : float
        Finer detail than the reader saw is not looked at.

    Raises
    ------
    SlideError
        If the pixels cannot be read.
    """
    cell = max(2.0 * half_px / GRID, 1.0)
    fine = _FINE if cell >= _FINE * max(1.0, seen_downsample) else 1
    half = cell * GRID / 2
    pixels = _read_mirrored(slide, x - half, y - half, cell / fine, GRID * fine)
    return Patch(x - half, y - half, cell, _features(pixels, fine))


def _read_mirrored(
    slide: Slide, x0: float, y0: float, step: float, n: int
) -> npt.NDArray[np.uint8]:
    """Read n x n pixels; beyond the slide its picture is mirrored, for white would stand out."""
    spans = []
    for start, size in ((x0, slide.width_px), (y0, slide.height_px)):
        first = min(max(math.ceil(-start / step), 0), n - 1)
        last = max(min(math.floor((size - start) / step), n), first + 1)
        spans.append((first, last))
    (left, right), (top, bottom) = spans
    pixels = slide.read(
        x0 + left * step,
        y0 + top * step,
        (right - left) * step,
        (bottom - top) * step,
        downsample=step,
    )
    beyond = ((top, n - bottom), (left, n - right), (0, 0))
    return np.pad(pixels, beyond, mode="symmetric")


def _features(pixels: npt.NDArray[np.uint8], fine: int) -> npt.NDArray[np.float32]:
    """Return optical densities and two textures per cell, (GRID * GRID, 5)."""
    from scipy import ndimage

    density = -np.log((pixels.astype(np.float32) + 1.0) / 256.0)
    blocks = density.reshape(GRID, fine, GRID, fine, 3)
    colour = blocks.mean(axis=(1, 3))
    grey = colour.mean(axis=2)
    coarse = ndimage.gaussian_filter(grey, 1.0) - ndimage.gaussian_filter(grey, 3.0)
    square = (grey - ndimage.gaussian_filter(grey, 1.5)) ** 2
    if fine > 1:
        square = square + blocks.mean(axis=4).var(axis=(1, 3))
    textures = [
        np.sqrt(ndimage.gaussian_filter(energy, 2.0) + _FLOOR**2) for energy in (square, coarse**2)
    ]
    smooth = [ndimage.gaussian_filter(colour[:, :, c], 0.7) for c in range(3)]
    stacked = np.stack([*smooth, *(np.log(t) for t in textures)], axis=2)
    return np.ascontiguousarray(stacked.reshape(GRID * GRID, -1), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Where the insides and rings of candidates fall in a patch: cell numbers.

    Parameters
    ----------
    inside, ring : (m, k) int64
    """

    inside: npt.NDArray[np.int64]
    ring: npt.NDArray[np.int64]

    @classmethod
    def of(cls, patch: Patch, candidates: Ellipses) -> Sampled:
        """Look up the cells of `candidates`."""
        return cls(
            patch.cells(candidates.points(unit_disc(_POINTS))),
            patch.cells(candidates.points(unit_ring(_POINTS, *_RING))),
        )


def contrast(patch: Patch, sampled: Sampled, pieces: float) -> FloatArray:
    """Return how much better two kinds of tissue explain inside and ring than one, (m,).

    Parameters
    ----------
    patch : Patch
    sampled : Sampled
    pieces : float
        How many independent observations inside and ring are worth: neighbouring cells are alike.

    Returns
    -------
    (m,) float64
        Log likelihood ratio, 0 where nothing differs.
    """
    features = patch.features.astype(np.float64)
    # Axes along which this patch varies independently, each in units of its own spread.
    spread = np.cov(features.T) + np.diag([_FLOOR**2] * 3 + [0.15**2] * (features.shape[1] - 3))
    values, vectors = np.linalg.eigh(spread)
    white = (features - features.mean(axis=0)) @ (vectors / np.sqrt(values))
    score = np.zeros(len(sampled.inside))
    for column in white.T:
        inside, ring = column[sampled.inside], column[sampled.ring]
        difference = inside.mean(axis=1) - ring.mean(axis=1)
        within = (inside.var(axis=1) + ring.var(axis=1)) / 2 + 0.05
        score += np.log1p(difference**2 / (4.0 * within))
    return np.asarray(pieces / 2.0 * score)


@dataclass(frozen=True, eq=False)
class Appearance:
    """How cells inside objects of a class differ from those around them, a quadratic rule.

    Parameters
    ----------
    means : (2, f) float64
        Inside, around.
    inverses : (2, f, f) float64
    log_determinants : (2,) float64
    """

    means: FloatArray
    inverses: FloatArray
    log_determinants: FloatArray

    @classmethod
    def learn(
        cls,
        patches: Sequence[Patch],
        sampled: Sequence[Sampled],
        weights: Sequence[FloatArray],
    ) -> Appearance:
        """Learn from all labels, each candidate counting by its weight.

        Parameters
        ----------
        patches, sampled : sequences, one a label
        weights : sequence of (m,) float64
            Each sums to 1.
        """
        means, inverses, determinants = [], [], []
        for part in ("inside", "ring"):
            size = patches[0].features.shape[1]
            total, first, second = 0.0, np.zeros(size), np.zeros((size, size))
            for patch, where, weight in zip(patches, sampled, weights, strict=True):
                mass = np.bincount(
                    getattr(where, part).ravel(),
                    np.repeat(weight / _POINTS, _POINTS),
                    minlength=GRID * GRID,
                )
                features = patch.features.astype(np.float64)
                total += float(mass.sum())
                first += np.einsum("n,ni->i", mass, features)
                second += np.einsum("ni,nj->ij", mass[:, None] * features, features)
            mean = first / total
            floor = np.diag([_FLOOR**2] * 3 + [0.15**2] * (size - 3))
            covariance = second / total - np.outer(mean, mean) + floor
            means.append(mean)
            inverses.append(np.linalg.inv(covariance))
            determinants.append(float(np.linalg.slogdet(covariance)[1]))
        return cls(np.array(means), np.array(inverses), np.array(determinants))

    def log_odds(self, patch: Patch) -> FloatArray:
        """Return the log odds of each cell to lie inside an object, (GRID * GRID,)."""
        logs = []
        for mean, inverse, determinant in zip(
            self.means, self.inverses, self.log_determinants, strict=True
        ):
            away = patch.features - mean
            square = np.einsum("ni,ij,nj->n", away, inverse, away)
            logs.append(-0.5 * (square + determinant))
        return np.asarray(logs[0] - logs[1])


def fit(patch: Patch, sampled: Sampled, appearance: Appearance, pieces: float) -> FloatArray:
    """Return how well insides look like objects and rings like surroundings, (m,).

    Parameters
    ----------
    patch : Patch
    sampled : Sampled
    appearance : Appearance
    pieces : float
        See :func:`contrast`.

    Returns
    -------
    (m,) float64
        Log likelihood ratio against cells that say nothing.
    """
    odds = np.clip(appearance.log_odds(patch), -4.0, 4.0)
    inside = math.log(2.0) - np.logaddexp(0.0, -odds)
    around = math.log(2.0) - np.logaddexp(0.0, odds)
    score = inside[sampled.inside].mean(axis=1) + around[sampled.ring].mean(axis=1)
    return np.asarray(pieces * score)
