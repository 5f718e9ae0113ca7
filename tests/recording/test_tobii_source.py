"""Tobii's trackers: what is missing is said, what the library does wrong is survived."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qpgaze.errors import SourceError
from qpgaze.recording.live import LiveSetup
from qpgaze.recording.opening import open_source
from qpgaze.recording.sidecar import Sidecar
from qpgaze.recording.trackers import TobiiSource
from qpgaze.samples import GAZE_COLUMNS
from qpgaze.session import SessionWriter, open_session
from qpgaze.viewing import ViewerState

LIBRARIES = ["tobii_research", "TittaPy_v2"]
both = pytest.mark.parametrize("library", LIBRARIES)
Fake = Callable[..., None]
Gather = Callable[..., tuple[Any, list[Any], list[Any]]]


def texts(events: list[Any]) -> str:
    return " | ".join(str(event.data.get("text", event.data.get("reason", ""))) for event in events)


@both
def test_the_tracker_tells_its_screen(fake_tobii: Fake, setup: LiveSetup, library: str) -> None:
    fake_tobii(library)
    source = TobiiSource(setup)
    header = source.start()
    source.stop()
    display = header.display
    assert (display.width_mm, display.height_mm) == (520.0, 290.0)
    assert display.corners_ucs_mm == (
        (-260.0, 300.0, 10.0),
        (260.0, 300.0, 10.0),
        (-260.0, 10.0, 0.0),
    )
    assert display.bounds_screen_px == setup.require_display().bounds_screen_px
    assert header.extra["serial"] == "FAKE-1"
    assert {"tobii-research", "TittaPy"} & set(header.software)


@both
def test_the_eye_tracker_5_is_refused_with_the_reason(
    fake_tobii: Fake, setup: LiveSetup, library: str
) -> None:
    fake_tobii(library, model="Tobii Eye Tracker 5")
    with pytest.raises(SourceError, match="licence does not allow its gaze to be stored"):
        TobiiSource(setup).start()


@both
def test_no_tracker_is_said(fake_tobii: Fake, setup: LiveSetup, library: str) -> None:
    fake_tobii(library, model="none")
    with pytest.raises(
        SourceError, match=r"No Tobii tracker was found\. See that it is plugged in"
    ):
        TobiiSource(setup).start()


def test_another_address_is_said(fake_tobii: Fake, setup: LiveSetup) -> None:
    fake_tobii("tobii_research")
    with pytest.raises(SourceError, match=r"there: tet-tcp://169\.254\.7\.7"):
        open_source("tobii:tet-tcp://1.2.3.4", setup).start()
    source = open_source("tobii:tet-tcp://169.254.7.7", setup)
    source.start()
    source.stop()


def test_a_python_without_a_library_is_said(fake_tobii: Fake, setup: LiveSetup) -> None:
    fake_tobii("none of them")
    source = TobiiSource(setup, library="tobii_research")
    with pytest.raises(SourceError, match="none of Tobii's libraries") as caught:
        source.start()
    assert "pip install qpgaze[tobii]" in str(caught.value)


def test_a_python_that_is_none_is_said(setup: LiveSetup, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be started"):
        TobiiSource(replace(setup, python=str(tmp_path / "python3.10"))).start()


def test_the_monitor_must_be_known(fake_tobii: Fake) -> None:
    fake_tobii("tobii_research")
    with pytest.raises(SourceError, match="which monitor carries the tracker"):
        TobiiSource(LiveSetup()).start()


def test_a_rate_is_set_and_one_that_is_not_there_is_said(
    fake_tobii: Fake, setup: LiveSetup
) -> None:
    fake_tobii("tobii_research")
    source = TobiiSource(replace(setup, rate_hz=120.0))
    assert source.start().gaze_rate_hz == 120.0
    source.stop()
    with pytest.raises(SourceError, match=r"no rate of 600 Hz\. It has 60, 120, 250 Hz"):
        TobiiSource(replace(setup, rate_hz=600.0)).start()


def test_a_sample_that_cannot_be_read_costs_only_itself(
    fake_tobii: Fake, setup: LiveSetup, gather: Gather
) -> None:
    # In the library an exception in the callback becomes a NameError, and no more gaze comes.
    fake_tobii("tobii_research")
    source = TobiiSource(setup)
    source.start()
    records, events, _ = gather(source, lambda r, _e, _c: len(r) > 150)
    source.stop()
    assert len(records) > 150
    assert "1 samples could not be read" in texts(events)


@both
def test_values_that_persist_are_kept_with_their_flag(
    fake_tobii: Fake, setup: LiveSetup, gather: Gather, library: str
) -> None:
    fake_tobii(library)
    source = TobiiSource(setup)
    source.start()
    records, _, _ = gather(source, lambda r, _e, _c: len(r) > 60)
    source.stop()
    lost = records[records["left_gaze_valid"] == 0]
    assert np.isfinite(lost["left_x_adcs"]).all()
    assert not lost["left_pupil_valid"].any()
    assert records["vendor_us"].dtype == np.int64


@both
def test_a_connection_that_comes_back_is_a_gap(
    fake_tobii: Fake, setup: LiveSetup, gather: Gather, library: str
) -> None:
    fake_tobii(library)
    source = TobiiSource(setup)
    source.start()
    _, events, _ = gather(source, lambda _r, e, _c: any(x.kind == "gap" for x in e))
    source.stop()
    (gap,) = (event for event in events if event.kind == "gap")
    assert gap.data["source"] == "gaze"
    assert gap.data["end_us"] >= gap.data["start_us"]
    assert source.ended == "stopped"


@both
def test_a_calibration_goes_through_and_the_fallen_rate_is_read_again(
    fake_tobii: Fake, setup: LiveSetup, gather: Gather, library: str
) -> None:
    fake_tobii(library)
    source = TobiiSource(setup)
    source.start()
    try:
        calibrator = source.calibrator()
        assert calibrator.name == "Tobii Pro Fusion"
        calibrator.enter()
        assert calibrator.collect(0.1, 0.1)
        assert not calibrator.collect(0.9, 0.9)
        assert calibrator.compute().success
        calibrator.leave()
        calibrator.leave()
        # Nothing of the first calibration answers for the second.
        calibrator.enter()
        assert not calibrator.collect(0.9, 0.1)
        assert calibrator.collect(0.1, 0.9)
        calibrator.leave()
        records, events, _ = gather(source, lambda r, e, _c: len(r) > 20 and "60 Hz" in texts(e))
        assert source.rate_hz == 60.0
        # Gaze went on meanwhile, and none was lost.
        numbers = (records["device_us"] - records["device_us"][0]) // 4000
        sent = [k for k in range(numbers[-1] + 1) if k not in range(100, 110)]
        assert numbers.tolist() == sent
        assert "The tracker runs at 60 Hz now" in texts(events)
    finally:
        source.stop()


@both
def test_a_calibration_that_fails_is_told(fake_tobii: Fake, setup: LiveSetup, library: str) -> None:
    fake_tobii(library)
    source = TobiiSource(setup)
    source.start()
    try:
        calibrator = source.calibrator()
        calibrator.enter()
        outcome = calibrator.compute()
        assert not outcome.success
        assert {"tobii_research": "no points", "TittaPy_v2": "failure"}[library] in outcome.detail
        if library == "TittaPy_v2":
            with pytest.raises(SourceError, match="in calibration mode already"):
                source.calibrator().enter()
        calibrator.leave()
    finally:
        source.stop()
    with pytest.raises(SourceError, match="not running"):
        source.calibrator().enter()


@both
def test_a_library_that_crashes_ends_the_source_and_nothing_else(
    fake_tobii: Fake,
    setup: LiveSetup,
    gather: Gather,
    library: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_tobii(library, dies_at="80")
    source = TobiiSource(setup)
    source.start()
    records, events, _ = gather(source, lambda _r, _e, _c: False)
    assert 40 < len(records) <= 80
    assert "its process ended (7)" in str(source.ended)
    assert "segmentation fault in libtobii" in texts(events)
    # It is started again, and time goes on.
    monkeypatch.setenv("FAKE_TOBII_DIES_AT", "0")
    source.start()
    more, _, _ = gather(source, lambda r, _e, _c: len(r) > 10)
    source.stop()
    assert more["t_us"][0] >= records["t_us"][-1]


def test_records_with_the_vendors_stamp_are_written_and_read(
    fake_tobii: Fake, setup: LiveSetup, gather: Gather, tmp_path: Path
) -> None:
    fake_tobii("tobii_research")
    source = TobiiSource(setup)
    header = source.start()
    records, _, clocks = gather(source, lambda r, _e, c: len(r) > 20 and len(c) > 1)
    source.stop()
    with SessionWriter.create(tmp_path / "s.qpgaze", header, source.columns) as writer:
        writer.append_viewer([ViewerState(0, "1", None, None, 1.0)])
        writer.append_gaze(records)
        for relation in clocks:
            writer.append_clock(relation)
    session = open_session(tmp_path / "s.qpgaze", check_content=False)
    assert len(session.columns) == len(GAZE_COLUMNS) + 1
    np.testing.assert_array_equal(session.gaze.column("vendor_us"), records["vendor_us"])
    assert len(session.clocks) == len(clocks)


def test_noise_between_the_lines_of_a_sidecar_is_left_out(
    fake_tobii: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    fake_tobii("tobii_research")
    sidecar = Sidecar("tobii", {})
    sidecar._parse(b"not json")
    assert "was left out" in caplog.text
    assert sidecar._parse(b"[]") is None
    sidecar.close()
    assert sidecar.ended == "it was stopped"


def test_the_vendor_programs_import_nothing_of_ours() -> None:
    folder = Path(sys.modules["qpgaze"].__file__ or "").parent / "recording" / "vendor"
    for path in folder.glob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:  # within TYPE_CHECKING lies deeper
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [name for name in names if name.startswith("qpgaze")], path.name
