"""Is what a session holds plausible? Pure checks that the reader and the validation share.

Each returns a sentence where something is wrong, None where nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qpgaze.samples import MISSING_STAMP
from qpgaze.viewing import ViewerState

_LOOKED_AT = 10_000
"""Records that the quick checks look at, spread over the recording."""

_LONGEST_US = 7 * 24 * 3600 * 1_000_000
"""No reading lasts a week."""

STALE_KEYFRAMES = 3
"""A viewer that repeats its state is trusted for this many repeats after the last one."""

_FAR_BEFORE_US = 60_000_000
"""A log of changes alone that ends longer than this before the gaze is of another reading."""


def needed_columns_missing(records: npt.NDArray[np.void]) -> str | None:
    """Say which columns that placing gaze needs are not there."""
    names = records.dtype.names or ()
    needed = ["t_us"] + [
        f"{eye}_{what}" for eye in ("left", "right") for what in ("x_adcs", "y_adcs", "gaze_valid")
    ]
    missing = [name for name in needed if name not in names]
    return f"The gaze records lack the column(s) {', '.join(missing)}." if missing else None


def foreign(records: npt.NDArray[np.void]) -> str | None:
    """Say so where these bytes can be no gaze records: stamps or flags out of all reason."""
    some = _some(records)
    if not len(some):
        return None
    bad = np.abs(some["t_us"].astype(np.float64)) > _LONGEST_US
    for eye in ("left", "right"):
        bad |= some[f"{eye}_gaze_valid"] > 4
    share = float(np.mean(bad))
    if share < 0.01:
        return None
    return (
        f"{share:.0%} of the gaze records have impossible stamps or flags: "
        "this gaze.bin is damaged, or belongs to another session."
    )


def first_backwards(t_us: npt.NDArray[np.int64]) -> int | None:
    """Return the number (from 0) of the first record that is earlier than the one before it.

    Examples
    --------
    >>> import numpy as np
    >>> first_backwards(np.array([0, 10, 5, 20]))
    2
    """
    backwards = np.flatnonzero(np.diff(t_us) < 0)
    return int(backwards[0]) + 1 if len(backwards) else None


def wrong_unit(records: npt.NDArray[np.void]) -> str | None:
    """Say so where valid gaze lies far outside 0..1, and what unit it looks like."""
    some = _some(records)
    values = []
    for eye in ("left", "right"):
        xy = np.column_stack([some[f"{eye}_x_adcs"], some[f"{eye}_y_adcs"]]).astype(np.float64)
        xy = xy[some[f"{eye}_gaze_valid"] != 0]
        values.append(xy[np.isfinite(xy).all(axis=1)])
    xy = np.concatenate(values)
    if not len(xy):
        return None
    # Gaze beside the screen is normal; gaze two screens away most of the time is not.
    plausible = np.mean((np.abs(xy - 0.5) <= 2.0).all(axis=1))
    if plausible >= 0.5:
        return None
    x, y = np.median(xy, axis=0)
    guess = "percent or millimetres" if np.abs(xy).max() <= 100 else "pixels or millimetres"
    return (
        f"Gaze should be fractions of the display (0..1), but it lies around ({x:.0f}, {y:.0f}): "
        f"these look like {guess}."
    )


def states_in_force(
    t_us: npt.NDArray[np.int64], states: Sequence[ViewerState], keyframe_us: int | None
) -> npt.NDArray[np.bool_]:
    """Tell at which moments the viewer log knows the state of some viewer.

    Parameters
    ----------
    t_us : (n,) int64
        Session clock.
    states : sequence of ViewerState
        In time order.
    keyframe_us : int or None
        Where the log repeats unchanged states, one is in force for three repeats at most; else
        until the next.

    Returns
    -------
    (n,) bool
    """
    times = np.array([s.t_us for s in states], dtype=np.int64)
    if not len(times):
        return np.zeros(len(t_us), dtype=np.bool_)
    last = np.searchsorted(times, t_us, side="right") - 1
    age = t_us - times[np.maximum(last, 0)]
    longest = _LONGEST_US if keyframe_us is None else STALE_KEYFRAMES * keyframe_us
    return np.asarray((last >= 0) & (age <= longest), dtype=np.bool_)


def not_covered(
    t_us: npt.NDArray[np.int64], states: Sequence[ViewerState], keyframe_us: int | None
) -> str | None:
    """Say so where no moment of the gaze has a known viewer state; name both time ranges."""
    if not len(t_us):
        return None
    if not states:
        return "The session holds gaze, but no viewer state: nobody knows what was looked at."
    first, last = states[0].t_us, states[-1].t_us
    far_before = keyframe_us is None and last < int(t_us[0]) - _FAR_BEFORE_US
    if not far_before and states_in_force(t_us, states, keyframe_us).any():
        return None
    return (
        f"The viewer log does not cover the gaze: gaze runs from {_seconds(t_us[0])} to "
        f"{_seconds(t_us[-1])}, the viewer states from {_seconds(first)} to {_seconds(last)}."
    )


def _seconds(t_us: np.int64 | int) -> str:
    return f"{int(t_us) / 1e6:.3f} s"


def _some(records: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Return at most 10,000 records, evenly spread."""
    return np.asarray(records[:: max(1, len(records) // _LOOKED_AT)])


def missing_stamps(records: npt.NDArray[np.void], name: str) -> bool:
    """Tell whether a stamp column is absent or holds nothing but missing stamps."""
    if name not in (records.dtype.names or ()):
        return True
    return bool((records[name] == MISSING_STAMP).all())
