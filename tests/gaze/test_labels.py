from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.errors import SessionError, UsageError
from qpgaze.gaze import (
    Labelling,
    LabelParameters,
    count_label_numbers,
    make_fixation_labels,
    make_labels,
    map_samples,
)
from qpgaze.gaze.keypresses import read_presses
from qpgaze.keys import FIXATION_CLASS, LabelEvent
from qpgaze.model import Event, Fixation
from qpgaze.samples import GazeSamples, empty_records
from qpgaze.viewing import Display, ImageIdentity, Rect, ViewerState

SESSION = UUID(int=7)
SLIDE = ImageIdentity("slide", 10_000, 10_000, "1")
OTHER = ImageIdentity("other", 10_000, 10_000, "2")
DEGREE_PX = 80.0  # image px per degree of these fixations
MS = 1000


def fix(start_ms: int, end_ms: int, x: float = 500.0, **more: object) -> Fixation:
    plain = Fixation(start_ms * MS, end_ms * MS, x, 500.0, 10.0, 0.5 * DEGREE_PX, 2.0, 20, SLIDE)
    return replace(plain, **more)  # type: ignore[arg-type]


def key(t_ms: int, event: str, name: str | None = "Pearl", down: object = None) -> Event:
    data: dict[str, object] = {"event": event}
    if name is not None:
        data["class"] = name
    if down is not None:
        data["down"] = down
    return Event(t_ms * MS, "label", data)


def label(
    fixations: list[Fixation], events: list[Event], *, end_ms: int = 10_000, **parameters: float
) -> Labelling:
    """Ten seconds of gaze at 100 Hz on the slide, image 1 px a screen px x 10."""
    n = end_ms // 10 + 1
    records = empty_records(n)
    records["t_us"] = np.arange(n) * 10 * MS
    for eye in ("left", "right"):
        records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = np.linspace(0, 0.99, n), 0.5
        records[f"{eye}_gaze_valid"] = 1
    screen = Rect(0, 0, 1000, 1000)
    corners = ((0.0, 0.0), (10_000.0, 0.0), (0.0, 10_000.0))
    state = ViewerState(0, "1", SLIDE, corners, 10.0, bounds_screen_px=screen)
    states = [state, replace(state, t_us=9000 * MS, image=OTHER)]
    mapped = map_samples(GazeSamples(records), states, Display(screen, 300, 300))
    return make_labels(
        SESSION, mapped, states, fixations, events,
        parameters=LabelParameters(**parameters) if parameters else None,
        accuracy_deg=0.5, precision_deg=0.3, reader="R1", tracker="T",
    )  # fmt: skip


# -- hold and toggle ----------------------------------------------------------------------------


def test_hold_takes_what_lies_half_inside_after_the_lag() -> None:
    fixations = [fix(0, 900), fix(1000, 1400), fix(1500, 1900), fix(2000, 2400), fix(2500, 2900)]
    # Lag 300: the stretch is 1200 .. 2200 ms, which cuts two fixations in halves.
    result = label(fixations, [key(1500, "hold", down=True), key(2500, "hold", down=False)])
    (one,) = result.labels
    assert one.fixations == tuple(fixations[1:4])
    assert (one.start_us, one.end_us) == (1200 * MS, 2200 * MS)
    assert (one.number, one.event, one.class_name) == (1, LabelEvent.HOLD, "Pearl")
    assert one.sample_t_us.tolist() == list(range(1200 * MS, 2200 * MS + 1, 10 * MS))
    assert len(one.samples) == len(one.sample_downsample) == 101
    assert (one.sample_downsample == 10).all()
    assert one.dwell_ms == 1200
    assert (one.reader, one.tracker, one.accuracy_deg) == ("R1", "T", 0.5)
    assert result.notes == ()
    shifted = label(
        fixations, [key(1500, "hold", down=True), key(2500, "hold", down=False)], key_lag_ms=301
    )
    assert shifted.labels[0].fixations == tuple(fixations[1:3])


def test_a_hold_never_released_ends_with_the_session() -> None:
    result = label([fix(9100, 9900, image=OTHER)], [key(9000, "hold", down=True)])
    assert result.labels[0].end_us == 10_000 * MS
    assert result.labels[0].image == OTHER
    assert "never released" in result.notes[0]
    assert "at 9.0 s" in result.notes[0]


