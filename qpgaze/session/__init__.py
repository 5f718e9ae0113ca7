"""A recording on disk: read, write, validate, import."""

from qpgaze.session.codec import (
    clock_from_json,
    clock_to_json,
    event_from_json,
    event_to_json,
    viewer_state_from_json,
    viewer_state_to_json,
)
from qpgaze.session.layout import FORMAT, SessionHeader, sessions_dir
from qpgaze.session.reader import Session, open_session
from qpgaze.session.writer import SessionWriter

__all__ = [
    "FORMAT",
    "Session",
    "SessionHeader",
    "SessionWriter",
    "clock_from_json",
    "clock_to_json",
    "event_from_json",
    "event_to_json",
    "open_session",
    "sessions_dir",
    "viewer_state_from_json",
    "viewer_state_to_json",
]
