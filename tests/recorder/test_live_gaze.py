"""Where the eye is now: on the right viewer, as sure as the tracker is, only when wished."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import numpy as np
import pytest

from qpgaze.model import Event
from qpgaze.recording import SimulatedSource
from qpgaze.recording.live_gaze import GazeDot, gaze_place
from qpgaze.recording.protocol import Batch
from qpgaze.recording.status import Status
from qpgaze.samples import GazeSamples, empty_records
from qpgaze.session import SessionHeader
from qpgaze.simulate import Reading
from qpgaze.viewing import Rect, ViewerState


def looking(x: float, y: float, t_us: int, n: int = 12) -> np.ndarray:
    records = empty_records(n)
    records["t_us"] = t_us + np.arange(n) * 8_000
    for eye in ("left", "right"):
        records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = x, y
        records[f"{eye}_gaze_valid"] = 1
    return records


@pytest.fixture
def header(reading: Reading) -> SessionHeader:
    return SimulatedSource(reading).start()


@pytest.fixture
def view(reading: Reading, header: SessionHeader) -> ViewerState:
    """Half of the screen; the slide at four image pixels a pixel of the screen."""
    box = header.display.bounds_screen_px
    bounds = Rect(box.x, box.y, box.width / 2, box.height)
    right, down = 4 * bounds.width, 4 * bounds.height
    state = next(s for s in reading.states if s.image is not None)
    return replace(
        state, t_us=1_000, viewer="7", bounds_screen_px=bounds, downsample=4.0, rotation_rad=0.0,
        corners_image_px=((0.0, 0.0), (right, 0.0), (0.0, down)), shown=True, iconified=False,
        covers=(),
    )  # fmt: skip


def test_the_place_and_its_radius(header: SessionHeader, view: ViewerState) -> None:
    gaze = looking(0.1, 0.2, 5_000)
    gaze["left_x_adcs"][3] = gaze["right_x_adcs"][3] = 0.4  # a jump that one sample makes
    place = gaze_place(GazeSamples(gaze), [view], header, 0.5)
    assert place is not None
    assert place.viewer == "7"
    box, display = header.display.bounds_screen_px, header.display
    assert place.point_image_px == pytest.approx((0.4 * box.width, 0.8 * box.height))
    mm = display.distance_mm * math.tan(math.radians(1.0))
    want = 0.5 * mm * box.width / display.width_mm * 4.0
    assert place.radius_image_px == pytest.approx(want, rel=0.2)
    double = gaze_place(GazeSamples(gaze), [view], header, 1.0)
    assert double is not None
    assert double.radius_image_px == pytest.approx(2 * place.radius_image_px)


def test_beside_the_slide_there_is_none(header: SessionHeader, view: ViewerState) -> None:
    assert gaze_place(GazeSamples(looking(0.9, 0.5, 5_000)), [view], header, 0.5) is None


class Shown:
    """Keeps what was shown, and wakes whoever waits for it."""

    def __init__(self) -> None:
        self.all: list[tuple[str, object, float]] = []
        self.changed = threading.Condition()

    def __call__(self, viewer: str, point: object, radius: float) -> None:
        with self.changed:
            self.all.append((viewer, point, radius))
            self.changed.notify_all()

    def until(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.all) >= count, 20)


def test_it_is_shown_only_while_it_is_wished(header: SessionHeader, view: ViewerState) -> None:
    shown = Shown()
    dot = GazeDot(header, shown)
    dot.start()
    # The view came a moment after its gaze: it is what is shown now all the same.
    known = (Event(0, "validation", {"accuracy_deg": 0.25}),)
    dot.put(Batch(0, empty_records(0), (replace(view, t_us=90_000),), known))
    dot.put(Batch(0, looking(0.1, 0.2, 5_000), (), ()))
    assert shown.all == []
    dot.wish(True)
    shown.until(1)
    small = gaze_place(GazeSamples(looking(0.1, 0.2, 5_000)), [view], header, 0.25)
    assert small is not None
    assert shown.all[0] == ("7", small.point_image_px, pytest.approx(small.radius_image_px))
    dot.put(Batch(0, looking(0.95, 0.2, 200_000), (), ()))
    shown.until(2)
    assert shown.all[1] == ("7", None, 0.0)
    dot.put(Batch(0, looking(0.2, 0.2, 300_000), (), ()))
    shown.until(3)
    dot.wish(False)
    shown.until(4)
    assert shown.all[3] == ("7", None, 0.0)
    dot.put(Batch(0, looking(0.2, 0.2, 400_000), (), ()))
    dot.stop()
    assert len(shown.all) == 4


def test_the_line_in_the_viewer() -> None:
    now = Status(
        t_us=0, state="recording", hz=119.6, valid=1.0, samples=10, viewer_states=1, events=0,
        viewer="connected", images=(), sync_us=740, labels=1, bytes=1, free_bytes=1, trouble="",
    )  # fmt: skip
    assert now.words() == "120 Hz, clocks within 0.7 ms, 1 label"
    assert replace(now, sync_us=None, labels=None).words() == "120 Hz"
    assert replace(now, labels=0).words().endswith("0 labels")
