"""Ctrl-C at the very beginning: a word and status 130, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from qpgaze import cli
from qpgaze.cli import app


def test_ctrl_c_while_the_program_is_loaded(tmp_path: Path) -> None:
    # It comes while 'click', the first thing that takes time, is imported.
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n", "utf-8")
    here = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "qpgaze", "record"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": here},
    )  # fmt: skip
    assert done.returncode == 130
    assert done.stderr == "qpgaze: stopped.\n"
    assert done.stdout == ""


def test_ctrl_c_at_any_line_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["qpgaze", "--version"])
    codes = (cli.main.__code__, app.run.__code__)
    stopped = 0
    while True:
        left = stopped + 2  # the first line is the 'try' itself

        def at_a_line(frame: FrameType, event: str, what: Any) -> Any:
            nonlocal left
            if frame.f_code not in codes:
                return None
            if event == "exception" and what[0] is SystemExit:  # it leaves with its status
                left = -1
            left -= event == "line"
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            return at_a_line

        before = sys.gettrace()
        sys.settrace(at_a_line)
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            sys.settrace(before)
        shown = capsys.readouterr()
        if ended.value.code == 0:  # it went through to its end
            break
        assert ended.value.code == 130, stopped
        assert shown.err.startswith("qpgaze: stopped")
        stopped += 1
    assert stopped > 8


def test_nothing_is_loaded_before_ctrl_c_is_ours() -> None:
    """What Python does before is its own; ``sys`` and what it holds by then costs nothing."""
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from qpgaze.cli import main\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
                          check=True)  # fmt: skip
    assert done.stdout.strip() == "['qpgaze', 'qpgaze.cli']"
