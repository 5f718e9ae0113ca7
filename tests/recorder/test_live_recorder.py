"""The live recorder: everything that comes is written, once, in order, and the end is clean."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import numpy as np
import pytest

from qpgaze.errors import SessionError
from qpgaze.model import Event
from qpgaze.recording import Batch, ReplaySource, SimulatedSource
from qpgaze.recording import live_recorder as recorder_module
from qpgaze.recording.live import SessionZero
from qpgaze.recording.live_lock import session_lock
from qpgaze.recording.live_recorder import Recording, Told, record_live
from qpgaze.recording.status import Status
from qpgaze.recording.watch_end import Ending
from qpgaze.samples import GAZE_COLUMNS, Column, empty_records
from qpgaze.session import SessionHeader, SessionWriter, open_session, validate_session
from qpgaze.simulate import Reading
from qpgaze.viewing import Display, Rect, ViewerState
from qpgaze.wire import StandIn

DISPLAY = Display(Rect(0.0, 0.0, 1920.0, 1080.0), 528.0, 297.0)


class Tracker:
    """A live source that gives batches of a tenth of a second until it is told to stop."""

    columns: tuple[Column, ...] = GAZE_COLUMNS
    duration_us: int | None = None

    def __init__(
        self, count: int | None = None, before: Callable[[int], None] = lambda _n: None
    ) -> None:
        self.zero = SessionZero()
        self.count, self.before = count, before
        self.starts = self.given = 0
        self.stopping = threading.Event()
        self.display = DISPLAY

    def start(self) -> SessionHeader:
        self.zero.begin()
        self.starts += 1
        self.stopping.clear()
        return SessionHeader(UUID(int=9), "someone", "Fake tracker", self.display)

    def batches(self) -> Iterator[Batch]:
        while not self.stopping.is_set() and (self.count is None or self.given < self.count):
            number, self.given = self.given, self.given + 1
            self.before(number)
            gaze = empty_records(12)
            gaze["t_us"] = number * 100_000 + np.arange(12) * 8_333
            yield Batch((number + 1) * 100_000, gaze)

    def stop(self) -> None:
        self.stopping.set()


def test_a_reading_comes_back_whole(tmp_path: Path, reading: Reading) -> None:
    outcome = record_live(Recording(SimulatedSource(reading), viewer=False), tmp_path / "s.qpgaze")
    session = open_session(outcome.path)
    assert session.closed
    assert np.array(session.gaze.records).tobytes() == reading.records.tobytes()
    assert session.viewer_states == reading.states
    assert tuple(e for e in session.events if e.kind not in ("audit", "note")) == reading.events
    assert validate_session(session.path) == ()
    assert outcome.reason == "the source ended"
    assert (outcome.samples, outcome.viewer_states) == (len(reading.records), len(reading.states))
    assert not (tmp_path / "s.qpgaze.lock").exists()


def test_it_holds_a_faster_source_back_and_loses_nothing(tmp_path: Path, reading: Reading) -> None:
    first = record_live(Recording(SimulatedSource(reading), viewer=False), tmp_path / "a.qpgaze")
    source = ReplaySource(first.path, batch_us=4_000)  # many more batches than may wait
    second = record_live(Recording(source, viewer=False), tmp_path / "b.qpgaze")
    for name in ("gaze.bin", "viewer.jsonl"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()


def test_the_end_is_asked_for(tmp_path: Path) -> None:
    ending = Ending()
    tracker = Tracker(before=lambda n: ending.end("enough") if n == 30 else None)
    outcome = record_live(Recording(tracker, viewer=False), tmp_path / "s.qpgaze", ending=ending)
    assert outcome.reason == "enough"
    assert not outcome.failed
    session = open_session(outcome.path, check_content=False)
    assert session.closed
    # What the source gave before it was stopped is all there.
    assert len(session.gaze) >= 12 * 30


def test_ctrl_c_is_a_normal_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Status] = []

    def status(now: Status) -> None:
        told.append(now)
        raise KeyboardInterrupt

    outcome = record_live(
        Recording(Tracker(), viewer=False), tmp_path / "s.qpgaze", told=Told(status=status)
    )
    assert outcome.reason == "Ctrl-C"
    assert open_session(outcome.path, check_content=False).closed
    assert told[0].viewer == "none"


def test_a_source_that_fails_leaves_a_closed_session(tmp_path: Path) -> None:
    def fail(number: int) -> None:
        if number == 5:
            raise OSError(errno.EIO, "unplugged")

    outcome = record_live(Recording(Tracker(before=fail), viewer=False), tmp_path / "s.qpgaze")
    assert outcome.failed
    assert "unplugged" in outcome.reason
    session = open_session(outcome.path, check_content=False)
    assert session.closed
    assert len(session.gaze) == 60


def test_a_lost_tracker_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qpgaze.recording.live_feed.RESTART_S", (0.0, 0.0))

    def fail(number: int) -> None:
        if number == 5:
            raise OSError(errno.EIO, "unplugged")
        if number == 10:
            ending.end("enough")

    ending = Ending()
    tracker = Tracker(before=fail)
    what = Recording(tracker, zero=tracker.zero, restart=True, viewer=False)
    outcome = record_live(what, tmp_path / "s.qpgaze", ending=ending)
    assert (outcome.reason, outcome.failed) == ("enough", False)
    assert tracker.starts == 2
    session = open_session(outcome.path, check_content=False)
    gaps = [e.data for e in session.events if e.kind == "gap"]
    assert next(g["reason"] for g in gaps if g["source"] == "gaze") == "the source was lost"
    notes = [e.data["text"] for e in session.events if e.kind == "note"]
    assert any("unplugged" in text for text in notes)


def test_another_display_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpgaze.recording.live_feed.RESTART_S", (0.0,))

    def fail(number: int) -> None:
        if number == 5:
            tracker.display = replace(DISPLAY, width_mm=600.0)
            raise OSError(errno.EIO, "unplugged")

    tracker = Tracker(before=fail)
    outcome = record_live(
        Recording(tracker, zero=tracker.zero, restart=True, viewer=False), tmp_path / "s.qpgaze"
    )
    assert outcome.failed
    assert "another display" in outcome.reason
    assert open_session(outcome.path, check_content=False).closed


def test_two_recorders_on_one_session_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "s.qpgaze"
    with session_lock(folder), pytest.raises(SessionError, match="is being recorded by process"):
        record_live(Recording(Tracker(3), viewer=False), folder)
    assert not folder.exists()


def test_a_session_is_never_written_over_another(tmp_path: Path) -> None:
    record_live(Recording(Tracker(3), viewer=False), tmp_path / "s.qpgaze")
    tracker = Tracker(3)
    with pytest.raises(SessionError, match="not empty"):
        record_live(Recording(tracker, viewer=False), tmp_path / "s.qpgaze")
    assert tracker.stopping.is_set()


def test_a_full_disk_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = SessionWriter.append_gaze
    written = 0

    def append(writer: SessionWriter, records: np.ndarray) -> None:
        nonlocal written
        written += 1
        if written > 7:
            file = writer._files["gaze.bin"]
            monkeypatch.setattr(file, "_file", _Full(file._file))
        real(writer, records)

    monkeypatch.setattr(SessionWriter, "append_gaze", append)
    with pytest.raises(SessionError, match="the disk is full") as raised:
        record_live(Recording(Tracker(), viewer=False), tmp_path / "s.qpgaze")
    assert "kept" in str(raised.value)
    session = open_session(tmp_path / "s.qpgaze", check_content=False)
    assert not session.closed
    assert len(session.gaze) == 7 * 12


class _Full:
    """A file on a disk on which half a record still fits."""

    def __init__(self, file: object) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        if len(data) > 40:
            return self._file.write(data[:40])  # type: ignore[attr-defined, no-any-return]
        raise OSError(errno.ENOSPC, "No space left on device")


def test_it_ends_by_itself_while_there_is_room_to_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=10 << 20)
    monkeypatch.setattr(recorder_module.shutil, "disk_usage", lambda _path: usage)
    outcome = record_live(Recording(Tracker(), viewer=False), tmp_path / "s.qpgaze")
    assert "the disk is full" in outcome.reason
    assert open_session(outcome.path, check_content=False).closed


def test_sleep_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 3_600_000_000])
    monkeypatch.setattr(recorder_module, "waking_us", lambda: next(clock, 3_600_000_000))
    ended: list[int] = []
    ending = Ending()

    def status(now: Status) -> None:
        ended.append(now.t_us)
        if len(ended) == 3:
            ending.end("enough")

    monkeypatch.setattr(recorder_module, "TICK_US", 0)
    outcome = record_live(
        Recording(Tracker(), viewer=False),
        tmp_path / "s.qpgaze",
        ending=ending,
        told=Told(status=status),
    )
    gaps = [e.data for e in open_session(outcome.path, check_content=False).events]
    assert any(g.get("source") == "computer" for g in gaps)


# -- with a viewer -----------------------------------------------------------------------------


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait without asking how long: a stuck test is ended from outside."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.005)


def breathe(_number: int) -> None:
    """Let the other threads run: a real tracker is not as fast as this one."""
    threading.Event().wait(0.001)


def state_of(t_us: int, x: float, reading: Reading) -> ViewerState:
    first = reading.states[0]
    return replace(first, t_us=t_us, read_us=t_us, downsample=1.0 + x)


def test_views_and_keys_come_through_the_wire(tmp_path: Path, reading: Reading) -> None:
    hooks = tmp_path / "hooks"
    ending = Ending()
    told: list[Status] = []
    tracker = Tracker()
    validation = Event(0, "validation", {"accuracy_deg": 0.5})
    what = Recording(
        tracker, zero=tracker.zero, hooks=(hooks,), events=lambda _header: (validation,)
    )
    result: list[object] = []
    tracker.before = breathe
    with StandIn(folder=hooks) as hook:
        thread = threading.Thread(
            target=lambda: result.append(
                record_live(
                    what, tmp_path / "s.qpgaze", ending=ending, told=Told(status=told.append)
                )
            )
        )
        hook.show(state_of(hook.server.clock(), 0.0, reading))
        thread.start()
        wait_for(lambda: any("recorder" in name for name in hook.server.clients))
        wait_for(lambda: any(n["type"] == "status" for n in hook.notes))
        for n in range(20):
            hook.show(state_of(hook.server.clock(), n + 1.0, reading))
        hook.server.publish_event(hook.server.clock(), "label", {"event": "mark", "class": "Pearl"})
        wait_for(lambda: any(s.viewer_states >= 21 for s in told))
        hook.server.publish_control("stop")
        thread.join()
    session = open_session(tmp_path / "s.qpgaze", check_content=False)
    assert session.closed
    states = session.viewer_states
    assert [s.downsample for s in states] == [1.0 + n for n in range(21)]
    assert all(a.t_us <= b.t_us for a, b in pairwise(states))
    kinds = [e.kind for e in session.events]
    assert kinds.count("label") == 1
    assert session.accuracy()[0] == 0.5
    assert {c.source.__name__ for c in session.clocks} == {"ViewerClock"}
    audit = next(e.data for e in session.events if e.kind == "audit")
    assert audit["view_changes"] == 0  # the picture stood still; only its number changed
    assert audit["comparisons"] >= 1
    notes = [n for n in hook.notes if n["type"] == "status"]
    assert notes[-1]["state"] == "ended"
    assert result[0].reason == "QuPath's menu"  # type: ignore[attr-defined]


def test_qupath_comes_late_goes_and_comes_again(
    tmp_path: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpgaze.recording.live_viewer.LOOK_AGAIN_S", 0.01)
    hooks = tmp_path / "hooks"
    ending, told = Ending(), []
    tracker = Tracker(before=breathe)
    what = Recording(tracker, zero=tracker.zero, hooks=(hooks,))
    thread = threading.Thread(
        target=lambda: record_live(
            what, tmp_path / "s.qpgaze", ending=ending, told=Told(status=told.append)
        )
    )
    thread.start()
    for round_ in range(2):
        with StandIn(folder=hooks) as hook:
            hook.show(state_of(hook.server.clock(), float(round_), reading))
            wait_for(lambda: any("recorder" in name for name in hook.server.clients))
            wait_for(lambda r=round_: any(s.viewer_states >= 1 + 2 * r for s in told))
        wait_for(lambda r=round_: any(s.viewer_states >= 2 + 2 * r for s in told))
    ending.end("enough")
    thread.join()
    session = open_session(tmp_path / "s.qpgaze", check_content=False)
    assert session.closed
    assert [s.shown for s in session.viewer_states] == [True, False, True, False]
    gaps = [e.data for e in session.events if e.kind == "gap" and e.data["source"] == "viewer"]
    assert len(gaps) == 3
    assert gaps[0]["start_us"] == 0
