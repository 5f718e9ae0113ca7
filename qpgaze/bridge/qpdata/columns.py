"""Objects made of what a scan found, those of one layout all at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from qpgaze.bridge.qpdata.javatext import decode_modified_utf8
from qpgaze.bridge.qpdata.records import PathClass, Raw, Roi
from qpgaze.bridge.qpdata.scan import Scan
from qpgaze.bridge.qpdata.shapes import EMPTY, Corners, build_kind, corners_of
from qpgaze.bridge.qpdata.templates import Gap, Rows
from qpgaze.bridge.qupath_names import DESCRIPTION_KEY
from qpgaze.model import SlideObject

_BOX: Final = np.dtype(
    [("c", ">i4"), ("t", ">i4"), ("x", ">f8"), ("x2", ">f8"), ("y", ">f8"), ("y2", ">f8"),
     ("z", ">i4")]
)  # fmt: skip


class Shapes:
    """Collects regions by kind, and builds each kind at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kinds: defaultdict[str, list[tuple[list[int], Any]]] = defaultdict(list)

    def add(self, kind: str, numbers: list[int], shapes: Sequence[Any] | Corners) -> None:
        """Take the shapes of objects, by their numbers."""
        self._kinds[kind].append((numbers, shapes))

    def build(self) -> npt.NDArray[np.object_]:
        """Return the geometries by number; an empty polygon where there is no region."""
        out = np.full(self._size, EMPTY, dtype=object)
        for kind, parts in self._kinds.items():
            numbers = [n for members, _ in parts for n in members]
            out[numbers] = build_kind(kind, _joined([shapes for _, shapes in parts]))
        return out


def _joined(parts: list[Any]) -> Sequence[Any] | Corners:
    if len(parts) == 1:
        return parts[0]  # type: ignore[no-any-return]
    if any(isinstance(part, Corners) for part in parts):
        every = [part if isinstance(part, Corners) else corners_of(part) for part in parts]
        xy, counts = zip(*every, strict=True)
        return Corners(np.concatenate(xy), np.concatenate(counts))
    return [shape for part in parts for shape in part]


def make_objects(scan: Scan, ids: Sequence[UUID], only: Iterable[int] | None = None) -> list[Any]:
    """Make SlideObjects of a scan's objects.

    Parameters
    ----------
    scan : Scan
    ids : sequence of UUID
        Of all objects.
    only : iterable of int, optional
        Numbers of the objects to make; all but the root by default.

    Returns
    -------
    list of SlideObject or None
        By number; None for the root and what was not to be made.
    """
    chosen = np.zeros(len(scan), dtype=bool)
    chosen[slice(1, None) if only is None else list(only)] = True
    rows = [r for r in (r.take(chosen[r.numbers]) for r in scan.rows) if len(r.numbers)]
    raws = {n: raw for n, raw in scan.read.items() if chosen[n]}
    shapes = Shapes(len(scan))
    by_kind: defaultdict[str, list[int]] = defaultdict(list)
    for number, raw in raws.items():
        if raw.roi is not None:
            by_kind[raw.roi.kind].append(number)
    for kind, numbers in by_kind.items():
        shapes.add(kind, numbers, [raws[n].roi.shape for n in numbers])  # type: ignore[union-attr]
    planes = [regions_of(r, shapes) for r in rows]
    geometries = shapes.build().tolist()
    nuclei = _nuclei(len(scan), rows, raws)
    parent_ids: list[UUID | None] = [None, *ids[1:], None]  # [0] the root's, [-1] above it
    parents = [parent_ids[p] for p in scan.parents.tolist()]
    out: list[Any] = [None] * len(scan)
    for n, raw in raws.items():
        out[n] = _slide_object(raw, ids[n], geometries[n], parents[n], nuclei.get(n))
    for r, plane in zip(rows, planes, strict=True):
        sample = r.template.sample
        ellipse, round_ = _is_ellipse(sample.roi), _is_ellipse(sample.nucleus)
        color, missing = _rgb(sample.color), sample.missing
        numbers = r.numbers.tolist()
        inner = repeat(None) if sample.nucleus is None else map(nuclei.get, numbers)
        for (
            n,
            measurements,
            name,
            description,
            metadata,
            locked,
            class_name,
            c,
            z,
            t,
            nucleus,
        ) in zip(numbers, _measurements(r), *words_of(r), *plane, inner, strict=False):
            out[n] = SlideObject(
                ids[n], geometries[n], sample.kind, class_name, color, name, description,
                measurements, metadata, locked, ellipse, c, z, t, parents[n], nucleus, round_,
                missing,
            )  # fmt: skip
    return out


