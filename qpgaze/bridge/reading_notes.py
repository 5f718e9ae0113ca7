"""What a person should know of how a project could be read, before relying on what was read."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from qpgaze.bridge.ledger import Ledger
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.opening import open_project
from qpgaze.bridge.projects.qpproj import find_project_file
from qpgaze.errors import ProjectError

if TYPE_CHECKING:
    from qpgaze.bridge.projects.protocol import Entry


def cut_ledger(ledger: Ledger) -> list[str]:
    """Say that the end of a ledger could not be read, where that is so."""
    if not ledger.cut:
        return []
    return [
        "The last line of the ledger (qpgaze/ledger.jsonl) was cut: a computer stopped while it "
        "was written. All other lines hold; that one counts as not there."
    ]


def data_from_backup(entries: Iterable[Entry]) -> list[str]:
    """Name the images whose data are gone, so that the version before was read.

    Parameters
    ----------
    entries : iterable of Entry
        Before anything is written to them.
    """
    return [
        f"Image {entry.id} ('{entry.name}'): its data.qpdata is gone (a save was cut?), so the "
        "version before, data.qpdata.bkp, was read, as QuPath does."
        for entry in entries
        if isinstance(entry, FolderEntry) and entry.from_backup
    ]


def notes_of_reading(path: str | PathLike[str]) -> list[str]:
    """Say of a project what could not be read as it should.

    Parameters
    ----------
    path : path
        The project's folder or its ``.qpproj`` file.

    Raises
    ------
    ProjectError
        If there is no project, or the ledger is damaged.
    """
    file = find_project_file(Path(path))
    notes = cut_ledger(Ledger.open(file))
    try:
        with open_project(file, backend="embedded") as project:
            notes += data_from_backup(project.entries)
    except ProjectError as error:
        notes.append(f"{error} What follows lacks the names of images.")
    return notes
