"""A project's store by itself and through paquo, on the same files: ``python benchmarks/store.py``.

Run ``python benchmarks/store.py [N]``; N is 100,000 by default. Half of the objects are rectangles,
half 12-gons, two measurements each. Each row runs in a process of its own: CPU seconds, and the
peak of memory above the imports and the objects that are to be written. "append" is everything from
opening the project to the end of the commit: snapshot, merge guard, reading back, and verification.
The last columns are what is asked for over what was measured: 1 or more is met.

Where a QuPath is found (PAQUO_QUPATH_DIR), paquo does the same beside it; Java's start is not
counted but in the last rows: the first annotation in a fresh project from a cold start, from the
start of the process to its end, medians of five. ``--cold`` instead of N measures these alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from uuid import UUID, uuid5

import numpy as np
import shapely
from PIL import Image

from qpgaze import keys
from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.geojson import import_geojson, write_geojson
from qpgaze.bridge.ledger import Ledger, Operation, records_of
from qpgaze.bridge.projects.detect_qupath import paquo_or_reason
from qpgaze.model import SlideObject

MOST_SECONDS = {
    10_000: {"write": 1.0},
    100_000: {"write": 4.0, "read": 1.5, "append 1000": 2.5, "import": 5.0},
}
MOST_MB = {10_000: {"write": 150.0}, 100_000: {"read": 300.0, "append 1000": 200.0}}
SESSION = UUID(int=1)
BOTH = ("write", "read", "append 1000", "import")
STEPS = (*BOTH, "ledger", "compare", "export")
COLD_TRIES = 5
COLD = """
import sys
from pathlib import Path
from uuid import UUID
import shapely
from qpgaze.bridge import create_project
from qpgaze.model import SlideObject
folder = Path(sys.argv[1])
with create_project(folder / "study", backend=sys.argv[2]) as project:
    pearl = SlideObject(UUID(int=1), shapely.box(1, 2, 30, 40), class_name="Keratin pearl")
    project.add_image(folder / "picture.png").add([pearl])
    project.commit()
