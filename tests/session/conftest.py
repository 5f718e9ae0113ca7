"""Small sessions and viewer logs with zoom, pan and rotation."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from qpgaze.frames import ClockRelation, DeviceClock, SessionClock
from qpgaze.model import Event
from qpgaze.samples import empty_records
from qpgaze.session import SessionHeader, SessionWriter, viewer_state_to_json
from qpgaze.session.codec import dump_line
from qpgaze.viewing import Cover, Display, ImageIdentity, Rect, ViewerState

SLIDE = ImageIdentity("slide A", 4000, 3000, "3", ("file:/data/somebody/slides/a%20b.svs",))
BOX = Rect(100.0, 50.0, 1600.0, 900.0)


def view(
    t_us: int,
    centre: tuple[float, float],
    downsample: float,
    rotation_rad: float = 0.0,
    image: ImageIdentity = SLIDE,
    **more: Any,
) -> ViewerState:
    """Return the state of a QuPath viewer: its own formula for the three corners."""
    cos, sin = math.cos(rotation_rad), math.sin(rotation_rad)
    corners = []
    for x, y in ((0.0, 0.0), (BOX.width, 0.0), (0.0, BOX.height)):
        u, v = x - BOX.width / 2, y - BOX.height / 2
        corners.append(
            (
                centre[0] + downsample * (cos * u + sin * v),
                centre[1] + downsample * (-sin * u + cos * v),
            )
        )
    more = {"bounds_screen_px": BOX, "screen_bounds_px": Rect(0.0, 0.0, 1920.0, 1080.0), **more}
    return ViewerState(t_us, "1", image, tuple(corners), downsample, rotation_rad, **more)


def tour(end_us: int, image: ImageIdentity = SLIDE) -> list[ViewerState]:
    """Return an overview, a zoom, a pan and a turn, with keyframes each second."""
    states = []
    for t in range(0, end_us + 1, 500_000):
        s = t / 1e6
        downsample = max(1.0, 4.0 - s)
        centre = (2000.0 + 100.0 * max(0.0, s - 2), 1500.0)
        turn = math.radians(15.0) if s >= 3 else 0.0
        covers = (Cover("overview", Rect(1400.0, 10.0, 180.0, 140.0)),)
        states.append(view(t, centre, downsample, turn, image, covers=covers, read_us=t + 77))
    return states


@pytest.fixture
def viewer_log(tmp_path: Path) -> Path:
    """A viewer log of 30 s with zoom, pan and rotation."""
    log = tmp_path / "viewer-log.jsonl"
    log.write_bytes(b"".join(dump_line(viewer_state_to_json(s)) for s in tour(30_000_000)))
    return log


def header_of(**more: Any) -> SessionHeader:
    display = Display(Rect(0.0, 0.0, 1920.0, 1080.0), 528.0, 297.0)
    plain: dict[str, Any] = {
        "id": UUID("12345678-1234-5678-1234-567812345678"),
        "pseudonym": "reader 1",
        "tracker": "Test tracker",
        "display": display,
        "viewer_keyframe_us": 1_000_000,
    }
    return SessionHeader(**{**plain, **more})


def gaze_of(n: int = 600, step_us: int = 8_333) -> np.ndarray:
    records = empty_records(n)
    records["t_us"] = np.arange(n) * step_us
    records["device_us"] = records["t_us"] + 5_000_000
    for eye in ("left", "right"):
        records[f"{eye}_x_adcs"] = 0.5 + 0.1 * np.sin(np.arange(n) / 50)
        records[f"{eye}_y_adcs"] = 0.5
        records[f"{eye}_gaze_valid"] = 1
    return records


EVENTS = (
    Event(0, "validation", {"accuracy_deg": 0.6, "precision_sd_deg": 0.2}),
    Event(1_500_000, "label", {"event": "mark", "class": "Keratin pearl"}),
    Event(2_000_000, "label", {"event": "hold", "class": "Tumor: invasive", "down": True}),
    Event(2_500_000, "label", {"event": "hold", "class": "Tumor: invasive", "down": False}),
    Event(3_000_000, "label", {"event": "undo"}),
)
CLOCK = ClockRelation(DeviceClock, SessionClock, -5_000_000, 5_000_000, uncertainty_us=150)


@pytest.fixture
def parts() -> SimpleNamespace:
    """What small sessions are made of, to be made otherwise."""
    return SimpleNamespace(
        slide=SLIDE, view=view, tour=tour, gaze=gaze_of, header=header_of, events=EVENTS
    )


@pytest.fixture
def make_session(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a whole small session."""

    def make(
        name: str = "a.qpgaze",
        *,
        gaze: np.ndarray | None = None,
        states: list[ViewerState] | None = None,
        events: tuple[Event, ...] = EVENTS,
        close: bool = True,
        **header: Any,
    ) -> Path:
        writer = SessionWriter.create(tmp_path / name, header_of(**header))
        writer.append_clock(CLOCK)
        writer.append_viewer(tour(5_000_000) if states is None else states)
        writer.append_gaze(gaze_of() if gaze is None else gaze)
        for event in events:
            writer.append_event(event)
        if close:
            writer.close()
        else:
            writer.release()
        return tmp_path / name

    return make
