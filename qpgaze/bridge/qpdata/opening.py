"""Image type and stains: two texts near the beginning of a ``data.qpdata``.

Both can be read without the objects, and set without touching anything else: the number of
handles stays what it is, so every byte before and after the text stays too.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from qpgaze.bridge.qpdata.javatext import decode_modified_utf8, encode_modified_utf8
from qpgaze.bridge.qupath_names import BRIGHTFIELD, check_image_type
from qpgaze.errors import ProjectError, UnsupportedDataError

_TYPE_CLASS: Final = (
    b"\x7er\x00%qupath.lib.images.ImageData$ImageType" + bytes(8) + b"\x12\x00\x00x"
)
_ENUM_CLASS: Final = b"r\x00\x0ejava.lang.Enum" + bytes(8) + b"\x12\x00\x00xp"
_STAINS_CLASS: Final = b"sr\x00)qupath.lib.color.ColorDeconvolutionStains" + bytes(7) + b"\x01"
_STAINS_HEAD: Final = b"\x0c\x00\x00xpw\x04\x00\x00\x00\x01t"
_FAR: Final = 1 << 22
"""The opening (header, type, stains) ends before that many bytes in any sane file."""

DEFAULT_STAINS: Final = {
    "BRIGHTFIELD_H_E": {
        "Name": "H&E default",
        "Stain 1": "Hematoxylin",
        "Values 1": "0.65111 0.70119 0.29049",
        "Stain 2": "Eosin",
        "Values 2": "0.2159 0.8012 0.5581",
        "Background": " 255 255 255",
    },
    "BRIGHTFIELD_H_DAB": {
        "Name": "H-DAB default",
        "Stain 1": "Hematoxylin",
        "Values 1": "0.65111 0.70119 0.29049",
        "Stain 2": "DAB",
        "Values 2": "0.26917 0.56824 0.77759",
        "Background": " 255 255 255",
    },
}
"""QuPath's own: unit vectors, hematoxylin and DAB of Ruifrok and Johnston (2001)."""


class Opening(NamedTuple):
    """What a file says of its image before its objects.

    Parameters
    ----------
    image_type : str or None
        QuPath's constant.
    stains : str or None
        JSON text.
    type_at, stains_at : int
        Where the texts' lengths lie; -1 where there is none.
    """

    image_type: str | None
    stains: str | None
    type_at: int
    stains_at: int


def read_opening(data: bytes) -> Opening:
    """Return image type and stains of a ``data.qpdata`` that :func:`read_qpdata` can read."""
    at = data.find(_TYPE_CLASS, 0, _FAR)
    type_at = stains_at = -1
    image_type = stains = None
    if at >= 0:
        mark = at + len(_TYPE_CLASS)
        if data[mark : mark + len(_ENUM_CLASS)] == _ENUM_CLASS:
            mark += len(_ENUM_CLASS)
            if data[mark : mark + 1] == b"t":
                type_at = mark + 1
                image_type = _text(data, type_at)
    if type_at >= 0 and image_type is not None:
        start = type_at + 2 + len(image_type)
        head = data[start : start + len(_STAINS_CLASS) + len(_STAINS_HEAD)]
        if head == _STAINS_CLASS + _STAINS_HEAD:
            stains_at = start + len(head)
            stains = _text(data, stains_at)
    return Opening(image_type, stains, type_at, stains_at)


def _text(data: bytes, at: int) -> str:
    length = int.from_bytes(data[at : at + 2], "big")
    return decode_modified_utf8(data[at + 2 : at + 2 + length])


def set_image_type(data: bytes, image_type: str) -> bytes:
    """Return the data with another image type; everything else stays to the byte.

    Default stains become those of the new type; stains that a person set stay. A type that is not
    brightfield has none: QuPath does not read a file that says otherwise.

    Parameters
    ----------
    data : bytes
        A whole ``data.qpdata``.
    image_type : str
        QuPath's constant.

    Raises
    ------
    UsageError
        If QuPath has no such type.
    UnsupportedDataError
        If the file has none, or it lies where it is not expected.

    Examples
    --------
    >>> from qpgaze.bridge.qpdata import new_qpdata
    >>> data = new_qpdata(
    ...     server={"uri": "file:/slide.tif"}, qupath_version="0.5.1", image_type="OTHER"
    ... )
    >>> read_opening(set_image_type(data, "FLUORESCENCE")).image_type
    'FLUORESCENCE'
    """
    from qpgaze.bridge.qpdata.reading import read_qpdata
    from qpgaze.bridge.qpdata.stains import set_stains

    check_image_type(image_type)
    before = read_qpdata(data)
    found = read_opening(data)
    if found.type_at < 0 or found.image_type != before.image_type:
        raise UnsupportedDataError(
            "The image's data hold no image type that could be changed.",
            hint="Set it in QuPath, in the tab Image.",
        )
    made = data if image_type in BRIGHTFIELD else set_stains(data, None)
    default = found.stains is not None and _is_default(found.stains)
    if made is data and default and found.stains == before.stains and image_type in DEFAULT_STAINS:
        text = json.dumps(DEFAULT_STAINS[image_type], separators=(", ", " : "))
        made = _put(made, found.stains_at, text)
    made = _put(made, found.type_at, image_type)
    after = read_qpdata(made)
    if after.image_type != image_type or len(after.objects) != len(before.objects):
        raise ProjectError("The image type does not read back as meant; nothing was changed.")
    return made


def _is_default(stains: str) -> bool:
    try:
        raw = json.loads(stains)
    except ValueError:
        return False
    return isinstance(raw, dict) and str(raw.get("Name", "")).endswith(" default")


def _put(data: bytes, at: int, text: str) -> bytes:
    """Replace the text whose length lies at a place."""
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    fresh = encode_modified_utf8(text)
    return data[:at] + len(fresh).to_bytes(2, "big") + fresh + data[end:]
