"""Objects from GeoJSON files into a project, on the command line and through the store."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import shapely

from qpgaze.bridge import open_project
from qpgaze.bridge.geojson import import_geojson, to_geojson, write_geojson
from qpgaze.cli.app import run
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

Make = Callable[..., SlideObject]
Write = Callable[..., Path]


def objects_of(project: Path) -> dict[Any, SlideObject]:
    with open_project(project, backend="embedded") as opened:
        return {item.id: item for item in opened.entry("1").objects()}


def feature(geometry: Any, name: str = "x", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {"objectType": "annotation", "name": name, **properties},
    }


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


SQUARE = polygon([[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]])
INNER = polygon([[2, 2], [4, 2], [4, 5], [2, 5], [2, 2]])


def flat(item: SlideObject) -> bool:
    """QuPath keeps rectangles of no width and no height, which we refuse."""
    return item.geometry.geom_type == "Polygon" and item.geometry.area == 0


def test_what_was_written_comes_in_whole(
    project: Path, make_object: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = make_object(1, geometry=shapely.box(0, 0, 90, 90), description="told", locked=True)
    low = make_object(2, parent=top.id, kind="detection", color=0x0A141E, z=2, t=1, c=0)
    round_ = make_object(3, geometry=shapely.box(1, 1, 9, 7), is_ellipse=True, parent=low.id)
    other = make_object(4, class_name="Tumor: Big", measurements={"n": math.nan})
    meant = {one.id: one for one in (top, low, round_, other)}
    out = tmp_path / "out.geojson"
    write_geojson(out, list(meant.values()), {"Tumor: Big": 0x123456, "Keratin pearl": 0xABCDEF})
    assert run(["project", "import", str(project), str(out), "--backend", "embedded"]) == 0
    assert capsys.readouterr().out == "picture.png: 4 added\n"
    found = objects_of(project)
    assert found.keys() == meant.keys()
    for identity, item in meant.items():
        one, two = found[identity], item
        shape = shapely.box(0, 0, 1, 1)
        assert str(dataclasses.replace(one, geometry=shape)) == str(
            dataclasses.replace(two, geometry=shape)
        )
        assert one.geometry.bounds == pytest.approx(two.geometry.bounds, abs=0.01)
    with open_project(project, backend="embedded") as opened:
        assert opened.classes == {"Tumor: Big": 0x123456, "Keratin pearl": 0xABCDEF}
    before = (project / "data" / "1" / "data.qpdata").read_bytes()
    assert run(["project", "import", str(project), str(out), "--backend", "embedded"]) == 0
    assert capsys.readouterr().out == "picture.png: 4 there already, skipped\n"
    assert (project / "data" / "1" / "data.qpdata").read_bytes() == before


def test_replace_takes_the_files_word(project: Path, make_object: Make, write: Write) -> None:
    first = [make_object(1), make_object(2)]
    second = [make_object(2, name="better"), make_object(3)]
    for objects, replace in ((first, False), (second, True)):
        path = write(to_geojson(objects, {}))
        with open_project(project, mode="r+", backend="embedded") as opened:
            done = import_geojson(opened, opened.entry("1"), path, replace=replace)
            opened.commit()
    assert (done.added, done.replaced, done.skipped) == (1, 1, 0)
    assert sorted(str(one.name) for one in objects_of(project).values()) == [
        "better", "label 1", "label 3",
    ]  # fmt: skip


def test_one_bad_feature_and_nothing_is_written(
    project: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [
        feature(None, "nothing"),
        feature({"type": "Point", "coordinates": [1, math.nan]}, "nowhere"),
        feature(polygon([[0, 0], [5, 5], [9, 9], [0, 0]]), "flat"),
        feature(SQUARE, "core", objectType="tmaCore"),
        feature(SQUARE, "endless", measurements={"ratio": "Infinity"}),
        feature(SQUARE, "odd", classification="a:b"),
        feature({"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]], [[2, 2], [3, 3]]]}),
        feature(SQUARE, "twice") | {"id": "11111111-2222-3333-4444-555555555555"},
        feature(SQUARE, "again") | {"id": "11111111-2222-3333-4444-555555555555"},
    ]
    path = write({"type": "FeatureCollection", "features": [feature(SQUARE, "good"), *bad]})
    before = (project / "data" / "1" / "data.qpdata").read_bytes()
    arguments = ["project", "import", str(project), str(path), "--backend", "embedded"]
    assert run(arguments) == 2
    said = capsys.readouterr().err
    for words in (
        "8 of 10 features cannot be written; nothing was changed",
        "Feature 2 ('nothing'): its shape is empty",
        "Feature 3 ('nowhere'): its shape has coordinates that are no numbers",
        "Feature 4 ('flat'): its shape has no area",
        "Feature 5 ('core'): a TMA core belongs to a grid, which only QuPath makes",
        "Feature 6 ('endless'): its measurement 'ratio' is infinite",
        "Feature 7 ('odd'): 'a:b' is no class name",
        "Feature 8 ('x'): QuPath has no MultiLineString",
        "Feature 10 ('again'): it bears the id of feature 9",
        "import_geojson.groovy",
    ):
        assert words in said
    assert (project / "data" / "1" / "data.qpdata").read_bytes() == before
    assert run([*arguments, "--skip-refused", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["added"], len(told["refused"])) == (2, 8)
    assert {one.name for one in objects_of(project).values()} == {"good", "twice"}


def test_children_of_a_refused_feature_are_refused(project: Path, write: Write) -> None:
    low = feature(SQUARE, "low", childObjects=[feature(SQUARE, "lowest")])
    path = write([feature(SQUARE, "top", classification="a:b", childObjects=[low])])
    with open_project(project, mode="r+", backend="embedded") as opened:
        done = import_geojson(opened, opened.entry("1"), path, skip_refused=True)
    assert [str(one) for one in done.refused] == [
        "Feature 1 ('top'): 'a:b' is no class name: no line break, and ':' only as in 'Tumor: Big'",
        "Feature 1.1 ('low'): it lies under a refused feature",
        "Feature 1.1.1 ('lowest'): it lies under a refused feature",
    ]


def test_cells_and_tiles_come_with_their_nuclei(project: Path, write: Write) -> None:
    cell = feature(SQUARE, "cell", objectType="cell") | {
        "nucleusGeometry": {**INNER, "isEllipse": True, "plane": {"c": -1, "z": 0, "t": 0}}
    }
    tile = feature(SQUARE, "tile", objectType="tile", childObjects=[cell])
    odd = feature(SQUARE, "odd") | {"nucleusGeometry": INNER}
    with open_project(project, mode="r+", backend="embedded") as opened:
        done = import_geojson(opened, opened.entry("1"), write([tile, odd]))
        opened.commit()
    assert dict(done.unknown) == {"nucleusGeometry of a annotation": 1}
    by_name = {str(one.name): one for one in objects_of(project).values()}
    assert {name: one.kind for name, one in by_name.items()} == {
        "tile": "tile",
        "cell": "cell",
        "odd": "annotation",
    }
    inner = by_name["cell"].nucleus
    assert inner is not None
    assert by_name["cell"].nucleus_is_ellipse
    assert inner.bounds == (2, 2, 4, 5)
    assert by_name["cell"].parent == by_name["tile"].id
    assert by_name["odd"].nucleus is None


def test_a_broken_nucleus_is_named(project: Path, write: Write) -> None:
    flat = polygon([[0, 0], [5, 5], [9, 9], [0, 0]])
    broken = feature(SQUARE, "b", objectType="cell") | {"nucleusGeometry": flat}
    point = feature(SQUARE, "p", objectType="cell") | {
        "nucleusGeometry": {"type": "Point", "coordinates": [1, 1]}
    }
    with open_project(project, mode="r+", backend="embedded") as opened:
        done = import_geojson(opened, opened.entry("1"), write([broken, point]), skip_refused=True)
    assert [str(one) for one in done.refused] == [
        "Feature 1 ('b'): its nucleus has no area",
        "Feature 2 ('p'): its nucleus is a Point, which is no area",
    ]


@pytest.mark.shared_data
def test_cores_stay_where_the_grid_has_them(
    project: Path, shared_data: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """A project with a grid, out and in again: into itself, and into one without a grid."""
    data = (shared_data / "qupath" / "versions" / "v0.5.1tma.qpdata").read_bytes()
    (project / "data" / "1" / "data.qpdata").write_bytes(data)
    out = project.parent / "out.geojson"
    with open_project(project, mode="r+", backend="embedded") as opened:
        entry = opened.entry("1")
        cores = [one for one in entry.objects() if one.kind == "tma_core"]
        low = SlideObject(UUID(int=7), shapely.box(0, 0, 3, 3), name="low", parent=cores[0].id)
        entry.add([low])
        entry.remove([one.id for one in entry.objects() if flat(one)])
        opened.commit()
        assert write_geojson(out, entry.objects(), opened.classes) == 88
    raw = json.loads(out.read_text(encoding="utf-8"))
    core = next(f for f in raw["features"] if f["id"] == str(cores[0].id))
    core["properties"].update(isMissing=True, name="B-9")
    path = write(raw)
    with open_project(project, mode="r+", backend="embedded") as opened:
        done = import_geojson(opened, opened.entry("1"), path, replace=True)
        assert (done.added, done.replaced) == (0, 88)
        opened.commit()
    found = objects_of(project)
    assert (found[cores[0].id].missing, found[cores[0].id].name) == (True, "B-9")
    assert found[cores[0].id].geometry.equals_exact(cores[0].geometry, 0.0)
    core["geometry"] = {**SQUARE, "isEllipse": True}
    with (
        open_project(project, mode="r+", backend="embedded") as opened,
        pytest.raises(ProjectError, match="its TMA grid's"),
    ):
        import_geojson(opened, opened.entry("1"), write(raw), replace=True)
    (project / "data" / "1" / "data.qpdata").unlink()
    (project / "data" / "1" / "data.qpdata.bkp").unlink()
    arguments = ["project", "import", str(project), str(path), "--backend", "embedded"]
    assert run(arguments) == 2
    assert "6 of 88 features cannot be written" in capsys.readouterr().err
    assert run([*arguments, "--skip-refused"]) == 0
    assert "Lifted out of TMA cores that were left out: 1" in capsys.readouterr().out
    found = objects_of(project)
    assert len(found) == 82
    assert found[low.id].parent is None


def test_mended_and_left_out_are_said(
    project: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {
        "type": "FeatureCollection",
        "generator": "another program",
        "features": [
            feature(polygon([[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]), "bow-tie"),
            feature(polygon([[0, 0], [9, 0], [9, 9], [0, 9]]), "open", confidence=0.5),
        ],
    }
    path = write(gzip.compress(json.dumps(data).encode()), "in.geojson.gz")
    assert run(["project", "import", str(project), str(path), "--backend", "embedded"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "picture.png: 2 added",
        "Mended: rings were closed (1)",
        "Mended: shapes that crossed themselves were mended (1)",
        "Left out: properties.confidence (1)",
        "Left out: generator (1)",
    ]
    areas = {one.name: one.geometry.area for one in objects_of(project).values()}
    assert areas == {"bow-tie": 40.5, "open": 81.0}


def test_the_image_must_be_said_where_there_are_several(
    project: Path, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes((tmp_path / "picture.png").read_bytes())
    with open_project(project, mode="r+", backend="embedded") as opened:
        opened.add_image(other)
        opened.commit()
    path = write([feature(SQUARE)])
    arguments = ["project", "import", str(project), str(path), "--backend", "embedded"]
    assert run(arguments) == 2
    assert "--image: 1 (picture.png), 2 (other.png)" in capsys.readouterr().err
    assert run([*arguments, "--image", "other.png"]) == 0
    assert capsys.readouterr().out == "other.png: 1 added\n"
    assert run(["project", "import", str(project), str(tmp_path / "none.geojson")]) == 2


def test_the_ledger_takes_no_note(project: Path, make_object: Make, write: Write) -> None:
    path = write(to_geojson([make_object(1, metadata={"qpgaze session": "s"})], {}))
    with open_project(project, mode="r+", backend="embedded") as opened:
        import_geojson(opened, opened.entry("1"), path)
        opened.commit()
    assert not list(project.rglob("*ledger*"))


def test_a_file_that_fails_late_stages_nothing(project: Path, write: Write) -> None:
    good = json.dumps([feature(SQUARE, str(n)) for n in range(5000)])
    path = write(good[:-30])
    with open_project(project, mode="r+", backend="embedded") as opened:
        with pytest.raises(ProjectError, match=r"cut.*at feature 5000"):
            import_geojson(opened, opened.entry("1"), path)
        assert opened.entry("1").objects() == ()
