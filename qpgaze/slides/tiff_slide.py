"""TIFF slides through tifffile: tiled pyramids, OME-TIFF, and plain TIFF pictures."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from qpgaze.errors import SlideError
from qpgaze.slides.levels import LevelSlide
from qpgaze.slides.openslide_slide import composite_on_white
from qpgaze.slides.resample import Rgb
from qpgaze.slides.tiff_tags import check_complete, pixel_size_um

_CACHE_BYTES = 64 * 2**20
"""Decoded tiles kept: a row of 512 px reads across 40,000 px needs about this much."""
_UNHEARD = logging.NullHandler()
"""One handler, so that opening many slides adds it to the logger once."""
_JPEG = {6, 7, 34892, 33007}
_LOSSLESS = {1, 5, 8, 32773, 32946}


class TiffSlide(LevelSlide):
    """A TIFF of which only the needed tiles or strips are decoded.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SlideError
        If it is no TIFF, is cut, or does not hold one 8-bit (or 16-bit colour) picture: a stack
        of channels, planes or times is refused.

    Notes
    -----
    16-bit colour is scaled to 8 bit by its full range. 16-bit grey is refused: which part of the
    range matters is a choice that nobody made yet. Tiles that the writer left out are white.
    """

    backend = "tifffile"

    def __init__(self, path: Path) -> None:
        import tifffile

        # It logs what is wrong with a file; without a handler Python prints that beside our words.
        logging.getLogger("tifffile").addHandler(_UNHEARD)
        try:
            tiff = tifffile.TiffFile(str(path))
        except Exception as error:  # damaged tags raise whatever their parser stumbles over
            raise SlideError(f"tifffile cannot open {path.name}: {error}.") from error
        try:
            self._levels = [_Level(page, path) for page in _pages(tiff, path)]
            size = pixel_size_um(tiff, self._levels[0].page)
        except BaseException:
            tiff.close()
            raise
        self._tiff = tiff
        self._cache: OrderedDict[tuple[int, int], Rgb] = OrderedDict()
        self._cached_bytes = 0
        super().__init__(path, [level.size for level in self._levels], size)

    def _read_level(self, level: int, x: int, y: int, width: int, height: int) -> Rgb:
        source = self._levels[level]
        if source.mapped is not None:
            return _to_rgb(source.mapped[y : y + height, x : x + width], source.page)
        result = np.full((height, width, 3), 255, dtype=np.uint8)
        tile_width, tile_height = source.tile
        for row in range(y // tile_height, (y + height - 1) // tile_height + 1):
            for column in range(x // tile_width, (x + width - 1) // tile_width + 1):
                tile = self._tile(level, row, column)
                top, left = row * tile_height, column * tile_width
                y0, y1 = max(y, top), min(y + height, top + tile.shape[0])
                x0, x1 = max(x, left), min(x + width, left + tile.shape[1])
                result[y0 - y : y1 - y, x0 - x : x1 - x] = tile[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
        return result

    def _tile(self, level: int, row: int, column: int) -> Rgb:
        """Return one decoded tile or strip from the cache or the file."""
        source = self._levels[level]
        key = (level, row * source.columns + column)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        try:
            tile = source.decode(row, column, self._tiff.filehandle)
        except Exception as error:  # codecs raise types of their own, none of them shared
            raise SlideError(
                f"The pixels of {self.path.name} at x {column * source.tile[0]}, "
                f"y {row * source.tile[1]} (level {level}) cannot be decoded: {error}.",
                hint="The file may be cut or damaged; copy it again from where it came.",
            ) from error
        self._cache[key] = tile
        self._cached_bytes += tile.nbytes
        while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return tile

    def close(self) -> None:
        """Release the file; reading afterwards raises SlideError."""
        self._cache.clear()
        for level in self._levels:
            level.mapped = None
        self._tiff.close()
        super().close()


class _Level:
    """One page of the TIFF: how its tiles lie and what their pixels mean."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page = page.aspage() if hasattr(page, "aspage") else page
        page = self.page
        _check_pixels(page, path)
        check_complete(page, path)
        self.size = (int(page.imagewidth), int(page.imagelength))
        if page.is_tiled:
            self.tile = (int(page.tilewidth), int(page.tilelength))
        else:
            self.tile = (self.size[0], int(min(page.rowsperstrip, self.size[1])))
        self.columns = math.ceil(self.size[0] / self.tile[0])
        rows = math.ceil(self.size[1] / self.tile[1])
        self._per_plane = self.columns * rows
        self._planes = page.samplesperpixel if page.planarconfig == 2 else 1
        self.mapped: Any = None
        whole = not page.is_tiled and page.compression == 1 and page.is_contiguous
        if whole and page.fillorder == 1 and page.predictor == 1 and page.photometric != 6:
            dtype = np.dtype(page.parent.byteorder + page.dtype.char)
            shape = (self.size[1], self.size[0], page.samplesperpixel)
            if self._planes == 1:
                self.mapped = np.memmap(path, dtype, "r", page.dataoffsets[0], shape)
            else:
                planes = np.memmap(path, dtype, "r", page.dataoffsets[0], (shape[2], *shape[:2]))
                self.mapped = np.moveaxis(planes, 0, 2)

    def decode(self, row: int, column: int, filehandle: Any) -> Rgb:
        """Read and decode one tile or strip, cut at the picture's edge."""
        height = min(self.tile[1], self.size[1] - row * self.tile[1])
        width = min(self.tile[0], self.size[0] - column * self.tile[0])
        planes = []
        for plane in range(self._planes):
            index = plane * self._per_plane + row * self.columns + column
            count = self.page.databytecounts[index]
            if count == 0:
                return np.full((height, width, 3), 255, dtype=np.uint8)
            filehandle.seek(self.page.dataoffsets[index])
            data = filehandle.read(count)
            if len(data) < count:
                raise OSError(f"{count} bytes expected, {len(data)} found")
            tables = {}
            if self.page.compression in _JPEG:
                tables = {"jpegtables": self.page.jpegtables, "jpegheader": self.page.jpegheader}
            decoded = self.page.decode(data, index, **tables)[0]
            planes.append(np.asarray(decoded)[0, :height, :width])
        return _to_rgb(np.concatenate(planes, axis=2), self.page)


