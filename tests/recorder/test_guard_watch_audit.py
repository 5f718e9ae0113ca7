"""What a source gets wrong, a full disk, sleep, and the audit: pure parts of the recorder."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.errors import SessionError
from qpgaze.frames import ClockRelation, DeviceClock, SessionClock, ViewerClock
from qpgaze.recording.live_audit import SyncAudit
from qpgaze.recording.live_guard import GazeGuard
from qpgaze.recording.live_lock import session_lock
from qpgaze.recording.watch import SleepWatch, Slept
from qpgaze.recording.watch_end import Ending
from qpgaze.samples import MISSING_STAMP, empty_records
from qpgaze.viewing import Rect, ViewerState


def at(*t_us: int, valid: bool = False) -> Any:
    records = empty_records(len(t_us))
    records["t_us"] = t_us
    if valid:
        for eye in ("left", "right"):
            records[f"{eye}_x_adcs"] = records[f"{eye}_y_adcs"] = 0.5
            records[f"{eye}_gaze_valid"] = 1
    return records


def test_good_samples_pass_untouched() -> None:
    guard = GazeGuard()
    records = at(0, 8_000, 16_000, valid=True)
    records.setflags(write=False)
    kept, events = guard.take(records)
    assert kept.tobytes() == records.tobytes()
    assert events == []
    assert guard.finish(16_000) == []


def test_repeated_stamps_are_kept_and_counted() -> None:
    guard = GazeGuard()
    kept, _ = guard.take(at(0, 8, 8, 16))
    more, _ = guard.take(at(16, 20))
    assert [*kept["t_us"], *more["t_us"]] == [0, 8, 8, 16, 16, 20]
    (note,) = guard.finish(20)
    assert note.data["repeated"] == 2
    assert "2 repeated stamps" in note.data["text"]


def test_backward_stamps_are_a_gap_not_samples() -> None:
    guard = GazeGuard()
    kept, events = guard.take(at(0, 10, 20, 5, 6, 30))
    assert list(kept["t_us"]) == [0, 10, 20, 30]
    kept, events = guard.take(at(15, 25, 40))
    assert list(kept["t_us"]) == [40]
    gaps = [e.data for e in events]
    assert gaps[0]["samples"] == 2
    assert (gaps[0]["start_us"], gaps[0]["end_us"]) == (30, 40)
    assert guard.counts["backward"] == 4


def test_stamps_of_the_future_and_none_at_all() -> None:
    guard = GazeGuard()
    kept, _ = guard.take(at(0, MISSING_STAMP, 9_000_000_000, 10), now_us=20)
    assert list(kept["t_us"]) == [0, 10]
    assert (guard.counts["ahead"], guard.counts["unstamped"]) == (1, 1)


@pytest.mark.parametrize("now", [True, False])
def test_a_clock_that_was_set_back_is_believed_after_a_second(now: bool) -> None:
    guard = GazeGuard()
    guard.take(at(10_000_000), now_us=10_000_000 if now else None)
    notes, kept = [], []
    for n in range(30):
        here = 10_100_000 + n * 100_000 if now else None
        records, events = guard.take(at(n * 100_000, n * 100_000 + 50_000), here)
        kept += list(records["t_us"])
        notes += [e for e in events if e.kind == "note"]
    assert len(notes) == 1
    assert "set by" in notes[0].data["text"]
    assert len(kept) > 20
    assert kept == sorted(kept)
    if now:
        assert abs(kept[-1] - (10_100_000 + 29 * 100_000)) <= 100_000


def test_what_is_no_number_is_not_valid() -> None:
    guard = GazeGuard()
    records = at(0, 1, 2, valid=True)
    records["left_x_adcs"][1] = np.nan
    records["right_y_adcs"][2] = np.inf
    records.setflags(write=False)
    kept, _ = guard.take(records)
    assert list(kept["left_gaze_valid"]) == [1, 0, 1]
    assert list(kept["right_gaze_valid"]) == [1, 1, 0]
    assert guard.counts["not_finite"] == 2


def test_absent_rows_are_a_gap() -> None:
    guard = GazeGuard()
    _, inside = guard.take(at(0, 10_000, 900_000))
    _, between = guard.take(at(2_000_000))
    assert [(e.data["start_us"], e.data["end_us"]) for e in inside + between] == [
        (10_000, 900_000),
        (900_000, 2_000_000),
    ]


@given(st.lists(st.lists(st.integers(-(10**7), 10**7), max_size=8), max_size=12))
def test_nothing_ever_runs_backwards_and_all_is_accounted_for(batches: list[list[int]]) -> None:
    guard = GazeGuard()
    kept: list[int] = []
    for batch in batches:
        records, _ = guard.take(at(*batch))
        kept += list(records["t_us"])
    assert kept == sorted(kept)
    assert len(kept) + guard.counts["backward"] == sum(map(len, batches))


# -- sleep -------------------------------------------------------------------------------------


def test_sleep_is_seen_by_clocks_that_part() -> None:
    watch = SleepWatch()
    assert watch.tick(0, 100) is None
    assert watch.tick(500_000, 500_100) is None
    assert watch.tick(1_000_000, 61_000_100) == Slept(500_000, 1_000_000, 60.5)
    assert watch.tick(1_500_000, 61_500_100) is None


def test_sleep_is_seen_where_the_clock_goes_on() -> None:
    watch = SleepWatch()
    watch.tick(0, 0)
    slept = watch.tick(60_000_000, 60_000_000)
    assert slept is not None
    assert slept.seconds == 60


# -- the end -----------------------------------------------------------------------------------


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not condition():
        pause.wait(0.005)


def test_standard_input_that_closes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qpgaze.recording.watch_end.AT_ONCE_S", 0.0)
    reading, writing = os.pipe()
    with Ending(reading) as ending:
        woken = threading.Event()
        ending.on_end(woken.set)
        os.write(writing, b"nothing to see\n")
        assert ending.reason is None
        os.close(writing)
        woken.wait()
    assert ending.reason == "standard input was closed"
    os.close(reading)


def test_standard_input_that_was_closed_before_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qpgaze.recording.watch_end.AT_ONCE_S", 1e9)
    reading, writing = os.pipe()
    os.close(writing)
    with Ending(reading) as ending:
        wait_for(lambda: not any(t.name == "qpgaze-stdin" for t in threading.enumerate()))
    assert ending.reason is None
    os.close(reading)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"])
def test_the_system_s_signals_end_it_and_are_given_back(name: str) -> None:
    number = getattr(signal, name, None)
    if number is None:  # each system has its own
        assert name in ("SIGHUP", "SIGBREAK")
        return
    before = signal.getsignal(number)
    with Ending() as ending:
        signal.raise_signal(number)
        assert ending.reason in ("Ctrl-C", "the system asked for it (SIGTERM)", name)
        if name == "SIGINT":  # a second one is for a recorder that does not end
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_null_device_says_nothing() -> None:
    with Path(os.devnull).open("rb") as nothing, Ending(nothing.fileno()) as ending:
        assert ending._stdin is None


def test_the_lock_keeps_a_second_out_and_goes_with_its_holder(tmp_path: Path) -> None:
    with session_lock(tmp_path / "a.qpgaze"):
        with (
            pytest.raises(SessionError, match=f"process {os.getpid()}"),
            session_lock(tmp_path / "a.qpgaze"),
        ):
            pass
        with session_lock(tmp_path / "b.qpgaze"):
            pass
    with session_lock(tmp_path / "a.qpgaze"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_was_left_behind_locks_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "a.qpgaze.lock").write_text('{"pid": 1}', "ascii")
    with session_lock(tmp_path / "a.qpgaze"):
        assert f'"pid": {os.getpid()}' in (tmp_path / "a.qpgaze.lock").read_text("ascii")


# -- the audit ---------------------------------------------------------------------------------


def view(t_us: int, x: float) -> ViewerState:
    corners = ((x, 0.0), (x + 10, 0.0), (x, 10.0))
    return ViewerState(t_us, "1", None, corners, 1.0, bounds_screen_px=Rect(0, 0, 10, 10))


def test_the_share_of_gaze_near_a_change_of_view() -> None:
    audit = SyncAudit()
    for source, uncertainty in ((ViewerClock, 600), (DeviceClock, 400)):
        relation = ClockRelation(source, SessionClock, 0, 0, uncertainty_us=uncertainty)
        audit.clock(relation)
    t_us = np.arange(0, 10_000_000, 1000)
    views = [view(1000 * n * 1000, float(n)) for n in range(10)]
    views.insert(3, view(2_500_000, 2.0))  # a keyframe is no change
    for start in range(0, len(t_us), 100):
        part = t_us[start : start + 100]
        # Views arrive after the gaze that fell on them.
        audit.gaze(part, int(part[-1]) + 7_000)
        due = [v for v in views if v.t_us <= part[-1] - 500_000]
        audit.views(due, int(part[-1]))
        views = views[len(due) :]
    audit.views(views, 10_000_000)
    said = audit.result()
    # Nine changes, each with the sample at it, the one before and the one after.
    assert said["near_view_change"] == round(27 / 10_000, 6)
    assert said["view_changes"] == 9
    assert said["samples"] == 10_000
    assert said["uncertainty_us"] == 1000
    assert said["gaze_interval_us"]["p50"] == pytest.approx(1000, rel=0.03)
    assert said["gaze_latency_us"]["max"] == 106_000
    assert said["viewer_latency_us"]["p50"] >= 500_000


def test_an_audit_of_nothing() -> None:
    said = SyncAudit().result()
    assert said["near_view_change"] is None
    assert said["uncertainty_us"] is None
