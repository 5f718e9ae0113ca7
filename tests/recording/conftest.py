"""A stand-in for each source of gaze, each speaking its own API or wire."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from qpgaze.recording.live import LiveSetup
from qpgaze.recording.opening import open_source, practice_reading
from qpgaze.recording.protocol import LiveSource
from qpgaze.recording.recorder import record
from qpgaze.recording.replay import SimulatedSource
from qpgaze.recording.trackers import TobiiSource
from qpgaze.viewing import Display, Rect, ViewerState
from qpgaze.wire import StandIn, connect
from qpgaze.wire.channel import now_us

collect_ignore = ["stand_ins"]
"""They run in other processes, or are loaded by name."""

STAND_INS = Path(__file__).resolve().parent / "stand_ins"
DISPLAY = Display(Rect(0.0, 0.0, 1920.0, 1080.0), 528.0, 297.0)
PATIENCE_US = 60_000_000
"""Only a broken program ever waits so long."""


@dataclass
class Rig:
    """A source before its start, and what it is expected to do."""

    source: LiveSource
    setup: LiveSetup
    tracker: str
    restarts: bool = True
    is_live: bool = True
    rate_hz: float | None = 250.0


def load(name: str) -> ModuleType:
    """Load a stand-in that runs in this process."""
    spec = importlib.util.spec_from_file_location(f"qpgaze_{name}", STAND_INS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def setup() -> LiveSetup:
    return LiveSetup(DISPLAY, "reader 7")


@pytest.fixture
def fake_tobii(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the sidecar a library of Tobii's that is none."""

    def give(library: str, **quirks: str) -> None:
        monkeypatch.setenv("PYTHONPATH", str(STAND_INS))
        monkeypatch.setenv("FAKE_TOBII", library)
        for name, value in quirks.items():
            monkeypatch.setenv(f"FAKE_TOBII_{name.upper()}", value)

    return give


@pytest.fixture
def lsl_outlet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Start a real outlet in another process; it is heard on this computer only."""
    config = tmp_path / "lsl_api.cfg"
    config.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n", encoding="utf-8")
    monkeypatch.setenv("LSLAPICFG", str(config))
    running: list[subprocess.Popen[str]] = []

    def start(labels: str) -> str:
        name = f"qpgaze {uuid.uuid4()}"
        command = [sys.executable, str(STAND_INS / "lsl_outlet.py"), name, labels]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return name

    yield start
    for process in running:
        process.kill()
        process.communicate()


LSL_LABELS = "left_x,left_y,right_x,right_y,left_pupil,right_pupil,left_origin_z"


@pytest.fixture
def open_gaze() -> Iterator[Callable[..., Any]]:
    servers = []
    module = load("open_gaze")

    def start(**quirks: Any) -> Any:
        servers.append(module.OpenGaze(**quirks))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Person:
    """Moves the cursor in the stand-in's viewer; it leaves the viewer now and then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.qupath = StandIn(folder)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._move, daemon=True)

    def __enter__(self) -> Person:
        self.qupath.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.qupath.close()

    def _move(self) -> None:
        k = 0
        while not self._stop.wait(0.008):
            gone = k % 20 in (15, 16, 17, 18, 19)
            cursor = None if gone else (float(k % 800), 300.0)
            view = Rect(100.0, 50.0, 800.0, 600.0)
            screen = Rect(0.0, 0.0, 1920.0, 1080.0)
            self.qupath.show(
                ViewerState(
                    now_us(),
                    "1",
                    None,
                    None,
                    1.0,
                    bounds_screen_px=view,
                    screen_bounds_px=screen,
                    cursor_viewer_px=cursor,
                )
            )
            k += 1


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with Person(tmp_path / "hooks") as moving:
        yield moving


@pytest.fixture
def qupath_alone(tmp_path: Path) -> Iterator[Path]:
    """The folder of a QuPath without any viewer."""
    with StandIn(tmp_path / "hooks"):
        yield tmp_path / "hooks"


@pytest.fixture(scope="session")
def old_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("old") / "old.qpgaze"
    record(SimulatedSource(practice_reading(4)), path)
    return path


@pytest.fixture
def rig(request: pytest.FixtureRequest, setup: LiveSetup) -> Rig:
    """Return a source of the given name with its stand-in."""
    name: str = request.param
    if name in ("tobii_research", "TittaPy_v2"):
        request.getfixturevalue("fake_tobii")(name)
        return Rig(TobiiSource(setup), setup, "Tobii Pro Fusion")
    if name == "lsl":
        stream = request.getfixturevalue("lsl_outlet")(LSL_LABELS)
        source = open_source(f"lsl:{stream}", setup)
        return Rig(source, setup, stream, restarts=False)
    if name == "gazepoint":
        server = request.getfixturevalue("open_gaze")()
        source = open_source(f"gazepoint:127.0.0.1:{server.port}", setup)
        return Rig(source, setup, "Gazepoint GP3HD")
    if name == "mouse":
        person = request.getfixturevalue("person")
        source = open_source(
            "mouse", setup, connect=lambda: connect(name="mouse", folders=(person.folder,))
        )
        return Rig(source, setup, "QuPath's cursor", rate_hz=60.0)
    if name == "simulated":
        source = open_source("simulated:3", setup, speed=20.0)
        return Rig(source, setup, "Simulated", rate_hz=120.0, is_live=False)
    source = open_source(f"replay:{request.getfixturevalue('old_session')}", setup, speed=20.0)
    return Rig(source, setup, "Simulated", rate_hz=120.0, is_live=False)


Enough = Callable[[npt.NDArray[np.void], list[Any], list[Any]], bool]


@pytest.fixture
def gather() -> Callable[..., tuple[npt.NDArray[np.void], list[Any], list[Any]]]:
    """Poll until there is enough: records, events, clocks."""

    def poll(
        source: LiveSource, enough: Enough
    ) -> tuple[npt.NDArray[np.void], list[Any], list[Any]]:
        batches: list[npt.NDArray[np.void]] = []
        events: list[Any] = []
        clocks: list[Any] = []
        until = now_us() + PATIENCE_US
        while True:
            ended = source.ended is not None
            batch = source.poll(0.02)
            batches.append(batch.gaze)
            events += batch.events
            clocks += batch.clocks
            records = np.concatenate(batches)
            if ended or enough(records, events, clocks):
                return records, events, clocks
            assert now_us() < until, f"only {len(records)} records and {events} came"

    return poll
