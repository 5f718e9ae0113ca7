"""Projects that QuPath itself wrote, and projects that are broken."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.projects import files
from qpgaze.bridge.projects import writes as writes_module
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.images import count_objects
from qpgaze.bridge.qpdata import edit_qpdata, read_qpdata
from qpgaze.errors import (
    ConflictError,
    EntryError,
    ProjectError,
    QpgazeError,
    SlideError,
    UnsupportedDataError,
)
from qpgaze.model import SlideObject

Make = Callable[..., SlideObject]
Copy = Callable[[str], Path]
Contents = Callable[[Path], dict[str, bytes]]


# -- real projects -----------------------------------------------------------------------------


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "images", "objects", "size"),
    [
        ("a_empty", 0, 0, None),
        ("b2_image_never_opened", 1, 0, None),
        ("b3_image_type_set_no_objects", 1, 0, (800, 600)),
        ("b_image_no_objects", 1, 0, None),
        ("c_all_roi_kinds", 1, 21, (2000, 1500)),
        ("f_svs", 1, 1, (2220, 2967)),
    ],
)
def test_real_projects_are_read(
    fixture_project: Copy, name: str, images: int, objects: int, size: tuple[int, int] | None
) -> None:
    with open_project(fixture_project(name), backend="embedded") as opened:
        assert len(opened.entries) == images
        for entry in opened.entries:
            assert isinstance(entry, FolderEntry)
            assert len(entry.objects()) == objects
            summary = entry.folder / "summary.json"
            if summary.exists():  # QuPath's own counts and ours agree
                theirs = json.loads(summary.read_text(encoding="utf-8"))["hierarchy"]
                assert count_objects(entry.objects()) == theirs
            assert (entry.width_px, entry.height_px) == (size or (None, None))
            with pytest.raises(SlideError, match=r"Looked for: .*slides"):
                entry.image_path()


@pytest.mark.shared_data
def test_what_was_there_stays(
    fixture_project: Copy, picture: Path, make_object: Make, backend: str, shared_data: Path
) -> None:
    project = fixture_project("c_all_roi_kinds")
    file, data = project / "project.qpproj", project / "data" / "1" / "data.qpdata"
    if backend == "paquo":  # this QuPath has no Bio-Formats, and it needs the slide
        slide = project / "synthetic_2000x1500.tif"
        shutil.copyfile(shared_data / "slides" / slide.name, slide)
        raw = json.loads(file.read_text(encoding="utf-8"))
        raw["images"][0]["serverBuilder"].pop("providerClassName")
        raw["images"][0]["serverBuilder"]["args"] = []
        raw["images"][0]["serverBuilder"]["uri"] = slide.as_uri()
        file.write_text(json.dumps(raw), encoding="utf-8")
    raw = json.loads(file.read_text(encoding="utf-8"))
    old_data = data.read_bytes()
    old = {o.id: o for o in read_qpdata(old_data).objects}
    new = [make_object(n) for n in range(1, 6)] + [
        make_object(6, class_name="Tumor"),
        make_object(7, class_name="Gaze: Fixation", is_ellipse=True),
    ]
    with open_project(project, mode="r+", backend=backend) as opened:
        opened.entry("1").add(new)
        opened.add_image(picture)
        opened.commit()
    now = json.loads(file.read_text(encoding="utf-8"))
    assert now["images"][0] == raw["images"][0]
    assert list(now["images"][0]) == list(raw["images"][0])
    assert list(now) == list(raw)
    assert {**now, "images": 0, "lastID": 0, "modifyTimestamp": 0} == {
        **raw,
        "images": 0,
        "lastID": 0,
        "modifyTimestamp": 0,
    }
    assert [image["entryID"] for image in now["images"]] == [1, 2]
    assert "providerClassName" not in now["images"][1]["serverBuilder"]
    assert json.loads((project / "project.qpproj.backup").read_text(encoding="utf-8")) == raw
    assert data.with_name("data.qpdata.bkp").read_bytes() == old_data
    classes = json.loads((project / "classifiers/classes.json").read_text(encoding="utf-8"))
    names = [c["name"] for c in classes["pathClasses"]]
    assert names == ["Tumor", "Stroma", "Gaze", "Gaze: Fixation", "Keratin pearl"]
    assert classes["pathClasses"][0]["color"] == -3670016
    summary = json.loads((project / "data" / "1" / "summary.json").read_text(encoding="utf-8"))
    assert summary["imageType"] == "BRIGHTFIELD_H_E"
    assert summary["hierarchy"]["nObjects"] == 29
    assert summary["hierarchy"]["objectTypeCounts"]["Annotations"] == 26
    assert summary["hierarchy"]["annotationClassificationCounts"]["Tumor"] == 4
    found = {o.id: o for o in read_qpdata(data.read_bytes()).objects}
    assert found.keys() == old.keys() | {o.id for o in new}
    for identity, item in old.items():
        same = found[identity]
        assert same.geometry.equals_exact(item.geometry, 0.0 if backend == "embedded" else 0.01)
        for what in ("class_name", "color", "name", "description", "parent", "locked", "kind"):
            assert getattr(same, what) == getattr(item, what)
        assert dict(same.measurements) == dict(item.measurements)
        assert dict(same.metadata) == dict(item.metadata)


@pytest.mark.shared_data
def test_an_image_without_data_gets_some(fixture_project: Copy, make_object: Make) -> None:
    project = fixture_project("b_image_no_objects")
    before = (project / "project.qpproj").read_bytes()
    with open_project(project, mode="r+", backend="embedded") as opened:
        opened.entry("1").add([make_object(1)])
        opened.commit()
    assert (project / "project.qpproj").read_bytes() == before
    found = read_qpdata((project / "data" / "1" / "data.qpdata").read_bytes())
    assert [o.id for o in found.objects] == [make_object(1).id]
    assert found.image_type == "UNSET"
    assert found.qupath_version == "0.5.1"


@pytest.mark.shared_data
def test_a_project_that_moved_finds_its_slides(fixture_project: Copy, shared_data: Path) -> None:
    project = fixture_project("c_all_roi_kinds")
    file = project / "project.qpproj"
    text = file.read_text(encoding="utf-8")
    for old in ("file:/C:/study/qupath", "file:/study/qupath", "file://nas/study/qupath"):
        moved = text.replace("file:/projects/c_all_roi_kinds", old)
        moved = moved.replace("file:/slides", f"{old}/../pictures".replace("qupath/../", ""))
        file.write_text(moved, encoding="utf-8")
        slide = project.parent / "pictures" / "synthetic_2000x1500.tif"
        with open_project(project, backend="embedded") as opened:
            slide.unlink(missing_ok=True)
            with pytest.raises(SlideError, match=r"not there|another computer"):
                opened.entry("1").image_path()
            slide.parent.mkdir(exist_ok=True)
            shutil.copyfile(shared_data / "slides" / slide.name, slide)
            assert opened.entry("1").image_path() == slide


@pytest.mark.shared_data
def test_what_a_killed_qupath_left_is_read(fixture_project: Copy, make_object: Make) -> None:
    project = fixture_project("c_all_roi_kinds")
    data = project / "data" / "1" / "data.qpdata"
    kept = data.rename(data.with_name("data.qpdata.bkp")).read_bytes()
    with open_project(project, mode="r+", backend="embedded") as opened:
        assert len(opened.entry("1").objects()) == 21
        opened.entry("1").add([make_object(1)])
        opened.commit()
        assert len(opened.entry("1").objects()) == 22
    assert data.with_name("data.qpdata.bkp").read_bytes() == kept


@pytest.mark.shared_data
@pytest.mark.parametrize("cut", [0, 3, 100, 5000, -1])
def test_cut_data_are_refused(
    fixture_project: Copy, make_object: Make, contents: Contents, cut: int, backend: str
) -> None:
    project = fixture_project("c_all_roi_kinds")
    data = project / "data" / "1" / "data.qpdata"
    data.write_bytes(data.read_bytes()[:cut])
    before = contents(project)
    with open_project(project, mode="r+", backend=backend) as opened:
        with pytest.raises(ProjectError, match=r"data\.qpdata"):
            opened.entry("1").objects()
        with pytest.raises(ProjectError):
            opened.entry("1").add([make_object(1)])
        opened.commit()
    assert contents(project) == before


@pytest.mark.shared_data
@pytest.mark.qupath
def test_paquo_refuses_what_its_qupath_would_leave_out(
    fixture_project: Copy, shared_data: Path, make_object: Make, contents: Contents, qupath: str
) -> None:
    project = fixture_project("b_image_no_objects")
    file = project / "project.qpproj"
    slide = project / "synthetic_2000x1500.tif"
    shutil.copyfile(shared_data / "slides" / slide.name, slide)
    raw = json.loads(file.read_text(encoding="utf-8"))
    raw["images"][0]["serverBuilder"] = {"builderType": "uri", "uri": slide.as_uri(), "args": []}
    file.write_text(json.dumps(raw), encoding="utf-8")
    data = (shared_data / "qupath" / "versions" / "v0.5.1.qpdata").read_bytes()
    foreign = data.replace(b"java.util.TreeMap", b"java.util.TreeMxp")
    (project / "data" / "1" / "data.qpdata").write_bytes(foreign)
    before = contents(project)
    opened = open_project(project, mode="r+", backend="paquo")
    assert len(opened.entry("1").objects()) > 20
    opened.entry("1").add([make_object(1)])
    with pytest.raises(UnsupportedDataError, match="leave out"):
        opened.commit()
    assert contents(project) == before


@pytest.mark.shared_data
def test_foreign_data_are_refused(fixture_project: Copy, contents: Contents) -> None:
    project = fixture_project("c_all_roi_kinds")
    data = project / "data" / "1" / "data.qpdata"
    data.write_bytes(data.read_bytes().replace(b"PolygonROI", b"PolygonXYZ"))
    before = contents(project)
    opened = open_project(project, mode="r+", backend="embedded")
    with pytest.raises(UnsupportedDataError, match="Nothing was changed"):
        opened.entry("1").objects()
    assert contents(project) == before


# -- faults while writing ----------------------------------------------------------------------


@pytest.fixture
def study(tmp_path: Path, picture: Path, make_object: Make) -> Path:
    """A project with one image and one object."""
    with create_project(tmp_path / "study", backend="embedded") as made:
        made.add_image(picture).add([make_object(1)])
        made.commit()
    return tmp_path / "study"


@pytest.mark.parametrize("kind", ["full", "denied", "ctrl-c"])
def test_a_failed_commit_changes_nothing(
    study: Path,
    tmp_path: Path,
    picture: Path,
    make_object: Make,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(picture.read_bytes())
    before = contents(study)
    error: BaseException = {
        "full": OSError(errno.ENOSPC, "No space left on device"),
        "denied": PermissionError(errno.EACCES, "Permission denied"),
        "ctrl-c": KeyboardInterrupt(),
    }[kind]
    monkeypatch.setattr(files, "RETRY_AFTER_S", ())
    for at in range(1, 60):
        calls = [0]

        def step(real: Callable[..., Any], at: int = at, calls: list[int] = calls) -> Any:
            def call(*args: Any) -> Any:
                calls[0] += 1
                if calls[0] == at:
                    raise error
                return real(*args)

            return call

        with open_project(study, mode="r+", backend="embedded") as opened:
            opened.entry("1").add([make_object(2)])
            opened.add_image(other).add([make_object(3)])
            with monkeypatch.context() as patch:
                patch.setattr(files.os, "fsync", step(lambda _: None))
                patch.setattr(Path, "replace", step(Path.replace))
                try:
                    opened.commit()
                except (ProjectError, KeyboardInterrupt):
                    assert contents(study) == before
                else:
                    break
    assert at > 12
    with open_project(study, backend="embedded") as opened:
        assert [len(entry.objects()) for entry in opened.entries] == [2, 1]


def test_a_commit_that_failed_can_be_done_again(
    study: Path, make_object: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_project(study, mode="r+", backend="embedded") as opened:
        opened.entry("1").add([make_object(2)])
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "write", full)
            with pytest.raises(ProjectError, match=r"full|cannot be written"):
                opened.commit()
        opened.commit()
    with open_project(study, backend="embedded") as opened:
        assert len(opened.entry("1").objects()) == 2


def test_data_that_qupath_saves_while_we_write_are_kept(
    study: Path, make_object: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save between our last look and the move into place: ours goes on top of it."""
    real, saves, numbers = writes_module.replace_files, [1], itertools.count(7)

    def slow(*args: Any, before_publish: Callable[[], None]) -> None:
        def meanwhile() -> None:
            before_publish()
            if saves:
                saves.pop()
                other_save(study, make_object(next(numbers)))

        real(*args, before_publish=meanwhile)

    monkeypatch.setattr(writes_module, "replace_files", slow)
    with open_project(study, mode="r+", backend="embedded") as opened:
        opened.entry("1").add([make_object(2)])
        opened.commit()
        names = [item.name for item in opened.entry("1").objects()]
        assert names == ["label 1", "label 7", "label 2"]
        saves += [1, 2, 3]
        opened.entry("1").add([make_object(3)])
        data = study / "data" / "1" / "data.qpdata"
        with pytest.raises(ConflictError, match="changed since"):
            opened.commit()
        assert [item.name for item in read_qpdata(data.read_bytes()).objects][-1] == "label 10"


