"""``qpgaze refine``: better shapes for a project's gaze labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qpgaze.cli.annotate import backend_option, save_open_option
from qpgaze.cli.locks import break_lock_option, free_lock
from qpgaze.cli.output import allow_host_option, console, emit_json, json_option, progress

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.workflows.refine import RefineReport


def _list_methods(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Print every method with its one line, and stop."""
    if not wanted or context.resilient_parsing:
        return
    from qpgaze.refine import DEFAULT_METHOD, METHODS

    for name, method in METHODS.items():
        mark = " (default)" if name == DEFAULT_METHOD else ""
        click.echo(f"{name}{mark}: {method.summary}")
    context.exit()


@click.command()
@click.argument("project", type=click.Path(path_type=Path))
@click.option("--method", help="How to refine; 'qpgaze refine --list-methods' names them.")
@click.option(
    "--list-methods",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_methods,
    help="Name the methods and stop.",
)
@click.option(
    "--sessions",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Where sessions lie besides the project's own folder; may be repeated.",
)
@click.option("--image", help="Only this image (id or name).")
@break_lock_option
@backend_option
@save_open_option
@allow_host_option
@json_option
def refine(
    project: Path,
    method: str | None,
    sessions: tuple[Path, ...],
    image: str | None,
    break_lock: bool,
    backend: Backend,
    save_open: bool | None,
    allow_hosts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Turn coarse gaze labels into good boxes.

    Every gaze label in PROJECT (a QuPath project) that no person has changed gets a new shape in
    place; what a person drew, changed, accepted or rejected is left alone.
    """
    from qpgaze.refine import DEFAULT_METHOD
    from qpgaze.workflows import refine_project

    free_lock(project, break_lock)
    with progress("refine") as update:
        report = refine_project(
            project,
            method=method or DEFAULT_METHOD,
            sessions=sessions,
            image=image,
            backend=backend,
            save_open=save_open,
            allow_hosts=allow_hosts,
            progress=update,
        )
    if as_json:
        emit_json("refine", report.to_json())
    else:
        _show(report)


def _show(report: RefineReport) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(f"Method: {report.method}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("image", "refined", "unchanged", "reviewed", "no shape found"):
        table.add_column(heading, justify="left" if heading == "image" else "right")
    for image in report.images:
        counts = (image.refined, image.same, image.reviewed, image.without)
        # Text, not str: a name may hold what rich takes for mark-up.
        table.add_row(Text(f"{image.entry} {image.name}"), *map(str, counts))
    out.print(table)
    if any(image.reviewed for image in report.images):
        out.print("Reviewed objects were changed by a person since, and are left alone.")
    if any(image.without for image in report.images):
        out.print("Where the method found no shape, the object keeps the one it had.")
    for note in report.notes:
        out.print(f"Note: {note}", markup=False)
    if any(image.refined for image in report.images):
        if report.backend != "live":
            # QuPath reads an image's objects when it opens it, and would save over ours.
            out.print("An image that is open in QuPath must be reopened (File > Reload data).")
        out.print("Next: review the boxes in QuPath; 'qpgaze export coco' makes a data set.")
