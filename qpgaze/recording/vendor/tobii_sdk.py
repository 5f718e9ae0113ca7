"""Tobii's own library, ``tobii_research``: callbacks into a queue.

An exception in a callback comes out of the library as an unrelated NameError, so a callback does
nothing but append; what it was given is read by :meth:`Tracker.take`.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

NOTES = {
    "CONNECTION_LOST": "connection lost",
    "CONNECTION_RESTORED": "connection restored",
    "CALIBRATION_CHANGED": "calibration changed",
    "CALIBRATION_MODE_LEFT": "calibration mode left",
    "DISPLAY_AREA_CHANGED": "display area changed",
    "GAZE_OUTPUT_FREQUENCY_CHANGED": "gaze frequency changed",
    "STREAM_BUFFER_OVERFLOW": "the tracker's buffer overflowed",
    "DEVICE_FAULTS": "the tracker reports a fault",
}
_QUEUED = 1_000_000


def find(library: Any) -> list[tuple[str, Any]]:
    """Return the trackers that are attached, by address."""
    return [(tracker.address, tracker) for tracker in library.find_all_eyetrackers()]


class Tracker:
    """One tracker behind the functions that ``tobii.py`` calls."""

    def __init__(self, library: Any, tracker: Any) -> None:
        self._library, self._tracker = library, tracker
        self._gaze: deque[Any] = deque(maxlen=_QUEUED)
        self._trips: deque[Any] = deque(maxlen=1000)
        self._notes: deque[str] = deque(maxlen=1000)
        self._subscribed: list[tuple[str, Any]] = []
        self._calibration: Any = None

    def describe(self) -> dict[str, Any]:
        """Return what the tracker says of itself."""
        tracker = self._tracker
        area = tracker.get_display_area()
        corners = [list(c) for c in (area.top_left, area.top_right, area.bottom_left)]
        return {
            "library": "tobii-research",
            "version": str(getattr(self._library, "__version__", "")),
            "model": tracker.model,
            "name": tracker.device_name,
            "serial": tracker.serial_number,
            "firmware": tracker.firmware_version,
            "rate_hz": self.rate_hz(),
            "rates_hz": list(tracker.get_all_gaze_output_frequencies()),
            "display_mm": {"width": area.width, "height": area.height, "corners": corners},
        }

    def now_us(self) -> int:
        """Return the clock of ``system_us``. Each call leaks a little: not to be polled."""
        return int(self._library.get_system_time_stamp())

    def rate_hz(self) -> float:
        """Ask the tracker for its rate."""
        return float(self._tracker.get_gaze_output_frequency())

    def set_rate(self, rate_hz: float) -> None:
        """Have the tracker run at another rate."""
        self._tracker.set_gaze_output_frequency(rate_hz)

    def start(self) -> None:
        """Subscribe to gaze, clock comparisons and notifications."""
        library = self._library
        self._subscribe(library.EYETRACKER_GAZE_DATA, self._gaze.append)
        self._subscribe(library.EYETRACKER_TIME_SYNCHRONIZATION_DATA, self._trips.append)
        for name, what in NOTES.items():
            stream = getattr(library, f"EYETRACKER_NOTIFICATION_{name}", None)
            if stream is not None:
                self._subscribe(stream, partial(self._note, what))

    def stop(self) -> None:
        """Unsubscribe; leave a calibration that was not left."""
        if self._calibration is not None:
            self.calibrate("leave", None, None)
        for stream, callback in self._subscribed:
            self._tracker.unsubscribe_from(stream, callback)
        self._subscribed = []

    def take(self) -> tuple[list[list[Any]], int]:
        """Return the rows that came, and how many could not be read."""
        rows, bad = [], 0
        while self._gaze:
            try:
                rows.append(row(self._gaze.popleft()))
            except (KeyError, TypeError, ValueError, IndexError):
                bad += 1
        return rows, bad

    def trips(self) -> list[list[int]]:
        """Return comparisons of the computer's and the device's clock."""
        names = (
            "system_request_time_stamp",
            "device_time_stamp",
            "system_response_time_stamp",
        )
        return [[int(trip[n]) for n in names] for trip in drain(self._trips)]

    def notes(self) -> list[str]:
        """Return what the tracker announced."""
        return drain(self._notes)

    def calibrate(self, do: str, x: float | None, y: float | None) -> tuple[bool, str]:
        """Do one step of a calibration."""
        if do == "enter":
            self._calibration = self._library.ScreenBasedCalibration(self._tracker)
            self._calibration.enter_calibration_mode()
            return True, ""
        if do == "leave":
            calibration, self._calibration = self._calibration, None
            if calibration is not None:
                calibration.leave_calibration_mode()
            return True, ""
        if do == "collect":
            status = str(self._calibration.collect_data(x, y))
        else:
            status = str(self._calibration.compute_and_apply().status)
        library = self._library
        good = (
            library.CALIBRATION_STATUS_SUCCESS,
            library.CALIBRATION_STATUS_SUCCESS_LEFT_EYE,
            library.CALIBRATION_STATUS_SUCCESS_RIGHT_EYE,
        )
        return status in good, status

    def _subscribe(self, stream: str, callback: Any) -> None:
        self._tracker.subscribe_to(stream, callback, as_dictionary=True)
        self._subscribed.append((stream, callback))

    def _note(self, what: str, _data: Any) -> None:
        self._notes.append(what)


def drain(waiting: deque[Any]) -> list[Any]:
    """Take everything out of a queue that others fill."""
    return [waiting.popleft() for _ in range(len(waiting))]


def row(sample: Any) -> list[Any]:
    """Put a sample of the library into the order of a row."""
    values: list[Any] = [int(sample["device_time_stamp"]), int(sample["system_time_stamp"])]
    flags: list[int] = []
    for eye in ("left", "right"):
        x, y = sample[f"{eye}_gaze_point_on_display_area"]
        origin = sample[f"{eye}_gaze_origin_in_user_coordinate_system"]
        values += [float(x), float(y), *(float(v) for v in origin)]
        values.append(float(sample[f"{eye}_pupil_diameter"]))
        for what in ("gaze_point", "gaze_origin", "pupil"):
            flags.append(int(sample[f"{eye}_{what}_validity"]))
    return values + flags
