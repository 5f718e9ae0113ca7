"""Compares new objects that were read back with what was asked for, those of one layout at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice, repeat
from operator import attrgetter, eq
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt
import shapely

from qpgaze.bridge.qpdata.columns import Shapes, make_objects, measured, regions_of, words_of
from qpgaze.bridge.qpdata.encoding import AT_ONCE
from qpgaze.bridge.qpdata.records import Roi
from qpgaze.bridge.qpdata.regions import flat, title
from qpgaze.bridge.qpdata.scan import Scan
from qpgaze.bridge.qpdata.templates import Rows
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Wanted: TypeAlias = "tuple[SlideObject, Roi | None, Roi | None]"
"""An object as asked for, and the regions chosen for it and for its nucleus."""


def fault(what: str) -> ProjectError:
    """Return the error for data that did not come out as meant."""
    return ProjectError(
        f"The image's data did not read back as meant: {what}. Nothing was written.",
        hint="Please report this: it is a fault of qpgaze.",
    )


def require_as_asked(
    new: Scan,
    numbers: Sequence[int],
    wanted: Sequence[Wanted],
    place_of: Mapping[UUID, int],
    partner: Any,
) -> None:
    """Compare new objects with what was asked for.

    Parameters
    ----------
    new : Scan
        Of what was written.
    numbers : sequence of int
        Where the objects are in it.
    wanted : sequence of (SlideObject, Roi or None, Roi or None)
    place_of : mapping of UUID to int
        Numbers of the objects that there were before.
    partner : (n,) int64
        By those numbers, what became of them in `new`.

    Raises
    ------
    ProjectError
        If one differs.
    """
    _require_parents(new, numbers, wanted, place_of, partner)
    asked: list[Any] = [None] * len(new)
    for number, (o, _, _) in zip(numbers, wanted, strict=True):
        asked[number] = o
    chosen = np.zeros(len(new), dtype=bool)
    chosen[numbers] = True
    shapes = Shapes(len(new))
    quick = [r.take(chosen[r.numbers]) for r in new.rows if r.template.sample.kind in _QUICK]
    for rows in quick:
        for at in range(0, len(rows.numbers), AT_ONCE):
            part = rows.take(slice(at, at + AT_ONCE))
            objects = [asked[number] for number in part.numbers.tolist()]
            good = _rows_alike(part, objects, shapes)
            if not good.all():
                raise _differs(objects[int(np.flatnonzero(~good)[0])])
        chosen[rows.numbers] = False
    geometries = shapes.build()
    nuclei: dict[int, Any] = {}
    rest = np.flatnonzero(chosen).tolist()
    # Their ids were looked at to find them.
    made = make_objects(new, [UUID(int=0)] * len(new), rest) if rest else []
    for number in rest:
        if not _alike(asked[number], made[number]):
            raise _differs(asked[number])
        geometries[number], nuclei[number] = made[number].geometry, made[number].nucleus
    _same_shapes([(o, o.geometry, roi) for o, roi, _ in wanted], geometries[numbers])
    came = [nuclei.get(number) for number in numbers]
    if any((o.nucleus is None) != (x is None) for (o, _, _), x in zip(wanted, came, strict=True)):
        raise fault("a cell lost its nucleus or got one")
    inner = [(o, o.nucleus, roi) for o, _, roi in wanted if o.nucleus is not None]
    _same_shapes(inner, [x for x in came if x is not None])


def _require_parents(
    new: Scan,
    numbers: Sequence[int],
    wanted: Sequence[Wanted],
    place_of: Mapping[UUID, int],
    partner: Any,
) -> None:
    parents = new.parents.tolist()
    under = any(o.parent is not None for o, _, _ in wanted)
    number_of = {o.id: n for (o, _, _), n in zip(wanted, numbers, strict=True)} if under else {}
    for (o, _, _), number in zip(wanted, numbers, strict=True):
        if o.parent is None and parents[number] == 0:
            continue
        if o.id in place_of:
            continue  # where an object lies that was there before was compared with the others
        below = 0
        if o.parent is not None:
            there = number_of.get(o.parent)
            below = int(partner[place_of[o.parent]]) if there is None else there
        if parents[number] != below:
            raise fault(f"the new object {title(o)} lies under another one than asked")


_FIELDS = (
    "kind", "class_name", "color", "name", "description", "measurements", "metadata", "locked",
    "is_ellipse", "nucleus_is_ellipse", "missing", "c", "z", "t",
)  # fmt: skip
_fields = attrgetter(*_FIELDS)
_BOXES = frozenset({"RectangleROI", "EllipseROI"})
_EXACT = frozenset({"LineROI", "GeometryROI"})
_QUICK = frozenset({"annotation", "detection", "tile"})


def _differs(o: SlideObject) -> ProjectError:
    return fault(f"the new object {title(o)} differs from what was asked")


def _alike(o: SlideObject, other: SlideObject) -> bool:
    """Compare everything but id, shapes and place in the hierarchy."""
    return (
        other.kind == o.kind
        and other.class_name == o.class_name
        and other.color == (None if o.color is None else o.color & 0xFFFFFF)
        and other.name == o.name
        and other.description == o.description
        and _same_numbers(other.measurements, o.measurements)
        and dict(other.metadata) == dict(o.metadata)
        and other.locked == o.locked
        and other.is_ellipse == o.is_ellipse
        and other.nucleus_is_ellipse == o.nucleus_is_ellipse
        and other.missing == o.missing
        and (other.c, other.z, other.t) == (o.c, o.z, o.t)
    )


def _rows_alike(
    rows: Rows, objects: Sequence[SlideObject], shapes: Shapes
) -> npt.NDArray[np.bool_]:
    """Compare objects of one layout as :func:`_alike` does; their shapes are handed over."""
    sample, count = rows.template.sample, len(objects)
    good = np.ones(count, dtype=bool)

    def compare(came: Iterable[Any], asked: Sequence[Any]) -> None:
        came, asked = list(came), list(asked)
        if came != asked:  # else all are alike, which takes the least to tell
            np.logical_and(good, np.fromiter(map(eq, came, asked), bool, count), out=good)

    def all_are(value: Any, asked: Sequence[Any]) -> None:
        if set(asked) != {value}:
            compare(repeat(value, count), asked)

    names, descriptions, metadata, locked, classes = words_of(rows)
    planes = regions_of(rows, shapes)
    asked = dict(zip(_FIELDS, zip(*map(_fields, objects), strict=True), strict=True))
    all_are(sample.kind, asked["kind"])
    color = None if sample.color is None else sample.color & 0xFFFFFF
    all_are(color, [None if c is None else c & 0xFFFFFF for c in asked["color"]])
    all_are(sample.roi is not None and sample.roi.kind == "EllipseROI", asked["is_ellipse"])
    all_are(False, asked["nucleus_is_ellipse"])
    all_are(sample.missing, asked["missing"])
    compare(classes, asked["class_name"])
    compare(names, asked["name"])
    compare(descriptions, asked["description"])
    compare(metadata, list(map(dict, asked["metadata"])))
    compare(locked, asked["locked"])
    for plane, axis in zip(planes, "czt", strict=True):
        compare(islice(plane, count), asked[axis])
    keys, values = measured(rows)
    all_are(tuple(keys), list(map(tuple, asked["measurements"])))
    if good.all():  # else the numbers are not as many
        flat = chain.from_iterable(numbers.values() for numbers in asked["measurements"])
        meant = np.fromiter(map(float, flat), np.float64, values.size).reshape(values.shape)
        good &= ((values == meant) | (np.isnan(values) & np.isnan(meant))).all(axis=1)
    return good


def _same_numbers(came: Mapping[str, float], asked: Mapping[str, float]) -> bool:
    return list(came) == list(asked) and all(
        value == other or (math.isnan(value) and math.isnan(other))
        for value, other in zip(came.values(), map(float, asked.values()), strict=True)
    )


def _same_shapes(asked: Sequence[tuple[SlideObject, BaseGeometry, Roi | None]], came: Any) -> None:
    """Compare shapes: bounds of boxes and ellipses, else corners (in single precision if so)."""
    if not asked:
        return
    shapes = flat(np.array([shape for _, shape, _ in asked], dtype=object))
    others = np.array(came, dtype=object)
    kinds = [roi.kind if roi else "" for _, _, roi in asked]
    boxy = np.fromiter((kind in _BOXES for kind in kinds), bool, len(kinds))
    exact = np.fromiter((kind in _EXACT for kind in kinds), bool, len(kinds))
    good = boxy & (shapely.bounds(shapes) == shapely.bounds(others)).all(axis=1)
    single = ~boxy & ~exact
    good[exact] = shapely.equals_exact(shapes[exact], others[exact])
    good[single] = _same_corners(shapes[single], others[single])
    if not good.all():
        o = asked[int(np.flatnonzero(~good)[0])][0]
        raise fault(f"the shape of the new object {title(o)} differs from what was asked")


def _same_corners(shapes: Any, others: Any) -> Any:
    """Compare corners in single precision."""
    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    xy2, owner2 = shapely.get_coordinates(others, return_index=True)
    xy = xy.astype(np.float32).astype(np.float64)
    alike = shapely.get_dimensions(shapes) == shapely.get_dimensions(others)
    if np.array_equal(owner, owner2):
        wrong = np.bincount(owner, (xy != xy2).any(axis=1), minlength=len(shapes))
        return alike & (wrong == 0)
    # Rounding made neighbouring corners one.
    return alike & shapely.equals(shapely.transform(shapes, _single), others)


def _single(xy: Any) -> Any:
    return xy.astype(np.float32).astype(np.float64)
