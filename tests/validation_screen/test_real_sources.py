"""Calibration and validation through real sources; stand-ins play in processes of their own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qpgaze.errors import SessionError
from qpgaze.recording.validation import (
    CALIBRATION_MARGIN,
    CalibrationRun,
    Phase,
    target_layout,
)
from qpgaze.recording.validation.calibration import require_success
from qpgaze.recording.validation.calibrators import open_calibrator
from qpgaze.recording.validation.feed import Feed
from qpgaze.recording.validation.protocol import ENDED
from qpgaze.recording.validation.sources import open_for_targets
from qpgaze.recording.validation.window import now_us
from qpgaze.simulate import default_display

STAND_INS = Path(__file__).resolve().parent.parent / "recording" / "stand_ins"


@pytest.fixture(autouse=True)
def tobii(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Tobii tracker that sees no eyes on the right edge."""
    monkeypatch.setenv("PYTHONPATH", str(STAND_INS))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("FAKE_TOBII", "tobii_research")


def test_a_tobii_tracker_is_calibrated() -> None:
    calibrator = open_calibrator("tobii")
    try:
        with ThreadPoolExecutor(1) as pool:
            targets = target_layout(5, CALIBRATION_MARGIN)
            run = CalibrationRun(targets, calibrator, submit=pool.submit, settle_us=1000)
            run.begin(now_us())
            until = now_us() + 30_000_000
            while run.phase not in ENDED and now_us() < until:
                run.tick(now_us())
            run.wait_until_left()
    finally:
        calibrator.close()
    assert require_success(run).success
    assert sorted(run.uncollected) == [(0.9, 0.1), (0.9, 0.9)]
    assert run.phase is Phase.DONE


def test_gaze_of_a_tobii_tracker_reaches_the_window() -> None:
    source, look_at = open_for_targets("tobii", default_display())
    assert look_at is None
    feed = Feed(source)
    header = feed.start()
    try:
        assert header.display.corners_ucs_mm is not None
        until, samples = now_us() + 20_000_000, 0
        while samples < 5 and now_us() < until:
            samples += sum(len(batch.gaze) for batch in feed.take())
        assert samples >= 5
    finally:
        feed.stop()
    assert feed.ended


def test_no_tracker_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TOBII_MODEL", "none")
    with pytest.raises(SessionError, match="No Tobii tracker was found"):
        open_calibrator("tobii")
