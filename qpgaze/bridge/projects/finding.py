"""Find one image among a project's, the same way in every backend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from qpgaze.bridge.projects.protocol import Entry
from qpgaze.errors import EntryError

E = TypeVar("E", bound=Entry)


def find_entry(entries: Iterable[E], id_or_name: str) -> E:
    """Find an entry by its id, else by a name that only one bears.

    Raises
    ------
    EntryError
        If there is none, or several share the name: the message lists their ids.
    """
    every = list(entries)
    wanted = str(id_or_name)
    for found in (
        [entry for entry in every if entry.id == wanted],
        [entry for entry in every if entry.name == wanted],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(entry.id for entry in found)
            raise EntryError(
                f"{len(found)} images are called '{wanted}': their ids are {ids}.",
                hint="Name the one you mean by its id.",
            )
    listed = ", ".join(f"{entry.id} ('{entry.name}')" for entry in every[:20])
    more = f" and {len(every) - 20} more" if len(every) > 20 else ""
    raise EntryError(
        f"The project has no image '{wanted}'. It has {listed or 'none at all'}{more}."
    )
