"""Commit, keep account, and tell a person what they should know of QuPaths that look on."""

from __future__ import annotations

from collections.abc import Sequence

from qpgaze.bridge.ledger import Ledger
from qpgaze.bridge.pending import commit_recorded
from qpgaze.bridge.projects.in_use import warnings_of_use
from qpgaze.bridge.projects.live import note_windows
from qpgaze.bridge.projects.protocol import Project
from qpgaze.bridge.records import Record


def commit_and_tell(
    project: Project, ledger: Ledger, records: Sequence[Record], *, save_open: bool | None = None
) -> list[str]:
    """Write what is staged, and say which images a QuPath has, or may have, open.

    Parameters
    ----------
    project : Project
    ledger : Ledger
    records : sequence of Record
        One for each staged object; where there is none, nothing is written.
    save_open : bool, optional
        Whether QuPath is asked to save the images that are open in it: True all that got objects,
        False none, by default those in which nothing was unsaved before.

    Returns
    -------
    list of str
        Sentences.

    Raises
    ------
    ConflictError, ProjectError, WireError
        As :func:`~qpgaze.bridge.pending.commit_recorded`; the last where a QuPath fell silent.
    """
    if not records:
        return []
    warnings = warnings_of_use(project, {record.entry for record in records})
    commit_recorded(project, ledger, records)
    return warnings + note_windows(project, save_open)
