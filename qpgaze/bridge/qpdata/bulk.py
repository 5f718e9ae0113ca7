"""Many new objects at once: the bytes that :class:`ObjectWriter` would write, filled in as columns.

Objects of one layout differ in numbers, corners, ids and texts only. Once the writer has written
one of a layout, everything that the layout shares is known, and the others are made together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from qpgaze.bridge.qpdata import layouts
from qpgaze.bridge.qpdata.encoding import NO_CHILDREN, NO_PROBABILITY, ObjectWriter, java_color
from qpgaze.bridge.qpdata.identities import id_keys
from qpgaze.bridge.qpdata.javatext import encode_modified_utf8
from qpgaze.bridge.qpdata.javawriter import BASE_HANDLE, END, NULL, ClassSpec
from qpgaze.bridge.qpdata.records import Roi
from qpgaze.bridge.qupath_names import DESCRIPTION_KEY, ID_KEY
from qpgaze.model import SlideObject

WORTH: Final = 32
"""Objects in a row below which the writer is as fast."""
_KINDS: Final = frozenset({"annotation", "detection", "tile"})
_BOXES: Final = frozenset({"RectangleROI", "EllipseROI", "LineROI"})
_NULLS: Final = {"PolygonROI": NULL * 2, "PointsROI": NULL, "GeometryROI": NULL}
_LONGEST: Final = 0xFFFF // 3
"""Characters of a text that surely has the short form."""
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_DIGITS: Final = [i for i in range(36) if i not in (8, 13, 18, 23)]

Bytes = npt.NDArray[np.uint8]
Layout = tuple[Any, ...]
Codes = npt.NDArray[np.intp]


def layout_of(o: SlideObject, roi: Roi | None, nucleus: Roi | None) -> Layout | None:
    """Return what an object shares with others that are written together; None for none."""
    if roi is None or nucleus is not None or o.kind not in _KINDS:
        return None
    name, description, metadata = o.name, o.description, o.metadata
    keys: tuple[str, ...] = ()
    if name is not None or description is not None or metadata:
        if max(map(len, (name or "", description or "", *metadata.values()))) > _LONGEST:
            return None
        keys = tuple(metadata) if description is None else (DESCRIPTION_KEY, *metadata)
    return (
        o.kind,
        name is None,
        o.color,
        keys,
        tuple(o.measurements),
        o.locked,
        o.class_name,
        roi[0],
    )


class Bulk:
    """Writes objects without children, one after the other, as columns.

    Parameters
    ----------
    writer : ObjectWriter
        That has written other objects of their layouts.
    """

    def __init__(self, writer: ObjectWriter) -> None:
        self._writer = writer
        self._java = writer.writer
        self._codes: dict[Layout | None, int] = {None: 0}
        self._layouts: list[Layout | None] = [None]
        self._ready: set[int] = set()

    def layouts(
        self, objects: Sequence[SlideObject], rois: Sequence[Roi | None], nuclei: Sequence[Any]
    ) -> Codes:
        """Return a number for each object's layout; 0 for one that is not written here."""
        codes = self._codes
        found = [
            codes.setdefault(layout, len(codes)) for layout in map(layout_of, objects, rois, nuclei)
        ]
        self._layouts = list(codes)
        return np.array(found, dtype=np.intp)

    def ready_until(self, codes: Codes, at: int) -> int:
        """Return the place of the first object from `at` on that cannot be written here yet.

        An object can once all that its layout shares has been written.
        """
        for code in set(codes[at:].tolist()):
            layout = self._layouts[code]
            if code not in self._ready and layout is not None and self._all_known(layout):
                self._ready.add(code)
        wrong = np.flatnonzero(~np.isin(codes[at:], list(self._ready)))
        return at + int(wrong[0]) if len(wrong) else len(codes)

    def _all_known(self, layout: Layout) -> bool:
        kind, _, color, keys, lists, locked, class_name, roi = layout
        known = self._writer.shared.known
        specs = [layouts.OBJECT_CLASSES[kind], layouts.ROIS[roi]]
        if roi not in _BOXES:
            specs.append(layouts.BYTES if roi == "GeometryROI" else layouts.FLOATS)
        return (
            all(self._java.known_class(spec) is not None for spec in specs)
            and (*keys, ID_KEY) in self._writer.metadata_heads
            and (not lists or lists in self._writer.list_forms)
            and known(locked) is not None
            and (color is None or known(java_color(color)) is not None)
            and (class_name is None or known(class_name) is not None)
        )

    def write(
        self, objects: Sequence[SlideObject], rois: Sequence[Roi | None], codes: Codes
    ) -> None:
        """Write objects whose layouts are ready."""
        _Part(self._writer, objects, rois, codes, self._layouts).write()


