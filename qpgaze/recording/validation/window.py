"""The full-screen window, and the numbers on the screens: tkinter's, imported only here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qpgaze.errors import SessionError
from qpgaze.recording.validation.feed import Feed
from qpgaze.recording.validation.monitors import Monitor
from qpgaze.recording.validation.protocol import ENDED, Run
from qpgaze.recording.validation.screens import prepare_windows
from qpgaze.recording.validation.stage import BACKGROUND, INK, Stage, draw, text_unit
from qpgaze.recording.validation.targets import Target
from qpgaze.viewing import Rect

if TYPE_CHECKING:
    import tkinter

FRAME_MS = 16
"""Sixty pictures a second."""

PLACED_AFTER = 45
"""Pictures: by then the window system has put the window where it wants it."""

CLOSING_SHOWN_S = 60.0
"""A result nobody closes goes away after this."""


def now_us() -> int:
    """Return the host's clock, microseconds."""
    return time.perf_counter_ns() // 1000


def open_toolkit() -> tkinter.Tk:
    """Return tkinter's root, hidden.

    Raises
    ------
    SessionError
        If tkinter is missing or there is no desktop, with what to do.
    """
    prepare_windows()
    try:
        import tkinter
    except ImportError as error:
        raise SessionError(
            "The window needs tkinter, which this Python lacks.", hint=how_to_install()
        ) from error
    try:
        root = tkinter.Tk()
    except tkinter.TclError as error:
        raise SessionError(
            f"No window can be opened here: {error}.",
            hint="Run this at the computer that carries the eye tracker, on its desktop.",
        ) from error
    root.withdraw()
    return root


def how_to_install(platform: str = sys.platform) -> str:
    """Say how tkinter is had on this system.

    Examples
    --------
    >>> how_to_install("win32")
    'Run the installer of Python again, choose Modify and tick "tcl/tk and IDLE".'
    """
    if platform == "win32":
        return 'Run the installer of Python again, choose Modify and tick "tcl/tk and IDLE".'
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if platform == "darwin":
        return f"With Homebrew: brew install python-tk@{version}."
    return "On Debian and Ubuntu: apt install python3-tk; on Fedora: dnf install python3-tkinter."


def toolkit_bounds(monitor: Monitor, platform: str = sys.platform) -> Rect:
    """Return a monitor's bounds in tkinter's pixels: logical on macOS, physical elsewhere."""
    return monitor.logical if platform == "darwin" else monitor.bounds_physical_px


def geometry(box: Rect) -> str:
    """Return a place as tkinter writes it.

    Examples
    --------
    >>> geometry(Rect(-1920, 0, 1920, 1080))
    '1920x1080+-1920+0'
    """
    x, y, width, height = (round(v) for v in (box.x, box.y, box.width, box.height))
    return f"{width}x{height}+{x}+{y}"


