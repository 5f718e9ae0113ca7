"""Between QuPath's regions and shapely geometries, many at a time.

A rectangle, an ellipse (64 corners on its rim, bounds exactly QuPath's) and a polygon become
Polygons; lines LineStrings; points a Point or MultiPoint; an area, whose rings fill by the
even-odd rule, what its rings enclose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from qpgaze.errors import UnsupportedDataError

ELLIPSE_CORNERS: Final = 64
_TURN = np.arange(ELLIPSE_CORNERS) * (2 * np.pi / ELLIPSE_CORNERS)
_COS, _SIN = np.cos(_TURN), np.sin(_TURN)
_QUARTER: Final = ELLIPSE_CORNERS // 4
EMPTY: Final = shapely.Polygon()


def build_kind(kind: str, shapes: Sequence[Any]) -> Any:
    """Build the geometries of many regions of one kind.

    Parameters
    ----------
    kind : str
        QuPath's class (``RectangleROI``).
    shapes : sequence
        As :class:`~qpgaze.bridge.qpdata.records.Roi` holds them; (n, 4) array for boxes.

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


def _corners(shapes: Sequence[Any], least: int) -> tuple[Any, Any]:
    """Return all corners (n, 2) and to which shape each belongs; short shapes are padded."""
    xs, ys, counts = [], [], np.empty(len(shapes), dtype=np.int64)
    for i, (x, y) in enumerate(shapes):
        count = len(x) // 4
        if count < least:
            x, y = x + x[-4:] * (least - count), y + y[-4:] * (least - count)
            count = least
        xs.append(x)
        ys.append(y)
        counts[i] = count
    corners = np.empty((int(counts.sum()), 2))
    corners[:, 0] = np.frombuffer(b"".join(xs), ">f4")
    corners[:, 1] = np.frombuffer(b"".join(ys), ">f4")
    return corners, np.repeat(np.arange(len(shapes)), counts)


def _filled(
    shapes: Sequence[Any], least: int, build: Callable[[Any, Any], Any], empty: BaseGeometry
) -> Any:
    """Build the shapes that have corners, and `empty` for the others."""
    if all(x for x, _ in shapes):
        return build(*_corners(shapes, least))
    out = np.full(len(shapes), empty, dtype=object)
    some = [i for i, (x, _) in enumerate(shapes) if x]
    if some:
        out[some] = build(*_corners([shapes[i] for i in some], least))
    return out


def _polygons(shapes: Sequence[Any]) -> Any:
    def build(corners: Any, owner: Any) -> Any:
        counts = np.bincount(owner)
        starts = np.cumsum(counts) - counts
        # Each ring ends with its first corner once more.
        closed = np.insert(corners, starts + counts, corners[starts], axis=0)
        offsets = np.concatenate([[0], np.cumsum(counts + 1)]), np.arange(len(counts) + 1)
        return shapely.from_ragged_array(shapely.GeometryType.POLYGON, closed, offsets)

    return _filled(shapes, 3, build, EMPTY)


def _polylines(shapes: Sequence[Any]) -> Any:
    def build(corners: Any, owner: Any) -> Any:
        return shapely.linestrings(corners, indices=owner)

    return _filled(shapes, 2, build, shapely.LineString())


def _points(shapes: Sequence[Any]) -> Any:
    def build(corners: Any, owner: Any) -> Any:
        points = shapely.points(corners)
        many = shapely.multipoints(points, indices=owner)
        first = np.searchsorted(owner, np.arange(len(many)))
        return np.where(np.bincount(owner) == 1, points[first], many)

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


_BUILDERS: Final[dict[str, Callable[[Sequence[Any]], Any]]] = {
    "RectangleROI": _boxes,
    "EllipseROI": _ellipses,
    "LineROI": _lines,
    "PolygonROI": _polygons,
    "PolylineROI": _polylines,
    "PointsROI": _points,
    "AreaROI": _areas,
    "GeometryROI": _wkb,
}
