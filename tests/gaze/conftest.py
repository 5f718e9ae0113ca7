"""Small pieces that the tests of gaze are built from."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from qpgaze.samples import GazeSamples, empty_records

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def scenes() -> ModuleType:
    """The scene generator that the benchmark uses too."""
    spec = importlib.util.spec_from_file_location(
        "gaze_scene", ROOT / "benchmarks" / "gaze_scene.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name while they are made.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def make_gaze() -> Callable[..., GazeSamples]:
    def make(t_us: object, xy_adcs: object, *, valid: object = True) -> GazeSamples:
        stamps = np.asarray(t_us, dtype=np.int64)
        xy = np.asarray(xy_adcs, dtype=np.float64).reshape(-1, 2)
        records = empty_records(len(stamps))
        records["t_us"] = stamps
        for eye in ("left", "right"):
            records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = xy[:, 0], xy[:, 1]
            records[f"{eye}_gaze_valid"] = valid
        return GazeSamples(records)

    return make
