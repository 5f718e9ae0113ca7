"""One pass over a ``data.qpdata``: its parts, its objects, and where each of them lies.

The layout is that of QuPath 0.3 - 0.7 (data file version 3). Children are walked with a stack of
our own, so that a deep hierarchy costs no Python recursion; objects laid out like earlier ones are
recognised, not read (:mod:`~qpgaze.bridge.qpdata.templates`).
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

from qpgaze.bridge.qpdata import content, objects
from qpgaze.bridge.qpdata.javastream import JavaReader
from qpgaze.bridge.qpdata.javatypes import (
    OBJECT,
    STREAM_HEADER,
    JavaEnum,
    JavaObject,
    damaged,
)
from qpgaze.bridge.qpdata.records import Raw
from qpgaze.bridge.qpdata.runs import WORTH, RunFinder, Whereabouts
from qpgaze.bridge.qpdata.templates import Rows, Template, Templates
from qpgaze.errors import ProjectError, UnsupportedDataError

HIERARCHY: Final = "qupath.lib.objects.hierarchy.PathObjectHierarchy"
IntArray = npt.NDArray[np.int64]
_VERSION_TEXT: Final = "Data file version "
_MAX_LEVELS: Final = 10_000
_PARTS: Final = {
    "java.util.Locale": "locale",
    "java.util.HashMap": "properties",
    "java.util.LinkedHashMap": "properties",
    "qupath.lib.color.ColorDeconvolutionStains": "stains",
    "qupath.lib.plugins.workflow.Workflow": "workflow",
}


@contextmanager
def quick_and_guarded(data: bytes) -> Iterator[None]:
    """Keep the cyclic collector out of a long parse, and turn running off the end into our error.

    Every read is checked, either by itself or by the index and struct errors caught here. Numbers
    that are none are values like others, no reason for a warning.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        with np.errstate(all="ignore"):
            yield
    except (IndexError, struct.error) as error:
        raise damaged(len(data), "it ends in the middle of a value") from error
    finally:
        if enabled:
            gc.enable()


