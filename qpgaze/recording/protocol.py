"""What every source of gaze offers to the recorder: a tracker, a simulation, an old session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from qpgaze.frames import ClockRelation
from qpgaze.model import Event
from qpgaze.samples import Column
from qpgaze.session import SessionHeader
from qpgaze.viewing import ViewerState


@dataclass(frozen=True, eq=False)
class Batch:
    """What came since the last batch, each part in time order.

    Parameters
    ----------
    end_us : int
        Session clock: everything in it was taken before this moment.
    gaze : (n,) structured array
    viewer : tuple of ViewerState
    events : tuple of Event
    clocks : tuple of ClockRelation
    """

    end_us: int
    gaze: npt.NDArray[np.void]
    viewer: tuple[ViewerState, ...] = ()
    events: tuple[Event, ...] = ()
    clocks: tuple[ClockRelation[Any, Any], ...] = ()


class Source(Protocol):
    """A source of gaze, viewer states and events on one session clock.

    Attributes
    ----------
    columns : tuple of Column
        Of its gaze records.
    duration_us : int or None
        How long it will run, None where nobody knows.
    """

    @property
    def columns(self) -> tuple[Column, ...]: ...
    @property
    def duration_us(self) -> int | None: ...

    def start(self) -> SessionHeader:
        """Begin, and say what is known at the start.

        Raises
        ------
        SessionError
            If it cannot begin.
        """
        ...

    def batches(self) -> Iterator[Batch]:
        """Yield what comes, in time order, until the source ends."""
        ...

    def stop(self) -> None:
        """Let go of whatever it holds. Stopping twice does nothing."""
        ...


class LiveSource(Source, Protocol):
    """A source that goes on by itself.

    Attributes
    ----------
    ended : str or None
        Why nothing more comes; None while it runs. It may then be started again: the session
        clock goes on.
    """

    @property
    def ended(self) -> str | None: ...

    def poll(self, wait_s: float = 0.0) -> Batch:
        """Return what came since the last call.

        Parameters
        ----------
        wait_s : float
            How long to wait for the first record where none is there.
        """
        ...
