"""Python's own client talks to the hook's end of the wire, on a JVM without a QuPath."""

from __future__ import annotations

import json
import random
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qpgaze.errors import WireError
from qpgaze.viewing_json import viewer_state_from_json
from qpgaze.wire import WireClient, connect, discovery_folders, find_hooks
from qpgaze.wire.schema import MAX_LINE_BYTES, VERSION, decode

pytestmark = pytest.mark.jvm


@pytest.fixture
def client(peer: Any) -> Iterator[WireClient]:
    with connect(peer.file, name="test", wait_s=30.0) as made:
        yield made


class Raw:
    """A connection that speaks as it likes."""

    def __init__(self, peer: Any, *lines: bytes, small: bool = False) -> None:
        self.sock = socket.socket()
        if small:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(60.0)
        self.sock.connect(("127.0.0.1", peer.port))
        self.file = self.sock.makefile("rb")
        self.say(*lines)

    def say(self, *lines: bytes) -> None:
        self.sock.sendall(b"".join(line + b"\n" for line in lines))

    def hear(self) -> dict[str, Any]:
        """Return the next line; an empty one where the other end closed."""
        line = self.file.readline()
        return json.loads(line) if line else {}

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()


def hello(peer: Any, client: str = "raw", **other: object) -> bytes:
    said = {"type": "hello", "version": VERSION, "token": peer.token, "client": client, **other}
    return json.dumps(said).encode()


