"""Copies of files before each write, and the account of what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.projects import snapshots
from qpgaze.bridge.projects.folder import FolderProject
from qpgaze.bridge.projects.snapshots import (
    discard,
    is_whole,
    prune,
    snapshot_folder,
    snapshots_of,
    take_snapshots,
)
from qpgaze.bridge.projects.writes import last_written, read_writes
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

Make = Callable[..., SlideObject]
Contents = Callable[[Path], dict[str, bytes]]


def take(project: Path, file: Path, now_ms: int) -> list[Path]:
    made: list[Path] = []
    take_snapshots(project, [file, project / "none"], now_ms=now_ms, made=made)
    prune(project, [file])
    return made


def test_each_write_leaves_what_was_before(
    tmp_path: Path, picture: Path, make_object: Make, backend: str
) -> None:
    study = tmp_path / "study"
    with create_project(study, backend=backend) as made:
        empty = made.path.read_bytes()
        made.add_image(picture)
        made.commit()
    data = study / "data" / "1" / "data.qpdata"
    versions = [data.read_bytes()]
    with open_project(study, mode="r+", backend=backend) as opened:
        assert isinstance(opened, FolderProject)
        for number in (1, 2, 3):
            opened.clock_ms = lambda number=number: 1_700_000_000_000 + number
            opened.entry("1").add([make_object(number)])
            opened.commit()
            versions.append(data.read_bytes())
    copies = snapshots_of(study, data)
    assert [copy.read_bytes() for copy in copies] == versions[-2::-1]
    assert all(is_whole(copy) for copy in copies)
    assert copies[0].name.startswith("20231114T221320003Z-")
    assert data.with_name("data.qpdata.bkp").read_bytes() == versions[-2]
    (first,) = snapshots_of(study, study / "project.qpproj")
    assert first.read_bytes() == empty
    writes = read_writes(study)
    assert [dict(write.images) for write in writes] == [{"1": picture.name}, {}, {}, {}]
    assert writes[1].classes == ("Keratin pearl",)
    assert last_written(writes)["data/1/data.qpdata"] == hashlib.sha256(versions[-1]).hexdigest()


def test_the_oldest_and_the_newest_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "data" / "7" / "f"
    file.parent.mkdir(parents=True)
    for number in range(30):
        file.write_bytes(b"%d" % number)
        take(tmp_path, file, 1000 * number)
    kept = [int(copy.read_bytes()) for copy in snapshots_of(tmp_path, file)]
    assert kept == [*range(29, 29 - snapshots.KEEP + 1, -1), 0]
    assert take(tmp_path, file, 10**9) == []  # as the newest: no other is made


def test_a_damaged_copy_is_told(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"content")
    (copy,) = take(tmp_path, file, 0)
    (copy.parent / "notes.txt").write_bytes(b"not ours")
    (copy.parent / "x.part~").write_bytes(b"cut")
    assert is_whole(copy)
    copy.write_bytes(b"conten")
    assert not is_whole(copy)
    assert not is_whole(tmp_path / "none")
    take(tmp_path, file, 5)
    names = {path.name for path in snapshot_folder(tmp_path, file).iterdir()}
    assert names >= {"notes.txt", copy.name}
    assert "x.part~" not in names
    assert len(snapshots_of(tmp_path, file)) == 2


def test_copies_of_a_write_that_failed_go(tmp_path: Path, contents: Contents) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"content")
    before = contents(tmp_path)
    (tmp_path / "qpgaze").mkdir()
    discard(take(tmp_path, file, 0), tmp_path)
    (tmp_path / "qpgaze").rmdir()
    assert contents(tmp_path) == before


@given(st.lists(st.binary(max_size=3), max_size=25))
def test_any_row_of_contents(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("p")
    file = folder / "f"
    row: list[bytes] = []
    for number, content in enumerate(contents):
        file.write_bytes(content)
        take(folder, file, number)
        if not row or row[-1] != content:
            row.append(content)
    newest_first = [copy.read_bytes() for copy in snapshots_of(folder, file)]
    if len(row) > snapshots.KEEP:
        row = [row[0], *row[-(snapshots.KEEP - 1) :]]
    assert newest_first == row[::-1]


def test_lines_of_the_account_that_are_damaged(tmp_path: Path, picture: Path) -> None:
    assert read_writes(tmp_path) == []
    study = tmp_path / "study"
    with create_project(study, backend="embedded") as made:
        made.add_image(picture)
        made.commit()
        path = study / "qpgaze" / "writes.jsonl"
        (line,) = path.read_bytes().splitlines()
        bad = [b"{}", b"[" * 5000, b"[1]", b"\xff", json.dumps({"files": 1}).encode()]
        path.write_bytes(b"\n".join([line, *bad, line[:20]]))  # the last one was cut
        made.add_classes({"A": None})
        made.commit()
    first, last = read_writes(study)
    assert (dict(first.images), last.classes) == ({"1": picture.name}, ("A",))
    path.unlink()
    path.mkdir()
    with pytest.raises(ProjectError, match="cannot be read"):
        read_writes(study)
    with open_project(study, mode="r+", backend="embedded") as opened:
        opened.add_classes({"B": None})
        opened.commit()  # the account is poorer, the project is not
        assert "B" in opened.classes
