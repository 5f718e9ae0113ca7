"""New objects on their way into a stream: what to write of them, and what they may refer to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from qpgaze.bridge.qpdata import content
from qpgaze.bridge.qpdata.assembling import Assembler
from qpgaze.bridge.qpdata.encoding import ObjectWriter, Shared
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
        return cls(objects, regions(objects), nuclei(objects))


def write_children(writer: ObjectWriter, new: NewObjects, parent: UUID | None) -> None:
    """Write the new objects below one, each with its own, however deep."""
    waiting: list[tuple[int, bool]] = [(i, False) for i in reversed(new.below[parent])]
    while waiting:
        i, opened = waiting.pop()
        o = new.objects[i]
        if opened:
            writer.tail(o, new.regions[i], new.nuclei[i])
            continue
        members = new.below.get(o.id, ())
        writer.head(o, len(members))
        if not members:
            writer.tail(o, new.regions[i], new.nuclei[i])
            continue
        waiting.append((i, True))
        waiting.extend((j, False) for j in reversed(members))


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
