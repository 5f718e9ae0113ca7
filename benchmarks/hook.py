"""The hook in real QuPath windows: what it costs them, how late a view comes, ten thousand labels.

    python benchmarks/hook.py [--only put,pan] [QUPATH ...]

Folders of QuPaths; those of QPGAZE_QUPATH_DIRS where none are named. Parts: startup, pan, latency,
gaze, put, floor.

Needs Xvfb, xdotool and xprop. Each figure is printed with its limit and their ratio (below 1 is
within). Loads of the computer are printed, too: on a busy one the times of QuPath's own painting
are part of what is measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import shapely
from hook_scripts import (
    CHANGE,
    COLLECT,
    CPU,
    FX_CPU,
    FX_USE,
    GAPS,
    NO_GAPS,
    NO_PAN,
    OWN_FEWER,
    OWN_ONE,
    OWN_PUT,
    OWN_REMOVE,
    PAN,
    PULSES,
    REPAINT,
)

from qpgaze.bridge.geojson import to_geojson
from qpgaze.model import SlideObject
from qpgaze.recording.live_gaze import PERIOD_S
from qpgaze.wire import WireClient, connect

DRIVER = Path(__file__).resolve().parent.parent / "tests" / "hook" / "driver.py"
LABELS = 10_000
PAN_S = 20.0
PARTS = ("startup", "pan", "latency", "gaze", "put", "floor")
PUTS = 3
GAZE_S = 10.0
WARM_S = 25.0
"""A session lasts for an hour: what is measured is not Java's first minute."""
CHANGES = 200
STARTS = 2

LIMITS = {
    "startup_fx_ms": 200.0,
    "pulse_cpu_ms": 1.0,
    "pulse_mean_ms": 1.0,
    "latency_p95_ms": 35.0,
    "share_of_a_core": 0.03,
    "put_s": 3.0,
    "put_longest_gap_ms": 100.0,
}


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


def gaze(window: Any, client: WireClient) -> dict[str, float]:
    """Return what the gaze over a slide costs QuPath's own thread, fed as the recorder feeds it."""
    window.ask("viewer.setDownsampleFactor(1); viewer.setCenterPixelLocation(999, 900)")
    seen = client.take(2.0)
    name = next(one.message["state"]["viewer"] for one in seen if "state" in one.message)

    def use(shown: bool) -> tuple[float, float, float]:
        cpu0, pulses0, t0 = json.loads(window.ask(FX_USE))
        shows = int(GAZE_S / PERIOD_S)
        began = time.perf_counter()
        for n in range(shows):
            place = (999 + 100 * math.sin(n / 9), 900 + 100 * math.cos(n / 7))
            if shown:
                client.show_gaze(name, place, radius_image_px=40.0)
            time.sleep(max(0.0, began + (n + 1) * PERIOD_S - time.perf_counter()))
        cpu1, pulses1, t1 = json.loads(window.ask(FX_USE))
        cpu_ms = cpu1 - cpu0
        return cpu_ms / (t1 - t0), cpu_ms / max(pulses1 - pulses0, 1), cpu_ms / shows

    window.ask("hook.overlays.gazeShown = true")
    use(True)  # warm
    shown = use(True)
    window.ask("hook.overlays.gazeShown = false")
    hidden = use(False)
    return {
        "still_fx_share": hidden[0],
        "still_fx_ms_a_pulse": hidden[1],
        "gaze_fx_share": shown[0],
        "gaze_fx_ms_a_pulse": shown[1],
        "gaze_ms_a_show": shown[2] - hidden[2],
        "gaze_share_of_a_core": shown[0] - hidden[0],
    }


