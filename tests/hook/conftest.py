"""Windows of the real QuPaths that ``QPGAZE_QUPATH_DIRS`` names, one start for many tests."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from qpgaze.wire import WireClient, connect


# Test files are no package here: by this name they import what is beside them.
def _named(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(file))
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


driver = _named("qpgaze_hook_driver", "driver.py")
_named("qpgaze_hook_views", "views.py")
desks = _named("qpgaze_hook_desk", "desk.py")


@pytest.fixture(scope="session", params=driver.FOLDERS or [None])
def qupath_folder(request: pytest.FixtureRequest) -> Path:
    """A QuPath; the tests of one are run before those of the next."""
    if request.param is None:
        pytest.skip("qupath: QPGAZE_QUPATH_DIRS names no QuPath")
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        pytest.skip("qupath: Xvfb and xdotool are needed")
    return Path(request.param)


@contextmanager
def _opened(made: driver.Window) -> Iterator[driver.Window]:
    """A window from when it takes orders; closed at the end, whatever happens."""
    try:
        made.wait()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def window(
    qupath_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[driver.Window]:
    """A QuPath with the hook, shared: each test leaves it as it found it."""
    at = tmp_path_factory.mktemp("window")
    driver.make_study(at)
    with _opened(driver.Window(qupath_folder, at)) as opened:
        yield opened


@pytest.fixture
def mouse_window(qupath_folder: Path, tmp_path: Path) -> Iterator[driver.Window]:
    """A window of one test's own, whose eye tracker is the mouse."""
    driver.make_study(tmp_path)
    (tmp_path / "user" / "qpgaze").mkdir(parents=True)
    chosen = {"source": "mouse", "classes": ["Pearl", "Tumor"]}
    (tmp_path / "user" / "qpgaze" / "settings.json").write_text(json.dumps(chosen), "utf-8")
    with _opened(driver.Window(qupath_folder, tmp_path)) as opened:
        yield opened


@pytest.fixture(scope="module")
def desk(qupath_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[driver.Window]:
    """A QuPath on two monitors with a window manager, shared by the tests of a file."""
    missing = desks.missing()
    if missing:
        pytest.skip(f"qupath: two monitors need {missing}")
    at = tmp_path_factory.mktemp("desk")
    driver.make_study(at)
    with _opened(desks.Desk(qupath_folder, at)) as opened:
        yield opened


@pytest.fixture
def client(window: driver.Window) -> Iterator[WireClient]:
    with connect(name="test", folders=window.folders, wait_s=30) as made:
        made.subscribe(viewer=True, events=True, images=True)
        time.sleep(1)
        made.take()
        yield made
