"""A desktop: two monitors, a window manager, and an eye that looks at what stands on the second.

The conftest beside this file loads it under the name ``qpgaze_hook_desk``. The monitors are outputs
of an X server without a card; the tracker is the stand-in for Tobii's library, which measures
wherever the :class:`Eye` of the test looks.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ImageGrab
from qpgaze_hook_driver import Window, serve

from qpgaze.viewing import Rect

MAIN = Rect(0, 0, 1100, 800)
EYES = Rect(1100, 50, 800, 700)
"""The second monitor, which carries the tracker."""
EYES_MM = (400, 350)
"""It does not say so itself."""
STAND_INS = Path(__file__).resolve().parent.parent / "recording" / "stand_ins"

_SERVER = """
Section "ServerFlags"
  Option "AutoAddDevices" "false"
  Option "AutoEnableDevices" "false"
EndSection
Section "Device"
  Identifier "none"
  Driver "dummy"
  VideoRam 65536
EndSection
Section "Monitor"
  Identifier "any"
  HorizSync 5.0 - 1000.0
  VertRefresh 5.0 - 200.0
  Modeline "1100x800" 60 1100 1148 1260 1420 800 803 813 830
  Modeline "800x700" 45 800 840 920 1040 700 703 713 730
EndSection
Section "Screen"
  Identifier "all"
  Device "none"
  Monitor "any"
  DefaultDepth 24
  SubSection "Display"
    Depth 24
    Modes "1100x800" "800x700"
    Virtual 1900 800
  EndSubSection
EndSection
"""


def missing() -> str:
    """What this computer lacks for a desktop, empty where nothing."""
    for program in ("Xorg", "openbox", "xrandr", "xprop", "import"):
        if shutil.which(program) is None:
            return program
    with tempfile.TemporaryDirectory() as at:
        server, display = _serve(Path(at))
        server.terminate()
        server.wait(30)
    return "" if display else "an Xorg that runs with its driver 'dummy'"


def _serve(at: Path) -> tuple[subprocess.Popen[bytes], str]:
    settings = at / "xorg.conf"
    settings.write_text(_SERVER, encoding="utf-8")
    line = ["Xorg", "-config", str(settings), "-logfile", str(at / "xorg.log"), "-noreset"]
    return serve([*line, "-nolisten", "tcp", "-novtswitch", "-sharevts"])


class Desk(Window):
    """A QuPath on the first of two monitors; its windows have frames."""

    def __init__(self, folder: Path, at: Path) -> None:
        self.eyes, self.steps = at / "eye", at / "steps"
        self.settings = at / "settings"
        given = {
            "QPGAZE_SETTINGS": str(self.settings),
            "PYTHONPATH": str(STAND_INS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FAKE_TOBII": "tobii_research",
            "FAKE_TOBII_EYE": str(self.eyes),
            "FAKE_TOBII_STEPS": str(self.steps),
            "XDG_CONFIG_HOME": str(at / "config"),
        }
        super().__init__(folder, at, environment=given)

    def _open_screen(self, size: str) -> tuple[subprocess.Popen[bytes], str]:
        return _serve(self.at)

    def _furnish(self) -> list[subprocess.Popen[bytes]]:
        for line in (
            "--addmode DUMMY1 800x700",
            "--fb 1900x800 --output DUMMY0 --primary --mode 1100x800 --pos 0x0 "
            "--output DUMMY1 --mode 800x700 --pos 1100x50",
            "--setmonitor main 1100/291x800/212+0+0 DUMMY0",
            "--setmonitor eyes 800/0x700/0+1100+50 DUMMY1",
            "--query",  # asked, the second output says that it is connected: GTK looks at that
        ):
            subprocess.run(["xrandr", *line.split()], env=self.env, check=True, capture_output=True)
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return [subprocess.Popen(["openbox", "--sm-disable"], env=self.env, **quiet)]

    def place(self) -> None:
        """Lay the main window on the first monitor, within its frame."""
        self.ask(
            "gui.getStage().with { setMaximized(false); setX(40); setY(30)\n"
            " setWidth(980); setHeight(700) }"
        )
        self.until("return gui.getStage().getX()", "40.0")
        time.sleep(0.5)

    def focus(self) -> None:
        self.hands("windowactivate", "--sync", self.number())
        self.ask("viewer.getView().requestFocus()")
        time.sleep(0.5)

    def frame(self, number: str) -> tuple[int, int, int, int]:
        """How wide the frame of a window is: left, right, top, bottom."""
        said = subprocess.run(
            ["xprop", "-id", number, "_NET_FRAME_EXTENTS"],
            env=self.env, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        left, right, top, bottom = (int(n) for n in said.partition("=")[2].split(","))
        return left, right, top, bottom

    def title_bar(self) -> tuple[float, float]:
        """A place on the title bar of the main window."""
        top = self.frame(self.number())[2]
        said = self.ask("def s = gui.getStage(); return [s.getX(), s.getY(), s.getWidth()]")
        x, y, width = json.loads(said)
        return x + width / 2, y + top / 2

    def wait_window(self, title: str, *, there: bool = True, wait_s: float = 60) -> None:
        """Wait until a window of this title is shown, or none is any more."""
        until = time.monotonic() + wait_s
        while bool(self.hands("search", "--onlyvisible", "--name", title).strip()) is not there:
            assert time.monotonic() < until, f"window {title!r}: not {there}"
            time.sleep(0.2)

    def dialogs(self) -> list[str]:
        """What QuPath's dialogs say, one string each."""
        said = self.ask(
            "def words = { p -> p.getContent() == null ? '' :\n"
            "  ([p.getContent()] + p.getContent().lookupAll('.label').toList())"
            ".findAll { it instanceof javafx.scene.control.Labeled }*.getText().join(' ') }\n"
            "return new com.google.gson.Gson().toJson("
            "javafx.stage.Window.getWindows()"
            ".findAll { it instanceof javafx.stage.Stage && it.isShowing() }\n"
            ".collect { it.getScene().getRoot() }"
            ".findAll { it instanceof javafx.scene.control.DialogPane }"
            ".collect { it.getContentText() ?: words(it) })"
        )
        found: list[str] = json.loads(said)
        return found

    def dialog(self, wait_s: float = 60) -> str:
        """Wait for a dialog and return what it says."""
        until = time.monotonic() + wait_s
        while not (said := self.dialogs()):
            assert time.monotonic() < until, "no dialog came"
            time.sleep(0.2)
        return said[-1]

    def answer(self, button: str) -> None:
        """Click on a button of the dialog that is shown, and wait until that one is gone."""
        before = len(self.dialogs())
        time.sleep(0.5)
        self.click(*self.text_at(button))
        until = time.monotonic() + 30
        while len(self.dialogs()) >= before:
            assert time.monotonic() < until, f"{button!r} closes nothing"
            time.sleep(0.2)

    def kept(self) -> dict[str, Any]:
        """What qpgaze remembers for this user."""
        file = self.settings / "settings.json"
        value: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        return value


