"""A recording on disk: read, write, validate, import."""

from qpgaze.session.amending import add_event
from qpgaze.session.codec import (
    clock_from_json,
    clock_to_json,
    event_from_json,
    event_to_json,
    viewer_state_from_json,
    viewer_state_to_json,
)
from qpgaze.session.importing import ImportOptions, ImportReport, import_table
from qpgaze.session.layout import FORMAT, SessionHeader, sessions_dir
from qpgaze.session.line_checks import Problem
from qpgaze.session.reader import Session, open_session
from qpgaze.session.summary import SessionSummary, summarise
from qpgaze.session.tables.geometry import DisplayHints
from qpgaze.session.tables.kinds import TableMapping
from qpgaze.session.validation import validate_session
from qpgaze.session.writer import SessionWriter

__all__ = [
    "FORMAT",
    "DisplayHints",
    "ImportOptions",
    "ImportReport",
    "Problem",
    "Session",
    "SessionHeader",
    "SessionSummary",
    "SessionWriter",
    "TableMapping",
    "add_event",
    "clock_from_json",
    "clock_to_json",
    "event_from_json",
    "event_to_json",
    "import_table",
    "open_session",
    "sessions_dir",
    "summarise",
    "validate_session",
    "viewer_state_from_json",
    "viewer_state_to_json",
]
