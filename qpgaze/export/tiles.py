"""The grid that a slide is cut into, and what of an object each tile shows; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from qpgaze.errors import UsageError
from qpgaze.export.select import only_areas
from qpgaze.frames import Affine, ImagePx, Points, TilePx

# Numerical noise must neither open another column of tiles nor drop what is just large enough.
_NOISE = 1e-6


@dataclass(frozen=True)
class Tile:
    """One square of a grid.

    Parameters
    ----------
    column, row : int
        Its place in the grid, from 0.
    x0_image_px, y0_image_px : float
        Its top-left corner on the slide.
    downsample : float
        Level-0 pixels per pixel of the tile.
    size_px : int
        Side in pixels of the tile.
    """

    column: int
    row: int
    x0_image_px: float
    y0_image_px: float
    downsample: float
    size_px: int

    @property
    def side_image_px(self) -> float:
        """Side on the slide, level-0 pixels."""
        return self.size_px * self.downsample

    @property
    def bounds_image_px(self) -> tuple[float, float, float, float]:
        """Corners x0, y0, x1, y1 on the slide, beyond whose edge a tile may reach."""
        side = self.side_image_px
        x0, y0 = self.x0_image_px, self.y0_image_px
        return x0, y0, x0 + side, y0 + side

    def from_image(self) -> Affine[ImagePx, TilePx]:
        """Return the map from the slide into this tile."""
        scale = 1.0 / self.downsample
        shift = np.array([-self.x0_image_px, -self.y0_image_px]) * scale
        return Affine(ImagePx, TilePx, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]))


@dataclass(frozen=True)
class Grid:
    """How a slide is cut into square tiles, from its top-left corner on.

    The last column and row reach over the edge of the slide unless they fit.

    Parameters
    ----------
    width_px, height_px : int
        Level-0 size of the slide.
    tile_size : int
        Side of a tile in its own pixels.
    downsample : float
        Level-0 pixels per pixel of a tile, >= 1.
    overlap : int
        Pixels of a tile that its neighbour shows as well.

    Raises
    ------
    UsageError
        If a number is out of its range.

    Examples
    --------
    >>> grid = Grid(1000, 700, tile_size=256, downsample=2)
    >>> grid.columns, grid.rows, grid.tile(1, 0).bounds_image_px
    (2, 2, (512.0, 0.0, 1024.0, 512.0))
    """

    width_px: int
    height_px: int
    tile_size: int
    downsample: float = 1.0
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.tile_size < 16:
            raise UsageError(f"A tile has at least 16 pixels a side, but {self.tile_size} came.")
        if not 0 <= self.overlap < self.tile_size:
            raise UsageError(
                f"An overlap lies between 0 and the tile size of {self.tile_size}, but "
                f"{self.overlap} came."
            )
        if not 1.0 <= self.downsample < math.inf:
            raise UsageError(f"A downsample is a number from 1 on, but {self.downsample} came.")
        if self.width_px < 1 or self.height_px < 1:
            raise UsageError(f"A slide of {self.width_px} x {self.height_px} pixels is empty.")

    @property
    def side_image_px(self) -> float:
        """Side of a tile on the slide, level-0 pixels."""
        return self.tile_size * self.downsample

    @property
    def step_image_px(self) -> float:
        """From one tile to the next, level-0 pixels."""
        return (self.tile_size - self.overlap) * self.downsample

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return self._count(self.width_px)

    @property
    def rows(self) -> int:
        """Tiles in a column."""
        return self._count(self.height_px)

    def _count(self, length_px: int) -> int:
        beyond_first = (length_px - self.side_image_px) / self.step_image_px
        return max(1, math.ceil(beyond_first - _NOISE) + 1)

    def tile(self, column: int, row: int) -> Tile:
        """Return the tile at a place of the grid."""
        step = float(self.step_image_px)
        return Tile(column, row, column * step, row * step, self.downsample, self.tile_size)

    def all(self) -> Iterator[Tile]:
        """Go through the whole grid, row by row."""
        for row in range(self.rows):
            for column in range(self.columns):
                yield self.tile(column, row)

    def over(self, bounds_image_px: tuple[float, float, float, float]) -> Iterator[Tile]:
        """Go through the tiles that share more than an edge with a box, row by row.

        Parameters
        ----------
        bounds_image_px : (x0, y0, x1, y1)
        """
        x0, y0, x1, y1 = bounds_image_px
        for row in self._range(y0, y1, self.rows):
            for column in self._range(x0, x1, self.columns):
                yield self.tile(column, row)

    def rows_over(self, shape: BaseGeometry) -> range:
        """Return the rows that a shape (ImagePx) reaches into."""
        return self._range(shape.bounds[1], shape.bounds[3], self.rows)

    def over_in_row(self, shape: BaseGeometry, row: int) -> Iterator[Tile]:
        """Go through the tiles of one row that a shape (ImagePx) reaches into."""
        for column in self._range(shape.bounds[0], shape.bounds[2], self.columns):
            yield self.tile(column, row)

    def _range(self, low: float, high: float, count: int) -> range:
        step, side = self.step_image_px, self.side_image_px
        first = math.floor((low - side) / step) + 1
        last = math.ceil(high / step) - 1
        return range(max(0, first), min(count - 1, last) + 1)


@dataclass(frozen=True, eq=False)
class Piece:
    """What one tile shows of an object.

    Parameters
    ----------
    tile : Tile
    shape : Polygon or MultiPolygon, TilePx
    visible : float
        0..1, shown area over the area that could be shown: the object's, or the tile's where the
        object is the larger one.
    """

    tile: Tile
    shape: BaseGeometry
    visible: float


def cut(shape: BaseGeometry, grid: Grid, *, min_visible: float = 0.25) -> tuple[Piece, ...]:
    """Cut an object at the borders of a grid.

    Parameters
    ----------
    shape : Polygon or MultiPolygon, ImagePx
    grid : Grid
    min_visible : float
        Tiles that show less than this share of the object do not count it. The tile that shows
        most of it always does, so that no object is lost.

    Returns
    -------
    tuple of Piece
        Row by row; empty for an object beside the slide.

    Notes
    -----
    A cross of borders through an object smaller than a tile leaves a quarter of it in at least
    one of four tiles: 0.25 is the largest share that loses none even without the rule of the
    best tile.

    Examples
    --------
    >>> pieces = cut(shapely.box(200, 10, 300, 60), Grid(512, 512, tile_size=256))
    >>> [(p.tile.column, p.shape.bounds, round(p.visible, 2)) for p in pieces]
    [(0, (200.0, 10.0, 256.0, 60.0), 0.56), (1, (0.0, 10.0, 44.0, 60.0), 0.44)]
    """
    inside = _clip(shape, (0.0, 0.0, float(grid.width_px), float(grid.height_px)))
    if inside is None:
        return ()
    whole = min(inside.area, grid.side_image_px**2)
    shown: list[Piece] = []
    x0, _, x1, _ = inside.bounds
    for row in grid.rows_over(inside):
        # A strip first: an outline of many corners is then cut once a row, not once a tile.
        _, top, _, bottom = grid.tile(0, row).bounds_image_px
        strip = _clip(inside, (x0, top, x1, bottom))
        for tile in () if strip is None else grid.over_in_row(strip, row):
            part = _clip(strip, tile.bounds_image_px)
            if part is not None:
                shown.append(Piece(tile, into_tile(part, tile), min(1.0, part.area / whole)))
    if not shown:
        return ()
    # Exact quarters must not be lost to the last bit of a product.
    least = min_visible - _NOISE
    best = max(shown, key=lambda piece: piece.visible)
    return tuple(p for p in shown if p.visible >= least or p is best)


def _clip(
    shape: BaseGeometry | None, box_xyxy: tuple[float, float, float, float]
) -> BaseGeometry | None:
    """Keep what lies in a box; a shape that lies in it whole comes back untouched."""
    if shape is None:
        return None
    x0, y0, x1, y1 = shape.bounds
    left, top, right, bottom = box_xyxy
    if left <= x0 and top <= y0 and x1 <= right and y1 <= bottom:
        return shape
    return only_areas(shape.intersection(shapely.box(left, top, right, bottom)))


def into_tile(shape: BaseGeometry, tile: Tile) -> BaseGeometry:
    """Carry a shape from the slide into a tile.

    Parameters
    ----------
    shape : shapely geometry, ImagePx
    tile : Tile

    Returns
    -------
    shapely geometry, TilePx
    """
    there = tile.from_image()
    moved: BaseGeometry = shapely.transform(shape, lambda xy: there(Points(ImagePx, xy)).xy)
    return moved
