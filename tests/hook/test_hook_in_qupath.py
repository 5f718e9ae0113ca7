"""The hook in a real QuPath window under Xvfb: mapping, keys, objects, starting twice, closing.

``QPGAZE_QUPATH_DIRS`` names the folders of the QuPaths to try (parted as a search path is).
"""

from __future__ import annotations

import json
import math
import random
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid5

import pytest
import shapely
from qpgaze_hook_driver import Window, events

from qpgaze.bridge.geojson import to_geojson
from qpgaze.errors import WireError
from qpgaze.model import SlideObject
from qpgaze.wire import WireClient, connect

pytestmark = pytest.mark.qupath


def test_every_corner_is_where_qupath_says(window: Window, client: WireClient) -> None:
    rng = random.Random(6)
    found = 0
    for _ in range(12):
        x, y, turn = rng.uniform(0, 2000), rng.uniform(0, 1500), rng.uniform(0.1, 6)
        zoom = 2 ** rng.uniform(-2, 2)
        said = window.ask(
            f"viewer.setDownsampleFactor({zoom}); viewer.setRotation({turn})\n"
            f"viewer.setCenterPixelLocation({x}, {y})\n"
            "def w = viewer.getView().getWidth(), h = viewer.getView().getHeight()\n"
            "return [[0, 0], [w, 0], [0, h], [w * 0.37, h * 0.81]].collect {\n"
            "  def x = it[0] as double, y = it[1] as double\n"
            "  def p = viewer.componentPointToImagePoint(x, y, null, false)\n"
            "  return [p.getX(), p.getY()] }"
        )
        want = json.loads(said)
        until = time.monotonic() + 20
        state = None
        while state is None and time.monotonic() < until:
            for one in client.take(0.5):
                seen = one.message.get("state")
                if seen and abs(seen["rotation_rad"] - turn) < 1e-9:
                    state = seen
        assert state is not None
        (x0, y0), (x1, y1), (x2, y2) = state["corners_image_px"]
        inner = [x0 + 0.37 * (x1 - x0) + 0.81 * (x2 - x0), y0 + 0.37 * (y1 - y0) + 0.81 * (y2 - y0)]
        for got, meant in zip([*state["corners_image_px"], inner], want, strict=True):
            assert math.dist(got, meant) <= 0.01
        found += 1
    assert found == 12


def test_keys_are_labels_only_while_a_session_runs(window: Window, client: WireClient) -> None:
    shown = "return viewer.getImageDisplay().selectedChannels().collect { it.getName() }"
    window.focus()
    window.hands("key", "2")
    time.sleep(1)
    assert events(client, "label") == []
    window.hands("key", "1")
    time.sleep(1)
    before = window.ask(shown)
    client.show_status("recording", "120 Hz", "s")
    window.until("return hook.@keys.active", "true")
    window.picture("recording")
    for what in (["key", "2"], ["keydown", "x"], ["keyup", "x"], ["key", "t"], ["key", "t"]):
        window.hands(*what)
        time.sleep(0.5)
    window.hands("key", "u")
    got: list[tuple[str, object]] = []
    until = time.monotonic() + 30
    while ("undo", None) not in got and time.monotonic() < until:
        time.sleep(0.2)
        got += [(e["event"], e.get("down")) for e in events(client, "label")]
    held = [("hold", True), ("hold", False), ("toggle", True), ("toggle", False)]
    assert got == [("mark", None), *held, ("undo", None)]
    assert window.ask(shown) == before
    client.show_status("ended")
    window.until("return hook.@keys.active", "false")


def test_objects_come_and_go_whole(window: Window, client: WireClient) -> None:
    def item(number: int, name: str = "Pearl") -> SlideObject:
        return SlideObject(
            uuid5(UUID(int=6), str(number)),
            shapely.box(9 * number, 50, 9 * number + 60, 90),
            class_name=name,
            description="told",
            locked=True,
            measurements={"Gaze: dwell ms": 312.5},
            metadata={"qpgaze": "yes"},
        )

    def features(*items: SlideObject) -> list[dict]:
        return to_geojson(items, {"Pearl": 0xFF0000})["features"]

    (image,) = client.images()
    key, one, two = image["key"], item(1), item(2)
    count = "return viewer.getImageData().getHierarchy().nObjects()"
    client.show_labels(key, features(one, two))
    window.until(f"return hook.overlays.labelCount('{key}')", "2")
    assert window.ask(count) == "0"
    answer = client.change_objects(key, put=features(one, two), revision=image["revision"])
    assert answer["put"] == 2
    there = {feature["id"]: feature for feature in client.objects(key)[0]}
    assert len(there) == 2
    for meant in features(one, two):
        feature = there[meant["id"]]
        for name in ("measurements", "metadata", "isLocked"):
            assert feature["properties"][name] == meant["properties"][name]
        assert feature["properties"]["classification"]["name"] == "Pearl"
        assert shapely.equals(
            shapely.from_geojson(json.dumps(feature["geometry"])),
            shapely.from_geojson(json.dumps(meant["geometry"])),
        )
    for change in ({"put": features(one)}, {"remove": [UUID(int=9)]}):
        with pytest.raises(WireError) as refused:
            client.change_objects(key, **change)
        assert refused.value.code == "conflict"
    with pytest.raises(WireError) as late:
        client.change_objects(key, put=features(item(3)), revision=answer["revision"] + 9)
    assert late.value.code == "conflict"
    client.change_objects(key, replace=features(item(2, "Tumor")), remove=[one.id])
    (left,) = client.objects(key)[0]
    assert left["properties"]["classification"]["name"] == "Tumor"
    client.save(key)
    assert client.images()[0]["changed"] is False
    with pytest.raises(WireError) as closed:
        client.save("no such")
    assert closed.value.code == "no_image"
    client.change_objects(key, remove=[two.id])
    client.save(key)


def listening(window: Window) -> list[str]:
    """Ports on which QuPath listens, as Linux tells it."""
    inodes = set()
    for file in Path(f"/proc/{window.qupath.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            inodes.add(str(file.readlink()).removeprefix("socket:[").rstrip("]"))
    found = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{window.qupath.pid}/net/{name}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and parts[9] in inodes:
                found.append(parts[1])
    return found


def test_started_twice_it_is_one_and_closing_leaves_nothing(window: Window) -> None:
    def files() -> list[Path]:
        return sorted(window.folders[0].iterdir())

    window.start_hook()
    assert len(files()) == 1
    assert (
        window.ask("return gui.getMenu('Extensions', false).getItems()*.getText()").count("qpgaze")
        == 1
    )
    with connect(name="test", folders=window.folders, wait_s=30) as client:
        client.subscribe(viewer=True, events=True, images=True)
        client.show_status("recording", "120 Hz", "s")  # keys, status line, timer and listeners
        window.until("return hook.@keys.active", "true")
        assert len(listening(window)) == 1
    window.ask(
        "gui.getStage().getProperties().put('test.hook', new java.lang.ref.WeakReference(hook))"
    )
    window.ask("hook.close()")
    time.sleep(2)
    assert listening(window) == []
    # Whatever still held it, a listener, a filter or a timer, would keep it from going.
    gone = "System.gc(); return gui.getStage().getProperties().get('test.hook').get() == null"
    window.until(gone, "true")
    left = window.ask(
        "return [Thread.getAllStackTraces().keySet().count { it.name.startsWith('qpgaze') },"
        " viewer.getCustomOverlayLayers().size(),"
        " gui.getMenu('Extensions', false).getItems().count { it.getText() == 'qpgaze' },"
        " gui.getStage().getProperties().containsKey('qpgaze.hook')]"
    )
    assert left == "[0, 0, 0, false]"
    assert files() == []
    window.start_hook()  # other tests share this window
