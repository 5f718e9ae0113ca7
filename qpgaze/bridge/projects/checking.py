"""What QuPath can keep of an object, asked before it is staged."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import shapely

from qpgaze.bridge.projects.comparing import moved
from qpgaze.errors import ProjectError, UnsupportedDataError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

SHAPES = frozenset({"Point", "MultiPoint", "LineString", "Polygon", "MultiPolygon"})
"""Shapes that every QuPath keeps as they are. A MultiLineString comes back joined: one object a
piece. A collection has no counterpart."""

_TYPES = [shapely.GeometryType[name.upper()] for name in sorted(SHAPES)]

AREAS = frozenset({"Polygon", "MultiPolygon"})
"""What a nucleus may be."""

KINDS = frozenset({"annotation", "detection", "cell", "tile"})
"""What can be added; the cores of a TMA grid are QuPath's to lay out."""

_AT_ONCE = 4096
"""Objects checked together: few enough that the processor's cache holds them."""

_CLASS_NAME = re.compile(r"[^:\r\n]*[^:\s][^:\r\n]*(?:: [^:\r\n]*[^:\s][^:\r\n]*)*")


def check_objects(objects: Sequence[SlideObject]) -> None:
    """Refuse new objects that some QuPath would lose, bend or choke on.

    Raises
    ------
    ProjectError
        If a shape is empty, invalid, not finite or of a kind QuPath lacks; if a class, name,
        measurement or key cannot be kept; if it is a TMA core.
    """
    for at in range(0, len(objects), _AT_ONCE):
        _check_some(objects[at : at + _AT_ONCE])


def _check_some(objects: Sequence[SlideObject]) -> None:
    _check_shapes(objects)
    if _all_plain(objects):
        return
    for item in objects:
        if item.kind not in KINDS:
            raise _refused(item, _wrong_kind(item.kind))
        _check_fields(item)


def _all_plain(objects: Sequence[SlideObject]) -> bool:
    """Tell whether no object can be refused for its fields, looked at a field at a time.

    Most objects share a few kinds, classes and keys; False only says that each needs a look.
    """
    classes = {item.class_name for item in objects}
    colors = {item.color for item in objects}
    keys = {key for found in {tuple(item.metadata) for item in objects} for key in found}
    names = {name for found in {tuple(item.measurements) for item in objects} for name in found}
    texts = set(map(type, chain.from_iterable(item.metadata.values() for item in objects)))
    values = list(chain.from_iterable(item.measurements.values() for item in objects))
    return (
        {item.kind for item in objects} <= KINDS - {"cell"}
        and all(item.nucleus is None and not item.missing for item in objects)
        and all(name is None or _CLASS_NAME.fullmatch(name) for name in classes)
        and all(color is None or 0 <= color <= 0xFFFFFF for color in colors)
        and texts | set(map(type, keys | names)) <= {str}
        and set(map(type, values)) <= {float}
        and not np.isinf(np.array(values, dtype=np.float64)).any()
    )


def settle_replacements(
    objects: Sequence[SlideObject], now: Mapping[UUID, SlideObject]
) -> list[SlideObject]:
    """Return objects as they take the place of those with the same ids.

    Parameters
    ----------
    objects : sequence of SlideObject
    now : mapping of UUID to SlideObject
        What is there.

    Returns
    -------
    list of SlideObject
        Each under its old parent. A TMA core keeps its shape, for which it need only come within
        QuPath's rounding.

    Raises
    ------
    ProjectError
        As :func:`check_objects`, but for a shape that is the one that was there; if an object is to
        become one of another kind, or a TMA core is to get another shape or place.
    """
    settled: list[SlideObject] = []
    shaped: list[SlideObject] = []
    for item in objects:
        old = now[item.id]
        if item.kind != old.kind:
            raise _refused(
                item, f"it is a {old.kind} and cannot become a {item.kind} (remove it, add another)"
            )
        new = dataclasses.replace(item, parent=old.parent)
        if item.kind == "tma_core":
            if not _in_place(item, old):
                raise _refused(
                    item, "a core's shape and place are its TMA grid's, which only QuPath changes"
                )
            new = dataclasses.replace(new, geometry=old.geometry)
        elif not _same_shapes(item, old):
            shaped.append(new)
        _check_fields(new)
        settled.append(new)
    _check_shapes(shaped)
    return settled


