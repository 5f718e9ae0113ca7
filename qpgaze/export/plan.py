"""What will be cut from one slide: scale, tiles with their labels, object-free tiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from qpgaze.errors import ExportError, UsageError
from qpgaze.export import coco, select
from qpgaze.export.split import rank
from qpgaze.export.tiles import Grid, Tile, cut
from qpgaze.model import SlideObject
from qpgaze.slides.protocol import Slide

# A pixel counts as tissue when its colours differ by this much or it is this dark: glass is
# bright and grey. Stained tissue, even pale stroma, is well past the first.
_COLOURED = 18
_DARK = 180
_TISSUE_SHARE = 0.1
_LOOK_PX = 32
# Sides of a pixel that differ by more are not one downsample for x and y.
_SQUARE_WITHIN = 0.05


def open_file(path: Path) -> Slide:
    """Open a slide from its file with the first backend that can read it."""
    from qpgaze.slides import open_slide

    return open_slide(path)


@dataclass(frozen=True, eq=False)
class ExportImage:
    """A slide and its objects, ready to be cut.

    Parameters
    ----------
    slide : Path
        The slide's file. Of the path only the last name is ever written.
    name : str
        As the project shows it.
    entry_id : str
        The entry's id, unlike every other in one export.
    objects : sequence of SlideObject
    patient : str, optional
        Slides of one patient stay in one part of a split.
    pixel_size_um : (x, y), optional
        Micron per level-0 pixel as the project says it; goes before what the file says.
    open : callable
        How to open `slide`; slides are opened one at a time, and closed.
    """

    slide: Path
    name: str
    entry_id: str
    objects: Sequence[SlideObject]
    patient: str | None = None
    pixel_size_um: tuple[float, float] | None = None
    open: Callable[[Path], Slide] = field(default=open_file)


@dataclass(frozen=True)
class TileOptions:
    """How slides are cut.

    Parameters
    ----------
    tile_size : int
        Side of a tile, pixels.
    mpp : float, optional
        Micron per pixel of a tile. Needs a pixel size.
    downsample : float, optional
        Level-0 pixels per pixel of a tile, >= 1. Where neither this nor `mpp` is given, tiles
        have the slide's full resolution.
    pixel_size_um : float, optional
        Micron per level-0 pixel of slides that do not say it themselves.
    overlap : int
        Pixels that neighbouring tiles share.
    min_visible : float
        Least share of an object that a tile must show to count it, see
        :func:`qpgaze.export.tiles.cut`.
    negatives : float
        Object-free tiles of tissue per tile with objects, slide by slide. None by default: what
        nobody labelled may not have been looked at, and a detector would learn to miss it.
    seed : int
        For the draw of object-free tiles (and of the split).

    Raises
    ------
    UsageError
        If a number is out of its range, or both scales are given.
    """

    tile_size: int = 512
    mpp: float | None = None
    downsample: float | None = None
    pixel_size_um: float | None = None
    overlap: int = 0
    min_visible: float = 0.25
    negatives: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mpp is not None and self.downsample is not None:
            raise UsageError("Give either --mpp or --downsample, not both.")
        for name, value in (("--mpp", self.mpp), ("--pixel-size", self.pixel_size_um)):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} is a size in micron above 0, but {value} came.")
        if not 0 <= self.min_visible <= 1:
            raise UsageError(f"A visible share lies in 0..1, but {self.min_visible} came.")
        if not 0 <= self.negatives < math.inf:
            raise UsageError(
                f"Object-free tiles per tile with objects: 0 or more, but {self.negatives} came."
            )
        # The grid knows the ranges of the rest; asking it here is before any slide is opened.
        Grid(1, 1, self.tile_size, _or_full(self.downsample), self.overlap)


@dataclass(frozen=True, eq=False)
class SlidePlan:
    """What will be cut from one slide.

    Parameters
    ----------
    image : ExportImage
    downsample : float
    pixel_size_um : (x, y) or None
    tiles : tuple of (Tile, records)
        Row by row, each with its COCO annotations, which still lack ids; the category id holds
        the class name. No records: an object-free tile.
    skipped : Counter
        Objects that no tile shows, by reason.
    shown : int
        Objects that at least one tile shows.
    raw : int
        How many of them are discs of gaze that nothing refined.
    """

    image: ExportImage
    downsample: float
    pixel_size_um: tuple[float, float] | None
    tiles: tuple[tuple[Tile, tuple[dict[str, Any], ...]], ...]
    skipped: Counter[str]
    shown: int
    raw: int

    @property
    def mpp(self) -> float | None:
        """Micron per pixel of a tile, None without a pixel size."""
        if self.pixel_size_um is None:
            return None
        return round(self.downsample * math.sqrt(math.prod(self.pixel_size_um)), 6)


def plan_slide(
    image: ExportImage, labelled: Iterable[select.Labelled], slide: Slide, options: TileOptions
) -> SlidePlan:
    """Decide what to cut from an open slide.

    Parameters
    ----------
    image : ExportImage
    labelled : iterable of Labelled
        The objects that may be labels, see :func:`qpgaze.export.select.choose`.
    slide : Slide
        Opened; pixels are read only to tell tissue from glass for object-free tiles.
    options : TileOptions

    Raises
    ------
    ExportError
        If the wanted scale cannot be had from this slide.
    """
    pixel_size = _pixel_size(image, slide, options)
    downsample = _downsample(image, pixel_size, options)
    grid = Grid(
        slide.width_px, slide.height_px, options.tile_size, downsample, overlap=options.overlap
    )
    labels: dict[tuple[int, int], list[dict[str, Any]]] = {}
    skipped: Counter[str] = Counter()
    shown = raw = 0
    for item in labelled:
        pieces = cut(item.shape, grid, min_visible=options.min_visible)
        kept = 0
        for piece in pieces:
            record = coco.annotation(piece.shape, category_id=0, source_id=str(item.id))
            if record is not None:
                kept += 1
                record["category_id"] = item.class_name
                labels.setdefault((piece.tile.row, piece.tile.column), []).append(record)
        if kept:
            shown += 1
            raw += item.raw
        else:
            skipped[select.TOO_SMALL if pieces else select.OUTSIDE] += 1
    wanted = math.floor(options.negatives * len(labels) + 0.5)
    for tile in _object_free(image, slide, grid, wanted, options.seed):
        labels[tile.row, tile.column] = []
    tiles = tuple((grid.tile(c, r), tuple(labels[r, c])) for r, c in sorted(labels))
    return SlidePlan(image, downsample, pixel_size, tiles, skipped, shown, raw)


def _or_full(downsample: float | None) -> float:
    return 1.0 if downsample is None else float(downsample)


def _pixel_size(
    image: ExportImage, slide: Slide, options: TileOptions
) -> tuple[float, float] | None:
    given = options.pixel_size_um
    assumed = None if given is None else (given, given)
    return image.pixel_size_um or slide.pixel_size_um or assumed


def _downsample(
    image: ExportImage, pixel_size_um: tuple[float, float] | None, options: TileOptions
) -> float:
    if options.mpp is None:
        return _or_full(options.downsample)
    if pixel_size_um is None:
        raise ExportError(
            f"The slide '{image.name}' does not say its pixel size, so tiles of {options.mpp:g} "
            "micron per pixel cannot be cut from it.",
            hint="Give its pixel size with --pixel-size 0.25 (micron), or --downsample.",
        )
    x, y = pixel_size_um
    if abs(x - y) > _SQUARE_WITHIN * max(x, y):
        raise ExportError(
            f"The pixels of '{image.name}' are not square ({x:g} x {y:g} micron), so no single "
            f"downsample gives {options.mpp:g} micron per pixel.",
            hint="Give --downsample instead.",
        )
    downsample = options.mpp / math.sqrt(x * y)
    # 0.25 asked of a slide of 0.2501 is meant to be the slide's own resolution.
    if 1 - _SQUARE_WITHIN < downsample < 1:
        return 1.0
    if downsample < 1:
        raise ExportError(
            f"The slide '{image.name}' has {math.sqrt(x * y):.4g} micron per pixel; tiles of "
            f"{options.mpp:g} would need detail that it does not hold.",
            hint=f"Give --mpp {math.sqrt(x * y):.4g} or more.",
        )
    return downsample


def _object_free(
    image: ExportImage, slide: Slide, grid: Grid, wanted: int, seed: int
) -> tuple[Tile, ...]:
    """Draw tiles of tissue that no object touches, the same ones for the same seed."""
    if wanted < 1:
        return ()
    taken: set[tuple[int, int]] = set()
    for item in image.objects:
        if select.may_hide_an_object(item) and not item.geometry.is_empty:
            # A point has no width that a tile could share, so every box gets some.
            bounds = shapely.box(*item.geometry.bounds).buffer(1, join_style="mitre").bounds
            taken.update((tile.row, tile.column) for tile in grid.over(bounds))
    free = (tile for tile in grid.all() if (tile.row, tile.column) not in taken)
    drawn = sorted(free, key=lambda tile: rank(seed, image.entry_id, tile.column, tile.row))
    chosen: list[Tile] = []
    for tile in drawn:
        if len(chosen) == wanted:
            break
        look = slide.read(
            tile.x0_image_px,
            tile.y0_image_px,
            tile.side_image_px,
            tile.side_image_px,
            downsample=max(1.0, tile.side_image_px / _LOOK_PX),
        )
        if tissue_share(look) >= _TISSUE_SHARE:
            chosen.append(tile)
    return tuple(chosen)


def tissue_share(rgb: npt.NDArray[np.uint8]) -> float:
    """Return which share of pixels is tissue rather than glass, 0..1.

    Parameters
    ----------
    rgb : (h, w, 3) uint8

    Notes
    -----
    A rule of thumb of our own: coloured (largest minus smallest channel) or dark. It only keeps
    bare glass out of the object-free tiles.

    Examples
    --------
    >>> import numpy as np
    >>> tissue_share(np.full((8, 8, 3), 240, np.uint8))
    0.0
    """
    high, low = rgb.max(axis=2).astype(np.int16), rgb.min(axis=2).astype(np.int16)
    return float(np.mean((high - low >= _COLOURED) | (high <= _DARK)))
