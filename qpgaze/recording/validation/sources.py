"""Where gaze comes from while targets are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qpgaze.errors import UsageError
from qpgaze.recording.protocol import Source
from qpgaze.recording.validation.simulated_eyes import SimulatedEyes
from qpgaze.recording.validation.targets import Target
from qpgaze.simulate.tracker import ScreenPlane
from qpgaze.viewing import Display


def open_for_targets(
    spec: str, display: Display, *, channels: tuple[str, ...] = (), python: str | None = None
) -> tuple[Source, Callable[[Target], None] | None]:
    """Open a source of gaze for a validation.

    Parameters
    ----------
    spec : str
        ``simulated`` or ``simulated:SEED``: eyes that look at the targets with a known error.
        Otherwise as for :func:`qpgaze.recording.opening.open_source`.
    display : Display
    channels : tuple of str
        What the channels of an LSL stream hold, in order, where it does not say so itself.
    python : str, optional
        The Python that has the tracker's library; else this one.

    Returns
    -------
    source : Source
    look_at : callable or None
        Tells simulated eyes where to look; None for a tracker.

    Raises
    ------
    UsageError
        If there is no such source.
    """
    from qpgaze.recording.live import LiveSetup
    from qpgaze.recording.opening import open_source

    kind, _, seed = spec.partition(":")
    if kind == "simulated":
        if seed and not (seed.isascii() and seed.isdigit()):
            raise UsageError(f"Expected simulated[:SEED], but the seed '{seed}' is no number.")
        eyes = SimulatedEyes(upright(display), seed=int(seed or 0))
        return eyes, eyes.look_at
    if spec.strip().lower() == "mouse":
        raise UsageError("A mouse points where it points: there is nothing to measure.")
    # What QuPath shows is of no interest while the targets cover it.
    setup = LiveSetup(display=display, channels=channels, python=python)
    return open_source(spec, setup, gaze_only=True), None


def upright(display: Display) -> Display:
    """Return the display with corners in a tracker's frame: upright, the tracker at its foot.

    Examples
    --------
    >>> from qpgaze.viewing import Rect
    >>> upright(Display(Rect(0, 0, 1920, 1080), 528.0, 297.0)).corners_ucs_mm[0]
    (-264.0, 297.0, 0.0)
    """
    if display.corners_ucs_mm is not None:
        return display
    plane = ScreenPlane.of(display)
    corners = (plane.origin, plane.origin + plane.right, plane.origin + plane.down)
    return replace(
        display, corners_ucs_mm=tuple((float(x), float(y), float(z)) for x, y, z in corners)
    )
