"""Where the eye was on the slide: mapping, fixations, labels. Pure functions."""

from __future__ import annotations

from qpgaze.gaze.degrees import Eyes, angle_deg, eye_positions, screen_px_per_degree
from qpgaze.gaze.fixations import detect_fixations
from qpgaze.gaze.labels import (
    Labelling,
    LabelParameters,
    count_label_numbers,
    make_fixation_labels,
    make_labels,
)
from qpgaze.gaze.mapping import LeftOut, MappedGaze, display_to_screen, map_samples
from qpgaze.gaze.parameters import IvtParameters
from qpgaze.gaze.quality import EyeQuality, GazeQuality, TargetWindow, measure_quality

__all__ = [
    "EyeQuality",
    "Eyes",
    "GazeQuality",
    "IvtParameters",
    "LabelParameters",
    "Labelling",
    "LeftOut",
    "MappedGaze",
    "TargetWindow",
    "angle_deg",
    "count_label_numbers",
    "detect_fixations",
    "display_to_screen",
    "eye_positions",
    "make_fixation_labels",
    "make_labels",
    "map_samples",
    "measure_quality",
    "screen_px_per_degree",
]
