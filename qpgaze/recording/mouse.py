"""QuPath's cursor as gaze, for practice and demonstrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import qpgaze
from qpgaze.errors import FormatError, SourceError, WireError
from qpgaze.frames import ViewerClock
from qpgaze.recording.clocks import BURST, INTERVAL_US, SETTLING_US, ClockTracker, compare
from qpgaze.recording.gaze_clock import records_of
from qpgaze.recording.live import LiveSetup, no_gaze, poll_all
from qpgaze.recording.protocol import Batch
from qpgaze.samples import GAZE_COLUMNS, Column
from qpgaze.session import SessionHeader
from qpgaze.viewing import Display, ViewerState
from qpgaze.viewing_json import viewer_state_from_json
from qpgaze.wire import WireClient, connect
from qpgaze.wire.channel import now_us

RATE_HZ: Final = 60.0
"""Between two changes of the view or the cursor, the cursor rests."""
MM_PER_PX: Final = 0.2646
"""Of a monitor that nobody measured: 96 dots an inch."""
FIRST_VIEW_S: Final = 5.0

Connect = Callable[[], WireClient]


class MouseSource:
    """QuPath's cursor as gaze, by a connection of its own. The views themselves are not its part.

    Parameters
    ----------
    setup : LiveSetup
        Without a display, the monitor of the first viewer is taken.
    connect : callable, optional
        Connects, or raises WireError; to the newest QuPath of this user where not given.
    first_view_s : float
        How long the start may wait for a viewer, where no display was chosen.
    """

    columns: tuple[Column, ...] = GAZE_COLUMNS
    duration_us: int | None = None

    def __init__(
        self,
        setup: LiveSetup,
        connect: Connect | None = None,
        *,
        first_view_s: float = FIRST_VIEW_S,
    ) -> None:
        self._setup, self._connect = setup, connect or _connect
        self._first_view_s = first_view_s
        self._display = setup.display
        self._client: WireClient | None = None
        self._clock: ClockTracker[ViewerClock] | None = None
        self._compare_at_us = 0
        self._held: list[ViewerState] = []
        self._present: ViewerState | None = None
        self._next_us = 0
        self.ended: str | None = None

    def start(self) -> SessionHeader:
        """Connect to QuPath.

        Raises
        ------
        SourceError
            If none runs, or no viewer tells its monitor where none was chosen.
        """
        zero = self._setup.zero.begin()
        self.ended, self._present = None, None
        self._clock = ClockTracker(ViewerClock, zero, SETTLING_US)
        try:
            self._client = self._connect()
            self._compare(self._client)
            self._client.subscribe(viewer=True)
        except WireError as error:
            self.stop()
            raise SourceError(error.message, hint=error.hint) from error
        self._held = []
        self._find_display(self._client)
        self._next_us = self._setup.zero.now_us()
        return self._setup.header(
            "QuPath's cursor",
            self._display or self._setup.require_display(),
            rate_hz=RATE_HZ,
            extra={"source": "mouse"},
        )

    def poll(self, wait_s: float = 0.0) -> Batch:
        """Return the cursor at every tick since the last call."""
        client = self._client
        if client is None:
            return Batch(self._setup.zero.now_us(), no_gaze())
        gone = client.ended
        states = self._states(client, wait_s)
        end_us = self._setup.zero.now_us()
        if gone is not None:
            self.ended = self.ended or f"QuPath is gone: {gone}"
        elif now_us() >= self._compare_at_us:
            try:
                self._compare(client)
            except WireError as error:
                if client.ended is None:  # busy: the relation so far holds a little longer
                    self._compare_at_us = now_us() + INTERVAL_US
                else:
                    self.ended = self.ended or str(error)
        return Batch(end_us, self._gaze(states, end_us))

    def batches(self) -> Iterator[Batch]:
        """Yield what comes until QuPath is gone or the source is stopped."""
        return poll_all(self)

    def stop(self) -> None:
        """Leave QuPath."""
        self.ended = self.ended or "stopped"
        client, self._client = self._client, None
        if client is not None:
            client.close()

    # -- within ------------------------------------------------------------------------------

    def _compare(self, client: WireClient) -> None:
        pause_us = INTERVAL_US
        if self._clock is not None:
            self._clock.add(compare([client.ping() for _ in range(BURST)]))
            pause_us = self._clock.pause_us
        self._compare_at_us = now_us() + pause_us

    def _states(self, client: WireClient, wait_s: float) -> list[ViewerState]:
        """Return the views that came, on the session clock, in time order."""
        states, self._held = self._held, []
        for line in client.take(0.0 if states else wait_s):
            if line.message["type"] != "viewer" or self._clock is None:
                continue
            try:
                state = viewer_state_from_json(line.message["state"])
            except FormatError:  # the feed that records the views says so
                continue
            t_us = int(self._clock.to_session(state.t_us))
            states.append(replace(state, t_us=t_us))
        return sorted(states, key=lambda state: state.t_us)

    def _find_display(self, client: WireClient) -> None:
        until = now_us() + round(self._first_view_s * 1e6)
        while self._display is None:
            came = self._states(client, 0.1)
            self._display = next((d for d in map(_screen_of, came) if d), None)
            self._held = came
            if now_us() > until:
                self.stop()
                raise SourceError(
                    "No viewer of QuPath says on which monitor it lies.",
                    hint="Open an image in QuPath, or choose the monitor.",
                )

    def _gaze(self, states: Sequence[ViewerState], end_us: int) -> npt.NDArray[np.void]:
        ticks = np.arange(self._next_us, end_us, round(1e6 / RATE_HZ), dtype=np.int64)
        xy = np.full((len(ticks), 2), np.nan)
        starts = np.searchsorted(ticks, [s.t_us for s in states], side="left").tolist()
        places = [0, *starts, len(ticks)]
        for number, (first, last) in enumerate(pairwise(places)):
            if number:
                self._remember(states[number - 1])
            xy[first:last] = self._cursor()
        if not len(ticks):
            return no_gaze()
        self._next_us = int(ticks[-1]) + round(1e6 / RATE_HZ)
        columns: dict[str, Any] = {
            f"{eye}_{axis}_adcs": xy[:, number]
            for eye in ("left", "right")
            for number, axis in enumerate("xy")
        }
        records = records_of(columns, len(ticks))
        records["t_us"] = ticks
        records["system_us"] = ticks + self._setup.zero.host_us
        return records

    def _remember(self, state: ViewerState) -> None:
        # A viewer without a cursor does not take it away from the one that has it.
        same = self._present is not None and state.viewer == self._present.viewer
        if state.cursor_viewer_px is not None or same:
            self._present = state

    def _cursor(self) -> tuple[float, float]:
        state, display = self._present, self._display
        if state is None or display is None or state.cursor_viewer_px is None:
            return np.nan, np.nan
        if state.bounds_screen_px is None or state.iconified or not state.shown:
            return np.nan, np.nan
        box, screen = state.bounds_screen_px, display.bounds_screen_px
        x, y = state.cursor_viewer_px
        return (box.x + x - screen.x) / screen.width, (box.y + y - screen.y) / screen.height


def _connect() -> WireClient:
    return connect(name="mouse", software=qpgaze.__version__)


def _screen_of(state: ViewerState) -> Display | None:
    """Return the monitor that a viewer lies on; its size in mm is assumed."""
    box = state.screen_bounds_px
    if box is None:
        return None
    return Display(box, box.width * MM_PER_PX, box.height * MM_PER_PX, scale=state.screen_scale)
