"""``qpgaze record`` and ``session recover`` as a person or a program starts them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from qpgaze.cli.app import run
from qpgaze.cli.record import status_text
from qpgaze.errors import SessionError, UsageError
from qpgaze.model import Event
from qpgaze.recording import SimulatedSource, record
from qpgaze.recording.live_recorder import Told
from qpgaze.recording.status import Status
from qpgaze.recording.validation.monitors import ChosenMonitor
from qpgaze.recording.validation.settings import LastValidation, Settings
from qpgaze.session import SessionHeader, open_session, validate_session
from qpgaze.simulate import Reading, default_display
from qpgaze.viewing import ImageIdentity, Rect
from qpgaze.wire import StandIn
from qpgaze.workflows import record as record_workflow
from qpgaze.workflows.record import (
    RecordOptions,
    _validation_before,
    chosen_display,
    record_session,
    session_folder_of,
)

SLIDE = ImageIdentity("slide", 2000, 1500, "1", ("file:/x/slide.tif",))


def test_a_child_process_is_ended_by_its_standard_input(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "qpgaze", "record", "--source", "simulated:3"]
    line += ["--sessions", str(tmp_path), "--name", "r", "--reader", "ö 7", "--json"]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", env=None,
    ) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        lines = []
        while sum(said["event"] == "status" for said in lines) < 2:
            lines.append(json.loads(child.stdout.readline()))
        child.stdin.close()
        lines += [json.loads(text) for text in child.stdout.read().splitlines()]
        errors = child.stderr.read()
        assert child.wait() == 0, errors
    assert errors == ""
    assert {(said["qpgaze"], said["version"]) for said in lines} == {("record", 1)}
    assert lines[0]["event"] == "started"
    assert (lines[-1]["event"], lines[-1]["reason"]) == ("ended", "standard input was closed")
    session = open_session(tmp_path / "r.qpgaze", check_content=False)
    assert session.closed
    assert session.header.pseudonym == "ö 7"
    assert len(session.gaze) == lines[-1]["samples"] > 0
    assert validate_session(session.path) == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "telescope", "--sessions", "x"], "There is no source 'telescope'"),
        (["--source", "replay", "--sessions", "x"], "no session came"),
        (["--source", "simulated", "--sessions", "x", "--name", "a/b"], "cannot be that of a fold"),
        (["--source", "simulated", "nowhere"], "There is no QuPath project"),
    ],
)
def test_wrong_use_is_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["record", *arguments]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    assert list(tmp_path.iterdir()) == []


def test_where_a_session_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project.qpproj").write_text("{}", "utf-8")
    folder = tmp_path / "qpgaze" / "sessions"
    for project in (tmp_path, tmp_path / "project.qpproj"):
        named = RecordOptions(project=project, name="r1.qpgaze")
        assert session_folder_of(named) == folder / "r1.qpgaze"
    assert (
        session_folder_of(RecordOptions(sessions=tmp_path, name="r 2")) == tmp_path / "r 2.qpgaze"
    )
    monkeypatch.setattr(record_workflow, "project_open_in_qupath", lambda *_: tmp_path)
    assert session_folder_of(RecordOptions(name="r3")) == folder / "r3.qpgaze"
    monkeypatch.setattr(record_workflow, "project_open_in_qupath", lambda *_: None)
    with pytest.raises(UsageError, match="no project is open in QuPath"):
        session_folder_of(RecordOptions())


def test_the_monitor_must_be_known_and_still_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SessionError, match="which monitor"):
        chosen_display(Settings())
    box = Rect(0, 0, 1920, 1080)
    chosen = ChosenMonitor("DP-1", 1, box, box, 1.0, 528.0, 297.0)

    def none(_scale: float | None) -> tuple[()]:
        raise SessionError("no desktop")

    where = "qpgaze.recording.validation.screens.list_monitors"
    monkeypatch.setattr(where, none)
    display = chosen_display(Settings(monitor=chosen))
    assert display.width_mm == 528.0
    monkeypatch.setattr(where, lambda _scale: ())
    with pytest.raises(SessionError, match="arranged in another way"):
        chosen_display(Settings(monitor=chosen))


def test_the_status_fits_80_columns() -> None:
    usual = Status(
        t_us=3_723_000_000, state="recording", hz=1199.6, valid=0.973, samples=4_000_000,
        viewer_states=90_000, events=77, viewer="connected", images=("case 17 [HE].svs",),
        sync_us=412, labels=23, bytes=345_000_000, free_bytes=211_000_000_000,
    )  # fmt: skip
    text = status_text(usual, "tobii").plain
    assert text.splitlines() == [
        "o  1:02:03  tobii  1200 Hz  97% valid  QuPath: case 17 [HE].svs",
        "   sync 0.4 ms  23 labels  345.0 MB, 211.0 GB free",
    ]
    long = Status(
        t_us=0, state="trouble", hz=0.0, valid=math.nan, samples=0, viewer_states=0, events=0,
        viewer="waiting", images=("x" * 200, "y"), sync_us=None, labels=None, bytes=0,
        free_bytes=10, trouble="t" * 200,
    )  # fmt: skip
    lines = status_text(long, "lsl:" + "s" * 100).plain.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 79


def test_recover_says_what_is_lost(
    tmp_path: Path, reading: Reading, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record(SimulatedSource(reading), tmp_path / "s.qpgaze").path
    (folder / "manifest.json").unlink()
    with (folder / "gaze.bin").open("ab") as file:
        file.write(b"torn")
    assert run(["session", "recover", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "s.qpgaze: is closed now." in text
    assert "Lost: The last gaze record(s): 4 bytes" in text
    assert run(["session", "recover", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["was_closed"], said["lost"]) == (True, [])
    assert run(["session", "recover", str(tmp_path / "none")]) == 2


def test_the_mouse_is_recorded_with_its_views(
    tmp_path: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QPGAZE_SETTINGS", str(tmp_path / "settings"))
    shown = next(s for s in reading.states if s.image is not None)
    monitor = reading.display.bounds_screen_px
    with StandIn(folder=tmp_path / "hooks") as hook:
        hook.open_image(SLIDE)

        def point(x: float) -> None:
            hook.show(
                replace(
                    shown,
                    t_us=hook.server.clock(),
                    screen_bounds_px=monitor,
                    cursor_viewer_px=(x, 50.0),
                )
            )

        def status(now: Status) -> None:
            point(float(now.samples % 400))
            if now.samples > 30 and now.viewer_states > 1:
                hook.server.publish_control("stop")

        point(10.0)
        outcome = record_session(
            RecordOptions(source="mouse", sessions=tmp_path, name="m", hooks=(tmp_path / "hooks",)),
            told=Told(status=status),
        )
    assert outcome.reason == "QuPath's menu"
    session = open_session(outcome.path, check_content=False)
    assert session.closed
    assert session.header.tracker == "QuPath's cursor"
    assert len(session.gaze) > 30
    assert session.viewer_states[0].image == SLIDE


def test_only_a_validation_of_this_tracker_and_monitor_goes_into_the_session() -> None:
    now = datetime.now(timezone.utc)
    data = {"tracker": "Spectrum", "monitor": "1: DP-1", "accuracy_deg": 0.4}
    display = replace(default_display(), monitor="1: DP-1")
    header = SessionHeader(id=uuid4(), pseudonym="", tracker="Spectrum", display=display)

    def known(hours: float, header: SessionHeader) -> tuple[Event, ...]:
        last = LastValidation(now - timedelta(hours=hours), data)
        return _validation_before(Settings(validation=last))(header)

    (event,) = known(1, header)
    assert event.kind == "validation"
    assert event.data["accuracy_deg"] == 0.4
    assert _validation_before(None)(header) == ()
    # A session without one says so, and why.
    for none in (
        known(1, replace(header, tracker="GP3")),
        known(1, replace(header, display=default_display())),
        known(30, header),
        _validation_before(Settings())(header),
    ):
        (note,) = none
        assert (note.kind, note.data["validated"]) == ("note", False)
        assert "validate-gaze" in note.data["text"]


def test_channels_of_a_stream_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[RecordOptions] = []

    def stop(options: RecordOptions, **_: object) -> None:
        asked.append(options)
        raise SessionError("enough")

    monkeypatch.setattr(record_workflow, "record_session", stop)
    words = ["record", "--source", "lsl", "--sessions", str(tmp_path), "--rate", "250"]
    assert run([*words, "--channels", "left_x, left_y,right_x,right_y", "--hook", "7"]) == 2
    assert "enough" in capsys.readouterr().err
    (options,) = asked
    assert options.channels == ("left_x", "left_y", "right_x", "right_y")
    assert (options.hook, options.rate_hz) == ("7", 250.0)
