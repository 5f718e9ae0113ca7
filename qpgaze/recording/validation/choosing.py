"""Find the monitor that somebody chose in QuPath's window, and remember it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from qpgaze.errors import QpgazeError, UsageError
from qpgaze.recording.validation.monitors import SAME_PX, ChosenMonitor, Monitor
from qpgaze.recording.validation.screens import list_monitors
from qpgaze.recording.validation.settings import load_settings, save_settings
from qpgaze.viewing import Rect

_SAME_SCALE = 0.01

ListMonitors = Callable[["float | None"], Sequence[Monitor]]


def choose_as_seen(
    bounds_screen_px: Rect,
    scale: float,
    *,
    size_mm: tuple[float, float] | None = None,
    folder: Path | None = None,
    monitors: ListMonitors = list_monitors,
) -> ChosenMonitor:
    """Remember the monitor that has these bounds in QuPath's (JavaFX's) logical pixels.

    Parameters
    ----------
    bounds_screen_px : Rect
    scale : float
        Physical pixels per logical pixel, as QuPath says.
    size_mm : (width, height), optional
        Of the lit area, where the monitor does not say.
    folder : Path, optional
        Of the settings.
    monitors : callable
        Lists the system's monitors for a scale (None: the system's own).

    Returns
    -------
    ChosenMonitor
        As it was stored; its scale counts as a person's word where the system's is another.

    Raises
    ------
    UsageError
        If the system has no such monitor, or nobody knows how large it is.

    Notes
    -----
    Where the system's monitors cannot be listed, QuPath's word is taken: it draws the slide.
    """
    number, monitor, by_hand = _find(bounds_screen_px, scale, monitors)
    chosen = ChosenMonitor.of(monitor, number, size_mm, by_hand)
    settings = load_settings(folder)
    if chosen != settings.monitor:
        save_settings(replace(settings, monitor=chosen), folder)
    return chosen


def _find(bounds: Rect, scale: float, monitors: ListMonitors) -> tuple[int, Monitor, bool]:
    known: Sequence[Monitor] = ()
    for by_hand in (False, True):
        try:
            known = monitors(scale if by_hand else None)
        except QpgazeError:
            physical = Rect(*(v * scale for v in (bounds.x, bounds.y, bounds.width, bounds.height)))
            return 1, Monitor("QuPath's", physical, scale, bounds_screen_px=bounds), True
        for number, monitor in enumerate(known, 1):
            alike = _alike(monitor.logical, bounds) and abs(monitor.scale - scale) < _SAME_SCALE
            if alike:
                return number, monitor, by_hand
    listed = "; ".join(m.describe(n) for n, m in enumerate(known, 1)) or "none"
    raise UsageError(
        f"There is no monitor of {bounds.width:g} x {bounds.height:g} logical px at {bounds.x:g}, "
        f"{bounds.y:g} ({scale:.0%}). There are: {listed}.",
        hint="Choose it with 'qpgaze validate-gaze --monitor ask'.",
    )


def _alike(a: Rect, b: Rect) -> bool:
    pairs = ((a.x, b.x), (a.y, b.y), (a.width, b.width), (a.height, b.height))
    return all(abs(p - q) < SAME_PX for p, q in pairs)
