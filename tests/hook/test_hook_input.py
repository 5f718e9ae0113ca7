"""The hook's mapping after real input: wheel, drags, turned views, windows, other images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from qpgaze_hook_driver import CODED, Views, Window

from qpgaze.wire import WireClient

pytestmark = pytest.mark.qupath


@pytest.fixture
def views(window: Window, client: WireClient) -> Iterator[Views]:
    """The coded slide fills the only viewer; afterwards the window is as it was."""
    window.ask(
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
    # At least as far as the hand: a view that is let go glides on.
    assert moved[0] <= -175 * after.downsample
    assert moved[1] >= 115 * after.downsample


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
    number = window.hands("search", "--name", "QuPath").split()[-1]
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
    number = window.hands("search", "--name", "QuPath").split()[-1]
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
