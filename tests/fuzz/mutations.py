"""Damage to files, seeded: blind on bytes, knowing on Java streams, JSON and GeoJSON."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7E0000)
_JAVA = (
    b"\x70",
    b"\x71\x00\x7e\x00",
    b"\x72",
    b"\x73",
    b"\x74",
    b"\x75",
    b"\x77",
    b"\x78",
    b"\x7e",
)


def damage_bytes(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Change a few bytes anywhere."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not out:
            break
        at = rng.randrange(len(out))
        what = rng.randrange(9)
        if what == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif what == 2:
            width = rng.choice((1, 2, 4, 8))
            value = rng.choice(_NUMBERS) & ((1 << 8 * width) - 1)
            out[at : at + width] = value.to_bytes(width, "big")
        elif what == 3:
            del out[at : at + rng.choice((1, 2, 4, 16, 100))]
        elif what == 4:
            out[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16)))
        elif what == 5:
            piece = out[at : at + rng.choice((4, 32, 300))]
            place = rng.randrange(len(out) + 1)
            out[place:place] = piece
        elif what == 6:
            del out[at:]
        elif what == 7 and other:
            start = rng.randrange(len(other))
            out[at:at] = other[start : start + rng.choice((4, 32, 300))]
        else:
            size = rng.choice((2, 4, 8, 20))
            place = rng.randrange(len(out))
            out[at : at + size] = out[place : place + size]
    return bytes(out)


def damage_stream(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Change what means something in a Java object stream: marks, handles, lengths, texts."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        what = rng.randrange(6)
        if what == 0:  # another handle
            places = _find_all(out, b"\x71\x00\x7e")
            if places:
                at = rng.choice(places)
                out[at + 3 : at + 5] = rng.choice((0, 1, 5, rng.randrange(65536))).to_bytes(
                    2, "big"
                )
        elif what == 1:  # another mark where one is
            places = _find_all(out, rng.choice(_JAVA))
            if places:
                out[rng.choice(places)] = rng.choice(_JAVA)[0]
        elif what == 2:  # another length of a text
            places = [p for p in _find_all(out, b"\x74\x00") if p + 3 < len(out)]
            if places:
                at = rng.choice(places)
                length = out[at + 2]
                out[at + 1 : at + 3] = (
                    max(0, length + rng.choice((-1, 1, -length, 255, 60000))) & 0xFFFF
                ).to_bytes(2, "big")
        elif what == 3:  # a letter of a class or a field
            places = _find_all(out, rng.choice((b"qupath", b"java", b"Path", b"ROI", b"List")))
            if places:
                at = rng.choice(places) + rng.randrange(6)
                if at < len(out):
                    out[at] = rng.choice(b"abcXYZ;/[\x00\xc0\xff")
        elif what == 4:  # a count
            at = rng.randrange(max(1, len(out) - 4))
            value = int.from_bytes(out[at : at + 4], "big")
            if value < 1000:
                out[at : at + 4] = rng.choice(
                    (value + 1, max(0, value - 1), 0x7FFFFFFF, 0xFFFFFFFF, 1 << 20)
                ).to_bytes(4, "big")
        else:
            return damage_bytes(bytes(out), rng, other)
    return bytes(out)


def _find_all(data: bytearray, what: bytes) -> list[int]:
    places = []
    at = data.find(what)
    while at >= 0 and len(places) < 400:
        places.append(at)
        at = data.find(what, at + 1)
    return places


_ODD: tuple[Callable[[random.Random], Any], ...] = (
    lambda rng: None,
    lambda rng: rng.choice((True, False)),
    lambda rng: rng.choice((0, -1, 1, 255, 1 << 31, -(1 << 31), 1 << 63, 10**400, -(10**30))),
    lambda rng: rng.choice((math.nan, math.inf, -math.inf, 1e308, -1e-320, 3.4e38, 0.1)),
    lambda rng: rng.choice(("", "NaN", "x" * rng.choice((1, 300, 70000)), "a: b", "a:b", "a\nb")),
    lambda rng: rng.choice(("\ud800", "\x00", "µ😀", "../../x", "file:///etc/passwd", "-Infinity")),
    lambda rng: [],
    lambda rng: {},
    lambda rng: [rng.random() for _ in range(rng.choice((1, 2, 3, 5)))],
    lambda rng: {"name": rng.choice((1, "x", None)), "type": rng.choice(("Feature", "x", 1))},
    lambda rng: _nested(rng.choice((3, 40, 400, 3000))),
)


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def damage_json(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Change values, keys and their order; now and then the text itself."""
    if rng.randrange(4) == 0:
        return _damage_text(data, rng, other)
    value = json.loads(data.decode("utf-8"))
    holders = _holders(value)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        holder = rng.choice(holders)
        if isinstance(holder, dict):
            _damage_dict(holder, rng)
        elif holder:
            _damage_list(holder, rng)
    try:
        text = json.dumps(value, ensure_ascii=rng.randrange(2) == 0)
    except RecursionError:
        text = '{"type":' + "[" * 5000
    if rng.randrange(12) == 0:
        text = text.replace('"type"', '"type":"Point","type"', 1)
    return text.encode("utf-8", "surrogatepass")


def _holders(value: Any) -> list[Any]:
    found, todo = [], [value]
    while todo:
        one = todo.pop()
        if isinstance(one, (dict, list)):
            found.append(one)
            todo += one.values() if isinstance(one, dict) else one
    return found


def _damage_dict(holder: dict[str, Any], rng: random.Random) -> None:
    if not holder or rng.randrange(8) == 0:
        holder[rng.choice(("features", "type", "id", "metadata", "extra", "childObjects"))] = (
            rng.choice(_ODD)(rng)
        )
        return
    key = rng.choice(list(holder))
    what = rng.randrange(4)
    if what == 0:
        del holder[key]
    elif what == 1:
        holder[rng.choice(("properties", "geometry", "name", "measurements", "x"))] = holder.pop(
            key
        )
    else:
        holder[key] = rng.choice(_ODD)(rng)


def _damage_list(holder: list[Any], rng: random.Random) -> None:
    at = rng.randrange(len(holder))
    what = rng.randrange(6)
    if what == 0:
        del holder[at]
    elif what == 1:
        holder.insert(at, holder[rng.randrange(len(holder))])
    elif what == 2:
        other = rng.randrange(len(holder))
        holder[at], holder[other] = holder[other], holder[at]
    elif what == 3:
        rng.shuffle(holder)
    else:
        holder[at] = rng.choice(_ODD)(rng)


def _damage_text(data: bytes, rng: random.Random, other: bytes) -> bytes:
    what = rng.randrange(6)
    if what == 0:
        piece = rng.choice((b"NaN", b"-Infinity", b"1e999", b"\xff", b"\xed\xa0\x80", b"\\u0000"))
        at = rng.randrange(len(data))
        return data[:at] + piece + data[at:]
    if what == 1:
        places = [i for i, byte in enumerate(data) if byte in b'{}[]",:']
        at = rng.choice(places)
        return (
            data[:at] + rng.choice((b"", b"{", b"}", b"[", b"]", b'"', b",", b":")) + data[at + 1 :]
        )
    if what == 2:
        return b"\xef\xbb\xbf" + data
    if what == 3:
        return data[: rng.randrange(len(data))]
    if what == 4:
        return data + rng.choice((b" ", b"x", b"{}", data[:50], b"\x00"))
    return damage_bytes(data, rng, other)
