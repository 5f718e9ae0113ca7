"""COCO records of tiles, written so that every common reader takes them as they are; pure.

What readers are known to stumble over, and what is done about it here:

- ids start at 1: pycocotools takes an annotation 0 for "no match", datumaro and CVAT a category
  0 for background;
- every annotation has ``iscrowd`` 0 and ``area``, which pycocotools demands; an object with
  holes is not marked a crowd, which would take it out of every evaluation;
- shapes are lists of polygons, which all readers know, never run lengths, which some do not:
  an object with holes is cut through its holes into polygons without any;
- the polygon is clipped first; box and area follow from the very numbers that are written, so
  that no box leaves its tile or has a side below one pixel;
- two decimals: a hundredth of a pixel, and half the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

DECIMALS = 2
LEAST_SIDE_PX = 1.0
# A hole that hides no pixel is filled instead of cutting the object in two: one of less than a
# square pixel, or a slit that a cut rounded to two decimals could miss.
_LEAST_HOLE_PX2 = 1.0
_LEAST_HOLE_WIDTH_PX = 0.1


def polygons_without_holes(shape: BaseGeometry) -> Iterator[Polygon]:
    """Cut a shape into polygons without holes that together cover the same area.

    Parameters
    ----------
    shape : Polygon or MultiPolygon, TilePx
        Holes below one square pixel are filled.

    Examples
    --------
    >>> ring = shapely.box(0, 0, 10, 10) - shapely.box(4, 4, 6, 6)
    >>> [p.area for p in polygons_without_holes(ring)]
    [48.0, 48.0]
    """
    stack = [shape]
    while stack:
        part = stack.pop()
        if hasattr(part, "geoms"):
            stack.extend(reversed(list(part.geoms)))
        elif isinstance(part, Polygon):
            holes = [hole for hole in part.interiors if _shows(Polygon(hole))]
            if not holes:
                yield Polygon(part.exterior)
                continue
            x0, y0, x1, y1 = part.bounds
            low, _, high, _ = holes[0].bounds
            # Both sides must come out with the same two decimals, or a seam would show.
            middle = round((low + high) / 2, DECIMALS)
            solid = Polygon(part.exterior, holes)
            right = solid.intersection(shapely.box(middle, y0, x1, y1))
            stack += [right, solid.intersection(shapely.box(x0, y0, middle, y1))]


def _shows(hole: Polygon) -> bool:
    x0, _, x1, _ = hole.bounds
    return bool(hole.area >= _LEAST_HOLE_PX2 and x1 - x0 >= _LEAST_HOLE_WIDTH_PX)


def _rings(shape: BaseGeometry) -> Iterator[tuple[npt.NDArray[np.float64], float]]:
    """Go through outlines as they will be written (rounded, open), each with its area."""
    for polygon in polygons_without_holes(shape):
        closed = shapely.get_coordinates(polygon.exterior).round(DECIMALS) + 0.0
        # Rounding makes neighbours equal; the last corner of a closed ring repeats the first.
        xy = closed[1:][(closed[1:] != closed[:-1]).any(axis=1)]
        if len(xy) < 3:
            continue
        x, y = closed[:, 0], closed[:, 1]
        area = float(abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2)
        if area > 0:
            yield xy, area


def annotation(shape: BaseGeometry, *, category_id: int, source_id: str) -> dict[str, Any] | None:
    """Describe what a tile shows of an object.

    Parameters
    ----------
    shape : Polygon or MultiPolygon, TilePx
        Clipped to the tile.
    category_id : int
    source_id : str
        Id of the object on the slide: pieces of one object in several tiles share it.

    Returns
    -------
    dict or None
        A COCO annotation that still lacks ``id`` and ``image_id``; None for what is less than one
        pixel wide or high.

    Examples
    --------
    >>> record = annotation(shapely.box(1, 2, 4, 4), category_id=1, source_id="7")
    >>> record["bbox"], record["area"], record["segmentation"]
    ([1.0, 2.0, 3.0, 2.0], 6.0, [[4.0, 4.0, 1.0, 4.0, 1.0, 2.0, 4.0, 2.0]])
    """
    rings = list(_rings(shape))
    if not rings:
        return None
    corners = np.concatenate([xy for xy, _ in rings])
    low, high = corners.min(axis=0), corners.max(axis=0)
    width, height = np.round(high - low, DECIMALS)
    if width < LEAST_SIDE_PX or height < LEAST_SIDE_PX:
        return None
    return {
        "category_id": category_id,
        "bbox": [float(low[0]), float(low[1]), float(width), float(height)],
        "area": round(sum(area for _, area in rings), DECIMALS),
        "iscrowd": 0,
        "segmentation": [xy.ravel().tolist() for xy, _ in rings],
        "source_id": source_id,
    }


def categories(names: Sequence[str]) -> list[dict[str, Any]]:
    """Give each class a number, from 1, in the order given.

    Examples
    --------
    >>> [(c["id"], c["name"], c["supercategory"]) for c in categories(["Pearl", "Tumor: Cell"])]
    [(1, 'Pearl', 'Pearl'), (2, 'Tumor: Cell', 'Tumor')]
    """
    return [
        {"id": number, "name": name, "supercategory": name.split(":")[0].strip()}
        for number, name in enumerate(names, start=1)
    ]


def document(
    tiles: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
    *,
    class_names: Sequence[str],
    info: Mapping[str, Any],
) -> dict[str, Any]:
    """Put tiles and what they show into one COCO document, ids counted from 1.

    Parameters
    ----------
    tiles : sequence of (image, annotations)
        An image without annotations is a negative.
    class_names : sequence of str
        Every class of the data set, also one that this part lacks.
    info : mapping
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (image, shown) in enumerate(tiles, start=1):
        images.append({"id": image_id, **image})
        for record in shown:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **record})
    return {
        "info": dict(info),
        "licenses": [],
        "categories": categories(class_names),
        "images": images,
        "annotations": annotations,
    }


def dump(coco: Mapping[str, Any]) -> bytes:
    """Write a COCO document as UTF-8 JSON, one record a line."""
    lines: list[str] = []
    for key, value in coco.items():
        if isinstance(value, list) and value:
            rows = ",\n".join(_json(row) for row in value)
            lines.append(f"{_json(key)}: [\n{rows}\n]")
        else:
            lines.append(f"{_json(key)}: {_json(value)}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
