"""What is to become of an image's objects, before anything is written: pure bookkeeping.

Both backends stage here, so that both check alike and answer alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from qpgaze.bridge.projects.checking import check_objects, refuse_cores, settle_replacements
from qpgaze.bridge.projects.comparing import moved, require_same, still_to_add, unlike
from qpgaze.bridge.projects.held import HeldObjects, Tally, tally_of
from qpgaze.errors import ConflictError, EntryError, ProjectError
from qpgaze.model import SlideObject


@dataclass
class Batch:
    """Changes that one edit of an image's data makes."""

    add: dict[UUID, SlideObject] = field(default_factory=dict)
    replace: dict[UUID, SlideObject] = field(default_factory=dict)
    remove: set[UUID] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.add or self.replace or self.remove)


class Staging:
    """Staged changes over the objects that an image has.

    Parameters
    ----------
    base : sequence of SlideObject
        As read, parents before children.
    """

    def __init__(self, base: Sequence[SlideObject]) -> None:
        self._base = base
        self._added: dict[UUID, SlideObject] = {}
        self._twice: set[UUID] = set()
        self._all: dict[UUID, SlideObject] | None = None
        self._batches: list[Batch] = []

    @property
    def _now(self) -> dict[UUID, SlideObject]:
        """All objects as they will be; made when more is done than adding."""
        if self._all is None:
            self._all = {}
            for item in self._base:
                if item.id in self._all:
                    self._twice.add(item.id)
                self._all[item.id] = item
            self._all.update(self._added)
        return self._all

    def _has(self, identity: UUID) -> bool:
        if self._all is None and not self._base and not self._added:
            return False
        if self._all is None and isinstance(self._base, HeldObjects):
            return identity in self._added or self._base.has(identity)
        return identity in self._now

    @property
    def batches(self) -> tuple[Batch, ...]:
        """The changes, in the order in which they must be made."""
        return tuple(batch for batch in self._batches if batch)

    @property
    def dirty(self) -> bool:
        """Whether anything is staged."""
        return any(self._batches)

    def current(self) -> tuple[SlideObject, ...]:
        """Return all objects as they will be, parents before children."""
        return tuple(self._now.values()) if self.dirty else tuple(self._base)

    def tally(self) -> Tally:
        """Count all objects as they will be, by kind and class."""
        if self._all is None:
            return tally_of(self._base) + tally_of(list(self._added.values()))
        return tally_of(self.current())

    @property
    def data(self) -> bytes | None:
        """What the image's objects are made of, where that is still held for them."""
        held = isinstance(self._base, HeldObjects) and self._all is None
        return self._base.data if held and isinstance(self._base, HeldObjects) else None

    def onto(self, base: Sequence[SlideObject]) -> Staging:
        """Return the same changes staged on top of what the image has become since it was read.

        Parameters
        ----------
        base : sequence of SlideObject
            As read now.

        Raises
        ------
        ConflictError
            If an object that is to be replaced or removed was changed by another, if one that is
            to be replaced is gone, or if another object took the id or removed the parent of one
            that is to be added.
        """
        merged = Staging(base)
        changed = any(batch.replace or batch.remove for batch in self.batches)
        before = {item.id: item for item in self._base} if changed else {}
        for batch in self.batches:
            gone = {identity for identity in batch.remove if identity not in merged._now}
            touched = [*batch.replace, *(batch.remove - gone)]
            for identity in touched:
                require_same(before.get(identity), merged._now.get(identity), identity)
                before.pop(identity, None)  # from here on the object is ours
            merged.remove(batch.remove - gone)
            merged.replace(batch.replace.values())
            merged.add(still_to_add(batch.add.values(), merged._now))
        return merged

    def class_names(self) -> list[str]:
        """Return the classes of what is added or replaced, in order, each once."""
        names: dict[str, None] = {}
        for batch in self._batches:
            for item in (*batch.add.values(), *batch.replace.values()):
                if item.class_name is not None:
                    names[item.class_name] = None
        return list(names)

    def difference(self, came: Sequence[SlideObject]) -> str | None:
        """Say how objects that were read back differ from what is staged; None when they do not.

        Parameters
        ----------
        came : sequence of SlideObject
            All objects of the image, as read back.

        Notes
        -----
        What was not staged is compared by number only: both stores keep it as it was, and objects
        of QuPath 0.3 have no ids to go by.
        """
        if len(came) != len(self._now):
            return f"{len(came)} objects instead of {len(self._now)}"
        there = {item.id: item for item in came}
        wanted: dict[UUID, SlideObject] = {}
        for batch in self._batches:
            wanted.update(batch.add)
            wanted.update(batch.replace)
        wanted = {identity: self._now[identity] for identity in wanted if identity in self._now}
        for identity, item in wanted.items():
            found = there.get(identity)
            if found is None:
                return f"object {identity} is missing"
            fault = unlike(item, found)
            if fault is not None:
                return f"the {fault} of object {identity}"
        return moved(list(wanted.values()), [there[identity] for identity in wanted])

    def add(self, objects: Iterable[SlideObject]) -> None:
        """Stage new objects; all or none of them.

        Raises
        ------
        ConflictError
            If an id is already there, or twice among them.
        ProjectError
            If an object cannot be kept by QuPath, or its parent is missing.
        """
        items = list(objects)
        fresh = {item.id: item for item in items}
        if len(fresh) < len(items) or any(map(self._has, fresh)):
            seen: set[UUID] = set()
            for item in items:
                if item.id in seen or self._has(item.id):
                    raise ConflictError(
                        f"The image already has an object {item.id}; nothing was staged.",
                        hint="Replace it instead.",
                    )
                seen.add(item.id)
        check_objects(items)
        ordered = self._parents_first(fresh)
        batch = self._batch()
        if batch.remove and any(identity in batch.remove for identity in ordered):
            batch = self._batch(new=True)
        batch.add.update(ordered)
        (self._added if self._all is None else self._all).update(ordered)

    def replace(self, objects: Iterable[SlideObject]) -> None:
        """Stage objects in place of those with the same ids; their parents stay what they are.

        Raises
        ------
        EntryError
            If there is no object of that id.
        ProjectError
            If an object cannot be kept by QuPath, if it is to become one of another kind, or a TMA
            core is to get another shape or place.
        """
        fresh = list(objects)
        self._require({item.id for item in fresh})
        settled = settle_replacements(fresh, self._now)
        batch = self._batch()
        for item, new in zip(fresh, settled, strict=True):
            (batch.add if item.id in batch.add else batch.replace)[item.id] = new
            self._now[item.id] = new

    def remove(self, ids: Iterable[UUID]) -> None:
        """Stage removals; children move to their parent's parent.

        Raises
        ------
        EntryError
            If there is no object of that id.
        ProjectError
            If an object is a core of the TMA grid.
        """
        wanted = list(dict.fromkeys(ids))
        self._require(set(wanted))
        refuse_cores(self._now[identity] for identity in wanted)
        if not wanted:
            return
        batch = self._batch()
        gone = {identity: self._now.pop(identity).parent for identity in wanted}

        def heir(parent: UUID | None) -> UUID | None:
            while parent is not None and parent in gone:
                parent = gone[parent]
            return parent

        for identity in wanted:
            batch.replace.pop(identity, None)
            if batch.add.pop(identity, None) is None:
                batch.remove.add(identity)
        for item in [item for item in self._now.values() if item.parent in gone]:
            moved = dataclasses.replace(item, parent=heir(item.parent))
            self._now[item.id] = moved
            for changes in (batch.add, batch.replace):
                if item.id in changes:
                    changes[item.id] = moved

    def _batch(self, *, new: bool = False) -> Batch:
        if new or not self._batches:
            self._batches.append(Batch())
        return self._batches[-1]

    def _require(self, ids: set[UUID]) -> None:
        missing = sorted(str(identity) for identity in ids - self._now.keys())
        if missing:
            raise EntryError(
                f"The image has no object {', '.join(missing[:3])}"
                + (f" (and {len(missing) - 3} more)" if len(missing) > 3 else "")
                + "; nothing was staged."
            )
        twice = ids & self._twice
        if twice:
            raise EntryError(
                f"The image has two objects of the id {next(iter(twice))}; nothing was staged.",
                hint="Delete one of them in QuPath.",
            )

    def _parents_first(self, fresh: dict[UUID, SlideObject]) -> dict[UUID, SlideObject]:
        """Order new objects so that each comes after its parent."""
        if all(item.parent is None for item in fresh.values()):
            return fresh
        placed: dict[UUID, SlideObject] = {}
        for item in fresh.values():
            line = [item]
            while (parent := line[-1].parent) is not None:
                if parent in placed or self._has(parent):
                    break
                if parent not in fresh:
                    raise ProjectError(
                        f"Object {line[-1].id} lies under {parent}, which the image does not have; "
                        "nothing was staged."
                    )
                line.append(fresh[parent])
                if len(line) > len(fresh):
                    raise ProjectError(f"Object {item.id} lies under itself; nothing was staged.")
            for one in reversed(line):
                placed.setdefault(one.id, one)
        return placed
