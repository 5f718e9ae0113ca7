"""What the verbs share: JSON on stdout, tables for people, progress bars on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

JSON_VERSION = 1

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on stdout instead."
)
"""Every reporting verb has it; the object's ``version`` is :data:`JSON_VERSION`."""


allow_host_option = click.option(
    "--allow-host",
    "allow_hosts",
    metavar="HOST",
    multiple=True,
    help="Computer whose share slides may be opened from, besides the project's own; repeatable.",
)
"""Every verb that opens slides has it: what a project's file names is not opened just so."""


def emit_json(verb: str, result: dict[str, Any]) -> None:
    """Print one versioned JSON object; NaN, which JSON lacks, becomes null."""
    whole = {"qpgaze": verb, "version": JSON_VERSION, **result}
    click.echo(json.dumps(_plain(whole), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return _plain(value.item()) if hasattr(value, "item") else str(value)


def console(*, err: bool = False) -> Console:
    """Return a console for people: tables on stdout, messages on stderr."""
    from rich.console import Console

    return Console(stderr=err, highlight=False)


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show one progress bar on stderr and yield ``update(done, total)``.

    Nothing is drawn where stderr is no terminal.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    screen = console(err=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ) as bars:
        task = bars.add_task(description, total=None)

        def update(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield update
