"""What readers wrote about images besides drawing: taken, kept, or told, never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qpgaze.bridge import open_project
from qpgaze.cli.app import run
from qpgaze.workflows.collect import CollectedImage, collect_projects

Copy = Callable[[Path, str], Path]


def collect(copy: Path, into: Path, **options: object) -> CollectedImage:
    report = collect_projects([copy], into, backend="embedded", **options)  # type: ignore[arg-type]
    return report.copies[0].images[0]


def say(project: Path, *words: str, image: str = "1") -> None:
    assert run(["project", "set", str(project), image, "--backend", "embedded", *words]) == 0


def say_in_qupath(project: Path, **fields: object) -> None:
    """Change the project file as QuPath does, which keeps no account of it."""
    file = project / "project.qpproj"
    raw = json.loads(file.read_text("utf-8"))
    raw["images"][0].update(fields)
    file.write_text(json.dumps(raw), "utf-8")


def said(project: Path) -> tuple[dict[str, str], str | None, tuple[str, ...], str | None]:
    with open_project(project, backend="embedded") as opened:
        entry = opened.entry("1")
        return dict(entry.metadata), entry.description, entry.tags, entry.image_type


def test_what_one_side_says_is_taken(project: Path, copy_of: Copy) -> None:
    copy = copy_of(project, "a")
    say(copy, "--meta", "stain=HE", "--description", "margin", "--tag", "done", "--type", "h-dab")
    say(project, "--patient", "P1", "--tag", "first")
    image = collect(copy, project)
    assert not image.field_conflicts
    assert image.fields == [
        "stain = HE",
        "description = margin",
        "image type = BRIGHTFIELD_H_DAB",
        "tag done",
    ]
    metadata, description, tags, image_type = said(project)
    assert metadata == {"patient": "P1", "stain": "HE"}
    assert (description, tags, image_type) == ("margin", ("first", "done"), "BRIGHTFIELD_H_DAB")
    assert collect(copy, project).fields == []


def test_what_both_say_differently_is_told_and_left(
    project: Path, copy_of: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = copy_of(project, "a")
    say(copy, "--patient", "P2", "--type", "fluorescence")
    say(project, "--patient", "P1", "--type", "other")
    before = (project / "project.qpproj").read_bytes()
    image = collect(copy, project)
    assert [(one.name, one.why) for one in image.field_conflicts] == [
        ("patient", "'P1' here, 'P2' in the copy"),
        ("image type", "'OTHER' here, 'FLUORESCENCE' in the copy"),
    ]
    assert (project / "project.qpproj").read_bytes() == before
    capsys.readouterr()
    assert run(["project", "collect", str(copy), "--into", str(project)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "Conflict: patient of image 1: 'P1' here, 'P2' in the copy." in out
    assert len(collect(copy, project, prefer="copy").decided) == 2
    assert said(project)[0] == {"patient": "P2"}
    assert said(project)[3] == "FLUORESCENCE"


def test_without_a_common_version_a_difference_is_a_conflict(project: Path, copy_of: Copy) -> None:
    say_in_qupath(project, metadata={"patient": "P1"}, description="seen")
    copy = copy_of(project, "a")
    say_in_qupath(copy, metadata={"patient": "P2", "site": "tongue"})
    say_in_qupath(project, imageName="renamed")
    image = collect(copy, project)
    assert [one.name for one in image.field_conflicts] == ["patient"]
    assert image.fields == ["site = tongue"]


def test_with_one_who_changed_it_is_known(project: Path, copy_of: Copy) -> None:
    say(project, "--patient", "P1", "--meta", "site=tongue", "--tag", "a", "--tag", "b")
    copy = copy_of(project, "a")
    say_in_qupath(copy, metadata={"patient": "P2"}, tags=["a", "b", "c"])
    say(project, "--tag", "b")
    image = collect(copy, project)
    assert image.fields == ["patient = P2", "tag c"]
    assert [(one.name, one.why) for one in image.gone_there] == [("site", "taken away in the copy")]
    metadata, _, tags, _ = said(project)
    assert metadata == {"patient": "P2", "site": "tongue"}
    assert tags == ("b", "c")  # "a" was taken away here and does not come back


def test_a_class_with_another_colour_is_told(project: Path, copy_of: Copy) -> None:
    copy = copy_of(project, "a")
    file = copy / "classifiers" / "classes.json"
    raw = json.loads(file.read_text("utf-8"))
    raw["pathClasses"][0]["color"] = 0x010203
    file.write_text(json.dumps(raw), "utf-8")
    report = collect_projects([copy], project, backend="embedded")
    assert report.clean
    assert "'Pearl' has another colour in the copy (#010203)" in report.copies[0].notes[0]
