"""New objects on their way into a stream: what to write of them, and what they may refer to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from qpgaze.bridge.qpdata import content
from qpgaze.bridge.qpdata.assembling import Assembler
from qpgaze.bridge.qpdata.bulk import WORTH, Bulk
from qpgaze.bridge.qpdata.encoding import AT_ONCE, ObjectWriter, Shared
from qpgaze.bridge.qpdata.javatypes import JavaObject
from qpgaze.bridge.qpdata.records import Roi
from qpgaze.bridge.qpdata.regions import nuclei, regions
from qpgaze.bridge.qpdata.scan import Scan
from qpgaze.model import SlideObject


@dataclass
class NewObjects:
    """Objects to add, and the regions chosen for them.

    Parameters
    ----------
    objects : sequence of SlideObject
    regions, nuclei : sequence of Roi or None
        One for each.
    below : dict of UUID or None to list of int
        Places in `objects` by the object that they lie under, None for the root.
    """

    objects: Sequence[SlideObject]
    regions: Sequence[Roi | None]
    nuclei: Sequence[Roi | None]
    below: defaultdict[UUID | None, list[int]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, objects: Sequence[SlideObject]) -> NewObjects:
        """Choose the regions; bad shapes are refused."""
        parts = [objects[at : at + AT_ONCE] for at in range(0, len(objects), AT_ONCE)]
        outer = [roi for part in parts for roi in regions(part)]
        return cls(objects, outer, [roi for part in parts for roi in nuclei(part)])


def write_children(writer: ObjectWriter, new: NewObjects, parent: UUID | None) -> None:
    """Write the new objects below one, each with its own, however deep."""
    bulk = Bulk(writer)
    waiting = [(-1, new.below.get(parent, []), 0)]  # an open object, its children, the next of them
    while waiting:
        owner, members, place = waiting.pop()
        stop = _leaves(new, members, place)
        _write_leaves(writer, bulk, new, members[place:stop])
        if stop < len(members):
            i = members[stop]
            children = new.below[new.objects[i].id]
            writer.head(new.objects[i], len(children))
            waiting += [(owner, members, stop + 1), (i, children, 0)]
        elif owner >= 0:
            writer.tail(new.objects[owner], new.regions[owner], new.nuclei[owner])


def _leaves(new: NewObjects, members: Sequence[int], place: int) -> int:
    """Return the place of the next object that has children of its own."""
    if new.below.keys() <= {None}:
        return len(members)
    for stop in range(place, len(members)):
        if new.objects[members[stop]].id in new.below:
            return stop
    return len(members)


def _write_leaves(
    writer: ObjectWriter, bulk: Bulk, new: NewObjects, members: Sequence[int]
) -> None:
    """Write objects without children; those of known layouts together."""
    for start in range(0, len(members), AT_ONCE):
        part = members[start : start + AT_ONCE]
        objects, rois = [new.objects[i] for i in part], [new.regions[i] for i in part]
        if len(part) >= WORTH:
            layouts = bulk.layouts(objects, rois, [new.nuclei[i] for i in part])
        at = 0
        while at < len(part):
            stop = bulk.ready_until(layouts, at) if len(part) >= WORTH else len(part)
            if len(part) >= WORTH and stop - at >= WORTH:
                bulk.write(objects[at:stop], rois[at:stop], layouts[at:stop])
            else:
                stop = max(stop, at + 1)
                for row in range(at, stop):
                    writer.head(objects[row], 0)
                    writer.tail(objects[row], rois[row], new.nuclei[part[row]])
            at = stop


class EditShared(Shared):
    """Shared values of the old stream, as far as the new one has reached them."""

    def __init__(self, out: Assembler, scan: Scan, class_colors: Mapping[str, int]) -> None:
        super().__init__(out, class_colors)
        self._out = out
        self._old: dict[object, int] = {}
        for handle, value in scan.reader.values.items():
            if type(value) is JavaObject:
                name = value.desc.name
                if name in ("java.lang.Boolean", "java.lang.Integer"):
                    key = value.fields.get("value")
                elif name == content.PATH_CLASS:
                    found = content.path_class(value)
                    if found is None or found.color is None:
                        continue
                    key = found.name
                    self.colors = {**self.colors, found.name: found.color & 0xFFFFFF}
                else:
                    continue
                self._old.setdefault((type(key), key), handle)

    def find(self, key: object) -> int | None:
        """Return the handle of a shared value of the old content that is written already."""
        return self._out.new_handle(self._old.get((type(key), key)))
