"""``qpgaze project import``: objects from a GeoJSON file into an image of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpgaze.cli.locks import break_lock_option, free_lock
from qpgaze.cli.output import emit_json, json_option
from qpgaze.cli.project_options import backend_option

if TYPE_CHECKING:
    from qpgaze.bridge.geojson import ImportReport


@click.command("import")
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@click.argument("file", metavar="FILE.geojson", type=click.Path(path_type=Path))
@click.option("--image", help="Entry id (or a name that one image bears); needed for several.")
@click.option(
    "--replace", is_flag=True, help="Put objects in place of those with the same ids, if any."
)
@click.option("--skip-refused", is_flag=True, help="Leave out what cannot be written, and list it.")
@backend_option
@break_lock_option
@json_option
def import_(
    project_path: Path,
    file: Path,
    image: str | None,
    replace: bool,
    skip_refused: bool,
    backend: Any,
    break_lock: bool,
    as_json: bool,
) -> None:
    """Put the objects of FILE.geojson into an image of PROJECT, all or none.

    The file may be in the words of any QuPath (.gz too). Objects keep their ids; those that the
    image has already are skipped. Rings are closed and shapes that cross themselves are mended.
    TMA cores that the image lacks are refused: only QuPath makes a grid.
    """
    from qpgaze.bridge import open_project
    from qpgaze.bridge.geojson import import_geojson
    from qpgaze.bridge.pending import commit_for
    from qpgaze.bridge.projects.live import note_windows

    free_lock(project_path, break_lock)
    with open_project(project_path, mode="r+", backend=backend) as opened:
        if image is not None:
            entry = opened.entry(image)
        elif len(opened.entries) == 1:
            entry = opened.entries[0]
        else:
            listed = ", ".join(f"{one.id} ({one.name})" for one in opened.entries)
            raise click.UsageError(f"Say which image with --image: {listed or 'there is none'}.")
        done = import_geojson(opened, entry, file, replace=replace, skip_refused=skip_refused)
        commit_for(opened, "import")
        notes = note_windows(opened)
        name = entry.name
    if as_json:
        emit_json("project import", {**_facts(done, name), "notes": notes})
    else:
        _print(done, name)
        for note in notes:
            click.echo(f"Note: {note}")


def _facts(done: ImportReport, image: str) -> dict[str, Any]:
    return {
        "image": image,
        "added": done.added,
        "replaced": done.replaced,
        "skipped": done.skipped,
        "refused": [
            {"feature": one.number, "name": one.name, "why": one.why} for one in done.refused
        ],
        "lifted": done.lifted,
        "mended": dict(done.mended),
        "left_out": dict(done.unknown),
    }


def _print(done: ImportReport, image: str) -> None:
    counts = [
        (done.added, "added"),
        (done.replaced, "replaced"),
        (done.skipped, "there already, skipped"),
        (len(done.refused), "refused"),
    ]
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    click.echo(f"{image}: {said or 'nothing to add'}")
    if done.lifted:
        click.echo(f"Lifted out of TMA cores that were left out: {done.lifted}")
    for what, count in sorted(done.mended.items()):
        click.echo(f"Mended: {what} ({count})")
    for what, count in done.unknown.most_common(20):
        click.echo(f"Left out: {what} ({count})")
    if len(done.unknown) > 20:
        click.echo(f"Left out: {len(done.unknown) - 20} more kinds of things")
    for refusal in done.refused[:20]:
        click.echo(f"Refused: {refusal}")
    if len(done.refused) > 20:
        click.echo(f"Refused: {len(done.refused) - 20} more")
