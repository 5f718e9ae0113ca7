"""Client and hook talk: requests, streams, strangers, slow readers, ends."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from qpgaze.errors import WireError
from qpgaze.model import Event
from qpgaze.viewing import ImageIdentity, ViewerState
from qpgaze.viewing_json import viewer_state_from_json
from qpgaze.wire import StandIn, WireClient, connect
from qpgaze.wire.channel import Channel, now_us
from qpgaze.wire.lines import Outbox
from qpgaze.wire.schema import MAX_LINE_BYTES, VERSION, encode

View = Callable[..., ViewerState]
Until = Callable[[Callable[[], object]], None]
Features = Callable[..., list[dict[str, Any]]]
SLIDE = ImageIdentity("slide", 2000, 1500, "1", ("file:/x/slide.tif",))


def streamed(client: WireClient, count: int, kind: str) -> list[dict[str, Any]]:
    """Take lines until `count` of a kind came."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        lines = client.take(20.0)
        assert lines, "the stream ended"
        found += [line.message for line in lines if line.message["type"] == kind]
    return found


def test_views_come_in_order_after_the_keyframe(
    qupath: StandIn, client: WireClient, view: View
) -> None:
    qupath.show(view(1))
    client.subscribe(viewer=True)
    for t_us in range(2, 200):
        qupath.show(view(t_us))
    states = [viewer_state_from_json(m["state"]) for m in streamed(client, 199, "viewer")]
    assert states == [view(t_us) for t_us in range(1, 200)]


def test_only_what_was_chosen_is_streamed(qupath: StandIn, client: WireClient, view: View) -> None:
    client.subscribe(events=True)
    qupath.show(view(1))
    qupath.server.publish_event(5, "label", {"event": "mark", "class": "Pearl"})
    qupath.server.publish_control("stop")
    event, control = (line.message for line in client.take(20.0) + client.take(0.5))
    assert event["event"] == {
        "t_us": 5,
        "kind": "label",
        "data": {"event": "mark", "class": "Pearl"},
    }
    assert control["action"] == "stop"


def test_open_images_are_told_and_asked(qupath: StandIn, client: WireClient) -> None:
    client.subscribe(images=True)
    opened = qupath.open_image(SLIDE)
    before, after = streamed(client, 2, "images")
    assert before["images"] == []
    assert after["images"] == client.images()
    (image,) = client.images()
    assert (image["key"], image["changed"], image["revision"]) == (opened.key, False, 0)
    qupath.close_image(opened.key)
    assert client.images() == []


def test_objects_are_put_replaced_removed_and_saved(
    qupath: StandIn, client: WireClient, features: Features
) -> None:
    opened = qupath.open_image(SLIDE)
    one, two, three = features(1, 2, 3)
    answer = client.change_objects(opened.key, put=[one, two])
    assert (answer["put"], answer["revision"]) == (2, 1)
    new = {**two, "properties": {"name": "redrawn"}}
    client.change_objects(opened.key, put=[three], replace=[new], remove=[one["id"]], revision=1)
    assert client.objects(opened.key) == ([new, three], 2)
    assert opened.changed
    client.save(opened.key)
    assert not opened.changed
    assert list(opened.saved[0].values()) == [new, three]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"put": [1]}, "conflict"),
        ({"put": [2], "replace": [3]}, "conflict"),
        ({"put": [2], "remove": [3]}, "conflict"),
        ({"put": [2, 2]}, "conflict"),
        ({"put": [2], "revision": 0}, "conflict"),
        ({"put": [2], "image": "9"}, "no_image"),
    ],
)
def test_a_change_that_does_not_fit_changes_nothing(
    qupath: StandIn, client: WireClient, features: Features, change: dict[str, Any], code: str
) -> None:
    opened = qupath.open_image(SLIDE)
    qupath.edit(opened.key, features(1))
    whole = {
        "put": features(*change.get("put", ())),
        "replace": features(*change.get("replace", ())),
        "remove": [f["id"] for f in features(*change.get("remove", ()))],
        "revision": change.get("revision"),
    }
    with pytest.raises(WireError) as caught:
        client.change_objects(change.get("image", opened.key), **whole)
    assert caught.value.code == code
    assert client.objects(opened.key) == (features(1), 1)


