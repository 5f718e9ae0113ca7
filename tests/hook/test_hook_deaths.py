"""What ends in the middle of a session: the recorder, or QuPath itself."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from qpgaze_hook_driver import Window

from qpgaze.session import open_session

pytestmark = pytest.mark.qupath


def recorder_of(window: Window) -> int:
    """The process that QuPath started to record."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
            line = (stat.parent / "cmdline").read_text().split("\0")
        except OSError:  # it ended just now
            continue
        if int(rest.split()[1]) == window.qupath.pid and "record" in line:
            return int(name.split()[0])
    raise AssertionError("QuPath has started no recorder")


def start(window: Window) -> Path:
    """Start from the menu, mark two things under the mouse; return the session."""
    folder = window.at / "study" / "qpgaze" / "sessions"
    before = set(folder.glob("*.qpgaze"))
    window.choose("Extensions", "qpgaze", "Start gaze session")
    window.until("return hook.@sessions.state", "recording", wait_s=60)
    (session,) = set(folder.glob("*.qpgaze")) - before
    window.focus()
    for x in (620, 900):
        window.hands("mousemove", x, 420, "sleep", 1.0, "key", "1", "sleep", 1.0)
    return session


def dialog(window: Window) -> str:
    """Wait for a dialog, say what it says, and press its last button."""
    window.until("return javafx.stage.Window.getWindows().size()", "2", wait_s=90)
    window.frameless()
    window.picture(f"dialog{time.monotonic_ns()}")
    said = window.ask(
        "def p = javafx.stage.Window.getWindows()[1].getScene().getRoot()\n"
        "return p.getContentText() ?: p.lookupAll('.label')*.getText().join(' ')"
    )
    window.hands(
        "windowfocus",
        window.number(window.ask("return javafx.stage.Window.getWindows()[1].getTitle()")),
        "sleep",
        0.3,
        "key",
        "Return",
    )
    window.until("return javafx.stage.Window.getWindows().size()", "1")
    return said


def test_recorder_or_qupath_end_in_the_middle(mouse_window: Window) -> None:
    session = start(mouse_window)
    os.kill(recorder_of(mouse_window), signal.SIGKILL)
    mouse_window.until("return hook.@sessions.state", "lost")
    assert "recorder is gone in the middle" in dialog(mouse_window)
    mouse_window.focus()
    mouse_window.ask("viewer.setDownsampleFactor(1.25); viewer.setCenterPixelLocation(900, 700)")
    time.sleep(3)
    mouse_window.choose("Extensions", "qpgaze", "Stop")
    said = dialog(mouse_window)
    assert "2 labels" in said or "closed" in said
    mouse_window.until("return hook.@sessions.state", "idle", wait_s=60)
    # Closed, with the views that QuPath noted after the recorder's end.
    assert (session / "manifest.json").is_file()
    whole = open_session(session)
    assert any(state.downsample == 1.25 for state in whole.viewer_states)
    assert [e.kind for e in whole.events if e.kind == "label"] == ["label"] * 2

    second = start(mouse_window)
    pid = recorder_of(mouse_window)
    mouse_window.qupath.kill()
    mouse_window.qupath.wait(30)
    until = time.monotonic() + 60
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_text():
        assert time.monotonic() < until, "the recorder goes on without QuPath"
        time.sleep(0.2)
    assert (second / "manifest.json").is_file()
    assert [e.kind for e in open_session(second).events if e.kind == "label"] == ["label"] * 2
