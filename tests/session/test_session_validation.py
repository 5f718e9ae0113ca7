"""Every problem of a session, with its place."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qpgaze.errors import SessionError
from qpgaze.model import Event
from qpgaze.session import validate_session

Make = Callable[..., Path]


def found(path: Path, file: str) -> list[tuple[str, str]]:
    return [(p.place, p.message) for p in validate_session(path) if p.file == file]


def test_a_good_session_has_none(make_session: Make) -> None:
    assert validate_session(make_session()) == ()


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SessionError):
        validate_session(tmp_path / "none.qpgaze")


def test_not_closed(make_session: Make) -> None:
    ((place, message),) = found(make_session(close=False), "manifest.json")
    assert place == ""
    assert "was not closed" in message


def test_a_cut_gaze_bin_is_named_with_its_byte(make_session: Make) -> None:
    path = make_session()
    (path / "gaze.bin").write_bytes((path / "gaze.bin").read_bytes()[:-13])
    problems = found(path, "gaze.bin")
    assert problems[0] == (
        "byte 47987", "It has 47987 bytes; when the session was closed it had 48000.",
    )  # fmt: skip
    assert problems[1] == ("byte 47920", "The last 67 bytes are no whole record of 80 bytes.")


def test_a_changed_file_is_found_by_its_checksum(make_session: Make) -> None:
    path = make_session()
    data = bytearray((path / "gaze.bin").read_bytes())
    data[24] ^= 1
    (path / "gaze.bin").write_bytes(data)
    ((_, message),) = found(path, "gaze.bin")
    assert "SHA-256" in message


def test_missing_files_and_columns(make_session: Make) -> None:
    path = make_session(close=False)
    (path / "events.jsonl").unlink()
    header = json.loads((path / "session.json").read_text("utf-8"))
    header["gaze_columns"] = [c for c in header["gaze_columns"] if c["name"] != "right_pupil_mm"]
    header["gaze_columns"] += [{"name": "filler", "dtype": "<f4", "unit": "", "frame": "-"}]
    (path / "session.json").write_text(json.dumps(header), "utf-8")
    assert found(path, "events.jsonl") == [("", "It is missing.")]
    assert found(path, "session.json")[0] == (
        "gaze_columns", "Columns are missing: right_pupil_mm.",
    )  # fmt: skip


def test_another_format_is_named_and_the_rest_still_looked_at(make_session: Make) -> None:
    path = make_session(close=False)
    header = json.loads((path / "session.json").read_text("utf-8"))
    header["format"] = 2
    (path / "session.json").write_text(json.dumps(header), "utf-8")
    messages = [m for _, m in found(path, "session.json")]
    assert messages == [
        "This session is format 2; this qpgaze reads format 1. Install a newer qpgaze."
    ]
    assert found(path, "manifest.json")


def test_time_backwards_and_repeated_stamps(make_session: Make, parts: SimpleNamespace) -> None:
    gaze = parts.gaze()
    gaze["t_us"][10] = gaze["t_us"][5]
    gaze["t_us"][20] = gaze["t_us"][19]
    gaze["device_us"][30] = 1
    problems = found(make_session(gaze=gaze), "gaze.bin")
    assert [(place, re.split("[:,]", message)[0]) for place, message in problems] == [
        ("record 10 (byte 800)", "Time runs backwards"),
        ("record 20 (byte 1600)", "1 records repeat the t_us of the one before"),
        ("record 30 (byte 2400)", "The device's clock runs backwards"),
    ]  # fmt: skip


def test_many_places_are_summed_up(make_session: Make, parts: SimpleNamespace) -> None:
    gaze = parts.gaze()
    gaze["t_us"][1::2] -= 100_000
    problems = found(make_session(gaze=gaze), "gaze.bin")
    assert len(problems) == 21
    assert "in 280 more places" in problems[-1][1]


def test_flags_and_unit(make_session: Make, parts: SimpleNamespace) -> None:
    gaze = parts.gaze()
    gaze["left_gaze_valid"][7] = 2
    gaze["right_x_adcs"][8] = math.nan
    problems = found(make_session("flags.qpgaze", gaze=gaze), "gaze.bin")
    assert problems == [
        ("record 7 (byte 560)", "left_gaze_valid should be 0 or 1; 1 records hold something else."),
        ("record 8 (byte 640)", "1 records say that the right eye is valid, but hold no gaze."),
    ]
    gaze = parts.gaze()
    gaze["left_x_adcs"] *= 1920
    gaze["right_x_adcs"] *= 1920
    ((_, message),) = found(make_session("unit.qpgaze", gaze=gaze), "gaze.bin")
    assert "pixels" in message


def test_the_share_of_gaze_that_is_covered(make_session: Make, parts: SimpleNamespace) -> None:
    half = [parts.view(t, (0.0, 0.0), 1.0) for t in (2_500_000, 3_000_000, 4_000_000)]
    ((place, message),) = found(make_session(states=half), "viewer.jsonl")
    assert place == "gaze record 0"
    assert message.startswith("The viewer log covers 49.8% of the gaze")


def state_problems(make_session: Make, parts: SimpleNamespace, **changes: Any) -> list[str]:
    states = parts.tour(5_000_000)
    states[2] = replace(states[2], **changes)
    problems = found(make_session(states=states), "viewer.jsonl")
    assert {place for place, _ in problems} <= {"line 3"}
    return [message for _, message in problems]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"corners_image_px": ((0.0, 0.0), (1.0, 1.0), (2.0, 2.0))}, "fix no map"),
        ({"corners_image_px": ((0.0, 0.0), (-1600.0, 0.0), (0.0, 900.0))}, "mirror"),
        ({"corners_image_px": ((0.0, 0.0), (1600.0, 0.0), (800.0, 900.0))}, "skew"),
        ({"corners_image_px": ((0.0, 0.0), (1600.0, 0.0), (0.0, 1800.0))}, "skew"),
        ({"downsample": 2.0}, "downsample says 2"),
        ({"rotation_rad": 0.3}, "rotation says 17.2"),
        ({"corners_image_px": None}, "corners on it are missing"),
        ({"downsample": -1.0}, "above 0"),
    ],
)
def test_impossible_views(
    make_session: Make, parts: SimpleNamespace, changes: dict[str, Any], word: str
) -> None:
    (message,) = state_problems(make_session, parts, **changes)
    assert word in message


def test_lines_that_cannot_be_read_and_images_that_nobody_knows(make_session: Make) -> None:
    path = make_session(close=False)
    lines = (path / "viewer.jsonl").read_text("utf-8").splitlines()
    lines[1] = "{broken"
    line = json.loads(lines[4])
    line["image"]["id"] = 9
    lines[4] = json.dumps(line)
    line["image"]["id"], line["image"]["name"], line["t_us"] = 1, "another", 10
    lines[6] = json.dumps(line)
    (path / "viewer.jsonl").write_text("\n".join(lines) + '\n{"t_us": 5', "utf-8")
    problems = found(path, "viewer.jsonl")
    assert [place for place, _ in problems] == ["last line", "line 2", "line 5", "line 7", "line 7"]
    assert "no JSON" in problems[1][1]
    assert "not listed" in problems[2][1]
    assert "'another' here" in problems[3][1]
    assert "backwards" in problems[4][1]


def test_events(make_session: Make) -> None:
    hold = {"event": "hold", "class": "A"}
    events = (
        Event(0, "label", {"event": "wink", "class": "A"}),
        Event(1, "label", {"event": "mark"}),
        Event(2, "label", hold),
        Event(3, "label", {**hold, "down": False}),
        Event(4, "label", {**hold, "down": True}),
        Event(5, "label", {**hold, "down": True}),
        Event(6, "validation", {}),
        Event(90_000_000, "note", {"text": "late"}),
        Event(7, "gap", {"start_us": 0, "end_us": 99_000_000}),
        Event(8, "sneeze", {}),
    )
    places = found(make_session(events=events), "events.jsonl")
    assert [place for place, _ in places] == [
        "line 1", "line 2", "line 3", "line 4", "line 6", "line 7", "line 8", "line 9", "line 6",
    ]  # fmt: skip
    assert "gaze runs from 0.000 to 4.991 s" in places[6][1]
    assert "never ends" in places[-1][1]


def test_clocks_and_the_hook_s_own_log(make_session: Make) -> None:
    path = make_session(close=False)
    with (path / "clocks.jsonl").open("ab") as file:
        file.write(b'{"source":"EegClock","target":"SessionClock","offset_us":1,"at_us":1}\n[]\n')
    (path / "viewer-hook.jsonl").write_bytes((path / "viewer.jsonl").read_bytes())
    assert [place for place, _ in found(path, "clocks.jsonl")] == ["line 2", "line 3"]
    ((place, _),) = found(path, "viewer-hook.jsonl")
    assert place == "11 lines"
