"""Labels into open images, to the end of each way: saved, not saved, put back, rolled back.

The eye is the mouse: sessions are begun and ended in the menu, labelled by held keys, and every
question is answered by a click on its button.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from qpgaze_hook_desk import Desk, until

from qpgaze.bridge import open_project
from qpgaze.model import SlideObject

pytestmark = pytest.mark.qupath

NAMES = ("slide.tif", "coded.tif", "other.tif")
OPENED = "return viewer.getServer()?.getMetadata()?.getName()"
SHOWN = "viewer.getHierarchy().getAnnotationObjects()"
MANAGER = (
    "def m = gui.metaClass.respondsTo(gui, 'getViewerManager')"
    " ? gui.getViewerManager() : gui.@viewerManager"  # QuPath 0.4
)
VIEWERS = "gui.metaClass.respondsTo(gui, 'getAllViewers') ? gui.getAllViewers() : gui.getViewers()"


@pytest.fixture
def reader(desk: Desk) -> Iterator[Desk]:
    """One viewer with slide.tif, no object in any image, and the mouse as tracker."""
    clean(desk)
    desk.ask("hook.setup.chooseTracker('mouse')\nhook.settings.keep('classes', ['Pearl', 'Tumor'])")
    desk.ask("hook.keysChanged(); hook.pickClass('Pearl')")
    yield desk
    if desk.ask("return hook.sessions.state") != "idle":
        desk.ask("hook.run.stop()")
        desk.until("return hook.sessions.state", "idle", wait_s=120)
        time.sleep(2)
    desk.ask(
        "javafx.stage.Window.getWindows().toList().drop(1).each {\n"
        "  if (it instanceof javafx.stage.Stage) it.hide() }"
    )


def clean(desk: Desk) -> None:
    desk.ask(
        f"{MANAGER}\nwhile (({VIEWERS}).size() > 1) {{\n"
        f"  def v = ({VIEWERS}).last()\n  v.getImageData()?.setChanged(false)\n"
        f"  m.setActiveViewer(({VIEWERS})[0]); v.setImageData(null); m.removeColumn(v) }}"
    )
    for number in (1, 2, 0):
        desk.ask(
            "viewer.getImageData()?.setChanged(false)\n"
            f"gui.openImageEntry(gui.getProject().getImageList()[{number}])"
        )
        desk.until(OPENED, NAMES[number])
        desk.ask(
            "viewer.getHierarchy().clearAll(); def data = viewer.getImageData()\n"
            "gui.getProject().getEntry(data).saveImageData(data)"
        )
    desk.ask(
        "viewer.setRotation(0); viewer.setDownsampleFactor(2)\n"
        "viewer.setCenterPixelLocation(1000, 750)"
    )
    desk.focus()


def start(desk: Desk) -> Path:
    """Begin a session in the menu; return its folder."""
    sessions = desk.at / "study" / "qpgaze" / "sessions"
    before = set(sessions.glob("*.qpgaze"))
    desk.choose("Extensions", "qpgaze", "Start gaze session")
    desk.until("return hook.sessions.state", "recording", wait_s=120)
    (folder,) = set(sessions.glob("*.qpgaze")) - before
    desk.focus()
    return folder


def label(desk: Desk, dx: float = 0, dy: float = 0, viewer: int = 0) -> None:
    """Rest the mouse beside the middle of a viewer, and hold the key for it."""
    said = desk.ask(
        f"def v = ({VIEWERS})[{viewer}].getView(), b = v.localToScreen(v.getBoundsInLocal())\n"
        "return [b.getCenterX(), b.getCenterY()]"
    )
    x, y = json.loads(said)
    desk.hands("mousemove", round(x + dx), round(y + dy), "sleep", 1)
    desk.hands("keydown", "x", "sleep", 1.3, "keyup", "x", "sleep", 0.5)


def stop(desk: Desk) -> str:
    """End it in the menu; return what the dialog says."""
    desk.choose("Extensions", "qpgaze", "Stop")
    return desk.dialog(120)


def on_disk(desk: Desk, number: int = 0) -> list[SlideObject]:
    with open_project(desk.at / "study", backend="embedded") as opened:
        return list(opened.entries[number].objects())


def in_window(desk: Desk) -> int:
    return int(desk.ask(f"return {SHOWN}.size()"))


def put(desk: Desk) -> str:
    desk.choose("Extensions", "qpgaze", "Put labels into the image")
    return desk.dialog(120)


def switch(desk: Desk, name: str) -> None:
    """Open another image by a double click in QuPath's list."""
    desk.click(*desk.text_at(name), times=2)


