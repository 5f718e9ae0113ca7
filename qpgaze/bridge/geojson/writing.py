"""Objects to GeoJSON as QuPath reads it, in memory or streamed to a file."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import numpy as np
import shapely

from qpgaze.bridge.geojson.shapes import ellipse_outline
from qpgaze.bridge.geojson.words import (
    DECIMALS,
    DIALECTS,
    TO_TYPE,
    Dialect,
    rgb,
    spelled,
)
from qpgaze.bridge.projects.colors import class_color, to_java_color
from qpgaze.bridge.projects.files import replace_patiently
from qpgaze.bridge.qupath_names import DESCRIPTION_KEY
from qpgaze.errors import ConflictError, ProjectError, UsageError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    import geojson
    from shapely.geometry.base import BaseGeometry

BATCH: Final = 2048
_EVERY_DECIMAL: Final = 15


def to_geojson(
    objects: Iterable[SlideObject],
    class_colors: Mapping[str, int],
    *,
    dialect: Dialect = "0.5",
) -> geojson.FeatureCollection:
    """Write objects as a FeatureCollection that QuPath imports.

    Parameters
    ----------
    objects : iterable of SlideObject
    class_colors : mapping of str to int
        0xRRGGBB; a class without one gets the colour that a new class gets.
    dialect : "0.3", "0.4", "0.5", "0.6" or "0.7"
        The QuPath that is to read it. All from 0.5 on read the same; 0.4 takes no metadata and
        wants NaN in a list; 0.3 knows no ids, ellipses and parents.

    Returns
    -------
    geojson.FeatureCollection
        JSON values, which also judge themselves (``is_valid``, ``errors()``). Objects whose parent
        is among them lie in its ``childObjects``.

    Raises
    ------
    UsageError
        If there is no such dialect.

    Examples
    --------
    >>> one = SlideObject(UUID(int=1), shapely.box(0, 0, 2, 1), class_name="Tumor: Big")
    >>> made = to_geojson([one], {"Tumor: Big": 0x0000FF})
    >>> made["features"][0]["properties"]["classification"]
    {'names': ['Tumor', 'Big'], 'color': [0, 0, 255]}
    >>> made.is_valid
    True
    """
    import geojson

    every = list(objects)
    texts = _Words(class_colors, dialect).features(every)
    features = {
        item.id: _judged(json.loads(f"{text}}}}}")) for item, text in zip(every, texts, strict=True)
    }
    top: list[geojson.Feature] = []
    for item in every:
        above = features.get(item.parent) if item.parent is not None else None
        if above is None or dialect == "0.3":
            top.append(features[item.id])
        else:
            above["properties"].setdefault("childObjects", []).append(features[item.id])
    return geojson.FeatureCollection(top)


def _judged(feature: dict[str, Any]) -> geojson.Feature:
    """Return a feature as one of the geojson package, every decimal kept."""
    import geojson

    geometry = feature.get("geometry")
    if geometry:
        feature["geometry"] = geojson.GeoJSON.to_instance({**geometry, "precision": _EVERY_DECIMAL})
    del feature["type"]
    return geojson.Feature(**feature)


def write_geojson(
    path: Path,
    objects: Iterable[SlideObject],
    class_colors: Mapping[str, int],
    *,
    overwrite: bool = False,
    dialect: Dialect = "0.5",
) -> int:
    """Write objects to a GeoJSON file, whole or not at all.

    Parameters
    ----------
    path : Path
    objects : iterable of SlideObject
        In any order where it is a sequence. An iterator is written as it comes, with a batch in
        memory at a time: each object's children must follow it before others do.
    class_colors, dialect
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
        If it cannot be written; what was there before is still there.
    UsageError
        If there is no such dialect, or an iterator yields a child away from its parent.
    """
    words = _Words(class_colors, dialect)
    if path.exists() and not overwrite:
        raise ConflictError(f"{path} exists already.", hint="Choose another name or overwrite it.")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        with beside.open("xb") as file:
            count = _stream(file, objects, words)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            replace_patiently(beside, path)
        else:
            _move_to_free_place(beside, path)
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be written: {error.strerror or error}. What was there before is "
            "still there."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return count


def _move_to_free_place(source: Path, target: Path) -> None:
    """Give a file its name, but not over one that appeared meanwhile."""
    try:
        os.link(source, target)
    except FileExistsError as error:
        raise ConflictError(
            f"{target} exists already.", hint="Choose another name or overwrite it."
        ) from error
    except (OSError, AttributeError):  # a file system without links
        if target.exists():
            raise ConflictError(
                f"{target} exists already.", hint="Choose another name or overwrite it."
            ) from None
        replace_patiently(source, target)


def _with_children(
    objects: Sequence[SlideObject],
) -> Iterator[tuple[SlideObject, UUID | None]]:
    """Yield each object and what it lies under, children right after it, else as they came."""
    there = {item.id for item in objects}
    below: dict[UUID, list[SlideObject]] = {}
    top: list[SlideObject] = []
    for item in objects:
        if item.parent is not None and item.parent in there:
            below.setdefault(item.parent, []).append(item)
        else:
            top.append(item)
    for item in top:
        stack: list[tuple[SlideObject, UUID | None]] = [(item, None)]
        while stack:
            one, parent = stack.pop()
            yield one, parent
            stack += [(child, one.id) for child in reversed(below.get(one.id, ()))]


def _as_they_come(
    objects: Iterable[SlideObject],
) -> Iterator[tuple[SlideObject, UUID | None]]:
    for item in objects:
        yield item, item.parent


class _Nesting:
    """Opens and closes features so that children lie within their parents."""

    def __init__(self, *, flat: bool) -> None:
        self._flat = flat
        self._open: list[UUID] = []
        self._has_children: list[bool] = []
        self._begun = False

    def place(self, identity: UUID, parent: UUID | None) -> str:
        """Return what lies between the feature before and this one."""
        parent = None if self._flat else parent
        if parent is not None and parent not in self._open:
            raise UsageError(
                f"Object {identity} does not come right after its parent {parent} and that one's "
                "other children.",
                hint="Give a sequence rather than an iterator.",
            )
        closing = self._close(parent)
        if parent is None:
            between = ",\n" if self._begun else "\n"
        elif self._has_children[-1]:
            between = ",\n"
        else:
            between = ', "childObjects": [\n'
            self._has_children[-1] = True
        self._begun = True
        self._open.append(identity)
        self._has_children.append(False)
        return closing + between

    def _close(self, stop: UUID | None) -> str:
        pieces = []
        while self._open and self._open[-1] != stop:
            self._open.pop()
            pieces.append("]}}" if self._has_children.pop() else "}}")
        return "".join(pieces)

    def end(self) -> str:
        """Return what ends the last features."""
        return self._close(None)


def _stream(file: IO[bytes], objects: Iterable[SlideObject], words: _Words) -> int:
    """Write a FeatureCollection, one batch in memory at a time."""
    nesting = _Nesting(flat=words.old)
    pairs = _with_children(objects) if isinstance(objects, Sequence) else _as_they_come(objects)
    count = 0
    file.write(b'{"type": "FeatureCollection", "features": [')
    while batch := list(islice(pairs, BATCH)):
        made = words.features([item for item, _ in batch])
        pieces = []
        for (item, parent), feature in zip(batch, made, strict=True):
            pieces += [nesting.place(item.id, parent), feature]
        # JSON escapes are all that can stand for half of a character pair.
        file.write("".join(pieces).encode("utf-8", "backslashreplace"))
        count += len(batch)
    file.write(f"{nesting.end()}\n]}}\n".encode("ascii"))
    return count


class _Words:
    """Features in the words of a dialect, open at the end so that children can be put in."""

    def __init__(self, class_colors: Mapping[str, int], dialect: Dialect) -> None:
        if dialect not in DIALECTS:
            raise UsageError(f"Expected a dialect of {', '.join(DIALECTS)}, but '{dialect}' came.")
        self.old = dialect == "0.3"
        self._lists_odd_numbers = dialect == "0.4"
        self._colors = class_colors
        self._classes: dict[str, dict[str, Any]] = {}

    def features(self, objects: Sequence[SlideObject]) -> list[str]:
        """Return each object as JSON text that lacks its last two braces."""
        outer = _geometries([_outline(item.geometry, item.is_ellipse) for item in objects])
        inner = iter(
            _geometries(
                [
                    _outline(item.nucleus, item.nucleus_is_ellipse)
                    for item in objects
                    if item.nucleus is not None
                ]
            )
        )
        made = []
        for item, text in zip(objects, outer, strict=True):
            identity = "" if self.old else f'"id": "{item.id}", '
            geometry = _with_plane(item, text, item.is_ellipse)
            if item.nucleus is not None:
                nucleus = _with_plane(item, next(inner), item.nucleus_is_ellipse)
                geometry += f', "nucleusGeometry": {nucleus}'
            properties = json.dumps(self._properties(item), ensure_ascii=False, allow_nan=False)
            made.append(
                f'{{"type": "Feature", {identity}"geometry": {geometry}, '
                f'"properties": {properties[:-1]}'
            )
        return made

    def _properties(self, item: SlideObject) -> dict[str, Any]:
        old = self.old
        kind = item.kind if old else TO_TYPE.get(item.kind, "annotation")
        properties: dict[str, Any] = {"object_type" if old else "objectType": kind}
        if item.name is not None:
            properties["name"] = item.name
        if item.color is not None:
            if old:
                properties["colorRGB"] = to_java_color(item.color)
            else:
                properties["color"] = rgb(item.color)
        if item.class_name is not None:
            properties["classification"] = self._class(item.class_name)
        if item.locked or old:
            properties["isLocked"] = item.locked
        if item.kind == "tma_core":
            properties["isMissing"] = item.missing
        numbers = {key: spelled(value) for key, value in item.measurements.items()}
        if old:
            properties["measurements"] = [{"name": k, "value": v} for k, v in numbers.items()]
            return properties
        if self._lists_odd_numbers and any(type(value) is str for value in numbers.values()):
            # QuPath 0.4 throws at "NaN" among measurements by name, but not in a list of them.
            properties["measurements"] = [{"name": k, "value": v} for k, v in numbers.items()]
        elif numbers:
            properties["measurements"] = numbers
        if item.metadata or item.description is not None:
            metadata = dict(item.metadata)
            if item.description is not None:
                metadata[DESCRIPTION_KEY] = item.description
            properties["metadata"] = metadata
        return properties

    def _class(self, name: str) -> dict[str, Any]:
        """Return a class; without a colour QuPath throws when it reads one."""
        if name not in self._classes:
            parts = name.split(": ")
            made: dict[str, Any]
            if self.old:
                made = {"name": parts[-1], "colorRGB": to_java_color(self._color(name))}
                if len(parts) > 1:
                    made["parentClass"] = self._class(": ".join(parts[:-1]))
            else:
                made = {"name": parts[0]} if len(parts) == 1 else {"names": parts}
                made["color"] = rgb(self._color(name))
            self._classes[name] = made
        return self._classes[name]

    def _color(self, name: str) -> int:
        return self._colors.get(name, class_color(name))


def _geometries(shapes: Sequence[BaseGeometry]) -> list[str]:
    """Return shapes as JSON text with QuPath's two decimals."""
    if not shapes:
        return []
    exact = np.empty(len(shapes), dtype=object)
    exact[:] = shapes
    rounded = shapely.transform(exact, lambda xy: np.round(xy, DECIMALS))
    # Rounding may fold a sliver onto itself: such a shape keeps its decimals.
    folded = ~shapely.is_valid(rounded)
    folded[folded] &= shapely.is_valid(exact[folded])
    rounded[folded] = exact[folded]
    texts = shapely.to_geojson(rounded)
    texts[shapely.is_empty(exact)] = "{}"
    return cast("list[str]", texts.tolist())


def _outline(shape: BaseGeometry, is_ellipse: bool) -> BaseGeometry:
    return ellipse_outline(shape) if is_ellipse else shape


def _with_plane(item: SlideObject, geometry: str, is_ellipse: bool) -> str:
    if geometry == "{}":
        return geometry
    more = ""
    if (item.c, item.z, item.t) != (-1, 0, 0):
        more += f', "plane": {{"c": {item.c}, "z": {item.z}, "t": {item.t}}}'
    if is_ellipse:
        more += ', "isEllipse": true'
    return f"{geometry.rstrip()[:-1]}{more}}}" if more else geometry
