from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from qpgaze.errors import SessionError, UsageError
from qpgaze.gaze import IvtParameters, LeftOut, detect_fixations, map_samples
from qpgaze.model import Fixation
from qpgaze.samples import GazeSamples
from qpgaze.viewing import Display, ImageIdentity, Rect, ViewerState

Make = Callable[..., GazeSamples]
DEGREE = Display(Rect(0, 0, 1920, 1080), 528, 297).screen_px_per_degree()


def detect(
    gaze: GazeSamples, states: Sequence[ViewerState], display: Display, **more: object
) -> tuple[Fixation, ...]:
    mapped = map_samples(gaze, states, display)
    return detect_fixations(gaze, mapped, states, display, **{"accuracy_deg": 0.5, **more})  # type: ignore[arg-type]


def spans(found: Sequence[Fixation]) -> np.ndarray:
    return np.array([(f.start_us, f.end_us) for f in found], dtype=np.int64).reshape(-1, 2)


@pytest.mark.parametrize(
    ("rate", "noise", "least"),
    [(60, 0.3, 0.92), (120, 0.1, 0.98), (120, 0.3, 0.97), (300, 0.3, 0.97), (600, 0.3, 0.98)],
)
def test_fixations_on_a_still_view(
    scenes: ModuleType, rate: float, noise: float, least: float
) -> None:
    scene = scenes.make_scene(rate, 120, noise_deg=noise, panning=0.0, seed=5)
    found = detect(scene.gaze, scene.states, scene.display)
    f1, which = scenes.match_f1(spans(found), scene.truth_us)
    assert f1 >= least
    # Where they lie: the error of a mean over a quarter of a second is small.
    place = np.array([(f.x_image_px, f.y_image_px) for f in found])[which >= 0]
    error = np.hypot(*(place - scene.truth_image_px[which[which >= 0]]).T)
    zoom = np.array([f.downsample for f in found])[which >= 0]
    assert np.median(error / zoom / DEGREE) < noise / 2
    # RMS of two axes, of which each has the tracker's noise.
    spread = np.median([f.spread_image_px / f.downsample / DEGREE for f in found])
    assert spread == pytest.approx(noise * np.sqrt(2), rel=0.15)
    assert all(f.motion == "static" for f in found)


def test_view_aware_detection_beats_the_others_on_moving_content(scenes: ModuleType) -> None:
    scene = scenes.make_scene(120, 300, seed=6)
    score = {}
    for content in ("screen", "split", "image", "view"):
        found = detect(
            scene.gaze, scene.states, scene.display, parameters=IvtParameters(content=content)
        )
        score[content], which = scenes.match_f1(spans(found), scene.truth_us)
    assert score["view"] > score["screen"] > score["split"]
    assert score["view"] > score["image"] - 0.01
    assert score["view"] >= 0.94
    said = np.array([f.motion == "panning" for f in found])[which >= 0]
    assert (said == scene.panning[which[which >= 0]]).mean() > 0.94
    t_us = scene.gaze.column("t_us")
    wandered = []
    for f in found:
        low, high = np.searchsorted(t_us, f.start_us), np.searchsorted(t_us, f.end_us, "right")
        place = scene.true_image_px[low:high] / scene.downsample[low:high, None] / DEGREE
        wandered.append(np.sqrt(((place - place.mean(axis=0)) ** 2).sum(axis=1).mean()))
    assert np.percentile(wandered, 95) < 0.4


def test_jitter_and_losses_are_taken(scenes: ModuleType) -> None:
    scene = scenes.make_scene(120, 120, panning=0.0, jitter_us=3000, loss=0.05, seed=7)
    records = scene.gaze.records[np.random.default_rng(0).random(len(scene.gaze)) > 0.02]
    records["left_gaze_valid"][:40] = 0
    records["right_gaze_valid"][:40] = 0
    records["right_gaze_valid"][-30:] = 0
    records["left_x_adcs"][-30:] = np.nan
    found = detect(GazeSamples(records), scene.states, scene.display)
    f1, _ = scenes.match_f1(spans(found), scene.truth_us)
    assert f1 > 0.9
    assert found[0].start_us >= records["t_us"][40]
    assert found[-1].end_us <= records["t_us"][-31]


