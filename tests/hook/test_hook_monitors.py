"""Two monitors and a window manager: frames, moves by the title bar, maximised, iconified, covered.

Whatever happens to the windows, what the hook says must agree with QuPath and with the pixels.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
from qpgaze_hook_desk import EYES, MAIN, Desk
from qpgaze_hook_driver import CODED
from qpgaze_hook_views import Views

from qpgaze.gaze import map_samples
from qpgaze.session import open_session
from qpgaze.viewing import Rect
from qpgaze.wire import connect

pytestmark = pytest.mark.qupath
STAGES = "javafx.stage.Window.getWindows().findAll { it instanceof javafx.stage.Stage }"


@pytest.fixture
def views(desk: Desk) -> Iterator[Views]:
    """The coded slide in the main window on the first monitor, where it is afterwards, too."""
    desk.ask(
        "viewer.getImageData()?.setChanged(false)\n"
        "gui.openImageEntry(gui.getProject().getImageList()[1])\n"
        "viewer.setRotation(0.3); viewer.setDownsampleFactor(1.6)\n"
        f"viewer.setCenterPixelLocation({CODED[0] / 2}, {CODED[1] / 2})"
    )
    desk.place()
    desk.focus()
    with connect(name="test", folders=desk.folders, wait_s=30) as client:
        client.subscribe(viewer=True, events=True, images=True)
        yield Views(desk, client)
    desk.ask(f"{STAGES}.drop(1).each {{ it.hide() }}")
    desk.place()


def stage(desk: Desk) -> Rect:
    said = desk.ask(
        "def s = gui.getStage(); return [s.getX(), s.getY(), s.getWidth(), s.getHeight()]"
    )
    return Rect(*json.loads(said))


def carry(desk: Desk, dx: float, dy: float) -> tuple[float, float]:
    """Drag the main window by its title bar; return how far it went."""
    before, (x, y) = stage(desk), desk.title_bar()
    desk.drag((x, y), (x + dx, y + dy))
    time.sleep(0.5)
    after = stage(desk)
    return after.x - before.x, after.y - before.y


def covers(views: Views, viewer: str = "1") -> list[Rect]:
    """What lies before the viewer, after all was held against QuPath and the pixels."""
    state = views.agree(viewer)
    return [cover.rect_viewer_px for cover in state.covers if cover.kind == "window"]


def test_javafx_sees_both_monitors(desk: Desk) -> None:
    said = desk.ask(
        "return javafx.stage.Screen.getScreens().collect { s -> def b = s.getBounds()\n"
        "  [b.getMinX(), b.getMinY(), b.getWidth(), b.getHeight()] }"
    )
    assert {Rect(*one) for one in json.loads(said)} == {MAIN, EYES}


def test_frames_and_moves_by_the_title_bar(views: Views) -> None:
    desk = views.window
    left, right, top, bottom = desk.frame(desk.number())
    assert min(left, right, bottom) >= 1
    assert top >= 10
    before = views.agree().bounds_screen_px
    assert before is not None
    gone = carry(desk, 57, 43)
    assert gone == pytest.approx((57, 43), abs=12)  # a busy computer loses the first moves
    after = views.agree().bounds_screen_px
    assert after is not None
    assert (after.x - before.x, after.y - before.y) == pytest.approx(gone, abs=1e-6)
    assert (after.width, after.height) == (before.width, before.height)


def test_carried_to_the_other_monitor_and_back(views: Views) -> None:
    desk = views.window
    assert views.agree().screen_bounds_px == MAIN
    desk.ask("gui.getStage().with { setWidth(700); setHeight(560) }")
    # Between the two: the monitor that carries most of the viewer counts.
    carry(desk, 560, 60)
    desk.picture("between-monitors")
    state = views.agree()
    box = state.bounds_screen_px
    assert box is not None
    on_main = min(box.x + box.width, MAIN.width) - box.x
    assert 0 < on_main < box.width
    assert state.screen_bounds_px == (MAIN if on_main > box.width / 2 else EYES)
    while stage(desk).x < EYES.x + 20:
        carry(desk, 120, 20)
    desk.picture("on-second-monitor")
    state = views.agree()
    assert state.screen_bounds_px == EYES
    assert state.screen_scale == 1
    x, y = (state.bounds_screen_px or EYES).x + 200, (state.bounds_screen_px or EYES).y + 200
    desk.click(x, y, button=4, times=3)
    assert views.agree().downsample < state.downsample
    while stage(desk).x > 200:
        carry(desk, -400, -20)
    assert views.agree().screen_bounds_px == MAIN


def test_maximised_and_back(views: Views) -> None:
    desk = views.window
    small = views.agree().bounds_screen_px
    assert small is not None
    x, y = desk.title_bar()
    desk.click(x, y, times=2)
    desk.until("return gui.getStage().isMaximized()", "true")
    time.sleep(0.5)
    desk.picture("maximised")
    state = views.agree()
    assert state.bounds_screen_px is not None
    assert state.bounds_screen_px.width > small.width
    x, y = desk.title_bar()
    desk.click(x, y, times=2)
    desk.until("return gui.getStage().isMaximized()", "false")
    # How large it is then, window manager and JavaFX settle between them.
    time.sleep(1)
    views.agree()


def test_maximised_on_the_second_monitor(views: Views) -> None:
    desk = views.window
    desk.ask("gui.getStage().with { setX(1150); setY(90); setWidth(700); setHeight(560) }")
    desk.until("return gui.getStage().getX()", "1150.0")
    x, y = desk.title_bar()
    desk.click(x, y, times=2)
    desk.until("return gui.getStage().isMaximized()", "true")
    time.sleep(0.5)
    state = views.agree()
    assert state.screen_bounds_px == EYES
    assert stage(desk).width >= EYES.width - 4


def test_iconified_by_the_window_manager(views: Views) -> None:
    desk = views.window
    before = views.agree()
    number = desk.number()
    desk.hands("windowminimize", "--sync", number)
    desk.until("return gui.getStage().isIconified()", "true")
    state = views.now()
    assert (state.iconified, state.focused) == (True, False)
    desk.hands("windowactivate", "--sync", number)
    desk.until("return gui.getStage().isIconified()", "false")
    after = views.agree()
    assert after.iconified is False
    assert after.bounds_screen_px == before.bounds_screen_px


def test_the_log_before_the_slide_and_behind_it(views: Views) -> None:
    """A window of QuPath's own that it does not keep in front: who is raised lies in front."""
    desk = views.window
    desk.focus()
    desk.hands("key", "ctrl+shift+l")
    desk.until(f"return {STAGES}.size()", "2")
    number = desk.number("Log")
    desk.hands("windowsize", "--sync", number, 380, 240)
    desk.hands("windowmove", "--sync", number, 480, 300, "windowactivate", "--sync", number)
    time.sleep(1)
    desk.picture("log-in-front")
    (cover,) = covers(views)
    said = desk.ask(
        f"def w = {STAGES}[1]; return [w.getX(), w.getY(), w.getWidth(), w.getHeight()]"
    )
    log, box = Rect(*json.loads(said)), views.now().bounds_screen_px
    assert box is not None
    assert (box.x + cover.x, box.y + cover.y) == pytest.approx((log.x, log.y), abs=1)
    # As far as it lies before the viewer: it does not become as small as it is told to be.
    assert cover.width == pytest.approx(min(log.width, box.x + box.width - log.x), abs=1)
    assert cover.height == pytest.approx(min(log.height, box.y + box.height - log.y), abs=1)
    owned = desk.ask(f"return {STAGES}[1].getOwner() != null")
    # The main window is raised by a click on its title bar.
    desk.click(*desk.title_bar())
    desk.until("return gui.getStage().isFocused()", "true")
    time.sleep(1)
    desk.picture("log-behind")
    assert len(covers(views)) == (1 if owned == "true" else 0)
    desk.hands("windowactivate", "--sync", number)
    desk.until("return gui.getStage().isFocused()", "false")
    assert len(covers(views)) == 1
    if owned == "false":  # an owned one takes its owner with it when it is iconified
        desk.hands("windowminimize", "--sync", number)
        desk.until(f"return {STAGES}[1].isIconified()", "true")
        assert covers(views) == []
        desk.hands("windowactivate", "--sync", number)
        desk.until(f"return {STAGES}[1].isIconified()", "false")
    # On the other monitor it covers nothing.
    desk.hands("windowmove", "--sync", number, 1200, 200)
    time.sleep(0.5)
    assert covers(views) == []