class _Part:
    """Some objects on their way into the stream."""

    def __init__(
        self,
        writer: ObjectWriter,
        objects: Sequence[SlideObject],
        rois: Sequence[Roi | None],
        codes: Codes,
        layouts_: Sequence[Layout | None],
    ) -> None:
        self._writer, self._java = writer, writer.writer
        self._objects, self._rois = objects, rois
        self._sizes = np.zeros(len(objects), dtype=np.int64)
        self._given = np.zeros(len(objects), dtype=np.int64)
        self._groups: defaultdict[Layout, list[int]] = defaultdict(list)
        # For a text that is new here: the object that holds it, and its handle within that.
        self._new: dict[str, tuple[int, int]] = {}
        each: list[tuple[bool, ...]] = [()] * len(objects)
        for row, o in enumerate(objects):  # in their order, as a text is new only once
            if o.name is not None or o.description is not None or o.metadata:
                each[row] = self._texts(row, o)
        for code in np.unique(codes).tolist():
            layout = layouts_[code]
            assert layout is not None  # noqa: S101 - it would not be ready
            for row in np.flatnonzero(codes == code).tolist():
                self._groups[layout + each[row]].append(row)

    def _texts(self, row: int, o: SlideObject) -> tuple[bool, ...]:
        """Say of each text of an object whether it is new, as the writer would find it."""
        known, new = self._java.known_text, self._new
        texts = [] if o.name is None else [o.name]
        if o.description is not None:
            texts.append(o.description)
        texts += o.metadata.values()
        handle = 1 if o.name is None else 0
        news: list[bool] = []
        for place, text in enumerate(texts):
            fresh = known(text) is None and text not in new
            if fresh:
                # The object takes a handle; its metadata three more, before the first value.
                given = sum(news) + 1
                new[text] = (row, given if place == 0 and not handle else given + 3)
            news.append(fresh)
        return tuple(news)

    def write(self) -> None:
        """Write all."""
        columns = [
            (np.array(rows), self._columns(layout, rows)) for layout, rows in self._groups.items()
        ]
        for rows, (pieces, given) in columns:
            self._given[rows] = given
            for piece in pieces:
                self._sizes[rows] += len(piece) if isinstance(piece, bytes) else piece.sizes
        stops = np.cumsum(self._sizes)
        starts, out = stops - self._sizes, np.empty(int(stops[-1]), dtype=np.uint8)
        taken = np.cumsum(self._given)
        first = self._java.next + taken - self._given
        places = {text: int(first[row]) + more for text, (row, more) in self._new.items()}
        for rows, (pieces, _) in columns:
            at = starts[rows]
            for piece in pieces:
                if isinstance(piece, bytes):
                    _windows(out, len(piece))[at] = np.frombuffer(piece, np.uint8)
                    at = at + len(piece)
                else:
                    at = piece.put(out, at, places)
        self._java.out += out.data
        self._java.next += int(taken[-1])
        self._java.note_texts(places)

    def _columns(self, layout: Layout, rows: list[int]) -> tuple[list[bytes | _Column], int]:
        """Return what is written of objects of one layout, and how many handles each takes."""
        kind, unnamed, color, keys, lists, locked, class_name, roi, *news = layout
        objects = [self._objects[row] for row in rows]
        java, shared = self._java, self._writer.shared
        pieces: list[bytes | _Column] = [self._begin(layouts.OBJECT_CLASSES[kind])]
        fresh = iter(news)
        if unnamed:
            pieces.append(NULL)
        else:
            pieces.append(_texts_of([o.name or "" for o in objects], next(fresh), java))
        pieces.append(NULL if color is None else _known(shared.known(java_color(color))))
        whole = (*keys, ID_KEY)
        pieces.append(self._writer.metadata_heads[whole])
        for key in keys:
            texts = [
                (o.description or "") if key == DESCRIPTION_KEY else o.metadata[key]
                for o in objects
            ]
            pieces.append(_texts_of(texts, next(fresh), java))
        pieces += [b"\x74\x00\x24", _Fixed(_uid_texts(objects)), END]
        given = 1 + 3 + sum(news) + 1
        pieces += self._lists(lists, objects)
        given += 2 + len(lists) if lists else 0
        pieces += [NO_CHILDREN, _known(shared.known(locked))]
        pieces.append(NULL if class_name is None else _known(shared.known(class_name)))
        regions, more = self._regions(roi, [self._rois[row] for row in rows])
        return [*pieces, *regions, NO_PROBABILITY + END], given + more

    def _begin(self, spec: ClassSpec, tag: bytes = b"\x73") -> bytes:
        return tag + _known(self._java.known_class(spec))

    def _lists(self, names: tuple[str, ...], objects: list[SlideObject]) -> list[bytes | _Column]:
        if not names:
            return [NULL]
        count = len(objects) * len(names)
        flat = chain.from_iterable(o.measurements.values() for o in objects)
        values = np.fromiter(flat, np.float64, count).reshape(-1, len(names)).astype(">f8")
        pieces: list[bytes | _Column] = []
        for i, piece in enumerate(self._writer.list_forms[names][1]):
            pieces.append(piece)
            if i < len(names):
                pieces.append(_Fixed(np.ascontiguousarray(values[:, i : i + 1]).view(np.uint8)))
        return pieces

    def _regions(self, kind: str, rois: list[Any]) -> tuple[list[bytes | _Column], int]:
        """Return regions of one kind, and how many handles each takes."""
        pieces: list[bytes | _Column] = [self._begin(layouts.ROIS[kind])]
        c, z, t = (
            np.array(column, dtype=">i4") for column in zip(*(r[1:4] for r in rois), strict=True)
        )
        if kind in _BOXES:
            x, y, x2, y2 = np.array([r.shape for r in rois], dtype=">f8").T
            numbers = (c, t, x, x2, y, y2, z)
            pieces += [_Fixed(np.column_stack([_raw(n) for n in numbers])), NULL]
            return pieces, 1
        pieces.append(_Fixed(np.column_stack([_raw(n) for n in (c, t, z)])))
        if kind in _NULLS:
            pieces.append(_NULLS[kind])
        if kind == "GeometryROI":
            arrays, unit, spec = [[r.shape for r in rois]], 1, layouts.BYTES
        else:
            arrays, unit, spec = [[r.shape[i] for r in rois] for i in (0, 1)], 4, layouts.FLOATS
        for values in arrays:
            pieces += [self._begin(spec, b"\x75"), _Open(values, unit, ">i4")]
        return pieces, 1 + len(arrays)


