"""A QuPath that listens and does not answer, or falls silent: gaze goes on, and it is said."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qpgaze.model import Event
from qpgaze.recording import SimulatedSource
from qpgaze.recording.live import LiveSetup, PacedSource
from qpgaze.recording.live_labels import LabelChange
from qpgaze.recording.live_recorder import FLUSH_S, Recording, Told, record_live
from qpgaze.recording.status import Status
from qpgaze.recording.watch_end import Ending
from qpgaze.session import SessionHeader, open_session, viewer_state_to_json
from qpgaze.simulate import Reading
from qpgaze.viewing import ImageIdentity, ViewerState
from qpgaze.viewing_json import image_to_json
from qpgaze.wire import StandIn, connect
from qpgaze.wire.channel import now_us
from qpgaze.wire.discovery import new_token, proof_of, write_hook_file
from qpgaze.wire.lines import Outbox

SLIDE = ImageIdentity("slide", 2000, 1500)


class StuckQuPath:
    """Accepts, and answers only so many lines; then it reads nothing more, the socket stays open.

    Parameters
    ----------
    folder : Path
        For the discovery file.
    answers : int
        Lines that are answered, the hello included.
    state : ViewerState
        Streamed after the subscription.
    """

    def __init__(self, folder: Path, answers: int, state: ViewerState) -> None:
        self.answers, self.state = answers, state
        self.token = new_token()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.sockets: list[socket.socket] = []
        self.stuck = threading.Event()
        write_hook_file(self.listener.getsockname()[1], self.token, folder=folder)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for sock in (self.listener, *self.sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.sockets.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(OSError, ValueError):
            file = sock.makefile("rb")
            for _ in range(self.answers):
                for said in self._answer(json.loads(file.readline())):
                    sock.sendall(json.dumps(said).encode() + b"\n")
        self.stuck.set()

    def _answer(self, line: Mapping[str, Any]) -> list[dict[str, Any]]:
        kind, number = line["type"], line.get("id")
        if kind == "hello":
            proof = proof_of(self.token, line["nonce"])
            welcome = {"type": "welcome", "version": 1, "t_us": now_us(), "pid": 1}
            return [{**welcome, "proof": proof}]
        if kind == "ping":
            stamps = {"received_us": now_us(), "sent_us": now_us()}
            return [{"type": "pong", "re": number, "client_us": line["client_us"], **stamps}]
        if kind == "subscribe":
            opened = {
                "key": "1", "image": image_to_json(SLIDE), "changed": False, "revision": 0,
                "viewers": ["1"],
            }  # fmt: skip
            return [
                {"type": "ok", "re": number},
                {"type": "viewer", "state": viewer_state_to_json(self.state)},
                {"type": "images", "images": [opened]},
            ]
        return []


class Chatty:
    """Makes a label of many corners of every batch."""

    count = 0
    in_a_hurry = True

    def __init__(self, _header: SessionHeader) -> None:
        ring = [[float(n), 0.5] for n in range(5_000)]
        self._feature = {
            "type": "Feature", "id": "00000001-0000-4000-8000-000000000000",
            "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {},
        }  # fmt: skip

    def take(self, *_: Any) -> Sequence[LabelChange]:
        return [LabelChange(SLIDE, (self._feature,))] * 8

    def of(self, image: ImageIdentity) -> LabelChange:
        return LabelChange(image)


@pytest.fixture
def stuck(tmp_path: Path, reading: Reading) -> Iterator[Callable[[int], StuckQuPath]]:
    made: list[StuckQuPath] = []

    def make(answers: int) -> StuckQuPath:
        state = next(s for s in reading.states if s.image is not None)
        made.append(StuckQuPath(tmp_path / "hooks", answers, state))
        return made[-1]

    yield make
    for one in made:
        one.close()


def wait_for(condition: Callable[[], object]) -> None:
    pause = threading.Event()
    while not condition():
        pause.wait(0.005)


def recorded(
    tmp_path: Path, reading: Reading, enough: Callable[[list[Status], list[str]], object],
    labels: Any = None,
) -> tuple[list[Status], list[Event], np.ndarray]:  # fmt: skip
    """Record in real time until there is enough; every sample must have come as it was taken."""
    setup, ending = LiveSetup(), Ending()
    source = PacedSource(SimulatedSource(reading, 10_000), setup, gaze_only=True)
    told: list[Status] = []
    said: list[str] = []
    what = Recording(source, zero=setup.zero, hooks=(tmp_path / "hooks",), labels=labels)
    heard = Told(status=told.append, note=lambda _t, text: said.append(text))
    path = tmp_path / "s.qpgaze"
    thread = threading.Thread(
        target=lambda: record_live(what, path, ending=ending, told=heard), daemon=True
    )
    thread.start()
    # Gaze must have come by then; a reading that is over before there is enough is a failure.
    wait_for(lambda: not thread.is_alive() or (enough(told, said) and told and told[-1].samples))
    assert thread.is_alive(), said
    ending.end("enough")
    thread.join()
    session = open_session(path, check_content=False)
    t_us = np.asarray(session.gaze.records["t_us"])
    np.testing.assert_array_equal(t_us, reading.records["t_us"][: len(t_us)])
    return told, list(session.events), t_us


def gaze_gaps(events: Sequence[Event]) -> list[Any]:
    return [e.data for e in events if e.kind == "gap" and e.data["source"] == "gaze"]


@pytest.mark.parametrize("answers", [0, 1, 4], ids=["nothing", "a welcome", "a few pings"])
def test_one_that_never_answers_delays_nothing(
    tmp_path: Path,
    reading: Reading,
    stuck: Callable[[int], StuckQuPath],
    monkeypatch: pytest.MonkeyPatch,
    answers: int,
) -> None:
    quick = partial(connect, wait_s=0.2)
    monkeypatch.setattr("qpgaze.recording.live_viewer.connect", quick)
    stuck(answers)
    words = "is no qpgaze hook" if answers == 0 else "QuPath did not answer"
    told, events, t_us = recorded(
        tmp_path,
        reading,
        lambda _told, said: any(words in text for text in said),
    )
    assert len(t_us) > 0
    assert all(s.viewer == "waiting" for s in told)
    assert gaze_gaps(events) == []
    assert any(e.kind == "gap" and e.data["source"] == "viewer" for e in events)


def test_one_that_stalls_in_the_middle_costs_only_what_was_for_it(
    tmp_path: Path,
    reading: Reading,
    stuck: Callable[[int], StuckQuPath],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qpgaze.recording.live_viewer.connect", partial(connect, wait_s=3.0))
    monkeypatch.setattr("qpgaze.wire.client.Outbox", partial(Outbox, 16))
    # A hello, the first comparison and the subscription; then nothing is read any more.
    qupath = stuck(10)
    _, events, t_us = recorded(
        tmp_path,
        reading,
        lambda told, said: (
            told
            and told[-1].viewer_states
            and any("QuPath is gone" in text for text in said)
            and any("were thrown away" in text for text in said)
        ),
        labels=Chatty,
    )
    assert qupath.stuck.is_set()
    assert len(t_us) > 0
    assert gaze_gaps(events) == []
    notes = [e.data for e in events if e.kind == "note"]
    counted = [n["dropped_out"] for n in notes if "dropped_out" in n]
    assert max(counted) > 0
    gone = next(n["text"] for n in notes if "QuPath is gone" in n["text"])
    assert "did not answer" in gone
    # What it showed, and that it shows nothing any more.
    states = open_session(tmp_path / "s.qpgaze", check_content=False).viewer_states
    assert [s.shown for s in states[:2]] == [True, False]


@pytest.mark.parametrize("theirs", [0, 99])
def test_a_hook_of_another_version_is_named_and_gaze_goes_on(
    tmp_path: Path, reading: Reading, theirs: int
) -> None:
    with StandIn(tmp_path / "hooks", version=theirs, software="0.0.1"):
        told, events, t_us = recorded(
            tmp_path, reading, lambda _told, said: any("of the wire" in text for text in said)
        )
    notes = [e.data["text"] for e in events if e.kind == "note" and "of the wire" in e.data["text"]]
    assert len(notes) == 1  # it looks every second, and says it once
    assert f"version {theirs} of the wire" in notes[0]
    assert "Renew" in notes[0]
    assert "install-hook" in notes[0]
    assert len(t_us) > 0
    assert all(s.viewer == "waiting" for s in told)


def test_everything_is_on_the_disk_more_than_twice_a_second(
    tmp_path: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FLUSH_S < 0.5
    synced: list[int] = []
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        synced.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    # Four files each time: gaze, views, events, clocks.
    recorded(tmp_path, reading, lambda _told, _said: len(synced) >= 12)
