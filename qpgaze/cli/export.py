"""``qpgaze export``: a project becomes a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qpgaze.cli.output import allow_host_option, console, emit_json, json_option, progress

if TYPE_CHECKING:
    from qpgaze.export import ExportReport


@click.group()
def export() -> None:
    """Turn a project into tiles with labels (COCO)."""


def _shares(_: click.Context, __: click.Parameter, value: str) -> tuple[float, ...]:
    """Read three numbers; whether they make a split, the split itself says."""
    try:
        return tuple(float(share) for share in value.split(","))
    except ValueError as error:
        raise click.BadParameter(
            f"'{value}' is not three numbers such as 0.7,0.15,0.15."
        ) from error


@export.command()
@click.argument("project", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--tile-size", type=int, default=512, show_default=True, help="Side of a tile, px.")
@click.option("--mpp", type=float, help="Micron per pixel of a tile.")
@click.option(
    "--downsample",
    type=float,
    help="Instead of --mpp: slide pixels per tile pixel. Without either: full resolution.",
)
@click.option(
    "--pixel-size",
    "pixel_size_um",
    type=float,
    help="Micron per slide pixel, for slides that do not say it.",
)
@click.option("--overlap", type=int, default=0, show_default=True, help="Px that tiles share.")
@click.option(
    "--format",
    "image_format",
    type=click.Choice(["jpeg", "png"]),
    default="jpeg",
    show_default=True,
    help="JPEG of quality 90, or PNG without loss.",
)
@click.option(
    "--split",
    "fractions",
    callback=_shares,
    metavar="TRAIN,VALID,TEST",
    default="0.7,0.15,0.15",
    show_default=True,
    help="Shares of patients; no patient is in two parts.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, another draw.")
@click.option(
    "--min-visible",
    type=float,
    default=0.25,
    show_default=True,
    help="Least share of an object that a tile shows to count it.",
)
@click.option(
    "--negatives",
    type=float,
    default=0.0,
    show_default=True,
    help="Object-free tissue tiles per tile with objects. Only where everything was labelled: "
    "what nobody looked at may hold objects too.",
)
@click.option("--class", "classes", multiple=True, help="Only this class (repeatable).")
@click.option("--image", "images", multiple=True, help="Only this entry id or name (repeatable).")
@click.option("--overwrite", is_flag=True, help="Replace a data set that an export wrote.")
@click.option(
    "--backend",
    type=click.Choice(["auto", "embedded", "paquo"]),
    default="auto",
    show_default=True,
    help="What reads the project.",
)
@allow_host_option
@json_option
def coco(as_json: bool, classes: tuple[str, ...], **options: object) -> None:
    """Cut tiles with COCO labels from PROJECT into the new folder OUT.

    Tiles lie in train, valid and test, each with its _annotations.coco.json. Objects without a
    class, rejected ones and single fixations are left out. README.md in OUT says what it holds.
    """
    from qpgaze.workflows.export import export_project

    with progress("Tiles") as update:
        report = export_project(classes=classes or None, progress=update, **options)  # type: ignore[arg-type]
    if as_json:
        emit_json("export coco", {"out": str(report.out), **report.to_json()})
    else:
        _show(report)


def _show(report: ExportReport) -> None:
    from rich.table import Table

    table = Table(title=f"Data set {report.out.name}", title_justify="left")
    table.add_column("part")
    for head in ("patients", "slides", "tiles", "without label", "objects", "labels"):
        table.add_column(head, justify="right")
    for name, part in report.parts.items():
        cells = (
            part.groups,
            part.slides,
            part.tiles,
            part.negatives,
            part.objects,
            part.annotations,
        )
        table.add_row(name, *map(str, cells))
    console().print(table)
    console().print("Classes: " + ", ".join(report.categories), markup=False)
    for reason, count in report.skipped.items():
        console().print(f"Left out: {count} {reason}.", markup=False)
    for note in report.notes:
        console().print(f"Note: {note}", markup=False, soft_wrap=True)
