"""Objects on their way to and from an open image: flat GeoJSON Features that name their parents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import shapely

from qpgaze.bridge.geojson import from_geojson, to_geojson
from qpgaze.bridge.projects.colors import class_color
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

Feature = Mapping[str, Any]


def objects_of(features: Sequence[Feature]) -> tuple[tuple[SlideObject, ...], dict[str, int]]:
    """Read the objects of an open image.

    Parameters
    ----------
    features : sequence of GeoJSON Feature
        As the hook tells them: each once, with the id of its ``parent``.

    Returns
    -------
    objects : tuple of SlideObject
        Parents before children. One whose shape no store could keep (a ring drawn in a tangle) is
        there without a shape: it is not ours, and must not stand in the way of what is.
    class_colors : dict of str to int

    Raises
    ------
    ProjectError
        If a feature is no object.
    """
    try:
        read, colors = from_geojson(list(features))
    except ProjectError:
        read, colors = _one_by_one(features)
    parents = {str(f["id"]): f.get("parent") for f in features}
    placed = [
        item
        if (parent := parents.get(str(item.id))) is None
        else dataclasses.replace(item, parent=UUID(parent))
        for item in read
    ]
    return tuple(_parents_first(placed)), colors


def _one_by_one(features: Sequence[Feature]) -> tuple[tuple[SlideObject, ...], dict[str, int]]:
    objects: list[SlideObject] = []
    colors: dict[str, int] = {}
    for feature in features:
        try:
            found, more = from_geojson(feature)
        except ProjectError:
            bare = {k: v for k, v in feature.items() if k != "nucleusGeometry"}
            found, more = from_geojson({**bare, "geometry": None})
            found = tuple(dataclasses.replace(o, geometry=shapely.Polygon()) for o in found)
        objects += found
        colors = {**more, **colors}
    return tuple(objects), colors


def _parents_first(objects: Sequence[SlideObject]) -> list[SlideObject]:
    if all(item.parent is None for item in objects):
        return list(objects)
    there = {item.id: item for item in objects}
    placed: dict[UUID, SlideObject] = {}
    for item in objects:
        line = [item]
        while (parent := line[-1].parent) in there and parent not in placed:
            line.append(there[parent])
            if len(line) > len(there):
                raise ProjectError(f"QuPath says that object {item.id} lies under itself.")
        for one in reversed(line):
            placed.setdefault(one.id, one)
    return list(placed.values())


def features_of(
    objects: Iterable[SlideObject], class_colors: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Write objects as an open image takes them.

    Parameters
    ----------
    objects : iterable of SlideObject
    class_colors : mapping of str to int
        0xRRGGBB; a class without one gets the colour that a new class gets.

    Returns
    -------
    list of GeoJSON Feature
        Each with the id of its ``parent``, None for the root.
    """
    every = list(objects)
    colors = {
        item.class_name: class_colors.get(item.class_name, class_color(item.class_name))
        for item in every
        if item.class_name is not None
    }
    flat = [dataclasses.replace(item, parent=None) for item in every]
    features = []
    for item, judged in zip(every, to_geojson(flat, colors)["features"], strict=True):
        feature = dict(judged)
        if feature["geometry"]:
            feature["geometry"] = dict(feature["geometry"])
        feature["parent"] = None if item.parent is None else str(item.parent)
        features.append(feature)
    return features
