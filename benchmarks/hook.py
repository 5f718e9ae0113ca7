"""The hook in real QuPath windows: what it costs them, how late a view comes, ten thousand labels.

    python benchmarks/hook.py [QUPATH ...]       folders; those of QPGAZE_QUPATH_DIRS where none

Needs Xvfb, xdotool and xprop. Each figure is printed with its limit and their ratio (below 1 is
within). Loads of the computer are printed, too: on a busy one the times of QuPath's own painting
are part of what is measured.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import shapely

from qpgaze.bridge.geojson import to_geojson
from qpgaze.model import SlideObject
from qpgaze.wire import WireClient, connect

DRIVER = Path(__file__).resolve().parent.parent / "tests" / "hook" / "driver.py"
LABELS = 10_000
PAN_S = 20.0
WARM_S = 40.0
"""A session lasts for an hour: what is measured is not Java's first minute."""
CHANGES = 200
STARTS = 2

LIMITS = {
    "startup_fx_ms": 200.0,
    "pulse_cpu_ms": 1.0,
    "latency_p95_ms": 35.0,
    "share_of_a_core": 0.03,
    "put_s": 3.0,
    "put_longest_gap_ms": 100.0,
}

FX_CPU = """
def bean = java.lang.management.ManagementFactory.getThreadMXBean()
return bean.getThreadCpuTime(Thread.currentThread().getId()) / 1e6
"""
PAN = """
def t = new javafx.animation.AnimationTimer() {
  int n = 0
  void handle(long now) {
    n++
    viewer.setCenterPixelLocation(1300 + 300 * Math.sin(n / 30d), 950 + 200 * Math.cos(n / 30d))
  }
}
t.start()
gui.getStage().getProperties().put("bench.pan", t)
"""
NO_PAN = 'gui.getStage().getProperties().remove("bench.pan").stop()'
GAPS = """
def gaps = [last: 0L, worst: 0L] as java.util.concurrent.ConcurrentHashMap
def t = new javafx.animation.AnimationTimer() {
  void handle(long pulse) {
    long now = System.nanoTime()
    if (gaps.last > 0) gaps.worst = Math.max(gaps.worst as long, now - (gaps.last as long))
    gaps.last = now
  }
}
t.start()
gui.getStage().getProperties().put("bench.gaps", [gaps, t])
"""
NO_GAPS = """
def (gaps, t) = gui.getStage().getProperties().remove("bench.gaps")
t.stop()
return gaps.worst / 1e6
"""
OWN_PUT = """
def hierarchy = viewer.getHierarchy()
def labels = hierarchy.getAnnotationObjects() as List
hierarchy.removeObjects(labels, true)
Thread.start { sleep(3000); hierarchy.addObjects(labels) }
return labels.size()
"""
CPU = """
def bean = java.lang.management.ManagementFactory.getThreadMXBean()
long own = 0
for (t in Thread.getAllStackTraces().keySet())
  if (t.getName().startsWith("qpgaze")) own += bean.getThreadCpuTime(t.getId())
def all = java.lang.management.ManagementFactory.getOperatingSystemMXBean().getProcessCpuTime()
return [own / 1e6, all / 1e6, System.nanoTime() / 1e6]
"""
PULSES = """
def bean = java.lang.management.ManagementFactory.getThreadMXBean()
long spent = 0
for (int n = 0; n < 600; n++) {
  viewer.setCenterPixelLocation(900 + n % 300, 900)
  if (n == 300) spent = 0 // warm by now
  long began = bean.getCurrentThreadCpuTime()
  hook.watch.handle(0L)
  spent += bean.getCurrentThreadCpuTime() - began
}
return spent / 300 / 1e6
"""
CHANGE = """
def said = java.util.Collections.synchronizedList([])
gui.getStage().getProperties().put("bench.changes", said)
Thread.startDaemon {
  def rng = new Random(6)
  for (int n = 0; n < COUNT; n++) {
    sleep(60 + rng.nextInt(60))
    double x = 800 + n
    javafx.application.Platform.runLater {
      said << [x, System.nanoTime().intdiv(1000L)]
      viewer.setCenterPixelLocation(x, 900)
    }
  }
}
"""


def load_driver() -> Any:
    """Return the module that drives windows, which the tests share."""
    spec = importlib.util.spec_from_file_location("qpgaze_hook_driver", DRIVER)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{DRIVER} is needed")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def startup(driver: Any, folder: Path, at: Path) -> dict[str, float]:
    """Return what QuPath's own thread works more until the window rests, milliseconds of its time.

    The hook's classes are compiled at the first start after an installation, beside; that start
    is told apart.
    """
    spent: dict[str, list[float]] = {"without": [], "first": [], "with": []}
    for number in range(STARTS):
        place = at / f"start{number}"
        place.mkdir()
        driver.make_study(place)
        for how in ("without", "first", "with"):
            window = driver.Window(folder, place, hook=how != "without")
            try:
                window.wait(hook=how != "without")
                time.sleep(3)
                spent[how].append(float(window.ask(FX_CPU)))
            finally:
                window.close()
    best = {how: min(values) for how, values in spent.items()}
    return {
        "startup_fx_ms": best["with"] - best["without"],
        "startup_first_fx_ms": best["first"] - best["without"],
        "startup_without_fx_ms": best["without"],
    }


