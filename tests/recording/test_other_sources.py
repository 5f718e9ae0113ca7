"""LSL, the mouse, replays and simulations in real time, and how sources are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qpgaze.errors import SessionError, SourceError, UsageError
from qpgaze.frames import DeviceClock, SessionClock
from qpgaze.recording import ReplaySource
from qpgaze.recording.gaze_clock import on_host, records_of, tracker_display
from qpgaze.recording.live import LiveSetup, PacedSource, SessionZero
from qpgaze.recording.mouse import MouseSource
from qpgaze.recording.opening import SOURCES, open_source
from qpgaze.recording.trackers import LslSource
from qpgaze.recording.validation.sources import open_for_targets
from qpgaze.recording.vendor import lsl
from qpgaze.samples import MISSING_STAMP
from qpgaze.viewing import Display, Rect
from qpgaze.wire import connect

Gather = Callable[..., tuple[Any, list[Any], list[Any]]]
Outlet = Callable[[str], str]


# -- LSL ---------------------------------------------------------------------------------------


def test_the_clock_of_a_stream_is_related(
    setup: LiveSetup, lsl_outlet: Outlet, gather: Gather
) -> None:
    stream = lsl_outlet("left_x,left_y,right_x,right_y,left_pupil,right_pupil")
    source = LslSource(setup, stream)
    header = source.start()
    records, _, clocks = gather(source, lambda r, _e, c: len(r) > 20 and len(c) > 0)
    source.stop()
    assert header.software.keys() >= {"pylsl"}
    assert (clocks[0].source, clocks[0].target) == (DeviceClock, SessionClock)
    shown = records["t_us"] - records["device_us"] - clocks[0].offset_us
    assert np.abs(shown).max() <= clocks[0].uncertainty_us
    np.testing.assert_allclose(records["left_pupil_mm"], 3.5)
    assert not records["left_origin_valid"].any()


def test_channels_without_labels_must_be_named(
    setup: LiveSetup, lsl_outlet: Outlet, gather: Gather
) -> None:
    stream = lsl_outlet("")
    with pytest.raises(SourceError, match="does not say which channels hold gaze"):
        LslSource(setup, stream).start()
    names = ("left_x", "left_y", "right_x", "right_y", "left_pupil", "right_pupil")
    source = LslSource(replace(setup, channels=names), stream)
    source.start()
    records, _, _ = gather(source, lambda r, _e, _c: len(r) > 5)
    source.stop()
    np.testing.assert_allclose(records["left_y_adcs"], 0.25)


def test_channels_can_be_named_for_a_validation_too(
    setup: LiveSetup, lsl_outlet: Outlet, gather: Gather
) -> None:
    names = ("left_x", "left_y", "right_x", "right_y")
    display = setup.require_display()
    source, _ = open_for_targets(f"lsl:{lsl_outlet('')}", display, channels=names)
    source.start()
    records, _, _ = gather(source, lambda r, _e, _c: len(r) > 5)
    source.stop()
    np.testing.assert_allclose(records["right_y_adcs"], 0.25)


def test_gaze_in_pixels_becomes_a_fraction_of_the_display(
    setup: LiveSetup, lsl_outlet: Outlet, gather: Gather
) -> None:
    stream = lsl_outlet("left_px_x,left_px_y,right_px_x,right_px_y")
    display = replace(setup.require_display(), scale=1.25)
    source = LslSource(replace(setup, display=display), stream)
    source.start()
    records, _, _ = gather(source, lambda r, _e, _c: len(r) > 5)
    source.stop()
    np.testing.assert_allclose(records["left_y_adcs"], 0.25 / (1080 * 1.25), rtol=1e-5)


def test_no_stream_is_said(setup: LiveSetup, lsl_outlet: Outlet) -> None:
    with pytest.raises(SourceError, match="No LSL stream of the name 'nowhere'"):
        LslSource(setup, "nowhere", find_s=0.2).start()


@pytest.mark.parametrize(
    ("label", "column"),
    [
        ("left_x", "left_x_adcs"),
        ("LeftGazeX", "left_x_adcs"),
        ("R_GazePoint_Y", "right_y_adcs"),
        ("left_gaze_point_on_display_area_x", "left_x_adcs"),
        ("RightPupilDiameter", "right_pupil_mm"),
        ("left_gaze_origin_z", "left_origin_z_mm"),
        ("left_z", None),
        ("confidence", None),
        ("x", None),
    ],
)
def test_what_labels_of_channels_mean(label: str, column: str | None) -> None:
    assert lsl.meaning(label) == column


# -- the mouse ---------------------------------------------------------------------------------


def test_the_cursor_is_gaze_on_the_monitor(setup: LiveSetup, person: Any, gather: Gather) -> None:
    source = MouseSource(setup, lambda: connect(name="mouse", folders=(person.folder,)))
    source.start()
    records, events, clocks = gather(source, lambda r, _e, _c: r["left_gaze_valid"].sum() > 30)
    source.stop()
    seen = records[records["left_gaze_valid"] == 1]
    np.testing.assert_allclose(seen["left_y_adcs"], (50 + 300) / 1080, rtol=1e-5)
    x = seen["left_x_adcs"] * 1920 - 100
    np.testing.assert_allclose(x, np.rint(x), atol=1e-3)
    assert set(np.diff(records["t_us"])) == {16_667}
    assert (events, clocks) == ([], [])  # the views are recorded by whoever follows QuPath


def test_without_a_monitor_the_viewers_own_is_taken(person: Any) -> None:
    source = MouseSource(LiveSetup(), lambda: connect(name="mouse", folders=(person.folder,)))
    display = source.start().display
    source.stop()
    assert display.bounds_screen_px == Rect(0.0, 0.0, 1920.0, 1080.0)
    assert display.width_mm == pytest.approx(508.0, abs=1.0)


def test_no_qupath_is_said(setup: LiveSetup, tmp_path: Path) -> None:
    source = MouseSource(setup, lambda: connect(name="mouse", folders=(tmp_path,)))
    with pytest.raises(SourceError, match="No QuPath with the qpgaze hook is running"):
        source.start()
    assert source.poll().gaze.size == 0


def test_no_viewer_to_take_the_monitor_from_is_said(tmp_path: Path, qupath_alone: Path) -> None:
    source = MouseSource(
        LiveSetup(), lambda: connect(name="mouse", folders=(qupath_alone,)), first_view_s=0.1
    )
    with pytest.raises(SourceError, match="on which monitor it lies"):
        source.start()


def test_a_qupath_that_ends_ends_the_mouse(setup: LiveSetup, person: Any, gather: Gather) -> None:
    source = MouseSource(setup, lambda: connect(name="mouse", folders=(person.folder,)))
    source.start()
    gather(source, lambda r, _e, _c: len(r) > 5)
    person.qupath.close()
    gather(source, lambda _r, _e, _c: False)
    assert str(source.ended).startswith("QuPath is gone")
    source.stop()


# -- in real time ------------------------------------------------------------------------------


def test_a_replay_is_the_session_again(old_session: Path, gather: Gather) -> None:
    old = ReplaySource(old_session)
    source = open_source(f"replay:{old_session}", LiveSetup(), speed=1e6)
    header = source.start()
    gaze, events, clocks = gather(source, lambda _r, _e, _c: False)
    assert header.id == old.session.header.id
    assert len(gaze) == len(old.session.gaze)
    assert len(events) == len(old.session.events)
    assert clocks == []  # at another speed they are not true
    np.testing.assert_array_equal(gaze["left_x_adcs"], old.session.gaze.column("left_x_adcs"))
    assert source.duration_us == round((old.duration_us or 0) / 1e6)


def test_gaze_alone_leaves_views_and_keys_to_qupath(old_session: Path) -> None:
    zero = SessionZero(0)  # long ago: everything is due
    source = PacedSource(ReplaySource(old_session), LiveSetup(zero=zero), gaze_only=True)
    source.start()
    batch = source.poll()
    assert len(batch.gaze) > 0
    measured = [e for e in ReplaySource(old_session).session.events if e.kind == "validation"]
    assert (batch.viewer, list(batch.events)) == ((), measured)
    assert measured
    assert len(batch.clocks) == len(ReplaySource(old_session).session.clocks)
    assert source.ended == "the recording is over"


def test_nothing_comes_before_its_time(old_session: Path) -> None:
    source = PacedSource(ReplaySource(old_session), LiveSetup())
    source.start()
    for _ in range(20):
        batch = source.poll(0.005)
        assert batch.end_us <= source._setup.zero.now_us()
    source.stop()
    assert source.poll().gaze.size == 0


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["tobii", "lsl", "gazepoint", "gazepoint::5000", "Mouse", "simulated:7"]
)
def test_sources_are_made_without_touching_anything(spec: str) -> None:
    source = open_source(spec, LiveSetup())
    assert source.ended is None
    source.stop()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "There is no source ''"),
        ("webcam", "Choose one of tobii"),
        ("gazepoint:host:port", "the port 'port' is no number"),
        ("gazepoint:host:70000", "'70000' is no number"),
        ("replay", "no session came"),
        ("simulated:seven", "the seed 'seven' is no number"),
        ("mouse:left", "takes nothing, but 'left' came"),
    ],
)
def test_words_that_name_no_source(spec: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_source(spec, LiveSetup())


def test_a_session_that_is_none_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(SessionError):
        open_source(f"replay:{tmp_path / 'nowhere'}", LiveSetup())


def test_a_path_with_a_drive_letter_stays_whole(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="nowhere"):
        open_source("replay:C:\\sessions\\nowhere.qpgaze", LiveSetup())
    assert set(SOURCES) == {"tobii", "lsl", "gazepoint", "replay", "simulated", "mouse"}


# -- what a device may send --------------------------------------------------------------------


def test_flags_follow_from_values_where_a_device_has_none() -> None:
    records = records_of({"left_x_adcs": [0.5, np.nan], "left_y_adcs": [0.5, 0.5]}, 2)
    assert records["left_gaze_valid"].tolist() == [1, 0]
    assert records["right_gaze_valid"].tolist() == [0, 0]


def test_a_flag_over_no_number_is_taken_back() -> None:
    columns = {"left_x_adcs": [np.nan], "left_y_adcs": [0.5], "left_gaze_valid": [1]}
    assert records_of(columns, 1)["left_gaze_valid"].tolist() == [0]


def test_a_stamp_that_is_missing_is_the_arrival() -> None:
    stamps, arrived = np.array([MISSING_STAMP]), np.array([77])
    assert on_host(None, stamps, arrived).tolist() == [77]


def test_a_tracker_that_knows_no_size_keeps_the_chosen_one() -> None:
    display = Display(Rect(0.0, 0.0, 10.0, 10.0), 500.0, 300.0)
    assert tracker_display(display, None) is display
    assert tracker_display(display, {"width": 0.0, "height": 0.0}) is display
