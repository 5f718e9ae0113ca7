"""Images that moved are found again, in the project file alone, and never guessed."""

from __future__ import annotations

import hashlib
import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import numpy as np
import pytest
from PIL import Image

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.projects.relink import RelinkReport, relink_project
from qpgaze.bridge.projects.relink_judging import Candidate, choose, folders_alike
from qpgaze.cli.app import run
from qpgaze.errors import UsageError


def draw(path: Path, *, size: tuple[int, int] = (60, 40), seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """Return what makes a project of pictures, given by their places below ``slides``."""

    def make(*places: str) -> Path:
        with create_project(tmp_path / "qupath", backend="embedded") as project:
            for number, place in enumerate(places):
                project.add_image(draw(tmp_path / "slides" / place, seed=number))
            project.commit()
        return tmp_path / "qupath"

    return make


def elsewhere(project: Path, uris: dict[str, str], *, own: str | None = None) -> None:
    """Say in a project file that images (by id) lie elsewhere."""
    file = project / "project.qpproj"
    raw = json.loads(file.read_text("utf-8"))
    for image in raw["images"]:
        image["serverBuilder"]["uri"] = uris.get(
            str(image["entryID"]), image["serverBuilder"]["uri"]
        )
    raw["uri"] = own or raw["uri"]
    file.write_text(json.dumps(raw, indent=2, ensure_ascii=False), "utf-8")


def statuses(report: RelinkReport) -> list[str]:
    return [image.status for image in report.images]


def paths_of(project: Path) -> list[Path]:
    with open_project(project, backend="embedded") as opened:
        return [entry.image_path() for entry in opened.entries]


def test_nothing_to_do_changes_nothing(study: Callable[..., Path]) -> None:
    project = study("a.png")
    before = (project / "project.qpproj").read_bytes()
    report = relink_project(project)
    assert statuses(report) == ["in place"]
    assert report.complete
    assert (project / "project.qpproj").read_bytes() == before


def test_a_moved_image_is_found_by_name_and_size(study: Callable[..., Path]) -> None:
    project = study("batch 1/a.png", "b.png")
    root = project.parent
    (root / "new").mkdir()
    shutil.move(root / "slides" / "batch 1" / "a.png", root / "new" / "A.PNG")
    before = (project / "project.qpproj").read_text("utf-8").splitlines()
    report = relink_project(project, look_in=[root / "new"])
    assert statuses(report) == ["found", "in place"]
    after = (project / "project.qpproj").read_text("utf-8").splitlines()
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1
    assert paths_of(project)[0] == root / "new" / "A.PNG"
    assert (project / "project.qpproj.backup").read_text("utf-8").splitlines() == before


def test_a_dry_run_writes_nothing(study: Callable[..., Path]) -> None:
    project = study("a.png")
    shutil.move(project.parent / "slides", project.parent / "moved")
    before = {p: p.read_bytes() for p in project.rglob("*") if p.is_file()}
    report = relink_project(project, look_in=[project.parent / "moved"], dry_run=True)
    assert statuses(report) == ["found"]
    assert {p: p.read_bytes() for p in project.rglob("*") if p.is_file()} == before


def test_another_size_is_another_image(study: Callable[..., Path]) -> None:
    project = study("a.png")
    draw(project.parent / "new" / "a.png", size=(61, 40))
    (project.parent / "slides" / "a.png").unlink()
    report = relink_project(project, look_in=[project.parent / "new"])
    assert statuses(report) == ["missing"]
    assert "another size (61 x 40 px)" in report.images[0].candidates[0][1]
    with pytest.raises(UsageError, match="no place for image 1"):
        relink_project(project, chosen={"1": project.parent / "new" / "a.png"})


def test_of_several_the_one_in_the_like_folder_is_taken(study: Callable[..., Path]) -> None:
    project = study("batch 1/a.png", "batch 2/a.png")
    root = project.parent
    shutil.move(root / "slides", root / "disk")
    report = relink_project(project, look_in=[root / "disk"])
    assert statuses(report) == ["found", "found"]
    assert paths_of(project) == [root / "disk" / f"batch {n}" / "a.png" for n in (1, 2)]


def test_of_several_alike_none_is_taken_but_each_is_listed(study: Callable[..., Path]) -> None:
    project = study("a.png")
    root = project.parent
    (root / "slides" / "a.png").unlink()
    places = [draw(root / "disk" / place / "a.png") for place in ("x", "y")]
    before = (project / "project.qpproj").read_bytes()
    report = relink_project(project, look_in=[root / "disk"])
    assert statuses(report) == ["several"]
    assert [path for path, _ in report.images[0].candidates] == [str(p) for p in places]
    assert (project / "project.qpproj").read_bytes() == before
    chosen = relink_project(project, chosen={"1": places[1]})
    assert chosen.complete
    assert paths_of(project) == [places[1]]


def test_a_renamed_image_is_known_by_what_was_remembered(study: Callable[..., Path]) -> None:
    project = study("a.png", "b.png")
    root = project.parent
    assert relink_project(project).complete  # remembers
    (root / "slides" / "a.png").rename(root / "slides" / "case 7.png")
    (root / "slides" / "b.png").rename(root / "slides" / "a.png")
    report = relink_project(project, look_in=[root / "slides"])
    # A file of that name is in the recorded place of the first: it stays there, and is told.
    assert any("not the file that was there before" in note for note in report.notes)
    assert report.images[1].status == "found"
    assert "same checksum" in report.images[1].why
    assert paths_of(project)[1] == root / "slides" / "a.png"


def test_a_choice_that_looks_wrong_is_told(study: Callable[..., Path]) -> None:
    project = study("a.png", "b.png")
    relink_project(project)
    first, second = paths_of(project)
    second.unlink()
    report = relink_project(project, chosen={"2": first})
    assert statuses(report) == ["in place", "found"]
    assert "another checksum" in report.notes[0]
    assert report.notes[1] == f"Images 1 and 2 are one file now: {first}."


def test_a_checksum_in_the_metadata_decides(study: Callable[..., Path]) -> None:
    project = study("a.png")
    root = project.parent
    content = (root / "slides" / "a.png").read_bytes()
    (root / "slides" / "a.png").unlink()
    draw(root / "disk" / "x" / "a.png", seed=9)
    right = root / "disk" / "y" / "a.png"
    right.parent.mkdir()
    right.write_bytes(content)
    file = project / "project.qpproj"
    raw = json.loads(file.read_text("utf-8"))
    raw["images"][0]["metadata"]["sha256"] = hashlib.sha256(content).hexdigest()
    file.write_text(json.dumps(raw), "utf-8")
    assert relink_project(project, look_in=[root / "disk"]).complete
    assert paths_of(project) == [right]


@pytest.mark.parametrize(
    "uri",
    [
        "file:/D:/Studie%20Nord/slides/Pr%C3%A4parat%20%5B1%5D.png",
        "file:///D:/slides/Pra%CC%88parat%20[1].png",
        "file://localhost/D:/slides/PRÄPARAT [1].png",
        "file:/Volumes/Macintosh%20HD/slides/Pra%CC%88parat%20%5B1%5D.png",
        "D:\\slides\\Präparat [1].png",
        "/elsewhere/slides/Präparat [1].png",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_every_system(study: Callable[..., Path], uri: str, form: str) -> None:
    name = unicodedata.normalize(form, "Präparat [1].png")
    project = study(name)
    elsewhere(project, {"1": uri})
    report = relink_project(project, look_in=[project.parent / "slides"])
    assert statuses(report) == ["found"]
    raw = json.loads((project / "project.qpproj").read_text("utf-8"))
    assert raw["images"][0]["serverBuilder"]["uri"].isascii()
    assert paths_of(project)[0].samefile(project.parent / "slides" / name)


def test_a_project_that_moved_along_is_written_whole(study: Callable[..., Path]) -> None:
    project = study("a.png")
    old = "file:/D:/study/qupath/project.qpproj"
    elsewhere(project, {"1": "file:/D:/study/slides/a.png"}, own=old)
    report = relink_project(project)
    assert report.images[0].why == "moved together with the project"
    assert any("another kind of system" in note for note in report.notes)
    raw = json.loads((project / "project.qpproj").read_text("utf-8"))
    assert raw["uri"].endswith("/qupath/project.qpproj")
    assert "D:" not in json.dumps(raw)


def test_what_lay_on_another_computer_may_be_here(study: Callable[..., Path]) -> None:
    project = study("a.png")
    elsewhere(project, {"1": "file://nas/share/slides/a.png"})
    report = relink_project(project)
    assert statuses(report) == ["not opened"]
    assert "another computer (nas)" in report.images[0].why
    assert relink_project(project, look_in=[project.parent / "slides"]).complete
    assert paths_of(project) == [project.parent / "slides" / "a.png"]


def test_while_one_is_lost_the_project_keeps_its_old_place(study: Callable[..., Path]) -> None:
    project = study("a.png", "b.png")
    old = "file:/D:/study/qupath/project.qpproj"
    uris = {"1": "file:/D:/study/slides/a.png", "2": "file:/D:/study/slides/gone.png"}
    elsewhere(project, uris, own=old)
    report = relink_project(project)
    assert statuses(report) == ["found", "missing"]
    raw = json.loads((project / "project.qpproj").read_text("utf-8"))
    assert raw["uri"] == old
    assert raw["images"][1]["serverBuilder"]["uri"] == uris["2"]


def test_links_that_lead_out_are_no_images(study: Callable[..., Path]) -> None:
    project = study("a.png")
    root = project.parent
    shutil.move(root / "slides" / "a.png", root / "hidden.png")
    (root / "disk").mkdir()
    try:
        (root / "disk" / "a.png").symlink_to(root / "hidden.png")
    except OSError:  # Windows without the right to make links
        return
    report = relink_project(project, look_in=[root / "disk"])
    assert statuses(report) == ["missing"]
    assert any("lead out" in note for note in report.notes)


def test_wrong_use_is_said(study: Callable[..., Path]) -> None:
    project = study("a.png")
    (project.parent / "slides" / "a.png").unlink()
    with pytest.raises(UsageError, match="no folder"):
        relink_project(project, look_in=[project / "nowhere"])
    with pytest.raises(UsageError, match="No image 7"):
        relink_project(project, chosen={"7": project / "project.qpproj"})
    with pytest.raises(UsageError, match="There is no file"):
        relink_project(project, chosen={"1": project / "x.png"})


def test_a_file_that_is_no_picture_is_not_taken_by_name(study: Callable[..., Path]) -> None:
    project = study("a.png")
    root = project.parent
    (root / "slides" / "a.png").unlink()
    (root / "disk").mkdir()
    (root / "disk" / "a.png").write_text("no picture")
    report = relink_project(project, look_in=[root / "disk"])
    assert statuses(report) == ["several"]
    assert "no picture" in report.images[0].candidates[0][1]


W, P = PureWindowsPath, PurePosixPath


@pytest.mark.parametrize(
    ("lost", "found", "alike"),
    [
        (W("D:/s/b 1/a.svs"), P("/mnt/S/b 1/a.svs"), 2),
        (P("/s/b/a.svs"), W("E:/x/b/a.svs"), 1),
        (W("//nas/share/b/a.svs"), W("Z:/b/a.svs"), 1),
        (P("/a.svs"), P("/a.svs"), 0),
    ],
)
def test_folders_are_compared_from_the_file_on(lost: PurePath, found: PurePath, alike: int) -> None:
    assert folders_alike(lost, found) == alike


def test_choosing() -> None:
    def one(alike: int, size: bool | None, content: bool | None = None) -> Candidate:
        return Candidate(P(f"/{alike}/a"), alike, size, content, (1, 1) if size else None)

    assert choose([]) is None
    assert choose([one(0, False)]) is None
    assert choose([one(0, False, True)]) is not None
    assert choose([one(0, None)]) is None  # no picture that can be read
    assert choose([one(1, None)]) is not None
    assert choose([one(2, None), one(1, True)]) is None
    sure = one(0, True, True)
    assert choose([one(3, True), sure]) is sure
    assert choose([one(3, True, False), one(0, True)]) == one(0, True)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name",
    ["b2_image_never_opened", "b3_image_type_set_no_objects", "c_all_roi_kinds", "f_svs"],
)
def test_real_projects(shared_data: Path, tmp_path: Path, name: str) -> None:
    project = tmp_path / name
    shutil.copytree(shared_data / "qupath" / "projects" / name, project, copy_function=shutil.copy)
    for path in [project, *project.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = json.loads((project / "project.qpproj").read_text("utf-8"))
    objects = {p: p.read_bytes() for p in (project / "data").rglob("*") if p.is_file()}
    assert relink_project(project, look_in=[shared_data / "slides"]).complete
    after = json.loads((project / "project.qpproj").read_text("utf-8"))
    assert after["images"][0]["serverBuilder"].pop("uri") != before["images"][0][
        "serverBuilder"
    ].pop("uri")
    assert after.pop("uri") != before.pop("uri")
    assert json.dumps(after) == json.dumps(before)
    assert {p: p.read_bytes() for p in (project / "data").rglob("*") if p.is_file()} == objects
    assert relink_project(project).counts == {"in place": 1}


def test_the_verb(study: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    project = study("a.png", "b.png")
    root = project.parent
    shutil.move(root / "slides" / "a.png", root / "c.png")
    assert run(["project", "relink", str(project)]) == 1
    assert "1 a.png: not found, it was at" in capsys.readouterr().out
    assert run(["project", "relink", str(project), "--set", f"1={root / 'c.png'}", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["complete"]
    assert said["counts"] == {"found": 1, "in place": 1}
    assert run(["project", "relink", str(project), "--set", "c.png"]) == 2
