"""Sources that give a whole recording again: an old session, or a simulated reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import qpgaze
from qpgaze.frames import ClockRelation, SessionClock
from qpgaze.model import Event
from qpgaze.recording.protocol import Batch
from qpgaze.samples import GAZE_COLUMNS, Column, GazeSamples
from qpgaze.session import Session, SessionHeader, open_session
from qpgaze.viewing import ViewerState

if TYPE_CHECKING:
    from qpgaze.simulate import Reading

BATCH_US = 100_000
"""How much of an old session comes at once: what a tracker's buffer gives at ten calls a second."""


class ReplaySource:
    """Give a recorded session again, as fast as it is taken.

    Parameters
    ----------
    session : path or Session
    batch_us : int
        Longest stretch of one batch, microseconds.

    Raises
    ------
    SessionError
        If it cannot be opened.
    """

    def __init__(self, session: Session | Path | str, batch_us: int = BATCH_US) -> None:
        self.session = session if isinstance(session, Session) else open_session(session)
        self._batch_us = batch_us

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of its gaze records, those of later versions included."""
        return self.session.columns

    @property
    def duration_us(self) -> int | None:
        """Time of its last sample on the session clock."""
        t_us = self.session.gaze.records["t_us"]
        return int(t_us[-1]) if len(t_us) else 0

    def start(self) -> SessionHeader:
        """Return the old session's description, id included: it is the same reading."""
        return self.session.header

    def batches(self) -> Iterator[Batch]:
        """Yield the session in time order."""
        s = self.session
        return slices(s.gaze, s.viewer_states, s.events, s.clocks, self._batch_us)

    def stop(self) -> None:
        """Do nothing: a file needs no stopping."""


class SimulatedSource:
    """Give a simulated reading as a recorder would have got it.

    Parameters
    ----------
    reading : qpgaze.simulate.Reading
    batch_us : int
        Longest stretch of one batch, microseconds.
    """

    def __init__(self, reading: Reading, batch_us: int = BATCH_US) -> None:
        self.reading = reading
        self._batch_us = batch_us

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of format 1."""
        return GAZE_COLUMNS

    @property
    def duration_us(self) -> int | None:
        """Time of its last sample on the session clock."""
        return self.reading.duration_us

    def start(self) -> SessionHeader:
        """Describe the simulation; no clock and no machine's name is in it."""
        reading = self.reading
        return SessionHeader(
            id=reading.session_id,
            pseudonym=reading.reader.name,
            tracker=reading.tracker.name,
            display=reading.display,
            gaze_rate_hz=reading.tracker.rate_hz,
            software={"qpgaze": qpgaze.__version__},
            viewer_keyframe_us=reading.reader.keyframe_ms * 1000,
            extra={"simulated": {"seed": reading.seed}},
        )

    def batches(self) -> Iterator[Batch]:
        """Yield the reading in time order."""
        r = self.reading
        return slices(r.gaze, r.states, r.events, r.clocks, self._batch_us)

    def stop(self) -> None:
        """Do nothing: a simulation needs no stopping."""


def slices(
    gaze: GazeSamples,
    states: Sequence[ViewerState],
    events: Sequence[Event],
    clocks: Sequence[ClockRelation[Any, Any]],
    batch_us: int = BATCH_US,
) -> Iterator[Batch]:
    """Cut a whole recording into batches; put together again they are the same recording.

    Parameters
    ----------
    gaze, states, events, clocks
        Of one session, each in time order.
    batch_us : int
        Longest stretch of one batch, microseconds.
    """
    t_us = np.asarray(gaze.records["t_us"])
    moments = [
        t_us,
        np.array([s.t_us for s in states], dtype=np.int64),
        np.array([e.t_us for e in events], dtype=np.int64),
        np.maximum.accumulate(np.array([_moment(c) for c in clocks], dtype=np.int64)),
    ]
    filled = [m for m in moments if len(m)]
    if not filled:
        return
    first, last = min(int(m[0]) for m in filled), max(int(m[-1]) for m in filled)
    start = first
    places = [0, 0, 0, 0]
    while start <= last:
        end = start + batch_us
        upto = [int(np.searchsorted(m, end, side="left")) for m in moments]
        parts = [slice(a, b) for a, b in zip(places, upto, strict=True)]
        if any(part.start < part.stop for part in parts):
            yield Batch(
                end,
                np.asarray(gaze.records[parts[0]]),
                tuple(states[parts[1]]),
                tuple(events[parts[2]]),
                tuple(clocks[parts[3]]),
            )
        start, places = end, upto


def _moment(relation: ClockRelation[Any, Any]) -> int:
    """Return when a comparison was made on the session clock; 0 where it does not tell."""
    if relation.target is SessionClock:
        return relation.at_us + relation.offset_us
    return relation.at_us if relation.source is SessionClock else 0
