"""Many monitors, viewers and turned views: objects lie where the reader really looked."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import shapely
from PIL import Image

from qpgaze import keys
from qpgaze.bridge import create_project, open_project
from qpgaze.gaze import LabelParameters
from qpgaze.recording import SimulatedSource, record
from qpgaze.samples import empty_records
from qpgaze.session import viewer_state_from_json
from qpgaze.simulate import ReaderSettings, TrackerSettings, TruthObject, simulate_reading
from qpgaze.viewing import Display, ImageIdentity, Rect
from qpgaze.workflows import annotate_project

SECOND = Rect(1920.0, -360.0, 2560.0, 1440.0)
"""A larger monitor to the right, whose top is higher than the first one's."""


def project_with(folder, *sizes: tuple[str, int, int]):
    folder.mkdir(exist_ok=True)
    create_project(folder / "project", backend="embedded").close()
    with open_project(folder / "project", mode="r+", backend="embedded") as project:
        for name, width, height in sizes:
            Image.new("L", (width, height), 230).save(folder / name)
            project.add_image(folder / name)
        project.commit()
    return folder / "project"


# -- a simulated reader at the second monitor ------------------------------------------------------


@pytest.mark.parametrize(("turned_deg", "event"), [(0.0, "hold"), (140.0, "toggle"), (-35, "mark")])
def test_a_reader_at_a_second_monitor_with_a_turned_view(turned_deg, event, tmp_path) -> None:
    rng = np.random.Generator(np.random.PCG64(4))
    centres = rng.random((6, 2)) * [3200, 2200] + 400
    centres[:, 0] = np.sort(centres[:, 0])
    truth = [
        TruthObject(f"o{n}", "Pearl", shapely.Point(*centre).buffer(70 + 15 * n))
        for n, centre in enumerate(centres)
    ]
    reading = simulate_reading(
        truth,
        ImageIdentity("slide.png", 4000, 3000),
        pixel_size_um=0.5,
        display=Display(SECOND, 597.0, 336.0, monitor="2"),
        reader=ReaderSettings(
            rotation_deg=turned_deg, label_event=event, coverage="core", pan_share=0.0
        ),
        tracker=TrackerSettings(accuracy_deg=0.5, precision_deg=0.3),
        seed=11,
    )
    turned = {round(math.degrees(state.rotation_rad)) for state in reading.states}
    assert (round(turned_deg) in turned) or turned_deg == 0
    assert all(s.bounds_screen_px.x >= SECOND.x for s in reading.states if s.bounds_screen_px)
    session = record(SimulatedSource(reading), tmp_path / "reader.qpgaze")
    project = project_with(tmp_path / "study", ("slide.png", 4000, 3000))
    report = annotate_project(session.path, project)
    assert report.images[0].added == len(reading.labels) == len(truth)
    with open_project(project, backend="embedded") as opened:
        made = opened.entries[0].objects()
    in_deg = []
    for label, item in zip(reading.labels, made, strict=True):
        place = _looked_at(reading, label.object_id, item)
        centre = item.geometry.centroid
        one_deg_px = item.measurements[keys.ACCURACY_PX] / 0.5
        in_deg.append(math.hypot(centre.x - place[0], centre.y - place[1]) / one_deg_px)
    # The tracker's offset is one draw of a two-dimensional normal distribution with mean length
    # 0.5 deg; 99 % of draws are shorter than 1.21 deg.
    assert np.median(in_deg) < 1.0
    # A mark reaches back over what lies near, which may be a last look of the search.
    assert max(in_deg) < (LabelParameters().dwell_radius_deg if event == "mark" else 1.5)


def _looked_at(reading, object_id: str, item) -> tuple[float, float]:
    """Where the eye really was during the stretch that the object names, by dwell, image px.

    A mark means the last looks only, of an object that may be ten degrees wide.
    """
    start_us, end_us = (int(item.metadata[key]) for key in (keys.START_US, keys.END_US))
    during = [
        f
        for f in reading.fixations
        if f.object_id == object_id and f.start_us < end_us and f.end_us > start_us
    ]
    weights = [f.end_us - f.start_us for f in during]
    return (
        float(np.average([f.x_image_px for f in during], weights=weights)),
        float(np.average([f.y_image_px for f in during], weights=weights)),
    )


# -- several viewers -------------------------------------------------------------------------------

LEFT, RIGHT = (0.0, 100.0, 900.0, 900.0), (960.0, 100.0, 900.0, 900.0)
FIRST = (0.0, 0.0, 1920.0, 1080.0)


