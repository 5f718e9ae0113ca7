"""A project that can only be read, from the start or from the middle on, and a disk that is full.

The project lies on a small file system of its own, made for the test; where this user may not mount
one, these tests are skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from qpgaze_hook_driver import Window, make_study

from qpgaze.bridge import open_project
from qpgaze.session import open_session

pytestmark = pytest.mark.qupath

SIZE = 160 << 20
"""Of the file system: a recording ends by itself where less than 64 MiB of it are left."""
STAGES = "javafx.stage.Window.getWindows().findAll { it instanceof javafx.stage.Stage }.drop(1)"


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


class Disk:
    """A small file system; `study` shows it, and can be made one that may only be read."""

    def __init__(self, at: Path) -> None:
        self.home, self.study = at / "disk", at / "study"
        for folder in (self.home, self.study):
            folder.mkdir()
        mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", self.home)
        mount("--bind", self.home, self.study)

    def read_only(self, on: bool) -> None:
        mount("-o", f"remount,{'ro' if on else 'rw'},bind", self.study)

    def read_only_from_now(self) -> None:
        """For whatever is opened from now on; files that are open stay as they are."""
        subprocess.run(["umount", "-l", str(self.study)], check=True)
        mount("--bind", self.home, self.study)
        self.read_only(True)

    def fill(self, left: int) -> None:
        """Leave so many bytes."""
        with (self.home / "filler").open("ab") as filler:
            for _ in range(200):
                room = shutil.disk_usage(self.home).free - left
                if room <= 0:
                    break
                # The recorder writes meanwhile: there may be less room than there was just now.
                with suppress(OSError):
                    os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, room)

    def empty(self) -> None:
        (self.home / "filler").unlink()

    def bytes(self) -> dict[str, str]:
        """What each file of the project holds."""
        files = [p for p in sorted(self.home.rglob("*")) if p.is_file() and p.name != "filler"]
        return {
            str(p.relative_to(self.home)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
        }

    def close(self) -> None:
        for folder in (self.study, self.home):
            subprocess.run(["umount", "-l", str(folder)], capture_output=True)


@pytest.fixture(scope="module")
def own(qupath_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """A window of these tests' own, whose eye tracker is the mouse and whose project a `Disk`."""
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("mount: Linux is needed")
    at = tmp_path_factory.mktemp("disk")
    try:
        disk = Disk(at)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"mount: not permitted here ({error.stderr.decode(errors='replace').strip()})")
    try:
        make_study(at)
        (at / "user" / "qpgaze").mkdir(parents=True)
        chosen = {"source": "mouse", "classes": ["Pearl", "Tumor"]}
        (at / "user" / "qpgaze" / "settings.json").write_text(json.dumps(chosen), "utf-8")
        window = Window(qupath_folder, at)
        window.disk = disk
        try:
            window.wait()
            yield window
        finally:
            window.close()
    finally:
        disk.close()


@pytest.fixture
def disk(own: Window) -> Iterator[Disk]:
    """The window's project; afterwards it can be written again and has no labels."""
    made: Disk = own.disk
    yield made
    if (made.home / "filler").exists():
        made.empty()
    made.read_only(False)
    own.ask(
        f"{STAGES}.each {{ it.hide() }}\n"
        "def data = viewer.getImageData(); data.getHierarchy().clearAll()\n"
        "gui.getProject().getEntry(data).saveImageData(data)"
    )
    for folder in (made.home / "qpgaze", own.at / "qpgaze sessions"):
        shutil.rmtree(folder, ignore_errors=True)


def dialog(window: Window, button: str, wait_s: float = 120) -> str:
    """Wait for a dialog, say what it says, and click on this button."""
    window.until(f"return {STAGES}.size()", "1", wait_s=wait_s)
    window.frameless()
    window.picture(f"manners{time.monotonic_ns()}")
    said = window.ask(f"return {STAGES}[0].getScene().getRoot().getContentText()")
    buttons = window.ask(f"return {STAGES}[0].getScene().getRoot().getButtonTypes()*.getText()")
    assert button in buttons, f"{buttons}: {said}"
    window.click(*window.text_at(button))
    return said


def record_two(window: Window, *, until: str = "recording") -> None:
    """Begin a session from the menu, and mark two things under the mouse."""
    window.until("return hook.@sessions.state", until, wait_s=90)
    window.focus()
    for x in (620, 900):
        window.hands("mousemove", x, 420, "sleep", 1.0, "key", "1", "sleep", 1.0)


def labels(window: Window) -> int:
    return int(window.ask("return viewer.getHierarchy().getAnnotationObjects().size()"))


def on_disk(disk: Disk) -> int:
    with open_project(disk.home, backend="embedded") as opened:
        return len(opened.entries[0].objects())


