"""What the hook says of the viewers, held against QuPath itself and against the screen.

The conftest beside this file loads it under the name ``qpgaze_hook_views``.
"""

from __future__ import annotations

import json
import time

import numpy as np
import numpy.typing as npt
from qpgaze_hook_driver import Window, on_slide

from qpgaze.viewing import ViewerState
from qpgaze.viewing_json import viewer_state_from_json
from qpgaze.wire import WireClient


def decoded(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The places (..., 2) that colours (..., 3) of the coded slide say."""
    red, green, blue = np.moveaxis(rgb.astype(np.int64), -1, 0)
    return np.stack([red | (blue & 15) << 8, green | (blue >> 4) << 8], axis=-1)


class Views:
    """What the hook says of the viewers, held against QuPath's own answers and the screen."""

    def __init__(self, window: Window, client: WireClient) -> None:
        self.window, self.client = window, client

    def now(self, viewer: str = "1") -> ViewerState:
        """A state that was read after this was called."""
        asked_us = int(self.window.ask("return System.nanoTime().intdiv(1000)"))
        until = time.monotonic() + 30
        while time.monotonic() < until:
            for one in reversed(self.client.take(0.2)):
                said = one.message.get("state")
                if said and said["viewer"] == viewer and said["read_us"] >= asked_us:
                    return viewer_state_from_json(said)
        raise AssertionError(f"the hook says nothing of viewer {viewer}")

    def settled(self, viewer: str = "1") -> ViewerState:
        """A state that is the same as one 0.4 s before: the picture moves on after a drag."""
        until = time.monotonic() + 30
        before = self.now(viewer)
        while time.monotonic() < until:
            time.sleep(0.4)
            now = self.now(viewer)
            same = now.corners_image_px == before.corners_image_px
            if same and now.bounds_screen_px == before.bounds_screen_px:
                return now
            before = now
        raise AssertionError("the viewer does not come to rest")

    def agree(self, viewer: str = "1", *, pixels: bool = True) -> ViewerState:
        """Hold the settled view against QuPath's own mapping and, coded, against the screen."""
        state = self.settled(viewer)
        assert state.bounds_screen_px is not None
        box, rng = state.bounds_screen_px, np.random.default_rng(6)
        at = rng.uniform((box.x, box.y), (box.x + box.width, box.y + box.height), (40, 2))
        want = json.loads(
            self.window.ask(
                f"def v = hook.watch.named('{viewer}')\n"
                f"return {at.tolist()}.collect {{\n"
                "  def l = v.getView().screenToLocal(it[0] as double, it[1] as double)\n"
                "  def p = v.componentPointToImagePoint(l.getX(), l.getY(), null, false)\n"
                "  return [p.getX(), p.getY()] }"
            )
        )
        assert np.abs(on_slide(state, at) - want).max() <= 0.01
        if pixels:
            self.compare_pixels(state)
        return state

    def compare_pixels(self, state: ViewerState, wait_s: float = 20) -> None:
        """Decode where the coded slide's pixels on the screen lie: within a screen pixel.

        QuPath reads what a view shows in the background, and paints it when it comes: until then
        the view may be empty, or blurred.
        """
        until = time.monotonic() + wait_s
        while (off := self._off(state, self.window.screenshot())).max() > 1:
            if time.monotonic() > until:
                self.window.picture(f"pixels{time.monotonic_ns()}")
                raise AssertionError(
                    f"{(off > 1).sum()} of {len(off)} pixels, up to {off.max():.0f}"
                )
            time.sleep(0.5)

    def _off(self, state: ViewerState, shot: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """How many screen pixels beside its place each of some pixels of the slide lies."""
        box, scale = state.bounds_screen_px, state.screen_scale
        assert box is not None
        # The active viewer has a red rim.
        low = (box.x + 6, box.y + 6)
        high = (box.x + box.width - 6, box.y + box.height - 6)
        pixels = np.floor(np.random.default_rng(7).uniform(low, high, (600, 2)) * scale)
        pixels = pixels[((pixels >= 0) & (pixels < shot.shape[1::-1])).all(axis=1)].astype(int)
        at = (pixels + 0.5) / scale
        want = on_slide(state, at)
        assert state.image is not None
        size = np.array([state.image.width_px, state.image.height_px])
        keep = ((want >= 2) & (want < size - 2)).all(axis=1)
        for cover in state.covers:
            rect = cover.rect_viewer_px
            x, y = (at - (box.x, box.y)).T
            over = (x > rect.x - 3) & (x < rect.x + rect.width + 3)
            keep &= ~(over & (y > rect.y - 3) & (y < rect.y + rect.height + 3))
        if scale != 1:  # QuPath enlarges its picture then: whole pixels blur into each other
            sides = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
            x, y = np.clip(pixels, 1, np.array(shot.shape[1::-1]) - 2).T
            keep &= np.all(
                [(shot[y + dy, x + dx] == shot[y, x]).all(axis=1) for dx, dy in sides], 0
            )
        assert keep.sum() >= 60, "too little of the slide is on the screen"
        got = decoded(shot[pixels[:, 1], pixels[:, 0]])[keep]
        beside = np.maximum(np.maximum(got - want[keep], want[keep] - got - 1), 0)
        off: npt.NDArray[np.float64] = (
            np.hypot(*beside.T) * scale / max(state.downsample, 1 / scale)
        )
        return off
