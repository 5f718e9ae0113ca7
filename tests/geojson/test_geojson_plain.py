"""Plain features, read many at a time, become what they become one by one."""

from __future__ import annotations

import io
import json
import random
from typing import Any
from uuid import UUID

import pytest
import shapely

from qpgaze.bridge.geojson import GeoJsonReport, reading, scanning
from qpgaze.bridge.geojson.plain import plain_objects
from qpgaze.model import SlideObject


def features(count: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        x, y = draw.random() * 100, draw.random() * 100
        ring = [[x, y], [x + 5, y], [x + 5, y + 4], [x, y + 4], [x, y]]
        crossed = [[x, y], [x + 5, y + 4], [x + 5, y], [x, y + 4], [x, y]]
        properties: dict[str, Any] = {"objectType": draw.choice(["annotation", "detection"])}
        for key, values in (
            ("name", ["a", None, 'b"]},{"type":"Feature"']),
            ("classification", [{"name": "Tumor", "color": [1, 2, 3]}, {"names": ["A", "B"]}, "C"]),
            ("color", [[200, 0, 0]]),
            ("isLocked", [True, False, None]),
            ("measurements", [{"m": 1.5}, {"m": 2, "n": "NaN"}, {}]),
            ("metadata", [{"k": "v"}, {"ANNOTATION_DESCRIPTION": "text", "k": "ü"}]),
        ):
            if draw.random() < 0.6:
                properties[key] = draw.choice(values)
        geometry: dict[str, Any] = {
            "type": "Polygon",
            "coordinates": [draw.choice([ring, ring, crossed])],
        }
        if draw.random() < 0.2:
            geometry["plane"] = {"c": -1, "z": 2, "t": 0.0}
        if draw.random() < 0.2:
            geometry["isEllipse"] = True
        if draw.random() < 0.1:
            geometry = {"type": "Point", "coordinates": [x, y]}
        identity = str(UUID(int=draw.getrandbits(128)))
        made.append(
            {"type": "Feature", "id": identity, "geometry": geometry, "properties": properties}
        )
    return made


def facts(one: SlideObject) -> dict[str, Any]:
    return {
        **vars(one),
        "geometry": shapely.to_wkb(one.geometry),
        "measurements": str(one.measurements),
    }


def test_plain_features_are_read_as_unusual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    some, report, other = features(300, 1), GeoJsonReport(), GeoJsonReport()
    quick = plain_objects(some, report)
    assert quick is not None
    text = json.dumps({"type": "FeatureCollection", "features": some}).encode()
    monkeypatch.setattr(reading, "plain_objects", lambda *_: None)
    slow = list(reading.read_stream(io.BytesIO(text), "file", report=other))
    assert list(map(facts, quick)) == [facts(found.object) for found in slow]
    assert report == other


@pytest.mark.parametrize(
    "change",
    [
        {"id": "none"},
        {"more": 1},
        {"properties": {"name": 5}},
        {"properties": {"color": [1, 2]}},
        {"properties": {"childObjects": []}},
        {"properties": {"objectType": "root"}},
        {"properties": {"isLocked": "yes"}},
        {"properties": {"metadata": {"k": 1}}},
        {"properties": {"measurements": {"m": "many"}}},
        {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}},
        {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, "1"], [0, 1], [0, 0]]]}},
        {"geometry": None},
    ],
)
def test_a_batch_with_an_unusual_feature_is_left_alone(change: dict[str, Any]) -> None:
    some = features(5, 2)
    assert plain_objects(some, GeoJsonReport()) is not None
    some[3] = {**some[3], **change}
    assert plain_objects(some, GeoJsonReport()) is None


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("block", [100, 5000, 1 << 20])
def test_features_are_cut_apart_where_they_end(
    monkeypatch: pytest.MonkeyPatch, block: int, indent: int | None
) -> None:
    monkeypatch.setattr(scanning, "BLOCK", block)
    some: list[Any] = features(60, 3)
    for number in (7, 8, 40):  # features within features, and the words within texts
        some[number]["properties"]["childObjects"] = features(3, number)
    some[20]["properties"]["metadata"] = {"k": 12345678901234567890123, "l": float("nan")}
    text = json.dumps({"type": "FeatureCollection", "features": some}, indent=indent).encode()
    came = list(scanning.scan_features(io.BytesIO(text), "file", {}))
    assert json.dumps(came) == json.dumps(some)
