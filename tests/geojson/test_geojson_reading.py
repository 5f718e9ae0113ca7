"""GeoJSON read from files: real exports, every top level, mended shapes, damage."""

from __future__ import annotations

import gzip
import io
import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geojson
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.bridge.geojson import (
    Dialect,
    GeoJsonReport,
    from_geojson,
    read_geojson,
    scanning,
    to_geojson,
    write_geojson,
)
from qpgaze.bridge.geojson.reading import read_stream
from qpgaze.bridge.geojson.shapes import read_shapes
from qpgaze.bridge.qpdata import read_qpdata
from qpgaze.errors import ProjectError, UsageError
from qpgaze.model import SlideObject

REAL = Path(__file__).resolve().parent.parent / "data" / "qupath"
Make = Callable[..., SlideObject]
Write = Callable[..., Path]

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]}


def read(path: Path, **options: Any) -> list[SlideObject]:
    return [found.object for found in read_geojson(path, **options)]


def test_a_real_export_says_what_the_data_say() -> None:
    """QuPath 0.5.1 wrote both; only an annotation of no width and no height is refused."""
    report = GeoJsonReport()
    path = REAL / "qupath_0.5.1tma.geojson.gz"
    found = list(read_geojson(path, report=report, collect=True))
    came = {one.object.id: one.object for one in found}
    meant = read_qpdata((REAL / "v0.5.1tma.qpdata").read_bytes()).objects
    assert len(meant) == len(came) + 1 == 88
    assert [one.why for one in report.refused] == ["its shape has no area"]
    assert not report.unknown
    assert sum(one.missing for one in came.values()) == 1
    assert sum(one.nucleus is not None for one in came.values()) == 33
    for item in meant:
        if item.geometry.area == 0 and item.geometry.geom_type == "Polygon":
            continue
        other = came[item.id]
        for what in ("kind", "class_name", "color", "name", "description", "locked", "is_ellipse"):
            assert getattr(other, what) == getattr(item, what)
        assert (other.c, other.z, other.t) == (item.c, item.z, item.t)
        assert dict(other.metadata) == dict(item.metadata)
        assert other.measurements == pytest.approx(dict(item.measurements), rel=1e-4, nan_ok=True)
        assert other.geometry.bounds == pytest.approx(item.geometry.bounds, abs=0.0051)


def test_the_newest_qupath_writes_metadata_twice() -> None:
    path = REAL / "qupath_0.7.0tma.geojson.gz"
    objects = read(path, collect=True)
    assert len(objects) == 87
    assert any(item.description for item in objects)


def test_of_a_key_written_twice_the_last_counts(write: Write) -> None:
    text = '[{"geometry": null, "properties": {"metadata": {"a": "1"}, "metadata": {"b": "2"}}}]'
    (item,) = read(write(text))
    assert item.metadata == {"b": "2"}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["geojson/dlup_qupath05.geojson"])
def test_exports_of_others(shared_data: Path, name: str) -> None:
    objects = read(shared_data / "qupath" / name)
    assert objects
    assert all(item.geometry.is_valid and item.geometry.area > 0 for item in objects)


