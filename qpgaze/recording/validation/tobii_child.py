"""Calibrate a Tobii tracker: run as a process of its own, which holds the vendor's library.

It imports nothing of ours, so that library and program never share a process. One JSON object a
line comes on standard input, ``{"do": "open" | "enter" | "collect" | "compute" | "leave"}``, and
one answers it, ``{"ok": true, ...}`` or ``{"ok": false, "error": "..."}``. When the input ends,
calibration mode is left.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from typing import Any, Protocol

PATIENCE_S = 30.0
INSTALL = "Install the Tobii library: pip install 'qpgaze[tobii]'"


Answer = dict[str, Any]


class Tracker(Protocol):
    """A tracker through either library."""

    name: str

    def enter(self) -> None: ...  # noqa: D102
    def collect(self, x: float, y: float) -> Answer: ...  # noqa: D102
    def compute(self) -> Answer: ...  # noqa: D102
    def leave(self) -> None: ...  # noqa: D102


class Research:
    """Tobii's own package, for Python 3.10."""

    def __init__(self, module: Any, address: str) -> None:
        self.sdk = module
        if address:
            self.tracker = module.EyeTracker(address)
        else:
            self.tracker = only(module.find_all_eyetrackers())
        self.name = str(self.tracker.model or self.tracker.device_name)
        self.work = module.ScreenBasedCalibration(self.tracker)
        self.good = (
            module.CALIBRATION_STATUS_SUCCESS,
            module.CALIBRATION_STATUS_SUCCESS_LEFT_EYE,
            module.CALIBRATION_STATUS_SUCCESS_RIGHT_EYE,
        )

    def enter(self) -> None:
        """Begin; a mode that a crashed program left behind is left first."""
        with contextlib.suppress(Exception):
            self.work.leave_calibration_mode()
        self.work.enter_calibration_mode()

    def collect(self, x: float, y: float) -> Answer:
        """Gather on one target."""
        seen = self.work.collect_data(x, y) in self.good
        if not seen:
            self.work.discard_data(x, y)
        return {"seen": seen}

    def compute(self) -> Answer:
        """Compute and apply."""
        status = self.work.compute_and_apply().status
        return {"success": status in self.good, "detail": str(status)}

    def leave(self) -> None:
        """End."""
        self.work.leave_calibration_mode()


class Titta:
    """TittaPy, for every Python: calls are queued, and each is answered once."""

    def __init__(self, module: Any, address: str) -> None:
        self.sdk = module
        if not address:
            address = only(module.find_all_eye_trackers())["address"]
        self.tracker = module.EyeTracker(address)
        self.name = str(self.tracker.model)
        good = module.calibration_status
        self.good = (good.success, good.success_left_eye, good.success_right_eye)

    def answer(self) -> Answer:
        """Wait for the call that was queued."""
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            result = self.tracker.calibration_retrieve_result()
            if result is not None:
                return dict(result)
            time.sleep(0.01)
        raise TimeoutError("the tracker did not answer")

    def enter(self) -> None:
        """Begin; a mode that a crashed program left behind is left first."""
        with contextlib.suppress(Exception):
            self.tracker.leave_calibration_mode(True)
        self.tracker.enter_calibration_mode(False)
        self.require(self.answer())

    def collect(self, x: float, y: float) -> Answer:
        """Gather on one target."""
        self.tracker.calibration_collect_data([x, y])
        seen = self.answer()["status"] == 0
        if not seen:
            self.tracker.calibration_discard_data([x, y])
            self.answer()
        return {"seen": seen}

    def compute(self) -> Answer:
        """Compute and apply."""
        self.tracker.calibration_compute_and_apply()
        result = self.answer()
        status = (result.get("calibration_result") or {}).get("status")
        success = result["status"] == 0 and status in self.good
        return {"success": success, "detail": str(result.get("status_string", ""))}

    def leave(self) -> None:
        """End."""
        if self.tracker.leave_calibration_mode(False):
            self.answer()

    def require(self, result: Answer) -> None:
        """Refuse a call that failed."""
        if result["status"] != 0:
            raise RuntimeError(str(result.get("status_string", "the tracker refused")))


def only(trackers: Any) -> Any:
    """Return the one tracker there is."""
    found = list(trackers)
    if not found:
        raise LookupError("No Tobii eye tracker was found. Check its cable and its power.")
    if len(found) > 1:
        each = [t["address"] if isinstance(t, dict) else t.address for t in found]
        raise LookupError(f"Several Tobii eye trackers were found; name one: {', '.join(each)}.")
    return found[0]


def open_tracker(address: str) -> Tracker:
    """Return the tracker through whichever library is there."""
    with contextlib.suppress(ImportError):
        return Research(importlib.import_module("tobii_research"), address)
    with contextlib.suppress(ImportError):
        return Titta(importlib.import_module("TittaPy_v2"), address)
    raise LookupError(INSTALL)


def handle(request: Answer, held: dict[str, Tracker], inside: list[bool]) -> Answer:
    """Do what was asked and return what to answer."""
    what = request.get("do")
    if what == "open":
        held["tracker"] = open_tracker(request.get("address") or "")
        return {"name": held["tracker"].name}
    tracker = held["tracker"]
    if what == "enter":
        tracker.enter()
        inside[:] = [True]
        return {}
    if what == "collect":
        return tracker.collect(float(request["x"]), float(request["y"]))
    if what == "compute":
        return tracker.compute()
    if what == "leave":
        leave(held, inside)
        return {}
    raise ValueError(f"unknown request {what!r}")


def leave(held: dict[str, Tracker], inside: list[bool]) -> None:
    """Leave calibration mode where it was entered, once."""
    if inside:
        inside.clear()
        held["tracker"].leave()


def main() -> None:
    """Answer requests until the input ends."""
    # Whatever the vendor's library prints must not fall between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    held: dict[str, Tracker] = {}
    inside: list[bool] = []
    try:
        for line in sys.stdin:
            try:
                answer = {"ok": True, **handle(json.loads(line), held, inside)}
            except Exception as error:
                answer = {"ok": False, "error": str(error) or type(error).__name__}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    finally:
        leave(held, inside)


if __name__ == "__main__":
    main()