def _nuclei(size: int, rows: Sequence[Rows], raws: Mapping[int, Raw]) -> dict[int, Any]:
    """Return the nuclei of cells by the cells' numbers; most files have none."""
    shapes = Shapes(size)
    have: list[int] = []
    for number, raw in raws.items():
        if raw.nucleus is not None:
            shapes.add(raw.nucleus.kind, [number], [raw.nucleus.shape])
            have.append(number)
    for r in rows:
        if r.template.sample.nucleus is not None:
            regions_of(r, shapes, "nucleus")
            have += r.numbers.tolist()
    if not have:
        return {}
    return dict(zip(have, shapes.build()[have].tolist(), strict=True))


def _is_ellipse(region: Roi | None) -> bool:
    return region is not None and region.kind == "EllipseROI"


def _slide_object(
    raw: Raw, uid: UUID, geometry: Any, parent: UUID | None, nucleus: Any
) -> SlideObject:
    region = raw.roi
    c, z, t = (region.c, region.z, region.t) if region else (-1, 0, 0)
    return SlideObject(
        uid,
        geometry,
        raw.kind,
        raw.path_class.name if raw.path_class else None,
        _rgb(raw.color),
        raw.name,
        raw.description,
        raw.measurements,
        raw.metadata,
        raw.locked,
        _is_ellipse(region),
        c,
        z,
        t,
        parent,
        nucleus,
        _is_ellipse(raw.nucleus),
        raw.missing,
    )


def _rgb(color: int | None) -> int | None:
    return None if color is None else color & 0xFFFFFF


def _gap(rows: Rows, role: str, key: str | None = None) -> Gap | None:
    for gap in rows.template.gaps:
        if gap.role == role and (key is None or gap.key == key):
            return gap
    return None


def _texts(rows: Rows, gap: Gap) -> list[str]:
    if not gap.unit:
        return rows.shared_values(gap)
    data = rows.data
    return [decode_modified_utf8(data[a:b]) for a, b in zip(*rows.spans(gap), strict=True)]


def words_of(rows: Rows) -> tuple[Iterable[Any], ...]:
    """Return names, descriptions, metadata, locks and class names."""
    sample = rows.template.sample
    count = len(rows.numbers)
    gap = _gap(rows, "name") or _gap(rows, "name ref")
    names: Iterable[Any] = repeat(sample.name, count) if gap is None else _texts(rows, gap)
    places = ("metadata", "metadata ref")
    gap = _gap(rows, places[0], DESCRIPTION_KEY) or _gap(rows, places[1], DESCRIPTION_KEY)
    texts = repeat(sample.description, count) if gap is None else _texts(rows, gap)
    metadata: Iterable[Any] = (dict(sample.metadata) for _ in range(count))
    gaps = [g for g in rows.template.gaps if g.role in places and g.key in sample.metadata]
    if gaps:
        keys = [g.key for g in gaps]
        values = zip(*(_texts(rows, g) for g in gaps), strict=True)
        metadata = [{**sample.metadata, **dict(zip(keys, v, strict=True))} for v in values]
    locked = _shared(rows, "locked", sample.locked)
    gap, one = _gap(rows, "class"), sample.path_class
    classes: Iterable[Any] = repeat(one.name if one else None, count)
    if gap is not None:
        classes = rows.shared_values(gap, lambda found: found.name if found else None)
    return names, texts, metadata, locked, classes


