"""Tables that real recorders wrote, from the data beside the checkout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qpgaze.errors import FormatError
from qpgaze.samples import MISSING_STAMP
from qpgaze.session import ImportReport, import_table, open_session, validate_session
from qpgaze.session.codec import dump_line

pytestmark = pytest.mark.shared_data


@pytest.fixture
def bring(shared_data: Path, tmp_path: Path, viewer_log: Path):  # type: ignore[no-untyped-def]
    def bring_in(name: str, **more: object) -> ImportReport:
        file = shared_data / "gaze" / name
        return import_table(file, tmp_path / "s.qpgaze", viewer_log=viewer_log, **more)  # type: ignore[arg-type]

    return bring_in


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_tx300(bring, number: int) -> None:  # type: ignore[no-untyped-def]
    report = bring(f"tobii-tx300/{number}.tsv")
    assert report.kind == "tobii-tx300"
    assert not report.torn_row
    gaze = open_session(report.session).gaze
    assert np.mean(np.diff(gaze.column("t_us"))) == pytest.approx(1e6 / 300, rel=0.001)
    # Gaze in millimetres lies on the display that gaze in both frames tells: 23 inch, 16:9.
    assert report.display.width_mm == pytest.approx(513.8, abs=0.1)
    assert report.display.height_mm == pytest.approx(289.9, abs=0.1)
    assert report.display.corners_ucs_mm is not None
    eye_mm = np.nanmedian(gaze.origin_ucs_mm(), axis=0)
    assert 550 < eye_mm[2] < 700
    assert validate_session(report.session) == ()


def test_tx300_values_are_those_of_the_table(bring, shared_data: Path) -> None:  # type: ignore[no-untyped-def]
    report = bring("tobii-tx300/2.tsv")
    records = open_session(report.session).gaze.records
    lines = (shared_data / "gaze/tobii-tx300/2.tsv").read_text("utf-8").splitlines()
    names = lines[0].split("\t")
    assert len(records) == len(lines) - 1 == 1206
    for row in (0, 700, 1205):
        cells = dict(zip(names, map(float, lines[row + 1].split("\t")), strict=True))
        record = records[row]
        assert record["device_us"] == cells["Time"]
        assert bool(record["left_gaze_valid"]) == (cells["LValidity"] == 0)
        if record["left_gaze_valid"]:
            assert record["left_x_adcs"] == pytest.approx(cells["LGazePos2dx"], rel=1e-6)
            assert record["left_origin_z_mm"] == pytest.approx(cells["LEyePos3dz"], rel=1e-6)
            assert record["left_pupil_mm"] == pytest.approx(cells["LPupilDm"], rel=1e-6)
    assert report.valid == pytest.approx(0.9677, abs=1e-4)
    assert (records["system_us"] == MISSING_STAMP).all()


def test_spectrum_gaze_lies_where_its_targets_are(bring, shared_data: Path) -> None:  # type: ignore[no-untyped-def]
    report = bring("etdqualitizer/Tobii_Spectrum_600Hz.tsv")
    assert report.samples == 12959
    assert any(note.startswith("y grows up") for note in report.notes)
    lines = (shared_data / "gaze/etdqualitizer/Tobii_Spectrum_600Hz.tsv").read_text("utf-8")
    table = np.array([line.split("\t") for line in lines.splitlines()[1:]], dtype=np.float64)
    gaze = open_session(report.session).gaze.average().xy
    for target in range(1, 10):
        rows = table[:, 5] == target
        at = np.nanmedian(gaze[rows], axis=0) * [1920, 1080]
        # Target 1 of the default nine is the top-left one: 540 - 270 px from the top edge.
        wanted = [960 + table[rows, 6][0], 540 - table[rows, 7][0]]
        np.testing.assert_allclose(at, wanted, atol=60)  # 1.5 degrees


def test_the_sdk_dump_loses_its_torn_row(bring) -> None:  # type: ignore[no-untyped-def]
    report = bring("emdat/Tobii4C_4Ctest.csv")
    assert (report.kind, report.samples, report.torn_row) == ("tobii-sdk", 453, True)
    assert "the last row was cut off and is left out" in report.notes
    session = open_session(report.session)
    assert session.gaze.column("device_us")[:2].tolist() == [491999899, 492011002]
    assert set(np.diff(session.gaze.column("t_us")).tolist()) == {11103, 11104}
    # The recorder had rounded the system stamps to 10 ms.
    assert (session.gaze.records["system_us"] == MISSING_STAMP).all()
    assert report.display.width_mm == pytest.approx(597.0, abs=0.05)
    assert report.display.height_mm == pytest.approx(335.8, abs=0.05)


def test_studio_rows_of_events_are_skipped(bring) -> None:  # type: ignore[no-untyped-def]
    report = bring("emdat/P63-All-Data.tsv")
    assert (report.kind, report.samples, report.skipped_rows) == ("tobii-studio", 8, 2)
    assert report.valid == 0.0
    assert "no sample is valid: the tracker saw no eye" in report.notes
    device = open_session(report.session).gaze.column("device_us")
    assert device[[0, -1]].tolist() == [606994606, 607111175]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("emdat/P61-Event-Data.tsv", "is a table of events"),
        ("emdat/P61-Fixation-Data.tsv", "is a table of fixations"),
        ("gp3-eyelink/256/gp3_near_chinrest.csv", "is a table of clicks"),
        ("gp3-eyelink/422/eyelink_near_chinrest.csv", "is a table of clicks"),
        ("gp3-eyelink/320/gp3_far_chinrest.csv", "is empty"),
    ],
)
def test_other_tables_are_refused_by_kind(bring, tmp_path: Path, name: str, word: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FormatError, match=word):
        bring(name)
    assert not (tmp_path / "s.qpgaze").exists()


def test_a_viewer_log_over_the_oscc_tile(
    shared_data: Path,
    tmp_path: Path,
    parts,  # type: ignore[no-untyped-def]
) -> None:
    from qpgaze.session import viewer_state_to_json
    from qpgaze.viewing import ImageIdentity

    tile = ImageIdentity("oscc_tile_4000.jpg", 4000, 4000, "1")
    log = tmp_path / "tile.jsonl"
    states = parts.tour(5_000_000, tile)
    log.write_bytes(b"".join(dump_line(viewer_state_to_json(s)) for s in states))
    file = shared_data / "gaze/tobii-tx300/2.tsv"
    report = import_table(file, tmp_path / "tile.qpgaze", viewer_log=log)
    session = open_session(report.session)
    assert session.viewer_states == tuple(states)
    assert report.covered == 1.0
    assert report.display.bounds_screen_px.width == 1920
