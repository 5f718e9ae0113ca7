"""``qpgaze demo``: everything once, on the sample."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qpgaze.cli.output import console, emit_json, json_option

if TYPE_CHECKING:
    from qpgaze.workflows.demo import DemoReport


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@json_option
def demo(out: Path, as_json: bool) -> None:
    """Run everything once on a sample, and draw a picture of it.

    Makes a QuPath project, tiles with COCO labels and a picture in OUT, a new folder: three
    synthetic slides, read by three simulated readers. Needs no tracker, QuPath or network.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    from qpgaze.workflows import run_demo

    screen = console(err=True)
    with Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=screen,
        disable=not screen.is_terminal,  # a log is no place for bars
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def steps(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        report = run_demo(out, steps=steps)
    if as_json:
        emit_json("demo", report.to_json())
    else:
        _show(report)


def _show(report: DemoReport) -> None:
    from rich.table import Table

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("method", "found", "missed", "false", "F1 at IoU 0.5", "mean IoU"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for name, score in report.scores.items():
        counts = (score.found, score.missed, score.false)
        table.add_row(name, *map(str, counts), f"{score.f1:.2f}", f"{score.mean_iou:.2f}")
    out.print()
    out.print(table)
    out.print()
    out.print(
        f"{report.labels} labels in {report.seconds_per_label:.1f} s each, search included; "
        f"{report.tiles} tiles."
    )
    for note in report.notes:
        out.print(f"Note: {note}")
    out.print(f"QuPath project  {report.project}", soft_wrap=True)
    out.print(f"COCO data set   {report.coco}", soft_wrap=True)
    out.print(f"Picture         {report.picture}", soft_wrap=True)
