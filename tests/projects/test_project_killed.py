"""A writer that is ended at any moment leaves the old or the new, and the next one cleans up."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def kill_run() -> Any:
    """The script beside this file."""
    spec = importlib.util.spec_from_file_location(
        "qpgaze_kill_run", Path(__file__).with_name("kill_run.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_killed_writer_leaves_the_old_or_the_new(kill_run: Any, tmp_path: Path) -> None:
    seen = kill_run.run(25, 4, tmp_path, by_time=False)
    assert seen["old"] > 5
    assert seen["new"] > 2
    assert seen["old"] + seen["new"] == 25


def test_a_killed_collection_leaves_the_old_or_the_new(kill_run: Any, tmp_path: Path) -> None:
    seen = kill_run.run(12, 5, tmp_path, job=kill_run.COLLECT, by_time=False)
    assert seen["old"] > 2
    assert seen["new"] > 1
    assert seen["old"] + seen["new"] >= 11  # the last may fall behind the end