def refuse_cores(objects: Iterable[SlideObject]) -> None:
    """Refuse to take a core out of its TMA grid.

    Raises
    ------
    UnsupportedDataError
        If one of the objects is a core.
    """
    for item in objects:
        if item.kind == "tma_core":
            raise UnsupportedDataError(
                f"Object {item.id}{_called(item)} is a core of the TMA grid and cannot be removed; "
                "nothing was staged.",
                hint="Change the TMA grid in QuPath, or mark the core as missing.",
            )


def _in_place(item: SlideObject, old: SlideObject) -> bool:
    where = [(one.c, one.z, one.t, one.is_ellipse) for one in (item, old)]
    return where[0] == where[1] and (item.geometry is old.geometry or moved([old], [item]) is None)


def _same_shapes(item: SlideObject, old: SlideObject) -> bool:
    where = [(one.c, one.z, one.t, one.is_ellipse, one.nucleus_is_ellipse) for one in (item, old)]
    return where[0] == where[1] and item.geometry is old.geometry and item.nucleus is old.nucleus


def _check_shapes(objects: Sequence[SlideObject]) -> None:
    """Refuse shapes, and nuclei, that are none or no proper ones."""
    if not objects:
        return
    shapes = _check_sound(objects, [item.geometry for item in objects], "shape")
    unknown = ~np.isin(shapely.get_type_id(shapes), _TYPES)
    if unknown.any():
        item = objects[int(np.argmax(unknown))]
        raise _refused(item, f"QuPath has no {item.geometry.geom_type}")
    for item in objects:
        if item.is_ellipse and not _has_area(item.geometry):
            raise _refused(item, "an ellipse needs a width and a height")
    cells = [item for item in objects if item.nucleus is not None]
    if not cells:
        return
    _check_sound(cells, [item.nucleus for item in cells], "nucleus")
    for item in cells:
        if item.nucleus is not None and item.nucleus.geom_type not in AREAS:
            raise _refused(item, f"its nucleus is a {item.nucleus.geom_type}, which is no area")


def _check_sound(objects: Sequence[SlideObject], given: Sequence[object], what: str) -> Any:
    """Refuse shapes that are none; returns them as an array."""
    shapes = np.array(given, dtype=object)
    with np.errstate(invalid="ignore"):  # bounds of nothing are NaN; older GEOS warns of it
        bounds = shapely.bounds(shapes)
    for how, bad in (
        ("is missing", ~shapely.is_geometry(shapes)),
        ("is empty", shapely.is_empty(shapes)),
        ("has coordinates that are no numbers", ~np.isfinite(bounds).all(axis=1)),
        ("is not valid (it crosses itself?)", ~shapely.is_valid(shapes)),
    ):
        if bad.any():
            raise _refused(objects[int(np.argmax(bad))], f"its {what} {how}")
    return shapes


def _check_fields(item: SlideObject) -> None:
    fault = _fault(item)
    if fault is not None:
        raise _refused(item, fault)


def _wrong_kind(kind: str) -> str:
    if kind == "tma_core":
        return "a TMA core belongs to a grid, which only QuPath makes"
    return f"'{kind}' is no kind of object in QuPath"


def _fault(item: SlideObject) -> str | None:
    """Say what of an object, its shapes apart, cannot be kept; None when all can."""
    if item.nucleus is not None and item.kind != "cell":
        return f"a {item.kind} has no nucleus, only a cell has"
    if item.missing and item.kind != "tma_core":
        return f"a {item.kind} cannot be missing, only a TMA core can"
    if item.class_name is not None and not _CLASS_NAME.fullmatch(item.class_name):
        return (
            f"'{item.class_name}' is no class name: no line break, and ':' only as in 'Tumor: Big'"
        )
    if item.color is not None and not 0 <= item.color <= 0xFFFFFF:
        return f"{item.color} is no colour (0xRRGGBB)"
    for key, value in item.measurements.items():
        if not isinstance(key, str) or not isinstance(value, (int, float, np.number)):
            return f"its measurement '{key}' is no number"
        if isinstance(value, float) and math.isinf(value):
            return f"its measurement '{key}' is infinite"
    for key, text in item.metadata.items():
        if not isinstance(key, str) or not isinstance(text, str):
            return f"its metadata '{key}' is no text"
    return None


def _has_area(shape: BaseGeometry) -> bool:
    x0, y0, x1, y1 = shape.bounds
    return bool(x1 > x0 and y1 > y0)


def _called(item: SlideObject) -> str:
    return f" ({item.name})" if item.name else ""


def _refused(item: SlideObject, why: str) -> ProjectError:
    return ProjectError(
        f"Object {item.id}{_called(item)} cannot be written: {why}. Nothing was staged."
    )
