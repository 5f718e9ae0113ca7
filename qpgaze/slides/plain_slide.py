"""Plain pictures (PNG, JPEG, BMP, ...) as slides of one level, through Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qpgaze.errors import SlideError
from qpgaze.slides.levels import LevelSlide
from qpgaze.slides.openslide_slide import composite_on_white
from qpgaze.slides.resample import Rgb

if TYPE_CHECKING:
    from PIL import Image

_EIGHT_BIT = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}

_FORMATS = (
    "PNG", "JPEG", "JPEG2000", "BMP", "DIB", "GIF", "TIFF", "WEBP", "AVIF", "PPM", "TGA",
    "PCX", "ICO", "ICNS", "SGI", "PSD", "FITS", "DDS", "QOI",
)  # fmt: skip
"""What Pillow may take a file for: pictures. EPS would be given to another program to run."""


class PlainSlide(LevelSlide):
    """A plain picture, decoded as a whole when it is opened.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SlideError
        If it is no picture, is cut, has more than 8 bit a channel, or is too large to be held in
        memory (Pillow's own limit: 179 million pixels).

    Notes
    -----
    The pixel size is unknown: the resolution in a PNG or JPEG speaks of print and is nearly
    always a default. Transparency is laid on white; an EXIF rotation is not applied (QuPath does
    not apply it either, so its coordinates would no longer fit).
    """

    backend = "Pillow"

    def __init__(self, path: Path) -> None:
        self._pixels = _decode(path)
        height, width = self._pixels.shape[:2]
        super().__init__(path, [(width, height)], None)

    def _read_level(  # there is but one level
        self,
        level: int,  # noqa: ARG002
        x: int,
        y: int,
        width: int,
        height: int,
    ) -> Rgb:
        return self._pixels[y : y + height, x : x + width]

    def close(self) -> None:
        """Release the pixels; reading afterwards raises SlideError."""
        self._pixels = np.empty((0, 0, 3), dtype=np.uint8)
        super().close()


def _decode(path: Path) -> Rgb:
    from PIL import Image, UnidentifiedImageError

    try:
        # Up to twice Pillow's limit it only warns; that much is still a reasonable picture here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with _opened(path) as picture:
                _refuse_deep(path, picture)
                picture.load()
                return _rgb(picture)
    except UnidentifiedImageError as error:
        raise SlideError(f"{path.name} is no picture that Pillow knows.") from error
    except Image.DecompressionBombError as error:
        raise SlideError(
            f"{path.name} is too large for a plain picture: it would have to be decoded as a "
            "whole.",
            hint="Convert it to a tiled pyramidal TIFF (QuPath: File > Export images > OME TIFF).",
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise SlideError(
            f"The pixels of {path.name} cannot be decoded: {error}.",
            hint="The file may be cut or damaged; copy it again from where it came.",
        ) from error


def _opened(path: Path) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    # The common formats first: loading all of Pillow's takes longer than reading a small picture.
    Image.preinit()
    try:
        return Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])
    except UnidentifiedImageError:
        Image.init()
        return Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])


def _refuse_deep(path: Path, picture: Image.Image) -> None:
    if picture.mode not in _EIGHT_BIT:
        raise SlideError(
            f"{path.name} has pixels of kind {picture.mode}; 8-bit grey or colour was expected.",
            hint="Convert it to 8-bit RGB with the contrast you want to look at.",
        )


def _rgb(picture: Image.Image) -> Rgb:
    transparent = "A" in picture.getbands() or "a" in picture.getbands()
    if transparent or "transparency" in picture.info:
        return composite_on_white(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"))
