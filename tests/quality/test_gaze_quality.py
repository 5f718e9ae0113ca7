"""Accuracy, precision and loss: against another tool's figures, known errors, and invariances."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpgaze.errors import FrameError, UsageError
from qpgaze.frames import Adcs, ImagePx, Points
from qpgaze.gaze.quality import (
    GazeQuality,
    TargetWindow,
    average_quality,
    directions,
    eye_quality,
    measure_quality,
)
from qpgaze.samples import GazeSamples, empty_records
from qpgaze.simulate import default_display
from qpgaze.simulate.tracker import EYE_DISTANCE_MM, ScreenPlane, deflect
from qpgaze.viewing import Display, Rect

SPECTRUM = Display(Rect(0, 0, 1920, 1080), 528.0, 297.0)
NINE = [(x, y) for y in (0.15, 0.5, 0.85) for x in (0.15, 0.5, 0.85)]


@pytest.fixture(scope="module")
def example(shared_data: Path) -> GazeQuality:
    """The example recording of the ETDQualitizer: nine targets; y grows upwards in it."""
    file = shared_data / "gaze" / "etdqualitizer" / "Tobii_Spectrum_600Hz.tsv"
    with file.open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    column = {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}
    records = empty_records(len(rows))
    records["t_us"] = np.rint(column["timestamp"] * 1000)
    for eye in ("left", "right"):
        records[f"{eye}_x_adcs"] = column[f"{eye}_x"] / 1920 + 0.5
        records[f"{eye}_y_adcs"] = 0.5 - column[f"{eye}_y"] / 1080
        records[f"{eye}_gaze_valid"] = np.isfinite(column[f"{eye}_x"])
    windows = []
    for number in range(1, 10):
        on = column["target_id"] == number
        x, y = column["tar_x"][on][0] / 1920 + 0.5, 0.5 - column["tar_y"][on][0] / 1080
        windows.append(TargetWindow(x, y, GazeSamples(records[on])))
    return measure_quality(windows, SPECTRUM)


@pytest.mark.shared_data
def test_the_figures_of_the_etdqualitizer(example: GazeQuality) -> None:
    # Six digits from version 0.10.1 of that tool, run on the same file.
    both = example.over("left", "right")
    assert both.accuracy_deg == pytest.approx(0.521321, rel=0.005)
    assert both.precision_rms_deg == pytest.approx(0.084413, rel=0.005)
    assert both.precision_sd_deg == pytest.approx(0.109454, rel=0.005)
    assert 100 * both.loss == pytest.approx(0.055741, rel=0.005)
    assert both.effective_hz == pytest.approx(599.670264, rel=1e-4)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("number", "eye", "accuracy", "rms", "sd", "loss"),
    [
        (1, "left", 0.097897, 0.073668, 0.080362, 0.0),
        (2, "right", 1.764725, 0.080179, 0.102259, 0.0),
        (4, "right", 0.319302, 0.085205, 0.094339, 1.003344),
        (7, "right", 0.156451, 0.115600, 0.162270, 0.0),
        (9, "left", 0.335978, 0.055478, 0.086242, 0.0),
    ],
)
def test_single_targets_of_the_etdqualitizer(
    example: GazeQuality,
    number: int,
    eye: str,
    accuracy: float,
    rms: float,
    sd: float,
    loss: float,
) -> None:
    found = getattr(example.targets[number - 1], eye)
    assert found.accuracy_deg == pytest.approx(accuracy, rel=1e-4)
    assert found.precision_rms_deg == pytest.approx(rms, rel=0.005)
    assert found.precision_sd_deg == pytest.approx(sd, rel=0.005)
    assert 100 * found.loss == pytest.approx(loss, rel=1e-4, abs=1e-9)


@pytest.mark.shared_data
def test_the_mean_of_both_eyes_is_steadier_than_each(example: GazeQuality) -> None:
    assert example.over("mean").precision_rms_deg < example.over("left").precision_rms_deg
    assert example.over("mean").precision_sd_deg < example.over("right").precision_sd_deg


def simulated(
    targets: list[tuple[float, float]],
    errors_deg: list[tuple[float, float]],
    *,
    sd_deg: float,
    n: int = 60,
    rate_hz: float = 120.0,
    display: Display | None = None,
    seed: int = 1,
) -> list[TargetWindow]:
    """Eyes 63 mm apart, before a leaning screen, with one known error for each target."""
    display = display or default_display()
    rng = np.random.default_rng(seed)
    plane = ScreenPlane.of(display)
    windows = []
    for target, error in zip(targets, errors_deg, strict=True):
        records = empty_records(n)
        records["t_us"] = np.rint(np.arange(n) * 1e6 / rate_hz)
        aim = plane.point(np.tile(target, (n, 1)))
        for number, eye in enumerate(("left", "right")):
            place = plane.eye_centre(display.distance_mm) + rng.normal(0, 0.5, (n, 3))
            place[:, 0] += (number - 0.5) * EYE_DISTANCE_MM
            noise = rng.normal(0, sd_deg / math.sqrt(2), (n, 2))
            gaze = plane.hit(place, deflect(place, aim, noise + error))
            records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = gaze.T
            for axis, name in enumerate("xyz"):
                records[f"{eye}_origin_{name}_mm"] = place[:, axis]
            records[f"{eye}_gaze_valid"] = records[f"{eye}_origin_valid"] = 1
        windows.append(TargetWindow(*target, GazeSamples(records)))
    return windows


@settings(max_examples=25)
@given(
    errors=st.lists(st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)), min_size=9, max_size=9),
    sd_deg=st.floats(0.0, 0.1),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_known_error_is_recovered(
    errors: list[tuple[float, float]], sd_deg: float, seed: int
) -> None:
    windows = simulated(NINE, errors, sd_deg=sd_deg, n=30, seed=seed)
    found = measure_quality(windows, default_display())
    true = np.mean([math.hypot(*error) for error in errors])
    for eye in ("left", "right", "mean"):
        assert found.over(eye).accuracy_deg == pytest.approx(true, abs=0.05)
        assert found.over(eye).precision_sd_deg <= sd_deg * 1.3 + 0.02


def test_precision_is_the_noise_and_rms_its_root_two_fold() -> None:
    windows = simulated(NINE, [(0.4, 0.0)] * 9, sd_deg=0.3, n=2000)
    found = measure_quality(windows, default_display()).over("left")
    assert found.precision_sd_deg == pytest.approx(0.3, rel=0.02)
    assert found.precision_rms_deg == pytest.approx(0.3 * math.sqrt(2), rel=0.02)
    assert found.offset_right_deg == pytest.approx(0.4, abs=0.02)
    assert found.offset_down_deg == pytest.approx(0.0, abs=0.02)


def test_up_and_down_are_told_apart() -> None:
    windows = simulated([(0.5, 0.5)], [(0.0, 0.7)], sd_deg=0.01)
    assert measure_quality(windows, default_display()).over("mean").offset_down_deg < -0.65


def test_an_error_counts_the_same_in_the_corner_as_in_the_middle() -> None:
    wide = Display(Rect(0, 0, 3840, 1080), 1200.0, 340.0, distance_mm=500.0)
    windows = simulated([(0.5, 0.5), (0.02, 0.02)], [(0.6, 0.8)] * 2, sd_deg=0.0, display=wide)
    found = measure_quality(windows, wide)
    # No corners: where each eye was is unknown, and the eyes' middle is not where they were.
    near, far = (t.mean.accuracy_deg for t in found.targets)
    assert near == pytest.approx(1.0, abs=0.05)
    assert far == pytest.approx(1.0, abs=0.1)


def turned(angles: tuple[float, float, float]) -> np.ndarray:
    a, b, c = angles
    x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    seed=st.integers(0, 2**32 - 1),
    later_us=st.integers(0, 10**12),
)
def test_no_turn_of_the_axes_and_no_later_start_changes_a_figure(
    angles: tuple[float, float, float], seed: int, later_us: int
) -> None:
    rng = np.random.default_rng(seed)
    t_us = np.arange(40) * 8333
    on = rng.normal([0.01, 0.02, 1.0], [0.005, 0.005, 0], (40, 3))
    on /= np.linalg.norm(on, axis=1, keepdims=True)
    on[rng.random(40) < 0.1] = np.nan
    target = np.array([0.0, 0.0, 1.0])
    turn = turned(angles)
    before = eye_quality(t_us, on, target).to_json()
    after = eye_quality(t_us + later_us, on @ turn.T, turn @ target).to_json()
    for name in ("accuracy_deg", "precision_sd_deg", "precision_rms_deg", "loss", "effective_hz"):
        assert after[name] == pytest.approx(before[name], rel=1e-6, nan_ok=True)


@settings(max_examples=25)
@given(st.permutations(range(9)), st.floats(0.25, 4.0))
def test_neither_order_of_targets_nor_unit_of_length_matters(
    order: list[int], factor: float
) -> None:
    plain = Display(Rect(0, 0, 1920, 1080), 528.0, 297.0)
    other = Display(
        Rect(0, 0, 1920, 1080), 528.0 * factor, 297.0 * factor, distance_mm=650.0 * factor
    )
    windows = simulated(NINE, [(0.1 * n, 0.3) for n in range(9)], sd_deg=0.1, display=plain)
    before = measure_quality(windows, plain).over("left", "right")
    after = measure_quality([windows[n] for n in order], other).over("left", "right")
    assert after.accuracy_deg == pytest.approx(before.accuracy_deg)
    assert after.precision_rms_deg == pytest.approx(before.precision_rms_deg)
    assert after.loss == before.loss


def straight(t_us: list[int], seen: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    towards = np.tile([0.0, 0.0, 1.0], (len(t_us), 1))
    towards[~np.array(seen, dtype=bool)] = np.nan
    return np.array(t_us, dtype=np.int64), towards


AHEAD = np.array([0.0, 0.0, 1.0])


def test_rows_that_never_came_are_lost_too() -> None:
    t_us = [0, 10_000, 20_000, 60_000, 70_000, 80_000]
    found = eye_quality(*straight(t_us, [True] * 6), AHEAD)
    assert found.loss == pytest.approx(3 / 9)
    assert found.largest_gap_ms == 40.0
    assert found.effective_hz == pytest.approx(6 / 0.09)


def test_gaps_at_the_ends_count() -> None:
    t_us = [n * 10_000 for n in range(10)]
    found = eye_quality(*straight(t_us, [False] * 6 + [True] * 3 + [False]), AHEAD)
    assert found.largest_gap_ms == 60.0
    assert found.loss == pytest.approx(0.7)
    assert found.valid == 3


def test_no_step_is_taken_across_a_gap() -> None:
    t_us, towards = straight([0, 10_000, 20_000, 30_000, 40_000], [True, True, False, True, True])
    towards[3:] = [math.sin(0.1), 0.0, math.cos(0.1)]
    assert eye_quality(t_us, towards, AHEAD).precision_rms_deg == 0.0
    t_us, towards = straight([0, 10_000, 50_000, 60_000], [True] * 4)
    towards[2:] = [math.sin(0.1), 0.0, math.cos(0.1)]
    assert eye_quality(t_us, towards, AHEAD).precision_rms_deg == 0.0


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_samples_give_no_figure(n: int) -> None:
    found = eye_quality(*straight([n * 10_000 for n in range(n)], [True] * n), AHEAD)
    assert math.isnan(found.accuracy_deg) == (n < 1)
    assert math.isnan(found.precision_sd_deg) == (n < 2)
    assert math.isnan(found.precision_rms_deg) == (n < 2)
    assert found.loss == (1.0 if n == 0 else 0.0)


def test_an_eye_that_was_never_seen_leaves_the_other_its_figures() -> None:
    windows = simulated(NINE, [(0.5, 0.0)] * 9, sd_deg=0.05)
    for window in windows:
        window.gaze.records["right_gaze_valid"] = 0
    found = measure_quality(windows, default_display())
    assert math.isnan(found.over("right").accuracy_deg)
    assert found.over("right").loss == 1.0
    assert found.over("left").accuracy_deg == pytest.approx(0.5, abs=0.05)
    assert found.over("mean").valid == found.over("left").valid


def test_averages_leave_out_what_is_missing() -> None:
    seen = eye_quality(*straight([0, 10_000], [True, True]), AHEAD)
    unseen = eye_quality(*straight([0, 10_000], [False, False]), AHEAD)
    both = average_quality([seen, unseen])
    assert both.accuracy_deg == 0.0
    assert both.loss == 0.5
    assert both.largest_gap_ms == 10.0
    assert math.isnan(average_quality([]).accuracy_deg)


def test_directions_are_seen_from_the_eye() -> None:
    eye = np.array([264.0, 148.5, 650.0])
    ahead, aside = directions(Points(Adcs, [[0.5, 0.5], [1.0, 0.5]]), SPECTRUM, eye)
    assert ahead == pytest.approx([0, 0, 1])
    assert math.degrees(math.atan2(aside[0], aside[2])) == pytest.approx(22.1050, abs=1e-3)
    with pytest.raises(FrameError, match="Expected Adcs, but ImagePx came"):
        directions(Points(ImagePx, [[0, 0]]), SPECTRUM, eye)


def test_wrong_input_is_named() -> None:
    records = empty_records(2)
    records["t_us"] = [10, 0]
    with pytest.raises(UsageError, match="backwards"):
        measure_quality([TargetWindow(0.5, 0.5, GazeSamples(records))], SPECTRUM)
    with pytest.raises(UsageError, match="Expected eyes among left, right, mean"):
        GazeQuality(()).over("both")
    with pytest.raises(UsageError, match="Expected eyes among"):
        GazeQuality(()).over()


def test_json_holds_every_eye_and_target() -> None:
    found = measure_quality(simulated(NINE, [(0.5, 0)] * 9, sd_deg=0.1), default_display())
    value = found.to_json()
    assert set(value["eyes"]) == {"left", "right", "mean"}
    assert len(value["targets"]) == 9
    assert value["targets"][0]["mean"]["accuracy_deg"] == found.targets[0].mean.accuracy_deg