# -- single fixations, by hand ------------------------------------------------------------------

SCREEN = Rect(0, 0, 1920, 1080)
DISPLAY = Display(SCREEN, 528, 297)
SLIDE = ImageIdentity("slide", 100_000, 100_000)


def still(t_us: int = 0, *, x: float = 40_000, d: float = 2.0, **more: object) -> ViewerState:
    corners = ((x, 40_000.0), (x + 1920 * d, 40_000.0), (x, 40_000 + 1080 * d))
    state = ViewerState(t_us, "1", SLIDE, corners, d, bounds_screen_px=SCREEN)
    return replace(state, **more)  # type: ignore[arg-type]


def steps(make_gaze: Make, *places: tuple[float, int], valid: object = True) -> GazeSamples:
    """300 Hz; (x in ADCS, how many samples) each, y in the middle."""
    x = np.concatenate([np.full(n, at) for at, n in places])
    t_us = np.rint(np.arange(len(x)) * 1e6 / 300)
    return make_gaze(t_us, np.column_stack([x, np.full(len(x), 0.5)]), valid=valid)


def test_one_fixation_has_all_its_figures(make_gaze: Make) -> None:
    (f,) = detect(steps(make_gaze, (0.25, 90)), [still()], DISPLAY)
    assert (f.x_image_px, f.y_image_px) == (40_000 + 960, 40_000 + 1080)
    assert f.spread_image_px == 0
    assert f.accuracy_image_px == pytest.approx(0.5 * DEGREE * 2)
    assert (f.downsample, f.motion, f.near_view_change, f.image) == (2.0, "static", False, SLIDE)
    # Half a velocity window is lost at each end: three samples of 3.3 ms.
    assert (f.start_us, f.end_us, f.samples) == (10_000, 286_667, 84)


def test_two_places_are_two_fixations_and_short_ones_none(make_gaze: Make) -> None:
    assert len(detect(steps(make_gaze, (0.25, 60), (0.5, 60)), [still()], DISPLAY)) == 2
    assert len(detect(steps(make_gaze, (0.25, 60), (0.5, 18), (0.7, 60)), [still()], DISPLAY)) == 2
    assert detect(steps(make_gaze, (0.25, 18)), [still()], DISPLAY) == ()
    short = IvtParameters(min_duration_ms=20)
    assert len(detect(steps(make_gaze, (0.25, 18)), [still()], DISPLAY, parameters=short)) == 1


def test_a_blink_splits_and_a_short_gap_does_not(make_gaze: Make) -> None:
    for lost, expected in ((20, 1), (40, 2)):
        valid = np.ones(180)
        valid[80 : 80 + lost] = 0
        found = detect(steps(make_gaze, (0.25, 180), valid=valid), [still()], DISPLAY)
        assert len(found) == expected
    assert len(detect(steps(make_gaze, (0.25, 180), valid=0), [still()], DISPLAY)) == 0


def test_an_eye_that_drops_out_is_no_saccade(make_gaze: Make) -> None:
    gaze = steps(make_gaze, (0.5, 150))
    gaze.records["left_x_adcs"] -= 0.02
    gaze.records["right_x_adcs"] += 0.02
    gaze.records["right_gaze_valid"][60:75] = 0
    assert len(detect(gaze, [still()], DISPLAY)) == 1


def test_zoom_image_and_plane_cut(make_gaze: Make) -> None:
    gaze = steps(make_gaze, (0.25, 180))
    other = replace(SLIDE, name="other")
    for change in ({"d": 4.0}, {"image": other}, {"z": 1}, {"t": 1}):
        states = [still(), still(300_000, **change)]  # type: ignore[arg-type]
        first, second = detect(gaze, states, DISPLAY)
        assert first.end_us < 300_000 <= second.start_us
        assert (second.image, second.z, second.t) == (
            change.get("image", SLIDE), change.get("z", 0), change.get("t", 0)
        )  # fmt: skip
        assert second.downsample == change.get("d", 2.0)
    # A keyframe is no change.
    (whole,) = detect(gaze, [still(), still(300_000)], DISPLAY)
    assert whole.samples == 174


