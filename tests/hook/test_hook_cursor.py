"""Where the mouse is over the slide, by real moves: in drags, outside, over other windows."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from qpgaze_hook_driver import Window
from qpgaze_hook_views import Views

from qpgaze.viewing import Rect, ViewerState
from qpgaze.wire import WireClient

pytestmark = pytest.mark.qupath
TELLER = "return hook.watch.@pointer.@teller.is(gui.getStage())"


@pytest.fixture
def views(window: Window, client: WireClient) -> Iterator[Views]:
    """The window as it was; afterwards, too, and the mouse rests in the middle of the slide."""
    window.ask("viewer.setRotation(0); viewer.setDownsampleFactor(2)")
    made = Views(window, client)
    made.settled()
    yield made
    window.hands("mouseup", 1)
    window.place()
    window.ask("viewer.setDownsampleFactor(2); viewer.setCenterPixelLocation(1000, 750)")
    window.hands("mousemove", 600, 400)
    made.settled()


def bounds(state: ViewerState) -> Rect:
    assert state.bounds_screen_px is not None
    return state.bounds_screen_px


def shown(views: Views, at: tuple[float, float] | None, viewer: str = "1") -> ViewerState:
    """Wait until the viewer says that the mouse is there on the screen; None: not over it."""
    until = time.monotonic() + 10
    while True:
        state = views.now(viewer)
        box, cursor = bounds(state), state.cursor_viewer_px
        if cursor is None or at is None:
            same = cursor is at
        else:
            same = cursor == pytest.approx((at[0] - box.x, at[1] - box.y), abs=1)
        if same:
            return state
        assert time.monotonic() < until, f"the cursor is {cursor}, not {at} in {box}"


def middle(views: Views, viewer: str = "1") -> tuple[int, int]:
    box = bounds(views.now(viewer))
    return round(box.x + box.width / 2), round(box.y + box.height / 2)


def test_moves_and_a_slide_that_moves_under_it(views: Views) -> None:
    window = views.window
    x, y = middle(views)
    for at in ((x, y), (x - 130, y + 90), (x + 40, y - 110)):
        window.hands("mousemove", *at)
        state = shown(views, at)
    assert window.ask(TELLER) == "true", "the window itself says where the mouse is"
    before = state.corners_image_px
    for n in range(5):
        window.ask(f"viewer.setCenterPixelLocation({700 + 60 * n}, 600)")
        state = shown(views, at)
    assert state.corners_image_px != before
    # Onto the menu: over the slide no more.
    window.hands("mousemove", 200, 8)
    assert shown(views, None)


def test_in_a_drag_that_leaves_the_window_and_comes_back(views: Views) -> None:
    window = views.window
    number = window.number()
    window.hands("windowsize", number, 900, 600)
    window.until("return gui.getStage().getWidth()", "900.0")
    views.settled()
    window.focus()
    window.hands("key", "m")
    x, y = middle(views)
    window.hands("mousemove", x, y)
    assert shown(views, (x, y))
    window.hands("mousedown", 1)
    for step in (20, 60, 110):
        window.hands("mousemove", x + step, y + step // 2)
        assert shown(views, (x + step, y + step // 2))
    window.hands("mousemove", 1100, 740)
    assert shown(views, None)
    window.hands("mousemove", x + 30, y - 20)
    assert shown(views, (x + 30, y - 20))
    window.hands("mousemove", 1120, 700, "mouseup", 1)
    assert shown(views, None)
    # No window has it: one that comes to lie under it says so, whether or not it moves.
    window.hands("windowmove", number, 1120 - x, 700 - y)
    assert shown(views, (1120, 700))


def test_over_a_menu_and_beside_a_dialog(views: Views) -> None:
    window = views.window
    window.choose("Extensions", "qpgaze", "About qpgaze")
    window.until("return javafx.stage.Window.getWindows().size()", "2")
    window.frameless()
    window.hands("windowmove", window.number("About"), 640, 420)
    window.until("return javafx.stage.Window.getWindows()[1].getX()", "640.0")
    x, y = middle(views)
    try:
        # A modal dialog keeps moves from the main window; over the dialog the slide lies below.
        for at in ((x - 100, y - 100), (x - 160, y - 60), (700, 450)):
            window.hands("mousemove", *at)
            assert shown(views, at)
    finally:
        window.click(*window.text_at("OK"))
        window.until("return javafx.stage.Window.getWindows().size()", "1")
    window.hands("mousemove", x - 50, y - 50)
    assert shown(views, (x - 50, y - 50))


def test_from_one_viewer_into_a_detached_one(views: Views) -> None:
    window = views.window
    if window.version.startswith("QuPath-0.4"):
        pytest.skip("qupath: 0.4 detaches no viewer")
    window.ask("gui.getViewerManager().addColumn(viewer)")
    window.until("return hook.images.viewers().size()", "2")
    two = window.ask("return hook.watch.nameOf(hook.images.viewers()[1])")
    try:
        window.ask("gui.getViewerManager().detachViewerFromGrid(hook.images.viewers()[1])")
        window.until("return javafx.stage.Window.getWindows().size()", "2")
        (number,) = window.frameless()
        window.hands("windowsize", number, 420, 380)
        window.hands("windowmove", number, 500, 380)
        window.until("return javafx.stage.Window.getWindows()[1].getX()", "500.0")
        x, y = middle(views, two)
        window.hands("mousemove", x, y)
        assert shown(views, (x, y), two)
        # The same place of the screen belongs to the first viewer, too, below the other window.
        assert shown(views, (x, y))
        window.hands("mousemove", 480, 200)
        assert shown(views, None, two)
        assert shown(views, (480, 200))
        window.hands("mousedown", 1)
        for at in ((520, 260), (600, 330), (x, y)):
            window.hands("mousemove", *at)
            assert shown(views, at)
        assert shown(views, (x, y), two)
        window.hands("mouseup", 1)
    finally:
        window.ask(
            "def m = gui.getViewerManager(), v = hook.images.viewers()[1]\n"
            "if (v.getView().getScene() != gui.getStage().getScene()) m.attachViewerToGrid(v)\n"
            "m.setActiveViewer(hook.images.viewers()[0])\n"
            "m.removeColumn(v)"
        )
        window.until("return hook.images.viewers().size()", "1")