class Eye:
    """An eye that looks at each point that appears on the second monitor, a little to its right.

    Parameters
    ----------
    desk : Desk
    beside_px : float
    """

    def __init__(self, desk: Desk, beside_px: float = 0.0) -> None:
        self.desk, self._beside_px = desk, beside_px
        self.points: list[tuple[float, float]] = []
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Eye:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert self.error is None, self.error

    def _run(self) -> None:
        try:
            while not self._stop.wait(0.05):
                at = point_in(picture_of(self.desk, EYES))
                if at is None:
                    continue
                if not self.points or max(np.abs(np.subtract(at, self.points[-1]))) > 5:
                    self.points.append(at)
                look_at(self.desk, (at[0] + self._beside_px, at[1]))
        except Exception as error:  # raised again where the test waits for the eye
            self.error = error


def look_at(desk: Desk, at: tuple[float, float]) -> None:
    """Turn the eye to a pixel of the second monitor, from its corner."""
    part = desk.eyes.with_suffix(".part")
    part.write_text(f"{at[0] / EYES.width} {at[1] / EYES.height}", encoding="utf-8")
    part.replace(desk.eyes)


def picture_of(desk: Desk, box: Rect) -> npt.NDArray[np.uint8]:
    """What a part of the screen shows, (height, width, 3)."""
    x, y, width, height = (round(v) for v in (box.x, box.y, box.width, box.height))
    bounds = (x, y, x + width, y + height)
    return np.asarray(ImageGrab.grab(bounds, xdisplay=desk.env["DISPLAY"]).convert("RGB"))


def point_in(picture: npt.NDArray[np.uint8]) -> tuple[float, float] | None:
    """The centre of the one dark disc on grey, None where something else is shown."""
    dark = (picture == 0x10).all(axis=2)
    if not 20 <= dark.sum() <= 0.01 * dark.size or (picture == 0x80).all(axis=2).mean() < 0.9:
        return None
    rows, columns = np.nonzero(dark.any(axis=1))[0], np.nonzero(dark.any(axis=0))[0]
    width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    if abs(int(width) - int(height)) > 2 or dark.sum() < 0.6 * width * height:
        return None
    return (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2


def until(so: Callable[[], bool], wait_s: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + wait_s
    while not so():
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.1)
