"""One object of QuPath's hierarchy, read piece by piece, and where its parts lie."""

from __future__ import annotations

import math
import struct
from typing import Any, Final

from qpgaze.bridge.qpdata import content
from qpgaze.bridge.qpdata.javastream import JavaReader
from qpgaze.bridge.qpdata.javatypes import (
    ENDBLOCKDATA,
    EXTERNALIZABLE,
    REFERENCE,
    STRING,
    ClassDesc,
    JavaArray,
    JavaObject,
    damaged,
)
from qpgaze.bridge.qpdata.records import KINDS, ROOT, Raw
from qpgaze.bridge.qpdata.templates import Gap
from qpgaze.bridge.qupath_names import DESCRIPTION_KEY, ID_KEY

PATH_OBJECT: Final = "qupath.lib.objects.PathObject"
_INT, _DOUBLE = struct.Struct(">i"), struct.Struct(">d")
_BOX_FIELDS: Final = ("c", "t", "x", "x2", "y", "y2", "z")
_PLANE_FIELDS: Final = ("c", "t", "z")


class Parts:
    """Offsets and values met while reading an object, from which its layout can be learnt."""

    __slots__ = ("class_at", "count_at", "locked_at", "measured", "name_at", "nucleus", "pairs",
                 "probability_at", "region")  # fmt: skip

    name_at: int
    pairs: Any
    measured: Any
    count_at: int
    locked_at: int
    class_at: int
    region: Any
    probability_at: int
    nucleus: Any


def read_head(reader: JavaReader, raw: Raw, is_root: bool) -> tuple[Parts, int, int, int]:
    """Read an object up to its number of children.

    Returns
    -------
    parts : Parts
    handle, slot : int
        Of the object.
    children : int
    """
    obj, slot = reader.begin_object()
    raw.kind = _kind(obj.desc, is_root)
    parts = Parts()
    parts.name_at = reader.pos
    raw.name = content.text(reader.value(), "an object's name")
    raw.color = content.boxed(reader.value(), "java.lang.Integer")
    item = reader.value()
    pairs: dict[str, str] = {}
    parts.pairs = None
    if isinstance(item, JavaObject) and item.desc.name == content.METADATA_MAP:
        parts.pairs = item
        pairs = content.metadata(item)
        item = reader.value()
    raw.uid = pairs.pop(ID_KEY, None)
    raw.description = pairs.pop(DESCRIPTION_KEY, None)
    raw.metadata = pairs
    parts.measured = item
    raw.measurements = content.measurements(reader.data, item)
    parts.count_at = reader.pos + 2
    (children,) = _INT.unpack(reader.block(4))
    if children < 0 or children > len(reader.data):
        raise damaged(reader.pos, f"an object with {children} children")
    return parts, obj.handle, slot, children


def _kind(desc: ClassDesc, is_root: bool) -> str:
    kind = "root" if desc.name == ROOT else KINDS.get(desc.name)
    if kind is None or not desc.flags & EXTERNALIZABLE or desc.levels[0].name != PATH_OBJECT:
        raise content.unknown(f"an object of class {desc.name}")
    if (kind == "root") != is_root:
        raise content.unknown("a root object in a place of its own")
    return kind


def read_tail(reader: JavaReader, raw: Raw, parts: Parts) -> None:
    """Read what follows an object's children."""
    raw.locked, raw.missing, raw.probability = False, False, math.nan
    raw.path_class, raw.roi, raw.nucleus = None, None, None
    if raw.kind != "root":
        parts.locked_at = reader.pos
        item = reader.value()
        parts.class_at = parts.locked_at
        if isinstance(item, JavaObject) and item.desc.name == "java.lang.Boolean":
            raw.locked = bool(content.boxed(item, "java.lang.Boolean"))
            parts.class_at = reader.pos
            item = reader.value()
        raw.path_class = content.path_class(item)
        parts.region = reader.value()
        raw.roi = content.roi(reader.data, parts.region)
        block = reader.block(9 if raw.kind == "tma_core" else 8)
        parts.probability_at = reader.pos - len(block)
        raw.missing = len(block) == 9 and block[8] != 0
        (raw.probability,) = _DOUBLE.unpack(block[:8])
        parts.nucleus = None
        if raw.kind == "cell":
            parts.nucleus = reader.value()
            raw.nucleus = content.roi(reader.data, parts.nucleus)
    reader.expect(ENDBLOCKDATA, "the end of an object")


# -- layouts ---------------------------------------------------------------------------------------


class NoLayoutError(Exception):
    """Inside this module: the object has something that makes its layout its own."""