def test_a_detached_viewer_on_the_other_monitor(views: Views) -> None:
    desk = views.window
    if desk.version.startswith("QuPath-0.4"):
        pytest.skip("qupath: 0.4 detaches no viewer")
    desk.ask("gui.getViewerManager().addColumn(viewer)")
    desk.until("return hook.images.viewers().size()", "2")
    two = desk.ask("return hook.watch.nameOf(hook.images.viewers()[1])")
    try:
        desk.ask(
            "def m = gui.getViewerManager()\n"
            "m.setActiveViewer(hook.images.viewers()[1])\n"
            "gui.openImageEntry(gui.getProject().getImageList()[2])\n"
            "m.detachViewerFromGrid(gui.getViewer())"
        )
        desk.until(f"return {STAGES}.size()", "2")
        time.sleep(1)
        desk.ask(f"{STAGES}[1].with {{ setX(1240); setY(160); setWidth(500); setHeight(440) }}")
        time.sleep(1)
        desk.ask(
            "hook.images.viewers()[1].with {\n"
            "  setDownsampleFactor(1.2); setCenterPixelLocation(900, 700) }"
        )
        desk.picture("detached-on-second")
        there, here = views.agree(two), views.agree("1")
        assert (here.screen_bounds_px, there.screen_bounds_px) == (MAIN, EYES)
        assert there.image is not None
        assert there.image.name == "other.tif"
        # Its own title bar carries it in front of the first viewer.
        x, y, width = json.loads(
            desk.ask(f"def w = {STAGES}[1]; return [w.getX(), w.getY(), w.getWidth()]")
        )
        for _ in range(6):
            desk.drag((x + width / 2, y + 8), (x + width / 2 - 250, y + 28))
            time.sleep(0.5)
            x, y = json.loads(desk.ask(f"def w = {STAGES}[1]; return [w.getX(), w.getY()]"))
            if x < 600:
                break
        desk.picture("detached-in-front")
        assert views.agree(two).screen_bounds_px == MAIN
        assert len(covers(views)) == 1
    finally:
        desk.ask(
            "def m = gui.getViewerManager(), v = hook.images.viewers()[1]\n"
            "if (v.getView().getScene() != gui.getStage().getScene()) m.attachViewerToGrid(v)\n"
            "m.setActiveViewer(hook.images.viewers()[0])\n"
            "v.setImageData(null); m.removeColumn(v)"
        )
        desk.until("return hook.images.viewers().size()", "1")


