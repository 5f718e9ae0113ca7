"""Damaged, foreign and hostile bytes end in our own errors, never in others."""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path
from uuid import UUID

import pytest
from shapely.geometry import Polygon, box

from qpgaze.bridge.qpdata import edit_qpdata, new_qpdata, read_qpdata
from qpgaze.errors import ProjectError, UnsupportedDataError
from qpgaze.model import SlideObject


def made(count: int = 12) -> bytes:
    """Return a small file with objects of several layouts."""
    empty = new_qpdata(server={"uri": "file:/a"}, qupath_version="0.5.1", image_type="OTHER")
    objects = [
        SlideObject(
            UUID(int=i + 1),
            box(i, 0, i + 5, 7) if i % 2 else Polygon([(0, 0), (i + 1, 0), (3, 9)]),
            class_name="A: B" if i % 3 else None,
            measurements={"m": float(i)},
            metadata={"k": str(i)},
            parent=UUID(int=1) if i in (2, 3) else None,
        )
        for i in range(count)
    ]
    return edit_qpdata(empty, add=objects, class_colors={})


def attempt(data: bytes) -> bool:
    """Read, and edit what reads; False where it is refused in our words."""
    new = SlideObject(UUID(int=999), box(0, 0, 5, 5), class_name="A: B")
    try:
        found = read_qpdata(data)
        edit_qpdata(data, add=[new], remove=[o.id for o in found.objects[:1]], class_colors={})
    except ProjectError:
        return False
    return True


def test_cut_anywhere_is_refused() -> None:
    data = made()
    for size in range(0, len(data), 7):
        with pytest.raises(ProjectError):
            read_qpdata(data[:size])
    with pytest.raises(ProjectError, match="cut off"):
        read_qpdata(data[:-1])


@pytest.mark.shared_data
def test_real_files_cut_anywhere_are_refused(shared_data: Path) -> None:
    for name in ("v0.3.2tma", "v0.7.0tma"):
        data = (shared_data / "qupath" / "versions" / f"{name}.qpdata").read_bytes()
        for size in range(5, len(data), 271):
            with pytest.raises(ProjectError):
                read_qpdata(data[:size])


def _mutate(rng: random.Random, data: bytes) -> bytes:
    raw = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at, kind = rng.randrange(len(raw)), rng.random()
        if kind < 0.5:
            raw[at] = rng.randrange(256)
        elif kind < 0.7:
            raw[at] = rng.choice(
                b"\x70\x71\x72\x73\x74\x75\x76\x77\x78\x79\x7a\x7c\x7d\x7e\x00\xff"
            )
        elif kind < 0.85:
            raw[at : at + 4] = rng.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4)])
        elif kind < 0.92:
            del raw[at : at + rng.randrange(1, 30)]
        else:
            raw[at:at] = raw[max(0, at - rng.randrange(1, 60)) : at]
    return bytes(raw)


def test_random_damage_never_raises_anything_else() -> None:
    rng = random.Random(11)
    data = made()
    survived = sum(attempt(_mutate(rng, data)) for _ in range(700))
    assert 0 < survived < 700


