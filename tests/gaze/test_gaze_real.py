"""Real recordings: a Tobii TX300 at 300 Hz, a person looking at targets and reading on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from qpgaze.gaze import LeftOut, detect_fixations, eye_positions, map_samples
from qpgaze.samples import GazeSamples, empty_records
from qpgaze.viewing import Display, ImageIdentity, Rect, ViewerState

SCREEN = Rect(0, 0, 1920, 1080)
SLIDE = ImageIdentity("oscc_tile_4000.jpg", 4000, 4000)


def read_tx300(file: Path) -> tuple[GazeSamples, Display]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in rows])

    records = empty_records(len(rows))
    records["t_us"] = (column("Time") - column("Time")[0]).astype(np.int64)
    for eye, letter in (("left", "L"), ("right", "R")):
        valid = column(f"{letter}Validity") == 0
        records[f"{eye}_x_adcs"] = column(f"{letter}GazePos2dx")
        records[f"{eye}_y_adcs"] = column(f"{letter}GazePos2dy")
        records[f"{eye}_gaze_valid"] = records[f"{eye}_origin_valid"] = valid
        for axis in "xyz":
            records[f"{eye}_origin_{axis}_mm"] = column(f"{letter}EyePos3d{axis}")
    # The file gives the same gaze on the display and in the tracker's frame: that fixes the
    # display's corners.
    good = column("LValidity") == 0
    flat = np.column_stack([column("LGazePos2dx"), column("LGazePos2dy"), np.ones(len(rows))])
    solid = np.column_stack([column(f"LGazePos3d{axis}") for axis in "xyz"])
    right, down, corner = np.linalg.lstsq(flat[good], solid[good], rcond=None)[0]
    corners = tuple(tuple(map(float, c)) for c in (corner, corner + right, corner + down))
    display = Display(SCREEN, 509.0, 286.0, corners)  # type: ignore[arg-type]
    return GazeSamples(records), display


@pytest.mark.shared_data
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_tx300_recordings_give_plausible_fixations(shared_data: Path, number: int) -> None:
    gaze, display = read_tx300(shared_data / "gaze" / "tobii-tx300" / f"{number}.tsv")
    corners = ((1040.0, 1460.0), (2960.0, 1460.0), (1040.0, 2540.0))
    state = ViewerState(0, "1", SLIDE, corners, 1.0, bounds_screen_px=SCREEN)
    mapped = map_samples(gaze, [state], display, keyframe_us=10_000_000)
    found = detect_fixations(gaze, mapped, [state], display, accuracy_deg=0.5)
    eyes = eye_positions(gaze, display)
    assert 500 < np.median(eyes.z_mm) < 750
    # Recording 3 lost a third of its samples, and the file says so.
    assert eyes.measured.mean() > 0.6
    assert (mapped.reason == LeftOut.OK).mean() > 0.6
    seconds = (gaze.column("t_us")[-1] - gaze.column("t_us")[0]) / 1e6
    durations = np.array([f.duration_ms for f in found])
    assert 1 <= len(found) / seconds <= 5
    assert 100 < np.median(durations) < 800
    assert durations.sum() / 1000 / seconds > 0.5
    # About a degree is 38 px here: gaze rests within one degree.
    spread = np.array([f.spread_image_px for f in found])
    assert np.median(spread) < 38