def test_stop_and_save(reader: Desk) -> None:
    desk = reader
    start(desk)
    label(desk, -120, -40)
    label(desk, 100, 60)
    desk.picture("labelled-by-mouse")
    said = stop(desk)
    time.sleep(0.5)
    desk.picture("stop-save")
    assert said.startswith("2 labels are in slide.tif as 'proposed'")
    assert "Save slide.tif now?" in said
    assert on_disk(desk) == []
    assert in_window(desk) == 2
    desk.answer("Save")
    desk.until("return viewer.getImageData().isChanged()", "false")
    saved = on_disk(desk)
    assert {one.class_name for one in saved} == {"Pearl"}
    assert len(saved) == 2
    time.sleep(0.5)
    desk.picture("saved-notice")
    desk.until("return hook.sessions.state", "idle")
    # Saved is saved: QuPath asks nothing before it shows another image, and finds them again.
    switch(desk, "coded.tif")
    desk.until(OPENED, "coded.tif")
    assert desk.dialogs() == []
    switch(desk, "slide.tif")
    desk.until(OPENED, "slide.tif")
    assert in_window(desk) == 2
    # A second time adds nothing.
    assert put(desk).startswith("The labels of the session were put in before.")
    desk.answer("OK")
    assert in_window(desk) == 2


def test_switching_images_with_unsaved_labels(reader: Desk) -> None:
    desk = reader
    start(desk)
    label(desk)
    assert "Save slide.tif now?" in stop(desk)
    desk.answer("Not now")
    assert on_disk(desk) == []
    # Cancel: stay.
    switch(desk, "coded.tif")
    said = desk.dialog()
    time.sleep(0.5)
    desk.picture("switch-unsaved")
    assert "slide.tif" in said
    desk.answer("Cancel")
    assert desk.ask(OPENED) == "slide.tif"
    assert (in_window(desk), on_disk(desk)) == (1, [])
    # No: go on without.
    switch(desk, "coded.tif")
    desk.dialog()
    desk.answer("No")
    desk.until(OPENED, "coded.tif")
    assert on_disk(desk) == []
    switch(desk, "slide.tif")
    desk.until(OPENED, "slide.tif")
    assert in_window(desk) == 0
    # The session has it still; left, it stays away.
    said = put(desk)
    time.sleep(0.5)
    desk.picture("put-back-question")
    assert "1 of the labels was in the images once and is gone since" in said
    desk.answer("Leave it")
    time.sleep(1)
    assert (in_window(desk), on_disk(desk)) == (0, [])
    # Put back, and this time Yes.
    assert "gone since" in put(desk)
    desk.answer("Put it back")
    until(lambda: any("1 label is in slide.tif" in said for said in desk.dialogs()), 120)
    desk.answer("Not now")
    assert in_window(desk) == 1
    switch(desk, "coded.tif")
    desk.dialog()
    desk.answer("Yes")
    desk.until(OPENED, "coded.tif")
    (saved,) = on_disk(desk)
    assert saved.class_name == "Pearl"


def test_put_in_the_middle_of_a_session(reader: Desk) -> None:
    desk = reader
    folder = start(desk)
    label(desk, -130, -50)
    said = put(desk)
    time.sleep(0.5)
    desk.picture("put-in-the-middle")
    first = "The session goes on; these are its labels so far.\n\n1 label is in slide.tif"
    assert said.startswith(first)
    assert "not closed" not in said
    assert desk.ask("return hook.sessions.state") == "recording"
    desk.answer("Save")
    desk.until("return viewer.getImageData().isChanged()", "false")
    (first,) = on_disk(desk)
    # It goes on: the key still labels.
    desk.focus()
    assert desk.ask("return hook.@keys.active") == "true"
    label(desk, 130, 60)
    said = stop(desk)
    assert said.startswith("1 label is in slide.tif as 'proposed'")
    desk.answer("Save")
    desk.until("return viewer.getImageData().isChanged()", "false")
    both = {one.id for one in on_disk(desk)}
    assert first.id in both
    assert len(both) == 2
    assert (folder / "manifest.json").is_file()