def _pages(tiff: Any, path: Path) -> list[Any]:
    """Return the pages of the main picture's levels, the finest first."""
    try:
        series = max(tiff.series, key=lambda s: int(np.prod(s.shape)))
    except Exception as error:  # as above: series are made of tags
        raise SlideError(f"{path.name} holds no picture: {error}.") from error
    if series.axes.replace("S", "") not in ("YX",):
        sizes = " x ".join(f"{axis} {n}" for axis, n in zip(series.axes, series.shape, strict=True))
        raise SlideError(
            f"{path.name} is a stack ({sizes}); one flat colour picture was expected.",
            hint="Export the plane you want as an RGB TIFF.",
        )
    pages = []
    for level in series.levels:
        if len(level.pages) != 1 or level.pages[0] is None:
            raise SlideError(f"{path.name} keeps a level in {len(level.pages)} pages, not in one.")
        pages.append(level.pages[0])
    return pages


def _check_pixels(page: Any, path: Path) -> None:
    """Refuse pixels that have no one meaning as RGB."""
    samples, bits = int(page.samplesperpixel), page.bitspersample
    grey, colour = page.photometric in (0, 1), page.photometric in (2, 6, 33003, 33005, 34713)
    kind = page.dtype.name if page.dtype is not None else f"{bits} bit"
    # Only JPEG codecs turn YCbCr into RGB; raw or zipped YCbCr would come out in false colours.
    colour = colour and not (page.photometric == 6 and page.compression in _LOSSLESS)
    eight = kind == "uint8" and bits == 8
    if eight and ((grey and samples in (1, 2)) or (colour and samples in (3, 4))):
        return
    if kind == "uint16" and colour and samples in (3, 4):
        return
    raise SlideError(
        f"{path.name} has {samples} channel(s) of {kind} ({page.photometric!r}); "
        "8-bit grey or colour, or 16-bit colour, was expected.",
        hint="Convert it to 8-bit RGB with the contrast you want to look at.",
    )


def _to_rgb(pixels: Any, page: Any) -> Rgb:
    """Turn (h, w, samples) of the page's kind into RGB bytes."""
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if page.photometric == 0:  # white is zero
        pixels = np.concatenate([255 - pixels[..., :1], pixels[..., 1:]], axis=2)
    if pixels.shape[2] in (1, 2):
        grey = np.repeat(pixels[..., :1], 3, axis=2)
        pixels = grey if pixels.shape[2] == 1 else np.concatenate([grey, pixels[..., 1:]], axis=2)
    if pixels.shape[2] == 4:
        return composite_on_white(pixels)
    return np.ascontiguousarray(pixels)
