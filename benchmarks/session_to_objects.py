"""From a session on disk to objects in memory: ten minutes at 1200 Hz against one CPU second.

Run ``python benchmarks/session_to_objects.py``. The session is simulated: a reader who pans for
about a fifth of the time, with the viewer logged at 60 Hz while it moves.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from uuid import UUID

from gaze_scene import make_scene

from qpgaze.bridge.objects import fixation_objects, label_object
from qpgaze.model import Event
from qpgaze.session import SessionHeader, SessionWriter, open_session
from qpgaze.workflows import read_labels

MOST_CPU_S = 1.0


def write_session(folder: Path, rate_hz: float, seconds: float) -> None:
    """Write a session with a label key held for two seconds in every ten."""
    scene = make_scene(rate_hz=rate_hz, seconds=seconds, noise_deg=0.3, panning=0.2, seed=1)
    header = SessionHeader(
        id=UUID(int=1), pseudonym="reader", tracker="simulated", display=scene.display
    )
    with SessionWriter.create(folder, header) as writer:
        writer.append_viewer(scene.states)
        writer.append_gaze(scene.gaze.records)
        for second in range(5, int(seconds), 10):
            for t_s, down in ((second, True), (second + 2, False)):
                key = {"event": "hold", "class": "Pearl", "down": down}
                writer.append_event(Event(t_s * 1_000_000, "label", key))


def once(folder: Path) -> tuple[float, int, int]:
    """Return CPU seconds, samples and objects of one run."""
    start = time.process_time()
    session = open_session(folder)
    found = read_labels(session)
    objects = [label_object(x, pixel_size_um=(0.5, 0.5), version="") for x in found.labels]
    for label in found.fixation_labels:
        objects += fixation_objects(label, pixel_size_um=(0.5, 0.5), version="")
    return time.process_time() - start, len(session.gaze), len(objects)


def main() -> None:
    """Print the median of several runs and its ratio to the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "long.qpgaze"
        write_session(folder, rate_hz=1200.0, seconds=600.0)
        once(folder)
        timed = [once(folder) for _ in range(runs)]
    cpu_s = statistics.median(seconds for seconds, _, _ in timed)
    _, samples, objects = timed[0]
    print(f"{samples} samples -> {objects} objects: {cpu_s:.2f} s CPU (median of {runs} runs),")
    print(f"{cpu_s / MOST_CPU_S:.2f} of the limit of {MOST_CPU_S:.1f} s")


if __name__ == "__main__":
    main()
