"""Which region QuPath gets for a shapely geometry, many at a time; bad shapes are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from qpgaze.bridge.qpdata.records import Roi
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

_POINT, _LINE, _RING, _POLYGON, _MULTIPOINT, _MULTIPOLYGON = 0, 1, 2, 3, 4, 6
_REFUSED = "Expected a shape that QuPath can keep for the {} {}, but {} came."


def regions(objects: Sequence[SlideObject], what: str = "object") -> list[Roi]:
    """Choose the regions to write.

    A polygon that is an upright box becomes a RectangleROI, any shape with `is_ellipse` the
    EllipseROI inscribed in its bounds, another polygon without holes a PolygonROI (single
    precision) unless rounding breaks it, everything else with an area a GeometryROI (double
    precision); a line of two points a LineROI, of more a PolylineROI; points a PointsROI.

    Parameters
    ----------
    objects : sequence of SlideObject
    what : str
        What the shapes belong to, for messages.

    Returns
    -------
    list of Roi

    Raises
    ------
    ProjectError
        If a geometry is missing, empty, not finite, without extent, crosses itself, or is of a
        kind that QuPath has none for. The message names the object.
    """
    if not objects:
        return []
    shapes = flat(np.array([o.geometry for o in objects], dtype=object))
    types = shapely.get_type_id(shapes)
    ellipses = np.array([o.is_ellipse for o in objects])
    bounds = shapely.bounds(shapes)
    _refuse(objects, what, shapes, types, bounds, ellipses)
    out: list[Any] = [None] * len(objects)

    def put(rows: npt.NDArray[np.bool_], kind: str, values: Sequence[Any]) -> None:
        for i, value in zip(np.flatnonzero(rows).tolist(), values, strict=True):
            o = objects[i]
            out[i] = Roi(kind, o.c, o.z, o.t, value)

    boxes = _upright_boxes(shapes, types, bounds) & ~ellipses
    put(ellipses, "EllipseROI", list(map(tuple, bounds[ellipses].tolist())))
    put(boxes, "RectangleROI", list(map(tuple, bounds[boxes].tolist())))
    rest = ~(ellipses | boxes)
    rings = rest & (types == _POLYGON)
    rings[rings] = shapely.get_num_interior_rings(shapes[rings]) == 0
    rings[rings] = _survives_rounding(shapes[rings])
    put(rings, "PolygonROI", _pairs(shapely.get_exterior_ring(shapes[rings]), drop_last=True))
    lines = rest & ((types == _LINE) | (types == _RING))
    two = lines & (shapely.get_num_coordinates(shapes) == 2)
    ends = shapely.get_coordinates(shapes[two]).reshape(-1, 4).tolist()
    put(two, "LineROI", list(map(tuple, ends)))
    put(lines & ~two, "PolylineROI", _pairs(shapes[lines & ~two]))
    points = rest & ((types == _POINT) | (types == _MULTIPOINT))
    put(points, "PointsROI", _pairs(shapes[points]))
    geometry = rest & ~(rings | lines | points)
    wkb = shapely.to_wkb(shapes[geometry], byte_order=0, output_dimension=2)
    put(geometry, "GeometryROI", list(wkb))
    return out


def nuclei(objects: Sequence[SlideObject]) -> list[Roi | None]:
    """Choose the regions of cells' nuclei as :func:`regions` does; None where there is none.

    Raises
    ------
    ProjectError
        As there, and if a nucleus is no area.
    """
    out: list[Roi | None] = [None] * len(objects)
    places = [i for i, o in enumerate(objects) if o.nucleus is not None]
    if not places:
        return out
    inner = []
    for i in places:
        o = objects[i]
        if shapely.get_dimensions(o.nucleus) not in (-1, 2):
            raise ProjectError(
                _REFUSED.format("nucleus of the cell", title(o), "one that is no area")
            )
        assert o.nucleus is not None  # noqa: S101 - as chosen above
        inner.append(replace(o, geometry=o.nucleus, is_ellipse=o.nucleus_is_ellipse))
    for i, roi in zip(places, regions(inner, "nucleus of the cell"), strict=True):
        out[i] = roi
    return out


def _refuse(
    objects: Sequence[SlideObject], what: str, shapes: Any, types: Any, bounds: Any, round_: Any
) -> None:
    areal = (types == _POLYGON) | (types == _MULTIPOLYGON)
    linear = (types == _LINE) | (types == _RING)
    punctual = (types == _POINT) | (types == _MULTIPOINT)
    empty = shapely.is_empty(shapes)
    with np.errstate(invalid="ignore", over="ignore"):
        coordinates, owner = shapely.get_coordinates(shapes, return_index=True)
        endless = np.zeros(len(shapes), dtype=bool)
        endless[owner[~np.isfinite(coordinates.astype(np.float32)).all(axis=1)]] = True
        sound = ~(empty | endless | (types < 0))
        thin = np.zeros(len(shapes), dtype=bool)
        sizes = bounds[:, 2:] - bounds[:, :2]
        thin[sound] = (
            (round_ & (sizes <= 0).any(axis=1))
            | (~round_ & areal & (shapely.area(shapes) <= 0))
            | (~round_ & linear & (shapely.length(shapes) <= 0))
        )[sound]
        crossed = np.zeros(len(shapes), dtype=bool)
        # A box is valid; asking takes as long as for any other shape.
        check = sound & ~thin & areal & ~round_ & ~_upright_boxes(shapes, types, bounds)
        crossed[check] = ~shapely.is_valid(shapes[check])
    reasons = (
        (types < 0, "no geometry"),
        (empty, "an empty one"),
        (endless, "one with coordinates that are no finite numbers"),
        (~(areal | linear | punctual | round_), "one of several kinds or several lines"),
        (thin, "one without extent"),
        (crossed, "one that crosses itself"),
    )
    for wrong, came in reasons:
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            raise ProjectError(
                _REFUSED.format(what, title(objects[i]), came),
                hint="Nothing was written; repair the shape (shapely.make_valid) or leave it out.",
            )


def flat(shapes: Any) -> Any:
    """Return shapes without heights; most have none, and are not copied."""
    return shapely.force_2d(shapes) if shapely.has_z(shapes).any() else shapes


def title(o: SlideObject) -> str:
    """Name an object in a message."""
    words = [repr(text) for text in (o.name, o.class_name) if text]
    return " ".join([*words, str(o.id)])


def _upright_boxes(shapes: Any, types: Any, bounds: Any) -> npt.NDArray[np.bool_]:
    """Tell which shapes are polygons of four corners equal to their envelope."""
    rows = (types == _POLYGON) & (shapely.get_num_coordinates(shapes) == 5)
    rows[rows] = shapely.get_num_interior_rings(shapes[rows]) == 0
    corners = shapely.get_coordinates(shapes[rows]).reshape(-1, 5, 2)
    low, high = bounds[rows, None, :2], bounds[rows, None, 2:]
    upright = ((corners == low) | (corners == high)).all(axis=(1, 2))
    # A triangle with a corner named twice covers half of its envelope.
    full = shapely.area(shapes[rows]) > 0.75 * np.prod(bounds[rows, 2:] - bounds[rows, :2], axis=1)
    rows[rows] = upright & full
    return rows  # type: ignore[no-any-return]


def _survives_rounding(shapes: Any) -> npt.NDArray[np.bool_]:
    """Tell which polygons of one ring are still proper ones in single precision."""
    corners, owner = shapely.get_coordinates(shapes, return_index=True)
    rounded = corners.astype(np.float32).astype(np.float64)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(shapes)))])
    made = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, rounded, (offsets, np.arange(len(shapes) + 1))
    )
    return shapely.is_valid(made) & (shapely.area(made) > 0)


def _pairs(shapes: Any, *, drop_last: bool = False) -> list[tuple[bytes, bytes]]:
    """Return each shape's x and y as big-endian float32 bytes."""
    corners, owner = shapely.get_coordinates(shapes, return_index=True)
    stops = np.cumsum(np.bincount(owner, minlength=len(shapes))) * 4
    xs = corners[:, 0].astype(">f4").tobytes()
    ys = corners[:, 1].astype(">f4").tobytes()
    out, start = [], 0
    for stop in stops.tolist():
        end = stop - 4 if drop_last else stop
        out.append((xs[start:end], ys[start:end]))
        start = stop
    return out
