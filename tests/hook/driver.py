"""A QuPath with its window on a screen of its own, driven as a person's hands would.

The conftest beside this file loads it under the name ``qpgaze_hook_driver``; tests take their
windows from its fixtures, so that one start of QuPath serves many of them.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from qpgaze.bridge import create_project
from qpgaze.bridge.hook_install import install_hook
from qpgaze.bridge.qupath_scripts import launcher
from qpgaze.wire import WireClient

FOLDERS = [f for f in os.environ.get("QPGAZE_QUPATH_DIRS", "").split(os.pathsep) if f]
START_WAIT_S = 240.0


class Window:
    """A QuPath with its window on a screen of its own."""

    def __init__(
        self,
        folder: Path,
        at: Path,
        *,
        hook: bool = True,
        options: Sequence[str] = (),
        screen: str = "1200x800x24",
    ) -> None:
        self.at, self._numbers = at, itertools.count()
        self.version = folder.name
        for name in ("user", "probe", "prefs", "run"):
            (at / name).mkdir(mode=0o700)
        probe = Path(__file__).with_name("probe.groovy")
        start_up = probe
        if hook:
            start_up = install_hook(at / "user", startup_before=str(probe)).folder / "start.groovy"
        reading, writing = os.pipe()
        self.screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", screen],
            pass_fds=[writing],
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as said:  # its whole line: Xvfb ends where nobody reads it
            display = said.readline().strip()
        self.env = {
            **os.environ,
            "DISPLAY": f":{display}",
            "XDG_RUNTIME_DIR": str(at / "run"),
        }
        start = launcher(folder)
        assert start is not None
        settings = [
            "-Xmx900m",
            "-Dprism.order=sw",
            f"-Duser.home={at}",
            f"-Djava.util.prefs.userRoot={at / 'prefs'}",
            f"-Djava.util.prefs.systemRoot={at / 'prefs'}",
            f"-Dqpgaze.probe={at / 'probe'}",
            f"-Dqupath.startup.script={start_up}",
            *options,
        ]
        if start[-1] == "qupath.QuPath":
            start[1:1] = settings
        else:
            self.env["JAVA_TOOL_OPTIONS"] = " ".join(settings)
        with (at / "log").open("w") as log:
            project = str(at / "study" / "project.qpproj")
            self.qupath = subprocess.Popen(
                [*start, "-q", "-p", project], env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
        self.folders = (at / "run" / "qpgaze" / "hooks",)

    def wait(self) -> None:
        until = time.monotonic() + START_WAIT_S
        while time.monotonic() < until and self.qupath.poll() is None:
            if self.folders[0].is_dir() and any(self.folders[0].glob("hook-*.json")):
                return
            time.sleep(0.2)
        raise AssertionError((self.at / "log").read_text()[-3000:])

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

    def ask(self, text: str) -> str:
        """Run Groovy on the JavaFX thread and return what it says."""
        name = f"{next(self._numbers):05d}"
        part = self.at / "probe" / f"{name}.new"
        hook = 'def hook = gui.getStage().getProperties().get("qpgaze.hook")\n'
        part.write_text(hook + text, encoding="utf-8")
        part.rename(part.with_suffix(".groovy"))
        answer = part.with_suffix(".out")
        until = time.monotonic() + 60
        while not answer.exists() and time.monotonic() < until:
            time.sleep(0.01)
        said = answer.read_text("utf-8")
        assert not said.startswith("ERROR"), said
        return said

    def hands(self, *arguments: object) -> str:
        done = subprocess.run(
            ["xdotool", *map(str, arguments)], env=self.env, capture_output=True, text=True
        )
        return done.stdout

    def focus(self) -> None:
        self.hands("windowfocus", self.hands("search", "--name", "QuPath").split()[-1])
        self.ask("viewer.getView().requestFocus()")
        time.sleep(0.5)

    def picture(self, name: str) -> None:
        """Keep what the screen shows, for a person who looks at it afterwards."""
        folder = os.environ.get("QPGAZE_HOOK_PICTURES")
        if folder and shutil.which("import"):
            file = Path(folder) / f"{name}-{self.version}.png"
            subprocess.run(["import", "-window", "root", str(file)], env=self.env, check=True)

    def close(self) -> None:
        for process in (self.qupath, self.screen):
            process.terminate()
            process.wait(30)


def make_study(at: Path) -> None:
    """A project with one slide in the folder."""
    Image.effect_noise((2000, 1500), 60).convert("RGB").save(at / "slide.tif")
    with create_project(at / "study", backend="embedded") as made:
        made.add_image(at / "slide.tif")
        made.commit()


def events(client: WireClient, kind: str) -> list[dict]:
    every = [s.message["event"] for s in client.take() if s.message["type"] == "event"]
    return [event["data"] for event in every if event["kind"] == kind]
