"""A whole session by the command line: recorded in real time, annotated, refined, held to truth.

    python benchmarks/whole_session.py [OBJECTS [FOLDER]]    about five seconds an object

Two programs run: ``qpgaze record`` with the simulated source, and a stand-in for QuPath in a
process of its own that shows what the simulated reader looked at, moves the cursor with every frame
and presses the reader's keys. ``qpgaze annotate`` and ``qpgaze refine`` then take the session as it
was written, on a slide that is drawn for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely

from qpgaze import keys
from qpgaze.bridge.projects import open_project
from qpgaze.recording.opening import practice_reading
from qpgaze.scoring import score_boxes
from qpgaze.session import open_session
from qpgaze.simulate import Reading
from qpgaze.viewing import ImageIdentity, ViewerState
from qpgaze.wire import StandIn

SEED: Final = 1
FRAME_US: Final = 16_667
TILE_PX: Final = 1024
LEVELS: Final = (1, 4, 16)
PIXEL_SIZE_UM: Final = 0.25
BACKGROUND: Final = (236, 214, 226)
INSIDE: Final = (150, 70, 130)


# -- the slide -----------------------------------------------------------------------------------


def draw_slide(path: Path, reading: Reading) -> None:
    """Draw the objects as discs; tiles without any are encoded once."""
    import tifffile

    width, height = reading.image.width_px, reading.image.height_px
    discs = [(*o.geometry.centroid.coords[0], _radius(o.geometry)) for o in reading.objects]
    with tifffile.TiffWriter(path) as tiff:
        for factor in LEVELS:
            shape = (-(-height // factor), -(-width // factor), 3)
            per_cm = 1e4 / (PIXEL_SIZE_UM * factor)
            tiff.write(
                _tiles(shape, [tuple(v / factor for v in disc) for disc in discs]),
                shape=shape, dtype=np.uint8, tile=(TILE_PX, TILE_PX), compression="zlib",
                photometric="rgb", resolution=(per_cm, per_cm), resolutionunit="CENTIMETER",
                subfiletype=int(factor > 1), metadata=None,
            )  # fmt: skip


def _radius(shape: Any) -> float:
    left, _, right, _ = shape.bounds
    return float(right - left) / 2


def _tiles(shape: tuple[int, ...], discs: list[Any]) -> Iterator[bytes]:
    import zlib

    def encoded(rgb: Any) -> bytes:
        return zlib.compress(rgb.tobytes(), 1)

    empty = np.full((TILE_PX, TILE_PX, 3), BACKGROUND, np.uint8)
    blank = encoded(empty)
    at = np.arange(TILE_PX) + 0.5
    for top in range(0, shape[0], TILE_PX):
        for left in range(0, shape[1], TILE_PX):
            box = shapely.box(left, top, left + TILE_PX, top + TILE_PX)
            near = [d for d in discs if shapely.Point(d[:2]).distance(box) <= d[2]]
            if not near:
                yield blank
                continue
            rgb = empty.copy()
            for x, y, r in near:
                inside = (at[None, :] + left - x) ** 2 + (at[:, None] + top - y) ** 2 <= r * r
                rgb[inside] = INSIDE
            yield encoded(rgb)


# -- QuPath --------------------------------------------------------------------------------------


def be_qupath(hooks: Path, objects: int, image: dict[str, Any]) -> None:
    """Show a reading to whoever records, from the moment when its session began."""
    reading = practice_reading(SEED, objects=objects)
    identity = ImageIdentity(**{**image, "uris": tuple(image["uris"])})
    with StandIn(hooks) as qupath:
        qupath.open_image(identity)
        print("ready", flush=True)
        pause = threading.Event()
        while (start_us := _beginning(qupath)) is None:
            pause.wait(0.01)
        states = list(_frames(reading, identity))
        labels = [event for event in reading.events if event.kind == "label"]
        qupath.play(states, labels, start_us=start_us)
        sys.stdin.readline()
        shown = {label["id"] for n in qupath.notes for label in n.get("labels", ())}
        print(json.dumps({"keys": len(labels), "views": len(states), "shown": len(shown)}))


def _beginning(qupath: StandIn) -> int | None:
    """Return when the recorder's session began, on our clock: it says where, the session when."""
    folder = next((n["session_folder"] for n in qupath.notes if n.get("session_folder")), None)
    if folder is None:
        return None
    for line in (Path(folder) / "clocks.jsonl").read_text("utf-8").splitlines():
        relation = json.loads(line)
        if relation["source"] == "ViewerClock" and relation["target"] == "SessionClock":
            return -int(relation["offset_us"])
    return None


