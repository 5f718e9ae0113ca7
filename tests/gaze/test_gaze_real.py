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


@pytest.mark.shared_data
def test_a_person_fixates_the_targets_that_were_shown(shared_data: Path) -> None:
    file = shared_data / "gaze" / "etdqualitizer" / "Tobii_Spectrum_600Hz.tsv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name] or "nan") for row in rows])

    records = empty_records(len(rows))
    t_us = np.rint((column("timestamp") - column("timestamp")[0]) * 1000).astype(np.int64)
    records["t_us"] = t_us
    for eye in ("left", "right"):
        x, y = column(f"{eye}_x") / 1920 + 0.5, column(f"{eye}_y") / 1080 + 0.5
        records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = x, y
        records[f"{eye}_gaze_valid"] = np.isfinite(x) & np.isfinite(y)
    display = Display(SCREEN, 528.0, 297.0)
    corners = ((0.0, 0.0), (1920.0, 0.0), (0.0, 1080.0))
    state = ViewerState(
        0, "1", ImageIdentity("targets", 1920, 1080), corners, 1.0, bounds_screen_px=SCREEN
    )
    gaze = GazeSamples(records)
    mapped = map_samples(gaze, [state], display)
    found = detect_fixations(gaze, mapped, [state], display, accuracy_deg=0.5)
    off_deg = []
    for target in range(1, 10):
        shown = np.flatnonzero(column("target_id") == target)
        start, end = t_us[shown[0]], t_us[shown[-1]]
        best = max(found, key=lambda f: min(f.end_us, end) - max(f.start_us, start))
        assert min(best.end_us, end) - max(best.start_us, start) > 0.9 * (end - start)
        x, y = column("tar_x")[shown[0]] + 960, column("tar_y")[shown[0]] + 540
        off = np.hypot(best.x_image_px - x, best.y_image_px - y)
        off_deg.append(off / display.screen_px_per_degree())
    # Its authors' tool says .521 deg for single eyes; the mean of both is a little better.
    assert 0.3 < np.mean(off_deg) < 0.6
    assert len(found) < 25
