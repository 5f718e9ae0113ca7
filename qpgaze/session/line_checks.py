"""Find problems in the ``.jsonl`` files of a session, each with its line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qpgaze.errors import FrameError
from qpgaze.keys import LabelEvent
from qpgaze.model import Event
from qpgaze.session.codec import clock_from_json, event_from_json, viewer_state_from_json
from qpgaze.session.files import Line, parse_lines, read_lines
from qpgaze.session.layout import CLOCKS_FILE, EVENTS_FILE, VIEWER_FILE
from qpgaze.viewing import ImageIdentity, ViewerState

_TOLERANCE = 0.02
"""Corners against downsample, as a share. Whole pixels of the view's size make 0.1 %."""

_ANGLE_TOLERANCE_RAD = math.radians(1.0)

_EVENT_MARGIN_US = 1_000_000
"""Keys and notes may come a moment before the first and after the last gaze sample."""


class Problem(NamedTuple):
    """Something wrong with a session.

    Parameters
    ----------
    file : str
        Name of the file within the session.
    place : str
        Line, record number or byte; empty where it is about the whole file.
    message : str
    """

    file: str
    place: str
    message: str


def viewer_problems(
    folder: Path, images: dict[int, ImageIdentity]
) -> tuple[list[ViewerState] | None, list[Problem]]:
    """Return the readable viewer states in time order, None without a file, and the problems."""
    path = folder / VIEWER_FILE
    if not path.is_file():
        return None, []
    lines = read_lines(path)
    problems = list(_torn(VIEWER_FILE, lines.torn_bytes))
    states: list[ViewerState] = []
    last: dict[str, int] = {}
    for line, state, wrong in parse_lines(lines, lambda v: viewer_state_from_json(v, images)):
        messages = [wrong] if wrong else []
        if state is not None:
            messages += _state_problems(state, line, images)
            if state.t_us < last.get(state.viewer, state.t_us):
                before = last[state.viewer]
                messages.append(f"Time runs backwards: {state.t_us} us after {before} us.")
            last[state.viewer] = state.t_us
            states.append(state)
        problems += [Problem(VIEWER_FILE, f"line {line.number}", m) for m in messages]
    return sorted(states, key=lambda s: s.t_us), problems


def _state_problems(
    state: ViewerState, line: Line, images: dict[int, ImageIdentity]
) -> Iterator[str]:
    image = state.image
    if image is None:
        return
    number = line.value["image"].get("id")
    if type(number) is not int or number not in images:
        yield f"The image {image.name!r} (number {number}) is not listed in session.json."
    elif line.value["image"].get("name") != images[number].name:
        yield (
            f"Image {number} is {line.value['image'].get('name')!r} here, "
            f"but {images[number].name!r} in session.json."
        )
    if image.width_px <= 0 or image.height_px <= 0:
        yield f"The image {image.name!r} has no size."
    if not state.downsample > 0:
        yield f"The downsample should be above 0, but it is {state.downsample}."
    box = state.bounds_screen_px
    if box is not None and (box.width <= 0 or box.height <= 0):
        yield f"The viewer has the size {box.width} x {box.height} on the screen."
    elif state.corners_image_px is None and state.shown:
        yield "The viewer shows an image, but its corners on it are missing."
    else:
        yield from _map_problems(state)


def _map_problems(state: ViewerState) -> Iterator[str]:
    """Hold the three corners against downsample and rotation: QuPath only zooms and turns."""
    try:
        affine = state.viewer_to_image()
    except FrameError as error:
        yield f"The viewer's bounds fix no map onto the image: {error}"
        return
    if affine is None:
        return
    (a, b), (c, d) = affine.matrix[:, :2]
    across, down = math.hypot(a, c), math.hypot(b, d)
    turned_area = a * d - b * c
    if abs(turned_area) <= 1e-9 * across * down:
        yield "The corners lie on one line: they fix no map onto the image."
    elif turned_area < 0:
        yield "The corners mirror the image; QuPath's viewer only zooms and turns."
    elif abs(across / down - 1) > _TOLERANCE or abs(a * b + c * d) > _TOLERANCE * across * down:
        yield "The corners skew the image; QuPath's viewer only zooms and turns."
    elif state.downsample > 0 and abs(affine.scale / state.downsample - 1) > _TOLERANCE:
        yield (
            f"The corners say {affine.scale:.4g} image px per viewer px, "
            f"the downsample says {state.downsample:.4g}."
        )
    else:
        # A picture turned clockwise by r: one step right in the viewer is (cos r, -sin r) in it.
        turned = math.remainder(math.atan2(-c, a) - state.rotation_rad, math.tau)
        if abs(turned) > _ANGLE_TOLERANCE_RAD:
            yield (
                f"The corners are turned by {math.degrees(math.atan2(-c, a)):.1f} degrees, "
                f"the rotation says {math.degrees(state.rotation_rad):.1f}."
            )


