"""Regions of objects that are replaced: the stored ones stay where the shape did not change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from qpgaze.bridge.qpdata import layouts
from qpgaze.bridge.qpdata.columns import make_objects
from qpgaze.bridge.qpdata.records import Roi
from qpgaze.bridge.qpdata.regions import nuclei, regions, title
from qpgaze.errors import UnsupportedDataError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from qpgaze.bridge.qpdata.scan import Scan


def regions_in_place(
    scan: Scan, ids: Sequence[UUID], objects: Sequence[SlideObject], numbers: Sequence[int]
) -> tuple[list[Roi | None], list[Roi | None]]:
    """Choose the regions, and the nuclei, of objects that take the place of others.

    A shape that is the stored one, to the last bit, keeps the region it was stored as: so an object
    that gets another class keeps a shape that we would not write (one that crosses itself, say).

    Parameters
    ----------
    scan : Scan
    ids : sequence of UUID
        Of all objects in it.
    objects : sequence of SlideObject
    numbers : sequence of int
        Of the objects in `scan` whose place they take.

    Raises
    ------
    ProjectError
        As :func:`~qpgaze.bridge.qpdata.regions.regions`.
    UnsupportedDataError
        If a TMA core is to have another shape or place.
    """
    if not objects:
        return [], []
    before = make_objects(scan, ids, numbers)
    outer, inner = [], []
    for o, number in zip(objects, numbers, strict=True):
        raw, old = scan.raw(number), before[number]
        there = (o.c, o.z, o.t) == (old.c, old.z, old.t)
        kept = there and o.is_ellipse == old.is_ellipse and _same(o.geometry, old.geometry)
        if o.kind == "tma_core" and not kept:
            raise UnsupportedDataError(
                f"The core {title(o)} is to have another shape or place than in its TMA grid.",
                hint="Change the TMA grid in QuPath; a core's name, class, measurements and "
                "metadata can be changed here.",
            )
        outer.append((raw.roi,) if kept and _writable(raw.roi) else None)
        kept = there and o.nucleus_is_ellipse == old.nucleus_is_ellipse
        kept = kept and _same(o.nucleus, old.nucleus) and _writable(raw.nucleus)
        inner.append((raw.nucleus,) if kept else None)
    return _filled(outer, objects, regions), _filled(inner, objects, nuclei)


def _filled(
    stored: Sequence[tuple[Roi | None] | None],
    objects: Sequence[SlideObject],
    choose: Callable[[Sequence[SlideObject]], Sequence[Roi | None]],
) -> list[Roi | None]:
    """Return the stored regions, and chosen ones where none stays."""
    chosen = iter(choose([o for o, kept in zip(objects, stored, strict=True) if kept is None]))
    return [next(chosen) if kept is None else kept[0] for kept in stored]


def _writable(roi: Roi | None) -> bool:
    return roi is None or roi.kind in layouts.ROIS


def _same(one: BaseGeometry | None, other: BaseGeometry | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or bool(one.equals_exact(other, 0.0))
