"""Objects written the way QuPath 0.5 writes them (0.3 - 0.7 read it)."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from qpgaze.bridge.qpdata import layouts
from qpgaze.bridge.qpdata.javawriter import END, NULL, JavaWriter, reference
from qpgaze.bridge.qpdata.records import Roi
from qpgaze.bridge.qpdata.regions import title
from qpgaze.bridge.qupath_names import DESCRIPTION_KEY, ID_KEY
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

_INT, _DOUBLE = struct.Struct(">i"), struct.Struct(">d")
_BOX = struct.Struct(">ii4diB")
_PLANE = struct.Struct(">iii")
NO_PROBABILITY: Final = b"\x77\x08" + b"\x7f\xf8" + bytes(6)
NO_CHILDREN: Final = b"\x77\x04" + bytes(4)
_NAN: Final = math.nan
AT_ONCE: Final = 4096
"""Objects worked on together: few enough that the processor's cache holds them."""


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
        self._known: dict[tuple[type, object], bytes] = {}

    def find(self, key: object) -> int | None:  # noqa: ARG002 - for who knows old content
        """Return the handle of a shared value that was written otherwise than by this object.

        A value is a class by its whole name (str), a bool or an int.
        """
        return None

    def known(self, key: object) -> bytes | None:
        """Return the reference to a shared value, None while there is nothing to refer to."""
        at = (type(key), key)
        known = self._known.get(at)
        if known is None:
            found = self.find(key)
            if found is None:
                return None
            known = self._known[at] = reference(found)
        return known

    def _refer(self, key: object) -> bool:
        """Write a reference if there is something to refer to."""
        known = self.known(key)
        if known is None:
            return False
        self.writer.out += known
        return True

    def integer(self, value: int) -> None:
        """Write an Integer."""
        if not self._refer(value):
            handle = self.writer.begin_object(layouts.INTEGER)
            self._known[int, value] = reference(handle)
            self.writer.out += _INT.pack(value)

    def boolean(self, value: bool) -> None:
        """Write a Boolean."""
        if not self._refer(value):
            handle = self.writer.begin_object(layouts.BOOLEAN)
            self._known[bool, value] = reference(handle)
            self.writer.out.append(value)

    def path_class(self, name: str | None) -> None:
        """Write a class and, before its end, those that it derives from."""
        if name is None:
            self.writer.out += NULL
        elif not self._refer(name):
            parent, _, last = name.rpartition(": ")
            handle = self.writer.begin_object(layouts.PATH_CLASS)
            self._known[str, name] = reference(handle)
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


@lru_cache(maxsize=1000)
def _proper_class(name: str) -> bool:
    """Tell whether QuPath reads a class name as the chain that it is meant to be."""
    return not any(
        not part.strip() or part != part.strip() or ":" in part or min(part) < " "
        for part in name.split(": ")
    )


def check(o: SlideObject) -> None:
    """Refuse what QuPath could not keep, shapes aside.

    Raises
    ------
    ProjectError
        If the class name, a measurement or a metadata entry is none, if the kind is one that QuPath
        lacks, or something is not of its kind (only cells have nuclei, only cores are missing).
    """
    if o.kind not in layouts.OBJECT_CLASSES:
        raise ProjectError(
            f"Expected an annotation, detection, cell, tile or TMA core to write, but the object "
            f"{title(o)} is of kind '{o.kind}'."
        )
    if o.nucleus is not None and o.kind != "cell":
        raise ProjectError(
            f"Expected a nucleus in cells only, but the {o.kind} {title(o)} has one."
        )
    if o.missing and o.kind != "tma_core":
        raise ProjectError(
            f"Expected only TMA cores to be marked as missing, but the {o.kind} {title(o)} is."
        )
    if o.class_name is not None and not _proper_class(o.class_name):
        raise ProjectError(
            f"Expected a class name like 'Tumor' or 'Tumor: Positive' for the object {title(o)}, "
            f"but {o.class_name!r} came."
        )
    if o.metadata and (
        ID_KEY in o.metadata
        or DESCRIPTION_KEY in o.metadata
        or not all(isinstance(x, str) for pair in o.metadata.items() for x in pair)
    ):
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


def check_all(objects: Sequence[SlideObject]) -> None:
    """Refuse as :func:`check` does; most objects share a few classes and keys, looked at once."""
    for at in range(0, len(objects), AT_ONCE):
        _check_some(objects[at : at + AT_ONCE])


