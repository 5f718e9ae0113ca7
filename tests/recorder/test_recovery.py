"""A recorder that was killed: what is on disk is a session, and recovering it says what is lost."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qpgaze.errors import FormatError, SessionError
from qpgaze.frames import ClockRelation, SessionClock, ViewerClock
from qpgaze.model import Event
from qpgaze.recording import SimulatedSource, record
from qpgaze.recording.live_lock import session_lock
from qpgaze.recording.recovery import recover_session
from qpgaze.session import SessionWriter, open_session, validate_session
from qpgaze.session.codec import event_to_json
from qpgaze.session.layout import EVENTS_FILE, GAZE_FILE, HOOK_FILE, MANIFEST_FILE, VIEWER_FILE
from qpgaze.simulate import Reading
from qpgaze.viewing_json import dump_line, viewer_state_to_json


@pytest.fixture
def cut(tmp_path: Path, reading: Reading) -> Path:
    """A session whose manifest was never written."""
    folder = record(SimulatedSource(reading), tmp_path / "s.qpgaze").path
    (folder / MANIFEST_FILE).unlink()
    return folder


@pytest.mark.parametrize("name", [GAZE_FILE, VIEWER_FILE, EVENTS_FILE, "clocks.jsonl"])
@pytest.mark.parametrize("tail", [b"\x07", b"\0" * 81], ids=["torn", "zeros"])
def test_torn_ends_are_cut_off(cut: Path, reading: Reading, name: str, tail: bytes) -> None:
    with (cut / name).open("ab") as file:
        file.write(tail)
    done = recover_session(cut)
    assert not done.was_closed
    assert done.torn_bytes == {name: len(tail)}
    session = open_session(cut)
    assert session.closed
    assert np.array(session.gaze.records).tobytes() == reading.records.tobytes()
    assert session.viewer_states == reading.states
    assert [e.kind for e in session.events[-2:]] == ["audit", "note"]
    assert validate_session(cut) == ()
    assert len(done.lost) == 2


def test_it_is_done_once(cut: Path) -> None:
    first = recover_session(cut)
    again = recover_session(cut)
    assert again.was_closed
    assert (again.samples, again.events, again.lost) == (first.samples, first.events, ())


def test_a_cut_while_it_recovers_costs_nothing(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("power")

    with monkeypatch.context() as patch:
        patch.setattr("qpgaze.recording.recovery.write_whole", fail)
        with pytest.raises(SessionError, match="power"):
            recover_session(cut)
    assert not open_session(cut).closed
    assert not recover_session(cut).was_closed
    assert validate_session(cut) == ()


def test_files_that_never_came_are_made(tmp_path: Path, reading: Reading) -> None:
    source = SimulatedSource(reading)
    writer = SessionWriter.create(tmp_path / "s.qpgaze", source.start())
    writer.release()
    (tmp_path / "s.qpgaze" / EVENTS_FILE).unlink()
    done = recover_session(tmp_path / "s.qpgaze")
    assert done.samples == 0
    assert open_session(done.path, check_content=False).closed


def test_what_is_being_recorded_is_left_alone(cut: Path) -> None:
    with session_lock(cut), pytest.raises(SessionError, match="is being recorded"):
        recover_session(cut)
    assert not (cut / MANIFEST_FILE).exists()


def test_a_damaged_line_in_the_middle_is_refused(cut: Path) -> None:
    lines = (cut / VIEWER_FILE).read_bytes().splitlines(keepends=True)
    (cut / VIEWER_FILE).write_bytes(b"".join([lines[0], b"{broken}\n", *lines[1:]]))
    with pytest.raises(FormatError, match="line 2"):
        recover_session(cut)
    assert not (cut / MANIFEST_FILE).exists()


@pytest.mark.parametrize("closed", [False, True])
def test_what_the_hook_wrote_comes_in(tmp_path: Path, reading: Reading, closed: bool) -> None:
    offset_us = 5_000_000_000
    half = reading.states[len(reading.states) // 2].t_us
    source = SimulatedSource(reading)
    writer = SessionWriter.create(tmp_path / "s.qpgaze", source.start())
    heard = [s for s in reading.states if s.t_us < half]
    unheard = [s for s in reading.states if s.t_us >= half]
    heard = [replace(s, read_us=s.t_us + offset_us) for s in heard]
    unheard = [replace(s, read_us=s.t_us + offset_us) for s in unheard]
    writer.append_gaze(reading.records)
    writer.append_viewer(heard)
    relation = ClockRelation(ViewerClock, SessionClock, offset_us=-offset_us, at_us=offset_us)
    writer.append_clock(relation)
    writer.append_event(Event(0, "note", {"text": "so far"}))
    writer.append_event(Event(half + 2, "label", {"event": "undo"}))
    if closed:
        writer.close()
    else:
        writer.release()
    # The hook knows its own clock only; what the recorder got last it wrote, too.
    told = [replace(s, t_us=s.t_us + offset_us) for s in [*heard[-3:], *unheard]]
    lines = [dump_line(viewer_state_to_json(s)) for s in told]
    mark = {"event": "mark", "class": "Pearl"}
    for event in (Event(half, "label", {"event": "undo"}), Event(half + 9, "label", mark)):
        on_viewer_clock = replace(event, t_us=event.t_us + offset_us)
        lines.append(dump_line(event_to_json(on_viewer_clock)))
    (tmp_path / "s.qpgaze" / HOOK_FILE).write_bytes(b"".join(lines) + b'{"t_us": 3')
    done = recover_session(tmp_path / "s.qpgaze")
    assert done.was_closed == closed
    assert done.merged == len(unheard)
    assert done.left_out == 1
    session = open_session(done.path)
    assert session.closed
    assert session.viewer_states == (*heard, *unheard)
    keys = [(e.t_us, e.data["event"]) for e in session.events if e.kind == "label"]
    assert keys == [(half + 2, "undo"), (half + 9, "mark")]
    assert validate_session(done.path) == ()
    assert not (done.path / HOOK_FILE).exists()


def test_the_hook_s_clock_must_be_known(cut: Path, reading: Reading) -> None:
    (cut / "clocks.jsonl").write_bytes(b"")
    (cut / HOOK_FILE).write_bytes(dump_line(viewer_state_to_json(reading.states[0])))
    done = recover_session(cut)
    assert (done.merged, done.left_out) == (0, 1)
    assert any("hook" in text for text in done.lost)


# -- killed for good ---------------------------------------------------------------------------

CHILD = """
import sys, time
import numpy as np
from pathlib import Path
from uuid import UUID
from qpgaze.recording import Batch
from qpgaze.recording.live import SessionZero
from qpgaze.recording.live_recorder import Recording, record_live
from qpgaze.samples import GAZE_COLUMNS, empty_records
from qpgaze.session import SessionHeader
from qpgaze.viewing import Display, Rect, ViewerState

