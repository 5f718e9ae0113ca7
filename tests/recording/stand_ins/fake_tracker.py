"""What both stand-ins for Tobii's libraries show: a tracker with a clock of its own and quirks.

Sample k is taken at a known moment: ``left origin z`` is the host's clock modulo 10 s in
microseconds, which a float of 32 bits holds exactly. Where ``FAKE_TOBII_EYE`` names a file, an eye
is there as well: it looks where the file says (x y, of the display area), and calibrating takes it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

PERIOD_US = 4_000
DEVICE_BASE_US = 987_654_321_000
SYSTEM_AHEAD_US = 5_000_000
ABSENT = range(100, 110)
MODEL = os.environ.get("FAKE_TOBII_MODEL", "Tobii Pro Fusion")
DIES_AT = int(os.environ.get("FAKE_TOBII_DIES_AT", "0"))
GARBLED_AT = 60
EYE = os.environ.get("FAKE_TOBII_EYE", "")
STEPS = os.environ.get("FAKE_TOBII_STEPS", "")
"""A file to which each step of a calibration is written."""
EYES_FROM_MM = (0.0, 155.0, 655.0)
"""Between the eyes, in front of the middle of the display area."""


def host_us() -> int:
    return time.perf_counter_ns() // 1000


def system_us() -> int:
    return host_us() + SYSTEM_AHEAD_US


def invalid(k: int) -> bool:
    return k % 50 in range(40, 45)


def looked_at() -> tuple[float, float] | None:
    """Where the eye of the file looks; None where there is no such eye."""
    with suppress(OSError, ValueError):
        x, y = Path(EYE).read_text(encoding="utf-8").split()
        return float(x), float(y)
    return None


def step(what: str) -> None:
    if STEPS:
        with Path(STEPS).open("a", encoding="utf-8") as file:
            file.write(what + "\n")


def sees(x: float, y: float) -> bool:
    """Whether the eye is on a point of a calibration; without one, all but the right edge."""
    if not EYE:
        return x <= 0.8
    at = looked_at()
    return at is not None and max(abs(at[0] - x), abs(at[1] - y)) < 0.05


def sample(k: int, taken_us: int) -> dict[str, Any]:
    """Values persist while the eye is lost; only the flags tell."""
    seen = k
    while invalid(seen):
        seen -= 1
    flag = int(not invalid(k))
    said: dict[str, Any] = {
        "device_time_stamp": DEVICE_BASE_US + k * PERIOD_US,
        "system_time_stamp": taken_us + SYSTEM_AHEAD_US,
    }
    for eye, shift in (("left", 0.0), ("right", 0.01)):
        said[f"{eye}_gaze_point_on_display_area"] = ((seen % 1000) / 1000 + shift, 0.25)
        said[f"{eye}_gaze_origin_in_user_coordinate_system"] = (
            -30.0,
            10.0,
            float(taken_us % 10**7),
        )
        said[f"{eye}_pupil_diameter"] = 3.5
        for what in ("gaze_point", "gaze_origin", "pupil"):
            said[f"{eye}_{what}_validity"] = flag
    if EYE:
        said.update(seen_by(looked_at()))
    return said


def seen_by(at: tuple[float, float] | None) -> dict[str, Any]:
    """What is measured of an eye that looks there, None: of none."""
    said: dict[str, Any] = {}
    x, y, z = EYES_FROM_MM
    for eye, beside in (("left", -31.5), ("right", 31.5)):
        said[f"{eye}_gaze_point_on_display_area"] = at or (float("nan"), float("nan"))
        said[f"{eye}_gaze_origin_in_user_coordinate_system"] = (x + beside, y, z)
        for what in ("gaze_point", "gaze_origin", "pupil"):
            said[f"{eye}_{what}_validity"] = int(at is not None)
    return said


class Camera:
    """Takes samples on a thread of its own."""

    def __init__(self, on_sample: Callable[[Any], None], on_note: Callable[[str], None]) -> None:
        self._on_sample, self._on_note = on_sample, on_note
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        start = host_us()
        k = 0
        while not self._stop.is_set():
            due = start + k * PERIOD_US
            wait_s = (due - host_us()) / 1e6
            if wait_s > 0:
                time.sleep(wait_s)
            if DIES_AT and k == DIES_AT:
                os.write(2, b"segmentation fault in libtobii\n")
                os._exit(7)
            if k == GARBLED_AT:
                self._on_sample(None)
            if k == 150:
                self._on_note("connection lost")
            if k == 160:
                self._on_note("connection restored")
            if k not in ABSENT:
                self._on_sample(sample(k, due))
            k += 1
