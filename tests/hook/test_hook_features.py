"""What the hook notes and asks, in real windows: drawings, a lost connection, keys and classes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from uuid import uuid4

import pytest
from qpgaze_hook_driver import Window, a_rectangle, events

from qpgaze.wire import WireClient, connect

pytestmark = pytest.mark.qupath

TITLES = (
    "return javafx.stage.Window.getWindows().findAll { it instanceof javafx.stage.Stage }"
    ".collect { it.getTitle() }"
)


def middle(window: Window) -> tuple[float, float]:
    said = window.ask(
        "def v = viewer.getView(), b = v.localToScreen(v.getBoundsInLocal())\n"
        "return [b.getCenterX(), b.getCenterY()]"
    )
    x, y = json.loads(said)
    return x, y


def press(window: Window, button: str) -> None:
    """Press a button of whatever dialog shows it."""
    window.ask(
        "javafx.stage.Window.getWindows().toList().each { w ->\n"
        "  w.getScene().getRoot().lookupAll('.button').find { it instanceof "
        f"javafx.scene.control.Button && it.getText() == {json.dumps(button)} }}?.fire() }}"
    )


def drawn(client: WireClient, count: int, wait_s: float = 30) -> list[dict]:
    found: list[dict] = []
    until = time.monotonic() + wait_s
    while len(found) < count and time.monotonic() < until:
        found += events(client, "drawing")
        time.sleep(0.2)
    return found


def tool(window: Window, name: str) -> None:
    window.ask(
        f"def tool = qupath.lib.gui.viewer.tools.PathTools.{name}\n"
        "if (gui.metaClass.respondsTo(gui, 'getToolManager'))\n"
        "  gui.getToolManager().setSelectedTool(tool)\n"
        "else gui.setSelectedTool(tool)"
    )


def test_what_is_drawn_by_hand_begins_and_ends(window: Window, client: WireClient) -> None:
    x, y = middle(window)
    window.focus()
    window.ask(
        "qupath.lib.gui.prefs.PathPrefs.returnToMoveModeProperty().set(false)\n"
        "viewer.setDownsampleFactor(2); viewer.setRotation(0)\n"
        "viewer.setCenterPixelLocation(1000, 750)"
    )
    client.take()
    try:
        tool(window, "RECTANGLE")
        for _ in range(4):  # on a busy computer motion is lost, and an empty rectangle with it
            window.drag((x - 120, y - 90), (x - 40, y - 20))
            first = drawn(client, 2)
            if first[1]["kept"]:
                break
        assert [(e["event"], e["tool"], e["edits"]) for e in first] == [
            ("start", "rectangle", False),
            ("end", "rectangle", False),
        ]
        assert first[1]["kept"] is True
        assert first[0]["object"] == first[1]["object"]
        assert first[1]["name"] == "slide.tif"
        made = window.ask("return viewer.getSelectedObject().getID()")
        assert first[1]["object"] == made

        # A polygon is one drawing, however many corners; its class is known at its end.
        window.ask("viewer.getHierarchy().getSelectionModel().clearSelection()")
        tool(window, "POLYGON")
        for dx, dy in ((40, -80), (120, -70), (110, 10)):
            window.click(x + dx, y + dy)
            time.sleep(0.7)
        window.click(x + 50, y + 20, times=2)
        second = drawn(client, 2)
        assert [(e["event"], e["tool"]) for e in second] == [
            ("start", "polygon"),
            ("end", "polygon"),
        ]
        assert second[1]["object"] != made

        # The brush goes on with what is selected.
        tool(window, "BRUSH")
        for _ in range(4):  # a stroke inside alone changes nothing
            window.drag((x + 70, y - 40), (x + 90, y + 60))
            third = drawn(client, 2, wait_s=8)
            if third:
                break
        assert [(e["event"], e["edits"]) for e in third] == [("start", True), ("end", True)]

        # Looking around draws nothing.
        tool(window, "MOVE")
        window.drag((x, y), (x + 60, y + 30))
        time.sleep(1)
        assert events(client, "drawing") == []
    finally:
        tool(window, "MOVE")
        window.ask("viewer.getHierarchy().clearAll(); viewer.getImageData().setChanged(false)")


def test_a_start_of_the_hook_leaves_the_open_slide_as_it_is(window: Window) -> None:
    """Of its own: QuPath counts a slide as changed once any script was run, this calls the hook."""
    changed = "return viewer.getImageData().isChanged()"
    port = window.ask("viewer.getImageData().setChanged(false)\nreturn hook.port")
    window.ask(
        "def install = hook.class.getMethod('install', gui.class, java.nio.file.Path)\n"
        "def home = hook.settings.home\n"
        "Thread.startDaemon { install.invoke(null, gui, home) }"
    )
    window.until(f"return hook != null && hook.port != {port}", "true")
    assert window.ask(changed) == "false"
    with connect(name="test", folders=window.folders, wait_s=30) as client:
        client.subscribe(viewer=True, events=True, images=True)
        (image,) = client.images()
        client.show_labels(image["key"], [])
        client.take(1)
        assert client.images()[0]["changed"] is False
    assert window.ask(changed) == "false"


def test_a_recorder_that_comes_back_goes_on(
    window: Window, client: WireClient, tmp_path: Path
) -> None:
    session = str(uuid4())
    folder = tmp_path / "lost.qpgaze"
    folder.mkdir()
    (folder / "session.json").write_text(json.dumps({"id": session}), encoding="utf-8")
    client.show_status("recording", "120 Hz", session, str(folder))
    window.until("return hook.sessions.state", "recording")
    # Cut from the hook's side, in the middle: this client says no bye.
    window.ask("hook.@server.@clients.each { it.close() }")
    window.until("return hook.sessions.state", "lost")
    window.until("return hook.run.journal != null", "true")
    # The person is told; while that dialog is up, the keyboard is its own.
    window.until(f"{TITLES}.contains('qpgaze')", "true")
    press(window, "OK")
    window.ask("viewer.setDownsampleFactor(3.125)")
    window.focus()
    window.hands("key", "1", "sleep", 1.5)
    with connect(name="test", folders=window.folders, wait_s=30) as again:
        again.show_status("recording", "120 Hz", session, str(folder))
        window.until("return hook.sessions.state", "recording")
        window.until("return hook.run.journal", "null")
        again.show_status("ended", "", session)
        window.until("return hook.sessions.state", "idle")
    lines = [json.loads(line) for line in (folder / "viewer-hook.jsonl").read_text().splitlines()]
    states = [line for line in lines if "viewer" in line and "corners_image_px" in line]
    assert states[0]["image"]["name"] == "slide.tif"
    assert any(state["downsample"] == 3.125 for state in states)
    assert [line["data"]["event"] for line in lines if line.get("kind") == "label"] == ["mark"]


def test_a_folder_that_is_no_session_is_not_written(
    window: Window, client: WireClient, tmp_path: Path
) -> None:
    session = str(uuid4())
    for name, said in (("other.qpgaze", str(uuid4())), ("linked.qpgaze", session)):
        (tmp_path / name).mkdir()
        header = json.dumps({"id": said})
        (tmp_path / name / "session.json").write_text(header, encoding="utf-8")
    target = tmp_path / "target"
    target.write_text("kept", encoding="utf-8")
    (tmp_path / "linked.qpgaze" / "viewer-hook.jsonl").symlink_to(target)
    refusals = [str(tmp_path / name) for name in ("other.qpgaze", "linked.qpgaze", "absent")]
    for folder in [*refusals, "relative.qpgaze"]:
        said = window.ask(
            "def journal = hook.class.classLoader.loadClass('qpgaze.Journal')\n"
            "try { journal.getConstructors()[0].newInstance("
            f"{json.dumps(folder)}, {json.dumps(session)}, null); return 'written' }}\n"
            "catch (java.lang.reflect.InvocationTargetException e) { return 'refused' }"
        )
        assert said == "refused", folder
    assert target.read_text("utf-8") == "kept"
    assert not (tmp_path / "other.qpgaze" / "viewer-hook.jsonl").exists()


def test_keys_and_classes_are_chosen_in_a_dialog(window: Window, client: WireClient) -> None:
    of_project = window.ask("return hook.classes()")
    assert of_project != "[Pearl, Tumor]"
    window.ask("hook.setup.chooseKeys()")
    window.until(f"{TITLES}.contains('qpgaze: keys and classes')", "true")
    window.picture("keys-dialog")
    window.ask(
        "def area = null\n"
        "javafx.stage.Window.getWindows().each { w ->\n"
        "  area = area ?: w.getScene().getRoot().lookup('#qpgaze-classes') }\n"
        "area.setText('Pearl\\n  Tumor \\n')"
    )
    press(window, "OK")
    window.until("return hook.classes()", "[Pearl, Tumor]")
    home = window.at / "user" / "qpgaze" / "settings.json"
    assert json.loads(home.read_text("utf-8"))["classes"] == ["Pearl", "Tumor"]
    client.show_status("recording", "120 Hz", "s")
    window.until("return hook.@keys.active", "true")
    window.focus()
    client.take()
    window.hands("key", "2", "sleep", 0.2, "key", "3", "sleep", 1)
    assert [e["class"] for e in events(client, "label")] == ["Tumor"]
    # Shown on the screen for a moment.
    shown = window.ask("return hook.@statusLine.@labels.values()*.getText().toString()")
    assert "Tumor" in shown
    client.show_status("ended")
    window.until("return hook.@keys.active", "false")
    window.ask("hook.settings.keep('classes', null); hook.keysChanged()")
    assert window.ask("return hook.classes()") == of_project


def test_the_halo_says_when_to_zoom_in(window: Window, client: WireClient) -> None:
    window.ask(
        "viewer.setDownsampleFactor(2); viewer.setCenterPixelLocation(1000, 750)\n"
        "def roi = qupath.lib.roi.ROIs.createRectangleROI(980, 730, 40, 40, "
        "qupath.lib.regions.ImagePlane.getDefaultPlane())\n"
        "viewer.getHierarchy().addObject(qupath.lib.objects.PathObjects.createAnnotationObject(roi))\n"
        "hook.showGaze(true)"
    )
    wishes = [s.message.get("action") for s in client.take(1) if s.message["type"] == "control"]
    assert wishes == ["show_gaze"]
    hint = "return hook.overlays.@layers.values()*.hint.toString()"
    try:
        client.show_gaze("1", (1000.0, 750.0), radius_image_px=60.0)
        window.until(hint, "[zoom in first]")
        time.sleep(1)
        window.picture("zoom-in-first")
        time.sleep(0.4)
        client.show_gaze("1", (1000.0, 750.0), radius_image_px=15.0)
        window.until(hint, "[]")
        time.sleep(0.4)
        # Where nothing lies, nothing is too small.
        client.show_gaze("1", (300.0, 300.0), radius_image_px=60.0)
        time.sleep(0.5)
        assert window.ask(hint) == "[]"
    finally:
        client.show_gaze("1", None)
        window.ask(
            "hook.showGaze(false)\n"
            "viewer.getHierarchy().clearAll(); viewer.getImageData().setChanged(false)"
        )


def test_switching_with_unsaved_labels_asks(window: Window, client: WireClient) -> None:
    # Other tests may have left objects in the file that the window holds no more.
    window.ask(
        "def data = viewer.getImageData()\ngui.getProject().getEntry(data).saveImageData(data)"
    )
    (image,) = client.images()
    feature = a_rectangle()
    client.change_objects(image["key"], put=[feature])
    name = "return viewer.getServer().getMetadata().getName()"
    other = (
        "javafx.application.Platform.runLater {\n"
        "  gui.openImageEntry(gui.getProject().getImageList()[1]) }"
    )
    window.ask(other)
    window.until("return javafx.stage.Window.getWindows().size()", "2")
    window.picture("switch")
    press(window, "Cancel")  # stay
    window.until("return javafx.stage.Window.getWindows().size()", "1")
    assert window.ask(name) == "slide.tif"
    assert window.ask("return viewer.getHierarchy().getAnnotationObjects().size()") == "1"
    window.ask(other)
    window.until("return javafx.stage.Window.getWindows().size()", "2")
    press(window, "No")  # go on without
    window.until(name, "coded.tif")
    window.ask("gui.openImageEntry(gui.getProject().getImageList()[0])")
    window.until(name, "slide.tif")
    assert window.ask("return viewer.getHierarchy().getAnnotationObjects().size()") == "0"
