"""Write planned tiles and the documents beside them into a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import qpgaze
from qpgaze.export import coco
from qpgaze.export.files import ANNOTATIONS, DATASET, DATASHEET, SUFFIXES, encoder, tile_name
from qpgaze.export.report import ExportReport, dataset_json, datasheet
from qpgaze.export.summary import Placed, patient_of
from qpgaze.export.tiles import Tile


def write_tiles(placed: Placed, folder: Path, image_format: str) -> Iterator[Tile]:
    """Write the pixels of one slide's tiles, and yield each tile once it is written.

    Raises
    ------
    SlideError
        If the slide cannot be read.
    OSError
        If a file cannot be written.
    """
    encode = encoder(image_format)
    part = folder / placed.part
    part.mkdir(exist_ok=True)
    image = placed.plan.image
    with image.open(image.slide) as slide:
        for tile, _ in placed.plan.tiles:
            side = tile.side_image_px
            rgb = slide.read(
                tile.x0_image_px, tile.y0_image_px, side, side, downsample=tile.downsample
            )
            (part / _file_name(placed, tile, image_format)).write_bytes(encode(rgb))
            yield tile


def write_documents(
    folder: Path, placed: Sequence[Placed], report: ExportReport, image_format: str
) -> None:
    """Write the labels of each part, ``dataset.json`` and the data sheet.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    version = qpgaze.__version__
    info = {
        "description": "Tiles with labels cut from a QuPath project",
        "version": "1",
        "contributor": f"qpgaze {version}",
    }
    category_ids = {name: number for number, name in enumerate(report.categories, start=1)}
    for part in report.parts:
        tiles = [
            (
                _image_record(one, tile, image_format),
                [{**r, "category_id": category_ids[r["category_id"]]} for r in records],
            )
            for one in placed
            if one.part == part
            for tile, records in one.plan.tiles
        ]
        whole = coco.document(tiles, class_names=report.categories, info={**info, "part": part})
        (folder / part / ANNOTATIONS).write_bytes(coco.dump(whole))
    (folder / DATASET).write_bytes(dataset_json(report, version=version))
    (folder / DATASHEET).write_bytes(datasheet(report, version=version))


def _file_name(placed: Placed, tile: Tile, image_format: str) -> str:
    image = placed.plan.image
    stem = tile_name(image.entry_id, image.slide.name, tile.x0_image_px, tile.y0_image_px)
    return stem + SUFFIXES[image_format]


def _image_record(placed: Placed, tile: Tile, image_format: str) -> dict[str, Any]:
    plan = placed.plan
    return {
        "file_name": _file_name(placed, tile, image_format),
        "width": tile.size_px,
        "height": tile.size_px,
        "slide": plan.image.slide.name,
        "entry": plan.image.entry_id,
        "x0": tile.x0_image_px,
        "y0": tile.y0_image_px,
        "downsample": tile.downsample,
        "mpp": plan.mpp,
        "patient": patient_of(plan),
    }
