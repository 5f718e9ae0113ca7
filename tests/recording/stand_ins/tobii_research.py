"""A stand-in with the name and the API of Tobii's library, and its quirks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

if os.environ.get("FAKE_TOBII") != "tobii_research":
    raise ImportError("not this one")

import fake_tracker as fake

__version__ = "2.1.0"

EYETRACKER_GAZE_DATA = "gaze"
EYETRACKER_TIME_SYNCHRONIZATION_DATA = "sync"
EYETRACKER_NOTIFICATION_CONNECTION_LOST = "connection lost"
EYETRACKER_NOTIFICATION_CONNECTION_RESTORED = "connection restored"
EYETRACKER_NOTIFICATION_CALIBRATION_CHANGED = "calibration changed"
EYETRACKER_NOTIFICATION_GAZE_OUTPUT_FREQUENCY_CHANGED = "gaze frequency changed"
CALIBRATION_STATUS_FAILURE = "calibration_status_failure"
CALIBRATION_STATUS_SUCCESS = "calibration_status_success"
CALIBRATION_STATUS_SUCCESS_LEFT_EYE = "calibration_status_success_left_eye"
CALIBRATION_STATUS_SUCCESS_RIGHT_EYE = "calibration_status_success_right_eye"

print("Tobii says hello on stdout", file=sys.stdout, flush=True)


class EyeTracker:
    address = "tet-tcp://169.254.7.7"
    device_name = "Fusion"
    serial_number = "FAKE-1"
    model = fake.MODEL
    firmware_version = "1.2.3"

    def __init__(self) -> None:
        self.rate_hz = 250.0
        self.callbacks: dict[str, Callable[[Any], None]] = {}
        self._camera: fake.Camera | None = None

    def get_all_gaze_output_frequencies(self) -> tuple[float, ...]:
        return (60.0, 120.0, 250.0)

    def get_gaze_output_frequency(self) -> float:
        return self.rate_hz

    def set_gaze_output_frequency(self, rate_hz: float) -> None:
        # After a calibration this one falls to 60 Hz and stays there.
        if not getattr(self, "calibrated", False):
            self.rate_hz = rate_hz

    def get_display_area(self) -> SimpleNamespace:
        return SimpleNamespace(
            width=520.0,
            height=290.0,
            top_left=(-260.0, 300.0, 10.0),
            top_right=(260.0, 300.0, 10.0),
            bottom_left=(-260.0, 10.0, 0.0),
        )

    def subscribe_to(
        self, stream: str, callback: Callable[[Any], None], as_dictionary: bool
    ) -> None:
        assert as_dictionary
        self.callbacks[stream] = callback
        if stream == EYETRACKER_GAZE_DATA:
            self._camera = fake.Camera(self._sample, self._note)
            self._camera.start()
        if stream == EYETRACKER_TIME_SYNCHRONIZATION_DATA:
            now = fake.system_us()
            device = now - 3_000_000_000
            callback(
                {
                    "system_request_time_stamp": now - 100,
                    "device_time_stamp": device,
                    "system_response_time_stamp": now + 100,
                }
            )

    def unsubscribe_from(self, stream: str, callback: Callable[[Any], None]) -> None:
        del self.callbacks[stream]
        if stream == EYETRACKER_GAZE_DATA and self._camera is not None:
            self._camera.stop()

    def _sample(self, sample: Any) -> None:
        try:
            self.callbacks[EYETRACKER_GAZE_DATA](sample)
        except Exception:
            raise NameError("name 'gaze_data' is not defined") from None

    def _note(self, what: str) -> None:
        if what in self.callbacks:
            self.callbacks[what](SimpleNamespace())


_ATTACHED = () if fake.MODEL == "none" else (EyeTracker(),)


def find_all_eyetrackers() -> tuple[EyeTracker, ...]:
    return _ATTACHED


def get_system_time_stamp() -> int:
    return fake.system_us()


class ScreenBasedCalibration:
    def __init__(self, tracker: EyeTracker) -> None:
        self._tracker, self._on, self._points = tracker, False, 0

    def enter_calibration_mode(self) -> None:
        self._on = True
        fake.step("enter")

    def leave_calibration_mode(self) -> None:
        self._on = False
        fake.step("leave")

    def collect_data(self, x: float, y: float) -> str:
        assert self._on
        fake.step(f"collect {x:g} {y:g}")
        if not fake.sees(x, y):
            return CALIBRATION_STATUS_FAILURE
        self._points += 1
        return CALIBRATION_STATUS_SUCCESS

    def compute_and_apply(self) -> SimpleNamespace:
        if not self._points:
            raise RuntimeError("EyeTrackerOperationFailedError: no points")
        self._tracker.rate_hz, self._tracker.calibrated = 60.0, True  # type: ignore[attr-defined]
        fake.step("compute")
        both = CALIBRATION_STATUS_SUCCESS if fake.EYE else CALIBRATION_STATUS_SUCCESS_LEFT_EYE
        return SimpleNamespace(status=both)
