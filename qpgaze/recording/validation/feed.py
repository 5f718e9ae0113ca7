"""Gaze beside a window: a source that blocks runs in a thread, the window takes what has come."""

from __future__ import annotations

import queue
import threading

from qpgaze.errors import QpgazeError, SessionError
from qpgaze.recording.protocol import Batch, Source
from qpgaze.session import SessionHeader

LONGEST_QUEUE = 512
"""Batches; a window that takes none for many seconds loses the oldest, not the memory."""


class Feed:
    """Read a source in a thread of its own.

    Parameters
    ----------
    source : Source

    Raises
    ------
    SessionError
        From :meth:`start` if the source cannot begin; from :meth:`take` if it failed since.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._queue: queue.Queue[Batch] = queue.Queue(LONGEST_QUEUE)
        self._error: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="gaze", daemon=True)
        self.ended = False

    def start(self) -> SessionHeader:
        """Begin reading, and return the source's description."""
        header = self._source.start()
        self._thread.start()
        return header

    def take(self) -> tuple[Batch, ...]:
        """Return what came since the last call, without waiting."""
        came = []
        while True:
            try:
                came.append(self._queue.get_nowait())
            except queue.Empty:
                break
        if self._error is not None and not came:
            error, self._error = self._error, None
            if isinstance(error, QpgazeError):
                raise error
            why = str(error) or type(error).__name__
            raise SessionError(f"The source of gaze failed: {why}.") from error
        return tuple(came)

    def stop(self) -> None:
        """Let go of the source. Stopping twice does nothing."""
        self._stopping.set()
        if self._thread.is_alive():
            # Most sources give a batch many times a second, and the thread ends at the next one.
            self._thread.join(timeout=1.0)
        self._source.stop()
        if self._thread.is_alive():
            # One that does not heed stop() must not keep the window: the thread is a daemon.
            self._thread.join(timeout=2.0)

    def _read(self) -> None:
        try:
            for batch in self._source.batches():
                while not self._stopping.is_set():
                    try:
                        self._queue.put_nowait(batch)
                        break
                    except queue.Full:
                        self._drop_oldest()
                if self._stopping.is_set():
                    return
        except Exception as error:
            self._error = error
        finally:
            self.ended = True

    def _drop_oldest(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            return
