"""Labelling keys with a real keyboard: typing, repeats, shortcuts, a window that loses the keys."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from qpgaze_hook_driver import MANAGER, Window

from qpgaze.wire import WireClient

pytestmark = pytest.mark.qupath


class Keyboard:
    """Real keys, and the label events that come of them."""

    def __init__(self, window: Window, client: WireClient) -> None:
        self.window, self.client = window, client

    def type(self, *arguments: object) -> list[tuple[str, object]]:
        """Do this with the keys; return what labels came of it."""
        self.client.take()
        self.window.hands(*arguments)
        # A mark of our own: what came before it is all that came.
        self.window.ask("return 1")
        time.sleep(1)
        said = [one.message.get("event") for one in self.client.take()]
        labels = [one["data"] for one in said if one and one["kind"] == "label"]
        return [(one["event"], one.get("down")) for one in labels]


@pytest.fixture
def keyboard(window: Window, client: WireClient) -> Iterator[Keyboard]:
    """A session runs, as far as the hook is told."""
    client.show_status("recording", "120 Hz", "s")
    window.until("return hook.@keys.active", "true")
    window.focus()
    yield Keyboard(window, client)
    client.show_status("ended")
    window.until("return hook.@keys.active", "false")


def test_typing_is_no_label(keyboard: Keyboard) -> None:
    window = keyboard.window
    field = "gui.getStage().getScene().getRoot().lookupAll('.text-field')"
    at = window.ask(
        f"def f = {field}.find {{ it.isVisible() && it.getPromptText()?.startsWith('Search') }}\n"
        "def b = f.localToScreen(f.getBoundsInLocal()); return [b.getCenterX(), b.getCenterY()]"
    )
    x, y = (float(part) for part in at.strip("[]").split(","))
    window.click(x, y)
    time.sleep(0.5)
    assert keyboard.type("type", "--delay", "40", "12xtu") == []
    assert "12xtu" in window.ask(f"return {field}*.getText()")
    window.hands("key", "ctrl+a", "key", "BackSpace")
    window.focus()
    assert keyboard.type("key", "1") == [("mark", None)]


def test_a_key_that_stays_down_is_one(keyboard: Keyboard) -> None:
    # The keyboard repeats what stays down: more presses of it, without a release.
    held = keyboard.type("keydown", "x", "sleep", 1.2, "keyup", "x")
    assert held == [("hold", True), ("hold", False)]
    assert keyboard.type("keydown", "2", "sleep", 1.0, "keyup", "2") == [("mark", None)]


def test_shortcuts_stay_with_qupath(keyboard: Keyboard) -> None:
    window = keyboard.window
    window.ask("gui.getViewer().getOverlayOptions().setShowAnnotations(true)")
    assert keyboard.type("key", "ctrl+1", "key", "alt+x") == []
    assert keyboard.type("key", "a") == []
    shown = "return gui.getViewer().getOverlayOptions().getShowAnnotations()"
    assert window.ask(shown) == "false"
    assert keyboard.type("key", "a") == []
    assert window.ask(shown) == "true"


def test_a_window_that_loses_the_keys_ends_a_hold(keyboard: Keyboard) -> None:
    window = keyboard.window
    assert keyboard.type("keydown", "x") == [("hold", True)]
    window.hands("windowunmap", window.number())
    window.until("return gui.getStage().isFocused()", "false")
    assert keyboard.type("keyup", "x") in ([("hold", False)], [])
    window.hands("windowmap", window.hands("search", "--name", "QuPath").split()[-1])
    window.until("return gui.getStage().isIconified()", "false")
    window.focus()
    assert keyboard.type("keydown", "x", "keyup", "x") == [("hold", True), ("hold", False)]


def test_keys_in_a_second_viewer_and_a_detached_one(keyboard: Keyboard) -> None:
    window = keyboard.window
    mark = [("mark", None), ("undo", None)]
    window.ask(f"{MANAGER}; m.addColumn(viewer)")
    window.until("return hook.images.viewers().size()", "2")
    try:
        window.ask(f"{MANAGER}; m.setActiveViewer(hook.images.viewers()[1])")
        window.focus()
        assert keyboard.type("key", "1", "key", "u") == mark
        if not window.version.startswith("QuPath-0.4"):  # which detaches none
            window.ask(f"{MANAGER}; m.detachViewerFromGrid(hook.images.viewers()[1])")
            window.until("return javafx.stage.Window.getWindows().size()", "2")
            (number,) = window.frameless()
            window.hands("windowfocus", number)
            time.sleep(0.5)
            assert keyboard.type("key", "1", "key", "u") == mark
    finally:
        window.ask(
            f"{MANAGER}; def v = hook.images.viewers()[1]\n"
            "if (v.getView().getScene() != gui.getStage().getScene()) m.attachViewerToGrid(v)\n"
            "m.setActiveViewer(hook.images.viewers()[0]); m.removeColumn(v)"
        )
        window.until("return hook.images.viewers().size()", "1")