class StageWindow:
    """Run a calibration or validation full screen on one monitor.

    Parameters
    ----------
    root : tkinter.Tk
        From :func:`open_toolkit`.
    stage : Stage
    box : Rect
        Where, in the toolkit's pixels.
    feed : Feed, optional
        Gaze for the run.
    look_at : callable, optional
        Told each new target: simulated eyes look there.
    clock : callable
        Host clock, microseconds.
    """

    def __init__(
        self,
        root: tkinter.Tk,
        stage: Stage,
        box: Rect,
        *,
        feed: Feed | None = None,
        look_at: Callable[[Target], None] | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._root = root
        self._stage = stage
        self._box = box
        self._feed = feed
        self._look_at = look_at
        self._clock = clock
        self._ended_us: int | None = None
        self._pictures = 0
        self._error: Exception | None = None

    def show(self) -> None:
        """Show it until the reader closes it.

        Raises
        ------
        QpgazeError
            What the source of gaze raised.
        """
        import tkinter

        window = tkinter.Toplevel(self._root, background=BACKGROUND, cursor="none")
        window.title(self._stage.run.title)
        canvas = _cover(window, self._box)
        window.bind("<Key>", lambda event: self._stage.key(event.keysym, self._clock()))
        window.protocol("WM_DELETE_WINDOW", lambda: self._stage.key("escape", self._clock()))
        window.focus_force()
        window.after(0, self._frame, window, canvas)
        self._root.wait_window(window)
        if self._error is not None:
            raise self._error

    def _frame(self, window: Any, canvas: Any) -> None:
        """Draw one picture and ask for the next; an error ends the window, not only the frame."""
        try:
            shown = (canvas.winfo_rootx(), canvas.winfo_rooty())
            size = (canvas.winfo_width(), canvas.winfo_height())
            if not self.step(canvas, Rect(*shown, *size)):
                window.destroy()
                return
        except Exception as error:
            # Tk would only print it and go on; it is raised again from show().
            self._error = error
            window.destroy()
            return
        window.after(FRAME_MS, self._frame, window, canvas)

    def step(self, canvas: Any, shown: Rect) -> bool:
        """Do what one picture needs, and tell whether another one follows.

        Parameters
        ----------
        canvas : tkinter.Canvas
        shown : Rect
            Where the canvas really lies, in the toolkit's pixels. Window systems keep room for
            their bars: the targets are placed on the monitor, not in the window.

        Raises
        ------
        SessionError
            If the window lies elsewhere than on the monitor.
        """
        stage, moment = self._stage, self._clock()
        run: Run = stage.run
        for batch in self._feed.take() if self._feed is not None else ():
            run.feed(batch, moment)
        run.tick(moment)
        if self._look_at is not None and run.target is not None:
            self._look_at(run.target)
        if run.phase in ENDED and self._ended_us is None:
            self._ended_us = moment
        if self._ended_us is not None and moment - self._ended_us > CLOSING_SHOWN_S * 1e6:
            return False
        if stage.closed:
            return False
        self._pictures += 1
        if self._pictures == PLACED_AFTER:
            require_covered(self._box, shown)
        shapes = stage.shapes(round(self._box.width), round(self._box.height))
        draw(canvas, shapes, (self._box.x - shown.x, self._box.y - shown.y))
        return True


def require_covered(box: Rect, shown: Rect) -> None:
    """Refuse a window that leaves much of its monitor uncovered: targets would not be seen.

    Raises
    ------
    SessionError
        If less than nine tenths of width or height are covered.
    """
    width = min(box.x + box.width, shown.x + shown.width) - max(box.x, shown.x)
    height = min(box.y + box.height, shown.y + shown.height) - max(box.y, shown.y)
    if width < 0.9 * box.width or height < 0.9 * box.height:
        raise SessionError(
            f"The window should cover {geometry(box)}, but the system put it at {geometry(shown)}.",
            hint="Make the tracker's monitor the only one, or the main one, and try again.",
        )


def choose_monitor(root: tkinter.Tk, monitors: Sequence[Monitor]) -> Monitor | None:
    """Show each monitor's number on it, and return the one whose number was typed or clicked.

    Returns
    -------
    Monitor or None
        None where the reader pressed Esc.
    """
    import tkinter

    choice = NumberChoice(len(monitors))
    made = tkinter.BooleanVar(root, False)

    def key(name: str) -> None:
        choice.key(name)
        made.set(choice.made)

    windows = []
    for number, monitor in enumerate(monitors, 1):
        window = tkinter.Toplevel(root, background=BACKGROUND)
        box = toolkit_bounds(monitor)
        _draw_number(_cover(window, box, whole=sys.platform != "darwin"), box, monitor, number)
        window.bind("<Key>", lambda event: key(event.keysym))
        window.bind("<Button-1>", partial(_clicked, key, number))
        windows.append(window)
    windows[0].focus_force()
    while not choice.made:
        root.wait_variable(made)
    for window in windows:
        window.destroy()
    root.update()
    return monitors[choice.number - 1] if choice.number else None


def _clicked(key: Callable[[str], None], number: int, _event: Any) -> None:
    key(str(number))


class NumberChoice:
    """A number typed by a person, or Esc.

    Parameters
    ----------
    largest : int
    """

    def __init__(self, largest: int) -> None:
        self.number: int | None = None
        self.made = False
        self._largest = largest

    def key(self, name: str) -> None:
        """Take a key; digits of a keypad count too."""
        digit = name.removeprefix("KP_")
        if name == "Escape":
            self.made = True
        elif digit.isascii() and digit.isdigit() and 1 <= int(digit) <= self._largest:
            self.number, self.made = int(digit), True


def _draw_number(canvas: Any, box: Rect, monitor: Monitor, number: int) -> None:
    height, unit = box.height, text_unit(box.width, box.height)
    lines = (
        (0.42, str(number), 0.4),
        (0.72, "Type the number of the screen that carries the eye tracker, or click it.", 0.026),
        (0.77, monitor.describe(number), 0.02),
        (0.82, "Esc: cancel", 0.02),
    )
    for share, text, size in lines:
        font = ("TkDefaultFont", -max(round(unit * size), 10))
        canvas.create_text(box.width / 2, height * share, text=text, font=font, fill=INK)


def _cover(window: Any, box: Rect, *, whole: bool = True) -> Any:
    """Lay a window over a whole monitor and return a canvas that fills it.

    Windows: no frame, for full screen goes to the main monitor. Elsewhere the window manager is
    asked for full screen; where there is none the window simply has the monitor's size. Several
    windows at once are not `whole` on macOS: each would slide away to a desktop of its own.
    """
    import tkinter

    window.geometry(geometry(box))
    window.attributes("-topmost", True)
    if sys.platform == "win32":
        window.overrideredirect(True)
    elif whole:
        window.update_idletasks()
        window.attributes("-fullscreen", True)
    canvas = tkinter.Canvas(window, background=BACKGROUND, highlightthickness=0)
    canvas.pack(fill="both", expand=True)
    window.lift()
    return canvas
