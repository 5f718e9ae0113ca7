"""Whether two objects are the same, and whether staged changes go with what another did."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import numpy as np
import shapely

from qpgaze.errors import ConflictError
from qpgaze.model import SlideObject


def require_same(before: SlideObject | None, now: SlideObject | None, identity: UUID) -> None:
    """Refuse to write over what another did to an object since it was read."""
    if before is None:  # added by ourselves in an earlier batch
        return
    if now is None:
        fault = "was removed"
    else:
        # Where an object lies in the hierarchy stays as the other left it.
        other = dataclasses.replace(now, parent=before.parent)
        what = unlike(before, other) or ("shape" if moved([before], [other]) else None)
        if what is None:
            return
        fault = f"got another {what}"
    raise ConflictError(
        f"Object {identity} {fault} since it was read (by QuPath or another program); nothing "
        "was written.",
        hint="Do the same again: what a person changed is then left alone.",
    )


def still_to_add(
    items: Iterable[SlideObject], now: Mapping[UUID, SlideObject]
) -> list[SlideObject]:
    """Leave out what another program of ours has added meanwhile, and refuse a clash."""
    fresh = list(items)
    ids = {item.id for item in fresh} | now.keys()
    left = []
    for item in fresh:
        there = now.get(item.id)
        if there is None:
            if item.parent is not None and item.parent not in ids:
                raise ConflictError(
                    f"Object {item.parent}, under which others were to lie, was removed since it "
                    "was read; nothing was written.",
                    hint="Do the same again.",
                )
            left.append(item)
        elif unlike(item, there) or moved([item], [there]):
            raise ConflictError(
                f"Another program added an object {item.id} of its own since the image was "
                "read; nothing was written.",
                hint="Do the same again.",
            )
    return left


_COMPARED = (
    "kind", "class_name", "color", "name", "description", "locked", "is_ellipse", "missing",
    "nucleus_is_ellipse",
)  # fmt: skip


def unlike(meant: SlideObject, came: SlideObject) -> str | None:
    """Name the first thing, shapes apart, in which two objects differ."""
    for what in (*_COMPARED, "c", "z", "t", "parent"):
        if getattr(meant, what) != getattr(came, what):
            return what.replace("_", " ")
    if dict(meant.metadata) != dict(came.metadata):
        return "metadata"
    one, other = meant.measurements, came.measurements
    if one.keys() != other.keys() or not all(
        one[key] == other[key] or (one[key] != one[key] and other[key] != other[key]) for key in one
    ):
        return "measurements"
    return None


def moved(meant: Sequence[SlideObject], came: Sequence[SlideObject]) -> str | None:
    """Say which shape is another than single precision and a hundredth of a pixel explain."""
    off = _off(
        [item.geometry for item in meant],
        [item.geometry for item in came],
        [item.is_ellipse for item in meant],
    )
    if off >= 0:
        return f"the shape of object {meant[off].id}"
    cells = [
        (one, other)
        for one, other in zip(meant, came, strict=True)
        if one.nucleus is not other.nucleus
    ]
    for one, other in cells:
        if one.nucleus is None or other.nucleus is None:
            return f"the nucleus of cell {one.id}"
    off = _off(
        [one.nucleus for one, _ in cells],
        [other.nucleus for _, other in cells],
        [one.nucleus_is_ellipse for one, _ in cells],
    )
    return f"the nucleus of cell {cells[off][0].id}" if off >= 0 else None


def _off(meant: Sequence[object], came: Sequence[object], round_: Sequence[bool]) -> int:
    """Return the place of the first shape that is another one, -1 where all are alike."""
    if not meant:
        return -1
    ours, theirs = np.array(meant, dtype=object), np.array(came, dtype=object)
    bounds = shapely.bounds(ours), shapely.bounds(theirs)
    allowed = 0.01 + np.spacing(np.abs(bounds[0]).max(axis=1).astype(np.float32))
    off = ~(np.abs(bounds[0] - bounds[1]).max(axis=1) <= allowed)
    sizes = shapely.area(ours), shapely.area(theirs)
    off |= ~np.array(round_) & ~(
        np.abs(sizes[0] - sizes[1]) <= allowed * (shapely.length(ours) + 1)
    )
    off &= ~(shapely.is_empty(ours) & shapely.is_empty(theirs))
    return int(np.argmax(off)) if off.any() else -1