def other_save(study: Path, item: SlideObject) -> None:
    """Save an object as QuPath does: no lock, and the data in place."""
    data = study / "data" / "1" / "data.qpdata"
    data.write_bytes(edit_qpdata(data.read_bytes(), add=[item], class_colors={"Keratin pearl": 1}))


# -- broken projects ---------------------------------------------------------------------------


def test_projects_that_are_none(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "no", "no project"),
        (tmp_path, "holds no QuPath project"),
    ):
        with pytest.raises(ProjectError, match=words):
            open_project(path, backend="embedded")
    (tmp_path / "project.qpproj.backup").write_text("{}", encoding="utf-8")
    with pytest.raises(ProjectError, match="project rescue"):
        open_project(tmp_path, backend="embedded")
    (tmp_path / "a.txt").write_text("", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"Expected a \.qpproj"):
        open_project(tmp_path / "a.txt", backend="embedded")
    for name in ("a", "b"):
        (tmp_path / f"{name}.qpproj").write_text("{}", encoding="utf-8")
    with pytest.raises(ProjectError, match="several projects"):
        open_project(tmp_path, backend="embedded")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cut, damaged"),
        ('{"version": "0.5.1", "images": [', "cut, damaged"),
        ("[]", "expected a JSON object"),
        ('{"version": "0.5.1", "images": {}}', "no list of images"),
        ('{"version": "0.5.1", "images": [1]}', "no list of images"),
        ('{"images": []}', "before 0.2"),
        ('{"version": "v0.2.0-m2", "images": []}', "before 0.2"),
        ('{"version": "0.5.1", "images": [{"entryID": "../../etc"}]}', "plain number"),
        ('{"version": "0.5.1", "images": [{"entryID": -1}]}', "plain number"),
        ('{"version": "0.5.1", "images": [{"entryID": 1.5}]}', "plain number"),
        ('{"version": "0.5.1", "images": [{"entryID": true}]}', "plain number"),
        ('{"version": "0.5.1", "images": [{}]}', "plain number"),
        ("[" * 100_000, "cut, damaged"),
    ],
)
def test_broken_project_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "project.qpproj").write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match=words):
        open_project(tmp_path, backend="embedded")