def test_a_project_that_may_only_be_read(own: Window, disk: Disk) -> None:
    disk.read_only(True)
    before = disk.bytes()
    own.choose("Extensions", "qpgaze", "Start gaze session")
    said = dialog(own, "Keep it there")
    elsewhere = own.at / "qpgaze sessions" / "study"
    assert f"nothing can be written in {disk.study}" in said
    assert str(elsewhere) in said
    record_two(own)
    own.choose("Extensions", "qpgaze", "Stop")
    said = dialog(own, "OK")
    (session,) = elsewhere.glob("*.qpgaze")
    assert "The labels were not put into the images" in said
    assert "cannot be written: Read-only file system" in said
    assert f"kept in the session {session.name} in {elsewhere}" in said
    assert "--" not in said
    assert (session / "manifest.json").is_file()
    assert [e.kind for e in open_session(session).events].count("label") == 2
    assert disk.bytes() == before

    disk.read_only(False)
    own.choose("Extensions", "qpgaze", "Put labels into the image")
    own.until(f"return {STAGES}.size()", "1", wait_s=120)  # they are in, and noted in the ledger
    disk.read_only(True)
    before = disk.bytes()
    dialog(own, "Save")
    said = dialog(own, "OK")
    assert "slide.tif was not saved" in said
    assert "nothing can be written in the project's folder" in said
    assert "still in the open image and in the session" in said
    assert (labels(own), on_disk(disk)) == (2, 0)
    assert own.ask("return viewer.getImageData().isChanged()") == "true"
    assert disk.bytes() == before

    disk.read_only(False)
    own.focus()
    own.hands("key", "ctrl+s")
    own.until("return viewer.getImageData().isChanged()", "false")
    assert on_disk(disk) == 2


def test_who_will_not_keep_it_elsewhere_has_begun_nothing(own: Window, disk: Disk) -> None:
    disk.read_only(True)
    own.choose("Extensions", "qpgaze", "Start gaze session")
    dialog(own, "Cancel")
    own.until("return hook.@sessions.state", "idle")
    assert own.ask("return hook.@recorder.isRunning() as boolean") == "false"
    assert not (own.at / "qpgaze sessions").exists()


def test_a_project_that_may_only_be_read_from_the_middle_on(own: Window, disk: Disk) -> None:
    own.choose("Extensions", "qpgaze", "Start gaze session")
    record_two(own)
    (session,) = (disk.home / "qpgaze" / "sessions").glob("*.qpgaze")
    disk.read_only_from_now()
    own.choose("Extensions", "qpgaze", "Stop")
    said = dialog(own, "OK")
    assert "the folder is read-only" in said
    assert "is kept" in said
    own.until("return hook.@sessions.state", "idle")
    assert [e.kind for e in open_session(session).events].count("label") == 2

    disk.read_only(False)
    own.choose("Extensions", "qpgaze", "Put labels into the image")
    said = dialog(own, "Save")
    assert "2 labels are in slide.tif" in said
    own.until("return viewer.getImageData().isChanged()", "false")
    assert on_disk(disk) == 2


def test_a_disk_that_fills_up(own: Window, disk: Disk) -> None:
    own.choose("Extensions", "qpgaze", "Start gaze session")
    record_two(own)
    (session,) = (disk.home / "qpgaze" / "sessions").glob("*.qpgaze")
    disk.fill(40 << 20)
    own.until(f"return {STAGES}.size()", "1", wait_s=120)
    assert labels(own) == 2
    assert (session / "manifest.json").is_file()
    disk.fill(0)
    before = disk.bytes()
    said = dialog(own, "Save")
    assert "The recording ended by itself: the disk is full" in said
    assert "2 labels are in slide.tif" in said
    said = dialog(own, "OK")
    assert "slide.tif was not saved" in said
    assert "the disk is full" in said
    assert (labels(own), on_disk(disk)) == (2, 0)
    assert disk.bytes() == before

    disk.empty()
    own.focus()
    own.hands("key", "ctrl+s")
    own.until("return viewer.getImageData().isChanged()", "false")
    assert on_disk(disk) == 2


def test_a_disk_that_is_full_at_a_stroke(own: Window, disk: Disk) -> None:
    own.choose("Extensions", "qpgaze", "Start gaze session")
    record_two(own)
    (session,) = (disk.home / "qpgaze" / "sessions").glob("*.qpgaze")
    disk.fill(0)
    said = dialog(own, "OK")
    assert "the disk is full" in said
    assert "'Put labels into the image' puts its labels in" in said or "not note it" in said
    assert session.name in said
    if own.ask("return hook.@sessions.state") != "idle":
        disk.empty()
        own.choose("Extensions", "qpgaze", "Stop")
    else:
        disk.empty()
        own.choose("Extensions", "qpgaze", "Put labels into the image")
    # They may have come in before, and only the note of it have failed.
    said = dialog(own, "Save")
    assert "2 labels are in slide.tif" in said or "were put in before" in said
    own.until("return viewer.getImageData().isChanged()", "false")
    assert on_disk(disk) == 2
    assert [e.kind for e in open_session(session).events].count("label") == 2
