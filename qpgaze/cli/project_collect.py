"""``qpgaze project collect``: readers' copies of a project into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpgaze.cli.locks import break_lock_option, free_lock
from qpgaze.cli.output import allow_host_option, console, emit_json, json_option
from qpgaze.cli.project_options import backend_option

if TYPE_CHECKING:
    from qpgaze.workflows.collect_report import CollectedCopy, CollectReport

MOST_LINES = 20
"""Things to look at that are listed for a copy; ``--json`` has all."""


@click.command()
@click.argument(
    "copies", metavar="COPY...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--into",
    metavar="PROJECT",
    required=True,
    type=click.Path(path_type=Path),
    help="The project that everything goes into.",
)
@click.option("--add-images", is_flag=True, help="Also add images that only a copy has.")
@click.option(
    "--prefer",
    type=click.Choice(["here", "copy"]),
    help="Which side to take where both changed something. Without it that is listed.",
)
@click.option(
    "--take-deletions",
    is_flag=True,
    help="Delete what only a copy deleted. Without it deletions are listed.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@backend_option
@break_lock_option
@allow_host_option
@json_option
@click.pass_context
def collect(
    context: click.Context,
    /,
    copies: tuple[Path, ...],
    into: Path,
    break_lock: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Merge readers' copies of a project into one.

    Each COPY is only read. Its sessions, its new objects, and what only its reader changed go
    into PROJECT; what both sides changed is listed and left alone. Doing it again adds nothing
    twice. Ends with 1 where something is left to look at.
    """
    from qpgaze.workflows.collect import collect_projects

    free_lock(into, break_lock)
    report = collect_projects(copies, into, **options)
    if as_json:
        emit_json("project collect", report.to_json())
    else:
        _show(report)
    if not report.clean:
        context.exit(1)


def _show(report: CollectReport) -> None:
    for copy in report.copies:
        _show_copy(copy)
    for note in report.notes:
        console().print(f"Note: {note}", markup=False)
    _show_choices(report)
    if report.dry_run:
        click.echo("Nothing was written: this was a dry run.")
    else:
        click.echo(f"Collected into {report.project}")
        if any(
            image.added or image.changed or image.removed
            for copy in report.copies
            for image in copy.images
        ):
            # QuPath reads an image's objects when it opens it, and would save over ours.
            click.echo("An image that is open in QuPath must be reopened (File > Reload data).")


def _show_choices(report: CollectReport) -> None:
    """Say with which options the rest can be decided."""
    images = [image for copy in report.copies for image in copy.images]
    if any(image.conflicts or image.field_conflicts for image in images):
        console().print(
            "Conflicts stay as they are in PROJECT: make both sides alike in QuPath, or decide "
            "all of a copy's with --prefer copy or --prefer here."
        )
    if any(one.id != image.entry for image in images for one in image.gone_there):
        console().print("What a copy deleted is still there; --take-deletions deletes it.")


def _show_copy(copy: CollectedCopy) -> None:
    from rich.table import Table
    from rich.text import Text

    click.echo(f"From {copy.copy}")
    if copy.images:
        table = Table(box=None, pad_edge=False, header_style="bold")
        removed = any(image.removed for image in copy.images)
        headings = ["image", "added", "changed", "same", "kept", "conflicts"]
        for heading in [*headings, *(["deleted"] if removed else [])]:
            table.add_column(heading, justify="left" if heading == "image" else "right")
        for image in copy.images:
            counts = [image.added, image.changed, image.same, image.kept, len(image.conflicts)]
            counts += [image.removed] if removed else []
            name = f"{image.entry} {image.name}{' (new)' if image.new else ''}"
            # Text, not str: a name may hold what rich takes for mark-up.
            table.add_row(Text(name), *map(str, counts))
        console().print(table)
    if copy.sessions:
        counted = Counter(session.status for session in copy.sessions)
        click.echo("Sessions: " + ", ".join(f"{n} {status}" for status, n in counted.items()))
    if copy.classes:
        console().print("New classes: " + ", ".join(copy.classes), markup=False)
    lines = list(_to_look_at(copy))
    for line in lines[:MOST_LINES]:
        console().print(line, markup=False)
    if len(lines) > MOST_LINES:
        click.echo(f"... and {len(lines) - MOST_LINES} more: --json lists all.")


def _to_look_at(copy: CollectedCopy) -> Iterator[str]:
    """Say in a line each what a person should know."""
    for identity, name, why in copy.unmatched:
        yield f"Image {identity} {name} of the copy was left out: {why}."
    for session in copy.sessions:
        if session.why:
            yield f"Session {session.name} ({session.status}): {session.why}."
    for image in copy.images:
        where = f"Image {image.entry} {image.name}"
        if image.problem:
            yield f"{where}: {image.problem}"
        if image.fields:
            yield f"{where}: taken from the copy: {'; '.join(image.fields)}."
        for one in image.field_conflicts:
            yield f"Conflict: {one.name} of image {image.entry}: {one.why}."
        for kind, told in (
            ("Conflict", image.conflicts),
            ("Decided", image.decided),
            ("Left out", image.left_out),
            ("Deleted", image.gone_here),
            ("Deleted", image.gone_there),
        ):
            for one in told:
                if one.id == image.entry:  # not an object: something that is said of the image
                    yield f"{kind}: {one.name} of image {image.entry}: {one.why}."
                else:
                    yield f"{kind}: {one.name} in image {image.entry}: {one.why}. ({one.id})"
    for note in copy.notes:
        yield f"Note: {note}"
