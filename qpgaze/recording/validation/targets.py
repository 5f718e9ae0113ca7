"""Where calibration and validation show their points."""

from __future__ import annotations

import random

from qpgaze.errors import UsageError

Target = tuple[float, float]
"""x and y, ADCS."""

CALIBRATION_MARGIN = 0.1
"""Outermost calibration points this far inside the screen's edge: the share that trackers' own
calibrations use."""

VALIDATION_MARGIN = 0.15
"""Further inside: on the very points that it was calibrated on a tracker does better than between
them."""


def target_layout(points: int, margin: float) -> tuple[Target, ...]:
    """Return the places of 5 or 9 points, row by row from the top left.

    Parameters
    ----------
    points : {5, 9}
    margin : float
        Share of the screen outside the outermost points, 0 to below 0.5.

    Returns
    -------
    tuple of (x, y)
        ADCS.

    Raises
    ------
    UsageError
        If there is no such layout.

    Examples
    --------
    >>> target_layout(5, 0.1)
    ((0.1, 0.1), (0.9, 0.1), (0.5, 0.5), (0.1, 0.9), (0.9, 0.9))
    """
    if points not in (5, 9):
        raise UsageError(f"Expected 5 or 9 points, but {points} came.")
    if not 0 <= margin < 0.5:
        raise UsageError(f"The margin lies in [0, 0.5), but {margin} came.")
    places = (margin, 0.5, 1 - margin)
    every = [(x, y) for y in places for x in places]
    return tuple(every if points == 9 else every[::2])


def shuffled(targets: tuple[Target, ...], seed: int) -> tuple[Target, ...]:
    """Return the targets in a random order, the same for the same seed.

    A reader who knows where the next point comes looks there before it is shown.
    """
    order = list(targets)
    # No secret hangs on it.
    random.Random(seed).shuffle(order)  # noqa: S311
    return tuple(order)
