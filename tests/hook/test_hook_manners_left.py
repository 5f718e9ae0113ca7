"""What the hook leaves behind when it is closed, and when it is taken out: nothing.

A snapshot of everything that it could hang on is taken before it was ever there, and compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from qpgaze_hook_driver import Window, a_rectangle, events, make_study

from qpgaze.bridge.hook_install import install_hook
from qpgaze.bridge.qupath_scripts import launcher, run_preference_script
from qpgaze.wire import connect

pytestmark = pytest.mark.qupath

OPENED = [
    f"--add-opens={module}/{package}=ALL-UNNAMED"
    for module, package in (
        ("java.base", "java.lang"),
        ("java.base", "java.util"),
        ("java.desktop", "java.beans"),
        ("javafx.base", "com.sun.javafx.event"),
        ("javafx.graphics", "javafx.scene"),
        ("javafx.graphics", "javafx.stage"),
        ("javafx.graphics", "com.sun.javafx.scene"),
        ("javafx.graphics", "com.sun.javafx.tk"),
        ("javafx.graphics", "com.sun.scenario.animation"),
    )
]
"""To look at what JavaFX keeps to itself."""

COUNTS = Path(__file__).with_name("left_counts.groovy").read_text("utf-8")
"""What hangs on QuPath's parts."""

OURS = r"""
def server = java.lang.management.ManagementFactory.getPlatformMBeanServer()
def name = new javax.management.ObjectName("com.sun.management:type=DiagnosticCommand")
def none = [[] as String[]] as Object[], kinds = [String[].class.getName()] as String[]
def table = server.invoke(name, "gcClassHistogram", none, kinds)
return table.readLines().findAll { it.contains(" qpgaze.") }.join("\n")
"""
"""Living objects of the hook's classes, after a collection: a listener, filter, timer or thread of
ours that anything still holds would be among them."""


def sockets(window: Window) -> Counter[str]:
    """What QuPath has open, by kind: sockets by their state, files by name."""
    proc = Path(f"/proc/{window.qupath.pid}")
    states = {}
    for table in ("tcp", "tcp6"):
        for line in (proc / "net" / table).read_text().splitlines()[1:]:
            parts = line.split()
            states[parts[9]] = f"{table} {parts[3]}"
    found: Counter[str] = Counter()
    for file in (proc / "fd").iterdir():
        with suppress(FileNotFoundError):
            where = str(file.readlink())
            inode = where.removeprefix("socket:[").rstrip("]")
            if inode in states:
                found[states[inode]] += 1
            elif str(window.at) in where and "qpgaze" in where:
                found[where] += 1
    return found


def children(window: Window) -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == window.qupath.pid:
                found.append((stat.parent / "cmdline").read_text().replace("\0", " "))
    return found


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder, with what it holds."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


@pytest.fixture
def bare(qupath_folder: Path, tmp_path: Path) -> Iterator[Window]:
    """A QuPath without the hook."""
    make_study(tmp_path)
    (tmp_path / "tmp").mkdir()
    options = [*OPENED, f"-Djava.io.tmpdir={tmp_path / 'tmp'}"]
    window = Window(qupath_folder, tmp_path, hook=False, options=options)
    try:
        window.wait(hook=False)
        window.until("return viewer.getImageData() != null", "true", wait_s=120)
        yield window
    finally:
        window.close()


def open_image(window: Window, number: int, name: str) -> None:
    window.ask(f"gui.openImageEntry(gui.getProject().getImageList()[{number}])")
    window.until("return viewer.getServer()?.getMetadata()?.getName()", name)


def there_and_back(window: Window) -> None:
    """Open another image and the first again; hide what QuPath itself shows."""
    open_image(window, 1, "coded.tif")
    open_image(window, 0, "slide.tif")
    window.focus()
    time.sleep(2)


def use(window: Window) -> None:
    """All that hangs something on QuPath: keys, drawing, overlays, status, menu, dialogs."""
    with connect(name="test", folders=window.folders, wait_s=30) as client:
        client.subscribe(viewer=True, events=True, images=True)
        client.show_status("recording", "120 Hz", "s")
        window.until("return hook.@keys.active", "true")
        (image,) = client.images()
        client.show_labels(image["key"], [a_rectangle()])
        client.show_gaze("1", (900.0, 700.0), radius_image_px=50.0)
        window.focus()
        window.hands("key", "1", "sleep", 0.3, "keydown", "x", "sleep", 0.3, "keyup", "x")
        window.focus()
        window.hands("key", "r")  # QuPath's rectangle
        window.drag((600, 300), (700, 380))
        window.until("return viewer.getHierarchy().getAnnotationObjects().size()", "1")
        time.sleep(1)
        assert [e["event"] for e in events(client, "drawing")] == ["start", "end"]
        window.ask(
            "viewer.getHierarchy().clearAll(); viewer.getImageData().setChanged(false)\n"
            "gui.getMenu('Extensions', false)"
        )
        window.hands("key", "m")
        there_and_back(window)
        window.ask("hook.setup.about()")
        window.until("return javafx.stage.Window.getWindows().size()", "2")
        window.ask("javafx.stage.Window.getWindows()[1].hide()")
        client.show_status("ended")
        window.until("return hook.@keys.active", "false")


