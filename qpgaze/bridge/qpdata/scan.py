"""One pass over a ``data.qpdata``: its parts, its objects, and where each of them lies.

The layout is that of QuPath 0.3 - 0.7 (data file version 3). Children are walked with a stack of
our own, so that a deep hierarchy costs no Python recursion.
"""

from __future__ import annotations

import gc
import json
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpgaze.bridge.qpdata import content
from qpgaze.bridge.qpdata.javastream import JavaReader
from qpgaze.bridge.qpdata.javatypes import (
    ENDBLOCKDATA,
    EXTERNALIZABLE,
    OBJECT,
    STREAM_HEADER,
    ClassDesc,
    JavaEnum,
    JavaObject,
    damaged,
)
from qpgaze.bridge.qpdata.records import DESCRIPTION_KEY, ID_KEY, KINDS, ROOT, Raw
from qpgaze.errors import ProjectError, UnsupportedDataError

HIERARCHY: Final = "qupath.lib.objects.hierarchy.PathObjectHierarchy"
PATH_OBJECT: Final = "qupath.lib.objects.PathObject"
IntArray = npt.NDArray[np.int64]
_VERSION_TEXT: Final = "Data file version "
_INT, _DOUBLE = struct.Struct(">i"), struct.Struct(">d")
_MAX_LEVELS: Final = 10_000


