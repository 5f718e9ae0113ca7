"""Gazepoint's trackers and the Open Gaze API with its quirks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qpgaze.errors import SourceError
from qpgaze.recording.gazepoint import GazepointSource
from qpgaze.recording.live import LiveSetup
from qpgaze.recording.opengaze import columns_of, read_line, tick_frequency
from qpgaze.samples import MISSING_STAMP

Gather = Callable[..., tuple[Any, list[Any], list[Any]]]
Server = Callable[..., Any]


def test_nobody_there_is_said(setup: LiveSetup) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(SourceError, match=f"No Gazepoint answers at 127.0.0.1:{port}") as caught:
        GazepointSource(setup, port=port).start()
    assert "Start Gazepoint Control" in str(caught.value)


def test_one_that_answers_nothing_is_no_gazepoint(
    setup: LiveSetup, open_gaze: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpgaze.recording.gazepoint.ANSWER_S", 0.1)
    server = open_gaze(mute=True)
    with pytest.raises(SourceError, match="is no Gazepoint: it answers nothing"):
        GazepointSource(setup, port=server.port).start()


def test_one_that_hangs_up_is_said(setup: LiveSetup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        with pytest.raises(SourceError):
            GazepointSource(setup, port=listener.getsockname()[1]).start()
        thread.join()


def test_the_tracker_tells_what_it_is(setup: LiveSetup, open_gaze: Server, gather: Gather) -> None:
    server = open_gaze()
    source = GazepointSource(setup, port=server.port)
    header = source.start()
    gather(source, lambda r, _e, _c: len(r) > 0)
    assert {"POG_LEFT", "POG_RIGHT", "TIME_TICK", "PUPILMM"} <= server.enabled
    source.stop()
    assert header.tracker == "Gazepoint GP3HD"
    assert header.extra["ticks_hz"] == 3_330_093.0  # printed as the bits of a double
    assert header.extra["serial"] == ""  # it answered NACK


def test_ticks_that_mean_nothing_fall_back_to_seconds(
    setup: LiveSetup, open_gaze: Server, gather: Gather
) -> None:
    server = open_gaze(ticks="0")
    source = GazepointSource(setup, port=server.port)
    assert source.start().extra["ticks_hz"] is None
    records, _, clocks = gather(source, lambda r, _e, _c: len(r) > 30)
    source.stop()
    assert 0 <= records["device_us"][0] < 60_000_000  # seconds since the tracker began
    truth = records["left_origin_z_mm"].astype(np.int64)
    error = (records["system_us"] - truth + 5_000_000) % 10_000_000 - 5_000_000
    assert np.abs(error).max() <= clocks[0].uncertainty_us + 10


def test_a_tracker_that_sends_the_best_of_both_eyes_only(
    setup: LiveSetup, open_gaze: Server, gather: Gather
) -> None:
    server = open_gaze(best_only=True)
    source = GazepointSource(setup, port=server.port)
    source.start()
    records, _, _ = gather(source, lambda r, _e, _c: len(r) > 60)
    source.stop()
    np.testing.assert_array_equal(records["left_x_adcs"], records["right_x_adcs"])
    assert records["left_gaze_valid"].any()
    np.testing.assert_allclose(records["left_pupil_mm"], 3.5, rtol=1e-5)


def test_values_that_persist_are_kept_with_their_flag(
    setup: LiveSetup, open_gaze: Server, gather: Gather
) -> None:
    server = open_gaze()
    source = GazepointSource(setup, port=server.port)
    source.start()
    records, _, _ = gather(source, lambda r, _e, _c: len(r) > 130)
    source.stop()
    lost = records[records["left_gaze_valid"] == 0]
    assert len(lost)
    assert np.isfinite(lost["left_x_adcs"]).all()
    assert source.missed == 10
    np.testing.assert_allclose(records["left_origin_x_mm"], -30.0, rtol=1e-5)


def test_a_program_that_closes_the_connection_is_a_loss_and_may_come_back(
    setup: LiveSetup, open_gaze: Server, gather: Gather
) -> None:
    server = open_gaze()
    source = GazepointSource(setup, port=server.port)
    source.start()
    before, _, _ = gather(source, lambda r, _e, _c: len(r) > 10)
    server.hang_up()
    _, events, _ = gather(source, lambda _r, _e, _c: False)
    assert source.ended == "Gazepoint Control closed the connection"
    assert "The tracker is lost" in events[-1].data["text"]
    source.stop()
    source.start()
    after, _, _ = gather(source, lambda r, _e, _c: len(r) > 10)
    source.stop()
    assert after["t_us"][0] >= before["t_us"][-1]


def test_a_tracker_that_falls_silent_is_a_loss(
    setup: LiveSetup, open_gaze: Server, gather: Gather, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = open_gaze()
    source = GazepointSource(setup, port=server.port)
    source.start()
    gather(source, lambda r, _e, _c: len(r) > 10)
    monkeypatch.setattr("qpgaze.recording.gazepoint.SILENT_S", 0.3)
    server.be_silent()
    gather(source, lambda _r, _e, _c: False)
    assert source.ended == "nothing came for 0.3 s"
    source.stop()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('<REC CNT="1" />', ("REC", {"CNT": "1"})),
        ('  <ACK ID="X" VALUE="a b" />>\r', ("ACK", {"ID": "X", "VALUE": "a b"})),
        ('<SET ID="X" STATE ="1" />', ("SET", {"ID": "X", "STATE": "1"})),
        ("", ("", {})),
        ("HTTP/1.1 400", ("", {})),
        ("<REC", ("REC", {})),
    ],
)
def test_lines_are_read_as_they_come(line: str, wanted: tuple[str, dict[str, str]]) -> None:
    assert read_line(line) == wanted


@pytest.mark.parametrize("text", [None, "", "abc", "-1", "0", "1e300", "9" * 30, "7"])
def test_frequencies_that_mean_nothing(text: str | None) -> None:
    assert tick_frequency(text) is None


def test_records_with_holes_and_nonsense_in_them() -> None:
    records = [
        {"TIME_TICK": "100", "LPOGX": "0.5", "LPOGY": "x", "LPOGV": "1"},
        {"LPOGX": "nan", "LPOGV": "0"},
        {"TIME_TICK": "1e", "LPOGV": "2"},
    ]
    columns = columns_of(records, 1e6)
    assert columns["device_us"].tolist() == [100, MISSING_STAMP, MISSING_STAMP]
    assert columns["left_gaze_valid"].tolist() == [1, 0, 0]
    assert np.isnan(columns["left_y_adcs"]).all()
