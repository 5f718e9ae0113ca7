"""Tobii's calibration in a process of its own, with stand-ins that bear the libraries' names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qpgaze.errors import SessionError
from qpgaze.recording.validation import CalibrationOutcome
from qpgaze.recording.validation.tobii import CHILD, TobiiCalibrator

RESEARCH = """
import os, json
CALIBRATION_STATUS_FAILURE = "calibration_status_failure"
CALIBRATION_STATUS_SUCCESS = "calibration_status_success"
CALIBRATION_STATUS_SUCCESS_LEFT_EYE = "calibration_status_success_left_eye"
CALIBRATION_STATUS_SUCCESS_RIGHT_EYE = "calibration_status_success_right_eye"
print("a library that prints")

def note(*what):
    with open(os.environ["STAND_IN_LOG"], "a", encoding="utf-8") as log:
        log.write(json.dumps(what) + "\\n")

class EyeTracker:
    model, device_name = "Stand-in Spectrum", "mine"
    def __init__(self, address="tet-tcp://here"):
        self.address = address

def find_all_eyetrackers():
    print("looking")
    return tuple(EyeTracker(f"tet-tcp://{n}") for n in range(int(os.environ.get("TRACKERS", 1))))

class Result:
    status = CALIBRATION_STATUS_SUCCESS

class ScreenBasedCalibration:
    def __init__(self, tracker):
        note("calibration", tracker.address)
    def enter_calibration_mode(self):
        note("enter")
    def collect_data(self, x, y):
        note("collect", x, y)
        if x > 0.95:
            os._exit(3)
        if x == 0.9 and y == 0.9:
            raise RuntimeError("EyeTrackerInternalError: no light.")
        return CALIBRATION_STATUS_FAILURE if x < 0.2 else CALIBRATION_STATUS_SUCCESS_LEFT_EYE
    def discard_data(self, x, y):
        note("discard", x, y)
    def compute_and_apply(self):
        note("compute")
        return Result
    def leave_calibration_mode(self):
        note("leave")
"""

TITTA = """
import enum, os, json

class calibration_status(enum.Enum):
    failure, success, success_left_eye, success_right_eye = range(4)

def note(*what):
    with open(os.environ["STAND_IN_LOG"], "a", encoding="utf-8") as log:
        log.write(json.dumps(what) + "\\n")

def find_all_eye_trackers():
    return [{"address": "tet-tcp://titta", "model": "Stand-in Nano"}]

class EyeTracker:
    model = "Stand-in Nano"
    def __init__(self, address):
        self.address, self.results, self.asked, self.inside = address, [], 0, False
    def queue(self, status=0, **more):
        self.results.append({"status": status, "status_string": "as asked", **more})
    def calibration_retrieve_result(self):
        self.asked += 1
        return self.results.pop(0) if self.results and self.asked % 3 == 0 else None
    def enter_calibration_mode(self, do_monocular):
        note("enter", do_monocular)
        self.inside = True
        self.queue()
        return True
    def leave_calibration_mode(self, force=None):
        note("leave", force)
        if not self.inside:
            raise RuntimeError("not in calibration mode")
        self.inside = False
        self.queue()
        return True
    def calibration_collect_data(self, coordinates, eye=None):
        note("collect", *coordinates)
        self.queue(status=7 if coordinates[0] < 0.2 else 0)
    def calibration_discard_data(self, coordinates, eye=None):
        note("discard", *coordinates)
        self.queue()
    def calibration_compute_and_apply(self):
        note("compute")
        self.queue(calibration_result={"status": calibration_status.success, "points": []})
