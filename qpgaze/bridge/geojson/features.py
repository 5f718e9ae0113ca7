"""One Feature's properties to the fields of an object."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid5

from qpgaze.bridge.geojson.words import (
    FEATURE_KEYS,
    FROM_TYPE,
    GEOMETRY_KEYS,
    PROPERTY_KEYS,
    color_of,
    number_of,
)
from qpgaze.bridge.qupath_names import DESCRIPTION_KEY

_NAMESPACE: Final = UUID("5c1b9f52-9e0f-5f1f-8f43-0d6f0b2e7a11")
_MOST_NAMES: Final = 1000
"""Different unknown names that are counted: a hostile file must not fill the memory with them."""

_MOST_CLASS_PARTS: Final = 64


class BadFeature(Exception):  # noqa: N818 - goes no farther than this package
    """Why a feature cannot be read, in words that follow its number."""


@dataclass(frozen=True)
class Refusal:
    """A feature that is not taken over.

    Parameters
    ----------
    number : str
        Its place in the file, from 1; ``3.2`` is the second child of the third.
    name : str or None
    why : str
    """

    number: str
    name: str | None
    why: str

    def __str__(self) -> str:
        name = f" ('{self.name[:60]}')" if self.name else ""
        return f"Feature {self.number}{name}: {self.why}"


@dataclass
class GeoJsonReport:
    """What was met while reading; filled as the reading goes on.

    Parameters
    ----------
    objects : int
        Read so far.
    class_colors : dict of str to int
        0xRRGGBB of the classes, where the file gives one.
    mended : Counter
        How many shapes were mended, by what was wrong.
    unknown : Counter
        How often something was met that an object has no place for, by its name.
    refused : list of Refusal
        Features that cannot be objects, where these are collected.
    """

    objects: int = 0
    class_colors: dict[str, int] = field(default_factory=dict)
    mended: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Count something that has no place in an object."""
        name = what if len(what) <= 80 else f"{what[:77]}..."
        if name in self.unknown or len(self.unknown) < _MOST_NAMES:
            self.unknown[name] += 1
        else:
            self.unknown["..."] += 1


@dataclass
class Draft:
    """A feature on its way to an object: everything but its shape."""

    number: str
    feature: dict[str, Any]
    properties: dict[str, Any]
    parent: UUID | None
    id: UUID
    kind: str

    @property
    def name(self) -> str | None:
        """The feature's name, where it has one."""
        name = self.properties.get("name")
        return name if type(name) is str else None


def kind_of(feature: dict[str, Any], properties: dict[str, Any], report: GeoJsonReport) -> str:
    """Return the kind of object, ``root`` for what is no object of a person."""
    given = properties.get("objectType", properties.get("object_type", properties.get("type")))
    if given is None:
        legacy = feature.get("id")  # QuPath 0.2 kept the type there
        given = legacy if type(legacy) is str and legacy in FROM_TYPE else None
    if given is None:
        return "annotation"
    kind = FROM_TYPE.get(given) if type(given) is str else None
    if kind is None:
        report.note(f"objectType {given!r}")
    return kind or "annotation"  # as QuPath does


def identity_of(feature: dict[str, Any], seen: Counter[bytes]) -> UUID:
    """Return a feature's id, else one from its content: the same each time it is read."""
    given = feature.get("id")
    if type(given) is str and len(given) == 36:
        try:
            return UUID(given)
        except ValueError:
            pass
    properties = feature.get("properties")
    own = dict(properties) if type(properties) is dict else {}
    for children in ("childObjects", "children"):  # they have ids of their own
        own.pop(children, None)
    text = json.dumps([feature.get("geometry"), own], sort_keys=True)
    key = uuid5(_NAMESPACE, text).bytes
    seen[key] += 1
    return uuid5(_NAMESPACE, f"{text}#{seen[key]}")


def note_unknown(draft: Draft, report: GeoJsonReport) -> None:
    """Report what of a feature has no place in an object."""
    feature, properties = draft.feature, draft.properties
    if not feature.keys() <= FEATURE_KEYS:
        for key in feature.keys() - FEATURE_KEYS:
            report.note(key)
    if not properties.keys() <= PROPERTY_KEYS:
        for key in properties.keys() - PROPERTY_KEYS:
            report.note(f"properties.{key}")
    geometry = feature.get("geometry")
    if type(geometry) is dict and not geometry.keys() <= GEOMETRY_KEYS:
        for key in geometry.keys() - GEOMETRY_KEYS:
            report.note(f"geometry.{key}")
    given = feature.get("id")
    if given is None or (type(given) is str and (len(given) == 36 or given in FROM_TYPE)):
        return
    report.note("id that is no UUID")


