"""What all backends share: choosing a level, the slide's edge, resampling in blocks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np

from qpgaze.errors import SlideError
from qpgaze.slides.resample import Rgb, area_average

SlideT = TypeVar("SlideT", bound="LevelSlide")

_BLOCK_PX = 2048
"""Longest side of what is decoded at once: 12 MB of RGB, whatever region is asked for."""
_LARGEST_RESULT_PX = 2**28
"""A result beyond 268 million pixels (0.8 GB) is a wrong downsample, not a wish."""


def level_downsample(full: tuple[int, int], level: tuple[int, int]) -> float:
    """Tell how many level-0 pixels one pixel of a level covers.

    Parameters
    ----------
    full, level : (width, height)
        Pixels of level 0 and of the level.

    Notes
    -----
    Writers round a level's size down or up, so that 5001 / 1250 px means 4, not 4.0008: a whole
    number (a power of two, if one will do) that explains both sides is taken, else the mean of
    both ratios (as OpenSlide does).

    Examples
    --------
    >>> level_downsample((5001, 4003), (1250, 1000))
    4.0
    """
    ratio = (full[0] / level[0] + full[1] / level[1]) / 2
    whole = round(ratio)
    if whole >= 1 and all(
        math.floor(f / whole) <= s <= math.ceil(f / whole) for f, s in zip(full, level, strict=True)
    ):
        return float(whole)
    return ratio


class LevelSlide(ABC):
    """A slide with one or more stored levels; a backend adds how to read a piece of a level.

    Parameters
    ----------
    path : Path
    sizes : sequence of (width, height)
        Size of each level in pixels, the finest first.
    pixel_size_um : (x, y) or None
    """

    backend = ""

    def __init__(
        self,
        path: Path,
        sizes: Sequence[tuple[int, int]],
        pixel_size_um: tuple[float, float] | None,
    ) -> None:
        self._path = path
        self._sizes = tuple(sizes)
        self._pixel_size_um = pixel_size_um
        self._downsamples = tuple(level_downsample(self._sizes[0], size) for size in self._sizes)
        self._closed = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def width_px(self) -> int:
        """Level-0 width."""
        return self._sizes[0][0]

    @property
    def height_px(self) -> int:
        """Level-0 height."""
        return self._sizes[0][1]

    @property
    def pixel_size_um(self) -> tuple[float, float] | None:
        """Micron per level-0 pixel (x, y); None where the file does not say."""
        return self._pixel_size_um

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Downsample of each stored level, the first is 1."""
        return self._downsamples

    @abstractmethod
    def _read_level(self, level: int, x: int, y: int, width: int, height: int) -> Rgb:
        """Read whole pixels of one level, all of them inside it."""

    def read(
        self, x_px: float, y_px: float, width_px: float, height_px: float, *, downsample: float = 1
    ) -> Rgb:
        """Read a region as RGB; outside the slide it is white.

        Parameters
        ----------
        x_px, y_px, width_px, height_px : float
            The region in level-0 pixels.
        downsample : float
            Level-0 pixels per returned pixel, >= 1.

        Returns
        -------
        (round(height / downsample), round(width / downsample), 3) uint8
            At least one pixel each way.

        Raises
        ------
        SlideError
            If the region has no size, the result would be larger than any memory, the slide is
            closed, or the pixels cannot be decoded.

        Notes
        -----
        Pixel (column i, row j) of the result covers exactly
        ``[x + i d, x + (i + 1) d) x [y + j d, y + (j + 1) d)`` with ``d`` the downsample, also
        where the region's size is not a multiple of it.
        """
        if self._closed:
            raise SlideError(f"{self._path.name} was closed; its pixels can no longer be read.")
        self._check_region(x_px, y_px, width_px, height_px, downsample)
        width = max(1, round(width_px / downsample))
        height = max(1, round(height_px / downsample))
        if width * height > _LARGEST_RESULT_PX:
            raise SlideError(
                f"A region of {width} x {height} px of {self._path.name} is too large for memory.",
                hint="Read it in parts, or with a larger downsample.",
            )
        level = max(
            i for i, d in enumerate(self._downsamples) if i == 0 or d <= downsample * (1 + 1e-3)
        )
        scale = self._downsamples[level]
        step = downsample / scale
        result = np.full((height, width, 3), 255, dtype=np.uint8)
        side = max(1, int(_BLOCK_PX / step))
        for top in range(0, height, side):
            for left in range(0, width, side):
                rows, columns = min(side, height - top), min(side, width - left)
                block = self._block(
                    level,
                    x_px / scale + left * step,
                    y_px / scale + top * step,
                    step,
                    columns,
                    rows,
                )
                if block is not None:
                    result[top : top + rows, left : left + columns] = block
        return result

    def _block(
        self, level: int, x: float, y: float, step: float, width: int, height: int
    ) -> Rgb | None:
        """Resample a block of one level (coordinates of that level); None where all is white."""
        x0, y0 = math.floor(x), math.floor(y)
        x1, y1 = math.ceil(x + width * step), math.ceil(y + height * step)
        level_width, level_height = self._sizes[level]
        left, right = max(x0, 0), min(x1, level_width)
        top, bottom = max(y0, 0), min(y1, level_height)
        if left >= right or top >= bottom:
            return None
        pixels = self._read_level(level, left, top, right - left, bottom - top)
        if (left, top, right, bottom) != (x0, y0, x1, y1):
            canvas = np.full((y1 - y0, x1 - x0, 3), 255, dtype=np.uint8)
            canvas[top - y0 : bottom - y0, left - x0 : right - x0] = pixels
            pixels = canvas
        return area_average(pixels, x - x0, y - y0, step, width, height)

    def _check_region(
        self, x: float, y: float, width: float, height: float, downsample: float
    ) -> None:
        if not all(math.isfinite(v) for v in (x, y, width, height)) or width <= 0 or height <= 0:
            raise SlideError(
                f"A region needs a place and a size above 0, but x {x}, y {y}, width {width}, "
                f"height {height} came (level-0 pixels)."
            )
        if not math.isfinite(downsample) or downsample < 1:
            raise SlideError(f"A downsample is at least 1, but {downsample} came.")

    def close(self) -> None:
        """Release the file; reading afterwards raises SlideError."""
        self._closed = True

    def __enter__(self: SlideT) -> SlideT:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self._path.name!r} {self.width_px} x {self.height_px} px, "
            f"{len(self._sizes)} level(s), {self._pixel_size_um} um/px>"
        )