def _check_some(objects: Sequence[SlideObject]) -> None:
    classes = {o.class_name for o in objects}
    keys = {key for found in {tuple(o.metadata) for o in objects} for key in found}
    names = {name for found in {tuple(o.measurements) for o in objects} for name in found}
    texts = set(map(type, chain.from_iterable(o.metadata.values() for o in objects)))
    numbers = set(map(type, chain.from_iterable(o.measurements.values() for o in objects)))
    sound = (
        {o.kind for o in objects} <= {"annotation", "detection", "tile"}
        and all(o.nucleus is None for o in objects)
        and not any(o.missing for o in objects)
        and all(name is None or _proper_class(name) for name in classes)
        and not keys & {ID_KEY, DESCRIPTION_KEY}
        and texts | set(map(type, keys | names)) <= {str}
        and numbers <= {float, int}
    )
    if not sound:
        for o in objects:
            check(o)


def _list_form(written: bytes, count: int) -> tuple[struct.Struct, list[bytes]]:
    """Return a form that fills values into a measurement list that was written before.

    Its head takes 22 bytes; each item a tag and class (6), the value (8) and the name (5).
    """
    pieces = [written[:28]]
    pieces += [written[36 + 19 * i : 47 + 19 * i] for i in range(count - 1)]
    pieces.append(written[36 + 19 * (count - 1) :])
    form = ">" + "d".join(f"{len(piece)}s" for piece in pieces) + "0s"
    return struct.Struct(form), pieces


class ObjectWriter:
    """Writes whole objects in two halves, children between them.

    Attributes
    ----------
    metadata_heads : dict of tuple of str to bytes
        By its keys, a MetadataMap up to its first value, once nothing in it is new.
    list_forms : dict of tuple of str to (Struct, list of bytes)
        By its names, a measurement list and the pieces between its values, likewise.
    """

    def __init__(self, writer: JavaWriter, shared: Shared) -> None:
        self.writer = writer
        self.shared = shared
        self.metadata_heads: dict[tuple[str, ...], bytes] = {}
        self.list_forms: dict[tuple[str, ...], tuple[struct.Struct, list[bytes]]] = {}

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
        writer.out += NO_CHILDREN if not children else b"\x77\x04" + _INT.pack(children)
        return handle

    def metadata(self, pairs: Mapping[str, str], object_id: str) -> None:
        """Write a MetadataMap with the object's id."""
        writer = self.writer
        keys = (*pairs, ID_KEY)
        known = self.metadata_heads.get(keys)
        if known is not None:
            writer.out += known
            writer.next += 3
        else:
            at, given = len(writer.out), writer.next
            writer.begin_object(layouts.METADATA)
            self.shared.integer(1)
            writer.texts(layouts.OBJECTS, keys)
            writer.begin_array(layouts.OBJECTS, len(keys))
            if writer.next == given + 3:  # nothing but references: the same the next time
                self.metadata_heads[keys] = bytes(writer.out[at:])
        for value in pairs.values():
            writer.text(value)
        writer.new_text(object_id)
        writer.out += END

    def _measurements(self, pairs: Mapping[str, float]) -> None:
        writer = self.writer
        if not pairs:
            writer.out += NULL
            return
        names = tuple(pairs)
        known = self.list_forms.get(names)
        if known is not None:
            values = iter(pairs.values())
            form, pieces = known
            writer.out += form.pack(*(x for piece in pieces for x in (piece, next(values, b""))))
            writer.next += 2 + len(names)
            return
        at, given = len(writer.out), writer.next
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
        if writer.next == given + 2 + len(names):
            self.list_forms[names] = _list_form(bytes(writer.out[at:]), len(names))

    def tail(
        self,
        o: SlideObject,
        roi: Roi | None,
        nucleus: Roi | None = None,
        probability: float = _NAN,
    ) -> None:
        """Write what follows an object's children."""
        writer = self.writer
        self.shared.boolean(o.locked)
        self.shared.path_class(o.class_name)
        self.roi(roi)
        if o.kind == "tma_core":
            writer.block(_DOUBLE.pack(probability) + bytes([o.missing]))
        elif math.isnan(probability):
            writer.out += NO_PROBABILITY
        else:
            writer.block(_DOUBLE.pack(probability))
        if o.kind == "cell":
            self.roi(nucleus)
        writer.end()

    def roi(self, roi: Roi | None) -> None:
        """Write a region, or that there is none."""
        writer = self.writer
        if roi is None:
            writer.out += NULL
            return
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
