"""Real gaze over real slides into a real QuPath project, everything that was there kept.

What is expected is computed here from the raw tables with plain NumPy, by QuPath's own formula of
the viewer.
"""

from __future__ import annotations

import ast
import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from qpgaze import keys
from qpgaze.bridge import open_project
from qpgaze.bridge.qpdata import read_qpdata

pytestmark = pytest.mark.shared_data

FloatArray = npt.NDArray[np.float64]
SCREEN = (0.0, 0.0, 1920.0, 1080.0)
VIEWER = (20.0, 60.0, 1880.5, 1000.25)


# -- the raw tables --------------------------------------------------------------------------------


class Raw(NamedTuple):
    """A table as its recorder wrote it: session time, mean of the valid eyes, NaN for none."""

    file: Path
    t_us: npt.NDArray[np.int64]
    xy: FloatArray


def tx300(data: Path) -> Raw:
    file = data / "gaze" / "tobii-tx300" / "2.tsv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    t = np.array([int(row["Time"]) for row in rows])
    eyes = []
    for eye in "LR":
        xy = np.array([[float(row[f"{eye}GazePos2d{axis}"]) for axis in "xy"] for row in rows])
        xy[[int(row[f"{eye}Validity"]) > 1 for row in rows]] = np.nan
        eyes.append(xy)
    return Raw(file, t - t[0], mean_of_eyes(eyes))


def sdk_dump(data: Path) -> Raw:
    file = data / "gaze" / "emdat" / "Tobii4C_4Ctest.csv"
    text = file.read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()[:-1], delimiter=";"))  # the last one is torn
    t = np.array([int(row["device_time_stamp"]) for row in rows])
    eyes = []
    for eye in ("left", "right"):
        cells = [row[f"{eye}_gaze_point_on_display_area"].replace("nan", "None") for row in rows]
        xy = np.array([ast.literal_eval(cell) for cell in cells], dtype=np.float64)
        xy[[row[f"{eye}_gaze_point_validity"] != "1" for row in rows]] = np.nan
        eyes.append(xy)
    return Raw(file, t - t[0], mean_of_eyes(eyes))


def mean_of_eyes(eyes: list[FloatArray]) -> FloatArray:
    left, right = eyes
    both = (left + right) / 2
    return np.where(np.isnan(both), np.where(np.isnan(left), right, left), both)


# -- where it lies on the slide --------------------------------------------------------------------


class Pose(NamedTuple):
    t_us: int
    centre: tuple[float, float]
    downsample: float
    rotation_rad: float


