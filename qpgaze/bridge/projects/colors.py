"""Colours of classes: QuPath's own for its well-known classes, else one chosen from the name."""

from __future__ import annotations

import hashlib

from qpgaze.keys import FIXATION_CLASS

# QuPath's default classes, so that a class looks the same whoever made it first.
_KNOWN = {
    "Tumor": 0xC80000,
    "Stroma": 0x96C896,
    "Immune cells": 0xA05AA0,
    "Necrosis": 0x323232,
    "Other": 0xFFC800,
    "Region*": 0x0000B4,
    "Ignore*": 0xB4B4B4,
    "Positive": 0xFA3E3E,
    "Negative": 0x7070E1,
    FIXATION_CLASS: 0x00B4D8,
}

# Strong on the pink and violet of H&E, and apart from one another.
_PALETTE = (
    0x1B9E77, 0x0072B2, 0xE6AB02, 0xD95F02, 0x009E73, 0x386CB0, 0x66A61E, 0xF0027F,
    0x17BECF, 0xBF5B17, 0x2CA02C, 0x1F78B4, 0xB15928, 0x00C853, 0xFF7F00, 0x3D5AFE,
)  # fmt: skip


def class_color(name: str) -> int:
    """Return the colour that a new class gets, the same each time.

    Parameters
    ----------
    name : str
        Whole class name, ``"A: B"`` for a derived one.

    Returns
    -------
    int
        0xRRGGBB.

    Examples
    --------
    >>> hex(class_color("Tumor"))
    '0xc80000'
    >>> class_color("Keratin pearl") == class_color("Keratin pearl")
    True
    """
    if name in _KNOWN:
        return _KNOWN[name]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return _PALETTE[digest[0] % len(_PALETTE)]


def to_java_color(rgb: int) -> int:
    """Turn 0xRRGGBB into QuPath's signed, opaque ARGB.

    Examples
    --------
    >>> to_java_color(0xC80000)
    -3670016
    """
    return ((rgb & 0xFFFFFF) | 0xFF000000) - (1 << 32)


def from_java_color(argb: int) -> int:
    """Turn QuPath's signed ARGB into 0xRRGGBB; transparency is dropped.

    Examples
    --------
    >>> hex(from_java_color(-3670016))
    '0xc80000'
    """
    return argb & 0xFFFFFF


def with_parents(names: list[str]) -> list[str]:
    """Return names preceded by the classes that they derive from, each once.

    Examples
    --------
    >>> with_parents(["Tumor: Positive", "Tumor"])
    ['Tumor', 'Tumor: Positive']
    """
    every: dict[str, None] = {}
    for name in names:
        parts = name.split(": ")
        for length in range(1, len(parts) + 1):
            every[": ".join(parts[:length])] = None
    return list(every)
