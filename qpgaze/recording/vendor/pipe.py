"""Lines of JSON between qpgaze and a vendor's library in a process of its own.

To this process: ``ping`` (id), ``rate``, ``calibrate`` (id, do, x, y), ``stop``. From it:

- ``ready``: model, serial, firmware, library, version, rate_hz, rates_hz, display_mm, columns
- ``gaze``: rows, each a list in the order of `columns`
- ``pong``: id, there_us, left_us, on the clock that the stamps of `clock_column` are on
- ``sync``: trips of [asked_us, device_us, answered_us] between that clock and the device's
- ``correction``: us to add to device stamps, and by how much that may be wrong
- ``rate``: rate_hz now; ``note``: what happened; ``answer``: id, ok, detail
- ``trouble``: code, message, hint (and the process ends); ``bye``

NaN is written as such: both ends are Python.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any


class Trouble(Exception):  # noqa: N818 - it is said to a person
    """Why a program cannot go on, in words for a person."""

    def __init__(self, code: str, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.hint = code, text, hint

    def message(self) -> dict[str, Any]:
        """Return the line that says so."""
        return {"type": "trouble", "code": self.code, "message": self.text, "hint": self.hint}


class Pipe:
    """Both ways of the talk. Pings are answered at once, whatever the program does meanwhile."""

    Trouble = Trouble

    def __init__(self) -> None:
        # A library that prints would break the talk: what it prints goes to stderr from now on.
        self._out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self.clock: Callable[[], int] | None = None
        """The clock that pings ask for, once the library is there."""
        threading.Thread(target=self._listen, daemon=True).start()

    def write(self, message: dict[str, Any]) -> None:
        """Send a line."""
        data = memoryview(json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n")
        with self._lock:
            while data:
                data = data[self._out.write(data) :]

    def command(self, wait_s: float) -> dict[str, Any] | None:
        """Return the next command; None if none came in time."""
        try:
            return self._commands.get(timeout=wait_s)
        except queue.Empty:
            return None

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            came_us = self.clock() if self.clock is not None else None
            message = json.loads(line)
            if message["type"] == "ping" and self.clock is not None:
                said = {"type": "pong", "id": message["id"], "there_us": came_us}
                self.write({**said, "left_us": self.clock()})
            else:
                self._commands.put(message)
        self._commands.put({"type": "stop"})  # whoever started this process is gone