def test_fixations_near_a_view_change_are_flagged(make_gaze: Make) -> None:
    gaze = steps(make_gaze, (0.25, 60), (0.5, 60), (0.7, 60))
    states = [still(), still(215_000, x=41_000), still(10**6, x=50_000)]
    for uncertainty, flags in ((0, [False] * 3), (20_000, [False, True, False])):
        found = detect(gaze, states, DISPLAY, sync_uncertainty_us=uncertainty)
        assert [f.near_view_change for f in found] == flags


def test_the_eye_may_follow_or_let_the_slide_pass(make_gaze: Make) -> None:
    n, d = 150, 2.0
    t_s = np.arange(n) / 300
    pan = 10.0 * DEGREE  # screen px per second
    states = [still(round(t * 1e6), x=40_000 + t * pan * d) for t in np.arange(0, 0.5, 1 / 60)]
    follows = 0.5 - t_s * pan / 1920
    gaze = make_gaze(np.rint(t_s * 1e6), np.column_stack([follows, np.full(n, 0.5)]))
    (f,) = detect(gaze, states, DISPLAY)
    assert f.motion == "panning"
    assert f.x_image_px == pytest.approx(40_000 + 960 * d, abs=0.2 * DEGREE * d)
    assert f.spread_image_px < 0.15 * DEGREE * d
    fast = [still(s.t_us, x=40_000 + (s.corners_image_px[0][0] - 40_000) * 3) for s in states]  # type: ignore[index]
    gaze = make_gaze(np.rint(t_s * 1e6), np.full((n, 2), 0.5))
    assert detect(gaze, fast, DISPLAY) == ()
    screen = IvtParameters(content="screen")
    assert len(detect(gaze, fast, DISPLAY, parameters=screen)) == 1


def test_only_samples_on_the_slide_count(make_gaze: Make) -> None:
    gaze = steps(make_gaze, (0.25, 90), (0.75, 90))
    half = replace(still(), bounds_screen_px=Rect(0, 0, 960, 1080))
    assert len(detect(gaze, [half], DISPLAY)) == 1
    assert detect(gaze, [replace(still(), shown=False)], DISPLAY) == ()
    assert detect(gaze, [], DISPLAY) == ()


def test_nothing_in_nothing_out(make_gaze: Make) -> None:
    for n in (0, 1, 2):
        gaze = make_gaze(np.arange(n) * 3333, np.full((n, 2), 0.5))
        assert detect(gaze, [still()], DISPLAY) == ()
    same = make_gaze(np.zeros(50), np.full((50, 2), 0.5))
    assert detect(same, [still()], DISPLAY) == ()


def test_ten_samples_a_second_still_give_fixations(make_gaze: Make) -> None:
    gaze = make_gaze(np.arange(20) * 100_000, [[0.3, 0.5]] * 10 + [[0.6, 0.5]] * 10)
    assert len(detect(gaze, [still()], DISPLAY)) == 2


def test_wrong_use_is_refused(make_gaze: Make) -> None:
    gaze = steps(make_gaze, (0.25, 90))
    mapped = map_samples(gaze, [still()], DISPLAY)
    with pytest.raises(UsageError, match="90 samples"):
        detect_fixations(steps(make_gaze, (0.2, 9)), mapped, [still()], DISPLAY, accuracy_deg=0.5)
    with pytest.raises(UsageError, match="Accuracy"):
        detect_fixations(gaze, mapped, [still()], DISPLAY, accuracy_deg=float("nan"))
    for bad in ({"window_ms": -1.0}, {"threshold_deg_s": float("nan")}, {"content": "all"}):
        with pytest.raises(UsageError):
            IvtParameters(**bad)  # type: ignore[arg-type]
    wrong = [replace(still(), image=None)]
    with pytest.raises(SessionError, match="shows no image"):
        detect_fixations(gaze, mapped, wrong, DISPLAY, accuracy_deg=0.5)


# -- what must not matter -----------------------------------------------------------------------


