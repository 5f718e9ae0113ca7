"""Candidate shapes: ellipses as points of a five-dimensional space that a Gaussian can roam.

An ellipse is ``{centre + e^s exp(H) u : |u| <= 1}`` with the symmetric traceless matrix
``H = [[h1, h2], [h2, -h1]]``: ``s`` is the logarithm of its size, ``h1, h2`` say how far it is
from a circle and in which direction. No value is out of range and no angle wraps around.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qpgaze.frames import FloatArray

DIMENSIONS = 5
X, Y, LOG_SIZE, H1, H2 = range(DIMENSIONS)


@dataclass(frozen=True, eq=False)
class Ellipses:
    """Many ellipses.

    Parameters
    ----------
    parameters : (m, 5) float64
        Centre x, y (level-0 pixels), log of the size (root of the product of both half axes,
        level-0 pixels), h1, h2.
    """

    parameters: FloatArray

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def centres(self) -> FloatArray:
        """Centres, (m, 2) level-0 pixels."""
        return self.parameters[:, :2]

    def _stretch(self, sign: float) -> FloatArray:
        h1, h2 = self.parameters[:, H1], self.parameters[:, H2]
        h = np.sqrt(h1**2 + h2**2)
        c = np.cosh(h)
        s = sign * np.divide(np.sinh(h), h, out=np.ones_like(h), where=h > 1e-12)
        rows = [np.stack([c + s * h1, s * h2], axis=1), np.stack([s * h2, c - s * h1], axis=1)]
        return np.stack(rows, axis=1)

    def matrices(self) -> FloatArray:
        """Return the maps from the unit disc, (m, 2, 2), level-0 pixels."""
        size = np.exp(self.parameters[:, LOG_SIZE])
        return self._stretch(1.0) * size[:, None, None]

    def inverse_matrices(self) -> FloatArray:
        """Return the maps to the unit disc, (m, 2, 2)."""
        size = np.exp(-self.parameters[:, LOG_SIZE])
        return self._stretch(-1.0) * size[:, None, None]

    def boxes(self) -> FloatArray:
        """Return bounds x0, y0, x1, y1, (m, 4) level-0 pixels."""
        half = np.sqrt((self.matrices() ** 2).sum(axis=2))
        return np.hstack([self.centres - half, self.centres + half])

    def points(self, unit: FloatArray) -> FloatArray:
        """Carry points of the unit disc's plane (k, 2) onto each ellipse, (m, k, 2)."""
        matrices = self.matrices()
        x = matrices[:, :1, 0] * unit[:, 0] + matrices[:, :1, 1] * unit[:, 1]
        y = matrices[:, 1:, 0] * unit[:, 0] + matrices[:, 1:, 1] * unit[:, 1]
        return np.stack([x + self.centres[:, :1], y + self.centres[:, 1:]], axis=2)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A normal distribution over ellipses.

    Parameters
    ----------
    mean : (5,) float64
    covariance : (5, 5) float64
        Positive definite.
    """

    mean: FloatArray
    covariance: FloatArray

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return `n` draws, (n, 5)."""
        factor = np.linalg.cholesky(self.covariance)
        steps = rng.standard_normal((n, DIMENSIONS))
        return np.asarray(self.mean + np.einsum("ij,nj->ni", factor, steps))

    def log_density(self, parameters: FloatArray) -> FloatArray:
        """Return the logarithm of the density at (m, 5) points, (m,)."""
        away = parameters - self.mean
        inverse = np.linalg.inv(self.covariance)
        square = np.einsum("ni,ij,nj->n", away, inverse, away)
        sign_and_log = np.linalg.slogdet(2 * np.pi * self.covariance)
        return np.asarray(-0.5 * (square + sign_and_log[1]))


def unit_disc(n: int) -> FloatArray:
    """Return `n` points spread evenly over the unit disc (a sunflower's seeds), (n, 2)."""
    return _seeds(np.sqrt((np.arange(n) + 0.5) / n))


def unit_ring(n: int, inner: float, outer: float) -> FloatArray:
    """Return `n` points spread evenly between two radii, (n, 2)."""
    share = (np.arange(n) + 0.5) / n
    return _seeds(np.sqrt(inner**2 + share * (outer**2 - inner**2)))


def _seeds(radius: FloatArray) -> FloatArray:
    golden = np.pi * (3.0 - np.sqrt(5.0))
    angle = golden * np.arange(len(radius))
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
