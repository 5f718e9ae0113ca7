"""What live sources share: one origin of the session clock, and batches by polling.

A live source runs whether or not anybody takes what comes; :meth:`LiveSource.poll` hands over what
has come, and never waits for a device, a network or QuPath longer than it is told.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

import qpgaze
from qpgaze.errors import SourceError
from qpgaze.frames import ClockRelation
from qpgaze.model import Event
from qpgaze.recording.protocol import Batch, LiveSource, Source
from qpgaze.samples import GAZE_COLUMNS, Column
from qpgaze.session import SessionHeader
from qpgaze.viewing import Display, ViewerState
from qpgaze.wire.channel import now_us

POLL_S = 0.02
"""A source that is read as an iterator gives a batch this often, at most."""


class SessionZero:
    """The moment at which a session's clock is 0, shared by all of its sources.

    The first source that starts sets it; a source that is started again goes on from it.
    """

    def __init__(self, host_us: int | None = None) -> None:
        self._host_us = host_us

    @property
    def host_us(self) -> int:
        """On the host clock.

        Raises
        ------
        SourceError
            If no source has started yet.
        """
        if self._host_us is None:
            raise SourceError("The session has not begun: no source was started.")
        return self._host_us

    def begin(self) -> int:
        """Set it to now unless it is set, and return it."""
        if self._host_us is None:
            self._host_us = now_us()
        return self._host_us

    def now_us(self) -> int:
        """Return the session clock now."""
        return now_us() - self.host_us


@dataclass(frozen=True)
class LiveSetup:
    """What a live source has to be told.

    Parameters
    ----------
    display : Display or None
        The monitor that carries the tracker. Its size in mm and its corners are the tracker's
        own where it knows them.
    pseudonym : str
    rate_hz : float or None
        The rate to set; the tracker's present one where None.
    python : str or None
        The Python that has the vendor's library; this one where None.
    channels : tuple of str
        What the channels of an LSL stream hold, in order, where it does not say so itself.
    zero : SessionZero
        Shared by all sources of one session.
    """

    display: Display | None = None
    pseudonym: str = ""
    rate_hz: float | None = None
    python: str | None = None
    channels: tuple[str, ...] = ()
    zero: SessionZero = field(default_factory=SessionZero)

    def require_display(self) -> Display:
        """Return the display.

        Raises
        ------
        SourceError
            If none was chosen.
        """
        if self.display is None:
            raise SourceError(
                "It is not known which monitor carries the tracker.",
                hint="Choose it, for gaze means nothing without it.",
            )
        return self.display

    def header(
        self,
        tracker: str,
        display: Display,
        *,
        rate_hz: float | None,
        software: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> SessionHeader:
        """Return the description of a session that begins now."""
        now = datetime.datetime.now(datetime.timezone.utc)
        return SessionHeader(
            id=uuid4(),
            pseudonym=self.pseudonym,
            tracker=tracker,
            display=display,
            started_utc=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            gaze_rate_hz=rate_hz,
            software={"qpgaze": qpgaze.__version__, **(software or {})},
            extra=dict(extra or {}),
        )


def poll_all(source: LiveSource) -> Iterator[Batch]:
    """Yield batches until a live source ends, the last ones included."""
    while source.ended is None:
        yield source.poll(POLL_S)
    yield source.poll()


def no_gaze(columns: tuple[Column, ...] = GAZE_COLUMNS) -> npt.NDArray[np.void]:
    """Return no records."""
    return np.zeros(0, dtype=[(c.name, c.dtype) for c in columns])


def of_the_tracker(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return the events that belong to the gaze and not to what was on the screen: validations."""
    return tuple(event for event in events if event.kind == "validation")


class PacedSource:
    """Let a recording, or a simulation, happen now.

    Parameters
    ----------
    source : Source
        One that gives everything at once.
    setup : LiveSetup
    speed : float
        Seconds of the recording in a second.
    gaze_only : bool
        Leave out views and all events but validations: those come through the wire.
    """

    def __init__(
        self,
        source: Source,
        setup: LiveSetup | None = None,
        *,
        speed: float = 1.0,
        gaze_only: bool = False,
    ) -> None:
        self._source, self._setup = source, setup or LiveSetup()
        self._speed, self._gaze_only = speed, gaze_only
        self._batches: Iterator[Batch] = iter(())
        self._next: Batch | None = None
        self.ended: str | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the recording."""
        return self._source.columns

    @property
    def duration_us(self) -> int | None:
        """As long as the recording takes at this speed."""
        whole = self._source.duration_us
        return None if whole is None else round(whole / self._speed)

    def start(self) -> SessionHeader:
        """Begin to play."""
        header = self._source.start()
        self._setup.zero.begin()
        self._batches = self._source.batches()
        self._next = next(self._batches, None)
        self.ended = None
        return replace(header, pseudonym=self._setup.pseudonym or header.pseudonym)

    def poll(self, wait_s: float = 0.0) -> Batch:
        """Return what the recording would have given by now."""
        now = self._setup.zero.now_us()
        due: list[Batch] = []
        while self._next is not None and self._next.end_us <= now * self._speed:
            due.append(self._next)
            self._next = next(self._batches, None)
        if self._next is None:
            self.ended = self.ended or "the recording is over"
        elif not due and wait_s > 0:
            left_s = self._next.end_us / self._speed / 1e6 - now / 1e6
            time.sleep(min(wait_s, max(left_s, 0.0)))
            return self.poll()
        return self._joined(due, now)

    def batches(self) -> Iterator[Batch]:
        """Yield what comes until the recording is over."""
        return poll_all(self)

    def stop(self) -> None:
        """Stop playing."""
        self.ended = self.ended or "stopped"
        self._next, self._batches = None, iter(())
        self._source.stop()

    def _joined(self, due: list[Batch], now: int) -> Batch:
        if not due:
            return Batch(now, no_gaze(self.columns))
        gaze = np.concatenate([batch.gaze for batch in due])
        viewer: tuple[ViewerState, ...] = tuple(s for b in due for s in b.viewer)
        events: tuple[Event, ...] = tuple(e for b in due for e in b.events)
        clocks: tuple[ClockRelation[Any, Any], ...] = tuple(c for b in due for c in b.clocks)
        if self._gaze_only:
            viewer, events = (), of_the_tracker(events)
        if self._speed != 1.0:
            gaze = gaze.copy()
            gaze["t_us"] = np.rint(gaze["t_us"] / self._speed)
            viewer = tuple(replace(s, t_us=round(s.t_us / self._speed)) for s in viewer)
            events = tuple(replace(e, t_us=round(e.t_us / self._speed)) for e in events)
            clocks = ()
        return Batch(round(due[-1].end_us / self._speed), gaze, viewer, events, clocks)
