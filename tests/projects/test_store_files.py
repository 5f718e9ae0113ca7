"""Whatever goes wrong while files are written, each is the old one or the new one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qpgaze.bridge.projects import files
from qpgaze.bridge.projects.files import Change, Snapshot, read_file, replace_files
from qpgaze.errors import ConflictError, ProjectError

Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, one with a backup, and room for a new one."""
    place = tmp_path / "p"
    place.mkdir()
    (place / "a").write_bytes(b"old a")
    (place / "a.bkp").write_bytes(b"older a")
    (place / "b").write_bytes(b"old b")
    return place


def changes(folder: Path) -> list[Change]:
    _, a = read_file(folder / "a")
    _, b = read_file(folder / "b")
    return [
        Change(folder / "a", b"new a", a, backup=folder / "a.bkp"),
        Change(folder / "b", b"new b", b),
        Change(folder / "data" / "7" / "c", b"new c", Snapshot(folder / "data" / "7" / "c")),
        Change(folder / "d", b"new d", Snapshot(folder / "d"), backup=folder / "d.bkp"),
    ]


NEW = {
    "a": b"new a",
    "a.bkp": b"old a",
    "b": b"new b",
    "d": b"new d",
    "data": b"",
    "data/7": b"",
    "data/7/c": b"new c",
}


def test_all_are_written_and_the_old_one_is_kept(folder: Path, contents: Contents) -> None:
    replace_files(changes(folder))
    assert contents(folder) == NEW


class Fault:
    """Raises at the n-th call of any of several functions, before or after the real call."""

    def __init__(self, error: BaseException, at: int, *, after: bool) -> None:
        self.error, self.left, self.after = error, at, after
        self.fired = False

    def wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            now = self.left == 0 and not self.fired
            if now and not self.after:
                self.fired = True
                raise self.error
            result = real(*args, **kwargs)
            if now:
                self.fired = True
                raise self.error
            return result

        return call


STEPS = 40


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        OSError(errno.ENOSPC, "No space left on device"),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EIO, "Input/output error"),
    ],
    ids=["ctrl-c", "full", "denied", "broken"],
)
def test_a_fault_at_any_step_leaves_old_or_new(
    folder: Path,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    after: bool,
) -> None:
    before = contents(folder)
    monkeypatch.setattr(files, "RETRY_AFTER_S", ())
    fired = 0
    for at in range(1, STEPS):
        fault = Fault(error, at, after=after)
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "write", fault.wrap(os.write))
            patch.setattr(files.os, "fsync", fault.wrap(lambda _: None))
            patch.setattr(Path, "replace", fault.wrap(Path.replace))
            patch.setattr(Path, "mkdir", fault.wrap(Path.mkdir))
            try:
                replace_files(changes(folder))
            except (ProjectError, KeyboardInterrupt):
                assert fault.fired
                assert contents(folder) == before
                fired += 1
            else:
                # Either no step was left to fail, or only the last flush of a folder failed,
                # after everything was in place.
                assert contents(folder) == NEW
                for name in ("data/7/c", "d"):
                    (folder / name).unlink()
                for name in ("data/7", "data"):
                    (folder / name).rmdir()
                for name, content in before.items():
                    (folder / name).write_bytes(content)
    assert fired >= 15


def test_a_full_disk_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(ProjectError, match=r"disk is full.*still there"):
        replace_files(changes(folder))


def test_a_file_held_open_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(files.time, "sleep", pauses.append)
    fault = Fault(PermissionError(errno.EACCES, "held"), 1, after=False)
    monkeypatch.setattr(Path, "replace", fault.wrap(Path.replace))
    replace_files(changes(folder))
    assert pauses == [files.RETRY_AFTER_S[0]]


def test_a_file_held_for_good_is_refused(
    folder: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    real = Path.replace

    def held(self: Path, target: Path) -> Path:
        if Path(target).name == "b":
            raise PermissionError(errno.EACCES, "held", str(target))
        return real(self, target)

    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    monkeypatch.setattr(Path, "replace", held)
    with pytest.raises(ProjectError, match=r"holds it open.*Close the image"):
        replace_files(changes(folder))
    monkeypatch.undo()
    assert contents(folder) == before


def test_a_changed_file_is_left_alone(folder: Path, contents: Contents) -> None:
    planned = changes(folder)
    (folder / "b").write_bytes(b"old B")
    before = contents(folder)
    with pytest.raises(ConflictError, match="changed since"):
        replace_files(planned)
    assert contents(folder) == before
    planned = changes(folder)
    (folder / "d").write_bytes(b"appeared")
    with pytest.raises(ConflictError, match="changed since"):
        replace_files(planned)


def test_what_does_not_read_back_is_refused(folder: Path, contents: Contents) -> None:
    before = contents(folder)
    planned = changes(folder)

    def broken(_: bytes) -> None:
        raise ProjectError("not as meant")

    planned[1].verify = broken
    with pytest.raises(ProjectError, match="not as meant"):
        replace_files(planned)
    assert contents(folder) == before


def test_a_folder_that_is_a_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(ProjectError, match="cannot be read"):
        read_file(tmp_path)
    with pytest.raises(ProjectError):
        replace_files([Change(tmp_path / "x" / "y", b"", Snapshot(tmp_path / "x" / "y"))])


def test_what_an_ended_writer_left_is_removed(folder: Path, contents: Contents) -> None:
    for name in (".a.0123abcd.new~", ".a.0123abcd.old~", ".b.0123abcd.new~", ".a.txt~"):
        (folder / name).write_bytes(b"left")
    before = contents(folder)
    files.sweep(folder / "a", folder / "a.bkp")
    gone = {".a.0123abcd.new~", ".a.0123abcd.old~"}
    assert contents(folder) == {k: v for k, v in before.items() if k not in gone}
    (folder / "a.bkp").replace(folder / ".a.0123abcd.kept~")
    files.sweep(folder / "a", folder / "a.bkp")
    assert (folder / "a.bkp").read_bytes() == b"older a"
    files.sweep(folder / "none" / "a")
