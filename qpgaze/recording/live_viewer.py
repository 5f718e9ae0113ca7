"""The viewer's side of a recording: find QuPath, relate its clock, take what it streams."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import qpgaze
from qpgaze.errors import FormatError, UsageError, WireError
from qpgaze.frames import ViewerClock
from qpgaze.model import Event
from qpgaze.recording.clocks import BURST, SETTLING_US, ClockTracker, compare
from qpgaze.recording.live_choice import running_qupaths
from qpgaze.recording.live_feed import Came, Inbox
from qpgaze.recording.live_guard import gap
from qpgaze.recording.protocol import Batch
from qpgaze.samples import empty_records
from qpgaze.viewing import ImageIdentity, ViewerState
from qpgaze.viewing_json import image_from_json, viewer_state_from_json
from qpgaze.wire import Streamed, WireClient, connect, find_hooks
from qpgaze.wire.channel import now_us

log = logging.getLogger("qpgaze.recording")

LOOK_AGAIN_S: Final = 1.0
"""Pause between two looks for a QuPath: one small folder is read each time."""
TAKE_S: Final = 0.25
"""The stream wakes the thread at once; this only bounds how late it sees that it should end."""

STUCK_S: Final = 1.0
"""At the end a QuPath that answers nothing is waited for no longer."""

Connection = Literal["none", "waiting", "connected"]
Feature = Mapping[str, Any]
_NO_GAZE = empty_records(0)


class ViewerFeed:
    """Follows whichever QuPath runs, in a thread of its own.

    Parameters
    ----------
    inbox : Inbox
        Takes states, events and clock comparisons, on the session clock.
    origin_us : int
        Host clock when the session clock was 0.
    folders : tuple of Path, optional
        Where to look instead of the user's discovery folders.
    hook : Path, optional
        Discovery file of the QuPath to take while it runs, before any other.
    session_folder : Path, optional
        Of the session: the hook writes there what the viewers show should it lose us.
    on_control : callable, optional
        Called with what a person chose in QuPath's menu: ``stop``, ``pause``, ``resume``.
    on_images : callable, optional
        Called with the images that were opened since, on the feed's thread.
    """

    def __init__(
        self,
        inbox: Inbox,
        origin_us: int,
        *,
        folders: tuple[Path, ...] | None = None,
        hook: Path | None = None,
        session_folder: Path | None = None,
        on_control: Callable[[str], None] | None = None,
        on_images: Callable[[Collection[ImageIdentity]], None] | None = None,
    ) -> None:
        self._inbox, self._origin_us, self._folders = inbox, origin_us, folders
        self._hook = hook
        self._folder = None if session_folder is None else str(session_folder.resolve())
        self._on_control = on_control or (lambda _action: None)
        self._on_images = on_images or (lambda _images: None)
        self._stopping = threading.Event()
        self._wake_clock = threading.Event()
        self._client: WireClient | None = None
        self._keys: dict[ImageIdentity, str] = {}
        self._last: dict[str, ViewerState] = {}
        self._absent_since_us: int | None = 0
        self._said: str | None = None
        self._status: tuple[str, str, str] | None = None
        self._thread = threading.Thread(target=self._run, name="qpgaze-viewer", daemon=True)

    def start(self) -> None:
        """Begin to look for QuPath."""
        self._thread.start()

    def stop(self, text: str = "") -> None:
        """Say good-bye, and record since when no viewer was there."""
        client = self._client
        if client is not None and self._status is not None:
            self._send(lambda: self._show(client, ("ended", text, self._status_session())))
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(STUCK_S)
            if client is not None and self._thread.is_alive():  # it waits for a stuck QuPath
                client.close()
            self._thread.join(10.0)
        if self._absent_since_us is not None:
            self._put((), [gap(self._absent_since_us, self._now(), "viewer", "no QuPath")])
            self._absent_since_us = None

    @property
    def connection(self) -> Connection:
        """Whether a QuPath is there."""
        return "waiting" if self._client is None else "connected"

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the open images."""
        return tuple(image.name for image in self._keys)

    def compare_soon(self) -> None:
        """Have the clocks compared at once: the computer woke, say."""
        self._wake_clock.set()

    # -- what is shown in QuPath; nothing waits ------------------------------------------------

    def show_labels(
        self, image: ImageIdentity, labels: Sequence[Feature], remove: Collection[Any] = ()
    ) -> bool:
        """Show provisional labels over an image; False where it is not open."""
        client, key = self._client, self._keys.get(image)
        if client is None or key is None:
            return False
        return self._send(lambda: client.show_labels(key, labels, remove=remove))

    def show_gaze(
        self, viewer: str, point_image_px: tuple[float, float] | None, radius_image_px: float
    ) -> bool:
        """Show where the eye is; False where no QuPath is there."""
        client = self._client
        if client is None:
            return False
        return self._send(
            lambda: client.show_gaze(viewer, point_image_px, radius_image_px=radius_image_px)
        )

    def show_status(self, state: str, text: str, session: str) -> None:
        """Say how the recording fares, for QuPath's status line; the same twice is said once."""
        client, before = self._client, self._status
        self._status = (state, text, session)
        if client is not None and before != self._status:
            self._send(lambda: self._show(client, (state, text, session)))

    def _show(self, client: WireClient, status: tuple[str, str, str | None]) -> None:
        client.show_status(*status, session_folder=self._folder)

    def _status_session(self) -> str | None:
        return None if self._status is None else self._status[2]

    def _send(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except WireError as error:  # it ended just now; the feed's thread says so
            log.info("Nothing could be shown in QuPath: %s", error)
            return False
        return True

    # -- the thread ----------------------------------------------------------------------------

    def _now(self) -> int:
        return now_us() - self._origin_us

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                client = self._connect()
            except WireError as error:
                self._trouble(error)
                self._stopping.wait(LOOK_AGAIN_S)
                continue
            why = "the connection ended"
            try:
                with client:
                    why = self._follow(client)
            except WireError as error:
                why = str(error)
            except Exception as error:  # whatever a hook sends, gaze goes on
                log.exception("The viewer's feed failed.")
                why = f"{type(error).__name__}: {error}"
            self._client = None
            if not self._stopping.is_set():
                self._lost(why)
                self._stopping.wait(LOOK_AGAIN_S)

    def _connect(self) -> WireClient:
        hook = self._hook if self._hook is not None and self._hook.exists() else None
        if hook is None and len(find_hooks(self._folders).hooks) > 1:
            running = running_qupaths(self._folders)
            if len(running) > 1:  # one of them at random would put gaze on the wrong slide
                pids = ", ".join(str(one.hook.pid) for one in running)
                text = f"Several QuPaths run ({pids}); none is recorded until one is left."
                raise WireError(text, code="several")
        return connect(hook, name="recorder", software=qpgaze.__version__, folders=self._folders)

    def _trouble(self, error: WireError) -> None:
        """Say once what keeps us from QuPath; that none runs is no trouble."""
        text = str(error)
        if error.code == "gone" or text == self._said:
            return
        self._said = text
        self._put((), [Event(self._now(), "note", {"text": text})])

    def _follow(self, client: WireClient) -> str:
        tracker = ClockTracker(ViewerClock, self._origin_us, SETTLING_US)
        self._compare(client, tracker)
        compared_us = now_us()
        self._keys = {}
        self._client = client
        client.subscribe(viewer=True, events=True, images=True)
        if self._status is not None:
            self._show(client, self._status)
        hook = client.hook
        named = f" {hook.qupath}" if hook.qupath else ""
        events = [Event(self._now(), "note", {"text": f"QuPath{named} is connected."})]
        if self._absent_since_us is not None:
            events.append(gap(self._absent_since_us, self._now(), "viewer", "no QuPath"))
        self._absent_since_us, self._said = None, None
        since_us = self._now()
        self._put((), events)
        losses = _Losses(client)
        try:
            while not self._stopping.is_set() and client.ended is None:
                self._take(client.take(TAKE_S), tracker, since_us)
                self._put((), losses.notes(self._now()))
                if now_us() - compared_us >= tracker.pause_us or self._wake_clock.is_set():
                    self._wake_clock.clear()
                    self._compare(client, tracker)
                    compared_us = now_us()
        finally:  # what came before a QuPath that answers no more is taken all the same
            self._take(client.take(), tracker, since_us)
            self._put((), losses.notes(self._now()))
        return client.ended or ""

    def _compare(self, client: WireClient, tracker: ClockTracker[ViewerClock]) -> None:
        trips = [client.ping() for _ in range(BURST)]
        steps = tracker.steps
        try:
            relation = tracker.add(compare(trips))
        except UsageError as error:
            log.warning("The viewer's clock could not be compared: %s", error)
            return
        events = []
        if tracker.steps > steps:
            events = [Event(self._now(), "note", {"text": "The viewer's clock jumped."})]
        batch = Batch(self._now(), _NO_GAZE, (), tuple(events), (relation,))
        self._inbox.put_views(Came(batch, now_us()))

    def _take(
        self, streamed: Sequence[Streamed], tracker: ClockTracker[ViewerClock], since_us: int
    ) -> None:
        states: list[ViewerState] = []
        events: list[Event] = []
        arrived_us = 0
        for item in streamed:
            message, kind = item.message, item.message["type"]
            if kind == "viewer":
                state = self._state(message["state"], tracker, since_us)
                if state is not None:
                    states.append(state)
                    arrived_us = arrived_us or item.arrived_us
            elif kind == "event":
                said = message["event"]
                t_us = tracker.one_to_session(int(said["t_us"]))
                events.append(Event(max(t_us, 0), said["kind"], said.get("data", {})))
                arrived_us = arrived_us or item.arrived_us
            elif kind == "images":
                self._images(message["images"])
            elif kind == "control":
                self._on_control(message["action"])
        if states or events:
            self._put(states, events, arrived_us)

    def _state(
        self, value: Mapping[str, Any], tracker: ClockTracker[ViewerClock], since_us: int
    ) -> ViewerState | None:
        """Read a state, on the session clock and never before what its viewer showed last."""
        try:
            state = viewer_state_from_json(dict(value))
        except FormatError as error:
            log.warning("A viewer state was left out: %s", error)
            return None
        last = self._last.get(state.viewer)
        # Its present state may be older than our connection: before it nobody knows.
        earliest_us = since_us if last is None else max(since_us, last.t_us)
        t_us = max(tracker.one_to_session(state.t_us), earliest_us, 0)
        state = self._last[state.viewer] = replace(state, t_us=t_us)
        return state

    def _images(self, opened: Sequence[Mapping[str, Any]]) -> None:
        keys: dict[ImageIdentity, str] = {}
        for one in opened:
            try:
                keys[image_from_json(one["image"])] = one["key"]
            except FormatError as error:
                log.warning("An open image was left out: %s", error)
        new = [image for image, key in keys.items() if self._keys.get(image) != key]
        self._keys = keys
        if new:
            self._on_images(new)

    def _lost(self, why: str) -> None:
        """Let no gaze fall on a view that nobody sees any more."""
        at_us = self._now()
        self._absent_since_us = at_us
        gone = [
            replace(
                state, t_us=max(at_us, state.t_us), image=None, corners_image_px=None,
                downsample=1.0, bounds_screen_px=None, shown=False, focused=False,
                cursor_viewer_px=None, covers=(), read_us=None, painted_us=None, extra={},
            )
            for state in self._last.values()
        ]  # fmt: skip
        self._last = {state.viewer: state for state in gone}
        self._keys = {}
        text = f"QuPath is gone: {why}."
        self._put(gone, [Event(at_us, "note", {"text": text})])

    def _put(
        self, states: Sequence[ViewerState], events: Sequence[Event], arrived_us: int = 0
    ) -> None:
        if not states and not events:
            return
        batch = Batch(self._now(), _NO_GAZE, tuple(states), tuple(events))
        self._inbox.put_views(Came(batch, arrived_us or now_us()))


class _Losses:
    """Says what one connection lost, whenever it is more than before."""

    def __init__(self, client: WireClient) -> None:
        self._client, self._told = client, (0, 0)

    def notes(self, t_us: int) -> list[Event]:
        """Return a note for each direction that lost something new."""
        client = self._client
        now = (client.dropped_there + client.dropped_here, client.dropped_out)
        before, self._told = self._told, now
        words = (
            ("dropped", "QuPath's stream lost lines: {} so far."),
            ("dropped_out", "QuPath takes nothing: {} lines for it were thrown away so far."),
        )
        return [
            Event(t_us, "note", {"text": text.format(count), name: count})
            for (name, text), count, told in zip(words, now, before, strict=True)
            if count != told
        ]
