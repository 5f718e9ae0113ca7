"""The sample that travels with qpgaze is what its recipe says, and comes out the same again."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely
from click.testing import CliRunner

from qpgaze.cli.app import app
from qpgaze.errors import FormatError, QpgazeError, UsageError
from qpgaze.resources import sample_dir
from qpgaze.session import open_session
from qpgaze.simulate import TrackerSettings
from qpgaze.simulate.slide_file import write_slide
from qpgaze.simulate.tissue import plan_tissue, render_tissue
from qpgaze.workflows.sample import build_sample, load_sample
from qpgaze.workflows.sample_build import (
    pixel_hash,
    read_slide,
    versions_here,
    write_session,
    write_truth,
)
from qpgaze.workflows.sample_recipe import CaseRecipe, read_recipe

ROOT = sample_dir()
RECIPE, CASES = read_recipe(ROOT)
SAME_VERSIONS = RECIPE["made_with"] == versions_here()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def case_id(case: CaseRecipe) -> str:
    return case.patient


# -- what lies there ---------------------------------------------------------------------------


def test_every_file_is_as_the_recipe_says():
    there = {
        path.relative_to(ROOT).as_posix()
        for place in ("slides", "truth", "sessions")
        for path in (ROOT / place).rglob("*")
        if path.is_file()
    }
    assert there == set(RECIPE["files"])
    for name, about in RECIPE["files"].items():
        assert (ROOT / name).stat().st_size == about["bytes"], name
        assert sha256(ROOT / name) == about["sha256"], name


def test_the_sample_is_small():
    sizes = {"slides": 0, "sessions": 0}
    for name, about in RECIPE["files"].items():
        if (place := name.split("/")[0]) in sizes:
            sizes[place] += about["bytes"]
    assert sizes["slides"] <= 5_000_000
    assert sizes["sessions"] <= 3_000_000


def test_no_machine_path_in_any_text():
    for path in ROOT.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".geojson", ".md"):
            text = path.read_text(encoding="utf-8")
            assert str(Path.home()) not in text
            assert "file:/" not in text


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_slides_open_with_openslide_and_tifffile(case):
    import openslide
    import tifffile

    path = ROOT / case.slide_file
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (4608, 3584)
        assert slide.level_downsamples == pytest.approx((1.0, 4.0, 16.0))
        assert float(slide.properties["openslide.mpp-x"]) == 0.5
        seen = np.asarray(slide.read_region((2048, 1024), 0, (256, 256)))[..., :3]
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_svs
        assert [level.shape[:2] for level in tiff.series[0].levels] == [
            (3584, 4608),
            (896, 1152),
            (224, 288),
        ]
        again = tiff.pages[0].asarray()[1024:1280, 2048:2304]
    assert np.array_equal(seen, again)
    assert seen.std() > 10


@pytest.mark.parametrize("case", load_sample(), ids=lambda case: case.patient)
def test_truth_lies_in_the_image_and_apart(case):
    pearls = [thing for thing in case.truth if thing.target]
    assert 8 <= len(pearls) <= 15
    assert {thing.class_name for thing in pearls} == {"Pearl"}
    assert len(case.truth) - len(pearls) >= 6
    assert len({thing.id for thing in case.truth}) == len(case.truth)
    image = shapely.box(0, 0, 4608, 3584)
    for number, thing in enumerate(case.truth):
        assert thing.geometry.is_valid
        assert image.contains(thing.geometry)
        assert not any(thing.geometry.intersects(o.geometry) for o in case.truth[:number])
    radii = [math.sqrt(thing.geometry.area / math.pi) for thing in pearls]
    assert 55 < min(radii) < 100
    assert 180 < max(radii) < 300
    # No ellipses: the outline leaves the best-fitting one.
    assert all(
        t.geometry.convex_hull.area < t.geometry.minimum_rotated_rectangle.area for t in pearls
    )


def test_truth_is_geojson_as_qupath_writes_it():
    text = json.loads((ROOT / CASES[0].truth_file).read_text(encoding="utf-8"))
    assert text["type"] == "FeatureCollection"
    for feature in text["features"]:
        ring = feature["geometry"]["coordinates"][0]
        assert ring[0] == ring[-1]
        assert feature["properties"]["objectType"] == "annotation"
        assert feature["properties"]["classification"]["name"] == "Pearl"


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_sessions_hold_zoom_pan_rotation_and_labels(case):
    session = open_session(ROOT / case.session_folder)
    assert session.closed
    assert session.accuracy() == (0.5, 0.3, False)
    zooms = {round(s.downsample, 2) for s in session.viewer_states}
    assert max(zooms) > 2.5 * min(zooms)
    assert any(abs(s.rotation_rad) > 0.3 for s in session.viewer_states)
    keys = [e for e in session.events if e.kind == "label"]
    assert {e.data["event"] for e in keys} == {case.reader.label_event}
    assert sum(bool(e.data["down"]) for e in keys) == case.tissue.pearls
    assert {s.image.name for s in session.viewer_states} == {Path(case.slide_file).name}
    assert {s.image.uris for s in session.viewer_states} == {()}
    assert session.header.started_utc == RECIPE["started_utc"]


def test_tracker_settings_are_the_frozen_ones():
    assert all(case.tracker == TrackerSettings() for case in CASES)
    assert {case.reader.label_event for case in CASES} == {"hold", "toggle"}


# -- made again --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_truth_comes_out_equal_everywhere(case, tmp_path):
    write_truth(tmp_path, case, plan_tissue(case.tissue))
    for name in (case.truth_file, case.lookalike_file):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_pixels_come_out_equal_everywhere_and_bytes_with_the_same_versions(tmp_path):
    case = CASES[1]  # one slide stands for all: each takes seconds
    rgb = render_tissue(plan_tissue(case.tissue))
    assert pixel_hash(rgb) == RECIPE["pixels_sha256"][case.slide_file]
    if SAME_VERSIONS:
        write_slide(tmp_path / "a.svs", rgb, pixel_size_um=0.5, quality=case.jpeg_quality)
        assert sha256(tmp_path / "a.svs") == RECIPE["files"][case.slide_file]["sha256"]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_sessions_come_out_equal_with_the_same_versions(case, tmp_path):
    folder = tmp_path / "a.qpgaze"
    write_session(folder, case, read_slide(case, plan_tissue(case.tissue)))
    made = open_session(folder)
    shipped = open_session(ROOT / case.session_folder)
    assert made.id == shipped.id
    if SAME_VERSIONS:
        for path in folder.iterdir():
            about = RECIPE["files"][f"{case.session_folder}/{path.name}"]
            assert sha256(path) == about["sha256"], path.name


def test_a_small_sample_is_built_and_loaded(tmp_path):
    source = small_recipe(tmp_path)
    steps = []
    report = build_sample(
        tmp_path / "one", recipe=source, progress=lambda *step: steps.append(step)
    )
    assert steps == [(0, 1), (1, 1)]
    assert not report.as_promised  # the recipe promised another, larger slide
    again = build_sample(tmp_path / "two", recipe=tmp_path / "one")
    assert again.as_promised
    assert again.bytes_differ == ()
    assert again.versions == {}
    (case,) = load_sample(tmp_path / "two")
    assert sum(thing.target for thing in case.truth) == 1
    assert case.pixel_size_um == 0.5


def test_other_versions_may_change_bytes_but_not_pixels(tmp_path):
    build_sample(tmp_path / "one", recipe=small_recipe(tmp_path))
    recipe = json.loads((tmp_path / "one" / "recipe.json").read_text(encoding="utf-8"))
    slide = next(iter(recipe["pixels_sha256"]))
    recipe["made_with"]["numpy"] = "0.1"
    recipe["files"][slide]["sha256"] = "other"
    (tmp_path / "one" / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    report = build_sample(tmp_path / "two", recipe=tmp_path / "one")
    assert report.versions["numpy"][0] == "0.1"
    assert report.bytes_differ == (slide,)
    assert report.as_promised
    recipe["pixels_sha256"][slide] = "other"
    (tmp_path / "one" / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    report = build_sample(tmp_path / "three", recipe=tmp_path / "one")
    assert report.pixels_differ == (slide,)
    assert not report.as_promised


def small_recipe(tmp_path: Path) -> Path:
    recipe = {**RECIPE, "cases": [json.loads(json.dumps(RECIPE["cases"][0]))]}
    recipe["cases"][0]["tissue"] = {
        "seed": 3,
        "width_px": 1024,
        "height_px": 768,
        "pieces": [[0.5, 0.5, 0.6]],
        "pearls": 1,
        "lookalikes": 1,
        "nests": 0,
        "pearl_radius_px": [60, 80],
    }
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    return folder


# -- wrong use ---------------------------------------------------------------------------------


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty"):
        build_sample(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_half_a_sample_is_removed(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qpgaze.workflows.sample_build.write_session", full)
    with pytest.raises(QpgazeError, match="No space"):
        build_sample(tmp_path / "out", recipe=small_recipe(tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(QpgazeError, match="could not be written"):
        build_sample(tmp_path / "file" / "out", recipe=small_recipe(tmp_path))


def test_a_stopped_build_leaves_nothing(tmp_path):
    def stop(_done, _total):
        raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        build_sample(tmp_path / "out", recipe=small_recipe(tmp_path), progress=stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_sample_is_reported(tmp_path):
    with pytest.raises(FormatError, match=r"recipe\.json"):
        load_sample(tmp_path)
    (tmp_path / "recipe.json").write_text('{"format": 2, "cases": []}', encoding="utf-8")
    with pytest.raises(FormatError, match="format 2"):
        load_sample(tmp_path)
    shutil.copyfile(ROOT / "recipe.json", tmp_path / "recipe.json")
    with pytest.raises(QpgazeError, match="lacks"):
        load_sample(tmp_path)
    recipe = json.loads(json.dumps(RECIPE))
    recipe["cases"][0]["patient"] = "../elsewhere"
    (tmp_path / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    with pytest.raises(FormatError, match="elsewhere"):
        load_sample(tmp_path)


def test_the_verb_says_what_it_made(tmp_path, monkeypatch):
    source = small_recipe(tmp_path)
    monkeypatch.setattr("qpgaze.workflows.sample_build.sample_dir", lambda: source)
    runner = CliRunner()
    first = runner.invoke(app, ["sample", "build", str(tmp_path / "one")])
    assert first.exit_code == 1
    assert "must not" in first.output
    monkeypatch.setattr("qpgaze.workflows.sample_build.sample_dir", lambda: tmp_path / "one")
    result = runner.invoke(app, ["sample", "build", str(tmp_path / "two"), "--json"])
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert answer["qpgaze"] == "sample build"
    assert answer["as_promised"] is True
    plain = runner.invoke(app, ["sample", "build", str(tmp_path / "three")])
    assert "equal to the byte" in plain.output