def streamed(client: WireClient, count: int, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        lines = client.take(30.0)
        assert lines, "the stream ended"
        found += [line.message for line in lines if line.message["type"] == kind]
    return found


def test_views_come_after_the_keyframe_in_order(peer: Any, client: WireClient) -> None:
    peer.show(1, 2)
    client.subscribe(viewer=True, events=True, images=True)
    peer.show(2, 300)
    peer.tell("event")
    lines = []
    while len(lines) < 302:
        lines += [one.message for one in client.take(30.0)]
    states = [viewer_state_from_json(m["state"]) for m in lines if m["type"] == "viewer"]
    assert [s.t_us for s in states] == list(range(1, 300))
    assert states[7].image is not None
    assert states[7].image.name == "slide ä"
    (event,) = (m["event"] for m in lines if m["type"] == "event")
    assert event == {"t_us": 7, "kind": "label", "data": {"event": "mark", "class": "Pearl"}}
    assert [m["action"] for m in lines if m["type"] == "control"] == ["stop"]
    assert next(m for m in lines if m["type"] == "images")["images"] == client.images()
    client.subscribe(events=True)
    peer.show(300, 310)
    peer.tell("event")
    assert [one.message["type"] for one in client.take(30.0) + client.take(0.2)] == [
        "event",
        "control",
    ]


def test_a_ping_brings_both_clocks_and_the_greeting_names_both(client: WireClient) -> None:
    trips = [client.ping() for _ in range(20)]
    for trip in trips:
        assert trip.sent_us <= trip.back_us
        assert trip.there_us <= trip.left_us
    if sys.platform == "linux":  # there both clocks are one
        assert all(t.sent_us <= t.there_us <= t.left_us <= t.back_us for t in trips)
    assert (client.welcome["qupath"], client.welcome["software"]) == ("0.6.0", "0.1.0")


def test_who_is_not_let_in_is_told(peer: Any, client: WireClient) -> None:
    for line, code in [
        (b"GET / HTTP/1.1", "hello"),
        (b'{"type":"ping","id":1,"client_us":1}', "hello"),
        (hello(peer, token="wrong"), "token"),
        (hello(peer, token="wörng"), "token"),
        (b"x" * (MAX_LINE_BYTES + 5), "hello"),
        (b"\xff\xfe", "hello"),
        (hello(peer, version=VERSION + 1), "version"),
    ]:
        with Raw(peer, line) as raw:
            answer = raw.hear()
            assert (answer["type"], answer["code"]) == ("refused", code)
            assert answer["version"] == VERSION
            assert peer.token not in json.dumps(answer)
            assert raw.hear() == {}
    assert client.images()  # everything else goes on


def test_bad_lines_are_answered_and_the_connection_goes_on(peer: Any) -> None:
    with Raw(peer, hello(peer)) as raw:
        raw.say(b"{", b"", b'{"type":"sing","id":4}', b'{"type":"save","id":5}', b"\xc3(")
        raw.say(b"y" * (3 * MAX_LINE_BYTES), hello(peer), b"[" * 100_000)
        raw.say(b'{"type":"images","id":6}', b'{"type":"save","id":7,"image":"1"}')
        raw.say(b'{"type":"objects","id":8,"image":"1"}', b'{"type":"save","id":9,"image":"2"}')
        answers = [raw.hear() for _ in range(12)]
    assert [(a["type"], a.get("re"), a.get("code")) for a in answers] == [
        ("welcome", None, None),
        ("error", None, "malformed"),
        ("error", 4, "unknown"),
        ("error", 5, "malformed"),
        ("error", None, "malformed"),
        ("error", None, "too_long"),
        ("error", None, "unsupported"),
        ("error", None, "malformed"),
        ("ok", 6, None),
        ("error", 7, "read_only"),
        ("error", 8, "failed"),
        ("error", 9, "no_image"),
    ]
    assert "by zero" in answers[10]["message"]


def test_a_stuck_client_loses_old_views_and_delays_nobody(peer: Any, client: WireClient) -> None:
    client.subscribe(viewer=True)
    subscribe = b'{"type":"subscribe","id":1,"viewer":true,"events":true}'
    with Raw(peer, hello(peer, "stuck"), subscribe, small=True) as raw:
        assert raw.hear()["type"] == "welcome"
        while raw.hear()["type"] != "ok":
            continue
        sent, lost = 1000, 0
        while lost < 1000:
            peer.show(sent, sent + 4000)
            sent += 4000
            assert sent < 400_000
            lost = next(n for k, n in peer.tell("state")["losses"].items() if k.startswith("stuck"))
        peer.tell("event")
        assert client.ping()
        last = 0
        while last < sent - 1:
            last = streamed(client, 1, "viewer")[-1]["state"]["t_us"]
        # Now the stuck one reads again: it is told how much it lost, and lost no key.
        kinds: list[str] = []
        while "event" not in kinds:
            line = raw.hear()
            kinds.append(line["type"])
            if line["type"] == "dropped":
                assert line["lines"] >= 1
    assert "dropped" in kinds


def test_a_change_in_parts_is_one_change(peer: Any, client: WireClient) -> None:
    ring = [[0.5 * i, 1.25] for i in range(4000)]
    many = [
        {
            "type": "Feature",
            "id": f"{n:08d}-0000-4000-8000-000000000000",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": "annotation", "name": "Größe"},
        }
        for n in range(40)
    ]
    assert len(json.dumps(many)) > 2 * MAX_LINE_BYTES
    before = peer.tell("state")["asked"].count("change_objects")
    answer = client.change_objects("1", put=many, remove=[f["id"] for f in many[:3]], wait_s=60.0)
    assert (answer["put"], answer["removed"], answer["revision"]) == (40, 3, 4)
    assert peer.tell("state")["asked"].count("change_objects") == before + 1
    with pytest.raises(WireError) as gone:
        client.change_objects("9", put=many, wait_s=60.0)
    assert gone.value.code == "no_image"


def test_a_part_that_is_no_good_takes_the_parts_before_it_away(peer: Any) -> None:
    def part(number: int, more: bool, **properties: object) -> bytes:
        known = {"objectType": "annotation", **properties}
        feature = {"type": "Feature", "id": f"{number:08d}-0000-4000-8000-000000000000"}
        point = {"type": "Point", "coordinates": [1.0, 2.0]}
        put = [{**feature, "geometry": point, "properties": known}]
        said = {"type": "change_objects", "id": number, "image": "1", "put": put, "more": more}
        return json.dumps(said).encode()

    unreadable = part(2, True, name="unreadable")
    malformed = part(2, True).replace(b'"geometry"', b'"geometri"')
    with Raw(peer, hello(peer)) as raw:
        assert raw.hear()["type"] == "welcome"
        for bad in (unreadable, malformed):
            raw.say(part(1, True), bad)
            assert raw.hear() == {"type": "ok", "re": 1}
            refused = raw.hear()
            assert (refused["type"], refused["re"], refused["code"]) == ("error", 2, "malformed")
            raw.say(part(3, False))
            answer = raw.hear()
            assert (answer["re"], answer["put"]) == (3, 1)


def test_connections_are_bounded_and_the_silent_are_sent_away(
    peer: Any, client: WireClient
) -> None:
    with Raw(peer) as silent:
        raws = []
        try:
            refused = None
            while refused is None and len(raws) < 40:
                raws.append(Raw(peer, hello(peer)))
                answer = raws[-1].hear()
                refused = answer.get("code")
            assert refused == "busy"
            assert 20 < len(raws) <= 32
            assert client.ping()
        finally:
            for raw in raws:
                raw.__exit__()
        assert silent.hear() == {}  # five seconds for the hello, then it is closed
    until = time.monotonic() + 60
    while len(peer.tell("state")["losses"]) > 1:
        assert time.monotonic() < until
    with connect(peer.file, name="late", wait_s=30.0) as late:
        assert late.ping()


def test_notes_arrive_and_a_goodbye_is_told_from_a_break(peer: Any) -> None:
    with connect(peer.file, name="polite", wait_s=30.0) as polite:
        polite.show_gaze("1", (3.0, 4.0), radius_image_px=20.0, hint="zoom in first")
        polite.show_status("recording", "120 Hz", "abc")
        until = time.monotonic() + 60  # no request tells when: it may overtake a note
        while not (notes := peer.tell("state")["notes"]) or notes[-1]["type"] != "status":
            assert time.monotonic() < until, notes
        assert [n["type"] for n in notes[-2:]] == ["show_gaze", "status"]
        assert notes[-2]["point_image_px"] == [3.0, 4.0]
    with Raw(peer, hello(peer, "rude")) as rude:
        assert rude.hear()["type"] == "welcome"
    until = time.monotonic() + 60
    left: dict[str, bool] = {}
    while not {"polite", "rude"} <= set(left):
        assert time.monotonic() < until
        left = {name.split()[0]: bye for name, bye in peer.tell("state")["left"]}
    assert (left["polite"], left["rude"]) == (True, False)


def spoilt(rng: random.Random) -> str:
    """Return a line of a client, mostly with something wrong in it."""
    number = rng.randrange(1000)
    message: dict[str, Any] = rng.choice(
        [
            {"type": "hello", "version": 1, "token": "t", "client": "c"},
            {"type": "subscribe", "id": number, "viewer": True, "events": False},
            {"type": "ping", "id": number, "client_us": 5},
            {"type": "objects", "id": number, "image": "1", "start": 3},
            {"type": "show_gaze", "viewer": "1", "point_image_px": [1.0, 2], "radius_image_px": 2},
            {"type": "show_labels", "image": "1", "labels": [{"type": "Feature"}], "clear": True},
            {"type": "status", "state": "recording", "text": "x", "session": None},
            {"type": "save", "id": number, "image": "1"},
            {"type": "change_objects", "id": number, "image": "1", "put": [], "remove": ["a"]},
            {"type": "bye"},
        ]
    )
    odd = [None, True, False, 0, -1, 1.0, 1.5, 1e300, 2**53, "", "x", "ä" * 300, "y" * 5000, [], {}]
    odd += [[1], [1, 2], [1, 2, 3], [None, 1], ["a", 1], {"a": 1}, "1", "recording"]
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        key = rng.choice([*message, "extra"])
        if rng.random() < 0.3:
            message.pop(key, None)
        else:
            message[key] = rng.choice(odd)
    text = json.dumps(message, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.15:
        place = rng.randrange(len(text))
        text = text[:place] + rng.choice(['"', "}", ",", "\\", "0", " ", ""]) + text[place + 1 :]
    return text


def test_both_ends_let_the_same_lines_through(peer: Any) -> None:
    rng = random.Random(20)
    lines = [spoilt(rng) for _ in range(3000)]
    lines += ['{"type":"bye","a":NaN}', '{"type":"bye",}', "{'type':'bye'}", '{"type":"bye"}{}']
    lines += ['{"type":"bye","a":01}', '{"type":"bye","a":"\\x"}', '{"type":"bye","a":+1}', ""]

    def passes(line: str) -> bool:
        try:
            decode(line.encode(), "client")
        except WireError:
            return False
        return True

    here = [passes(line) for line in lines]
    there = peer.tell("judge", lines=lines)
    assert 500 < sum(here) < 2500
    assert [x for x, a, b in zip(lines, here, there, strict=True) if a != b] == []


def test_what_gson_takes_beyond_json_says_nothing_else(peer: Any) -> None:
    # QuPath's Gson cannot be made stricter; no client of ours writes such lines.
    loose = ['{"type":"bye","a":"\t"}', '{"type":"bye","a":TRUE}', '\ufeff{"type":"bye"}']
    assert peer.tell("judge", lines=loose) == [True] * 3
    assert peer.tell("judge", lines=[x.replace("bye", "by") for x in loose]) == [False] * 3


@pytest.mark.parametrize(
    ("java_name", "name", "environ"),
    [
        ("Linux", "linux", {}),
        ("Linux", "linux", {"XDG_RUNTIME_DIR": "/run/user/5", "XDG_STATE_HOME": "/s"}),
        ("Linux", "linux", {"XDG_RUNTIME_DIR": "relative", "XDG_STATE_HOME": ""}),
        ("Mac OS X", "darwin", {"XDG_RUNTIME_DIR": "/run"}),
        ("Windows 11", "win32", {"LOCALAPPDATA": "/local"}),
        ("Windows 11", "win32", {}),
    ],
)
def test_both_ends_look_into_the_same_folders(
    peer: Any, java_name: str, name: str, environ: dict[str, str]
) -> None:
    there = peer.tell("folders", system=java_name, environ=environ, home="/home/x")
    assert there == [str(p) for p in discovery_folders(name, environ, Path("/home/x"))]


def test_the_end_leaves_nothing_and_a_crash_a_file_that_is_known_as_stale(
    start_peer: Callable[[Path], Any], tmp_path: Path
) -> None:
    folder = tmp_path / "hooks"
    first = start_peer(folder)
    first.process.kill()
    first.end()
    assert [p.name for p in folder.iterdir()] == [first.file.name]
    found = find_hooks((folder,))
    assert found.hooks == ()
    assert "runs no more" in found.troubles[0][1]

    second = start_peer(folder)
    if sys.platform != "win32":
        assert stat.S_IMODE(second.file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [h.port for h in find_hooks((folder,)).hooks] == [second.port]
    with connect(name="recorder", folders=(folder,), wait_s=30.0) as client:
        client.subscribe(viewer=True)
        second.tell("close")
        until = time.monotonic() + 60
        while client.ended is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert client.take()[-1].message["type"] == "bye"
    assert [p.name for p in folder.iterdir()] == [first.file.name]
    assert second.tell("state")["threads"] == []
    assert second.end() == 0  # no thread but daemons holds the JVM
