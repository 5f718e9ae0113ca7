"""End a writer with SIGKILL at many moments of a write, and look at what is left each time.

``python kill_run.py --count 200 --seed 1`` says how many moments were tried, where they fell, and
whether each left the old or the new; ``--job collect`` ends a collection of a reader's copy instead
of a write. Half of the moments are counted (the writer ends itself before
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import shapely

from qpgaze import keys
from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.account import verify_project
from qpgaze.bridge.ledger import Ledger, Operation, records_of
from qpgaze.bridge.pending import commit_recorded, open_ledger
from qpgaze.bridge.projects.qpproj import parse_project
from qpgaze.bridge.qpdata import read_qpdata
from qpgaze.model import SlideObject
from qpgaze.samples import empty_records
from qpgaze.session import SessionHeader, SessionWriter
from qpgaze.session.writer import sha256
from qpgaze.viewing import Display, Rect
from qpgaze.workflows.collect import collect_projects
from qpgaze.workflows.collect_sessions import read_session_files, session_folders

SESSION = UUID("6f1f0e0a-2b7b-4a37-9d7e-0a6a3a5f9d01")
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows ends a process at once by either
LEFT = ("*~", "lock*", "pending-*")


@dataclass(frozen=True)
class Job:
    """What is done while the process is ended.

    Parameters
    ----------
    prepare : callable
        Is given the project and a picture that is not in it; returns what `work` needs besides.
    work : callable
        Is given the project and that.
    old, new : dict of UUID to float
        Ids and areas of the objects of image 1 before and after.
    look : callable
        Is given the project, and raises where anything else is neither old nor new.
    """

    prepare: Callable[[Path, Path], Path]
    work: Callable[[Path, Path], None]
    old: dict[UUID, float]
    new: dict[UUID, float]
    look: Callable[[Path], None]


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
DRAWN = SlideObject(id=UUID(int=5, version=4), geometry=shapely.box(30, 30, 36, 36), name="drawn")


def readers_copy(project_folder: Path, other: Path) -> Path:
    """Make a copy in which a reader changed, deleted, labelled, drew, and recorded a session."""
    copy = project_folder.with_name("reader")
    shutil.copytree(project_folder, copy)
    with open_project(copy, mode="r+", backend="embedded") as project:
        ledger = open_ledger(project)
        entry = project.entry("1")
        entry.add([make(4), DRAWN])
        entry.remove([make(2).id])
        commit_recorded(project, ledger, records_of(Operation.ADD, "1", [make(4)]))
        entry.replace([make(1, 5.0)])
        added = project.add_image(other)
        added.add([make(6)])
        commit_recorded(project, ledger, records_of(Operation.ADD, "2", [make(6)]))
    place = copy / "qpgaze" / "sessions" / "reader.qpgaze"
    place.parent.mkdir()
    display = Display(Rect(0, 0, 1920, 1080), 527.0, 296.0)
    writer = SessionWriter.create(place, SessionHeader(SESSION, "reader", "simulated", display))
    gaze = empty_records(4)
    gaze["t_us"] = [0, 8000, 16000, 24000]
    writer.append_gaze(gaze)
    writer.close()
    return copy


def bring_home(project_folder: Path, copy: Path) -> None:
    """Collect a reader's copy."""
    collect_projects(
        [copy], project_folder, add_images=True, take_deletions=True, backend="embedded"
    )


def look_at_collected(project: Path) -> None:
    """A session is there whole or not at all; after the same again everything is."""
    place = project / "qpgaze" / "sessions" / "reader.qpgaze"
    if place.exists():
        files = read_session_files(place)
        assert files.closed
        assert {name: sha256(place / name) for name in files.digests} == files.digests


def look_at_home(project: Path) -> None:
    """After collecting again everything is there, and each object once."""
    report = verify_project(project, backend="embedded")
    assert report.problems == [], report
    assert [folder.name for folder in session_folders(project)] == ["reader.qpgaze"]
    look_at_collected(project)
    with open_project(project, backend="embedded") as opened:
        ids = [[item.id for item in entry.objects()] for entry in opened.entries]
    assert sorted(ids[0], key=str) == sorted([*COLLECT.new, make(9).id], key=str)
    assert ids[1:] == [[make(6).id]]


WRITE = Job(lambda _project, other: other, write, OLD, NEW, lambda _project: None)
COLLECT = Job(
    readers_copy, bring_home, OLD, {**NEW, DRAWN.id: DRAWN.geometry.area}, look_at_collected
)
JOBS = {"write": WRITE, "collect": COLLECT}


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