def test_repeats_of_a_key_kept_down_count_once() -> None:
    events = [key(t, "hold", down=True) for t in (1000, 1030, 1060)]
    result = label([fix(800, 1200)], [*events, key(1600, "hold", down=False)])
    assert [one.number for one in result.labels] == [1]
    assert result.labels[0].start_us == 700 * MS


def test_toggle_runs_from_one_press_to_the_next() -> None:
    fixations = [fix(1000, 1400), fix(2000, 2400), fix(3000, 3400), fix(4000, 4400)]
    bare = [key(t, "toggle") for t in (1200, 2800, 3200, 3800)]
    spoken = [
        key(1200, "toggle", down=True), key(2800, "toggle", down=False),
        key(3200, "toggle", down=True), key(3800, "toggle", down=False),
    ]  # fmt: skip
    for events in (bare, spoken):
        result = label(fixations, events)
        assert [one.fixations for one in result.labels] == [
            tuple(fixations[:2]), (fixations[2],)
        ]  # fmt: skip
        assert [one.number for one in result.labels] == [1, 2]
    assert "never ended" in label(fixations, bare[:3]).notes[0]


def test_classes_held_at_once_are_apart() -> None:
    events = [
        key(1300, "hold", "A", True), key(1500, "hold", "B", True),
        key(2000, "hold", "A", False), key(3000, "hold", "B", False),
    ]  # fmt: skip
    result = label([fix(1000, 1600), fix(2000, 2600)], events)
    assert [(one.class_name, len(one.fixations)) for one in result.labels] == [("A", 1), ("B", 2)]


# -- mark ---------------------------------------------------------------------------------------


def marked(fixations: list[Fixation], t_ms: int, **parameters: float) -> tuple[Fixation, ...]:
    labels = label(fixations, [key(t_ms, "mark")], **parameters).labels
    return labels[0].fixations if labels else ()


def test_mark_reaches_back_over_the_dwell() -> None:
    far, near = fix(0, 400, x=500 + 8 * DEGREE_PX), fix(500, 900, x=500 + 2 * DEGREE_PX)
    now, later = fix(1000, 1500), fix(1600, 2000)
    assert marked([far, near, now, later], 1700) == (near, now)
    (one,) = label([near, now], [key(1700, "mark")]).labels
    assert (one.start_us, one.end_us) == (500 * MS, 1500 * MS)
    # A little after it has ended, and not at all when it is long ago.
    assert marked([near, now], 2800) == (near, now)
    assert marked([near, now], 2801) == ()
    assert marked([now], 1200) == ()
    assert marked([now], 1300) == (now,)


def test_mark_stops_at_pauses_planes_zoom_and_distance() -> None:
    now = fix(1000, 1500)
    for change in ({"z": 1}, {"t": 1}, {"image": OTHER}, {"downsample": 8.0}, {"downsample": 0.5}):
        assert marked([fix(500, 900, **change), now], 1700) == (now,)  # type: ignore[arg-type]
    assert marked([fix(100, 499), now], 1700) == (now,)
    assert len(marked([fix(100, 500), now], 1700)) == 2
    assert len(marked([fix(500, 900, downsample=2.9), now], 1700)) == 2
    away = fix(500, 900, x=500 + 6.1 * DEGREE_PX)
    assert marked([away, now], 1700) == (now,)
    assert len(marked([away, now], 1700, dwell_radius_deg=6.2)) == 2
    # What lies beyond a place left out is not reached any more.
    assert marked([fix(0, 450), away, now], 1700) == (now,)


def test_the_dwell_radius_scales_with_the_zoom() -> None:
    place = 500 + 8 * DEGREE_PX
    zoomed_out = {"downsample": 4.0, "accuracy_image_px": DEGREE_PX}
    assert len(marked([fix(500, 900, x=place), fix(1000, 1500)], 1700)) == 1
    pair = [fix(500, 900, x=place, **zoomed_out), fix(1000, 1500, **zoomed_out)]  # type: ignore[arg-type]
    assert len(marked(pair, 1700)) == 2