def test_labels_deleted_by_hand(reader: Desk) -> None:
    desk = reader
    start(desk)
    label(desk, -130, -50)
    label(desk, 130, 60)
    assert stop(desk).startswith("2 labels are in slide.tif")
    desk.answer("Save")
    desk.until("return viewer.getImageData().isChanged()", "false")
    # As a person deletes one: selected, Delete.
    desk.ask(f"viewer.getHierarchy().getSelectionModel().setSelectedObject({SHOWN}[0])")
    desk.focus()
    desk.hands("key", "Delete")
    time.sleep(1)
    desk.picture("delete")
    for button in ("Yes", "OK"):  # QuPath may ask
        if desk.dialogs():
            try:
                desk.answer(button)
            except AssertionError:
                continue
    until(lambda: in_window(desk) == 1)
    said = put(desk)
    assert "1 of the labels was in the images once and is gone since" in said
    desk.answer("Leave it")
    time.sleep(1)
    assert in_window(desk) == 1
    # It asks before it brings anything back, also in the middle of the next session.
    start(desk)
    label(desk, 0, 100)
    assert stop(desk).startswith("1 label is in slide.tif")
    desk.answer("Not now")
    assert in_window(desk) == 2
    desk.ask(f"viewer.getHierarchy().clearAll(); {MANAGER}")
    said = put(desk)
    assert "is gone since" in said
    desk.answer("Put it back")
    until(lambda: any("1 label is in slide.tif" in said for said in desk.dialogs()), 120)
    desk.answer("Save")
    desk.until("return viewer.getImageData().isChanged()", "false")
    assert len(on_disk(desk)) == in_window(desk) == 1