def fields_of(draft: Draft, report: GeoJsonReport) -> dict[str, Any]:
    """Return the fields of an object, its shape apart.

    Raises
    ------
    BadFeature
        If one of them is not what it claims to be.
    """
    properties = draft.properties
    name = properties.get("name")
    if name is not None and type(name) is not str:
        if type(name) not in (int, float):
            raise BadFeature("its name is no text")
        name = str(name)
    locked = properties.get("isLocked", False)
    if type(locked) is not bool and locked is not None:
        raise BadFeature("its isLocked is neither true nor false")
    missing = properties.get("isMissing")
    if missing is not None and type(missing) is not bool:
        raise BadFeature("its isMissing is neither true nor false")
    given = properties.get("color", properties.get("colorRGB"))
    color = color_of(given)
    if given is not None and color is None:
        raise BadFeature("its color is no colour ([red, green, blue])")
    metadata = _metadata(properties.get("metadata"), report)
    geometry = draft.feature.get("geometry")
    plane = geometry.get("plane") if type(geometry) is dict else None
    if plane is not None and type(plane) is not dict:
        raise BadFeature("its plane is no JSON object")
    return {
        "id": draft.id,
        "kind": draft.kind,
        "class_name": class_of(properties.get("classification"), report),
        "color": color,
        "name": name,
        "description": metadata.pop(DESCRIPTION_KEY, None),
        "measurements": measurements_of(properties.get("measurements")),
        "metadata": metadata,
        "locked": locked is True,
        "c": whole_number(plane, "c", -1) if plane else -1,
        "z": whole_number(plane, "z", 0) if plane else 0,
        "t": whole_number(plane, "t", 0) if plane else 0,
        "parent": draft.parent,
        "missing": missing is True and draft.kind == "tma_core",
    }


def _metadata(value: Any, report: GeoJsonReport) -> dict[str, str]:
    if not value:
        return {}
    if type(value) is not dict:
        raise BadFeature("its metadata are no JSON object")
    texts: dict[str, str] = {}
    for key, text in value.items():
        kind = type(text)
        if kind is str:
            texts[key] = text
        elif kind is bool:
            texts[key] = "true" if text else "false"
        elif kind in (int, float):
            texts[key] = str(text)
        else:
            report.note(f"metadata.{key}")
    return texts


def class_of(value: Any, report: GeoJsonReport) -> str | None:
    """Read a class as a text, as QuPath 0.4 writes it, or as a chain of parents (0.3)."""
    kind = type(value)
    if kind is str:
        return value or None
    if value is None:
        return None
    if kind is not dict:
        raise BadFeature("its classification is neither text nor JSON object")
    only = value.get("name") if len(value) == 2 else None
    if type(only) is str and only in report.class_colors and type(value.get("color")) is list:
        return only  # most features of a file share a few classes
    names = value.get("names")
    if type(names) is list and names:
        parts = list(names)
    elif value.get("name") is not None:
        parts = _chain(value)
    else:
        return None
    if any(type(part) is not str for part in parts):
        raise BadFeature("its class has a name that is no text")
    name = ": ".join(parts)
    color = color_of(value.get("color", value.get("colorRGB")))
    if name and color is not None and name not in report.class_colors:
        report.class_colors[name] = color
    return name or None


def _chain(value: dict[str, Any]) -> list[Any]:
    parts = [value["name"]]
    above = value.get("parentClass")
    while above is not None:
        if type(above) is not dict or len(parts) > _MOST_CLASS_PARTS:
            raise BadFeature("its class has a parent that is no class")
        if above.get("name") is None:
            break
        parts.insert(0, above["name"])
        above = above.get("parentClass")
    return parts


def measurements_of(value: Any) -> dict[str, float]:
    """Read measurements as an object of numbers, or a list of names and values (0.3)."""
    if not value:
        return {}
    if type(value) is dict:
        if set(map(type, value.values())) == {float}:
            return value
        pairs = list(value.items())
    elif type(value) is list and all(type(one) is dict for one in value):
        pairs = [(one.get("name"), one.get("value")) for one in value]
    else:
        raise BadFeature("its measurements are no JSON object")
    numbers: dict[str, float] = {}
    for key, given in pairs:
        number = number_of(given)
        if number is None or type(key) is not str:
            raise BadFeature(f"its measurement '{str(key)[:60]}' is no number")
        numbers[key] = number
    return numbers


def whole_number(plane: dict[str, Any], key: str, default: int) -> int:
    """Read one number of a plane."""
    value = plane.get(key, default)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not -1 <= value < 1 << 31:
        raise BadFeature(f"its plane has no whole number for '{key}'")
    return value
