"""``--break-lock``, which every verb has that writes into a project."""

from __future__ import annotations

from pathlib import Path

import click

break_lock_option = click.option(
    "--break-lock",
    is_flag=True,
    help="First remove a lock that an ended program left on the project.",
)


def free_lock(project: Path, wanted: bool) -> None:
    """Remove a lock that was left behind, where that is wanted, and say whose it was.

    Parameters
    ----------
    project : Path
        The project's folder or its ``.qpproj`` file.
    wanted : bool
        Whether ``--break-lock`` was given.
    """
    if not wanted:
        return
    from qpgaze.bridge.projects.holder import who
    from qpgaze.bridge.projects.lock import break_lock

    holder = break_lock(project.parent if project.suffix.lower() == ".qpproj" else project)
    said = "There was no lock." if holder is None else f"Removed the lock of {who(holder)}."
    click.echo(said, err=True)
