"""From a session into a project: what is written, and that doing it again changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from qpgaze import keys
from qpgaze.bridge import open_project
from qpgaze.bridge.ledger import Ledger
from qpgaze.errors import CoverageError, EntryError
from qpgaze.workflows import annotate_project

PLACES = ((300.0, 220.0), (900.0, 250.0), (620.0, 640.0), (240.0, 700.0))


def objects_of(project: Path):
    with open_project(project, backend="embedded") as opened:
        return {o.name: o for o in opened.entries[0].objects()}


def test_each_label_becomes_one_object_where_the_reader_looked(small) -> None:
    report = annotate_project(small.session, small.project)
    made = objects_of(small.project)
    assert set(made) == {"Pearl 1", "Stroma 2"}
    assert (report.labels, report.images[0].added) == (2, 2)
    for name, place in (("Pearl 1", PLACES[0]), ("Stroma 2", PLACES[1])):
        made_here = made[name]
        centre = made_here.geometry.centroid
        assert np.hypot(centre.x - place[0], centre.y - place[1]) < 4
        assert made_here.kind == "annotation"
        assert made_here.class_name == name.split()[0]
        assert made_here.measurements[keys.DWELL_MS] > 400
        assert made_here.measurements[keys.DOWNSAMPLE] == 1.0
        assert made_here.metadata[keys.STATE] == keys.ReviewState.PROPOSED.value
        assert made_here.metadata[keys.READER] == "reader1"
    assert made["Pearl 1"].metadata[keys.EVENT] == "mark"
    assert made["Stroma 2"].metadata[keys.EVENT] == "hold"


def test_the_undone_label_leaves_no_object_and_no_class(small) -> None:
    annotate_project(small.session, small.project)
    listed = json.loads(
        (small.project / "classifiers" / "classes.json").read_text(encoding="utf-8")
    )
    assert [c["name"] for c in listed["pathClasses"]] == ["Pearl", "Stroma"]


def test_doing_it_twice_adds_nothing_and_changes_no_byte(small, contents) -> None:
    annotate_project(small.session, small.project)
    before = contents(small.project)
    again = annotate_project(small.session, small.project)
    assert (again.images[0].added, again.images[0].there) == (0, 2)
    assert contents(small.project) == before


def test_fixations_can_be_drawn_besides_and_take_other_ids(small) -> None:
    annotate_project(small.session, small.project)
    report = annotate_project(small.session, small.project, fixations=True)
    made = objects_of(small.project)
    drawn = [o for o in made.values() if o.class_name == keys.FIXATION_CLASS]
    assert report.images[0].there == 2
    assert len(drawn) == report.images[0].added == report.fixations
    assert all(o.is_ellipse for o in drawn)
    found = {min(range(4), key=lambda n: _distance(o, PLACES[n])) for o in drawn}
    assert found == {0, 1, 2, 3}


def _distance(item, place) -> float:
    centre = item.geometry.centroid
    return float(np.hypot(centre.x - place[0], centre.y - place[1]))


def test_what_was_deleted_stays_away_until_it_is_asked_for(small) -> None:
    annotate_project(small.session, small.project)
    gone = objects_of(small.project)["Pearl 1"]
    with open_project(small.project, mode="r+", backend="embedded") as opened:
        opened.entries[0].remove([gone.id])
        opened.commit()
    report = annotate_project(small.session, small.project)
    assert report.images[0].missing == [str(gone.id)]
    assert set(objects_of(small.project)) == {"Stroma 2"}
    report = annotate_project(small.session, small.project, put_back=True)
    assert (report.images[0].put_back, report.images[0].missing) == (1, [])
    back = objects_of(small.project)["Pearl 1"]
    assert back.id == gone.id
    assert back.geometry.symmetric_difference(gone.geometry).area < 1e-3
    after = annotate_project(small.session, small.project)
    assert (after.images[0].there, after.images[0].missing) == (2, [])


@pytest.mark.parametrize("what", ["shape", "class", "state"])
def test_what_a_person_changed_is_left_alone(small, what: str) -> None:
    annotate_project(small.session, small.project)
    ours = objects_of(small.project)["Pearl 1"]
    changes = {
        "shape": {"geometry": shapely.affinity.translate(ours.geometry, 30, 0)},
        "class": {"class_name": "Stroma"},
        "state": {"metadata": {**ours.metadata, keys.STATE: keys.ReviewState.REJECTED.value}},
    }[what]
    with open_project(small.project, mode="r+", backend="embedded") as opened:
        opened.entries[0].replace([replace(ours, **changes)])
        opened.commit()
    report = annotate_project(small.session, small.project, put_back=True)
    assert (report.images[0].reviewed, report.images[0].there) == (1, 1)
    now = objects_of(small.project)["Pearl 1"]
    assert now.class_name == changes.get("class_name", "Pearl")
    assert now.metadata == changes.get("metadata", ours.metadata)
    if what == "shape":
        assert now.geometry.centroid.x - ours.geometry.centroid.x == pytest.approx(30, abs=0.01)


def test_a_person_may_rename_colour_lock_or_describe_without_that_being_a_review(small) -> None:
    annotate_project(small.session, small.project)
    ours = objects_of(small.project)["Pearl 1"]
    noted = replace(ours, description="seen", locked=True, color=0x112233)
    with open_project(small.project, mode="r+", backend="embedded") as opened:
        opened.entries[0].replace([noted])
        opened.commit()
    assert annotate_project(small.session, small.project).images[0].there == 2


def test_objects_written_before_a_power_cut_are_known_again(small) -> None:
    annotate_project(small.session, small.project)
    ledger = Ledger.open(small.project)
    ledger.path.unlink()
    again = annotate_project(small.session, small.project)
    assert (again.images[0].added, again.images[0].there) == (0, 2)
    assert len(Ledger.open(small.project).records) == 2


def test_two_sessions_on_one_image_stand_side_by_side(small, writing) -> None:
    from uuid import UUID

    annotate_project(small.session, small.project)
    second = writing.session(
        small.session.with_name("second.qpgaze"),
        states=writing.states(small.picture),
        gaze=writing.gaze(),
        events=writing.events(),
        id=UUID(int=7),
        pseudonym="reader2",
    )
    assert annotate_project(second, small.project).images[0].added == 2
    with open_project(small.project, backend="embedded") as opened:
        readers = [o.metadata[keys.READER] for o in opened.entries[0].objects()]
    assert sorted(readers) == ["reader1", "reader1", "reader2", "reader2"]


def test_a_session_that_was_cut_still_gives_its_labels_and_says_so(small, writing, cli) -> None:
    cut = writing.session(
        small.folder / "cut.qpgaze",
        states=writing.states(small.picture),
        gaze=writing.gaze(),
        events=writing.events(),
        close=False,
    )
    said = cli("annotate", cut, small.project)
    assert said.status == 0
    assert "not closed" in said.out
    assert len(objects_of(small.project)) == 2


def test_the_image_can_be_named_where_the_session_cannot_tell(small, writing) -> None:
    elsewhere = writing.session(
        small.folder / "other.qpgaze",
        states=writing.states(Path("renamed.png")),
        gaze=writing.gaze(),
        events=writing.events(),
    )
    with pytest.raises(EntryError, match=r"renamed\.png"):
        annotate_project(elsewhere, small.project)
    report = annotate_project(elsewhere, small.project, image="1")
    assert report.images[0].added == 2


def test_a_session_for_a_picture_of_another_size_is_refused_even_when_named(small, writing) -> None:
    other = writing.session(
        small.folder / "other.qpgaze",
        states=writing.states(small.picture, width=2400, height=1800),
        gaze=writing.gaze(),
        events=writing.events(),
    )
    for image in (None, "1"):
        with pytest.raises(CoverageError, match="another image"):
            annotate_project(other, small.project, image=image)


def test_the_verb_says_what_it_did_in_words_and_as_json(small, cli) -> None:
    said = cli("annotate", small.session, small.project)
    assert said.status == 0
    assert "2 labels" in said.out
    assert "slide 1.png" in said.out
    said = cli("annotate", small.session, small.project, "--json")
    report = json.loads(said.out)
    assert (report["qpgaze"], report["version"]) == ("annotate", 1)
    assert report["images"][0]["there"] == 2
    assert said.err == ""