def test_a_mark_does_not_take_what_an_earlier_label_took() -> None:
    first, second = fix(1000, 1500), fix(1600, 2000)
    result = label([first, second], [key(1700, "mark"), key(2200, "mark")])
    assert [one.fixations for one in result.labels] == [(first,), (second,)]
    undone = label([first, second], [key(1700, "mark"), key(1800, "undo"), key(2200, "mark")])
    assert [(one.number, one.fixations) for one in undone.labels] == [(2, (first, second))]
    # Two classes for one place are two labels of it.
    twice = label([first], [key(1700, "mark", "A"), key(1750, "mark", "B")])
    assert [one.fixations for one in twice.labels] == [(first,), (first,)]


# -- undo, numbers, notes -----------------------------------------------------------------------


def test_undo_takes_back_the_last_and_leaves_a_hole() -> None:
    fixations = [fix(t, t + 400, x=float(t)) for t in range(1000, 6000, 1000)]
    marks = [key(t + 600, "mark") for t in range(1000, 6000, 1000)]
    undo = [key(3700, "undo"), key(3750, "undo"), key(9000, "undo"), key(9001, "undo")]
    result = label(fixations, sorted([*marks, *undo], key=lambda e: e.t_us))
    assert [one.number for one in result.labels] == [1]
    every = label(fixations, marks).labels
    assert result.labels[0].object_id() == every[0].object_id()
    assert count_label_numbers([*marks, *undo]) == 5
    many = label([], [key(1, "undo")])
    assert "no label to take back" in many.notes[0]


def test_undo_during_a_hold_cancels_it() -> None:
    events = [
        key(1300, "hold", down=True), key(1500, "undo", None), key(1510, "hold", down=True),
        key(2000, "hold", down=False), key(2500, "mark"),
    ]  # fmt: skip
    # The key was let go without our seeing it, then pressed anew.
    result = label([fix(1000, 2000)], events)
    assert [one.number for one in result.labels] == [2, 3]
    held = label([fix(1000, 2000)], [events[0], events[1], events[3]])
    assert held == Labelling((), ())


def test_a_label_without_gaze_is_noted_and_keeps_its_number() -> None:
    events = [
        key(5000, "hold", down=True), key(5500, "hold", down=False),
        key(7000, "mark"), key(8000, "toggle", "Nerve"), key(8500, "toggle", "Nerve"),
        key(1500, "mark"),
    ]  # fmt: skip
    result = label([fix(1000, 1400)], events)
    assert [one.number for one in result.labels] == [1]
    assert result.notes == (
        "Label 2 (Pearl, at 5.0 s): no gaze on the slide while the key was down.",
        "Label 3 (Pearl, at 7.0 s): no gaze on the slide within 1 s before the key.",
        "Label 4 (Nerve, at 8.0 s): no gaze on the slide between the two presses.",
    )


def test_gaze_on_two_images_keeps_the_one_with_more_dwell() -> None:
    fixations = [fix(8000, 8300), fix(8400, 8700), fix(9100, 9500, image=OTHER)]
    result = label(fixations, [key(8200, "hold", down=True), key(9900, "hold", down=False)])
    (one,) = result.labels
    assert one.image == SLIDE
    assert one.fixations == tuple(fixations[:2])
    assert one.sample_t_us[-1] < 9000 * MS <= one.end_us
    assert result.notes == (
        "Label 1 (Pearl, at 8.2 s): gaze lay on several images or planes; kept slide [1] "
        "(600 ms), left out other [2] (400 ms).",
    )


def test_events_that_we_do_not_know_are_noted() -> None:
    odd = [key(1000, "dictate"), Event(1, "note", {"text": "hello"}), key(1200, "fixation")]
    result = label([fix(0, 900)], odd)
    assert len(result.notes) == 2
    assert "'dictate' at 1.0 s" in result.notes[0]
    lone = label([], [key(2000, "hold", down=False)])
    assert "has no beginning" in lone.notes[0]


@pytest.mark.parametrize(
    "event",
    [
        key(1, "mark", None), key(1, "mark", " "), key(1, "hold", None, True),
        key(1, "hold"), key(1, "toggle", down="yes"),
        Event(1, "label", {"event": "mark", "class": 3}),
    ],
)  # fmt: skip
def test_damaged_label_events_are_refused(event: Event) -> None:
    with pytest.raises(SessionError):
        label([], [event])


