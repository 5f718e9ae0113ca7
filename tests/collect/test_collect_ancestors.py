"""What a drawing was before: told by versions that a project and its copy both had, or not told."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
import shapely

from qpgaze import keys
from qpgaze.bridge.account import verify_project
from qpgaze.bridge.account_log import log_project
from qpgaze.bridge.ancestor import last_common_version
from qpgaze.bridge.ledger import Ledger
from qpgaze.cli.app import run
from qpgaze.workflows.collect import CollectedImage, collect_projects

Copy = Callable[[Path, str], Path]
ONE, TWO = UUID(int=1, version=4), UUID(int=2, version=4)
DATA = "data/1/data.qpdata"
KEPT = "data/1/data_qpdata"


def collect(*copies: Path, into: Path, **options: object) -> CollectedImage:
    """Collect, and return what became of the first image of the last copy."""
    report = collect_projects(copies, into, backend="embedded", **options)  # type: ignore[arg-type]
    return report.copies[-1].images[0]


def counts(image: CollectedImage) -> dict[str, int]:
    numbers = {k: getattr(image, k) for k in ("added", "changed", "removed", "same", "kept")}
    lists = ("conflicts", "decided", "gone_here", "gone_there")
    return {k: v for k, v in numbers.items() if v} | {
        k: len(getattr(image, k)) for k in lists if getattr(image, k)
    }


def moved(people: SimpleNamespace, size: float = 9.0, **changes: object) -> object:
    return people.drawn(1, geometry=shapely.box(0, 0, size, size), **changes)


def test_a_drawing_that_one_side_moved_in_qupath_is_taken_or_kept(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, change=[moved(people)], in_qupath=True)
    assert counts(collect(copy, into=project, dry_run=True)) == {"changed": 1, "same": 3}
    other = copy_of(project, "b")
    people.write(project, change=[moved(people)], in_qupath=True)
    # The project's file as it was is nowhere any more but in that copy.
    assert counts(collect(other, into=project)) == {"kept": 1, "same": 3}
    assert people.objects(project)[ONE].geometry.area == 81


def test_a_drawing_that_both_moved_in_qupath_is_a_conflict(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, change=[moved(people)], in_qupath=True)
    people.write(project, change=[moved(people, 8)], in_qupath=True)
    # The last version that both had lies nowhere any more; the one before had no drawing.
    image = collect(copy, into=project)
    assert counts(image) == {"conflicts": 1, "same": 3}
    assert "no record of what it was before" in image.conflicts[0].why


def test_the_state_after_a_collection_is_kept_and_tells_who_changed_what(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    first = copy_of(project, "a")
    people.write(first, add=[people.drawn(2)], in_qupath=True)
    collect(first, into=project)
    fresh = copy_of(project, "b")
    people.write(fresh, change=[moved(people)], in_qupath=True)
    people.write(project, change=[people.drawn(2, class_name="Stroma")], in_qupath=True)
    assert counts(collect(fresh, into=project)) == {"changed": 1, "kept": 1, "same": 3}
    now = people.objects(project)
    assert (now[ONE].geometry.area, now[TWO].class_name) == (81, "Stroma")


def test_measurements_and_texts_count_where_the_file_is_known(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    """The ledger does not tell of them; the version that both had does."""
    copy = copy_of(project, "a")
    measured = people.label(1, measurements={"Nucleus: Area": 12.5})
    told = people.label(2)
    told = dataclasses.replace(told, metadata={**told.metadata, "seen by": "A."})
    people.write(copy, change=[measured, told], in_qupath=True)
    assert counts(collect(copy, into=project)) == {"changed": 2, "same": 2}
    assert people.objects(project)[measured.id].measurements == {"Nucleus: Area": 12.5}


def test_a_review_before_the_copy_was_made_is_no_change_of_either_side(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    people.write(project, change=[people.reviewed(people.label(1))])
    copy = copy_of(project, "a")
    people.write(copy, change=[people.reviewed(people.label(1), "rejected")], in_qupath=True)
    assert counts(collect(copy, into=project)) == {"changed": 1, "same": 3}
    assert people.objects(project)[people.label(1).id].metadata[keys.STATE] == "rejected"


def test_a_deletion_counts_only_where_it_is_proved_and_wanted(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy, early = copy_of(project, "a"), copy_of(project, "early")
    gone = [people.label(1).id, people.label(2).id, ONE]
    people.write(copy, remove=gone, in_qupath=True)
    people.write(project, change=[people.reviewed(people.label(2))], add=[people.drawn(4)])
    assert counts(collect(copy, into=project)) == {"same": 1, "gone_there": 3}
    assert len(people.objects(project)) == 5
    taken = collect(copy, into=project, take_deletions=True)
    assert counts(taken) == {"removed": 2, "same": 1, "conflicts": 1}
    assert taken.conflicts[0].why == "deleted in the copy, changed here"
    assert set(people.objects(project)) == {
        people.label(2).id,
        people.label(3).id,
        UUID(int=4, version=4),
    }
    # Who still has them does not bring them back, and nobody calls them lost.
    assert counts(collect(early, into=project)) == {"kept": 1, "same": 1, "gone_here": 2}
    assert verify_project(project, backend="embedded").problems == []
    all_the_same = collect(copy, into=project, take_deletions=True, prefer="copy")
    assert counts(all_the_same) == {"removed": 1, "same": 1, "decided": 1}


def test_what_only_one_copy_ever_had_is_no_deletion_of_another(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    a, b = copy_of(project, "a"), copy_of(project, "b")
    people.write(a, add=[people.drawn(2)], in_qupath=True)
    people.write(b, add=[people.drawn(3)], in_qupath=True)
    collect(a, into=project)
    assert counts(collect(b, into=project, take_deletions=True)) == {"added": 1, "same": 4}
    assert TWO in people.objects(project)


def test_a_drawing_that_was_collected_and_deleted_stays_deleted(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)], in_qupath=True)
    people.write(project, add=[people.drawn(3)], in_qupath=True)
    collect(copy, into=project)
    people.write(project, remove=[TWO], in_qupath=True)
    assert counts(collect(copy, into=project)) == {"same": 4, "gone_here": 1}
    people.write(copy, change=[people.drawn(2, class_name="Stroma")], in_qupath=True)
    assert counts(collect(copy, into=project)) == {"same": 4, "conflicts": 1}
    assert TWO not in people.objects(project)


def test_a_drawing_that_a_reader_goes_on_with_is_told_with_its_date(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    """Another reader's copy may lie in the same place: nobody can tell whose change it is."""
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)], in_qupath=True)
    people.write(project, add=[people.drawn(3)], in_qupath=True)
    collect(copy, into=project)
    people.write(copy, change=[people.drawn(2, class_name="Stroma")], in_qupath=True)
    image = collect(copy, into=project)
    assert counts(image) == {"same": 4, "conflicts": 1}
    assert image.conflicts[0].why.startswith(
        "differs in class; here it is as it was collected on 2"
    )
    assert counts(collect(copy, into=project, prefer="copy")) == {
        "changed": 1,
        "decided": 1,
        "same": 4,
    }


