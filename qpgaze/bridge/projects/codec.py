"""What reads and writes the objects in an image's ``data.qpdata``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from qpgaze.bridge.projects.staging import Batch
from qpgaze.model import SlideObject


@dataclass(frozen=True)
class ImageOfData:
    """What a codec may need to know of the image that the data belong to.

    Parameters
    ----------
    builder : mapping
        The server builder, as the project file has it.
    image_type : str
        For an image that has no data yet.
    qupath_version : str
        Version of QuPath that wrote the project last.
    path : Path or None
        The slide, where it is there.
    """

    builder: Mapping[str, Any]
    image_type: str
    qupath_version: str
    path: Path | None


class Codec(Protocol):
    """Between the bytes of a ``data.qpdata`` and objects."""

    @property
    def name(self) -> str:
        """``embedded`` or ``paquo``."""
        ...

    @property
    def verifies(self) -> bool:
        """Whether :meth:`write` has read back and compared what it returns."""
        ...

    def read(self, data: bytes) -> tuple[Sequence[SlideObject], Mapping[str, int]]:
        """Return the objects, parents before children, and the colours of their classes.

        Raises
        ------
        ProjectError, UnsupportedDataError
            If the data are damaged or not understood.
        """
        ...

    def write(
        self,
        data: bytes | None,
        batches: Sequence[Batch],
        *,
        image: ImageOfData,
        class_colors: Mapping[str, int],
    ) -> bytes:
        """Return the data with changes made, one batch after the other.

        Parameters
        ----------
        data : bytes or None
            As they are; None where the image has none yet.
        batches : sequence of Batch
        image : ImageOfData
        class_colors : mapping of str to int
            0xRRGGBB of every class among the changes, parents of derived ones included.

        Raises
        ------
        ProjectError, UnsupportedDataError
            If it cannot be done; nothing was written.
        """
        ...
