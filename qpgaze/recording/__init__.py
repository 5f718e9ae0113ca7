"""Sources of gaze and the recorder that writes a session."""

from qpgaze.recording.protocol import Batch, Source
from qpgaze.recording.recorder import record
from qpgaze.recording.replay import ReplaySource, SimulatedSource

__all__ = ["Batch", "ReplaySource", "SimulatedSource", "Source", "record"]
