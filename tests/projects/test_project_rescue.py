"""A project that is missing or broken comes back from what is left of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.account import verify_project
from qpgaze.bridge.ledger import Ledger, Operation, records_of
from qpgaze.bridge.pending import commit_recorded, open_ledger
from qpgaze.bridge.projects.snapshots import snapshots_of
from qpgaze.bridge.rescue import Rescued, rescue_project
from qpgaze.cli.app import run
from qpgaze.errors import ProjectError, UnsupportedDataError, UsageError
from qpgaze.model import SlideObject

Make = Callable[..., SlideObject]
Contents = Callable[[Path], dict[str, bytes]]
Copy = Callable[[str], Path]

DATA = "data/1/data.qpdata"
FILE = "project.qpproj"


@pytest.fixture
def study(tmp_path: Path, picture: Path, make_object: Make, backend: str) -> Path:
    """Two images, the second of them added last; two writes of objects to the first."""
    other = tmp_path / "other.png"
    Image.open(picture).rotate(180).save(other)
    with create_project(tmp_path / "study", backend=backend) as made:
        made.add_image(picture, name="The first", metadata={"patient": "P1"})
        made.commit()
        made.add_image(other)
        made.commit()
        for number in (1, 2):
            objects = [make_object(number)]
            made.entry("1").add(objects)
            records = records_of(Operation.ADD, "1", objects)
            commit_recorded(made, open_ledger(made), records)
    return tmp_path / "study"


def state(study: Path, backend: str) -> list[tuple[str, str, int]]:
    with open_project(study, backend=backend) as opened:
        return [(e.id, e.name, len(e.objects())) for e in opened.entries]


def rescued(study: Path, contents: Contents, **options: Any) -> list[Rescued]:
    """Rescue, after a dry run that must say the same and touch nothing; nothing may be deleted."""
    before = contents(study)
    planned = rescue_project(study, dry_run=True, **options)
    assert contents(study) == before
    report = rescue_project(study, **options)
    assert len(planned.rescued) == len(report.rescued)
    after = set(contents(study).values())
    account = "qpgaze/writes.jsonl"  # one line longer
    assert all(content in after for name, content in before.items() if name != account)
    with pytest.raises(UsageError, match="Nothing is surely broken"):
        rescue_project(study, **options)
    return report.rescued


def test_a_sound_project_is_left_alone(study: Path, backend: str, contents: Contents) -> None:
    before = contents(study)
    for dry_run in (True, False):
        with pytest.raises(UsageError, match="Nothing is surely broken"):
            rescue_project(study, dry_run=dry_run)
        with pytest.raises(UsageError, match="Nothing is surely broken"):
            rescue_project(study / FILE, dry_run=dry_run)
    assert contents(study) == before


@pytest.mark.parametrize("broken", [None, b"", b'{"version": "0.5.1", "images": [', b"\xff\xfe"])
def test_a_project_file_comes_from_its_backup(
    study: Path, backend: str, contents: Contents, broken: bytes | None
) -> None:
    """The backup lacks the second image, which is found in its folder."""
    (study / FILE).unlink()
    if broken is not None:
        (study / FILE).write_bytes(broken)
    (one,) = rescued(study, contents)
    assert one.source == "project.qpproj.backup and 1 image found in data/"
    assert "metadata" in one.lost
    assert (one.kept_as != "") == (broken is not None)
    assert one.kept_as.startswith("project.qpproj.broken-") or broken is None
    assert state(study, backend) == [("1", "The first", 2), ("2", "other.png", 0)]
    with open_project(study, backend=backend) as opened:
        assert opened.entry("1").metadata == {"patient": "P1"}
    raw = json.loads((study / FILE).read_text("utf-8"))
    assert raw["lastID"] == 2


def test_a_project_file_comes_from_a_snapshot(
    study: Path, backend: str, contents: Contents
) -> None:
    (study / FILE).write_bytes(b"{")
    (study / f"{FILE}.backup").write_bytes(b"[]")
    newest = snapshots_of(study, study / FILE)[0]
    (one,) = rescued(study, contents)
    assert one.source.startswith(f"qpgaze/snapshots/{FILE.replace('.', '_')}/{newest.name}")
    assert state(study, backend) == [("1", "The first", 2), ("2", "other.png", 0)]


def test_a_project_file_is_built_anew(
    study: Path, picture: Path, backend: str, contents: Contents
) -> None:
    (study / FILE).unlink()
    (study / f"{FILE}.backup").unlink()
    shutil.rmtree(study / "qpgaze" / "snapshots")
    (study / "data" / "3").mkdir()
    (study / "data" / "notes").mkdir()
    report = rescue_project(study)
    (one,) = report.rescued
    assert one.source == "2 images found in data/"
    assert "patient" in one.lost
    assert report.hopeless == ["data/3 does not say where its slide lies: left out."]
    assert state(study, backend) == [("1", "The first", 2), ("2", "other.png", 0)]
    with open_project(study, backend=backend) as opened:
        assert opened.entry("1").image_path() == picture
    assert verify_project(study, backend=backend).problems == []


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["c_all_roi_kinds", "b3_image_type_set_no_objects", "f_svs"])
def test_a_project_of_qupath_is_built_anew(
    fixture_project: Copy, contents: Contents, name: str
) -> None:
    study = fixture_project(name)
    raw = json.loads((study / FILE).read_text("utf-8"))
    meant = state(study, "embedded")
    (study / FILE).unlink()
    (study / f"{FILE}.backup").unlink(missing_ok=True)
    rescued(study, contents)
    assert state(study, "embedded") == meant
    again = json.loads((study / FILE).read_text("utf-8"))
    for one, other in zip(raw["images"], again["images"], strict=True):
        for key in ("builderType", "uri", "args"):
            assert one["serverBuilder"][key] == other["serverBuilder"][key]


@pytest.mark.parametrize("broken", [None, b"", b"\xac\xed\x00\x05", b"nonsense", "cut"])
def test_data_come_from_their_backup(
    study: Path, backend: str, contents: Contents, broken: bytes | str | None
) -> None:
    whole = (study / DATA).read_bytes()
    (study / DATA).unlink()
    if broken is not None:
        text = whole[: len(whole) // 2] if isinstance(broken, str) else broken
        (study / DATA).write_bytes(text)
    backup = (study / f"{DATA}.bkp").read_bytes()
    (one,) = rescued(study, contents, also_unsupported=True)
    assert (one.file, one.source) == (DATA, f"{DATA}.bkp")
    assert (study / DATA).read_bytes() == backup
    assert state(study, backend)[0] == ("1", "The first", 1)
    report = verify_project(study, backend=backend)
    assert [finding.kind for finding in report.problems] == ["lost"]


def test_data_come_from_a_snapshot(study: Path, backend: str, contents: Contents) -> None:
    (study / DATA).write_bytes(b"nonsense")
    (study / f"{DATA}.bkp").write_bytes(b"")
    newest, _oldest = snapshots_of(study, study / DATA)
    (one,) = rescued(study, contents)
    assert one.source == newest.relative_to(study).as_posix()
    assert state(study, backend)[0] == ("1", "The first", 1)


def test_a_damaged_snapshot_is_passed_over(study: Path, backend: str, contents: Contents) -> None:
    (study / DATA).write_bytes(b"nonsense")
    (study / f"{DATA}.bkp").unlink()
    newest, oldest = snapshots_of(study, study / DATA)
    newest.write_bytes(newest.read_bytes()[:-9])
    (one,) = rescued(study, contents)
    assert one.source == oldest.relative_to(study).as_posix()
    assert state(study, backend)[0] == ("1", "The first", 0)


def test_where_nothing_is_left(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(study / "qpgaze" / "snapshots")
    (study / f"{DATA}.bkp").unlink()
    (study / DATA).write_bytes(b"nonsense")
    report = rescue_project(study)
    assert report.rescued == []
    assert report.hopeless == [f"{DATA} is broken, and no whole version of it is left."]
    assert (study / DATA).read_bytes() == b"nonsense"
    assert run(["project", "rescue", str(study)]) == 1
    assert "Not brought back" in capsys.readouterr().out
    (study / FILE).unlink()
    (study / f"{FILE}.backup").unlink()
    shutil.rmtree(study / "data" / "2")
    (study / "data" / "2").mkdir()
    (study / "data" / "1" / "server.json").unlink()
    with pytest.raises(ProjectError, match="Nothing is left to build"):
        rescue_project(study)


def test_what_is_only_not_understood_is_left(
    study: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / DATA).write_bytes((study / DATA).read_bytes()[:-9] + b"something")
    real = (study / DATA).read_bytes()
    from qpgaze.bridge import qpdata

    reads = qpdata.read_qpdata

    def read(content: bytes) -> Any:
        if content == real:
            raise UnsupportedDataError("QuPath 9 wrote it.")
        return reads(content)

    monkeypatch.setattr(qpdata, "read_qpdata", read)
    before = contents(study)
    with pytest.raises(UsageError, match=r"QuPath 9 wrote it.*--also-unsupported"):
        rescue_project(study)
    assert contents(study) == before
    (one,) = rescued(study, contents, also_unsupported=True)
    assert one.file == DATA


@pytest.mark.parametrize("with_copies", [True, False])
def test_classes_come_back(
    study: Path, backend: str, contents: Contents, with_copies: bool
) -> None:
    with open_project(study, mode="r+", backend=backend) as opened:
        colors = dict(opened.classes)
        opened.add_classes({"Extra": None})
        opened.commit()
    if not with_copies:
        shutil.rmtree(study / "qpgaze" / "snapshots")
    (study / "classifiers" / "classes.json").write_bytes(b"{]")
    with pytest.raises(ProjectError):
        open_project(study, backend=backend)
    (one,) = rescued(study, contents)
    assert one.source.startswith("qpgaze/snapshots" if with_copies else "the classes of")
    with open_project(study, backend=backend) as opened:
        assert dict(opened.classes) == colors


def test_damaged_lines_of_the_ledger_are_put_aside(
    study: Path, backend: str, contents: Contents
) -> None:
    path = study / "qpgaze" / "ledger.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"\x00\x00\n" + second)
    (one,) = rescued(study, contents)
    assert one.lost == "1 damaged line"
    assert len(Ledger.open(study).records) == 2
    path.write_bytes(first + second[:-20])  # cut: every reader passes over it
    with pytest.raises(UsageError, match="Nothing is surely broken"):
        rescue_project(study)
    path.write_bytes(first.replace(b'"version":1', b'"version":9'))
    with pytest.raises(UsageError, match="Nothing is surely broken"):
        rescue_project(study)


def test_folders_of_no_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").mkdir()
    for place in (tmp_path, tmp_path / "none", tmp_path / "none.qpproj", tmp_path / "data" / "a"):
        with pytest.raises(UsageError, match="no folder of a QuPath project"):
            rescue_project(place)
    for name in ("a.qpproj", "b.qpproj"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ProjectError, match="several projects"):
        rescue_project(tmp_path)
    assert run(["project", "rescue", str(tmp_path / "none")]) == 2
    assert "no folder of a QuPath project" in capsys.readouterr().err


def test_what_lies_in_data_is_not_trusted(study: Path, backend: str) -> None:
    """Whatever a server.json holds, an image is listed or left out, never a crash."""
    for name in (FILE, f"{FILE}.backup"):
        (study / name).unlink()
    shutil.rmtree(study / "qpgaze" / "snapshots")
    for number, text in enumerate(
        ["{", "[]", "null", '{"builder": 5}', '{"builder": {"uri": 7}}', "[" * 9000, '"\\ud800"'],
        10,
    ):
        folder = study / "data" / str(number)
        folder.mkdir()
        (folder / "server.json").write_text(text, "utf-8")
    (study / "data" / "99999999999999999999").mkdir()
    (study / "data" / "007").mkdir()
    (study / "data" / "4").write_text("a file")
    report = rescue_project(study)
    assert len(report.hopeless) == 7
    assert [entry for entry, _, _ in state(study, backend)] == ["1", "2"]


def test_the_name_of_the_project_file_is_found(study: Path, contents: Contents) -> None:
    (study / FILE).unlink()
    (study / f"{FILE}.backup").rename(study / "My study.qpproj.backup")
    (one,) = rescued(study, contents)
    assert one.file == "My study.qpproj"


@settings(max_examples=30)
@given(st.tuples(*[st.tuples(st.floats(0, 0.999), st.integers(0, 255))] * 2))
def test_any_damage_is_mended_or_named(
    tmp_path_factory: pytest.TempPathFactory, damage: tuple[tuple[float, int], ...]
) -> None:
    """Cut or changed bytes in the two files that matter: a project that opens, or an error."""
    folder = tmp_path_factory.mktemp("r")
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    study = folder / "p"
    with create_project(study, backend="embedded") as made:
        made.add_image(folder / "a.png")
        made.commit()
        made.add_classes({"A": None})
        made.commit()
    for name, (place, flipped) in zip((FILE, DATA), damage, strict=True):
        content = bytearray((study / name).read_bytes())
        at = int(place * len(content))
        if flipped:
            content[at] ^= flipped
        else:
            del content[at:]
        (study / name).write_bytes(content)
    try:
        report = rescue_project(study, also_unsupported=True)
    except (UsageError, UnsupportedDataError):  # the damage is harmless, or cannot be told
        return
    if not report.hopeless:
        assert report.rescued
        assert [count for _, _, count in state(study, "embedded")] == [0]


def test_the_verb_says_what_it_does(
    study: Path,
    backend: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (study / DATA).write_bytes(b"nonsense")
    (study / FILE).write_bytes(b"")
    assert run(["project", "rescue", str(study), "--dry-run"]) == 0
    assert "Would bring back data/1/data.qpdata" in capsys.readouterr().out
    assert run(["project", "show", str(study)]) == 2
    assert run(["project", "rescue", str(study), "--break-lock"]) == 0
    shown = capsys.readouterr().out
    assert "The broken file is kept as data/1/data.qpdata.broken-" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert run(["project", "rescue", str(study)]) == 2
    assert "Nothing is surely broken" in capsys.readouterr().err
    (study / FILE).write_bytes(b"")
    assert run(["project", "rescue", str(study), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rescued"][0]["file"] == FILE
