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


@pytest.fixture(autouse=True)
def _no_qupath_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a QuPath happens to run on this computer must not change what a test sees."""
    monkeypatch.setattr("qpgaze.bridge.projects.in_use.PROC", ROOT / "no such folder")


# A skip hides a check. Only what this machine may rightly lack can be skipped: each such test
# carries one of these markers, and any other skip fails the run.
MAY_BE_SKIPPED = {"qupath", "jvm", "train", "tobii", "gpu", "hardware", "shared_data"}
_wrong_skips: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    allowed = MAY_BE_SKIPPED & set(report.keywords)
    if report.skipped and not hasattr(report, "wasxfail") and not allowed:
        _wrong_skips.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _wrong_skips.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _wrong_skips and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _wrong_skips:
        terminalreporter.section("skipped without leave", red=True, bold=True)
        marks = ", ".join(sorted(MAY_BE_SKIPPED))
        for nodeid in _wrong_skips:
            terminalreporter.line(f"{nodeid} carries none of the markers {marks}")
