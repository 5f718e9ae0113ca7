"""What is written is what is read: states, events, clocks, gaze, and what nobody knows yet."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qpgaze.errors import FormatError
from qpgaze.frames import ClockRelation, DeviceClock, HostClock, SessionClock, ViewerClock
from qpgaze.model import Event
from qpgaze.samples import GAZE_COLUMNS, GAZE_DTYPE, Column
from qpgaze.session import (
    SessionHeader,
    SessionWriter,
    clock_from_json,
    clock_to_json,
    event_from_json,
    event_to_json,
    open_session,
    sessions_dir,
    viewer_state_from_json,
    viewer_state_to_json,
)
from qpgaze.session.codec import dump_line, short_uri
from qpgaze.session.layout import header_from_json, header_to_json
from qpgaze.viewing import Cover, Display, ImageIdentity, Rect, ViewerState

number = st.floats(-1e9, 1e9, allow_nan=False)
size = st.floats(0.5, 1e6)
rect = st.builds(Rect, number, number, size, size)
point = st.tuples(number, number)
stamp = st.integers(-(2**53), 2**53)
text = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
images = st.builds(
    ImageIdentity,
    text,
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.none() | st.from_regex(r"[0-9]{1,6}", fullmatch=True),
    st.lists(text, max_size=2).map(tuple),
)
states = st.builds(
    ViewerState,
    t_us=stamp,
    viewer=text,
    image=images,
    corners_image_px=st.none() | st.tuples(point, point, point),
    downsample=size,
    rotation_rad=number,
    bounds_screen_px=st.none() | rect,
    screen_bounds_px=st.none() | rect,
    screen_scale=size,
    z=st.integers(0, 100),
    t=st.integers(0, 100),
    shown=st.booleans(),
    iconified=st.booleans(),
    focused=st.booleans(),
    cursor_viewer_px=st.none() | point,
    covers=st.lists(st.builds(Cover, text, rect), max_size=3).map(tuple),
    read_us=st.none() | stamp,
    painted_us=st.none() | stamp,
)
events = st.builds(Event, stamp, text, st.dictionaries(text, json_values, max_size=3))
clock = st.sampled_from([DeviceClock, HostClock, ViewerClock, SessionClock])
relations = st.builds(ClockRelation, clock, clock, stamp, stamp, number, st.integers(0, 10**9))


def through_json(value: object) -> object:
    return json.loads(dump_line(value).decode("utf-8"))  # type: ignore[arg-type]


@given(states)
def test_a_viewer_state_survives(state: ViewerState) -> None:
    assert viewer_state_from_json(through_json(viewer_state_to_json(state))) == state


@given(events)
def test_an_event_survives(event: Event) -> None:
    assert event_from_json(through_json(event_to_json(event))) == event


@given(relations)
def test_a_clock_comparison_survives(relation: ClockRelation) -> None:  # type: ignore[type-arg]
    assert clock_from_json(through_json(clock_to_json(relation, {"sent_us": 3}))) == relation


@settings(max_examples=25)
@given(
    hnp.arrays(GAZE_DTYPE, st.integers(0, 40)),
    st.lists(states, max_size=4),
    st.lists(events, max_size=4),
    st.lists(relations, max_size=3),
)
def test_a_session_survives(
    gaze: np.ndarray, views: list[ViewerState], happened: list[Event], clocks: list[ClockRelation]
) -> None:
    gaze = gaze.copy()
    gaze["t_us"] = np.arange(1, len(gaze) + 1)  # a last record of nothing but zeros is a torn one
    for eye in ("left", "right"):
        gaze[f"{eye}_gaze_valid"] &= 1
    header = SessionHeader(
        UUID(int=7), "p", "t", Display(Rect(0.0, 0.0, 10.0, 10.0), 5.0, 5.0), extra={"new": [1]}
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.qpgaze"
        with SessionWriter.create(path, header) as writer:
            writer.append_gaze(gaze[:7])
            writer.append_viewer(views)
            writer.append_gaze(gaze[7:])
            for event in happened:
                writer.append_event(event)
            for relation in clocks:
                writer.append_clock(relation)
        session = open_session(path, check_content=False)
        assert np.array(session.gaze.records).tobytes() == gaze.tobytes()
        assert session.viewer_states == tuple(sorted(views, key=lambda s: s.t_us))
        assert session.events == tuple(sorted(happened, key=lambda e: e.t_us))
        assert session.clocks == tuple(clocks)
        assert session.header == header
        assert session.closed
        assert not session.notes
        del session  # let go of the memory map before the folder goes


def test_what_is_not_finite_is_written_as_null() -> None:
    nowhere = ViewerState(
        5, "1", None, ((math.nan, 0.0), (1.0, 0.0), (0.0, 1.0)), math.nan,
        cursor_viewer_px=(math.inf, 0.0), bounds_screen_px=Rect(0.0, 0.0, math.nan, 1.0),
    )  # fmt: skip
    line = through_json(viewer_state_to_json(nowhere))
    read = viewer_state_from_json(line)
    assert line["downsample"] is None  # type: ignore[index]
    assert read.corners_image_px is None
    assert read.cursor_viewer_px is None
    assert read.bounds_screen_px is None
    assert math.isnan(read.downsample)


def test_unknown_keys_of_states_and_events_are_kept() -> None:
    state = viewer_state_from_json({"t_us": 1, "viewer": "1", "downsample": 2, "tool": "Brush"})
    assert state.extra == {"tool": "Brush"}
    assert through_json(viewer_state_to_json(state))["tool"] == "Brush"  # type: ignore[index]
    event = event_from_json({"t_us": 1, "kind": "sneeze", "data": {"loud": True}, "hand": "left"})
    assert event == Event(1, "sneeze", {"loud": True, "hand": "left"})


def test_half_a_surrogate_pair_from_java_does_not_stop_a_recording() -> None:
    line = dump_line({"text": "half \ud83d"})
    assert json.loads(line.decode("ascii"))["text"] == "half \ud83d"


def test_unknown_columns_and_header_keys_are_kept(tmp_path: Path) -> None:
    columns = (*GAZE_COLUMNS, Column("vergence_deg", "<f8", "deg", "-"))
    dtype = np.dtype([(c.name, c.dtype) for c in columns])
    gaze = np.zeros(3, dtype=dtype)
    gaze["vergence_deg"] = [1.0, 2.0, 3.0]
    gaze["t_us"] = [1, 2, 3]
    display = Display(Rect(0.0, 0.0, 10.0, 10.0), 5.0, 5.0)
    header = SessionHeader(UUID(int=1), "", "", display, extra={"room": "dark"})
    with SessionWriter.create(tmp_path / "s.qpgaze", header, columns) as writer:
        writer.append_gaze(gaze)
    session = open_session(tmp_path / "s.qpgaze", check_content=False)
    assert session.columns == columns
    assert session.gaze.column("vergence_deg").tolist() == [1.0, 2.0, 3.0]
    assert session.header.extra == {"room": "dark"}


def test_full_uris_stand_only_in_session_json(make_session) -> None:  # type: ignore[no-untyped-def]
    path = make_session()
    session = open_session(path)
    uri = "file:/data/somebody/slides/a%20b.svs"
    assert {s.image.uris for s in session.viewer_states if s.image} == {(uri,)}
    assert "somebody" in (path / "session.json").read_text("utf-8")
    others = [p for p in path.iterdir() if p.name != "session.json"]
    assert not any(b"somebody" in p.read_bytes() for p in others)
    first = json.loads((path / "viewer.jsonl").read_text("utf-8").splitlines()[0])
    assert first["image"]["uris"] == ["a%20b.svs"]
    assert first["image"]["id"] == 1


@pytest.mark.parametrize(
    ("uri", "short"),
    [
        ("file:/C:/slides/J%20Doe/a%20b.svs", "a%20b.svs"),
        ("file:///data/x/b.tif", "b.tif"),
        ("C:\\slides\\a b.svs", "a%20b.svs"),
        ("https://host/omero/webgateway/77", "77"),
        ("plain.svs", "plain.svs"),
    ],
)
def test_a_short_uri_is_the_last_name(uri: str, short: str) -> None:
    assert short_uri(uri) == short


def test_the_header_survives_json() -> None:
    display = Display(
        Rect(1920.0, 0.0, 2560.0, 1440.0),
        597.0,
        336.0,
        corners_ucs_mm=((-1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (7.0, 8.0, 9.0)),
        distance_mm=600.0,
        monitor="DELL",
        scale=1.5,
    )
    header = SessionHeader(
        UUID(int=3), "p7", "Pro Spectrum", display, "2026-01-02T03:04:05Z", 600.0, {"a": "1"},
        1_000_000, {"future": {"x": 1}},
    )  # fmt: skip
    assert header_from_json(json.loads(json.dumps(header_to_json(header)))) == header


@pytest.mark.parametrize(
    "line",
    [
        [],
        {"viewer": "1"},
        {"t_us": 1.5},
        {"t_us": "now"},
        {"t_us": True},
        {"t_us": 10**400},
        {"t_us": 1, "downsample": 1, "corners_image_px": [[0, 0], [1, 1]]},
        {"t_us": 1, "downsample": 1, "bounds_screen_px": [0, 0, 10]},
        {"t_us": 1, "downsample": 1, "bounds_screen_px": {"x": 0}},
        {"t_us": 1, "downsample": 1, "shown": "yes"},
        {"t_us": 1, "downsample": 1, "covers": [{"kind": "window"}]},
        {"t_us": 1, "downsample": 1, "image": {"name": "a"}},
        {"t_us": 1, "image": {"name": "a", "width_px": 1, "height_px": 1}},
    ],
)
def test_a_malformed_state_is_refused_in_words(line: object) -> None:
    with pytest.raises(FormatError):
        viewer_state_from_json(line)


def test_sessions_lie_within_the_project(tmp_path: Path) -> None:
    assert sessions_dir(tmp_path) == tmp_path / "qpgaze" / "sessions"
