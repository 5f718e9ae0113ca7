"""GeoJSON as QuPath writes and reads it: the way past a store that refuses a file.

Writing is in the words of QuPath 0.4 and newer; reading also takes those of 0.2 and 0.3, a
FeatureCollection, a bare array, or one Feature.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape as shape_of

from qpgaze.bridge.projects.colors import class_color
from qpgaze.bridge.projects.files import Change, read_file, replace_files
from qpgaze.errors import ConflictError, ProjectError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

DESCRIPTION_KEY = "ANNOTATION_DESCRIPTION"
"""Metadata key under which QuPath keeps an object's description."""

ELLIPSE_POINTS = 64
DECIMALS = 2
"""QuPath's own precision; 0.6 and newer round what they read to as many."""

_NAMESPACE = UUID("5c1b9f52-9e0f-5f1f-8f43-0d6f0b2e7a11")
_TO_TYPE = {
    "annotation": "annotation",
    "detection": "detection",
    "cell": "cell",
    "tile": "tile",
    "tma_core": "tmaCore",
}
_FROM_TYPE = {
    **{name: kind for kind, name in _TO_TYPE.items()},
    "tma_core": "tma_core",
    "PathAnnotationObject": "annotation",
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathTileObject": "tile",
    "TMACoreObject": "tma_core",
    "PathRootObject": "root",
    "root": "root",
}


# -- out ---------------------------------------------------------------------------------------


def to_geojson(objects: Iterable[SlideObject], class_colors: Mapping[str, int]) -> dict[str, Any]:
    """Write objects as a FeatureCollection that QuPath 0.4 and newer import.

    Parameters
    ----------
    objects : iterable of SlideObject
    class_colors : mapping of str to int
        0xRRGGBB; a class without one gets the colour that a new class gets.

    Returns
    -------
    dict
        JSON values. Objects whose parent is among them lie in its ``childObjects``. A cell's
        nucleus is not written: :class:`~qpgaze.model.SlideObject` has none.

    Examples
    --------
    >>> one = SlideObject(UUID(int=1), shapely.box(0, 0, 2, 1), class_name="Tumor: Big")
    >>> feature = to_geojson([one], {"Tumor: Big": 0x0000FF})["features"][0]
    >>> feature["properties"]["classification"]
    {'names': ['Tumor', 'Big'], 'color': [0, 0, 255]}
    """
    every = list(objects)
    shapes = _geometries(every)
    features = {
        item.id: _feature(item, shape, class_colors)
        for item, shape in zip(every, shapes, strict=True)
    }
    top: list[dict[str, Any]] = []
    for item in every:
        above = features.get(item.parent) if item.parent is not None else None
        if above is None:
            top.append(features[item.id])
        else:
            above["properties"].setdefault("childObjects", []).append(features[item.id])
    return {"type": "FeatureCollection", "features": top}


def write_geojson(
    path: Path,
    objects: Sequence[SlideObject],
    class_colors: Mapping[str, int],
    *,
    overwrite: bool = False,
) -> int:
    """Write objects to a GeoJSON file.

    Parameters
    ----------
    path : Path
    objects, class_colors
        As for :func:`to_geojson`.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    int
        Number of objects written.

    Raises
    ------
    ConflictError
        If the file exists and may not be replaced.
    ProjectError
        If it cannot be written.
    """
    _, before = read_file(path)
    if before.exists and not overwrite:
        raise ConflictError(f"{path} exists already.", hint="Choose another name or overwrite it.")
    text = json.dumps(to_geojson(objects, class_colors), ensure_ascii=False, allow_nan=False)
    replace_files([Change(path, text.encode("utf-8"), before)])
    return len(objects)


def _geometries(objects: Sequence[SlideObject]) -> list[dict[str, Any]]:
    if not objects:
        return []
    exact = np.array(
        [_ellipse(item.geometry) if item.is_ellipse else item.geometry for item in objects],
        dtype=object,
    )
    rounded = shapely.transform(exact, lambda xy: np.round(xy, DECIMALS))
    # Rounding may fold a sliver onto itself: such a shape keeps its decimals.
    folded = ~shapely.is_valid(rounded) & shapely.is_valid(exact)
    rounded[folded] = exact[folded]
    made: list[dict[str, Any]] = []
    for item, text in zip(objects, shapely.to_geojson(rounded), strict=True):
        geometry: dict[str, Any] = {} if item.geometry.is_empty else json.loads(text)
        if geometry and (item.c, item.z, item.t) != (-1, 0, 0):
            geometry["plane"] = {"c": item.c, "z": item.z, "t": item.t}
        if geometry and item.is_ellipse:
            geometry["isEllipse"] = True
        made.append(geometry)
    return made


