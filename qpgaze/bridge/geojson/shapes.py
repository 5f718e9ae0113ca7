"""GeoJSON geometries to shapely, many at a time: read, mended where that is safe, else refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import shapely

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

ELLIPSE_POINTS: Final = 64

CLOSED: Final = "rings were closed"
CROSSED: Final = "shapes that crossed themselves were mended"
PARTS: Final = "parts without area were left out"
GATHERED: Final = "collections became one shape"

_FARTHEST: Final = float(np.finfo(np.float32).max)
_DEEPEST: Final = 8

_MEETINGS_PER_SIDE: Final = 8
_MEETINGS: Final = 2000
"""Sides of a ring whose bounds may meet before it counts as tangled: a line that winds tightly has
a few a side, corners in random order have a third of all."""
_SIDES_AT_ONCE: Final = 64


class Bad(Exception):  # noqa: N818 - goes no farther than this package
    """Why a geometry cannot be taken, in words that follow 'its shape'."""


def read_shapes(
    geometries: Sequence[Any],
) -> tuple[list[BaseGeometry | None], dict[int, str], dict[int, str]]:
    """Make shapes of GeoJSON geometries.

    Parameters
    ----------
    geometries : sequence of JSON values
        Nothing, ``null`` and ``{}`` are an empty shape.

    Returns
    -------
    shapes : list of shapely geometry or None
        ImagePx; None where refused. Polygons are valid.
    refused : dict of int to str
        Why, by place.
    mended : dict of int to str
        What was mended, by place.

    Examples
    --------
    >>> bow = {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2]]]}
    >>> (shape,), refused, mended = read_shapes([bow])
    >>> shape.geom_type, shape.area, mended
    ('MultiPolygon', 2.0, {0: 'shapes that crossed themselves were mended'})
    """
    refused: dict[int, str] = {}
    mended: dict[int, str] = {}
    plain = _all_plain(geometries)
    if plain is not None:
        _mend(plain, refused, mended)
        return plain, refused, mended
    shapes: list[BaseGeometry | None] = [None] * len(geometries)
    for place in _plain_polygons(geometries, shapes):
        try:
            shapes[place], how = _shape(geometries[place], 0)
        except Bad as bad:
            refused[place] = str(bad)
        else:
            if how:
                mended[place] = how
    _mend(shapes, refused, mended)
    return shapes, refused, mended


def _all_plain(geometries: Sequence[Any]) -> list[BaseGeometry | None] | None:
    """Make shapes of geometries that all are polygons of one sound ring; None where one is not."""
    try:
        rings = [ring for (ring,) in [geometry["coordinates"] for geometry in geometries]]
        kinds = {geometry["type"] for geometry in geometries}
        corners = (
            _corners_of(rings) if kinds == {"Polygon"} and set(map(type, rings)) == {list} else None
        )
    except (KeyError, TypeError, ValueError):  # something else in one of the places
        return None
    if corners is None:
        return None
    counts = np.fromiter(map(len, rings), np.int64, len(rings))
    stops = np.cumsum(counts)
    if counts.min() < 4 or not (corners[stops - counts] == corners[stops - 1]).all():
        return None
    offsets = np.concatenate([[0], stops]), np.arange(len(rings) + 1)
    polygons: Any = shapely.from_ragged_array(shapely.GeometryType.POLYGON, corners, offsets)
    return polygons.tolist() if (shapely.area(polygons) > 0).all() else None


def _corners_of(rings: Sequence[Any]) -> npt.NDArray[np.float64] | None:
    """Return the corners of rings, one after the other; None where one is not plain x and y."""
    points = list(chain.from_iterable(rings))
    try:
        flat = list(chain.from_iterable(points))
        paired = set(map(len, points)) == {2}
    except TypeError:  # a point that is a number, say
        return None
    # A text or an object in a point's place yields texts here.
    if not paired or not set(map(type, flat)) <= {int, float}:
        return None
    try:
        corners = np.array(flat, dtype=np.float64).reshape(-1, 2)
    except OverflowError:
        return None
    return corners if bool((np.abs(corners) <= _FARTHEST).all()) else None


def _plain_polygons(
    geometries: Sequence[Any], shapes: list[BaseGeometry | None]
) -> Sequence[int] | range:
    """Fill in polygons of one sound ring, which most are; return the places of the others."""
    places: list[int] = []
    rings: list[list[Any]] = []
    for place, geometry in enumerate(geometries):
        if type(geometry) is dict and geometry.get("type") == "Polygon":
            coordinates = geometry.get("coordinates")
            if type(coordinates) is list and len(coordinates) == 1:
                ring = coordinates[0]
                if type(ring) is list and len(ring) > 3 and ring[0] == ring[-1]:
                    places.append(place)
                    rings.append(ring)
    every = range(len(geometries))
    if not rings:
        return every
    corners = _corners_of(rings)
    if corners is None:
        return every
    owner = np.repeat(np.arange(len(rings)), np.fromiter(map(len, rings), np.intp, len(rings)))
    polygons: Any = shapely.polygons(shapely.linearrings(corners, indices=owner))
    sound: Any = shapely.area(polygons) > 0
    done = set()
    for place, polygon, good in zip(places, polygons.tolist(), sound.tolist(), strict=True):
        if good:
            shapes[place] = polygon
            done.add(place)
    return [place for place in every if place not in done]


def _mend(
    shapes: list[BaseGeometry | None], refused: dict[int, str], mended: dict[int, str]
) -> None:
    """Make polygons that cross themselves proper ones of the same outline."""
    places = [i for i, shape in enumerate(shapes) if shape is not None]
    if not places:
        return
    array = np.array([shapes[i] for i in places], dtype=object)
    wrong = (shapely.get_dimensions(array) == 2) & ~shapely.is_valid(array)
    for row in np.flatnonzero(wrong).tolist():
        place = places[row]
        if _tangled(array[row]):
            shapes[place] = None
            refused[place] = "crosses itself too often to be mended"
            continue
        sound = proper(array[row])
        shapes[place] = sound
        if sound is None:
            refused[place] = "has no area"
        else:
            mended[place] = CROSSED


def _tangled(shape: BaseGeometry) -> bool:
    """Tell whether mending would take long: sides meet far more often than in any outline drawn."""
    corners = shapely.get_coordinates(shape)
    sides = shapely.box(
        *np.minimum(corners[:-1], corners[1:]).T, *np.maximum(corners[:-1], corners[1:]).T
    )
    tree = shapely.STRtree(sides)
    most = _MEETINGS_PER_SIDE * len(sides) + _MEETINGS
    met = 0
    for start in range(0, len(sides), _SIDES_AT_ONCE):
        met += tree.query(sides[start : start + _SIDES_AT_ONCE]).shape[1]
        if met > most:
            return True
    return False


def proper(shape: BaseGeometry) -> BaseGeometry | None:
    """Return the valid polygon or multipolygon within the same outline; None where none is left.

    Notes
    -----
    Both lobes of a bow-tie stay; holes are taken out and parts that overlap become one. Coordinates
    stay where they are but for new ones at crossings.
    """
    try:
        made = shapely.union_all([_proper_polygon(one) for one in shapely.get_parts(shape)])
    except shapely.errors.GEOSException:
        return None
    parts = [
        part
        for part in shapely.get_parts(made, return_index=False).tolist()
        if shapely.get_dimensions(part) == 2 and part.area > 0
    ]
    if not parts:
        return None
    whole: BaseGeometry = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return whole if shapely.is_valid(whole) else None


def _proper_polygon(polygon: Any) -> BaseGeometry:
    """Mend each ring by itself, then take the holes out of the outline."""
    outline = shapely.make_valid(shapely.Polygon(polygon.exterior))
    holes = [shapely.make_valid(shapely.Polygon(hole)) for hole in polygon.interiors]
    made: BaseGeometry = shapely.difference(outline, shapely.union_all(holes)) if holes else outline
    return made


def _shape(geometry: Any, depth: int) -> tuple[BaseGeometry, str]:
    """Read one geometry; the second value says what was mended, if anything."""
    if geometry is None or geometry == {}:
        return shapely.GeometryCollection(), ""
    if type(geometry) is not dict:
        raise Bad("is no JSON object")
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        return _collection(geometry.get("geometries"), depth)
    make = _MAKERS.get(kind) if type(kind) is str else None
    if make is None:
        raise Bad(f"is of an unknown type, {_short(kind)}" if kind is not None else "has no type")
    coordinates = geometry.get("coordinates")
    if type(coordinates) is not list:
        raise Bad("has no coordinates")
    if not coordinates:
        return shapely.GeometryCollection(), ""
    return make(coordinates)


def _collection(members: Any, depth: int) -> tuple[BaseGeometry, str]:
    """Make one shape of a collection whose members are all areas, all points, or one alone."""
    if type(members) is not list:
        raise Bad("is a collection without members")
    if depth >= _DEEPEST:
        raise Bad("is a collection nested too deep")
    shapes = [shape for shape, _ in (_shape(one, depth + 1) for one in members)]
    shapes = [shape for shape in shapes if not shape.is_empty]
    if not shapes:
        return shapely.GeometryCollection(), ""
    if len(shapes) == 1:
        return shapes[0], GATHERED
    dimensions = {int(shapely.get_dimensions(shape)) for shape in shapes}
    if dimensions == {2}:
        if any(not shape.is_valid and _tangled(shape) for shape in shapes):
            raise Bad("crosses itself too often to be mended")
        sound = [shape if shape.is_valid else proper(shape) for shape in shapes]
        areas = [shape for shape in sound if shape is not None]
        if areas:
            return shapely.union_all(areas), GATHERED
    if dimensions == {0}:
        return shapely.MultiPoint(shapely.get_coordinates(shapes)), GATHERED
    raise Bad("is a collection of several kinds of shapes or several lines")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _corners(points: Any) -> npt.NDArray[np.float64]:
    """Return the x and y of positions; heights are dropped, as QuPath does."""
    if type(points) is not list or set(map(type, points)) - {list}:
        raise Bad("has coordinates that are no positions")
    if any(not 2 <= len(point) <= 4 for point in points):
        raise Bad("has positions that are not x and y")
    flat = [value for point in points for value in point[:2]]
    if not set(map(type, flat)) <= {int, float}:
        raise Bad("has coordinates that are no numbers")
    try:
        corners = np.array(flat, dtype=np.float64).reshape(-1, 2)
    except OverflowError as error:
        raise Bad("has coordinates out of all bounds") from error
    if not np.isfinite(corners).all():
        raise Bad("has coordinates that are no numbers (NaN or infinite)")
    if (np.abs(corners) > _FARTHEST).any():
        raise Bad("has coordinates out of all bounds")
    return corners


def _ring(points: Any) -> tuple[npt.NDArray[np.float64] | None, str]:
    """Return a closed ring, None where it encloses nothing."""
    corners = _corners(points)
    how = ""
    if len(corners) > 2 and not (corners[0] == corners[-1]).all():
        corners = np.vstack([corners, corners[:1]])
        how = CLOSED
    if len(np.unique(corners, axis=0)) < 3:
        return None, how
    return corners, how


def _polygon(rings: Any) -> tuple[BaseGeometry | None, str]:
    """Return a polygon, not yet valid; None where it has no area."""
    if type(rings) is not list:
        raise Bad("has rings that are no lists")
    if not rings:
        return None, ""
    outer, how = _ring(rings[0])
    holes = []
    for ring in rings[1:]:
        hole, mended = _ring(ring)
        how = how or mended
        if hole is None:
            how = PARTS
        else:
            holes.append(hole)
    if outer is None:
        return None, how
    polygon = shapely.Polygon(outer, holes)
    if shapely.get_dimensions(polygon) != 2:
        return None, how
    if polygon.area <= 0 and polygon.is_valid:
        return None, how
    return polygon, how


def _make_polygon(rings: list[Any]) -> tuple[BaseGeometry, str]:
    polygon, how = _polygon(rings)
    if polygon is None:
        raise Bad("has no area")
    return polygon, how


def _make_polygons(parts: list[Any]) -> tuple[BaseGeometry, str]:
    polygons: list[Any] = []
    how = ""
    for part in parts:
        polygon, mended = _polygon(part)
        how = how or mended
        if polygon is None:
            how = PARTS
        else:
            polygons.append(polygon)
    if not polygons:
        raise Bad("has no area")
    return shapely.MultiPolygon(polygons), how


def _make_point(position: list[Any]) -> tuple[BaseGeometry, str]:
    return shapely.Point(_corners([position])[0]), ""


def _make_points(positions: list[Any]) -> tuple[BaseGeometry, str]:
    return shapely.MultiPoint(_corners(positions)), ""


def _make_line(positions: list[Any]) -> tuple[BaseGeometry, str]:
    corners = _corners(positions)
    if len(np.unique(corners, axis=0)) < 2:
        raise Bad("has no length")
    return shapely.LineString(corners), ""


def _make_lines(parts: list[Any]) -> tuple[BaseGeometry, str]:
    lines: list[Any] = [_make_line(part)[0] for part in parts if part != []]
    if not lines:
        return shapely.GeometryCollection(), ""
    if len(lines) == 1:
        return lines[0], GATHERED
    return shapely.MultiLineString(lines), ""


_MAKERS: Final[dict[str, Callable[[list[Any]], tuple[BaseGeometry, str]]]] = {
    "Point": _make_point,
    "MultiPoint": _make_points,
    "LineString": _make_line,
    "MultiLineString": _make_lines,
    "Polygon": _make_polygon,
    "MultiPolygon": _make_polygons,
}


def ellipse_outline(shape: BaseGeometry) -> BaseGeometry:
    """Return the polygon of an ellipse; it touches its bounds, from which QuPath makes it again."""
    if shape.is_empty:
        return shape
    x0, y0, x1, y1 = shape.bounds
    angle_rad = np.arange(ELLIPSE_POINTS) * (2 * math.pi / ELLIPSE_POINTS)
    x = (x0 + x1) / 2 + (x1 - x0) / 2 * np.cos(angle_rad)
    y = (y0 + y1) / 2 + (y1 - y0) / 2 * np.sin(angle_rad)
    return shapely.Polygon(np.column_stack([x, y]))