def stare(places, rate_hz: int = 120, bounds=FIRST):
    """A second of gaze at each place of the desktop, px."""
    rng = np.random.default_rng(8)
    screen = np.repeat(np.asarray(places, dtype=float), rate_hz, axis=0)
    screen += rng.normal(0, 1.5, screen.shape)
    records = empty_records(len(screen))
    records["t_us"] = np.arange(len(screen), dtype=np.int64) * (1_000_000 // rate_hz)
    for eye in ("left", "right"):
        records[f"{eye}_x_adcs"] = (screen[:, 0] - bounds[0]) / bounds[2]
        records[f"{eye}_y_adcs"] = (screen[:, 1] - bounds[1]) / bounds[3]
        records[f"{eye}_gaze_valid"] = 1
    return records


@pytest.fixture
def two(tmp_path, tools):
    project = project_with(tmp_path / "study", ("a.png", 1000, 1000), ("b.png", 2000, 1600))
    images = [
        tools.image_of(tmp_path / "study" / "a.png", 1000, 1000),
        tools.image_of(tmp_path / "study" / "b.png", 2000, 1600),
    ]
    return project, images


def centres_of(project):
    with open_project(project, backend="embedded") as opened:
        return {
            entry.name: [
                (o.geometry.centroid.x, o.geometry.centroid.y) for o in entry.objects()
            ]
            for entry in opened.entries
        }  # fmt: skip


def test_two_viewers_two_images_one_session(two, tmp_path, tools, writing, cli) -> None:
    project, (a, b) = two
    states = [
        tools.view(0, a, centre=(500, 500), downsample=1.0, bounds=LEFT, viewer="1"),
        tools.view(
            0, b, centre=(1000, 800), downsample=1.5, bounds=RIGHT, viewer="2",
            rotation_rad=math.pi / 2, focused=False,
        ),
    ]  # fmt: skip
    session = writing.session(
        tmp_path / "two.qpgaze",
        states=list(map(viewer_state_from_json, states)),
        gaze=stare([(450, 550), (1410, 550), (1510, 550), (930, 550)]),
    )
    said = cli("annotate", session, project, "--json")
    report = json.loads(said.out)
    assert [image["added"] for image in report["images"]] == [1, 2]
    assert report["left_out"]["off_viewer"] >= 100
    found = centres_of(project)
    assert found["a.png"][0] == pytest.approx((500, 500), abs=3)
    # Turned by a quarter, 100 px to the right on the screen are 150 px up on the slide.
    assert found["b.png"][0] == pytest.approx((1000, 800), abs=4)
    assert found["b.png"][1] == pytest.approx((1000, 650), abs=4)
    refused = cli("annotate", session, project, "--image", "1")
    assert refused.status == 2
    assert "'a.png', 'b.png'" in refused.err


def test_a_detached_viewer_over_the_main_one_takes_the_gaze(two, tmp_path, tools, writing) -> None:
    """Where two windows overlap, the hook tells the main one that another covers it."""
    project, (a, b) = two
    over = {"kind": "window", "rect_viewer_px": [300, 300, 300, 300]}
    states = [
        tools.view(
            0, a, centre=(500, 500), downsample=1.0, bounds=LEFT, viewer="1", covers=[over]
        ),
        tools.view(
            0, b, centre=(1000, 800), downsample=1.0, bounds=(300, 400, 300, 300), viewer="2",
            covers=[],
        ),
        tools.view(
            2_000_000, b, centre=(1000, 800), downsample=1.0, bounds=(300, 400, 300, 300),
            viewer="2", covers=[], iconified=True,
        ),
        tools.view(2_000_000, a, centre=(500, 500), downsample=1.0, bounds=LEFT, viewer="1",
                   covers=[]),
    ]  # fmt: skip
    session = writing.session(
        tmp_path / "over.qpgaze",
        states=list(map(viewer_state_from_json, states)),
        gaze=stare([(450, 550), (150, 250), (450, 550)]),
    )
    annotate_project(session, project)
    found = centres_of(project)
    assert len(found["b.png"]) == 1
    assert found["b.png"][0] == pytest.approx((1000, 800), abs=3)
    # (150, 250) on the screen, then, the other window gone, the middle of the viewer.
    assert found["a.png"][0] == pytest.approx((200, 200), abs=3)
    assert found["a.png"][1] == pytest.approx((500, 500), abs=3)


def test_a_viewer_that_is_moved_to_the_other_monitor(two, tmp_path, tools, writing) -> None:
    """The tracker sits at the first monitor: gaze counts until the viewer leaves it."""
    project, (a, _) = two
    away = (SECOND.x + 100, 0.0, 900.0, 900.0)
    states = [
        tools.view(0, a, centre=(500, 500), downsample=1.0, bounds=LEFT),
        tools.view(1_000_000, a, centre=(500, 500), downsample=1.0, bounds=RIGHT),
        tools.view(2_000_000, a, centre=(500, 500), downsample=1.0, bounds=away),
    ]
    session = writing.session(
        tmp_path / "moved.qpgaze",
        states=list(map(viewer_state_from_json, states)),
        gaze=stare([(450, 550), (1410, 550), (1410, 550)]),
    )
    report = annotate_project(session, project)
    found = centres_of(project)["a.png"]
    assert len(found) == 2
    assert found[0] == pytest.approx((500, 500), abs=3)
    assert found[1] == pytest.approx((500, 500), abs=3)
    assert report.left_out["off_viewer"] >= 110


def test_gaze_on_what_covers_the_slide_makes_no_object(two, tmp_path, tools, writing) -> None:
    project, (a, _) = two
    states = [tools.view(0, a, centre=(500, 500), downsample=1.0, bounds=LEFT)]
    on_map = (LEFT[0] + LEFT[2] - 85, LEFT[1] + 70)
    session = writing.session(
        tmp_path / "covered.qpgaze",
        states=list(map(viewer_state_from_json, states)),
        gaze=stare([(450, 550), on_map]),
    )
    report = annotate_project(session, project)
    assert len(centres_of(project)["a.png"]) == 1
    assert report.left_out["covered: overview"] >= 110
