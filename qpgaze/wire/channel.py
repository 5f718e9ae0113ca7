"""One connection of either end: a thread that reads lines, another that writes them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from qpgaze.wire.lines import LineSplitter, Outbox

_CHUNK_BYTES = 1 << 16


def now_us() -> int:
    """Return this computer's monotonic clock, microseconds (:class:`~qpgaze.frames.HostClock`)."""
    return time.perf_counter_ns() // 1000


def no_delay(sock: socket.socket) -> None:
    """Have small lines leave at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Channel:
    """A connected socket with its two threads; neither ever waits for the other.

    Parameters
    ----------
    sock : socket.socket
        Connected; the channel closes it.
    outbox : Outbox
        What waits to be sent.
    on_line : callable
        Called on the reading thread with each line (``TOO_LONG`` for one over the limit) and the
        host clock at its arrival.
    on_close : callable
        Called once, when the other end is gone or :meth:`close` was called, with the reason.
    splitter : LineSplitter, optional
        One that holds bytes that came already.
    name : str
        Of the threads.
    """

    def __init__(
        self,
        sock: socket.socket,
        outbox: Outbox,
        on_line: Callable[[bytes, int], None],
        on_close: Callable[[str], None],
        *,
        splitter: LineSplitter | None = None,
        name: str = "qpgaze-wire",
    ) -> None:
        self._sock, self.outbox = sock, outbox
        self._on_line, self._on_close = on_line, on_close
        self._splitter = splitter or LineSplitter()
        self._closing = threading.Lock()
        self._closed = False
        self._threads = [
            threading.Thread(target=target, name=f"{name}-{what}", daemon=True)
            for what, target in (("read", self._read), ("write", self._write))
        ]

    def start(self) -> None:
        """Begin to read and write, unless it was closed already."""
        with self._closing:
            if not self._closed:
                for thread in self._threads:
                    thread.start()

    def finish(self, wait_s: float = 1.0) -> None:
        """Send what is queued, then close."""
        self.outbox.close()
        writing = self._threads[1]
        if writing.is_alive() and writing is not threading.current_thread():
            writing.join(wait_s)
        self.close("closed")

    def close(self, reason: str) -> None:
        """Close at once. Closing twice does nothing."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self.outbox.close()
        # Shutting down wakes a thread that reads or writes; an end that is gone cannot be.
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._on_close(reason)

    def join(self, wait_s: float = 2.0) -> None:
        """Wait for both threads to end."""
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(wait_s)

    def _read(self) -> None:
        reason = "the other end closed the connection"
        try:
            while data := self._sock.recv(_CHUNK_BYTES):
                arrived_us = now_us()
                for line in self._splitter.feed(data):
                    self._on_line(line, arrived_us)
        except OSError as error:
            reason = error.strerror or str(error)
        finally:
            self.close(reason)

    def _write(self) -> None:
        try:
            while (line := self.outbox.take()) is not None:
                self._sock.sendall(line)
        except OSError as error:
            self.close(error.strerror or str(error))


def first_line(
    sock: socket.socket, splitter: LineSplitter, wait_s: float
) -> tuple[bytes, list[bytes]]:
    """Wait for the first line of a connection.

    Returns
    -------
    line : bytes
        ``TOO_LONG`` for one over the limit.
    rest : list of bytes
        Lines that came with it.

    Raises
    ------
    OSError
        If none came in time (``TimeoutError``) or the other end is gone (``ConnectionError``).
    """
    until = time.monotonic() + wait_s
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no line came in time")
        sock.settimeout(left)
        data = sock.recv(_CHUNK_BYTES)
        if not data:
            raise ConnectionError("the other end closed the connection")
        lines = list(splitter.feed(data))
        if lines:
            sock.settimeout(None)
            return lines[0], lines[1:]