"""

Log = Callable[[], list[list[object]]]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Log]:
    """Put a module of that name where the child finds it first; returns what it wrote down."""

    def make(name: str, text: str) -> Log:
        folder = tmp_path / "modules"
        folder.mkdir()
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        if name != "tobii_research":
            # On Python 3.10 the real one may be installed.
            missing = "raise ImportError('not here')\n"
            (folder / "tobii_research.py").write_text(missing, encoding="utf-8")
        log = tmp_path / "log.jsonl"
        log.touch()
        monkeypatch.setenv("PYTHONPATH", str(folder))
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        monkeypatch.setenv("STAND_IN_LOG", str(log))
        return lambda: [json.loads(line) for line in log.read_text("utf-8").splitlines()]

    return make


def test_tobiis_own_package(stand_in: Callable[[str, str], Log]) -> None:
    log = stand_in("tobii_research", RESEARCH)
    tracker = TobiiCalibrator()
    assert tracker.name == "Stand-in Spectrum"
    tracker.enter()
    assert tracker.collect(0.5, 0.5)
    assert not tracker.collect(0.1, 0.1)
    with pytest.raises(SessionError, match=r"^Tobii: EyeTrackerInternalError: no light\.$"):
        tracker.collect(0.9, 0.9)
    assert tracker.compute() == CalibrationOutcome(True, "calibration_status_success")
    tracker.leave()
    tracker.leave()
    tracker.close()
    tracker.close()
    # A mode that a crashed program left behind is left before the new one is entered.
    assert log() == [
        ["calibration", "tet-tcp://0"],
        ["leave"],
        ["enter"],
        ["collect", 0.5, 0.5],
        ["collect", 0.1, 0.1],
        ["discard", 0.1, 0.1],
        ["collect", 0.9, 0.9],
        ["compute"],
        ["leave"],
    ]


def test_titta(stand_in: Callable[[str, str], Log]) -> None:
    log = stand_in("TittaPy_v2", TITTA)
    tracker = TobiiCalibrator()
    assert tracker.name == "Stand-in Nano"
    tracker.enter()
    assert tracker.collect(0.5, 0.5)
    assert not tracker.collect(0.1, 0.9)
    assert tracker.compute() == CalibrationOutcome(True, "as asked")
    tracker.leave()
    tracker.close()
    assert log() == [
        ["leave", True],
        ["enter", False],
        ["collect", 0.5, 0.5],
        ["collect", 0.1, 0.9],
        ["discard", 0.1, 0.9],
        ["compute"],
        ["leave", False],
    ]


def test_the_mode_is_left_when_we_go_away(stand_in: Callable[[str, str], Log]) -> None:
    log = stand_in("tobii_research", RESEARCH)
    tracker = TobiiCalibrator("tet-tcp://chosen")
    tracker.enter()
    tracker.close()
    assert log()[0] == ["calibration", "tet-tcp://chosen"]
    assert log()[-2:] == [["enter"], ["leave"]]


def test_a_library_that_crashes_is_named(stand_in: Callable[[str, str], Log]) -> None:
    stand_in("tobii_research", RESEARCH)
    tracker = TobiiCalibrator()
    tracker.enter()
    for _ in range(2):
        with pytest.raises(SessionError, match="ended unexpectedly"):
            tracker.collect(0.99, 0.5)
    tracker.close()


def test_a_tracker_that_does_not_answer_is_given_up(
    stand_in: Callable[[str, str], Log],
) -> None:
    stand_in("tobii_research", RESEARCH + "\nimport time\nnote = lambda *_: time.sleep(60)\n")
    with pytest.raises(SessionError, match="did not answer within 2 s"):
        TobiiCalibrator("somewhere", answer_s=2.0)


@pytest.mark.parametrize(("trackers", "words"), [("0", "No Tobii eye tracker"), ("2", "Several")])
def test_none_or_several_trackers(
    trackers: str,
    words: str,
    stand_in: Callable[[str, str], Log],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACKERS", trackers)
    stand_in("tobii_research", RESEARCH)
    with pytest.raises(SessionError, match=words):
        TobiiCalibrator()


def test_without_a_library_it_says_what_to_install(stand_in: Callable[[str, str], Log]) -> None:
    stand_in("TittaPy_v2", "raise ImportError('not here')\n")
    with pytest.raises(SessionError, match=r"pip install 'qpgaze\[tobii\]'"):
        TobiiCalibrator()


def test_a_python_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="cannot be started"):
        TobiiCalibrator(python=str(tmp_path / "no python"))


def test_the_child_answers_what_it_does_not_know_and_imports_nothing_of_ours() -> None:
    lines = '{"do": "sing"}\nno json\n{"do": "leave"}\n'
    done = subprocess.run(
        [sys.executable, str(CHILD)],
        input=lines,
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["ok"] for answer in answers] == [False, False, False]
    assert "qpgaze" not in CHILD.read_text("utf-8").replace("'qpgaze[tobii]'", "")
