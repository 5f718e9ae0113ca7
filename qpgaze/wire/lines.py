"""Lines out of a stream of bytes, and a bounded queue of lines that go into one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from qpgaze.wire.schema import MAX_LINE_BYTES

TOO_LONG: Final = b""
"""Stands for a line over the limit: its bytes were thrown away."""

QUEUED_LINES: Final = 1024
"""So many lines of a stream wait for one slow reader: 17 s of one viewer at 60 Hz."""
QUEUED_BYTES: Final = 16 * MAX_LINE_BYTES

Line: TypeAlias = "bytes | Callable[[], bytes]"
"""A line, or what makes it at the moment when it leaves (a pong carries that moment)."""


class LineSplitter:
    """Cut a stream of bytes into lines; a line over the limit costs no memory.

    Parameters
    ----------
    limit : int
        Longest line, its line feed included.

    Examples
    --------
    >>> splitter, end = LineSplitter(limit=8), bytes([10])
    >>> list(splitter.feed(b'{"a":1'))
    []
    >>> list(splitter.feed(b'}' + end + b'{"b":123456}' + end + b'{}' + end))
    [b'{"a":1}', b'', b'{}']
    """

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each line that `data` completes, without its end; ``TOO_LONG`` for a long one."""
        *ends, last = data.split(b"\n")
        for end in ends:
            line = bytes(self._rest) + end
            self._rest.clear()
            if self._skipping:
                self._skipping = False
            elif len(line) >= self._limit:
                yield TOO_LONG
            elif line.strip():
                yield line.rstrip(b"\r")
        if self._skipping:
            return
        self._rest += last
        if len(self._rest) >= self._limit:
            self._rest.clear()
            self._skipping = True
            yield TOO_LONG


class Outbox:
    """Lines that wait to be sent on one connection: answers first, then the stream.

    The queue is bounded. Where its reader is too slow the oldest viewer state goes (a newer one
    says more), and where no state waits, the oldest line; each is counted.

    Parameters
    ----------
    lines, size_bytes : int
        Bounds of each of the two queues.
    """

    def __init__(self, lines: int = QUEUED_LINES, size_bytes: int = QUEUED_BYTES) -> None:
        self._lines, self._size_bytes = lines, size_bytes
        self._ready = threading.Condition()
        self._answers: deque[Line] = deque()
        self._stream: deque[tuple[bytes, bool]] = deque()
        self._stream_bytes = 0
        self._closed = False
        self.dropped = 0
        """Lines thrown away since the beginning."""

    def answer(self, line: Line) -> None:
        """Queue a line that goes before the stream."""
        with self._ready:
            if len(self._answers) >= self._lines:
                # Whoever asks a thousand things and reads no answer loses the oldest.
                self._answers.popleft()
                self.dropped += 1
            self._answers.append(line)
            self._ready.notify()

    def stream(self, line: bytes, *, supersedes: bool = False) -> None:
        """Queue a line of the stream.

        Parameters
        ----------
        line : bytes
        supersedes : bool
            A later one of its kind says more: it may be thrown away before others.
        """
        with self._ready:
            self._stream.append((line, supersedes))
            self._stream_bytes += len(line)
            while len(self._stream) > self._lines or self._stream_bytes > self._size_bytes:
                self._drop()
            self._ready.notify()

    def take(self) -> bytes | None:
        """Wait for the next line; None when the box was closed and is empty."""
        with self._ready:
            while not (self._answers or self._stream or self._closed):
                self._ready.wait()
            if self._answers:
                line: Line = self._answers.popleft()
            elif self._stream:
                line, _ = self._stream.popleft()
                self._stream_bytes -= len(line)
            else:
                return None
        return line if isinstance(line, bytes) else line()

    def close(self) -> None:
        """Let :meth:`take` end after what is queued."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def _drop(self) -> None:
        place = next((i for i, (_, supersedes) in enumerate(self._stream) if supersedes), 0)
        self._stream_bytes -= len(self._stream[place][0])
        del self._stream[place]
        self.dropped += 1
