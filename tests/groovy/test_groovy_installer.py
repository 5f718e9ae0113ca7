"""Which program the script that is dropped onto QuPath takes for qpgaze."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.jvm,
    pytest.mark.skipif(sys.platform == "win32", reason="jvm: its programs here are shell scripts"),
]


def program(path: Path, text: str = "echo qpgaze, version 1.2") -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def found(
    built: Any, run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str | None]:
    """Ask the script, in a home of its own."""
    home = tmp_path / "home ü"
    home.mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))

    def ask(script: Path | None = None) -> str | None:
        line = built.line("checks.Installer", *([script] if script else []))
        at = line.index("-cp") + 1
        line[at] += os.pathsep + str(built.folder / "scripts" / "install_qpgaze.groovy")
        line[at - 1 : at - 1] = [f"-Duser.home={home}"]
        done = run(*line)
        assert done.returncode == 0, done.stderr
        answer: str | None = json.loads(done.stdout)["found"]
        return answer

    return ask


def test_the_one_beside_the_script_comes_first(
    found: Callable[..., str | None], tmp_path: Path
) -> None:
    elsewhere = program(tmp_path / "path" / "bin" / "qpgaze")
    assert found(tmp_path / "handed over" / "install_qpgaze.groovy") == str(elsewhere)
    own = program(tmp_path / "a clone" / ".venv" / "bin" / "qpgaze")
    assert found(tmp_path / "a clone" / "groovy" / "install_qpgaze.groovy") == str(own)
    inside = program(tmp_path / "env" / "bin" / "qpgaze")
    package = tmp_path / "env" / "lib" / "python3.11" / "site-packages" / "qpgaze" / "_groovy"
    assert found(package / "install_qpgaze.groovy") == str(inside)


def test_one_that_does_not_start_is_passed_over(
    found: Callable[..., str | None], tmp_path: Path
) -> None:
    home = tmp_path / "home ü"
    program(tmp_path / "path" / "bin" / "qpgaze", "echo qpgaze is broken; exit 1")
    broken = program(home / ".local" / "bin" / "qpgaze")
    # Its Python is gone; what the system says of it names the path.
    broken.write_text(f"#!{home}/qpgaze/gone/python\n", "utf-8")
    program(home / "venv" / "bin" / "qpgaze", "echo another program")
    assert found() is None
    good = program(home / "qpgaze-env" / "bin" / "qpgaze")
    assert found() == str(good)
