"""Every name that qpgaze writes onto a QuPath object, entry or class, in one place.

Other people's scripts, review tools and later versions depend on these names: they are part of
the file format. Add, never rename. Measurements are numbers a manager may sort by in QuPath;
metadata are strings that say where an object came from and what became of it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

# -- measurements (QuPath: double) -------------------------------------------------------------

DWELL_MS: Final = "Gaze: dwell ms"
"""Summed duration of the label's fixations, milliseconds."""
FIXATIONS: Final = "Gaze: fixations"
"""Number of fixations that the label is made of."""
DOWNSAMPLE: Final = "Gaze: downsample"
"""Median downsample (image px per viewer px) at which the object was looked at."""
SPREAD_UM: Final = "Gaze: spread um"
"""Dwell-weighted RMS distance of gaze from its fixation centre on the slide, micron."""
SPREAD_PX: Final = "Gaze: spread px"
"""The same in level-0 pixels, written where the slide has no pixel size."""
ACCURACY_UM: Final = "Gaze: accuracy um"
"""Tracker accuracy carried to the slide at the label's downsample, micron."""
ACCURACY_PX: Final = "Gaze: accuracy px"
"""The same in level-0 pixels, written where the slide has no pixel size."""
REFINED_UNCERTAINTY_UM: Final = "Gaze: refined uncertainty um"
"""Standard deviation of the refined box's edges, micron."""
REFINED_UNCERTAINTY_PX: Final = "Gaze: refined uncertainty px"
"""The same in level-0 pixels, written where the slide has no pixel size."""
REFINED_PICTURE_WEIGHT: Final = "Gaze: refined picture weight"
"""0..1, how much the picture (rather than gaze alone) decided the refined shape."""

# -- metadata (QuPath: string) -----------------------------------------------------------------

SESSION: Final = "qpgaze session"
"""Id of the session (a UUID) that the object was made from."""
LABEL: Final = "qpgaze label"
"""Label id: the label's number within its session, decimal, from 1."""
PART: Final = "qpgaze part"
"""Number of the object within its label, from 0 (always 0 but for ``--fixations``)."""
EVENT: Final = "qpgaze event"
"""What made the label: a value of :class:`LabelEvent`."""
READER: Final = "qpgaze reader"
"""Pseudonym of who looked."""
TRACKER: Final = "qpgaze tracker"
"""Model of the eye tracker."""
START_US: Final = "qpgaze start us"
END_US: Final = "qpgaze end us"
"""First and last moment of the label on the session clock, microseconds, decimal."""
METHOD: Final = "qpgaze method"
"""What made the present shape: ``gaze-discs``, ``gaze-fixation`` or a refinement method."""
PARAMETERS: Final = "qpgaze parameters"
"""JSON object, sorted keys: the parameters of that method."""
VERSION: Final = "qpgaze version"
"""Version of qpgaze that wrote the present shape."""
STATE: Final = "qpgaze state"
"""Review state: a value of :class:`ReviewState`."""
REVIEWER: Final = "qpgaze reviewer"
"""Who set the review state, where somebody did."""

METADATA_PREFIX: Final = "qpgaze "
"""Everything under this prefix is ours; everything else belongs to others."""

# -- classes -----------------------------------------------------------------------------------

FIXATION_CLASS: Final = "Gaze: Fixation"
"""Class of the ellipses that ``annotate --fixations`` draws; never exported."""

# -- image entries -----------------------------------------------------------------------------

PATIENT: Final = "patient"
"""Entry metadata that groups slides of one patient; splits never cut through it."""

# -- methods -----------------------------------------------------------------------------------

METHOD_DISCS: Final = "gaze-discs"
METHOD_FIXATION: Final = "gaze-fixation"


class ReviewState(str, Enum):
    """What became of a label since gaze proposed it."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REDRAWN = "redrawn"


class LabelEvent(str, Enum):
    """How a reader says that what is looked at has a class.

    ``MARK`` is one key press and reaches back to the dwell before it; ``HOLD`` counts what is
    looked at while a key is down; ``TOGGLE`` counts from one press to the next (the way of Mariam
    et al. 2022); ``UNDO`` takes the last label back. ``FIXATION`` is no event: every fixation is
    a label of its own, where a session has no label events.
    """

    MARK = "mark"
    HOLD = "hold"
    TOGGLE = "toggle"
    UNDO = "undo"
    FIXATION = "fixation"