def clock_problems(folder: Path) -> Iterator[Problem]:
    """Find problems in ``clocks.jsonl``."""
    path = folder / CLOCKS_FILE
    if not path.is_file():
        return
    lines = read_lines(path)
    yield from _torn(CLOCKS_FILE, lines.torn_bytes)
    for line, clock, wrong in parse_lines(lines, clock_from_json):
        if wrong:
            yield Problem(CLOCKS_FILE, f"line {line.number}", wrong)
        elif clock is not None and clock.uncertainty_us < 0:
            yield Problem(CLOCKS_FILE, f"line {line.number}", "The uncertainty is below 0.")


def event_problems(folder: Path, t_us: npt.NDArray[np.int64]) -> Iterator[Problem]:
    """Find problems in ``events.jsonl``, held against the times of the gaze."""
    path = folder / EVENTS_FILE
    if not path.is_file():
        return
    lines = read_lines(path)
    yield from _torn(EVENTS_FILE, lines.torn_bytes)
    down: dict[tuple[str, str], int] = {}
    for line, event, wrong in parse_lines(lines, event_from_json):
        messages = [wrong] if wrong else []
        if event is not None:
            messages += _time_problems(event, t_us)
            if event.kind == "label":
                messages += _label_problems(event, line.number, down)
            elif event.kind == "validation" and "accuracy_deg" not in event.data:
                messages.append("The validation names no accuracy_deg.")
        for message in messages:
            yield Problem(EVENTS_FILE, f"line {line.number}", message)
    for (kind, name), number in sorted(down.items(), key=lambda item: item[1]):
        yield Problem(EVENTS_FILE, f"line {number}", f"This {kind} of {name!r} never ends.")


def _time_problems(event: Event, t_us: npt.NDArray[np.int64]) -> Iterator[str]:
    if not len(t_us):
        return
    first, last = int(t_us.min()) - _EVENT_MARGIN_US, int(t_us.max()) + _EVENT_MARGIN_US
    times: dict[str, Any] = {"t_us": event.t_us}
    times |= {k: v for k, v in event.data.items() if k in ("start_us", "end_us")}
    for name, value in times.items():
        if isinstance(value, (int, float)) and not first <= value <= last:
            yield (
                f"{name} is {value / 1e6:.3f} s, but the gaze runs from "
                f"{int(t_us.min()) / 1e6:.3f} to {int(t_us.max()) / 1e6:.3f} s."
            )


def _label_problems(event: Event, number: int, down: dict[tuple[str, str], int]) -> Iterator[str]:
    """Check one label event; `down` remembers which holds and toggles are open, and their lines."""
    kind, name = str(event.data.get("event")), event.data.get("class")
    if kind not in {e.value for e in LabelEvent}:
        yield f"A label event is mark, hold, toggle or undo, but {kind!r} came."
        return
    if kind != LabelEvent.UNDO.value and not (isinstance(name, str) and name):
        yield f"This {kind} names no class."
        return
    if kind not in (LabelEvent.HOLD.value, LabelEvent.TOGGLE.value):
        return
    key = (kind, str(name))
    if not isinstance(event.data.get("down"), bool):
        yield f"This {kind} does not say whether it begins or ends (down)."
    elif event.data["down"]:
        if key in down:
            yield f"This {kind} of {name!r} begins, but one is still open since line {down[key]}."
        down[key] = number
    elif down.pop(key, None) is None:
        yield f"This {kind} of {name!r} ends, but never began."


def _torn(file: str, torn_bytes: int) -> Iterator[Problem]:
    if torn_bytes:
        yield Problem(file, "last line", f"Its {torn_bytes} bytes are incomplete (cut off).")
