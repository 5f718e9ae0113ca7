"""Visual angle: where the eye is, where it looks on the display, and how far apart that is.

Everything lies in one frame, the *display plane*: millimetres from the display area's top-left
corner, x right, y down, z towards the reader. Gaze has z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qpgaze.frames import FloatArray
from qpgaze.gaze.views import BoolArray
from qpgaze.samples import GazeSamples
from qpgaze.viewing import Display


@dataclass(frozen=True, eq=False)
class Eyes:
    """Where the eyes were (display plane, mm), and whether that was measured.

    Parameters
    ----------
    x_mm, y_mm, z_mm : (n,) float64
        Between both eyes; z is the distance from the display's plane.
    measured : (n,) bool
        False where the position is carried on from an earlier sample, or assumed.
    """

    x_mm: FloatArray
    y_mm: FloatArray
    z_mm: FloatArray
    measured: BoolArray


def eye_positions(gaze: GazeSamples, display: Display) -> Eyes:
    """Locate the eyes before the display.

    Parameters
    ----------
    gaze : GazeSamples
    display : Display
        With corners in the tracker's frame the measured eye positions count; without, the eye is
        taken to be ``distance_mm`` before the display's centre.

    Notes
    -----
    A sample without a valid origin takes the last valid one before it: a head moves slowly.
    """
    n = len(gaze)
    assumed = (display.width_mm / 2, display.height_mm / 2, display.distance_mm)
    x, y, z = (np.full(n, value) for value in assumed)
    measured = np.zeros(n, dtype=np.bool_)
    if display.corners_ucs_mm is not None and n:
        place = _in_display_plane(gaze.origin_ucs_mm(), display.corners_ucs_mm)
        # An eye behind the display is a wrong sign or a wrong unit, never an eye.
        measured = np.isfinite(place[:, 0] + place[:, 1]) & (place[:, 2] > 0)
        if measured.all():
            x, y, z = (np.ascontiguousarray(place[:, axis]) for axis in range(3))
            return Eyes(x, y, z, measured)
        source = np.maximum.accumulate(np.where(measured, np.arange(n), -1))
        known = source >= 0
        for axis, values in enumerate((x, y, z)):
            values[known] = place[source[known], axis]
    return Eyes(x, y, z, measured)


def _in_display_plane(
    ucs_mm: FloatArray, corners_ucs_mm: tuple[tuple[float, float, float], ...]
) -> FloatArray:
    top_left, top_right, bottom_left = (np.array(c, dtype=np.float64) for c in corners_ucs_mm)
    right, down = top_right - top_left, bottom_left - top_left
    right, down = right / np.linalg.norm(right), down / np.linalg.norm(down)
    # UCS is right-handed with y up, so down x right points from the display to the reader.
    axes = np.stack([right, down, np.cross(down, right)])
    # Written out: a threaded matrix product costs more than it saves on so narrow an array.
    x, y, z = (ucs_mm[:, i] - top_left[i] for i in range(3))
    return np.stack([a * x + b * y + c * z for a, b, c in axes], axis=1)


def display_size_mm(display: Display) -> tuple[float, float]:
    """Return width and height of the display area, from its corners where they are known."""
    if display.corners_ucs_mm is None:
        return display.width_mm, display.height_mm
    top_left, top_right, bottom_left = (np.array(c, np.float64) for c in display.corners_ucs_mm)
    return (
        float(np.linalg.norm(top_right - top_left)),
        float(np.linalg.norm(bottom_left - top_left)),
    )


def angle_deg(
    x0_mm: npt.ArrayLike,
    y0_mm: npt.ArrayLike,
    x1_mm: npt.ArrayLike,
    y1_mm: npt.ArrayLike,
    eye_mm: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
) -> Any:
    """Compute the angle between two places on the display, seen from the eye.

    Parameters
    ----------
    x0_mm, y0_mm, x1_mm, y1_mm : array_like
        Display plane.
    eye_mm : (x, y, z) of array_like
        Display plane.

    Returns
    -------
    float64 array (or scalar)
        Degrees, NaN where any input is.

    Notes
    -----
    ``atan2(|a x b|, a . b)`` stays exact for small angles, where acos does not.

    Examples
    --------
    >>> round(float(angle_deg(0, 0, 11.345, 0, (0, 0, 650))), 3)
    1.0
    """
    ex, ey, ez = (np.asarray(value, dtype=np.float64) for value in eye_mm)
    ax, ay = np.asarray(x0_mm) - ex, np.asarray(y0_mm) - ey
    bx, by = np.asarray(x1_mm) - ex, np.asarray(y1_mm) - ey
    ez2 = ez * ez
    turn = ax * by - ay * bx
    dx, dy = bx - ax, by - ay
    cross = np.sqrt(ez2 * (dx * dx + dy * dy) + turn * turn)
    return np.degrees(np.arctan2(cross, ax * bx + ay * by + ez2))


def screen_px_per_degree(display: Display, distance_mm: FloatArray) -> FloatArray:
    """Return logical pixels per degree of visual angle for eyes at these distances.

    Examples
    --------
    >>> import numpy as np
    >>> from qpgaze.viewing import Rect
    >>> display = Display(Rect(0, 0, 1920, 1080), 528, 297)
    >>> screen_px_per_degree(display, np.array([600.0, 650.0])).round(1)
    array([38.1, 41.3])
    """
    width_mm, _ = display_size_mm(display)
    per_mm = display.bounds_screen_px.width / width_mm
    return np.asarray(distance_mm * (np.tan(np.radians(1.0)) * per_mm), dtype=np.float64)
