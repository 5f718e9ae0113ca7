"""The hook in a real QuPath window under Xvfb: mapping, keys, objects, starting twice, closing.

``QPGAZE_QUPATH_DIRS`` names the folders of the QuPaths to try (parted as a search path is).
"""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid5

import pytest
import shapely

from qpgaze.bridge import create_project
from qpgaze.bridge.geojson import to_geojson
from qpgaze.bridge.hook_install import install_hook
from qpgaze.bridge.qupath_scripts import launcher
from qpgaze.errors import WireError
from qpgaze.model import SlideObject
from qpgaze.wire import WireClient, connect

pytestmark = pytest.mark.qupath
FOLDERS = [f for f in os.environ.get("QPGAZE_QUPATH_DIRS", "").split(os.pathsep) if f]
START_WAIT_S = 240.0


class Window:
    """A QuPath with its window on a screen of its own."""

    def __init__(self, folder: Path, at: Path) -> None:
        self.at, self._numbers = at, itertools.count()
        self.version = folder.name
        for name in ("user", "probe", "prefs", "run"):
            (at / name).mkdir(mode=0o700)
        probe = Path(__file__).with_name("probe.groovy")
        home = install_hook(at / "user", startup_before=str(probe)).folder
        reading, writing = os.pipe()
        self.screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1200x800x24"],
            pass_fds=[writing],
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as said:  # its whole line: Xvfb ends where nobody reads it
            display = said.readline().strip()
        self.env = {
            **os.environ,
            "DISPLAY": f":{display}",
            "XDG_RUNTIME_DIR": str(at / "run"),
        }
        start = launcher(folder)
        assert start is not None
        settings = [
            "-Xmx900m",
            "-Dprism.order=sw",
            f"-Duser.home={at}",
            f"-Djava.util.prefs.userRoot={at / 'prefs'}",
            f"-Djava.util.prefs.systemRoot={at / 'prefs'}",
            f"-Dqpgaze.probe={at / 'probe'}",
            f"-Dqupath.startup.script={home / 'start.groovy'}",
        ]
        if start[-1] == "qupath.QuPath":
            start[1:1] = settings
        else:
            self.env["JAVA_TOOL_OPTIONS"] = " ".join(settings)
        with (at / "log").open("w") as log:
            project = str(at / "study" / "project.qpproj")
            self.qupath = subprocess.Popen(
                [*start, "-q", "-p", project], env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
        self.folders = (at / "run" / "qpgaze" / "hooks",)

    def wait(self) -> None:
        until = time.monotonic() + START_WAIT_S
        while time.monotonic() < until and self.qupath.poll() is None:
            if self.folders[0].is_dir() and any(self.folders[0].glob("hook-*.json")):
                return
            time.sleep(0.2)
        raise AssertionError((self.at / "log").read_text()[-3000:])

    def ask(self, text: str) -> str:
        """Run Groovy on the JavaFX thread and return what it says."""
        name = f"{next(self._numbers):05d}"
        part = self.at / "probe" / f"{name}.new"
        hook = 'def hook = gui.getStage().getProperties().get("qpgaze.hook")\n'
        part.write_text(hook + text, encoding="utf-8")
        part.rename(part.with_suffix(".groovy"))
        answer = part.with_suffix(".out")
        until = time.monotonic() + 60
        while not answer.exists() and time.monotonic() < until:
            time.sleep(0.01)
        said = answer.read_text("utf-8")
        assert not said.startswith("ERROR"), said
        return said

    def hands(self, *arguments: object) -> str:
        done = subprocess.run(
            ["xdotool", *map(str, arguments)], env=self.env, capture_output=True, text=True
        )
        return done.stdout

    def focus(self) -> None:
        self.hands("windowfocus", self.hands("search", "--name", "QuPath").split()[-1])
        self.ask("viewer.getView().requestFocus()")
        time.sleep(0.5)

    def picture(self, name: str) -> None:
        """Keep what the screen shows, for a person who looks at it afterwards."""
        folder = os.environ.get("QPGAZE_HOOK_PICTURES")
        if folder and shutil.which("import"):
            file = Path(folder) / f"{name}-{self.version}.png"
            subprocess.run(["import", "-window", "root", str(file)], env=self.env, check=True)

    def close(self) -> None:
        for process in (self.qupath, self.screen):
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module", params=FOLDERS or [None])
def window(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Window]:
    if request.param is None:
        pytest.skip("qupath: QPGAZE_QUPATH_DIRS names no QuPath")
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        pytest.skip("qupath: Xvfb and xdotool are needed")
    from PIL import Image

    at = tmp_path_factory.mktemp("window")
    Image.effect_noise((2000, 1500), 60).convert("RGB").save(at / "slide.tif")
    with create_project(at / "study", backend="embedded") as made:
        made.add_image(at / "slide.tif")
        made.commit()
    opened = Window(Path(request.param), at)
    try:
        opened.wait()
        yield opened
    finally:
        opened.close()


@pytest.fixture
def client(window: Window) -> Iterator[WireClient]:
    with connect(name="test", folders=window.folders, wait_s=30) as made:
        made.subscribe(viewer=True, events=True, images=True)
        time.sleep(1)
        made.take()
        yield made


def events(client: WireClient, kind: str) -> list[dict]:
    every = [s.message["event"] for s in client.take() if s.message["type"] == "event"]
    return [event["data"] for event in every if event["kind"] == kind]


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
    time.sleep(1)
    window.picture("recording")
    for what in (["key", "2"], ["keydown", "x"], ["keyup", "x"], ["key", "t"], ["key", "t"]):
        window.hands(*what)
        time.sleep(0.5)
    window.hands("key", "u")
    time.sleep(1)
    got = [(e["event"], e.get("down")) for e in events(client, "label")]
    held = [("hold", True), ("hold", False), ("toggle", True), ("toggle", False)]
    assert got == [("mark", None), *held, ("undo", None)]
    assert window.ask(shown) == before
    client.show_status("ended")
    time.sleep(1)
    assert window.ask("return hook.@keys.active") == "false"


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
    time.sleep(1)
    assert window.ask(f"return hook.overlays.labelCount('{key}')") == "2"
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


def test_started_twice_it_is_one_and_closing_leaves_nothing(window: Window) -> None:
    def files() -> list[Path]:
        return sorted(window.folders[0].iterdir())

    port = window.ask("return hook.@server.port")
    start = json.dumps(str(window.at / "user" / "qpgaze" / "start.groovy"))
    window.ask(
        f'System.setProperty("qpgaze.only.hook", "1"); gui.runScript(new File({start}), null)'
    )
    until = time.monotonic() + 60
    while window.ask("return hook?.@server?.port") in (port, "null"):
        assert time.monotonic() < until
    assert len(files()) == 1
    assert (
        window.ask("return gui.getMenu('Extensions', false).getItems()*.getText()").count("qpgaze")
        == 1
    )
    window.ask("hook.close()")
    time.sleep(2)
    left = window.ask(
        "return [Thread.getAllStackTraces().keySet().count { it.name.startsWith('qpgaze') },"
        " viewer.getCustomOverlayLayers().size(),"
        " gui.getMenu('Extensions', false).getItems().count { it.getText() == 'qpgaze' },"
        " gui.getStage().getProperties().containsKey('qpgaze.hook')]"
    )
    assert left == "[0, 0, 0, false]"
    assert files() == []
