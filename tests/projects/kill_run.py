"""End a writer with SIGKILL at many moments of a write, and look at what is left each time.

``python kill_run.py --count 200 --seed 1`` says how many moments were tried, where they fell, and
whether each left the old or the new. Half of the moments are counted (the writer ends itself before
or after its n-th step in the file system), half are a matter of time (another process ends it).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import shapely

from qpgaze import keys
from qpgaze.bridge import Ledger, create_project, open_project
from qpgaze.bridge.account import verify_project
from qpgaze.bridge.ledger import Operation, records_of
from qpgaze.bridge.pending import commit_recorded, open_ledger
from qpgaze.bridge.projects.qpproj import parse_project
from qpgaze.bridge.qpdata import read_qpdata
from qpgaze.model import SlideObject

SESSION = UUID("6f1f0e0a-2b7b-4a37-9d7e-0a6a3a5f9d01")
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows ends a process at once by either
LEFT = ("*~", "lock*", "pending-*")


def make(number: int, size_px: float = 8.0) -> SlideObject:
    """Make the n-th object of the session."""
    x, y = 10.0 * (number % 20), 10.0 * (number // 20)
    return SlideObject(
        id=uuid5(SESSION, f"{number}/0"),
        geometry=shapely.box(x, y, x + size_px, y + size_px),
        class_name="Keratin pearl",
        name=f"label {number}",
        metadata={
            keys.SESSION: str(SESSION),
            keys.LABEL: str(number),
            keys.PART: "0",
            keys.STATE: keys.ReviewState.PROPOSED.value,
            keys.METHOD: keys.METHOD_DISCS,
        },
    )


def prepare(folder: Path, picture: Path) -> Path:
    """Make a project with three objects of ours in it."""
    with create_project(folder, backend="embedded") as project:
        entry = project.add_image(picture)
        objects = [make(n) for n in (1, 2, 3)]
        entry.add(objects)
        commit_recorded(project, open_ledger(project), records_of(Operation.ADD, "1", objects))
    return folder


def write(project_folder: Path, other: Path) -> None:
    """Replace, remove and add objects and add an image: everything a commit can do."""
    with open_project(project_folder, mode="r+", backend="embedded") as project:
        ledger = open_ledger(project)
        entry = project.entry("1")
        entry.replace([make(1, 5.0)])
        entry.remove([make(2).id])
        entry.add([make(4)])
        project.add_classes({"Tumor": None})
        project.add_image(other)
        records = [
            *records_of(Operation.REPLACE, "1", [make(1, 5.0)]),
            *records_of(Operation.REMOVE, "1", [make(2)]),
            *records_of(Operation.ADD, "1", [make(4)]),
        ]
        commit_recorded(project, ledger, records)


OLD = {make(n).id: 64.0 for n in (1, 2, 3)}
NEW = {make(1).id: 25.0, make(3).id: 64.0, make(4).id: 64.0}


# -- the writer that is ended ------------------------------------------------------------------


def steps(at: int, after: bool) -> Callable[[], int]:
    """Let this process end itself around its n-th step in the file system; returns the counter."""
    count = [0]

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            mine = count[0] == at
            if mine and not after:
                os.kill(os.getpid(), KILL)
            result = real(*args, **kwargs)
            if mine:
                os.kill(os.getpid(), KILL)
            return result

        return call

    for place, name in (
        *((os, name) for name in ("write", "fsync", "open", "link", "close")),
        *((Path, name) for name in ("replace", "mkdir", "unlink", "rmdir")),
    ):
        setattr(place, name, wrap(getattr(place, name)))
    return lambda: count[0]


def child(project: Path, other: Path, at: int, after: bool) -> int:
    """Write, ended at a step; returns how many steps there are."""
    counted = steps(at, after)
    write(project, other)
    return counted()


def spawn(project: Path, other: Path, at: int, after: bool) -> subprocess.Popen[bytes]:
    """Start the writer as a process of its own."""
    arguments = [str(project), str(other), str(at), str(int(after))]
    return subprocess.Popen(
        [sys.executable, __file__, "--child", *arguments], stdout=subprocess.PIPE
    )


def end_one(project: Path, other: Path, at: int, after: bool, wait_s: float | None) -> bool:
    """Write in another process, ended at a step or after a time; returns whether it was ended."""
    if not hasattr(os, "fork"):
        process = spawn(project, other, at, after)
        if wait_s is not None:
            time.sleep(wait_s)
            process.kill()
        process.communicate()
        assert process.returncode != 3
        return process.returncode != 0
    pid = os.fork()  # imports nothing anew: a hundred times in the time of ten processes
    if pid == 0:
        try:
            child(project, other, at, after)
            os._exit(0)
        except BaseException as error:  # the parent must hear of it, whatever it is
            print(f"writer failed: {error!r}", file=sys.stderr)
            os._exit(3)
    if wait_s is not None:
        time.sleep(wait_s)
        os.kill(pid, KILL)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, KILL), status
    return status != 0


# -- what is left ------------------------------------------------------------------------------


def look(project: Path, first_qpproj: bytes) -> str:
    """Say whether a project is the old or the new one; raises where it is neither."""
    raw = parse_project((project / "project.qpproj").read_bytes(), project)
    ids = [item["entryID"] for item in raw["images"]]
    assert ids in ([1], [1, 2]), ids
    if ids == [1]:
        assert (project / "project.qpproj").read_bytes() == first_qpproj
    else:
        read_qpdata((project / "data" / "2" / "data.qpdata").read_bytes())
    json.loads((project / "classifiers" / "classes.json").read_text("utf-8"))
    data = read_qpdata((project / "data" / "1" / "data.qpdata").read_bytes())
    areas = {item.id: item.geometry.area for item in data.objects}
    assert areas in (OLD, NEW), areas
    return "old" if areas == OLD else "new"


def recover(project: Path, state: str) -> None:
    """Let the next writer come: ledger and objects agree, and nothing is left lying about."""
    assert verify_project(project, backend="embedded").problems == []
    with open_project(project, mode="r+", backend="embedded") as opened:
        ledger = open_ledger(opened)
        entry = opened.entry("1")
        standings = {v.value for v in ledger.compare(entry.objects(), entry="1").values()}
        assert standings == {"untouched"}, standings
        entry.add([make(9)])
        commit_recorded(opened, ledger, records_of(Operation.ADD, "1", [make(9)]))
        assert len(entry.objects()) == 4
    report = verify_project(project, backend="embedded")
    assert (report.problems, report.ours, report.untouched) == ([], 4, 4), report
    left = [path for pattern in LEFT for path in project.rglob(pattern) if path.name != "locks"]
    assert left == [], left
    last = Ledger.open(project).last("1")
    assert (make(4).id in last) == (state == "new")


def moments(count: int, seed: int, total: int, whole_s: float) -> Iterator[dict[str, Any]]:
    """Draw moments, spread over the whole write: steps, before or after them, and seconds."""
    rng = random.Random(seed)
    for number in range(count):
        part = (number + rng.random()) / count
        at, after = 1 + int(part * total), rng.random() < 0.5
        if number % 2 and whole_s:
            yield {"at": 0, "after": False, "wait_s": part * whole_s}
        else:
            yield {"at": at, "after": after, "wait_s": None}


def run(count: int, seed: int, folder: Path, *, by_time: bool = True) -> Counter[str]:
    """Try moments; returns how many left the old, the new, or came too late."""
    from PIL import Image

    picture, other = folder / "a.png", folder / "b.png"
    for place in (picture, other):
        Image.new("RGB", (64, 64), "pink").save(place)
    fresh = prepare(folder / "fresh", picture)
    first = (fresh / "project.qpproj").read_bytes()

    def copy() -> Path:
        place = folder / "p"
        shutil.rmtree(place, ignore_errors=True)
        return Path(shutil.copytree(fresh, place))

    total = int(spawn(copy(), other, 0, False).communicate()[0])
    whole_s = 0.0
    if by_time:
        end_one(copy(), other, 0, False, None)
        begun = time.monotonic()
        assert not end_one(copy(), other, 0, False, None)
        whole_s = time.monotonic() - begun
    seen: Counter[str] = Counter()
    for moment in moments(count, seed, total, whole_s):
        project = copy()
        ended = end_one(project, other, **moment)
        state = look(project, first)
        recover(project, state)
        seen[state if ended else "done before"] += 1
    seen["steps in a write"] = total
    return seen


def main() -> None:
    """Parse the command line."""
    if sys.argv[1:2] == ["--child"]:
        project, other, at, after = sys.argv[2:]
        print(child(Path(project), Path(other), int(at), after == "1"))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(given.count, given.seed, Path(folder))))


if __name__ == "__main__":
    main()
