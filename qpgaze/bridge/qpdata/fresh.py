"""A ``data.qpdata`` for an image that QuPath has never saved."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid5

from qpgaze.bridge.qpdata import layouts
from qpgaze.bridge.qpdata.encoding import ObjectWriter, Shared
from qpgaze.bridge.qpdata.javatypes import STREAM_HEADER
from qpgaze.bridge.qpdata.javawriter import NULL, JavaWriter
from qpgaze.bridge.qupath_names import IMAGE_TYPES
from qpgaze.errors import ProjectError

_ROOTS: Final = UUID("5f0d3a0e-2f57-5d6b-8f0a-7f1f3f7f2a61")
"""Namespace of the ids of root objects; the same image gets the same, on every machine."""
_VERSION: Final = b"Data file version 3"


def new_qpdata(*, server: Mapping[str, Any], qupath_version: str, image_type: str) -> bytes:
    """Write the data of an image without objects.

    Parameters
    ----------
    server : mapping
        The server builder of the project's entry, JSON values.
    qupath_version : str
        Written as the version that saved the file.
    image_type : str
        One of QuPath's constants (``BRIGHTFIELD_H_E``).

    Returns
    -------
    bytes
        The same for the same arguments.

    Raises
    ------
    ProjectError
        If QuPath has no such image type.

    Notes
    -----
    Colour deconvolution stains are left out: QuPath sets its defaults for the image type. Layout
    and serial versions are those that QuPath 0.3 - 0.7 share (data file version 3).

    Examples
    --------
    >>> data = new_qpdata(
    ...     server={"uri": "file:/slide.tif"}, qupath_version="0.5.1", image_type="OTHER"
    ... )
    >>> data[:4].hex()
    'aced0005'
    """
    if image_type not in IMAGE_TYPES:
        raise ProjectError(
            f"Expected an image type of QuPath ({', '.join(IMAGE_TYPES)}), but {image_type!r} came."
        )
    writer = JavaWriter()
    header = {
        "dataVersion": 3,
        "qupathVersion": qupath_version,
        "server": dict(server),
        "id": str(server.get("uri", "")),
    }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"))
    _write_opening(writer, text, image_type)
    _write_hierarchy(writer, uuid5(_ROOTS, text.encode("utf-8", "replace").decode()))
    writer.begin_object(layouts.HASH_MAP)
    writer.out += struct.pack(">fi", 0.75, 0)
    writer.block(struct.pack(">ii", 16, 0))
    writer.end()
    writer.text("EOF")
    return bytes(writer.out)


def _write_opening(writer: JavaWriter, header: str, image_type: str) -> None:
    """Write everything before the objects."""
    writer.out += STREAM_HEADER
    writer.block(struct.pack(">H", len(_VERSION)) + _VERSION)
    writer.text(header)
    writer.begin_object(layouts.LOCALE)
    writer.out += struct.pack(">i", -1)
    for part in ("", "", "en", "", ""):
        writer.text(part)
    writer.end()
    writer.enum(layouts.IMAGE_TYPE, image_type)
    writer.out += NULL  # stains
    writer.begin_object(layouts.WORKFLOW)
    writer.block(struct.pack(">ii", 1, 0))
    writer.end()


def _write_hierarchy(writer: JavaWriter, root_id: UUID) -> None:
    """Write a hierarchy of a root object alone."""
    writer.begin_object(layouts.HIERARCHY)
    writer.begin_object(layouts.ROOT_OBJECT)
    writer.out += NULL * 2  # name, colour
    ObjectWriter(writer, Shared(writer, {})).metadata({}, str(root_id))
    writer.out += NULL  # measurements
    writer.block(struct.pack(">i", 0))
    writer.end()
    writer.out += NULL  # TMA grid
