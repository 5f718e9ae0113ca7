"""Sessions come home whole, once, and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from qpgaze.errors import SessionError
from qpgaze.session import open_session, sessions_dir
from qpgaze.workflows import collect_sessions
from qpgaze.workflows.collect import CollectedCopy, collect_projects

Copy = Callable[[Path, str], Path]
A, B = UUID(int=8, version=4), UUID(int=9, version=4)


def collect(copy: Path, into: Path) -> CollectedCopy:
    return collect_projects([copy], into, backend="embedded").copies[0]


def statuses(copy: CollectedCopy) -> dict[str, str]:
    return {session.name: session.status for session in copy.sessions}


def test_sessions_are_copied_once(project: Path, copy_of: Copy, people: SimpleNamespace) -> None:
    copy = copy_of(project, "a")
    source = people.record_session(copy, "reader", A)
    assert statuses(collect(copy, project)) == {"reader.qpgaze": "added"}
    target = sessions_dir(project) / "reader.qpgaze"
    assert people.tree(target) == people.tree(source)
    assert open_session(target, check_content=False).id == A
    assert statuses(collect(copy, project)) == {"reader.qpgaze": "there"}
    assert [path.name for path in sessions_dir(project).iterdir()] == ["reader.qpgaze"]


def test_two_readers_of_one_name(project: Path, copy_of: Copy, people: SimpleNamespace) -> None:
    for name, identity in (("a", A), ("b", B)):
        copy = copy_of(project, name)
        people.record_session(copy, "reader", identity)
    report = collect_projects(
        [project.parent / "a", project.parent / "b"], project, backend="embedded"
    )
    assert report.clean
    names = sorted(path.name for path in sessions_dir(project).iterdir())
    assert names == [f"reader-{B.hex[:8]}.qpgaze", "reader.qpgaze"]


def test_one_id_with_other_content_is_a_conflict(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    people.record_session(project, "reader", A)
    copy = copy_of(project, "a")
    cut = people.record_session(copy, "other", B, close=False)
    (cut / "gaze.bin").write_bytes((cut / "gaze.bin").read_bytes()[:-50])
    people.record_session(project, "other", B)
    (copy / "qpgaze" / "sessions" / "reader.qpgaze" / "extra.txt").write_text("x")
    before = people.tree(project)
    found = collect(copy, project)
    assert statuses(found) == {"reader.qpgaze": "conflict", "other.qpgaze": "conflict"}
    assert not found.clean
    assert "not closed" in found.sessions[0].why
    assert "not closed" not in found.sessions[1].why
    assert people.tree(project) == before


def test_a_damaged_session_stays_out(project: Path, copy_of: Copy, people: SimpleNamespace) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)])
    source = people.record_session(copy, "reader", A)
    gaze = bytearray((source / "gaze.bin").read_bytes())
    gaze[5] ^= 1
    (source / "gaze.bin").write_bytes(bytes(gaze))
    found = collect(copy, project)
    assert statuses(found) == {"reader.qpgaze": "damaged"}
    assert "manifest" in found.sessions[0].why
    assert not list(project.rglob("*.part~"))
    assert not list(project.rglob("gaze.bin"))
    assert found.images[0].added == 1


def test_no_session_holds_links_or_folders(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    source = people.record_session(copy, "reader", A)
    (source / "inner").mkdir()
    secret = copy.parent / "secret.txt"
    secret.write_text("secret")
    other = people.record_session(copy, "other", B)
    try:
        (other / "link.txt").symlink_to(secret)
    except OSError:  # Windows without the right to make links
        (other / "inner").mkdir()
    assert set(statuses(collect(copy, project)).values()) == {"damaged"}
    assert not sessions_dir(project).exists()


def test_a_recording_that_was_cut_comes_too(
    project: Path, copy_of: Copy, people: SimpleNamespace
) -> None:
    copy = copy_of(project, "a")
    people.record_session(copy, "reader", A, close=False)
    found = collect(copy, project)
    assert statuses(found) == {"reader.qpgaze": "added"}
    assert "not closed" in found.sessions[0].why
    assert statuses(collect(copy, project)) == {"reader.qpgaze": "there"}


def test_a_full_disk_leaves_everything_as_it_was(
    project: Path, copy_of: Copy, people: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copy_of(project, "a")
    people.write(copy, add=[people.drawn(2)])
    people.record_session(copy, "reader", A)
    before = people.tree(project)

    def full(source: Path, target: Path) -> str:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(collect_sessions, "_copy", full)
    with pytest.raises(SessionError, match="No space left"):
        collect(copy, project)
    assert people.tree(project) == before
