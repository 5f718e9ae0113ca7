"""The ids that a ``data.qpdata`` keeps, as columns; UUIDs are made of them when they are needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID, SafeUUID, uuid5

import numpy as np
import numpy.typing as npt

from qpgaze.bridge.qpdata.scan import Scan
from qpgaze.model import SlideObject

_POSITIONS: Final = UUID("8f1c2c5e-6a0b-5d0e-9c55-3d0f7a1b2c4d")
"""Namespace of the ids of objects that have none."""
_UUID: Final = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HYPHENS: Final = (8, 13, 18, 23)
_DIGITS: Final = [i for i in range(36) if i not in _HYPHENS]
_NIBBLE: Final = np.full(256, 255, dtype=np.uint8)
for _value, _digit in enumerate(b"0123456789abcdef"):
    _NIBBLE[_digit] = _value
    _NIBBLE[ord(chr(_digit).upper())] = _value

_set: Final = object.__setattr__


def id_columns(scan: Scan) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Return the ids that a file keeps.

    Returns
    -------
    ids : (n, 16) uint8
        By number, the root's first.
    kept : (n,) bool
        False where the file keeps none, or something that is none.
    """
    ids = np.zeros((len(scan), 16), dtype=np.uint8)
    kept = np.zeros(len(scan), dtype=bool)
    for number, raw in scan.read.items():
        if raw.uid is not None and _UUID.fullmatch(raw.uid):
            ids[number] = np.frombuffer(UUID(raw.uid).bytes, np.uint8)
            kept[number] = True
    for rows in scan.rows:
        for gap in rows.template.gaps:
            if gap.role == "uid":
                ids[rows.numbers], kept[rows.numbers] = parse_texts(rows.raw(gap))
    return ids, kept


def parse_texts(
    texts: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Parse the texts of UUIDs, (n, 36) bytes, to (n, 16) bytes and whether they are any."""
    nibbles = _NIBBLE[texts[:, _DIGITS]]
    proper = (nibbles < 16).all(axis=1) & (texts[:, _HYPHENS] == ord("-")).all(axis=1)
    ids: Any = nibbles[:, ::2] << 4 | nibbles[:, 1::2] & 15
    return ids, proper


def uuids(ids: npt.NDArray[np.uint8]) -> list[UUID]:
    """Make UUIDs of (n, 16) bytes.

    Examples
    --------
    >>> uuids(np.arange(16, dtype=np.uint8)[None])
    [UUID('00010203-0405-0607-0809-0a0b0c0d0e0f')]
    """
    raw, unknown = ids.tobytes(), SafeUUID.unknown
    made = []
    for i in range(0, len(raw), 16):
        # What UUID's own __init__ comes down to; its checks take three times as long.
        one = UUID.__new__(UUID)
        _set(one, "int", int.from_bytes(raw[i : i + 16], "big"))
        _set(one, "is_safe", unknown)
        made.append(one)
    return made


def id_keys(objects: Iterable[SlideObject]) -> list[bytes]:
    r"""Return the ids of objects, 16 bytes each: made and looked up in a fraction of the time.

    Examples
    --------
    >>> from shapely import Point
    >>> id_keys([SlideObject(UUID(int=258), Point(0, 0))])[0][-2:]
    b'\x01\x02'
    """
    return [o.id.int.to_bytes(16, "big") for o in objects]


def split_keys(ids: npt.NDArray[np.uint8]) -> list[bytes]:
    """Return rows of 16 bytes one by one."""
    raw = ids.tobytes()
    return [raw[i : i + 16] for i in range(0, len(raw), 16)]


def stored_ids(scan: Scan) -> list[UUID | None]:
    """Return the ids that the file keeps, the root's first; None where it keeps none."""
    columns, kept = id_columns(scan)
    found: list[Any] = uuids(columns)
    for number in np.flatnonzero(~kept).tolist():
        found[number] = None
    return found


def root_id(scan: Scan) -> UUID | None:
    """Return the root's id, None where the file keeps none."""
    text = scan.read[0].uid
    return UUID(text) if text is not None and _UUID.fullmatch(text) else None


def id_set(scan: Scan) -> set[bytes]:
    """Return the ids of all objects, the root's left out, as 16 bytes each."""
    columns, kept = id_columns(scan)
    if not kept[1:].all():
        return {one.bytes for one in object_ids(scan)[1:]}
    return set(split_keys(columns[1:]))


def object_ids(scan: Scan) -> list[UUID]:
    """Return the ids of all objects, the root's first; made up where the file has none."""
    ids = stored_ids(scan)
    if any(one is None for one in ids):
        space = uuid5(_POSITIONS, scan.header_text.encode("utf-8", "replace").decode())
        ways: dict[int, str] = {-1: ""}
        pairs = zip(scan.parents.tolist(), scan.places.tolist(), strict=True)
        for number, (parent, place) in enumerate(pairs):
            ways[number] = way = f"{ways[parent]}/{place}"
            if ids[number] is None:
                ids[number] = uuid5(space, way)
    return ids  # type: ignore[return-value]
