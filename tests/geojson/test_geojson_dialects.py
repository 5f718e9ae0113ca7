"""GeoJSON in the words of every QuPath."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import shapely

from qpgaze.bridge import open_project
from qpgaze.bridge.geojson import from_geojson, to_geojson, write_geojson
from qpgaze.errors import ConflictError, ProjectError
from qpgaze.model import SlideObject

Make = Callable[..., SlideObject]


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.mark.shared_data
def test_ours_says_what_qupath_said(shared_data: Path) -> None:
    project = shared_data / "qupath" / "projects" / "c_all_roi_kinds"
    text = (project / "qupath_export_featurecollection.geojson").read_text(encoding="utf-8")
    theirs = {f["id"]: f for f in json.loads(text)["features"][1:]}  # the first is the root
    with open_project(project, backend="embedded") as opened:
        made = plain(to_geojson(opened.entry("1").objects(), opened.classes))
    ours: dict[str, Any] = {}
    todo = list(made["features"])
    while todo:
        feature = todo.pop()
        todo += feature["properties"].pop("childObjects", [])
        ours[feature["id"]] = feature
    assert ours.keys() == theirs.keys()
    for identity, feature in theirs.items():
        mine = ours[identity]
        assert sorted(mine) == sorted(feature)
        assert mine["properties"] == feature["properties"]
        for which in {"geometry", "nucleusGeometry"} & feature.keys():
            one, other = mine[which], feature[which]
            assert {**one, "coordinates": 0} == {**other, "coordinates": 0}
            shapes = [shapely.from_geojson(json.dumps(g)) for g in (one, other)]
            if one.get("isEllipse"):  # another number of corners; QuPath reads the bounds
                assert shapes[0].bounds == pytest.approx(shapes[1].bounds, abs=0.011)
            else:
                assert shapely.equals(*shapes)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name",
    [
        "projects/c_all_roi_kinds/qupath_export_featurecollection.geojson",
        "projects/c_all_roi_kinds/paquo_to_geojson.json",
        "geojson/dlup_qupath05.geojson",
    ],
)
def test_what_qupath_wrote_is_read(shared_data: Path, name: str) -> None:
    data = json.loads((shared_data / "qupath" / name).read_text(encoding="utf-8"))
    features = data["features"] if isinstance(data, dict) else data
    objects, colors = from_geojson(data)
    assert len(objects) == sum(f["properties"]["objectType"] != "root" for f in features)
    again, colors_again = from_geojson(plain(to_geojson(objects, colors)))
    assert colors_again == colors
    for one, other in zip(objects, again, strict=True):
        assert dataclasses.replace(one, geometry=None) == dataclasses.replace(  # type: ignore[arg-type]
            other, geometry=None
        ) or str(dataclasses.replace(one, geometry=None)) == str(  # type: ignore[arg-type]
            dataclasses.replace(other, geometry=None)  # type: ignore[arg-type]
        )
        if not one.is_ellipse:
            assert shapely.equals(one.geometry, other.geometry)


def test_everything_comes_back(make_object: Make) -> None:
    top = make_object(
        1,
        color=0x010203,
        locked=True,
        description="zwei\nZeilen",
        measurements={"a": math.nan, "b": math.inf, "c": -2.5},
        class_name="Tumor: Big",
        z=3,
    )
    low = make_object(2, parent=top.id, kind="detection", class_name=None, name=None)
    round_ = make_object(3, geometry=shapely.box(0, 0, 9, 4), is_ellipse=True, parent=low.id)
    objects, colors = from_geojson(plain(to_geojson([top, low, round_], {"Tumor: Big": 0x0A0B0C})))
    assert colors == {"Tumor: Big": 0x0A0B0C, "Keratin pearl": colors["Keratin pearl"]}
    assert [o.id for o in objects] == [top.id, low.id, round_.id]
    for one, other in zip(objects, (top, low, round_), strict=True):
        assert str(dataclasses.replace(one, geometry=top.geometry)) == str(
            dataclasses.replace(other, geometry=top.geometry)
        )
    assert objects[0].geometry.equals_exact(top.geometry, 0.005)
    assert objects[2].geometry.bounds == (0, 0, 9, 4)


SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]}


def test_the_words_of_qupath_0_3() -> None:
    feature = {
        "type": "Feature",
        "geometry": SQUARE,
        "properties": {
            "object_type": "tma_core",
            "classification": {
                "name": "Positive",
                "colorRGB": -377282,
                "parentClass": {"name": "Tumor", "colorRGB": -3670016},
            },
            "isLocked": False,
            "measurements": [{"name": "a", "value": 1.5}, {"name": "b", "value": "NaN"}],
            "colorRGB": -16711936,
        },
    }
    for data in ({"type": "FeatureCollection", "features": [feature]}, [feature], feature):
        (item,), colors = from_geojson(data)
        assert (item.kind, item.class_name, item.color) == ("tma_core", "Tumor: Positive", 0xFF00)
        assert item.measurements["a"] == 1.5
        assert math.isnan(item.measurements["b"])
        assert colors == {"Tumor: Positive": 0xFA3E3E}
    ids = [item.id for item in from_geojson([feature, feature])[0]]
    assert len(set(ids)) == 2
    assert ids == [item.id for item in from_geojson([feature, feature])[0]]


def test_the_words_of_qupath_0_2_and_of_others() -> None:
    old = {"type": "Feature", "id": "PathDetectionObject", "geometry": SQUARE, "properties": {}}
    (item,), _ = from_geojson(old)
    assert item.kind == "detection"
    bare = {"type": "Feature", "geometry": None, "properties": {"classification": "Tumor"}}
    (item,), colors = from_geojson(bare)
    assert (item.kind, item.class_name, item.geometry.is_empty) == ("annotation", "Tumor", True)
    assert colors == {}
    assert from_geojson({"type": "Feature", "properties": {"objectType": "root"}}) == ((), {})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (5, "Expected GeoJSON"),
        ({"type": "Polygon"}, "Expected GeoJSON"),
        ([5], "Expected a Feature"),
        ([{"type": "Feature", "properties": []}], "no JSON object|Feature"),
        ([{"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1]]]}}], "not x and y"),
        ([{"geometry": {"type": "Circle", "coordinates": [0, 0]}}], "unknown type"),
        ([{"geometry": {"type": "Point", "coordinates": ["a", "b"]}}], "no numbers"),
        ([{"geometry": {"type": "Point", "coordinates": [math.nan, 1]}}], "no numbers"),
        ([{"geometry": 5}], "no JSON object"),
        ([{"properties": {"measurements": {"a": []}}}], "no number"),
        ([{"properties": 5}], "no JSON object"),
    ],
)
def test_what_is_no_geojson_is_refused(data: Any, words: str) -> None:
    if data == [{"type": "Feature", "properties": []}]:
        assert len(from_geojson(data)[0]) == 1  # no properties at all
        return
    with pytest.raises(ProjectError, match=words):
        from_geojson(data)


def test_deep_nesting_is_no_trouble() -> None:
    feature: dict[str, Any] = {"geometry": SQUARE, "properties": {}, "id": str(UUID(int=0))}
    for n in range(1, 3000):
        feature = {
            "geometry": SQUARE,
            "id": str(UUID(int=n)) if n % 2 else "none",
            "properties": {"childObjects": [feature]},
        }
    objects, _ = from_geojson([feature])
    assert len(objects) == 3000
    assert objects[-1].parent == objects[-2].id


def test_rounding_folds_nothing(make_object: Make) -> None:
    """A needle whose corners fall together at two decimals keeps its own decimals."""
    needle = shapely.Polygon([(0, 0), (10, 0.001), (10, 0.004), (5, 0.0041)])
    made = to_geojson([make_object(1, geometry=needle)], {})
    shape = shapely.from_geojson(json.dumps(made["features"][0]["geometry"]))
    assert shape.is_valid
    assert shape.area > 0


def test_files_are_not_overwritten_unasked(tmp_path: Path, make_object: Make) -> None:
    out = tmp_path / "Ü bung.geojson"
    assert write_geojson(out, [make_object(1)], {}) == 1
    first = out.read_bytes()
    with pytest.raises(ConflictError, match="exists already"):
        write_geojson(out, [], {})
    assert out.read_bytes() == first
    assert write_geojson(out, [], {}, overwrite=True) == 0
    assert json.loads(out.read_text(encoding="utf-8")) == {
        "type": "FeatureCollection",
        "features": [],
    }