"""
"""A fresh project with one image and one annotation, and nothing loaded that it does not need."""


def make(count: int, first: int = 1, *, ours: bool = False) -> list[SlideObject]:
    rng = np.random.default_rng(first)
    corners = rng.uniform(0, 1e5, (count, 2))
    angle_rad = np.arange(12) * (2 * np.pi / 12)
    rim = np.column_stack([30 * np.cos(angle_rad), 20 * np.sin(angle_rad)])
    return [
        SlideObject(
            uuid5(SESSION, f"{n}/0"),
            shapely.box(x, y, x + 60, y + 40) if n % 2 else shapely.Polygon(np.add(rim, (x, y))),
            class_name="Keratin pearl",
            name=f"label {n}" if ours else None,
            measurements={keys.DWELL_MS: 1.5 * n, keys.FIXATIONS: 3.0},
            metadata={keys.SESSION: str(SESSION), keys.LABEL: str(n), keys.PART: "0"}
            if ours
            else {},
        )
        for n, (x, y) in enumerate(corners, first)
    ]


def step(name: str, folder: Path, count: int, backend: str) -> None:
    project = folder / "study"
    objects = []
    if name in ("write", "ledger", "compare", "export"):
        objects = make(count, ours=name in ("ledger", "compare"))
    elif name.startswith("append"):
        objects = make(1000, count + 1)
    if backend == "paquo":
        with open_project(folder / "empty", backend="paquo") as opened:
            opened.entries[0].objects()  # Java's start is counted apart
    ledger = Ledger.open(project) if name == "compare" else None
    peak_before = peak_mb()
    began = time.process_time()
    if name == "write":
        with open_project(project, mode="r+", backend=backend) as opened:  # type: ignore[arg-type]
            opened.add_image(folder / "picture.png").add(objects)
            opened.commit()
    elif name == "read":
        with open_project(project, backend=backend) as opened:  # type: ignore[arg-type]
            assert len(opened.entries[0].objects()) == count
    elif name.startswith("append"):
        with open_project(project, mode="r+", backend=backend) as opened:  # type: ignore[arg-type]
            opened.entries[0].add(objects)
            opened.commit()
    elif name == "import":
        with open_project(project, mode="r+", backend=backend) as opened:  # type: ignore[arg-type]
            done = import_geojson(opened, opened.entries[0], folder / "objects.geojson")
            opened.commit()
        assert done.added == count
    elif name == "ledger":
        Ledger.open(project).append(records_of(Operation.ADD, "1", objects))
    elif ledger is not None:
        ledger.compare(objects, entry="1")
    else:
        write_geojson(folder / "objects.geojson", objects, {}, overwrite=True)
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "mb": peak_mb() - peak_before}))


def peak_mb() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def prepared(folder: Path, what: str) -> None:
    """Lay the files ready that a step begins with, the same for every backend."""
    shutil.rmtree(folder / "study", ignore_errors=True)
    start = {"read": "written", "append 1000": "written", "import": "empty"}.get(what, "fresh")
    shutil.copytree(folder / start, folder / "study")


def run_steps(folder: Path, count: int, backends: list[str]) -> bool:
    """Print the table; whether all that is asked of the embedded store is met."""
    met = True
    for what in ("export", *STEPS[:-1]):
        for backend in backends if what in BOTH else backends[:1]:
            if what != "compare":  # it reads what the ledger wrote
                prepared(folder, what)
            command = [sys.executable, __file__, "--step", what, str(folder), str(count), backend]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{what}, {backend}:\n{done.stderr}")
            got = json.loads(done.stdout.splitlines()[-1])
            if (what, backend) == ("write", "embedded"):
                shutil.copytree(folder / "study", folder / "written")
            seconds = MOST_SECONDS.get(count, {}).get(what)
            mb = MOST_MB.get(count, {}).get(what)
            ratios = [
                seconds / got["seconds"] if seconds else 0,
                mb / max(got["mb"], 1) if mb else 0,
            ]
            ratios = [ratio for ratio in ratios if ratio and backend == "embedded"]
            met &= all(ratio >= 1 for ratio in ratios)
            asked = "   ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"{what:<14}{backend:<10}{got['seconds']:8.2f}{got['mb']:10.1f}   {asked}")
    return met


def run_cold(folder: Path, backends: list[str]) -> bool:
    """Print the cold starts; whether paquo, where there is one, takes ten times as long."""
    took: dict[str, tuple[float, float]] = {}
    # As installed, where pip has compiled the modules: compiled here by a first run, not counted.
    installed = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    installed.pop("PYTHONDONTWRITEBYTECODE", None)
    for backend in backends:
        walls, cpus = [], []
        for _ in range(COLD_TRIES + 1):
            shutil.rmtree(folder / "study", ignore_errors=True)
            wall, before = time.perf_counter(), os.times()
            command = [sys.executable, "-c", COLD, str(folder), backend]
            subprocess.run(command, check=True, capture_output=True, env=installed)
            after = os.times()
            walls.append(time.perf_counter() - wall)
            cpus.append(
                after.children_user + after.children_system
                - before.children_user - before.children_system
            )  # fmt: skip
        took[backend] = median(walls[1:]), median(cpus[1:])
        print(
            f"cold start    {backend:<10}{took[backend][1]:8.2f}     wall {took[backend][0]:.2f} s"
        )
    if len(took) < 2:
        return True
    ratios = [slow / quick for slow, quick in zip(took["paquo"], took["embedded"], strict=True)]
    print(f"cold start, paquo / embedded: wall {ratios[0]:.1f}, CPU {ratios[1]:.1f} (asked: 10)")
    return min(ratios) >= 10


def main(count: int | None) -> int:
    backends = ["embedded", *(["paquo"] if paquo_or_reason().usable else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.fromarray(np.zeros((200, 300, 3), np.uint8)).save(folder / "picture.png")
        if count is None:
            return 0 if run_cold(folder, backends) else 1
        create_project(folder / "fresh", backend="embedded").close()
        with create_project(folder / "empty", backend="embedded") as made:
            made.add_image(folder / "picture.png")
            made.commit()
        print(f"{count:,} objects{'':<14}CPU s   MB peak   asked / measured: time, memory")
        met = run_steps(folder, count, backends)
        return 0 if run_cold(folder, backends) and met else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        given = (sys.argv[1:] or ["100000"])[0]
        sys.exit(main(None if given == "--cold" else int(given)))
