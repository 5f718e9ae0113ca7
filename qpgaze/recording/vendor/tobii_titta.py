"""Tobii's library inside ``TittaPy_v2``: for Pythons that Tobii makes no package for."""

from __future__ import annotations

import time
from typing import Any

_FLAGS = [
    f"{eye}_{what}_valid"
    for eye in ("left", "right")
    for what in ("gaze_point", "gaze_origin", "pupil")
]
_SYNC = ("system_request_time_stamp", "device_time_stamp", "system_response_time_stamp")
_STREAMS = ("gaze", "timeSync", "notification")
_CALIBRATION_WAIT_S = 15.0
_ACTIONS = {"enter": "enter", "collect": "collect_data", "compute": "compute", "leave": "exit"}
"""What the library calls each step."""


def find(library: Any) -> list[tuple[str, Any]]:
    """Return the trackers that are attached, by address."""
    found = []
    for said in library.find_all_eye_trackers():
        address = said["address"] if isinstance(said, dict) else said.address
        found.append((address, address))
    return found


class Tracker:
    """One tracker behind the functions that ``tobii.py`` calls."""

    def __init__(self, library: Any, address: str) -> None:
        self._library = library
        self._tracker = library.EyeTracker(address)
        self._started: list[str] = []

    def describe(self) -> dict[str, Any]:
        """Return what the tracker says of itself."""
        tracker = self._tracker
        area = tracker.display_area
        corners = [[float(v) for v in area[n]] for n in ("top_left", "top_right", "bottom_left")]
        size = {"width": float(area["width"]), "height": float(area["height"])}
        return {
            "library": "TittaPy",
            "version": str(getattr(self._library, "__version__", "")),
            "model": tracker.model,
            "name": tracker.device_name,
            "serial": tracker.serial_number,
            "firmware": tracker.firmware_version,
            "rate_hz": self.rate_hz(),
            "rates_hz": [float(rate) for rate in tracker.supported_frequencies],
            "display_mm": {**size, "corners": corners},
        }

    def now_us(self) -> int:
        """Return the clock of ``system_us``."""
        return int(self._library.get_system_timestamp())

    def rate_hz(self) -> float:
        """Ask the tracker for its rate."""
        return float(self._tracker.frequency)

    def set_rate(self, rate_hz: float) -> None:
        """Have the tracker run at another rate."""
        self._tracker.frequency = rate_hz

    def start(self) -> None:
        """Have the library fill its buffers."""
        for stream in _STREAMS:
            if self._tracker.has_stream(stream) and self._tracker.start(stream):
                self._started.append(stream)

    def stop(self) -> None:
        """Stop the buffers."""
        for stream in self._started:
            self._tracker.stop(stream)
        self._started = []

    def take(self) -> tuple[list[list[Any]], int]:
        """Return the rows that came, and how many could not be read."""
        columns = self._tracker.consume_N("gaze")
        if not columns or not len(columns["device_time_stamp"]):
            return [], 0
        taken: list[list[Any]] = [
            [int(v) for v in columns[n]] for n in ("device_time_stamp", "system_time_stamp")
        ]
        for eye in ("left", "right"):
            names = [f"{eye}_gaze_point_on_display_area_{axis}" for axis in "xy"]
            names += [f"{eye}_gaze_origin_in_user_coordinates_{axis}" for axis in "xyz"]
            names.append(f"{eye}_pupil_diameter")
            taken += [[float(v) for v in columns[name]] for name in names]
        taken += [[int(v) for v in columns[name]] for name in _FLAGS]
        return [list(one) for one in zip(*taken)], 0  # noqa: B905 - columns of one table

    def trips(self) -> list[list[int]]:
        """Return comparisons of the computer's and the device's clock."""
        if "timeSync" not in self._started:
            return []
        columns = self._tracker.consume_N("timeSync")
        if not columns:
            return []
        return [[int(v) for v in one] for one in zip(*(columns[n] for n in _SYNC))]  # noqa: B905

    def notes(self) -> list[str]:
        """Return what the tracker announced."""
        if "notification" not in self._started:
            return []
        columns = self._tracker.consume_N("notification")
        kinds = columns.get("notification_type", []) if columns else []
        return [str(kind).rpartition(".")[2].replace("_", " ") for kind in kinds]

    def calibrate(self, do: str, x: float | None, y: float | None) -> tuple[bool, str]:
        """Do one step of a calibration; the library does it on a thread of its own."""
        tracker = self._tracker
        self._results()  # of an earlier calibration: they are nobody's answer now
        if do == "enter":
            if not tracker.enter_calibration_mode(False):
                return False, "the tracker is in calibration mode already"
        elif do == "leave":
            # Waits for the step that still runs; where none was entered nothing is answered.
            if not tracker.leave_calibration_mode(False):
                return True, ""
        elif do == "collect":
            tracker.calibration_collect_data([x, y])
        else:
            tracker.calibration_compute_and_apply()
        return self._answer_to(do)

    def _results(self) -> list[dict[str, Any]]:
        found = []
        while (result := self._tracker.calibration_retrieve_result()) is not None:
            found.append(result)
        return found

    def _answer_to(self, do: str) -> tuple[bool, str]:
        """Wait for the result of one step: every step leaves one in the library's queue."""
        action = int(getattr(self._library.calibration_action, _ACTIONS[do]))
        until = time.monotonic() + _CALIBRATION_WAIT_S
        while time.monotonic() < until:
            for result in self._results():
                if int(result["work_item"]["action"]) == action:
                    return outcome(result)
            time.sleep(0.01)
        return False, "the tracker did not answer"


def outcome(result: dict[str, Any]) -> tuple[bool, str]:
    """Tell whether a step of a calibration went well, and what the library said of it."""
    said = str(result.get("status_string") or "")
    ok = int(result["status"]) == 0  # Tobii's own code for "fine"
    computed = result.get("calibration_result")
    if computed is not None:
        # 0 is failure; one or both eyes are success.
        ok = ok and int(computed["status"]) != 0
        said = f"{said} {computed['status'].name.replace('_', ' ')}".strip()
    return ok, said
