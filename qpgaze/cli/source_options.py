"""Options that several verbs give to a source of gaze."""

from __future__ import annotations

from typing import Any

import click


def _names(_context: click.Context, _option: click.Parameter, value: Any) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


channels_option = click.option(
    "--channels",
    default="",
    metavar="A,B,...",
    callback=_names,
    help="What an LSL stream's channels hold, in order, where it does not say.",
)
"""``--channels left_x,left_y,...``, a tuple of names for the verb."""

python_option = click.option(
    "--python",
    metavar="FILE",
    help="The Python that has the tracker's library, where this one has not.",
)
"""``--python FILE``, a program or None for the verb."""
