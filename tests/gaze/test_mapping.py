from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.errors import FrameError, SessionError, UsageError
from qpgaze.frames import ImagePx, Points, ScreenPx
from qpgaze.gaze import LeftOut, display_to_screen, map_samples
from qpgaze.samples import GazeSamples, empty_records
from qpgaze.viewing import Cover, Display, ImageIdentity, Rect, ViewerState

SLIDE = ImageIdentity("slide", 100_000, 80_000, "1")
SCREEN = Rect(0, 0, 1000, 500)
DISPLAY = Display(SCREEN, 500, 250)
Make = Callable[..., GazeSamples]


def qupath_place(
    x: float, y: float, box: Rect, centre: tuple[float, float], d: float, turn: float
) -> tuple[float, float]:
    """QuPath's own mapping of a component point (field notes: W, H are rounded up)."""
    u, v = x - math.ceil(box.width) / 2, y - math.ceil(box.height) / 2
    return (
        centre[0] + d * (math.cos(turn) * u + math.sin(turn) * v),
        centre[1] + d * (-math.sin(turn) * u + math.cos(turn) * v),
    )


def viewer_at(
    box: Rect,
    *,
    t_us: int = 0,
    name: str = "1",
    centre: tuple[float, float] = (50_000.0, 40_000.0),
    d: float = 2.0,
    turn: float = 0.0,
    **more: object,
) -> ViewerState:
    corners = tuple(
        qupath_place(x, y, box, centre, d, turn)
        for x, y in ((0, 0), (box.width, 0), (0, box.height))
    )
    state = ViewerState(t_us, name, SLIDE, corners, d, turn, bounds_screen_px=box)
    return replace(state, **more)  # type: ignore[arg-type]


boxes = st.builds(
    Rect,
    st.floats(-4000, 4000),
    st.floats(-2000, 2000),
    st.floats(50, 3000),
    st.floats(50, 2000),
)
turns = st.floats(-math.pi, math.pi)
zooms = st.floats(0.1, 200)
inside = st.floats(0.001, 0.999)


@given(boxes, boxes, turns, zooms, st.lists(st.tuples(inside, inside), min_size=1, max_size=8))
def test_mapping_is_qupaths_mapping_on_any_monitor(
    box: Rect, display_box: Rect, turn: float, d: float, places: list[tuple[float, float]]
) -> None:
    # The display area is any monitor; the viewer any place on the desktop, partly beside it.
    display = Display(display_box, 500, 300)
    records = empty_records(len(places))
    records["t_us"] = np.arange(len(places))
    at_viewer = np.array(places) * (box.width, box.height)
    shift = np.array([box.x - display_box.x, box.y - display_box.y])
    adcs = (at_viewer + shift) / (display_box.width, display_box.height)
    for eye in ("left", "right"):
        records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = adcs.T
        records[f"{eye}_gaze_valid"] = 1
    huge = replace(SLIDE, width_px=10**7, height_px=10**7)
    centre = (5e6, 5e6)
    state = replace(viewer_at(box, centre=centre, d=d, turn=turn), image=huge)
    mapped = map_samples(GazeSamples(records), [state], display)
    # Single precision on disk moves a sample a little; the truth is what was stored.
    stored = np.column_stack([records["left_x_adcs"], records["left_y_adcs"]]).astype(float)
    screen = stored * (display_box.width, display_box.height) + (display_box.x, display_box.y)
    for i, (x, y) in enumerate(screen):
        if mapped.reason[i] == LeftOut.OK:
            expected = qupath_place(x - box.x, y - box.y, box, centre, d, turn)
            assert np.abs(mapped.image.xy[i] - expected).max() < 1e-6
            assert mapped.downsample[i] == d
        else:
            edge = min(x - box.x, y - box.y, box.x + box.width - x, box.y + box.height - y)
            assert edge < 0.01


