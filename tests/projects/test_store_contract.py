"""What every backend of a project does alike."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.projects.protocol import Entry, Project
from qpgaze.errors import ConflictError, EntryError, ProjectError, SlideError, UsageError
from qpgaze.model import SlideObject

Make = Callable[..., SlideObject]


@pytest.fixture
def backend(way: str) -> str:
    """Every backend there is."""
    return "live" if way.startswith("window ") else way


@pytest.fixture
def project(tmp_path: Path, picture: Path, backend: str, show: Callable[[Path], None]) -> Path:
    """A project with one image and no objects."""
    with create_project(tmp_path / "study", backend=backend) as made:
        made.add_image(picture, metadata={"patient": "P1"})
        made.commit()
    show(tmp_path / "study")
    return tmp_path / "study"


def only(opened: Project) -> Entry:
    (entry,) = opened.entries
    return entry


def assert_alike(came: Sequence[SlideObject], meant: Sequence[SlideObject]) -> None:
    """Same objects, whatever their order; shapes to what QuPath keeps of them."""
    there = {item.id: item for item in came}
    assert there.keys() == {item.id for item in meant}
    for item in meant:
        one, other = dataclasses.asdict(item), dataclasses.asdict(there[item.id])
        for shape in ("geometry", "nucleus"):
            del one[shape], other[shape]
        assert str(one) == str(other)
        assert_same_shape(there[item.id].geometry, item.geometry, item.is_ellipse)
        assert (there[item.id].nucleus is None) == (item.nucleus is None)
        if item.nucleus is not None:
            assert_same_shape(there[item.id].nucleus, item.nucleus, item.nucleus_is_ellipse)


def assert_same_shape(
    came: BaseGeometry | None, meant: BaseGeometry, is_ellipse: bool = False
) -> None:
    assert came is not None
    if is_ellipse:
        assert came.bounds == meant.bounds
        return
    assert came.geom_type == meant.geom_type
    assert shapely.hausdorff_distance(came, meant) < 0.01
    np.testing.assert_allclose(came.area, meant.area, rtol=1e-3, atol=0.01 * meant.length)


def test_a_new_project_lists_its_image(project: Path, picture: Path, backend: str) -> None:
    with open_project(project, backend=backend) as opened:
        assert opened.backend == backend
        entry = only(opened)
        assert (entry.id, entry.name) == ("1", picture.name)
        assert entry.metadata == {"patient": "P1"}
        assert (entry.width_px, entry.height_px) == (300, 200)
        assert entry.image_path() == picture
        assert entry.objects() == ()
        assert opened.entry("1").id == opened.entry(picture.name).id == "1"


def test_every_shape_and_field_comes_back(project: Path, make_object: Make, backend: str) -> None:
    ring = shapely.Point(150, 100).buffer(30).difference(shapely.Point(150, 100).buffer(10))
    two = shapely.union_all([shapely.Point(30, 30).buffer(9), shapely.Point(90, 30).buffer(9)])
    meant = [
        make_object(1),
        make_object(2, geometry=shapely.box(10.25, 20.5, 60, 80), color=0x0A141E, locked=True),
        make_object(3, geometry=ring, class_name="Tumor: Positive", description="zwei\nZeilen µ"),
        make_object(4, geometry=two, name=None, class_name=None, metadata={}, measurements={}),
        make_object(5, geometry=shapely.Point(3, 4)),
        make_object(6, geometry=shapely.MultiPoint([(3, 4), (5.5, 6)])),
        make_object(7, geometry=shapely.LineString([(0, 0), (10, 10), (20, 0.5)])),
        make_object(8, geometry=shapely.LineString([(0, 0), (10, 12.5)])),
        make_object(9, z=2, t=1, c=0),
        make_object(10, kind="detection"),
        make_object(11, measurements={"n": math.nan, "p": 1e-300, "q": -2.5}, name="😀 ü"),
        make_object(12, kind="detection", measurements={"no single": 0.1}, description="there"),
        make_object(13, kind="tile", geometry=shapely.box(64, 0, 128, 64), z=1),
        make_object(14, kind="cell"),
        make_object(15, kind="cell", nucleus=shapely.Point(153, 3).buffer(2), t=2),
        make_object(
            16,
            kind="cell",
            geometry=shapely.box(160, 0, 168, 8),
            is_ellipse=True,
            nucleus=shapely.box(162, 2, 166, 7),
            nucleus_is_ellipse=True,
            locked=True,
        ),
        make_object(17, kind="cell", nucleus=ring, z=1),
    ]
    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).add(meant)
        assert_alike(only(opened).objects(), meant)
        opened.commit()
        assert_alike(only(opened).objects(), meant)
    with open_project(project, backend=backend) as opened:
        assert_alike(only(opened).objects(), meant)
        assert list(opened.classes) == ["Keratin pearl", "Tumor: Positive"]


def test_ellipses_keep_their_bounds(project: Path, make_object: Make, backend: str) -> None:
    round_ = make_object(1, geometry=shapely.box(10, 20, 50, 40), is_ellipse=True)
    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).add([round_])
        opened.commit()
        (back,) = only(opened).objects()
    assert back.is_ellipse
    assert back.geometry.bounds == (10, 20, 50, 40)
    np.testing.assert_allclose(back.geometry.area, math.pi * 20 * 10, rtol=0.01)


@pytest.mark.qupath
def test_both_backends_read_what_either_wrote(
    project: Path, make_object: Make, backend: str, qupath: str
) -> None:
    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).add([make_object(n) for n in range(1, 30)])
        opened.commit()
    read = []
    for other in ("embedded", "paquo"):
        with open_project(project, backend=other) as opened:
            read.append(only(opened).objects())
    assert_alike(*read)


def test_objects_lie_under_their_parents(project: Path, make_object: Make, backend: str) -> None:
    top = make_object(1, geometry=shapely.box(0, 0, 100, 100))
    middle = make_object(2, geometry=shapely.box(0, 0, 50, 50), parent=top.id)
    low = make_object(3, geometry=shapely.box(0, 0, 20, 20), parent=middle.id)
    with open_project(project, mode="r+", backend=backend) as opened:
        entry = only(opened)
        entry.add([low, middle, top])  # order does not matter
        opened.commit()
        ids = [item.id for item in entry.objects()]
        assert ids == [top.id, middle.id, low.id]
        entry.replace([dataclasses.replace(middle, name="other", parent=None)])
        opened.commit()
        parents = {item.name: item.parent for item in entry.objects()}
        assert parents == {"label 1": None, "other": top.id, "label 3": middle.id}
        entry.remove([middle.id])
        assert {i.id: i.parent for i in entry.objects()} == {top.id: None, low.id: top.id}
        opened.commit()
    with open_project(project, backend=backend) as opened:
        assert {i.id: i.parent for i in only(opened).objects()} == {top.id: None, low.id: top.id}


def test_replace_and_remove(project: Path, make_object: Make, backend: str) -> None:
    first, second, third = (make_object(n) for n in (1, 2, 3))
    better = dataclasses.replace(
        second, geometry=shapely.box(1, 2, 30, 40), class_name="Tumor", measurements={"a": 1.0}
    )
    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).add([first, second])
        opened.commit()
        only(opened).replace([better])
        only(opened).remove([first.id])
        only(opened).add([third])
        opened.commit()
    with open_project(project, mode="r+", backend=backend) as opened:
        assert_alike(only(opened).objects(), [better, third])
        only(opened).add([first])
        only(opened).remove([first.id])
        opened.commit()
        assert_alike(only(opened).objects(), [better, third])
        only(opened).remove([third.id])
        only(opened).add([third])
        opened.commit()
    with open_project(project, backend=backend) as opened:
        assert_alike(only(opened).objects(), [better, third])


def test_cells_are_changed_and_keep_what_lies_under_them(
    project: Path, make_object: Make, backend: str
) -> None:
    region = make_object(1, geometry=shapely.box(0, 0, 100, 100))
    cell = make_object(2, kind="cell", nucleus=shapely.box(22, 2, 25, 5), parent=region.id)
    tile = make_object(3, kind="tile", parent=region.id)
    low = make_object(4, kind="detection", parent=cell.id)
    bare = make_object(5, kind="cell")
    other_class = dataclasses.replace(cell, class_name="Tumor: Positive")
    moved = dataclasses.replace(other_class, nucleus=shapely.Point(24, 4).buffer(2), locked=True)
    with open_project(project, mode="r+", backend=backend) as opened:
        entry = only(opened)
        entry.add([region, cell, tile, low, bare])
        opened.commit()
        for now in (other_class, moved, dataclasses.replace(moved, nucleus=None)):
            entry.replace([now, dataclasses.replace(tile, name="again")])
            opened.commit()
            there = {item.id: item for item in entry.objects()}
            assert_alike([there[cell.id]], [now])
            assert there[low.id].parent == cell.id
        entry.replace([dataclasses.replace(bare, nucleus=shapely.box(42, 2, 44, 4))])
        entry.remove([cell.id, tile.id])
        opened.commit()
        assert {item.id: item.parent for item in entry.objects()} == {
            region.id: None,
            low.id: region.id,
            bare.id: None,
        }
        with pytest.raises(ProjectError, match="cannot become a detection"):
            entry.replace([dataclasses.replace(bare, kind="detection")])


def test_nothing_is_written_without_commit(
    project: Path,
    make_object: Make,
    backend: str,
    contents: Callable[[Path], dict[str, bytes]],
) -> None:
    before = contents(project)
    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).add([make_object(1)])
        opened.add_classes({"New": None})

    def fails() -> None:
        with open_project(project, mode="r+", backend=backend) as opened:
            only(opened).add([make_object(1)])
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fails()
    with open_project(project, mode="r+", backend=backend) as opened:
        opened.commit()
    assert contents(project) == before


def test_an_id_comes_once(project: Path, make_object: Make, backend: str) -> None:
    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).add([make_object(1)])
        with pytest.raises(ConflictError, match="already has"):
            only(opened).add([make_object(1)])
        with pytest.raises(ConflictError, match="already has"):
            only(opened).add([make_object(2), make_object(2)])
        opened.commit()
        with pytest.raises(ConflictError, match="already has"):
            only(opened).add([make_object(1)])
        assert len(only(opened).objects()) == 1


def test_unknown_ids_are_refused(project: Path, make_object: Make, backend: str) -> None:
    with open_project(project, mode="r+", backend=backend) as opened:
        with pytest.raises(EntryError, match="no object"):
            only(opened).replace([make_object(1)])
        with pytest.raises(EntryError, match="no object"):
            only(opened).remove([UUID(int=5)])
        with pytest.raises(ProjectError, match="does not have"):
            only(opened).add([make_object(1, parent=uuid4())])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"geometry": shapely.Polygon()}, "empty"),
        ({"geometry": shapely.Polygon([(0, 0), (5, 5), (5, 0), (0, 5)])}, "not valid"),
        ({"geometry": shapely.Point(math.nan, 1)}, "empty|no numbers"),
        ({"geometry": shapely.LineString([(0, 0), (math.inf, 1)])}, "no numbers|not valid"),
        ({"geometry": shapely.MultiLineString([[(0, 0), (1, 1)], [(3, 3), (4, 4)]])}, "no Multi"),
        ({"geometry": None}, "missing"),
        ({"geometry": shapely.box(0, 0, 5, 5).exterior}, "no LinearRing"),
        ({"class_name": "a\nb"}, "no class name"),
        ({"class_name": "a:b"}, "no class name"),
        ({"class_name": ""}, "no class name"),
        ({"measurements": {"a": "many"}}, "no number"),
        ({"metadata": {"a": 1}}, "no text"),
        ({"kind": "tma_core"}, "belongs to a grid"),
        ({"kind": "nonsense"}, "no kind of object"),
        ({"nucleus": shapely.box(0, 0, 1, 1)}, "has no nucleus"),
        ({"missing": True}, "cannot be missing"),
        ({"kind": "cell", "nucleus": shapely.Polygon()}, "its nucleus is empty"),
        ({"kind": "cell", "nucleus": shapely.Point(1, 1)}, "no area"),
        ({"color": -3670016}, "no colour"),
    ],
)
def test_what_qupath_would_bend_is_refused(
    project: Path, make_object: Make, backend: str, changes: dict[str, object], words: str
) -> None:
    with open_project(project, mode="r+", backend=backend) as opened:
        with pytest.raises(ProjectError, match=words):
            only(opened).add([make_object(1), make_object(2, **changes)])
        assert only(opened).objects() == ()


def test_classes_are_appended(project: Path, make_object: Make, backend: str) -> None:
    with open_project(project, mode="r+", backend=backend) as opened:
        opened.add_classes({"Zebra": 0x123456, "Ant": None})
        opened.commit()
        opened.add_classes({"Zebra": 0, "Bee": 0x00FF00})
        only(opened).add([make_object(1, class_name="Ant"), make_object(2, class_name="Cow")])
        opened.commit()
    with open_project(project, backend=backend) as opened:
        assert list(opened.classes) == ["Zebra", "Ant", "Bee", "Cow"]
        assert opened.classes["Zebra"] == 0x123456
        assert opened.classes["Bee"] == 0x00FF00
    raw = json.loads((project / "classifiers" / "classes.json").read_text(encoding="utf-8"))
    assert raw["pathClasses"][0] == {"name": "Zebra", "color": 0x123456 - (1 << 24)}


def test_a_change_by_another_is_built_upon(project: Path, make_object: Make, backend: str) -> None:
    first, second, third = (make_object(n) for n in (1, 2, 3))
    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).add([first, second])
        opened.commit()
    ours = open_project(project, mode="r+", backend=backend)
    better = dataclasses.replace(first, geometry=shapely.box(1, 2, 30, 40))
    only(ours).replace([better])
    only(ours).add([third, make_object(4, parent=first.id)])
    with open_project(project, mode="r+", backend=backend) as theirs:
        only(theirs).add([make_object(5), third])  # the same as ours wants to add
        only(theirs).replace([dataclasses.replace(second, class_name="Tumor")])
        theirs.add_classes({"Bee": 0x00FF00})
        theirs.commit()
    ours.commit()
    meant = [
        better,
        dataclasses.replace(second, class_name="Tumor"),
        third,
        make_object(4, parent=first.id),
        make_object(5),
    ]
    with open_project(project, backend=backend) as opened:
        assert_alike(only(opened).objects(), meant)
        assert list(opened.classes) == ["Keratin pearl", "Bee", "Tumor"]


def test_what_another_changed_is_never_written_over(
    project: Path, make_object: Make, backend: str, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    first, second = make_object(1), make_object(2)

    def ours(work: Callable[[Entry], None], theirs: Callable[[Entry], None], words: str) -> None:
        with open_project(project, mode="r+", backend=backend) as opened:
            work(only(opened))
            with open_project(project, mode="r+", backend=backend) as other:
                theirs(only(other))
                other.commit()
            before = contents(project)
            with pytest.raises(ConflictError, match=words):
                opened.commit()
            assert contents(project) == before

    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).add([first, second])
        opened.commit()
    better = dataclasses.replace(first, geometry=shapely.box(1, 2, 30, 40))
    moved = dataclasses.replace(first, geometry=shapely.box(5, 5, 6, 6))
    ours(lambda e: e.replace([better]), lambda e: e.replace([moved]), "got another shape")
    ours(lambda e: e.remove([first.id]), lambda e: e.replace([better]), "got another shape")
    ours(lambda e: e.replace([moved]), lambda e: e.remove([first.id]), "was removed")
    ours(
        lambda e: e.add([make_object(3)]),
        lambda e: e.add([make_object(3, class_name="Other")]),
        "added an object",
    )
    ours(
        lambda e: e.add([make_object(4, parent=second.id)]),
        lambda e: e.remove([second.id]),
        "under which others",
    )
    # Both removed it: that goes together.
    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).remove([make_object(3).id])
        with open_project(project, mode="r+", backend=backend) as other:
            only(other).remove([make_object(3).id])
            other.commit()
        opened.commit()
        assert only(opened).objects() == ()


def test_two_that_add_an_image_do_not_share_an_id(
    project: Path, picture: Path, tmp_path: Path, make_object: Make, backend: str
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(picture.read_bytes())
    another = tmp_path / "another.png"
    another.write_bytes(picture.read_bytes())
    first = open_project(project, mode="r+", backend=backend)
    second = open_project(project, mode="r+", backend=backend)
    third = open_project(project, mode="r+", backend=backend)
    first.add_image(other)
    added = second.add_image(another)
    added.add([make_object(1)])
    third.add_image(other)
    first.commit()
    second.commit()
    assert added.id == "3"
    with pytest.raises(ConflictError, match="already has"):
        third.commit()
    with open_project(project, backend=backend) as opened:
        assert [(e.id, e.name) for e in opened.entries] == [
            ("1", picture.name),
            ("2", "other.png"),
            ("3", "another.png"),
        ]
        assert_alike(opened.entry("3").objects(), [make_object(1)])
        assert opened.entry("2").objects() == ()


def test_an_image_that_another_took_away_is_not_brought_back(
    project: Path, make_object: Make, backend: str
) -> None:
    with open_project(project, mode="r+", backend=backend) as opened:
        only(opened).add([make_object(1)])
        file = opened.path
        raw = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps({**raw, "images": []}), "utf-8")
        with pytest.raises(ConflictError, match="was removed from the project"):
            opened.commit()
        raw["images"][0]["serverBuilder"]["uri"] = "file:/elsewhere.png"
        file.write_text(json.dumps(raw), "utf-8")
        with pytest.raises(ConflictError, match="is another since"):
            opened.commit()
        file.unlink()
        with pytest.raises(ConflictError, match="project rescue"):
            opened.commit()
    assert not (project / "data" / "1" / "data.qpdata.bkp").exists()


def test_images_are_checked_before_they_are_added(
    project: Path, picture: Path, tmp_path: Path, backend: str
) -> None:
    with open_project(project, mode="r+", backend=backend) as opened:
        with pytest.raises(ConflictError, match="already has"):
            opened.add_image(picture)
        with pytest.raises(SlideError):
            opened.add_image(tmp_path / "missing.svs")
        (tmp_path / "no.png").write_bytes(b"not a picture")
        with pytest.raises(SlideError):
            opened.add_image(tmp_path / "no.png")
        with pytest.raises(UsageError, match="image type"):
            opened.add_image(tmp_path / "no.png", image_type="H&E")
        assert len(opened.entries) == 1


def test_reading_does_not_write(
    project: Path, make_object: Make, backend: str, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    before = contents(project)
    with open_project(project, backend=backend) as opened:
        for call in (
            lambda: only(opened).add([make_object(1)]),
            lambda: opened.add_classes({"A": None}),
            opened.commit,
        ):
            with pytest.raises(UsageError, match="reading only"):
                call()
        only(opened).objects()
    assert contents(project) == before
    with pytest.raises(ProjectError, match="closed"):
        only(opened).objects()


def test_names_that_two_bear_are_refused(
    project: Path, picture: Path, tmp_path: Path, backend: str
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(picture.read_bytes())
    with open_project(project, mode="r+", backend=backend) as opened:
        added = opened.add_image(other, name=picture.name)
        assert added.id == "2"
        opened.commit()
        with pytest.raises(EntryError, match=r"their ids are 1, 2"):
            opened.entry(picture.name)
        with pytest.raises(EntryError, match="no image 'x'"):
            opened.entry("x")
        assert opened.entry("2") is added


def test_objects_of_a_new_image_go_with_it(
    tmp_path: Path, picture: Path, make_object: Make, backend: str, show: Callable[[Path], None]
) -> None:
    with create_project(tmp_path / "new", backend=backend) as made:
        entry = made.add_image(picture)
        entry.add([make_object(1), make_object(2)])
        made.commit()
        assert_alike(entry.objects(), [make_object(1), make_object(2)])
    show(tmp_path / "new")
    with open_project(tmp_path / "new", backend=backend) as opened:
        assert_alike(only(opened).objects(), [make_object(1), make_object(2)])