def _frames(reading: Reading, image: ImageIdentity) -> Iterator[ViewerState]:
    """Yield the reader's views, and between them the cursor that moves with every frame."""
    at = 0
    for n in range(reading.duration_us // FRAME_US):
        t_us = n * FRAME_US
        while at + 1 < len(reading.states) and reading.states[at + 1].t_us <= t_us:
            at += 1
            yield _shown(reading.states[at], image)
        state = replace(reading.states[at], t_us=t_us)
        yield replace(_shown(state, image), cursor_viewer_px=(float(n % 900), float(n % 700)))


def _shown(state: ViewerState, image: ImageIdentity) -> ViewerState:
    return replace(state, image=None if state.image is None else image)


# -- the whole -----------------------------------------------------------------------------------


def qpgaze(*words: object, **more: Any) -> dict[str, Any]:
    """Run a verb and return what it says as JSON."""
    line = [sys.executable, "-m", "qpgaze", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, encoding="utf-8", **more)
    if done.returncode > 1:  # 1: a check found something, which is told
        raise SystemExit(f"{' '.join(line[2:])}: {done.stderr or done.stdout}")
    return dict(json.loads(done.stdout)) if "--json" in words else {}


def record(folder: Path, project: Path, objects: int, environ: dict[str, str]) -> dict[str, Any]:
    """Record until the simulated reader has finished."""
    with open_project(project) as opened:
        entry = opened.entries[0]
        image = {
            "name": entry.name, "width_px": entry.width_px, "height_px": entry.height_px,
            "entry_id": entry.id, "uris": list(entry.uris),
        }  # fmt: skip
    hooks = folder / "runtime" / "qpgaze" / "hooks"
    us = [sys.executable, __file__, "qupath", str(hooks), str(objects), json.dumps(image)]
    line = [sys.executable, "-m", "qpgaze", "record", str(project), "--views", "qupath"]
    line += ["--source", f"simulated:{SEED}:{objects}", "--name", "whole", "--json"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(us, **pipes) as qupath:
        assert qupath.stdout is not None
        qupath.stdout.readline()
        before = os.times()
        began = time.perf_counter()
        with subprocess.Popen(line, **pipes, env=environ) as recorder:
            assert recorder.stdout is not None
            said = [json.loads(text) for text in recorder.stdout]
        took = time.perf_counter() - began
        after = os.times()
        shown, _ = qupath.communicate("bye\n")
    ended = said[-1]
    if recorder.returncode or ended.get("event") != "ended":
        raise SystemExit(f"qpgaze record ended with {recorder.returncode}: {ended}")
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {
        "seconds": round(took, 1),
        "share_of_a_core": round(cpu / took, 4),
        "reason": ended["reason"],
        "notes": [line["text"] for line in said if line["event"] == "note"],
        "qupath": json.loads(shown),
        "samples": ended["samples"],
        "viewer_states": ended["viewer_states"],
        "audit": ended["audit"],
        "labels_while_recording": max(s["labels"] or 0 for s in said if s["event"] == "status"),
    }


def compare(project: Path, reading: Reading) -> dict[str, Any]:
    """Hold the project's objects against what the simulated eye looked at."""
    with open_project(project) as opened:
        made = [o for o in opened.entries[0].objects() if o.class_name == "Target"]
    truth = [o.geometry for o in reading.objects if o.target]
    score = score_boxes([o.geometry.bounds for o in made], [t.bounds for t in truth])
    off = [min(o.geometry.centroid.distance(t.centroid) / _radius(t) for t in truth) for o in made]
    return {
        "objects": len(made),
        "truth": len(truth),
        "found": score.found,
        "missed": score.missed,
        "false": score.false,
        "mean_iou": round(score.mean_iou, 3),
        "centre_off_radii": {"p50": round(float(np.median(off)), 3), "max": round(max(off), 3)},
        "methods": sorted({str(o.metadata.get(keys.METHOD)) for o in made}),
    }


def whole(objects: int, folder: Path) -> dict[str, Any]:
    """Do everything, and return what came of it."""
    reading = practice_reading(SEED, objects=objects)
    # Recorder and stand-in find each other in a place of their own.
    place = str(folder / "runtime")
    environ = {**os.environ, "XDG_RUNTIME_DIR": place, "XDG_STATE_HOME": place, "HOME": place}
    environ |= {"LOCALAPPDATA": place, "USERPROFILE": place}
    project, slide = folder / "project", folder / "practice.tif"
    draw_slide(slide, reading)
    qpgaze("project", "create", project, env=environ)
    qpgaze("project", "add", project, slide, env=environ)
    recorded = record(folder, project, objects, environ)
    path = project / "qpgaze" / "sessions" / "whole.qpgaze"
    session = open_session(path)
    lost = len(reading.records) - len(session.gaze)
    same = np.array_equal(session.gaze.records["t_us"], reading.records["t_us"])
    annotated = qpgaze("annotate", path, project, "--json", env=environ)
    coarse = compare(project, reading)
    refined = qpgaze("refine", project, "--json", env=environ)
    return {
        "recorded": recorded,
        "samples_lost": lost,
        "gaze_as_simulated": bool(same),
        "keys_pressed": sum(e.kind == "label" for e in reading.events),
        "keys_recorded": sum(e.kind == "label" for e in session.events),
        "problems": qpgaze("validate", path, "--json", env=environ)["problems"],
        "annotated": {k: v for k, v in annotated.items() if isinstance(v, int)},
        "coarse": coarse,
        "refine": {k: v for k, v in refined.items() if isinstance(v, int)},
        "refined": compare(project, reading),
    }


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["qupath"]:
        be_qupath(Path(arguments[1]), int(arguments[2]), json.loads(arguments[3]))
        return
    objects = int(arguments[0]) if arguments else 140
    if len(arguments) > 1:
        result = whole(objects, Path(arguments[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            result = whole(objects, Path(folder))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
