"""The two verbs, with the window's place taken by a loop before a canvas that draws nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from qpgaze.cli.app import run
from qpgaze.recording.protocol import Batch
from qpgaze.recording.validation import (
    CalibrationOutcome,
    Monitor,
    SimulatedEyes,
    calibrators,
    feed,
    load_settings,
    place_logically,
    screens,
    sitting,
    sources,
    window,
)
from qpgaze.session import SessionHeader, SessionWriter, open_session
from qpgaze.simulate import default_display
from qpgaze.viewing import Rect

MONITORS = place_logically([Monitor("DP-1", Rect(0, 0, 1920, 1080), 1.0, 527, 296, True)])


class Root:
    """Takes the place of tkinter's root."""

    def destroy(self) -> None:
        """Close nothing."""


class Nothing:
    """A canvas."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Follows(feed.Feed):
    """A feed without a thread: its samples follow the test's clock."""

    clock = 0

    def start(self) -> SessionHeader:
        return self._source.start()

    def take(self) -> tuple[Batch, ...]:
        assert isinstance(self._source, SimulatedEyes)
        return (self._source.until(Follows.clock),)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A screen that nobody sees; returns how the reader behaves."""
    reader: dict[str, Any] = {"keys": ["space"], "eyes": {}}
    monkeypatch.setenv("QPGAZE_SETTINGS", str(tmp_path / "settings"))
    monkeypatch.setattr(window, "open_toolkit", Root)
    monkeypatch.setattr(screens, "list_monitors", lambda scale=None: MONITORS)
    monkeypatch.setattr(sitting, "Feed", Follows)
    monkeypatch.setattr(Follows, "clock", 0)

    def show(self: window.StageWindow) -> None:
        self._clock = lambda: Follows.clock
        keys = list(reader["keys"])
        while self.step(Nothing(), self._box):
            Follows.clock += 50_000
            if keys:
                self._stage.key(keys.pop(0), Follows.clock)
            elif self._stage.run.phase.value in ("done", "failed", "cancelled"):
                self._stage.key("space", Follows.clock)

    monkeypatch.setattr(window.StageWindow, "show", show)

    def opened(spec: str, display: Any, *, channels: tuple[str, ...], python: str | None) -> Any:
        reader["channels"], reader["python"] = channels, python
        eyes = SimulatedEyes(sources.upright(display), **{"sd_deg": 0.05, **reader["eyes"]})
        return eyes, eyes.look_at

    monkeypatch.setattr(sources, "open_for_targets", opened)
    return reader


def test_validate_gaze_says_and_remembers(
    screen: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate-gaze", "--source", "gazepoint", "--points", "9"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Good: 0.4 degrees. On this screen that is 18 pixels.")
    assert len([line for line in shown.splitlines() if line.lstrip().startswith("0.")]) == 9
    assert max(map(len, shown.splitlines())) <= 80
    remembered = load_settings()
    assert remembered.monitor is not None
    assert remembered.monitor.name == "DP-1"
    assert remembered.validation is not None
    assert remembered.validation.data["accuracy_deg"] == pytest.approx(0.43, abs=0.02)


def test_channels_of_a_stream_and_another_python_can_be_named(screen: dict[str, Any]) -> None:
    line = ["validate-gaze", "--source", "lsl:eyes"]
    more = ["--channels", "left_x, left_y,right_x,right_y", "--python", "that"]
    assert run([*line, *more]) == 0
    assert screen["channels"] == ("left_x", "left_y", "right_x", "right_y")
    assert screen["python"] == "that"
    assert run(line) == 0
    assert (screen["channels"], screen["python"]) == ((), None)


def test_practice_is_not_taken_for_the_tracker(
    screen: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate-gaze", "--source", "simulated"]) == 0
    assert load_settings().monitor is not None
    assert load_settings().validation is None


def test_validate_gaze_as_json_and_into_a_session(
    screen: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "reader.qpgaze"
    identity = UUID("12345678-1234-5678-1234-567812345678")
    with SessionWriter.create(folder, SessionHeader(identity, "r", "t", default_display())):
        pass
    assert open_session(folder).accuracy()[2]
    line = ["validate-gaze", "--source", "simulated", "--session", str(folder), "--json"]
    assert run(line) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["qpgaze"], value["version"]) == ("validate-gaze", 1)
    assert value["session"] == "reader.qpgaze"
    assert value["monitor"] == "1: DP-1"
    assert len(value["targets"]) == 5
    accuracy, _, assumed = open_session(folder).accuracy()
    assert (accuracy, assumed) == (value["accuracy_deg"], False)


def test_a_poor_result_is_status_1(
    screen: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    screen["eyes"] = {"offset_deg": (1.5, 0.0)}
    assert run(["validate-gaze", "--source", "simulated"]) == 1
    assert "Poor: 1.5 degrees" in capsys.readouterr().out


def test_a_cancelled_validation_stores_nothing(
    screen: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    screen["keys"] = ["space", "Escape"]
    assert run(["validate-gaze", "--source", "simulated"]) == 2
    assert "not all shown; nothing was measured" in capsys.readouterr().err
    assert load_settings().validation is None


def test_a_session_still_recorded_is_refused_before_the_reader_sits_through_it(
    screen: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "reader.qpgaze"
    identity = UUID("12345678-1234-5678-1234-567812345678")
    SessionWriter.create(folder, SessionHeader(identity, "r", "t", default_display())).release()
    assert run(["validate-gaze", "--source", "simulated", "--session", str(folder)]) == 2
    assert "is not closed" in capsys.readouterr().err
    assert Follows.clock == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--monitor", "left"], "expected a number from 1, or 'ask'"),
        (["--monitor", "0"], "expected a number from 1"),
        (["--monitor", "3"], "There is no monitor 3. There are: 1: DP-1"),
        (["--points", "7"], "'7' is not one of '5', '9'"),
        (["--size-mm", "3", "2"], "does not fit 1920 x 1080 pixels"),
    ],
)
def test_wrong_options_are_named(
    screen: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    assert run(["validate-gaze", "--source", "simulated", *options]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_calibrate_with_the_simulated_tracker(
    screen: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quick = calibrators.SimulatedCalibrator(collect_s=0.0)
    monkeypatch.setattr(calibrators, "open_calibrator", lambda _, python: quick)
    assert run(["calibrate", "--source", "simulated"]) == 0
    assert capsys.readouterr().out.startswith("The simulated tracker is calibrated.")
    assert run(["calibrate", "--source", "simulated", "--points", "9", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value == {
        "qpgaze": "calibrate",
        "version": 1,
        "tracker": "The simulated tracker",
        "points": 9,
        "left_out": [],
        "detail": "simulated",
    }


def test_calibrate_says_why_not(
    screen: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["calibrate", "--source", "gazepoint"]) == 2
    assert "Gazepoint Control" in capsys.readouterr().err
    refuses = calibrators.SimulatedCalibrator(collect_s=0.0)
    monkeypatch.setattr(refuses, "compute", lambda: CalibrationOutcome(False, "too little data"))
    monkeypatch.setattr(calibrators, "open_calibrator", lambda _, python: refuses)
    assert run(["calibrate", "--source", "simulated"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "could not compute a calibration: too little data" in said
    assert "keeps the calibration it had" in said
