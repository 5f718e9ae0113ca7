"""A writer of Java object streams: the mirror of :mod:`~qpgaze.bridge.qpdata.javastream`.

It gives out handles in the order in which a Java virtual machine would, and writes a text or a
class description once, then refers to it. Classes are described by :class:`ClassSpec`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qpgaze.bridge.qpdata.javatext import encode_modified_utf8

BASE_HANDLE: Final = 0x7E0000
NULL: Final = b"\x70"
END: Final = b"\x78"
_REF = struct.Struct(">Bi")
_SHORT = struct.Struct(">BH")
_LONG = struct.Struct(">BQ")
_COUNT = struct.Struct(">i")
_DESC = struct.Struct(">QBH")


@dataclass(frozen=True)
class ClassSpec:
    """How a class is described in a stream.

    Parameters
    ----------
    name : str
    suid : int
        Serial version, unsigned.
    flags : int
    fields : tuple of (type code, name, signature)
        In stream order; the signature is empty for primitives.
    parent : ClassSpec or None
    """

    name: str
    suid: int
    flags: int
    fields: tuple[tuple[str, str, str], ...] = ()
    parent: ClassSpec | None = None


class JavaWriter:
    """Appends elements to a buffer.

    Attributes
    ----------
    out : bytearray
    next : int
        Index of the handle that is given out next.
    """

    def __init__(self) -> None:
        self.out = bytearray()
        self.next = 0
        self._texts: dict[str, int] = {}
        self._classes: dict[str, int] = {}

    def take_handle(self) -> int:
        """Give out the next handle."""
        self.next += 1
        return self.next - 1

    def find_text(self, text: str) -> int | None:
        """Return the handle of a text that was written before."""
        return self._texts.get(text)

    def find_class(self, spec: ClassSpec) -> int | None:
        """Return the handle of a class that was described before."""
        return self._classes.get(spec.name)

    def keep_class(self, spec: ClassSpec, handle: int) -> None:
        """Remember the handle of a class."""
        self._classes[spec.name] = handle

    def ref(self, handle: int) -> None:
        """Refer to something written before."""
        self.out += _REF.pack(0x71, BASE_HANDLE + handle)

    def text(self, text: str | None) -> None:
        """Write a text, or a reference to it, or null."""
        if text is None:
            self.out += NULL
            return
        known = self.find_text(text)
        if known is not None:
            self.ref(known)
            return
        self._texts[text] = self.next
        self.new_text(text)

    def new_text(self, text: str) -> None:
        """Write a text that is not looked for later (an id, say)."""
        self.next += 1
        raw = encode_modified_utf8(text)
        if len(raw) <= 0xFFFF:
            self.out += _SHORT.pack(0x74, len(raw))
        else:
            self.out += _LONG.pack(0x7C, len(raw))
        self.out += raw

    def class_desc(self, spec: ClassSpec | None) -> None:
        """Describe a class, or refer to its description."""
        if spec is None:
            self.out += NULL
            return
        known = self.find_class(spec)
        if known is not None:
            self.ref(known)
            return
        name = spec.name.encode("ascii")
        self.out += _SHORT.pack(0x72, len(name)) + name
        self.keep_class(spec, self.take_handle())
        self.out += _DESC.pack(spec.suid, spec.flags, len(spec.fields))
        for code, field_name, signature in spec.fields:
            raw = field_name.encode("ascii")
            self.out += _SHORT.pack(ord(code), len(raw)) + raw
            if signature:
                self.text(signature)
        self.out += END
        self.class_desc(spec.parent)

    def begin_object(self, spec: ClassSpec) -> int:
        """Write an object's tag and class; its content follows."""
        self.out += b"\x73"
        self.class_desc(spec)
        return self.take_handle()

    def begin_array(self, spec: ClassSpec, count: int) -> int:
        """Write an array's tag, class and length; its items follow."""
        self.out += b"\x75"
        self.class_desc(spec)
        handle = self.take_handle()
        self.out += _COUNT.pack(count)
        return handle

    def numbers(self, spec: ClassSpec, raw: bytes, unit: int) -> None:
        """Write an array of primitives given as big-endian bytes."""
        self.begin_array(spec, len(raw) // unit)
        self.out += raw

    def texts(self, spec: ClassSpec, items: Sequence[str]) -> None:
        """Write an array of texts."""
        self.begin_array(spec, len(items))
        for item in items:
            self.text(item)

    def enum(self, spec: ClassSpec, constant: str) -> None:
        """Write a constant of an enum class."""
        self.out += b"\x7e"
        self.class_desc(spec)
        self.next += 1
        self.text(constant)

    def block(self, raw: bytes) -> None:
        """Write block data of at most 255 bytes."""
        self.out += bytes((0x77, len(raw))) + raw

    def end(self) -> None:
        """Write the end mark of what an object's own write method wrote."""
        self.out += END
