"""A stand-in QuPath and what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qpgaze.viewing import ImageIdentity, Rect, ViewerState
from qpgaze.wire import StandIn, WireClient, connect

SLIDE = ImageIdentity("slide ä", 2000, 1500, "1", ("file:/x/slide.tif",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "hooks"


@pytest.fixture
def qupath(folder: Path) -> Iterator[StandIn]:
    with StandIn(folder, qupath="0.6.0", software="0.1.0") as standin:
        yield standin


@pytest.fixture
def client(qupath: StandIn, folder: Path) -> Iterator[WireClient]:
    with connect(name="recorder", folders=(folder,)) as connected:
        yield connected


@pytest.fixture
def view() -> Callable[..., ViewerState]:
    def make(t_us: int, viewer: str = "1") -> ViewerState:
        corners = ((float(t_us), 0.0), (float(t_us) + 800, 0.0), (float(t_us), 600.0))
        box = Rect(100.0, 50.0, 800.0, 600.0)
        return ViewerState(t_us, viewer, SLIDE, corners, 1.0, bounds_screen_px=box)

    return make


def feature(number: int, points: int = 5) -> dict[str, object]:
    ring = [[0.5 * i, 1.25] for i in range(points)]
    return {
        "type": "Feature",
        "id": f"{number:08d}-0000-4000-8000-000000000000",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "name": "Größe"},
    }


@pytest.fixture
def features() -> Callable[..., list[dict[str, object]]]:
    def make(*numbers: int, points: int = 5) -> list[dict[str, object]]:
        return [feature(number, points) for number in numbers]

    return make


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something is so; only a broken program ever waits the whole time."""

    def wait(what: Callable[[], object]) -> None:
        end = time.monotonic() + 20.0
        while not what():
            assert time.monotonic() < end, "it never came"
            time.sleep(0.005)

    return wait