@given(turns, zooms, turns, zooms, st.lists(st.tuples(inside, inside), min_size=1, max_size=8))
def test_each_sample_belongs_to_the_viewer_it_falls_on(
    turn_a: float, d_a: float, turn_b: float, d_b: float, places: list[tuple[float, float]]
) -> None:
    left, right = Rect(0, 0, 480.5, 500), Rect(520, 20.25, 480, 460)
    states = [
        viewer_at(left, name="a", d=d_a, turn=turn_a),
        viewer_at(right, name="b", d=d_b, turn=turn_b, t_us=5, centre=(70_000.0, 10_000.0)),
    ]
    records = empty_records(len(places))
    records["t_us"] = 10
    for eye in ("left", "right"):
        records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = np.array(places).T
        records[f"{eye}_gaze_valid"] = 1
    mapped = map_samples(GazeSamples(records), states, DISPLAY)
    for i, (x, y) in enumerate(mapped.screen):
        if x < 480.5:
            expected, state = qupath_place(x, y, left, (50_000.0, 40_000.0), d_a, turn_a), 0
        elif 520 <= x < 1000 and 20.25 <= y < 480.25:
            expected, state = (
                qupath_place(x - 520, y - 20.25, right, (70_000.0, 10_000.0), d_b, turn_b),
                1,
            )
        else:
            assert mapped.reason[i] == LeftOut.OFF_VIEWER
            continue
        assert mapped.state[i] == state
        if 0 <= expected[0] < SLIDE.width_px and 0 <= expected[1] < SLIDE.height_px:
            assert np.abs(mapped.image.xy[i] - expected).max() < 1e-6
        else:
            assert mapped.reason[i] == LeftOut.OFF_IMAGE
            assert np.isnan(mapped.image.xy[i]).all()


def test_mapping_agrees_with_the_composed_frames(make_gaze: Make) -> None:
    box = Rect(120.5, 33, 700, 401.25)
    state = viewer_at(box, turn=0.7, d=3.5)
    gaze = make_gaze([0, 1], [[0.3, 0.4], [0.5, 0.6]])
    mapped = map_samples(gaze, [state], DISPLAY)
    to_viewer, to_image = state.screen_to_viewer(), state.viewer_to_image()
    assert to_viewer is not None
    assert to_image is not None
    whole = display_to_screen(DISPLAY).then(to_viewer).then(to_image)
    assert np.allclose(mapped.image.xy, whole(gaze.average()).xy, rtol=0, atol=1e-8)
    assert mapped.image.frame is ImagePx
    assert mapped.screen.frame is ScreenPx
    with pytest.raises(FrameError):
        to_viewer(mapped.image)  # type: ignore[arg-type]


def test_the_state_in_force_is_the_last_one_not_after_the_sample(make_gaze: Make) -> None:
    states = [
        viewer_at(SCREEN, t_us=100, centre=(1000.0, 1000.0)),
        viewer_at(SCREEN, t_us=200, centre=(2000.0, 1000.0)),
        viewer_at(SCREEN, t_us=200, centre=(3000.0, 1000.0)),
    ]
    mapped = map_samples(make_gaze([99, 100, 199, 200, 10**9], [[0.5, 0.5]] * 5), states, DISPLAY)
    assert mapped.reason.tolist() == [LeftOut.NO_STATE, 0, 0, 0, 0]
    assert mapped.state.tolist() == [-1, 0, 0, 2, 2]
    assert mapped.image.x[1:].tolist() == [1000, 1000, 3000, 3000]


def test_a_state_older_than_three_keyframes_is_unknown(make_gaze: Make) -> None:
    states = [viewer_at(SCREEN, t_us=0), viewer_at(SCREEN, t_us=10_000)]
    gaze = make_gaze([3000, 3001, 10_000, 13_000, 13_001], [[0.5, 0.5]] * 5)
    mapped = map_samples(gaze, states, DISPLAY, keyframe_us=1000)
    assert mapped.reason.tolist() == [0, LeftOut.NO_STATE, 0, 0, LeftOut.NO_STATE]
    assert map_samples(gaze, states, DISPLAY).reason.tolist() == [0] * 5


