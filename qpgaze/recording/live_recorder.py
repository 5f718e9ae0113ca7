"""The live recorder: one source of gaze and QuPath's viewers, on one clock, safe on disk."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from qpgaze.errors import QpgazeError, SessionError
from qpgaze.frames import ViewerClock
from qpgaze.model import Event
from qpgaze.recording.live import no_gaze, of_the_tracker
from qpgaze.recording.live_audit import SyncAudit
from qpgaze.recording.live_display import DisplayWatch
from qpgaze.recording.live_feed import Came, Inbox, SourceFeed
from qpgaze.recording.live_gaze import GazeDot
from qpgaze.recording.live_guard import GazeGuard, gap
from qpgaze.recording.live_labels import LabelThread
from qpgaze.recording.live_lock import session_lock
from qpgaze.recording.live_terms import Outcome, Recording, Told
from qpgaze.recording.live_viewer import ViewerFeed
from qpgaze.recording.protocol import Batch
from qpgaze.recording.recovery import recover_session
from qpgaze.recording.status import Status, Tally, trouble_of
from qpgaze.recording.watch import SleepWatch, disk_state, waking_us
from qpgaze.recording.watch_end import Ending
from qpgaze.session import SessionHeader, SessionWriter
from qpgaze.session.layout import HOOK_FILE
from qpgaze.viewing import ImageIdentity
from qpgaze.wire.channel import now_us

__all__ = ["Outcome", "Recording", "Told", "record_live"]

log = logging.getLogger("qpgaze.recording")

FLUSH_S: Final = 0.4
"""The system is told to put everything on the disk this often: more than twice a second."""
TICK_US: Final = 500_000
WAIT_S: Final = 0.1
KEYFRAME_US: Final = 1_000_000
"""What the hook of this version promises, where no viewer was there at the start."""


def record_live(
    recording: Recording,
    folder: Path | str,
    *,
    ending: Ending | None = None,
    told: Told | None = None,
) -> Outcome:
    """Record until the source ends or somebody wants it to end; then close the session.

    Parameters
    ----------
    recording : Recording
    folder : path
        The new session ``NAME.qpgaze``; it must not exist, or be empty.
    ending : Ending, optional
        Says when to end. Ctrl-C ends it, too.
    told : Told, optional

    Raises
    ------
    SessionError
        If it cannot begin, another recorder has the session, or the disk fails: what came until
        then stays, readable and 'not closed'.
    """
    folder = Path(folder)
    with session_lock(folder):
        outcome = _Recorder(recording, folder, ending or Ending(), told or Told()).run()
    if (folder / HOOK_FILE).is_file():
        merged = recover_session(folder)
        return replace(outcome, viewer_states=merged.viewer_states, events=merged.events)
    return outcome


class _Syncer:
    """Has the disk hold everything, on a thread of its own: gaze never waits for the disk."""

    def __init__(self, writer: SessionWriter) -> None:
        self._writer = writer
        self._stopping = threading.Event()
        self.error: SessionError | None = None
        self._thread = threading.Thread(target=self._run, name="qpgaze-sync", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_S):
            try:
                self._writer.flush()
            except SessionError as error:
                self.error = error
                return


class _Recorder:
    """One recording. Everything is written on the thread that calls :meth:`run`."""

    def __init__(self, recording: Recording, folder: Path, ending: Ending, told: Told) -> None:
        self.what, self.folder, self.ending, self.told = recording, folder, ending, told
        self.inbox = Inbox()
        self.feed = SourceFeed(recording.source, recording.zero, restart=recording.restart)
        self.guard, self.tally, self.audit = GazeGuard(), Tally(), SyncAudit()
        self.sleep = SleepWatch()
        self.viewer: ViewerFeed | None = None
        self.display: DisplayWatch
        self.labels: LabelThread | None = None
        self.dot: GazeDot | None = None
        self.states = self.events = 0
        self.session = ""
        self.paused_us: int | None = None
        self.wanted: list[str] = []
        self.ticked_us = 0
        self.free_bytes = 0

    def run(self) -> Outcome:
        header = self._begin()
        try:
            with SessionWriter.create(self.folder, header, self.feed.columns) as writer:
                self.writer = writer
                with ExitStack() as stack:
                    # Whatever happens below: nobody flushes files that are being closed.
                    self.syncer = _Syncer(writer)
                    stack.callback(self.syncer.stop)
                    reason = self._record(header)
                    audit = self._finish(reason)
        finally:
            self._let_go()
        failed = self.feed.failed
        return Outcome(
            self.folder, reason, failed, self.tally.samples, self.states, self.events, audit
        )

    # -- begin ---------------------------------------------------------------------------------

    def _begin(self) -> SessionHeader:
        try:
            header = self.feed.start()
        except QpgazeError:
            self.feed.stop()
            raise
        except Exception as error:
            self.feed.stop()
            why = str(error) or type(error).__name__
            raise SessionError(f"The source of gaze cannot begin: {why}") from error
        if self.what.pseudonym is not None:
            header = replace(header, pseudonym=self.what.pseudonym)
        if self.what.display is not None:
            header = replace(header, display=self.what.display)
        if header.viewer_keyframe_us is None and self.what.viewer:
            header = replace(header, viewer_keyframe_us=KEYFRAME_US)
        self.session = str(header.id)
        self.display = DisplayWatch(header.display)
        return header

    def _record(self, header: SessionHeader) -> str:
        if self.what.viewer:
            self.viewer = ViewerFeed(
                self.inbox,
                self.feed.origin_us,
                folders=self.what.hooks,
                hook=self.what.hook,
                session_folder=self.folder,
                on_control=self.wanted.append,
                on_images=self._opened,
            )
        if self.what.labels is not None:
            show = self.viewer.show_labels if self.viewer else (lambda *_: None)
            self.labels = LabelThread(self.what.labels(header), show, self.wanted.append)
            self.labels.start()
        if self.viewer is not None:
            self.dot = GazeDot(header, self.viewer.show_gaze)
            self.dot.start()
        known = Batch(0, no_gaze(self.feed.columns), (), self.what.events(header))
        self._write(Came(known, now_us()), True)
        if self.told.started is not None:
            self.told.started(self.folder, header)
        self.ending.on_end(self.inbox.wake)
        if self.viewer is not None:
            self.viewer.start()
        self.feed.run(self.inbox)
        try:
            return self._until_the_end()
        except KeyboardInterrupt:
            return "Ctrl-C"

    def _opened(self, images: Collection[ImageIdentity]) -> None:
        if self.labels is not None:
            self.labels.opened(images)

    # -- the loop ------------------------------------------------------------------------------

    def _until_the_end(self) -> str:
        while True:
            done = self.feed.ended  # asked before what came is taken: nothing can be left behind
            self._write_all(WAIT_S)
            if self.syncer.error is not None:
                raise self.syncer.error
            reason = self._tick() or self.ending.reason
            if reason is not None:
                return reason
            if done is not None:
                return done or "the source ended"

    def _write_all(self, wait_s: float) -> None:
        views, gaze = self.inbox.take(wait_s)
        for came in views:
            self._write(came, True)
        for came in gaze:
            self._write(came, False)

    def _write(self, came: Came, from_viewer: bool) -> None:
        """Write views first: a cut must not leave gaze without the view that it fell on."""
        batch, writer = came.batch, self.writer
        if self.what.gaze_only and not from_viewer:
            clocks = tuple(c for c in batch.clocks if c.source is not ViewerClock)
            batch = Batch(batch.end_us, batch.gaze, (), of_the_tracker(batch.events), clocks)
        arrived_us: int | None = came.arrived_us - self.feed.origin_us
        if not (from_viewer or self.feed.in_real_time):
            arrived_us = None
        for relation in batch.clocks:
            writer.append_clock(relation)
            self.audit.clock(relation)
        if batch.viewer:
            writer.append_viewer(batch.viewer)
            if from_viewer:
                batch = replace(batch, events=(*batch.events, *self.display.take(batch.viewer)))
            self.audit.views(batch.viewer, arrived_us)
            self.states += len(batch.viewer)
        gaze = batch.gaze
        found: list[Event] = []
        if len(gaze):
            gaze, found = self.guard.take(gaze, arrived_us)
            if self.paused_us is not None:
                gaze = gaze[:0]
        if len(gaze):
            writer.append_gaze(gaze)
            self.tally.add(gaze)
            self.audit.gaze(gaze["t_us"], arrived_us)
        for event in (*batch.events, *found):
            self._event(event)
        seen = Batch(batch.end_us, gaze, batch.viewer, batch.events)
        if self.dot is not None:
            self.dot.put(seen)
        if self.labels is not None:
            self.labels.put(seen, self._now())

    def _event(self, event: Event) -> None:
        self.writer.append_event(event)
        self.events += 1
        text = event.data.get("text")
        if event.kind == "note" and isinstance(text, str) and self.told.note is not None:
            self.told.note(event.t_us, text)

    def _note(self, text: str, **more: Any) -> None:
        self._event(Event(self._now(), "note", {"text": text, **more}))

    def _now(self) -> int:
        """Return the session clock: that of the computer, or of a source that is not live."""
        if self.feed.in_real_time or self.viewer is not None:
            return now_us() - self.feed.origin_us
        return self.guard.last_us or 0

    # -- now and then --------------------------------------------------------------------------

    def _tick(self) -> str | None:
        """Look after everything that is no sample; return why to end, None where not."""
        reason = self._obey()
        mono_us = now_us()
        if mono_us - self.ticked_us < TICK_US:
            return reason
        self.ticked_us = mono_us
        slept = self.sleep.tick(mono_us, waking_us())
        if slept is not None:
            origin = self.feed.origin_us
            start_us, end_us = slept.start_us - origin, slept.end_us - origin
            said = f"the computer slept for {slept.seconds:.0f} s, or its clock was set"
            self._event(gap(max(start_us, 0), max(end_us, 0), "computer", said))
            self._note(f"{said[0].upper()}{said[1:]}.")
            if self.viewer is not None:
                self.viewer.compare_soon()
        self.free_bytes = shutil.disk_usage(self.folder).free
        if disk_state(self.free_bytes) == "full":
            return reason or f"the disk is full ({self.free_bytes / 1e6:.0f} MB are left)"
        status = self._status()
        if self.told.status is not None:
            self.told.status(status)
        if self.viewer is not None:
            # Gaze is recorded even in trouble, and only then does the hook take label keys.
            state = "paused" if status.paused else "recording"
            text = status.trouble or status.words()
            self.viewer.show_status(state, text, self.session)
        return reason

    def _obey(self) -> str | None:
        """Do what was chosen in QuPath's menu, and say what the label thread said."""
        wanted, self.wanted[:] = list(self.wanted), []
        for action in wanted:
            if action == "stop":
                return "QuPath's menu"
            if action == "pause":
                self.paused_us = self._now() if self.paused_us is None else self.paused_us
            elif action == "resume":
                self._resume()
            elif action in ("show_gaze", "hide_gaze"):
                if self.dot is not None:
                    self.dot.wish(action == "show_gaze")
            elif action not in ("start", "calibrate", "validate"):
                self._note(action)
        return None

    def _resume(self) -> None:
        if self.paused_us is not None:
            self._event(gap(self.paused_us, self._now(), "gaze", "paused"))
            self.paused_us = None

    def _status(self) -> Status:
        now = self._now()
        hz, valid = self.tally.lately(now)
        last = self.guard.last_us
        viewer = "none" if self.viewer is None else self.viewer.connection
        trouble = trouble_of(
            gaze_lost=self.feed.lost,
            silent_us=now - (last or 0) if self.feed.in_real_time else 0,
            disk=disk_state(self.free_bytes),
            free_bytes=self.free_bytes,
            viewer=viewer,
            display=self.display.trouble,
        )
        paused = self.paused_us is not None
        return Status(
            t_us=now,
            state="paused" if paused else "trouble" if trouble else "recording",
            hz=hz,
            valid=valid,
            samples=self.tally.samples,
            viewer_states=self.states,
            events=self.events,
            viewer=viewer,
            images=() if self.viewer is None else self.viewer.images,
            sync_us=self.audit.uncertainty_us,
            labels=None if self.labels is None else self.labels.count,
            bytes=sum(p.stat().st_size for p in self.folder.iterdir() if p.is_file()),
            free_bytes=self.free_bytes,
            trouble=trouble,
        )

    # -- end -----------------------------------------------------------------------------------

    def _finish(self, reason: str) -> dict[str, Any]:
        """Take what still comes, and write what can only be said at the end."""
        self._let_go()
        self._write_all(0.0)
        if self.labels is not None:
            self.labels.stop()
        self._obey()
        self._resume()
        for event in self.guard.finish(max(self.guard.last_us or 0, 0)):
            self._event(event)
        audit = self.audit.result()
        at_us = max(self.guard.last_us or 0, 0)
        self._event(Event(at_us, "audit", audit))
        self._event(Event(at_us, "note", {"text": f"The recording ended: {reason}."}))
        return audit

    def _let_go(self) -> None:
        """Stop whatever still sends. Twice does nothing more."""
        self.inbox.close()
        if not self.feed.stop():
            log.warning("The source does not end; it is left alone.")
        if self.dot is not None:
            self.dot.stop()
        if self.viewer is not None:
            viewer, self.viewer = self.viewer, None
            viewer.stop("The recording ended.")
