"""The tags of Java object streams, and the plain records that their elements become."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Final

from qpgaze.errors import ProjectError, UnsupportedDataError

STREAM_HEADER: Final = b"\xac\xed\x00\x05"
BASE_HANDLE: Final = 0x7E0000
MAX_DEPTH: Final = 60
"""Values within values; QuPath's own data need about ten."""

NULL, REFERENCE, CLASSDESC, OBJECT, STRING, ARRAY, CLASS = range(0x70, 0x77)
BLOCKDATA, ENDBLOCKDATA, RESET, BLOCKDATALONG, EXCEPTION, LONGSTRING = range(0x77, 0x7D)
PROXYCLASSDESC, ENUM = 0x7D, 0x7E

WRITE_METHOD, SERIALIZABLE, EXTERNALIZABLE, BLOCK_DATA = 1, 2, 4, 8
"""Flags of a class descriptor (its fifth, 16, marks an enum)."""

PRIMITIVES: Final = {"B": "b", "C": "H", "D": "d", "F": "f", "I": "i", "J": "q", "S": "h", "Z": "?"}


@dataclass(eq=False)
class ClassDesc:
    """A class descriptor.

    Parameters
    ----------
    name : str
    suid : int
        Serial version, unsigned.
    flags : int
    fields : tuple of (type code, name, signature)
        In stream order; the signature is empty for primitives.
    parent : ClassDesc or None
    handle : int
        Index of its handle, from 0.
    """

    name: str
    suid: int
    handle: int
    flags: int = 0
    fields: tuple[tuple[str, str, str], ...] = ()
    parent: ClassDesc | None = None
    levels: tuple[ClassDesc, ...] = ()
    steps: tuple[tuple[struct.Struct | None, tuple[str, ...]], ...] = ()

    def finish(self) -> None:
        """Work out the classes from the topmost down, and how the fields are read in runs."""
        self.levels = (*(self.parent.levels if self.parent else ()), self)
        steps: list[tuple[struct.Struct | None, tuple[str, ...]]] = []
        run: list[tuple[str, str]] = []
        for code, name, _ in (*self.fields, ("", "", "")):
            if code in PRIMITIVES:
                run.append((PRIMITIVES[code], name))
                continue
            if run:
                form = struct.Struct(">" + "".join(c for c, _ in run))
                steps.append((form, tuple(n for _, n in run)))
                run = []
            if code:
                steps.append((None, (name,)))
        self.steps = tuple(steps)


@dataclass(eq=False)
class JavaObject:
    """An object: the fields of all its classes by name, then what its own methods wrote."""

    desc: ClassDesc
    handle: int
    fields: dict[str, Any] = field(default_factory=dict)
    notes: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class JavaArray:
    """An array: of values, or of primitives that stay where they are in the stream."""

    desc: ClassDesc
    handle: int
    code: str
    count: int
    at: int = 0
    items: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class JavaEnum:
    """A constant of an enum class."""

    desc: ClassDesc
    handle: int
    constant: str = ""


@dataclass(eq=False)
class JavaClass:
    """A class as a value."""

    desc: ClassDesc
    handle: int


def damaged(where: int, what: str) -> ProjectError:
    """Return the error for bytes that cannot be a Java object stream."""
    return ProjectError(
        f"The image's data is damaged or cut off: {what} (at byte {where}).",
        hint="Restore data.qpdata from its .bkp beside it or from a backup.",
    )


def unsupported(where: int, what: str) -> UnsupportedDataError:
    """Return the error for bytes that are legal, but beyond what is understood here."""
    return UnsupportedDataError(
        f"The image's data holds something that qpgaze does not know: {what} (at byte {where}).",
        hint="Please report the QuPath version that saved it.",
    )
