"""Many objects at once: what the quick ways write and read is what the slow ones do."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import shapely
from shapely.affinity import translate

from qpgaze.bridge.projects.embedded import StoredObjects
from qpgaze.bridge.projects.held import tally_of
from qpgaze.bridge.qpdata import adding, appending, edit_qpdata, editing, new_qpdata, read_qpdata
from qpgaze.bridge.qpdata import scan as scan_module
from qpgaze.bridge.qpdata.scan import Scan
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

COLORS = {"Tumor": 0xC80000, "Tumor: Positive": 0xFA3E3E}
SHAPES = (
    shapely.box(0, 0, 5, 4),
    shapely.Polygon([(0, 0), (5, 1), (3, 7)]),
    shapely.Polygon([(0, 0), (5, 1), (3, 7), (1, 9)]),
    shapely.LineString([(0, 0), (1, 2)]),
    shapely.LineString([(0, 0), (1, 2), (4, 4)]),
    shapely.Point(1, 2),
    shapely.MultiPoint([(1, 2), (3, 4)]),
    shapely.box(0, 0, 9, 9).difference(shapely.box(1, 1, 2, 2)),
)


def empty() -> bytes:
    server = {"builderType": "uri", "uri": "file:/slide.tif", "args": []}
    return new_qpdata(server=server, qupath_version="0.5.1", image_type="BRIGHTFIELD_H_E")


def objects(count: int, seed: int, kinds: tuple[str, ...] = ("annotation", "tile")) -> list[Any]:
    """Objects of some hundred layouts, with texts that are new, old, and not ASCII."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        shape = translate(draw.choice(SHAPES), draw.random() * 900, draw.random() * 900)
        texts = ["x", "ü\U0001f600", "a\0b", str(draw.randrange(40)), str(draw.random())]
        made.append(
            SlideObject(
                UUID(int=draw.getrandbits(128)),
                shape,
                draw.choice(kinds),
                draw.choice([None, "Tumor", "Tumor: Positive"]),
                draw.choice([None, 0xFF0000]),
                draw.choice([None, "x", f"n{draw.randrange(90)}", "Tumor"]),
                draw.choice([None, "Ä"]),
                {k: draw.choice([1.5, 3, float("nan")]) for k in ("m", "n")[: draw.randrange(3)]},
                {k: draw.choice(texts) for k in ("k", "l")[: draw.randrange(3)]},
                draw.random() < 0.3,
                shape.geom_type == "Polygon" and draw.random() < 0.2,
                draw.choice([-1, 0]),
                draw.randrange(2),
                draw.randrange(2),
            )
        )
    return made


def facts(one: SlideObject) -> tuple[Any, ...]:
    return (
        one.id, shapely.to_wkb(one.geometry), one.kind, one.class_name, one.color, one.name,
        one.description, str(one.measurements), str(one.metadata), one.locked, one.is_ellipse,
        one.c, one.z, one.t, one.parent,
    )  # fmt: skip


@pytest.mark.parametrize("parent", [False, True])
def test_objects_written_together_are_those_written_one_by_one(
    monkeypatch: pytest.MonkeyPatch, parent: bool
) -> None:
    base = edit_qpdata(empty(), add=objects(40, 1), class_colors=COLORS)
    above, *rest = objects(600, 2)
    if parent:
        rest = [SlideObject(**{**vars(one), "parent": above.id}) for one in rest]
    quick = edit_qpdata(base, add=[above, *rest], class_colors=COLORS)
    monkeypatch.setattr(adding, "WORTH", 10**9)
    assert edit_qpdata(base, add=[above, *rest], class_colors=COLORS) == quick


def test_objects_appended_are_those_of_any_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    base = edit_qpdata(empty(), add=objects(40, 3), class_colors=COLORS)
    added = objects(300, 4)
    quick = edit_qpdata(base, add=added, class_colors=COLORS)
    monkeypatch.setattr(editing, "append_objects", lambda *_: None)
    assert edit_qpdata(base, add=added, class_colors=COLORS) == quick