def test_one_silent_viewer_does_not_hide_the_other(make_gaze: Make) -> None:
    states = [
        viewer_at(Rect(0, 0, 1000, 500), name="gone", t_us=0),
        viewer_at(Rect(0, 0, 500, 500), name="there", t_us=9000),
    ]
    gaze = make_gaze([9500, 9500], [[0.2, 0.5], [0.8, 0.5]])
    mapped = map_samples(gaze, states, DISPLAY, keyframe_us=1000)
    assert mapped.state.tolist() == [1, -1]
    assert mapped.reason.tolist() == [0, LeftOut.OFF_VIEWER]


def test_what_covers_the_slide_is_counted_by_kind(make_gaze: Make) -> None:
    covers = (
        Cover("overview", Rect(900, 0, 100, 100)),
        Cover("scalebar", Rect(0, 450, 100, 50)),
    )
    states = [
        viewer_at(SCREEN, covers=covers),
        viewer_at(SCREEN, t_us=10, covers=covers[:1]),
    ]
    places = [[0.95, 0.1], [0.05, 0.95], [0.5, 0.5]] * 2
    mapped = map_samples(make_gaze([0, 1, 2, 10, 11, 12], places), states, DISPLAY)
    covered = LeftOut.COVERED
    assert mapped.reason.tolist() == [covered, covered, 0, covered, 0, 0]
    counts = mapped.counts()
    assert counts["covered: overview"] == 2
    assert counts["covered: scalebar"] == 1
    assert sum(counts.values()) == len(mapped)


def test_every_reason_has_its_place(make_gaze: Make) -> None:
    half = Rect(0, 0, 500, 500)
    shown = viewer_at(half)
    gaze = make_gaze([5, 5], [[0.2, 0.5], [0.9, 0.5]])
    cases = {
        "hidden": [replace(shown, shown=False)],
        "iconified": [replace(shown, iconified=True)],
        "no image": [replace(shown, image=None, corners_image_px=None)],
        "closed": [replace(shown, corners_image_px=((math.nan, math.nan),) * 3)],
        "flat": [replace(shown, corners_image_px=((0, 0), (1, 0), (2, 0)))],
        "nowhere": [replace(shown, bounds_screen_px=None)],
        "no size": [replace(shown, bounds_screen_px=Rect(0, 0, 0, 500))],
    }
    for name, states in cases.items():
        mapped = map_samples(gaze, states, DISPLAY)
        assert mapped.reason.tolist() == [LeftOut.NO_IMAGE] * 2, name
        assert np.isnan(mapped.image.xy).all()
        assert np.isnan(mapped.downsample).all()
    mapped = map_samples(gaze, [shown], DISPLAY)
    assert mapped.reason.tolist() == [0, LeftOut.OFF_VIEWER]
    assert map_samples(gaze, [], DISPLAY).counts()["no_state"] == 2
    lost = map_samples(make_gaze([5, 5], [[0.2, 0.5]] * 2, valid=[0, 1]), [shown], DISPLAY)
    assert lost.reason.tolist() == [LeftOut.INVALID, 0]
    assert np.isnan(lost.screen.xy[0]).all()


def test_the_slide_ends_at_its_size(make_gaze: Make) -> None:
    # One image pixel a screen pixel, the slide's corner at the screen's.
    state = ViewerState(
        0, "1", replace(SLIDE, width_px=1000, height_px=400),
        ((0, 0), (1000, 0), (0, 500)), 1.0, bounds_screen_px=Rect(0, 0, 1000, 500),
    )  # fmt: skip
    gaze = make_gaze([0] * 3, [[0.0, 0.0], [0.999, 0.75], [0.5, 0.8125]])
    assert map_samples(gaze, [state], DISPLAY).reason.tolist() == [0, 0, LeftOut.OFF_IMAGE]


