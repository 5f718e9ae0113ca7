"""Opening: what a cut left is read, what is damaged or foreign is refused in the user's words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from qpgaze.errors import CoverageError, FormatError, QpgazeError, SessionError
from qpgaze.model import Event
from qpgaze.session import open_session

Make = Callable[..., Path]


def edit_header(path: Path, **changes: object) -> None:
    header = json.loads((path / "session.json").read_text("utf-8"))
    header.update(changes)
    (path / "session.json").write_text(json.dumps(header), "utf-8")
    (path / "manifest.json").unlink(missing_ok=True)


def cut(file: Path, n_bytes: int) -> None:
    file.write_bytes(file.read_bytes()[:-n_bytes])


def test_a_whole_session_reads(make_session: Make) -> None:
    session = open_session(str(make_session()))
    assert session.closed
    assert len(session.gaze) == 600
    assert [s.t_us for s in session.viewer_states] == list(range(0, 5_000_001, 500_000))
    assert session.notes == ()
    assert session.sync_uncertainty_us == 150
    assert session.accuracy() == (0.6, 0.2, False)


def test_the_last_validation_counts_and_none_is_assumed(make_session: Make) -> None:
    twice = (
        Event(0, "validation", {"accuracy_deg": 0.6, "precision_sd_deg": 0.2}),
        Event(9, "validation", {"accuracy_deg": 0.9, "precision_rms_deg": 0.3}),
        Event(10, "validation", {"accuracy_deg": None}),
    )
    assert open_session(make_session("v.qpgaze", events=twice)).accuracy() == (0.9, 0.3, False)
    assert open_session(make_session("n.qpgaze", events=())).accuracy() == (1.0, 0.5, True)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="no session at"):
        open_session(tmp_path / "none.qpgaze")


def test_a_file_or_any_folder_is_no_session(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("a,b", "utf-8")
    with pytest.raises(FormatError, match="qpgaze import"):
        open_session(file)
    with pytest.raises(FormatError, match=r"holds no session\.json"):
        open_session(tmp_path)


def test_format_2_is_refused_by_name(make_session: Make) -> None:
    path = make_session()
    edit_header(path, format=2)
    with pytest.raises(FormatError) as caught:
        open_session(path)
    assert str(caught.value) == (
        "This session is format 2; this qpgaze reads format 1. Install a newer qpgaze."
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"format": "1"}', b'{"format": true}'],
)
def test_a_damaged_session_json(make_session: Make, content: bytes) -> None:
    path = make_session(close=False)
    (path / "session.json").write_bytes(content)
    with pytest.raises(FormatError):
        open_session(path)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"id": "seven"}, "UUID"),
        ({"display": None}, "display"),
        ({"display": {"bounds_screen_px": [0, 0, 0, 0], "width_mm": 1, "height_mm": 1}}, "above 0"),
        ({"gaze_columns": None}, "columns"),
        ({"gaze_columns": [{"name": "t_us", "dtype": "O"}]}, "type 'O'"),
        ({"gaze_columns": [{"name": "t_us", "dtype": ">i8"}]}, "little-endian"),
        ({"gaze_columns": [{"name": "t_us", "dtype": "<i8"}] * 2}, "twice"),
        ({"gaze_columns": [{"name": "t_us", "dtype": "<i8"}]}, "lack the column"),
        ({"gaze_rate_hz": "fast"}, "gaze_rate_hz"),
        ({"viewer_keyframe_us": 0}, "viewer_keyframe_us"),
        ({"images": {"a": 1}}, "images"),
    ],
)
def test_a_wrong_field_is_named(make_session: Make, changes: dict[str, object], word: str) -> None:
    path = make_session()
    edit_header(path, **changes)
    with pytest.raises(FormatError, match=word):
        open_session(path)


@pytest.mark.parametrize("name", ["gaze.bin", "viewer.jsonl", "events.jsonl", "clocks.jsonl"])
def test_a_missing_file_is_named(make_session: Make, name: str) -> None:
    path = make_session()
    (path / name).unlink()
    with pytest.raises(FormatError, match=name):
        open_session(path)
    (path / "manifest.json").unlink()
    with pytest.raises(FormatError, match=name):
        open_session(path)


def test_a_cut_recording_loses_its_last_record_and_line_only(make_session: Make) -> None:
    path = make_session(close=False)
    cut(path / "gaze.bin", 13)
    cut(path / "viewer.jsonl", 20)
    session = open_session(path)
    assert len(session.gaze) == 599
    assert len(session.viewer_states) == 10
    assert [note.split(":")[0] for note in session.notes] == [
        "The session was not closed", "gaze.bin", "viewer.jsonl",
    ]  # fmt: skip


def test_a_last_line_without_line_feed_counts_where_it_is_whole(make_session: Make) -> None:
    path = make_session(close=False)
    cut(path / "events.jsonl", 1)
    assert len(open_session(path).events) == 5


def test_what_notepad_saved_again_still_reads(make_session: Make) -> None:
    path = make_session(close=False)
    for name in ("session.json", "viewer.jsonl", "events.jsonl"):
        data = (path / name).read_bytes().replace(b"\n", b"\r\n")
        (path / name).write_bytes(b"\xef\xbb\xbf" + data)
    assert len(open_session(path).viewer_states) == 11


def test_zeros_after_a_power_cut_are_left_out(make_session: Make) -> None:
    path = make_session(close=False)
    for name in ("gaze.bin", "viewer.jsonl"):
        with (path / name).open("ab") as file:
            file.write(bytes(200))
    session = open_session(path)
    assert len(session.gaze) == 600
    assert len(session.viewer_states) == 11
    assert sum("incomplete" in note for note in session.notes) == 2


@pytest.mark.parametrize("name", ["gaze.bin", "viewer.jsonl"])
def test_a_closed_session_with_a_cut_file_is_refused(make_session: Make, name: str) -> None:
    path = make_session()
    cut(path / name, 13)
    with pytest.raises(FormatError, match=f"{name} had .* bytes when the session was closed"):
        open_session(path)


def test_a_foreign_gaze_bin_is_refused(make_session: Make) -> None:
    path = make_session(close=False)
    (path / "gaze.bin").write_bytes(np.random.default_rng(1).bytes(80 * 200))
    with pytest.raises(FormatError, match="impossible stamps or flags"):
        open_session(path)
    (path / "gaze.bin").write_bytes(b"Time\tX\tY\n")
    with pytest.raises(FormatError, match="less than one record"):
        open_session(path)


def test_a_broken_line_is_named(make_session: Make) -> None:
    path = make_session(close=False)
    lines = (path / "viewer.jsonl").read_bytes().split(b"\n")
    lines[3] = b"{broken"
    (path / "viewer.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(FormatError, match=r"viewer\.jsonl, line 4"):
        open_session(path)


def test_time_running_backwards_is_refused(make_session: Make, parts: SimpleNamespace) -> None:
    gaze = parts.gaze()
    gaze["t_us"][100] = gaze["t_us"][50]
    path = make_session(gaze=gaze)
    with pytest.raises(FormatError, match=r"backwards in gaze\.bin: record 100"):
        open_session(path)
    assert len(open_session(path, check_content=False).gaze) == 600


@pytest.mark.parametrize(("factor", "guess"), [(1000.0, "pixels"), (100.0, "percent")])
def test_gaze_in_another_unit_is_refused(
    make_session: Make, parts: SimpleNamespace, factor: float, guess: str
) -> None:
    gaze = parts.gaze()
    for name in ("left_x_adcs", "left_y_adcs", "right_x_adcs", "right_y_adcs"):
        gaze[name] *= factor
    with pytest.raises(CoverageError, match=guess):
        open_session(make_session(gaze=gaze))


def test_a_viewer_log_of_another_time_is_refused(
    make_session: Make, parts: SimpleNamespace
) -> None:
    later = [parts.view(t, (0.0, 0.0), 1.0) for t in (60_000_000, 61_000_000)]
    with pytest.raises(CoverageError, match=r"0\.000 s to 4\.991 s.*60\.000 s to 61\.000 s"):
        open_session(make_session("later.qpgaze", states=later))
    before = [parts.view(-20_000_000, (0.0, 0.0), 1.0)]
    with pytest.raises(CoverageError, match="does not cover"):
        open_session(make_session("stale.qpgaze", states=before))
    # Without keyframes the same state is still in force.
    open_session(make_session("held.qpgaze", states=before, viewer_keyframe_us=None))
    with pytest.raises(CoverageError, match="no viewer state"):
        open_session(make_session("none.qpgaze", states=[]))


def test_an_empty_session_reads(make_session: Make, parts: SimpleNamespace) -> None:
    session = open_session(make_session(gaze=parts.gaze(0), states=[], events=()))
    assert len(session.gaze) == 0


def test_clocks_of_a_later_version_are_noted(make_session: Make) -> None:
    path = make_session(close=False)
    with (path / "clocks.jsonl").open("ab") as file:
        file.write(b'{"source":"EegClock","target":"SessionClock","offset_us":1,"at_us":1}\n')
    session = open_session(path)
    assert len(session.clocks) == 1
    assert "1 comparisons with unknown clocks" in session.notes[-1]


def test_a_log_that_the_hook_wrote_is_mentioned(make_session: Make) -> None:
    path = make_session(close=False)
    (path / "viewer-hook.jsonl").write_bytes((path / "viewer.jsonl").read_bytes())
    assert "viewer-hook.jsonl" in open_session(path).notes[-1]


def test_a_manifest_leads_out_of_the_folder_nowhere(make_session: Make) -> None:
    path = make_session()
    outside = {"format": 1, "files": {"../../x": {"bytes": 1, "sha256": ""}}}
    (path / "manifest.json").write_text(json.dumps(outside), "utf-8")
    with pytest.raises(FormatError, match="it is missing"):
        open_session(path)


@pytest.mark.parametrize("seed", range(30))
def test_any_damage_is_an_error_of_ours_or_none(make_session: Make, seed: int) -> None:
    path = make_session(close=False)
    rng = np.random.default_rng(seed)
    names = ["session.json", "gaze.bin", "viewer.jsonl", "clocks.jsonl", "events.jsonl"]
    file = path / names[seed % len(names)]
    data = bytearray(file.read_bytes())
    for place in rng.integers(0, len(data), 5):
        data[place] = int(rng.integers(0, 256))
    file.write_bytes(data)
    try:
        session = open_session(path)
    except QpgazeError as error:
        assert str(error)  # noqa: PT017
    else:
        assert len(session.gaze) == 600
