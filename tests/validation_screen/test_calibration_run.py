"""Calibration without a window: the tracker's own calibration, played by a stand-in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from qpgaze.cli.app import run as run_cli
from qpgaze.errors import SessionError, SourceError, UsageError
from qpgaze.recording.validation import (
    CALIBRATION_MARGIN,
    CalibrationOutcome,
    CalibrationRun,
    Phase,
    target_layout,
)
from qpgaze.recording.validation.calibration import require_success
from qpgaze.recording.validation.calibrators import SimulatedCalibrator, open_calibrator
from qpgaze.recording.validation.sources import open_for_targets
from qpgaze.viewing import Display, Rect

FIVE = target_layout(5, CALIBRATION_MARGIN)


class Tracker:
    """Writes down what it is asked; sees no eyes on the points that it is told not to."""

    name = "Stand-in"

    def __init__(self, blind: dict[Any, int] | None = None, **fails: Exception) -> None:
        self.asked: list[Any] = []
        self.blind = dict(blind or {})
        self.fails = fails
        self.outcome = CalibrationOutcome(True)

    def _note(self, what: str, *arguments: float) -> None:
        self.asked.append((what, *arguments))
        if what in self.fails:
            raise self.fails[what]

    def enter(self) -> None:
        self._note("enter")

    def collect(self, x: float, y: float) -> bool:
        self._note("collect", x, y)
        self.blind[(x, y)] = self.blind.get((x, y), 0) - 1
        return self.blind[(x, y)] < 0

    def compute(self) -> CalibrationOutcome:
        self._note("compute")
        return self.outcome

    def leave(self) -> None:
        self._note("leave")


def at_once(call: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(call())
    except Exception as error:
        future.set_exception(error)
    return future


def drive(run: CalibrationRun, longest_us: int = 60_000_000) -> None:
    now_us = 0
    run.begin(now_us)
    while run.phase in (Phase.SETTLING, Phase.COLLECTING, Phase.WORKING) and now_us < longest_us:
        now_us += 16_000
        run.tick(now_us)


def test_each_point_is_collected_once_and_the_mode_is_left() -> None:
    tracker = Tracker()
    run = CalibrationRun(FIVE, tracker, submit=at_once, seed=3)
    drive(run)
    asked = [what[0] for what in tracker.asked]
    assert asked == ["enter", *["collect"] * 5, "compute", "leave"]
    assert {what[1:] for what in tracker.asked if what[0] == "collect"} == set(FIVE)
    assert require_success(run).success
    assert run.closing_lines() == (
        "Stand-in is calibrated.",
        "Now measure its accuracy.",
    )
    run.wait_until_left()


def test_the_eye_gets_its_time_before_each_point() -> None:
    tracker = Tracker()
    run = CalibrationRun(FIVE, tracker, submit=at_once, settle_us=800_000)
    run.begin(0)
    run.tick(700_000)
    assert run.phase is Phase.SETTLING
    assert run.share == pytest.approx(0.875)
    assert [what[0] for what in tracker.asked] == ["enter"]
    run.tick(800_000)
    assert run.phase is Phase.COLLECTING
    assert run.target == tracker.asked[-1][1:]


def test_a_point_not_seen_is_shown_again_then_left_out() -> None:
    tracker = Tracker({(0.1, 0.1): 1, (0.9, 0.9): 9})
    run = CalibrationRun(FIVE, tracker, submit=at_once)
    drive(run)
    assert run.uncollected == [(0.9, 0.9)]
    assert sum(what[0] == "collect" for what in tracker.asked) == 7
    assert "1 point was not seen and left out." in run.closing_lines()
    assert run.phase is Phase.DONE


def test_no_point_seen_computes_nothing() -> None:
    tracker = Tracker(dict.fromkeys(FIVE, 9))
    run = CalibrationRun(FIVE, tracker, submit=at_once)
    drive(run)
    assert ("compute",) not in tracker.asked
    assert tracker.asked[-1] == ("leave",)
    with pytest.raises(SessionError, match=r"saw no eye on any point.*keeps the calibration"):
        require_success(run)


@pytest.mark.parametrize("where", ["enter", "collect", "compute"])
@pytest.mark.parametrize("error", [SessionError("Tobii: gone."), ValueError("gone"), OSError()])
def test_whatever_fails_the_mode_is_left(where: str, error: Exception) -> None:
    tracker = Tracker(None, **{where: error})
    run = CalibrationRun(FIVE, tracker, submit=at_once)
    drive(run)
    assert run.phase is Phase.FAILED
    assert tracker.asked[-1] == ("leave",)
    assert ("gone" if str(error) else "OSError") in run.closing_lines()[0]
    run.wait_until_left()


def test_a_refused_calibration_says_why() -> None:
    tracker = Tracker()
    tracker.outcome = CalibrationOutcome(False, "too little data")
    run = CalibrationRun(FIVE, tracker, submit=at_once)
    drive(run)
    with pytest.raises(SessionError, match="could not compute a calibration: too little data"):
        require_success(run)


def test_cancelling_leaves_the_mode_only_where_it_was_entered() -> None:
    tracker = Tracker()
    run = CalibrationRun(FIVE, tracker, submit=at_once)
    run.cancel()
    run.wait_until_left()
    assert tracker.asked == []
    run = CalibrationRun(FIVE, tracker, submit=at_once)
    run.begin(0)
    run.cancel()
    run.cancel()
    run.tick(10**9)
    assert tracker.asked == [("enter",), ("leave",)]
    assert run.closing_lines() == ("Cancelled. The tracker keeps the calibration it had.",)


def test_a_tracker_that_will_not_leave_is_named() -> None:
    run = CalibrationRun(FIVE, Tracker(leave=OSError("no answer")), submit=at_once)
    run.begin(0)
    run.cancel()
    with pytest.raises(SessionError, match="did not leave calibration mode: no answer"):
        run.wait_until_left()


def test_the_picture_does_not_wait_for_the_tracker() -> None:
    pending: list[Future[Any]] = []

    def later(call: Callable[[], Any]) -> Future[Any]:
        pending.append(Future())
        return pending[-1]

    run = CalibrationRun(FIVE, Tracker(), submit=later)
    run.begin(0)
    run.tick(5_000_000)
    assert (run.phase, run.target) == (Phase.WORKING, None)
    pending[-1].set_result(None)
    run.tick(5_016_000)
    assert run.phase is Phase.SETTLING
    run.tick(6_000_000)
    run.tick(9_000_000)
    assert run.phase is Phase.COLLECTING
    assert len(pending) == 2


def test_which_trackers_can_be_calibrated_from_here() -> None:
    simulated = open_calibrator("simulated")
    assert isinstance(simulated, SimulatedCalibrator)
    simulated.close()
    for spec, words in (
        ("gazepoint", "Gazepoint Control"),
        ("lsl", "in the program that sends it"),
        ("mouse", "needs no calibration"),
        ("replay:a.qpgaze", "cannot be calibrated any more"),
        ("sundial", "expected tobii or simulated"),
    ):
        with pytest.raises(UsageError, match=words):
            open_calibrator(spec)
    with pytest.raises(UsageError, match="at least one target"):
        CalibrationRun([], Tracker(), submit=at_once)


def test_a_python_that_cannot_be_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(tmp_path / "python")
    assert run_cli(["calibrate", "--python", nowhere]) == 2
    assert f"The Python '{nowhere}' cannot be started" in capsys.readouterr().err
    display = Display(Rect(0, 0, 1920, 1080), 528.0, 297.0)
    source, _ = open_for_targets("tobii", display, python=nowhere)
    with pytest.raises(SourceError, match="cannot be started"):
        source.start()


def test_the_simulated_tracker_calibrates() -> None:
    run = CalibrationRun(FIVE, SimulatedCalibrator(collect_s=0.0), submit=at_once)
    drive(run)
    assert require_success(run).detail == "simulated"
