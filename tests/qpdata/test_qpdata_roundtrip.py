"""Random objects, texts and streams come back as they were."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from uuid import UUID

import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPoint, Point, Polygon, box

from qpgaze.bridge.qpdata import edit_qpdata, new_qpdata, read_qpdata
from qpgaze.bridge.qpdata.javatext import decode_modified_utf8, encode_modified_utf8
from qpgaze.model import SlideObject

EMPTY = new_qpdata(server={"uri": "file:/a"}, qupath_version="0.6.0", image_type="OTHER")

# Values that single precision keeps, so that what comes back is equal to the bit.
single = st.floats(-1e6, 1e6, width=32)
corner = st.tuples(single, single)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
words = st.text("abcXYZ 019_-µé\N{GRINNING FACE}", min_size=1, max_size=8).filter(
    lambda w: w == w.strip()
)


def _box(values: tuple[float, float, float, float]) -> Polygon:
    x, y, w, h = values
    return box(x, y, x + w, y + h)


sides = st.floats(0.5, 5e4, width=32)
boxes = st.tuples(single, single, sides, sides).map(_box)
triangles = (
    st.tuples(corner, corner, corner).map(Polygon).filter(lambda p: p.is_valid and p.area > 0)
)
holed = boxes.map(lambda b: b.difference(b.centroid.buffer(0.1, 4))).filter(
    lambda p: p.is_valid and p.geom_type == "Polygon" and len(p.interiors) == 1
)
lines = st.lists(corner, min_size=2, max_size=20).map(LineString).filter(lambda x: x.length > 0)
points = st.one_of(corner.map(Point), st.lists(corner, min_size=2, max_size=9).map(MultiPoint))


@st.composite
def slide_objects(draw: st.DrawFn) -> list[SlideObject]:
    count = draw(st.integers(1, 6))
    made: list[SlideObject] = []
    for i in range(count):
        ellipse = draw(st.booleans())
        kind = draw(st.sampled_from(["annotation", "detection", "tile", "cell"]))
        nucleus = draw(st.none() | boxes | triangles | holed) if kind == "cell" else None
        made.append(
            SlideObject(
                UUID(int=draw(st.integers(0, 2**100)) << 8 | i),
                draw(boxes if ellipse else st.one_of(boxes, triangles, holed, lines, points)),
                kind=kind,
                nucleus=nucleus,
                nucleus_is_ellipse=nucleus is not None and draw(st.booleans()),
                class_name=draw(st.none() | st.lists(words, min_size=1, max_size=3).map(": ".join)),
                color=draw(st.none() | st.integers(0, 0xFFFFFF)),
                name=draw(st.none() | texts),
                description=draw(st.none() | texts),
                measurements=draw(st.dictionaries(texts, st.floats(), max_size=3)),
                metadata=draw(st.dictionaries(texts, texts, max_size=3)),
                locked=draw(st.booleans()),
                is_ellipse=ellipse,
                c=draw(st.integers(-1, 9)),
                z=draw(st.integers(0, 9)),
                t=draw(st.integers(0, 9)),
                parent=draw(st.none() | st.sampled_from([m.id for m in made])) if made else None,
            )
        )
    return made


@settings(max_examples=60)
@given(slide_objects(), st.integers(0, 3))
def test_random_objects_come_back_equal(made: list[SlideObject], split: int) -> None:
    data = edit_qpdata(EMPTY, add=made[:split], class_colors={})
    data = edit_qpdata(data, add=made[split:], class_colors={})
    found = {o.id: o for o in read_qpdata(data).objects}
    assert len(found) == len(made)
    for asked in made:
        assert_equal(found[asked.id], asked)
    assert edit_qpdata(data, remove=[o.id for o in made], class_colors={}) == EMPTY


def assert_equal(came: SlideObject, asked: SlideObject) -> None:
    for name in (
        "kind", "class_name", "color", "name", "description", "metadata", "locked",
        "is_ellipse", "nucleus_is_ellipse", "missing", "c", "z", "t", "parent",
    ):  # fmt: skip
        assert getattr(came, name) == getattr(asked, name), name
    assert list(came.measurements) == list(asked.measurements)
    for a, b in zip(came.measurements.values(), asked.measurements.values(), strict=True):
        assert a == b or (math.isnan(a) and math.isnan(b))
    assert came.geometry.bounds == asked.geometry.bounds
    if not asked.is_ellipse and not came.geometry.equals_exact(asked.geometry, 0.0):
        assert shapely.equals(came.geometry, asked.geometry)
    if came.nucleus is None or asked.nucleus is None:
        assert came.nucleus is asked.nucleus
        return
    assert came.nucleus.bounds == asked.nucleus.bounds
    if not asked.nucleus_is_ellipse:
        assert shapely.equals(came.nucleus, asked.nucleus)


REAL = Path(__file__).resolve().parent.parent / "data" / "qupath" / "v0.5.1tma.qpdata"


@settings(max_examples=8)
@given(slide_objects(), st.data())
def test_random_edits_of_a_real_file_touch_nothing_else(
    made: list[SlideObject], draw: st.DataObject
) -> None:
    """Cells, tiles and cores of a real file get other classes; what goes in comes out again."""
    data = REAL.read_bytes()
    before = read_qpdata(data)
    hosts = st.none() | st.sampled_from([o.id for o in before.objects])
    made = [o if o.parent else dataclasses.replace(o, parent=draw.draw(hosts)) for o in made]
    some = st.lists(st.sampled_from(before.objects), max_size=5, unique_by=lambda o: o.id)
    changed = {
        o.id: dataclasses.replace(
            o, class_name=draw.draw(st.none() | words), name=draw.draw(st.none() | texts)
        )
        for o in draw.draw(some)
    }
    more = edit_qpdata(data, add=made, class_colors={})
    assert edit_qpdata(more, remove=[o.id for o in made], class_colors={}) == data
    now = read_qpdata(edit_qpdata(more, replace=list(changed.values()), class_colors={}))
    meant = {o.id: changed.get(o.id, o) for o in (*before.objects, *made)}
    assert {o.id for o in now.objects} == meant.keys()
    for came in now.objects:
        assert_equal(came, meant[came.id])
    rois = {d.object.id: (d.roi, d.nucleus_roi) for d in before.details}
    for detail in now.details:
        if detail.object.id in rois:
            assert (detail.roi, detail.nucleus_roi) == rois[detail.object.id]


@given(st.text(st.characters(), max_size=40))
def test_texts_survive_modified_utf8(text: str) -> None:
    raw = encode_modified_utf8(text)
    assert 0 not in raw
    assert not raw or max(raw) < 0xF0
    # Two surrogates that form a pair come back as the character that they stand for.
    paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    assert decode_modified_utf8(raw) == paired


def test_texts_beyond_the_short_form() -> None:
    long = "\N{GRINNING FACE}é" * 9000  # 72,000 bytes in modified UTF-8
    edge = "x" * 65535
    made = [
        SlideObject(UUID(int=1), box(0, 0, 1, 1), name=long, metadata={"k": edge}),
        SlideObject(UUID(int=2), box(0, 0, 1, 1), description=edge + "y", name=long),
    ]
    found = read_qpdata(edit_qpdata(EMPTY, add=made, class_colors={})).objects
    assert [o.name for o in found] == [long, long]
    assert found[0].metadata == {"k": edge}
    assert found[1].description == edge + "y"


def test_many_objects_alike_are_read_like_single_ones() -> None:
    """Recognising a layout gives what reading piece by piece gives."""
    made = [
        SlideObject(
            UUID(int=i + 1),
            [box(i, 0, i + 5, 7), Polygon([(0, 0), (i + 1, 0), (3, 9)]), Point(i, i),
             LineString([(i, 0), (1, 1), (2, i + 3)]), LineString([(0, 0), (1, i)])][i % 5],
            kind="cell" if i % 4 == 0 else "annotation",
            class_name=["A", "A: B", None][i % 3],
            name=f"n{i}" if i % 2 else None,
            description="d" * (i % 7) if i % 5 else None,
            measurements={"m": i / 3, "n": -1.0} if i % 3 else {},
            metadata={"qpgaze label": str(i), "fixed": "f"} if i % 2 else {},
            locked=i % 2 == 0,
            is_ellipse=i % 10 == 0,
            z=i % 3,
            nucleus=[None, box(i, 1, i + 2, 3), Polygon([(0, 0), (i + 1, 0), (2, 3)]),
                     box(0, 0, i + 9, 9).difference(box(1, 1, 2, 2))][i // 4 % 4]
            if i % 4 == 0 else None,
            nucleus_is_ellipse=i % 16 == 4 and i % 3 == 0,
        )
        for i in range(400)
    ]  # fmt: skip
    found = read_qpdata(edit_qpdata(EMPTY, add=made, class_colors={}))
    assert found.scan.rows  # otherwise this test looks at nothing
    for number, (came, detail, asked) in enumerate(
        zip(found.objects, found.details, made, strict=True), 1
    ):
        raw = found.scan.raw(number)
        assert detail.roi is not None
        assert came.class_name == (raw.path_class.name if raw.path_class else None)
        assert came.class_name == asked.class_name
        assert (came.name, came.description) == (raw.name, raw.description)
        assert (came.name, came.description) == (asked.name, asked.description)
        assert came.measurements == raw.measurements == asked.measurements
        assert came.metadata == raw.metadata == asked.metadata
        assert came.locked == raw.locked == asked.locked
        assert (came.c, came.z, came.t) == (-1, asked.z, 0)
        assert came.geometry.bounds == asked.geometry.bounds
        assert detail.nucleus_roi == raw.nucleus
        assert (came.nucleus is None) == (asked.nucleus is None)
        if came.nucleus is not None and asked.nucleus is not None:
            assert came.nucleus_is_ellipse == asked.nucleus_is_ellipse
            assert came.nucleus.bounds == asked.nucleus.bounds
