"""``qpgaze doctor``: what a recording needs, and how to get what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qpgaze.cli.output import console, emit_json, json_option
from qpgaze.cli.source_options import python_option

if TYPE_CHECKING:
    from qpgaze.workflows.doctor import Check


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@python_option
@json_option
@click.pass_context
def doctor(context: click.Context, folder: Path | None, python: str | None, as_json: bool) -> None:
    """Explain what recording still needs, and how to get it.

    Looks at tracker, calibration, QuPath, its hook, and the disk that holds
    FOLDER (where sessions will go). Changes nothing. Exit status 1 where
    something is missing.
    """
    from qpgaze.workflows.doctor import examine, to_json

    checks = examine(folder, python=python)
    if as_json:
        emit_json("doctor", dict(to_json(checks)))
    else:
        _show(checks)
    if any(check.state == "missing" for check in checks):
        context.exit(1)


def _show(checks: tuple[Check, ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    marks = {"ok": ("ok", "green"), "note": ("note", "yellow"), "missing": ("missing", "red")}
    for check in checks:
        word, color = marks[check.state]
        said = Text(check.text)
        if check.how:
            said.append(f"\n{check.how}", style="dim")
        table.add_row(Text(word, style=color), check.name, said)
    out = console()
    out.print(table)
    missing = sum(check.state == "missing" for check in checks)
    if missing:
        out.print(f"{missing} of {len(checks)} are missing.")
    else:
        out.print("All that a recording needs is here.")
