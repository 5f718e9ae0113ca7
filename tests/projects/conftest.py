"""Fixtures of the project store's tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import pytest
import shapely
from PIL import Image

from qpgaze import keys
from qpgaze.bridge.projects.detect_qupath import paquo_or_reason
from qpgaze.model import SlideObject

SESSION = UUID("6f1f0e0a-2b7b-4a37-9d7e-0a6a3a5f9d01")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A small picture that every backend reads; its name needs encoding in a URI."""
    path = tmp_path / "Präparat 1 [a].png"
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def make_object() -> Callable[..., SlideObject]:
    """Return what makes the n-th object of a session."""

    def make(number: int, **changes: object) -> SlideObject:
        x, y = 10.0 * (number % 20), 10.0 * (number // 20)
        given: dict[str, object] = {
            "id": uuid5(SESSION, f"{number}/0"),
            "geometry": shapely.Polygon([(x, y), (x + 8, y + 1), (x + 7.25, y + 8), (x, y + 6)]),
            "class_name": "Keratin pearl",
            "name": f"label {number}",
            "measurements": {keys.DWELL_MS: 312.5, keys.FIXATIONS: 2.0},
            "metadata": {
                keys.SESSION: str(SESSION),
                keys.LABEL: str(number),
                keys.PART: "0",
                keys.STATE: keys.ReviewState.PROPOSED.value,
                keys.METHOD: keys.METHOD_DISCS,
            },
        }
        return SlideObject(**{**given, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def fixture_project(shared_data: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return what copies one of the real projects; the copy may be changed."""

    def copy(name: str) -> Path:
        source = shared_data / "qupath" / "projects" / name
        target = tmp_path / name
        shutil.copytree(source, target, copy_function=shutil.copyfile)
        for path in [target, *target.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return target

    return copy


@pytest.fixture(scope="session")
def qupath() -> str:
    """Version of the QuPath at hand; skips where there is none that paquo can work through."""
    found = paquo_or_reason()
    if not found.usable:
        pytest.skip(f"qupath: {found.reason}; set PAQUO_QUPATH_DIR to a QuPath 0.5 or 0.6")
    return found.version


@pytest.fixture(params=["embedded", pytest.param("paquo", marks=pytest.mark.qupath)])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend there is."""
    if request.param == "paquo":
        request.getfixturevalue("qupath")
    return str(request.param)


def tree(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, to see that nothing changed."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Return what reads a whole folder."""
    return tree
