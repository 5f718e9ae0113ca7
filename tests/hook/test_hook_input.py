"""The hook's mapping after real input: wheel, drags, turned views, windows, other images."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from qpgaze_hook_driver import CODED, MANAGER, Window, coded_pixels
from qpgaze_hook_views import Views

from qpgaze.wire import WireClient

pytestmark = pytest.mark.qupath


@pytest.fixture
def views(window: Window, client: WireClient) -> Iterator[Views]:
    """The coded slide fills the only viewer; afterwards the window is as it was."""
    window.ask(
        # Else QuPath asks whether to save what an earlier test did.
        "viewer.getImageData()?.setChanged(false)\n"
        "gui.openImageEntry(gui.getProject().getImageList()[1])\n"
        f"viewer.setRotation(0); viewer.setDownsampleFactor(1.7)\n"
        f"viewer.setCenterPixelLocation({CODED[0] / 2}, {CODED[1] / 2})"
    )
    made = Views(window, client)
    made.settled()
    yield made
    window.place()
    window.ask(
        "gui.openImageEntry(gui.getProject().getImageList()[0])\n"
        "viewer.setRotation(0); viewer.setDownsampleFactor(2)\n"
        "viewer.setCenterPixelLocation(1000, 750)"
    )


def middle(views: Views, viewer: str = "1") -> tuple[float, float]:
    box = views.now(viewer).bounds_screen_px
    assert box is not None
    return box.x + box.width / 2, box.y + box.height / 2


def test_wheel_and_drags(views: Views) -> None:
    window = views.window
    start = views.agree()
    x, y = middle(views)
    window.click(x - 150, y + 90, button=4, times=4)
    near = views.agree()
    assert near.downsample < 0.9 * start.downsample
    window.click(x + 60, y - 40, button=5, times=2)
    assert views.agree().downsample > near.downsample
    window.focus()
    window.hands("key", "m")
    before = views.agree()
    window.drag((x, y), (x + 180, y - 120))
    after = views.agree()
    assert before.corners_image_px is not None
    assert after.corners_image_px is not None
    moved = np.subtract(after.corners_image_px[0], before.corners_image_px[0])
    # Not as far as the hand: a busy QuPath loses the first moves; and let go, a view glides on.
    assert moved[0] <= -40 * after.downsample
    assert moved[1] >= 25 * after.downsample


def test_turned_views(views: Views) -> None:
    window = views.window
    x, y = middle(views)
    for turn in (0.35, 2.2, 5.5):
        window.ask(f"viewer.setRotation({turn})")
        assert abs(views.agree().rotation_rad - turn) < 1e-9
        window.click(x + 80, y + 50, button=4)
        views.agree()
    window.focus()
    window.hands("key", "m")
    window.drag((x, y), (x - 90, y - 60))
    views.agree()


def test_the_window_moves_and_changes_size(views: Views) -> None:
    window = views.window
    number = window.number()
    start = views.agree().bounds_screen_px
    assert start is not None
    window.hands("windowsize", number, 1000, 700)
    window.hands("windowmove", number, 37, 23)
    window.until("return gui.getStage().getX() + gui.getStage().getWidth()", "1037.0")
    box = views.agree().bounds_screen_px
    assert box is not None
    assert (box.x, box.y) == pytest.approx((start.x + 37, start.y + 23), abs=1e-6)
    assert (box.width, box.height) == pytest.approx((start.width - 200, start.height - 100))
    # Half of it beyond the screen's edge.
    window.hands("windowmove", number, 500, 23)
    window.until("return gui.getStage().getX()", "500.0")
    views.agree()


def test_iconified(views: Views) -> None:
    window = views.window
    number = window.number()
    assert views.now().iconified is False
    window.hands("windowunmap", number)  # what a window manager does to iconify
    window.until("return gui.getStage().isIconified()", "true")
    state = views.now()
    assert state.iconified is True
    assert state.focused is False
    window.hands("windowmap", number)
    window.until("return gui.getStage().isIconified()", "false")
    assert views.agree().iconified is False


def test_another_image_by_a_double_click(views: Views) -> None:
    window, client = views.window, views.client
    client.take()
    window.click(*window.text_at("slide.tif"), times=2)
    window.until("return viewer.getServer().getMetadata().getName()", "slide.tif")
    state = views.agree(pixels=False)
    assert state.image is not None
    assert (state.image.name, state.image.width_px) == ("slide.tif", 2000)
    window.click(*window.text_at("coded.tif"), times=2)
    window.until("return viewer.getServer().getMetadata().getName()", "coded.tif")
    state = views.agree()
    assert state.image is not None
    assert (state.image.name, state.image.height_px) == ("coded.tif", CODED[1])
    seen = [one["image"]["name"] for one in client.images()]
    assert seen == ["coded.tif"]


@pytest.fixture
def second(views: Views) -> Iterator[str]:
    """The name of a second viewer beside the first, which shows another slide, turned."""
    window = views.window
    window.ask(f"{MANAGER}; m.addColumn(viewer)")
    window.until("return hook.images.viewers().size()", "2")
    # A viewer keeps its name, and another gets another: this one's is not always 2.
    name = window.ask("return hook.watch.nameOf(hook.images.viewers()[1])")
    try:
        x, y = middle(views, name)
        window.focus()
        window.click(x, y)
        window.until("return hook.watch.nameOf(viewer)", name)
        assert views.now(name).image is None
        window.click(*window.text_at("other.tif"), times=2)
        window.until("return viewer.getServer()?.getMetadata()?.getName()", "other.tif")
        window.ask("viewer.setRotation(1.1); viewer.setDownsampleFactor(1.2)")
        yield name
    finally:
        window.ask(
            f"{MANAGER}; def v = hook.images.viewers()[1]\n"
            "if (v.getView().getScene() != gui.getStage().getScene()) m.attachViewerToGrid(v)\n"
            "m.setActiveViewer(hook.images.viewers()[0])\n"
            "v.setImageData(null); m.removeColumn(v)"
        )
        window.until("return hook.images.viewers().size()", "1")


def test_a_second_viewer(views: Views, second: str) -> None:
    x, y = middle(views, second)
    views.window.click(x, y, button=4, times=2)
    left, right = views.agree("1"), views.agree(second)
    assert left.image is not None
    assert right.image is not None
    assert (left.image.name, right.image.name) == ("coded.tif", "other.tif")
    assert left.corners_image_px != right.corners_image_px
    assert left.bounds_screen_px is not None
    assert right.bounds_screen_px is not None
    assert right.bounds_screen_px.x >= left.bounds_screen_px.x + left.bounds_screen_px.width


def test_a_detached_viewer(views: Views, second: str) -> None:
    window = views.window
    if window.version.startswith("QuPath-0.4"):
        pytest.skip("qupath: 0.4 detaches no viewer")
    window.ask("gui.getViewerManager().detachViewerFromGrid(viewer)")
    window.until("return javafx.stage.Window.getWindows().size()", "2")
    (number,) = window.frameless()
    window.hands("windowsize", number, 420, 380)
    window.hands("windowmove", number, 560, 400)
    window.until("return javafx.stage.Window.getWindows()[1].getX()", "560.0")
    x, y = middle(views, second)
    window.click(x, y, button=4)
    assert views.agree(second).shown
    # It lies before the first viewer, which says so.
    covers = views.agree("1").covers
    assert [c.rect_viewer_px for c in covers if c.kind == "window"] != []


def hyperstack(file: Path, slices: int, frames: int) -> None:
    """Write coded pixels as ImageJ writes a stack: one directory, then all planes in a row."""
    said = f"ImageJ=1.53t\nimages={slices * frames}\nslices={slices}\nframes={frames}\n"
    text = f"{said}hyperstack=true\n".encode() + b"\0"
    plane = coded_pixels(900, 700).tobytes()
    tags = 11
    behind = 8 + 2 + 12 * tags + 4
    first = behind + 6 + len(text)
    entries = [
        (256, 4, 1, 900),
        (257, 4, 1, 700),
        (258, 3, 3, behind),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (270, 2, len(text), behind + 6),
        (273, 4, 1, first),
        (277, 3, 1, 3),
        (278, 4, 1, 700),
        (279, 4, 1, len(plane)),
        (284, 3, 1, 1),
    ]
    assert len(entries) == tags
    with file.open("wb") as out:
        out.write(struct.pack("<2sHIH", b"II", 42, 8, tags))
        for one in entries:
            out.write(struct.pack("<HHII", *one))
        out.write(struct.pack("<IHHH", 0, 8, 8, 8) + text)
        out.write(plane * (slices * frames))


@pytest.fixture
def planes(views: Views) -> Iterator[Views]:
    """Show an image of three planes at two times; then take it out of the project again."""
    window = views.window
    file = window.at / "planes.tif"
    hyperstack(file, 3, 2)
    window.ask(
        f"def at = new File({json.dumps(str(file))}).toURI()\n"
        "def server = qupath.lib.images.servers.ImageServers.buildServer(at)\n"
        "viewer.setImageData(new qupath.lib.images.ImageData(server))\n"
        "viewer.setDownsampleFactor(1.3)"
    )
    yield views
    # It was added to an open project by QuPath itself.
    window.ask(
        "viewer.getImageData()?.setChanged(false)\n"
        "def project = gui.getProject()\n"
        "gui.openImageEntry(project.getImageList()[0])\n"
        "project.removeAllImages(project.getImageList().drop(3), true)\n"
        "project.syncChanges(); gui.refreshProject()"
    )
    assert window.ask("return gui.getProject().getImageList().size()") == "3"


def test_planes_and_time_points(planes: Views) -> None:
    views, window = planes, planes.window
    sizes = "def s = viewer.getServer(); return [s.nZSlices(), s.nTimepoints()]"
    assert json.loads(window.ask(sizes)) == [3, 2]
    views.settled()
    # Two sliders, or in 0.7 a pane with two boxes: the slide beneath cannot be seen.
    assert {"slider", "other"} & {cover.kind for cover in views.now().covers}
    asked = "return [viewer.getZPosition(), viewer.getTPosition()]"
    z, t = json.loads(window.ask(asked))
    window.focus()
    for key in ("Up", "Right"):
        window.hands("key", key)
    state = views.agree()
    assert [state.z, state.t] == json.loads(window.ask(asked))
    assert [state.z, state.t] == [min(z + 1, 2), min(t + 1, 1)]
    for key in ("Down", "Down", "Left"):
        window.hands("key", key)
    state = views.agree()
    assert [state.z, state.t] == [max(min(z + 1, 2) - 2, 0), max(min(t + 1, 1) - 1, 0)]


def test_what_lies_before_the_slide(views: Views) -> None:
    window = views.window

    def before() -> list[list[float]]:
        covers = views.agree().covers
        rects = [c.rect_viewer_px for c in covers if c.kind == "window"]
        return [[r.x, r.y, r.width, r.height] for r in rects]

    assert before() == []
    window.focus()
    window.click(*window.text_at("Extensions"))
    time.sleep(0.5)
    assert len(before()) == 1
    window.hands("key", "Escape", "key", "Escape")
    window.until("return javafx.stage.Window.getWindows().size()", "1")
    window.choose("Extensions", "qpgaze", "About qpgaze")
    window.until("return javafx.stage.Window.getWindows().size()", "2")
    window.frameless()
    window.hands("windowmove", window.number("About"), 700, 300)
    window.until("return javafx.stage.Window.getWindows()[1].getX()", "700.0")
    ((x, y, width, height),) = before()
    box = views.now().bounds_screen_px
    assert box is not None
    assert (box.x + x, box.y + y) == pytest.approx((700, 300))
    size = json.loads(
        window.ask("def w = javafx.stage.Window.getWindows()[1]; return [w.width, w.height]")
    )
    # As far as it lies over the viewer.
    assert width == pytest.approx(min(size[0], box.x + box.width - 700))
    assert height == pytest.approx(size[1])
    window.click(*window.text_at("OK"))
    window.until("return javafx.stage.Window.getWindows().size()", "1")
    assert before() == []
