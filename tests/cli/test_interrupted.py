"""Ctrl-C at the very beginning: a word and status 130, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_ctrl_c_while_the_program_is_loaded(tmp_path: Path) -> None:
    # It comes while 'click', the first thing that takes time, is imported.
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n", "utf-8")
    here = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "qpgaze", "record"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": here},
    )  # fmt: skip
    assert done.returncode == 130
    assert done.stderr == "qpgaze: stopped before it began.\n"
    assert done.stdout == ""
