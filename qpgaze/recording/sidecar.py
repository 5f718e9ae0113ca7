"""A vendor's library in a process of its own."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from qpgaze.errors import SourceError
from qpgaze.wire.channel import now_us

log = logging.getLogger("qpgaze.recording")

VENDOR: Final = Path(__file__).resolve().parent / "vendor"
STOP_S: Final = 5.0
_KEPT_ERRORS = 20
_QUEUED = 200_000

Message = dict[str, Any]


class Sidecar:
    """The process, a thread that reads its lines and one that keeps its last words.

    Parameters
    ----------
    program : str
        File of ``recording/vendor``.
    options : mapping
        JSON values, what the program is to be told.
    python : str, optional
        The Python to run it on; this one where not given.
    """

    def __init__(self, program: str, options: Mapping[str, Any], python: str | None = None) -> None:
        command = [python or sys.executable, str(VENDOR), program, json.dumps(dict(options))]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as error:
            raise SourceError(
                f"The Python '{command[0]}' cannot be started: {error.strerror or error}.",
                hint="Name the Python that has the tracker's library.",
            ) from error
        self._lock = threading.Condition()
        self._came: deque[tuple[Message, int]] = deque(maxlen=_QUEUED)
        self._errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self.ended: str | None = None
        """Why nothing more comes."""
        self._threads = [
            threading.Thread(target=target, name=f"qpgaze-{program}-{what}", daemon=True)
            for what, target in (("read", self._read), ("errors", self._read_errors))
        ]
        for thread in self._threads:
            thread.start()

    def send(self, message: Message) -> None:
        """Send a line; one that no longer reaches the process is of no use to anybody."""
        stdin = self._process.stdin
        if stdin is not None and self.ended is None:
            with contextlib.suppress(OSError, ValueError):
                stdin.write(json.dumps(message).encode("ascii") + b"\n")

    def take(self, wait_s: float = 0.0) -> list[tuple[Message, int]]:
        """Return the lines that came, each with its arrival on the host clock."""
        with self._lock:
            if not self._came and wait_s > 0 and self.ended is None:
                self._lock.wait(wait_s)
            taken = list(self._came)
            self._came.clear()
        return taken

    def close(self) -> None:
        """Have it stop, and end it where it does not."""
        self.send({"type": "stop"})
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _read(self) -> None:
        stdout = self._process.stdout
        said_bye = False
        if stdout is not None:
            rest = b""
            while data := stdout.read(1 << 16):
                arrived = now_us()
                *lines, rest = (rest + data).split(b"\n")
                messages = [m for line in lines if (m := self._parse(line)) is not None]
                said_bye = said_bye or any(m["type"] == "bye" for m in messages)
                with self._lock:
                    self._came.extend((m, arrived) for m in messages)
                    self._lock.notify_all()
        status = self._process.wait()
        self._threads[1].join(1.0)
        words = "" if said_bye else " ".join(self._errors).strip()[-400:]
        with self._lock:
            self.ended = (
                "it was stopped" if said_bye else f"its process ended ({status}). {words}".strip()
            )
            self._lock.notify_all()

    def _parse(self, line: bytes) -> Message | None:
        if not line.strip():
            return None
        try:
            message = json.loads(line)
        except ValueError:
            log.warning("A line of the tracker's process was left out: %r", line[:80])
            return None
        return message if isinstance(message, dict) and "type" in message else None

    def _read_errors(self) -> None:
        stderr = self._process.stderr
        if stderr is not None:
            for line in iter(stderr.readline, b""):
                self._errors.append(line.decode("utf-8", "replace").strip())