def test_overlapping_viewers_the_uncovered_and_the_focused_win(make_gaze: Make) -> None:
    window = Cover("window", Rect(0, 0, 500, 500))
    back = viewer_at(SCREEN, name="back", covers=(window,))
    front = viewer_at(Rect(0, 0, 500, 500), name="front", centre=(9000.0, 9000.0))
    gaze = make_gaze([1], [[0.25, 0.5]])
    for states in ([back, front], [front, back]):
        mapped = map_samples(gaze, states, DISPLAY)
        assert states[mapped.state[0]].viewer == "front"
    bare = replace(back, covers=(), focused=False)
    for states in ([bare, front], [front, bare]):
        assert states[map_samples(gaze, states, DISPLAY).state[0]].viewer == "front"


def test_one_eye_alone_is_mapped(make_gaze: Make) -> None:
    gaze = make_gaze([0], [[0.5, 0.5]])
    gaze.records["right_gaze_valid"] = 0
    gaze.records["right_x_adcs"] = -1
    mapped = map_samples(gaze, [viewer_at(SCREEN)], DISPLAY)
    assert mapped.screen.xy.tolist() == [[500, 250]]


def test_time_backwards_is_refused(make_gaze: Make) -> None:
    with pytest.raises(SessionError, match=r"backwards at sample 2: 5 us after 20 us"):
        map_samples(make_gaze([0, 20, 5], [[0.5, 0.5]] * 3), [viewer_at(SCREEN)], DISPLAY)
    states = [viewer_at(SCREEN, t_us=9), viewer_at(SCREEN, t_us=8)]
    with pytest.raises(SessionError, match="backwards at state 1"):
        map_samples(make_gaze([10], [[0.5, 0.5]]), states, DISPLAY)
    with pytest.raises(UsageError, match="keyframe"):
        map_samples(make_gaze([10], [[0.5, 0.5]]), [], DISPLAY, keyframe_us=0)
    broken = replace(viewer_at(SCREEN), corners_image_px=((0.0, 0.0), (1.0, 0.0)))
    with pytest.raises(SessionError, match="three corners"):
        map_samples(make_gaze([10], [[0.5, 0.5]]), [broken], DISPLAY)


def test_nothing_in_nothing_out(make_gaze: Make) -> None:
    nothing = make_gaze([], [])
    for states in ([], [viewer_at(SCREEN, covers=(Cover("overview", Rect(0, 0, 9, 9)),))]):
        mapped = map_samples(nothing, states, DISPLAY)
        assert len(mapped) == 0
        assert isinstance(mapped.image, Points)
        assert sum(mapped.counts().values()) == 0


@given(st.integers(-(10**12), 10**12))
def test_only_differences_of_time_matter(shift_us: int) -> None:
    rng = np.random.default_rng(3)
    records = empty_records(50)
    records["t_us"] = np.sort(rng.integers(0, 1000, 50))
    for eye in ("left", "right"):
        records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = rng.uniform(-0.1, 1.1, (2, 50))
        records[f"{eye}_gaze_valid"] = rng.random(50) < 0.9
    states = [
        viewer_at(SCREEN, t_us=int(t), centre=tuple(rng.uniform(0, 60_000, 2)))
        for t in np.sort(rng.integers(0, 1000, 20))
    ]
    before = map_samples(GazeSamples(records), states, DISPLAY, keyframe_us=30)
    later = records.copy()
    later["t_us"] += shift_us
    moved = [replace(state, t_us=state.t_us + shift_us) for state in states]
    after = map_samples(GazeSamples(later), moved, DISPLAY, keyframe_us=30)
    assert np.array_equal(before.image.xy, after.image.xy, equal_nan=True)
    assert before.reason.tolist() == after.reason.tolist()
