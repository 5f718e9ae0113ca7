"""Tables of other recorders: mapped, recognised, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qpgaze.errors import CoverageError, FormatError, QpgazeError, SessionError, UsageError
from qpgaze.session import (
    DisplayHints,
    ImportOptions,
    ImportReport,
    TableMapping,
    import_table,
    open_session,
    validate_session,
)
from qpgaze.session.tables.geometry import parse_screen, parse_size
from qpgaze.session.tables.kinds import mapping_from, read_mapping
from qpgaze.viewing import Rect

PLAIN = TableMapping({"t": "Time", "x": "GazeX", "y": "GazeY"}, unit="ms")
SCREEN = DisplayHints(Rect(0.0, 0.0, 1920.0, 1080.0), (528.0, 297.0))


def bring(
    tmp_path: Path,
    text: str | bytes,
    log: Path,
    mapping: TableMapping | None = PLAIN,
    events_log: Path | None = None,
    **more: Any,
) -> ImportReport:
    table = tmp_path / "table.txt"
    table.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    options = ImportOptions(mapping=mapping, **{"hints": SCREEN, **more})
    return import_table(
        table, tmp_path / "s.qpgaze", viewer_log=log, events_log=events_log, options=options
    )


ROWS = "Time\tGazeX\tGazeY\n100\t0.25\t0.5\n110\t0.5\t0.75\n120\t\t\n130\tnan\tnan\n"


def test_a_plain_table(tmp_path: Path, viewer_log: Path) -> None:
    report = bring(tmp_path, ROWS, viewer_log, pseudonym="r7", tracker="Mine", offset_us=2_000_000)
    session = open_session(report.session)
    assert session.gaze.column("t_us").tolist() == [2_000_000, 2_010_000, 2_020_000, 2_030_000]
    assert session.gaze.column("device_us").tolist() == [100_000, 110_000, 120_000, 130_000]
    np.testing.assert_allclose(session.gaze.average().xy[:2], [[0.25, 0.5], [0.5, 0.75]])
    assert session.gaze.column("left_gaze_valid").tolist() == [1, 1, 0, 0]
    assert (session.header.pseudonym, session.header.tracker) == ("r7", "Mine")
    assert session.header.display.bounds_screen_px == SCREEN.bounds_screen_px
    assert (report.samples, report.valid, report.kind) == (4, 0.5, "mapping")
    assert len(session.viewer_states) == 61
    assert validate_session(report.session) == ()


def test_doing_it_twice_gives_the_same_session(tmp_path: Path, viewer_log: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = bring(tmp_path / "a", ROWS, viewer_log), bring(tmp_path / "b", ROWS, viewer_log)
    assert one.id == two.id
    for path in one.session.iterdir():
        assert path.read_bytes() == (two.session / path.name).read_bytes()
    (tmp_path / "c").mkdir()
    assert bring(tmp_path / "c", ROWS, viewer_log, offset_us=1).id != one.id


@pytest.mark.parametrize(
    ("frame", "y_axis", "x", "y"),
    [
        ("screen-px", "down", 480, 270),
        ("screen-px", "up", 480, 810),
        ("screen-centre-px", "down", -480, -270),
        ("screen-centre-px", "up", -480, 270),
        ("adcs", "down", 0.25, 0.25),
        ("adcs", "up", 0.25, 0.75),
    ],
)
def test_frames(
    tmp_path: Path, viewer_log: Path, frame: str, y_axis: str, x: float, y: float
) -> None:
    mapping = mapping_from({"frame": frame, "y_axis": y_axis}, PLAIN)
    report = bring(tmp_path, f"Time,GazeX,GazeY\n1,{x},{y}\n2,{x},{y}\n", viewer_log, mapping)
    xy = open_session(report.session).gaze.average().xy
    np.testing.assert_allclose(xy, [[0.25, 0.25]] * 2, rtol=1e-6)


def test_both_eyes_validity_and_missing_values(tmp_path: Path, viewer_log: Path) -> None:
    mapping = TableMapping(
        {
            "t": "t", "left_x": "lx", "left_y": "ly", "left_valid": "lv",
            "right_x": "rx", "right_y": "ry", "right_valid": "rv", "left_pupil": "lp",
        },
        unit="s", validity="tobii-0-4", missing=(-1.0,),
    )  # fmt: skip
    text = "t;lx;ly;lv;rx;ry;rv;lp\n0;0.1;0.2;0;0.3;0.4;4;3.5\n0.01;0.1;-1;1;0.3;0.4;1;-1\n"
    records = open_session(bring(tmp_path, text, viewer_log, mapping).session).gaze.records
    assert records["left_gaze_valid"].tolist() == [1, 0]
    assert records["right_gaze_valid"].tolist() == [0, 1]
    assert records["left_pupil_valid"].tolist() == [1, 0]
    assert records["left_pupil_mm"][0] == 3.5


def test_rows_of_clicks_are_skipped_where_validity_tells(tmp_path: Path, viewer_log: Path) -> None:
    mapping = mapping_from({"columns": {**PLAIN.columns, "valid": "V"}}, PLAIN)
    text = "Time\tGazeX\tGazeY\tV\tEvent\n0\t\t\t\tClick\n1\t.5\t.5\t1\t\n2\t\t\t0\t\n"
    report = bring(tmp_path, text, viewer_log, mapping)
    assert (report.samples, report.skipped_rows) == (2, 1)
    assert any("1 rows without gaze" in note for note in report.notes)


@pytest.mark.parametrize("decimal", ["auto", ","])
def test_decimal_commas(tmp_path: Path, viewer_log: Path, decimal: str) -> None:
    text = "Time;GazeX;GazeY\n100,5;0,25;0,5\n110,5;0,5;1\n"
    report = bring(tmp_path, text, viewer_log, decimal=decimal)
    gaze = open_session(report.session).gaze
    np.testing.assert_allclose(gaze.average().xy, [[0.25, 0.5], [0.5, 1.0]])
    assert gaze.column("device_us").tolist() == [100_500, 110_500]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-16"),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: "Größe: 1\n".encode("cp1252") + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r\r\n").encode(),
        lambda text: text.replace("\n", "\t\n").encode(),
        lambda text: b"Study:\tX\nSubject: Y\n\n" + text.encode(),
        lambda text: text.replace("GazeX", '"GazeX"').encode(),
    ],
    ids=["utf-16", "bom", "cp1252", "crlf", "crcrlf", "trailing tab", "prose", "quotes"],
)
def test_the_ways_that_text_is_written(tmp_path: Path, viewer_log: Path, encode) -> None:  # type: ignore[no-untyped-def]
    report = bring(tmp_path, encode(ROWS), viewer_log)
    assert (report.samples, report.torn_row) == (4, False)


@pytest.mark.parametrize("cut", [3, 5, 8, 9, 11])
def test_a_torn_last_row_is_dropped_and_reported(
    tmp_path: Path, viewer_log: Path, cut: int
) -> None:
    whole = "Time\tGazeX\tGazeY\n9100\t0.25\t0.5\n9110\t0.5\t0.75\n"
    report = bring(tmp_path, whole[:-cut], viewer_log)
    if cut < 6:  # within the last cell: it still is a number, so the row stands
        assert (report.samples, report.torn_row) == (2, False)
    else:
        assert (report.samples, report.torn_row) == (1, True)
        assert "the last row was cut off and is left out" in report.notes


def test_a_last_time_cut_short_is_no_time_running_backwards(
    tmp_path: Path, viewer_log: Path
) -> None:
    mapping = TableMapping({"x": "X", "y": "Y", "t": "T"}, unit="ms")
    report = bring(tmp_path, "X\tY\tT\n.5\t.5\t9100\n.5\t.5\t9110\n.5\t.5\t91", viewer_log, mapping)
    assert (report.samples, report.torn_row) == (2, True)


BAD = {
    "empty": ("", "is empty"),
    "blank": ("\n \n", "is empty"),
    "names only": ("Time\tGazeX\tGazeY\n", "no whole row"),
    "no names": ("1\t2\t3\n", "lacks the column"),
    "column missing": ("Time\tGazeX\n1\t2\n", "lacks the column(s) GazeY. It has Time, GazeX."),
    "text for number": (
        "Time\tGazeX\tGazeY\n1\tleft\t.5\n2\t.5\t.5\n", "row 1: column 'GazeX' should hold",
    ),
    "thousands": ("Time\tGazeX\tGazeY\n1.000,5\t.5\t.5\n", "without thousands separators"),
    "endless time": ("Time\tGazeX\tGazeY\n1e300\t.5\t.5\n", "row 1 has no time, but '1e300'"),
    "no time": ("Time\tGazeX\tGazeY\nnan\t.5\t.5\n", "row 1 has no time, but 'nan'"),
    "only blank": ("Time\tGazeX\tGazeY\n\t.5\t.5\n", "none with gaze"),
    "backwards": (
        "Time\tGazeX\tGazeY\n5\t.5\t.5\n4\t.5\t.5\n6\t.5\t.5\n", "backwards in 'table.txt', row 2",
    ),
    "wide row": ("Time\tGazeX\tGazeY\n5\t.5\t.5\t7\n6\t.5\t.5\n", "row 1 has 4 cells"),
    "short row": ("Time\tGazeX\tGazeY\n5\t.5\n6\t.5\t.5\n", "row 1 has 2 cells"),
    "pixels": ("Time\tGazeX\tGazeY\n5\t900\t500\n6\t901\t500\n", "look like pixels"),
    "percent": ("Time\tGazeX\tGazeY\n5\t50\t45\n6\t1e300\t50\n", "look like percent"),
    "binary": ("Time\0", "is no text"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_tables_leave_nothing_behind(tmp_path: Path, viewer_log: Path, kind: str) -> None:
    text, word = BAD[kind]
    with pytest.raises(SessionError) as caught:
        bring(tmp_path, text, viewer_log)
    assert word in str(caught.value)
    assert not (tmp_path / "s.qpgaze").exists()


def test_fixations_events_and_clicks_are_refused_by_kind(tmp_path: Path, viewer_log: Path) -> None:
    heads = {
        "fixations": "FixationIndex\tTimestamp\tFixationDuration\tMappedX\n1\t2\t3\t4\n",
        "events": "Timestamp\tEvent\tEventKey\tData1\tDescriptor\n1\tClick\t2\t3\t\n",
        "clicks": '"Label","Tracker","Target-ID","Cursor-X"\n"a","Gazepoint GP3",6,10\n',
    }
    for kind, text in heads.items():
        with pytest.raises(FormatError, match=f"is a table of {kind}.*not of gaze samples"):
            bring(tmp_path, text, viewer_log, None)


def test_an_unknown_table_asks_for_a_mapping(tmp_path: Path, viewer_log: Path) -> None:
    with pytest.raises(FormatError, match=r"--column t=.*It has Time, GazeX, GazeY"):
        bring(tmp_path, ROWS, viewer_log, None)


def test_viewer_logs_that_do_not_fit(tmp_path: Path, viewer_log: Path) -> None:
    with pytest.raises(SessionError, match="no viewer log"):
        bring(tmp_path, ROWS, tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with pytest.raises(FormatError, match="holds no viewer state"):
        bring(tmp_path, ROWS, tmp_path / "empty.jsonl")
    (tmp_path / "bad.jsonl").write_bytes(b'{"t_us": 1, "downsample": 1}\n{"viewer": "1"}\n')
    with pytest.raises(FormatError, match=r"'bad\.jsonl', line 2"):
        bring(tmp_path, ROWS, tmp_path / "bad.jsonl")
    (tmp_path / "cut.jsonl").write_bytes(viewer_log.read_bytes()[:-9])
    with pytest.raises(FormatError, match="ends in the middle of a line"):
        bring(tmp_path, ROWS, tmp_path / "cut.jsonl")
    with pytest.raises(CoverageError, match=r"gaze runs from -9\.000 s .*from 0\.000 s to 30"):
        bring(tmp_path, ROWS, viewer_log, offset_us=-9_000_000)
    with pytest.raises(CoverageError, match="does not cover"):
        bring(tmp_path, ROWS, viewer_log, offset_us=120_000_000)
    partly = bring(tmp_path, ROWS, viewer_log, offset_us=-10_000)
    assert "the viewer log covers 75.0% of the gaze" in partly.notes


def test_a_log_beside_its_session_keeps_images_and_keyframes(
    tmp_path: Path,
    make_session,  # type: ignore[no-untyped-def]
) -> None:
    log = make_session("old.qpgaze") / "viewer.jsonl"
    session = open_session(bring(tmp_path, ROWS, log).session)
    assert session.header.viewer_keyframe_us == 1_000_000
    image = session.viewer_states[0].image
    assert image is not None
    assert image.uris == ("file:/data/somebody/slides/a%20b.svs",)


def test_events_come_along(tmp_path: Path, viewer_log: Path, make_session) -> None:  # type: ignore[no-untyped-def]
    events = make_session("old.qpgaze") / "events.jsonl"
    report = bring(tmp_path, ROWS, viewer_log, events_log=events)
    assert report.events == len(open_session(report.session).events) == 5
    with pytest.raises(SessionError, match="no event log"):
        bring(tmp_path, ROWS, viewer_log, events_log=tmp_path / "none.jsonl")


def test_an_old_session_is_never_written_over(tmp_path: Path, viewer_log: Path) -> None:
    bring(tmp_path, ROWS, viewer_log)
    before = {p.name: p.read_bytes() for p in (tmp_path / "s.qpgaze").iterdir()}
    with pytest.raises(SessionError, match="not empty"):
        bring(tmp_path, ROWS, viewer_log)
    assert {p.name: p.read_bytes() for p in (tmp_path / "s.qpgaze").iterdir()} == before


def test_where_the_screen_comes_from(tmp_path: Path, viewer_log: Path) -> None:
    with pytest.raises(SessionError, match="--screen-mm"):
        bring(tmp_path, ROWS, viewer_log, hints=DisplayHints())
    only_mm = DisplayHints(size_mm=(500.0, 300.0), distance_mm=600.0)
    report = bring(tmp_path, ROWS, viewer_log, hints=only_mm)
    assert report.display.bounds_screen_px == Rect(0.0, 0.0, 1920.0, 1080.0)
    assert report.display.distance_mm == 600.0


def test_what_is_said_of_the_screen_wins_over_a_preset(tmp_path: Path, viewer_log: Path) -> None:
    head = "timestamp\tleft_x\tleft_y\tright_x\tright_y\ttarget_id\ttar_x\ttar_y\n"
    rows = "1\t-640\t-360\t-640\t-360\t1\t-640\t-360\n2\t640\t360\t640\t360\t9\t640\t360\n"
    screen = DisplayHints(Rect(0.0, 0.0, 2560.0, 1440.0))
    report = bring(tmp_path, head + rows, viewer_log, None, hints=screen)
    xy = open_session(report.session).gaze.average().xy
    np.testing.assert_allclose(xy, [[0.25, 0.25], [0.75, 0.75]])
    assert any(note.startswith("y grows down") for note in report.notes)


def test_mappings_from_files_and_options(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text(
        json.dumps({"columns": {"t": "T", "x": "X", "y": "Y"}, "unit": "s", "size_mm": [5, 3]}),
        "utf-8",
    )
    assert read_mapping(file) == TableMapping(
        {"t": "T", "x": "X", "y": "Y"}, unit="s", size_mm=(5, 3)
    )
    for text in ("{", "[]", '{"columns": []}'):
        file.write_text(text, "utf-8")
        with pytest.raises(FormatError):
            read_mapping(file)
    with pytest.raises(FormatError, match="no mapping file"):
        read_mapping(tmp_path / "none.json")


@pytest.mark.parametrize(
    "value",
    [
        {"columns": {"t": "T"}},
        {"columns": {"x": "X", "y": "Y"}},
        {"columns": {"t": "T", "left_x": "X"}},
        {"columns": {"t": "T", "x": "X", "y": "Y", "z": "Z"}},
        {"columns": {"t": "T", "x": "X", "y": "Y"}, "unit": "h"},
        {"columns": {"t": "T", "x": "X", "y": "Y"}, "frame": "px"},
        {"columns": {"t": "T", "x": "X", "y": "Y"}, "colour": "red"},
    ],
)
def test_impossible_mappings(value: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        mapping_from(value)


@pytest.mark.parametrize("text", ["1920", "1920x", "0x5", "axb", "1920x1080+5", "1920x1080+a+b"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_screen(text)


def test_sizes() -> None:
    assert parse_size("528.5 x 297") == (528.5, 297.0)
    assert parse_screen("1920x1080-1920+0") == Rect(-1920.0, 0.0, 1920.0, 1080.0)


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_is_an_error_of_ours_or_none(
    tmp_path: Path, viewer_log: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(ROWS.encode())
    for place in rng.integers(0, len(data), 4):
        data[place] = int(rng.integers(0, 256))
    try:
        report = bring(tmp_path, bytes(data), viewer_log)
    except QpgazeError as error:
        assert str(error)  # noqa: PT017
    else:
        assert report.samples > 0
