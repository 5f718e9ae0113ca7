"""Objects that an image has, known by their ids before any of them is made.

Most writes add objects to many others that nobody looks at; making those costs more than the write.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias
from uuid import UUID

from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

Tally: TypeAlias = "Counter[tuple[str, str | None]]"
"""How many objects there are of each kind and class."""


class HeldObjects(Sequence[SlideObject]):
    """A sequence of objects that are made when one is asked for, then all at once.

    Attributes
    ----------
    in_words : callable
        Turns an error met while making them into the one to raise.
    """

    in_words: Callable[[ProjectError], ProjectError] = staticmethod(lambda error: error)

    @abstractmethod
    def has(self, identity: UUID) -> bool:
        """Tell whether an object of that id is among them."""

    @abstractmethod
    def tally(self) -> Tally:
        """Count them by kind and class, in order of appearance."""

    @property
    @abstractmethod
    def data(self) -> bytes | None:
        """What they are made of; None once they are."""


def tally_of(objects: Sequence[SlideObject]) -> Tally:
    """Count objects by kind and class, in order of appearance."""
    if isinstance(objects, HeldObjects):
        return objects.tally()
    return Counter((item.kind, item.class_name) for item in objects)