def test_the_mouse_on_both_monitors_in_one_session(views: Views) -> None:
    """Practised with the mouse, the window carried to the other monitor in the middle."""
    desk = views.window
    desk.ask("hook.setup.chooseTracker('mouse')")
    before = set(desk.at.glob("study/qpgaze/sessions/*.qpgaze"))
    desk.choose("Extensions", "qpgaze", "Start gaze session")
    desk.until("return hook.sessions.state", "recording", wait_s=120)
    looked = []
    try:
        looked += point(views, 3)
        desk.ask("gui.getStage().with { setX(1120); setY(70); setWidth(760); setHeight(660) }")
        desk.until("return gui.getStage().getX()", "1120.0")
        looked += point(views, 3)
        desk.picture("recording-on-second")
    finally:
        desk.choose("Extensions", "qpgaze", "Stop")
        said = desk.dialog(120)
        desk.answer("OK")
    assert "It has no labels" in said
    (folder,) = set(desk.at.glob("study/qpgaze/sessions/*.qpgaze")) - before
    session = open_session(folder)
    mapped = map_samples(session.gaze, session.viewer_states, session.header.display)
    seen = mapped.image.xy[mapped.reason == 0]
    assert len(looked) == 6
    for meant in looked:
        assert np.hypot(*(seen - meant).T).min() <= 0.01


def point(views: Views, count: int) -> list[list[float]]:
    """Rest the mouse at places of the slide; return where QuPath says that they are."""
    desk = views.window
    box = views.agree().bounds_screen_px
    assert box is not None
    found = []
    for number in range(count):
        x = round(box.x + (0.25 + 0.2 * number) * box.width)
        y = round(box.y + (0.35 + 0.15 * number) * box.height)
        desk.hands("mousemove", x, y)
        time.sleep(0.8)
        said = desk.ask(
            f"def l = viewer.getView().screenToLocal({float(x)} as double, {float(y)} as double)\n"
            "def p = viewer.componentPointToImagePoint(l.getX(), l.getY(), null, false)\n"
            "return [p.getX(), p.getY()]"
        )
        found.append(json.loads(said))
    return found