def test_a_large_change_goes_in_parts_and_counts_as_one(
    qupath: StandIn, client: WireClient, features: Features
) -> None:
    opened = qupath.open_image(SLIDE)
    many = features(*range(40), points=4000)
    assert len(json.dumps(many)) > 2 * MAX_LINE_BYTES
    answer = client.change_objects(opened.key, put=many, wait_s=60.0)
    assert (answer["put"], answer["revision"]) == (40, 1)
    assert client.objects(opened.key) == (many, 1)
    with pytest.raises(WireError, match=r"Object 00000041.* QuPath takes at most 1 MiB"):
        client.change_objects(opened.key, put=features(41, points=200_000))


def test_nothing_is_sent_where_one_of_many_is_no_good(
    qupath: StandIn, client: WireClient, features: Features
) -> None:
    opened = qupath.open_image(SLIDE)
    many = features(*range(40), points=4000)
    bad = {k: v for k, v in many[-1].items() if k != "geometry"}
    with pytest.raises(WireError, match=r"put\[39\].geometry is missing"):
        client.change_objects(opened.key, put=[*many[:-1], bad])
    assert client.change_objects(opened.key, put=many[:1])["put"] == 1


def test_a_part_that_is_no_good_takes_the_parts_before_it_away(
    qupath: StandIn, client: WireClient, features: Features
) -> None:
    opened = qupath.open_image(SLIDE)

    def part(label: Mapping[str, Any], more: bool) -> None:
        fields = {"image": opened.key, "put": [label], "more": more}
        line = encode({"type": "change_objects", "id": 1, **fields}, "client")
        client._await(1, line.replace(b'"geometry"', b'"geometri"') if label is bad else line)

    first, bad, last = features(1, 2, 3)
    part(first, True)
    with pytest.raises(WireError, match="geometry is missing"):
        part(bad, True)
    part(last, False)
    assert client.objects(opened.key)[0] == [last]


def test_a_save_that_fails_says_why(qupath: StandIn, client: WireClient) -> None:
    opened = qupath.open_image(SLIDE)
    opened.read_only = True
    with pytest.raises(WireError, match="read-only") as caught:
        client.save(opened.key)
    assert caught.value.code == "read_only"


def test_gaze_labels_and_status_are_shown(
    qupath: StandIn, client: WireClient, features: Features, until: Until
) -> None:
    client.show_gaze("1", (3.0, 4.0), radius_image_px=20.0, hint="zoom in first")
    client.show_gaze("1", None)
    client.show_labels("1", features(1, 2), remove=[features(3)[0]["id"]], clear=True)
    client.show_status("recording", "120 Hz", "abc")
    until(lambda: len(qupath.notes) == 4)
    assert [note["type"] for note in qupath.notes] == ["show_gaze"] * 2 + ["show_labels", "status"]
    assert qupath.notes[0]["hint"] == "zoom in first"
    assert qupath.notes[2]["labels"] == features(1, 2)


def test_a_ping_brings_both_clocks(folder: Path) -> None:
    with (
        StandIn(folder, clock=lambda: now_us() + 5_000_000) as _,
        connect(name="recorder", folders=(folder,)) as client,
    ):
        trip = client.ping()
    assert trip.sent_us <= trip.there_us - 5_000_000 <= trip.left_us - 5_000_000 <= trip.back_us


# -- strangers and noise ---------------------------------------------------------------------


