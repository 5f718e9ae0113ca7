"""What was written is listed, compared with what is there, and taken back."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from qpgaze import keys
from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.account import verify_project
from qpgaze.bridge.account_log import log_project
from qpgaze.bridge.ledger import Ledger, Operation, Standing, records_of
from qpgaze.bridge.pending import commit_recorded, open_ledger, pending_files
from qpgaze.bridge.projects.protocol import Project
from qpgaze.bridge.records import record_line
from qpgaze.bridge.rollback import rollback_session
from qpgaze.cli.app import run
from qpgaze.errors import ConflictError, ProjectError, UsageError
from qpgaze.model import SlideObject

Make = Callable[..., SlideObject]
Contents = Callable[[Path], dict[str, bytes]]
SESSION = "6f1f0e0a-2b7b-4a37-9d7e-0a6a3a5f9d01"
OTHER = "0b0f0e0a-2b7b-4a37-9d7e-0a6a3a5f9d02"


def write(project: Project, op: Operation, entry: str, objects: Iterable[SlideObject]) -> None:
    """Write objects of ours."""
    items = list(objects)
    ledger = open_ledger(project)
    if op is Operation.REPLACE:
        project.entry(entry).replace(items)
    else:
        project.entry(entry).add(items)
    commit_recorded(project, ledger, records_of(op, entry, items))


@pytest.fixture
def study(tmp_path: Path, picture: Path, make_object: Make, backend: str) -> Path:
    """Two images: four objects of ours on the first, one of them refined, one on the second."""
    other = tmp_path / "other.png"
    Image.open(picture).rotate(180).save(other)
    with create_project(tmp_path / "study", backend=backend) as made:
        made.add_image(picture)
        made.add_image(other)
        made.commit()
        write(made, Operation.ADD, "1", [make_object(n) for n in (1, 2, 3, 4)])
        write(made, Operation.ADD, "2", [make_object(5)])
        better = make_object(2, geometry=shapely.box(20, 0, 29, 9))
        better.metadata[keys.METHOD] = "best"  # type: ignore[index]
        write(made, Operation.REPLACE, "1", [better])
    return tmp_path / "study"


def by_hand(study: Path, backend: str, work: Callable[[Project], None]) -> None:
    """Change a project without our ledger, as a person does in QuPath."""
    with open_project(study, mode="r+", backend=backend) as opened:
        work(opened)
        opened.commit()


# -- log ---------------------------------------------------------------------------------------


def test_every_write_is_listed(study: Path, picture: Path, backend: str) -> None:
    lines = log_project(study)
    assert [(line.op, line.entry, line.count) for line in lines] == [
        ("add_image", "1", 1),
        ("add_image", "2", 1),
        ("add", "1", 4),
        ("add", "2", 1),
        ("replace", "1", 1),
    ]
    assert lines[2].image == picture.name
    assert lines[2].classes == {"Keratin pearl": 4}
    assert (lines[4].session, lines[4].method) == (SESSION, "best")
    (study / "project.qpproj").write_text("{", "utf-8")
    assert [line.image for line in log_project(study)][2:] == ["", "", ""]


def test_a_project_without_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with create_project(tmp_path / "p", backend="embedded"):
        pass
    assert log_project(tmp_path / "p") == []
    assert run(["project", "log", str(tmp_path / "p")]) == 0
    assert "Nothing was written" in capsys.readouterr().out
    assert run(["project", "log", str(tmp_path / "none")]) == 2


# -- verify ------------------------------------------------------------------------------------


def test_a_sound_project_has_no_problems(study: Path, backend: str, contents: Contents) -> None:
    before = contents(study)
    report = verify_project(study, backend=backend)
    assert (report.images, report.objects, report.ours, report.untouched) == (2, 5, 5, 5)
    assert (report.problems, report.remarks) == ([], [])
    assert contents(study) == before


def test_what_is_wrong_is_named(
    study: Path, tmp_path: Path, make_object: Make, backend: str
) -> None:
    one, three, four, five = (make_object(n) for n in (1, 3, 4, 5))

    def person(opened: Project) -> None:
        first, second = opened.entry("1"), opened.entry("2")
        first.remove([one.id, four.id])
        first.replace([dataclasses.replace(three, name="looked at")])
        first.add([dataclasses.replace(five, name="again"), make_object(3, id=uuid4())])
        second.add([dataclasses.replace(four, name="moved here")])

    by_hand(study, backend, person)
    (tmp_path / "other.png").unlink()
    report = verify_project(study, backend=backend)
    found = {(f.kind, f.entry, f.object) for f in report.problems}
    assert found == {
        ("lost", "1", str(one.id)),
        ("moved", "1", str(four.id)),
        ("duplicated", "1", str(five.id)),
        ("duplicated", "1", str(three.id)),
        ("no_slide", "2", ""),
    }
    changed = {(f.kind, f.entry, f.object) for f in report.remarks}
    assert ("changed", "1", str(three.id)) in changed
    words = " ".join(f.message for f in report.problems)
    assert "label 1 (Keratin pearl) was written on" in words
    assert "is on image 2 now" in words
    assert "is there 2 times: image 1, image 2" in words


def test_data_and_images_that_are_gone(study: Path, backend: str) -> None:
    (study / "data" / "1" / "data.qpdata").write_bytes(b"\xac\xed\0\5")
    file = study / "project.qpproj"
    raw = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**raw, "images": raw["images"][:1]}), "utf-8")
    report = verify_project(study, backend=backend)
    assert {(f.kind, f.entry) for f in report.problems} == {("unreadable", "1"), ("no_image", "2")}


def test_slides_that_moved_or_are_others(study: Path, tmp_path: Path, backend: str) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    for name in ("study", "other.png", "Präparat 1 [a].png"):
        (tmp_path / name).rename(place / name)
    Image.new("RGB", (301, 200)).save(place / "other.png")
    report = verify_project(place / "study", backend=backend)
    assert [(f.kind, f.entry) for f in report.problems] == [("other_slide", "2")]
    assert [(f.kind, f.entry) for f in report.remarks] == [
        ("slide_moved", "1"),
        ("slide_moved", "2"),
    ]


def test_a_write_that_was_cut_is_mentioned_and_settled(
    study: Path, make_object: Make, backend: str, contents: Contents
) -> None:
    """The objects are in the project, and the computer stopped before the ledger was."""
    six, better = make_object(6), make_object(1, geometry=shapely.box(10, 0, 15, 5))
    by_hand(study, backend, lambda p: p.entry("1").add([six]))
    by_hand(study, backend, lambda p: p.entry("1").replace([better]))
    by_hand(study, backend, lambda p: p.entry("1").remove([make_object(4).id]))
    records = [
        *records_of(Operation.ADD, "1", [six, make_object(7)]),  # the 7th did not get so far
        *records_of(Operation.REPLACE, "1", [better]),
        *records_of(Operation.REMOVE, "1", [make_object(4)]),
        *records_of(Operation.REPLACE, "2", [dataclasses.replace(make_object(5), name="x")]),
        *records_of(Operation.ADD, "99", [make_object(8)]),
    ]
    file = study / "qpgaze" / "pending-00c0ffee.jsonl"
    file.write_text("".join(map(record_line, records)) + '{"cut', "utf-8")
    before = contents(study)
    report = verify_project(study, backend=backend)
    assert (report.problems, report.ours, report.untouched) == ([], 5, 5)
    assert [f.kind for f in report.remarks] == ["left_over"]
    assert contents(study) == before
    with open_project(study, mode="r+", backend=backend) as opened:
        ledger = open_ledger(opened)
        standings = ledger.compare(opened.entry("1").objects(), entry="1")
        assert set(standings.values()) == {Standing.UNTOUCHED}
    assert pending_files(study) == []
    assert Ledger.open(study).records[-3:] == (records[0], records[2], records[3])
    # Where even the append came through, nothing is recorded twice.
    file.write_text("".join(map(record_line, records)), "utf-8")
    with open_project(study, mode="r+", backend=backend) as opened:
        assert len(open_ledger(opened).records) == len(ledger.records)
    file.write_text("nonsense\n", "utf-8")
    with pytest.raises(ProjectError, match="line 1 is damaged"):
        verify_project(study, backend=backend)


# -- rollback ----------------------------------------------------------------------------------


def test_a_session_is_taken_back(
    study: Path, make_object: Make, backend: str, contents: Contents
) -> None:
    mine = make_object(90, id=uuid4(), metadata={}, name="a person's", parent=make_object(1).id)
    copy = make_object(2, id=uuid4(), name="a copy")
    meta = {**make_object(1).metadata, keys.SESSION: OTHER}
    other = make_object(9, metadata=meta, name="another session's")

    def person(opened: Project) -> None:
        opened.entry("1").add([mine, copy])
        opened.entry("1").replace([dataclasses.replace(make_object(3), class_name="Tumor")])
        opened.entry("1").remove([make_object(4).id])

    by_hand(study, backend, person)
    with open_project(study, mode="r+", backend=backend) as opened:
        write(opened, Operation.ADD, "1", [other])
    before = contents(study)
    planned = rollback_session(study, SESSION[:8], dry_run=True, backend=backend)
    assert contents(study) == before
    done = rollback_session(study, SESSION[:8].upper(), backend=backend)
    assert dataclasses.replace(planned, dry_run=False) == done
    assert (done.session, done.backend) == (SESSION, backend)
    first, second = done.images
    assert (first.removed, first.left, first.gone) == (2, ["label 3"], 1)
    assert (second.removed, second.left, second.gone) == (1, [], 0)
    with open_project(study, backend=backend) as opened:
        names = {item.name for item in opened.entry("1").objects()}
        assert names == {"a person's", "a copy", "label 3", "another session's"}
        assert opened.entry("2").objects() == ()
    after = contents(study)
    again = rollback_session(study, SESSION, backend=backend)
    assert sum(image.removed for image in again.images) == 0
    assert contents(study) == after
    all_ = rollback_session(study, SESSION, also_changed=True, backend=backend)
    assert [image.removed for image in all_.images] == [1]
    with open_project(study, backend=backend) as opened:
        names = {item.name for item in opened.entry("1").objects()}
        assert names == {"a person's", "a copy", "another session's"}
    # One line for each image and method, one for what was gone, one for what a person had changed.
    assert [line.op for line in log_project(study)].count("remove") == 5
    # Nobody misses what the session wrote and somebody deleted before.
    lost = [one for one in verify_project(study, backend=backend).problems if one.kind == "lost"]
    assert lost == []
    assert "duplicated" not in {f.kind for f in verify_project(study, backend=backend).problems}


def test_what_was_written_before_the_ledger_knew_is_taken_back_too(
    study: Path, make_object: Make, backend: str
) -> None:
    (study / "qpgaze" / "ledger.jsonl").unlink()
    done = rollback_session(study, SESSION, backend=backend)
    assert [image.removed for image in done.images] == [4, 1]


def test_sessions_that_are_none(study: Path, make_object: Make, backend: str) -> None:
    for wanted in ("", "6f1", "nonsense", "ffffffff"):
        with pytest.raises(UsageError, match=f"those that did: {SESSION}"):
            rollback_session(study, wanted, backend=backend)
    meta = {**make_object(8).metadata, keys.SESSION: SESSION[:-1] + "f"}
    with open_project(study, mode="r+", backend=backend) as opened:
        write(opened, Operation.ADD, "1", [make_object(8, metadata=meta)])
    with pytest.raises(UsageError, match="Several sessions begin"):
        rollback_session(study, SESSION[:8], backend=backend)
    with pytest.raises(ProjectError):
        rollback_session(study / "none", SESSION, backend=backend)


def test_an_image_that_cannot_be_read_stops_it(
    study: Path, backend: str, contents: Contents
) -> None:
    (study / "data" / "2" / "data.qpdata").write_bytes(b"broken")
    before = contents(study)
    with pytest.raises(ProjectError, match=r"image 2 .*cannot be read; nothing.*rescue"):
        rollback_session(study, SESSION, backend=backend)
    assert contents(study) == before
    lines = (study / "qpgaze" / "ledger.jsonl").read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["entry"] == "1"]
    (study / "qpgaze" / "ledger.jsonl").write_text("".join(kept), "utf-8")
    done = rollback_session(study, SESSION, backend=backend)
    assert [image.removed for image in done.images] == [4]
    assert any("Image 2" in note and "left out" in note for note in done.notes)


def test_a_commit_that_fails_leaves_no_trace(
    study: Path,
    make_object: Make,
    backend: str,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open_project(study, mode="r+", backend=backend) as opened:
        ledger = open_ledger(opened)
        opened.entry("1").replace([make_object(1, geometry=shapely.box(0, 0, 3, 3))])
        by_hand(study, backend, lambda p: p.entry("1").remove([make_object(1).id]))
        before = contents(study)
        with pytest.raises(ConflictError):
            commit_recorded(opened, ledger, records_of(Operation.REPLACE, "1", [make_object(1)]))
        assert contents(study) == before


# -- any history -------------------------------------------------------------------------------

_KINDS = st.sampled_from(["ours", "refine", "edit", "delete", "back"])


@settings(max_examples=25)
@given(st.lists(st.tuples(_KINDS, st.integers(1, 4)), max_size=12))
def test_any_history_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int]]
) -> None:
    """After a rollback nothing untouched of the session is left, and nothing else is gone."""
    folder = tmp_path_factory.mktemp("h")
    Image.new("RGB", (64, 64)).save(folder / "a.png")

    def make(number: int, size_px: float) -> SlideObject:
        from uuid import uuid5

        return SlideObject(
            id=uuid5(UUID(SESSION), f"{number}/0"),
            geometry=shapely.box(0, 0, size_px, size_px),
            class_name="A",
            metadata={keys.SESSION: SESSION, keys.LABEL: str(number), keys.PART: "0"},
        )

    now: dict[int, str] = {}  # number to who touched it last
    with create_project(folder / "p", backend="embedded") as project:
        entry = project.add_image(folder / "a.png")
        person = SlideObject(id=uuid4(), geometry=shapely.box(1, 1, 2, 2))
        entry.add([person])
        project.commit()
        for step, (kind, number) in enumerate(history):
            size = 3.0 + step
            if kind == "ours" and number not in now:
                write(project, Operation.PUT_BACK, "1", [make(number, size)])
                now[number] = "ours"
            elif kind == "refine" and now.get(number) == "ours":
                write(project, Operation.REPLACE, "1", [make(number, size)])
            elif kind == "edit" and number in now:
                entry.replace([make(number, size)])
                project.commit()
                now[number] = "person"
            elif kind == "delete" and number in now:
                entry.remove([make(number, size).id])
                project.commit()
                del now[number]
        if not Ledger.open(folder / "p").records:
            return
        report = verify_project(folder / "p", backend="embedded")
        assert report.untouched == sum(who == "ours" for who in now.values())
        assert len(report.remarks) == sum(who == "person" for who in now.values())
        done = rollback_session(folder / "p", SESSION, backend="embedded")
        assert sum(i.removed for i in done.images) == report.untouched
        assert sum(len(i.left) for i in done.images) == len(report.remarks)
    with open_project(folder / "p", backend="embedded") as opened:
        left = {item.id for item in opened.entry("1").objects()}
    assert left == {person.id, *(make(n, 1).id for n, who in now.items() if who == "person")}


# -- the verbs ---------------------------------------------------------------------------------


@pytest.fixture
def plain(study: Path, backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The study, for the command line: 80 columns, the embedded store."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PAQUO_QUPATH_DIR", str(tmp_path / "none"))
    return study


def test_the_verbs_say_what_they_do(
    plain: Path, make_object: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    study = str(plain)
    assert run(["project", "log", study]) == 0
    shown = capsys.readouterr().out
    assert "refined" in shown
    assert SESSION[:8] in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert run(["project", "log", study, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["writes"]) == 5
    assert run(["project", "verify", study]) == 0
    assert "No problems." in capsys.readouterr().out

    def person(opened: Project) -> None:
        opened.entry("1").remove([make_object(1).id])
        opened.entry("1").replace([dataclasses.replace(make_object(3), class_name="Tumor")])

    by_hand(plain, "embedded", person)
    assert run(["project", "verify", study]) == 1
    shown = capsys.readouterr().out
    assert "Lost: label 1 (Keratin pearl)" in shown
    assert "Changed: 'label 3'" in shown
    assert "--put-back" in shown
    assert run(["project", "verify", study, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["kind"] == "lost"
    assert run(["project", "rollback", study, "--session", "6f1f0e0a", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "Would remove 3 objects" in shown
    assert run(["project", "rollback", study, "--session", "6f1f0e0a"]) == 0
    shown = capsys.readouterr().out
    assert "1 left, changed by a person (label 3)" in shown
    assert run(["project", "rollback", study, "--session", "6f1f0e0a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["session"] == SESSION
    assert run(["project", "rollback", study, "--session", "nope"]) == 2
    assert "Expected a session" in capsys.readouterr().err


def test_a_lock_is_broken_on_wish(
    plain: Path, picture: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpgaze.bridge.projects.lock.WAIT_S", 0)
    lock = plain / "qpgaze" / "lock"
    left = {"host": "elsewhere", "user": "ann", "pid": 7, "since_utc": "then", "token": "x"}
    lock.write_text(json.dumps(left), "utf-8")
    os.utime(lock, (1e9, 1e9))
    other = picture.with_name("new.png")
    shutil.copy(picture, other)
    assert run(["project", "verify", str(plain)]) == 0
    assert "locked by ann on elsewhere" in " ".join(capsys.readouterr().out.split())
    assert run(["project", "add", str(plain), str(other), "--break-lock"]) == 0
    assert "Removed the lock of ann on elsewhere" in capsys.readouterr().err
    assert not lock.exists()
    verb = ["project", "rollback", str(plain), "--session", SESSION, "--break-lock"]
    assert run(verb) == 0
    assert "There was no lock" in capsys.readouterr().err


def test_a_ledger_that_another_program_holds_is_tried_again_then_caught_up(
    study: Path, make_object: Make, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: a sharing violation (winerror 32) is a PermissionError."""
    real, refused = os.open, [0]

    def held(path: object, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith("ledger.jsonl") and refused[0]:
            refused[0] -= 1
            error = PermissionError(13, "The process cannot access the file", str(path))
            error.winerror = 32  # type: ignore[attr-defined]
            raise error
        return real(path, flags, mode)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", held)
    monkeypatch.setattr("qpgaze.bridge.ledger.RETRY_AFTER_S", (0.0, 0.0))
    for number, times in ((30, 2), (31, 3)):
        refused[0] = times
        with open_project(study, mode="r+", backend=backend) as opened:
            if times == 2:
                write(opened, Operation.ADD, "1", [make_object(number)])
                continue
            with pytest.raises(ProjectError, match="will be recognised"):
                write(opened, Operation.ADD, "1", [make_object(number)])
    assert len(pending_files(study)) == 1
    with open_project(study, mode="r+", backend=backend) as opened:
        last = open_ledger(opened).last("1")
    assert {make_object(30).id, make_object(31).id} <= last.keys()
    assert pending_files(study) == []
    assert verify_project(study, backend=backend).problems == []
