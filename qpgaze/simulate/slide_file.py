"""Write a picture as a pyramidal slide that OpenSlide, tifffile and QuPath read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qpgaze.errors import SlideError, UsageError

TILE_PX = 256
LEVELS = (1, 4, 16)
DEFAULT_QUALITY = 55


def reduce_by(rgb: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Average squares of `factor` x `factor` pixels, rounded; whole numbers only.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
        Both sides multiples of `factor`.
    factor : int

    Examples
    --------
    >>> reduce_by(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), 2).tolist()
    [[[5, 6, 7]]]
    """
    height, width = rgb.shape[0] // factor, rgb.shape[1] // factor
    blocks = rgb.reshape(height, factor, width, factor, 3)
    total = blocks.sum(axis=3, dtype=np.uint32).sum(axis=1, dtype=np.uint32)
    area = factor * factor
    mean = (total + np.uint32(area // 2)) // np.uint32(area)
    return np.asarray(mean.astype(np.uint8))


def write_slide(
    path: Path,
    rgb: npt.NDArray[np.uint8],
    *,
    pixel_size_um: float,
    quality: int = DEFAULT_QUALITY,
) -> None:
    """Write a tiled JPEG pyramid with levels 1, 4 and 16, in the manner of Aperio.

    Parameters
    ----------
    path : Path
        Usually ends in ``.svs``. Overwritten.
    rgb : (h, w, 3) uint8
        Level 0; both sides multiples of 16.
    pixel_size_um : float
    quality : int
        JPEG quality, 1..100.

    Raises
    ------
    UsageError
        If the picture is of another form.
    SlideError
        If the file cannot be written.

    Notes
    -----
    The second page is a stripped thumbnail, as in files of this kind: readers take whatever comes
    second for one. No clock, no path and no version goes into the file.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.shape[0] % 16 or rgb.shape[1] % 16:
        raise UsageError(
            "A slide is written from RGB pixels whose sides are multiples of 16, "
            f"but an array of shape {rgb.shape} came."
        )
    import tifffile

    common: dict[str, Any] = {
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {"level": quality, "optimize": True},
        "subsampling": (2, 2),
        "metadata": None,
        "software": "qpgaze",
        "description": _about(rgb, pixel_size_um, quality),
    }
    try:
        with tifffile.TiffWriter(path, byteorder="<") as tiff:
            for factor in LEVELS:
                _write_level(tiff, rgb, factor, pixel_size_um, common)
                if factor == 1:
                    small = reduce_by(rgb, LEVELS[-1])
                    tiff.write(small, rowsperstrip=small.shape[0], **common)
    except OSError as error:
        raise SlideError(
            f"The slide '{path.name}' could not be written: {error.strerror or error}."
        ) from error


def _about(rgb: npt.NDArray[np.uint8], pixel_size_um: float, quality: int) -> str:
    """Describe the slide as Aperio does; readers take pixel size and magnification from it."""
    height, width = rgb.shape[:2]
    magnification = round(10.0 / pixel_size_um, 1)
    return (
        f"Aperio Image Library v12.0.0\n{width}x{height} [0,0 {width}x{height}] "
        f"({TILE_PX}x{TILE_PX}) JPEG/YCC Q={quality}|AppMag = {magnification:g}"
        f"|MPP = {pixel_size_um:g}|Title = synthetic"
    )


def _write_level(
    tiff: Any, rgb: npt.NDArray[np.uint8], factor: int, pixel_size_um: float, common: dict[str, Any]
) -> None:
    per_cm = 1e4 / (pixel_size_um * factor)
    tiff.write(
        rgb if factor == 1 else reduce_by(rgb, factor),
        tile=(TILE_PX, TILE_PX),
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        subfiletype=0,  # Aperio does not mark its levels as reduced, and readers count on that
        **common,
    )
