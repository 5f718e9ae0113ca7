"""Colour deconvolution stains of a ``data.qpdata``: checked, set, taken away.

QuPath throws, and comes up with an older version or an empty image, where stains cannot be parsed
or belong to an image that is not brightfield. So nothing is written that it would not read.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from qpgaze.bridge.qpdata.assembling import Assembler, HandleTable
from qpgaze.bridge.qpdata.javawriter import NULL, ClassSpec
from qpgaze.bridge.qpdata.opening import Opening, read_opening
from qpgaze.bridge.qpdata.scan import Scan, quick_and_guarded
from qpgaze.bridge.qupath_names import require_brightfield
from qpgaze.errors import ProjectError, UnsupportedDataError, UsageError

_SPEC: Final = ClassSpec("qupath.lib.color.ColorDeconvolutionStains", 1, 0x0C)
_KEYS: Final = ("Name", "Stain 1", "Values 1", "Stain 2", "Values 2", "Background")
_MORE: Final = ("Stain 3", "Values 3")
_LONGEST: Final = 10_000
_DECIMALS: Final = 8
"""As QuPath writes them, more or less: single precision."""


def check_stains(text: str) -> str:
    """Return stains in QuPath's own spelling.

    Parameters
    ----------
    text : str
        JSON as QuPath's script command ``setColorDeconvolutionStains`` takes it.

    Raises
    ------
    UsageError
        If QuPath could not read it: the message says what is wrong.

    Examples
    --------
    >>> check_stains(
    ...     '{"Name": "ours", "Stain 1": "H", "Values 1": "0.65 0.70 0.29", "Stain 2": "E",'
    ...     ' "Values 2": ".2 8e-1 0.56", "Background": "243 240 241"}'
    ... )[48:]
    '"0.65 0.7 0.29", "Stain 2" : "E", "Values 2" : "0.2 0.8 0.56", "Background" : "243 240 241"}'
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong("it is no JSON") from error
    if not isinstance(raw, dict):
        raise _wrong("it is no JSON object")
    lacking = [key for key in _KEYS if key not in raw]
    if lacking:
        raise _wrong(f"it lacks {', '.join(lacking)}")
    odd = [key for key in raw if key not in _KEYS + _MORE]
    if odd or len(raw.keys() & set(_MORE)) == 1:
        raise _wrong(f"it has {odd[0]!r}" if odd else "a third stain needs a name and values")
    order = [key for key in (*_KEYS[:-1], *_MORE, "Background") if key in raw]
    clean = {key: _cleaned(key, raw[key]) for key in order}
    made = json.dumps(clean, ensure_ascii=False, separators=(", ", " : "))
    if len(made.encode("utf-8")) > _LONGEST:
        raise _wrong("it is too long")
    return made


def _cleaned(key: str, value: object) -> str:
    """Return a text as it is, three numbers in plain decimals."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise _wrong(f"'{key}' is no text of one line")
    if key != "Background" and not key.startswith("Values"):
        return value
    try:
        numbers = [round(float(part), _DECIMALS) for part in value.split()]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or not all(math.isfinite(x) for x in numbers):
        raise _wrong(f"'{key}' is not three numbers ('{value[:40]}')")
    if not any(numbers) or (key == "Background" and min(numbers) < 1):
        raise _wrong(f"'{key}' has values that are too small ('{value[:40]}')")
    return " ".join(f"{x:.{_DECIMALS}f}".rstrip("0").rstrip(".") for x in numbers)


def _wrong(why: str) -> UsageError:
    return UsageError(
        f"These are no stains of QuPath: {why}.",
        hint="Take what the image's workflow shows as setColorDeconvolutionStains('...').",
    )


def set_stains(data: bytes, text: str | None) -> bytes:
    """Return the data with other stains; everything else stays to the byte.

    Parameters
    ----------
    data : bytes
        A whole ``data.qpdata``.
    text : str or None
        As for :func:`check_stains`; None takes them away, and QuPath's defaults hold.

    Raises
    ------
    UsageError
        If they are none, or the image's type has no stains.
    UnsupportedDataError
        If the file says nothing of its type, or stains lie where they are not expected.

    Examples
    --------
    >>> from qpgaze.bridge.qpdata import new_qpdata
    >>> from qpgaze.bridge.qpdata.opening import DEFAULT_STAINS
    >>> data = new_qpdata(
    ...     server={"uri": "file:/slide.tif"}, qupath_version="0.5.1", image_type="BRIGHTFIELD_H_E"
    ... )
    >>> more = set_stains(data, json.dumps(DEFAULT_STAINS["BRIGHTFIELD_H_E"]))
    >>> json.loads(read_opening(more).stains)["Stain 2"]
    'Eosin'
    >>> set_stains(more, None) == data
    True
    """
    before = read_opening(data)
    if text is not None:
        text = check_stains(text)
        require_brightfield(before.image_type)
    if text == before.stains or (text is not None and text == _spelled(before.stains)):
        return data
    made = _spliced(data, before, text)
    if _spliced(made, read_opening(made), before.stains) != data or (
        read_opening(made).stains != text
    ):
        raise ProjectError("The stains do not read back as meant; nothing was changed.")
    return made


def _spelled(stains: str | None) -> str | None:
    """Return what is there in our spelling, None where that is not possible."""
    try:
        return None if stains is None else check_stains(stains)
    except UsageError:
        return None


def _spliced(data: bytes, opening: Opening, text: str | None) -> bytes:
    """Put other stains, or none, in the place of those that are there."""
    if opening.type_at < 0 or opening.image_type is None:
        raise _unexpected()
    start = opening.type_at + 2 + len(opening.image_type)
    scan = Scan(data)
    with quick_and_guarded(data):
        table = HandleTable(scan)
        found: Any = scan.parts.get("stains")
        if found is None and data[start : start + 1] == NULL:
            stop = start + 1
        elif found is not None and opening.stains is not None:
            begin, stop = table.span(found.handle)
            if begin != start:
                raise _unexpected()
        else:
            raise _unexpected()
        out = Assembler(scan, table)
        out.copy(0, start)
        if text is None:
            out.out += NULL
        else:
            out.begin_object(_SPEC)
            out.block((1).to_bytes(4, "big"))
            out.text(text)
            out.end()
        out.copy(stop, len(data))
        return bytes(out.out)


def _unexpected() -> UnsupportedDataError:
    return UnsupportedDataError(
        "The image's data hold stains, or an image type, where they are not expected.",
        hint="Set them in QuPath, in the tab Image.",
    )