class Tracker:
    columns, duration_us = GAZE_COLUMNS, None
    def __init__(self):
        self.zero = SessionZero()
    def start(self):
        self.zero.begin()
        display = Display(Rect(0.0, 0.0, 1920.0, 1080.0), 528.0, 297.0)
        return SessionHeader(UUID(int=9), "someone", "Fake tracker", display)
    def batches(self):
        begin = self.zero.now_us()
        while True:
            time.sleep(0.01)
            end = self.zero.now_us()
            gaze = empty_records(12)
            gaze["t_us"] = np.linspace(begin, end - 1, 12)
            print(end, flush=True)
            yield Batch(end, gaze, (ViewerState(begin, "1", None, None, 1.0),))
            begin = end
    def stop(self):
        pass

tracker = Tracker()
record_live(Recording(tracker, zero=tracker.zero, viewer=False), Path(sys.argv[1]))
"""


def kill_once(folder: Path, after: int, more_s: float) -> tuple[int, int]:
    """Kill a recorder after so many batches; return when, and the last sample on the disk."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child, child.stdout as said:
        for _ in range(after):
            last = said.readline()
        time.sleep(more_s)
        child.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        rest = said.read().split()
    given_us = int((rest or [last])[-1])
    session = open_session(folder, check_content=False)
    assert not session.closed
    t_us = session.gaze.records["t_us"]
    return given_us, int(t_us[-1]) if len(t_us) else 0


def test_a_kill_at_a_random_moment_loses_less_than_a_second(tmp_path: Path) -> None:
    chance = random.Random(5)
    for n in range(10):
        folder = tmp_path / f"{n}.qpgaze"
        given_us, kept_us = kill_once(folder, chance.randrange(1, 30), chance.random() * 0.02)
        assert given_us - kept_us < 1_000_000
        done = recover_session(folder)
        assert open_session(folder, check_content=False).closed
        assert done.samples == len(open_session(folder, check_content=False).gaze)
        problems = [p for p in validate_session(folder) if p.file != VIEWER_FILE]
        assert problems == []
        shutil.rmtree(folder)
