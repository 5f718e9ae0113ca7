"""Tobii's own libraries, where they are installed: asked for trackers, of which there is none."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from qpgaze.errors import SourceError
from qpgaze.recording.live import LiveSetup
from qpgaze.recording.sidecar import VENDOR
from qpgaze.recording.trackers import TobiiSource

pytestmark = pytest.mark.tobii

LIBRARIES = ["tobii_research", "TittaPy_v2"]

# What the adapters use of each; a library that calls something otherwise is no longer the one
# that the stand-ins play.
USED = {
    "tobii_research": """
import tobii_research as library
wanted = {
    library: "find_all_eyetrackers get_system_time_stamp EYETRACKER_GAZE_DATA "
    "ScreenBasedCalibration EYETRACKER_TIME_SYNCHRONIZATION_DATA CALIBRATION_STATUS_SUCCESS "
    "CALIBRATION_STATUS_SUCCESS_LEFT_EYE CALIBRATION_STATUS_SUCCESS_RIGHT_EYE",
    library.EyeTracker: "get_all_gaze_output_frequencies get_gaze_output_frequency "
    "set_gaze_output_frequency get_display_area subscribe_to unsubscribe_from",
    library.ScreenBasedCalibration: "enter_calibration_mode leave_calibration_mode collect_data "
    "compute_and_apply",
}
assert library.CALIBRATION_STATUS_SUCCESS == "calibration_status_success"
assert abs(library.get_system_time_stamp()) > 0
""",
    "TittaPy_v2": """
import TittaPy_v2 as library
wanted = {
    library: "find_all_eye_trackers get_system_timestamp",
    library.EyeTracker: "model device_name serial_number firmware_version supported_frequencies "
    "display_area frequency has_stream start stop consume_N enter_calibration_mode "
    "leave_calibration_mode calibration_collect_data calibration_compute_and_apply "
    "calibration_retrieve_result",
    library.calibration_action: "enter collect_data compute exit",
}
assert {n: int(v) for n, v in library.calibration_status.__members__.items()}["failure"] == 0
assert library.calibration_status.success.name == "success"
assert abs(library.get_system_timestamp()) > 0
""",
}
CHECK = """
missing = [name for place, names in wanted.items() for name in names.split()
           if not hasattr(place, name)]
assert not missing, missing
"""


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed here: pip install qpgaze[tobii]")
    return name


def test_a_real_library_finds_no_tracker_and_says_so(library: str, setup: LiveSetup) -> None:
    with pytest.raises(SourceError, match="No Tobii tracker was found"):
        TobiiSource(setup, library=library).start()


def test_a_real_library_has_what_the_stand_in_plays(library: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", USED[library] + CHECK], capture_output=True, text=True, cwd=VENDOR
    )
    assert done.returncode == 0, done.stderr
