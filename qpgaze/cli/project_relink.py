"""``qpgaze project relink``: find images that moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qpgaze.cli.locks import break_lock_option, free_lock
from qpgaze.cli.output import allow_host_option, emit_json, json_option

if TYPE_CHECKING:
    from qpgaze.bridge.projects.relink import RelinkedImage, RelinkReport


def _chosen(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    """Read ``ID=FILE``."""
    pairs = {}
    for value in values:
        identity, equals, file = value.partition("=")
        if not equals or not identity.strip() or not file:
            raise click.BadParameter(f"'{value}' is not ID=FILE.")
        pairs[identity.strip()] = Path(file)
    return pairs


@click.command()
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@click.option(
    "--look-in",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Look here and in everything below; repeatable.",
)
@click.option(
    "--set",
    "chosen",
    metavar="ID=FILE",
    multiple=True,
    callback=_chosen,
    help="Say yourself which file image ID is; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@break_lock_option
@allow_host_option
@json_option
@click.pass_context
def relink(
    context: click.Context,
    project_path: Path,
    look_in: tuple[Path, ...],
    chosen: dict[str, Path],
    dry_run: bool,
    break_lock: bool,
    allow_hosts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Find the images of PROJECT again after they, or it, moved.

    An image is known by its name, its size in pixels, a checksum where one is known, and the
    folders it lies in. Where several files may be it, they are listed and none is taken. Only
    places are changed, never objects. Ends with 1 where an image is still not in its place.
    """
    from qpgaze.bridge.projects.relink import relink_project

    free_lock(project_path, break_lock)
    report = relink_project(
        project_path, look_in=look_in, chosen=chosen, dry_run=dry_run, allow_hosts=allow_hosts
    )
    if as_json:
        emit_json("project relink", report.to_json())
    else:
        _show(report)
    if not report.complete:
        context.exit(1)


def _show(report: RelinkReport) -> None:
    for image in report.images:
        for line in _lines(image):
            click.echo(line)
    counts = report.counts
    there, found = counts.get("in place", 0), counts.get("found", 0)
    click.echo(
        f"Images: {len(report.images)}. In place: {there}, "
        f"{'would be linked' if report.dry_run else 'linked'} anew: {found}, "
        f"not in place: {len(report.images) - there - found}."
    )
    for note in report.notes:
        click.echo(f"Note: {note}")


def _lines(image: RelinkedImage) -> list[str]:
    who = f"{image.entry} {image.name}"
    if image.status == "in place":
        return []
    if image.status == "found":
        return [f"{who}: found ({image.why})", f"  {image.path}"]
    if image.status == "not opened":
        return [f"{who}: left alone, {image.why}"]
    if image.status == "several":
        lines = [f"{who}: {image.why}; take one with --set {image.entry}=FILE"]
    else:
        lines = [f"{who}: not found, {image.why}"]
    return lines + [f"  {path} ({words})" for path, words in image.candidates]
