"""The words of QuPath's GeoJSON, in every dialect, and values as it spells them."""

from __future__ import annotations

import math
from typing import Any, Final, Literal, get_args

Dialect = Literal["0.3", "0.4", "0.5", "0.6", "0.7"]
"""The QuPath that is to read what is written. All from 0.5 on read the same words."""

DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)

DECIMALS: Final = 2
"""QuPath's own precision; 0.6 and newer round what they read to as many."""

TO_TYPE: Final = {
    "annotation": "annotation",
    "detection": "detection",
    "cell": "cell",
    "tile": "tile",
    "tma_core": "tmaCore",
}
FROM_TYPE: Final = {
    **{name: kind for kind, name in TO_TYPE.items()},
    "tma_core": "tma_core",
    "PathAnnotationObject": "annotation",
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathTileObject": "tile",
    "TMACoreObject": "tma_core",
    "PathRootObject": "root",
    "root": "root",
    "unknown": "annotation",
}

COLLECTION_KEYS: Final = frozenset({"type", "features", "crs", "bbox", "name"})
FEATURE_KEYS: Final = frozenset({"type", "id", "geometry", "nucleusGeometry", "properties", "bbox"})
GEOMETRY_KEYS: Final = frozenset(
    {"type", "coordinates", "geometries", "plane", "isEllipse", "bbox", "crs"}
)
PROPERTY_KEYS: Final = frozenset(
    {
        "objectType", "object_type", "type", "name", "color", "colorRGB", "classification",
        "isLocked", "isMissing", "measurements", "metadata", "childObjects", "children",
    }
)  # fmt: skip
"""What is taken over; everything else is reported, since it has no place in an object."""

_NUMBERS: Final = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}


def rgb(color: int) -> list[int]:
    """Return a colour as QuPath 0.4 and newer write it.

    Examples
    --------
    >>> rgb(0xC80000)
    [200, 0, 0]
    """
    return [color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF]


def color_of(value: Any) -> int | None:
    """Read ``[r, g, b]`` or QuPath's signed ARGB as 0xRRGGBB; None for anything else.

    Examples
    --------
    >>> color_of([200, 0, 0]) == color_of(-3670016) == 0xC80000
    True
    """
    if type(value) is list and len(value) == 3 and all(type(v) is int for v in value):
        red, green, blue = (max(0, min(255, v)) for v in value)
        return int(red << 16 | green << 8 | blue)
    if type(value) is int and -(1 << 31) <= value < 1 << 32:
        return value & 0xFFFFFF
    return None


def spelled(value: float) -> float | str:
    """Return a measurement as JSON can hold it, in QuPath's spelling.

    Examples
    --------
    >>> spelled(1.5), spelled(math.nan), spelled(-math.inf)
    (1.5, 'NaN', '-Infinity')
    """
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")


def number_of(value: Any) -> float | None:
    """Read a measurement: a number, NaN bare or as text, null; None for anything else.

    Examples
    --------
    >>> number_of(3), number_of("NaN"), number_of("-inf"), number_of("many")
    (3.0, nan, -inf, None)
    """
    kind = type(value)
    if kind is float:
        return value  # type: ignore[no-any-return]
    if kind is int:
        try:
            return float(value)
        except OverflowError:
            return None
    if value is None:
        return math.nan
    if kind is not str:
        return None
    text = value.strip().lower()
    sign = -1.0 if text.startswith("-") else 1.0
    known = _NUMBERS.get(text.lstrip("+-"))
    if known is not None:
        return sign * known
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None
