"""Pixels of a slide behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from qpgaze.errors import SlideError
from qpgaze.slides.protocol import Slide

__all__ = ["Slide", "open_slide"]

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_slide(path: str | PathLike[str]) -> Slide:
    """Open a slide with the backend that its content asks for.

    Parameters
    ----------
    path : path
        A whole-slide file, a TIFF or a plain picture; its name's ending does not matter.

    Returns
    -------
    Slide
        To be closed, or used as a context manager. Not to be shared between threads.

    Raises
    ------
    SlideError
        If there is no such file, it is cut, or no backend can read it: the message names what
        was tried and why each gave up.

    Notes
    -----
    A vendor's format goes to OpenSlide, then, if it is a TIFF, to tifffile. Any other TIFF goes
    to tifffile alone: it takes less than half of the CPU time a tile of OpenSlide's generic
    reader, knows the levels of OME-TIFF, and notices a cut. Everything else is a plain picture.
    """
    place = Path(path)
    if not place.is_file():
        what = "is a folder" if place.is_dir() else "does not exist"
        raise SlideError(
            f"The slide {place} {what}.", hint="Give the path of an image file that is there."
        )
    tried: list[str] = []
    for name, backend in _backends(place, tried):
        try:
            return backend(place)
        except SlideError as error:
            tried.append(f"{name}: {error}")
            cause = error
    raise SlideError(
        f"{place.name} cannot be read as a slide. Tried " + " | ".join(tried)
    ) from cause


_PNG = b"\x89PNG"


def _backends(path: Path, tried: list[str]) -> list[tuple[str, Callable[[Path], Slide]]]:
    """Choose backends by what the file begins with, the best first."""
    from qpgaze.slides.openslide_slide import OpenSlideSlide, detect_vendor

    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise SlideError(f"The slide {path} cannot be opened: {error.strerror}.") from error
    try:
        # No vendor's slide begins as a PNG; OpenSlide takes a while to load.
        vendor = None if start == _PNG else detect_vendor(path)
    except SlideError as error:
        tried.append(f"OpenSlide: {error}")
        vendor = None
    is_tiff = start in _TIFF_STARTS
    chosen: list[tuple[str, Callable[[Path], Slide]]] = []
    if vendor is not None and vendor != "generic-tiff":
        chosen.append(("OpenSlide", OpenSlideSlide))
    if is_tiff:
        from qpgaze.slides.tiff_slide import TiffSlide

        chosen.append(("tifffile", TiffSlide))
    if not chosen:
        from qpgaze.slides.plain_slide import PlainSlide

        chosen.append(("Pillow", PlainSlide))
    return chosen