class Raw:
    """A connection that speaks as it likes."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 20.0)
        self.file = self.sock.makefile("rb")

    def say(self, *lines: bytes) -> None:
        self.sock.sendall(b"".join(line + b"\n" for line in lines))

    def hear(self) -> dict[str, Any] | None:
        line = self.file.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self.file.close()
        self.sock.close()


def hello(token: str, version: int = VERSION, client: str = "raw") -> bytes:
    said = {"type": "hello", "version": version, "token": token, "client": client}
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"GET / HTTP/1.1", "hello"),
        (b'{"type":"ping","id":1,"client_us":1}', "hello"),
        (hello("wrong"), "token"),
        (hello("wörng"), "token"),
        (b"x" * (MAX_LINE_BYTES + 5), "hello"),
        (None, "version"),
    ],
    ids=["stranger", "no hello", "token", "odd token", "too long", "version"],
)
def test_who_is_not_let_in_is_told_and_logged(
    qupath: StandIn,
    client: WireClient,
    line: bytes | None,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = qupath.server.hook
    assert hook is not None
    raw = Raw(hook.port)
    with caplog.at_level(logging.WARNING, "qpgaze.wire"):
        raw.say(hello(hook.token, VERSION + 1) if line is None else line)
        answer = raw.hear()
        assert answer is not None
        assert (answer["type"], answer["code"]) == ("refused", code)
        assert raw.hear() is None
    raw.close()
    assert "was refused" in caplog.text
    assert hook.token not in caplog.text
    assert client.images() == []  # everything else goes on


def test_bad_lines_are_answered_and_the_connection_goes_on(
    qupath: StandIn, client: WireClient, caplog: pytest.LogCaptureFixture
) -> None:
    hook = qupath.server.hook
    assert hook is not None
    raw = Raw(hook.port)
    with caplog.at_level(logging.WARNING, "qpgaze.wire"):
        raw.say(hello(hook.token), b"{", b'{"type":"sing","id":4}', b'{"type":"save","id":5}')
        raw.say(b"y" * (3 * MAX_LINE_BYTES), hello(hook.token))
        raw.say(b'{"type":"images","id":6}')
        answers = [raw.hear() for _ in range(7)]
    raw.close()
    told = [(a["type"], a.get("re"), a.get("code")) for a in answers if a is not None]
    assert told == [
        ("welcome", None, None),
        ("error", None, "malformed"),
        ("error", 4, "unknown"),
        ("error", 5, "malformed"),
        ("error", None, "too_long"),
        ("error", None, "unsupported"),
        ("ok", 6, None),
    ]
    assert len(caplog.records) == 5
    assert client.images() == []


def test_a_slow_client_loses_old_views_and_delays_nobody(folder: Path, view: View) -> None:
    with StandIn(folder, queued_lines=50) as qupath:
        hook = qupath.server.hook
        assert hook is not None
        raw = Raw(hook.port)
        subscribe = b'{"type":"subscribe","id":1,"viewer":true,"events":true}'
        raw.say(hello(hook.token, client="stuck"), subscribe)
        assert [(raw.hear() or {})["type"] for _ in range(2)] == ["welcome", "ok"]
        with connect(hook, name="quick") as quick:
            quick.subscribe(viewer=True)
            sent = 0
            while qupath.server.clients["stuck 1"] < 1000:
                sent += 1
                qupath.show(view(sent))
                assert sent < 200_000
            qupath.server.publish_event(7, "label", {"event": "mark"})
            assert quick.ping()
            # Now the stuck one reads again: it is told how much it lost, and lost no key.
            kinds = []
            while not kinds or kinds[-1] != "event":
                line = raw.hear()
                assert line is not None
                kinds.append(line["type"])
            assert "dropped" in kinds
        raw.close()


def test_many_clients_at_once(qupath: StandIn, folder: Path, view: View) -> None:
    clients = [connect(name=f"c{n}", folders=(folder,)) for n in range(6)]
    for one in clients:
        one.subscribe(viewer=True)
    for t_us in range(100):
        qupath.show(view(t_us))
    for one in clients:
        stamps = [m["state"]["t_us"] for m in streamed(one, 100, "viewer")]
        assert stamps == list(range(100))
        one.close()


def test_the_number_of_clients_is_bounded(
    qupath: StandIn, client: WireClient, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr("qpgaze.wire.server.MAX_CLIENTS", 1)
    with pytest.raises(WireError, match="connections already") as caught:
        connect(name="one more", folders=(folder,))
    assert caught.value.code == "busy"
    assert client.images() == []


def test_lines_of_the_hook_that_are_none_are_left_out(
    qupath: StandIn, client: WireClient, caplog: pytest.LogCaptureFixture, until: Until
) -> None:
    (one,) = qupath.server._clients
    with caplog.at_level(logging.WARNING, "qpgaze.wire"):
        for line in (
            b"{\n",
            b'{"type":"viewer","state":{}}\n',
            b"z" * (MAX_LINE_BYTES + 1) + b"\n",
        ):
            one.outbox.answer(line)
        until(lambda: client.malformed == 3)
    assert client.images() == []
    assert caplog.text.count("was left out") == 3


# -- ends --------------------------------------------------------------------------------------


def test_a_hook_that_ends_says_bye_and_leaves_nothing(folder: Path, until: Until) -> None:
    qupath = StandIn(folder)
    qupath.start()
    client = connect(name="recorder", folders=(folder,))
    client.subscribe(viewer=True)
    qupath.close()
    qupath.close()
    lines = client.take(20.0)
    assert lines[-1].message["type"] == "bye"
    until(lambda: client.ended)
    with pytest.raises(WireError, match="ended") as caught:
        client.ping()
    assert caught.value.code == "gone"
    client.close()
    assert list(folder.iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("qpgaze-")]


def test_a_request_that_is_not_answered_ends_in_words(folder: Path) -> None:
    class Busy(StandIn):
        release = threading.Event()

        def images(self) -> list[dict[str, Any]]:
            self.release.wait(20.0)
            return []

    with Busy(folder) as qupath, connect(name="store", folders=(folder,), wait_s=5.0) as client:
        client._wait_s = 0.05
        with pytest.raises(WireError, match=r"did not answer within 0.05 s") as caught:
            client.images()
        assert caught.value.code == "timeout"
        qupath.release.set()
        client._wait_s = 20.0
        assert client.ping()


def test_an_error_in_the_hook_is_answered(folder: Path) -> None:
    class Broken(StandIn):
        def images(self) -> list[dict[str, Any]]:
            raise ZeroDivisionError("by zero")

    with Broken(folder), connect(name="store", folders=(folder,)) as client:
        with pytest.raises(WireError, match="by zero"):
            client.images()
        assert client.ping()


def test_a_port_that_is_taken_is_named(folder: Path, qupath: StandIn) -> None:
    hook = qupath.server.hook
    assert hook is not None
    with pytest.raises(WireError, match=f"Port {hook.port} .* cannot be used"):
        StandIn(folder, port=hook.port, pid=1).start()


def test_a_reading_is_played(qupath: StandIn, client: WireClient, view: View) -> None:
    client.subscribe(viewer=True, events=True)
    states = [view(t_us) for t_us in range(0, 20_000, 1000)]
    qupath.play(states, [Event(5_500, "label", {"event": "mark"})], start_us=1_000_000)
    lines = []
    while len(lines) < 21:
        lines += client.take(20.0)
    kinds = [line.message["type"] for line in lines]
    assert kinds.index("event") == 6
    stamps = [line.message["state"]["t_us"] for line in lines if line.message["type"] == "viewer"]
    assert stamps == [1_000_000 + s.t_us for s in states]


def test_a_connection_closed_before_it_began_ends_at_once() -> None:
    here, there = socket.socketpair()
    reasons: list[str] = []
    channel = Channel(here, Outbox(), lambda _line, _when: None, reasons.append)
    channel.finish()
    channel.start()
    channel.join()
    assert reasons == ["closed"]
    assert there.recv(1) == b""
    there.close()
