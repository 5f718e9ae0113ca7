"""What an export did, for programs (``dataset.json``) and for people (``README.md``)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qpgaze.export.files import ANNOTATIONS, DATASET, FORMAT

FORMAT_VERSION = 1


@dataclass(frozen=True)
class PartCounts:
    """What one part of a data set holds.

    Parameters
    ----------
    groups : int
        Patients (or slides, where no patient is known).
    slides : int
    tiles : int
    negatives : int
        Tiles without a label.
    annotations : int
        Labels; an object cut by a tile border counts once a tile.
    objects : int
        Objects on the slides.
    by_class : mapping of str to int
        Labels of each class, 0 included.
    """

    groups: int
    slides: int
    tiles: int
    negatives: int
    annotations: int
    objects: int
    by_class: Mapping[str, int]


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote and what it left out.

    Parameters
    ----------
    out : Path
        The data set's folder.
    parts : mapping of str to PartCounts
        ``train``, ``valid``, ``test``, as far as there are any tiles in them.
    categories : tuple of str
        Class names; the first has category id 1.
    slides : tuple of mappings
        One a slide, JSON values: entry, slide, patient, part, tiles, pixel size, downsample, mpp.
    parameters : mapping
        JSON values; enough to do it again.
    skipped : mapping of str to int
        Objects that were left out, by reason.
    notes : tuple of str
        What a person should know before training with it.
    """

    out: Path
    parts: Mapping[str, PartCounts]
    categories: tuple[str, ...]
    slides: tuple[Mapping[str, Any], ...]
    parameters: Mapping[str, Any]
    skipped: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return sum(part.tiles for part in self.parts.values())

    @property
    def annotations(self) -> int:
        """Number of labels."""
        return sum(part.annotations for part in self.parts.values())

    @property
    def objects(self) -> int:
        """Number of objects on the slides that became labels."""
        return sum(part.objects for part in self.parts.values())

    def to_json(self) -> dict[str, Any]:
        """Return everything but the place it was written to, as JSON values."""
        return {
            "parts": {name: asdict(part) for name, part in self.parts.items()},
            "categories": list(self.categories),
            "slides": [dict(slide) for slide in self.slides],
            "parameters": dict(self.parameters),
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }


def dataset_json(report: ExportReport, *, version: str) -> bytes:
    """Return ``dataset.json``: the same bytes for the same export, whenever and wherever."""
    whole = {"format": FORMAT, "format_version": FORMAT_VERSION, "qpgaze": version}
    whole.update(report.to_json())
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def datasheet(report: ExportReport, *, version: str) -> bytes:
    """Return a page that says what the data set holds and how it was made."""
    parts = [
        [name, p.groups, p.slides, p.tiles, p.negatives, p.objects, p.annotations]
        for name, p in report.parts.items()
    ]
    heads = ["part", "patients", "slides", "tiles", "without label", "objects", "labels"]
    classes = [
        [number, name, *(part.by_class[name] for part in report.parts.values())]
        for number, name in enumerate(report.categories, start=1)
    ]
    lines = [
        "# Tiles with COCO labels",
        "",
        f"Cut from a QuPath project by qpgaze {version}. The labels of each part are in its",
        f"`{ANNOTATIONS}`; `{DATASET}` holds everything on this page for programs.",
        "",
        *_table(heads, parts),
        "",
        "A patient (a slide, where no patient is known) is in one part only. An object that a",
        "tile border cuts is one label in each tile that shows enough of it; such labels share",
        "their `source_id`, the object's id in QuPath.",
        "",
        "## Classes",
        "",
        *_table(["category", "class", *(f"labels in {name}" for name in report.parts)], classes),
        "",
        "## How it was cut",
        "",
        *(f"- {key}: {_plain(value)}" for key, value in report.parameters.items()),
        "",
        "A place (x, y) in a tile lies at (x0 + x * downsample, y0 + y * downsample) on its slide,",
        "in pixels of full resolution. Tiles that reach over the edge of a slide are white there.",
    ]
    if report.skipped:
        lines += ["", "## Objects left out", ""]
        lines += [f"- {count} {reason}" for reason, count in report.skipped.items()]
    if report.notes:
        lines += ["", "## To know before training", "", *(f"- {note}" for note in report.notes)]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    marks = "|".join("---" for _ in heads)
    body = ["| " + " | ".join(str(cell).replace("|", r"\|") for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(heads) + " |", f"|{marks}|", *body]


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "not given" if value is None else str(value)
