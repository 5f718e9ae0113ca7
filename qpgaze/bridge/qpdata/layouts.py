"""The class descriptions that new content is written with: those of QuPath 0.3 - 0.7."""

from __future__ import annotations

from typing import Final

from qpgaze.bridge.qpdata.javawriter import ClassSpec
from qpgaze.bridge.qpdata.records import JAVA_NAMES, ROOT

_PLAIN: Final = 0x02
_WITH_METHOD: Final = 0x03
_EXTERNAL: Final = 0x0C
_ENUM: Final = 0x12
_STRING: Final = "Ljava/lang/String;"
_Q: Final = "qupath.lib."


def _ints(names: str) -> tuple[tuple[str, str, str], ...]:
    return tuple(("I", n, "") for n in names)


LOCALE: Final = ClassSpec(
    "java.util.Locale",
    0x7EF811609C30F9EC,
    _WITH_METHOD,
    (
        ("I", "hashcode", ""),
        *(("L", n, _STRING) for n in ("country", "extensions", "language", "script", "variant")),
    ),
)
IMAGE_TYPE: Final = ClassSpec(
    _Q + "images.ImageData$ImageType", 0, _ENUM, (), ClassSpec("java.lang.Enum", 0, _ENUM)
)
WORKFLOW: Final = ClassSpec(_Q + "plugins.workflow.Workflow", 1, _EXTERNAL)
HIERARCHY: Final = ClassSpec(
    _Q + "objects.hierarchy.PathObjectHierarchy",
    1,
    _PLAIN,
    (
        ("L", "rootObject", "Lqupath/lib/objects/PathObject;"),
        ("L", "tmaGrid", "Lqupath/lib/objects/hierarchy/TMAGrid;"),
    ),
)
HASH_MAP: Final = ClassSpec(
    "java.util.HashMap",
    0x0507DAC1C31660D1,
    _WITH_METHOD,
    (("F", "loadFactor", ""), ("I", "threshold", "")),
)
INTEGER: Final = ClassSpec(
    "java.lang.Integer",
    0x12E2A0A4F7818738,
    _PLAIN,
    (("I", "value", ""),),
    ClassSpec("java.lang.Number", 0x86AC951D0B94E08B, _PLAIN),
)
BOOLEAN: Final = ClassSpec("java.lang.Boolean", 0xCD207280D59CFAEE, _PLAIN, (("Z", "value", ""),))
ARRAY_LIST: Final = ClassSpec(
    "java.util.ArrayList", 0x7881D21D99C7619D, _WITH_METHOD, (("I", "size", ""),)
)
OBJECTS: Final = ClassSpec("[Ljava.lang.Object;", 0x90CE589F1073296C, _PLAIN)
BYTES: Final = ClassSpec("[B", 0xACF317F8060854E0, _PLAIN)
FLOATS: Final = ClassSpec("[F", 0x0B9C818922E00C42, _PLAIN)

_PATH_OBJECT: Final = ClassSpec(_Q + "objects.PathObject", 1, _EXTERNAL)
_ROI_OBJECT: Final = ClassSpec(_Q + "objects.PathROIObject", 1, _EXTERNAL, (), _PATH_OBJECT)
_DETECTION: Final = ClassSpec(JAVA_NAMES["detection"], 1, _EXTERNAL, (), _ROI_OBJECT)
ROOT_OBJECT: Final = ClassSpec(ROOT, 1, _EXTERNAL, (), _PATH_OBJECT)
OBJECT_CLASSES: Final = {
    "annotation": ClassSpec(JAVA_NAMES["annotation"], 1, _EXTERNAL, (), _ROI_OBJECT),
    "detection": _DETECTION,
    "cell": ClassSpec(JAVA_NAMES["cell"], 1, _EXTERNAL, (), _DETECTION),
    "tile": ClassSpec(JAVA_NAMES["tile"], 1, _EXTERNAL, (), _DETECTION),
    "tma_core": ClassSpec(JAVA_NAMES["tma_core"], 1, _EXTERNAL, (), _ROI_OBJECT),
}

METADATA: Final = ClassSpec(_Q + "objects.MetadataMap", 1, _EXTERNAL)
PATH_CLASS: Final = ClassSpec(
    _Q + "objects.classes.PathClass",
    1,
    _PLAIN,
    (
        ("L", "colorRGB", "Ljava/lang/Integer;"),
        ("L", "name", _STRING),
        ("L", "parentClass", "Lqupath/lib/objects/classes/PathClass;"),
    ),
)
MEASUREMENTS: Final = ClassSpec(
    _Q + "measurements.DefaultMeasurementList",
    1,
    _PLAIN,
    (("L", "list", "Ljava/util/ArrayList;"),),
)
MEASUREMENT: Final = ClassSpec(
    _Q + "measurements.DoubleMeasurement", 1, _PLAIN, (("D", "value", ""), ("L", "name", _STRING))
)

_BOX: Final = (
    ("I", "c", ""),
    ("I", "t", ""),
    ("D", "x", ""),
    ("D", "x2", ""),
    ("D", "y", ""),
    ("D", "y2", ""),
    ("I", "z", ""),
    ("L", "name", _STRING),
)
_XY: Final = (("[", "x", "[F"), ("[", "y", "[F"))
_PROXY: Final = "$SerializationProxy"


def _roi(kind: str, fields: tuple[tuple[str, str, str], ...], proxy: str = _PROXY) -> ClassSpec:
    return ClassSpec(_Q + "roi." + kind + proxy, 1, _PLAIN, fields)


ROIS: Final = {
    "RectangleROI": _roi("RectangleROI", _BOX),
    "EllipseROI": _roi("EllipseROI", _BOX),
    "LineROI": _roi("LineROI", _BOX),
    "PolygonROI": _roi(
        "PolygonROI",
        (
            *_ints("ctz"),
            ("L", "name", _STRING),
            ("L", "stats", "Lqupath/lib/roi/ClosedShapeStatistics;"),
            *_XY,
        ),
    ),
    "PolylineROI": _roi("PolylineROI", (*_ints("ctz"), *_XY)),
    "PointsROI": _roi("PointsROI", (*_ints("ctz"), ("L", "name", _STRING), *_XY)),
    "GeometryROI": _roi(
        "GeometryROI",
        (
            *_ints("ctz"),
            ("L", "stats", "Lqupath/lib/roi/GeometryROI$GeometryStats;"),
            ("[", "wkb", "[B"),
        ),
        "$WKBSerializationProxy",
    ),
}
