"""Better shapes in place: what is replaced, what is left alone, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import shapely

from qpgaze import keys
from qpgaze.bridge import open_project
from qpgaze.bridge.rollback import rollback_session
from qpgaze.errors import CoverageError, RefineError, SessionError, SlideError
from qpgaze.refine import DEFAULT_METHOD
from qpgaze.workflows import annotate_project, refine_project


def objects_of(project):
    with open_project(project, backend="embedded") as opened:
        return {o.name: o for o in opened.entries[0].objects()}


@pytest.fixture
def annotated(small):
    annotate_project(small.session, small.project)
    return small


def test_shapes_are_replaced_in_place_and_everything_else_stays(annotated) -> None:
    before = objects_of(annotated.project)
    report = refine_project(annotated.project)
    after = objects_of(annotated.project)
    assert report.images[0].refined == 2
    assert [o.id for o in after.values()] == [o.id for o in before.values()]
    for name, now in after.items():
        was = before[name]
        assert now.metadata[keys.METHOD] == DEFAULT_METHOD
        assert not now.geometry.equals_exact(was.geometry, 0.5)
        assert now.geometry.intersects(was.geometry)
        assert (now.class_name, now.color, now.locked) == (was.class_name, was.color, was.locked)
        kept = {k: v for k, v in was.metadata.items() if k not in _ABOUT_SHAPE}
        assert {k: v for k, v in now.metadata.items() if k not in _ABOUT_SHAPE} == kept
        assert was.measurements.items() <= now.measurements.items()


_ABOUT_SHAPE = {keys.METHOD, keys.PARAMETERS, keys.VERSION}


def test_doing_it_twice_changes_no_byte(annotated, contents) -> None:
    refine_project(annotated.project)
    before = contents(annotated.project)
    again = refine_project(annotated.project)
    assert (again.images[0].refined, again.images[0].same) == (0, 2)
    assert contents(annotated.project) == before


def test_our_own_refinement_is_no_person(annotated) -> None:
    refine_project(annotated.project)
    report = annotate_project(annotated.session, annotated.project)
    assert (report.images[0].there, report.images[0].reviewed) == (2, 0)
    other = refine_project(annotated.project, method="mariam2022")
    assert other.images[0].reviewed == 0
    assert other.images[0].refined + other.images[0].without == 2
    back = refine_project(annotated.project)
    assert back.images[0].reviewed == 0


@pytest.mark.parametrize("after_refine", [False, True])
@pytest.mark.parametrize("what", ["shape", "class", "state"])
def test_what_a_person_changed_is_left_alone(annotated, what: str, after_refine: bool) -> None:
    if after_refine:
        refine_project(annotated.project)
    ours = objects_of(annotated.project)["Pearl 1"]
    changes = {
        "shape": {"geometry": shapely.affinity.scale(ours.geometry, 1.2, 0.9)},
        "class": {"class_name": "Stroma"},
        "state": {"metadata": {**ours.metadata, keys.STATE: keys.ReviewState.ACCEPTED.value}},
    }[what]
    changed = replace(ours, **changes)
    with open_project(annotated.project, mode="r+", backend="embedded") as opened:
        opened.entries[0].replace([changed])
        opened.commit()
    report = refine_project(annotated.project, method=DEFAULT_METHOD)
    assert report.images[0].reviewed == 1
    now = objects_of(annotated.project)["Pearl 1"]
    assert now.geometry.equals_exact(changed.geometry, 0.01)
    assert now.class_name == changed.class_name
    assert now.metadata == changed.metadata


def test_what_a_person_named_is_still_the_person_s_after_a_refinement(annotated) -> None:
    for round_ in ("first", "second"):
        with open_project(annotated.project, mode="r+", backend="embedded") as opened:
            (one,) = [o for o in opened.entries[0].objects() if o.name in ("Pearl 1", "ask Eva")]
            if round_ == "first":
                opened.entries[0].replace([replace(one, name="ask Eva")])
                opened.commit()
        method = DEFAULT_METHOD if round_ == "first" else "mariam2022"
        assert refine_project(annotated.project, method=method).images[0].reviewed == 0
    (session,) = {o.metadata[keys.SESSION] for o in objects_of(annotated.project).values()}
    report = rollback_session(annotated.project, session)
    assert report.images[0].left == ["ask Eva"]
    assert list(objects_of(annotated.project)) == ["ask Eva"]


def test_a_person_s_own_objects_are_not_touched(annotated) -> None:
    from uuid import UUID

    ours = objects_of(annotated.project)["Pearl 1"]
    copied = replace(ours, id=UUID(int=5), name="a copy that a person made")
    drawn = replace(ours, id=UUID(int=6), name="drawn", metadata={}, measurements={})
    with open_project(annotated.project, mode="r+", backend="embedded") as opened:
        opened.entries[0].add([copied, drawn])
        opened.commit()
    report = refine_project(annotated.project)
    assert report.images[0].refined == 2
    after = objects_of(annotated.project)
    for item in (copied, drawn):
        assert after[item.name].geometry.equals_exact(item.geometry, 0.01)
        assert after[item.name].metadata == dict(item.metadata)


def test_a_project_without_gaze_labels_is_refused(small) -> None:
    with pytest.raises(RefineError, match="no gaze labels"):
        refine_project(small.project)


def test_single_fixations_are_no_labels(small) -> None:
    (small.session / "events.jsonl").write_bytes(b"")
    (small.session / "manifest.json").unlink()
    annotate_project(small.session, small.project)
    with pytest.raises(RefineError, match="fixation"):
        refine_project(small.project)


def test_a_session_elsewhere_is_asked_for_and_found(annotated, tmp_path, contents) -> None:
    away = tmp_path / "away"
    shutil.move(annotated.session, away / "reading.qpgaze")
    before = contents(annotated.project)
    with pytest.raises(SessionError, match="--sessions"):
        refine_project(annotated.project)
    assert contents(annotated.project) == before
    for place in (away, away / "reading.qpgaze"):
        assert refine_project(annotated.project, sessions=[place]).images[0].reviewed == 0


def test_a_sessions_folder_that_is_not_there_is_named(annotated) -> None:
    with pytest.raises(SessionError, match="nowhere"):
        refine_project(annotated.project, sessions=[annotated.folder / "nowhere"])


def test_a_slide_that_moved_is_named_and_nothing_changes(annotated, contents) -> None:
    annotated.picture.rename(annotated.picture.with_name("moved.png"))
    before = contents(annotated.project)
    with pytest.raises(SlideError, match=r"slide 1\.png"):
        refine_project(annotated.project)
    assert contents(annotated.project) == before


def test_a_slide_that_was_replaced_by_another_is_refused(annotated, contents) -> None:
    from PIL import Image

    Image.new("RGB", (640, 480), "white").save(annotated.picture)
    before = contents(annotated.project)
    with pytest.raises((CoverageError, SlideError), match="1200 x 900"):
        refine_project(annotated.project)
    assert contents(annotated.project) == before


def test_the_verb_says_what_it_did_in_words_and_as_json(annotated, cli) -> None:
    said = cli("refine", annotated.project)
    assert said.status == 0
    assert DEFAULT_METHOD in said.out
    assert "slide 1.png" in said.out
    report = json.loads(cli("refine", annotated.project, "--json").out)
    assert (report["qpgaze"], report["version"]) == ("refine", 1)
    assert report["images"][0]["same"] == 2


def test_the_methods_can_be_listed(cli) -> None:
    said = cli("refine", "--list-methods")
    assert said.status == 0
    assert f"{DEFAULT_METHOD} (default)" in said.out
    assert "mariam2022" in said.out
