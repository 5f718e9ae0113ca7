"""Whole jobs on small input: what the tests of the workflows and of their verbs share."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest
from PIL import Image

from qpgaze.bridge import create_project, open_project
from qpgaze.cli.app import run
from qpgaze.model import Event
from qpgaze.samples import empty_records
from qpgaze.session import SessionHeader, SessionWriter, viewer_state_from_json
from qpgaze.viewing import Display, Rect
from qpgaze.workflows.demo import DemoReport, run_demo

SCREEN = (0.0, 0.0, 1920.0, 1080.0)
VIEWER = (180.0, 90.0, 1600.5, 900.25)
"""On the desktop, px; not whole, as at a UI scale of 1.25."""
SESSION_ID = UUID("0b5a9b1e-6a3f-4f0e-9a52-000000000001")
PICTURE = (1200, 900)


# -- the disk and the command line ---------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, to see that nothing changed."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"/"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    return tree


class Said(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Return what runs the command line; a path or number is a word of it."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words: object) -> Said:
        capsys.readouterr()
        status = run([str(word) for word in words])
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return call


@pytest.fixture
def refused(cli: Callable[..., Said], tmp_path: Path) -> Callable[..., str]:
    """Return what runs a verb that must refuse: exit 2, words, and nothing changed on disk."""

    def call(*words: object, mentions: Sequence[str] = ()) -> str:
        before = tree(tmp_path)
        said = cli(*words)
        after = tree(tmp_path)
        assert said.status == 2, said
        assert said.err.startswith(("qpgaze: ", "Usage: ")), said.err
        assert "Traceback" not in said.err
        assert "Errno" not in said.err
        assert said.out == ""
        message = " ".join(said.err.split())
        for word in mentions:
            assert word in message, message
        assert set(after) == set(before)
        assert after == before
        return message

    return call


# -- viewer logs -----------------------------------------------------------------------------------


def view(
    t_us: int,
    image: Mapping[str, Any],
    *,
    centre: tuple[float, float],
    downsample: float,
    rotation_rad: float = 0.0,
    bounds: tuple[float, float, float, float] = VIEWER,
    screen: tuple[float, float, float, float] = SCREEN,
    viewer: str = "1",
    **more: Any,
) -> dict[str, Any]:
    """One line of a viewer log, its corners by QuPath's own formula of the viewer."""
    half_w, half_h = math.ceil(bounds[2]) / 2, math.ceil(bounds[3]) / 2
    cos, sin = math.cos(rotation_rad), math.sin(rotation_rad)
    corners = []
    for x, y in ((0.0, 0.0), (bounds[2], 0.0), (0.0, bounds[3])):
        u, v = x - half_w, y - half_h
        corners.append(
            [
                centre[0] + downsample * (cos * u + sin * v),
                centre[1] + downsample * (-sin * u + cos * v),
            ]
        )
    return {
        "t_us": t_us,
        "viewer": viewer,
        "image": dict(image),
        "corners_image_px": corners,
        "downsample": downsample,
        "rotation_rad": rotation_rad,
        "bounds_screen_px": list(bounds),
        "screen_bounds_px": list(screen),
        "covers": [{"kind": "overview", "rect_viewer_px": [bounds[2] - 160, 10, 150, 120]}],
        **more,
    }


def image_of(
    path: Path, width: int, height: int, *, entry_id: str | None = None, uri: str | None = None
) -> dict[str, Any]:
    """What QuPath says of an image that a viewer shows."""
    return {
        "name": path.name,
        "width_px": width,
        "height_px": height,
        "entry_id": entry_id,
        "uris": [] if uri is None else [uri],
    }


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


class Tools(NamedTuple):
    """The helpers above, for test modules (which cannot import from here)."""

    view: Callable[..., dict[str, Any]]
    image_of: Callable[..., dict[str, Any]]
    write_lines: Callable[..., Path]


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools(view, image_of, write_lines)


# -- a small reading -------------------------------------------------------------------------------

PLACES = ((300.0, 220.0), (900.0, 250.0), (620.0, 640.0), (240.0, 700.0))
"""Where on the picture the small reading rests, image px, a second each."""


@dataclass(frozen=True)
class Small:
    """A project with one picture and a session that looked at it."""

    folder: Path
    picture: Path
    project: Path
    session: Path


def small_states(picture: Path, *, width: int = PICTURE[0], height: int = PICTURE[1]) -> Any:
    image = image_of(picture, width, height)
    at = {"centre": (600.0, 450.0), "downsample": 1.0}
    return [viewer_state_from_json(view(0, image, **at, viewer="1"))]


