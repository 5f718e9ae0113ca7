"""QuPath itself opens what we wrote, saves it, and we go on from there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import shapely

from qpgaze import keys
from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.projects.detect_qupath import paquo_or_reason
from qpgaze.workflows import annotate_project, refine_project

pytestmark = pytest.mark.qupath


@pytest.fixture(autouse=True, scope="module")
def _qupath() -> None:
    found = paquo_or_reason()
    if not found.usable:
        pytest.skip(f"qupath: {found.reason}; set PAQUO_QUPATH_DIR to a QuPath 0.5 or 0.6")


@pytest.fixture
def study(small):
    """The small project made anew where it lies: QuPath itself does not look beside a project."""
    from dataclasses import replace

    project = small.folder / "study"
    create_project(project, backend="embedded").close()
    with open_project(project, mode="r+", backend="embedded") as opened:
        opened.add_image(small.picture)
        opened.commit()
    shutil.copytree(small.session.parent, project / "qpgaze" / "sessions")
    return replace(small, project=project)


def saved_by_qupath(project: Path) -> list[tuple[str, str, object]]:
    """Let QuPath read every image's data and save it again; say what it saw."""
    from paquo.projects import QuPathProject

    seen = []
    with QuPathProject(project, mode="r+") as opened:
        for entry in opened.images:
            for item in entry.hierarchy.annotations:
                known = item.path_class.id if item.path_class else None
                seen.append((str(item.java_object.getID()), known, item.roi))
            # QuPath writes only what changed.
            entry.hierarchy.add_annotation(shapely.box(5, 5, 20, 20))
            entry.save()
        opened.save()
    return seen


@pytest.mark.parametrize("backend", ["embedded", "paquo"])
def test_after_qupath_saved_our_objects_are_still_ours(study, backend) -> None:
    annotate_project(study.session, study.project, fixations=True, backend=backend)
    with open_project(study.project, backend="embedded") as opened:
        ours = {str(o.id): o for o in opened.entries[0].objects()}
    seen = saved_by_qupath(study.project)
    assert {identity for identity, _, _ in seen} == set(ours)
    for identity, class_name, shape in seen:
        assert class_name == ours[identity].class_name
        if not ours[identity].is_ellipse:
            assert shape.symmetric_difference(ours[identity].geometry).area < 1.0
    report = annotate_project(study.session, study.project, fixations=True, backend=backend)
    assert report.images[0].there == len(ours)
    assert report.images[0].reviewed == report.images[0].added == 0
    with open_project(study.project, backend="embedded") as opened:
        now = {str(o.id): o for o in opened.entries[0].objects()}
    for identity, was in ours.items():
        assert now[identity].metadata == was.metadata
        assert now[identity].measurements == pytest.approx(was.measurements)
        assert now[identity].geometry.equals_exact(was.geometry, 0.01)
    refined = refine_project(study.project, backend=backend)
    assert (refined.images[0].refined, refined.images[0].reviewed) == (2, 0)
    assert len(saved_by_qupath(study.project)) == len(ours) + 1
    again = refine_project(study.project, backend=backend)
    assert (again.images[0].same, again.images[0].reviewed) == (2, 0)


def test_what_a_person_changed_in_qupath_is_left_alone(study) -> None:
    from paquo.classes import QuPathPathClass
    from paquo.projects import QuPathProject

    annotate_project(study.session, study.project, backend="embedded")
    with QuPathProject(study.project, mode="r+") as opened:
        entry = opened.images[0]
        by_name = {item.name: item for item in entry.hierarchy.annotations}
        by_name["Pearl 1"].update_path_class(QuPathPathClass("Stroma"))
        entry.hierarchy.annotations.discard(by_name["Stroma 2"])
        entry.save()
    report = annotate_project(study.session, study.project, backend="embedded")
    assert (report.images[0].reviewed, len(report.images[0].missing)) == (1, 1)
    refined = refine_project(study.project, backend="embedded")
    assert (refined.images[0].refined, refined.images[0].reviewed) == (0, 1)
    with open_project(study.project, backend="embedded") as opened:
        (left,) = opened.entries[0].objects()
    assert (left.name, left.class_name) == ("Pearl 1", "Stroma")
    assert left.metadata[keys.METHOD] == keys.METHOD_DISCS
