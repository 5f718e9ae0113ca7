"""QuPath's own classes inside the stream: classes, measurements, metadata, regions of interest.

Each function takes a value of :mod:`~qpgaze.bridge.qpdata.javastream` and refuses what is not laid
out as QuPath 0.3 - 0.7 do it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

from qpgaze.bridge.qpdata.javatypes import JavaArray, JavaObject
from qpgaze.bridge.qpdata.records import PathClass, Roi
from qpgaze.errors import UnsupportedDataError

PATH_CLASS: Final = "qupath.lib.objects.classes.PathClass"
METADATA_MAP: Final = "qupath.lib.objects.MetadataMap"
MEASUREMENTS: Final = "qupath.lib.measurements."
_ROI: Final = "qupath.lib.roi."
_BOXES: Final = ("RectangleROI", "EllipseROI", "LineROI")
_RINGS: Final = ("PolygonROI", "PolylineROI", "PointsROI")
_UNITS: Final = {"F": 4, "D": 8, "B": 1}
_INT = struct.Struct(">i")


def unknown(what: str) -> UnsupportedDataError:
    """Return the error for content that QuPath 0.3 - 0.7 do not write."""
    return UnsupportedDataError(
        f"The image's data holds {what}, which qpgaze does not know.",
        hint="Please report the QuPath version that saved it.",
    )


def _called(value: Any) -> str:
    if isinstance(value, (JavaObject, JavaArray)):
        return value.desc.name
    return type(value).__name__


def boxed(value: Any, java: str) -> Any:
    """Unwrap an Integer or Boolean; None stays None."""
    if value is None:
        return None
    if not isinstance(value, JavaObject) or value.desc.name != java or "value" not in value.fields:
        raise unknown(f"{_called(value)} where {java} belongs")
    return value.fields["value"]


def text(value: Any, what: str) -> str | None:
    """Return a text or None."""
    if value is None or isinstance(value, str):
        return value
    raise unknown(f"{_called(value)} as {what}")


def java_list(value: Any) -> list[Any]:
    """Return the items of a Java list: ArrayList, an unmodifiable wrapper, or an immutable one."""
    for _ in range(4):
        if not isinstance(value, JavaObject):
            break
        name = value.desc.name
        if name in ("java.util.ArrayList", "java.util.LinkedList") or (
            name == "java.util.CollSer" and value.fields.get("tag", 0) & 0xFF == 1
        ):
            return _counted(value)
        if name.startswith("java.util.Collections$") and name.endswith("List"):
            if name.endswith("EmptyList"):
                return []
            if name.endswith("SingletonList"):
                return [value.fields.get("element")]
            value = value.fields.get("list", value.fields.get("c"))
            continue
        if name == "java.util.Arrays$ArrayList" and isinstance(value.fields.get("a"), JavaArray):
            return list(value.fields["a"].items)
        break
    raise unknown(f"{_called(value)} as a list")


def _counted(value: JavaObject) -> list[Any]:
    notes = value.notes
    if not notes or not isinstance(notes[0], bytes) or len(notes[0]) != 4:
        raise unknown(f"{value.desc.name} without its size")
    items = notes[1:]
    if _INT.unpack(notes[0])[0] != len(items) or any(isinstance(i, bytes) for i in items):
        raise unknown(f"{value.desc.name} of another size than it says")
    return items


def path_class(value: Any) -> PathClass | None:
    """Return a class: the names of its parents and its own, joined by ``": "``."""
    if value is None:
        return None
    names: list[str] = []
    color = None
    level = value
    while level is not None:
        if not isinstance(level, JavaObject) or level.desc.name != PATH_CLASS or len(names) > 50:
            raise unknown(f"{_called(level)} as a class")
        if level is value:
            color = boxed(level.fields.get("colorRGB"), "java.lang.Integer")
        name = text(level.fields.get("name"), "a class's name")
        if name is not None:
            names.append(name)
        level = level.fields.get("parentClass")
    return PathClass(": ".join(reversed(names)), color) if names else None


def metadata(value: Any) -> dict[str, str]:
    """Return the key-value pairs of a MetadataMap."""
    if value is None:
        return {}
    notes = value.notes if isinstance(value, JavaObject) else []
    if (
        len(notes) != 3
        or not isinstance(notes[1], JavaArray)
        or not isinstance(notes[2], JavaArray)
        or notes[1].count != notes[2].count
        or boxed(notes[0], "java.lang.Integer") != 1
    ):
        raise unknown(f"{_called(value)} as metadata")
    pairs: dict[str, str] = {}
    for key, item in zip(notes[1].items, notes[2].items, strict=True):
        if not isinstance(key, str):
            raise unknown(f"{_called(key)} as a metadata key")
        pairs[key] = text(item, "a metadata value") or ""
    return pairs


def numbers(data: bytes, array: Any, code: str) -> bytes:
    """Return the raw big-endian bytes of an array of primitives."""
    if not isinstance(array, JavaArray) or array.code != code:
        raise unknown(f"{_called(array)} where an array of numbers belongs")
    return data[array.at : array.at + array.count * _UNITS[code]]


def measurements(data: bytes, value: Any) -> dict[str, float]:
    """Return names and values of a measurement list, in its order."""
    if value is None:
        return {}
    name = value.desc.name if isinstance(value, JavaObject) else ""
    if name == MEASUREMENTS + "DefaultMeasurementList":
        return dict(_measured(item) for item in java_list(value.fields.get("list")))
    code = {"FloatList": "F", "DoubleList": "D"}.get(name.rpartition("$")[2], "")
    if not name.startswith(MEASUREMENTS + "NumericMeasurementList$") or not code:
        raise unknown(f"{_called(value)} as measurements")
    names = java_list(value.fields.get("names"))
    raw = numbers(data, value.fields.get("values"), code)
    count = len(raw) // _UNITS[code]
    if count < len(names) or not all(isinstance(n, str) for n in names):
        raise unknown("measurements with more names than values")
    values: Iterable[float] = struct.unpack(f">{count}{code.lower()}", raw)
    return dict(zip(names, values))  # noqa: B905


def _measured(item: Any) -> tuple[str, float]:
    if not isinstance(item, JavaObject) or not item.desc.name.startswith(MEASUREMENTS):
        raise unknown(f"{_called(item)} as a measurement")
    name, value = item.fields.get("name"), item.fields.get("value")
    if not isinstance(name, str) or not isinstance(value, float):
        raise unknown(f"{item.desc.name} as a measurement")
    return name, value


def roi(data: bytes, value: Any) -> Roi | None:
    """Return a region of interest.

    Raises
    ------
    UnsupportedDataError
        If it is of a kind that is not known.
    """
    if value is None:
        return None
    name = value.desc.name if isinstance(value, JavaObject) else ""
    kind, _, proxy = name.removeprefix(_ROI).partition("$")
    if not name.startswith(_ROI) or proxy not in ("SerializationProxy", "WKBSerializationProxy"):
        raise unknown(f"{_called(value)} as a region")
    f = value.fields
    try:
        plane = (int(f["c"]), int(f["z"]), int(f["t"]))
        if kind in _BOXES:
            return Roi(kind, *plane, (f["x"] + 0.0, f["y"] + 0.0, f["x2"] + 0.0, f["y2"] + 0.0))
        if kind in _RINGS:
            return Roi(kind, *plane, _pair(data, f["x"], f["y"]))
        if kind == "AreaROI":
            rings = zip(_arrays(f["x"]), _arrays(f["y"]), strict=True)
            return Roi(kind, *plane, tuple(_pair(data, x, y) for x, y in rings))
        if kind == "GeometryROI" and proxy == "WKBSerializationProxy":
            return Roi(kind, *plane, numbers(data, f["wkb"], "B"))
    except (KeyError, TypeError, ValueError) as error:
        raise unknown(f"{name} with other fields than usual") from error
    raise unknown(f"a region of kind {name}")


def _pair(data: bytes, x: Any, y: Any) -> tuple[bytes, bytes]:
    pair = numbers(data, x, "F"), numbers(data, y, "F")
    if len(pair[0]) != len(pair[1]):
        raise ValueError("x and y differ in number")
    return pair


def _arrays(value: Any) -> list[Any]:
    if not isinstance(value, JavaArray) or value.desc.name != "[[F":
        raise TypeError("not an array of arrays")
    return value.items
