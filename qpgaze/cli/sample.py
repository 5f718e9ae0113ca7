"""``qpgaze sample``: rebuild the sample that travels with qpgaze."""

from __future__ import annotations

from pathlib import Path

import click

from qpgaze.cli.output import console, emit_json, json_option, progress


@click.group()
def sample() -> None:
    """Rebuild the sample slides, truth and sessions."""


@sample.command()
@click.argument("out", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def build(context: click.Context, out: Path, as_json: bool) -> None:
    """Make slides, truth and simulated sessions anew in the folder OUT.

    Pixels and truth come out equal on every supported Python; with the package versions that
    recipe.json names, every file is equal to the byte. Exit status 1: something that must be
    equal is not.
    """
    from qpgaze.workflows.sample import build_sample

    with progress("sample") as update:
        report = build_sample(out, progress=update)
    if as_json:
        emit_json(
            "sample build",
            {
                "out": str(report.out),
                "files": report.files,
                "as_promised": report.as_promised,
                "pixels_differ": list(report.pixels_differ),
                "truth_differ": list(report.truth_differ),
                "bytes_differ": list(report.bytes_differ),
                "versions": {name: list(pair) for name, pair in report.versions.items()},
            },
        )
    else:
        say = console()
        say.print(f"{report.files} files in {report.out}", soft_wrap=True)
        for name in (*report.pixels_differ, *report.truth_differ):
            say.print(f"differs from the recipe, but must not: {name}")
        for name, (then, now) in report.versions.items():
            say.print(f"{name} {now} here, {then} in the recipe: bytes may differ")
        if not report.bytes_differ:
            say.print("Every file is equal to the byte.")
        elif report.as_promised:
            say.print(f"Pixels and truth are equal; {len(report.bytes_differ)} files differ.")
    if not report.as_promised:
        context.exit(1)
