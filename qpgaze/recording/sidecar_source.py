"""The source that takes what a vendor's library in a process of its own sends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from qpgaze.errors import SourceError
from qpgaze.frames import ClockRelation, DeviceClock, HostClock, SessionClock
from qpgaze.model import Event
from qpgaze.recording.clocks import (
    BURST,
    INTERVAL_US,
    SETTLING_US,
    ClockTracker,
    NeverBack,
    compare,
)
from qpgaze.recording.gaze_clock import on_host, records_of, set_times, tracker_display
from qpgaze.recording.live import LiveSetup, no_gaze, poll_all
from qpgaze.recording.live_guard import gap
from qpgaze.recording.protocol import Batch
from qpgaze.recording.sidecar import Message, Sidecar
from qpgaze.samples import GAZE_COLUMNS, Column
from qpgaze.session import SessionHeader
from qpgaze.wire import RoundTrip
from qpgaze.wire.channel import now_us

READY_S: Final = 30.0
"""Importing a vendor's library and finding a tracker may take so long."""
PONG_S: Final = 2.0


class SidecarSource:
    """Gaze of a vendor's library that runs in a process of its own.

    Parameters
    ----------
    setup : LiveSetup
    program : str
        File of ``recording/vendor``.
    options : mapping
        What the program is to be told.
    name : str
        What it is called towards people.
    system_stamps : bool
        True: records carry a stamp on the clock that the process answers pings with, besides
        the device's. False: device stamps, by the correction that the process sends.
    """

    duration_us: int | None = None

    def __init__(
        self,
        setup: LiveSetup,
        program: str,
        options: Mapping[str, Any],
        *,
        name: str,
        system_stamps: bool,
    ) -> None:
        self._setup, self._program, self._options = setup, program, dict(options)
        self._name, self._system_stamps = name, system_stamps
        self.columns: tuple[Column, ...] = GAZE_COLUMNS
        if system_stamps:  # the vendor's own stamp stays beside the one on the host clock
            self.columns = (*GAZE_COLUMNS, Column("vendor_us", "<i8", "us", "-"))
        self._sidecar: Sidecar | None = None
        self._numbers = itertools.count(1)
        self._never_back = NeverBack()
        self._pings: dict[int, int] = {}
        self._trips: list[RoundTrip] = []
        self._burst_left = 0
        self._ping_at_us = 0
        self._correction: tuple[float, float] | None = (0.0, 0.0) if system_stamps else None
        self._relations: list[ClockRelation[Any, Any]] = []
        self._answers: dict[int, Message] = {}
        self._held: list[tuple[Message, int]] = []
        self._lost_us: int | None = None
        self.ready: Message = {}
        """What the process said of itself and of the tracker."""
        self.rate_hz: float | None = None
        """As the tracker last said."""
        self.ended: str | None = None

    def start(self) -> SessionHeader:
        """Start the process and wait until the tracker sends.

        Raises
        ------
        SourceError
            In the words of what is missing.
        """
        display = self._setup.require_display()
        zero = self._setup.zero.begin()
        self._let_go()
        self._clock: ClockTracker[Any] = ClockTracker(DeviceClock, zero, SETTLING_US)
        self._device: ClockTracker[DeviceClock] = ClockTracker(DeviceClock, zero)
        self.ended, self._lost_us, self._held, self._relations = None, None, [], []
        self._sidecar = Sidecar(self._program, self._options, self._setup.python)
        try:
            self.ready = self._wait_for("ready", READY_S)
            self._burst()
            self._wait_for_clock()
        except BaseException:
            self.stop()
            raise
        self.rate_hz = self.ready.get("rate_hz")
        said = self.ready
        return self._setup.header(
            str(said.get("model") or self._name),
            tracker_display(display, said.get("display_mm")),
            rate_hz=self.rate_hz,
            software={str(said.get("library")): str(said.get("version"))},
            extra={
                "source": self._name,
                "serial": said.get("serial", ""),
                "firmware": said.get("firmware", ""),
            },
        )

    def poll(self, wait_s: float = 0.0) -> Batch:
        """Return what came."""
        sidecar = self._sidecar
        came, self._held = self._held, []
        ended = sidecar.ended if sidecar is not None else None
        if sidecar is not None:
            came += sidecar.take(0.0 if came else wait_s)
        rows: list[list[Any]] = []
        arrived: list[int] = []
        events: list[Event] = []
        clocks, self._relations = self._relations, []
        for message, when in came:
            if message["type"] == "gaze":
                rows += message["rows"]
                arrived += [when] * len(message["rows"])
            else:
                self._do(message, when, events, clocks)
        if not self._system_stamps:
            clocks = [self._beyond(relation) for relation in clocks]
        now = self._setup.zero.now_us()
        if ended is not None and self.ended is None:
            self.ended = ended
            events.append(self._note(f"The tracker is lost: {ended}"))
        if self.ended is None and now_us() >= self._ping_at_us:
            self._burst()
        return Batch(now, self._records(rows, arrived), (), tuple(events), tuple(clocks))

    def batches(self) -> Iterator[Batch]:
        """Yield what comes until the tracker is lost or stopped."""
        return poll_all(self)

    def stop(self) -> None:
        """End the process."""
        self.ended = self.ended or "stopped"
        self._let_go()

    def ask(self, message: Message, wait_s: float) -> Message:
        """Ask the process to do something and wait for its answer; gaze goes on meanwhile.

        Raises
        ------
        SourceError
            If it does not answer.
        """
        number = next(self._numbers)
        sidecar = self._sidecar
        if sidecar is None:
            raise SourceError(f"The {self._name} source is not running.")
        sidecar.send({**message, "id": number})
        until = now_us() + round(wait_s * 1e6)
        while now_us() < until:
            answer: Message | None = None
            for message, when in sidecar.take(0.05):
                if message["type"] == "answer" and message["id"] == number:
                    answer = message
                else:  # gaze, and whatever else poll is to see
                    self._held.append((message, when))
            if answer is not None:
                return answer
            if sidecar.ended is not None:
                raise SourceError(f"The tracker is lost: {sidecar.ended}.")
        raise SourceError(f"The tracker did not answer within {wait_s:g} s.")

    # -- within ------------------------------------------------------------------------------

    def _let_go(self) -> None:
        sidecar, self._sidecar = self._sidecar, None
        if sidecar is not None:
            sidecar.close()

    def _do(
        self,
        message: Message,
        when: int,
        events: list[Event],
        clocks: list[ClockRelation[Any, Any]],
    ) -> None:
        kind = message["type"]
        if kind == "pong":
            clocks += self._pong(message, when)
        elif kind == "sync":
            clocks += self._sync(message["trips"])
        elif kind == "correction":
            self._correction = (message["us"], message["error_us"])
        elif kind == "rate":
            self._new_rate(message["rate_hz"], events)
        elif kind == "note":
            self._announced(str(message["what"]), events)
        elif kind == "trouble":
            self.ended = str(message["message"])
            events.append(self._note(f"The tracker is lost: {self.ended}"))

    def _announced(self, text: str, events: list[Event]) -> None:
        """Take what the tracker announced; a connection that came back ends a gap."""
        events.append(self._note(text))
        now = self._setup.zero.now_us()
        if text == "connection lost":
            self._lost_us = now
        elif text == "connection restored" and self._lost_us is not None:
            events.append(gap(self._lost_us, now, "gaze", "the connection to the tracker was lost"))
            self._lost_us = None

    def _note(self, text: str, **more: Any) -> Event:
        now = self._setup.zero.now_us()
        return Event(now, "note", {"source": self._name, "text": text, **more})

    def _new_rate(self, rate_hz: float, events: list[Event]) -> None:
        if self.rate_hz is None or abs(rate_hz - self.rate_hz) > 1e-6:
            text = f"The tracker runs at {rate_hz:g} Hz now"
            events.append(self._note(text, gaze_rate_hz=rate_hz))
        self.rate_hz = rate_hz

    def _burst(self) -> None:
        """Begin a comparison: several questions, one after the other."""
        self._trips, self._burst_left = [], BURST
        self._ping_at_us = now_us() + INTERVAL_US
        self._ping()

    def _ping(self) -> None:
        number = next(self._numbers)
        self._pings = {number: now_us()}
        if self._sidecar is not None:
            self._sidecar.send({"type": "ping", "id": number})

    def _pong(self, message: Message, when: int) -> list[ClockRelation[Any, Any]]:
        """Take an answer; return a relation where it was the last of its burst."""
        sent = self._pings.pop(message["id"], None)
        if sent is None:
            return []
        self._trips.append(RoundTrip(sent, message["there_us"], message["left_us"], when))
        self._burst_left -= 1
        if self._burst_left > 0:
            self._ping()
            return []
        relation = self._clock.add(compare(self._trips))
        self._ping_at_us = when + self._clock.pause_us
        if self._system_stamps:
            # The device's clock is related by `sync`; this says how surely the vendor's stamps
            # of this computer were carried to its own clock, which stands in `system_us`.
            zero = self._setup.zero.host_us
            sure = relation.uncertainty_us
            return [ClockRelation(HostClock, SessionClock, -zero, when, uncertainty_us=sure)]
        return [relation]

    def _beyond(self, relation: ClockRelation[Any, Any]) -> ClockRelation[Any, Any]:
        """Return the relation of the sender's clock, that corrections carry to the one pinged."""
        shift, error = self._correction or (0.0, 0.0)
        return replace(
            relation,
            offset_us=relation.offset_us + round(shift),
            at_us=relation.at_us - round(shift),
            uncertainty_us=relation.uncertainty_us + round(error) + 1,
        )

    def _sync(self, trips: list[list[int]]) -> list[ClockRelation[Any, Any]]:
        """Relate the device's clock, by the comparisons that the vendor's library makes."""
        if self._clock.relation is None or not trips:
            return []
        there = np.array(trips, dtype=np.int64)
        asked, answered = self._clock.to_host(there[:, 0]), self._clock.to_host(there[:, 2])
        found = [
            RoundTrip(int(a), int(d), int(d), int(b))
            for a, d, b in zip(asked, there[:, 1], answered, strict=True)
        ]
        relation = self._device.add(compare(found))
        beside = self._clock.relation.uncertainty_us
        return [replace(relation, uncertainty_us=relation.uncertainty_us + beside)]

    def _records(self, rows: list[list[Any]], arrived: list[int]) -> Any:
        if not rows:
            return no_gaze(self.columns)
        columns: dict[str, Any] = dict(
            zip(self.ready["columns"], map(np.array, zip(*rows, strict=True)), strict=True)
        )
        came = np.array(arrived, dtype=np.int64)
        stamps = columns["system_us" if self._system_stamps else "device_us"].astype(np.int64)
        vendor = stamps
        if not self._system_stamps:
            stamps = stamps + round((self._correction or (0.0, 0.0))[0])
            columns = self._as_fractions(columns)
        columns["system_us"] = on_host(self._clock, stamps, came)
        records = records_of(columns, len(rows))
        set_times(records, self._setup.zero.host_us, self._never_back)
        if not self._system_stamps:
            return records
        wider = np.zeros(len(rows), dtype=[(c.name, c.dtype) for c in self.columns])
        for name in records.dtype.names or ():
            wider[name] = records[name]
        wider["vendor_us"] = vendor
        return wider

    def _as_fractions(self, columns: dict[str, Any]) -> dict[str, Any]:
        """Turn gaze in pixels into fractions of the display, where a stream says it is."""
        units = dict(zip(self.ready["columns"][1:], self.ready.get("units", ()), strict=False))
        display = self._setup.require_display()
        size = {
            "x": display.bounds_screen_px.width * display.scale,
            "y": display.bounds_screen_px.height * display.scale,
        }
        for name, unit in units.items():
            if name.endswith("_adcs") and ("pix" in unit.lower() or unit.lower() == "px"):
                columns[name] = columns[name] / size[name.split("_")[1]]
        return columns

    def _wait_for(self, kind: str, wait_s: float) -> Message:
        until = now_us() + round(wait_s * 1e6)
        sidecar = self._sidecar
        while sidecar is not None and now_us() < until:
            ended = sidecar.ended
            came = sidecar.take(0.1)
            for number, (message, _) in enumerate(came):
                if message["type"] == "trouble":
                    raise SourceError(message["message"], hint=message.get("hint") or None)
                if message["type"] == kind:
                    self._held += came[number + 1 :]
                    return message
            if ended is not None:
                raise SourceError(f"The {self._name} source could not be started: {ended}")
        raise SourceError(f"The {self._name} source did not start within {wait_s:g} s.")

    def _wait_for_clock(self) -> None:
        """Finish the first comparison, so that no record comes before it."""
        until = now_us() + round(PONG_S * 1e6)
        sidecar = self._sidecar
        while sidecar is not None and now_us() < until:
            if self._clock.relation is not None and self._correction is not None:
                return
            for message, when in sidecar.take(0.05):
                if message["type"] == "pong":
                    self._relations += self._pong(message, when)
                elif message["type"] == "correction":
                    self._correction = (message["us"], message["error_us"])
                else:
                    self._held.append((message, when))
