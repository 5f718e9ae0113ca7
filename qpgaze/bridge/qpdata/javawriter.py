"""A writer of Java object streams: the mirror of :mod:`~qpgaze.bridge.qpdata.javastream`.

It gives out handles in the order in which a Java virtual machine would, and writes a text or a
class description once, then refers to it. Classes are described by :class:`ClassSpec`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
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


def reference(handle: int) -> bytes:
    """Return a reference to a handle, by index.

    Examples
    --------
    >>> reference(2).hex()
    '71007e0002'
    """
    return _REF.pack(0x71, BASE_HANDLE + handle)


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
        self._texts: dict[str, bytes] = {}
        self._classes: dict[str, bytes] = {}

    def take_handle(self) -> int:
        """Give out the next handle."""
        self.next += 1
        return self.next - 1

    def find_text(self, text: str) -> int | None:  # noqa: ARG002 - for who knows old content
        """Return the handle of a text that was written otherwise than by :meth:`text`."""
        return None

    def find_class(self, spec: ClassSpec) -> int | None:  # noqa: ARG002 - as above
        """Return the handle of a class that was described otherwise than by this writer."""
        return None

    def note_class(self, spec: ClassSpec, handle: int) -> None:
        """Take note that a class is described now."""

    def ref(self, handle: int) -> None:
        """Refer to something written before."""
        self.out += reference(handle)

    def known_text(self, text: str) -> bytes | None:
        """Return the reference to a text, None while it is not written."""
        known = self._texts.get(text)
        if known is None:
            found = self.find_text(text)
            if found is not None:
                known = self._texts[text] = reference(found)
        return known

    def note_texts(self, handles: Mapping[str, int]) -> None:
        """Take note of texts that were written by another, by their handles."""
        self._texts.update((text, reference(handle)) for text, handle in handles.items())

    def known_class(self, spec: ClassSpec) -> bytes | None:
        """Return the reference to a class description, None while it is not written."""
        known = self._classes.get(spec.name)
        if known is None:
            found = self.find_class(spec)
            if found is not None:
                known = self._classes[spec.name] = reference(found)
        return known

    def text(self, text: str | None) -> None:
        """Write a text, or a reference to it, or null."""
        if text is None:
            self.out += NULL
            return
        known = self.known_text(text)
        if known is None:
            self._texts[text] = reference(self.next)
            self.new_text(text)
            return
        self.out += known

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
        known = self.known_class(spec)
        if known is None:
            self._classes[spec.name] = reference(self.next)
            self._new_class(spec)
            return
        self.out += known

    def _new_class(self, spec: ClassSpec) -> None:
        name = spec.name.encode("ascii")
        self.out += _SHORT.pack(0x72, len(name)) + name
        self.note_class(spec, self.take_handle())
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
