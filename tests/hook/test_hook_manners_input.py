"""What the hook did not count on of QuPath, persons or programs: it is said, nothing is lost."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from qpgaze_hook_driver import Window, a_rectangle, make_study

from qpgaze.bridge import open_project
from qpgaze.bridge.hook_install import install_hook
from qpgaze.errors import WireError
from qpgaze.wire import connect

pytestmark = pytest.mark.qupath

STAGES = "javafx.stage.Window.getWindows().findAll { it instanceof javafx.stage.Stage }.drop(1)"
NOTICES = (
    "return javafx.stage.Window.getWindows().findAll { !(it instanceof javafx.stage.Stage) }"
    ".collectMany { it.getScene().getRoot().lookupAll('.label')*.getText() }.join(' | ')"
)
TROUBLES = "return hook.class.classLoader.loadClass('qpgaze.Troubles').said().join('\\n')"


@pytest.fixture(scope="module")
def own(qupath_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """A window of these tests' own, whose eye tracker is the mouse."""
    at = tmp_path_factory.mktemp("input")
    make_study(at)
    (at / "user" / "qpgaze").mkdir(parents=True)
    chosen = {"source": "mouse", "classes": ["Pearl", "Tumor"]}
    (at / "user" / "qpgaze" / "settings.json").write_text(json.dumps(chosen), "utf-8")
    window = Window(qupath_folder, at)
    try:
        window.wait()
        yield window
    finally:
        window.close()


