"""Files of QuPath, damaged at random: refused with one of our errors, or read and kept whole.

Case ``i`` of a seed is the same wherever it runs. The test suite runs a few thousand; by hand::

    python tests/fuzz/fuzzer.py --seed 1 --first 0 --count 100000

prints one line with what became of them and writes each that fails to ``--out``. There, a case may
take a second of CPU, the whole run 1 GB of memory above what the imports take.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gzip
import importlib.util
import io
import json
import random
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import shapely

from qpgaze.bridge.geojson import from_geojson, to_geojson
from qpgaze.bridge.geojson.reading import read_stream
from qpgaze.bridge.projects import qpproj
from qpgaze.bridge.projects.checking import check_objects
from qpgaze.bridge.projects.uris import parse_uri
from qpgaze.bridge.qpdata import edit_qpdata, new_qpdata, read_qpdata
from qpgaze.errors import ProjectError, QpgazeError
from qpgaze.model import SlideObject

HERE = Path(__file__).resolve().parent
MOST_CPU_S = 1.0
_PLACE = re.compile(r"(handle|at)=\d+| at 0x[0-9a-f]+")
MOST_MEMORY = 1 << 30


def _load(name: str) -> ModuleType:
    """Import a file beside this one, which is no package."""
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mutations = _load("mutations")

OURS = SlideObject(
    UUID("0b5ad1a5-7d0c-4f0e-8a55-5f3f0e6a6c01"),
    shapely.Polygon([(1, 2), (30, 4), (20.5, 40)]),
    class_name="Fuzz",
    name="one of ours",
    measurements={"n": 1.5},
    metadata={"k": "v"},
)
TILE = dataclasses.replace(OURS, id=UUID(int=11), kind="tile", parent=OURS.id, class_name=None)
CELL = dataclasses.replace(
    OURS, id=UUID(int=12), kind="cell", parent=TILE.id, nucleus=shapely.box(3, 4, 6, 9), z=1
)
ALL_OURS = (OURS, TILE, CELL)


class Lost(AssertionError):
    """Something was read wrongly, or changed that was not to be changed."""


def corpus(folder: Path) -> dict[str, list[bytes]]:
    """Return the real files that everything starts from, by kind."""
    return {
        "qpdata": [path.read_bytes() for path in sorted(folder.rglob("*.qpdata"))],
        "qpproj": [
            path.read_bytes()
            for path in sorted([*folder.rglob("*.qpproj"), *folder.rglob("classes.json")])
        ],
        "geojson": [
            path.read_bytes()
            for path in sorted([*folder.rglob("*.geojson"), *folder.rglob("paquo*.json")])
        ],
    }


def with_kinds(files: dict[str, list[bytes]], folder: Path) -> dict[str, list[bytes]]:
    """Return the same files, and some GeoJSON of cells, tiles and cores as two QuPaths wrote it.

    Apart from the corpus, since each case of a seed must stay what it was.
    """
    more = [
        json.dumps(_some(json.loads(gzip.decompress(path.read_bytes())))).encode()
        for path in sorted(folder.rglob("*.geojson.gz"))
    ]
    return {**files, "geojson": [*files["geojson"], *more]}


def _some(collection: dict[str, Any]) -> dict[str, Any]:
    """Return three features of each type, one of them with a nucleus where there are any."""
    kept: Counter[str] = Counter()
    features = []
    for feature in sorted(collection["features"], key=lambda f: "nucleusGeometry" not in f):
        kind = feature["properties"]["objectType"]
        if kept[kind] < 3:
            kept[kind] += 1
            features.append(feature)
    features[0]["properties"]["childObjects"] = features[-2:]
    return {**collection, "features": features[:-2]}


# -- what a damaged file must stand ------------------------------------------------------------


def check_qpdata(data: bytes, rng: random.Random) -> str:
    """Read; where that works, add objects and take them away again: nothing may be left of them."""
    before = read_qpdata(data)
    if rng.randrange(4):
        return "read"
    if rng.randrange(3) == 0:
        return _reclassed(data, before, rng)
    ours = list(ALL_OURS[: rng.choice((1, 3))])
    try:
        more = edit_qpdata(data, add=ours, class_colors={"Fuzz": 0x123456})
    except QpgazeError:
        return "read, not edited"
    after = read_qpdata(more)
    added = len(after.objects) - len(before.objects)
    if added != len(ours) or _without(after, {one.id for one in ours}) != _facts(before):
        raise Lost("an edit changed what it was not to change")
    try:
        back = edit_qpdata(more, remove=[one.id for one in ours], class_colors={})
    except QpgazeError:
        return "edited, not taken back"
    if back != data:
        raise Lost("adding and removing an object does not give the same bytes")
    return "edited"


def _facts(found: Any) -> list[Any]:
    return [
        str(dataclasses.replace(one, geometry=None, nucleus=None))
        + shapely.to_wkb(one.geometry, hex=True)
        + ("" if one.nucleus is None else shapely.to_wkb(one.nucleus, hex=True))
        for one in found.objects
    ] + [
        found.server_json,
        found.qupath_version,
        found.image_type,
        _PLACE.sub("", repr(found.properties)),
    ]


def _without(found: Any, ids: set[UUID]) -> list[Any]:
    others = tuple(one for one in found.objects if one.id not in ids)
    return _facts(dataclasses.replace(found, objects=others))


def _reclassed(data: bytes, before: Any, rng: random.Random) -> str:
    """Give an object of any kind, cores of a grid too, another class: nothing else may change."""
    if not before.objects:
        return "read"
    old = rng.choice(before.objects)
    new = dataclasses.replace(old, class_name="Fuzz", name="changed")
    try:
        made = edit_qpdata(data, replace=[new], class_colors={"Fuzz": 0x123456})
    except QpgazeError:
        return "read, not edited"
    after = read_qpdata(made)
    (came,) = [one for one in after.objects if one.id == old.id]
    if (
        _facts(dataclasses.replace(after, objects=(came,)))[0]
        != _facts(dataclasses.replace(before, objects=(new,)))[0]
    ):
        raise Lost("an object that got another class got more than that")
    # Properties may hold the object itself, and ids of those without one are made up anew.
    lasting = all(before.scan.raw(n).uid for n in range(1, len(before.objects) + 1))
    if list(after.properties) != list(before.properties) or (
        lasting and _without(after, {old.id})[:-1] != _without(before, {old.id})[:-1]
    ):
        raise Lost("an object changed beside the one that got another class")
    return "edited"


def check_qpproj(data: bytes, rng: random.Random) -> str:
    """Read as project and as classes; what a change does not touch stays."""
    del rng
    path = Path("project.qpproj")
    said = []
    for parse in (qpproj.parse_project, qpproj.parse_classes):
        try:
            raw = parse(data, path)
        except QpgazeError:
            continue
        said.append(parse.__name__)
        if parse is qpproj.parse_classes:
            old = json.dumps(raw)
            more = qpproj.append_classes(raw, {"Fuzz": 0x123456})
            again = qpproj.parse_classes(qpproj.dump_json(more), path)
            if json.dumps({**again, "pathClasses": again["pathClasses"][:-1]}) != old and (
                "Fuzz" not in qpproj.class_colors(raw)
            ):
                raise Lost("classes changed that were not to change")
            continue
        for item in raw.get("images", []):
            if not qpproj.entry_id(item).isdecimal():
                raise Lost("an entry id is no plain number")
            for uri in qpproj.builder_uris(item.get("serverBuilder")):
                with contextlib.suppress(ProjectError):
                    parse_uri(uri)
        if json.dumps(qpproj.parse_project(qpproj.dump_json(raw), path)) != json.dumps(raw):
            raise Lost("a project does not come back as it was")
    if not said:
        raise ProjectError("neither")
    return "read"


def check_geojson(data: bytes, rng: random.Random) -> str:
    """Read; what came must be fit for the store, or be refused by it, and survive our own words."""
    found = [one.object for one in read_stream(io.BytesIO(data), "file")]
    for item in found:
        if not item.geometry.is_empty and not item.geometry.is_valid:
            raise Lost(f"an invalid {item.geometry.geom_type} came out")
        if item.nucleus is not None and (item.nucleus.is_empty or not item.nucleus.is_valid):
            raise Lost("an invalid nucleus came out")
    if rng.randrange(4):
        return "read"
    text = json.dumps(to_geojson(found, {}))
    again, _ = from_geojson(json.loads(text))
    if sorted(str(one.id) for one in again) != sorted({str(one.id) for one in found}) and (
        len({one.id for one in found}) == len(found)
    ):
        raise Lost("objects do not come back")
    cores = {one.id for one in found if one.kind == "tma_core"}  # the store refuses those
    found = [
        dataclasses.replace(one, parent=None) if one.parent in cores else one
        for one in found
        if one.id not in cores
    ]
    try:
        check_objects(found)
        made = edit_qpdata(_EMPTY, add=found, class_colors=_colors(found))
    except QpgazeError:
        return "read, not stored"
    back = {one.id: one for one in read_qpdata(made).objects}
    for item in found:
        there = back[item.id]
        same = all(
            getattr(item, what) == getattr(there, what)
            for what in (
                "name",
                "class_name",
                "description",
                "kind",
                "metadata",
                "locked",
                "parent",
                "nucleus_is_ellipse",
            )
        )
        if item.nucleus is not None:
            same = same and there.nucleus is not None and there.nucleus.area > 0
        if not same or str(item.measurements) != str(dict(there.measurements)):
            raise Lost(f"object {item.id} was stored as another")
    return "stored"


def _colors(found: list[SlideObject]) -> dict[str, int]:
    names = {one.class_name for one in found if one.class_name}
    return {
        ": ".join(name.split(": ")[:length]): 0
        for name in names
        for length in range(1, name.count(": ") + 2)
    }


_EMPTY = new_qpdata(
    server={"builderType": "uri", "uri": "file:/a.tif", "args": []},
    qupath_version="0.5.1",
    image_type="OTHER",
)

CHECKS: dict[str, Callable[[bytes, random.Random], str]] = {
    "qpdata": check_qpdata,
    "qpproj": check_qpproj,
    "geojson": check_geojson,
}
KINDS = ("qpdata", "geojson", "qpproj", "geojson", "qpproj")


def make_case(seed: int, index: int, files: dict[str, list[bytes]]) -> tuple[str, bytes]:
    """Return the kind and the bytes of a case."""
    rng = random.Random(f"{seed}/{index}")
    kind = KINDS[index % len(KINDS)]
    data, other = rng.choice(files[kind]), rng.choice(files[kind])
    if kind == "qpdata":
        how = rng.choice((mutations.damage_stream, mutations.damage_bytes))
    else:
        how = rng.choice((mutations.damage_json,) * 4 + (mutations.damage_bytes,))
    return kind, how(data, rng, other)


def run_case(seed: int, index: int, files: dict[str, list[bytes]]) -> str:
    """Run one case and say what became of it; anything but our errors gets out."""
    kind, data = make_case(seed, index, files)
    try:
        return f"{kind} {CHECKS[kind](data, random.Random(index))}"
    except ProjectError:
        return f"{kind} refused"


# -- by hand -----------------------------------------------------------------------------------


def _limit_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, used + MOST_MEMORY))


def main() -> int:
    """Run a stretch of cases."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--first", type=int, default=0)
    ask.add_argument("--count", type=int, default=10_000)
    ask.add_argument("--corpus", type=Path, action="append", help="Folders of real files.")
    ask.add_argument("--kinds", action="store_true", help="Also GeoJSON of cells, tiles, cores.")
    ask.add_argument("--out", type=Path, default=Path("benchmarks/out/fuzz"))
    given = ask.parse_args()
    folders = given.corpus or [HERE.parent / "data" / "qupath"]
    files: dict[str, list[bytes]] = {}
    for folder in folders:
        for kind, found in corpus(folder).items():
            files.setdefault(kind, []).extend(found)
    if given.kinds:
        files = with_kinds(files, HERE.parent / "data" / "qupath")
    given.out.mkdir(parents=True, exist_ok=True)
    _limit_memory()
    seen: Counter[str] = Counter()
    slowest, failed = 0.0, 0
    for index in range(given.first, given.first + given.count):
        began = time.process_time()
        try:
            seen[run_case(given.seed, index, files)] += 1
        except (Exception, MemoryError):
            failed += 1
            (given.out / f"{given.seed}_{index}.txt").write_text(traceback.format_exc()[-6000:])
        took = time.process_time() - began
        slowest = max(slowest, took)
        if took > MOST_CPU_S:
            failed += 1
            (given.out / f"{given.seed}_{index}.slow.txt").write_text(f"{took:.2f} s")
        if index % 5000 == 4999:
            _say(given, index + 1 - given.first, failed, slowest, seen)
    _say(given, given.count, failed, slowest, seen)
    return min(failed, 1)


def _say(given: Any, done: int, failed: int, slowest: float, seen: Counter[str]) -> None:
    line = {
        "seed": given.seed,
        "first": given.first,
        "done": done,
        "failed": failed,
        "slowest_cpu_s": round(slowest, 3),
        **dict(sorted(seen.items())),
    }
    (given.out / f"{given.seed}_{given.first}.json").write_text(json.dumps(line, indent=1))
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
