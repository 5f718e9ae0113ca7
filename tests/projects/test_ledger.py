"""What we wrote, told from what a person did to it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from qpgaze import keys
from qpgaze.bridge import create_project
from qpgaze.bridge import ledger as ledger_module
from qpgaze.bridge.ledger import Ledger, Operation, Standing, is_ours, records_of, remember
from qpgaze.bridge.shapecode import decode_shape, encode_shape, same_shape
from qpgaze.errors import ProjectError, UnsupportedDataError, UsageError
from qpgaze.model import SlideObject

Make = Callable[..., SlideObject]
T0 = "2026-01-01T00:00:00.000+00:00"


def written(folder: Path, *objects: SlideObject, op: Operation = Operation.ADD) -> Ledger:
    ledger = Ledger.open(folder)
    ledger.append(records_of(op, "1", objects, time_utc=T0))
    return ledger


def test_records_come_back(tmp_path: Path, make_object: Make) -> None:
    first, second = make_object(1), make_object(2, class_name=None, is_ellipse=True)
    written(tmp_path, first, second)
    written(tmp_path, second, op=Operation.REMOVE)
    ledger = Ledger.open(tmp_path / "project.qpproj")
    assert [r.op for r in ledger.records] == [Operation.ADD, Operation.ADD, Operation.REMOVE]
    last = ledger.last()
    assert last[second.id].op is Operation.REMOVE
    record = last[first.id]
    assert record == records_of(Operation.ADD, "1", [first], time_utc=T0)[0]
    assert (record.entry, record.label, record.class_name) == ("1", "1", "Keratin pearl")
    assert record.session == first.metadata[keys.SESSION]
    assert record.method == keys.METHOD_DISCS
    assert ledger.last("2") == {}
    line = json.loads((tmp_path / "qpgaze" / "ledger.jsonl").read_text("utf-8").splitlines()[0])
    assert line["version"] == 1


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    assert ledger.records == ()
    ledger.append([])
    assert not ledger.path.exists()


def test_a_torn_line_is_dropped(tmp_path: Path, make_object: Make) -> None:
    ledger = written(tmp_path, make_object(1), make_object(2))
    whole = ledger.path.read_bytes()
    for cut in range(1, 60, 7):
        ledger.path.write_bytes(whole[:-cut])
        again = Ledger.open(tmp_path)
        assert [r.id for r in again.records] == [make_object(1).id]
        again.append(records_of(Operation.ADD, "1", [make_object(2)], time_utc=T0))
        assert ledger.path.read_bytes() == whole


def test_a_damaged_line_is_named(tmp_path: Path, make_object: Make) -> None:
    ledger = written(tmp_path, make_object(1))
    whole = ledger.path.read_bytes()
    for bad in (b"{}\n", b"nonsense\n", b'{"version": 1, "op": "burn"}\n', b"[1]\n", b"\xff\n"):
        ledger.path.write_bytes(whole + bad + whole)
        with pytest.raises(ProjectError, match="line 2 is damaged"):
            Ledger.open(tmp_path)
    ledger.path.write_bytes(whole.replace(b'"version":1', b'"version":2'))
    with pytest.raises(UnsupportedDataError, match="later qpgaze"):
        Ledger.open(tmp_path)


def test_a_failed_append_leaves_what_was_there(
    tmp_path: Path, make_object: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = written(tmp_path, make_object(1))
    whole = ledger.path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_module.os, "fsync", full)
    # The hook looks for these words.
    with pytest.raises(ProjectError, match="objects themselves are in the project"):
        ledger.append(records_of(Operation.ADD, "1", [make_object(2)], time_utc=T0))
    assert ledger.path.read_bytes() == whole


def test_keys_of_later_versions_are_kept(tmp_path: Path, make_object: Make) -> None:
    ledger = written(tmp_path, make_object(1))
    text = ledger.path.read_text("utf-8").replace('"op"', '"tool":"x","op"')
    ledger.path.write_text(text, "utf-8")
    (record,) = Ledger.open(tmp_path).records
    assert record.extra == {"tool": "x"}


# -- standings ---------------------------------------------------------------------------------


def test_standings(tmp_path: Path, make_object: Make) -> None:
    a, b, c, d, e = (make_object(n) for n in range(1, 6))
    ledger = written(tmp_path, a, b, c, d, e)
    written(tmp_path, e, op=Operation.REMOVE)
    ledger = Ledger.open(tmp_path)
    person = make_object(9, id=uuid4(), metadata={})
    accepted = {**c.metadata, keys.STATE: keys.ReviewState.ACCEPTED.value}
    now = [
        a,
        dataclasses.replace(b, class_name="Tumor"),
        dataclasses.replace(c, metadata=accepted),
        person,
    ]
    assert ledger.compare(now, entry="1") == {
        a.id: Standing.UNTOUCHED,
        b.id: Standing.CHANGED,
        c.id: Standing.CHANGED,
        d.id: Standing.MISSING,
        person.id: Standing.FOREIGN,
    }
    assert ledger.compare([e], entry="1")[e.id] is Standing.CHANGED
    assert ledger.compare([], entry="2") == {}


def test_moving_a_corner_is_a_change(tmp_path: Path, make_object: Make) -> None:
    far = make_object(1, geometry=shapely.Point(90_000, 70_000).buffer(400))
    ledger = written(tmp_path, far)
    xy = shapely.get_coordinates(far.geometry)

    def now(corners: np.ndarray[Any, Any]) -> Standing:
        moved = dataclasses.replace(far, geometry=shapely.Polygon(corners))
        return ledger.compare([moved])[far.id]

    assert now(xy) is Standing.UNTOUCHED
    assert now(xy.astype(np.float32).astype(np.float64)) is Standing.UNTOUCHED
    assert now(np.round(xy, 2)) is Standing.UNTOUCHED
    assert now(np.round(xy.astype(np.float32), 2)) is Standing.UNTOUCHED
    assert now(np.roll(xy[:-1], 5, axis=0)[::-1]) is Standing.UNTOUCHED
    bent = xy.copy()
    bent[7] += (0.5, -0.5)
    assert now(bent) is Standing.CHANGED
    assert now(np.delete(xy, slice(3, 6), axis=0)) is Standing.CHANGED
    assert now(xy + 0.2) is Standing.CHANGED


def test_specks_may_vanish(tmp_path: Path, make_object: Make) -> None:
    speck = shapely.Point(50, 50).buffer(0.005)
    ring = shapely.box(0, 0, 100, 100).difference(speck)
    ledger = written(tmp_path, make_object(1, geometry=ring))
    rounded = make_object(1, geometry=shapely.box(0, 0, 100, 100))
    assert ledger.compare([rounded])[rounded.id] is Standing.UNTOUCHED
    holed = make_object(1, geometry=ring.difference(shapely.box(10, 10, 20, 20)))
    assert ledger.compare([holed])[holed.id] is Standing.CHANGED


@pytest.mark.parametrize("factor", [1, 100])
def test_what_qupath_does_to_shapes_is_no_change(
    tmp_path: Path, make_object: Make, picture: Path, backend: str, factor: int
) -> None:
    from qpgaze.bridge import open_project

    rng = np.random.default_rng(3)
    objects = []
    for n in range(1, 30):
        discs = [
            shapely.Point(rng.uniform(0, 900 * factor, 2)).buffer(rng.uniform(5, 60))
            for _ in range(4)
        ]
        ellipse = n % 7 == 0
        shape = shapely.box(*discs[0].bounds) if ellipse else shapely.union_all(discs)
        objects.append(make_object(n, geometry=shape, is_ellipse=ellipse))
    with create_project(tmp_path / "p", backend=backend) as made:
        made.add_image(picture).add(objects)
        made.commit()
    ledger = Ledger.open(tmp_path / "p")
    remember(ledger, "add", "1", objects)
    with open_project(tmp_path / "p", backend=backend) as opened:
        standings = ledger.compare(opened.entry("1").objects(), entry="1")
    assert set(standings.values()) == {Standing.UNTOUCHED}
    assert len(standings) == 29


def test_ours_without_a_record_are_taken_in(tmp_path: Path, make_object: Make) -> None:
    mine, copied, strange = make_object(1), make_object(2, id=uuid4()), make_object(3)
    strange = dataclasses.replace(strange, id=UUID(int=3), metadata={keys.SESSION: "x"})
    assert is_ours(mine)
    assert not is_ours(copied)
    assert not is_ours(strange)
    ledger = Ledger.open(tmp_path)
    assert ledger.compare([mine])[mine.id] is Standing.UNTOUCHED
    assert ledger.adopt([mine, copied, strange], entry="1") == (mine,)
    assert Ledger.open(tmp_path).last()[mine.id].op is Operation.ADOPT
    assert ledger.adopt([mine, copied, strange], entry="1") == ()
    reviewed = {**mine.metadata, keys.STATE: "redrawn"}
    other = Ledger.open(tmp_path / "x")
    assert other.compare([dataclasses.replace(mine, metadata=reviewed)]) == {
        mine.id: Standing.CHANGED
    }


def test_unknown_operations_are_refused(tmp_path: Path, make_object: Make) -> None:
    with pytest.raises(UsageError, match="put_back"):
        remember(Ledger.open(tmp_path), "burn", "1", [make_object(1)])


# -- shapes in few bytes -----------------------------------------------------------------------

numbers = st.floats(-1e5, 1e5, allow_nan=False).map(lambda v: round(v, 2))
points = st.tuples(numbers, numbers)


@given(st.lists(points, min_size=1, max_size=30, unique=True))
def test_any_shape_comes_back(corners: list[tuple[float, float]]) -> None:
    shapes = [shapely.Point(corners[0]), shapely.MultiPoint(corners)]
    if len(corners) > 1:
        shapes.append(shapely.LineString(corners))
    hull = shapely.MultiPoint(corners).convex_hull
    if hull.area > 10:
        shapes += [hull, hull.difference(hull.buffer(-0.5))]
    for shape in shapes:
        if shape.is_empty:
            continue
        code = json.loads(json.dumps(encode_shape(shape)))
        back = decode_shape(code)
        assert back.geom_type == shape.geom_type
        assert shapely.hausdorff_distance(back, shape) < 0.008
        assert same_shape(code, shape)


def test_damaged_shapes_are_refused() -> None:
    code = encode_shape(shapely.box(0, 0, 5, 5))
    for bad in ({}, {**code, "type": "CIRCLE"}, {**code, "xy": "AAAA"}, {**code, "parts": 5}):
        with pytest.raises(ProjectError, match="damaged"):
            decode_shape(bad)
    with pytest.raises(ProjectError, match="cannot be recorded"):
        encode_shape(shapely.GeometryCollection())


def test_other_kinds_are_other_shapes() -> None:
    box = shapely.box(0, 0, 5, 5)
    assert not same_shape(encode_shape(box), box, is_ellipse=True)
    assert not same_shape(encode_shape(box, is_ellipse=True), box)
    assert not same_shape(encode_shape(box), box.exterior)
    assert not same_shape(encode_shape(box), shapely.Polygon())