def test_a_lean_project_is_enough(tmp_path: Path, picture: Path, make_object: Make) -> None:
    """No timestamps, no uri, a text id, unknown keys, a BOM: all that QuPath forgives."""
    raw = {
        "lastID": 4,
        "later": {"x": [1, 2.5, None]},
        "images": [
            {"entryID": "4", "serverBuilder": {"builderType": "uri", "uri": picture.as_uri()}},
            {"entryID": 2, "imageName": "no builder", "z": "kept"},
        ],
        "version": None,
    }
    (tmp_path / "project.qpproj").write_text("\ufeff" + json.dumps(raw), encoding="utf-8")
    other = tmp_path / "b.png"
    other.write_bytes(picture.read_bytes())
    with open_project(tmp_path, mode="r+", backend="embedded") as opened:
        assert [(e.id, e.name) for e in opened.entries] == [("4", "Image 4"), ("2", "no builder")]
        assert opened.entry("4").image_path() == picture
        with pytest.raises(SlideError, match="not one plain file"):
            opened.entry("2").image_path()
        opened.entry("4").add([make_object(1)])
        assert opened.add_image(other).id == "5"
        opened.commit()
        assert len(opened.entry("4").objects()) == 1
    now = json.loads((tmp_path / "project.qpproj").read_text(encoding="utf-8"))
    assert now["images"][:2] == raw["images"]
    assert now["later"] == raw["later"]
    assert list(now)[:4] == list(raw)


