"""Two readers with the sample's own sessions: annotate apart, collect, refine together."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

from qpgaze import keys
from qpgaze.bridge import create_project, open_project
from qpgaze.session import sessions_dir
from qpgaze.workflows import annotate_project, refine_project
from qpgaze.workflows.collect import collect_projects
from qpgaze.workflows.sample import load_sample


def test_readers_apart_and_together(tmp_path: Path, people: SimpleNamespace) -> None:
    cases = [case for case in load_sample() if case.session_path.is_dir()]
    study = tmp_path / "study"
    with create_project(study, backend="embedded") as made:
        for case in cases:
            made.add_image(case.slide_path, metadata={keys.PATIENT: case.patient})
        made.commit()
    copies = []
    for number, case in enumerate(cases[:1] + cases[-1:], 1):
        copy = tmp_path / f"reader {number}"
        shutil.copytree(study, copy)
        session = sessions_dir(copy) / case.session_path.name
        shutil.copytree(case.session_path, session)
        annotate_project(session, copy, backend="embedded")
        copies.append(copy)
    # The first reader refines at home and judges one of the boxes.
    refine_project(copies[0], method="mariam2022", backend="embedded")
    with open_project(copies[0], backend="embedded") as opened:
        entry, box = next((e, o) for e in opened.entries for o in e.objects())
    people.write(copies[0], change=[people.reviewed(box)], image=entry.id)

    report = collect_projects(copies, study, backend="embedded")
    assert report.clean
    wanted = {i: o for copy in copies for e in ("1", "2", "3") for i, o in _objects(copy, e)}
    came = {i: o for e in ("1", "2", "3") for i, o in _objects(study, e)}
    assert came == wanted
    assert len(list(sessions_dir(study).iterdir())) == 2
    refined = refine_project(study, method="mariam2022", backend="embedded")
    assert sum(image.reviewed for image in refined.images) == 1
    settled = people.tree(study)
    again = collect_projects(copies, study, backend="embedded")
    # What was refined at home is newer than what the readers have.
    assert again.clean
    assert {k: v for k, v in people.tree(study).items() if k != "qpgaze/lock"} == settled


def _objects(project: Path, image: str) -> list[tuple[str, str | None]]:
    with open_project(project, backend="embedded") as opened:
        return [(str(o.id), o.metadata.get(keys.STATE)) for o in opened.entry(image).objects()]
