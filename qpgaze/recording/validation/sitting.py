"""One sitting before the screen: find the monitor, show the window, return what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from qpgaze.errors import SessionError, UsageError
from qpgaze.recording.protocol import Source
from qpgaze.recording.validation.calibration import CalibrationRun, require_success
from qpgaze.recording.validation.feed import Feed
from qpgaze.recording.validation.monitors import ChosenMonitor, Monitor
from qpgaze.recording.validation.procedure import ValidationRun
from qpgaze.recording.validation.protocol import CalibrationOutcome, Calibrator
from qpgaze.recording.validation.result import ValidationResult
from qpgaze.recording.validation.settings import LastValidation, load_settings, save_settings
from qpgaze.recording.validation.stage import Stage
from qpgaze.recording.validation.targets import (
    CALIBRATION_MARGIN,
    VALIDATION_MARGIN,
    Target,
    target_layout,
)
from qpgaze.viewing import Display

if TYPE_CHECKING:
    import tkinter

ASK = 0
"""As a monitor's number: show the numbers and ask, whatever was chosen before."""


@dataclass(frozen=True)
class MonitorWish:
    """Which monitor a person wants to use.

    Parameters
    ----------
    number : int or None
        As shown on it, from 1; :data:`ASK`: ask. None: the one chosen before, while it is still
        there; the only one; else ask.
    size_mm : (width, height) or None
        Of the lit area, where the monitor's own word is missing or wrong.
    scale : float or None
        Physical pixels per logical pixel in QuPath, where the system's word is another.
    """

    number: int | None = None
    size_mm: tuple[float, float] | None = None
    scale: float | None = None


def pick_monitor(
    monitors: Sequence[Monitor],
    remembered: ChosenMonitor | None,
    wish: MonitorWish,
    ask: Callable[[Sequence[Monitor]], Monitor | None],
) -> tuple[ChosenMonitor, Monitor]:
    """Tell which monitor carries the tracker.

    Parameters
    ----------
    monitors : sequence of Monitor
        As they are now.
    remembered : ChosenMonitor or None
        From the settings.
    wish : MonitorWish
    ask : callable
        Shows the numbers; returns None where the person cancelled.

    Raises
    ------
    UsageError
        If there is no such number, or nobody knows how large the monitor is.
    SessionError
        If the person cancelled.
    """
    if wish.number is None and remembered is not None:
        now = remembered.among(monitors)
        if now is not None:
            if wish.size_mm is None:
                return remembered, now
            by_hand = remembered.scale_by_hand
            return ChosenMonitor.of(now, remembered.number, wish.size_mm, by_hand), now
    if wish.number:
        if not 1 <= wish.number <= len(monitors):
            known = "; ".join(m.describe(n) for n, m in enumerate(monitors, 1))
            raise UsageError(f"There is no monitor {wish.number}. There are: {known}.")
        chosen: Monitor | None = monitors[wish.number - 1]
    elif wish.number is None and remembered is None and len(monitors) == 1:
        chosen = monitors[0]
    else:
        chosen = ask(monitors)
    if chosen is None:
        raise SessionError("No monitor was chosen; nothing was changed.")
    number = list(monitors).index(chosen) + 1
    return ChosenMonitor.of(chosen, number, wish.size_mm, wish.scale is not None), chosen


def _find_monitor(
    root: tkinter.Tk, wish: MonitorWish, folder: Path | None
) -> tuple[ChosenMonitor, Monitor]:
    """Pick the monitor and remember it."""
    from qpgaze.recording.validation.screens import list_monitors
    from qpgaze.recording.validation.window import choose_monitor

    settings = load_settings(folder)
    before = settings.monitor
    if wish.scale is None and before is not None:
        wish = replace(wish, scale=before.forced_scale)
    picked, monitor = pick_monitor(
        list_monitors(wish.scale),
        settings.monitor,
        wish,
        lambda monitors: choose_monitor(root, monitors),
    )
    if picked != settings.monitor:
        save_settings(replace(settings, monitor=picked), folder)
    return picked, monitor


OpenSource = Callable[[Display], tuple[Source, "Callable[[Target], None] | None"]]
"""Opens the source of gaze for a display; simulated eyes are told where to look."""


def validate_on_screen(
    open_source: OpenSource,
    *,
    points: int,
    seed: int,
    wish: MonitorWish,
    note: str = "",
    remember: bool = True,
    folder: Path | None = None,
) -> tuple[ValidationResult, LastValidation]:
    """Show targets, measure gaze on them, and remember the result.

    Parameters
    ----------
    open_source : callable
    points : {5, 9}
    seed : int
        Fixes the order of the targets.
    wish : MonitorWish
    note : str
        A line for the first screen.
    remember : bool
        False for practice: what simulated eyes did says nothing of a tracker.
    folder : Path, optional
        Of the settings.

    Raises
    ------
    QpgazeError
        If there is no window, the source fails, or the reader cancelled.
    """
    from qpgaze.recording.validation.window import StageWindow, open_toolkit, toolkit_bounds

    targets = target_layout(points, VALIDATION_MARGIN)
    root = open_toolkit()
    try:
        picked, monitor = _find_monitor(root, wish, folder)
        source, look_at = open_source(picked.display())
        feed = Feed(source)
        header = feed.start()
        try:
            display = picked.display(header.display)
            run = ValidationRun(targets, display, seed=seed, tracker=header.tracker)
            box = toolkit_bounds(monitor)
            StageWindow(root, Stage(run, note), box, feed=feed, look_at=look_at).show()
        finally:
            feed.stop()
    finally:
        root.destroy()
    result = run.result()
    last = LastValidation(datetime.now(timezone.utc).replace(microsecond=0), result.to_json())
    if remember:
        save_settings(replace(load_settings(folder), validation=last), folder)
    return result, last


def calibrate_on_screen(
    calibrator: Calibrator,
    *,
    points: int,
    seed: int,
    wish: MonitorWish,
    note: str = "",
    folder: Path | None = None,
) -> tuple[CalibrationOutcome, CalibrationRun]:
    """Show targets and have the tracker calibrate on them.

    Raises
    ------
    QpgazeError
        If there is no window, the calibration fails, or the reader cancelled.
    """
    from qpgaze.recording.validation.window import StageWindow, open_toolkit, toolkit_bounds

    targets = target_layout(points, CALIBRATION_MARGIN)
    root = open_toolkit()
    # One thread: the tracker's calls come one after another, and none stops the picture.
    with ThreadPoolExecutor(1, thread_name_prefix="calibration") as pool:
        try:
            _, monitor = _find_monitor(root, wish, folder)
            run = CalibrationRun(targets, calibrator, submit=pool.submit, seed=seed)
            try:
                StageWindow(root, Stage(run, note), toolkit_bounds(monitor)).show()
            finally:
                run.cancel()
                run.wait_until_left()
        finally:
            root.destroy()
    return require_success(run), run
