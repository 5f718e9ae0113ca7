"""Counts and warnings of an export, from what was planned; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qpgaze.export.plan import SlidePlan, TileOptions
from qpgaze.export.report import ExportReport, PartCounts
from qpgaze.export.split import PARTS


@dataclass(frozen=True, eq=False)
class Placed:
    """A planned slide and the part that it went to.

    Parameters
    ----------
    plan : SlidePlan
    part : str
        ``train``, ``valid`` or ``test``.
    group : str
        What must stay together: every slide of it is in the same part.
    """

    plan: SlidePlan
    part: str
    group: str


def patient_of(plan: SlidePlan) -> str | None:
    """Return the patient of a slide; an empty name is none."""
    return (plan.image.patient or "").strip() or None


def class_names(placed: Sequence[Placed]) -> tuple[str, ...]:
    """Return the classes that tiles show, in the order of their names: category 1, 2, ..."""
    records = (record for one in placed for _, shown in one.plan.tiles for record in shown)
    return tuple(sorted({str(record["category_id"]) for record in records}))


def parameters_of(
    options: TileOptions, image_format: str, fractions: Sequence[float]
) -> dict[str, Any]:
    """Return everything that an export was asked for, as JSON values."""
    full_resolution = options.mpp is None and options.downsample is None
    return {
        "tile_size": options.tile_size,
        "mpp": options.mpp,
        "downsample": 1.0 if full_resolution else options.downsample,
        "pixel_size_um": options.pixel_size_um,
        "overlap": options.overlap,
        "image_format": image_format,
        "min_visible": options.min_visible,
        "negatives": options.negatives,
        "fractions": [float(share) for share in fractions],
        "seed": options.seed,
    }


def summarise(
    out: Path,
    placed: Sequence[Placed],
    parameters: Mapping[str, Any],
    skipped: Mapping[str, int],
) -> ExportReport:
    """Count what each part will hold, and say what a person should know about it."""
    names = class_names(placed)
    return ExportReport(
        out=out,
        parts={
            part: _count([one for one in placed if one.part == part], names)
            for part in PARTS
            if any(one.part == part for one in placed)
        },
        categories=names,
        slides=tuple(_slide(one) for one in placed),
        parameters=parameters,
        skipped=dict(sorted(skipped.items())),
        notes=tuple(_notes(placed, parameters["fractions"], names)),
    )


def _count(placed: Sequence[Placed], names: Sequence[str]) -> PartCounts:
    shown = [records for one in placed for _, records in one.plan.tiles]
    by_class = Counter(record["category_id"] for records in shown for record in records)
    return PartCounts(
        groups=len({one.group for one in placed}),
        slides=len(placed),
        tiles=len(shown),
        negatives=sum(not records for records in shown),
        annotations=sum(by_class.values()),
        objects=sum(one.plan.shown for one in placed),
        by_class={name: by_class[name] for name in names},
    )


def _slide(one: Placed) -> dict[str, Any]:
    plan = one.plan
    return {
        "entry": plan.image.entry_id,
        "slide": plan.image.slide.name,
        "patient": patient_of(plan),
        "part": one.part,
        "tiles": len(plan.tiles),
        "objects": plan.shown,
        "pixel_size_um": list(plan.pixel_size_um) if plan.pixel_size_um else None,
        "downsample": plan.downsample,
        "mpp": plan.mpp,
    }


def _notes(placed: Sequence[Placed], fractions: Sequence[float], names: Sequence[str]) -> list[str]:
    notes: list[str] = []
    groups = {one.group for one in placed}
    wanted = [part for part, share in zip(PARTS, fractions, strict=True) if share > 0]
    if len(groups) < len(wanted):
        notes.append(
            f"{len(groups)} patient(s) are too few for {', '.join(wanted)}: everything is in "
            "train, and nothing is left to test with."
        )
    unknown = [one for one in placed if patient_of(one.plan) is None]
    if unknown and len(placed) > 1:
        notes.append(
            f"{len(unknown)} of {len(placed)} slides name no patient (entry metadata 'patient'): "
            "each counts as a patient of its own. If two come from one patient, scores will be "
            "too good."
        )
    raw, shown = sum(one.plan.raw for one in placed), sum(one.plan.shown for one in placed)
    if raw:
        notes.append(
            f"{raw} of {shown} objects are discs of gaze that nothing refined, which are poor "
            "boxes: run qpgaze refine first."
        )
    learnt = class_names([one for one in placed if one.part == "train"])
    notes += [f"No tile of train shows the class '{n}'." for n in names if n not in learnt]
    scales = {f"{one.plan.mpp:.2g}" if one.plan.mpp else "unknown" for one in placed}
    if len(scales) > 1:
        notes.append(
            f"Tiles differ in scale ({', '.join(sorted(scales))} micron per pixel): --mpp makes "
            "them alike."
        )
    return notes