def child(job: Job, project: Path, other: Path, at: int, after: bool) -> int:
    """Do the job, ended at a step; returns how many steps there are."""
    counted = steps(at, after)
    job.work(project, other)
    return counted()


def spawn(job: Job, project: Path, other: Path, at: int, after: bool) -> subprocess.Popen[bytes]:
    """Start the writer as a process of its own."""
    name = next(name for name, one in JOBS.items() if one is job)
    arguments = [name, str(project), str(other), str(at), str(int(after))]
    return subprocess.Popen(
        [sys.executable, __file__, "--child", *arguments], stdout=subprocess.PIPE
    )


def end_one(
    job: Job, project: Path, other: Path, at: int, after: bool, wait_s: float | None
) -> bool:
    """Work in another process, ended at a step or after a time; returns whether it was ended."""
    if not hasattr(os, "fork"):
        process = spawn(job, project, other, at, after)
        if wait_s is not None:
            time.sleep(wait_s)
            process.kill()
        process.communicate()
        assert process.returncode != 3
        return process.returncode != 0
    pid = os.fork()  # imports nothing anew: a hundred times in the time of ten processes
    if pid == 0:
        try:
            child(job, project, other, at, after)
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


def look(job: Job, project: Path, first_qpproj: bytes) -> str:
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
    assert areas in (job.old, job.new), areas
    job.look(project)
    return "old" if areas == job.old else "new"


def recover(job: Job, project: Path, state: str) -> None:
    """Let the next writer come: ledger and objects agree, and nothing is left lying about."""
    assert verify_project(project, backend="embedded").problems == []
    with open_project(project, mode="r+", backend="embedded") as opened:
        ledger = open_ledger(opened)
        entry = opened.entry("1")
        standings = {v.value for v in ledger.compare(entry.objects(), entry="1").values()}
        assert standings <= {"untouched", "changed"}, standings
        assert DRAWN.id not in job.new or (DRAWN.id in ledger.last("1")) == (state == "new")
        entry.add([make(9)])
        commit_recorded(opened, ledger, records_of(Operation.ADD, "1", [make(9)]))
        there = len(job.old if state == "old" else job.new) + 1
        assert len(entry.objects()) == there
        there += sum(len(image.objects()) for image in opened.entries[1:])
    report = verify_project(project, backend="embedded")
    assert (report.problems, report.ours) == ([], there), report
    # Only what a reader changed by hand is not as qpgaze wrote it.
    by_hand = job is COLLECT and state == "new"
    assert report.untouched == there - by_hand, report
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


def run(
    count: int, seed: int, folder: Path, *, job: Job = WRITE, by_time: bool = True
) -> Counter[str]:
    """Try moments; returns how many left the old, the new, or came too late."""
    from PIL import Image

    picture, other = folder / "a.png", folder / "b.png"
    for place in (picture, other):
        Image.new("RGB", (64, 64), "pink").save(place)
    fresh = prepare(folder / "fresh", picture)
    other = job.prepare(fresh, other)
    first = (fresh / "project.qpproj").read_bytes()

    def copy() -> Path:
        place = folder / "p"
        shutil.rmtree(place, ignore_errors=True)
        return Path(shutil.copytree(fresh, place))

    total = int(spawn(job, copy(), other, 0, False).communicate()[0])
    whole_s = 0.0
    if by_time:
        end_one(job, copy(), other, 0, False, None)
        begun = time.monotonic()
        assert not end_one(job, copy(), other, 0, False, None)
        whole_s = time.monotonic() - begun
    seen: Counter[str] = Counter()
    for moment in moments(count, seed, total, whole_s):
        project = copy()
        ended = end_one(job, project, other, **moment)
        state = look(job, project, first)
        recover(job, project, state)
        if job is COLLECT:
            job.work(project, other)
            look_at_home(project)
        seen[state if ended else "done before"] += 1
    seen["steps in a write"] = total
    return seen


def main() -> None:
    """Parse the command line."""
    if sys.argv[1:2] == ["--child"]:
        name, project, other, at, after = sys.argv[2:]
        print(child(JOBS[name], Path(project), Path(other), int(at), after == "1"))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--job", choices=list(JOBS), default="write")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(given.count, given.seed, Path(folder), job=JOBS[given.job])))


if __name__ == "__main__":
    main()