@pytest.fixture(scope="module")
def bare(qupath_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """A QuPath without the hook."""
    at = tmp_path_factory.mktemp("bare")
    make_study(at)
    window = Window(qupath_folder, at, hook=False)
    try:
        window.wait(hook=False)
        window.until("return viewer.getImageData() != null", "true", wait_s=120)
        yield window
    finally:
        window.close()


def dialog(window: Window, button: str, wait_s: float = 120) -> str:
    """Wait for a dialog, say what it says, and click on this button."""
    window.until(f"return {STAGES}.size()", "1", wait_s=wait_s)
    window.frameless()
    window.picture(f"input{time.monotonic_ns()}")
    said = window.ask(f"return {STAGES}[0].getScene().getRoot().getContentText()")
    window.click(*window.text_at(button))
    return said


def works(window: Window, since: int = 0) -> None:
    """QuPath does what it always does, wheel and drag, and its log has no error since that byte."""
    window.focus()
    before = window.ask("return [viewer.getDownsampleFactor(), viewer.getCenterPixelX()]")
    window.hands("mousemove", 700, 400, "click", 4, "sleep", 0.3, "click", 4)
    window.drag((700, 400), (600, 350))
    until = time.monotonic() + 30
    for place in (0, 1):
        while (
            json.loads(
                window.ask("return [viewer.getDownsampleFactor(), viewer.getCenterPixelX()]")
            )[place]
            == json.loads(before)[place]
        ):
            assert time.monotonic() < until, "QuPath does not follow the mouse"
            time.sleep(0.2)
    log = (window.at / "log").read_text()[since:]
    assert "Uncaught exception" not in log
    # A QuPath that was built without OpenSlide says so once.
    errors = [line for line in log.splitlines() if "[ERROR]" in line and "Openslide" not in line]
    assert not errors


def test_an_image_that_is_closed_in_the_middle(own: Window) -> None:
    with connect(name="test", folders=own.folders, wait_s=30) as client:
        (image,) = client.images()
        own.choose("Extensions", "qpgaze", "Start gaze session")
        own.until("return hook.@sessions.state", "recording", wait_s=90)
        own.focus()
        own.hands("mousemove", 620, 420, "sleep", 1.2, "key", "1", "sleep", 1.2)
        own.ask("gui.openImageEntry(gui.getProject().getImageList()[1])")
        own.until("return viewer.getServer()?.getMetadata()?.getName()", "coded.tif")
        for request in (
            lambda: client.objects(image["key"]),
            lambda: client.change_objects(image["key"], put=[a_rectangle()]),
            lambda: client.save(image["key"]),
        ):
            with pytest.raises(WireError) as refused:
                request()
            assert refused.value.code == "no_image"
        own.focus()
        own.hands("mousemove", 800, 420, "sleep", 1.2, "key", "2", "sleep", 1.2)
        own.choose("Extensions", "qpgaze", "Stop")
        said = dialog(own, "Save")
    assert "2 labels are in" in said
    assert "slide.tif" in said
    assert "Save coded.tif now?" in said
    own.until("return viewer.getImageData().isChanged()", "false")
    with open_project(own.at / "study", backend="embedded") as opened:
        found = {e.name: [o.class_name for o in e.objects()] for e in opened.entries}
    assert found == {"slide.tif": ["Pearl"], "coded.tif": ["Tumor"], "other.tif": []}
    own.ask(
        "gui.getProject().getImageList().each { def data = it.readImageData()\n"
        "  data.getHierarchy().clearAll(); it.saveImageData(data) }\n"
        "def data = viewer.getImageData(); data.getHierarchy().clearAll(); data.setChanged(false)\n"
        "gui.openImageEntry(gui.getProject().getImageList()[0])"
    )
    own.until("return viewer.getServer()?.getMetadata()?.getName()", "slide.tif")


def test_clients_that_go_without_a_word(own: Window) -> None:
    (path,) = own.folders[0].glob("hook-*.json")
    hook = json.loads(path.read_text("utf-8"))
    hello = {"type": "hello", "version": hook["version"], "token": hook["token"], "client": "gone"}
    greeting = json.dumps(hello).encode()
    change = {"type": "change_objects", "id": 1, "image": "1", "put": [a_rectangle()]}
    whole = json.dumps(change).encode()
    for sent in (
        b"",
        greeting[:20],
        greeting + b"\n",
        greeting + b"\n" + whole[:100],
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes(range(256)) * 40,
    ):
        with socket.create_connection(("127.0.0.1", hook["port"]), 20) as line:
            line.sendall(sent)
    # Asked for, and gone before the answer: it is done whole or not at all.
    with socket.create_connection(("127.0.0.1", hook["port"]), 20) as line:
        line.sendall(greeting + b"\n" + whole + b"\n")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    own.until("return hook.clientNames().size()", "0")
    assert own.ask("return viewer.getHierarchy().getAnnotationObjects().size()") in ("0", "1")
    own.ask("viewer.getHierarchy().clearAll(); viewer.getImageData().setChanged(false)")
    with connect(name="test", folders=own.folders, wait_s=30) as client:
        assert client.ping()
    works(own)


SABOTAGE = {
    "labelling keys": "hook.@keyLogic.@keys = null; hook.@keyLogic.@classes = null",
    "drawing over the slide": (
        "def layer = hook.@overlays.@layers[viewer]\n"
        "def shown = layer.labels.values()[0]\n"
        "layer.labels = [x: shown.class.getConstructors()[0].newInstance(null, null, 'sabotage')]\n"
        "viewer.repaint()"
    ),
    "viewers": (
        "def type = hook.@images.class.getDeclaredClasses().find { it.simpleName == 'Namer' }\n"
        "def fails = { proxy, method, given -> throw new IllegalStateException('sabotage') }\n"
        "hook.@images.setNamer(java.lang.reflect.Proxy.newProxyInstance(type.getClassLoader(),\n"
        "    [type] as Class[], fails as java.lang.reflect.InvocationHandler))"
    ),
}
"""Parts of the hook, and what makes each fail whenever it is used."""


def test_an_error_inside_the_hook_never_disturbs_qupath(own: Window) -> None:
    with connect(name="test", folders=own.folders, wait_s=30) as client:
        client.subscribe(viewer=True, events=True, images=True)
        client.show_status("recording", "120 Hz", "s")
        own.until("return hook.@keys.active", "true")
        (image,) = client.images()
        client.show_labels(image["key"], [a_rectangle()])
        own.until("return hook.@overlays.@layers.containsKey(viewer)", "true")
        for what, how in SABOTAGE.items():
            own.ask(how)
            own.focus()
            own.hands("key", "1", "sleep", 0.3, "mousemove", 640, 420, "click", 4, "sleep", 0.3)
            own.until(f"{TROUBLES}.contains('{what}: ')", "true")
        works(own)
        assert own.ask(f"return {STAGES}.size()") == "0"
        assert client.ping()
        client.show_status("ended")
        own.until("return hook.@sessions.state", "idle")
    own.ask("hook.setup.check()")
    said = dialog(own, "OK")
    assert "In QuPath:" in said
    for what in SABOTAGE:
        assert f"- {what}: " in said


def test_a_hook_that_cannot_start_says_so(bare: Window) -> None:
    install_hook(bare.at / "user")
    source = bare.at / "user" / "qpgaze" / "hook" / "qpgaze" / "Covers.groovy"
    text = source.read_text("utf-8")
    source.write_text(
        text.replace("import javafx.geometry.Bounds", "import javafx.geometry.BoundsOfTomorrow"),
        "utf-8",
    )
    start = json.dumps(str(bare.at / "user" / "qpgaze" / "start.groovy"))
    bare.ask(f"gui.runScript(new File({start}), null)")
    until = time.monotonic() + 120
    while "does not work with this version of QuPath" not in (said := bare.ask(NOTICES)):
        assert time.monotonic() < until, said
        time.sleep(0.5)
    bare.picture("cannot-start")
    assert (
        bare.ask("return gui.getMenu('Extensions', false)?.getItems()*.getText()").count("qpgaze")
        == 0
    )
    bare.focus()
    before = bare.ask("return viewer.getDownsampleFactor()")
    bare.hands("mousemove", 700, 400, "click", 4)
    bare.until(f"return viewer.getDownsampleFactor() != {before}", "true")


LACKS = {
    # Called where types are known before it runs.
    "Covers.groovy": ("AnchorPane.getTopAnchor(", "AnchorPane.getTopAnchorOfTomorrow("),
    # Called by its name only.
    "Calls.groovy": ("viewer.getActiveTool()", "viewer.getActiveToolOfTomorrow()"),
}
"""Calls of the hook that are no QuPath's any more."""


def test_a_qupath_that_lacks_a_call(bare: Window) -> None:
    since = len((bare.at / "log").read_text())
    install_hook(bare.at / "user")
    folder = bare.at / "user" / "qpgaze"
    for name, (call, absent) in LACKS.items():
        source = folder / "hook" / "qpgaze" / name
        text = source.read_text("utf-8")
        assert call in text
        source.write_text(text.replace(call, absent), "utf-8")
    bare.start_hook()
    with connect(name="test", folders=bare.folders, wait_s=60) as client:
        client.subscribe(viewer=True, events=True, images=True)
        (image,) = client.images()
        until = time.monotonic() + 30
        states = []
        while not states and time.monotonic() < until:
            states = [s.message["state"] for s in client.take(0.5) if "state" in s.message]
        assert states[0]["corners_image_px"] is not None
        assert client.change_objects(image["key"], put=[a_rectangle()])["put"] == 1
        bare.focus()
        bare.hands("key", "r")
        bare.drag((600, 300), (700, 380))
        bare.until("return viewer.getHierarchy().getAnnotationObjects().size()", "2")
        client.save(image["key"])
    works(bare, since)
    bare.ask("hook.setup.check()")
    said = dialog(bare, "OK")
    assert "getTopAnchorOfTomorrow" in said
    assert "getActiveToolOfTomorrow" in said
    assert said.count("this QuPath has no such call") >= 2