def ten_thousand() -> list[dict[str, Any]]:
    """Return labels as small as a nucleus, all over the slide."""
    rng = np.random.default_rng(6)
    at = rng.uniform((50, 50), (2500, 1800), (LABELS, 2))
    made: list[dict[str, Any]] = to_geojson(
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
    return made


def longest_gap(window: Any, work: Callable[[], object]) -> float:
    """Return the longest time without a pulse while something is done, milliseconds."""
    window.ask(GAPS)
    time.sleep(0.5)
    work()
    time.sleep(2)
    return float(window.ask(NO_GAPS))


def put_labels(window: Any, client: WireClient) -> dict[str, float]:
    """Put ten thousand labels into the open image; return how long the window stood still.

    At full resolution some 1,200 of them are in view; at the end once more with 80 in view, which
    leaves little of QuPath's painting.
    """
    window.ask("viewer.setDownsampleFactor(1); viewer.setCenterPixelLocation(999, 900)")
    made = ten_thousand()
    (image,) = client.images()
    spent, gaps = [], []

    def put() -> None:
        began = time.perf_counter()
        answer = client.change_objects(image["key"], put=made, wait_s=60)
        spent.append(time.perf_counter() - began)
        if answer["put"] != LABELS:
            raise SystemExit(f"only {answer['put']} labels came in")

    def take_out() -> None:
        client.change_objects(image["key"], remove=[one["id"] for one in made], wait_s=60)
        time.sleep(2)

    for number in range(PUTS):
        if number:
            take_out()
        gaps.append(longest_gap(window, put))
    take_out()
    window.ask("viewer.setDownsampleFactor(0.25)")
    time.sleep(1)
    close = longest_gap(window, put)
    window.ask("viewer.setDownsampleFactor(1)")
    spent.pop()  # of another view than the others
    return {
        "put_close_gap_ms": close,
        "put_s": spent[0],
        "put_median_s": float(np.median(spent)),
        "put_longest_gap_ms": float(np.median(gaps)),
        "put_first_gap_ms": gaps[0],
    }


def floor(window: Any) -> dict[str, float]:
    """Return how long QuPath itself stands still, with ten thousand labels in it."""

    def median(ask: str, before: str = "") -> float:
        found = []
        for _ in range(PUTS):
            if before:
                window.ask(before)
                time.sleep(2)
            found.append(longest_gap(window, lambda: window.ask(ask)))
        return float(np.median(found))

    return {
        "idle_longest_gap_ms": longest_gap(window, lambda: None),
        "repaint_gap_ms": median(REPAINT),
        "collect_gap_ms": median(COLLECT),
        "own_put_gap_ms": median(OWN_PUT, OWN_REMOVE),
        "own_one_gap_ms": median(OWN_ONE, OWN_FEWER),
    }


def measure(driver: Any, folder: Path, parts: Collection[str]) -> dict[str, float]:
    """Measure one QuPath."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        at = Path(name)
        found = startup(driver, folder, at) if "startup" in parts else {}
        place = at / "window"
        place.mkdir()
        driver.make_study(place)
        window = driver.Window(folder, place, options=["-Xmx1800m"])
        try:
            window.wait()
            window.ask("gui.openImageEntry(gui.getProject().getImageList()[1])")
            time.sleep(3)
            if "pan" in parts:
                found |= panning(window, window.folders)
            with connect(name="recorder", folders=window.folders, wait_s=60) as client:
                client.subscribe(viewer=True, events=True, images=True)
                time.sleep(1)
                if "latency" in parts:
                    found |= latency(window, client)
                if "gaze" in parts:
                    found |= gaze(window, client)
                if "put" in parts or "floor" in parts:
                    found |= put_labels(window, client)
                if "floor" in parts:
                    found |= floor(window)
        finally:
            window.close()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("qupath", nargs="*", help="folder of a QuPath")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    given = parser.parse_args()
    parts = set(given.only.split(","))
    if parts - set(PARTS):
        raise SystemExit(f"--only: parts are {', '.join(PARTS)}")
    named = given.qupath or os.environ.get("QPGAZE_QUPATH_DIRS", "").split(os.pathsep)
    folders = [Path(one) for one in named if one]
    if not folders:
        raise SystemExit("Name the folder of a QuPath, or set QPGAZE_QUPATH_DIRS.")
    driver = load_driver()
    for folder in folders:
        before = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        found = measure(driver, folder, parts)
        after = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        ratios = {k: round(found[k] / limit, 2) for k, limit in LIMITS.items() if k in found}
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
