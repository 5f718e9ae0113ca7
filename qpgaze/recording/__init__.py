"""Sources of gaze and the recorder that writes a session."""

from qpgaze.recording.live import LiveSetup, PacedSource, SessionZero
from qpgaze.recording.opening import SOURCES, open_source
from qpgaze.recording.protocol import Batch, LiveSource, Source
from qpgaze.recording.recorder import record
from qpgaze.recording.replay import ReplaySource, SimulatedSource

__all__ = [
    "SOURCES",
    "Batch",
    "LiveSetup",
    "LiveSource",
    "PacedSource",
    "ReplaySource",
    "SessionZero",
    "SimulatedSource",
    "Source",
    "open_source",
    "record",
]
