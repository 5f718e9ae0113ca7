"""Calibration, validation, and which monitor carries the tracker."""

from qpgaze.recording.validation.calibration import CalibrationRun
from qpgaze.recording.validation.monitors import (
    ChosenMonitor,
    Monitor,
    contradiction,
    place_logically,
)
from qpgaze.recording.validation.procedure import ValidationRun, ValidationTiming
from qpgaze.recording.validation.protocol import CalibrationOutcome, Calibrator, Phase, Run
from qpgaze.recording.validation.result import ValidationResult
from qpgaze.recording.validation.settings import (
    LastValidation,
    Settings,
    load_settings,
    save_settings,
    settings_folder,
    still_holds,
)
from qpgaze.recording.validation.simulated_eyes import SimulatedEyes
from qpgaze.recording.validation.targets import (
    CALIBRATION_MARGIN,
    VALIDATION_MARGIN,
    shuffled,
    target_layout,
)

__all__ = [
    "CALIBRATION_MARGIN",
    "VALIDATION_MARGIN",
    "CalibrationOutcome",
    "CalibrationRun",
    "Calibrator",
    "ChosenMonitor",
    "LastValidation",
    "Monitor",
    "Phase",
    "Run",
    "Settings",
    "SimulatedEyes",
    "ValidationResult",
    "ValidationRun",
    "ValidationTiming",
    "contradiction",
    "load_settings",
    "place_logically",
    "save_settings",
    "settings_folder",
    "shuffled",
    "still_holds",
    "target_layout",
]