def test_closed_it_leaves_nothing(bare: Window) -> None:
    there_and_back(bare)
    use_of_tool = "viewer.getHierarchy().clearAll(); viewer.getImageData().setChanged(false)"
    bare.ask(use_of_tool)
    before, open_before = bare.ask(COUNTS), sockets(bare)
    install_hook(bare.at / "user")
    folder = bare.at / "user" / "qpgaze"
    (folder / "settings.json").write_text(json.dumps({"source": "mouse"}), encoding="utf-8")
    for _ in range(2):  # started twice it is one
        bare.start_hook()
        assert (
            bare.ask("return gui.getMenu('Extensions', false).getItems()*.getText()").count(
                "qpgaze"
            )
            == json.loads(before)["menu"].count("qpgaze") + 1
        )
        assert len(list(bare.folders[0].glob("*"))) == 1
        assert sockets(bare) - open_before == Counter({"tcp6 0A": 1}) or (
            sockets(bare) - open_before == Counter({"tcp 0A": 1})
        )
    use(bare)
    # In the middle of a session, too: its recorder ends, and the session is closed.
    bare.choose("Extensions", "qpgaze", "Start gaze session")
    bare.until("return hook.@sessions.state", "recording", wait_s=90)
    assert bare.ask(OURS) != ""
    assert [line for line in children(bare) if " record " in line]
    bare.ask("hook.close()")
    until = time.monotonic() + 60
    while children(bare) or sockets(bare) != open_before:
        assert time.monotonic() < until, (children(bare), sockets(bare) - open_before)
        time.sleep(0.2)
    (session,) = (bare.at / "study" / "qpgaze" / "sessions").glob("*.qpgaze")
    assert (session / "manifest.json").is_file()
    there_and_back(bare)
    bare.until(OURS, "", wait_s=60)
    assert json.loads(bare.ask(COUNTS)) == json.loads(before)
    assert list(bare.folders[0].iterdir()) == []
    assert list((bare.at / "tmp").glob("qpgaze*")) == []


def test_taken_out_it_leaves_nothing(
    qupath_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path)
    user, prefs = tmp_path / "user", tmp_path / "prefs"
    for folder in (user, prefs):
        folder.mkdir(mode=0o700)
    (user / "site.txt").write_text("the site's own", encoding="utf-8")
    options = (
        f"-Duser.home={tmp_path} -Djava.util.prefs.userRoot={prefs} "
        f"-Djava.util.prefs.systemRoot={prefs}"
    )
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", options)
    settle = tmp_path / "settle.groovy"
    settle.write_text(
        "import qupath.lib.gui.prefs.PathPrefs\n"
        f"PathPrefs.userPathProperty().set({json.dumps(str(user))})\n"
        "PathPrefs.savePreferences()\n",
        encoding="utf-8",
    )
    start = launcher(qupath_folder)
    assert start is not None
    subprocess.run([*start, "script", str(settle)], check=True, capture_output=True)
    run_preference_script(qupath_folder, "get")  # whatever QuPath itself writes at a start
    kept = tree(user), tree(prefs)

    def verb(*more: str) -> None:
        line = [sys.executable, "-m", "qpgaze", "install-hook", "--qupath", str(qupath_folder)]
        done = subprocess.run([*line, *more], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    verb()
    assert tree(user) != kept[0]
    assert tree(prefs) != kept[1]
    verb("--uninstall")
    assert (tree(user), tree(prefs)) == kept

    # And after it was used: what it made itself, compiled classes, choices and a log, goes as well.
    verb()
    monkeypatch.delenv("JAVA_TOOL_OPTIONS")
    window = Window(qupath_folder, tmp_path, preferred=True)
    try:
        window.folders = (tmp_path / "run" / "qpgaze" / "hooks",)
        until = time.monotonic() + 600
        while not list(window.folders[0].glob("hook-*.json")):
            assert window.qupath.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert time.monotonic() < until
            time.sleep(0.5)
        time.sleep(2)
    finally:
        window.close()
    assert (user / "qpgaze" / "cache").is_dir()
    assert list(window.folders[0].iterdir()) == []
    (user / "qpgaze" / "settings.json").write_text('{"source": "mouse"}', encoding="utf-8")
    (user / "qpgaze" / "recorder.log").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", options)
    verb("--uninstall")
    assert {name: held for name, held in tree(user).items() if "qpgaze" in name} == {}
    assert (user / "site.txt").read_text("utf-8") == "the site's own"
    there = run_preference_script(qupath_folder, "get")
    assert (there.startup_script, bool(there.runs_file)) == ("", False)
    assert os.environ["JAVA_TOOL_OPTIONS"] == options