@pytest.mark.shared_data
def test_random_damage_of_real_files(shared_data: Path) -> None:
    rng = random.Random(12)
    files = sorted((shared_data / "qupath").rglob("*.qpdata"))
    data = [file.read_bytes() for file in files]
    survived = sum(attempt(_mutate(rng, rng.choice(data))) for _ in range(150))
    assert 0 < survived < 150


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(ProjectError, match="follow its end"):
        read_qpdata(made() + b"\0")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no data.qpdata"),
        (b"{}", "no data.qpdata"),
        (b"\xac\xed\0\5", "cut off"),
        (b"\xac\xed\0\5t\0\1x", "block data"),
        (b"\xac\xed\0\5w\x07\0\5hello", "no image data"),
        (b"\xac\xed\0\5w\x15\0\x13Data file version 4", "version 3"),
    ],
)
def test_foreign_bytes_are_named(data: bytes, words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        read_qpdata(data)


HEAD = b"\xac\xed\0\5w\x15\0\x13Data file version 3t\0\2{}"


def _desc(name: bytes, flags: int = 2, fields: bytes = b"\0\0") -> bytes:
    return b"r" + struct.pack(">H", len(name)) + name + bytes(8) + bytes([flags]) + fields + b"xp"


def test_announced_lengths_are_not_believed() -> None:
    for tail in (
        b"|\x7f" + b"\xff" * 7,  # a text of 2^63 bytes
        b"|" + b"\xff" * 8,  # of a negative length
        b"u" + _desc(b"[B") + b"\x7f\xff\xff\xff",
        b"u" + _desc(b"[B") + b"\xff\xff\xff\xff",
        b"u" + _desc(b"[Ljava.lang.Object;") + b"\x7f\xff\xff\xff" + b"p" * 50,
        b"u" + _desc(b"[J") + b"\x20\x00\x00\x01",
        b"s" + _desc(b"a.B", 0x0C) + b"z\x7f\xff\xff\xff",
        b"s" + _desc(b"a.B", 0x0C) + b"z\xff\xff\xff\xff",
        b"s" + _desc(b"a.B", 2, b"\xff\xff"),
    ):
        with pytest.raises(ProjectError):
            read_qpdata(HEAD + tail + b"t\0\3EOF")


def test_nesting_is_limited() -> None:
    deep = 100_000
    array = b"u" + _desc(b"[Ljava.lang.Object;")
    again = b"uq\0~\0\2" + b"\0\0\0\1"  # handle 2 may be no class at all: refused as well
    chain = b"".join(b"r\0\1a" + bytes(8) + b"\2\0\0x" for _ in range(deep))
    before = sys.getrecursionlimit()
    for tail in (
        array + b"\0\0\0\1" + b"uq\0~\0\1\0\0\0\1" * deep,
        array + b"\0\0\0\1" + again * deep,
        b"s" + chain,
        (b"s" + _desc(b"a.B", 0x0C)) * deep,
    ):
        with pytest.raises(ProjectError):
            read_qpdata(HEAD + tail)
    assert sys.getrecursionlimit() == before


def test_deeply_nested_json_is_refused() -> None:
    text = b"[" * 30_000 + b"]" * 30_000
    data = HEAD[:-5] + b"t" + struct.pack(">H", len(text)) + text
    with pytest.raises(ProjectError, match="JSON"):
        read_qpdata(data)


def test_a_hierarchy_may_be_deep() -> None:
    empty = new_qpdata(server={"uri": "file:/a"}, qupath_version="0.5.1", image_type="OTHER")
    chain = [
        SlideObject(UUID(int=i + 1), box(0, 0, 1, 1), parent=UUID(int=i) if i else None)
        for i in range(2000)
    ]
    data = edit_qpdata(empty, add=chain, class_colors={})
    found = read_qpdata(data)
    assert [o.parent for o in found.objects] == [o.parent for o in chain]
    gone = [o.id for o in chain[1:-1]]
    after = read_qpdata(edit_qpdata(data, remove=gone, class_colors={})).objects
    assert [o.parent for o in after] == [None, chain[0].id]


def test_a_chain_of_classes_without_end_is_refused() -> None:
    data = made()
    # Let a class be its own parent: "A: B" refers to "A" where it is first defined.
    at = data.index(b"t\0\1Bs") + 4
    assert data[at : at + 3] == b"sq\0"
    assert not attempt(data[:at] + b"q\0~\0\x40" + data[at + 5 :])


def test_references_must_lead_back() -> None:
    data = made()
    for at in range(len(data) - 5):
        if data[at : at + 3] == b"q\0~":
            with pytest.raises(ProjectError):
                read_qpdata(data[: at + 1] + b"\0\x7e\xff\xff" + data[at + 5 :])
            break
    with pytest.raises(ProjectError):
        read_qpdata(HEAD + b"q\0~\0\x63" + b"t\0\3EOF")
    with pytest.raises(ProjectError):
        read_qpdata(HEAD + b"q\xff\xff\xff\xff" + b"t\0\3EOF")


@pytest.mark.parametrize("tag", [b"y", b"{", b"}"])
def test_rare_elements_are_refused_as_unknown(tag: bytes) -> None:
    with pytest.raises(UnsupportedDataError):
        read_qpdata(HEAD + tag + bytes(20))


def test_an_unknown_object_class_is_refused_whole() -> None:
    data = made().replace(b"objects.PathAnnotationObject", b"objects.PathAnnotationThing!")
    with pytest.raises(UnsupportedDataError, match="PathAnnotationThing!"):
        read_qpdata(data)


def test_broken_text_is_refused() -> None:
    for raw in (b"\xf0\x9f\x98\x80", b"\xc3(", b"\xff"):
        with pytest.raises(UnsupportedDataError):
            read_qpdata(HEAD + b"t" + struct.pack(">H", len(raw)) + raw)
