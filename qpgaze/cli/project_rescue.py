"""``qpgaze project rescue``: bring back a project that QuPath no longer opens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qpgaze.cli.locks import break_lock_option, free_lock
from qpgaze.cli.output import console, emit_json, json_option

if TYPE_CHECKING:
    from qpgaze.bridge.rescue import RescueReport


@click.command()
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--also-unsupported",
    is_flag=True,
    help="Also bring back image data that hold something qpgaze does not understand.",
)
@break_lock_option
@json_option
@click.pass_context
def rescue(
    context: click.Context,
    project_path: Path,
    dry_run: bool,
    also_unsupported: bool,
    break_lock: bool,
    as_json: bool,
) -> None:
    """Bring back a missing or broken project file, or image data that cannot be read.

    PROJECT is the project's folder. Each file comes from the backup beside it, else from qpgaze's
    own snapshots; a project file of which there is neither is built anew from the folder 'data'.
    What is broken is kept beside, nothing is deleted. Close QuPath first. Exit status 1 where
    something could not be brought back.
    """
    from qpgaze.bridge.rescue import rescue_project

    free_lock(project_path, break_lock)
    report = rescue_project(project_path, dry_run=dry_run, also_unsupported=also_unsupported)
    if as_json:
        emit_json("project rescue", report.to_json())
    else:
        _show(report)
    if report.hopeless:
        context.exit(1)


def _show(report: RescueReport) -> None:
    out = console()
    did = "Would bring back" if report.dry_run else "Brought back"
    for one in report.rescued:
        out.print(f"{did} {one.file} from {one.source}.", markup=False)
        if one.lost:
            out.print(f"  Lost: {one.lost}.", markup=False)
        if one.kept_as:
            out.print(f"  The broken file is kept as {one.kept_as}.", markup=False)
    for words in (*report.hopeless, *report.doubtful):
        out.print(f"Not brought back: {words}", markup=False)
    if report.rescued and not report.dry_run:
        out.print("Next: 'qpgaze project verify PROJECT' says what is missing now.")
