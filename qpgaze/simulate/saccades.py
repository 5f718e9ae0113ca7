"""How long a saccade takes and how the eye moves during one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MAIN_SEQUENCE_MS_PER_DEG = 2.2
MAIN_SEQUENCE_MS = 21.0


def saccade_duration_ms(amplitude_deg: float) -> float:
    """Return how long a saccade of this amplitude takes, milliseconds.

    Parameters
    ----------
    amplitude_deg : float
        Not negative.

    Notes
    -----
    The main sequence of human saccades, 2.2 ms/deg x amplitude + 21 ms (Carpenter 1988,
    *Movements of the Eyes*).

    Examples
    --------
    >>> round(saccade_duration_ms(10.0), 3)
    43.0
    """
    return MAIN_SEQUENCE_MS_PER_DEG * amplitude_deg + MAIN_SEQUENCE_MS


def saccade_progress(share_of_time: FloatArray) -> FloatArray:
    """Return the share of the way that the eye has gone, 0..1.

    Parameters
    ----------
    share_of_time : (n,) float64
        Time since the saccade's start over its duration; beyond 0..1 the eye rests.

    Returns
    -------
    (n,) float64

    Notes
    -----
    The smoothest (minimum-jerk) course: a bell-shaped velocity whose peak is 1.875 x amplitude /
    duration.

    Examples
    --------
    >>> saccade_progress(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    array([0. , 0. , 0.5, 1. , 1. ])
    """
    s = np.clip(share_of_time, 0.0, 1.0)
    return np.asarray(s**3 * (10.0 + s * (6.0 * s - 15.0)), dtype=np.float64)
