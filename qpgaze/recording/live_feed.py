"""What comes to a recorder: one inbox, and the thread that reads the source of gaze into it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from qpgaze.errors import SourceError
from qpgaze.model import Event
from qpgaze.recording.live import SessionZero
from qpgaze.recording.live_guard import gap
from qpgaze.recording.protocol import Batch, Source
from qpgaze.samples import Column, empty_records
from qpgaze.session import SessionHeader
from qpgaze.wire.channel import now_us

log = logging.getLogger("qpgaze.recording")

QUEUED_BATCHES: Final = 256
"""So many batches of gaze wait for the disk; a source that is faster waits, too."""
RESTART_S: Final = (0.5, 1.0, 2.0, 5.0)
"""Pauses before a source that failed is started again; the last one for ever."""
PATIENCE_S: Final = 2.0


@dataclass(frozen=True, eq=False)
class Came:
    """Something that came, and when.

    Parameters
    ----------
    batch : Batch
        On the session clock.
    arrived_us : int
        Host clock.
    """

    batch: Batch
    arrived_us: int


class Inbox:
    """Where source and viewer put what comes. Gaze is bounded: a fast source waits for the disk.

    Parameters
    ----------
    batches : int
        Of gaze that may wait.
    """

    def __init__(self, batches: int = QUEUED_BATCHES) -> None:
        self._bound = batches
        self._changed = threading.Condition()
        self._gaze: deque[Came] = deque()
        self._views: deque[Came] = deque()
        self._open = True
        self._awake = False

    def put_gaze(self, came: Came) -> bool:
        """Queue a batch of the source, waiting for room; False once the inbox is closed."""
        with self._changed:
            while self._open and len(self._gaze) >= self._bound:
                self._changed.wait()
            if not self._open:
                return False
            self._gaze.append(came)
            self._changed.notify_all()
        return True

    def put_views(self, came: Came) -> None:
        """Queue what came of a viewer; it never waits."""
        with self._changed:
            self._views.append(came)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let :meth:`take` return now."""
        with self._changed:
            self._awake = True
            self._changed.notify_all()

    def take(self, wait_s: float) -> tuple[list[Came], list[Came]]:
        """Return what came of viewers and of the source since the last call, views first."""
        with self._changed:
            if not (self._gaze or self._views or self._awake):
                self._changed.wait(wait_s)
            taken = list(self._views), list(self._gaze)
            self._views.clear()
            self._gaze.clear()
            self._awake = False
            self._changed.notify_all()
        return taken

    def close(self) -> None:
        """Take no more batches; a source that waits for room gives up. What is in it stays."""
        with self._changed:
            self._open = False
            self._changed.notify_all()


class SourceFeed:
    """Reads a source in a thread of its own; where it fails, starts it again if that is wished.

    Parameters
    ----------
    source : Source
        Not started yet.
    zero : SessionZero, optional
        The one that the source was made with. Where not given, its times are those of another
        day: latencies mean nothing then.
    restart : bool
        Start it again, again and again, when it fails or ends. Where not, that is the end.
    """

    def __init__(
        self, source: Source, zero: SessionZero | None = None, *, restart: bool = False
    ) -> None:
        self._source, self._restart = source, restart
        self.in_real_time = zero is not None
        """Whether the source's times are this computer's, so that latencies mean something."""
        self._zero = zero or SessionZero()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._header: SessionHeader | None = None
        self.ended: str | None = None
        """Why no more gaze comes: a sentence, empty where the source simply ended."""
        self.failed = False
        """Whether that is a failure."""
        self.lost = False
        """Whether the source failed and is not back yet."""

    def start(self) -> SessionHeader:
        """Start the source and return its description; nothing is read yet.

        Raises
        ------
        SessionError
            If it cannot begin.
        """
        self._header = self._source.start()
        self._zero.begin()
        return self._header

    @property
    def origin_us(self) -> int:
        """Host clock when the session clock was 0, once started."""
        return self._zero.host_us

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of its gaze records."""
        return self._source.columns

    def run(self, inbox: Inbox) -> None:
        """Begin to read into an inbox."""
        self._thread = threading.Thread(
            target=self._read, args=(inbox,), name="qpgaze-gaze", daemon=True
        )
        self._thread.start()

    def stop(self) -> bool:
        """Let go of the source; False where its thread does not end (it is a daemon)."""
        self._stopping.set()
        try:
            self._source.stop()
        except Exception as error:
            log.warning("The source could not be stopped: %s", error)
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
            return not self._thread.is_alive()
        return True

    def _read(self, inbox: Inbox) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    if not self._pass_on(inbox):
                        return
                    why, failed = getattr(self._source, "ended", None) or "", False
                except Exception as error:
                    why, failed = str(error) or type(error).__name__, True
                    log.warning("The source of gaze failed: %s", why)
                if self._stopping.is_set():
                    return
                if not self._restart:
                    self.ended = f"The source of gaze failed: {why}" if failed else why
                    self.failed = failed
                    return
                self._say(inbox, f"The source of gaze is lost: {why or 'it ended'}. Waiting.")
                if not self._start_again(inbox):
                    return
        finally:
            inbox.wake()

    def _pass_on(self, inbox: Inbox) -> bool:
        """Pass batches on until the source ends; False where nobody wants any more."""
        for batch in self._source.batches():
            filled = len(batch.gaze) or batch.viewer or batch.events or batch.clocks
            if filled and not inbox.put_gaze(Came(batch, now_us())):
                return False
            if self._stopping.is_set():
                return False
        return True

    def _start_again(self, inbox: Inbox) -> bool:
        self.lost = True
        lost_us = self._zero.now_us()
        pauses = iter(RESTART_S)
        pause = next(pauses)
        while not self._stopping.wait(pause):
            pause = next(pauses, pause)
            try:
                self._source.stop()
                header = self._source.start()
            except Exception as error:
                log.info("The source is still away: %s", error)
                continue
            problem = self._other(header)
            if problem:
                self.ended, self.failed = problem, True
                return False
            self.lost = False
            inbox.put_views(_only(gap(lost_us, self._zero.now_us(), "gaze", "the source was lost")))
            return True
        return False

    def _other(self, header: SessionHeader) -> str | None:
        """Say what would not fit into the session that is being recorded."""
        first = self._header
        if first is not None and header.tracker != first.tracker:
            return f"Another tracker came back: {header.tracker}, not {first.tracker}."
        if first is not None and header.display != first.display:
            return "The tracker came back with another display; a session has one."
        return None

    def _say(self, inbox: Inbox, text: str) -> None:
        inbox.put_views(_only(Event(self._zero.now_us(), "note", {"text": text})))


def failure(feed: SourceFeed) -> SourceError | None:
    """Return the error that a source ended with, None where it ended well."""
    return SourceError(feed.ended or "") if feed.failed else None


def _only(event: Event) -> Came:
    return Came(Batch(0, empty_records(0), (), (event,)), now_us())