def test_images_that_share_an_id_are_not_written(tmp_path: Path, make_object: Make) -> None:
    images = [{"entryID": 1, "imageName": "a"}, {"entryID": 1, "imageName": "b"}]
    text = json.dumps({"version": "0.5.1", "images": images})
    (tmp_path / "project.qpproj").write_text(text, encoding="utf-8")
    with open_project(tmp_path, mode="r+", backend="embedded") as opened:
        with pytest.raises(EntryError, match="ids are 1, 1"):
            opened.entry("1")
        opened.entry("a").add([make_object(1)])
        with pytest.raises(EntryError, match="share the id 1"):
            opened.commit()
    assert (tmp_path / "project.qpproj").read_text(encoding="utf-8") == text


def test_a_left_over_folder_is_not_adopted(study: Path, tmp_path: Path, picture: Path) -> None:
    (study / "data" / "2").mkdir()
    other = tmp_path / "b.png"
    other.write_bytes(picture.read_bytes())
    with open_project(study, mode="r+", backend="embedded") as opened:
        assert opened.add_image(other).id == "3"
        opened.commit()


def test_broken_classes_are_refused(study: Path) -> None:
    (study / "classifiers" / "classes.json").write_text('{"pathClasses": 3}', encoding="utf-8")
    with pytest.raises(ProjectError, match="no list of classes"):
        open_project(study, backend="embedded")


