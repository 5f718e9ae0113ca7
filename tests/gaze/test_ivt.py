from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.gaze import Eyes, angle_deg, eye_positions, ivt, screen_px_per_degree
from qpgaze.samples import GazeSamples, empty_records
from qpgaze.viewing import Display, Rect

masks = st.lists(st.booleans(), max_size=30).map(lambda bits: np.array(bits, dtype=bool))


@given(masks, st.data())
def test_runs_cover_the_mask_and_break_at_cuts(mask: np.ndarray, data: st.DataObject) -> None:
    bits = st.lists(st.booleans(), min_size=len(mask), max_size=len(mask))
    cut = np.array(data.draw(bits), dtype=bool)
    starts, ends = ivt.runs(mask, cut)
    again = np.zeros(len(mask), dtype=bool)
    for start, end in zip(starts, ends, strict=True):
        assert mask[start:end].all()
        assert not cut[start + 1 : end].any()
        again[start:end] = True
        assert start == 0 or not mask[start - 1] or cut[start]
    assert (again == mask).all()


def test_gaps_are_filled_up_to_the_longest_and_never_at_the_ends() -> None:
    t_us = np.array([0, 10, 20, 30, 40, 120, 130, 140]) * 1000
    nan = math.nan
    x = np.array([nan, 0, nan, 2, nan, 10, 20, nan])
    y = -x
    ivt.fill_gaps(t_us, x, y, 75_000)
    # 30 -> 120 ms is too long, though only one row is missing.
    assert np.array_equal(x, [nan, 0, 1, 2, nan, 10, 20, nan], equal_nan=True)
    assert np.array_equal(y, -x, equal_nan=True)
    ivt.fill_gaps(t_us, x, y, 90_000)
    assert x[4] == pytest.approx(2 + 8 / 9)
    for empty in (np.full(4, nan), np.zeros(0)):
        ivt.fill_gaps(np.arange(len(empty)), empty, empty.copy(), 75_000)
        assert np.isnan(empty).all()


@given(
    st.lists(st.one_of(st.none(), st.floats(-100, 100)), min_size=1, max_size=40),
    st.integers(0, 6),
    st.integers(2, 9),
)
def test_windows_are_those_of_a_plain_loop(
    values: list[float | None], half: int, window: int
) -> None:
    x = np.array([math.nan if v is None else v for v in values])
    n = len(x)
    t_us = np.cumsum(np.resize([8000, 9000, 8000, 100_000, 0], n))
    cut = np.resize([False, False, False, False, False, False, True], n)
    stretch = ivt.stretches(t_us, ~np.isnan(x), 75_000, cut)
    smooth = ivt.moving_average(x, stretch, half)
    eyes = Eyes(np.full(n, 5.0), np.full(n, 7.0), np.full(n, 600.0), np.zeros(n, bool))
    speed = ivt.angular_velocity(t_us, x, 2 * x, eyes, stretch, window)
    for i in range(n):
        if stretch[i] < 0:
            assert math.isnan(smooth[i])
            continue
        members = np.flatnonzero(stretch == stretch[i])
        reach = min(half, i - members[0], members[-1] - i)
        assert smooth[i] == pytest.approx(x[i - reach : i + reach + 1].mean(), abs=1e-9)
        low, high = i - window // 2, i - window // 2 + window - 1
        if low < members[0] or high > members[-1]:
            assert math.isnan(speed[i])
        else:
            a = np.array([x[low] - 5, 2 * x[low] - 7, -600])
            b = np.array([x[high] - 5, 2 * x[high] - 7, -600])
            angle = math.degrees(math.atan2(np.linalg.norm(np.cross(a, b)), a @ b))
            seconds = max(t_us[high] - t_us[low], 1) / 1e6
            assert speed[i] == pytest.approx(angle / seconds, rel=1e-9, abs=1e-9)


def test_interval_ignores_holes_and_windows_follow_tobii() -> None:
    t_us = np.concatenate([np.arange(50), 500 + np.arange(50)]) * 8333
    assert ivt.typical_interval_us(t_us) == 8333
    assert math.isnan(ivt.typical_interval_us(np.array([5])))
    assert math.isnan(ivt.typical_interval_us(np.array([5, 5, 5])))
    assert ivt.window_samples(1e6 / 30, 20) == 2


def test_merge_needs_time_place_and_group() -> None:
    def joined(**change: object) -> list[int]:
        given = {
            "start_us": [0, 100], "end_us": [60, 200], "x": [0.0, 3.0], "y": [0.0, 4.0],
            "weight": [5, 5], "group": [1, 1], "radius": [5.0, 5.0], "max_gap_us": 41.0,
        }  # fmt: skip
        return ivt.merge_runs(**{**given, **change}).tolist()  # type: ignore[arg-type]

    assert joined() == [0, 0]
    assert joined(max_gap_us=40.0) == [0, 1]
    assert joined(radius=[5.0, 4.99]) == [0, 1]
    assert joined(radius=[5.0, 4.99], noise=1.0) == [0, 0]
    assert joined(group=[1, 2]) == [0, 1]
    nothing: list[float] = []
    assert not len(
        ivt.merge_runs(nothing, nothing, nothing, nothing, nothing, nothing, nothing, 1.0)
    )


def test_noise_is_found_again() -> None:
    x, y = np.random.default_rng(0).normal(0, 0.3, (2, 20_000))
    x[::50] += 20  # a few saccades
    assert ivt.noise(x, y) == pytest.approx(0.3, rel=0.05)
    assert ivt.noise(np.full(5, np.nan), np.full(5, np.nan)) == 0
    for half, window in ((0, 2), (1, 3), (2, 3), (3, 7)):
        stretch = np.zeros(20_000, dtype=np.int64)
        clean = np.random.default_rng(1).normal(0, 0.3, 20_000)
        smooth = ivt.moving_average(clean, stretch, half)[10:-10]
        moved = smooth[window - 1 :] - smooth[: -window + 1]
        speed = ivt.noise_speed(0.3, 10_000.0, half, window)
        assert moved.std() / ((window - 1) * 0.01) == pytest.approx(speed, rel=0.05)


def test_eyes_are_found_in_the_display_plane() -> None:
    # A display tilted back by 20 degrees, its lower edge at the tracker.
    tilt = math.radians(20)
    up = np.array([0, math.cos(tilt), -math.sin(tilt)])
    low_left = np.array([-250.0, 10.0, 5.0])
    top_left = low_left + 300 * up
    corners = tuple(tuple(c) for c in (top_left, top_left + 500 * np.eye(3)[0], low_left))
    display = Display(Rect(0, 0, 1000, 600), 1, 1, corners)  # type: ignore[arg-type]
    records = empty_records(3)
    towards = np.array([0, math.sin(tilt), math.cos(tilt)])
    eye = top_left + np.array([100, 0, 0]) - 50 * up + 620 * towards
    for side, shift in (("left", -32), ("right", 32)):
        for axis, value in zip("xyz", eye + np.array([shift, 0, 0]), strict=True):
            records[f"{side}_origin_{axis}_mm"] = value
        records[f"{side}_origin_valid"] = [0, 1, 0]
    eyes = eye_positions(GazeSamples(records), display)
    assert eyes.measured.tolist() == [False, True, False]
    place = (eyes.x_mm[1:], eyes.y_mm[1:], eyes.z_mm[1:])
    assert np.allclose(place, [[100, 100], [50, 50], [620, 620]], atol=1e-3)
    assert (eyes.x_mm[0], eyes.z_mm[0]) == (0.5, 650.0)  # not known yet: assumed
    assert screen_px_per_degree(display, eyes.z_mm)[1] == pytest.approx(
        2 * 620 * math.tan(math.radians(1)), rel=1e-6
    )
    plain = Display(Rect(0, 0, 1000, 600), 500, 300, distance_mm=700)
    assert eye_positions(GazeSamples(records), plain).z_mm.tolist() == [700] * 3


@given(st.floats(-300, 300), st.floats(-300, 300), st.floats(1e-6, 500), st.floats(200, 900))
def test_angles_are_exact_when_small(x: float, y: float, step: float, z: float) -> None:
    straight = angle_deg(0, 0, step, 0, (0, 0, z))
    assert straight == pytest.approx(math.degrees(math.atan2(step, z)), rel=1e-9)
    seen = angle_deg(x, y, x + step, y, (3, 4, z))
    assert seen == pytest.approx(angle_deg(x + step, y, x, y, (3, 4, z)), rel=1e-12)
    assert 0 < seen < 180
