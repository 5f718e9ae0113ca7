"""The hook's mapping on a monitor whose pixels are enlarged, as most laptops' are."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from qpgaze_hook_driver import Window, make_study
from qpgaze_hook_views import Views

from qpgaze.wire import connect

pytestmark = pytest.mark.qupath


def test_enlarged_screens(qupath_folder: Path, tmp_path: Path) -> None:
    # One scale for each QuPath, in turn by its version: a start is dear.
    version = re.search(r"\d+\.(\d+)", qupath_folder.name)
    scale = (1.25, 1.5)[int(version[1]) % 2 if version else 0]
    make_study(tmp_path)
    window = Window(qupath_folder, tmp_path, options=[f"-Dglass.gtk.uiScale={scale}"])
    try:
        window.wait()
        window.ask(
            "gui.openImageEntry(gui.getProject().getImageList()[1])\n"
            "viewer.setDownsampleFactor(0.2); viewer.setCenterPixelLocation(1300, 950)"
        )
        with connect(name="test", folders=window.folders, wait_s=30) as client:
            client.subscribe(viewer=True, events=True, images=True)
            views = Views(window, client)
            time.sleep(1)
            state = views.agree()
            assert state.screen_scale == scale
            assert state.screen_bounds_px is not None
            width = state.screen_bounds_px.width
            assert width == pytest.approx(1200 / scale)
            box = state.bounds_screen_px
            assert box is not None
            # The mouse is moved in pixels of the screen, the hook speaks of logical ones.
            x, y = box.x + box.width * 0.4, box.y + box.height * 0.6
            window.hands("mousemove", round(x * scale), round(y * scale))
            window.hands("click", 4)
            near = views.agree()
            assert near.downsample < state.downsample
            cursor = near.cursor_viewer_px
            assert cursor is not None
            assert cursor == pytest.approx((x - box.x, y - box.y), abs=1.5)
            window.ask("viewer.setRotation(0.8)")
            views.agree()
    finally:
        window.close()
