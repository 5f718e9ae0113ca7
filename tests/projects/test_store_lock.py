"""One writer at a time, and what becomes of a lock whose holder was ended."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qpgaze.bridge.projects import holder, lock
from qpgaze.errors import ConflictError, ProjectError

Contents = Callable[[Path], dict[str, bytes]]


def left_behind(folder: Path, **changes: object) -> Path:
    """A lock of another computer, whose heart stopped long ago."""
    path = folder / "qpgaze" / "lock"
    path.parent.mkdir(exist_ok=True)
    given = {
        "version": 1,
        "host": "elsewhere",
        "user": "ann",
        "pid": 77,
        "space": "",
        "since_utc": "2026-01-01T00:00:00+00:00",
        "token": "abc",
    }
    path.write_text(json.dumps({**given, **changes}), encoding="utf-8")
    os.utime(path, (1e9, 1e9))
    return path


@pytest.fixture(scope="module")
def ended() -> int:
    """The number of a process that ran and ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_one_writer_at_a_time(tmp_path: Path, contents: Contents) -> None:
    with lock.writer_lock(tmp_path):
        raw = json.loads((tmp_path / "qpgaze" / "lock").read_text(encoding="utf-8"))
        assert (raw["pid"], raw["host"]) == (os.getpid(), socket.gethostname())
        refused: list[BaseException] = []

        def other() -> None:
            try:
                with lock.writer_lock(tmp_path, wait_s=0):
                    pass
            except ConflictError as error:
                refused.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert f"process {os.getpid()}" in str(refused[0])
        assert "sign of life" in str(refused[0])
    assert contents(tmp_path) == {}


def test_a_thread_takes_its_own_lock_again(tmp_path: Path, contents: Contents) -> None:
    with lock.writer_lock(tmp_path) as outer:
        with lock.writer_lock(tmp_path / ".", wait_s=0) as inner:
            assert inner is outer
        assert outer.path.exists()
        outer.require()
    assert contents(tmp_path) == {}


def test_a_lock_of_an_ended_process_is_taken_over(
    tmp_path: Path, ended: int, contents: Contents
) -> None:
    left_behind(tmp_path, host=socket.gethostname(), pid=ended)
    (tmp_path / "qpgaze" / "lock.0123~").write_bytes(b"half")
    with lock.writer_lock(tmp_path, wait_s=0) as held:
        assert held.took_over
        assert list(contents(tmp_path / "qpgaze")) == ["lock"]
    with lock.writer_lock(tmp_path, wait_s=0) as held:
        assert not held.took_over


@pytest.mark.parametrize(
    "changes",
    [{}, {"host": socket.gethostname(), "space": "another container"}, {"pid": "many"}],
)
def test_a_lock_of_another_computer_is_explained(
    tmp_path: Path, ended: int, changes: dict[str, object]
) -> None:
    path = left_behind(tmp_path, **{"pid": ended, **changes})
    before = path.read_bytes()
    with (
        pytest.raises(ConflictError, match=r"ann on .*minutes old.*--break-lock to remove it"),
        lock.writer_lock(tmp_path, wait_s=0),
    ):
        pass
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["lock"]
    broken = lock.break_lock(tmp_path)
    assert broken is not None
    assert broken.user == "ann"
    with lock.writer_lock(tmp_path, wait_s=0):
        pass
    assert lock.break_lock(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"host": 1}', "[" * 10000])
def test_a_lock_that_says_nothing(tmp_path: Path, text: str) -> None:
    path = left_behind(tmp_path)
    path.write_text(text, encoding="utf-8")
    with (
        pytest.raises(ConflictError, match=r"Another program is writing.*--break-lock"),
        lock.writer_lock(tmp_path, wait_s=0),
    ):
        pass
    with pytest.raises(ConflictError, match="signs of life"):
        lock.break_lock(tmp_path)
    os.utime(path, (1e9, 1e9))
    assert lock.break_lock(tmp_path) is not None
    assert not path.exists()


def test_a_living_lock_is_not_broken(tmp_path: Path) -> None:
    with lock.writer_lock(tmp_path) as held:
        with pytest.raises(ConflictError, match="showed signs of life"):
            lock.break_lock(tmp_path)
        held.require()


def test_a_heart_beats_while_the_lock_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.01)
    with lock.writer_lock(tmp_path) as held:
        size = held.path.stat().st_size
        deadline = time.monotonic() + 30
        while held.path.stat().st_size < size + 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert held.path.stat().st_size >= size + 2
        held.require()
        age_s = holder.heartbeat_age_s(held.path)
        assert age_s is not None
        assert age_s < 30
    assert not held.path.exists()


def test_a_lock_that_was_taken_away_is_noticed(tmp_path: Path) -> None:
    with lock.writer_lock(tmp_path) as held:
        held.path.unlink()
        with pytest.raises(ConflictError, match="took the project's lock away"):
            held.require()
        other = left_behind(tmp_path)
        with pytest.raises(ConflictError, match="took the project's lock away"):
            held.require()
    assert other.exists()  # not ours to remove


def test_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: Contents
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(lock.os, "link", none)
    with lock.writer_lock(tmp_path) as held:
        held.require()
        assert list(contents(tmp_path / "qpgaze")) == ["lock"]
        with pytest.raises(ConflictError, match="signs of life"):
            lock.break_lock(tmp_path)
    other = left_behind(tmp_path)
    with pytest.raises(ConflictError), lock.writer_lock(tmp_path, wait_s=0):
        pass
    assert other.exists()


def test_a_lock_goes_when_its_block_fails(tmp_path: Path, contents: Contents) -> None:
    with pytest.raises(KeyboardInterrupt), lock.writer_lock(tmp_path):
        raise KeyboardInterrupt
    assert contents(tmp_path) == {}


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(lock.os, "open", denied)
    with (
        pytest.raises(ProjectError, match=r"cannot be written.*Nothing was changed"),
        lock.writer_lock(tmp_path),
    ):
        pass
    assert not (tmp_path / "qpgaze").exists()


def test_many_writers_take_turns(tmp_path: Path) -> None:
    inside: list[int] = []
    wrong: list[int] = []

    def write(number: int) -> None:
        with lock.writer_lock(tmp_path, wait_s=60):
            inside.append(number)
            if len(inside) != 1:
                wrong.append(number)
            time.sleep(0.002)
            inside.remove(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