def _ellipse(geometry: BaseGeometry) -> BaseGeometry:
    """Return the polygon of an ellipse; it touches its bounds, from which QuPath makes it again."""
    if geometry.is_empty:
        return geometry
    x0, y0, x1, y1 = geometry.bounds
    angle_rad = np.arange(ELLIPSE_POINTS) * (2 * math.pi / ELLIPSE_POINTS)
    x = (x0 + x1) / 2 + (x1 - x0) / 2 * np.cos(angle_rad)
    y = (y0 + y1) / 2 + (y1 - y0) / 2 * np.sin(angle_rad)
    return shapely.Polygon(np.column_stack([x, y]))


def _feature(
    item: SlideObject, geometry: dict[str, Any], class_colors: Mapping[str, int]
) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": _TO_TYPE.get(item.kind, "annotation")}
    if item.name is not None:
        properties["name"] = item.name
    if item.color is not None:
        properties["color"] = _rgb(item.color)
    if item.class_name is not None:
        parts = item.class_name.split(": ")
        color = class_colors.get(item.class_name, class_color(item.class_name))
        # Without a colour QuPath throws when it reads a class.
        properties["classification"] = {
            **({"name": parts[0]} if len(parts) == 1 else {"names": parts}),
            "color": _rgb(color),
        }
    if item.locked:
        properties["isLocked"] = True
    if item.measurements:
        properties["measurements"] = {k: _number(v) for k, v in item.measurements.items()}
    metadata = dict(item.metadata)
    if item.description is not None:
        metadata[DESCRIPTION_KEY] = item.description
    if metadata:
        properties["metadata"] = metadata
    return {
        "type": "Feature",
        "id": str(item.id),
        "geometry": geometry,
        "properties": properties,
    }


def _rgb(color: int) -> list[int]:
    return [color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF]


def _number(value: float) -> float | str:
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")


# -- in ----------------------------------------------------------------------------------------


def from_geojson(data: Any) -> tuple[tuple[SlideObject, ...], dict[str, int]]:
    """Read objects from GeoJSON, in any dialect of QuPath.

    Parameters
    ----------
    data : JSON value
        A FeatureCollection, an array of Features, or one Feature.

    Returns
    -------
    objects : tuple of SlideObject
        Parents before children. A Feature without an id gets one from its content, the same each
        time. An empty geometry stays empty.
    class_colors : dict of str to int
        0xRRGGBB of the classes, where the file gives one.

    Raises
    ------
    ProjectError
        If it is no GeoJSON, or a shape is none: the message names the Feature.
    """
    objects: list[SlideObject] = []
    colors: dict[str, int] = {}
    seen: Counter[str] = Counter()
    stack: list[tuple[Any, UUID | None]] = [(one, None) for one in reversed(_features(data))]
    while stack:
        feature, parent = stack.pop()
        if not isinstance(feature, dict):
            raise ProjectError(f"Expected a Feature, but {type(feature).__name__} came.")
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise ProjectError("A Feature's properties are no JSON object.")
        item = _object(feature, properties, parent, colors, seen)
        if item is not None:
            objects.append(item)
            parent = item.id
        children = properties.get("childObjects", properties.get("children"))
        if isinstance(children, list):
            stack += [(child, parent) for child in reversed(children)]
    return tuple(objects), colors


def _features(data: Any) -> list[Any]:
    if isinstance(data, list):
        return data
    if isinstance(data, dict):
        if isinstance(data.get("features"), list):
            return list(data["features"])
        if data.get("type") == "Feature":
            return [data]
    raise ProjectError("Expected GeoJSON: a FeatureCollection, an array of Features or a Feature.")


