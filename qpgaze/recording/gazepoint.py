"""Gazepoint's trackers over TCP: the Open Gaze API of the Gazepoint Control program."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from qpgaze.errors import SourceError
from qpgaze.frames import ClockRelation, DeviceClock
from qpgaze.model import Event
from qpgaze.recording.clocks import INTERVAL_US, ClockTracker, NeverBack, compare_one_way
from qpgaze.recording.gaze_clock import on_host, records_of, set_times
from qpgaze.recording.live import LiveSetup, no_gaze, poll_all
from qpgaze.recording.opengaze import (
    ASKED,
    SENT,
    columns_of,
    enable,
    get,
    read_line,
    tick_frequency,
)
from qpgaze.recording.protocol import Batch
from qpgaze.samples import GAZE_COLUMNS, MISSING_STAMP, Column
from qpgaze.session import SessionHeader
from qpgaze.wire.channel import now_us
from qpgaze.wire.lines import LineSplitter

PORT: Final = 4242
CONNECT_S: Final = 3.0
ANSWER_S: Final = 2.0
SILENT_S: Final = 3.0
"""A tracker that sends nothing for so long is lost: it sends records without eyes, too."""
FEW_US: Final = 20_000
"""How much later than the fastest the first few records may all have come."""
_HINT = "Start Gazepoint Control on that computer, and see that its API listens on port 4242."
_QUEUED = 200_000


class GazepointSource:
    """A Gazepoint tracker.

    Parameters
    ----------
    setup : LiveSetup
    host : str
    port : int

    Notes
    -----
    The stamp of a record is that of its image; the API answers no question of the clock. So the
    fastest record of ten seconds is taken as one that took between nothing and the time of one
    image and one way of the network: the uncertainty is half of that.
    """

    columns: tuple[Column, ...] = GAZE_COLUMNS
    duration_us: int | None = None

    def __init__(self, setup: LiveSetup, host: str = "127.0.0.1", port: int = PORT) -> None:
        self._setup, self._host, self._port = setup, host, port
        self._sock: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._came: deque[tuple[dict[str, str], int]] = deque(maxlen=_QUEUED)
        self._ready = threading.Condition()
        self._said: dict[str, dict[str, str]] = {}
        self._ways_us: list[int] = []
        self._never_back = NeverBack()
        self._clock: ClockTracker[DeviceClock] | None = None
        self._pairs: list[tuple[Any, Any]] = []
        self._compare_at_us = 0
        self._last_count: int | None = None
        self._told_end = False
        self._heard_us = 0
        self._rate_hz = 60.0
        self._ticks_hz: float | None = None
        self.ended: str | None = None
        self.missed = 0
        """Records that the tracker counted and that did not come."""

    def start(self) -> SessionHeader:
        """Connect, ask who it is, have it send.

        Raises
        ------
        SourceError
            If nobody answers, or what answers is no Gazepoint.
        """
        display = self._setup.require_display()
        self._let_go()
        self._clock = ClockTracker(DeviceClock, self._setup.zero.begin())
        self._said, self._pairs, self._compare_at_us, self._last_count = {}, [], 0, None
        self.ended, self._told_end = None, False
        try:
            self._sock = socket.create_connection((self._host, self._port), CONNECT_S)
            self._sock.settimeout(None)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise SourceError(
                f"No Gazepoint answers at {self._host}:{self._port}: {error.strerror or error}.",
                hint=_HINT,
            ) from error
        self._thread = threading.Thread(target=self._read, name="qpgaze-gazepoint", daemon=True)
        self._thread.start()
        try:
            self._ask()
        except BaseException:
            self.stop()
            raise
        product = self._said.get("PRODUCT_ID", {})
        rate = product.get("RATE", "")
        self._rate_hz = float(rate) if rate.replace(".", "", 1).isdigit() else 60.0
        self._ticks_hz = tick_frequency(self._said.get("TIME_TICK_FREQUENCY", {}).get("FREQ"))
        version = self._said.get("API_ID", {}).get("VALUE", "")
        serial = self._said.get("SERIAL_ID", {}).get("VALUE", "")
        return self._setup.header(
            f"Gazepoint {product.get('VALUE', '')}".strip(),
            display,
            rate_hz=self._rate_hz,
            software={"Open Gaze API": version} if version else {},
            extra={"source": "gazepoint", "serial": serial, "ticks_hz": self._ticks_hz},
        )

    def poll(self, wait_s: float = 0.0) -> Batch:
        """Return what came."""
        with self._ready:
            if not self._came and wait_s > 0 and self.ended is None:
                self._ready.wait(wait_s)
            count = len(self._came)
        came = [self._came.popleft() for _ in range(count)]
        now = self._setup.zero.now_us()
        events: list[Event] = []
        if self.ended is None and now_us() - self._heard_us > SILENT_S * 1e6:
            self._lose(f"nothing came for {SILENT_S:g} s")
        if self.ended is not None and not self._told_end and self.ended != "stopped":
            self._told_end = True
            text = f"The tracker is lost: {self.ended}"
            events.append(Event(now, "note", {"source": "gazepoint", "text": text}))
        if not came:
            return Batch(now, no_gaze(), events=tuple(events))
        columns: dict[str, Any] = dict(columns_of([c for c, _ in came], self._ticks_hz))
        arrived = np.array([t for _, t in came], dtype=np.int64)
        self._count([record.get("CNT") for record, _ in came])
        clocks = self._compare(columns["device_us"], arrived)
        columns["system_us"] = on_host(self._clock, columns["device_us"], arrived)
        records = records_of(columns, len(came))
        set_times(records, self._setup.zero.host_us, self._never_back)
        return Batch(now, records, (), tuple(events), clocks)

    def batches(self) -> Iterator[Batch]:
        """Yield what comes until the tracker is lost or stopped."""
        return poll_all(self)

    def stop(self) -> None:
        """Have it send nothing more, and disconnect."""
        self.ended = self.ended or "stopped"
        self._let_go()

    # -- within ------------------------------------------------------------------------------

    def _let_go(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(OSError):  # it may be gone already
                sock.sendall(enable("DATA", on=False))
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _ask(self) -> None:
        """Ask what it is; measure how long an answer takes."""
        sock = self._sock
        if sock is None:
            raise SourceError("The connection to the Gazepoint ended at once.", hint=_HINT)
        for name in ASKED:
            sent = now_us()
            sock.sendall(get(name))
            if self._wait_for(name):
                self._ways_us.append(now_us() - sent)
        if not self._said:
            raise SourceError(
                f"What listens at {self._host}:{self._port} is no Gazepoint: it answers nothing.",
                hint=_HINT,
            )
        for name in (*SENT, "DATA"):
            sock.sendall(enable(name))
        self._heard_us = now_us()

    def _wait_for(self, name: str) -> bool:
        until = time.monotonic() + ANSWER_S
        with self._ready:
            while name not in self._said and self.ended is None:
                left = until - time.monotonic()
                # One that does not know a name answers NACK or nothing; the others follow anyway.
                if left <= 0 or (self._said and left < ANSWER_S - 0.3):
                    return False
                self._ready.wait(min(left, 0.1))
        if self.ended is not None:
            raise SourceError(f"The connection to the Gazepoint ended: {self.ended}.", hint=_HINT)
        return True

    def _read(self) -> None:
        sock, splitter = self._sock, LineSplitter()
        reason = "Gazepoint Control closed the connection"
        try:
            while sock is not None and (data := sock.recv(1 << 16)):
                arrived = now_us()
                with self._ready:
                    self._heard_us = arrived
                    for line in splitter.feed(data):
                        self._line(line, arrived)
                    self._ready.notify_all()
        except OSError as error:
            reason = error.strerror or str(error)
        self._lose(reason)

    def _line(self, line: bytes, arrived: int) -> None:
        tag, attributes = read_line(line.decode("ascii", "replace"))
        if tag == "REC":
            self._came.append((attributes, arrived))
        elif tag == "ACK" and "ID" in attributes:
            self._said[attributes["ID"]] = attributes

    def _lose(self, reason: str) -> None:
        with self._ready:
            self.ended = self.ended or reason
            self._ready.notify_all()

    def _count(self, counts: list[str | None]) -> None:
        for text in counts:
            if text is None or not text.isdigit():
                continue
            count = int(text)
            if self._last_count is not None and count > self._last_count + 1:
                self.missed += count - self._last_count - 1
            self._last_count = count

    def _compare(self, stamps: Any, arrived: Any) -> tuple[ClockRelation[Any, Any], ...]:
        """Compare the clocks by the fastest record since the last comparison."""
        self._pairs.append((stamps, arrived))
        if int(arrived[-1]) < self._compare_at_us:
            return ()
        known, came = (np.concatenate(part) for part in zip(*self._pairs, strict=True))
        if self._clock is None or not (known != MISSING_STAMP).any():
            return ()
        self._pairs = []
        first = self._compare_at_us == 0
        self._compare_at_us = int(arrived[-1]) + (1_000_000 if first else INTERVAL_US)
        most = 1e6 / self._rate_hz + min(self._ways_us, default=1000)
        comparison = compare_one_way(known, came, most_us=most)
        if first:  # the fastest of a few records may still have been held up by a busy computer
            half = comparison.half_trip_us + FEW_US
            comparison = replace(comparison, half_trip_us=half)
        return (self._clock.add(comparison),)
