"""The recorder: an hour with back-pressure, real time as a share of a core, latency of labels.

    python benchmarks/recorder.py hour [SECONDS]    1200 Hz, 60 views a second, as fast as it goes
    python benchmarks/recorder.py live [SECONDS]    the same in real time, views over the wire
    python benchmarks/recorder.py kill [TIMES]      killed at random moments: what is lost

Memory is read from the system where it tells (Linux).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import shapely

from qpgaze.model import Event
from qpgaze.recording import Batch, SimulatedSource
from qpgaze.recording.live import LiveSetup, PacedSource
from qpgaze.recording.live_recorder import Recording, Told, record_live
from qpgaze.recording.live_viewer import ViewerFeed
from qpgaze.recording.opening import PACED_US
from qpgaze.recording.recovery import recover_session
from qpgaze.recording.status import Status
from qpgaze.recording.watch_end import Ending
from qpgaze.samples import GAZE_COLUMNS, Column, empty_records
from qpgaze.session import SessionHeader, open_session
from qpgaze.simulate import Reading, TrackerSettings, TruthObject, simulate_reading
from qpgaze.viewing import Display, ImageIdentity, Rect, ViewerState
from qpgaze.wire import StandIn
from qpgaze.wire.channel import now_us
from qpgaze.wire.lines import Outbox
from qpgaze.workflows.live_labels import ProvisionalLabels

RATE_HZ = 1200
VIEWS_HZ = 60
SLIDE = ImageIdentity("slide", 40_000, 30_000, "1", ("file:/x/slide.tif",))
DISPLAY = Display(Rect(0.0, 0.0, 1920.0, 1080.0), 528.0, 297.0)


def memory_mb() -> float:
    """Return what this process holds, NaN where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return float("nan")
    return pages * 4096 / 1e6


class Hour:
    """Gaze and views of a long session, a twentieth of a second at once, as fast as wanted."""

    columns: tuple[Column, ...] = GAZE_COLUMNS

    def __init__(self, seconds: int) -> None:
        self.duration_us = seconds * 1_000_000
        self.given = self.views = 0

    def start(self) -> SessionHeader:
        """Describe it."""
        return SessionHeader(UUID(int=1), "", "benchmark", DISPLAY, gaze_rate_hz=RATE_HZ)

    def batches(self) -> Iterator[Batch]:
        """Yield it."""
        per_batch, step = RATE_HZ // 20, 50_000
        offsets = np.arange(per_batch) * step // per_batch
        box = Rect(100.0, 100.0, 1600.0, 900.0)
        for start in range(0, self.duration_us, step):
            gaze = empty_records(per_batch)
            gaze["t_us"] = start + offsets
            gaze["device_us"] = gaze["t_us"]
            # The order can be checked afterwards: every sample bears its number.
            gaze["left_x_adcs"] = (self.given + np.arange(per_batch)) % 65536
            gaze["left_y_adcs"], gaze["left_gaze_valid"] = 0.5, 1
            views = []
            for n in range(3):
                x = float(self.views + n)
                corners = ((x, 0.0), (x + 1600, 0.0), (x, 900.0))
                views.append(
                    ViewerState(start + n * 16_667, "1", SLIDE, corners, 1.0, bounds_screen_px=box)
                )
            self.given += per_batch
            self.views += 3
            yield Batch(start + step, gaze, tuple(views))

    def stop(self) -> None:
        """Hold nothing."""


