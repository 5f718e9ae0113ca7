"""Objects from a GeoJSON file into an image of a project, all or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

from qpgaze.bridge.geojson.features import GeoJsonReport, Refusal
from qpgaze.bridge.geojson.reading import Found, read_geojson
from qpgaze.bridge.projects.checking import check_objects, settle_replacements
from qpgaze.bridge.projects.garbage import no_cyclic_garbage
from qpgaze.bridge.projects.protocol import Entry, Project
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

_MOST_LISTED: Final = 10


@dataclass
class ImportReport:
    """What became of a file's features.

    Parameters
    ----------
    added, replaced, skipped : int
        Objects; skipped are those whose id the image has already.
    refused : list of Refusal
        Features that were left out; empty unless that was asked for.
    lifted : int
        Objects among the added that lay in a TMA core that was left out; they lie one level up.
    mended, unknown : Counter
        As in :class:`~qpgaze.bridge.geojson.GeoJsonReport`.
    """

    added: int = 0
    replaced: int = 0
    skipped: int = 0
    refused: list[Refusal] = field(default_factory=list)
    lifted: int = 0
    mended: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)


def import_geojson(
    project: Project,
    entry: Entry,
    path: Path,
    *,
    replace: bool = False,
    skip_refused: bool = False,
) -> ImportReport:
    """Stage the objects of a GeoJSON file; :meth:`Project.commit` writes them.

    Parameters
    ----------
    project : Project
        Opened for changes.
    entry : Entry
        The image.
    path : Path
        In any dialect of QuPath, see :func:`~qpgaze.bridge.geojson.read_geojson`.
    replace : bool
        Put objects of the file in place of those with the same ids, rather than skip them.
    skip_refused : bool
        Leave out features that cannot be written, rather than refuse the file.

    Returns
    -------
    ImportReport

    Raises
    ------
    ProjectError
        If the file cannot be read, or features cannot be written: the message names them. Nothing
        was staged.

    Notes
    -----
    Ids, names, classes, colours, measurements and metadata stay what they are in the file. The
    ledger takes no note: what it holds is what qpgaze made, not what a file brought.

    A TMA core that the image has keeps its shape, its grid's. One that it lacks is refused; where
    it is left out, what lies in it is not.
    """
    read, lifted = GeoJsonReport(), 0
    there = {item.id: item for item in entry.objects()}
    with no_cyclic_garbage():
        fresh, known, bad = _sorted_out(path, read, there)
        swap = known if replace else []
        bad += _faults(swap, partial(settle_replacements, now=there))
        bad += _faults(fresh, check_objects) if bad else _staged_or_faults(entry, fresh)
        if bad:
            bad.sort(key=_in_the_file)
            if not skip_refused:
                raise _refusal(path, bad, read.objects + len(read.refused))
            lost = {refusal.number for refusal in bad}
            swap = [found for found in swap if found.number not in lost]
            fresh, lifted = _without(bad, fresh, there)
            entry.add([found.object for found in fresh])
        entry.replace([found.object for found in swap])
    _add_classes(project, [*fresh, *swap], read.class_colors)
    left = 0 if replace else len(known)
    return ImportReport(len(fresh), len(swap), left, bad, lifted, read.mended, read.unknown)


def _add_classes(project: Project, found: list[Found], colors: Mapping[str, int]) -> None:
    """Stage the classes that came in, with the file's colours."""
    used = {one.object.class_name for one in found}
    project.add_classes({name: color for name, color in colors.items() if name in used})


def _sorted_out(
    path: Path, report: GeoJsonReport, there: Mapping[UUID, SlideObject]
) -> tuple[list[Found], list[Found], list[Refusal]]:
    """Return what is new to the image, what it has already, and what cannot be read."""
    fresh: list[Found] = []
    known: list[Found] = []
    bad: list[Refusal] = []
    taken: dict[int, str] = {}  # a number is looked up in a fraction of a UUID's time
    has = {identity.int for identity in there}
    for found in read_geojson(path, report=report, collect=True):
        item = found.object
        first = taken.setdefault(item.id.int, found.number)
        if first != found.number:
            bad.append(Refusal(found.number, item.name, f"it bears the id of feature {first}"))
        elif item.id.int in has:
            known.append(found)
        else:
            fresh.append(found)
    return fresh, known, [*report.refused, *bad]


def _staged_or_faults(entry: Entry, found: list[Found]) -> list[Refusal]:
    """Stage objects; where the store refuses one, none is staged and each fault is named."""
    try:
        entry.add([one.object for one in found])
    except ProjectError:
        faults = _faults(found, check_objects)
        if not faults:
            raise
        return faults
    return []


def _in_the_file(refusal: Refusal) -> tuple[int, ...]:
    return tuple(map(int, refusal.number.split(".")))


def _faults(found: list[Found], check: Callable[[Sequence[SlideObject]], object]) -> list[Refusal]:
    """Name each object that the store would refuse; most files have none, so all are asked once."""
    try:
        check([one.object for one in found])
    except ProjectError:
        pass
    else:
        return []
    faults = []
    for one in found:
        try:
            check([one.object])
        except ProjectError as error:
            why = error.message.split(" cannot be written: ", 1)[-1]
            why = why.removesuffix(" Nothing was staged.").rstrip(".")
            faults.append(Refusal(one.number, one.object.name, why))
    return faults


def _without(
    bad: list[Refusal], found: list[Found], there: Mapping[UUID, SlideObject]
) -> tuple[list[Found], int]:
    """Leave out what is refused and what lies under that; parents come before their children.

    What lies in a TMA core goes up instead, and the second value says how many did.
    """
    lost = {refusal.number for refusal in bad}
    kept: dict[UUID, Found] = {}
    above: dict[UUID, UUID | None] = {}
    lifted = 0
    for one in found:
        item = one.object
        if one.number in lost:
            if item.kind == "tma_core":
                above[item.id] = above.get(item.parent, item.parent) if item.parent else None
            continue
        if item.parent in above:
            item = replace(item, parent=above[item.parent])
            one = Found(one.number, item)
            lifted += 1
        if item.parent is None or item.parent in kept or item.parent in there:
            kept[item.id] = one
        else:
            bad.append(Refusal(one.number, item.name, "it lies under a refused feature"))
    return list(kept.values()), lifted


def _refusal(path: Path, bad: list[Refusal], count: int) -> ProjectError:
    shown = "\n".join(f"  {refusal}" for refusal in bad[:_MOST_LISTED])
    more = len(bad) - _MOST_LISTED
    rest = f"\n  and {more} more" if more > 0 else ""
    return ProjectError(
        f"{path.name}: {len(bad)} of {count} features cannot be written; nothing was changed.\n"
        f"{shown}{rest}\n",
        hint="Mend them, leave them out (--skip-refused), or import the file in QuPath itself with "
        "the script import_geojson.groovy.",
    )
