"""Signs that a QuPath has an image open."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.projects.in_use import RECENT_S, Sign, in_words, signs_of_use, warnings_of_use
from qpgaze.model import SlideObject

Make = Callable[..., SlideObject]


@pytest.fixture
def study(tmp_path: Path, picture: Path) -> Path:
    with create_project(tmp_path / "study", backend="embedded") as made:
        made.add_image(picture)
        made.commit()
    return tmp_path / "study"


class Live:
    """A QuPath that can be asked."""

    def open_entries(self, project_file: Path) -> Collection[str]:
        return {"1", "7"}


def signs(study: Path, proc: Path, **options: object) -> list[Sign]:
    with open_project(study, backend="embedded") as opened:
        return signs_of_use(opened.path, opened.entries, proc=proc, **options)  # type: ignore[arg-type]


def process(proc: Path, number: int, name: str, *held: Path) -> None:
    """A process as Linux shows it: its name, and links to the files that it holds."""
    folder = proc / str(number) / "fd"
    folder.mkdir(parents=True)
    (folder.parent / "comm").write_text(f"{name}\n", "utf-8")
    for place, file in enumerate(held):
        os.link(file, folder / str(place))


def test_what_we_wrote_ourselves_is_no_sign(study: Path, tmp_path: Path) -> None:
    assert signs(study, tmp_path / "none") == []
    with open_project(study, backend="embedded") as opened:
        assert warnings_of_use(opened, {"1"}) == []


def test_a_live_qupath_is_asked_first(study: Path, tmp_path: Path) -> None:
    (found,) = signs(study, tmp_path / "none", client=Live())
    assert found == Sign("1", True, "QuPath says so")
    words = in_words(found, "a.svs")
    assert "is open in QuPath" in words
    assert "project export PROJECT OUT.geojson --image 1" in words


def test_a_java_process_that_holds_the_slide(study: Path, picture: Path, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    process(proc, 12, "python", picture)
    process(proc, 13, "java", tmp_path / "study" / "project.qpproj")
    process(proc, os.getpid(), "java", picture)
    (proc / "self").mkdir()
    (proc / "14").mkdir()
    assert signs(study, proc) == []
    process(proc, 15, "QuPath-0.6", picture)
    (found,) = signs(study, proc)
    assert found == Sign("1", False, "process 15, QuPath-0.6 holds its slide")
    assert "may be open in QuPath: process 15" in in_words(found, "x")


def test_a_qupath_that_runs_here(study: Path, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    process(proc, 15, "java")
    (tmp_path / "other.jar").write_bytes(b"")
    (proc / "15" / "fd" / "3").symlink_to(tmp_path / "other.jar")
    assert signs(study, proc) == []
    (proc / "15" / "fd" / "4").symlink_to(tmp_path / "qupath-core-0.6.0.jar")
    (found,) = signs(study, proc)
    assert found == Sign("1", False, "a QuPath runs on this computer (process 15, java)")


def test_data_that_another_saved_lately(study: Path, tmp_path: Path, make_object: Make) -> None:
    data = study / "data" / "1" / "data.qpdata"
    written = data.stat().st_mtime
    data.write_bytes(data.read_bytes() + b"more")  # as another program would
    os.utime(data, (written, written))
    proc = tmp_path / "none"
    (found,) = signs(study, proc, now_s=written + 5)
    assert found.why == "another program saved its data less than a minute ago"
    (found,) = signs(study, proc, now_s=written + 300)
    assert found.why == "another program saved its data 5 min ago"
    assert signs(study, proc, now_s=written + RECENT_S + 60) == []
    (study / "qpgaze" / "writes.jsonl").unlink()
    (study / "qpgaze" / "writes.jsonl").mkdir()  # no account that can be read
    assert len(signs(study, proc, now_s=written + 5)) == 1
    data.unlink()
    assert signs(study, proc, now_s=written + 5) == []


def test_a_slide_that_is_not_there(study: Path, picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.png"
    picture.rename(other)
    process(tmp_path / "proc", 15, "java", other)
    assert signs(study, tmp_path / "proc") == []
