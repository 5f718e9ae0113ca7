"""Writing: nothing is overwritten, a full disk costs at most the last record."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from qpgaze.errors import SessionError, UsageError
from qpgaze.samples import GAZE_COLUMNS, empty_records
from qpgaze.session import SessionHeader, SessionWriter, open_session, validate_session, writer
from qpgaze.viewing import Display, Rect

HEADER = SessionHeader(UUID(int=5), "p", "t", Display(Rect(0.0, 0.0, 1920.0, 1080.0), 528.0, 297.0))


def gaze(n: int, start: int = 1) -> np.ndarray:
    records = empty_records(n)
    records["t_us"] = np.arange(start, start + n) * 1000
    return records


def test_every_file_is_there_from_the_first_moment(tmp_path: Path) -> None:
    writer = SessionWriter.create(tmp_path / "s.qpgaze", HEADER)
    names = {p.name for p in writer.path.iterdir()}
    assert names == {"session.json", "gaze.bin", "viewer.jsonl", "clocks.jsonl", "events.jsonl"}
    writer.append_gaze(gaze(2))
    writer.flush()
    cut = open_session(writer.path, check_content=False)
    assert len(cut.gaze) == 2
    assert not cut.closed
    assert "not closed" in cut.notes[0]
    writer.close()
    writer.close()
    assert open_session(writer.path, check_content=False).closed
    assert validate_session(writer.path)[0].message.startswith("The session holds gaze, but no")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine", "utf-8")
    with pytest.raises(SessionError, match="not empty"):
        SessionWriter.create(tmp_path, HEADER)
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s.qpgaze").write_text("mine", "utf-8")
    with pytest.raises(SessionError, match="could not be begun"):
        SessionWriter.create(tmp_path / "s.qpgaze", HEADER)
    assert (tmp_path / "s.qpgaze").read_text("utf-8") == "mine"


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "s.qpgaze").mkdir()
    SessionWriter.create(tmp_path / "s.qpgaze", HEADER).close()
    assert open_session(tmp_path / "s.qpgaze").closed


def test_records_without_a_column_are_refused(tmp_path: Path) -> None:
    with SessionWriter.create(tmp_path / "s.qpgaze", HEADER) as writer:
        short = np.zeros(2, dtype=[("t_us", "<i8")])
        with pytest.raises(UsageError, match="left_x_adcs"):
            writer.append_gaze(short)
    with pytest.raises(UsageError, match="t_us"):
        SessionWriter.create(tmp_path / "t.qpgaze", HEADER, GAZE_COLUMNS[1:])
    assert not (tmp_path / "t.qpgaze").exists()


def test_an_error_in_the_block_leaves_a_readable_session(tmp_path: Path) -> None:
    def fail() -> None:
        with SessionWriter.create(tmp_path / "s.qpgaze", HEADER) as writer:
            writer.append_gaze(gaze(3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    session = open_session(tmp_path / "s.qpgaze", check_content=False)
    assert len(session.gaze) == 3
    assert not session.closed


def full_after(room: int) -> Callable[[memoryview], int]:
    """Return a write that fills a disk with `room` bytes left, the way a real one does."""
    left = room

    def write(data: memoryview) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(left, len(data))
        left -= taken
        return taken

    return write


def test_a_full_disk_keeps_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "s.qpgaze"
    writer = SessionWriter.create(path, HEADER)
    writer.append_gaze(gaze(4))
    appender = writer._files["gaze.bin"]
    real = appender._file

    class Full:
        """The file on a disk with 100 bytes left."""

        write_some = staticmethod(full_after(100))

        def write(self, data: memoryview) -> int:
            taken = self.write_some(data)
            real.write(data[:taken])
            return taken

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    appender._file = Full()  # type: ignore[assignment]
    with pytest.raises(SessionError, match="the disk is full"):
        writer.append_gaze(gaze(4, 5))
    with pytest.raises(SessionError, match="the disk is full"):
        writer.append_gaze(gaze(1, 9))
    writer.release()
    assert (path / "gaze.bin").stat().st_size == 4 * 80
    session = open_session(path, check_content=False)
    assert len(session.gaze) == 4
    assert not session.closed
    assert len(session.notes) == 1


def test_a_manifest_that_cannot_be_written_leaves_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SessionWriter.create(tmp_path / "s.qpgaze", HEADER)
    writer.append_gaze(gaze(2))

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SessionError, match="read-only"):
        writer.close()
    monkeypatch.undo()
    assert not list(writer.path.glob("*.part"))
    assert not open_session(writer.path, check_content=False).closed


def test_a_beginning_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = writer._Appender

    def refuse(path: Path) -> object:
        if path.name == "clocks.jsonl":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path)

    monkeypatch.setattr(writer, "_Appender", refuse)
    with pytest.raises(SessionError, match="disk is full"):
        SessionWriter.create(tmp_path / "s.qpgaze", HEADER)
    assert not (tmp_path / "s.qpgaze").exists()


def test_after_closing_nothing_is_taken(tmp_path: Path) -> None:
    writer = SessionWriter.create(tmp_path / "s.qpgaze", HEADER)
    writer.close()
    with pytest.raises(SessionError, match="closed already"):
        writer.append_gaze(gaze(1))


def test_the_manifest_lists_every_file(tmp_path: Path) -> None:
    SessionWriter.create(tmp_path / "s.qpgaze", HEADER).close()
    files = json.loads((tmp_path / "s.qpgaze/manifest.json").read_text("utf-8"))["files"]
    assert set(files) == {
        "session.json", "gaze.bin", "viewer.jsonl", "clocks.jsonl", "events.jsonl",
    }  # fmt: skip


def test_two_writers_of_the_same_make_the_same_bytes(make_session) -> None:  # type: ignore[no-untyped-def]
    one, two = make_session("one.qpgaze"), make_session("two.qpgaze")
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name
