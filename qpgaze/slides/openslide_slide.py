"""Slides that OpenSlide reads: Aperio, Hamamatsu, Leica, MIRAX, Ventana and others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from qpgaze.errors import SlideError
from qpgaze.slides.levels import LevelSlide, level_downsample
from qpgaze.slides.resample import Rgb

_OPAQUE = 255


def detect_vendor(path: Path) -> str | None:
    """Tell which of OpenSlide's formats a file has; None for none of them.

    Raises
    ------
    SlideError
        If OpenSlide is not there.
    """
    library = _openslide()
    try:
        vendor: str | None = library.OpenSlide.detect_format(str(path))
    except library.OpenSlideError as error:
        raise SlideError(f"OpenSlide cannot tell what {path.name} is: {error}.") from error
    return vendor


def _openslide() -> Any:
    try:
        import openslide
    except (ImportError, OSError) as error:  # OSError: the wheel is there, its library is not
        raise SlideError(
            f"OpenSlide could not be loaded ({error}).",
            hint="Install it with: pip install openslide-python openslide-bin",
        ) from error
    return openslide


class OpenSlideSlide(LevelSlide):
    """A slide behind OpenSlide.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SlideError
        If OpenSlide is not there or cannot open the file.

    Notes
    -----
    Pixels that were never scanned are transparent in OpenSlide and white here. Where a format
    names a scanned area inside a larger canvas (MIRAX), level 0 is that area, as in QuPath.
    """

    backend = "OpenSlide"

    def __init__(self, path: Path) -> None:
        library = _openslide()
        try:
            slide = library.OpenSlide(str(path))
        except (library.OpenSlideError, OSError) as error:
            raise SlideError(f"OpenSlide cannot open {path.name}: {error}.") from error
        self._slide: Any = slide
        self._error: type[Exception] = library.OpenSlideError
        self._origin, full = _bounds(slide.properties, slide.dimensions)
        # OpenSlide divides level-0 places by its own downsamples, so they are what counts here.
        self._own_downsamples = tuple(slide.level_downsamples)
        sizes = list(slide.level_dimensions)
        if full != slide.dimensions:
            scales = [level_downsample(slide.dimensions, size) for size in sizes]
            sizes = [(max(1, int(full[0] / s)), max(1, int(full[1] / s))) for s in scales]
        super().__init__(path, sizes, _pixel_size(slide.properties))

    def _read_level(self, level: int, x: int, y: int, width: int, height: int) -> Rgb:
        scale = self._own_downsamples[level]
        place = (self._origin[0] + round(x * scale), self._origin[1] + round(y * scale))
        try:
            rgba = np.asarray(self._slide.read_region(place, level, (width, height)))
        except (self._error, OSError, ValueError) as error:
            raise SlideError(
                f"The pixels of {self.path.name} at x {place[0]}, y {place[1]} (level {level}) "
                f"cannot be read: {error}.",
                hint="The file may be cut or damaged; copy it again from where it came.",
            ) from error
        alpha = rgba[..., 3:]
        if alpha.min() == _OPAQUE:
            return np.ascontiguousarray(rgba[..., :3])
        return composite_on_white(rgba)

    def close(self) -> None:
        """Release the file; reading afterwards raises SlideError."""
        if not self._closed:
            self._slide.close()
        super().close()


def composite_on_white(rgba: Rgb) -> Rgb:
    """Lay RGBA with straight alpha on white.

    Parameters
    ----------
    rgba : (h, w, 4) uint8

    Returns
    -------
    (h, w, 3) uint8
    """
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = rgba[..., :3] * alpha + 255 * (255 - alpha)
    return np.asarray((mixed + 127) // 255, dtype=np.uint8)


def _bounds(properties: Any, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return origin and size of the scanned area, the whole canvas where none is named."""
    try:
        x, y, width, height = (
            int(properties[f"openslide.bounds-{what}"]) for what in ("x", "y", "width", "height")
        )
    except (KeyError, ValueError):
        return (0, 0), size
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > size[0] or y + height > size[1]:
        return (0, 0), size
    return (x, y), (width, height)


def _pixel_size(properties: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(properties[f"openslide.mpp-{axis}"]) for axis in "xy")
    except (KeyError, ValueError):
        return None
    return (x, y) if 0 < x < np.inf and 0 < y < np.inf else None
