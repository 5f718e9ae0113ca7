"""Time and memory of reading, writing and editing ``data.qpdata``: ``python benchmarks/qpdata.py``.

Half of the objects are rectangles, half polygons of twelve corners, two measurements each. Every
step runs in a process of its own, so that its peak memory is its own; CPU seconds and MB above
what the imports take.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import shapely

from qpgaze.bridge.qpdata import edit_qpdata, new_qpdata, read_qpdata
from qpgaze.model import SlideObject

_SPACE = UUID("00000000-0000-0000-0000-00000000beef")
# step: (seconds, MB) allowed for 10k and 100k objects
LIMITS = {
    "write": {10_000: (0.7, 120), 100_000: (4.0, 2000)},
    "read": {10_000: (0.5, 120), 100_000: (1.5, 300)},
    "append": {10_000: (0.7, 120), 100_000: (2.5, 200)},
}


def objects(count: int, first: int = 0) -> list[SlideObject]:
    """Make `count` annotations, half rectangles, half polygons of twelve corners."""
    rng = np.random.default_rng(7 + first)
    x, y = rng.uniform(0, 90_000, (2, count))
    w, h = rng.uniform(10, 400, (2, count))
    turn = np.arange(12) * (2 * np.pi / 12)
    radius = rng.uniform(0.5, 1.0, (count, 12)) * w[:, None]
    rims = np.stack(
        [x[:, None] + radius * np.cos(turn), y[:, None] + radius * np.sin(turn)], axis=2
    )
    shapes: Any = np.where(
        np.arange(count) % 2 == 0,
        np.asarray(shapely.box(x, y, x + w, y + h)),
        np.asarray(shapely.polygons(shapely.linearrings(rims))),
    )
    return [
        SlideObject(
            uuid5(_SPACE, str(first + i)),
            shape,
            class_name="Keratin pearl",
            measurements={"Gaze: dwell ms": float(v), "Gaze: fixations": float(i % 9)},
        )
        for i, (shape, v) in enumerate(zip(shapes, w, strict=True))
    ]


def empty() -> bytes:
    """Return the data of an image without objects."""
    server = {"builderType": "uri", "uri": "file:/slide.tif", "args": []}
    return new_qpdata(server=server, qupath_version="0.5.1", image_type="BRIGHTFIELD_H_E")


def peak_mb() -> float:
    """Return this process's peak memory, or 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (1024 * 1024 if sys.platform == "darwin" else 1024)


def step(name: str, count: int, file: Path) -> dict[str, float]:
    """Run one step on `count` objects kept in `file`."""
    data = file.read_bytes() if name != "write" else empty()
    new = objects(count if name == "write" else 1000, 0 if name == "write" else count)
    colors = {"Keratin pearl": 0x1B9E77}
    small = edit_qpdata(empty(), add=new[:50], class_colors=colors)
    read_qpdata(small)  # imports and first calls are not what is measured
    before, start = peak_mb(), time.process_time()
    if name == "read":
        assert len(read_qpdata(data).objects) == count
    else:
        made = edit_qpdata(data, add=new, class_colors=colors)
    seconds, above = time.process_time() - start, peak_mb() - before
    if name == "write":
        file.write_bytes(made)
    return {"seconds": seconds, "mb": above}


def main() -> int:
    """Print a table; exit 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description="Time data.qpdata")
    parser.add_argument("--count", type=int, action="append", help="number of objects")
    parser.add_argument("--step", nargs=3, metavar=("NAME", "COUNT", "FILE"), help="one step")
    options = parser.parse_args()
    if options.step:
        name, count, file = options.step
        sys.stdout.write(json.dumps(step(name, int(count), Path(file))))
        return 0
    broken = False
    sys.stdout.write(f"{'step':8}{'objects':>9}{'CPU s':>8}{'limit':>7}{'MB':>8}{'limit':>7}\n")
    with tempfile.TemporaryDirectory() as folder:
        for count in options.count or (10_000, 100_000):
            for name, limits in LIMITS.items():
                command = [sys.executable, __file__, "--step", name, str(count)]
                command.append(str(Path(folder) / f"{count}.qpdata"))
                done = subprocess.run(command, capture_output=True, check=True, text=True)
                came = json.loads(done.stdout)
                seconds, mb = limits.get(count, (np.inf, np.inf))
                broken |= came["seconds"] > seconds or came["mb"] > mb
                sys.stdout.write(
                    f"{name:8}{count:9}{came['seconds']:8.2f}{seconds:7.1f}"
                    f"{came['mb']:8.0f}{mb:7.0f}\n"
                )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
