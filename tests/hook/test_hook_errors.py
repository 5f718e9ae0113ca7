"""What goes wrong is said in plain words, in real windows, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest
import shapely
from qpgaze_hook_driver import Window, a_rectangle, events

from qpgaze.bridge import open_project
from qpgaze.recording import SimulatedSource, record
from qpgaze.simulate import TruthObject, simulate_reading
from qpgaze.viewing import ImageIdentity
from qpgaze.wire import WireClient

pytestmark = pytest.mark.qupath

DIALOGS = (
    "return javafx.stage.Window.getWindows().findAll { it instanceof javafx.stage.Stage }.drop(1)"
    ".collect { it.getScene().getRoot().getContentText() }.join('|')"
)


def said(window: Window, wait_s: float = 60) -> str:
    """Wait for a dialog, close it, and return what it said."""
    until = time.monotonic() + wait_s
    while not (text := window.ask(DIALOGS)):
        assert time.monotonic() < until, "no dialog came"
        time.sleep(0.2)
    window.ask(
        "javafx.stage.Window.getWindows().findAll { it instanceof javafx.stage.Stage }.drop(1)"
        ".each { it.hide() }"
    )
    return text


def greet(window: Window, **changed: object) -> dict:
    """Say hello by hand, with something wrong; return the answer."""
    (path,) = window.folders[0].glob("hook-*.json")
    hook = json.loads(path.read_text("utf-8"))
    hello = {"type": "hello", "version": hook["version"], "token": hook["token"], "client": "old"}
    with socket.create_connection(("127.0.0.1", hook["port"]), 20) as line:
        line.sendall(json.dumps({**hello, **changed}).encode() + b"\n")
        answer: dict = json.loads(line.makefile("rb").readline())
        return answer


def test_a_client_of_another_version_is_told_and_so_is_the_person(window: Window) -> None:
    assert greet(window, version=99)["code"] == "version"
    text = said(window)
    assert "another version" in text
    assert "99" in text
    # Once is enough: a recorder tries again every second.
    assert greet(window, version=99)["code"] == "version"
    time.sleep(1)
    assert window.ask(DIALOGS) == ""


def test_a_wrong_token_is_refused(window: Window) -> None:
    assert greet(window, token="of another start")["code"] == "token"
    assert window.ask("return hook.@refusals.contains('token')") == "true"
    assert window.ask(DIALOGS) == ""


def test_a_recorder_that_does_not_start_is_said(window: Window) -> None:
    window.ask("hook.settings.keep('command', ['/nowhere/qpgaze']); hook.run.start()")
    try:
        assert "The recorder does not start" in said(window)
        window.until("return hook.sessions.state", "idle")
    finally:
        window.ask("hook.settings.keep('command', null)")


def test_a_recorder_that_fails_says_why(window: Window) -> None:
    window.ask("hook.settings.keep('source', 'replay:/nowhere.qpgaze'); hook.run.start()")
    try:
        text = said(window, 120)
        assert "The recorder ended before the session did" in text
        assert "nowhere" in text
        window.until("return hook.sessions.state", "idle")
        assert window.ask("return hook.@keys.active") == "false"
    finally:
        window.ask("hook.settings.keep('source', null)")


def test_without_a_slide_a_mark_is_no_label(window: Window, client: WireClient) -> None:
    client.show_status("recording", "120 Hz", "s")
    window.until("return hook.@keys.active", "true")
    try:
        window.ask("viewer.setImageData(null)")
        window.focus()
        client.take()
        window.hands("key", "1", "sleep", 1)
        assert events(client, "label") == []
        flash = "return hook.@statusLine.@labels.values()*.getText().toString()"
        window.hands("key", "1", "sleep", 0.3)
        assert "no slide is open" in window.ask(flash)
    finally:
        client.show_status("ended")
        window.ask("gui.openImageEntry(gui.getProject().getImageList()[0])")
        window.until("return viewer.getServer()?.getMetadata()?.getName()", "slide.tif")


def test_what_cannot_be_saved_stays_in_the_window(window: Window, client: WireClient) -> None:
    (image,) = client.images()
    feature = a_rectangle()
    client.change_objects(image["key"], put=[feature])
    data = window.at / "study" / "data"
    away = Path(shutil.move(str(data), str(window.at / "away")))
    data.write_text("no folder", encoding="utf-8")
    try:
        window.ask(
            f"def open = hook.images.toWire().findAll {{ it.key == '{image['key']}' }}\n"
            "Thread.start { hook.run.@labels.save(open) }"
        )
        text = said(window)
        assert "slide.tif was not saved" in text
        assert "still in the open image" in text
        assert window.ask("return viewer.getHierarchy().getAnnotationObjects().size()") == "1"
        assert window.ask("return viewer.getImageData().isChanged()") == "true"
    finally:
        data.unlink()
        shutil.move(str(away), str(data))
        window.ask("viewer.getHierarchy().clearAll(); viewer.getImageData().setChanged(false)")


def test_labels_beneath_an_open_image_are_not_offered_to_be_saved_over(
    window: Window, tmp_path: Path
) -> None:
    pearl = TruthObject("a", "Pearl", shapely.Point(900, 700).buffer(120))
    reading = simulate_reading([pearl], ImageIdentity("slide.tif", 2000, 1500), seed=1)
    session = tmp_path / "eye.qpgaze"
    record(SimulatedSource(reading), session, interrupt_ends=False)
    # Looked for in another folder this QuPath is not found: the labels go into the file beneath it.
    command = ["env", f"XDG_RUNTIME_DIR={tmp_path}", sys.executable, "-m", "qpgaze"]
    study = window.at / "study"
    window.ask("viewer.getImageData().setChanged(true)")
    try:
        window.ask(
            f"hook.settings.keep('command', {json.dumps(command)})\n"
            f"def session = new File({json.dumps(str(session))}).toPath()\n"
            "Thread.start { hook.run.@labels.put(session, gui.getProject().getPath(), '') }"
        )
        text = said(window, 120)
        with open_project(study, backend="embedded") as opened:
            assert len(opened.entries[0].objects()) == 1
        assert window.ask("return viewer.getHierarchy().getAnnotationObjects().size()") == "0"
        assert "1 label is in slide.tif" in text
        assert "Saving it writes over them" in text
        assert "File > Reload data" in text
        assert "Save slide.tif now?" not in text
        assert "--" not in text
    finally:
        window.ask(
            "hook.settings.keep('command', null)\n"
            "def data = viewer.getImageData(); gui.getProject().getEntry(data).saveImageData(data)"
        )
