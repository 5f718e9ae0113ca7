"""Features as QuPath writes most of them, made into objects a batch at a time.

Nothing is decided here that :mod:`~qpgaze.bridge.geojson.features` would decide otherwise: a batch
in which any feature is unusual is left to it as a whole.
"""

from __future__ import annotations

from itertools import chain, starmap
from typing import Any
from uuid import UUID

import numpy as np

from qpgaze.bridge.geojson.features import (
    BadFeature,
    GeoJsonReport,
    class_of,
    measurements_of,
    whole_number,
)
from qpgaze.bridge.geojson.shapes import read_shapes
from qpgaze.bridge.geojson.words import (
    FEATURE_KEYS,
    FROM_TYPE,
    GEOMETRY_KEYS,
    PROPERTY_KEYS,
    color_of,
)
from qpgaze.bridge.qpdata.identities import parse_texts, uuids
from qpgaze.bridge.qupath_names import DESCRIPTION_KEY
from qpgaze.model import SlideObject

_FEATURE = FEATURE_KEYS - {"nucleusGeometry"}
_PROPERTIES = PROPERTY_KEYS - {"childObjects", "children", "object_type", "type", "colorRGB"}
_NOTHING: dict[str, Any] = {}
_REST = {"parent": None, "nucleus": None, "nucleus_is_ellipse": False, "missing": False}


def plain_objects(features: list[Any], report: GeoJsonReport) -> list[SlideObject] | None:
    """Make objects of features that all are plain: known words, an id each, no children, no nuclei.

    Parameters
    ----------
    features : list of JSON values
    report : GeoJsonReport
        Filled where objects are made.

    Returns
    -------
    list of SlideObject or None
        One for each; None where one feature needs another look, or is to be refused.
    """
    if not _known_words(features, _FEATURE):
        return None
    properties = [feature.get("properties") for feature in features]
    geometries = [feature.get("geometry") for feature in features]
    if not _known_words(properties, _PROPERTIES) or not _known_words(geometries, GEOMETRY_KEYS):
        return None
    ids = _ids([feature.get("id") for feature in features])
    columns = None if ids is None else _columns(properties, geometries, report)
    if ids is None or columns is None:
        return None
    shapes, refused, mended = read_shapes(geometries)
    if refused:
        return None
    report.mended.update(mended.values())
    report.objects += len(features)
    ellipses = [geometry.get("isEllipse") is True for geometry in geometries]
    if any(ellipses):
        ellipses = [
            e and s is not None and s.area > 0 for e, s in zip(ellipses, shapes, strict=True)
        ]
    every = zip(ids, shapes, *columns[:-1], ellipses, *zip(*columns[-1], strict=True), strict=True)
    return list(starmap(_made, every))


def _made(
    identity: UUID,
    geometry: Any,
    kind: str,
    class_name: str | None,
    color: int | None,
    name: str | None,
    description: str | None,
    measurements: dict[str, float],
    metadata: dict[str, str],
    locked: bool,
    is_ellipse: bool,
    c: int,
    z: int,
    t: int,
) -> SlideObject:
    """Make an object; a frozen class sets field by field, which takes more than twice as long."""
    one = object.__new__(SlideObject)
    one.__dict__.update(
        id=identity, geometry=geometry, kind=kind, class_name=class_name, color=color, name=name,
        description=description, measurements=measurements, metadata=metadata, locked=locked,
        is_ellipse=is_ellipse, c=c, z=z, t=t, **_REST,
    )  # fmt: skip
    return one


def _known_words(values: list[Any], words: frozenset[str]) -> bool:
    """Tell whether all are JSON objects of known keys; most have the same in the same order."""
    return set(map(type, values)) == {dict} and all(
        words.issuperset(keys) for keys in set(map(tuple, values))
    )


def _ids(given: list[Any]) -> list[Any] | None:
    """Parse ids, None where any is none."""
    if set(map(type, given)) != {str} or set(map(len, given)) != {36}:
        return None
    text = "".join(given)
    if not text.isascii():
        return None
    found, proper = parse_texts(np.frombuffer(text.encode("ascii"), np.uint8).reshape(-1, 36))
    return uuids(found) if proper.all() else None


def _columns(
    properties: list[dict[str, Any]], geometries: list[dict[str, Any]], report: GeoJsonReport
) -> list[Any] | None:
    """Return the fields between shape and ellipse, in the order of an object's, and the planes."""
    names = [p.get("name") for p in properties]
    locks = [p.get("isLocked") for p in properties]
    metadata = [p.get("metadata") or _NOTHING for p in properties]
    types = [p.get("objectType", "annotation") for p in properties]
    if (
        not set(map(type, names)) <= {str, type(None)}
        or not set(map(type, locks)) <= {bool, type(None)}
        or set(map(type, metadata)) != {dict}
        or not set(map(type, chain.from_iterable(map(dict.values, metadata)))) <= {str}
        or set(map(type, types)) != {str}
        or not FROM_TYPE.keys() - {"root"} >= set(types)
    ):
        return None
    given = [p.get("color") for p in properties]
    try:
        classes = _classes([p.get("classification") for p in properties], report)
        numbers = _measurements([p.get("measurements") for p in properties])
        planes = [_plane(g.get("plane")) for g in geometries]
    except BadFeature:
        return None
    colors = [None if color is None else color_of(color) for color in given]
    if any(color is None for color, one in zip(colors, given, strict=True) if one is not None):
        return None
    return [
        [FROM_TYPE[kind] for kind in types],
        classes,
        colors,
        names,
        [texts.get(DESCRIPTION_KEY) for texts in metadata],
        numbers,
        [_without_description(texts) for texts in metadata],
        [lock is True for lock in locks],
        planes,
    ]


def _classes(given: list[Any], report: GeoJsonReport) -> list[str | None]:
    """Read classes; most features of a file share a few, which are looked at once."""
    try:
        spelled = [(len(one), one["name"], *one["color"]) for one in given]
        known = {two: class_of(given[spelled.index(two)], report) for two in dict.fromkeys(spelled)}
    except (KeyError, TypeError):  # none, a text, or a class with parents
        return [class_of(one, report) for one in given]
    if {length for length, *_ in known} != {2}:
        return [class_of(one, report) for one in given]
    return [known[two] for two in spelled]


def _measurements(given: list[Any]) -> list[dict[str, float]]:
    """Read measurements; most are numbers by name as they are."""
    if set(map(type, given)) == {dict} and set(
        map(type, chain.from_iterable(map(dict.values, given)))
    ) <= {float}:
        return given
    return [measurements_of(one) for one in given]


def _without_description(texts: dict[str, str]) -> dict[str, str]:
    if DESCRIPTION_KEY in texts:
        return {key: text for key, text in texts.items() if key != DESCRIPTION_KEY}
    return texts if texts else {}


def _plane(plane: Any) -> tuple[int, int, int]:
    if not plane and (plane is None or type(plane) is dict):
        return -1, 0, 0
    if type(plane) is not dict:
        raise BadFeature("its plane is no JSON object")
    return (
        whole_number(plane, "c", -1),
        whole_number(plane, "z", 0),
        whole_number(plane, "t", 0),
    )
