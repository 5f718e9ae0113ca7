"""The embedded store: objects read and written without Java."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, overload
from uuid import UUID

from qpgaze.bridge.projects.codec import ImageOfData
from qpgaze.bridge.projects.held import HeldObjects, Tally
from qpgaze.bridge.projects.staging import Batch
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from qpgaze.bridge.qpdata.scan import Scan


class EmbeddedCodec:
    """Works on the bytes themselves; what it does not touch stays the same to the byte."""

    name = "embedded"
    verifies = True

    def __init__(self) -> None:
        self._last: weakref.ref[StoredObjects] | None = None

    def read(self, data: bytes) -> tuple[Sequence[SlideObject], Mapping[str, int]]:
        """Return the objects and the colours of their classes; see the protocol.

        The data are read through, and refused where they are damaged or not understood; objects
        are made of them when one is asked for.
        """
        from qpgaze.bridge.qpdata.columns import class_colors
        from qpgaze.bridge.qpdata.scan import Scan, quick_and_guarded

        scan = Scan(data)
        with quick_and_guarded(data):
            colors = class_colors(scan)
        found = StoredObjects(scan)
        self._last = weakref.ref(found)
        return found, colors

    def write(
        self,
        data: bytes | None,
        batches: Sequence[Batch],
        *,
        image: ImageOfData,
        class_colors: Mapping[str, int],
    ) -> bytes:
        """Return the data with changes made; see the protocol."""
        from qpgaze.bridge.qpdata import new_qpdata
        from qpgaze.bridge.qpdata.editing import edit_scan
        from qpgaze.bridge.qpdata.scan import Scan

        content = data or new_qpdata(
            server=image.builder,
            qupath_version=image.qupath_version,
            image_type=image.image_type,
        )
        scan = self._scan_of(content)
        for batch in batches:
            content = edit_scan(
                scan or Scan(content),
                add=list(batch.add.values()),
                replace=list(batch.replace.values()),
                remove=batch.remove,
                class_colors=class_colors,
            )
            scan = None
        return content

    def _scan_of(self, data: bytes) -> Scan | None:
        """Return the scan that was made of just these bytes when they were read, if it is held."""
        last = None if self._last is None else self._last()
        scan = None if last is None else last.scan
        return scan if scan is not None and scan.data == data else None


class StoredObjects(HeldObjects):
    """The objects of one ``data.qpdata``.

    Parameters
    ----------
    scan : Scan
        Held until the objects are made.
    """

    def __init__(self, scan: Scan) -> None:
        self.scan: Scan | None = scan
        self._count = len(scan) - 1
        self._ids: set[bytes] | None = None
        self._made: tuple[SlideObject, ...] = ()
        self._tally: Tally | None = None

    @property
    def data(self) -> bytes | None:
        """The file's bytes, None once objects were made of them."""
        return None if self.scan is None else self.scan.data

    def has(self, identity: UUID) -> bool:
        """Tell whether an object of that id is among them."""
        if self._ids is None:
            if self.scan is None:
                self._ids = {one.id.bytes for one in self._made}
            else:
                from qpgaze.bridge.qpdata.identities import id_set

                self._ids = id_set(self.scan)
        return identity.bytes in self._ids

    def tally(self) -> Tally:
        """Count them by kind and class, in order of appearance."""
        if self.scan is None:
            return Counter((item.kind, item.class_name) for item in self._made)
        if self._tally is None:
            from qpgaze.bridge.qpdata.columns import tally

            self._tally = tally(self.scan)
        return self._tally

    def objects(self) -> tuple[SlideObject, ...]:
        """Return all, made now if they were not."""
        if self.scan is not None:
            from qpgaze.bridge.qpdata.reading import objects_of

            try:
                self._made = objects_of(self.scan)
            except ProjectError as error:
                raise self.in_words(error) from error
            self.scan = None
        return self._made

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> SlideObject: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[SlideObject]: ...

    def __getitem__(self, index: int | slice) -> SlideObject | Sequence[SlideObject]:
        return self.objects()[index]

    def __iter__(self) -> Iterator[SlideObject]:
        return iter(self.objects())
