"""Labels put into an open image in many parts: all of them or none, whatever comes in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

import pytest
import shapely
from qpgaze_hook_driver import Window

from qpgaze.bridge.geojson import to_geojson
from qpgaze.errors import WireError
from qpgaze.model import SlideObject
from qpgaze.wire import WireClient

pytestmark = pytest.mark.qupath
MANY = 1500
THERE = "viewer.getHierarchy().getAllObjects(false)"
# Whoever looks under the hierarchy's lock, as saving does, sees how many there are.
COUNTS = """
def seen = Collections.synchronizedSet(new TreeSet())
def looking = new java.util.concurrent.atomic.AtomicBoolean(true)
def hierarchy = viewer.getHierarchy()
Thread.startDaemon { while (looking.get()) { seen << hierarchy.nObjects(); sleep(1) } }
gui.getStage().getProperties().put("test.counts", [seen, looking])
"""
COUNTED = """
def (seen, looking) = gui.getStage().getProperties().remove("test.counts")
looking.set(false)
return seen.toString()
"""


def labels(count: int, name: str = "put") -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = to_geojson(
        [
            SlideObject(
                uuid5(UUID(int=6), f"{name} {n}"),
                shapely.Point(20 + 37 * (n % 50), 20 + 45 * (n // 50)).buffer(12, quad_segs=8),
                class_name="Put pearl",
                measurements={"Gaze: dwell ms": 0.1},
                metadata={"qpgaze": "yes"},
            )
            for n in range(count)
        ],
        {},
    )["features"]
    return made


@pytest.fixture
def image(window: Window, client: WireClient) -> Iterator[dict[str, Any]]:
    """The open image, empty before and after."""
    window.ask("viewer.getHierarchy().clearAll()")
    yield client.images()[0]
    window.ask(
        "viewer.getHierarchy().clearAll()\n"
        "gui.getAvailablePathClasses().removeIf { it.toString() == 'Put pearl' }\n"
        "viewer.getImageData().setChanged(false)"
    )


def count(window: Window) -> int:
    return int(window.ask(f"return {THERE}.size()"))


def test_a_change_in_many_parts_comes_in_at_once(
    window: Window, client: WireClient, image: dict[str, Any]
) -> None:
    made = labels(MANY)
    assert len(json.dumps(made)) > 5 * 2**17, "that is no change in many parts"
    before = client.images()[0]["revision"]
    window.ask(COUNTS)
    answer = client.change_objects(image["key"], put=made, wait_s=60)
    assert json.loads(window.ask(COUNTED)) == [0, MANY]
    assert (answer["put"], answer["revision"]) == (MANY, before + 1)
    first = window.ask(f"return {THERE}.find {{ it.ID.toString() == '{made[0]['id']}' }}.name")
    assert first == "null"
    back, _ = client.objects(image["key"])
    assert sorted(one["id"] for one in back) == sorted(one["id"] for one in made)


def test_a_conflict_at_the_end_of_many_parts_leaves_nothing(
    window: Window, client: WireClient, image: dict[str, Any]
) -> None:
    there = labels(1, "there")
    client.change_objects(image["key"], put=there)
    before = client.images()[0]["revision"]
    with pytest.raises(WireError, match="has object") as caught:
        client.change_objects(image["key"], put=labels(MANY) + there, wait_s=60)
    assert caught.value.code == "conflict"
    assert count(window) == 1
    assert client.images()[0]["revision"] == before
    # Nothing of it is left to come with the next one.
    assert client.change_objects(image["key"], put=labels(2, "next"))["put"] == 2
    assert count(window) == 3


def test_a_shape_that_qupath_cannot_read_leaves_nothing(
    window: Window, client: WireClient, image: dict[str, Any]
) -> None:
    made = labels(MANY)
    made[-2]["geometry"] = {"type": "Polygon", "coordinates": "none"}
    with pytest.raises(WireError, match=made[-2]["id"]):
        client.change_objects(image["key"], put=made, wait_s=60)
    assert count(window) == 0
    assert client.change_objects(image["key"], put=labels(2, "next"))["put"] == 2
    assert count(window) == 2


def test_what_a_person_drew_meanwhile_is_a_conflict_and_stays(
    window: Window, client: WireClient, image: dict[str, Any]
) -> None:
    seen = client.images()[0]["revision"]
    draw = (
        "def plane = qupath.lib.regions.ImagePlane.getDefaultPlane()\n"
        "def roi = qupath.lib.roi.ROIs.createEllipseROI(5, 6, 70, 80, plane)\n"
        "viewer.getHierarchy().addObject("
        "qupath.lib.objects.PathObjects.createAnnotationObject(roi))"
    )
    window.ask(draw)
    with pytest.raises(WireError) as caught:
        client.change_objects(image["key"], put=labels(MANY), revision=seen, wait_s=60)
    assert caught.value.code == "conflict"
    assert count(window) == 1


def test_one_undo_takes_all_of_it_back_and_a_redo_brings_it(
    window: Window, client: WireClient, image: dict[str, Any]
) -> None:
    if window.version.startswith(("QuPath-0.4", "QuPath-0.5")):
        pytest.skip("qupath: 0.4 and 0.5 keep no undo of what scripts put in")
    client.change_objects(image["key"], put=labels(MANY), wait_s=60)
    assert window.ask("return gui.getUndoRedoManager().undoOnce()") == "true"
    assert count(window) == 0
    assert window.ask("return gui.getUndoRedoManager().redoOnce()") == "true"
    assert count(window) == MANY