def test_every_top_level_reads_alike(write: Write) -> None:
    one = {"type": "Feature", "geometry": SQUARE, "properties": {"name": "a"}}
    text = json.dumps(one)
    for whole in (
        text,
        f"[{text}]",
        f'{{"type": "FeatureCollection", "features": [{text}]}}',
        f' \n{{"features" : [ {text} ] , "type": "FeatureCollection", "x": [1, {{"y": "]}}"}}]}}\t',
        f"\ufeff[{text}]",
    ):
        assert [item.name for item in read(write(whole))] == ["a"]
    for nothing in ("[]", '{"type": "FeatureCollection", "features": []}'):
        assert read(write(nothing)) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "begins with neither"),
        ("5", "begins with neither"),
        ("{}", "no GeoJSON that QuPath reads"),
        ('{"type": "Polygon", "coordinates": []}', "no GeoJSON that QuPath reads"),
        ("[{}", "is cut"),
        ('[{"a": "', "is cut"),
        ("[{}] x", "goes on after its end"),
        ("[{} {}]", "expected"),
        ('[{"a" 1}]', "is damaged"),
        ("[5]", "Expected a Feature"),
        ('[{"properties": {"name": []}}]', "its name is no text"),
        ('[{"properties": {"isLocked": "yes"}}]', "isLocked"),
        ('[{"properties": {"color": "red"}}]', "no colour"),
        ('[{"properties": {"classification": 5}}]', "classification"),
        ('[{"properties": {"childObjects": 5}}]', "childObjects"),
        ('[{"properties": {"metadata": 5}}]', "metadata"),
        ('[{"geometry": {"type": "Point", "coordinates": [1e999, 1]}}]', "no numbers"),
        ('[{"geometry": {"type": "Point", "coordinates": [NaN, 1]}}]', "no numbers"),
        ('[{"geometry": {"type": "Point", "coordinates": [true, 1]}}]', "no numbers"),
        ('[{"geometry": {"type": "Point", "coordinates": [1e39, 1]}}]', "out of all bounds"),
        ('[{"geometry": {"type": "Point"}}]', "no coordinates"),
        ('[{"geometry": {"coordinates": [1, 2]}}]', "no type"),
        ('{"features": [], "features": []}', "twice"),
        ("[" + "[" * 100_000, "cut|deep"),
        ("[" + "1" * 5000 + "]", "damaged"),
    ],
)
def test_damage_is_said(write: Write, text: str, words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        read(write(text))


def test_other_files_are_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no UTF-8"):
        read(write(b'[{"properties": {"name": "\xfc"}}]'))
    with pytest.raises(ProjectError, match="cannot be read"):
        read(write(gzip.compress(b"[]" * 1000)[:-9], "in.gz"))
    with pytest.raises(ProjectError, match="no file"):
        read(tmp_path / "none.geojson")
    with pytest.raises(ProjectError, match="cannot be read"):
        read(tmp_path)


def test_a_feature_without_end_is_refused_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BLOCK", 64)
    monkeypatch.setattr(scanning, "MOST_CHARACTERS", 1000)

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return b"[" * size

    file = Endless()
    with pytest.raises(ProjectError, match="single value"):
        list(read_stream(file, "endless"))  # type: ignore[arg-type]
    assert file.given < 10_000


class Counted(io.BytesIO):
    """Says how far a reader was ahead of what it had given back."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.given = 0

    def read(self, size: int | None = -1) -> bytes:
        block = super().read(size)
        self.given += len(block)
        return block


def test_reading_holds_a_block_and_a_batch_only() -> None:
    feature = json.dumps({"type": "Feature", "geometry": SQUARE, "properties": {"name": "x" * 900}})
    file = Counted(("[" + ",".join([feature] * 20_000) + "]").encode())
    each = len(feature) + 1
    for done, _ in enumerate(read_stream(file, "file"), 1):
        assert file.given - done * each <= 2 * scanning.BLOCK + 2048 * each


@given(st.integers(1, 40), st.data())
def test_a_window_of_any_size_reads_the_same(block: int, data: st.DataObject) -> None:
    value = st.recursive(
        st.none() | st.integers(-5, 5) | st.text(max_size=6) | st.just('q"\\]}'),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    )
    items = data.draw(st.lists(value, max_size=6))
    text = json.dumps({"x": items, "features": items, "y": 1}, ensure_ascii=False)
    kept = scanning.BLOCK
    scanning.BLOCK = block  # type: ignore[misc]
    try:
        assert list(scanning.scan_features(io.BytesIO(text.encode()), "f", {})) == items
    finally:
        scanning.BLOCK = kept  # type: ignore[misc]


def ring(*corners: tuple[float, float]) -> list[list[float]]:
    return [list(corner) for corner in corners]


@pytest.mark.parametrize(
    ("geometry", "kind", "area"),
    [
        ({"type": "Polygon", "coordinates": [ring((0, 0), (4, 4), (4, 0), (0, 4))]}, "Multi", 8),
        ({"type": "Polygon", "coordinates": [ring((0, 0), (4, 0), (4, 4), (0, 4))]}, "Poly", 16),
        (
            {
                "type": "Polygon",
                "coordinates": [ring((0, 0), (0, 4), (4, 4), (4, 4), (4, 0), (0, 0))],
            },
            "Poly",
            16,
        ),
        (
            {
                "type": "Polygon",
                "coordinates": [ring((0, 0), (4, 0), (4, 4), (0, 4)), ring((1, 1))],
            },
            "Poly",
            16,
        ),
        (
            {
                "type": "Polygon",
                "coordinates": [
                    ring((0, 0), (9, 0), (9, 9), (0, 9), (0, 0)),
                    ring((2, 2), (12, 2), (12, 5), (2, 5), (2, 2)),
                ],
            },
            "Poly",
            81 - 21,
        ),
        (
            {
                "type": "MultiPolygon",
                "coordinates": [
                    [ring((0, 0), (4, 0), (4, 4), (0, 4), (0, 0))],
                    [ring((2, 0), (6, 0), (6, 4), (2, 4), (2, 0))],
                    [ring((7, 7), (8, 8), (7, 7))],
                ],
            },
            "Poly",
            24,
        ),
        (
            {
                "type": "GeometryCollection",
                "geometries": [
                    SQUARE,
                    {"type": "Polygon", "coordinates": [ring((20, 0), (24, 0), (24, 4))]},
                ],
            },
            "Multi",
            89,
        ),
        ({"type": "MultiLineString", "coordinates": [ring((0, 0), (3, 3))]}, "LineString", 0),
    ],
)
def test_shapes_are_mended(geometry: Any, kind: str, area: float) -> None:
    (shape,), refused, _ = read_shapes([geometry])
    assert not refused
    assert shape is not None
    assert shape.is_valid
    assert shape.geom_type.startswith(kind)
    assert shape.area == pytest.approx(area)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": [ring((0, 0), (4, 4), (8, 8), (0, 0))]},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": [5]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, None], [2, 2], [0, 0]]]},
        {"type": "LineString", "coordinates": ring((1, 1), (1, 1))},
        {"type": "Point", "coordinates": [1]},
        {
            "type": "GeometryCollection",
            "geometries": [SQUARE, {"type": "Point", "coordinates": [1, 2]}],
        },
        {"type": "GeometryCollection"},
        {"type": ["Polygon"], "coordinates": []},
        "Polygon",
    ],
)
def test_what_cannot_be_mended_is_refused(geometry: Any) -> None:
    (good, shape), refused, _ = read_shapes([SQUARE, geometry])
    assert good is not None
    assert shape is None
    assert set(refused) == {1}


corner = st.tuples(st.integers(0, 12), st.integers(0, 12))


def ring_of_a_hundred(*, shuffled: bool) -> dict[str, Any]:
    """A coil of two turns, which crosses itself once; or its corners in random order."""
    angles = [math.pi * n / 25 for n in range(100)]
    corners = [[(9 + n) * math.cos(a), (9 + n) * math.sin(a)] for n, a in enumerate(angles)]
    if shuffled:
        random.Random(6).shuffle(corners)
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


def test_a_tangle_is_refused_and_a_coil_mended() -> None:
    coil, tangle = ring_of_a_hundred(shuffled=False), ring_of_a_hundred(shuffled=True)
    shapes, refused, mended = read_shapes([coil, tangle])
    assert shapes[0] is not None
    assert shapes[0].is_valid
    assert list(mended) == [0]
    assert shapes[1] is None
    assert refused == {1: "crosses itself too often to be mended"}


@given(st.lists(st.lists(corner, max_size=9), min_size=1, max_size=3))
def test_any_rings_become_valid_or_are_refused(rings: list[list[tuple[int, int]]]) -> None:
    geometry = {"type": "Polygon", "coordinates": [[list(c) for c in one] for one in rings]}
    (shape,), refused, _ = read_shapes([geometry])
    assert (shape is None) == bool(refused)
    if shape is not None:
        assert shape.is_valid
        assert shape.area > 0


def test_an_iterator_is_written_as_it_comes(tmp_path: Path, make_object: Make) -> None:
    path = tmp_path / "out.geojson"
    top = make_object(0)
    below = [make_object(n, parent=top.id) for n in range(1, 4)]
    low = make_object(9, parent=below[0].id)
    ordered = [top, below[0], low, *below[1:], make_object(10)]
    assert write_geojson(path, iter(ordered), {}) == 6
    assert [item.id for item in read(path)] == [item.id for item in ordered]
    assert [item.parent for item in read(path)] == [item.parent for item in ordered]
    assert json.loads(path.read_text("utf-8")) == json.loads(json.dumps(to_geojson(ordered, {})))
    with pytest.raises(UsageError, match="right after"):
        write_geojson(path, iter([top, make_object(10), *below]), {}, overwrite=True)
    assert len(read(path)) == 6
    assert list(tmp_path.glob("*.new")) == list(tmp_path.glob(".*")) == []


def test_writing_takes_from_an_iterator_a_batch_at_a_time(
    tmp_path: Path, make_object: Make
) -> None:
    alive: list[int] = []

    def source() -> Iterator[SlideObject]:
        for n in range(10_000):
            alive.append(n)
            yield make_object(n)

    assert write_geojson(tmp_path / "out.geojson", source(), {}) == len(alive) == 10_000


def test_the_words_of_0_3_come_back(make_object: Make) -> None:
    top = make_object(1, class_name="Tumor: Big", color=0x0A141E, locked=True)
    low = make_object(2, parent=top.id, measurements={"n": math.nan}, class_name=None)
    made = to_geojson([top, low], {"Tumor: Big": 0x123456}, dialect="0.3")
    first, second = made["features"]
    assert "id" not in first
    assert first["properties"]["object_type"] == "annotation"
    assert first["properties"]["classification"]["parentClass"]["name"] == "Tumor"
    assert second["properties"]["isLocked"] is False
    assert second["properties"]["measurements"] == [{"name": "n", "value": "NaN"}]
    (one, two), colors = from_geojson(json.loads(json.dumps(made)))
    assert (one.class_name, one.color, one.locked) == ("Tumor: Big", 0x0A141E, True)
    assert colors == {"Tumor: Big": 0x123456}
    assert math.isnan(two.measurements["n"])
    with pytest.raises(UsageError, match="dialect"):
        to_geojson([], {}, dialect="0.2")  # type: ignore[arg-type]


@pytest.mark.parametrize("dialect", ["0.3", "0.4", "0.5", "0.6", "0.7"])
def test_every_kind_travels(make_object: Make, dialect: Dialect) -> None:
    meant = [
        make_object(1, kind="cell", nucleus=shapely.box(13, 3, 15, 5), z=2, t=1),
        make_object(2, kind="cell", nucleus=shapely.box(23, 3, 25, 5), nucleus_is_ellipse=True),
        make_object(3, kind="cell"),
        make_object(4, kind="tile"),
        make_object(5, kind="detection"),
        make_object(6, kind="tma_core", missing=True),
        make_object(7, kind="tma_core"),
        make_object(8),
    ]
    made = to_geojson(meant, {}, dialect=dialect)
    plain = json.dumps(made).encode()
    found = [one.object for one in read_stream(io.BytesIO(plain), "file")]
    for came, item in zip(found, meant, strict=True):
        assert (came.kind, came.missing) == (item.kind, item.missing)
        assert (came.c, came.z, came.t) == (item.c, item.z, item.t)
        assert came.nucleus_is_ellipse == item.nucleus_is_ellipse
        assert (came.nucleus is None) == (item.nucleus is None)
        if came.nucleus is not None and item.nucleus is not None:
            assert came.nucleus.bounds == item.nucleus.bounds
    types = [feature["properties"].get("objectType") for feature in made["features"]]
    assert types[3:6] == ([None] * 3 if dialect == "0.3" else ["tile", "detection", "tmaCore"])


@pytest.mark.parametrize("dialect", ["0.4", "0.5", "0.7"])
def test_numbers_that_are_none_are_spelled_for_their_reader(
    make_object: Make, dialect: Dialect
) -> None:
    """QuPath 0.4 throws at "NaN" in measurements by name (seen in 0.4.4), not in a list of them."""
    odd = make_object(1, measurements={"n": math.nan, "a": 0.5})
    plain = make_object(2, measurements={"a": 0.5})
    one, other = (
        feature["properties"]["measurements"]
        for feature in to_geojson([odd, plain], {}, dialect=dialect)["features"]
    )
    listed = [{"name": "n", "value": "NaN"}, {"name": "a", "value": 0.5}]
    assert one == (listed if dialect == "0.4" else {"n": "NaN", "a": 0.5})
    assert other == {"a": 0.5}


@pytest.mark.parametrize("dialect", ["0.3", "0.5"])
def test_another_reader_finds_our_files_valid(
    tmp_path: Path, make_object: Make, dialect: Dialect
) -> None:
    """The geojson package judges what we stream: rings closed, positions, types."""
    top = make_object(1, geometry=shapely.box(0, 0, 90, 90))
    hole = shapely.Point(50, 50).buffer(30).difference(shapely.Point(50, 50).buffer(10))
    meant = [
        top,
        make_object(2, kind="cell", nucleus=shapely.box(1, 1, 4, 4), parent=top.id),
        make_object(3, geometry=hole, parent=top.id),
        make_object(4, geometry=shapely.MultiPoint([(1, 2), (3, 4)])),
        make_object(5, geometry=shapely.LineString([(1, 2), (3, 4)])),
        make_object(6, geometry=shapely.union_all([shapely.box(0, 0, 1, 1), hole])),
    ]
    path = tmp_path / "out.geojson"
    write_geojson(path, meant, {}, dialect=dialect)
    read_by_another = geojson.loads(path.read_text(encoding="utf-8"))
    assert isinstance(read_by_another, geojson.FeatureCollection)
    assert read_by_another.is_valid, read_by_another.errors()
    todo, seen = list(read_by_another["features"]), 0
    while todo:
        feature = todo.pop()
        todo += feature["properties"].get("childObjects", [])
        assert isinstance(feature["geometry"], geojson.geometry.Geometry)
        assert not feature["geometry"].errors()
        seen += 1
    assert seen == len(meant)
    assert json.loads(geojson.dumps(to_geojson(meant, {}, dialect=dialect))) == json.loads(
        path.read_text(encoding="utf-8")
    )


def test_half_a_character_survives(tmp_path: Path, make_object: Make) -> None:
    path = tmp_path / "out.geojson"
    write_geojson(path, [make_object(1, name="a\ud83d")], {})
    assert [item.name for item in read(path)] == ["a\ud83d"]
