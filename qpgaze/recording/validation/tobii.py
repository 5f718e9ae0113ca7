"""Tobii's calibration, reached through a process of its own.

The vendor's library is not free software, leaks and may crash: it never enters this process.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from qpgaze.errors import SessionError
from qpgaze.recording.validation.protocol import CalibrationOutcome

ANSWER_S = 40.0
"""Longest wait for an answer: Tobii's computing takes some seconds, finding trackers some more."""

CHILD = Path(__file__).with_name("tobii_child.py")


class TobiiCalibrator:
    """A Tobii tracker that calibrates itself.

    Parameters
    ----------
    address : str
        Such as ``tet-tcp://...``; empty: the only one there is.
    python : str
        Interpreter that has the vendor's library.
    answer_s : float
        Longest wait for an answer, seconds.

    Raises
    ------
    SessionError
        If there is no tracker, or no library to reach it.
    """

    def __init__(
        self, address: str = "", *, python: str = sys.executable, answer_s: float = ANSWER_S
    ) -> None:
        self._answer_s = answer_s
        self._answers: queue.Queue[str | None] = queue.Queue()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own file, no shell
                [python, str(CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
            )
        except OSError as error:
            raise SessionError(f"Python '{python}' cannot be started: {error.strerror}.") from error
        self._reader = threading.Thread(
            target=_read, args=(self._process.stdout, self._answers), name="tobii", daemon=True
        )
        self._reader.start()
        try:
            self._name = str(self._ask(do="open", address=address).get("name", ""))
        except SessionError:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The tracker's model."""
        return self._name or "The Tobii tracker"

    def enter(self) -> None:
        """Begin a new calibration."""
        self._ask(do="enter")

    def collect(self, x_adcs: float, y_adcs: float) -> bool:
        """Gather gaze on a target, and tell whether the eyes were seen."""
        return bool(self._ask(do="collect", x=x_adcs, y=y_adcs).get("seen"))

    def compute(self) -> CalibrationOutcome:
        """Compute from all targets, and apply it."""
        answer = self._ask(do="compute")
        return CalibrationOutcome(bool(answer.get("success")), str(answer.get("detail", "")))

    def leave(self) -> None:
        """End calibration."""
        self._ask(do="leave")

    def close(self) -> None:
        """Let go of the tracker: its process ends once its input does."""
        process = self._process
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join(5.0)
        if process.stdout is not None:
            process.stdout.close()

    def _ask(self, **request: Any) -> dict[str, Any]:
        """Send one request and return its answer."""
        stdin = self._process.stdin
        try:
            if stdin is None:
                raise BrokenPipeError
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = self._answers.get(timeout=self._answer_s)
        except queue.Empty:
            # An answer that comes later would be taken for that of the next request.
            self._process.kill()
            raise SessionError(
                f"The Tobii tracker did not answer within {self._answer_s:g} s.",
                hint="Unplug it, plug it in again and start over.",
            ) from None
        except (OSError, ValueError) as error:
            raise SessionError("The Tobii library ended unexpectedly.", hint=_AGAIN) from error
        if line is None:
            self._answers.put(None)
            raise SessionError("The Tobii library ended unexpectedly.", hint=_AGAIN)
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise SessionError(f"The Tobii process answered {line!r}.", hint=_AGAIN) from error
        if not isinstance(answer, dict) or not answer.get("ok"):
            reason = answer.get("error") if isinstance(answer, dict) else line
            raise SessionError(f"Tobii: {str(reason).rstrip('.')}.")
        return answer


_AGAIN = "Start over; if it happens again, restart the computer."


def _read(stdout: IO[str] | None, answers: queue.Queue[str | None]) -> None:
    """Pass lines on; None says that there will be no more."""
    try:
        for line in stdout or ():
            answers.put(line)
    finally:
        answers.put(None)
