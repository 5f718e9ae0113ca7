"""Labels made while recording: the same as afterwards, for every key, and never in the way."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from qpgaze.bridge.objects import label_object
from qpgaze.model import Event
from qpgaze.recording import Batch, SimulatedSource, record
from qpgaze.recording.live_labels import WAITING_BATCHES, LabelChange, LabelThread
from qpgaze.recording.live_recorder import Recording, record_live
from qpgaze.samples import empty_records
from qpgaze.session import SessionHeader, open_session
from qpgaze.simulate import Reading
from qpgaze.workflows import live_labels as workflow
from qpgaze.workflows import read_labels
from qpgaze.workflows.live_labels import ProvisionalLabels


def shown_while(
    reading: Reading, batch_us: int = 20_000
) -> tuple[ProvisionalLabels, dict[str, Any]]:
    """Give a reading to provisional labels as it would come; return what QuPath would show."""
    source = SimulatedSource(reading, batch_us)
    labels = ProvisionalLabels(source.start())
    shown: dict[str, Any] = {}
    for batch in source.batches():
        for change in labels.take(batch.gaze, batch.viewer, batch.events, batch.end_us):
            shown.update({f["id"]: f for f in change.labels})
            for gone in change.remove:
                del shown[str(gone)]
    end_us = batch.end_us + 5_000_000
    for change in labels.take(empty_records(0), (), (), end_us):
        shown.update({f["id"]: f for f in change.labels})
    return labels, shown


@pytest.mark.parametrize("batch_us", [20_000, 100_000])
def test_they_are_those_made_afterwards(tmp_path: Path, reading: Reading, batch_us: int) -> None:
    session = record(SimulatedSource(reading), tmp_path / "s.qpgaze")
    afterwards = {str(label.object_id()): label for label in read_labels(session).labels}
    labels, shown = shown_while(reading, batch_us)
    assert set(shown) == set(afterwards)
    assert len(shown) >= 2
    assert labels.count == len(shown)
    for key, feature in shown.items():
        shape = shapely.geometry.shape(feature["geometry"])
        final = label_object(afterwards[key], pixel_size_um=None, version="").geometry
        assert shape.intersection(final).area / shape.union(final).area > 0.9
        assert feature["properties"]["classification"]["name"] == afterwards[key].class_name


def test_what_is_taken_back_goes(reading: Reading) -> None:
    source = SimulatedSource(reading, 20_000)
    labels = ProvisionalLabels(source.start())
    changes: list[LabelChange] = []
    first: Event | None = None
    for batch in source.batches():
        changes += labels.take(batch.gaze, batch.viewer, batch.events, batch.end_us)
        if changes and first is None:
            first = Event(batch.end_us, "label", {"event": "undo"})
            taken_back = labels.take(empty_records(0), (), (first,), batch.end_us)
            break
    assert [str(i) for c in taken_back for i in c.remove] == [changes[0].labels[0]["id"]]
    assert labels.count == 0
    assert labels.of(changes[0].image).labels == ()


MARK = {"event": "mark", "class": "Pearl"}


def test_a_key_that_comes_late_is_read_in_its_place(reading: Reading) -> None:
    source = SimulatedSource(reading, 20_000)
    labels = ProvisionalLabels(source.start())
    batches = list(source.batches())
    for batch in batches:
        labels.take(batch.gaze, batch.viewer, (), batch.end_us)
    at_us = batches[-1].end_us
    keys = [Event(at_us - 100_000, "label", {**MARK, "class": name}) for name in ("B", "C")]
    (first,) = labels.take(empty_records(0), (), keys[:1], at_us)
    assert [f["properties"]["name"] for f in first.labels] == ["B 1"]
    # An undo of the moment before takes nothing back; a mark before it moves the numbers on.
    early = [Event(at_us - 300_000, "label", {**MARK, "class": "A"})]
    changes = labels.take(empty_records(0), (), [*keys[1:], *early], at_us)
    names = {f["properties"]["name"] for c in changes for f in c.labels}
    assert names == {"A 1", "B 2", "C 3"}
    undo = Event(at_us - 200_000, "label", {"event": "undo"})
    changes = labels.take(empty_records(0), (), [undo], at_us)
    assert [len(c.remove) for c in changes] == [1]
    assert labels.count == 2


def test_a_session_of_many_keys_costs_no_more_at_its_end(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    make = workflow.make_labels

    def counted(*all_of: Any, **named: Any) -> Any:
        given.append(len(named["presses"]))
        return make(*all_of, **named)

    monkeypatch.setattr(workflow, "make_labels", counted)
    source = SimulatedSource(reading, 20_000)
    labels = ProvisionalLabels(source.start(), rehearse=False)
    labels.take(empty_records(0), (), [Event(0, "label", MARK)] * 1000, 0)
    for batch in source.batches():
        labels.take(batch.gaze, batch.viewer, batch.events, batch.end_us)
    assert len(labels._reader.presses) > 1000
    assert given[-1] < 10


def test_the_cursor_alone_is_no_other_view(reading: Reading) -> None:
    labels = ProvisionalLabels(SimulatedSource(reading).start(), rehearse=False)
    state = next(s for s in reading.states if s.image is not None)
    moved = [replace(state, t_us=n * 16_667, cursor_viewer_px=(float(n), 1.0)) for n in range(60)]
    labels.take(empty_records(0), moved, (), 1_000_000)
    assert len(labels._states) <= 6
    panned = replace(state, t_us=1_000_001, downsample=state.downsample * 2)
    labels.take(empty_records(0), [panned], (), 1_000_001)
    assert labels._states[-1] == panned


def test_gaze_that_no_label_waits_for_wakes_nobody(reading: Reading) -> None:
    taken: list[int] = []
    came = threading.Event()

    class Counting(Broken):
        def take(self, gaze: Any, _s: Any, events: Any, _n: int) -> Sequence[LabelChange]:
            taken.append(len(gaze))
            if events:
                came.set()
            return ()

    labels = Counting(SimulatedSource(reading).start())
    thread = LabelThread(labels, lambda *_: None, lambda _t: None)
    thread.start()
    for n in range(200):
        thread.put(Batch(n, empty_records(1)), n)
    key = Event(200, "label", {"event": "undo"})
    thread.put(Batch(200, empty_records(1), (), (key,)), 200)
    assert came.wait(10.0)
    thread.stop()
    assert sum(taken) == 201
    # All at once, or a few times where this took longer than a tenth of a second.
    assert len(taken) < 100


def test_memory_is_that_of_the_last_seconds(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpgaze.workflows.live_labels.BEFORE_US", 3_000_000)
    labels, _ = shown_while(reading)
    kept_us = labels._gaze[-1]["t_us"][-1] - labels._gaze[0]["t_us"][0]
    whole_us = reading.records["t_us"][-1] - reading.records["t_us"][0]
    assert kept_us < 8_000_000 < 14_000_000 < whole_us


def test_an_image_that_is_opened_again_gets_its_labels(reading: Reading) -> None:
    labels, shown = shown_while(reading)
    image = next(s.image for s in reading.states if s.image is not None)
    assert {f["id"] for f in labels.of(image).labels} == set(shown)


# -- the thread --------------------------------------------------------------------------------


class Broken:
    count = 0
    in_a_hurry = False

    def __init__(self, header: SessionHeader) -> None:
        self.session = header.id

    def take(self, *_: Any) -> Sequence[LabelChange]:
        raise RuntimeError("no labels today")

    def of(self, image: Any) -> LabelChange:
        return LabelChange(image)


def test_labels_that_fail_do_not_harm_the_recording(tmp_path: Path, reading: Reading) -> None:
    what = Recording(SimulatedSource(reading), viewer=False, labels=Broken)
    outcome = record_live(what, tmp_path / "s.qpgaze")
    session = open_session(outcome.path)
    assert np.array(session.gaze.records).tobytes() == reading.records.tobytes()
    notes = [e.data["text"] for e in session.events if e.kind == "note"]
    assert any("no labels today" in text for text in notes)


def test_stuck_labels_never_delay_gaze(reading: Reading) -> None:
    stuck, entered = threading.Event(), threading.Event()

    class Stuck(Broken):
        def take(self, *_: Any) -> Sequence[LabelChange]:
            entered.set()
            stuck.wait()
            return ()

    thread = LabelThread(Stuck(SimulatedSource(reading).start()), lambda *_: None, lambda _t: None)
    thread.start()
    thread.put(Batch(0, empty_records(1)), 0)
    entered.wait()
    for n in range(WAITING_BATCHES + 10):
        key = (Event(n, "label", {"event": "undo"}),) if n % 100 == 0 else ()
        thread.put(Batch(n, empty_records(1), (), key), n)
    assert thread.dropped == 10
    assert sum(len(batch.events) for batch, _ in thread._waiting) == 42
    stuck.set()
    thread.stop()


def test_labels_are_made_through_the_recorder(tmp_path: Path, reading: Reading) -> None:
    made: list[ProvisionalLabels] = []

    def make(header: SessionHeader) -> ProvisionalLabels:
        made.append(ProvisionalLabels(header))
        return made[0]

    outcome = record_live(
        Recording(SimulatedSource(reading), viewer=False, labels=make), tmp_path / "s.qpgaze"
    )
    assert made[0].count == len(read_labels(open_session(outcome.path)).labels)
