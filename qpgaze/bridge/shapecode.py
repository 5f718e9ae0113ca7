"""A shape in few bytes, and whether two shapes are the same but for QuPath's rounding.

QuPath keeps polygons in single precision and, from 0.6 on, rounds other shapes to a hundredth of
a pixel. Neither is a person's doing, so neither may count as a change.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from qpgaze.errors import ProjectError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_STEP_PX = 0.01
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
    if is_ellipse:
        return {"ellipse": [round(float(v), 2) for v in geometry.bounds]}
    if geometry.geom_type in ("GeometryCollection", "LinearRing") or geometry.is_empty:
        raise ProjectError(f"A shape of kind {geometry.geom_type} cannot be recorded.")
    kind, xy, offsets = shapely.to_ragged_array(np.array([geometry], dtype=object))
    steps = np.rint(xy[:, :2] / _STEP_PX).astype("<i8")
    deltas = np.diff(steps, axis=0, prepend=np.zeros((1, 2), "<i8"))
    packed = zlib.compress(deltas.astype("<i8").tobytes(), 6)
    return {
        "type": kind.name.title().replace("string", "String"),
        "xy": base64.b64encode(packed).decode("ascii"),
        "parts": [np.asarray(offset).tolist() for offset in offsets],
    }


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