def hour(seconds: int) -> dict[str, Any]:
    """Record a long session with back-pressure."""
    source, held = Hour(seconds), []
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        outcome = record_live(
            Recording(source, viewer=False),
            Path(folder) / "s.qpgaze",
            told=Told(status=lambda _s: held.append(memory_mb())),
        )
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        records = np.memmap(
            outcome.path / "gaze.bin", dtype=[(c.name, c.dtype) for c in GAZE_COLUMNS], mode="r"
        )
        in_order = bool((np.diff(records["t_us"]) >= 0).all())
        numbers = np.arange(len(records)) % 65536
        same = bool((records["left_x_adcs"] == numbers).all())
        lines = (outcome.path / "viewer.jsonl").read_bytes().count(b"\n")
        size = sum(p.stat().st_size for p in outcome.path.iterdir())
        del records
    third = max(len(held) // 3, 1)
    return {
        "seconds": seconds,
        "samples_given": source.given,
        "samples_lost": source.given - outcome.samples,
        "views_lost": source.views - lines,
        "in_order": in_order and same,
        "took_s": round(took, 1),
        "cpu_s": round(cpu, 1),
        "times_real_time": round(seconds / took, 1),
        "session_mb": round(size / 1e6, 1),
        "memory_mb_after_a_third": round(max(held[:third], default=0.0), 1),
        "memory_mb_at_the_end": round(max(held[-third:], default=0.0), 1),
    }


# -- in real time ------------------------------------------------------------------------------


def reading_of(seconds: int) -> Reading:
    """Simulate a reading at 1200 Hz, long enough."""
    across = max(seconds // 4, 4)
    truth = [
        TruthObject(f"{n}", "Target", shapely.Point(3000 + 2500 * (n % 12), 3000 + 2500 * (n // 12))
                    .buffer(300))
        for n in range(across)
    ]  # fmt: skip
    tracker = TrackerSettings(rate_hz=RATE_HZ)
    return simulate_reading(truth, SLIDE, pixel_size_um=0.25, tracker=tracker, seed=1)


def dense(reading: Reading) -> list[ViewerState]:
    """Let the cursor move with every frame, so that a view comes 60 times a second."""
    states, at = [], 0
    for n in range(reading.duration_us * VIEWS_HZ // 1_000_000):
        t_us = n * 1_000_000 // VIEWS_HZ
        while at + 1 < len(reading.states) and reading.states[at + 1].t_us <= t_us:
            at += 1
        moved = (float(n % 900), float(n % 700))
        states.append(replace(reading.states[at], t_us=t_us, cursor_viewer_px=moved))
    return states


def keys(reading: Reading) -> list[Event]:
    """Press a key every 1.3 seconds."""
    mark = {"event": "mark", "class": "Target"}
    last_us = reading.duration_us - 2_000_000
    return [Event(t, "label", mark) for t in range(2_000_000, last_us, 1_300_000)]


class Watching(StandIn):
    """A stand-in that notes when keys went out and labels came in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sent_us: list[int] = []
        self.came_us: dict[str, int] = {}

    def note(self, note: dict[str, Any]) -> None:
        """Take the time of each label's first line."""
        arrived_us = now_us()
        for label in note.get("labels", ()):
            self.came_us.setdefault(str(label["properties"]["name"]), arrived_us)


def hook_process(folder: str, seconds: int) -> None:
    """Be QuPath, in a process of its own."""
    reading = reading_of(seconds)
    hook = Watching(Path(folder))
    with hook:
        hook.open_image(SLIDE)
        print("ready", flush=True)
        start_us = int(sys.stdin.readline())
        publish = hook.server.publish_event

        def timed(t_us: int, kind: str, data: Any) -> None:
            if kind == "label":
                hook.sent_us.append(now_us())
            publish(t_us, kind, data)

        hook.server.publish_event = timed  # type: ignore[method-assign]
        hook.play(dense(reading), keys(reading), start_us=start_us).join()
        time.sleep(2.0)
        sent = {f"Target {n}": t_us for n, t_us in enumerate(hook.sent_us, 1)}
        ways = [came - sent[name] for name, came in hook.came_us.items()]
        print(json.dumps({"keys": len(sent), "ways_us": ways}), flush=True)
        sys.stdin.readline()


class Stopwatch:
    """Notes when keys arrive at the recorder, and when the lines of labels have left it."""

    def __init__(self) -> None:
        self.arrived_us: list[int] = []
        self.left_us: dict[str, int] = {}

    def __enter__(self) -> Stopwatch:
        self._before = ViewerFeed._take, Outbox.take
        take_lines, take_out, last = ViewerFeed._take, Outbox.take, threading.local()

        def lines(feed: ViewerFeed, streamed: Any, *more: Any) -> None:
            for item in streamed:
                if item.message["type"] == "event" and item.message["event"]["kind"] == "label":
                    self.arrived_us.append(item.arrived_us)
            take_lines(feed, streamed, *more)

        def out(box: Outbox) -> bytes | None:
            # The thread that sends asks for the next line once the one before has left.
            line = getattr(last, "line", None) or b""
            if line.startswith(b'{"type":"show_labels"'):
                now = now_us()
                for label in json.loads(line).get("labels", ()):
                    self.left_us.setdefault(label["properties"]["name"], now)
            taken = take_out(box)
            last.line = taken
            return taken

        ViewerFeed._take, Outbox.take = lines, out  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        ViewerFeed._take, Outbox.take = self._before  # type: ignore[method-assign]

    def ways_ms(self) -> dict[str, float]:
        """Return quantiles from the arrival of a key until its label has left."""
        came = {f"Target {n}": t_us for n, t_us in enumerate(self.arrived_us, 1)}
        return quantiles([left - came[name] for name, left in self.left_us.items()])


def quantiles(ways_us: list[int]) -> dict[str, float]:
    """Return median, 99th percentile and largest, milliseconds."""
    ways = np.array(ways_us, dtype=float) / 1000
    named = (("p50", 50), ("p99", 99), ("max", 100))
    return {name: round(float(np.percentile(ways, q)), 1) for name, q in named}


def live(seconds: int) -> dict[str, Any]:
    """Record in real time, and measure what it costs and how late labels are."""
    reading = reading_of(seconds)
    seconds = min(seconds, reading.duration_us // 1_000_000)
    with tempfile.TemporaryDirectory() as place:
        hooks = Path(place) / "hooks"
        line = [sys.executable, __file__, "hook", str(hooks), str(seconds)]
        setup = LiveSetup()
        source = PacedSource(SimulatedSource(reading, PACED_US), setup, gaze_only=True)
        told: list[Status] = []
        ending = Ending()
        with subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as hook:
            assert hook.stdin is not None
            assert hook.stdout is not None
            hook.stdout.readline()
            said: list[str] = []

            def listen() -> None:
                said.append(hook.stdout.readline())  # type: ignore[union-attr]
                ending.end("done")

            listener = threading.Thread(target=listen, daemon=True)

            def started(_folder: Path, _header: SessionHeader) -> None:
                print(setup.zero.host_us, file=hook.stdin, flush=True)
                listener.start()

            what = Recording(
                source, zero=setup.zero, hooks=(hooks,), gaze_only=True,
                events=lambda _header: reading.events[:1], labels=ProvisionalLabels,
            )  # fmt: skip
            began, cpu = time.perf_counter(), time.process_time()
            with Stopwatch() as watch:
                outcome = record_live(
                    what, Path(place) / "s.qpgaze", ending=ending,
                    told=Told(started=started, status=told.append),
                )  # fmt: skip
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            listener.join()
            print("bye", file=hook.stdin, flush=True)
        found = json.loads(said[0])
        kept = open_session(outcome.path, check_content=False)
        return {
            "seconds": round(took, 1),
            "share_of_a_core": round(cpu / took, 4),
            "samples_lost": len(reading.records) - outcome.samples,
            "viewer_states": len(kept.viewer_states),
            "keys": found["keys"],
            "labels": len(found["ways_us"]),
            "key_to_label_ms": watch.ways_ms(),
            "and_both_ways_to_the_hook_ms": quantiles(found["ways_us"]),
            "audit": outcome.audit,
            "last": last_of(told),
        }


def last_of(told: list[Status]) -> dict[str, Any]:
    """Return the last status as it was shown."""
    return told[-1].to_json() if told else {}


# -- killed ------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from qpgaze.recording.live import LiveSetup, PacedSource
from qpgaze.recording import SimulatedSource
from qpgaze.recording.live_viewer import ViewerFeed
from qpgaze.recording.live_recorder import Recording, Told, record_live
from qpgaze.recording.opening import practice_reading
setup = LiveSetup()
source = PacedSource(SimulatedSource(practice_reading(3), 10_000), setup)
told = Told(started=lambda *_: print(setup.zero.host_us, flush=True))
record_live(Recording(source, zero=setup.zero, viewer=False), Path(sys.argv[1]), told=told)
"""


def kill(times: int) -> dict[str, Any]:
    """Kill a recorder at random moments; every session must be readable, and be closed after."""
    chance = random.Random(1)
    lost_ms: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        for n in range(times):
            folder = Path(place) / f"{n}.qpgaze"
            line = [sys.executable, "-c", CHILD, str(folder)]
            with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                origin_us = int(child.stdout.readline())
                time.sleep(chance.uniform(0.0, 1.5))
                child.kill()
                killed_us = now_us() - origin_us
            kept = open_session(folder, check_content=False)
            t_us = kept.gaze.records["t_us"]
            lost_ms.append((killed_us - (int(t_us[-1]) if len(t_us) else 0)) / 1000)
            recover_session(folder)
            assert open_session(folder, check_content=False).closed
    return {
        "times": times,
        "lost_ms": {
            "p50": round(float(np.percentile(lost_ms, 50)), 1),
            "max": round(max(lost_ms), 1),
        },
        "lost_more_than_a_second": sum(ms > 1000 for ms in lost_ms),
    }


def main(arguments: list[str]) -> None:
    what, *rest = arguments or ["hour"]
    if what == "hook":
        hook_process(rest[0], int(rest[1]))
        return
    number = int(rest[0]) if rest else None
    if what == "hour":
        result = hour(number or 3600)
    elif what == "live":
        result = live(number or 300)
    else:
        result = kill(number or 200)
    print(json.dumps({what: result}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
