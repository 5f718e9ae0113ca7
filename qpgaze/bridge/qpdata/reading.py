"""From the bytes of a ``data.qpdata`` to objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from qpgaze.bridge.qpdata import content
from qpgaze.bridge.qpdata.columns import class_colors, make_objects
from qpgaze.bridge.qpdata.identities import object_ids, root_id
from qpgaze.bridge.qpdata.javatypes import JavaArray, JavaEnum, JavaObject
from qpgaze.bridge.qpdata.records import QpData
from qpgaze.bridge.qpdata.scan import Scan, quick_and_guarded
from qpgaze.model import SlideObject

_LONG: Final = 2**64 - 1


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

    Examples
    --------
    >>> from qpgaze.bridge.qpdata import new_qpdata
    >>> data = new_qpdata(
    ...     server={"uri": "file:/slide.tif"}, qupath_version="0.5.1", image_type="OTHER"
    ... )
    >>> read_qpdata(data).image_type
    'OTHER'
    """
    return from_scan(Scan(data))


def from_scan(scan: Scan) -> QpData:
    """Make objects of what a scan found."""
    objects = objects_of(scan)
    with quick_and_guarded(scan.data):
        colors = class_colors(scan)
    server = scan.header.get("server")
    return QpData(
        objects,
        str(scan.header.get("qupathVersion", "")),
        scan.header,
        "" if server is None else json.dumps(server, ensure_ascii=False),
        _locale(scan.parts.get("locale")),
        scan.parts.get("image_type"),
        _stains(scan.parts.get("stains")),
        _steps(scan.parts.get("workflow")),
        _properties(scan.parts.get("properties")),
        colors,
        root_id(scan),
        scan,
    )


def objects_of(scan: Scan) -> tuple[SlideObject, ...]:
    """Make the objects of a scan, parents before children."""
    with quick_and_guarded(scan.data):
        return tuple(make_objects(scan, object_ids(scan))[1:])


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
        high, low = value.fields.get("mostSigBits"), value.fields.get("leastSigBits")
        if isinstance(high, int) and isinstance(low, int):
            return UUID(int=(high & _LONG) << 64 | low & _LONG)
    if name == "java.util.ArrayList":
        items = content.java_list(value)
        if not any(isinstance(i, (JavaObject, JavaArray)) for i in items):
            return items
    return value
