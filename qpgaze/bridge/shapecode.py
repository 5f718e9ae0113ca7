"""A shape in few bytes, and whether two shapes are the same but for QuPath's rounding.

QuPath keeps polygons in single precision and, from 0.6 on, rounds other shapes to a hundredth of
a pixel. Neither is a person's doing, so neither may count as a change.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from qpgaze.errors import ProjectError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_STEP_PX = 0.01
# Numbers are GEOS's; a ring alone and a collection have no counterpart in QuPath.
_NAMES = {
    0: "Point",
    1: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
}
_CODED = list(_NAMES)
_SPECK_PX2 = 1.0
"""Holes and pieces below this area may vanish when QuPath rounds."""


def encode_shape(geometry: BaseGeometry, *, is_ellipse: bool = False) -> dict[str, Any]:
    """Write a shape as JSON values, coordinates to a hundredth of a pixel.

    Parameters
    ----------
    geometry : shapely geometry, ImagePx
        Point, line or polygon, single or multi.
    is_ellipse : bool
        The shape is the ellipse inscribed in the bounds, which are all that is kept.

    Returns
    -------
    dict
        For :func:`decode_shape`.

    Examples
    --------
    >>> decode_shape(encode_shape(shapely.box(0, 0, 20, 10.126))).bounds
    (0.0, 0.0, 20.0, 10.13)
    """
    return encode_shapes([geometry], [is_ellipse])[0]


def encode_shapes(
    geometries: Sequence[BaseGeometry], are_ellipses: Sequence[bool]
) -> list[dict[str, Any]]:
    """Write many shapes as :func:`encode_shape` does, in a fraction of the time.

    Raises
    ------
    ProjectError
        If one is empty or a collection.
    """
    shapes = np.array(geometries, dtype=object)
    kinds = shapely.get_type_id(shapes)
    if not np.isin(kinds, _CODED).all() or shapely.is_empty(shapes).any():
        raise ProjectError("A shape that is empty or a collection cannot be recorded.")
    codes: list[dict[str, Any]] = [{} for _ in geometries]
    round_ = np.array(are_ellipses, dtype=bool)
    bounds = np.round(shapely.bounds(shapes), 2)
    for number in np.flatnonzero(round_):
        codes[number] = {"ellipse": bounds[number].tolist()}
    for kind in np.unique(kinds[~round_]):
        members = np.flatnonzero(~round_ & (kinds == kind))
        _, xy, offsets = shapely.to_ragged_array(shapes[members])
        steps = np.rint(xy[:, :2] / _STEP_PX).astype("<i8")
        name = _NAMES[int(kind)]
        for place, number in enumerate(members):
            first, last = place, place + 1
            parts: list[list[int]] = []
            for offset in reversed(offsets):
                inside = np.asarray(offset)[first : last + 1]
                first, last = int(inside[0]), int(inside[-1])
                parts.insert(0, (inside - first).tolist())
            deltas = steps[first:last].copy()
            deltas[1:] -= steps[first : last - 1]
            packed = zlib.compress(deltas.tobytes(), 6)
            codes[number] = {
                "type": name,
                "xy": base64.b64encode(packed).decode("ascii"),
                "parts": parts,
            }
    return codes


def decode_shape(code: dict[str, Any]) -> BaseGeometry:
    """Read a shape back; an ellipse as the box that it is inscribed in.

    Raises
    ------
    ProjectError
        If it is not what :func:`encode_shape` writes.
    """
    shape: BaseGeometry
    try:
        if "ellipse" in code:
            shape = shapely.box(*code["ellipse"])
            return shape
        kind = shapely.GeometryType[code["type"].upper()]
        raw = zlib.decompressobj().decompress(base64.b64decode(code["xy"]), 1 << 28)
        deltas = np.frombuffer(raw, "<i8").reshape(-1, 2)
        xy = np.cumsum(deltas, axis=0) * _STEP_PX
        offsets = tuple(np.asarray(offset, np.int64) for offset in code["parts"])
        shape = shapely.from_ragged_array(kind, xy, offsets or None)[0]
    except (KeyError, TypeError, ValueError, zlib.error, AttributeError, IndexError) as error:
        raise ProjectError("A recorded shape is damaged.") from error
    return shape


def rounding_px(geometry: BaseGeometry) -> float:
    """Return how far QuPath's rounding and ours may move a point of a shape, pixels."""
    reach = max((abs(float(v)) for v in geometry.bounds), default=0.0)
    return 1.5 * _STEP_PX + float(np.spacing(np.float32(max(reach, 1.0))))


def same_shape(
    recorded: dict[str, Any], geometry: BaseGeometry, *, is_ellipse: bool = False
) -> bool:
    """Tell whether a shape is the recorded one, but for rounding.

    Parameters
    ----------
    recorded : dict
        From :func:`encode_shape`.
    geometry : shapely geometry, ImagePx
    is_ellipse : bool

    Examples
    --------
    >>> square = shapely.box(0, 0, 20, 10)
    >>> same_shape(encode_shape(square), shapely.box(0, 0, 20.004, 10))
    True
    >>> same_shape(encode_shape(square), shapely.box(0, 0, 20.1, 10))
    False
    """
    if geometry.is_empty:
        return False
    tolerance = rounding_px(geometry)
    before = decode_shape(recorded)
    if np.abs(np.subtract(before.bounds, geometry.bounds)).max() > tolerance:
        return False
    if is_ellipse or "ellipse" in recorded:
        return is_ellipse == ("ellipse" in recorded)
    if before.geom_type.removeprefix("Multi") != geometry.geom_type.removeprefix("Multi"):
        return False
    if _near(before, geometry, tolerance):
        return True
    if not before.geom_type.endswith("Polygon"):
        return False
    return _near(_without_specks(before), _without_specks(geometry), tolerance)


def _near(one: BaseGeometry, other: BaseGeometry, tolerance: float) -> bool:
    if one.is_empty or other.is_empty:
        return False
    first, second = (
        shape.boundary if shape.geom_type.endswith("Polygon") else shape for shape in (one, other)
    )
    with np.errstate(invalid="ignore"):  # NaN where a ring fell into a point
        return float(shapely.hausdorff_distance(first, second)) <= tolerance * 2**0.5


def _without_specks(shape: BaseGeometry) -> BaseGeometry:
    parts = [
        shapely.Polygon(
            part.exterior, [r for r in part.interiors if shapely.Polygon(r).area >= _SPECK_PX2]
        )
        for part in shapely.get_parts(shape)
        if shapely.Polygon(part.exterior).area >= _SPECK_PX2
    ]
    return shapely.MultiPolygon(parts)
