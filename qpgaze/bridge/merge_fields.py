"""Bring together what a project and its copy say of one image besides its objects.

Key-value pairs, description, image type and tags of QuPath. What only one side says is taken, what
both changed is told; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from qpgaze.bridge.merge import Told

if TYPE_CHECKING:
    from qpgaze.bridge.projects.protocol import Entry

UNSET = "UNSET"
_DECISIONS = {"here": "left as it is here", "copy": "taken from the copy"}


@dataclass(frozen=True)
class Fields:
    """What is said of an image.

    Parameters
    ----------
    metadata : mapping of str to str
    description, image_type : str or None
        None where nothing is said.
    tags : frozenset of str
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    image_type: str | None = None
    tags: frozenset[str] = frozenset()

    @classmethod
    def of(cls, entry: Entry) -> Fields:
        """Return what a project says of an image.

        Raises
        ------
        ProjectError
            If the image's data cannot be read.
        """
        known = entry.image_type
        return cls(
            dict(entry.metadata),
            entry.description or None,
            None if known == UNSET else known,
            frozenset(entry.tags),
        )

    @classmethod
    def of_raw(cls, item: Mapping[str, Any]) -> Fields:
        """Return what an entry of a project file says; the image type does not lie there."""
        given, tags = item.get("metadata"), item.get("tags")
        pairs = given if isinstance(given, dict) else {}
        text = item.get("description")
        return cls(
            {str(key): str(value) for key, value in pairs.items() if value is not None},
            text if isinstance(text, str) and text else None,
            None,
            frozenset(tag for tag in tags if isinstance(tag, str))
            if isinstance(tags, list)
            else frozenset(),
        )


@dataclass
class FieldMerge:
    """What becomes of one image's fields.

    Parameters
    ----------
    taken : list of str
        What is taken from the copy, in words.
    conflicts, decided : list of Told
        Said on both sides and differently; the same, where a side was preferred.
    gone_there : list of Told
        Taken away in the copy, and not here.
    """

    taken: list[str] = field(default_factory=list)
    conflicts: list[Told] = field(default_factory=list)
    decided: list[Told] = field(default_factory=list)
    gone_there: list[Told] = field(default_factory=list)


def merge_fields(
    entry: Entry,
    here: Fields,
    there: Fields,
    base: Fields | None,
    *,
    base_type: str | None = None,
    prefer: Literal["here", "copy"] | None = None,
) -> FieldMerge:
    """Stage on an image what a copy says of it.

    Parameters
    ----------
    entry : Entry
        Here, of a project open for changes.
    here, there : Fields
        What is said of it now, and in the copy.
    base : Fields or None
        What both once said; None where that is not known.
    base_type : str or None
        The image type that both once had; None where that is not known.
    prefer : "here", "copy" or None
        Which side to take where both say something else; None: neither.
    """
    result = FieldMerge()
    chosen = _Choosing(entry.id, result, prefer)
    once = Fields() if base is None else base
    for key in sorted({**here.metadata, **there.metadata}):
        sides = here.metadata.get(key), there.metadata.get(key), once.metadata.get(key)
        value = chosen.choose(key, *sides, known=base is not None)
        if value is not None:
            entry.set_metadata({key: value})
    sides = here.description, there.description, once.description
    value = chosen.choose("description", *sides, known=base is not None)
    if value is not None:
        entry.describe(value)
    sides = here.image_type, there.image_type, base_type
    value = chosen.choose("image type", *sides, known=base_type is not None)
    if value is not None:
        entry.set_image_type(value)
    new = there.tags - here.tags - once.tags  # a tag that both had was taken away here
    if new:
        entry.set_tags([*entry.tags, *sorted(new)])
        result.taken += [f"tag {tag}" for tag in sorted(new)]
    return result


@dataclass(frozen=True)
class _Choosing:
    """Decide between two words, and note what was decided."""

    entry: str
    result: FieldMerge
    prefer: Literal["here", "copy"] | None

    def choose(
        self, name: str, here: str | None, there: str | None, once: str | None, *, known: bool
    ) -> str | None:
        """Return the copy's word where it is to be taken, None where what is here stays."""
        if here == there or (known and there == once):
            return None
        told = Told(self.entry, name, f"'{_short(here)}' here, '{_short(there)}' in the copy")
        if there is None:
            if known and here == once:
                self.result.gone_there.append(replace(told, why="taken away in the copy"))
            return None
        if (here == once) if known else (here is None):
            self.result.taken.append(f"{name} = {_short(there)}")
            return there
        if here is None:
            told = replace(told, why="taken away here, changed in the copy")
        if self.prefer is None:
            self.result.conflicts.append(told)
            return None
        told = replace(told, why=f"{told.why}; {_DECISIONS[self.prefer]}")
        self.result.decided.append(told)
        return there if self.prefer == "copy" else None


def _short(text: str | None) -> str:
    words = " ".join((text or "").split())
    return words if len(words) <= 60 else f"{words[:57]}..."
