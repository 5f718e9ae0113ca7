"""The paquo store: objects read and written by the classes of an installed QuPath.

paquo starts Java and brings QuPath's classes; they work on bytes in memory only. Files, backups and
locks stay with :class:`~qpgaze.bridge.projects.folder.FolderProject`, so none of the traps of
saving through paquo can be hit: a save that is not atomic, edits after the first save that are
lost, data dropped because the slide is missing, an endless loop where only a backup is left.

Neither importing this module nor making a :class:`PaquoCodec` starts Java; the first read or write
does (seconds), once in a process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from qpgaze.bridge.projects.codec import ImageOfData
from qpgaze.bridge.projects.paquo_changes import Changes
from qpgaze.bridge.projects.paquo_java import QupathJava
from qpgaze.bridge.projects.staging import Batch
from qpgaze.bridge.qpdata import read_qpdata
from qpgaze.errors import ProjectError, UnsupportedDataError
from qpgaze.model import SlideObject

_END: Final = b"t\x00\x03EOF"
_THIS_VERSION: Final = b"Data file version 3"
_LOSSES: Final = (
    "will be skipped",
    "Unable to find class",
    "Class not found",
    "Reached end of file",
)
"""Words of log lines with which QuPath says that it goes on without a part of the data."""


class PaquoCodec:
    """Objects through QuPath's own classes."""

    name = "paquo"
    verifies = False

    @cached_property
    def _java(self) -> QupathJava:
        return QupathJava()

    def read(self, data: bytes) -> tuple[tuple[SlideObject, ...], Mapping[str, int]]:
        """Return the objects and the colours of their classes; see the protocol."""
        java = self._java
        _require_whole(data)
        with java.quiet("The data cannot be read by QuPath"):
            hierarchy = java.PathIO.readHierarchy(java.input(data))
            if hierarchy is None:
                raise ProjectError("QuPath finds no objects in the data: they are damaged or cut.")
            found: list[tuple[Any, UUID, UUID | None]] = []
            stack = _children(hierarchy.getRootObject(), None)
            while stack:
                one, parent = stack.pop()
                identity = UUID(str(one.getID()))
                found.append((one, identity, parent))
                stack += _children(one, identity)
            colors: dict[str, int] = {}
            objects = tuple(
                java.slide_object(one, identity, parent, shapes, colors)
                for (one, identity, parent), shapes in zip(
                    found, java.shapes([one for one, _, _ in found]), strict=True
                )
            )
        return objects, colors

    def write(
        self,
        data: bytes | None,
        batches: Sequence[Batch],
        *,
        image: ImageOfData,
        class_colors: Mapping[str, int],
    ) -> bytes:
        """Return the data with changes made; see the protocol."""
        java = self._java
        if data is not None:
            _require_whole(data)
        with java.quiet("The data cannot be read by QuPath") as lines:
            image_data = java.image_data(data, image)
        try:
            lost = [line for line in lines if any(words in line for words in _LOSSES)]
            if lost:
                raise UnsupportedDataError(
                    f"QuPath would leave out a part of the data when it saves: {lost[0]}.",
                    hint="Use the embedded backend, or the QuPath that wrote them.",
                )
            with java.quiet("The data cannot be written by QuPath"):
                for batch in batches:
                    Changes(java, class_colors).make(image_data.getHierarchy(), batch)
                out = java.ByteArrayOutputStream()
                java.PathIO.writeImageData(out, image_data)
                return bytes(out.toByteArray())
        finally:
            image_data.getServer().close()


def _require_whole(data: bytes) -> None:
    """Refuse data that QuPath would take in part, or never come back from.

    It takes what it finds in a cut file and forgets the rest when it saves; a class that it does
    not know has been seen to make it wait for ever. Our own reader looks first. What only an old
    version wrote is QuPath's to read.
    """
    if not data.endswith(_END):
        raise ProjectError("The data are cut: their end is missing.")
    try:
        read_qpdata(data)
    except UnsupportedDataError:
        if _THIS_VERSION in data[:64]:
            raise


def _children(one: Any, identity: UUID | None) -> list[tuple[Any, UUID | None]]:
    """Return an object's children with its id, the last first."""
    return [(child, identity) for child in reversed(list(one.getChildObjectsAsArray()))]
