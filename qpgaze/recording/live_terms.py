"""What a live recording is made of, whom it tells, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qpgaze.model import Event
from qpgaze.recording.live import SessionZero
from qpgaze.recording.live_labels import LiveLabels
from qpgaze.recording.protocol import Source
from qpgaze.recording.status import Status
from qpgaze.session import SessionHeader
from qpgaze.viewing import Display


def _nothing_known(_header: SessionHeader) -> tuple[Event, ...]:
    return ()


@dataclass(frozen=True)
class Recording:
    """What a recording is to be made of.

    Parameters
    ----------
    source : Source
    zero : SessionZero, optional
        The one that a live source was made with.
    restart : bool
        Start the source again when it is lost (a tracker), rather than end (a replay).
    pseudonym : str, optional
        Who looks; the source's own word where not given.
    display : Display, optional
        The tracker's screen as a person chose it, instead of the source's word.
    events : callable
        Given the session's description, returns what is known at the start: the last validation,
        if it was made with this tracker on this monitor.
    viewer : bool
        Whether to follow QuPath.
    hooks : tuple of Path, optional
        Where to look for it instead of the user's discovery folders.
    hook : Path, optional
        Discovery file of the QuPath to take before any other.
    gaze_only : bool
        Leave out views and events that the source itself has, but for validations: they come
        from QuPath.
    labels : callable, optional
        Makes :class:`LiveLabels` for the session's description.
    """

    source: Source
    zero: SessionZero | None = None
    restart: bool = False
    pseudonym: str | None = None
    display: Display | None = None
    events: Callable[[SessionHeader], tuple[Event, ...]] = _nothing_known
    viewer: bool = True
    hooks: tuple[Path, ...] | None = None
    hook: Path | None = None
    gaze_only: bool = False
    labels: Callable[[SessionHeader], LiveLabels] | None = None


@dataclass(frozen=True)
class Told:
    """Whom the recorder tells what. All are called on the thread that records.

    Parameters
    ----------
    started : callable, optional
        With folder and description, once everything can be written.
    status : callable, optional
        With a :class:`Status`, twice a second.
    note : callable, optional
        With session time and a sentence.
    """

    started: Callable[[Path, SessionHeader], None] | None = None
    status: Callable[[Status], None] | None = None
    note: Callable[[int, str], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a recording.

    Parameters
    ----------
    path : Path
        The session's folder; closed.
    reason : str
        Why it ended, for a person.
    failed : bool
        Whether that is a failure of the source: the session is closed all the same.
    samples, viewer_states, events : int
        Written.
    audit : dict
        Data of the session's ``audit`` event.
    """

    path: Path
    reason: str
    failed: bool
    samples: int
    viewer_states: int
    events: int
    audit: dict[str, Any]
