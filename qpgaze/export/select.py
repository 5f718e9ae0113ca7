"""Which of a slide's objects become labels, and why the others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

import shapely
from shapely import Polygon, affinity
from shapely.geometry.base import BaseGeometry

from qpgaze import keys
from qpgaze.model import SlideObject

REJECTED = "rejected in review"
FIXATION = "single fixations"
UNCLASSIFIED = "without a class"
IGNORED = "class marked to be ignored (name ends in *)"
OTHER_CLASS = "of a class that was not asked for"
OTHER_KIND = "not annotations (detections, cells, tiles, TMA cores)"
OTHER_PLANE = "not on the first slice and time point"
NO_AREA = "without an area (lines, points, empty)"
OUTSIDE = "outside the slide"
TOO_SMALL = "smaller than one pixel of a tile"

# A circle of 64 corners has 0.16 % less area than a round one: below half a pixel of a label.
_QUARTER_CIRCLE = 16


@dataclass(frozen=True, eq=False)
class Labelled:
    """An object that can become a label.

    Parameters
    ----------
    id : UUID
        QuPath's object id.
    class_name : str
    shape : Polygon or MultiPolygon, ImagePx
        Valid and with an area.
    raw : bool
        Still the discs that gaze left, which no refinement made into an outline.
    """

    id: UUID
    class_name: str
    shape: BaseGeometry
    raw: bool = False


def choose(
    objects: Iterable[SlideObject], *, classes: Collection[str] | None = None
) -> tuple[tuple[Labelled, ...], Counter[str]]:
    """Sort out which objects can become labels.

    Annotations with a class and an area can. Rejected ones and single fixations never do, nor do
    classes whose name ends in ``*``, which QuPath's own tools pass over as well.

    Parameters
    ----------
    objects : iterable of SlideObject
        In any order, which is kept.
    classes : collection of str, optional
        Only these; all where not given.

    Returns
    -------
    chosen : tuple of Labelled
    skipped : Counter
        How many were passed over, by reason (the constants of this module).

    Examples
    --------
    >>> from uuid import UUID
    >>> from shapely import box
    >>> pearl = SlideObject(UUID(int=1), box(0, 0, 9, 9), class_name="Pearl")
    >>> chosen, skipped = choose([pearl, SlideObject(UUID(int=2), box(0, 0, 9, 9))])
    >>> [(c.class_name, c.shape.area) for c in chosen], dict(skipped)
    ([('Pearl', 81.0)], {'without a class': 1})
    """
    chosen: list[Labelled] = []
    skipped: Counter[str] = Counter()
    for item in objects:
        reason = _why_not(item, classes)
        shape = None if reason else area_of(item)
        if reason or shape is None or item.class_name is None:
            skipped[reason or NO_AREA] += 1
        else:
            raw = item.metadata.get(keys.METHOD) == keys.METHOD_DISCS
            chosen.append(Labelled(item.id, item.class_name, shape, raw))
    return tuple(chosen), skipped


def _why_not(item: SlideObject, classes: Collection[str] | None) -> str | None:
    name = item.class_name
    reasons = (
        (item.metadata.get(keys.STATE) == keys.ReviewState.REJECTED.value, REJECTED),
        (name == keys.FIXATION_CLASS, FIXATION),
        (item.kind != "annotation", OTHER_KIND),
        (not name, UNCLASSIFIED),
        (bool(name) and str(name).endswith("*"), IGNORED),
        (classes is not None and name not in classes, OTHER_CLASS),
        (item.z != 0 or item.t != 0, OTHER_PLANE),
    )
    return next((reason for applies, reason in reasons if applies), None)


def may_hide_an_object(item: SlideObject) -> bool:
    """Tell whether tissue under this object is unfit to teach what is *not* an object.

    What was rejected was looked at and found to be nothing, and a fixation says nothing about a
    class; under every other object something may lie, exported or not.
    """
    rejected = item.metadata.get(keys.STATE) == keys.ReviewState.REJECTED.value
    return not rejected and item.class_name != keys.FIXATION_CLASS


def area_of(item: SlideObject) -> BaseGeometry | None:
    """Return the area that an object covers, ImagePx; None for lines, points and nothing.

    Ellipses are drawn out as polygons; what crosses itself is made valid.
    """
    geometry = item.geometry
    if geometry.is_empty:
        return None
    if item.is_ellipse:
        x0, y0, x1, y1 = geometry.bounds
        circle = shapely.Point((x0 + x1) / 2, (y0 + y1) / 2).buffer(1, quad_segs=_QUARTER_CIRCLE)
        geometry = affinity.scale(circle, (x1 - x0) / 2, (y1 - y0) / 2)
    return only_areas(geometry if geometry.is_valid else shapely.make_valid(geometry))


def only_areas(geometry: BaseGeometry) -> BaseGeometry | None:
    """Keep the polygons of a geometry; None where it has none with an area.

    Cutting a polygon may leave lines and points where it only touched.
    """
    parts: list[Polygon] = []
    stack = [geometry]
    while stack:
        part = stack.pop()
        if isinstance(part, Polygon):
            if part.area > 0:
                parts.append(part)
        elif hasattr(part, "geoms"):
            stack.extend(reversed(list(part.geoms)))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
