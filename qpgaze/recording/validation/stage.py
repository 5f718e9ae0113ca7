"""What stands on the screen during a calibration or validation, without any window.

Pure: the same run gives the same shapes; a window only draws them, and a test reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from qpgaze.recording.validation.protocol import ENDED, Phase, Run
from qpgaze.recording.validation.targets import Target

BACKGROUND = "#808080"
"""Middle grey, like a slide at a low power seen as a whole: pupils have the size of the work."""
INK = "#101010"
PAPER = "#f5f5f5"
QUIET = "#202020"
SEEN = "#0b5d1e"
UNSEEN = "#8b0000"

LARGEST_SHARE, SMALLEST_SHARE = 0.022, 0.007
"""Radius of a target when it appears and when it is measured, as a share of the screen's height:
about one degree and a third of one at 65 cm."""


@dataclass(frozen=True)
class Disc:
    """A filled circle, in pixels of the window."""

    x: float
    y: float
    radius: float
    colour: str


@dataclass(frozen=True)
class Words:
    """One line of text; `size` is its height in pixels of the window."""

    x: float
    y: float
    text: str
    size: int
    colour: str = INK
    anchor: Literal["center", "w"] = "center"


Shape = Disc | Words


class Stage:
    """Turn a run and keys into shapes.

    Parameters
    ----------
    run : Run
    note : str
        A line for the first screen, such as that gaze is simulated.
    """

    def __init__(self, run: Run, note: str = "") -> None:
        self.run = run
        self.note = note
        self.closed = False

    def key(self, name: str, now_us: int) -> None:
        """Take a key: space or return begins and, at the end, closes; escape stops.

        Parameters
        ----------
        name : str
            ``space``, ``return`` or ``escape``, as window systems call them; others do nothing.
        now_us : int
            Host clock.
        """
        name = name.lower()
        if name == "escape":
            self.closed = True
            self.run.cancel()
        elif name in ("space", "return", "kp_enter"):
            if self.run.phase in ENDED:
                self.closed = True
            else:
                self.run.begin(now_us)

    def shapes(self, width: int, height: int) -> tuple[Shape, ...]:
        """Return what to draw on a window of this size, from back to front."""
        if self.run.phase is Phase.READY:
            return self._first(width, height)
        if self.run.phase in ENDED:
            return self._last(width, height)
        target = self.run.target
        if target is None:
            size = _size(text_unit(width, height), 0.03)
            return (Words(width / 2, height / 2, "One moment ...", size),)
        return self._target(target, width, height)

    def _first(self, width: int, height: int) -> tuple[Shape, ...]:
        unit = text_unit(width, height)
        big, small = _size(unit, 0.045), _size(unit, 0.026)
        lines = [
            "Sit as you will work. Look at the middle of each point until it goes.",
            "Keep the head still.",
        ]
        shapes: list[Shape] = [Words(width / 2, height * 0.28, self.run.title, big)]
        for number, line in enumerate(lines):
            shapes.append(Words(width / 2, height * (0.40 + 0.05 * number), line, small))
        shapes += self._eyes(width, height)
        shapes.append(Words(width / 2, height * 0.74, "Space: begin     Esc: cancel", small))
        if self.note:
            shapes.append(Words(width / 2, height * 0.82, self.note, small, QUIET))
        return tuple(shapes)

    def _eyes(self, width: int, height: int) -> list[Shape]:
        """Show whether the tracker sees each eye, where it tells."""
        shapes: list[Shape] = []
        unit = text_unit(width, height)
        for side, name, seen in zip((-1, 1), ("left", "right"), self.run.eyes_seen, strict=True):
            if seen is None:
                continue
            x = width / 2 + side * unit * 0.14
            colour = SEEN if seen else UNSEEN
            word = f"{name} eye {'seen' if seen else 'not seen'}"
            shapes.append(Disc(x, height * 0.57, unit * 0.02, colour))
            shapes.append(Words(x, height * 0.62, word, _size(unit, 0.022)))
        return shapes

    def _target(self, target: Target, width: int, height: int) -> tuple[Shape, ...]:
        x, y = target[0] * width, target[1] * height
        share, unit = min(self.run.share * 1.6, 1.0), text_unit(width, height)
        radius = unit * (LARGEST_SHARE + (SMALLEST_SHARE - LARGEST_SHARE) * share)
        dot = max(unit * 0.002, 1.5)
        number, every = self.run.place
        # At the lower edge, away from every point: something to read would draw the eye.
        count = Words(
            width / 2,
            height * 0.985,
            f"{number} / {every}",
            _size(text_unit(width, height), 0.014),
            QUIET,
        )
        return (count, Disc(x, y, radius, INK), Disc(x, y, dot, PAPER))

    def _last(self, width: int, height: int) -> tuple[Shape, ...]:
        first, *rest = self.run.closing_lines()
        unit = text_unit(width, height)
        shapes: list[Shape] = [Words(width / 2, height * 0.32, first, _size(unit, 0.04))]
        small = _size(unit, 0.024)
        for number, line in enumerate(rest):
            shapes.append(Words(width / 2, height * (0.44 + 0.05 * number), line, small, QUIET))
        shapes.append(Words(width / 2, height * 0.82, "Space or Esc: close", small))
        return tuple(shapes)


def draw(canvas: Any, shapes: tuple[Shape, ...], shift: tuple[float, float] = (0.0, 0.0)) -> None:
    """Draw shapes on a ``tkinter.Canvas``, or on anything that draws ovals and text.

    Parameters
    ----------
    canvas : tkinter.Canvas
        What stood on it goes.
    shapes : tuple of Shape
    shift : (x, y)
        Added to every place: the screen's corner as seen from the canvas's.
    """
    canvas.delete("all")
    for shape in shapes:
        x, y = shape.x + shift[0], shape.y + shift[1]
        if isinstance(shape, Disc):
            r = shape.radius
            canvas.create_oval(x - r, y - r, x + r, y + r, fill=shape.colour, width=0)
        else:
            # A negative size is in pixels, so that the text fits whatever the screen's scale.
            font = ("TkDefaultFont", -shape.size)
            canvas.create_text(
                x, y, text=shape.text, fill=shape.colour, font=font, anchor=shape.anchor
            )


def text_unit(width: float, height: float) -> float:
    """Return what text is measured by: the height, less on a screen that stands upright."""
    return min(height, width / 1.6)


def _size(unit: float, share: float) -> int:
    return max(round(unit * share), 10)
