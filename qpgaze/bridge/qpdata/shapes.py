"""Between QuPath's regions and shapely geometries, many at a time.

A rectangle, an ellipse (64 corners on its rim, bounds exactly QuPath's) and a polygon become
Polygons; lines LineStrings; points a Point or MultiPoint; an area, whose rings fill by the
even-odd rule, what its rings enclose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from qpgaze.errors import UnsupportedDataError

ELLIPSE_CORNERS: Final = 64
_TURN = np.arange(ELLIPSE_CORNERS) * (2 * np.pi / ELLIPSE_CORNERS)
_COS, _SIN = np.cos(_TURN), np.sin(_TURN)
_QUARTER: Final = ELLIPSE_CORNERS // 4
EMPTY: Final = shapely.Polygon()


class Corners(NamedTuple):
    """The corners of many regions: all x and y, (n, 2), and how many each region has."""

    xy: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


def build_kind(kind: str, shapes: Sequence[Any] | Corners) -> Any:
    """Build the geometries of many regions of one kind.

    Parameters
    ----------
    kind : str
        QuPath's class (``RectangleROI``).
    shapes : sequence
        As :class:`~qpgaze.bridge.qpdata.records.Roi` holds them; (n, 4) array for boxes;
        Corners, if at hand, for those that have any number of them.

    Returns
    -------
    (n,) array of shapely geometry, ImagePx

    Raises
    ------
    UnsupportedDataError
        If a region is no geometry (broken WKB, NaN corners).
    """
    try:
        return _BUILDERS[kind](shapes)
    except (ShapelyError, ValueError) as error:
        raise UnsupportedDataError(
            f"The image's data holds a {kind} that is no proper shape ({error})."
        ) from error


def ellipse(x: float, y: float, x2: float, y2: float) -> BaseGeometry:
    """Return the ellipse inscribed in a box, as a polygon whose bounds are that box."""
    geometry: BaseGeometry = _ellipses([(x, y, x2, y2)])[0]
    return geometry


def _boxes(shapes: Sequence[Any]) -> Any:
    x, y, x2, y2 = np.array(shapes, dtype=np.float64).T
    boxes = shapely.box(x, y, x2, y2)
    if shapely.is_missing(boxes).any():  # what shapely makes of NaN
        raise ValueError("a corner is no number")
    return boxes


def _ellipses(shapes: Sequence[Any]) -> Any:
    x, y, x2, y2 = np.array(shapes, dtype=np.float64).T[:, :, None]
    rim = np.empty((len(shapes), ELLIPSE_CORNERS, 2))
    with np.errstate(all="ignore"):
        rim[:, :, 0] = (x + x2) / 2 + (x2 - x) / 2 * _COS
        rim[:, :, 1] = (y + y2) / 2 + (y2 - y) / 2 * _SIN
    # The four extremes are set, not computed, so that the bounds keep every bit.
    rim[:, 0, 0], rim[:, 2 * _QUARTER, 0] = x2[:, 0], x[:, 0]
    rim[:, _QUARTER, 1], rim[:, 3 * _QUARTER, 1] = y2[:, 0], y[:, 0]
    return shapely.polygons(shapely.linearrings(rim))


def _lines(shapes: Sequence[Any]) -> Any:
    corners = np.array(shapes, dtype=np.float64).reshape(-1, 2, 2)
    return shapely.linestrings(corners)


def corners_of(shapes: Sequence[Any]) -> Corners:
    """Gather the corners of regions that are pairs of x and y as big-endian float32 bytes."""
    counts = np.fromiter((len(x) // 4 for x, _ in shapes), np.int64, len(shapes))
    corners = np.empty((int(counts.sum()), 2))
    for i in (0, 1):
        corners[:, i] = np.frombuffer(b"".join(shape[i] for shape in shapes), ">f4")
    return Corners(corners, counts)


def _padded(corners: Corners, least: int) -> Corners:
    """Repeat the last corner of short regions, but of those that have none."""
    xy, counts = corners
    wanted = np.where(counts == 0, 0, np.maximum(counts, least))
    if np.array_equal(wanted, counts):
        return corners
    starts, first = np.cumsum(counts) - counts, np.cumsum(wanted) - wanted
    place = np.arange(int(wanted.sum())) - np.repeat(first, wanted)
    rows = np.repeat(starts, wanted) + np.minimum(place, np.repeat(counts - 1, wanted))
    return Corners(xy[rows], wanted)


def _filled(
    shapes: Sequence[Any] | Corners, least: int, build: Callable[[Corners], Any], empty: Any
) -> Any:
    """Build the shapes that have corners, and `empty` for the others."""
    xy, counts = _padded(shapes if isinstance(shapes, Corners) else corners_of(shapes), least)
    if counts.all():
        return build(Corners(xy, counts))
    out = np.full(len(counts), empty, dtype=object)
    some = np.flatnonzero(counts)
    if len(some):
        out[some] = build(Corners(xy, counts[some]))
    return out


def _owner(counts: Any) -> Any:
    return np.repeat(np.arange(len(counts)), counts)


def _rings(corners: Corners) -> Any:
    """Build polygons, each closed by its first corner where it is not, and of three at least."""
    xy, counts = corners
    stops = np.cumsum(counts)
    with np.errstate(invalid="ignore"):
        ended = (xy[stops - counts] == xy[stops - 1]).all(axis=1) & (counts > 3)
    if not ended.all():
        late = ~ended
        xy = np.insert(xy, stops[late], xy[(stops - counts)[late]], axis=0)
        counts = counts + late
    offsets = np.concatenate([[0], np.cumsum(counts)]), np.arange(len(counts) + 1)
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, xy, offsets)


def _polygons(shapes: Sequence[Any] | Corners) -> Any:
    return _filled(shapes, 3, _rings, EMPTY)


def _polylines(shapes: Sequence[Any] | Corners) -> Any:
    def build(corners: Corners) -> Any:
        return shapely.linestrings(corners.xy, indices=_owner(corners.counts))

    return _filled(shapes, 2, build, shapely.LineString())


def _points(shapes: Sequence[Any] | Corners) -> Any:
    def build(corners: Corners) -> Any:
        points: Any = shapely.points(corners.xy)
        many: Any = shapely.multipoints(points, indices=_owner(corners.counts))
        first = np.cumsum(corners.counts) - corners.counts
        return np.where(corners.counts == 1, points[first], many)

    return _filled(shapes, 1, build, shapely.MultiPoint())


def _areas(shapes: Sequence[Any]) -> Any:
    out = []
    for rings in shapes:
        parts = [p for p in _polygons(rings) if p.area > 0] if rings else []
        whole = EMPTY
        for part in parts:
            whole = shapely.symmetric_difference(whole, shapely.make_valid(part))
        out.append(whole)
    return out


def _wkb(shapes: Sequence[Any]) -> Any:
    return shapely.from_wkb(np.array(shapes, dtype=object))


_BUILDERS: Final[dict[str, Callable[[Any], Any]]] = {
    "RectangleROI": _boxes,
    "EllipseROI": _ellipses,
    "LineROI": _lines,
    "PolygonROI": _polygons,
    "PolylineROI": _polylines,
    "PointsROI": _points,
    "AreaROI": _areas,
    "GeometryROI": _wkb,
}
