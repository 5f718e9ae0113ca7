"""The demo: what it finds, and what it leaves in its folder."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from qpgaze import keys
from qpgaze.bridge import open_project
from qpgaze.bridge.ledger import Ledger, Standing
from qpgaze.refine import DEFAULT_METHOD
from qpgaze.workflows.demo import BASELINE, run_demo


def test_the_default_finds_what_the_readers_labelled(demo_run) -> None:
    scores = demo_run.scores
    assert set(scores) == {keys.METHOD_DISCS, BASELINE, DEFAULT_METHOD}
    assert scores[DEFAULT_METHOD].f1 >= 0.95
    assert scores[DEFAULT_METHOD].f1 > scores[keys.METHOD_DISCS].f1
    assert scores[DEFAULT_METHOD].f1 > scores[BASELINE].f1
    truth = {score.found + score.missed for score in scores.values()}
    assert len(truth) == 1, "every method is held to the same objects"
    assert demo_run.labels == truth.pop()
    assert 1 < demo_run.seconds_per_label < 30


def test_the_project_holds_a_refined_object_for_every_label(demo_run) -> None:
    ledger = Ledger.open(demo_run.project)
    found = 0
    with open_project(demo_run.project, backend="embedded") as project:
        assert len(project.entries) == 3
        assert len({entry.metadata[keys.PATIENT] for entry in project.entries}) == 3
        for entry in project.entries:
            assert entry.image_path().is_file()
            objects = entry.objects()
            assert {o.metadata[keys.METHOD] for o in objects} == {DEFAULT_METHOD}
            standing = ledger.compare(objects, entry=entry.id)
            assert set(standing.values()) == {Standing.UNTOUCHED}
            found += len(objects)
        assert {o.class_name for e in project.entries for o in e.objects()} <= set(project.classes)
    assert found == demo_run.labels


def test_the_data_set_holds_a_patient_in_each_part(demo_run) -> None:
    tiles = 0
    for part in ("train", "valid", "test"):
        listed = json.loads(
            (demo_run.coco / part / "_annotations.coco.json").read_text(encoding="utf-8")
        )
        assert listed["images"], part
        assert listed["annotations"], part
        for image in listed["images"]:
            assert (demo_run.coco / part / image["file_name"]).is_file()
        tiles += len(listed["images"])
    assert tiles == demo_run.tiles


def test_the_picture_is_a_picture(demo_run) -> None:
    with Image.open(demo_run.picture) as picture:
        assert min(picture.size) >= 600
        colours = picture.convert("RGB").resize((64, 64)).getcolors(64 * 64)
    assert colours is not None
    assert len(colours) > 200


def test_the_folder_can_be_moved_as_a_whole(demo_run) -> None:
    here = demo_run.project.parent.parent
    moved = here.rename(here.with_name("moved"))
    try:
        with open_project(moved / "project", backend="embedded") as project:
            for entry in project.entries:
                assert entry.image_path().resolve().is_relative_to(moved.resolve())
    finally:
        moved.rename(here)


def test_the_report_as_json_has_what_the_readme_promises(demo_run) -> None:
    report = demo_run.to_json()
    assert report["methods"]["mariam2022"]["f1"] == demo_run.scores["mariam2022"].f1
    assert {"project", "coco", "picture", "labels", "seconds_per_label"} <= set(report)
    json.dumps(report)


def test_the_table_fits_a_terminal(demo_run, capsys, monkeypatch) -> None:
    from qpgaze.cli.demo import _show

    monkeypatch.setenv("COLUMNS", "80")
    _show(demo_run)
    said = capsys.readouterr().out
    for name, score in demo_run.scores.items():
        row = next(line for line in said.splitlines() if line.startswith(name))
        assert f"{score.f1:.2f}" in row
        assert len(row) <= 80
    assert str(demo_run.picture) in said


def test_it_overwrites_nothing(tmp_path, refused) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert "not empty" in refused("demo", tmp_path)
    assert "mine.txt" in refused("demo", tmp_path / "mine.txt")


@pytest.mark.parametrize("there_before", [False, True])
def test_ctrl_c_leaves_nothing_behind(there_before, tmp_path, cli, monkeypatch) -> None:
    out = tmp_path / "out"
    if there_before:
        out.mkdir()

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    # After slides and project were made.
    monkeypatch.setattr("qpgaze.workflows.demo.record", stop)
    said = cli("demo", out)
    assert said.status == 130
    assert "stopped" in said.err
    assert out.exists() == there_before
    assert not there_before or not list(out.iterdir())


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    import errno

    from qpgaze.errors import ProjectError

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "patient-a.svs")

    monkeypatch.setattr("qpgaze.workflows.demo.shutil.copyfile", full)
    with pytest.raises(ProjectError, match="No space left on device"):
        run_demo(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []
