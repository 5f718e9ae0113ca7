"""``qpgaze monitor``: which monitor carries the eye tracker."""

from __future__ import annotations

import click

from qpgaze.cli.output import emit_json, json_option


@click.command()
@click.option(
    "--bounds",
    nargs=4,
    type=float,
    metavar="X Y W H",
    help="Choose the one with these bounds in QuPath's pixels.",
)
@click.option(
    "--scale",
    type=click.FloatRange(min=0.25, max=8),
    default=1.0,
    help="Physical pixels per QuPath pixel on it.",
)
@click.option(
    "--size-mm",
    nargs=2,
    type=click.FloatRange(min=1),
    metavar="W H",
    help="Its lit area in millimetres, where the monitor does not say.",
)
@json_option
def monitor(
    bounds: tuple[float, float, float, float] | None,
    scale: float,
    size_mm: tuple[float, float] | None,
    as_json: bool,
) -> None:
    """Say which monitor carries the eye tracker, or choose it.

    QuPath's menu asks by numbers shown on the screens and calls this. Without
    --bounds: the monitors that there are, and the one chosen.
    """
    from qpgaze.recording.validation.choosing import choose_as_seen
    from qpgaze.recording.validation.screens import list_monitors
    from qpgaze.recording.validation.settings import load_settings
    from qpgaze.viewing import Rect

    if bounds:
        chosen = choose_as_seen(Rect(*bounds), scale, size_mm=size_mm or None)
        if as_json:
            emit_json("monitor", {"chosen": chosen.to_json()})
        else:
            click.echo(
                f"{chosen.number}: {chosen.name}, {chosen.width_mm:g} x {chosen.height_mm:g} mm"
            )
        return
    before = load_settings().monitor
    forced = None if before is None else before.forced_scale
    there = [one.describe(number) for number, one in enumerate(list_monitors(forced), 1)]
    if as_json:
        emit_json("monitor", {"chosen": before and before.to_json(), "monitors": there})
        return
    click.echo("\n".join(there))
    click.echo(
        "None was chosen for the eye tracker."
        if before is None
        else f"The eye tracker's: {before.number}: {before.name}"
    )
