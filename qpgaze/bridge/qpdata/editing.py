"""Add, replace and remove objects in a ``data.qpdata``; everything else keeps its bytes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import numpy as np

from qpgaze.bridge.qpdata.adding import EditShared, NewObjects, write_children
from qpgaze.bridge.qpdata.appending import append_objects
from qpgaze.bridge.qpdata.assembling import Assembler, HandleTable
from qpgaze.bridge.qpdata.encoding import ObjectWriter, check_all
from qpgaze.bridge.qpdata.identities import object_ids
from qpgaze.bridge.qpdata.keeping import regions_in_place
from qpgaze.bridge.qpdata.regions import title
from qpgaze.bridge.qpdata.scan import Scan, quick_and_guarded
from qpgaze.bridge.qpdata.verifying import verify
from qpgaze.errors import ConflictError, EntryError, UnsupportedDataError
from qpgaze.model import SlideObject


def edit_qpdata(
    data: bytes,
    *,
    add: Sequence[SlideObject] = (),
    replace: Sequence[SlideObject] = (),
    remove: Collection[UUID] = (),
    class_colors: Mapping[str, int],
) -> bytes:
    """Return the data of an image with objects added, replaced and removed.

    Parameters
    ----------
    data : bytes
        The whole ``data.qpdata``.
    add : sequence of SlideObject
        Each goes last under its `parent` (an object of the file or an earlier one of `add`), or
        under the root.
    replace : sequence of SlideObject
        Each takes the place of the object with its id, whose kind, children and place in the
        hierarchy stay; its `parent` is not looked at. A shape that did not change is kept as it is
        stored; a TMA core's must not change.
    remove : collection of UUID
        Children of removed objects take their place under the removed object's parent.
    class_colors : mapping of str to int
        The project's classes, 0xRRGGBB. A class that the file already holds keeps its colour.

    Returns
    -------
    bytes
        Read back and compared: what was not to change is the same, what was is as asked.

    Raises
    ------
    EntryError
        If an object to replace or remove, or a parent, is not there.
    ConflictError
        If an id to add is there already, or an id is asked for twice or borne by two objects.
    ProjectError
        If an object cannot be kept by QuPath (bad geometry, class name, ...), or `data` is
        damaged.
    UnsupportedDataError
        If `data` holds something unknown, or the edit would add or remove a core of a TMA grid,
        move one or give an object another kind.

    Examples
    --------
    >>> from shapely.geometry import box
    >>> from qpgaze.bridge.qpdata import new_qpdata, read_qpdata
    >>> data = new_qpdata(
    ...     server={"uri": "file:/slide.tif"}, qupath_version="0.5.1", image_type="OTHER"
    ... )
    >>> pearl = SlideObject(UUID(int=1), box(10, 20, 50, 60), class_name="Keratin pearl")
    >>> more = edit_qpdata(data, add=[pearl], class_colors={"Keratin pearl": 0x1B9E77})
    >>> read_qpdata(more).objects[0].class_name
    'Keratin pearl'
    >>> edit_qpdata(more, remove=[pearl.id], class_colors={}) == data
    True
    """
    return edit_scan(Scan(data), add=add, replace=replace, remove=remove, class_colors=class_colors)


def edit_scan(
    scan: Scan,
    *,
    add: Sequence[SlideObject] = (),
    replace: Sequence[SlideObject] = (),
    remove: Collection[UUID] = (),
    class_colors: Mapping[str, int],
) -> bytes:
    """Return data with objects added, replaced and removed; see :func:`edit_qpdata`.

    Parameters
    ----------
    scan : Scan
        Of the data as they are.
    add, replace, remove, class_colors
        As for :func:`edit_qpdata`, which says what is raised, too.
    """
    if not replace and not remove:
        made = append_objects(scan, add, class_colors)
        if made is not None:
            return made
    table = HandleTable(scan)
    with quick_and_guarded(scan.data):
        _refuse_other_bytes(scan, table)
        edit = _Edit(scan, table, add, replace, remove, class_colors)
        edit.write()
    made = bytes(edit.out.out)
    edit.out.out.clear()
    new = zip(add, edit.new.regions, edit.new.nuclei, strict=True)
    wanted = [*new, *zip(replace, *edit.replaced, strict=True)]
    verify(scan, table, made, wanted, edit.gone, edit.place_of)
    return made


def _refuse_other_bytes(scan: Scan, table: HandleTable) -> None:
    """Write everything unchanged; refuse to edit where that does not give the same bytes."""
    whole = Assembler(scan, table)
    whole.copy(0, len(scan.data))
    if whole.out != scan.data:
        raise UnsupportedDataError(
            "The image's data do not come out the same when written unchanged.",
            hint="Nothing was changed; please report the QuPath version that saved it.",
        )


class _Edit:
    """What to copy, leave out and write, in the order of the stream."""

    def __init__(
        self,
        scan: Scan,
        table: HandleTable,
        add: Sequence[SlideObject],
        replace: Sequence[SlideObject],
        remove: Collection[UUID],
        class_colors: Mapping[str, int],
    ) -> None:
        self.scan = scan
        self.ids = object_ids(scan)
        self.place_of: dict[UUID, int] = {}
        twice: set[UUID] = set()
        for number, found in enumerate(self.ids):
            if self.place_of.setdefault(found, number) != number:
                twice.add(found)
        self.gone = {self._find(i, twice, "remove") for i in remove}
        self.new_content = {self._find(o.id, twice, "replace"): i for i, o in enumerate(replace)}
        self._check(add, replace, remove)
        self.new = NewObjects.of(add)
        numbers = list(self.new_content)
        self.replaced = regions_in_place(scan, self.ids, replace, numbers)
        self._replace = replace
        seen = {self.ids[0]}
        for i, o in enumerate(add):
            if o.parent is not None and o.parent not in seen:
                parent = self._find(o.parent, twice, "add to")
                if parent in self.gone:
                    raise EntryError(f"The object {o.parent} to add to is removed as well.")
            self.new.below[None if o.parent == self.ids[0] else o.parent].append(i)
            seen.add(o.id)
        self._refuse_shared(table)
        self.out = Assembler(scan, table)
        self.writer = ObjectWriter(self.out, EditShared(self.out, scan, class_colors))

    def _find(self, wanted: UUID, twice: set[UUID], verb: str) -> int:
        number = self.place_of.get(wanted, 0)
        if number == 0:
            raise EntryError(
                f"There is no object {wanted} to {verb} in this image.",
                hint="It may have been deleted in QuPath meanwhile.",
            )
        if wanted in twice:
            raise ConflictError(
                f"Several objects of this image have the id {wanted}; which one to {verb} is open.",
                hint="Delete the copies in QuPath.",
            )
        return number

    def _check(
        self, add: Sequence[SlideObject], replace: Sequence[SlideObject], remove: Collection[UUID]
    ) -> None:
        asked = [*(o.id for o in add), *(o.id for o in replace), *set(remove)]
        if len(set(asked)) != len(asked):
            raise ConflictError("An object is to be added, replaced or removed twice at once.")
        for o in add:
            if o.id in self.place_of:
                raise ConflictError(f"The image already has an object {title(o)}.")
        check_all([*add, *replace])
        for o, number in zip(replace, self.new_content, strict=True):
            kind = self.scan.raw(number).kind
            if kind != o.kind:
                raise UnsupportedDataError(
                    f"Expected a {kind} in place of the {kind} {title(o)}, but a {o.kind} came.",
                    hint="Remove the object and add another.",
                )
        for core in (o for o in add if o.kind == "tma_core"):
            raise UnsupportedDataError(
                f"The core {title(core)} cannot be added: it would lie in no TMA grid.",
                hint="Make or change the TMA grid in QuPath.",
            )
        for number in self.gone:
            if self.scan.raw(number).kind == "tma_core":
                raise UnsupportedDataError(
                    f"The object {self.ids[number]} is a core of the TMA grid; cores are not "
                    "removed here.",
                    hint="Change the TMA grid in QuPath.",
                )

    def _refuse_shared(self, table: HandleTable) -> None:
        """Refuse to take out an object with children that other content refers to."""
        scan = self.scan
        for number in self.gone & set(scan.parents.tolist() if self.gone else ()):
            users = table.ref_at[table.target == scan.handles[number]]
            if ((users < scan.starts[number]) | (users >= scan.ends[number])).any():
                raise UnsupportedDataError(
                    f"The object {self.ids[number]} has children, and other content of the image "
                    "refers to it; it cannot be removed here.",
                    hint="Remove it in QuPath.",
                )

    # -- writing -------------------------------------------------------------------------------

    def _child_counts(self) -> dict[int, int]:
        """Return the new number of children of each object for which it changes."""
        parents, gone = self.scan.parents, self.gone
        children = np.bincount(parents[1:], minlength=len(parents))
        change: defaultdict[int, int] = defaultdict(int)
        heirs: dict[int, int] = {}
        for number in sorted(gone):
            parent = int(parents[number])
            heir = heirs[number] = heirs.get(parent, parent)
            change[heir] += int(children[number]) - 1
        for parent_id, members in self.new.below.items():
            number = 0 if parent_id is None else self.place_of.get(parent_id, -1)
            if number >= 0:
                change[number] += len(members)
        touched = {n for n in change if n not in gone} | set(self.new_content)
        return {n: int(children[n]) + change[n] for n in touched}

    def write(self) -> None:
        """Write the new stream."""
        scan, out = self.scan, self.out
        counts = self._child_counts()
        steps: list[tuple[int, bool, int]] = []  # where, whether it is an object's begin, which
        for number in set(counts) | self.gone:
            steps.append((int(scan.starts[number]), True, number))
            steps.append((int(scan.tails[number]), False, number))
        steps.sort()
        at = 0
        for where, is_head, number in steps:
            out.copy(at, where)
            at = where
            at = self._head(number, counts.get(number, 0)) if is_head else self._tail(number)
        out.copy(at, len(scan.data))

    def _head(self, number: int, children: int) -> int:
        """Write an object up to its children, and say where the old stream goes on."""
        scan, out = self.scan, self.out
        body = int(scan.counts[number]) + 4
        if number in self.gone:
            return body
        if number in self.new_content:
            o = self._replace[self.new_content[number]]
            out.new_of[scan.handles[number]] = self.writer.head(o, children)
        else:
            out.copy(int(scan.starts[number]), body)
            out.out[-4:] = children.to_bytes(4, "big")
        return body

    def _tail(self, number: int) -> int:
        """Write new children and an object's end, and say where the old stream goes on."""
        scan = self.scan
        write_children(self.writer, self.new, None if number == 0 else self.ids[number])
        if number in self.gone:
            return int(scan.ends[number])
        if number in self.new_content:
            i = self.new_content[number]
            o, raw = self._replace[i], scan.raw(number)
            same = raw.path_class is not None and raw.path_class.name == o.class_name
            roi, nucleus = self.replaced[0][i], self.replaced[1][i]
            self.writer.tail(o, roi, nucleus, raw.probability if same else math.nan)
            return int(scan.ends[number])
        return int(scan.tails[number])
