"""``qpgaze project``: create, fill, show and export QuPath projects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpgaze.cli.locks import break_lock_option, free_lock
from qpgaze.cli.output import allow_host_option, console, emit_json, json_option
from qpgaze.cli.project_account import log_, rollback, verify
from qpgaze.cli.project_collect import collect
from qpgaze.cli.project_geojson import import_
from qpgaze.cli.project_options import IMAGE_TYPES, backend_option
from qpgaze.cli.project_relink import relink
from qpgaze.cli.project_rescue import rescue
from qpgaze.cli.project_set import set_

if TYPE_CHECKING:
    from qpgaze.bridge.projects.protocol import Entry, Project


@click.group()
def project() -> None:
    """Create, fill, show and export QuPath projects."""


project.add_command(relink)
project.add_command(collect)
project.add_command(import_)
project.add_command(set_)
for _verb in (log_, verify, rollback, rescue):
    project.add_command(_verb)


@project.command()
@click.argument("project_dir", type=click.Path(path_type=Path))
def create(project_dir: Path) -> None:
    """Make an empty QuPath project in the folder PROJECT_DIR."""
    from qpgaze.bridge import create_project

    with create_project(project_dir, backend="embedded") as made:
        click.echo(f"Made {made.path}")


@project.command()
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@click.argument(
    "images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--patient", help="Groups slides: splits never cut through a patient.")
@click.option("--name", help="Name in QuPath; the file's name without it. For one image only.")
@click.option(
    "--type",
    "image_type",
    type=click.Choice(list(IMAGE_TYPES)),
    default="h-e",
    show_default=True,
    help="What QuPath takes the image for.",
)
@break_lock_option
@backend_option
def add(
    project_path: Path,
    images: tuple[Path, ...],
    patient: str | None,
    name: str | None,
    image_type: str,
    break_lock: bool,
    backend: Any,
) -> None:
    """Add slides to PROJECT, all of them or none."""
    from qpgaze import keys
    from qpgaze.bridge import open_project

    if name is not None and len(images) > 1:
        raise click.UsageError("--name is for one image; leave it out for several.")
    metadata = {} if patient is None else {keys.PATIENT: patient}
    free_lock(project_path, break_lock)
    with open_project(project_path, mode="r+", backend=backend) as opened:
        added = [
            opened.add_image(
                image, name=name, image_type=IMAGE_TYPES[image_type], metadata=metadata
            )
            for image in images
        ]
        opened.commit()
        for entry in added:
            click.echo(f"Added {entry.name} as image {entry.id}")


@project.command()
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@backend_option
@allow_host_option
@json_option
def show(project_path: Path, backend: Any, allow_hosts: tuple[str, ...], as_json: bool) -> None:
    """Say what PROJECT holds: images, objects by class, whether slides are in place."""
    from qpgaze.workflows.show import project_facts

    facts = project_facts(project_path, backend=backend, allow_hosts=allow_hosts)
    if as_json:
        emit_json("project show", facts)
    else:
        _print(facts)


@project.command()
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT.geojson", type=click.Path(path_type=Path))
@click.option("--image", help="Entry id (or a name that one image bears); needed for several.")
@click.option("--overwrite", is_flag=True, help="Replace OUT.geojson where it exists.")
@click.option(
    "--dialect",
    type=click.Choice(["0.3", "0.4", "0.5", "0.6", "0.7"]),
    default="0.5",
    show_default=True,
    help="The QuPath that is to read it. All from 0.5 on read the same words; 0.3 knows neither "
    "ids nor objects within objects.",
)
@backend_option
def export(
    project_path: Path, out: Path, image: str | None, overwrite: bool, dialect: Any, backend: Any
) -> None:
    """Write an image's objects as GeoJSON that QuPath imports: all kinds, cells with nuclei."""
    from qpgaze.bridge import open_project
    from qpgaze.bridge.geojson import write_geojson

    with open_project(project_path, backend=backend) as opened:
        entry = _only_entry(opened) if image is None else opened.entry(image)
        count = write_geojson(
            out, entry.objects(), opened.classes, overwrite=overwrite, dialect=dialect
        )
    click.echo(f"Wrote {count} objects of {entry.name} to {out}")


def _only_entry(opened: Project) -> Entry:
    if len(opened.entries) != 1:
        listed = ", ".join(f"{entry.id} ({entry.name})" for entry in opened.entries)
        raise click.UsageError(f"Say which image with --image: {listed or 'there is none'}.")
    return opened.entries[0]


def _print(facts: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    click.echo(f"{facts['project']}: {facts['backend']} ({facts['backend_reason']})")
    if facts["classes"]:
        out.print(
            "Classes: "
            + ", ".join(f"[{c['color']}]■[/] {escape(c['name'])}" for c in facts["classes"])
        )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "image", "size (px)", "µm/px", "patient", "objects"):
        justify: Any = "left" if heading in ("id", "image", "patient") else "right"
        table.add_column(heading, justify=justify, overflow="fold")
    for image in facts["images"]:
        size = f"{image['width_px']} x {image['height_px']}" if image["width_px"] else "?"
        pixel = image["pixel_size_um"]
        table.add_row(
            image["id"],
            escape(image["name"]),
            size,
            f"{pixel[0]:g}" if pixel else "?",
            escape(image["metadata"].get("patient", "")),
            "?" if image["objects"] is None else str(image["objects"]),
        )
    out.print(table)
    for image in facts["images"]:
        if image["by_class"]:
            # "Keratin: pearl" is a class too, so the number comes first.
            kinds = ", ".join(f"{n} {name}" for name, n in image["by_class"].items())
            out.print(f"Objects of image {image['id']}: {kinds}", markup=False)
    for image in facts["images"]:
        for problem in image["problems"]:
            out.print(f"Image {image['id']}: {problem}", markup=False)
    for note in facts["notes"]:
        out.print(f"Note: {note}", markup=False)