def test_a_persons_copy_of_a_label_comes_home_as_the_persons(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    double = people.label(1, id=TWO)  # as QuPath's "duplicate" makes one
    people.write(copy, add=[double], in_qupath=True)
    assert counts(collect(copy, into=project)) == {"added": 1, "same": 4}
    standing = Ledger.open(project).compare(people.objects(project).values(), entry="1")
    assert standing[TWO].value == "untouched"
    session = double.metadata[keys.SESSION]
    assert run(["project", "rollback", str(project), "--session", session]) == 0
    assert set(people.objects(project)) == {ONE, TWO}


def test_the_log_tells_of_a_collection(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2), people.label(7)], by_qpgaze=True)
    collect(copy, into=project)
    last = log_project(project)[-1]
    assert (last.op, last.entry, last.count) == ("collect", "1", 2)
    assert last.classes == {"Tumor": 1, "Pearl": 1}


def test_the_youngest_version_that_both_had_is_found(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    at_parting = (project / DATA).read_bytes()
    copy = copy_of(project, "a")
    assert last_common_version(project / DATA, copy / DATA) == at_parting
    people.write(copy, add=[people.drawn(2)])
    people.write(project, add=[people.drawn(3)])
    assert last_common_version(project / DATA, copy / DATA) == at_parting
    # A person puts an older version back on one side: the parting stays where it was.
    oldest = min((project / "qpgaze" / "snapshots" / KEPT).iterdir())
    shutil.copyfile(oldest, project / DATA)
    assert last_common_version(project / DATA, copy / DATA) == at_parting
    for place in (project, copy):
        shutil.rmtree(place / "qpgaze" / "snapshots")
        (place / "data" / "1" / "data.qpdata.bkp").unlink()
    for place in (project, copy):
        people.write(place, add=[people.drawn(4)], in_qupath=True)
    assert last_common_version(project / DATA, copy / DATA) is None


def test_a_version_that_is_damaged_or_leads_outside_is_none(
    project: Path, copy_of: Copy, people: SimpleNamespace, tmp_path: Path
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)])
    people.write(project, add=[people.drawn(3)])
    for place in (project, copy):
        for file in (place / "qpgaze" / "snapshots" / KEPT).iterdir():
            file.write_bytes(b"torn")
        kept = place / "data" / "1" / "data.qpdata.bkp"
        outside = tmp_path / f"{place.name}.bin"
        kept.replace(outside)
        try:
            kept.symlink_to(outside)
        except OSError:
            pytest.skip("no links on this system")
    assert last_common_version(project / DATA, copy / DATA) is None
