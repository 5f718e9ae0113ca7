"""GeoJSON as QuPath writes and reads it, in and out, streamed.

Reading takes every dialect from QuPath 0.2 on; writing uses the words of 0.4 and newer, or those
of 0.3.
"""

from __future__ import annotations

from qpgaze.bridge.geojson.features import GeoJsonReport, Refusal
from qpgaze.bridge.geojson.importing import ImportReport, import_geojson
from qpgaze.bridge.geojson.reading import Found, from_geojson, read_geojson
from qpgaze.bridge.geojson.words import Dialect
from qpgaze.bridge.geojson.writing import to_geojson, write_geojson

__all__ = [
    "Dialect",
    "Found",
    "GeoJsonReport",
    "ImportReport",
    "Refusal",
    "from_geojson",
    "import_geojson",
    "read_geojson",
    "to_geojson",
    "write_geojson",
]