def latency(window: Any, client: WireClient) -> dict[str, float]:
    """Return how long it is from a change of the view to the arrival of its line, milliseconds."""
    client.take()
    window.ask("viewer.setDownsampleFactor(1); viewer.setRotation(0)\n")
    window.ask(CHANGE.replace("COUNT", str(CHANGES)))
    arrived: dict[float, int] = {}
    until = time.monotonic() + CHANGES * 0.2 + 20
    while time.monotonic() < until and len(arrived) < CHANGES:
        for one in client.take(0.2):
            state = one.message.get("state")
            if state and state["corners_image_px"]:
                (_, y0), (x1, _), (x2, y2) = state["corners_image_px"]
                if abs((y0 + y2) / 2 - 900) < 1:
                    arrived.setdefault(round((x1 + x2) / 2, 3), one.arrived_us)
    said = json.loads(window.ask('return gui.getStage().getProperties().get("bench.changes")'))
    ways = [(arrived[x] - t) / 1000 for x, t in said if x in arrived]
    p50, p95, most = (float(v) for v in np.percentile(ways, [50, 95, 100]))
    return {
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "latency_max_ms": most,
        "changes_seen": len(ways) / CHANGES,
    }


def panning(window: Any, folders: tuple[Path, ...]) -> dict[str, float]:
    """Return what the hook costs while QuPath pans at every pulse, beside QuPath's own work."""
    window.ask(PAN)
    _, all0, t0 = json.loads(window.ask(CPU))
    time.sleep(PAN_S)
    _, all1, t1 = json.loads(window.ask(CPU))
    alone = (all1 - all0) / (t1 - t0)
    with connect(name="recorder", folders=folders, wait_s=30) as client:
        client.subscribe(viewer=True, events=True, images=True)
        time.sleep(WARM_S)
        window.ask("hook.watch.resetCost()")
        own0, all0, t0 = json.loads(window.ask(CPU))
        time.sleep(PAN_S)
        own1, all1, t1 = json.loads(window.ask(CPU))
        said = window.ask("def c = hook.watch.cost(); return [c.pulses, c.mean_us, c.worst_us]")
        window.ask(NO_PAN)
        cpu_ms = float(window.ask(PULSES))
    pulses, mean_us, worst_us = json.loads(said)
    # By the processor's time, which a busy computer does not stretch, and for sixty pulses a second
    # though a busy QuPath makes fewer.
    threads_ms = (own1 - own0) / max(pulses, 1)
    return {
        "pulses_a_second": pulses / (t1 - t0) * 1000,
        "pulse_cpu_ms": cpu_ms,
        "pulse_mean_ms": mean_us / 1000,
        "pulse_worst_ms": worst_us / 1000,
        "threads_cpu_ms_a_pulse": threads_ms,
        "share_of_a_core": (threads_ms + cpu_ms) * 60 / 1000,
        "qupath_alone_cores": alone,
        "qupath_watched_cores": (all1 - all0) / (t1 - t0),
    }


def put_labels(window: Any, client: WireClient) -> dict[str, float]:
    """Put ten thousand labels into the open image; return how long the window stood still."""
    rng = np.random.default_rng(6)
    at = rng.uniform((50, 50), (2500, 1800), (LABELS, 2))
    made = to_geojson(
        [
            SlideObject(
                uuid5(UUID(int=6), str(n)),
                shapely.Point(x, y).buffer(12, quad_segs=8),
                class_name="Pearl",
                locked=True,
                measurements={"Gaze: dwell ms": 312.5},
                metadata={"qpgaze": "yes"},
            )
            for n, (x, y) in enumerate(at)
        ],
        {"Pearl": 0xFF0000},
    )["features"]
    (image,) = client.images()
    window.ask(GAPS)
    time.sleep(3)
    idle = float(window.ask(NO_GAPS))
    window.ask(GAPS)
    began = time.perf_counter()
    answer = client.change_objects(image["key"], put=made)
    spent = time.perf_counter() - began
    time.sleep(2)
    worst = float(window.ask(NO_GAPS))
    if answer["put"] != LABELS:
        raise SystemExit(f"only {answer['put']} labels came in")
    # The peer: a script that gives QuPath the same objects, made already, in one call of its own.
    window.ask(OWN_PUT)
    time.sleep(2)
    window.ask(GAPS)
    time.sleep(4)
    own = float(window.ask(NO_GAPS))
    return {
        "put_s": spent,
        "put_longest_gap_ms": worst,
        "own_put_longest_gap_ms": own,
        "idle_longest_gap_ms": idle,
    }


def measure(driver: Any, folder: Path) -> dict[str, float]:
    """Measure one QuPath."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        at = Path(name)
        found = startup(driver, folder, at)
        place = at / "window"
        place.mkdir()
        driver.make_study(place)
        window = driver.Window(folder, place, options=["-Xmx1800m"])
        try:
            window.wait()
            window.ask("gui.openImageEntry(gui.getProject().getImageList()[1])")
            time.sleep(3)
            found |= panning(window, window.folders)
            with connect(name="recorder", folders=window.folders, wait_s=60) as client:
                client.subscribe(viewer=True, events=True, images=True)
                time.sleep(1)
                found |= latency(window, client)
                found |= put_labels(window, client)
        finally:
            window.close()
        return found


def main() -> None:
    named = sys.argv[1:] or os.environ.get("QPGAZE_QUPATH_DIRS", "").split(os.pathsep)
    folders = [Path(one) for one in named if one]
    if not folders:
        raise SystemExit("Name the folder of a QuPath, or set QPGAZE_QUPATH_DIRS.")
    driver = load_driver()
    for folder in folders:
        before = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        found = measure(driver, folder)
        after = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        ratios = {k: round(found[k] / limit, 2) for k, limit in LIMITS.items()}
        said = {
            "qupath": folder.name,
            "load_before_after": [round(before, 1), round(after, 1)],
            "figures": {k: round(v, 3) for k, v in found.items()},
            "to_limit": ratios,
        }
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
