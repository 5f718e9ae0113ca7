"""Fixtures of the project store's tests."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pytest
import shapely
from PIL import Image

from qpgaze import keys
from qpgaze.bridge import open_project
from qpgaze.bridge.projects.detect_qupath import paquo_or_reason
from qpgaze.bridge.projects.live_standin import open_in_standin
from qpgaze.model import SlideObject
from qpgaze.wire import StandIn

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


@pytest.fixture(autouse=True)
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where QuPaths leave word of themselves: none that runs on this computer is met by a test."""
    folder = tmp_path / "hooks"
    monkeypatch.setattr("qpgaze.wire.discovery.discovery_folders", lambda: (folder,))
    return folder


@pytest.fixture
def standin(hooks: Path) -> Iterator[StandIn]:
    """A stand-in of QuPath that the store finds."""
    with StandIn(hooks, qupath="0.6.0", pid=os.getpid()) as started:
        yield started


@pytest.fixture(scope="session")
def window_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Return what gives the window of a real QuPath with our hook; each is started once."""
    spec = importlib.util.spec_from_file_location("qpgaze_store_driver", DRIVER)
    assert spec is not None
    assert spec.loader is not None
    driver = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = driver
    spec.loader.exec_module(driver)
    windows: dict[str, Any] = {}

    def give(folder: str) -> Any:
        if shutil.which("Xvfb") is None:
            pytest.skip("qupath: Xvfb is needed")
        if folder not in windows:
            at = tmp_path_factory.mktemp("window")
            driver.make_study(at)
            windows[folder] = driver.Window(Path(folder), at)
            windows[folder].wait()
        return windows[folder]

    yield give
    for window in windows.values():
        window.close()


@pytest.fixture
def show(
    request: pytest.FixtureRequest, way: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], None]:
    """Return what opens a project's first image where the backend is to find it open."""

    def opened(project: Path) -> None:
        if way == "live":
            with open_project(project, backend="embedded") as read:
                entry = read.entries[0].id
            open_in_standin(request.getfixturevalue("standin"), project, entry)
        elif way.startswith("window "):
            window = request.getfixturevalue("window_of")(way.removeprefix("window "))
            monkeypatch.setattr("qpgaze.wire.discovery.discovery_folders", lambda: window.folders)
            window.ask(OPEN % json.dumps(str(project / "project.qpproj")))
            for _ in range(3):  # what QuPath put off until later is done
                window.ask("return hook.images.pulse()")

    return opened


DRIVER = Path(__file__).parents[1] / "hook" / "driver.py"
OPEN = """
hook.images.viewers().each { it.getImageData()?.setChanged(false) }
def project = qupath.lib.projects.ProjectIO.loadProject(new File(%s), java.awt.image.BufferedImage)
gui.setProject(null)
gui.getAvailablePathClasses().clear()
gui.setProject(project)
gui.openImageEntry(project.getImageList()[0])
viewer.getImageData().setChanged(false)
hook.images.pulse()
"""
WINDOWS = [f for f in os.environ.get("QPGAZE_QUPATH_DIRS", "").split(os.pathsep) if f]


@pytest.fixture(
    params=[
        "embedded",
        "live",
        *(
            pytest.param(way, marks=pytest.mark.qupath, id=way.replace(os.sep, "-"))
            for way in ("paquo", *(f"window {folder}" for folder in WINDOWS))
        ),
    ]
)
def way(request: pytest.FixtureRequest) -> str:
    """Every way into a project: a backend, and for the live one a stand-in or a real QuPath."""
    if request.param == "paquo":
        request.getfixturevalue("qupath")
    return str(request.param)


@pytest.fixture(params=["embedded", pytest.param("paquo", marks=pytest.mark.qupath)])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend that needs no QuPath which has the project open."""
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
