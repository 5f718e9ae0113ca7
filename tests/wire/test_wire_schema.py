"""One schema: the file, both ends, the page in docs and session format 1 say the same."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.errors import WireError
from qpgaze.model import Event
from qpgaze.session import event_to_json
from qpgaze.viewing import Cover, ImageIdentity, Rect, ViewerState
from qpgaze.viewing_json import viewer_state_from_json, viewer_state_to_json
from qpgaze.wire.lines import TOO_LONG, LineSplitter, Outbox
from qpgaze.wire.schema import (
    KEYWORDS,
    MAX_LINE_BYTES,
    VERSION,
    _mismatch,
    _rules,
    check,
    decode,
    encode,
    schema,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "wire.md").read_text("utf-8")


def rules(value: Any) -> list[dict[str, Any]]:
    """Every rule within a rule."""
    inner = [*value.get("properties", {}).values(), *([value["items"]] if "items" in value else [])]
    return [value, *(found for one in inner for found in rules(one))]


ALL = [*schema()["$defs"].values(), *schema()["client"].values(), *schema()["hook"].values()]


def test_the_file_says_what_the_code_says() -> None:
    assert schema()["version"] == VERSION
    assert schema()["max_line_bytes"] == MAX_LINE_BYTES


def test_the_schema_uses_no_keyword_that_a_reader_need_not_know() -> None:
    for rule in (found for one in ALL for found in rules(one)):
        assert set(rule) <= KEYWORDS
        if "$ref" in rule:
            assert rule["$ref"].rpartition("/")[2] in schema()["$defs"]
        assert set(rule.get("required", ())) <= set(rule.get("properties", {}))


def row(name: str, rule: dict[str, Any]) -> str:
    needed = rule.get("required", ())
    names = [n for n in rule.get("properties", {}) if n != "type"]
    cells = ", ".join(f"**{n}**" if n in needed else n for n in names) or "-"
    return f"| `{name}` | {cells} | {rule['description']} |"


@pytest.mark.parametrize("end", ["client", "hook"])
def test_the_page_describes_every_line(end: str) -> None:
    section = PAGE.split(f"## Lines of the {end}\n", 1)[1].split("\n## ", 1)[0]
    drawn = [line for line in section.splitlines() if line.startswith("| `")]
    assert drawn == [row(name, rule) for name, rule in schema()[end].items()]


def test_the_page_describes_every_record() -> None:
    section = PAGE.split("## Records\n", 1)[1].split("\n## ", 1)[0]
    drawn = [line for line in section.splitlines() if line.startswith("| `")]
    records = {n: r for n, r in schema()["$defs"].items() if "properties" in r}
    assert drawn == [row(name, rule) for name, rule in records.items()]


def test_a_viewer_state_on_the_wire_is_one_of_session_format_1() -> None:
    known = {f.name for f in fields(ViewerState)} - {"extra"}
    assert set(schema()["$defs"]["viewer_state"]["properties"]) == known
    event = event_to_json(Event(1, "note", {}))
    assert set(schema()["$defs"]["event"]["properties"]) == set(event)


numbers = st.floats(-1e6, 1e6)
rects = st.builds(Rect, numbers, numbers, st.floats(0, 1e5), st.floats(0, 1e5))
images = st.builds(
    ImageIdentity,
    st.text(max_size=40),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.none() | st.text(max_size=8),
    st.lists(st.text(max_size=40), max_size=2).map(tuple),
)
stamps = st.integers(-(2**62), 2**62)
states = st.builds(
    ViewerState,
    stamps,
    st.text(max_size=5),
    st.none() | images,
    st.none() | st.tuples(*[st.tuples(numbers, numbers)] * 3),
    st.floats(0.01, 1e4),
    rotation_rad=st.floats(-7, 7),
    bounds_screen_px=st.none() | rects,
    screen_bounds_px=st.none() | rects,
    cursor_viewer_px=st.none() | st.tuples(numbers, numbers),
    covers=st.lists(st.builds(Cover, st.text(max_size=9), rects), max_size=3).map(tuple),
    read_us=st.none() | stamps,
    extra=st.dictionaries(st.text("uvw", min_size=1), st.integers(), max_size=2),
)


@given(states)
def test_a_viewer_state_goes_through_the_wire_unchanged(state: ViewerState) -> None:
    line = encode({"type": "viewer", "state": viewer_state_to_json(state)}, "hook")
    assert line.count(b"\n") == 1
    back = viewer_state_from_json(decode(line, "hook")["state"])
    assert back == state
    assert back.extra == state.extra


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=6),
    st.lists(st.integers(-1, 1), max_size=5), st.dictionaries(st.text(max_size=3), st.none()),
)  # fmt: skip


def made_up(rule: dict[str, Any], data: st.DataObject) -> Any:
    """A value that mostly keeps to a rule, and sometimes does not."""
    if "$ref" in rule:
        rule = schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    kinds = rule.get("type", "object")
    kind = kinds if isinstance(kinds, str) else data.draw(st.sampled_from(kinds))
    if data.draw(st.integers(0, 24)) == 0:
        return data.draw(SCALARS)
    if kind == "object":
        return {
            name: made_up(inner, data)
            for name, inner in rule.get("properties", {}).items()
            if name in rule.get("required", ()) or data.draw(st.booleans())
        }
    if kind == "array":
        least = rule.get("minItems", 0)
        count = data.draw(st.integers(least, min(rule.get("maxItems", 3), least + 3)))
        return [made_up(rule["items"], data) for _ in range(count)]
    if kind == "string":
        return data.draw(st.sampled_from(rule.get("enum", ["", "x", "y" * 40, "z" * 300])))
    return {"null": None, "boolean": True, "number": data.draw(numbers), "integer": 3}[kind]


@given(st.data())
def test_the_quick_check_lets_nothing_through_that_the_slow_one_stops(data: st.DataObject) -> None:
    end = data.draw(st.sampled_from(["client", "hook"]))
    kind = data.draw(st.sampled_from(sorted(schema()[end])))
    message = made_up(schema()[end][kind], data)
    quick = _rules(end)[kind](message)
    assert not quick or _mismatch(message, schema()[end][kind], "") is None


@given(states)
def test_the_quick_check_knows_every_line_that_a_hook_streams(state: ViewerState) -> None:
    message = {"type": "viewer", "state": viewer_state_to_json(state)}
    assert _rules("hook")["viewer"](message)


def test_a_viewer_without_an_image_goes_through() -> None:
    state = ViewerState(5, "1", None, None, math.nan)
    line = encode({"type": "viewer", "state": viewer_state_to_json(state)}, "hook")
    assert math.isnan(viewer_state_from_json(decode(line, "hook")["state"]).downsample)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ([], "no JSON object"),
        ({"id": 1}, "no JSON object with a type"),
        ({"type": "sing"}, "'sing', which this version does not know"),
        ({"type": "pong"}, "'pong', which this version does not know"),
        ({"type": "ping", "id": 1}, "client_us is missing"),
        ({"type": "ping", "id": -1, "client_us": 1}, "id: expected at least 0, but -1 came"),
        ({"type": "ping", "id": True, "client_us": 1}, "expected integer, but True came"),
        ({"type": "ping", "id": 1, "client_us": 2**64}, "expected integer"),
        ({"type": "status", "state": "tired"}, "expected one of ready, recording"),
        (
            {"type": "show_gaze", "viewer": "1", "point_image_px": [1]},
            "point_image_px: expected at least 2 items, but 1 came",
        ),
        (
            {"type": "change_objects", "id": 1, "image": "1", "remove": ["short"]},
            r"remove\[0\]: expected at least 36 characters, but 5 came",
        ),
        (
            {"type": "change_objects", "id": 1, "image": "1", "put": [{"type": "Feature"}]},
            r"put\[0\].id is missing",
        ),
        ({"type": "save", "id": 1, "image": "x" * 300}, "at most 256 characters"),
    ],
)
def test_what_breaks_the_schema_is_named(message: Any, words: str) -> None:
    with pytest.raises(WireError, match=words):
        check(message, "client")


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"nan", b'{"type":"ping","id":1,"client_us":NaN}', b"\xff\xfe", b"[" * 100_000],
)
def test_what_is_no_json_is_malformed(line: bytes) -> None:
    with pytest.raises(WireError) as caught:
        decode(line, "client")
    assert caught.value.code == "malformed"


def test_keys_of_a_later_version_are_kept() -> None:
    message = {"type": "ping", "id": 1.0, "client_us": 1, "later": {"x": [1]}}
    assert decode(encode(message, "client"), "client") == message


def test_numpy_numbers_are_sent_as_numbers() -> None:
    point = np.array([1.5, 2.5], dtype=np.float32)
    line = encode({"type": "show_gaze", "viewer": "1", "point_image_px": point}, "client")
    assert json.loads(line)["point_image_px"] == [1.5, 2.5]


def test_a_line_over_the_limit_is_not_sent() -> None:
    with pytest.raises(WireError, match="longer than"):
        encode({"type": "bye", "why": "x" * MAX_LINE_BYTES}, "client")


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    splitter = LineSplitter(limit=20)
    ends = [*cuts, len(stream)]
    got = [
        line
        for start, end in zip([0, *cuts], ends, strict=True)
        for line in splitter.feed(stream[start:end])
    ]
    wanted = [
        TOO_LONG if len(n) >= 20 else n.rstrip(b"\r") for n in lines if len(n) >= 20 or n.strip()
    ]
    assert got == wanted


def test_a_full_box_throws_old_views_away_first() -> None:
    box = Outbox(lines=3)
    box.stream(b"key 1")
    for number in range(5):
        box.stream(f"view {number}".encode(), supersedes=True)
    box.answer(b"pong")
    box.close()
    lines = []
    while (line := box.take()) is not None:
        lines.append(line)
    assert lines == [b"pong", b"key 1", b"view 3", b"view 4"]
    assert box.dropped == 3


def test_a_box_full_of_keys_loses_the_oldest_and_counts() -> None:
    box = Outbox(lines=2, size_bytes=100)
    for number in range(5):
        box.stream(b"key %d" % number)
    assert box.dropped == 3
    box.stream(b"x" * 99)
    assert box.dropped == 5
    assert box.take() == b"x" * 99