def _object(
    feature: dict[str, Any],
    properties: dict[str, Any],
    parent: UUID | None,
    colors: dict[str, int],
    seen: Counter[str],
) -> SlideObject | None:
    """Make an object of a Feature; None for the root, which is no object of a person."""
    given = feature.get("id")
    kind = properties.get("objectType", properties.get("object_type", properties.get("type")))
    if kind is None and given in _FROM_TYPE:
        kind = given  # QuPath 0.2
    kind = _FROM_TYPE.get(str(kind), "annotation")
    if kind == "root":
        return None
    identity = _identity(feature, seen)
    geometry = feature.get("geometry") or {}
    if not isinstance(geometry, dict):
        raise ProjectError(f"Feature {identity}: its geometry is no JSON object.")
    shape = _shape(geometry, identity)
    plane = geometry.get("plane") if isinstance(geometry.get("plane"), dict) else {}
    metadata = properties.get("metadata")
    texts = (
        {str(k): str(v) for k, v in metadata.items() if isinstance(v, (str, int, float))}
        if isinstance(metadata, dict)
        else {}
    )
    name = properties.get("name")
    color = properties.get("color", properties.get("colorRGB"))
    return SlideObject(
        id=identity,
        geometry=shape,
        kind=kind,
        class_name=_class(properties.get("classification"), colors),
        color=_color(color),
        name=None if name is None else str(name),
        description=texts.pop(DESCRIPTION_KEY, None),
        measurements=_measurements(properties.get("measurements"), identity),
        metadata=texts,
        locked=properties.get("isLocked") is True,
        is_ellipse=geometry.get("isEllipse") is True and not shape.is_empty,
        c=_whole(plane, "c", -1),
        z=_whole(plane, "z", 0),
        t=_whole(plane, "t", 0),
        parent=parent,
    )


def _identity(feature: dict[str, Any], seen: Counter[str]) -> UUID:
    try:
        return UUID(str(feature.get("id")))
    except ValueError:
        properties = feature.get("properties")
        own = dict(properties) if isinstance(properties, dict) else {}
        for children in ("childObjects", "children"):  # they have ids of their own
            own.pop(children, None)
        text = json.dumps([feature.get("geometry"), own], sort_keys=True)
        seen[text] += 1
        return uuid5(_NAMESPACE, f"{text}#{seen[text]}")


def _shape(geometry: dict[str, Any], identity: UUID) -> BaseGeometry:
    if "type" not in geometry:
        return shapely.GeometryCollection()
    try:
        shape: BaseGeometry = shape_of(geometry)
        finite = bool(np.isfinite(shapely.get_coordinates(shape)).all())
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ProjectError(f"Feature {identity} has no shape: {_why(geometry)}.") from error
    if not finite:
        raise ProjectError(f"Feature {identity} has coordinates that are no numbers.")
    return shapely.force_2d(shape)


def _why(geometry: dict[str, Any]) -> str:
    """Say in words what is wrong with a geometry."""
    import geojson

    try:
        known = geojson.GeoJSON.to_instance(geometry, strict=False)
        errors = known.errors()
    except (ValueError, TypeError, KeyError, AttributeError, UnicodeEncodeError) as error:
        return str(error)
    return str(errors or "its coordinates make no shape")


def _class(value: Any, colors: dict[str, int]) -> str | None:
    if isinstance(value, str):
        return value or None
    if not isinstance(value, dict):
        return None
    names = value.get("names")
    parts = [str(name) for name in names] if isinstance(names, list) else []
    if not parts and value.get("name") is not None:
        parts = [str(value["name"])]
        above = value.get("parentClass")
        for _ in range(64):
            if not isinstance(above, dict) or above.get("name") is None:
                break
            parts.insert(0, str(above["name"]))
            above = above.get("parentClass")
    name = ": ".join(parts)
    color = _color(value.get("color", value.get("colorRGB")))
    if name and color is not None:
        colors.setdefault(name, color)
    return name or None


def _color(value: Any) -> int | None:
    """Read [r, g, b] or QuPath's signed ARGB."""
    if isinstance(value, list) and len(value) == 3 and all(isinstance(v, int) for v in value):
        red, green, blue = (max(0, min(255, v)) for v in value)
        return int(red << 16 | green << 8 | blue)
    if isinstance(value, int) and not isinstance(value, bool):
        return value & 0xFFFFFF
    return None


def _measurements(value: Any, identity: UUID) -> dict[str, float]:
    if isinstance(value, list):
        pairs = [(v.get("name"), v.get("value")) for v in value if isinstance(v, dict)]
    else:
        pairs = list(value.items()) if isinstance(value, dict) else []
    try:
        return {str(k): math.nan if v is None else float(v) for k, v in pairs}
    except (TypeError, ValueError) as error:
        raise ProjectError(f"Feature {identity} has a measurement that is no number.") from error


def _whole(plane: Any, key: str, default: int) -> int:
    value = plane.get(key, default)
    return value if isinstance(value, int) else default