def transformed(
    state: ViewerState, matrix: np.ndarray, shift: np.ndarray, zoom: float
) -> ViewerState:
    assert state.corners_image_px is not None
    corners = np.array(state.corners_image_px) @ matrix.T + shift
    return replace(
        state, corners_image_px=tuple(map(tuple, corners)), downsample=state.downsample * zoom
    )


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 2, 3.0])
@pytest.mark.parametrize("zoom", [0.25, 1.0, 3.0])
def test_turning_and_scaling_the_slide_turns_and_scales_the_fixations(
    scenes: ModuleType, angle: float, zoom: float
) -> None:
    scene = scenes.make_scene(120, 30, seed=8)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    matrix, shift = np.array([[cos, -sin], [sin, cos]]), np.array([4e6, 4e6])
    huge = ImageIdentity("huge", 10**7, 10**7)
    plain = [replace(s, image=huge) for s in scene.states]
    before = detect(scene.gaze, plain, scene.display)
    states = [transformed(s, matrix, shift, zoom) for s in plain]
    after = detect(scene.gaze, states, scene.display)
    assert (spans(before) == spans(after)).all()
    for f, g in zip(before, after, strict=True):
        place = matrix @ [f.x_image_px, f.y_image_px] + shift
        assert np.allclose(place, [g.x_image_px, g.y_image_px], rtol=0, atol=1e-5)
        assert g.spread_image_px == pytest.approx(f.spread_image_px * zoom, rel=1e-6)
        assert g.accuracy_image_px == pytest.approx(f.accuracy_image_px * zoom)
        assert (f.motion, f.samples) == (g.motion, g.samples)


def test_a_mirrored_scene_gives_mirrored_fixations(scenes: ModuleType) -> None:
    scene = scenes.make_scene(120, 30, seed=9)
    records = scene.gaze.records.copy()
    for eye in ("left", "right"):
        # On a grid that single precision holds, 1 - x is exact.
        records[f"{eye}_x_adcs"] = np.round(records[f"{eye}_x_adcs"] * 65536) / 65536
    mirrored = records.copy()
    for eye in ("left", "right"):
        mirrored[f"{eye}_x_adcs"] = 1 - mirrored[f"{eye}_x_adcs"]
    width = 400_000.0
    plain = [replace(s, covers=()) for s in scene.states]
    states = []
    for s in plain:
        (x0, y0), (x1, y1), (x2, y2) = s.corners_image_px
        corner = ((width - x1, y1), (width - x0, y0), (width - (x1 + x2 - x0), y1 + y2 - y0))
        states.append(replace(s, corners_image_px=corner))
    before = detect(GazeSamples(records), plain, scene.display)
    after = detect(GazeSamples(mirrored), states, scene.display)
    assert (spans(before) == spans(after)).all()
    assert np.allclose([f.x_image_px for f in before], [width - f.x_image_px for f in after])


@pytest.mark.parametrize("shift_us", [-(10**9), 123_456_789])
def test_only_differences_of_time_matter(scenes: ModuleType, shift_us: int) -> None:
    scene = scenes.make_scene(120, 30, seed=10)
    before = detect(scene.gaze, scene.states, scene.display, sync_uncertainty_us=9000)
    records = scene.gaze.records.copy()
    records["t_us"] += shift_us
    states = [replace(s, t_us=s.t_us + shift_us) for s in scene.states]
    after = detect(GazeSamples(records), states, scene.display, sync_uncertainty_us=9000)
    moved = [replace(f, start_us=f.start_us + shift_us, end_us=f.end_us + shift_us) for f in before]
    assert moved == list(after)


def test_fixations_do_not_overlap_and_hold_their_samples(scenes: ModuleType) -> None:
    scene = scenes.make_scene(120, 60, seed=11, loss=0.05)
    mapped = map_samples(scene.gaze, scene.states, scene.display)
    found = detect(scene.gaze, scene.states, scene.display)
    span = spans(found)
    assert (span[1:, 0] > span[:-1, 1]).all()
    assert ((span[:, 1] - span[:, 0]) >= 60_000).all()
    for f in found:
        inside = (mapped.t_us >= f.start_us) & (mapped.t_us <= f.end_us)
        inside &= mapped.reason == LeftOut.OK
        assert 2 <= f.samples <= inside.sum()
        assert 0 <= f.x_image_px <= f.image.width_px