class Scan:
    """What one pass found; objects are numbered in the file's order, the root is number 0.

    Attributes
    ----------
    data : bytes
    reader : JavaReader
        Its handles and references, but for those of recognised objects.
    header_text : str
        The file's own JSON.
    header : dict
        The same, parsed.
    parts : dict of str to value
        ``locale``, ``image_type``, ``stains``, ``workflow``, ``properties`` as they came.
    starts, counts, tails, ends : (n,) int64
        For each object: where its element begins, where the four bytes of its number of children
        are, where its content goes on after the last child, where it ends.
    handles, parents, places, depths : (n,) int64
        Its handle's index, its parent's number (-1), its place among its siblings, its depth.
    rows : list of Rows
        The recognised objects.
    hierarchy : int
        The hierarchy's handle.
    at_tail : (int, int, int)
        Handles given out, those of them that were read one by one, and references read, when the
        root's last child had ended.
    """

    starts: IntArray
    counts: IntArray
    tails: IntArray
    ends: IntArray
    handles: IntArray
    parents: IntArray
    places: IntArray
    depths: IntArray

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reader = JavaReader(data)
        self.header_text = ""
        self.header: dict[str, Any] = {}
        self.parts: dict[str, Any] = {}
        self.rows: list[Rows] = []
        self.read: dict[int, Raw] = {}
        self.at_tail = (0, 0, 0)
        self.hierarchy = -1
        self._open: dict[int, objects.Parts] = {}
        self._templates = Templates()
        self._runs = RunFinder(data)
        self._which = array("h")
        self._columns = {name: array("q") for name in Scan.__annotations__}
        self._where = Whereabouts(self._columns["starts"], self._columns["handles"], self._which)
        self.reader.locate = self._where
        with quick_and_guarded(data):
            self._file()

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, number: int) -> Raw:
        """Return an object's content, reading it now if it was only recognised."""
        found = self.read.get(number)
        if found is None:
            late = JavaReader(self.data, int(self.starts[number]))
            late.given, late.values = int(self.handles[number]), self.reader.values
            late.locate = self._where
            found = Raw()
            parts, _, _, _ = objects.read_head(late, found, is_root=False)
            objects.read_tail(late, found, parts)
        return found

    def object_of(self, handle: int) -> int:
        """Return the number of the object with a handle, -1 if that is no object's."""
        number = int(np.searchsorted(self.handles, handle))
        if number < len(self.handles) and self.handles[number] == handle:
            return number
        return -1

    # -- the file ------------------------------------------------------------------------------

    def _file(self) -> None:
        reader = self.reader
        if self.data[:4] != STREAM_HEADER:
            raise ProjectError(
                "This is no data.qpdata of QuPath: it does not begin as a Java object stream.",
                hint="Restore it from the .bkp beside it or from a backup.",
            )
        reader.pos = 4
        mark = reader.block(self.data[5])[2:].decode("ascii", "replace")
        if not mark.startswith(_VERSION_TEXT):
            raise ProjectError("This Java object stream holds no image data of QuPath.")
        if mark != _VERSION_TEXT + "3":
            raise UnsupportedDataError(
                f"Expected data file version 3, but {mark[len(_VERSION_TEXT) :]} came.",
                hint="Open the image in QuPath 0.3 - 0.7 and save it there once.",
            )
        self._header(reader.value())
        self._rest()

    def _rest(self) -> None:
        """Read one part after the other, up to the file's end."""
        reader = self.reader
        while (item := self._part()) != "EOF":
            if isinstance(item, str):
                raise content.unknown(f"a text {item[:40]!r} among its parts")
        if reader.pos != len(self.data):
            raise damaged(reader.pos, f"{len(self.data) - reader.pos} bytes follow its end")
        if self._columns:
            raise content.unknown("no object hierarchy")

    def _header(self, text: Any) -> None:
        if not isinstance(text, str):
            raise content.unknown("no JSON about itself")
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
        if name not in _PARTS:
            raise content.unknown(f"{name} among its parts")
        self.parts[_PARTS[name]] = obj
        return obj

    def _hierarchy(self, obj: JavaObject, slot: int) -> None:
        if not self._columns or [f[1] for f in obj.desc.fields] != ["rootObject", "tmaGrid"]:
            raise content.unknown("an object hierarchy with other fields than usual")
        self.hierarchy = obj.handle
        self._tree(*self._head(-1, 0, 0), 0)
        self._after_tree(slot)

    def _after_tree(self, slot: int) -> None:
        """Read what follows the root object in the hierarchy."""
        reader = self.reader
        self._finish()
        grid = reader.value()
        reader.end_object(slot)
        if grid is not None:
            for core in content.java_list(getattr(grid, "fields", {}).get("cores")):
                if not isinstance(core, JavaObject) or not self._is_object(core.handle):
                    raise content.unknown("a TMA core outside the object hierarchy")

    def _is_object(self, handle: int) -> bool:
        return self.object_of(handle) >= 0

    # -- objects -------------------------------------------------------------------------------

    def _tree(self, number: int, slot: int, left: int, place: int) -> None:
        """Read everything under the root object, from one of its places on, and its end."""
        waiting: list[tuple[int, int, int, int]] = []  # number, slot, children left, next place
        while True:
            if left:
                quick = self._recognise(number, len(waiting) + 1, place, left)
                place, left = place + quick, left - quick
            if left:
                waiting.append((number, slot, left - 1, place + 1))
                if len(waiting) > _MAX_LEVELS:
                    raise content.unknown(f"objects nested more than {_MAX_LEVELS} deep")
                number, slot, left = self._head(number, len(waiting), place)
                place = 0
                continue
            self._tail(number, slot)
            if not waiting:
                return
            number, slot, left, place = waiting.pop()

    def _place(self, parent: int, depth: int, place: int, count: int) -> None:
        """Note where in the hierarchy the next objects lie."""
        columns = self._columns
        columns["parents"].extend(array("q", [parent]) * count)
        columns["depths"].extend(array("q", [depth]) * count)
        columns["places"].extend(range(place, place + count))

    def _recognise(self, parent: int, depth: int, place: int, left: int) -> int:
        """Pass over children laid out like earlier objects; return how many."""
        find, data, reader = self._templates.find, self.data, self.reader
        if not self._templates.all:
            return 0
        starts, handles = self._columns["starts"], self._columns["handles"]
        which, given, pos = self._which, reader.given, reader.pos
        before = len(which)
        for _ in range(min(left, WORTH)):
            found = find(data, pos)
            if found is None:
                break
            starts.append(pos)
            handles.append(given)
            template, pos = found
            which.append(template.number)
            given += template.given
        reader.given, reader.pos = given, pos
        if len(which) - before == WORTH:
            self._run(left - WORTH)
        count = len(which) - before
        if count:
            self._place(parent, depth, place, count)
            unknown = array("q", [-1]) * count
            for name in ("counts", "tails", "ends"):
                self._columns[name].extend(unknown)
        return count

    def _run(self, left: int) -> None:
        """Pass over what follows in runs of objects laid out like earlier ones."""
        reader, every = self.reader, self._templates.all
        given = np.array([template.given for template in every], dtype=np.int64)
        while left:
            run = self._runs.find(every, reader.pos, left)
            if not len(run.starts):
                return
            counts = given[run.which]
            handles = reader.given + np.cumsum(counts) - counts
            self._columns["starts"].frombytes(run.starts.tobytes())
            self._columns["handles"].frombytes(handles.tobytes())
            self._which.frombytes(run.which.tobytes())
            for number, cuts in run.cuts.items():
                every[number].cuts.frombytes(cuts.tobytes())
            reader.given += int(counts.sum())
            reader.pos = run.end
            left -= len(run.starts)

    def _head(self, parent: int, depth: int, place: int) -> tuple[int, int, int]:
        """Read an object up to its number of children."""
        reader, columns = self.reader, self._columns
        number = len(self._which)
        columns["starts"].append(reader.pos)
        raw = Raw()
        parts, handle, slot, children = objects.read_head(reader, raw, is_root=parent < 0)
        columns["handles"].append(handle)
        columns["counts"].append(parts.count_at)
        columns["tails"].append(-1)
        columns["ends"].append(-1)
        self._place(parent, depth, place, 1)
        self._which.append(-1)
        self.read[number] = raw
        self._open[number] = parts
        return number, slot, children

    def _tail(self, number: int, slot: int) -> None:
        """Read what follows an object's children, and learn its layout if it has none."""
        reader, columns = self.reader, self._columns
        raw, parts = self.read[number], self._open.pop(number)
        if not number:
            self.at_tail = (reader.given, len(reader.def_handle), len(reader.refs))
        tail = columns["tails"][number] = reader.pos
        objects.read_tail(reader, raw, parts)
        reader.end_object(slot)
        columns["ends"][number] = reader.pos
        childless = tail == parts.count_at + 4 and number == len(self._which) - 1
        if childless and number and self._templates.learning:
            self._learn(number, raw, parts, slot)

    def _learn(self, number: int, raw: Raw, parts: objects.Parts, slot: int) -> None:
        reader = self.reader
        start, end = self._columns["starts"][number], reader.pos
        if reader.def_start[slot] != start or reader.given - reader.def_handle[slot] != (
            len(reader.def_handle) - slot
        ):
            return  # pragma: no cover - a handle of another object in between
        gaps = objects.gaps(reader, raw, parts, slot)
        if gaps is None or (slot and reader.def_start[slot - 1] >= start):
            return  # it describes its own class, as only the first of its kind does
        template = self._templates.learn(self.data, (start, end), gaps, raw)
        if template is not None:
            self._complete(template, parts, slot, start)

    def _complete(self, template: Template, parts: objects.Parts, slot: int, start: int) -> None:
        """Note where a new template's handles and references lie."""
        reader = self.reader
        template.count_at = template.place(parts.count_at)
        template.given = len(reader.def_handle) - slot
        template.defs = [
            tuple(
                map(template.place, (reader.def_start[s], reader.def_assign[s], reader.def_end[s]))
            )
            for s in range(slot, len(reader.def_handle))
        ]
        for at in reversed(reader.refs):
            if at < start:
                break
            template.refs.append(template.place(at))

    def _finish(self) -> None:
        """Turn the columns into arrays, and check what recognising left open."""
        columns = {name: np.array(column, dtype=np.int64) for name, column in self._columns.items()}
        self._columns = {}
        for name, column in columns.items():
            setattr(self, name, column)
        which = np.array(self._which, dtype=np.int64)
        self._where.starts, self._where.handles = self.starts, self.handles
        for template in self._templates.all:
            numbers = np.flatnonzero(which == template.number)
            if len(numbers):
                rows = Rows(
                    template, self.data, numbers, self.starts[numbers], self.handles[numbers]
                )
                self.counts[numbers] = rows.at(template.count_at)
                self.tails[numbers] = self.counts[numbers] + 4
                self.ends[numbers] = rows.ends
                rows.check(self.reader)
                self.rows.append(rows)