def gaps(reader: JavaReader, raw: Raw, parts: Parts, slot: int) -> list[Gap] | None:
    """Return what may differ between objects laid out like this one, None if none will be.

    Parameters
    ----------
    reader : JavaReader
        Just behind the object, which has no children.
    raw, parts
        What was read of it.
    slot : int
        Of the object among the reader's definitions.
    """
    try:
        return _Gaps(reader, slot).of(raw, parts)
    except NoLayoutError:
        return None


class _Gaps:
    def __init__(self, reader: JavaReader, slot: int) -> None:
        self._reader = reader
        self._data = reader.data
        self._first = reader.def_handle[slot]
        self._slot = slot

    def of(self, raw: Raw, parts: Parts) -> list[Gap]:
        data = self._data
        found: list[Gap] = []
        if data[parts.name_at] == STRING:
            found.append(self._text(parts.name_at, "name", ""))
        elif data[parts.name_at] == REFERENCE:
            found.append(Gap(parts.name_at + 1, 4, "name ref"))
        found += self._metadata(parts.pairs)
        found += self._measurements(raw, parts.measured)
        for at, role in ((parts.locked_at, "locked"), (parts.class_at, "class")):
            if data[at] == REFERENCE and (role == "class" or parts.class_at > at):
                found.append(Gap(at + 1, 4, role))
        found += self._region(parts.region, "roi")
        found.append(Gap(parts.probability_at, 8, "probability"))
        return found + self._region(parts.nucleus, "nucleus")

    def _at(self, value: JavaArray | JavaObject) -> int:
        """Return where a value's content begins, if it was defined in this object."""
        slot = self._slot + value.handle - self._first
        if value.handle < self._first:
            raise NoLayoutError
        return self._reader.def_assign[slot]

    def _text(self, at: int, role: str, key: str) -> Gap:
        size = int.from_bytes(self._data[at + 1 : at + 3], "big")
        return Gap(at + 1, 2, role, key, 1, size)

    def _metadata(self, pairs: Any) -> list[Gap]:
        if pairs is None:
            return []
        found = []
        keys, values = pairs.notes[1], pairs.notes[2]
        if values.handle < self._first or len(set(keys.items)) != keys.count:
            raise NoLayoutError
        at = values.at
        for key, value in zip(keys.items, values.items, strict=True):
            tag = self._data[at]
            if tag == STRING:
                gap = self._text(at, "metadata", key)
                if key == ID_KEY and gap.follow == 36:
                    gap = Gap(at + 3, 36, "uid")
                found.append(gap)
                at += 3 + gap.follow if gap.unit else 39
            elif tag == REFERENCE and key != ID_KEY:
                found.append(Gap(at + 1, 4, "metadata ref", key))
                at += 5
            elif value is None:
                at += 1
            else:
                raise NoLayoutError
        return found

    def _measurements(self, raw: Raw, measured: Any) -> list[Gap]:
        if measured is None:
            return []
        names = list(raw.measurements)
        if "list" in measured.fields:
            items = content.java_list(measured.fields["list"])
            form = "8"
            places = [self._at(item) for item in items]
            if any(item.desc.steps[0][1] != ("value",) for item in items) or any(
                item.desc.fields[0][0] != "D" for item in items
            ):
                raise NoLayoutError
        else:
            values = measured.fields["values"]
            size = 4 if values.code == "F" else 8
            form = str(size)
            self._at(values)
            places = [values.at + i * size for i in range(len(names))]
        if len(places) != len(names):
            raise NoLayoutError  # a name twice
        return [
            Gap(at, int(form), "measurement", name) for at, name in zip(places, names, strict=True)
        ]

    def _region(self, region: Any, role: str) -> list[Gap]:
        if region is None:
            return []
        at = self._at(region)
        form, names = region.desc.steps[0]
        if form is None:
            raise NoLayoutError
        if names == _BOX_FIELDS:
            return [Gap(at, 44, role, "box")]
        if names != _PLANE_FIELDS:
            raise NoLayoutError
        found = [Gap(at, 12, role, "plane"), *self._statistics(region.fields.get("stats"))]
        for name in ("wkb",) if "wkb" in region.fields else ("x", "y"):
            values = region.fields[name]
            if values.code not in ("F", "B"):
                raise NoLayoutError
            self._at(values)
            unit = 4 if values.code == "F" else 1
            found.append(Gap(values.at - 4, 4, role, name, unit, values.count * unit))
        return found

    def _statistics(self, stats: Any) -> list[Gap]:
        """Let the numbers differ that QuPath keeps about a region (area, centroid, ...)."""
        if not isinstance(stats, JavaObject) or stats.handle < self._first:
            return []
        form = stats.desc.steps[0][0] if len(stats.desc.steps) == 1 else None
        if form is None or stats.notes or len(stats.desc.levels) != 1:
            raise NoLayoutError
        return [Gap(self._at(stats), form.size, "statistics")]