def small_gaze(places: Sequence[tuple[float, float]] = PLACES, rate_hz: int = 120) -> Any:
    """A second on each place, with a little noise, through the one view of the small reading."""
    rng = np.random.default_rng(5)
    records = empty_records(rate_hz * len(places))
    records["t_us"] = np.arange(len(records), dtype=np.int64) * (1_000_000 // rate_hz)
    records["device_us"] = records["t_us"] + 1_000
    half_w, half_h = math.ceil(VIEWER[2]) / 2, math.ceil(VIEWER[3]) / 2
    image = np.repeat(np.asarray(places), rate_hz, axis=0) + rng.normal(0, 1.5, (len(records), 2))
    x = VIEWER[0] + half_w + image[:, 0] - 600.0
    y = VIEWER[1] + half_h + image[:, 1] - 450.0
    for eye in ("left", "right"):
        records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = x / SCREEN[2], y / SCREEN[3]
        records[f"{eye}_gaze_valid"] = 1
    return records


def small_events() -> list[Event]:
    """Pearl by a mark in the first place, Stroma by a hold in the second; a third is undone."""
    press = [
        (900_000, "mark", "Pearl", None),
        (1_350_000, "hold", "Stroma", True),
        (2_200_000, "hold", "Stroma", False),
        (2_900_000, "mark", "Oops", None),
        (2_950_000, "undo", None, None),
    ]
    events = [Event(0, "validation", {"accuracy_deg": 0.5, "precision_sd_deg": 0.2})]
    for t_us, event, name, down in press:
        data: dict[str, Any] = {"event": event}
        data |= {} if name is None else {"class": name}
        data |= {} if down is None else {"down": down}
        events.append(Event(t_us, "label", data))
    return events


def header(**changes: Any) -> SessionHeader:
    display = Display(Rect(*SCREEN), 527.0, 296.5)
    given: dict[str, Any] = {
        "id": SESSION_ID,
        "pseudonym": "reader1",
        "tracker": "Test tracker",
        "display": display,
        "started_utc": "2026-01-05T09:00:00Z",
        "software": {},
    }
    return SessionHeader(**{**given, **changes})


def write_session(
    folder: Path,
    *,
    states: Any,
    gaze: Any,
    events: Sequence[Event] = (),
    close: bool = True,
    **changes: Any,
) -> Path:
    with SessionWriter.create(folder, header(**changes)) as writer:
        writer.append_viewer(states)
        writer.append_gaze(gaze)
        for event in events:
            writer.append_event(event)
    if not close:  # the manifest is what a cut recording lacks
        (folder / "manifest.json").unlink()
    return folder


@pytest.fixture(scope="session")
def _small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    picture = folder / "slide 1.png"
    rng = np.random.default_rng(2)
    pixels = rng.integers(190, 255, (PICTURE[1], PICTURE[0], 3), dtype=np.uint8)
    for x, y in PLACES:
        pixels[int(y) - 50 : int(y) + 50, int(x) - 60 : int(x) + 60] = (200, 90, 140)
    Image.fromarray(pixels).save(picture)
    create_project(folder / "project", backend="embedded").close()
    with open_project(folder / "project", mode="r+", backend="embedded") as project:
        project.add_image(picture, metadata={"patient": "p1"})
        project.commit()
    write_session(
        folder / "project" / "qpgaze" / "sessions" / "reading.qpgaze",
        states=small_states(picture),
        gaze=small_gaze(),
        events=small_events(),
    )
    # Away from where the project says the picture is, or every copy would find it there.
    return folder.rename(folder.with_name("small template"))


@pytest.fixture
def small(_small: Path, tmp_path: Path) -> Small:
    """A copy of the small project and its session, to be changed at will."""
    folder = tmp_path / "small"
    shutil.copytree(_small, folder)
    return Small(
        folder,
        folder / "slide 1.png",
        folder / "project",
        folder / "project" / "qpgaze" / "sessions" / "reading.qpgaze",
    )


class Writing(NamedTuple):
    """What writes variants of the small session."""

    states: Callable[..., Any]
    gaze: Callable[..., Any]
    events: Callable[[], list[Event]]
    session: Callable[..., Path]


@pytest.fixture(scope="session")
def writing() -> Writing:
    return Writing(small_states, small_gaze, small_events, write_session)


# -- the demo and the real project -----------------------------------------------------------------


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoReport]:
    """The demo, run once; nobody changes what it made."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    yield run_demo(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def real_project(shared_data: Path, tmp_path: Path) -> Path:
    """A writable copy of the real project with an object of every kind."""
    target = tmp_path / "c_all_roi_kinds"
    source = shared_data / "qupath" / "projects" / "c_all_roi_kinds"
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target
