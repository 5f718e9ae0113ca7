"""A reader of Java object streams that trusts nothing and knows no class by name.

It follows the grammar of the *Java Object Serialization Specification*, chapter 6, and turns a
stream into plain records; no class is loaded and nothing is run. Every length is checked against
the bytes that are left before anything is made of it, and nesting is limited, so that a hostile
stream ends in an error of ours. Besides the values the reader keeps where each handle was defined
and where each is referred to: an editor can then copy bytes and renumber handles.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from typing import Any, Final

from qpgaze.bridge.qpdata.javatext import decode_modified_utf8
from qpgaze.bridge.qpdata.javatypes import (
    ARRAY,
    BASE_HANDLE,
    BLOCK_DATA,
    BLOCKDATA,
    BLOCKDATALONG,
    CLASS,
    CLASSDESC,
    ENDBLOCKDATA,
    ENUM,
    EXCEPTION,
    EXTERNALIZABLE,
    LONGSTRING,
    MAX_DEPTH,
    NULL,
    OBJECT,
    PRIMITIVES,
    PROXYCLASSDESC,
    REFERENCE,
    RESET,
    SERIALIZABLE,
    STRING,
    WRITE_METHOD,
    ClassDesc,
    JavaArray,
    JavaClass,
    JavaEnum,
    JavaObject,
    damaged,
    unsupported,
)

_U16, _I32, _I64 = struct.Struct(">H"), struct.Struct(">i"), struct.Struct(">q")
_DESC_HEAD = struct.Struct(">QBH")


class JavaReader:
    """Reads values one after the other from a stream.

    Parameters
    ----------
    data : bytes
    pos : int
        Where to begin, after the stream's header.

    Attributes
    ----------
    values : dict of int to value
        By handle index; a value that was passed over without being read is missing.
    given : int
        How many handles were given out.
    refs : array of int64
        Offsets of the four bytes of every reference passed, ascending.
    def_handle, def_start, def_assign, def_end : array of int64
        For each handle that was read one by one: its index, where its element begins, the offset
        at which the handle is given out, and where its element ends.
    locate : callable or None
        Says where the element of a missing handle begins, and how many handles were given out
        before it.
    """

    def __init__(self, data: bytes, pos: int = 0) -> None:
        self.data = data
        self.pos = pos
        self.values: dict[int, Any] = {}
        self.given = 0
        self.refs = array("q")
        self.def_handle = array("q")
        self.def_start = array("q")
        self.def_assign = array("q")
        self.def_end = array("q")
        self.locate: Callable[[int], tuple[int, int]] | None = None
        self._depth = 0

    # -- handles -------------------------------------------------------------------------------

    def _assign(self, start: int, value: Any) -> int:
        slot = len(self.def_handle)
        self.def_handle.append(self.given)
        self.def_start.append(start)
        self.def_assign.append(self.pos)
        self.def_end.append(-1)
        self.values[self.given] = value
        self.given += 1
        return slot

    def resolve(self, handle: int) -> Any:
        """Return the value of a handle, by index, reading it where it was passed over.

        Raises
        ------
        ProjectError
            If nothing of that handle came before.
        """
        try:
            return self.values[handle]
        except KeyError:
            pass
        if not 0 <= handle < self.given or self.locate is None:
            raise damaged(self.pos, "a reference to something that does not come before it")
        late = JavaReader(self.data)
        late.pos, late.given = self.locate(handle)
        late.values, late.locate = self.values, self.locate
        late.value()
        if handle not in self.values:
            raise unsupported(self.pos, "a reference to a value that was passed over")
        return self.values[handle]

    def reference(self) -> Any:
        """Read a reference whose tag is at the current offset, and return what it refers to."""
        at = self.pos + 1
        handle = _I32.unpack_from(self.data, at)[0] - BASE_HANDLE
        self.refs.append(at)
        self.pos = at + 4
        return self.resolve(handle)

    # -- elements ------------------------------------------------------------------------------

    def value(self) -> Any:
        """Read one element: None, str, or one of the records of this module.

        Raises
        ------
        ProjectError
            If the bytes are no such element (``UnsupportedDataError`` if they might be).
        """
        tag = self.data[self.pos]
        if tag == NULL:
            self.pos += 1
            return None
        if tag == REFERENCE:
            return self.reference()
        reader = _READERS.get(tag)
        if reader is None:
            if tag in (RESET, EXCEPTION, PROXYCLASSDESC):
                raise unsupported(self.pos, f"a Java stream element of kind 0x{tag:02x}")
            raise damaged(self.pos, f"0x{tag:02x} begins no element of a Java stream")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise unsupported(self.pos, f"values nested more than {MAX_DEPTH} deep")
        value = reader(self)
        self._depth -= 1
        return value

    def block(self, size: int) -> bytes:
        """Read block data of exactly `size` bytes (under 256)."""
        pos = self.pos
        if self.data[pos] != BLOCKDATA or self.data[pos + 1] != size:
            raise unsupported(pos, f"other content where {size} bytes of block data were expected")
        self.pos = pos + 2 + size
        raw = self.data[pos + 2 : self.pos]
        if len(raw) != size:
            raise damaged(pos, "block data goes beyond the end of the file")
        return raw

    def expect(self, tag: int, what: str) -> None:
        """Pass over one tag byte that must be there."""
        if self.data[self.pos] != tag:
            raise unsupported(self.pos, f"other content where {what} was expected")
        self.pos += 1

    def notes(self) -> list[Any]:
        """Read what an object's own write method wrote, up to its end mark."""
        found: list[Any] = []
        while (tag := self.data[self.pos]) != ENDBLOCKDATA:
            if tag in (BLOCKDATA, BLOCKDATALONG):
                wide = tag == BLOCKDATALONG
                start = self.pos + (5 if wide else 2)
                size = (
                    _I32.unpack_from(self.data, self.pos + 1)[0] if wide else self.data[start - 1]
                )
                self._fits(start, size)
                found.append(self.data[start : start + size])
                self.pos = start + size
            else:
                found.append(self.value())
        self.pos += 1
        return found

    def _fits(self, start: int, size: int) -> None:
        if size < 0 or start + size > len(self.data):
            raise damaged(start, f"{size} bytes are announced, {len(self.data) - start} are left")

    def _utf(self) -> str:
        start = self.pos + 2
        size = _U16.unpack_from(self.data, self.pos)[0]
        self._fits(start, size)
        self.pos = start + size
        return decode_modified_utf8(self.data[start : self.pos])

    def _string(self) -> str:
        begin = self.pos
        wide = self.data[begin] == LONGSTRING
        start = begin + (9 if wide else 3)
        size: int = (_I64 if wide else _U16).unpack_from(self.data, begin + 1)[0]
        self._fits(start, size)
        text = decode_modified_utf8(self.data[start : start + size])
        self.pos = begin + 1
        slot = self._assign(begin, text)
        self.pos = self.def_end[slot] = start + size
        return text

    def class_desc(self) -> ClassDesc | None:
        """Read a class descriptor, or a reference to one, or null."""
        begin = self.pos
        tag = self.data[begin]
        if tag == NULL:
            self.pos += 1
            return None
        if tag == REFERENCE:
            known = self.reference()
            if not isinstance(known, ClassDesc) or not known.levels:
                raise damaged(begin, "a reference to a class leads elsewhere")
            return known
        if tag == PROXYCLASSDESC:
            raise unsupported(begin, "a proxy class")
        if tag != CLASSDESC:
            raise damaged(begin, "a class description is missing")
        self.pos += 1
        name = self._utf()
        suid, flags, count = _DESC_HEAD.unpack_from(self.data, self.pos)
        self.pos += 8
        desc = ClassDesc(name, suid, self.given, flags)
        slot = self._assign(begin, desc)
        self.pos += 3
        desc.fields = tuple(self._field() for _ in range(count))
        self.notes()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise unsupported(begin, f"classes nested more than {MAX_DEPTH} deep")
        desc.parent = self.class_desc()
        self._depth -= 1
        desc.finish()
        self.def_end[slot] = self.pos
        return desc

    def _field(self) -> tuple[str, str, str]:
        code = chr(self.data[self.pos])
        self.pos += 1
        name = self._utf()
        if code in PRIMITIVES:
            return code, name, ""
        signature = self.value() if code in "[L" else None
        if not isinstance(signature, str):
            raise damaged(self.pos, "a class describes a field of no known type")
        return code, name, signature

    def begin_object(self) -> tuple[JavaObject, int]:
        """Read an object's tag and class; return it without content, and its slot."""
        begin = self.pos
        self.expect(OBJECT, "an object")
        desc = self.class_desc()
        if desc is None:
            raise damaged(begin, "an object without a class")
        obj = JavaObject(desc, self.given)
        return obj, self._assign(begin, obj)

    def end_object(self, slot: int) -> None:
        """Note that the object's content ends here."""
        self.def_end[slot] = self.pos

    def finish_object(self, obj: JavaObject, slot: int) -> None:
        """Read an object's content."""
        flags = obj.desc.flags
        if flags & EXTERNALIZABLE:
            if not flags & BLOCK_DATA:
                raise unsupported(self.pos, f"{obj.desc.name} in the stream format of Java 1.1")
            obj.notes = self.notes()
        elif flags & SERIALIZABLE:
            for level in obj.desc.levels:
                self.fields(level, obj.fields)
                if level.flags & WRITE_METHOD:
                    obj.notes += self.notes()
        else:
            raise damaged(self.pos, f"{obj.desc.name} is not serializable")
        self.end_object(slot)

    def fields(self, level: ClassDesc, into: dict[str, Any]) -> None:
        """Read the fields of one class of an object."""
        for form, names in level.steps:
            if form is None:
                into[names[0]] = self.value()
            else:
                into.update(zip(names, form.unpack_from(self.data, self.pos)))  # noqa: B905
                self.pos += form.size

    def _object(self) -> JavaObject:
        obj, slot = self.begin_object()
        self.finish_object(obj, slot)
        return obj

    def _array(self) -> JavaArray:
        begin = self.pos
        self.pos += 1
        desc = self.class_desc()
        if desc is None or len(desc.name) < 2 or desc.name[0] != "[":
            raise damaged(begin, "an array without a proper class")
        code = desc.name[1]
        found = JavaArray(desc, self.given, code, 0)
        slot = self._assign(begin, found)
        count = _I32.unpack_from(self.data, self.pos)[0]
        self.pos += 4
        unit = struct.calcsize(">" + PRIMITIVES[code]) if code in PRIMITIVES else 1
        self._fits(self.pos, count * unit)
        found.count, found.at = count, self.pos
        if code in PRIMITIVES:
            self.pos += count * unit
        else:
            found.items = [self.value() for _ in range(count)]
        self.def_end[slot] = self.pos
        return found

    def _class(self) -> JavaClass:
        begin = self.pos
        self.pos += 1
        desc = self.class_desc()
        if desc is None:
            raise damaged(begin, "a class without a description")
        found = JavaClass(desc, self.given)
        self.def_end[self._assign(begin, found)] = self.pos
        return found

    def _enum(self) -> JavaEnum:
        begin = self.pos
        self.pos += 1
        desc = self.class_desc()
        if desc is None:
            raise damaged(begin, "a constant without a class")
        found = JavaEnum(desc, self.given)
        slot = self._assign(begin, found)
        constant = self.value()
        if not isinstance(constant, str):
            raise damaged(begin, "a constant without a name")
        found.constant = constant
        self.def_end[slot] = self.pos
        return found


_READERS: Final[dict[int, Callable[[JavaReader], Any]]] = {
    STRING: JavaReader._string,
    LONGSTRING: JavaReader._string,
    OBJECT: JavaReader._object,
    ARRAY: JavaReader._array,
    CLASSDESC: JavaReader.class_desc,
    CLASS: JavaReader._class,
    ENUM: JavaReader._enum,
}
