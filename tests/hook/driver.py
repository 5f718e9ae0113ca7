"""A QuPath with its window on a screen of its own, driven as a person's hands would.

The conftest beside this file loads it under the name ``qpgaze_hook_driver``; tests take their
windows from its fixtures, so that one start of QuPath serves many of them.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from PIL import Image

from qpgaze.bridge import create_project
from qpgaze.bridge.hook_install import install_hook
from qpgaze.bridge.hook_install_04 import KEPT_FILE, STARTUP_FILE
from qpgaze.bridge.qupath_scripts import launcher
from qpgaze.frames import Points, ScreenPx
from qpgaze.viewing import ViewerState
from qpgaze.wire import WireClient

FOLDERS = [f for f in os.environ.get("QPGAZE_QUPATH_DIRS", "").split(os.pathsep) if f]
START_WAIT_S = 400.0
CODED = (2600, 1900)
"""Width and height of the coded slide."""
MANAGER = (
    "def m = gui.metaClass.respondsTo(gui, 'getViewerManager')"
    " ? gui.getViewerManager() : gui.@viewerManager"  # QuPath 0.4
)
"""Groovy: m is what adds viewers to a window, shows and detaches them."""


class Window:
    """A QuPath with its window on a screen of its own.

    With the hook installed, or with the probe alone; ``preferred``: with whatever start-up script
    the preferences name that an earlier window at the same place left.
    """

    def __init__(
        self,
        folder: Path,
        at: Path,
        *,
        hook: bool = True,
        preferred: bool = False,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        screen: str = "1200x800x24",
    ) -> None:
        self.at, self._numbers = at, itertools.count()
        self.version = folder.name
        self._frameless: set[str] = set()
        for name in ("user", "probe", "prefs", "run"):
            (at / name).mkdir(mode=0o700, exist_ok=True)
        for answer in (at / "probe").iterdir():  # an earlier window's
            answer.unlink()
        probe = Path(__file__).with_name("probe.groovy")
        start_up = [f"-Dqupath.startup.script={probe}"]
        runs_file = folder.name.startswith("QuPath-0.4")
        if preferred or runs_file:
            start_up = []
        elif hook:
            home = install_hook(at / "user", startup_before=str(probe)).folder
            start_up = [f"-Dqupath.startup.script={home / 'start.groovy'}"]
        self.screen, display = self._open_screen(screen)
        self.env = {
            **os.environ,
            **(environment or {}),
            "DISPLAY": f":{display}",
            "XDG_RUNTIME_DIR": str(at / "run"),
        }
        self.helpers = self._furnish()
        start = launcher(folder)
        assert start is not None
        settings = [
            "-Xmx900m",
            "-Dprism.order=sw",
            f"-Duser.home={at}",
            f"-Djava.util.prefs.userRoot={at / 'prefs'}",
            f"-Djava.util.prefs.systemRoot={at / 'prefs'}",
            f"-Dqpgaze.probe={at / 'probe'}",
            *start_up,
            *options,
        ]
        if start[-1] == "qupath.QuPath":
            start[1:1] = settings
        else:
            self.env["JAVA_TOOL_OPTIONS"] = " ".join(settings)
        if runs_file and not preferred:
            self._start_up_file(start, probe, hook=hook)
        with (at / "log").open("w") as log:
            project = str(at / "study" / "project.qpproj")
            self.qupath = subprocess.Popen(
                [*start, "-q", "-p", project], env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
        self.folders = (at / "run" / "qpgaze" / "hooks",)

    def _open_screen(self, size: str) -> tuple[subprocess.Popen[bytes], str]:
        """An X server, and what its display is called."""
        return serve(["Xvfb", "-screen", "0", size])

    def _furnish(self) -> list[subprocess.Popen[bytes]]:
        """Programs that the screen needs before QuPath starts: none on a bare one."""
        return []

    def _start_up_file(self, start: list[str], probe: Path, *, hook: bool) -> None:
        """QuPath 0.4 names no script: it runs a file of its user folder, where that is set."""
        user = self.at / "user"
        # The folder may have served a window before: then a script of its own was put aside.
        (user / KEPT_FILE).unlink(missing_ok=True)
        shutil.copy(probe, user / STARTUP_FILE)
        if hook:
            install_hook(user, runs_file=True)
        script = self.at / "prefer.groovy"
        script.write_text(
            "import qupath.lib.gui.prefs.PathPrefs\n"
            f"PathPrefs.userPathProperty().set({json.dumps(str(user))})\n"
            "PathPrefs.runStartupScriptProperty().set(true)\nPathPrefs.savePreferences()\n"
        )
        subprocess.run([*start, "script", str(script)], env=self.env, check=True)

    def wait(self, *, hook: bool = True) -> None:
        """Wait until the hook listens, or only until the probe answers."""
        until = time.monotonic() + START_WAIT_S
        if not hook:
            assert self.ask("return 1", wait_s=START_WAIT_S) == "1"
            self.place()
            return
        while time.monotonic() < until and self.qupath.poll() is None:
            if self.folders[0].is_dir() and any(self.folders[0].glob("hook-*.json")):
                # It listens a moment before its menu is up, on a busy computer several.
                self.until("return hook != null", "true", wait_s=60)
                self.place()
                return
            if "[ERROR] qpgaze" in (self.at / "log").read_text():
                break
            time.sleep(0.2)
        self._stuck("the hook does not listen")

    def _stuck(self, what: str) -> NoReturn:
        """Say so, with what QuPath said last and, where it still runs, does in its threads."""
        said = (self.at / "log").read_text("utf-8", "replace")[-3000:]
        if self.qupath.poll() is None:
            self.qupath.send_signal(signal.SIGQUIT)  # a JVM writes its threads then, and goes on
            time.sleep(5)
            log = (self.at / "log").read_text("utf-8", "replace")
            (self.at / "threads").write_text(log, "utf-8")
            threads = log[log.rfind("Full thread dump") :].split("\n\n")
            said += "\n\n".join(t for t in threads if "JavaFX" in t or "qpgaze" in t or "main" in t)
        raise AssertionError(f"{what}\n{said}")

    def start_hook(self) -> None:
        """Start it anew, as its installer does, and wait until another one listens."""
        port = self.ask("return hook?.@server?.port")
        start = json.dumps(str(self.at / "user" / "qpgaze" / "start.groovy"))
        self.ask(
            f'System.setProperty("qpgaze.only.hook", "1"); gui.runScript(new File({start}), null)'
        )
        until = time.monotonic() + 60
        while self.ask("return hook?.@server?.port") in (port, "null"):
            assert time.monotonic() < until
            time.sleep(0.1)

    def ask(self, text: str, wait_s: float = 60) -> str:
        """Run Groovy on the JavaFX thread and return what it says."""
        name = f"{next(self._numbers):05d}"
        part = self.at / "probe" / f"{name}.new"
        hook = 'def hook = gui.getStage().getProperties().get("qpgaze.hook")\n'
        part.write_text(hook + text, encoding="utf-8")
        part.rename(part.with_suffix(".groovy"))
        answer = part.with_suffix(".out")
        until = time.monotonic() + wait_s
        while not answer.exists() and time.monotonic() < until:
            time.sleep(0.01)
        if not answer.exists():
            self._stuck(f"no answer in {wait_s:g} s to: {text}")
        said = answer.read_text("utf-8")
        assert not said.startswith("ERROR"), said
        return said

    def hands(self, *arguments: object) -> str:
        done = subprocess.run(
            ["xdotool", *map(str, arguments)], env=self.env, capture_output=True, text=True
        )
        return done.stdout

    def place(self) -> None:
        """Fill the screen with the main window, without a frame.

        No window manager runs here. Where none says how wide its frames are, JavaFX guesses, and
        is wrong about where its windows lie.
        """
        self.frameless()
        size = "def b = javafx.stage.Screen.getPrimary().getBounds(); gui.getStage().with {"
        self.ask(f"{size} setX(0); setY(0); setWidth(b.width - 10); setHeight(b.height - 10) }}")
        time.sleep(0.3)
        self.ask(f"{size} setWidth(b.width); setHeight(b.height) }}")
        self.until("return gui.getStage().getScene().getY()", "0.0")

    def frameless(self) -> list[str]:
        """Say of each new window that it has no frame, as a window manager would say how wide.

        Returns their numbers.
        """
        new = []
        for number in self._visible():
            if number in self._frameless:
                continue
            said = ["-id", number, "-f", "_NET_FRAME_EXTENTS", "32c"]
            said += ["-set", "_NET_FRAME_EXTENTS", "0, 0, 0, 0"]
            done = subprocess.run(["xprop", *said], env=self.env, capture_output=True, text=True)
            shell = self.hands("getwindowgeometry", "--shell", number).split()
            if done.returncode or not shell:  # a tooltip or a splash may have gone meanwhile
                assert number not in self._visible(), done.stderr
                continue
            place = dict(line.split("=") for line in shell)
            # It takes note when it moves.
            self.hands("windowmove", number, int(place["X"]) + 1, place["Y"])
            self._frameless.add(number)
            new.append(number)
        time.sleep(0.5)
        return new

    def _visible(self) -> list[str]:
        return self.hands("search", "--onlyvisible", "--class", ".").split()

    def until(self, question: str, answer: str, wait_s: float = 30) -> None:
        """Ask until this is the answer."""
        end = time.monotonic() + wait_s
        while (said := self.ask(question)) != answer:
            assert time.monotonic() < end, f"{question}: {said}, not {answer}"
            time.sleep(0.1)

    def click(self, x: float, y: float, *, button: int = 1, times: int = 1) -> None:
        self.hands("mousemove", round(x), round(y))
        time.sleep(0.1)
        self.hands("click", "--repeat", times, "--delay", 60, button)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move in small steps of 20 ms, rest, let go: faster moves would be lost."""
        (x0, y0), (x1, y1) = start, end
        moves: list[object] = ["mousemove", round(x0), round(y0), "mousedown", 1]
        for step in range(1, 11):
            x, y = x0 + (x1 - x0) * step / 10, y0 + (y1 - y0) * step / 10
            moves += ["sleep", 0.02, "mousemove", round(x), round(y)]
        self.hands(*moves, "sleep", 0.3, "mouseup", 1)

    def choose(self, *names: str) -> None:
        """Open the menus of these names and click on the last."""
        self.focus()
        self.click(*self.text_at(names[0]))
        for name in names[1:]:
            time.sleep(0.5)
            until = time.monotonic() + 20
            while time.monotonic() < until and not self._stands(name):
                time.sleep(0.3)  # a busy QuPath opens its menus late
            x, y = self.text_at(name)
            self.hands("mousemove", round(x), round(y))
        self.hands("sleep", 0.3, "click", 1)

    def _stands(self, text: str) -> bool:
        try:
            self.text_at(text)
        except AssertionError:
            return False
        return True

    def number(self, title: str = "QuPath") -> str:
        """What the X server calls the window of this title."""
        return self.hands("search", "--onlyvisible", "--name", title).split()[-1]

    def focus(self) -> None:
        self.hands("windowfocus", self.number())
        self.ask("viewer.getView().requestFocus()")
        time.sleep(0.5)

    def picture(self, name: str) -> None:
        """Keep what the screen shows, for a person who looks at it afterwards."""
        folder = os.environ.get("QPGAZE_HOOK_PICTURES")
        if folder and shutil.which("import"):
            file = Path(folder) / f"{name}-{self.version}.png"
            subprocess.run(["import", "-window", "root", str(file)], env=self.env, check=True)

    def screenshot(self) -> npt.NDArray[np.uint8]:
        """What the whole screen shows, (height, width, 3)."""
        done = subprocess.run(
            ["import", "-window", "root", "-depth", "8", "ppm:-"],
            env=self.env,
            check=True,
            capture_output=True,
        )
        return np.asarray(Image.open(io.BytesIO(done.stdout)).convert("RGB"))

    def text_at(self, text: str) -> tuple[float, float]:
        """Where the centre of the shown text lies on the screen, any window or menu of QuPath."""
        said = self.ask(
            "def found = null\n"
            "for (w in javafx.stage.Window.getWindows()) if (w.isShowing())\n"
            "  for (n in w.getScene().getRoot().lookupAll('.text') + "
            "w.getScene().getRoot().lookupAll('.label'))\n"
            f"    if (n.getText() == {json.dumps(text)} && n.isVisible()) {{\n"
            "      def b = n.localToScreen(n.getBoundsInLocal())\n"
            "      if (b != null && b.getWidth() > 0) found = [b.getCenterX(), b.getCenterY()] }\n"
            "return found"
        )
        assert said != "null", f"nowhere stands {text!r}"
        x, y = json.loads(said)
        return x, y

    def quit(self) -> None:
        """Have QuPath end by itself, as a person would, and take the screen away."""
        self.ask(
            "javafx.application.Platform.runLater {\n"
            "  if (gui.metaClass.respondsTo(gui, 'sendQuitRequest')) gui.sendQuitRequest()\n"
            "  else gui.getStage().fireEvent(new javafx.stage.WindowEvent(gui.getStage(), "
            "javafx.stage.WindowEvent.WINDOW_CLOSE_REQUEST)) }"  # QuPath 0.4
        )
        try:
            assert self.qupath.wait(60) == 0
        finally:
            self.close()

    def close(self) -> None:
        for process in (self.qupath, *self.helpers, self.screen):
            process.terminate()
            process.wait(30)


