"""Five thousand damaged files: our errors, or read right; the same ones each time."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent
SEED = 20260
COUNT, PIECES = 5000, 10


@pytest.fixture(scope="module")
def fuzzer() -> ModuleType:
    """The module beside this file, which runs by hand too."""
    spec = importlib.util.spec_from_file_location("qpgaze_fuzzer", HERE / "fuzzer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("piece", range(PIECES))
def test_damaged_files_are_refused_or_kept(fuzzer: ModuleType, piece: int) -> None:
    folder = HERE.parent / "data" / "qupath"
    files = fuzzer.with_kinds(fuzzer.corpus(folder), folder)
    each = COUNT // PIECES
    seen: Counter[str] = Counter()
    for index in range(piece * each, (piece + 1) * each):
        try:
            seen[fuzzer.run_case(SEED, index, files)] += 1
        except Exception as error:
            raise AssertionError(f"case {SEED}/{index}") from error
    # Neither is everything refused nor everything let through.
    for kind in ("qpdata", "qpproj", "geojson"):
        refused = seen[f"{kind} refused"]
        assert 0 < refused < sum(n for what, n in seen.items() if what.startswith(kind))


def test_a_case_is_the_same_wherever_it_runs(fuzzer: ModuleType) -> None:
    files = fuzzer.corpus(HERE.parent / "data" / "qupath")
    for index in range(20):
        assert fuzzer.make_case(1, index, files) == fuzzer.make_case(1, index, files)


@pytest.mark.parametrize(
    ("index", "now"),
    [
        (46420, "qpdata refused"),  # a rectangle with a corner that is no number had no shape
        (50295, "qpdata refused"),
        (192085, "qpdata refused"),
        (428966, "geojson refused"),  # a ring in random order took seconds to mend
        (331171, "geojson stored"),  # half a character as the name of a class
    ],
)
def test_cases_that_failed_once(fuzzer: ModuleType, index: int, now: str) -> None:
    files = fuzzer.corpus(HERE.parent / "data" / "qupath")
    assert fuzzer.run_case(2026, index, files) == now
