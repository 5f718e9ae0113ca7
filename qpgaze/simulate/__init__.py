"""Readers and trackers of known error; they return the truth."""

from __future__ import annotations

from qpgaze.simulate.reading import simulate_reading
from qpgaze.simulate.records import Reading, TruthFixation, TruthLabel, TruthObject
from qpgaze.simulate.settings import ReaderSettings, TrackerSettings, default_display

__all__ = [
    "ReaderSettings",
    "Reading",
    "TrackerSettings",
    "TruthFixation",
    "TruthLabel",
    "TruthObject",
    "default_display",
    "simulate_reading",
]
