"""The embedded store: objects read and written without Java."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qpgaze.bridge.projects.codec import ImageOfData
from qpgaze.bridge.projects.staging import Batch
from qpgaze.model import SlideObject


class EmbeddedCodec:
    """Works on the bytes themselves; what it does not touch stays the same to the byte."""

    name = "embedded"
    verifies = True

    def read(self, data: bytes) -> tuple[tuple[SlideObject, ...], Mapping[str, int]]:
        """Return the objects and the colours of their classes; see the protocol."""
        from qpgaze.bridge.qpdata import read_qpdata

        found = read_qpdata(data)
        return found.objects, found.class_colors

    def write(
        self,
        data: bytes | None,
        batches: Sequence[Batch],
        *,
        image: ImageOfData,
        class_colors: Mapping[str, int],
    ) -> bytes:
        """Return the data with changes made; see the protocol."""
        from qpgaze.bridge.qpdata import edit_qpdata, new_qpdata

        content = data or new_qpdata(
            server=image.builder,
            qupath_version=image.qupath_version,
            image_type=image.image_type,
        )
        for batch in batches:
            content = edit_qpdata(
                content,
                add=list(batch.add.values()),
                replace=list(batch.replace.values()),
                remove=batch.remove,
                class_colors=class_colors,
            )
        return content
