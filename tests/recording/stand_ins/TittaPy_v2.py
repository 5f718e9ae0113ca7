"""A stand-in with the name and the API of TittaPy: buffers that are consumed."""

from __future__ import annotations

import os
import queue
import threading
from enum import IntEnum
from typing import Any

if os.environ.get("FAKE_TOBII") != "TittaPy_v2":
    raise ImportError("not this one")

import fake_tracker as fake
import numpy as np

__version__ = "2.1.0"
ADDRESS = "tet-tcp://169.254.7.7"


class calibration_action(IntEnum):
    nothing = 0
    enter = 1
    collect_data = 2
    discard_data = 3
    compute = 4
    get_calibration_data = 5
    apply_calibration_data = 6
    exit = 7


class calibration_status(IntEnum):
    failure = 0
    success = 1
    success_left_eye = 2
    success_right_eye = 3


def find_all_eye_trackers() -> list[dict[str, str]]:
    return [] if fake.MODEL == "none" else [{"address": ADDRESS, "model": fake.MODEL}]


def get_system_timestamp() -> int:
    return fake.system_us()


class EyeTracker:
    device_name = "Fusion"
    serial_number = "FAKE-1"
    model = fake.MODEL
    firmware_version = "1.2.3"
    supported_frequencies = (60.0, 120.0, 250.0)

    def __init__(self, address: str) -> None:
        assert address == ADDRESS
        self._rate, self._calibrated = 250.0, False
        self._results: queue.Queue[dict[str, Any]] = queue.Queue()
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()
        self._buffers: dict[str, list[dict[str, Any]]] = {}
        self._camera = fake.Camera(self._sample, self._note)

    @property
    def frequency(self) -> float:
        return self._rate

    @frequency.setter
    def frequency(self, rate: float) -> None:
        if not self._calibrated:
            self._rate = rate

    @property
    def display_area(self) -> dict[str, Any]:
        return {
            "width": 520.0,
            "height": 290.0,
            "top_left": np.array([-260.0, 300.0, 10.0]),
            "top_right": np.array([260.0, 300.0, 10.0]),
            "bottom_left": np.array([-260.0, 10.0, 0.0]),
            "bottom_right": np.array([260.0, 10.0, 0.0]),
        }

    def has_stream(self, stream: str) -> bool:
        return stream in ("gaze", "timeSync", "notification")

    def start(self, stream: str) -> bool:
        self._buffers[stream] = []
        if stream == "gaze":
            self._camera.start()
        if stream == "timeSync":
            now = fake.system_us()
            self._buffers[stream].append(
                {
                    "system_request_time_stamp": now - 100,
                    "device_time_stamp": now - 3_000_000_000,
                    "system_response_time_stamp": now + 100,
                }
            )
        return True

    def stop(self, stream: str) -> bool:
        if stream == "gaze":
            self._camera.stop()
        return True

    def consume_N(self, stream: str) -> dict[str, Any]:
        with self._lock:
            rows, self._buffers[stream] = self._buffers[stream], []
        if not rows:
            return {}
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def enter_calibration_mode(self, do_monocular: bool) -> bool:
        if self._worker is not None:
            return False
        self._work = queue.Queue()
        self._worker = threading.Thread(target=self._calibrate, daemon=True)
        self._work.put((calibration_action.enter, None))
        self._worker.start()
        return True

    def leave_calibration_mode(self, force: bool | None = None) -> bool:
        if self._worker is None:
            return False
        self._work.put((calibration_action.exit, None))
        self._worker.join()
        self._worker = None
        return True

    def calibration_collect_data(self, coordinates: list[float]) -> None:
        self._add(calibration_action.collect_data, coordinates)

    def calibration_compute_and_apply(self) -> None:
        self._add(calibration_action.compute, None)

    def calibration_retrieve_result(self) -> dict[str, Any] | None:
        try:
            return self._results.get_nowait()
        except queue.Empty:
            return None

    def _add(self, action: calibration_action, coordinates: list[float] | None) -> None:
        if self._worker is None:
            raise RuntimeError("you have not entered calibration mode")
        self._work.put((action, coordinates))

    def _calibrate(self) -> None:
        """Every step leaves a result in the queue, those of entering and leaving, too."""
        points = 0
        while True:
            action, xy = self._work.get()
            result: dict[str, Any] = {"work_item": {"action": action}, "status": 0}
            if action == calibration_action.collect_data:
                seen = fake.sees(*xy)
                result["work_item"]["coordinates"] = xy
                result["status"], points = (0, points + 1) if seen else (4, points)
            if action == calibration_action.compute:
                good = calibration_status.success if points else calibration_status.failure
                result["calibration_result"] = {"points": [], "status": good}
                self._rate, self._calibrated = (60.0, True) if points else (self._rate, False)
            code = result["status"]
            name = {0: "TOBII_RESEARCH_STATUS_OK", 4: "TOBII_RESEARCH_STATUS_SE_INTERNAL"}[code]
            result["status_string"] = f"Tobii SDK code: {code}: {name} (success is not in it)"
            self._results.put(result)
            if action == calibration_action.exit:
                return

    def _sample(self, sample: Any) -> None:
        if sample is None:
            return
        row: dict[str, Any] = {n: sample[n] for n in ("device_time_stamp", "system_time_stamp")}
        for eye in ("left", "right"):
            x, y = sample[f"{eye}_gaze_point_on_display_area"]
            row[f"{eye}_gaze_point_on_display_area_x"] = x
            row[f"{eye}_gaze_point_on_display_area_y"] = y
            origin = sample[f"{eye}_gaze_origin_in_user_coordinate_system"]
            for axis, value in zip("xyz", origin):  # noqa: B905
                row[f"{eye}_gaze_origin_in_user_coordinates_{axis}"] = value
            row[f"{eye}_pupil_diameter"] = sample[f"{eye}_pupil_diameter"]
            for what in ("gaze_point", "gaze_origin", "pupil"):
                row[f"{eye}_{what}_valid"] = bool(sample[f"{eye}_{what}_validity"])
        with self._lock:
            self._buffers["gaze"].append(row)

    def _note(self, what: str) -> None:
        with self._lock:
            kind = "notification_type." + what.replace(" ", "_")
            self._buffers.setdefault("notification", []).append({"notification_type": kind})