def test_runs_hold_what_is_there_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    some = objects(500, 5)
    # Corners whose bytes look like the beginning of an object.
    alike = [SlideObject(UUID(int=n), SHAPES[1], name=f"n{n}") for n in range(1, 400)]
    data = edit_qpdata(empty(), add=[*alike, *some], class_colors=COLORS)
    head = Scan(data).starts[200]
    fake = bytes(data[head : head + 12])
    places = [i for i in range(len(data)) if data.startswith(b"\x00\x00\x00\x03", i)]
    broken = bytearray(data)
    broken[places[300] + 4 : places[300] + 16] = fake
    quick = [facts(one) for one in read_qpdata(bytes(broken)).objects]
    tally = StoredObjects(Scan(bytes(broken))).tally()
    monkeypatch.setattr(scan_module, "WORTH", 10**9)
    slow = read_qpdata(bytes(broken)).objects
    assert [facts(one) for one in slow] == quick
    assert list(tally.items()) == list(tally_of(slow).items())


def cut_one(data: bytes, at: int) -> bytes:
    return data[:at] + data[at + 1 :]


def turned(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]


@pytest.mark.parametrize("change", [cut_one, turned])
def test_what_does_not_read_back_as_meant_is_not_written(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes, int], bytes]
) -> None:
    base = edit_qpdata(empty(), add=objects(80, 6), class_colors=COLORS)
    added = [SlideObject(UUID(int=7), SHAPES[1], name="new", measurements={"m": 1.5})]
    good = edit_qpdata(base, add=added, class_colors=COLORS)
    tail = int(Scan(base).tails[0])
    end = len(good) - (len(base) - tail)
    draw = random.Random(8)
    before = [*draw.sample(range(tail), 25), int(Scan(base).counts[0]) + 3]
    after = list(range(end, len(good)))
    written = appending._written
    for at in [*before, *after[::4], *range(tail + 7, end, 13)]:
        monkeypatch.setattr(appending, "_written", lambda *a, at=at: change(written(*a), at))
        try:
            made = edit_qpdata(base, add=added, class_colors=COLORS)
        except ProjectError:
            continue
        # What stays of an object besides its fields: the probability of its class.
        assert tail < at < end
        assert [facts(o) for o in read_qpdata(made).objects] == [
            facts(o) for o in read_qpdata(good).objects
        ]


def test_an_object_left_out_or_too_many_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    base = edit_qpdata(empty(), add=objects(80, 9), class_colors=COLORS)
    added = objects(90, 10)
    fewer = edit_qpdata(base, add=added[:-1], class_colors=COLORS)
    more = edit_qpdata(base, add=[*added, *objects(1, 11)], class_colors=COLORS)
    for wrong in (base, fewer, more, edit_qpdata(base, add=objects(90, 12), class_colors=COLORS)):
        monkeypatch.setattr(appending, "_written", lambda *_, wrong=wrong: wrong)
        with pytest.raises(ProjectError, match="did not read back as meant"):
            edit_qpdata(base, add=added, class_colors=COLORS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("class_name", "Stroma"), ("color", 1), ("name", "other"), ("description", "other"),
        ("measurements", {"m": 2.5}), ("measurements", {"n": 1.5}), ("metadata", {"k": "other"}),
        ("locked", True), ("is_ellipse", True), ("z", 3), ("kind", "detection"),
        ("geometry", shapely.box(0, 0, 5, 5)), ("geometry", shapely.box(0, 0, 5, 4).buffer(1)),
    ],
)  # fmt: skip
def test_one_object_of_many_that_differs_is_named(
    monkeypatch: pytest.MonkeyPatch, field: str, value: Any
) -> None:
    plain = {"geometry": SHAPES[0], "measurements": {"m": 1.5}, "metadata": {"k": "v"}, "name": "a"}
    added = [SlideObject(UUID(int=n), **plain) for n in range(1, 200)]  # type: ignore[arg-type]
    wrong = list(added)
    wrong[150] = SlideObject(UUID(int=151), **{**plain, field: value})  # type: ignore[arg-type]
    other = edit_qpdata(empty(), add=wrong, class_colors=COLORS)
    monkeypatch.setattr(appending, "_written", lambda *_: other)
    with pytest.raises(ProjectError, match="000000000097 differs"):
        edit_qpdata(empty(), add=added, class_colors=COLORS)
