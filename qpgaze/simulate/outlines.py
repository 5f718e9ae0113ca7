"""Irregular closed outlines, as polygons and as fields over pixels.

Pixels that follow from outlines are the same on every machine: over arrays only ``+ - * /`` and
``sqrt`` are used, which IEEE 754 fixes to the last bit. Angles never appear; the cosine of k
times an angle comes from that of the angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from qpgaze.simulate.noise import Float32Array

HARMONICS = 6


@dataclass(frozen=True)
class Outline:
    """A closed outline ``R(angle) = radius (1 + sum of waves)``, ImagePx.

    Parameters
    ----------
    x_image_px, y_image_px : float
        Centre.
    radius_image_px : float
        Mean radius.
    waves : tuple of (cos, sin)
        Amplitudes of the waves that go once, twice, ... round, relative to the radius.
    """

    x_image_px: float
    y_image_px: float
    radius_image_px: float
    waves: tuple[tuple[float, float], ...]

    @classmethod
    def draw(
        cls, x: float, y: float, radius: float, roughness: float, rng: np.random.Generator
    ) -> Outline:
        """Draw waves at random: lower ones larger, none so large that the outline crosses itself.

        Parameters
        ----------
        x, y, radius : float
            ImagePx.
        roughness : float
            0: a circle; 0.2: visibly uneven.
        rng : numpy.random.Generator
            Only ``random`` is used, whose stream is the same in every NumPy.
        """
        draws = rng.random((HARMONICS, 2))
        waves = []
        for k in range(HARMONICS):
            size = roughness * (0.35 if k == 0 else 1.0 if k == 1 else 1.2 / (k + 1))
            pair = (float(v) for v in (2.0 * draws[k] - 1.0) * size)
            waves.append(tuple(round(v, 5) for v in pair))
        return cls(round(x, 2), round(y, 2), round(radius, 2), tuple(waves))  # type: ignore[arg-type]

    def reach(self) -> float:
        """Return a radius that the outline nowhere exceeds, ImagePx."""
        return self.radius_image_px * (1.0 + sum(math.hypot(*wave) for wave in self.waves))

    def polygon(self, corners: int = 96) -> shapely.Polygon:
        """Return the outline as a polygon, corners rounded to 0.01 px."""
        points = []
        for n in range(corners):
            angle = 2.0 * math.pi * n / corners
            scale = 1.0 + sum(
                a * math.cos((k + 1) * angle) + b * math.sin((k + 1) * angle)
                for k, (a, b) in enumerate(self.waves)
            )
            r = self.radius_image_px * scale
            points.append(
                (
                    round(self.x_image_px + r * math.cos(angle), 2),
                    round(self.y_image_px + r * math.sin(angle), 2),
                )
            )
        return shapely.Polygon(points)

    def window(self, grow: float, height: int, width: int, step: int = 1) -> Window:
        """Return the pixels within `grow` x the reach, on a grid of `step` px."""
        r = self.reach() * grow
        x0 = max(0, math.floor((self.x_image_px - r) / step))
        y0 = max(0, math.floor((self.y_image_px - r) / step))
        x1 = min(width, math.ceil((self.x_image_px + r) / step))
        y1 = min(height, math.ceil((self.y_image_px + r) / step))
        return Window(slice(y0, max(y0, y1)), slice(x0, max(x0, x1)), step)

    def field(self, window: Window) -> PolarField:
        """Measure every pixel of a window from the centre, in radii of the outline."""
        dx, dy = window.offsets(self.x_image_px, self.y_image_px)
        r = np.sqrt(dx * dx + dy * dy)
        inverse = np.float32(1.0) / np.maximum(r, np.float32(1e-3))
        c, s = dx * inverse, dy * inverse
        scale = np.ones_like(r)
        ck, sk = c, s
        for k, (a, b) in enumerate(self.waves):
            if k:
                ck, sk = ck * c - sk * s, sk * c + ck * s
            scale = scale + np.float32(a) * ck + np.float32(b) * sk
        rho = r / (np.float32(self.radius_image_px) * scale)
        return PolarField(rho=rho, cos=c, sin=s)


@dataclass(frozen=True)
class Window:
    """Rows and columns of a grid with one pixel each `step` level-0 pixels."""

    rows: slice
    columns: slice
    step: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def index(self) -> tuple[slice, slice]:
        """For use in brackets behind an array."""
        return self.rows, self.columns

    def offsets(self, x: float, y: float) -> tuple[Float32Array, Float32Array]:
        """Return each pixel's offset from a place, level-0 px, float32: (rows, columns) twice."""
        columns = (np.arange(self.columns.start, self.columns.stop) + 0.5) * self.step - x
        rows = (np.arange(self.rows.start, self.rows.stop) + 0.5) * self.step - y
        dx = np.broadcast_to(columns.astype(np.float32)[None, :], self.shape)
        dy = np.broadcast_to(rows.astype(np.float32)[:, None], self.shape)
        return dx, dy


@dataclass(frozen=True, eq=False)
class PolarField:
    """Pixels as seen from an outline's centre.

    Parameters
    ----------
    rho : (h, w) float32
        Distance in radii: 1 on the outline.
    cos, sin : (h, w) float32
        Direction.
    """

    rho: Float32Array
    cos: Float32Array
    sin: Float32Array


def soft_step(value: Float32Array, width: float) -> Float32Array:
    """Return 0 below -width/2, 1 above width/2, straight between."""
    half = np.float32(0.5)
    out: npt.NDArray[np.float32] = np.clip(value * np.float32(1.0 / width) + half, 0, 1)
    return out
