"""Adding, replacing and removing objects, on made files and on those of real QuPath versions."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import pytest
import shapely
from shapely.geometry import (
    GeometryCollection,
    LineString,
    MultiLineString,
    MultiPoint,
    MultiPolygon,
    Point,
    Polygon,
    box,
)

from qpgaze.bridge.qpdata import QpData, edit_qpdata, new_qpdata, read_qpdata
from qpgaze.errors import ConflictError, EntryError, ProjectError, UnsupportedDataError
from qpgaze.model import SlideObject

SPACE = UUID("00000000-0000-0000-0000-000000000e17")
COLORS = {"Keratin pearl": 0x1B9E77, "Tumor: Positive": 0x123456}
VERSIONS = [f"v{v}{g}" for v in ("0.3.2", "0.4.4", "0.5.1", "0.6.0", "0.7.0") for g in ("", "tma")]
HOLED = Polygon([(0, 0), (90, 0), (90, 80), (0, 80)], [[(10, 10), (20, 10), (20, 20)]])
SHAPES = {
    "RectangleROI": box(1.5, 2.25, 30.125, 40),
    "EllipseROI": box(10, 20, 50, 90),
    "PolygonROI": Polygon([(0, 0), (10.1, 0), (12, 7.3), (3, 12)]),
    "LineROI": LineString([(0.1, 0.2), (10.7, 5)]),
    "PolylineROI": LineString([(0, 0), (1, 5.5), (7, 0.1)]),
    "PointsROI": MultiPoint([(1, 2), (3.5, 4)]),
    "GeometryROI": HOLED,
}


def _uid(text: str) -> UUID:
    return uuid5(SPACE, text)


def every_kind() -> list[SlideObject]:
    """One object of each region kind, and some more shapes."""
    made = [
        SlideObject(
            _uid(kind),
            shape,
            class_name=["Tumor: Positive", "Keratin pearl", None][i % 3],
            name=f"new {i} \N{GRINNING FACE}",
            description="made by a test" if i % 2 else None,
            measurements={"Gaze: dwell ms": 12.5 * i, "none": math.nan},
            metadata={"qpgaze label": str(i), "qpgaze method": "gaze-discs"},
            locked=i % 2 == 0,
            is_ellipse=kind == "EllipseROI",
        )
        for i, (kind, shape) in enumerate(SHAPES.items())
    ]
    made.append(SlideObject(_uid("point"), Point(3, 4), kind="detection", color=0x445566))
    made.append(SlideObject(_uid("several"), MultiPolygon([box(0, 0, 1, 1), box(3, 3, 4, 5)])))
    made.append(SlideObject(_uid("plane"), box(0, 0, 9, 9), kind="tile", c=2, z=3, t=4))
    cell = SlideObject(_uid("cell"), box(0, 0, 9, 9), kind="cell", is_ellipse=True, z=1)
    inner = Polygon([(2, 2), (6.1, 2), (5, 7.3)])
    made.append(cell)
    made += [
        dataclasses.replace(cell, id=_uid(f"cell {i}"), nucleus=shape, nucleus_is_ellipse=round_)
        for i, (shape, round_) in enumerate(
            ((inner, False), (box(2, 3, 4, 5), True), (inner, False), (box(2, 3, 4, 5), False))
        )
    ]
    return made


def empty(image_type: str = "BRIGHTFIELD_H_E") -> bytes:
    server = {"builderType": "uri", "uri": "file:/slides/a%20b.tif", "args": []}
    return new_qpdata(server=server, qupath_version="0.5.1", image_type=image_type)


def same(found: SlideObject, asked: SlideObject, *, shape: bool = True) -> bool:
    """Whether two objects agree, measurements with NaN included."""
    apart = ("geometry", "measurements", "nucleus")
    fields = [f.name for f in dataclasses.fields(asked) if f.name not in apart]
    numbers = list(found.measurements.items()), list(asked.measurements.items())
    return (
        all(getattr(found, f) == getattr(asked, f) for f in fields)
        and repr(numbers[0]) == repr(numbers[1])
        and same_nucleus(found, asked)
        and (not shape or shapely.equals_exact(found.geometry, asked.geometry, 1e-5))
    )


def same_nucleus(found: SlideObject, asked: SlideObject) -> bool:
    if found.nucleus is None or asked.nucleus is None:
        return found.nucleus is asked.nucleus
    if asked.nucleus_is_ellipse:
        return found.nucleus.bounds == asked.nucleus.bounds
    return shapely.hausdorff_distance(found.nucleus, asked.nucleus) < 1e-5


def unchanged(before: QpData, after: QpData, without: set[UUID] | None = None) -> None:
    """Check that the old objects are all there, in order, with everything they had."""
    gone = without or set()
    new = {o.id for o in after.objects} - {o.id for o in before.objects}
    old = [d for d in before.details if d.object.id not in gone]
    left = [d for d in after.details if d.object.id not in new and d.object.id not in gone]
    assert len(old) == len(left)
    for a, b in zip(old, left, strict=True):
        assert repr((a.roi, a.nucleus_roi, a.class_color, a.color)) == repr(
            (b.roi, b.nucleus_roi, b.class_color, b.color)
        )
        if a.object.parent in gone:
            a = dataclasses.replace(a, object=dataclasses.replace(a.object, parent=b.object.parent))
        assert same(b.object, a.object)
    assert (before.header, before.locale, before.image_type, before.stains) == (
        after.header,
        after.locale,
        after.image_type,
        after.stains,
    )
    assert list(before.properties) == list(after.properties)


# -- new files -------------------------------------------------------------------------------------


def test_a_new_file_says_what_it_was_made_for() -> None:
    found = read_qpdata(empty())
    assert found.objects == ()
    assert found.qupath_version == "0.5.1"
    assert found.image_type == "BRIGHTFIELD_H_E"
    assert found.stains is None
    assert found.workflow_steps == 0
    assert found.properties == {}
    assert found.header["server"]["uri"] == "file:/slides/a%20b.tif"
    assert found.root_id is not None
    assert empty() == empty()


def test_an_unknown_image_type_is_refused() -> None:
    with pytest.raises(ProjectError, match="BRIGHTFIELD_H_E"):
        empty("PURPLE")


def test_every_kind_of_object_comes_back_as_it_was() -> None:
    made = every_kind()
    found = read_qpdata(edit_qpdata(empty(), add=made, class_colors=COLORS))
    assert len(found.objects) == len(made)
    for came, asked, detail in zip(found.objects, made, found.details, strict=True):
        ellipse = asked.is_ellipse
        assert same(came, asked, shape=not ellipse and detail.roi.kind != "RectangleROI")
        assert came.geometry.bounds == pytest.approx(asked.geometry.bounds, rel=1e-6)
        assert detail.id_stored
        assert math.isnan(detail.probability)
    assert [d.roi.kind for d in found.details[:7]] == list(SHAPES)
    assert found.details[7].roi.kind == "PointsROI"
    assert found.details[8].roi.kind == "GeometryROI"
    assert found.class_colors["Keratin pearl"] == 0x1B9E77
    assert found.class_colors["Tumor: Positive"] == 0x123456
    assert all(d.class_color is not None for d in found.details if d.object.class_name)


def test_new_objects_nest_under_new_and_old_ones() -> None:
    first = SlideObject(_uid("first"), box(0, 0, 100, 100))
    below = [SlideObject(_uid(f"b{i}"), box(i, i, i + 5, i + 5), parent=first.id) for i in range(3)]
    deeper = SlideObject(_uid("deeper"), box(1, 1, 2, 2), parent=below[1].id)
    data = edit_qpdata(empty(), add=[first, *below, deeper], class_colors={})
    late = SlideObject(_uid("late"), box(0, 0, 1, 1), parent=below[2].id)
    last = SlideObject(_uid("last"), box(0, 0, 1, 1), parent=first.id)
    found = read_qpdata(edit_qpdata(data, add=[late, last], class_colors={}))
    expected = [first, below[0], below[1], deeper, below[2], late, last]
    assert [o.id for o in found.objects] == [o.id for o in expected]
    assert [o.parent for o in found.objects] == [o.parent for o in expected]
    assert [d.depth for d in found.details] == [1, 2, 2, 3, 2, 3, 2]


def test_a_polygon_that_single_precision_would_break_is_kept_in_double() -> None:
    tiny = Polygon([(1e5, 1e5), (1e5 + 0.003, 1e5), (1e5, 1e5 + 0.003)])
    found = read_qpdata(edit_qpdata(empty(), add=[SlideObject(_uid("t"), tiny)], class_colors={}))
    assert found.details[0].roi.kind == "GeometryROI"
    assert found.objects[0].geometry.equals_exact(tiny, 0)


def test_a_class_the_file_has_keeps_its_colour() -> None:
    one = SlideObject(_uid("1"), box(0, 0, 1, 1), class_name="Tumor: Positive")
    data = edit_qpdata(empty(), add=[one], class_colors={"Tumor: Positive": 0x111111, "Tumor": 2})
    two = SlideObject(_uid("2"), box(0, 0, 1, 1), class_name="Tumor: Positive")
    three = SlideObject(_uid("3"), box(0, 0, 1, 1), class_name="Tumor")
    found = read_qpdata(
        edit_qpdata(data, add=[two, three], class_colors={"Tumor: Positive": 0x222222, "Tumor": 9})
    )
    assert [d.class_color & 0xFFFFFF for d in found.details] == [0x111111, 0x111111, 2]


def test_a_class_without_a_colour_gets_one() -> None:
    one = SlideObject(_uid("1"), box(0, 0, 1, 1), class_name="Never heard of")
    found = read_qpdata(edit_qpdata(empty(), add=[one], class_colors={}))
    assert found.details[0].class_color is not None


# -- edits of real files ---------------------------------------------------------------------------


def _real(shared_data: Path, name: str) -> bytes:
    return (shared_data / "qupath" / "versions" / f"{name}.qpdata").read_bytes()


@pytest.mark.shared_data
@pytest.mark.parametrize("name", VERSIONS)
def test_adding_and_removing_again_gives_the_very_same_bytes(shared_data: Path, name: str) -> None:
    data = _real(shared_data, name)
    before = read_qpdata(data)
    assert edit_qpdata(data, class_colors={}) == data
    made = every_kind()
    more = edit_qpdata(data, add=made, class_colors=COLORS)
    after = read_qpdata(more)
    unchanged(before, after)
    added = {o.id: o for o in after.objects if o.id in {m.id for m in made}}
    for asked in made:
        boxed = asked.is_ellipse or asked.geometry.equals(asked.geometry.envelope)
        assert same(added[asked.id], asked, shape=not boxed)
    assert added[_uid("RectangleROI")].parent is None
    # What is in front of the new objects kept every byte but the number of children.
    prefix = np.frombuffer(data, np.uint8)[:1500] != np.frombuffer(more, np.uint8)[:1500]
    assert prefix.sum() <= 4
    assert edit_qpdata(more, remove=[o.id for o in made], class_colors={}) == data


@pytest.mark.shared_data
@pytest.mark.parametrize("name", VERSIONS)
def test_old_objects_can_be_replaced_and_removed_anywhere(shared_data: Path, name: str) -> None:
    data = _real(shared_data, name)
    before = read_qpdata(data)
    objects = [o for o in before.objects if o.kind in ("annotation", "detection", "tile")]
    for i, old in enumerate([objects[0], objects[7], objects[-1]]):
        new = dataclasses.replace(every_kind()[i % 7], id=old.id, kind=old.kind, parent=UUID(int=7))
        child = SlideObject(_uid("child"), box(1, 1, 2, 2), parent=old.id)
        after = read_qpdata(edit_qpdata(data, replace=[new], add=[child], class_colors=COLORS))
        if before.details[0].id_stored:
            unchanged(before, after, {old.id})
        place = list(before.objects).index(old)
        came = after.objects[place]
        assert same(came, dataclasses.replace(new, parent=old.parent), shape=False)
        without = read_qpdata(edit_qpdata(data, remove=[old.id], class_colors={}))
        assert len(without.objects) == len(before.objects) - 1


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["v0.4.4", "v0.5.1tma", "v0.7.0tma"])
def test_children_of_a_removed_object_move_up_and_shared_values_stay(
    shared_data: Path, name: str
) -> None:
    # The first annotation holds fifty cells, the first descriptions of most classes, and texts
    # that others refer to.
    data = _real(shared_data, name)
    before = read_qpdata(data)
    parent = before.objects[0]
    after = read_qpdata(edit_qpdata(data, remove=[parent.id], class_colors={}))
    unchanged(before, after, {parent.id})
    assert {o.parent for o in after.objects} == {None}
    cells = [o for o in before.objects if o.kind == "cell"]
    fewer = read_qpdata(edit_qpdata(data, remove=[c.id for c in cells[::2]], class_colors={}))
    unchanged(before, fewer, {c.id for c in cells[::2]})


@pytest.mark.shared_data
def test_a_real_project_takes_edits_and_gives_them_back(shared_data: Path) -> None:
    for file in sorted((shared_data / "qupath" / "projects").rglob("data.qpdata")):
        data = file.read_bytes()
        more = edit_qpdata(data, add=every_kind(), class_colors=COLORS)
        unchanged(read_qpdata(data), read_qpdata(more))
        ids = [o.id for o in every_kind()]
        assert edit_qpdata(more, remove=ids, class_colors={}) == data
        replaced = edit_qpdata(more, replace=every_kind()[:10], class_colors=COLORS)
        unchanged(read_qpdata(more), read_qpdata(replaced))


@pytest.mark.shared_data
@pytest.mark.parametrize("name", VERSIONS)
def test_cells_get_other_classes_nuclei_and_shapes(shared_data: Path, name: str) -> None:
    data = _real(shared_data, name)
    before = read_qpdata(data)
    cells = [d for d in before.details if d.object.kind == "cell"]
    with_nucleus = [d for d in cells if d.nucleus is not None]
    without = next(d for d in cells if d.nucleus is None)
    first, second, third = with_nucleus[0], with_nucleus[1], with_nucleus[-1]
    change = [
        dataclasses.replace(first.object, class_name="Keratin pearl", name="same shape"),
        dataclasses.replace(second.object, nucleus=HOLED, nucleus_is_ellipse=False),
        dataclasses.replace(third.object, nucleus=None, nucleus_is_ellipse=False, locked=True),
        dataclasses.replace(
            without.object,
            geometry=box(1, 2, 30, 40),
            is_ellipse=False,
            nucleus=box(3, 4, 20, 30),
            nucleus_is_ellipse=True,
        ),
    ]
    after = read_qpdata(edit_qpdata(data, replace=change, class_colors=COLORS))
    if first.id_stored:
        unchanged(before, after, {o.id for o in change})
    came = [after.details[before.objects.index(d.object)] for d in (first, second, third, without)]
    assert (came[0].roi, came[0].nucleus_roi) == (first.roi, first.nucleus_roi)
    assert same(came[0].object, change[0])
    assert came[1].roi == second.roi
    assert came[1].nucleus_roi.kind == "GeometryROI"
    assert came[1].object.nucleus.equals_exact(HOLED, 0.0)
    assert (came[2].nucleus_roi, came[2].object.locked) == (None, True)
    assert [came[3].roi.kind, came[3].nucleus_roi.kind] == ["RectangleROI", "EllipseROI"]
    assert came[3].object.nucleus.bounds == (3, 4, 20, 30)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", VERSIONS[1::2])
def test_cores_keep_their_place_in_the_grid(shared_data: Path, name: str) -> None:
    data = _real(shared_data, name)
    before = read_qpdata(data)
    cores = [d for d in before.details if d.object.kind == "tma_core"]
    change = [
        dataclasses.replace(
            core.object,
            name=f"core {i}",
            class_name="Keratin pearl",
            missing=not core.object.missing,
            metadata={**core.object.metadata, "Case ID": "17"},
            measurements={"n": 0.5},
            locked=True,
        )
        for i, core in enumerate(cores)
    ]
    below = SlideObject(_uid("below"), box(0, 0, 5, 5), parent=cores[2].object.id)
    more = edit_qpdata(data, replace=change, add=[below], class_colors=COLORS)
    after = read_qpdata(more)
    if cores[0].id_stored:
        unchanged(before, after, {o.id for o in change})
    places = [before.objects.index(core.object) for core in cores]
    for core, asked, place in zip(cores, change, places, strict=True):
        came = after.details[place + (place > places[2])]
        assert same(came.object, asked)
        assert came.roi == core.roi
        assert came.missing == asked.missing
    back = [core.object for core in cores]
    again = read_qpdata(edit_qpdata(more, replace=back, remove=[below.id], class_colors={}))
    if cores[0].id_stored:
        unchanged(before, again)


@pytest.mark.shared_data
def test_the_grid_is_left_to_qupath(shared_data: Path) -> None:
    data = _real(shared_data, "v0.5.1tma")
    found = read_qpdata(data)
    core = next(o for o in found.objects if o.kind == "tma_core")
    detection = next(o for o in found.objects if o.kind == "detection")
    x, y, x2, y2 = core.geometry.bounds
    for change, words in (
        ({"remove": [core.id]}, "not removed"),
        ({"add": [dataclasses.replace(core, id=_uid("c"))]}, "no TMA grid"),
        ({"replace": [dataclasses.replace(core, z=1)]}, "another shape or place"),
        ({"replace": [dataclasses.replace(core, is_ellipse=False)]}, "another shape or place"),
        (
            {"replace": [dataclasses.replace(core, geometry=box(x, y, x2, y2 + 1))]},
            "another shape or place",
        ),
        ({"replace": [dataclasses.replace(detection, kind="cell")]}, "in place of the detection"),
    ):
        with pytest.raises(UnsupportedDataError, match=words):
            edit_qpdata(data, class_colors={}, **change)


def test_a_shape_that_we_would_not_write_stays_when_the_class_changes() -> None:
    square = SlideObject(_uid("s"), Polygon([(0, 0), (9, 0), (9, 8), (0, 5)]))
    data = edit_qpdata(empty(), add=[square], class_colors={})
    x = np.array([0, 9, 9, 0], ">f4").tobytes()
    crossed = data.replace(x, np.array([0, 9, 0, 7], ">f4").tobytes())
    (bow,) = read_qpdata(crossed).objects
    assert not bow.geometry.is_valid
    other = dataclasses.replace(bow, class_name="Keratin pearl")
    (came,) = read_qpdata(edit_qpdata(crossed, replace=[other], class_colors=COLORS)).objects
    assert same(came, other)
    with pytest.raises(ProjectError, match="crosses itself"):
        edit_qpdata(crossed, replace=[dataclasses.replace(other, z=1)], class_colors=COLORS)


# -- refusals --------------------------------------------------------------------------------------

BAD_SHAPES = {
    "empty": (Polygon(), "empty"),
    "not a number": (Point(math.nan, 1), "finite"),
    "endless": (box(0, 0, math.inf, 5), "finite"),
    "beyond single precision": (box(0, 0, 1e39, 5), "finite"),
    "flat": (Polygon([(0, 0), (5, 0), (9, 0)]), "extent"),
    "one point": (box(3, 3, 3, 3), "extent"),
    "bow tie": (Polygon([(0, 0), (5, 5), (5, 0), (0, 6)]), "crosses itself"),
    "overlapping parts": (MultiPolygon([box(0, 0, 5, 5), box(1, 1, 6, 6)]), "crosses itself"),
    "no length": (LineString([(1, 1), (1, 1)]), "extent"),
    "several lines": (MultiLineString([[(0, 0), (1, 1)], [(2, 2), (3, 3)]]), "several"),
    "a mixture": (GeometryCollection([Point(1, 1), box(0, 0, 1, 1)]), "several"),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_bad_shapes_are_refused_by_name(name: str) -> None:
    shape, reason = BAD_SHAPES[name]
    bad = SlideObject(_uid("bad"), shape, name="pearl 7")
    good = SlideObject(_uid("good"), box(0, 0, 1, 1))
    with pytest.raises(ProjectError, match=reason) as caught:
        edit_qpdata(empty(), add=[good, bad], class_colors={})
    assert "pearl 7" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"class_name": "a:b"},
        {"class_name": ""},
        {"class_name": "A: "},
        {"class_name": "two\nlines"},
        {"kind": "tma_core"},
        {"kind": "nonsense"},
        {"metadata": {"Object ID": "x"}},
        {"metadata": {"n": 3}},
        {"measurements": {"n": "3"}},
        {"nucleus": box(0, 0, 1, 1)},
        {"missing": True},
        {"kind": "cell", "nucleus": Polygon()},
        {"kind": "cell", "nucleus": Point(1, 1)},
        {"kind": "cell", "nucleus": Polygon([(0, 0), (5, 5), (5, 0), (0, 6)])},
    ],
)
def test_what_qupath_could_not_keep_is_refused(change: dict[str, object]) -> None:
    bad = dataclasses.replace(SlideObject(_uid("bad"), box(0, 0, 1, 1)), **change)
    with pytest.raises(ProjectError, match=str(bad.id)):
        edit_qpdata(empty(), add=[bad], class_colors={})


def test_ids_must_fit() -> None:
    one, two = (SlideObject(_uid(n), box(0, 0, 1, 1)) for n in "12")
    data = edit_qpdata(empty(), add=[one], class_colors={})
    with pytest.raises(ConflictError, match="already"):
        edit_qpdata(data, add=[one], class_colors={})
    with pytest.raises(ConflictError, match="twice"):
        edit_qpdata(data, replace=[one], remove=[one.id], class_colors={})
    for wrong in ({"replace": [two]}, {"remove": [two.id]}):
        with pytest.raises(EntryError, match=str(two.id)):
            edit_qpdata(data, class_colors={}, **wrong)
    below = dataclasses.replace(two, parent=one.id)
    with pytest.raises(EntryError, match="removed"):
        edit_qpdata(data, add=[below], remove=[one.id], class_colors={})
    with pytest.raises(EntryError, match="no object"):
        edit_qpdata(data, add=[dataclasses.replace(two, parent=_uid("x"))], class_colors={})


def test_an_id_that_two_objects_bear_is_not_edited() -> None:
    one, two = (SlideObject(_uid(n), box(0, 0, 1, 1)) for n in "12")
    data = edit_qpdata(empty(), add=[one, two], class_colors={})
    twins = data.replace(str(two.id).encode(), str(one.id).encode())
    assert len(read_qpdata(twins).objects) == 2
    with pytest.raises(ConflictError, match="Several"):
        edit_qpdata(twins, remove=[one.id], class_colors={})


def test_a_class_described_otherwise_is_not_written_to() -> None:
    one, two = (SlideObject(_uid(n), box(0, 0, 1, 1)) for n in "12")
    data = edit_qpdata(empty(), add=[one], class_colors={})
    name = b"qupath.lib.roi.RectangleROI$SerializationProxy"
    at = data.index(name) + len(name)
    other = data[:at] + bytes(7) + b"\x02" + data[at + 8 :]
    assert len(read_qpdata(other).objects) == 1
    with pytest.raises(UnsupportedDataError, match="RectangleROI"):
        edit_qpdata(other, add=[two], class_colors={})
    assert edit_qpdata(other, remove=[one.id], class_colors={}) == empty()
