"""Storing a validation with a session that was closed: never half, whatever is cut."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from qpgaze.errors import SessionError
from qpgaze.model import Event
from qpgaze.samples import empty_records
from qpgaze.session import (
    SessionHeader,
    SessionWriter,
    add_event,
    amending,
    open_session,
    validate_session,
)
from qpgaze.simulate import default_display
from qpgaze.viewing import ViewerState

HEADER = SessionHeader(
    UUID("12345678-1234-5678-1234-567812345678"), "reader 1", "Test", default_display()
)
MEASURED = {"accuracy_deg": 0.4, "precision_sd_deg": 0.1, "precision_rms_deg": 0.08}


def recorded(folder: Path, *, close: bool = True) -> Path:
    writer = SessionWriter.create(folder, HEADER)
    records = empty_records(3)
    records["t_us"] = [0, 10_000, 20_000]
    writer.append_viewer([ViewerState(0, "1", None, None, 1.0)])
    writer.append_gaze(records)
    writer.append_event(Event(5_000, "note", {"text": "begun"}))
    if close:
        writer.close()
    else:
        writer.release()
    return folder


def test_a_session_without_a_validation_gets_one(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "a.qpgaze")
    assert open_session(folder).accuracy() == (1.0, 0.5, True)
    event = add_event(folder, "validation", MEASURED)
    assert event == Event(20_000, "validation", MEASURED)
    session = open_session(folder)
    assert session.closed
    assert session.accuracy() == (0.4, 0.1, False)
    assert [e.kind for e in session.events] == ["note", "validation"]
    assert validate_session(folder) == ()
    add_event(folder, "validation", {**MEASURED, "accuracy_deg": 0.7})
    assert open_session(folder).accuracy() == (0.7, 0.1, False)
    assert validate_session(folder) == ()


def test_a_session_that_is_not_closed_is_left_alone(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "a.qpgaze", close=False)
    before = (folder / "events.jsonl").read_bytes()
    with pytest.raises(SessionError, match="not closed: it may still be recorded"):
        add_event(folder, "validation", MEASURED)
    assert (folder / "events.jsonl").read_bytes() == before
    with pytest.raises(SessionError):
        add_event(tmp_path / "none.qpgaze", "validation", MEASURED)


def test_an_empty_session_takes_one_too(tmp_path: Path) -> None:
    with SessionWriter.create(tmp_path / "a.qpgaze", HEADER):
        pass
    assert add_event(tmp_path / "a.qpgaze", "validation", MEASURED).t_us == 0


@pytest.mark.parametrize("where", ["fsync", "sha256", "write_whole"])
def test_cut_at_any_moment_it_reads_as_not_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    folder = recorded(tmp_path / "a.qpgaze")

    def cut(*_: object) -> None:
        raise OSError("the disk is gone")

    owner = amending.os if where == "fsync" else amending
    monkeypatch.setattr(owner, where, cut)
    with pytest.raises(SessionError, match="cannot be written: the disk is gone"):
        add_event(folder, "validation", MEASURED)
    monkeypatch.undo()
    session = open_session(folder)
    assert not session.closed
    assert session.accuracy() == (0.4, 0.1, False)
