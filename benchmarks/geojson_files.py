"""GeoJSON in and out: 100,000 objects into a project, and what a million take in memory.

Run ``python benchmarks/geojson_files.py [N]``. Each row runs in a process of its own; memory is
the peak above the imports. The last column is what is asked for over what was measured: 1 or more
is met. Half of the objects are rectangles, half 12-gons, two measurements each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import shapely
from PIL import Image

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.geojson import import_geojson, read_geojson, write_geojson
from qpgaze.model import SlideObject

MOST_SECONDS = {"import": 5.0}
MOST_MB = {"write": 100.0, "read": 100.0, "write streamed": 100.0, "read streamed": 100.0}
STEPS = ("write", "read", "import", "write streamed", "read streamed")
STREAMED = 10


def objects(count: int) -> Iterator[SlideObject]:
    rng = np.random.default_rng(1)
    angle_rad = np.arange(12) * (2 * np.pi / 12)
    rim = np.column_stack([30 * np.cos(angle_rad), 20 * np.sin(angle_rad)])
    for n in range(count):
        x, y = rng.uniform(0, 1e5, 2)
        yield SlideObject(
            uuid5(UUID(int=1), str(n)),
            shapely.box(x, y, x + 60, y + 40) if n % 2 else shapely.Polygon(np.add(rim, (x, y))),
            class_name="Keratin pearl",
            measurements={"dwell": 1.5 * n, "n": 3.0},
        )


def step(name: str, folder: Path, count: int) -> None:
    peak_before = peak_mb()
    began = time.process_time()
    file = folder / f"{name.split()[-1]}.geojson"
    if name.startswith("write"):
        many = count * STREAMED if "streamed" in name else count
        file = folder / ("many.geojson" if "streamed" in name else "some.geojson")
        made = 0.0

        def timed() -> Iterator[SlideObject]:
            nonlocal made
            source = objects(many)
            while True:
                at = time.process_time()
                item = next(source, None)
                made += time.process_time() - at
                if item is None:
                    return
                yield item

        assert write_geojson(file, timed(), {}) == many
        began += made
    elif name.startswith("read"):
        file = folder / ("many.geojson" if "streamed" in name else "some.geojson")
        assert sum(1 for _ in read_geojson(file)) == count * (STREAMED if "streamed" in name else 1)
    else:
        with open_project(folder / "study", mode="r+", backend="embedded") as opened:
            done = import_geojson(opened, opened.entry("1"), folder / "some.geojson")
            opened.commit()
        assert done.added == count
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "mb": peak_mb() - peak_before}))


def peak_mb() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def main(count: int) -> int:
    late = 0
    print(f"{'':<16}{'objects':>10}   CPU s   MB peak   asked / measured")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = folder / "picture.png"
        Image.fromarray(np.zeros((200, 300, 3), np.uint8)).save(picture)
        with create_project(folder / "study", backend="embedded") as made:
            made.add_image(picture)
            made.commit()
        for what in STEPS:
            command = [sys.executable, __file__, "--step", what, name, str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return 1
            got = json.loads(done.stdout.splitlines()[-1])
            ratios = []
            if what in MOST_SECONDS and count == 100_000:
                ratios.append(MOST_SECONDS[what] / got["seconds"])
            if what in MOST_MB:
                ratios.append(MOST_MB[what] / max(got["mb"], 1))
            late += any(ratio < 1 for ratio in ratios)
            asked = "   ".join(f"{ratio:.2f}" for ratio in ratios)
            many = count * (STREAMED if "streamed" in what else 1)
            print(f"{what:<16}{many:>10}{got['seconds']:8.2f}{got['mb']:10.1f}   {asked}")
    return min(late, 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