def poses(width: int, height: int, length_us: int) -> list[Pose]:
    """Whole slide, zoomed in and moved, turned, turned and further in; all gaze on the slide."""
    fit = min(width / VIEWER[2], height / VIEWER[3]) * 0.85
    middle = (width / 2, height / 2)
    return [
        Pose(0, middle, fit, 0.0),
        Pose(length_us // 4, (middle[0] + 0.1 * width, middle[1] - 0.05 * height), 0.6 * fit, 0.0),
        Pose(length_us // 2, middle, 0.7 * fit, math.radians(30)),
        Pose(3 * length_us // 4, (middle[0], middle[1] + 0.1 * height), 0.4 * fit, -1.9),
    ]


def on_slide(raw: Raw, views: list[Pose]) -> FloatArray:
    """Image px of every sample, NaN without an eye; QuPath's formula, field-tested elsewhere."""
    screen = raw.xy * np.array(SCREEN[2:])
    u = screen[:, 0] - VIEWER[0] - math.ceil(VIEWER[2]) / 2
    v = screen[:, 1] - VIEWER[1] - math.ceil(VIEWER[3]) / 2
    starts = np.array([view.t_us for view in views])
    out = np.empty_like(screen)
    for n, row in enumerate(np.searchsorted(starts, raw.t_us, side="right") - 1):
        _, (cx, cy), d, t = views[row]
        out[n, 0] = cx + d * (math.cos(t) * u[n] + math.sin(t) * v[n])
        out[n, 1] = cy + d * (-math.sin(t) * u[n] + math.cos(t) * v[n])
    return out


class Case(NamedTuple):
    raw: Raw
    views: list[Pose]
    expected: FloatArray
    image: dict[str, Any]


def make_case(raw: Raw, image: dict[str, Any]) -> Case:
    views = poses(image["width_px"], image["height_px"], int(raw.t_us[-1]))
    return Case(raw, views, on_slide(raw, views), image)


SLIDES = {"oscc_tile_4000.jpg": (4000, 4000), "CMU-1-Small-Region.svs": (2220, 2967)}
TABLES: dict[str, Callable[[Path], Raw]] = {"tx300": tx300, "sdk dump": sdk_dump}


def add_slide(cli, data: Path, project: Path, slide: str) -> dict[str, Any]:
    said = cli("project", "add", project, data / "slides" / slide)
    assert said.status == 0, said.err
    with open_project(project, backend="embedded") as opened:
        entry = opened.entry(slide)
        width, height = SLIDES[slide]
        return {
            "name": entry.name,
            "width_px": width,
            "height_px": height,
            "entry_id": entry.id,
            "uris": list(entry.uris),
        }


def import_session(cli, tools, case: Case, session: Path, events: Path | None = None) -> None:
    log = session.with_suffix(".viewer.jsonl")
    lines = [
        tools.view(
            pose.t_us,
            case.image,
            centre=pose.centre,
            downsample=pose.downsample,
            rotation_rad=pose.rotation_rad,
            bounds=VIEWER,
            covers=[],
        )
        for pose in case.views
    ]
    tools.write_lines(log, lines)
    words = ["import", case.raw.file, session, "--viewer", log, "--screen", "1920x1080"]
    said = cli(*words, *(["--events", events] if events else []))
    assert said.status == 0, said.err
    assert f"{len(case.raw.t_us)} samples" in said.out


def check_places(objects: Any, case: Case) -> None:
    """Every ellipse lies round the mean of the raw gaze between its first and last sample."""
    assert objects
    for item in objects:
        start, end = (int(item.metadata[key]) for key in (keys.START_US, keys.END_US))
        during = (case.raw.t_us >= start) & (case.raw.t_us <= end)
        mean = np.nanmean(case.expected[during], axis=0)
        x0, y0, x1, y1 = item.geometry.bounds
        downsample = item.measurements[keys.DOWNSAMPLE]
        assert min(abs(downsample - pose.downsample) for pose in case.views) < 1e-6
        # The filter shares samples with its neighbours at the ends: within a screen pixel or two.
        assert math.hypot((x0 + x1) / 2 - mean[0], (y0 + y1) / 2 - mean[1]) < 3 * downsample


@pytest.mark.parametrize("slide", SLIDES)
@pytest.mark.parametrize("table", TABLES)
def test_real_gaze_into_a_fresh_project(table, slide, shared_data, tmp_path, cli, tools) -> None:
    project = tmp_path / "fresh"
    assert cli("project", "create", project).status == 0
    case = make_case(TABLES[table](shared_data), add_slide(cli, shared_data, project, slide))
    session = tmp_path / "real.qpgaze"
    import_session(cli, tools, case, session)
    said = cli("annotate", session, project, "--json")
    assert said.status == 0, said.err
    report = json.loads(said.out)
    with open_project(project, backend="embedded") as opened:
        objects = opened.entries[0].objects()
        assert opened.classes.keys() == {keys.FIXATION_CLASS}
    assert report["images"][0]["added"] == len(objects) == report["fixations"] >= 4
    check_places(objects, case)
    seen = {round(o.measurements[keys.DOWNSAMPLE], 6) for o in objects}
    assert len(seen) >= 3, "zoomed, moved and turned views all carry fixations"
    sizes = {"svs": keys.SPREAD_UM, "jpg": keys.SPREAD_PX}
    assert all(sizes[slide[-3:]] in o.measurements for o in objects)
    again = json.loads(cli("annotate", session, project, "--json").out)
    assert (again["images"][0]["added"], again["images"][0]["there"]) == (0, len(objects))


def test_real_gaze_into_a_project_full_of_other_things(
    shared_data, real_project, tmp_path, cli, tools
) -> None:
    old = {p: p.read_bytes() for p in real_project.rglob("*") if p.is_file()}
    old_images = json.loads(old[real_project / "project.qpproj"])["images"]
    old_classes = json.loads(old[real_project / "classifiers" / "classes.json"])["pathClasses"]
    cases = {}
    for slide, table in zip(SLIDES, TABLES, strict=True):
        image = add_slide(cli, shared_data, real_project, slide)
        cases[slide] = make_case(TABLES[table](shared_data), image)
        session = tmp_path / f"{slide[:4]}.qpgaze"
        import_session(cli, tools, cases[slide], session)
        assert cli("annotate", session, real_project).status == 0
    # The old image: untouched to the byte; the project file: old entries equal, ours appended.
    for path, content in old.items():
        if path.name not in ("project.qpproj", "project.qpproj.backup", "classes.json"):
            assert path.read_bytes() == content, path.name
    now = json.loads((real_project / "project.qpproj").read_bytes())
    assert now["images"][: len(old_images)] == old_images
    assert [image["imageName"] for image in now["images"][len(old_images) :]] == list(SLIDES)
    classes = json.loads((real_project / "classifiers" / "classes.json").read_bytes())
    assert classes["pathClasses"][: len(old_classes)] == old_classes
    assert (real_project / "project.qpproj.backup").is_file()
    with open_project(real_project, backend="embedded") as opened:
        for slide, case in cases.items():
            check_places(opened.entry(slide).objects(), case)


KEYS = [
    (700_000, {"event": "mark", "class": "Tumor"}),
    (1_000_000, {"event": "hold", "class": "Keratin pearl", "down": True}),
    (1_900_000, {"event": "hold", "class": "Keratin pearl", "down": False}),
    (2_100_000, {"event": "toggle", "class": "Keratin: pearl", "down": True}),
    (2_900_000, {"event": "toggle", "class": "Keratin: pearl", "down": False}),
    (3_300_000, {"event": "mark", "class": "Never"}),
    (3_350_000, {"event": "undo"}),
]


def test_labels_join_the_old_objects_of_a_real_image(
    shared_data, real_project, tmp_path, cli, tools
) -> None:
    """The image with an object of every kind gets gaze labels; its own stay to the byte."""
    data = next(real_project.glob("data/*/data.qpdata"))
    before = data.read_bytes()
    old = read_qpdata(before)
    old_classes = json.loads((real_project / "classifiers" / "classes.json").read_bytes())
    with open_project(real_project, backend="embedded") as opened:
        entry = opened.entries[0]
        image = {
            "name": entry.name,
            "width_px": 2000,
            "height_px": 1500,
            "entry_id": entry.id,
            "uris": list(entry.uris),
        }
    case = make_case(tx300(shared_data), image)
    events = tools.write_lines(
        tmp_path / "keys.jsonl", [{"t_us": t, "kind": "label", "data": d} for t, d in KEYS]
    )
    session = tmp_path / "real.qpgaze"
    import_session(cli, tools, case, session, events)
    said = cli("annotate", session, real_project)
    assert said.status == 0, said.err
    after = data.read_bytes()
    new = read_qpdata(after)
    ours = [o for o in new.objects if o.metadata.get(keys.SESSION)]
    assert {o.class_name for o in ours} == {"Tumor", "Keratin pearl", "Keratin: pearl"}
    assert {o.metadata[keys.EVENT] for o in ours} == {"mark", "hold", "toggle"}
    assert_old_objects_kept(old, new, before, after)
    assert data.with_suffix(".qpdata.bkp").read_bytes() == before
    for item in ours:
        check_label(item, case)
    classes = json.loads((real_project / "classifiers" / "classes.json").read_bytes())
    listed, known = classes["pathClasses"], old_classes["pathClasses"]
    assert listed[: len(known)] == known
    assert [c["name"] for c in listed[len(known) :]] == ["Keratin pearl", "Keratin: pearl"]
    with_fixations = cli("annotate", session, real_project, "--fixations", "--json")
    third = read_qpdata(data.read_bytes())
    assert json.loads(with_fixations.out)["images"][0]["there"] == len(ours)
    assert_old_objects_kept(old, third, before, data.read_bytes())
    drawn = [o for o in third.objects if o.metadata.get(keys.METHOD) == keys.METHOD_FIXATION]
    check_places(drawn, case)


def assert_old_objects_kept(old: Any, new: Any, before: bytes, after: bytes) -> None:
    kept = [o for o in new.objects if not o.metadata.get(keys.SESSION)]
    assert [o.id for o in kept] == [o.id for o in old.objects]
    for was, now in zip(old.objects, kept, strict=True):
        assert was.geometry.equals_exact(now.geometry, 0.0) or was.geometry.is_empty
        for name in ("kind", "class_name", "color", "name", "description", "metadata", "locked",
                     "is_ellipse", "c", "z", "t", "parent"):  # fmt: skip
            assert getattr(was, name) == getattr(now, name), (was.id, name)
        assert list(was.measurements) == list(now.measurements)
        np.testing.assert_array_equal([*was.measurements.values()], [*now.measurements.values()])
    assert new.server_json == old.server_json
    assert_only_inserted(before, after)


def assert_only_inserted(before: bytes, after: bytes) -> None:
    """The new file is the old one with one block put in; only the number of children differs."""
    head = _same(before, after)
    tail = _same(before[::-1], after[::-1])
    between = before[head + 1 : len(before) - tail]
    assert after[head] - before[head] > 0, "one byte of the count"
    assert after[head + 1 : head + 1 + len(between)] == between
    assert head + 1 + len(between) + tail == len(before)


def _same(one: bytes, other: bytes) -> int:
    """Return how many bytes two files have in common at their beginning."""
    length = min(len(one), len(other))
    pair = (np.frombuffer(data, np.uint8)[:length] for data in (one, other))
    return int(np.argmin(np.equal(*pair)))


def check_label(item: Any, case: Case) -> None:
    """The object covers the raw gaze of its stretch, but for what flew by in saccades."""
    import shapely

    start, end = (int(item.metadata[key]) for key in (keys.START_US, keys.END_US))
    during = (case.raw.t_us >= start) & (case.raw.t_us <= end)
    points = case.expected[during & ~np.isnan(case.expected[:, 0])]
    inside = shapely.contains_xy(item.geometry, points)
    assert inside.mean() > 0.6
    assert 0 < item.measurements[keys.DWELL_MS] <= (end - start) / 1000 + 10
