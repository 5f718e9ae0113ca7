"""Where the eye was on the slide: mapping, fixations, labels. Pure functions."""

from __future__ import annotations

from qpgaze.gaze.degrees import Eyes, angle_deg, eye_positions, screen_px_per_degree
from qpgaze.gaze.fixations import IvtParameters, detect_fixations
from qpgaze.gaze.mapping import LeftOut, MappedGaze, display_to_screen, map_samples

__all__ = [
    "Eyes",
    "IvtParameters",
    "LeftOut",
    "MappedGaze",
    "angle_deg",
    "detect_fixations",
    "display_to_screen",
    "eye_positions",
    "map_samples",
    "screen_px_per_degree",
]
