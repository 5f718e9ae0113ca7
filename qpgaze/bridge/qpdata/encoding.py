"""Objects written the way QuPath 0.5 writes them (0.3 - 0.7 read it)."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Final

from qpgaze.bridge.qpdata import layouts
from qpgaze.bridge.qpdata.javawriter import NULL, JavaWriter
from qpgaze.bridge.qpdata.records import DESCRIPTION_KEY, ID_KEY, PathClass, Roi
from qpgaze.bridge.qpdata.regions import title
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

_INT, _DOUBLE = struct.Struct(">i"), struct.Struct(">d")
_BOX = struct.Struct(">ii4diB")
_PLANE = struct.Struct(">iii")
_PROBABILITY = b"\x77\x08" + b"\x7f\xf8" + bytes(6)
_NO_CHILDREN = b"\x77\x04" + bytes(4)
_NAN: Final = math.nan


class Shared:
    """Values that are written once and then referred to.

    Parameters
    ----------
    writer : JavaWriter
    class_colors : mapping of str to int
        0xRRGGBB by whole class name; a class that is missing gets the colour of its name.
    """

    def __init__(self, writer: JavaWriter, class_colors: Mapping[str, int]) -> None:
        self.writer = writer
        self.colors = class_colors
        self._known: dict[object, int] = {}

    def find(self, key: object) -> int | None:
        """Return the handle of a shared value: ``PathClass``, bool or int."""
        return self._known.get((type(key), key))

    def keep(self, key: object, handle: int) -> None:
        """Remember the handle of a shared value."""
        self._known[type(key), key] = handle

    def integer(self, value: int) -> None:
        """Write an Integer."""
        known = self.find(value)
        if known is not None:
            self.writer.ref(known)
            return
        self.keep(value, self.writer.begin_object(layouts.INTEGER))
        self.writer.out += _INT.pack(value)

    def boolean(self, value: bool) -> None:
        """Write a Boolean."""
        known = self.find(value)
        if known is not None:
            self.writer.ref(known)
            return
        self.keep(value, self.writer.begin_object(layouts.BOOLEAN))
        self.writer.out.append(value)

    def find_class(self, name: str) -> int | None:
        """Return the handle of a class of that whole name."""
        return self.find(PathClass(name, None))

    def path_class(self, name: str | None) -> None:
        """Write a class and, before its end, those that it derives from."""
        if name is None:
            self.writer.out += NULL
            return
        known = self.find_class(name)
        if known is not None:
            self.writer.ref(known)
            return
        parent, _, last = name.rpartition(": ")
        self.keep(PathClass(name, None), self.writer.begin_object(layouts.PATH_CLASS))
        self.integer(java_color(self._color(name)))
        self.writer.text(last)
        self.path_class(parent or None)

    def _color(self, name: str) -> int:
        if name in self.colors:
            return self.colors[name]
        from qpgaze.bridge.projects.colors import class_color

        return class_color(name)


def java_color(rgb: int) -> int:
    """Turn 0xRRGGBB into QuPath's signed, opaque ARGB.

    Examples
    --------
    >>> java_color(0xC80000)
    -3670016
    """
    return (rgb & 0xFFFFFF) - 0x1000000


def check(o: SlideObject) -> None:
    """Refuse what QuPath could not keep, shapes aside.

    Raises
    ------
    ProjectError
        If the class name, a measurement or a metadata entry is none, or the kind is one that is
        not written.
    """
    if o.kind not in layouts.OBJECT_CLASSES:
        raise ProjectError(
            f"Expected an annotation, detection, cell or tile to write, but the object {title(o)} "
            f"is of kind '{o.kind}'.",
            hint="Change TMA cores in QuPath.",
        )
    parts = [] if o.class_name is None else o.class_name.split(": ")
    if any(not p.strip() or p != p.strip() or ":" in p or min(p) < " " for p in parts):
        raise ProjectError(
            f"Expected a class name like 'Tumor' or 'Tumor: Positive' for the object {title(o)}, "
            f"but {o.class_name!r} came."
        )
    reserved = {ID_KEY, DESCRIPTION_KEY} & set(o.metadata)
    if reserved or not all(isinstance(x, str) for pair in o.metadata.items() for x in pair):
        raise ProjectError(
            f"Expected metadata of texts for the object {title(o)}, without QuPath's own keys "
            f"'{ID_KEY}' and '{DESCRIPTION_KEY}'."
        )
    for name, value in o.measurements.items():
        if not isinstance(name, str) or not isinstance(value, (int, float)):
            raise ProjectError(
                f"Expected measurements as numbers by name for the object {title(o)}, but "
                f"{name!r}: {value!r} came."
            )


class ObjectWriter:
    """Writes whole objects in two halves, children between them."""

    def __init__(self, writer: JavaWriter, shared: Shared) -> None:
        self.writer = writer
        self.shared = shared

    def head(self, o: SlideObject, children: int) -> int:
        """Write an object up to its number of children; return its handle."""
        writer = self.writer
        handle = writer.begin_object(layouts.OBJECT_CLASSES[o.kind])
        writer.text(o.name)
        if o.color is None:
            writer.out += NULL
        else:
            self.shared.integer(java_color(o.color))
        pairs = {} if o.description is None else {DESCRIPTION_KEY: o.description}
        self.metadata({**pairs, **o.metadata}, str(o.id))
        self._measurements(o.measurements)
        writer.out += _NO_CHILDREN if not children else b"\x77\x04" + _INT.pack(children)
        return handle

    def metadata(self, pairs: Mapping[str, str], object_id: str) -> None:
        """Write a MetadataMap with the object's id."""
        writer = self.writer
        writer.begin_object(layouts.METADATA)
        self.shared.integer(1)
        writer.texts(layouts.OBJECTS, [*pairs, ID_KEY])
        writer.begin_array(layouts.OBJECTS, len(pairs) + 1)
        for value in pairs.values():
            writer.text(value)
        writer.new_text(object_id)
        writer.end()

    def _measurements(self, pairs: Mapping[str, float]) -> None:
        writer = self.writer
        if not pairs:
            writer.out += NULL
            return
        count = _INT.pack(len(pairs))
        writer.begin_object(layouts.MEASUREMENTS)
        writer.begin_object(layouts.ARRAY_LIST)
        writer.out += count
        writer.block(count)
        for name, value in pairs.items():
            writer.begin_object(layouts.MEASUREMENT)
            writer.out += _DOUBLE.pack(value)
            writer.text(name)
        writer.end()

    def tail(self, o: SlideObject, roi: Roi, probability: float = _NAN) -> None:
        """Write what follows an object's children."""
        writer = self.writer
        self.shared.boolean(o.locked)
        self.shared.path_class(o.class_name)
        self.roi(roi)
        if math.isnan(probability):
            writer.out += _PROBABILITY
        else:
            writer.block(_DOUBLE.pack(probability))
        if o.kind == "cell":
            writer.out += NULL
        writer.end()

    def roi(self, roi: Roi) -> None:
        """Write a region."""
        writer = self.writer
        kind = roi.kind
        writer.begin_object(layouts.ROIS[kind])
        if kind in ("RectangleROI", "EllipseROI", "LineROI"):
            x, y, x2, y2 = roi.shape
            writer.out += _BOX.pack(roi.c, roi.t, x, x2, y, y2, roi.z, NULL[0])
            return
        writer.out += _PLANE.pack(roi.c, roi.t, roi.z)
        if kind == "GeometryROI":
            writer.out += NULL
            writer.numbers(layouts.BYTES, roi.shape, 1)
            return
        writer.out += {"PolygonROI": NULL * 2, "PointsROI": NULL}.get(kind, b"")
        for raw in roi.shape:
            writer.numbers(layouts.FLOATS, raw, 4)
