"""A session by the command line: recorded in real time beside a stand-in, annotated, refined."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import qpgaze

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "whole_session.py"


def test_what_the_eye_looked_at_becomes_a_refined_object(tmp_path: Path) -> None:
    # The programs that it starts are to be those that are tested here.
    environ = {**os.environ, "PYTHONPATH": str(Path(qpgaze.__file__).resolve().parents[1])}
    # One object; the ten minutes that the program takes for 140 differ in length alone.
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "1", str(tmp_path)],
        capture_output=True, text=True, encoding="utf-8", env=environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    recorded = found["recorded"]
    assert recorded["reason"] == "the recording is over"
    assert found["samples_lost"] == 0
    assert found["gaze_as_simulated"] is True
    assert found["keys_recorded"] == found["keys_pressed"] == recorded["qupath"]["keys"] == 2
    # What moved before the recorder had come is not there; all else is.
    assert 0 <= recorded["qupath"]["views"] - recorded["viewer_states"] < 60
    assert recorded["qupath"]["shown"] == 1
    assert recorded["audit"]["worst_uncertainty_us"] is not None
    assert found["annotated"]["labels"] == 1
    for step in ("coarse", "refined"):
        assert (found[step]["objects"], found[step]["found"]) == (1, 1)
    assert found["coarse"]["methods"] == ["gaze-discs"]
    assert found["refined"]["methods"] == ["gaze-picture"]
    assert found["refined"]["centre_off_radii"]["max"] < 0.3
