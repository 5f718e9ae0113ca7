"""Put a device's stamps on the session clock and clean what a device may send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from qpgaze.recording.clocks import ClockTracker, NeverBack
from qpgaze.samples import GAZE_COLUMNS, MISSING_STAMP, empty_records
from qpgaze.viewing import Display

_EYES = ("left", "right")
_VALUES = {
    "gaze": ("x_adcs", "y_adcs"),
    "origin": ("origin_x_mm", "origin_y_mm", "origin_z_mm"),
    "pupil": ("pupil_mm",),
}
_KNOWN = {column.name for column in GAZE_COLUMNS}


def records_of(columns: Mapping[str, npt.ArrayLike], n: int) -> npt.NDArray[np.void]:
    """Make gaze records of the columns that a device gave.

    Parameters
    ----------
    columns : mapping of str to (n,) array_like
        By the names of format 1. Flags that a device does not give follow from its values.
    n : int

    Returns
    -------
    (n,) structured array
        A flag is 1 only where the device says so (or says nothing) and every value is a number:
        what persists while it is invalid keeps flag 0. ``t_us`` is still missing.
    """
    records = empty_records(n)
    for name, values in columns.items():
        if name in _KNOWN:
            records[name] = values
    for eye in _EYES:
        for what, names in _VALUES.items():
            flag = f"{eye}_{what}_valid"
            there = np.all([np.isfinite(records[f"{eye}_{name}"]) for name in names], axis=0)
            said = records[flag] == 1 if flag in columns else there
            records[flag] = said & there
    return records


def on_host(
    clock: ClockTracker[Any] | None,
    stamps_us: npt.NDArray[np.int64],
    arrived_us: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return when each record was taken, on the host clock.

    Parameters
    ----------
    clock : ClockTracker or None
        Of the stamps; None, or one that was not compared yet, tells nothing.
    stamps_us : (n,) int64
    arrived_us : (n,) int64
        Host clock; stands in where a stamp is missing.
    """
    if clock is None or clock.relation is None:
        return arrived_us
    host = clock.to_host(stamps_us)
    return np.where(host == MISSING_STAMP, arrived_us, host)


def set_times(records: npt.NDArray[np.void], zero_us: int, never_back: NeverBack) -> None:
    """Set ``t_us`` from ``system_us``, in place.

    Parameters
    ----------
    records : (n,) structured array
    zero_us : int
        Host clock when the session clock was 0.
    never_back : NeverBack
    """
    records["t_us"] = never_back(records["system_us"] - zero_us)


def tracker_display(display: Display, said: Mapping[str, Any] | None) -> Display:
    """Return the display with the tracker's own measures, where it knows them.

    Parameters
    ----------
    display : Display
        The monitor, as chosen.
    said : mapping, optional
        ``width`` and ``height`` in mm and, in UCS millimetres, three ``corners``.
    """
    if not said or not (said.get("width", 0) > 0 and said.get("height", 0) > 0):
        return display
    corners = said.get("corners")
    three = tuple((float(x), float(y), float(z)) for x, y, z in corners) if corners else None
    return replace(
        display,
        width_mm=float(said["width"]),
        height_mm=float(said["height"]),
        corners_ucs_mm=three or display.corners_ucs_mm,
    )
