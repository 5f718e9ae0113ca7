"""The display of a recording: as the table's own gaze points tell it, or as it was given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qpgaze.errors import SessionError, UsageError
from qpgaze.session.tables.kinds import TableMapping
from qpgaze.session.tables.samples import TableSamples
from qpgaze.viewing import Display, Rect, ViewerState

_FIT_POINTS = 20
_FIT_WITHIN_MM = 1.0
_FIT_SPAN = 0.02
"""Gaze must spread over this share of the display each way to fix its corners."""

Corner = tuple[float, float, float]


@dataclass(frozen=True)
class DisplayHints:
    """What a person says about the display; None where nothing was said.

    Parameters
    ----------
    bounds_screen_px : Rect or None
        The tracker's display area on the desktop, logical pixels.
    size_mm : (width, height) or None
    distance_mm : float or None
        Eye to screen.
    """

    bounds_screen_px: Rect | None = None
    size_mm: tuple[float, float] | None = None
    distance_mm: float | None = None


def parse_size(text: str, what: str = "a size") -> tuple[float, float]:
    """Read ``1920x1080``.

    Raises
    ------
    UsageError
        If it is something else.

    Examples
    --------
    >>> parse_size("528x297")
    (528.0, 297.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*[xX×*]\s*(\d+(?:\.\d+)?)\s*", text)
    if match is None or not (float(match[1]) > 0 and float(match[2]) > 0):
        raise UsageError(f"Expected {what} such as 1920x1080, but {text!r} came.")
    return float(match[1]), float(match[2])


def parse_screen(text: str) -> Rect:
    """Read ``1920x1080`` or, for a second monitor, ``1920x1080+1920+0``.

    Raises
    ------
    UsageError
        If it is something else.

    Examples
    --------
    >>> parse_screen("2560x1440+1920+0")
    Rect(x=1920.0, y=0.0, width=2560.0, height=1440.0)
    """
    size, *offsets = re.split(r"(?=[+-])", text.strip())
    width, height = parse_size(size, "a screen")
    if len(offsets) not in (0, 2) or not all(re.fullmatch(r"[+-]\d+", o) for o in offsets):
        raise UsageError(f"Expected a screen such as 1920x1080+1920+0, but {text!r} came.")
    x, y = map(float, offsets) if offsets else (0.0, 0.0)
    return Rect(x, y, width, height)


def prose_resolution(prose: Sequence[str]) -> tuple[int, int] | None:
    r"""Return the resolution that the lines before a table name, None where they name none.

    Examples
    --------
    >>> prose_resolution(["Recording resolution:\t 1280 x 1024"])
    (1280, 1024)
    """
    for line in prose:
        match = re.search(r"resolution:\s*(\d+)\s*x\s*(\d+)", line, re.IGNORECASE)
        if match:
            return int(match[1]), int(match[2])
    return None


def corners_from_gaze(samples: TableSamples) -> tuple[Corner, Corner, Corner] | None:
    """Return the display's corners in the tracker's frame, from gaze given in both frames.

    A tracker gives each gaze point as a fraction of the display and in millimetres; the one is an
    affine image of the other, and least squares tell it.

    Returns
    -------
    three (x, y, z) or None
        Top-left, top-right and bottom-left, UCS millimetres. None where the table does not hold
        both, or they do not belong together.
    """
    adcs, ucs = [], []
    for number, eye in enumerate(("left", "right")):
        xy = np.column_stack(
            [samples.records[f"{eye}_x_adcs"], samples.records[f"{eye}_y_adcs"]]
        ).astype(np.float64)
        xyz = samples.gaze_ucs_mm[:, number]
        both = np.isfinite(xy).all(axis=1) & np.isfinite(xyz).all(axis=1)
        adcs.append(xy[both])
        ucs.append(xyz[both])
    xy, xyz = np.concatenate(adcs), np.concatenate(ucs)
    if len(xy) < _FIT_POINTS or np.ptp(xy, axis=0).min() < _FIT_SPAN:
        return None
    system = np.column_stack([np.ones(len(xy)), xy])
    (origin, right, down), *_ = np.linalg.lstsq(system, xyz, rcond=None)
    error = np.abs(system @ np.array([origin, right, down]) - xyz)
    if float(np.median(error)) > _FIT_WITHIN_MM:
        return None
    return _corner(origin), _corner(origin + right), _corner(origin + down)


def _corner(xyz: npt.NDArray[np.float64]) -> Corner:
    x, y, z = (round(float(v), 3) for v in xyz)
    return x, y, z


def display_of(
    samples: TableSamples,
    mapping: TableMapping,
    resolution_px: tuple[int, int] | None,
    states: Sequence[ViewerState],
    hints: DisplayHints,
) -> tuple[Display, tuple[str, ...]]:
    """Put the display together: what was said first, then what the data tell, then the preset.

    Returns
    -------
    Display
    tuple of str
        Where each part comes from, in words.

    Raises
    ------
    SessionError
        If nobody says how large the screen is.
    """
    notes = []
    corners = corners_from_gaze(samples)
    size = hints.size_mm
    if size is None and corners is not None:
        tl, tr, bl = (np.array(corner) for corner in corners)
        size = (
            round(float(np.linalg.norm(tr - tl)), 1),
            round(float(np.linalg.norm(bl - tl)), 1),
        )
        notes.append(f"display {size[0]:g} x {size[1]:g} mm, from gaze points given in mm")
    if size is None and mapping.size_mm is not None:
        size = mapping.size_mm
        notes += [f"assumed {what}" for what in mapping.assumed]
    if size is None:
        raise SessionError(
            "The table does not tell how large the screen is.", hint="Give --screen-mm 528x297."
        )
    bounds = hints.bounds_screen_px
    if bounds is None:
        bounds = _monitor_of(states)
        if bounds is not None:
            notes.append("display area: the monitor that the viewer log names")
    if bounds is None and resolution_px is not None:
        bounds = Rect(0.0, 0.0, float(resolution_px[0]), float(resolution_px[1]))
        notes.append(f"display area: {resolution_px[0]} x {resolution_px[1]} px at 0, 0")
    if bounds is None:
        raise SessionError(
            "Neither table nor viewer log tells where the screen lies on the desktop.",
            hint="Give --screen 1920x1080.",
        )
    distance = hints.distance_mm
    if distance is None and np.isfinite(samples.distance_mm).any():
        distance = round(float(np.nanmedian(samples.distance_mm)), 1)
    display = Display(bounds, size[0], size[1], corners_ucs_mm=corners)
    if distance is not None:
        display = replace(display, distance_mm=distance)
    return display, tuple(notes)


def _monitor_of(states: Sequence[ViewerState]) -> Rect | None:
    """Return the one monitor that all viewer states lie on, None where there are several."""
    monitors = {s.screen_bounds_px for s in states if s.screen_bounds_px is not None}
    return monitors.pop() if len(monitors) == 1 else None
