"""The recorder: batches to disk, Ctrl-C a normal end, a failing source no loss."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import shapely

from qpgaze.errors import SessionError
from qpgaze.recording import Batch, ReplaySource, SimulatedSource, record
from qpgaze.recording.recorder import FLUSH_US
from qpgaze.samples import GAZE_COLUMNS, Column, empty_records
from qpgaze.session import SessionHeader, SessionWriter, open_session, validate_session
from qpgaze.simulate import TruthObject, simulate_reading
from qpgaze.viewing import Display, ImageIdentity, Rect, ViewerState

SLIDE = ImageIdentity("slide", 2000, 1500, "1", ("file:/x/slide.tif",))


class Tracker:
    """A source of 10 batches a second that may fail, or be stopped, at a batch."""

    def __init__(self, batches: int, error: BaseException | None = None) -> None:
        self.count, self.error, self.stopped = batches, error, 0

    columns: tuple[Column, ...] = GAZE_COLUMNS
    duration_us: int | None = None

    def start(self) -> SessionHeader:
        display = Display(Rect(0.0, 0.0, 1920.0, 1080.0), 528.0, 297.0)
        return SessionHeader(UUID(int=9), "someone", "Fake tracker", display)

    def batches(self) -> Iterator[Batch]:
        for number in range(self.count):
            gaze = empty_records(12)
            gaze["t_us"] = number * 100_000 + np.arange(12) * 8_333
            view = ViewerState(number * 100_000, "1", None, None, 1.0)
            yield Batch((number + 1) * 100_000, gaze, (view,))
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        self.stopped += 1


def test_a_recording_is_closed_at_its_end(tmp_path: Path) -> None:
    source = Tracker(20)
    session = record(source, tmp_path / "s.qpgaze", pseudonym="reader 7")
    assert session.closed
    assert source.stopped == 1
    assert len(session.gaze) == 240
    assert len(session.viewer_states) == 20
    assert session.header.pseudonym == "reader 7"
    assert validate_session(session.path) == ()


def test_ctrl_c_is_a_normal_end(tmp_path: Path) -> None:
    source = Tracker(3, KeyboardInterrupt())
    session = record(source, tmp_path / "s.qpgaze")
    assert session.closed
    assert len(session.gaze) == 36
    assert source.stopped == 1


@pytest.mark.parametrize("error", [RuntimeError("unplugged"), OSError(errno.EIO, "unplugged")])
def test_a_failing_source_leaves_a_readable_session(tmp_path: Path, error: Exception) -> None:
    source = Tracker(3, error)
    with pytest.raises(SessionError, match="unplugged"):
        record(source, tmp_path / "s.qpgaze")
    assert source.stopped == 1
    session = open_session(tmp_path / "s.qpgaze", check_content=False)
    assert not session.closed
    assert len(session.gaze) == 36
    assert len(session.notes) == 1


def test_a_full_folder_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", "utf-8")
    source = Tracker(3)
    with pytest.raises(SessionError, match="not empty"):
        record(source, tmp_path)
    assert source.stopped == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_half_a_second_at_most_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    real = SessionWriter.flush

    def flush(writer: SessionWriter) -> None:
        flushed.append((writer.path / "gaze.bin").stat().st_size // (12 * 80))
        real(writer)

    monkeypatch.setattr(SessionWriter, "flush", flush)
    record(Tracker(20), tmp_path / "s.qpgaze")
    assert flushed == [1, 6, 11, 16, 20]
    assert np.diff(flushed).max() * 100_000 <= FLUSH_US


def test_progress_is_told_in_seconds(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    source = Tracker(25)
    source.duration_us = 2_500_000
    record(source, tmp_path / "s.qpgaze", progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 2)
    assert told[-1] == (2, 2)


@pytest.fixture(scope="module")
def reading():  # type: ignore[no-untyped-def]
    pearls = [
        TruthObject("a", "Pearl", shapely.Point(900, 700).buffer(120)),
        TruthObject("b", "Pearl", shapely.Point(1500, 400).buffer(80)),
    ]
    return simulate_reading(pearls, SLIDE, pixel_size_um=0.5, seed=3)


def test_a_simulated_reading_is_recorded_whole(tmp_path: Path, reading) -> None:  # type: ignore[no-untyped-def]
    session = record(SimulatedSource(reading), tmp_path / "s.qpgaze")
    assert np.array(session.gaze.records).tobytes() == reading.records.tobytes()
    assert session.viewer_states == reading.states
    assert session.events == reading.events
    assert set(session.clocks) == set(reading.clocks)
    assert session.id == reading.session_id
    assert session.accuracy() == (0.5, 0.3, False)
    assert validate_session(session.path) == ()


def test_a_replay_gives_the_same_bytes_again(tmp_path: Path, reading) -> None:  # type: ignore[no-untyped-def]
    first = record(SimulatedSource(reading), tmp_path / "a.qpgaze")
    record(ReplaySource(first.path, batch_us=777_777), tmp_path / "b.qpgaze")
    for path in first.path.iterdir():
        assert path.read_bytes() == (tmp_path / "b.qpgaze" / path.name).read_bytes(), path.name


def test_a_replay_of_nothing_is_nothing(tmp_path: Path) -> None:
    empty = record(Tracker(0), tmp_path / "a.qpgaze")
    assert list(ReplaySource(empty).batches()) == []
