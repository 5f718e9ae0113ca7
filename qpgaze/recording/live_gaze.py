"""Where the eye is now, shown over the slide in QuPath while a person wishes it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from qpgaze.gaze import eye_positions, map_samples, screen_px_per_degree
from qpgaze.model import Event
from qpgaze.recording.protocol import Batch
from qpgaze.samples import GazeSamples
from qpgaze.session import SessionHeader
from qpgaze.session.reader import ASSUMED_ACCURACY_DEG
from qpgaze.viewing import ViewerState

log = logging.getLogger("qpgaze.recording")

PERIOD_S: Final = 0.05
"""Twenty times a second: the eye itself moves on four times a second."""
SAMPLES: Final = 12
"""The dot is their median place: a tenth of a second at 120 Hz, and no jitter."""

Show = Callable[[str, "tuple[float, float] | None", float], object]


@dataclass(frozen=True)
class GazePlace:
    """Where the eye is on the slide of a viewer.

    Parameters
    ----------
    viewer : str
    point_image_px : (x, y) or None
        None: on no slide.
    radius_image_px : float
        The tracker's accuracy there.
    """

    viewer: str
    point_image_px: tuple[float, float] | None
    radius_image_px: float = 0.0


def gaze_place(
    gaze: GazeSamples,
    states: Sequence[ViewerState],
    header: SessionHeader,
    accuracy_deg: float,
) -> GazePlace | None:
    """Tell where the eye is, from its last samples; None where it is on no slide.

    Parameters
    ----------
    gaze : GazeSamples
        The last few, in time order.
    states : sequence of ViewerState
        In force then, in time order.
    header : SessionHeader
        Names the display that carries the tracker.
    accuracy_deg : float
        Of the tracker.
    """
    mapped = map_samples(gaze, states, header.display)
    hit = np.flatnonzero(mapped.state >= 0)
    hit = hit[np.isfinite(mapped.image.xy[hit]).all(axis=1)]
    if not len(hit):
        return None
    state = int(mapped.state[hit[-1]])
    same = hit[mapped.state[hit] == state]
    x, y = np.median(mapped.image.xy[same], axis=0)
    eyes = eye_positions(gaze, header.display)
    per_degree = screen_px_per_degree(header.display, eyes.z_mm[hit[-1:]])[0]
    radius = accuracy_deg * float(per_degree) * float(mapped.downsample[hit[-1]])
    return GazePlace(states[state].viewer, (float(x), float(y)), radius)


class GazeDot:
    """Shows the eye a few times a second, on a thread of its own and only while that is wished.

    Parameters
    ----------
    header : SessionHeader
    show : callable
        Takes viewer, point (None: nothing) and radius.
    """

    def __init__(self, header: SessionHeader, show: Show) -> None:
        self._header, self._show = header, show
        self._accuracy_deg = ASSUMED_ACCURACY_DEG
        self._lock = threading.Lock()
        self._gaze: npt.NDArray[np.void] | None = None
        self._states: dict[str, ViewerState] = {}
        self._last: GazePlace | None = None
        self._wanted, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="qpgaze-dot", daemon=True)

    def start(self) -> None:
        """Begin; nothing is shown before :meth:`wish`."""
        self._thread.start()

    def wish(self, shown: bool) -> None:
        """Show it from now on, or no more."""
        if shown:
            self._wanted.set()
        else:
            self._wanted.clear()

    def put(self, batch: Batch) -> None:
        """Take note of what came. Never waits long: a few records are kept."""
        with self._lock:
            if len(batch.gaze):
                self._gaze = batch.gaze[-SAMPLES:]
            for state in batch.viewer:
                self._states[state.viewer] = state
        self._measure(batch.events)

    def stop(self) -> None:
        """Show nothing any more."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def _measure(self, events: Sequence[Event]) -> None:
        for event in events:
            accuracy = event.data.get("accuracy_deg") if event.kind == "validation" else None
            if isinstance(accuracy, (int, float)) and accuracy > 0:
                self._accuracy_deg = float(accuracy)

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            if not self._wanted.is_set():
                self._hide()
                self._wanted.wait()
                continue
            with self._lock:
                gaze, self._gaze = self._gaze, None
                states = sorted(self._states.values(), key=lambda s: s.t_us)
            if gaze is None or not states:
                continue
            try:
                self._move(gaze, states)
            except Exception as error:  # a dot is worth no recording
                log.warning("The gaze can no longer be shown: %s", error)
                return
        self._hide()

    def _move(self, gaze: npt.NDArray[np.void], states: Sequence[ViewerState]) -> None:
        since = max(state.t_us for state in states)
        # A view that came a moment after its gaze would find none: it is what is shown now.
        gaze = gaze.copy()
        gaze["t_us"] = np.maximum(gaze["t_us"], since)
        place = gaze_place(GazeSamples(gaze), states, self._header, self._accuracy_deg)
        if place is None:
            self._hide()
            return
        if self._last is not None and self._last.viewer != place.viewer:
            self._hide()
        self._last = place
        self._show(place.viewer, place.point_image_px, place.radius_image_px)

    def _hide(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            self._show(last.viewer, None, 0.0)
