"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Seeded and without deadlines: a slow machine must never turn a test red.
settings.register_profile(
    "qpgaze",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("qpgaze")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real slides, gaze and QuPath files beside the checkout."""
    folder = Path(os.environ.get("QPGAZE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"shared_data: no folder {folder.name} beside the checkout")
    return folder
