"""Validation without a window: what is measured, and what happens when the reader looks away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpgaze.errors import SessionError, UsageError
from qpgaze.recording.protocol import Batch
from qpgaze.recording.validation import (
    VALIDATION_MARGIN,
    Phase,
    SimulatedEyes,
    ValidationRun,
    ValidationTiming,
    shuffled,
    target_layout,
)
from qpgaze.recording.validation.sources import open_for_targets, upright
from qpgaze.samples import empty_records
from qpgaze.simulate import default_display
from qpgaze.viewing import Display, Rect

FIVE = target_layout(5, VALIDATION_MARGIN)
NINE = target_layout(9, VALIDATION_MARGIN)
STEP_US = 50_000


def drive(
    run: ValidationRun, eyes: SimulatedEyes, *, look: Any = None, longest_us: int = 60_000_000
) -> None:
    """Let time pass, in steps of a batch, until the run has ended."""
    now_us = 0
    while run.phase in (Phase.READY, Phase.SETTLING, Phase.COLLECTING) and now_us < longest_us:
        now_us += STEP_US
        if run.target is not None:
            eyes.look_at(look(run) if look else run.target)
        run.feed(eyes.until(now_us), now_us)
        run.tick(now_us)
        if run.phase is Phase.READY and now_us > 500_000:
            run.begin(now_us)


@settings(max_examples=12)
@given(
    offset=st.tuples(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2)),
    sd_deg=st.floats(0.0, 0.1),
    rate_hz=st.sampled_from([60.0, 120.0, 600.0]),
    seed=st.integers(0, 10**6),
    points=st.sampled_from([FIVE, NINE]),
)
def test_eyes_of_known_error_are_measured(
    offset: tuple[float, float],
    sd_deg: float,
    rate_hz: float,
    seed: int,
    points: tuple[tuple[float, float], ...],
) -> None:
    eyes = SimulatedEyes(rate_hz=rate_hz, offset_deg=offset, sd_deg=sd_deg, loss=0.0, seed=seed)
    run = ValidationRun(points, eyes.display, seed=seed)
    drive(run, eyes)
    result = run.result()
    assert result.missed == ()
    for eye in ("left", "right", "mean"):
        found = result.quality.over(eye)
        assert found.accuracy_deg == pytest.approx(math.hypot(*offset), abs=0.05)
        assert found.offset_right_deg == pytest.approx(offset[0], abs=0.06)
        assert found.offset_down_deg == pytest.approx(-offset[1], abs=0.06)
    assert result.mean.precision_sd_deg == pytest.approx(sd_deg / math.sqrt(2), rel=0.15, abs=1e-4)
    assert result.mean.effective_hz == pytest.approx(rate_hz, rel=1e-3)
    # At least thirty samples, and at least half a second.
    least = max(30, int(rate_hz * 0.5))
    assert all(t.mean.valid >= least for t in result.quality.targets)


def test_targets_come_in_a_random_order_that_the_seed_fixes() -> None:
    shown: list[Any] = []

    def look(run: ValidationRun) -> Any:
        if run.target not in shown:
            shown.append(run.target)
        return run.target

    eyes = SimulatedEyes()
    run = ValidationRun(NINE, eyes.display, seed=7)
    drive(run, eyes, look=look)
    assert tuple(shown) == shuffled(NINE, 7) != NINE
    assert shuffled(NINE, 8) != shuffled(NINE, 7) == shuffled(NINE, 7)
    # The result names them in the order of the layout all the same.
    places = [(t.x_adcs, t.y_adcs) for t in run.result().quality.targets]
    assert tuple(places) == NINE


def test_samples_on_the_way_to_a_target_do_not_count() -> None:
    eyes = SimulatedEyes(offset_deg=(0.0, 0.0), sd_deg=0.0)
    run = ValidationRun(FIVE, eyes.display)
    drive(run, eyes)
    assert run.result().mean.accuracy_deg < 0.01
    assert run.result().mean.precision_sd_deg < 0.01


def test_a_target_that_was_not_looked_at_is_shown_again() -> None:
    late: dict[Any, int] = {}

    def look(run: ValidationRun) -> Any:
        # The first time the reader looks at the middle instead.
        number = run.place[0]
        late.setdefault(run.target, number)
        return (
            (0.5, 0.5) if run.target == (0.15, 0.15) and late[run.target] == number else run.target
        )

    eyes = SimulatedEyes(offset_deg=(0.3, 0.0), sd_deg=0.05)
    run = ValidationRun(FIVE, eyes.display)
    drive(run, eyes, look=look)
    assert run.place[0] == 6
    assert run.result().missed == ()
    assert run.result().mean.accuracy_deg == pytest.approx(0.3, abs=0.05)


def test_a_target_never_looked_at_is_named_and_never_good() -> None:
    def look(run: ValidationRun) -> Any:
        return (0.5, 0.5) if run.target == (0.15, 0.15) else run.target

    eyes = SimulatedEyes(sd_deg=0.05)
    run = ValidationRun(FIVE, eyes.display)
    drive(run, eyes, look=look)
    result = run.result()
    assert result.missed == ((0.15, 0.15),)
    assert result.verdict == "poor"
    assert "1 of 5 points was not looked at steadily. Check again." in result.lines()
    assert result.to_json()["missed"] == [[0.15, 0.15]]


def test_one_eye_will_do_once_the_time_is_over() -> None:
    eyes = SimulatedEyes(sd_deg=0.05)
    whole = eyes.until

    def one_eyed(end_us: int) -> Batch:
        batch = whole(end_us)
        batch.gaze["right_gaze_valid"] = 0
        return batch

    eyes.until = one_eyed  # type: ignore[method-assign]
    run = ValidationRun(FIVE, eyes.display)
    drive(run, eyes)
    result = run.result()
    assert result.missed == ()
    assert result.mean.accuracy_deg == pytest.approx(math.hypot(0.35, 0.25), abs=0.05)
    assert result.quality.over("right").loss == 1.0
    assert run.eyes_seen == (True, False)
    assert "right eye: not seen" in result.lines()


def test_no_eye_at_all_is_a_failure_with_advice() -> None:
    eyes = SimulatedEyes(loss=1.0)
    run = ValidationRun(FIVE, eyes.display)
    drive(run, eyes)
    assert run.phase is Phase.FAILED
    assert "saw no eye on any point" in run.closing_lines()[0]
    with pytest.raises(SessionError, match="calibrate first"):
        run.result()


def test_a_silent_tracker_is_noticed_by_the_hosts_clock() -> None:
    eyes = SimulatedEyes()
    run = ValidationRun(FIVE, eyes.display)
    run.begin(0)
    run.feed(eyes.until(100_000), 100_000)
    run.tick(3_000_000)
    assert run.phase is Phase.SETTLING
    run.feed(Batch(100_000, empty_records(0)), 3_050_000)
    run.tick(3_200_000)
    assert run.phase is Phase.FAILED
    assert run.closing_lines() == (
        "The eye tracker has sent nothing for 3 seconds. Check its cable and light, "
        "then start again.",
    )
    run.cancel()
    assert run.phase is Phase.FAILED


def test_cancelling_measures_nothing() -> None:
    run = ValidationRun(FIVE, default_display())
    run.begin(0)
    run.cancel()
    assert run.target is None
    assert run.closing_lines() == ("Cancelled. Nothing was stored.",)
    with pytest.raises(SessionError, match="not all shown; nothing was measured"):
        run.result()


def test_stamps_out_of_order_and_late_batches_are_taken() -> None:
    eyes = SimulatedEyes(sd_deg=0.05)
    whole = eyes.until

    def muddled(end_us: int) -> Batch:
        batch = whole(end_us)
        return Batch(batch.end_us, batch.gaze[::-1].copy())

    eyes.until = muddled  # type: ignore[method-assign]
    run = ValidationRun(FIVE, eyes.display)
    drive(run, eyes)
    assert run.result().mean.loss < 0.05


def test_one_batch_may_hold_more_than_a_target_takes() -> None:
    eyes = SimulatedEyes(offset_deg=(0.2, 0.0), sd_deg=0.02)
    run = ValidationRun([(0.5, 0.5)], eyes.display)
    run.begin(0)
    run.feed(eyes.until(30_000_000), 0)
    assert run.phase is Phase.DONE
    assert run.result().mean.valid <= 121


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ValidationRun([], default_display()), "at least one target"),
        (lambda: ValidationTiming(limit_us=1), "limit_us >= least_us"),
        (lambda: target_layout(7, 0.1), "Expected 5 or 9 points, but 7 came"),
        (lambda: target_layout(5, 0.5), "margin"),
        (lambda: open_for_targets("nonsense", default_display()), "no source 'nonsense'"),
        (lambda: open_for_targets("mouse", default_display()), "nothing to measure"),
        (lambda: open_for_targets("simulated:x", default_display()), "seed 'x' is no number"),
    ],
)
def test_wrong_use_is_named(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        make()


def test_sentences_say_what_it_means_on_this_screen() -> None:
    for offset, word in ((0.3, "Good: 0.3"), (0.8, "Usable: 0.8"), (1.4, "Poor: 1.4")):
        eyes = SimulatedEyes(offset_deg=(offset, 0.0), sd_deg=0.05)
        run = ValidationRun(FIVE, eyes.display)
        drive(run, eyes)
        first = run.closing_lines()[0]
        pixels = round(run.result().mean.accuracy_deg * eyes.display.screen_px_per_degree())
        assert first == f"{word} degrees. On this screen that is {pixels} pixels."
        assert any("Calibrate again" in line for line in run.closing_lines()) == (offset > 0.6)


def test_much_loss_is_not_good_and_says_so() -> None:
    eyes = SimulatedEyes(offset_deg=(0.2, 0.0), sd_deg=0.05, loss=0.4)
    run = ValidationRun(FIVE, eyes.display)
    drive(run, eyes)
    assert run.result().verdict == "usable"
    assert "of the gaze was lost. Clean glasses" in run.closing_lines()[1]


def test_the_event_is_what_a_session_reads() -> None:
    eyes = SimulatedEyes(seed=3)
    run = ValidationRun(NINE, eyes.display, seed=5, tracker="T")
    drive(run, eyes)
    event = run.result().event(1234)
    assert (event.t_us, event.kind) == (1234, "validation")
    mean = run.result().mean
    assert event.data["accuracy_deg"] == mean.accuracy_deg
    assert event.data["precision_sd_deg"] == mean.precision_sd_deg
    assert event.data["precision_rms_deg"] == mean.precision_rms_deg
    assert event.data["loss"] == mean.loss
    assert set(event.data["eyes"]) == {"left", "right", "mean"}
    assert len(event.data["targets"]) == event.data["points"] == 9
    assert event.data["tracker"] == "T"


def test_simulated_eyes_turn_like_eyes_and_stand_before_any_display() -> None:
    plain = Display(Rect(0, 0, 2560, 1440), 600.0, 340.0)
    source, look_at = open_for_targets("simulated", plain)
    assert isinstance(source, SimulatedEyes)
    assert look_at is not None
    assert source.start().display.corners_ucs_mm == upright(plain).corners_ucs_mm
    assert upright(upright(plain)) == upright(plain)
    source.until(100_000)
    look_at((0.9, 0.9))
    before, after = source.until(350_000).gaze, source.until(500_000).gaze
    assert np.nanmax(before["left_x_adcs"]) < 0.6
    assert np.nanmin(after["left_x_adcs"]) > 0.8
