"""Several programs at once: a recorder, the store, and one that listens and never reads."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from qpgaze_hook_driver import Window

from qpgaze.bridge import open_project
from qpgaze.session import open_session
from qpgaze.wire import connect

pytestmark = pytest.mark.qupath

QUEUED_LINES = 1024
"""What the hook keeps for a client that does not read (Outbox.groovy)."""
MOVES_S = 45.0


DEAF = "hook.@server.@clients.find { it.name.startsWith('deaf') }"


class Deaf:
    """Says hello, watches everything, and never reads a line."""

    def __init__(self, window: Window) -> None:
        (path,) = window.folders[0].glob("hook-*.json")
        hook = json.loads(path.read_text("utf-8"))
        self.line = socket.socket()
        # As little as the system gives: what its buffers take up is not the hook's to keep.
        self.line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.line.connect(("127.0.0.1", hook["port"]))
        hello = {
            "type": "hello",
            "version": hook["version"],
            "token": hook["token"],
            "client": "deaf",
        }
        watch = {"type": "subscribe", "id": 1, "viewer": True, "events": True, "images": True}
        for message in (hello, watch):
            self.line.sendall(json.dumps(message).encode() + b"\n")

    def dropped(self) -> int:
        """Read at last: the hook says how many lines were lost."""
        with self.line:
            return self._dropped()

    def _dropped(self) -> int:
        said, until = b"", time.monotonic() + 60
        self.line.settimeout(2)
        while time.monotonic() < until:
            try:
                more = self.line.recv(1 << 20)
            except TimeoutError:
                break
            if not more:
                break
            said += more
        told = [json.loads(line) for line in said.splitlines()[:-1]]
        return max((one["lines"] for one in told if one["type"] == "dropped"), default=0)


def keep_moving(window: Window, seconds: float) -> None:
    """Pan to and fro, once a pulse."""
    window.ask(
        "long end = System.nanoTime() + "
        f"{round(seconds * 1e9)}L\n"
        "int n = 0\n"
        "new javafx.animation.AnimationTimer() {\n"
        "  void handle(long now) {\n"
        "    viewer.setCenterPixelLocation(900 + (++n % 200), 700)\n"
        "    if (System.nanoTime() > end) stop() } }.start()"
    )


def heap_mb(window: Window) -> float:
    """Living memory of QuPath, after a collection."""
    said = window.ask(
        "System.gc(); def r = Runtime.getRuntime()\nreturn r.totalMemory() - r.freeMemory()"
    )
    return int(said) / 1e6


def import_one(window: Window, number: int) -> None:
    """The store at work: an object into the image that is open while it is recorded."""
    ring = [[10, 10], [60, 10], [60, 50], [10, 50], [10, 10]]
    feature = {
        "type": "Feature",
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "name": f"import {number}"},
    }
    file = window.at / f"import{number}.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), "utf-8")
    line = [sys.executable, "-m", "qpgaze", "project", "import", str(window.at / "study")]
    line += [str(file), "--image", "slide.tif"]
    done = subprocess.run(line, env=window.env, cwd=window.at, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_recorder_store_and_one_that_never_reads(mouse_window: Window) -> None:
    mouse_window.choose("Extensions", "qpgaze", "Start gaze session")
    mouse_window.until("return hook.@sessions.state", "recording", wait_s=90)
    (session,) = (mouse_window.at / "study" / "qpgaze" / "sessions").glob("*.qpgaze")
    deaf = Deaf(mouse_window)
    mouse_window.until("return hook.clientNames().any { it.startsWith('deaf') }", "true")
    mouse_window.focus()
    # Until it has all that a queue can hold, memory grows by that; from then on it is flat. So as
    # not to wait for it, the queue and the system's buffers are filled with long lines first.
    mouse_window.ask(
        f"def deaf = {DEAF}\n"
        'def text = \'{"type":"event","event":{"t_us":1,"kind":"note","data":{"text":"\' + '
        "'x' * 4000 + '\"}}}\\n'\n"
        "byte[] line = text.getBytes('UTF-8')\n"
        "4000.times { deaf.stream(line, true) }"
    )
    losses = "return hook.@server.losses().find { it.key.startsWith('deaf') }.value"
    keep_moving(mouse_window, 2 * MOVES_S + 60)
    mouse_window.until(f"{losses} > 0", "true", wait_s=60)
    before, lost = heap_mb(mouse_window), int(mouse_window.ask(losses))
    waiting = f"{DEAF}.outbox.@stream.size()"
    assert int(mouse_window.ask(f"return {waiting}")) <= QUEUED_LINES
    until = time.monotonic() + MOVES_S
    number = 0
    while time.monotonic() < until:
        number += 1
        import_one(mouse_window, number)
        mouse_window.hands("mousemove", 500 + 10 * number, 420, "key", "1")
    assert int(mouse_window.ask(f"return {waiting}")) <= QUEUED_LINES
    after, more = heap_mb(mouse_window), int(mouse_window.ask(losses))
    assert more > lost
    # Objects that were imported, and what QuPath itself keeps of what it painted.
    assert after - before < 25, f"{before:.0f} MB, then {after:.0f} MB"
    names = "viewer.getHierarchy().getAnnotationObjects()*.getName().findAll { it }"
    assert mouse_window.ask(f"return {names}.size()") == str(number)
    with connect(name="late", folders=mouse_window.folders, wait_s=30) as client:
        assert client.ping()
    mouse_window.choose("Extensions", "qpgaze", "Stop")
    mouse_window.until("return javafx.stage.Window.getWindows().size()", "2", wait_s=120)
    mouse_window.frameless()
    mouse_window.picture("clients")
    mouse_window.click(*mouse_window.text_at("Save"))
    mouse_window.until("return viewer.getImageData().isChanged()", "false")
    whole = open_session(session)
    assert (session / "manifest.json").is_file()
    assert [e.kind for e in whole.events].count("label") == number
    # The recorder lost nothing by its neighbour.
    times = [state.t_us for state in whole.viewer_states]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    print(
        f"{mouse_window.version}: {number} imports, {more} lines dropped, "
        f"{before:.0f} -> {after:.0f} MB"
    )
    assert max(gaps) < 5_000_000
    assert not [e for e in whole.events if "dropped" in str(e.data.get("text", ""))]
    assert deaf.dropped() >= more
    with open_project(mouse_window.at / "study", backend="embedded") as opened:
        assert len(opened.entries[0].objects()) >= number + 1
