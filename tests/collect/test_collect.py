"""Readers' copies come together: nothing is lost, nothing twice, nothing guessed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
import shapely

from qpgaze import keys
from qpgaze.bridge import open_project
from qpgaze.bridge.ledger import Ledger
from qpgaze.cli.app import run
from qpgaze.errors import ProjectError, UsageError
from qpgaze.workflows.collect import CollectReport, collect_projects

Copy = Callable[[Path, str], Path]
ONE, TWO, THREE = UUID(int=1, version=4), UUID(int=2, version=4), UUID(int=3, version=4)


def collect(*copies: Path, into: Path, **options: object) -> CollectReport:
    return collect_projects(copies, into, backend="embedded", **options)  # type: ignore[arg-type]


def first(report: CollectReport) -> dict[str, object]:
    """The numbers of the first image of the first copy that are not zero."""
    image = report.copies[0].images[0]
    counts = {k: getattr(image, k) for k in ("added", "changed", "same", "kept")}
    lists = ("conflicts", "decided", "gone_here", "gone_there", "left_out")
    return {k: v for k, v in counts.items() if v} | {
        k: len(getattr(image, k)) for k in lists if getattr(image, k)
    }


def test_an_unchanged_copy_brings_nothing(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "reader")
    before = people.tree(project), people.tree(copy)
    report = collect(copy, into=project)
    assert report.clean
    assert first(report) == {"same": 4}
    assert (people.tree(project), people.tree(copy)) == before


def test_what_a_reader_added_and_judged_comes_home(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    a, b = copy_of(project, "a"), copy_of(project, "b")
    people.write(a, add=[people.drawn(2)], change=[people.reviewed(people.label(1))])
    people.write(a, add=[people.drawn(5)], image="2")
    people.write(b, add=[people.drawn(3)], change=[people.reviewed(people.label(2), "rejected")])
    before = people.tree(a), people.tree(b)
    report = collect(a, b, into=project)
    assert report.clean
    assert first(report) == {"added": 1, "changed": 1, "same": 3}
    assert (people.tree(a), people.tree(b)) == before
    now = people.objects(project)
    assert len(now) == 6
    states = [now[people.label(n).id].metadata[keys.STATE] for n in (1, 2, 3)]
    assert states == ["accepted", "rejected", "proposed"]
    assert people.drawn(5).id in people.objects(project, "2")
    settled = people.tree(project)
    again = collect(b, a, into=project)
    assert again.clean
    assert people.tree(project) == settled


def test_a_refinement_in_a_copy_comes_with_its_record(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    better = people.label(1, geometry=shapely.box(9, 9, 20, 20))
    people.write(copy, change=[better], by_qpgaze=True)
    people.write(project, change=[people.reviewed(people.label(2))])
    report = collect(copy, into=project)
    assert first(report) == {"changed": 1, "same": 2, "kept": 1}
    now = people.objects(project)
    assert now[better.id].geometry.equals(better.geometry)
    standing = Ledger.open(project).compare(now.values(), entry="1")
    assert standing[better.id].value == "untouched"
    records = Ledger.open(project).records
    assert collect(copy, into=project).clean
    assert Ledger.open(project).records == records


def test_a_label_that_a_reader_renamed_or_described_is_taken(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    renamed = people.label(1, name="the large one")
    people.write(copy, change=[renamed, people.label(2, description="see margin", locked=True)])
    assert first(collect(copy, into=project)) == {"changed": 2, "same": 2}
    assert people.objects(project)[renamed.id].name == "the large one"


def test_what_was_collected_can_be_rolled_back_by_session(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.label(7), people.drawn(2)], by_qpgaze=True)
    assert first(collect(copy, into=project)) == {"added": 2, "same": 4}
    session = people.label(7).metadata[keys.SESSION]
    assert run(["project", "rollback", str(project), "--session", session]) == 0
    assert set(people.objects(project)) == {ONE, TWO}
    # What was taken back here on purpose does not come again with an unchanged copy.
    again = collect(copy, into=project)
    assert first(again) == {"same": 2, "gone_here": 4}


def test_what_both_changed_is_listed_and_left(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, change=[people.reviewed(people.label(1), "rejected")])
    people.write(project, change=[people.reviewed(people.label(1))])
    people.write(copy, change=[people.drawn(1, geometry=shapely.box(0, 0, 9, 9))])
    people.write(project, change=[people.drawn(1, geometry=shapely.box(0, 0, 8, 8))])
    before = people.tree(project)
    report = collect(copy, into=project)
    assert not report.clean
    assert first(report) == {"same": 2, "conflicts": 2}
    said = " ".join(told.why for told in report.copies[0].images[0].conflicts)
    assert "review state (accepted here, rejected in the copy)" in said
    assert "in shape" in said
    assert people.tree(project) == before
    decided = collect(copy, into=project, prefer="copy")
    assert decided.clean
    assert first(decided) == {"changed": 2, "same": 2, "decided": 2}
    assert people.objects(project)[people.label(1).id].metadata[keys.STATE] == "rejected"
    assert first(collect(copy, into=project)) == {"same": 4}


def test_nothing_is_deleted_and_nothing_deleted_comes_back(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, remove=[people.label(1).id], change=[people.reviewed(people.label(3))])
    people.write(project, remove=[people.label(2).id, people.label(3).id])
    report = collect(copy, into=project)
    assert first(report) == {"same": 1, "conflicts": 1, "gone_here": 1, "gone_there": 1}
    assert set(people.objects(project)) == {people.label(1).id, ONE}
    taken = collect(copy, into=project, prefer="copy")
    assert first(taken)["added"] == 1
    assert people.label(3).id in people.objects(project)
    assert people.label(2).id not in people.objects(project)


def test_nested_objects_keep_their_parents_where_these_are(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2), people.drawn(3, parent=TWO)])
    people.write(copy, add=[people.drawn(4, parent=people.label(1).id)])
    people.write(project, remove=[people.label(1).id])
    collect(copy, into=project)
    now = people.objects(project)
    assert now[THREE].parent == TWO
    assert now[UUID(int=4, version=4)].parent is None


def test_classes_are_appended(project: Path, copy_of: Copy) -> None:
    copy = copy_of(project, "a")
    for folder, classes in ((copy, {"Mitosis": 0x123456, "Both": 1}), (project, {"Both": 2})):
        with open_project(folder, mode="r+", backend="embedded") as opened:
            opened.add_classes(classes)
            opened.commit()
    report = collect(copy, into=project)
    assert report.copies[0].classes == ["Mitosis"]
    with open_project(project, backend="embedded") as opened:
        assert opened.classes["Mitosis"] == 0x123456
        assert opened.classes["Both"] == 2


def test_a_dry_run_says_the_same_and_writes_nothing(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)], change=[people.reviewed(people.label(1))])
    people.record_session(copy, "reader", UUID(int=9, version=4))
    before = people.tree(project)
    dry = collect(copy, into=project, dry_run=True)
    assert people.tree(project) == before
    wet = collect(copy, into=project)
    assert dry.copies == wet.copies
    assert people.tree(project) != before


def test_a_failed_write_leaves_the_project_as_it_was(
    project: Path, copy_of: Copy, people: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)])
    people.record_session(copy, "reader", UUID(int=9, version=4))
    before = people.tree(project)

    def fail(self: object) -> None:
        raise ProjectError("The disk is full.")

    from qpgaze.bridge.projects.folder import FolderProject

    monkeypatch.setattr(FolderProject, "commit", fail)
    with pytest.raises(ProjectError, match="disk is full"):
        collect(copy, into=project)
    assert people.tree(project) == before


def test_images_are_matched_by_id_and_image_never_by_id_alone(
    project: Path, copy_of: Copy, people: SimpleNamespace, tmp_path: Path
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)])
    file = copy / "project.qpproj"
    raw = json.loads(file.read_text("utf-8"))
    other = people.picture(tmp_path / "other" / "else.png", 7, (301, 200))
    raw["images"][0]["serverBuilder"]["uri"] = other.as_uri()
    raw["images"][0]["imageName"] = "else.png"
    raw["images"][0]["description"] = "seen twice"
    raw["images"][0]["tags"] = ["margin"]
    raw["images"][1]["entryID"] = 5
    file.write_text(json.dumps(raw), "utf-8")
    (copy / "data" / "2").rename(copy / "data" / "5")
    people.write(copy, add=[people.drawn(6)], image="5")
    report = collect(copy, into=project)
    assert report.copies[0].unmatched == [
        ("1", "else.png", "image 1 of the project is 'case 1.png'")
    ]
    assert [(one.entry, one.copy_entry) for one in report.copies[0].images] == [("2", "5")]
    assert TWO not in people.objects(project)
    assert people.drawn(6).id in people.objects(project, "2")
    added = collect(copy, into=project, add_images=True)
    assert added.clean
    assert [one.entry for one in added.copies[0].images if one.new] == ["3"]
    assert TWO in people.objects(project, "3")
    written = json.loads((project / "project.qpproj").read_text("utf-8"))
    assert written["images"][2]["description"] == "seen twice"
    assert written["images"][2]["tags"] == ["margin"]
    settled = people.tree(project)
    again = collect(copy, into=project, add_images=True)
    assert not any(one.new for one in again.copies[0].images)
    assert people.tree(project) == settled


def test_copies_on_other_computers_are_known_by_name_and_size(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)])
    file = copy / "project.qpproj"
    text = file.read_text("utf-8")
    for image in json.loads(text)["images"]:
        uri = image["serverBuilder"]["uri"]
        text = text.replace(uri, f"file:/D:/dias/{uri.rsplit('/', 1)[1]}")
    file.write_text(text, "utf-8")
    assert collect(copy, into=project).clean
    assert TWO in people.objects(project)


def test_a_damaged_image_is_told_and_the_rest_collected(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)], image="2")
    data = copy / "data" / "1" / "data.qpdata"
    data.write_bytes(data.read_bytes()[:300])
    report = collect(copy, into=project)
    assert not report.clean
    assert report.copies[0].images[0].problem
    assert TWO in people.objects(project, "2")


def test_what_cannot_be_carried_over_is_told(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    by_position = people.drawn(2, id=UUID(int=2, version=5))
    people.write(copy, add=[by_position, people.drawn(3)])
    report = collect(copy, into=project)
    assert first(report) == {"added": 1, "same": 4, "left_out": 1}
    assert "no lasting id" in report.copies[0].images[0].left_out[0].why


def test_wrong_use_is_said(project: Path, copy_of: Copy) -> None:
    copy = copy_of(project, "a")
    with pytest.raises(UsageError, match="none was named"):
        collect(into=project)
    for copies in ((project,), (copy, copy / "project.qpproj")):
        with pytest.raises(UsageError, match="named twice"):
            collect(*copies, into=project)


def test_the_verb(
    project: Path,
    copy_of: Copy,
    people: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)])
    moved = dataclasses.replace(people.drawn(1), geometry=shapely.box(0, 0, 9, 9))
    people.write(copy, change=[moved])
    people.write(project, change=[people.drawn(1, class_name="Stroma")])
    words = ["project", "collect", str(copy), "--into", str(project)]
    assert run([*words, "--dry-run", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["copies"][0]["images"][0]["conflicts"][0]["id"] == str(ONE)
    assert run(words) == 1
    out = capsys.readouterr().out
    assert "Conflict: Tumor in image 1: changed on both sides, in class" in " ".join(out.split())
    assert run([*words, "--prefer", "here"]) == 0
    shutil.rmtree(copy)
    assert run(words) == 2
