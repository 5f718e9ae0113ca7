"""The simulated reader and tracker do what their settings say."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.errors import UsageError
from qpgaze.frames import DeviceClock, Points, ScreenPx, SessionClock, Times, ViewerClock
from qpgaze.samples import GAZE_DTYPE
from qpgaze.simulate import (
    ReaderSettings,
    Reading,
    TrackerSettings,
    TruthObject,
    default_display,
    simulate_reading,
)
from qpgaze.simulate.eye import EyePath, Rest
from qpgaze.simulate.navigation import Pose, anchored
from qpgaze.simulate.saccades import saccade_duration_ms, saccade_progress
from qpgaze.simulate.tracker import ScreenPlane, deflect, simulate_tracker
from qpgaze.viewing import ImageIdentity

IMAGE = ImageIdentity("slide", 6000, 4500)


def some_objects(count: int = 14) -> list[TruthObject]:
    rng = np.random.Generator(np.random.PCG64(5))
    centres = rng.random((count, 2)) * [5000, 3500] + 500
    radii = 60 + rng.random(count) * 180
    return [
        TruthObject(f"o{i}", "Pearl", shapely.Point(*centres[i]).buffer(radii[i]), i % 3 != 2)
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def reading() -> Reading:
    return simulate_reading(some_objects(), IMAGE, pixel_size_um=0.5, seed=7)


@pytest.fixture(scope="module")
def staring() -> EyePath:
    """Ten minutes at one place, for figures that need many samples."""
    path = EyePath()
    path.add(Rest(0, 600_000_000, 1200.0, 300.0, 0.0, 0.0))
    return path


def angles(records: np.ndarray, place: tuple[float, float], eye: str) -> np.ndarray:
    """Errors of one eye as (right, up) degrees, from its own origin, NaN where lost."""
    display = default_display()
    plane = ScreenPlane.of(display)
    adcs = np.column_stack([records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"]]).astype(float)
    origin = np.column_stack([records[f"{eye}_origin_{a}_mm"] for a in "xyz"]).astype(float)
    true = np.tile(np.array(place) / [1920.0, 1080.0], (len(records), 1))
    vectors = []
    for points in (plane.point(adcs), plane.point(true)):
        v = points - origin
        vectors.append(np.degrees(np.arctan2(v[:, :2], -v[:, 2:])))
    return vectors[0] - vectors[1]


# -- the tracker -------------------------------------------------------------------------------


def test_precision_is_what_the_settings_say(staring):
    settings = TrackerSettings(accuracy_deg=0.0, precision_deg=0.3)
    records, _ = simulate_tracker(staring, (), default_display(), settings, _rng(1))
    mean = (angles(records, (1200, 300), "left") + angles(records, (1200, 300), "right")) / 2
    mean = mean[~np.isnan(mean).any(axis=1)]
    assert math.sqrt(mean.var(axis=0).sum()) == pytest.approx(0.3, rel=0.03)
    steps = np.diff(mean, axis=0)
    rms = math.sqrt((steps**2).sum(axis=1).mean())
    assert rms == pytest.approx(0.3 * math.sqrt(2), rel=0.03)
    # One eye alone is noisier than the mean of both.
    alone = angles(records, (1200, 300), "left")
    assert math.sqrt(np.nanvar(alone, axis=0).sum()) > 0.35


def test_accuracy_is_the_mean_length_of_the_offset():
    path = EyePath()
    path.add(Rest(0, 100_000, 1000.0, 500.0, 0.0, 0.0))
    settings = TrackerSettings(precision_deg=0.0, accuracy_deg=0.5, loss_share=0)
    lengths = []
    for seed in range(600):
        drawn = simulate_tracker(path, (), default_display(), settings, _rng(seed))[1]
        lengths.append(math.hypot(*drawn["offset_deg"]))
    assert np.mean(lengths) == pytest.approx(0.5, rel=0.06)


def test_offset_shows_in_the_gaze(staring):
    settings = TrackerSettings(accuracy_deg=1.0, precision_deg=0.0, blinks_per_minute=0)
    records, drawn = simulate_tracker(staring, (), default_display(), settings, _rng(3))
    error = np.nanmean(angles(records, (1200, 300), "left"), axis=0)
    assert error == pytest.approx(np.array(drawn["offset_deg"]), abs=0.08)


def test_losses_are_as_frequent_as_the_settings_say(staring):
    settings = TrackerSettings(loss_share=0.02, one_eye_loss_share=0.05, blinks_per_minute=12)
    records, _ = simulate_tracker(staring, (), default_display(), settings, _rng(4))
    left, right = records["left_gaze_valid"] == 1, records["right_gaze_valid"] == 1
    both_lost = ~left & ~right
    blinks = 12 * 0.157 / 60  # 150 ms median, log-normal mean 157 ms
    assert both_lost.mean() == pytest.approx(0.02 + blinks, rel=0.3)
    assert (left ^ right).mean() == pytest.approx(0.05, rel=0.3)
    runs = np.diff(np.flatnonzero(np.diff(both_lost.astype(int))))[::2]
    assert (runs >= 9).sum() / 10 == pytest.approx(12, rel=0.35)  # a minute; 75 ms and longer
    assert np.isnan(records["left_x_adcs"][~left]).all()
    assert not np.isnan(records["left_x_adcs"][left]).any()


def test_stamps_rise_and_clocks_convert(reading):
    records = reading.records
    assert records.dtype == GAZE_DTYPE
    assert (np.diff(records["t_us"]) > 0).all()
    assert np.diff(records["t_us"]).mean() == pytest.approx(1e6 / 120, rel=1e-3)
    assert np.diff(records["t_us"]).std() > 100
    device = [c for c in reading.clocks if c.source is DeviceClock]
    viewer = [c for c in reading.clocks if c.source is ViewerClock]
    assert len(device) == len(viewer) == reading.duration_us // 10_000_000 + 1
    back = device[-1](Times(DeviceClock, records["device_us"])).t_us
    assert np.abs(back - records["t_us"]).max() <= 3
    stamps = Times(ViewerClock, [s.painted_us for s in reading.states[1:]])
    assert (viewer[0](stamps).t_us == [s.t_us for s in reading.states[1:]]).all()
    assert viewer[0].target is SessionClock


def test_error_shares_vary_between_fixations_or_objects():
    quiet = TrackerSettings(precision_deg=0, accuracy_deg=0.5, blinks_per_minute=0)
    spread = {}
    for name in ("fixation_share", "object_share", None):
        settings = replace(quiet, **({name: 1.0} if name else {}))
        reading = simulate_reading(
            some_objects(), IMAGE, pixel_size_um=0.5, seed=2, tracker=settings
        )
        errors = {}
        for f in reading.fixations:
            if f.phase == "examine" and not f.moving:
                error = _mean_error(reading, f)
                if not np.isnan(error).any():
                    errors.setdefault(f.visit, []).append(error)
        within = np.mean([np.std(v, axis=0).mean() for v in errors.values()])
        between = np.std([np.mean(v, axis=0) for v in errors.values()], axis=0).mean()
        spread[name] = (within, between)
    assert spread["fixation_share"][0] > 8
    assert spread["object_share"][0] < 4 < 8 < spread["object_share"][1]
    assert spread[None][0] < 4
    assert spread[None][1] < 4


def _mean_error(reading: Reading, fixation) -> np.ndarray:
    """Screen px between reported and true gaze."""
    t = reading.records["t_us"]
    inside = (t >= fixation.start_us) & (t < fixation.end_us)
    xy = reading.gaze.average().xy[inside] * [1920, 1080]
    xy = xy[~np.isnan(xy).any(axis=1)]
    if not len(xy):
        return np.full(2, np.nan)
    return xy.mean(axis=0) - [fixation.x_screen_px, fixation.y_screen_px]


def test_deflect_turns_by_the_error():
    eye = np.array([[0.0, 200.0, 650.0]] * 3)
    point = np.array([[0.0, 150.0, 0.0], [200.0, 20.0, 0.0], [-250.0, 300.0, -50.0]])
    turned = deflect(eye, point, np.array([[0.5, 0.0], [0.0, -2.0], [0.6, 0.8]]))
    sight = point - eye
    cosine = (turned * sight).sum(1) / np.linalg.norm(turned, axis=1)
    cosine /= np.linalg.norm(sight, axis=1)
    assert np.degrees(np.arccos(cosine)) == pytest.approx([0.5, 2.0, 1.0], rel=1e-6)


# -- eye and viewer ----------------------------------------------------------------------------


def test_saccades_follow_the_main_sequence(reading):
    assert saccade_duration_ms(0.0) == pytest.approx(21.0)
    amplitudes, durations = [], []
    for before, after in zip(reading.fixations, reading.fixations[1:], strict=False):
        if not (before.moving or after.moving):
            place = [(f.x_screen_px, f.y_screen_px) for f in (before, after)]
            amplitudes.append(math.dist(*place) / default_display().screen_px_per_degree())
            durations.append((after.start_us - before.end_us) / 1000)
    slope, start = np.polyfit(amplitudes, durations, 1)
    assert slope == pytest.approx(2.2, abs=0.1)
    assert start == pytest.approx(21.0, abs=0.7)


def test_saccade_velocity_is_a_bell():
    course = saccade_progress(np.linspace(0, 1, 101))
    velocity = np.diff(course) * 100
    assert velocity.max() == pytest.approx(1.875, abs=0.01)
    assert np.argmax(velocity) in (49, 50)
    assert (velocity >= 0).all()


def test_fixation_durations_are_log_normal():
    logs = []
    for seed in range(6):
        run = simulate_reading(some_objects(), IMAGE, pixel_size_um=0.5, seed=seed)
        logs += [math.log((f.end_us - f.start_us) / 1000) for f in run.fixations if not f.moving]
    assert np.median(logs) == pytest.approx(math.log(260), abs=0.05)
    assert np.std(logs) == pytest.approx(0.35, abs=0.05)


def test_true_fixations_map_back_through_the_states(reading):
    times = [s.t_us for s in reading.states]
    checked = 0
    for fixation in reading.fixations:
        if fixation.moving or math.isnan(fixation.x_image_px):
            continue
        middle = (fixation.start_us + fixation.end_us) // 2
        state = reading.states[bisect_right(times, middle) - 1]
        screen = Points(ScreenPx, [[fixation.x_screen_px, fixation.y_screen_px]])
        place = state.screen_to_viewer().then(state.viewer_to_image())(screen)
        assert np.abs(place.xy[0] - [fixation.x_image_px, fixation.y_image_px]).max() < 1e-6
        assert state.downsample == pytest.approx(fixation.downsample)
        checked += 1
    assert checked > 100
    assert any(s.rotation_rad > 0.4 for s in reading.states)


def test_samples_without_error_lie_on_the_fixations():
    perfect = TrackerSettings(accuracy_deg=0, precision_deg=0, sync_uncertainty_us=0)
    reading = simulate_reading(some_objects(), IMAGE, seed=4, pixel_size_um=0.5, tracker=perfect)
    for fixation in reading.fixations:
        if not fixation.moving:
            error = _mean_error(reading, fixation)
            assert np.isnan(error).all() or np.abs(error).max() < 3.5


def test_states_come_each_pulse_while_moving_and_each_second_at_rest(reading):
    times = np.array([s.t_us for s in reading.states])
    gaps = np.diff(times)
    assert (gaps > 0).all()
    assert gaps.max() <= 1_000_000 + 2 * 1000
    moving = [
        b.t_us - a.t_us
        for a, b in zip(reading.states, reading.states[1:], strict=False)
        if a.corners_image_px != b.corners_image_px
    ]
    assert 15_000 < np.median(moving) < 20_000
    kinds = [cover.kind for cover in reading.states[0].covers]
    assert kinds == ["overview", "scalebar", "location"]


@given(
    st.floats(-1e5, 1e5),
    st.floats(-1e5, 1e5),
    st.floats(0.1, 100),
    st.floats(-7, 7),
    st.floats(-900, 900),
    st.floats(-900, 900),
)
def test_pose_maps_there_and_back(cx, cy, downsample, rotation, u, v):
    pose = Pose(cx, cy, downsample, rotation)
    assert pose.to_offset(*pose.to_image(u, v)) == pytest.approx((u, v), abs=1e-6)
    moved = anchored(pose, 12.0, 34.0, u, v)
    assert moved.to_image(u, v) == pytest.approx((12.0, 34.0), abs=1e-6)


# -- the reader --------------------------------------------------------------------------------


def test_every_target_is_labelled_and_no_lookalike(reading):
    targets = {o.id for o in reading.objects if o.target}
    assert {label.object_id for label in reading.labels} == targets
    assert len(reading.labels) == len(targets)
    examined = {f.object_id for f in reading.fixations if f.phase == "check"}
    assert examined
    assert not examined & targets


def test_the_key_lags_behind_the_eye(reading):
    keys = [e for e in reading.events if e.kind == "label"]
    downs, ups = keys[::2], keys[1::2]
    assert all(k.data["down"] for k in downs)
    assert not any(k.data["down"] for k in ups)
    late = [k.t_us - label.start_us for k, label in zip(downs, reading.labels, strict=True)]
    after = [k.t_us - label.end_us for k, label in zip(ups, reading.labels, strict=True)]
    for lags in (late, after):
        assert 240_000 < np.mean(lags) < 360_000
    assert reading.events[0].kind == "validation"
    assert reading.events[0].data["accuracy_deg"] == 0.5


@pytest.mark.parametrize("coverage", ["whole", "core"])
def test_coverage_decides_where_fixations_fall(coverage):
    settings = ReaderSettings(coverage=coverage, landing_share=0.0, fixations=(12, 12))
    reading = simulate_reading(some_objects(), IMAGE, pixel_size_um=0.5, reader=settings, seed=9)
    shape = {o.id: o.geometry for o in reading.objects}
    distance = []
    for f in reading.fixations:
        if f.phase == "examine" and not f.moving:
            x0, y0, x1, y1 = shape[f.object_id].bounds
            centre = ((x0 + x1) / 2, (y0 + y1) / 2)
            distance.append(math.dist((f.x_image_px, f.y_image_px), centre) / ((x1 - x0) / 2))
    limit = 1.0 if coverage == "whole" else 0.6
    assert 0.9 * limit < max(distance) <= limit + 1e-6


@pytest.mark.parametrize(("event", "each"), [("hold", 2), ("toggle", 2), ("mark", 1)])
def test_label_events(event, each):
    settings = ReaderSettings(label_event=event)
    reading = simulate_reading(some_objects(), IMAGE, reader=settings, seed=1, pixel_size_um=0.5)
    keys = [e for e in reading.events if e.kind == "label"]
    assert len(keys) == each * len(reading.labels)
    assert {e.data["event"] for e in keys} == {event}
    assert {e.data["class"] for e in keys} == {"Pearl"}
    assert [e.t_us for e in keys] == sorted(e.t_us for e in keys)
    assert keys[-1].t_us <= reading.duration_us


def test_mistakes_are_made_and_taken_back():
    settings = ReaderSettings(false_label_share=1.0, undo_share=1.0, lookalike_share=1.0)
    reading = simulate_reading(some_objects(), IMAGE, reader=settings, seed=1, pixel_size_um=0.5)
    wrong = [label for label in reading.labels if not label.correct]
    assert len(wrong) == sum(not o.target for o in reading.objects)
    assert all(label.undone for label in wrong)
    undos = [e for e in reading.events if e.data.get("event") == "undo"]
    assert len(undos) == len(wrong)


def test_missed_targets_get_no_label():
    settings = ReaderSettings(missed_share=1.0)
    reading = simulate_reading(some_objects(), IMAGE, reader=settings, seed=1)
    assert reading.labels == ()


def test_same_seed_same_bytes_other_seed_other_bytes(reading):
    again = simulate_reading(some_objects(), IMAGE, pixel_size_um=0.5, seed=7)
    assert again.records.tobytes() == reading.records.tobytes()
    assert again.states == reading.states
    assert again.events == reading.events
    assert again.fixations[3] == reading.fixations[3]
    assert again.session_id == reading.session_id
    other = simulate_reading(some_objects(), IMAGE, pixel_size_um=0.5, seed=8)
    assert other.records.tobytes() != reading.records.tobytes()
    assert other.session_id != reading.session_id


def test_any_shape_will_do():
    shapes = [
        shapely.Point(500, 500),
        shapely.LineString([(900, 900), (1200, 1000)]),
        shapely.MultiPolygon(
            [shapely.box(1500, 200, 1600, 300), shapely.box(1700, 200, 1800, 350)]
        ),
    ]
    things = [TruthObject(str(i), "Other", shape) for i, shape in enumerate(shapes)]
    reading = simulate_reading(things, ImageIdentity("a", 2000, 1500), seed=0)
    assert len(reading.labels) == 3


def test_frozen_defaults():
    tracker, reader = TrackerSettings(), ReaderSettings()
    assert (tracker.accuracy_deg, tracker.precision_deg, tracker.rate_hz) == (0.5, 0.3, 120.0)
    assert (reader.key_lag_ms, reader.fixations, reader.coverage) == (300.0, (4, 10), "whole")


@pytest.mark.parametrize(
    "broken",
    [
        lambda: simulate_reading([], IMAGE),
        lambda: simulate_reading([TruthObject("a", "P", shapely.Polygon())], IMAGE),
        lambda: simulate_reading(some_objects() + some_objects(), IMAGE),
        lambda: simulate_reading(some_objects(), ImageIdentity("a", 0, 10)),
        lambda: simulate_reading(some_objects(), IMAGE, pixel_size_um=0.0),
        lambda: TrackerSettings(rate_hz=0),
        lambda: TrackerSettings(loss_share=1.5),
        lambda: TrackerSettings(fixation_share=0.7, object_share=0.7),
        lambda: ReaderSettings(coverage="rim"),
        lambda: ReaderSettings(label_event="shout"),
        lambda: ReaderSettings(fixations=(5, 2)),
    ],
)
def test_impossible_settings_are_refused(broken):
    with pytest.raises(UsageError):
        broken()


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))
