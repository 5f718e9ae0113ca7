"""From the bytes of a ``data.qpdata`` to objects."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid5

from shapely.geometry.base import BaseGeometry

from qpgaze.bridge.qpdata import content
from qpgaze.bridge.qpdata.javatypes import JavaArray, JavaEnum, JavaObject
from qpgaze.bridge.qpdata.records import QpData, QupathObject, Raw
from qpgaze.bridge.qpdata.scan import Scan, quick_and_guarded
from qpgaze.bridge.qpdata.shapes import geometries
from qpgaze.model import SlideObject

_UUID_TEXT: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_POSITIONS: Final = UUID("8f1c2c5e-6a0b-5d0e-9c55-3d0f7a1b2c4d")
"""Namespace of the ids of objects that have none."""


def read_qpdata(data: bytes) -> QpData:
    """Read the content of an image's ``data.qpdata``.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    QpData

    Raises
    ------
    ProjectError
        If the file is damaged, cut off or of another kind.
    UnsupportedDataError
        If it holds something that QuPath 0.3 - 0.7 do not write.

    Notes
    -----
    Files of QuPath 0.3 hold no object ids. Such an object gets the UUIDv5 of the file's own JSON
    and the object's place in the hierarchy (the numbers of its ancestors among their siblings and
    its own): the same each time the file is read, and as long as nothing before it comes or goes.
    """
    return from_scan(Scan(data))


def from_scan(scan: Scan) -> QpData:
    """Make objects of what a scan found."""
    with quick_and_guarded(scan.data):
        ids = object_ids(scan)
        raws = scan.raws[1:]
        shapes = geometries([raw.roi for raw in raws])
        nuclei = geometries([raw.nucleus for raw in raws])
        objects = tuple(
            _slide_object(raw, ids, number, shape)
            for number, (raw, shape) in enumerate(zip(raws, shapes, strict=True), 1)
        )
        details = tuple(
            QupathObject(
                made,
                raw.depth,
                raw.roi,
                raw.path_class.color if raw.path_class else None,
                raw.color,
                raw.probability,
                None if raw.nucleus is None else nucleus,
                raw.nucleus,
                raw.missing,
                stored_id(raw) is not None,
            )
            for made, raw, nucleus in zip(objects, raws, nuclei, strict=True)
        )
    header = scan.header
    server = header.get("server")
    return QpData(
        objects,
        details,
        str(header.get("qupathVersion", "")),
        header,
        "" if server is None else json.dumps(server, ensure_ascii=False),
        _locale(scan.parts.get("locale")),
        scan.parts.get("image_type"),
        _stains(scan.parts.get("stains")),
        _steps(scan.parts.get("workflow")),
        _properties(scan.parts.get("properties")),
        class_colors(raws),
        stored_id(scan.raws[0]),
        scan.raws[0].metadata,
    )


def objects_at(scan: Scan, ids: list[UUID], numbers: Sequence[int]) -> list[SlideObject]:
    """Make some of a scan's objects."""
    raws = [scan.raws[number] for number in numbers]
    shapes = geometries([raw.roi for raw in raws])
    return [
        _slide_object(raw, ids, number, shape)
        for raw, number, shape in zip(raws, numbers, shapes, strict=True)
    ]


def stored_id(raw: Raw) -> UUID | None:
    """Return the id that the file keeps for an object, None where it keeps none."""
    if raw.uid is None or not _UUID_TEXT.fullmatch(raw.uid):
        return None
    return UUID(raw.uid)


def object_ids(scan: Scan) -> list[UUID]:
    """Return the ids of all objects, the root's first; made up where the file has none."""
    ids: list[UUID] = []
    space = None
    places: dict[int, str] = {}
    for number, raw in enumerate(scan.raws):
        found = stored_id(raw)
        if found is None:
            space = space or uuid5(_POSITIONS, scan.header_text)
            found = uuid5(space, _place(scan.raws, number, places))
        ids.append(found)
    return ids


def _place(raws: Sequence[Raw], number: int, places: dict[int, str]) -> str:
    """Return an object's way from the root, remembered for its children."""
    missing: list[int] = []
    while number >= 0 and number not in places:
        missing.append(number)
        number = raws[number].parent
    way = places.get(number, "")
    for step in reversed(missing):
        way = f"{way}/{raws[step].index}"
        places[step] = way
    return way


def _slide_object(raw: Raw, ids: list[UUID], number: int, shape: BaseGeometry) -> SlideObject:
    region = raw.roi
    c, z, t = (region.c, region.z, region.t) if region else (-1, 0, 0)
    return SlideObject(
        ids[number],
        shape,
        raw.kind,
        raw.path_class.name if raw.path_class else None,
        None if raw.color is None else raw.color & 0xFFFFFF,
        raw.name,
        raw.description,
        raw.measurements,
        raw.metadata,
        raw.locked,
        region is not None and region.kind == "EllipseROI",
        c,
        z,
        t,
        ids[raw.parent] if raw.parent > 0 else None,
    )


def class_colors(raws: Sequence[Raw]) -> dict[str, int]:
    """Return the colours (0xRRGGBB) of all classes that have one, in order of appearance."""
    colors: dict[str, int] = {}
    for found in dict.fromkeys(raw.path_class for raw in raws):
        if found is not None and found.color is not None:
            colors.setdefault(found.name, found.color & 0xFFFFFF)
    return colors


def _locale(value: Any) -> str:
    if value is None:
        return ""
    fields: Mapping[str, Any] = value.fields
    parts = (fields.get("language"), fields.get("country"))
    return "-".join(p for p in parts if isinstance(p, str) and p)


def _stains(value: Any) -> str | None:
    texts = [n for n in value.notes if isinstance(n, str)] if value is not None else []
    return texts[0] if texts else None


def _steps(value: Any) -> int:
    return sum(not isinstance(n, bytes) for n in value.notes) if value is not None else 0


def _properties(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    items = [n for n in value.notes if not isinstance(n, bytes)]
    return {k: plain(v) for k, v in zip(items[::2], items[1::2]) if isinstance(k, str)}  # noqa: B905


def plain(value: Any) -> Any:
    """Turn a Java value into a Python one where that is plain, else leave it as it is."""
    if isinstance(value, JavaEnum):
        return value.constant
    if not isinstance(value, JavaObject):
        return value
    name = value.desc.name
    if name.startswith("java.lang.") and "value" in value.fields:
        return value.fields["value"]
    if name == "java.util.UUID":
        high, low = (value.fields[k] & (2**64 - 1) for k in ("mostSigBits", "leastSigBits"))
        return UUID(int=high << 64 | low)
    if name == "java.util.ArrayList":
        items = content.java_list(value)
        if not any(isinstance(i, (JavaObject, JavaArray)) for i in items):
            return items
    return value