def test_a_project_is_created_as_qupath_does(tmp_path: Path) -> None:
    with create_project(tmp_path / "p", backend="embedded", clock_ms=lambda: 1_700_000_000_000):
        pass
    raw = json.loads((tmp_path / "p" / "project.qpproj").read_text(encoding="utf-8"))
    uri = raw.pop("uri")
    assert uri.startswith("file:/")
    assert uri.endswith("/p/project.qpproj")
    assert raw == {
        "version": "0.5.1",
        "createTimestamp": 1_700_000_000_000,
        "modifyTimestamp": 1_700_000_000_000,
        "lastID": 0,
        "images": [],
    }
    with pytest.raises(ConflictError, match="already holds"):
        create_project(tmp_path / "p", backend="embedded")
    with pytest.raises(QpgazeError):
        create_project(tmp_path / "p" / "project.qpproj" / "x", backend="embedded")


def test_a_new_image_has_a_thumbnail_and_a_summary(study: Path) -> None:
    from PIL import Image

    with Image.open(study / "data" / "1" / "thumbnail.jpg") as thumbnail:
        assert thumbnail.size == (300, 200)
    text = (study / "data" / "1" / "summary.json").read_text(encoding="utf-8")
    summary = json.loads(text)
    assert summary["hierarchy"]["objectTypeCounts"] == {"Root objects": 1, "Annotations": 1}
    assert summary["server"] == {"width": 300, "height": 200, "sizeC": 3, "sizeZ": 1, "sizeT": 1}
    with open_project(study, backend="embedded") as opened:
        assert isinstance(opened.entry("1"), FolderEntry)