# -- columns ---------------------------------------------------------------------------------------


class _Fixed:
    """As many bytes for each: (n, size)."""

    def __init__(self, values: Bytes) -> None:
        self._values = values
        self.sizes = values.shape[1]

    def put(self, out: Bytes, at: Any, places: dict[str, int]) -> Any:  # noqa: ARG002
        _windows(out, self.sizes)[at] = self._values
        return at + self.sizes


class _Open:
    """A length and so many units."""

    def __init__(self, values: Sequence[bytes], unit: int, form: str) -> None:
        self._lengths = np.fromiter(map(len, values), np.int64, len(values))
        self._raw = np.frombuffer(b"".join(values), np.uint8)
        self._counts = _raw((self._lengths // unit).astype(form))
        self.sizes = self._lengths + self._counts.shape[1]

    def put(self, out: Bytes, at: Any, places: dict[str, int]) -> Any:  # noqa: ARG002
        width = self._counts.shape[1]
        _windows(out, width)[at] = self._counts
        at = at + width
        if len(self._raw):
            first = np.cumsum(self._lengths) - self._lengths
            out[np.repeat(at - first, self._lengths) + np.arange(len(self._raw))] = self._raw
        return at + self._lengths


class _References:
    """References to texts, some of which are new and have no place yet."""

    sizes = 5

    def __init__(self, texts: Sequence[str], known: Any) -> None:
        self._texts, self._known = texts, known

    def put(self, out: Bytes, at: Any, places: dict[str, int]) -> Any:
        made = bytearray()
        for text in self._texts:
            found = self._known(text)
            made += found or b"\x71" + (BASE_HANDLE + places[text]).to_bytes(4, "big")
        _windows(out, 5)[at] = np.frombuffer(made, np.uint8).reshape(-1, 5)
        return at + 5


class _Texts(_Open):
    """New texts, whose tag goes before."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__([encode_modified_utf8(text) for text in texts], 1, ">u2")
        tags = np.full((len(texts), 1), 0x74, dtype=np.uint8)
        self._counts = np.column_stack([tags, self._counts])
        self.sizes = self.sizes + 1


_Column: TypeAlias = "_Fixed | _Open | _References"
"""Bytes that differ from object to object."""


def _texts_of(texts: Sequence[str], new: bool, java: Any) -> _Column:
    return _Texts(texts) if new else _References(texts, java.known_text)


def _known(reference: bytes | None) -> bytes:
    assert reference is not None  # noqa: S101 - else the layout were not ready
    return reference


def _raw(numbers: Any) -> Bytes:
    """Return the bytes of numbers, a row each."""
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(len(numbers), -1)


def _windows(out: Bytes, size: int) -> Bytes:
    """Return a view that writes `size` bytes at an offset."""
    return np.lib.stride_tricks.sliding_window_view(out, size, writeable=True)


def _uid_texts(objects: Sequence[SlideObject]) -> Bytes:
    """Return ids as text, (n, 36)."""
    raw = b"".join(id_keys(objects))
    ids = np.frombuffer(raw, np.uint8).reshape(-1, 16)
    texts = np.full((len(objects), 36), ord("-"), dtype=np.uint8)
    digits = np.empty((len(objects), 32), dtype=np.uint8)
    digits[:, ::2], digits[:, 1::2] = _HEX[ids >> 4], _HEX[ids & 15]
    texts[:, _DIGITS] = digits
    return texts