def rollback(desk: Desk, session: Path, *more: str) -> str:
    identity = json.loads((session / "session.json").read_text("utf-8"))["id"]
    line = [sys.executable, "-m", "qpgaze", "project", "rollback", str(desk.at / "study")]
    done = subprocess.run(
        [*line, "--session", identity, *more], env=desk.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("saved", [True, False])
def test_rolled_back_while_the_window_shows_it(reader: Desk, saved: bool) -> None:
    desk = reader
    desk.ask(
        "def roi = qupath.lib.roi.ROIs.createRectangleROI(30, 40, 50, 60, "
        "qupath.lib.regions.ImagePlane.getDefaultPlane())\n"
        "def mine = qupath.lib.objects.PathObjects.createAnnotationObject(roi)\n"
        "mine.setName('mine'); viewer.getHierarchy().addObject(mine)\n"
        "def data = viewer.getImageData(); gui.getProject().getEntry(data).saveImageData(data)"
    )
    session = start(desk)
    label(desk, -100, 0)
    label(desk, 100, 40)
    assert stop(desk).startswith("2 labels are in slide.tif")
    desk.answer("Save" if saved else "Not now")
    desk.until("return viewer.getImageData().isChanged()", str(not saved).lower())
    said = rollback(desk, session)
    assert "Removed 2 objects" in said
    assert in_window(desk) == 1
    desk.picture(f"rolled-back-{saved}")
    changed = desk.ask("return viewer.getImageData().isChanged()")
    # On the disk it is as in the window, or QuPath will ask.
    assert changed == "true" or [one.name for one in on_disk(desk)] == ["mine"]
    if changed == "true":
        switch(desk, "coded.tif")
        desk.dialog()
        desk.answer("Yes")
        desk.until(OPENED, "coded.tif")
    assert [one.name for one in on_disk(desk)] == ["mine"]
    assert "Removed 0 objects" in rollback(desk, session)


def add_viewer(desk: Desk, number: int, count: int) -> None:
    desk.ask(f"{MANAGER}; m.addColumn(({VIEWERS}).last())")
    desk.until(f"return ({VIEWERS}).size()", str(count))
    desk.ask(
        f"{MANAGER}; m.setActiveViewer(({VIEWERS}).last())\n"
        f"gui.openImageEntry(gui.getProject().getImageList()[{number}])"
    )
    desk.until(f"return ({VIEWERS}).last().getServer()?.getMetadata()?.getName()", NAMES[number])
    desk.ask(
        f"({VIEWERS}).last().with {{ setDownsampleFactor(2); setCenterPixelLocation(900, 700) }}"
    )
    time.sleep(1)


def counts(desk: Desk, viewers: Sequence[int]) -> list[int]:
    said = desk.ask(
        f"return {list(viewers)}.collect {{ ({VIEWERS})[it].getHierarchy()"
        ".getAnnotationObjects().size() }"
    )
    found: list[int] = json.loads(said)
    return found


def test_several_images_open_and_one_that_is_not(reader: Desk) -> None:
    """Other.tif is labelled, then closed; slide.tif and coded.tif lie side by side at Stop."""
    desk = reader
    desk.ask("gui.openImageEntry(gui.getProject().getImageList()[2])")
    desk.until(OPENED, "other.tif")
    desk.ask("viewer.setDownsampleFactor(2); viewer.setCenterPixelLocation(900, 700)")
    start(desk)
    label(desk)
    switch(desk, "slide.tif")
    desk.until(OPENED, "slide.tif")
    desk.ask("viewer.setDownsampleFactor(2); viewer.setCenterPixelLocation(900, 700)")
    add_viewer(desk, 1, 2)
    desk.focus()
    label(desk, 0, 40, viewer=0)
    label(desk, 0, -40, viewer=1)
    desk.picture("two-viewers-labelled")
    said = stop(desk)
    time.sleep(0.5)
    desk.picture("two-viewers-stop")
    assert said.startswith("3 labels are in ")
    assert all(name in said.splitlines()[0] for name in NAMES)
    assert "other.tif now?" not in said
    assert counts(desk, (0, 1)) == [1, 1]
    assert len(on_disk(desk, 2)) == 1
    desk.answer("Save")
    until(lambda: [len(on_disk(desk, n)) for n in range(3)] == [1, 1, 1])
    desk.until(f"return ({VIEWERS})*.getImageData()*.isChanged()", "[false, false]")


def second_viewer(desk: Desk, image: str) -> None:
    """A viewer more, with what a Groovy expression says: QuPath itself opens no entry twice."""
    desk.ask(f"{MANAGER}; m.addColumn(({VIEWERS}).last())")
    desk.until(f"return ({VIEWERS}).size()", "2")
    desk.ask(
        f"({VIEWERS}).last().with {{ setImageData({image})\n"
        "  setDownsampleFactor(2); setCenterPixelLocation(900, 700) }"
    )
    time.sleep(1)
    desk.focus()


def test_one_image_in_two_viewers(reader: Desk) -> None:
    desk = reader
    second_viewer(desk, f"({VIEWERS})[0].getImageData()")
    start(desk)
    label(desk, 0, 60, viewer=0)
    label(desk, 0, -60, viewer=1)
    said = stop(desk)
    assert said.startswith("2 labels are in slide.tif as")
    assert counts(desk, (0, 1)) == [2, 2]
    desk.answer("Save")
    until(lambda: len(on_disk(desk)) == 2)
    desk.until(f"return ({VIEWERS})*.getImageData()*.isChanged()", "[false, false]")


def test_one_image_read_twice_is_refused_and_nothing_lost(reader: Desk) -> None:
    """Two copies of an image's objects in one QuPath: whichever is saved last would win."""
    desk = reader
    second_viewer(desk, "gui.getProject().getImageList()[0].readImageData()")
    start(desk)
    label(desk, 0, 60, viewer=0)
    said = stop(desk)
    time.sleep(0.5)
    desk.picture("read-twice")
    desk.answer("OK")
    assert said.startswith("The labels were not put into the images.")
    assert "open 2 times at once" in said
    assert counts(desk, (0, 1)) == [0, 0]
    assert on_disk(desk) == []
    clean(desk)
    assert put(desk).startswith("1 label is in slide.tif")
    desk.answer("Save")
    until(lambda: len(on_disk(desk)) == 1)
