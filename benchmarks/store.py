"""The embedded store: 10,000 annotations into a fresh project, and what lies around it.

Run ``python benchmarks/store.py [N]``. Each row runs in a process of its own; memory is the peak
above the imports and the objects themselves. The last column is what is asked for over what was
measured: 1 or more is met. Half of the objects are rectangles, half 12-gons, two measurements and
three metadata each. Where a QuPath is found (PAQUO_QUPATH_DIR), paquo does the same beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import shapely
from PIL import Image

from qpgaze import keys
from qpgaze.bridge import Ledger, create_project, open_project
from qpgaze.bridge.geojson import write_geojson
from qpgaze.bridge.ledger import Operation, records_of
from qpgaze.bridge.projects.detect_qupath import paquo_or_reason
from qpgaze.model import SlideObject

MOST_SECONDS = {"write": 1.0}
MOST_MB = {"write": 150.0}
SESSION = UUID(int=1)
STEPS = ("write", "read", "append 1000", "ledger", "compare", "geojson")


def make(count: int, first: int = 1) -> list[SlideObject]:
    rng = np.random.default_rng(first)
    corners = rng.uniform(0, 1e5, (count, 2))
    angle_rad = np.arange(12) * (2 * np.pi / 12)
    rim = np.column_stack([30 * np.cos(angle_rad), 20 * np.sin(angle_rad)])
    return [
        SlideObject(
            uuid5(SESSION, f"{n}/0"),
            shapely.box(x, y, x + 60, y + 40) if n % 2 else shapely.Polygon(np.add(rim, (x, y))),
            class_name="Keratin pearl",
            name=f"label {n}",
            measurements={keys.DWELL_MS: 1.5 * n, keys.FIXATIONS: 3.0},
            metadata={keys.SESSION: str(SESSION), keys.LABEL: str(n), keys.PART: "0"},
        )
        for n, (x, y) in enumerate(corners, first)
    ]


def step(name: str, folder: Path, count: int, backend: str) -> None:
    project = folder / "study"
    picture = folder / "picture.png"
    objects = make(count) if name in ("write", "ledger") else make(1000, count + 1)
    if backend == "paquo":
        open_project(project, backend="paquo").close()  # Java's start is counted apart
    with open_project(project, backend="embedded") as opened:
        entries = opened.entries
        have = entries[0].objects() if entries and name in ("compare", "geojson") else ()
    peak_before = peak_mb()
    began = time.process_time()
    if name == "write":
        with open_project(project, mode="r+", backend=backend) as opened:  # type: ignore[arg-type]
            opened.add_image(picture).add(objects)
            opened.commit()
    elif name == "read":
        with open_project(project, backend=backend) as opened:  # type: ignore[arg-type]
            assert len(opened.entries[0].objects()) == count
    elif name == "append 1000":
        with open_project(project, mode="r+", backend=backend) as opened:  # type: ignore[arg-type]
            opened.entries[0].add(objects)
            opened.commit()
    elif name == "ledger":
        Ledger.open(project).append(records_of(Operation.ADD, "1", objects))
    elif name == "compare":
        Ledger.open(project).compare(have, entry="1")
    else:
        write_geojson(folder / "out.geojson", have, {}, overwrite=True)
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "mb": peak_mb() - peak_before}))


def peak_mb() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def main(count: int) -> int:
    backends = ["embedded", *(["paquo"] if paquo_or_reason().usable else [])]
    late = 0
    print(f"{count} objects{'':<22}CPU s   MB peak   asked / measured")
    for backend in backends:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            Image.fromarray(np.zeros((200, 300, 3), np.uint8)).save(folder / "picture.png")
            create_project(folder / "study", backend="embedded").close()
            for what in STEPS if backend == "embedded" else STEPS[:3]:
                command = [sys.executable, __file__, "--step", what, name, str(count), backend]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(done.stderr, file=sys.stderr)
                    return 1
                got = json.loads(done.stdout.splitlines()[-1])
                ratios = []
                if backend == "embedded" and what in MOST_SECONDS and count == 10_000:
                    ratios = [
                        MOST_SECONDS[what] / got["seconds"],
                        MOST_MB[what] / max(got["mb"], 1),
                    ]
                    late += min(ratios) < 1
                asked = "   ".join(f"{ratio:.2f}" for ratio in ratios)
                print(f"{backend:<10}{what:<20}{got['seconds']:8.2f}{got['mb']:10.1f}   {asked}")
    return min(late, 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
