"""In what two objects differ, as people see it: QuPath's rounding counts as no difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qpgaze import keys
from qpgaze.bridge.shapecode import encode_shape, same_shape
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject


def difference(one: SlideObject, other: SlideObject) -> str | None:
    """Name the first thing in which two objects differ, None where they are alike.

    QuPath's rounding of shapes counts as no difference, and neither does the object that one lies
    under: QuPath sorts objects under others as a whole, whenever somebody asks it to.
    """
    for what, words in _COMPARED.items():
        if getattr(one, what) != getattr(other, what):
            return words
    if dict(one.metadata) != dict(other.metadata):
        return _differing_texts(one.metadata, other.metadata)
    if not _alike_numbers(one.measurements, other.measurements):
        return "measurements"
    if not _same_geometry(one, other):
        return "shape"
    return None if _same_nucleus(one, other) else "nucleus"


_COMPARED = {
    "kind": "kind",
    "class_name": "class",
    "color": "colour",
    "name": "name",
    "description": "description",
    "locked": "lock",
    "is_ellipse": "shape",
    "nucleus_is_ellipse": "nucleus",
    "missing": "mark as missing",
    "c": "channel",
    "z": "z-slice",
    "t": "time point",
}


def _differing_texts(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    differing = sorted(key for key in {**one, **other} if one.get(key) != other.get(key))
    if keys.STATE in differing:  # what a person looks for first
        states = [texts.get(keys.STATE, "none") for texts in (one, other)]
        return f"review state ({states[0]} here, {states[1]} in the copy)"
    return "metadata " + ", ".join(f"'{key}'" for key in differing)


def _alike_numbers(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return one.keys() == other.keys() and all(
        one[key] == other[key] or (one[key] != one[key] and other[key] != other[key]) for key in one
    )


def _same_nucleus(one: SlideObject, other: SlideObject) -> bool:
    if one.nucleus is None or other.nucleus is None:
        return one.nucleus is other.nucleus
    return _same_geometry(
        replace(one, geometry=one.nucleus, is_ellipse=one.nucleus_is_ellipse),
        replace(other, geometry=other.nucleus, is_ellipse=other.nucleus_is_ellipse),
    )


def _same_geometry(one: SlideObject, other: SlideObject) -> bool:
    if one.geometry.equals_exact(other.geometry, 0.0):
        return True
    try:
        code = encode_shape(one.geometry, is_ellipse=one.is_ellipse)
    except ProjectError:  # empty, or a collection: alike to the last digit or not at all
        return False
    return same_shape(code, other.geometry, is_ellipse=other.is_ellipse)
