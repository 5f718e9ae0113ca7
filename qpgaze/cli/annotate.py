"""``qpgaze annotate``: a session's labels into a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qpgaze.cli.locks import break_lock_option, free_lock
from qpgaze.cli.output import allow_host_option, console, emit_json, json_option

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.workflows.annotate import AnnotateReport

backend_option = click.option(
    "--backend",
    type=click.Choice(["auto", "embedded", "paquo", "live"]),
    default="auto",
    show_default=True,
    help="Through which store the project is written: our own, QuPath's by way of paquo, or live: "
    "images that are open in a QuPath through its window. auto does the last where it can.",
)
save_open_option = click.option(
    "--save-open/--no-save-open",
    default=None,
    help="Let QuPath save open images that get objects. Default: where nothing was unsaved.",
)


@click.command()
@click.argument("session", type=click.Path(path_type=Path))
@click.argument("project", type=click.Path(path_type=Path))
@click.option("--image", help="Id or name of the image, where the session cannot tell by itself.")
@click.option(
    "--fixations/--no-fixations",
    default=None,
    help="Also draw every fixation as an ellipse. Default: only where no label key was used.",
)
@click.option("--put-back", is_flag=True, help="Write objects again that are gone since.")
@break_lock_option
@backend_option
@save_open_option
@allow_host_option
@json_option
def annotate(
    session: Path,
    project: Path,
    image: str | None,
    fixations: bool | None,
    put_back: bool,
    break_lock: bool,
    backend: Backend,
    save_open: bool | None,
    allow_hosts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Put gaze-made objects into a project's images.

    SESSION is a recorded session (a NAME.qpgaze folder), PROJECT a QuPath project. One annotation
    object is made for each label that the reader gave. Doing it again adds nothing twice; what a
    person changed since is left alone.
    """
    from qpgaze.workflows import annotate_project

    free_lock(project, break_lock)
    report = annotate_project(
        session,
        project,
        image=image,
        fixations=fixations,
        put_back=put_back,
        backend=backend,
        save_open=save_open,
        allow_hosts=allow_hosts,
    )
    if as_json:
        emit_json("annotate", report.to_json())
    else:
        _show(report)


def _show(report: AnnotateReport) -> None:
    from rich.table import Table
    from rich.text import Text

    from qpgaze.workflows.labels import left_out_in_words

    out = console()
    labels, fixations = _count(report.labels, "label"), _count(report.fixations, "fixation")
    out.print(f"The session has {labels} and {fixations}.")
    if report.images:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("image", "added", "there", "reviewed", "missing", "put back"):
            table.add_column(heading, justify="left" if heading == "image" else "right")
        for image in report.images:
            table.add_row(
                # Text, not str: a name may hold what rich takes for mark-up.
                Text(f"{image.entry} {image.name}"),
                *map(str, (image.added, image.there, image.reviewed)),
                str(len(image.missing)),
                str(image.put_back),
            )
        out.print(table)
    left_out = sum(report.left_out.values())
    if left_out:
        reasons = left_out_in_words(report.left_out)
        out.print(
            f"{left_out} of {report.samples} gaze samples lie on no slide: {reasons}.",
            markup=False,
        )
    for line in _remarks(report):
        out.print(line, markup=False)
    for note in report.notes:
        out.print(f"Note: {note}", markup=False)


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _remarks(report: AnnotateReport) -> list[str]:
    """Explain the counts that need it, and say what may come next."""
    remarks = []
    if any(image.reviewed for image in report.images):
        remarks.append("Reviewed objects were changed by a person since, and are left alone.")
    if any(image.missing for image in report.images):
        remarks.append(
            "Missing objects were written once and are gone: somebody deleted them, or a QuPath "
            "that had the image open saved over them. --put-back writes them again."
        )
    changed = any(image.added or image.put_back for image in report.images)
    if changed and report.backend != "live":
        # QuPath reads an image's objects when it opens it, and would save over ours.
        remarks.append("An image that is open in QuPath must be reopened (File > Reload data).")
    if report.labels and any(image.added for image in report.images):
        remarks.append("Next: 'qpgaze refine PROJECT' turns the labels into good boxes.")
    return remarks