def serve(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], str]:
    """Start an X server on a display that is free; it ends early where it cannot run."""
    reading, writing = os.pipe()
    made = subprocess.Popen(
        [*command, "-displayfd", str(writing)], pass_fds=[writing], stderr=subprocess.DEVNULL
    )
    os.close(writing)
    with os.fdopen(reading) as said:  # its whole line: it ends where nobody reads it
        return made, said.readline().strip()


def make_study(at: Path) -> None:
    """A project: a slide of noise, and two whose every pixel says where it lies."""
    Image.effect_noise((2000, 1500), 60).convert("RGB").save(at / "slide.tif")
    for name in ("coded.tif", "other.tif"):
        Image.fromarray(coded_pixels()).save(at / name)
    with create_project(at / "study", backend="embedded") as made:
        for name in ("slide.tif", "coded.tif", "other.tif"):
            made.add_image(at / name)
        made.commit()


def coded_pixels(width: int = CODED[0], height: int = CODED[1]) -> npt.NDArray[np.uint8]:
    """Pixels (height, width, 3) whose colour is their place: twelve bits each for x and y."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x & 255, y & 255, x >> 8 | y >> 8 << 4]).astype(np.uint8)


def a_rectangle() -> dict[str, Any]:
    """Return a new annotation as the wire carries it."""
    corners = [[10, 10], [60, 10], [60, 50], [10, 50], [10, 10]]
    return {
        "type": "Feature",
        "id": str(uuid4()),
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {"objectType": "annotation"},
    }


def events(client: WireClient, kind: str) -> list[dict]:
    every = [s.message["event"] for s in client.take() if s.message["type"] == "event"]
    return [event["data"] for event in every if event["kind"] == kind]


def on_slide(state: ViewerState, at_screen_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Map places on the screen (n, 2) by the hook's words alone."""
    to_viewer, to_image = state.screen_to_viewer(), state.viewer_to_image()
    assert to_viewer is not None
    assert to_image is not None
    return to_viewer.then(to_image)(Points(ScreenPx, at_screen_px)).xy
