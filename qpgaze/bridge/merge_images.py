"""Which image of a project is which image of a copy: by id and image, never by id alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qpgaze.bridge.projects.protocol import Entry
from qpgaze.bridge.projects.uris import base_name, plain_name, same_place


@dataclass
class Matches:
    """What belongs together.

    Parameters
    ----------
    pairs : list of (Entry, Entry)
        Here and in the copy.
    unmatched : list of (Entry, str)
        Only in the copy, and why that was thought.
    """

    pairs: list[tuple[Entry, Entry]] = field(default_factory=list)
    unmatched: list[tuple[Entry, str]] = field(default_factory=list)


def match_images(here: Sequence[Entry], there: Sequence[Entry]) -> Matches:
    """Find for each image of a copy the image here.

    Parameters
    ----------
    here, there : sequence of Entry

    Notes
    -----
    Images of one id are the same where they lie in the same place, or bear the same file name, or
    the same name and size; never where their sizes differ. Without the id, the place must be the
    same, or file name and size, and only one image here may be it.
    """
    matches = Matches()
    by_id = {entry.id: entry for entry in here}
    taken: set[str] = set()
    left: list[Entry] = []
    for entry in there:
        mine = by_id.get(entry.id)
        if mine is not None and mine.id not in taken and _same_with_id(mine, entry):
            taken.add(mine.id)
            matches.pairs.append((mine, entry))
        else:
            left.append(entry)
    for entry in left:
        alike = [mine for mine in here if mine.id not in taken and _same_without_id(mine, entry)]
        if len(alike) == 1:
            taken.add(alike[0].id)
            matches.pairs.append((alike[0], entry))
        elif alike:
            ids = ", ".join(mine.id for mine in alike)
            matches.unmatched.append((entry, f"images {ids} of the project may be it"))
        elif entry.id in by_id:
            other = by_id[entry.id].name
            matches.unmatched.append((entry, f"image {entry.id} of the project is '{other}'"))
        else:
            matches.unmatched.append((entry, "only in the copy"))
    return matches


def _sizes(one: Entry, other: Entry) -> bool | None:
    """Tell whether two images have as many pixels, None where one does not say."""
    sizes = (one.width_px, one.height_px), (other.width_px, other.height_px)
    return None if None in (*sizes[0], *sizes[1]) else sizes[0] == sizes[1]


def _same_place(one: Entry, other: Entry) -> bool:
    return any(same_place(first, second) for first in one.uris for second in other.uris)


def _same_file_name(one: Entry, other: Entry) -> bool:
    names = [{plain_name(base_name(uri)) for uri in entry.uris} - {""} for entry in (one, other)]
    return bool(names[0] & names[1])


def _same_with_id(one: Entry, other: Entry) -> bool:
    sizes = _sizes(one, other)
    if sizes is False:
        return False
    if _same_place(one, other) or _same_file_name(one, other):
        return True
    return sizes is True and plain_name(one.name) == plain_name(other.name)


def _same_without_id(one: Entry, other: Entry) -> bool:
    sizes = _sizes(one, other)
    if sizes is False:
        return False
    return _same_place(one, other) or (sizes is True and _same_file_name(one, other))