def measured(rows: Rows) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Return names of measurements, in their order, and the values, (n, k)."""
    gaps = [g for g in rows.template.gaps if g.role == "measurement"]
    values = np.empty((len(rows.numbers), len(gaps)))
    for i, gap in enumerate(gaps):
        values[:, i] = rows.numbers_of(gap, f">f{gap.size}")[:, 0]
    return [gap.key for gap in gaps], values


def _measurements(rows: Rows) -> Iterable[dict[str, float]]:
    names, values = measured(rows)
    if not names:
        return ({} for _ in rows.numbers)
    return [dict(zip(names, v, strict=True)) for v in values.tolist()]


def _shared(rows: Rows, role: str, otherwise: Any) -> Iterable[Any]:
    gap = _gap(rows, role)
    if gap is None:
        return repeat(otherwise, len(rows.numbers))
    return rows.shared_values(gap)


def regions_of(rows: Rows, shapes: Shapes, role: str = "roi") -> tuple[Iterable[int], ...]:
    """Hand over the shapes of some objects or their nuclei, and return their c, z and t."""
    sample = rows.template.sample
    region = sample.roi if role == "roi" else sample.nucleus
    numbers = rows.numbers.tolist()
    if region is None:
        return repeat(-1), repeat(0), repeat(0)
    box = _gap(rows, role, "box")
    if box is not None:
        found = rows.numbers_of(box, _BOX)[:, 0]
        corners = np.stack([found[k].astype(float) for k in ("x", "y", "x2", "y2")], axis=1)
        shapes.add(region.kind, numbers, corners)  # type: ignore[arg-type]
        return tuple(found[k].tolist() for k in "czt")
    shapes.add(region.kind, numbers, _payloads(rows, role))
    plane = _gap(rows, role, "plane")
    assert plane is not None  # noqa: S101 - a region has a box or a plane
    found = rows.numbers_of(plane, ">i4")
    return tuple(found[:, i].tolist() for i in (0, 2, 1))


def _payloads(rows: Rows, role: str) -> list[bytes] | Corners:
    """Return the corners of regions, or their WKB."""
    data = rows.data
    wkb = _gap(rows, role, "wkb")
    if wkb is not None:
        return [data[a:b] for a, b in zip(*rows.spans(wkb), strict=True)]
    x, y = _gap(rows, role, "x"), _gap(rows, role, "y")
    assert x is not None and y is not None  # noqa: S101, PT018 - a region has one of them
    begin, stop = rows.bounds(x)
    counts = (stop - begin) // 4
    xy = np.empty((int(counts.sum()), 2))
    xy[:, 0], xy[:, 1] = rows.floats(x), rows.floats(y)
    return Corners(xy, counts)


def class_colors(scan: Scan) -> dict[str, int]:
    """Return the colours (0xRRGGBB) of all classes that have one, in order of appearance."""
    first: dict[PathClass, int] = {}
    for number, raw in scan.read.items():
        if raw.path_class is not None:
            first[raw.path_class] = min(number, first.get(raw.path_class, number))
    for rows in scan.rows:
        gap = _gap(rows, "class")
        if gap is None:
            values = [(rows.template.sample.path_class, int(rows.numbers[0]))]
        else:
            values = [(found, number) for found, number, _ in rows.counts_of(gap)]
        for found, number in values:
            if found is not None and number < first.get(found, number + 1):
                first[found] = number
    colors: dict[str, int] = {}
    for found in sorted(first, key=lambda c: first[c]):
        if found.color is not None:
            colors.setdefault(found.name, found.color & 0xFFFFFF)
    return colors


def tally(scan: Scan) -> Counter[tuple[str, str | None]]:
    """Count all objects but the root by kind and class, in order of appearance."""
    found: defaultdict[tuple[str, str | None], list[int]] = defaultdict(lambda: [0, len(scan)])

    def count(kind: str, path_class: PathClass | None, first: int, many: int) -> None:
        entry = found[kind, path_class.name if path_class else None]
        entry[0], entry[1] = entry[0] + many, min(entry[1], first)

    for number, raw in scan.read.items():
        if number:
            count(raw.kind, raw.path_class, number, 1)
    for rows in scan.rows:
        sample, gap = rows.template.sample, _gap(rows, "class")
        if gap is None:
            count(sample.kind, sample.path_class, int(rows.numbers[0]), len(rows.numbers))
            continue
        for path_class, first, many in rows.counts_of(gap):
            count(sample.kind, path_class, first, many)
    ordered = sorted(found.items(), key=lambda item: item[1][1])
    return Counter({key: many for key, (many, _) in ordered})