def test_wrong_use_is_refused() -> None:
    for bad in ({"key_lag_ms": -1.0}, {"dwell_zoom": 0.5}, {"dwell_radius_deg": float("nan")}):
        with pytest.raises(UsageError):
            LabelParameters(**bad)
    mapped = map_samples(GazeSamples(empty_records(0)), [], Display(Rect(0, 0, 9, 9), 9, 9))
    with pytest.raises(UsageError, match="positive"):
        make_labels(SESSION, mapped, [], [], [], accuracy_deg=0.0, precision_deg=0.1)
    with pytest.raises(UsageError, match="from 1"):
        make_fixation_labels(
            SESSION, mapped, [], [], accuracy_deg=0.5, precision_deg=0.1, first_number=0
        )


def test_nothing_in_nothing_out() -> None:
    assert label([], []) == Labelling((), ())
    mapped = map_samples(GazeSamples(empty_records(0)), [], Display(Rect(0, 0, 9, 9), 9, 9))
    none = make_fixation_labels(SESSION, mapped, [], [], accuracy_deg=0.5, precision_deg=0.1)
    assert none == ()
    hold = [key(5, "hold", down=True)]
    assert not make_labels(
        SESSION, mapped, [], [], hold, accuracy_deg=0.5, precision_deg=0.1
    ).labels


events_strategy = st.lists(
    st.tuples(
        st.sampled_from(["mark", "hold", "toggle", "undo"]),
        st.sampled_from("AB"),
        st.booleans(),
        st.integers(0, 9000),
    ),
    max_size=25,
)


@given(events_strategy)
def test_numbers_are_stable_whatever_was_undone(
    raw: list[tuple[str, str, bool, int]],
) -> None:
    events = [key(t, event, name, down) for event, name, down, t in raw]
    kept, _ = read_presses(events, end_us=10_000 * MS)
    every, _ = read_presses(events, end_us=10_000 * MS, keep_undone=True)
    assert set(kept) <= set(every)
    assert [press.number for press in every] == list(range(1, len(every) + 1))
    assert all(a.start_us <= b.start_us for a, b in pairwise(every))
    assert all(press.start_us <= press.end_us for press in every)
    undos = sum(event == "undo" for event, *_ in raw)
    assert len(every) - len(kept) <= undos
    # The order in which events of different times are listed does not matter.
    if len({t for *_, t in raw}) == len(raw):
        assert read_presses(events[::-1], end_us=10_000 * MS)[0] == kept


@given(events_strategy)
def test_labels_hold_together(raw: list[tuple[str, str, bool, int]]) -> None:
    fixations = [fix(t, t + 300, x=float(t % 900)) for t in range(0, 9000, 370)]
    events = [key(t, event, name, down) for event, name, down, t in raw]
    result = label(fixations, events)
    numbers = [one.number for one in result.labels]
    assert numbers == sorted(set(numbers))
    for one in result.labels:
        assert one.fixations
        assert list(one.fixations) == sorted(one.fixations, key=lambda f: f.start_us)
        assert len(one.samples) == len(one.sample_t_us) == len(one.sample_downsample)
        inside = (one.sample_t_us >= one.start_us) & (one.sample_t_us <= one.end_us)
        assert inside.all()


def test_every_fixation_is_a_label_where_there_are_no_keys(
    make_gaze: Callable[..., GazeSamples],
) -> None:
    screen = Rect(0, 0, 1000, 1000)
    corners = ((0.0, 0.0), (1000.0, 0.0), (0.0, 1000.0))
    state = ViewerState(0, "1", SLIDE, corners, 1.0, bounds_screen_px=screen)
    mapped = map_samples(
        make_gaze(np.arange(100) * 10 * MS, np.full((100, 2), 0.5)), [state], Display(screen, 9, 9)
    )
    fixations = [fix(0, 300), fix(400, 800)]
    labels = make_fixation_labels(
        SESSION, mapped, [state], fixations, accuracy_deg=0.5, precision_deg=0.3, first_number=5
    )
    assert [one.number for one in labels] == [5, 6]
    assert {one.class_name for one in labels} == {FIXATION_CLASS}
    assert {one.event for one in labels} == {LabelEvent.FIXATION}
    assert [len(one.samples) for one in labels] == [31, 41]
    assert [one.fixations for one in labels] == [(f,) for f in fixations]