@contextmanager
def quick_and_guarded(data: bytes) -> Iterator[None]:
    """Keep the cyclic collector out of a long parse, and turn running off the end into our error.

    Every read is checked, either by itself or by the index and struct errors caught here.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    except (IndexError, struct.error) as error:
        raise damaged(len(data), "it ends in the middle of a value") from error
    finally:
        if enabled:
            gc.enable()


class Scan:
    """What one pass found.

    Attributes
    ----------
    data : bytes
    reader : JavaReader
        Its handles and references.
    header_text : str
        The file's own JSON.
    parts : dict of str to value
        ``locale``, ``image_type``, ``stains``, ``workflow``, ``properties`` as they came.
    raws : list of Raw
        The root first, then every object, parents before children.
    starts, counts, tails, ends, handles : array of int64
        For each of `raws`: where its element begins, where the four bytes of its number of
        children are, where its content goes on after the last child, where it ends; the index of
        its handle.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reader = JavaReader(data)
        self.header_text = ""
        self.header: dict[str, Any] = {}
        self.parts: dict[str, Any] = {}
        self.raws: list[Raw] = []
        self.starts, self.counts = array("q"), array("q")
        self.tails, self.ends = array("q"), array("q")
        self.handles = array("q")
        with quick_and_guarded(data):
            self._file()

    def definitions(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return where each handle's element begins, where it is given out, where it ends."""
        reader = self.reader
        columns = (reader.def_start, reader.def_assign, reader.def_end)
        return tuple(np.array(column, dtype=np.int64) for column in columns)  # type: ignore[return-value]

    def references(self) -> IntArray:
        """Return the offsets of the handles of all references, ascending."""
        return np.array(self.reader.refs, dtype=np.int64)

    # -- the file ------------------------------------------------------------------------------

    def _file(self) -> None:
        reader = self.reader
        if self.data[:4] != STREAM_HEADER:
            raise ProjectError(
                "This is no data.qpdata of QuPath: it does not begin as a Java object stream.",
                hint="Restore it from the .bkp beside it or from a backup.",
            )
        reader.pos = 4
        size = self.data[5]
        mark = reader.block(size)[2:].decode("ascii", "replace")
        if not mark.startswith(_VERSION_TEXT):
            raise ProjectError("This Java object stream holds no image data of QuPath.")
        if mark != _VERSION_TEXT + "3":
            raise UnsupportedDataError(
                f"Expected data file version 3, but {mark[len(_VERSION_TEXT) :]} came.",
                hint="Open the image in QuPath 0.3 - 0.7 and save it there once.",
            )
        header = reader.value()
        if not isinstance(header, str):
            raise content.unknown("no JSON about itself")
        self._header(header)
        while (item := self._part()) != "EOF":
            if isinstance(item, str):
                raise content.unknown(f"a text {item[:40]!r} among its parts")
        if reader.pos != len(self.data):
            raise damaged(reader.pos, f"{len(self.data) - reader.pos} bytes follow its end")
        if not self.raws:
            raise content.unknown("no object hierarchy")

    def _header(self, text: str) -> None:
        self.header_text = text
        try:
            self.header = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise content.unknown("JSON about itself that is none") from error
        if not isinstance(self.header, dict):
            raise content.unknown("JSON about itself that is no object")

    def _part(self) -> Any:
        reader = self.reader
        if self.data[reader.pos] != OBJECT:
            value = reader.value()
            if isinstance(value, JavaEnum):
                self.parts["image_type"] = value.constant
            elif value is not None and not isinstance(value, str):
                raise content.unknown("an array among its parts")
            return value
        obj, slot = reader.begin_object()
        name = obj.desc.name
        if name == HIERARCHY:
            self._hierarchy(obj, slot)
            return obj
        reader.finish_object(obj, slot)
        short = {
            "java.util.Locale": "locale",
            "java.util.HashMap": "properties",
            "java.util.LinkedHashMap": "properties",
        }.get(name, {"ColorDeconvolutionStains": "stains"}.get(name.rpartition(".")[2], ""))
        if not short and name.endswith(".Workflow"):
            short = "workflow"
        if not short:
            raise content.unknown(f"{name} among its parts")
        self.parts[short] = obj
        return obj

    def _hierarchy(self, obj: JavaObject, slot: int) -> None:
        reader = self.reader
        if self.raws or [f[1] for f in obj.desc.fields] != ["rootObject", "tmaGrid"]:
            raise content.unknown("an object hierarchy with other fields than usual")
        self._tree()
        obj.fields["tmaGrid"] = grid = reader.value()
        reader.end_object(slot)
        if grid is not None:
            known = set(self.handles)
            for core in content.java_list(getattr(grid, "fields", {}).get("cores")):
                if not isinstance(core, JavaObject) or core.handle not in known:
                    raise content.unknown("a TMA core outside the object hierarchy")

    # -- objects -------------------------------------------------------------------------------

    def _tree(self) -> None:
        """Read the root object and everything under it."""
        open_objects: list[tuple[int, int, int]] = []  # index, slot, children left to read
        index, slot, left = self._head(-1, 0, 0)
        done = 0
        while True:
            if left:
                open_objects.append((index, slot, left - 1))
                if len(open_objects) > _MAX_LEVELS:
                    raise content.unknown(f"objects nested more than {_MAX_LEVELS} deep")
                index, slot, left = self._head(index, len(open_objects), done)
                done = 0
                continue
            self._tail(index, slot)
            if not open_objects:
                return
            done = self.raws[index].index + 1
            index, slot, left = open_objects.pop()

    def _head(self, parent: int, depth: int, number: int) -> tuple[int, int, int]:
        """Read an object up to its number of children."""
        reader = self.reader
        index = len(self.raws)
        self.starts.append(reader.pos)
        obj, slot = reader.begin_object()
        raw = Raw()
        raw.kind = self._kind(obj.desc, parent)
        raw.depth, raw.parent, raw.index = depth, parent, number
        raw.name = content.text(reader.value(), "an object's name")
        raw.color = content.boxed(reader.value(), "java.lang.Integer")
        item = reader.value()
        pairs: dict[str, str] = {}
        if isinstance(item, JavaObject) and item.desc.name == content.METADATA_MAP:
            pairs = content.metadata(item)
            item = reader.value()
        raw.uid = pairs.pop(ID_KEY, None)
        raw.description = pairs.pop(DESCRIPTION_KEY, None)
        raw.metadata = pairs
        raw.measurements = content.measurements(self.data, item)
        self.counts.append(reader.pos + 2)
        (children,) = _INT.unpack(reader.block(4))
        if children < 0 or children > len(self.data):
            raise damaged(reader.pos, f"an object with {children} children")
        self.tails.append(-1)
        self.ends.append(-1)
        self.handles.append(obj.handle)
        self.raws.append(raw)
        return index, slot, children

    def _kind(self, desc: ClassDesc, parent: int) -> str:
        kind = "root" if desc.name == ROOT else KINDS.get(desc.name)
        if kind is None or not desc.flags & EXTERNALIZABLE or desc.levels[0].name != PATH_OBJECT:
            raise content.unknown(f"an object of class {desc.name}")
        if (kind == "root") != (parent < 0):
            raise content.unknown("a root object in a place of its own")
        return kind

    def _tail(self, index: int, slot: int) -> None:
        """Read what follows an object's children."""
        reader, raw = self.reader, self.raws[index]
        self.tails[index] = reader.pos
        raw.locked, raw.path_class, raw.roi, raw.nucleus = False, None, None, None
        raw.missing = False
        if raw.kind != "root":
            item = reader.value()
            if isinstance(item, JavaObject) and item.desc.name == "java.lang.Boolean":
                raw.locked = bool(content.boxed(item, "java.lang.Boolean"))
                item = reader.value()
            raw.path_class = content.path_class(item)
            raw.roi = content.roi(self.data, reader.value())
            if raw.kind == "tma_core":
                block = reader.block(9)
                raw.missing = block[8] != 0
            else:
                block = reader.block(8)
            (raw.probability,) = _DOUBLE.unpack(block[:8])
            if raw.kind == "cell":
                raw.nucleus = content.roi(self.data, reader.value())
        reader.expect(ENDBLOCKDATA, "the end of an object")
        reader.end_object(slot)
        self.ends[index] = reader.pos
