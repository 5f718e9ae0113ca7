"""Objects out of GeoJSON, in any dialect of QuPath, a batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from uuid import UUID

from qpgaze.bridge.geojson.features import (
    BadFeature,
    Draft,
    GeoJsonReport,
    Refusal,
    fields_of,
    identity_of,
    kind_of,
    note_unknown,
)
from qpgaze.bridge.geojson.plain import plain_objects
from qpgaze.bridge.geojson.scanning import open_text, scan_features
from qpgaze.bridge.geojson.shapes import read_shapes
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

BATCH: Final = 2048
"""Features whose shapes are made together."""


@dataclass(frozen=True, eq=False)
class Found:
    """An object and where it came from.

    Parameters
    ----------
    number : str
        Place in the file, from 1; ``3.2`` is the second child of the third.
    object : SlideObject
    """

    number: str
    object: SlideObject


def read_geojson(
    path: Path, *, report: GeoJsonReport | None = None, collect: bool = False
) -> Iterator[Found]:
    """Read the objects of a GeoJSON file of any size, one after the other.

    Parameters
    ----------
    path : Path
        In the words of any QuPath from 0.2 on; ``.gz`` is unpacked on the way.
    report : GeoJsonReport, optional
        Filled while reading: colours, what was mended, what has no place in an object.
    collect : bool
        Note refused features in the report and go on, rather than stop at the first.

    Yields
    ------
    Found
        Parents before children. A feature without an id gets one from its content, the same each
        time. Rings are closed, shapes that cross themselves are mended; a feature without a
        geometry has an empty one.

    Raises
    ------
    ProjectError
        If the file is cut, damaged or no GeoJSON, or a feature cannot be an object: the message
        says which and why.
    """
    with open_text(path) as file:
        yield from read_stream(file, str(path), report=report, collect=collect)


def read_stream(
    file: IO[bytes], name: str, *, report: GeoJsonReport | None = None, collect: bool = False
) -> Iterator[Found]:
    """Read objects from an open file; see :func:`read_geojson`."""
    report = GeoJsonReport() if report is None else report
    extra: dict[str, Any] = {}
    yield from _found(scan_features(file, name, extra), report, collect)
    for key in extra:
        report.note(key)


def from_geojson(data: Any) -> tuple[tuple[SlideObject, ...], dict[str, int]]:
    """Read objects from GeoJSON, in any dialect of QuPath.

    Parameters
    ----------
    data : JSON value
        A FeatureCollection, an array of Features, or one Feature.

    Returns
    -------
    objects : tuple of SlideObject
        As from :func:`read_geojson`.
    class_colors : dict of str to int
        0xRRGGBB of the classes, where the file gives one.

    Raises
    ------
    ProjectError
        If it is no GeoJSON, or a feature cannot be an object: the message says which and why.
    """
    report = GeoJsonReport()
    objects = tuple(found.object for found in _found(_features(data), report, collect=False))
    return objects, report.class_colors


def _features(data: Any) -> list[Any]:
    if isinstance(data, list):
        return data
    if isinstance(data, dict):
        if isinstance(data.get("features"), list):
            return data["features"]  # type: ignore[no-any-return]
        if data.get("type") == "Feature":
            return [data]
    raise ProjectError("Expected GeoJSON: a FeatureCollection, an array of Features or a Feature.")


def _found(features: Iterable[Any], report: GeoJsonReport, collect: bool) -> Iterator[Found]:
    """Read features in batches."""
    seen: Counter[bytes] = Counter()
    source, first = iter(features), 1
    while batch := list(islice(source, BATCH)):
        made = plain_objects(batch, report)
        if made is None:
            yield from _unusual(batch, first, seen, report, collect)
        else:
            yield from map(Found, map(str, range(first, first + len(made))), made)
        first += len(batch)


def _unusual(
    features: list[Any], first: int, seen: Counter[bytes], report: GeoJsonReport, collect: bool
) -> Iterator[Found]:
    """Read features one by one, with those within them, and their shapes in batches."""
    drafts: list[Draft] = []
    for draft in _drafts(features, first, seen, report, collect):
        drafts.append(draft)
        if len(drafts) >= BATCH:
            yield from _objects(drafts, report, collect)
            drafts = []
    yield from _objects(drafts, report, collect)


def _drafts(
    features: list[Any], first: int, seen: Counter[bytes], report: GeoJsonReport, collect: bool
) -> Iterator[Draft]:
    for place, top in enumerate(features, first):
        stack: list[tuple[str, Any, UUID | None]] = [(str(place), top, None)]
        while stack:
            number, feature, parent = stack.pop()
            try:
                draft = _draft(number, feature, parent, seen, report)
            except BadFeature as bad:
                _refuse(Refusal(number, None, str(bad)), report, collect)
                continue
            properties = draft.properties
            if draft.kind != "root":
                yield draft
                parent = draft.id
            children = properties.get("childObjects", properties.get("children"))
            if type(children) is list:
                numbered = list(enumerate(children, 1))
                stack += [(f"{number}.{i}", child, parent) for i, child in reversed(numbered)]


def _draft(
    number: str, feature: Any, parent: UUID | None, seen: Counter[bytes], report: GeoJsonReport
) -> Draft:
    if type(feature) is not dict:
        raise BadFeature(f"Expected a Feature, but {type(feature).__name__} came")
    properties = feature.get("properties")
    if properties is None or properties == []:
        properties = {}
    if type(properties) is not dict:
        raise BadFeature("its properties are no JSON object")
    kind = kind_of(feature, properties, report)
    try:
        identity = UUID(int=0) if kind == "root" else identity_of(feature, seen)
    except RecursionError as error:
        raise BadFeature("is nested too deep") from error
    children = properties.get("childObjects", properties.get("children"))
    if children is not None and type(children) is not list:
        raise BadFeature("its childObjects are no list")
    return Draft(number, feature, properties, parent, identity, kind)


def _refuse(refusal: Refusal, report: GeoJsonReport, collect: bool) -> None:
    if not collect:
        raise ProjectError(f"{refusal}.")
    report.refused.append(refusal)


def _objects(drafts: list[Draft], report: GeoJsonReport, collect: bool) -> Iterator[Found]:
    """Make objects of drafts; their shapes all at once."""
    shapes, refused, mended = read_shapes([draft.feature.get("geometry") for draft in drafts])
    report.mended.update(mended.values())
    nuclei, nuclei_refused = _nuclei(drafts, report)
    for place, (draft, shape) in enumerate(zip(drafts, shapes, strict=True)):
        try:
            if shape is None:
                raise BadFeature(f"its shape {refused[place]}")
            if place in nuclei_refused:
                raise BadFeature(f"its nucleus {nuclei_refused[place]}")
            note_unknown(draft, report)
            fields = fields_of(draft, report)
        except BadFeature as bad:
            _refuse(Refusal(draft.number, draft.name, str(bad)), report, collect)
            continue
        if place in nuclei:
            nucleus = nuclei[place]
            fields["nucleus"] = nucleus
            fields["nucleus_is_ellipse"] = _is_ellipse(draft.feature["nucleusGeometry"], nucleus)
        report.objects += 1
        yield Found(
            draft.number,
            SlideObject(
                geometry=shape,
                is_ellipse=_is_ellipse(draft.feature.get("geometry") or {}, shape),
                **fields,
            ),
        )


def _is_ellipse(geometry: dict[str, Any], shape: BaseGeometry) -> bool:
    return geometry.get("isEllipse") is True and shape.area > 0


def _nuclei(
    drafts: list[Draft], report: GeoJsonReport
) -> tuple[dict[int, BaseGeometry], dict[int, str]]:
    """Make the nuclei of cells by the drafts' places; and say why where one is none."""
    places: list[int] = []
    for place, draft in enumerate(drafts):
        if draft.feature.get("nucleusGeometry"):
            if draft.kind == "cell":
                places.append(place)
            else:
                report.note(f"nucleusGeometry of a {draft.kind}")
    if not places:
        return {}, {}
    given = [drafts[place].feature["nucleusGeometry"] for place in places]
    shapes, refused, mended = read_shapes(given)
    report.mended.update(mended.values())
    nuclei = {
        place: shape
        for place, shape in zip(places, shapes, strict=True)
        if shape is not None and not shape.is_empty
    }
    return nuclei, {places[i]: why for i, why in refused.items()}
