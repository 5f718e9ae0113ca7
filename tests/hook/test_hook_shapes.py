"""Shapes that QuPath's own GeoJSON cannot say: the hook says them."""

from __future__ import annotations

from typing import Any

import pytest
from qpgaze_hook_driver import Window

from qpgaze.wire import WireClient

pytestmark = pytest.mark.qupath

MERGED = """
import org.locationtech.jts.geom.*
def made = new GeometryFactory()
def corners = { xs -> xs.collect { new Coordinate(it[0], it[1]) } as Coordinate[] }
def line = { xs -> made.createLineString(corners(xs)) }
def lines = made.createMultiLineString([line([[10, 20], [30.5, 20]]),
                                        line([[100, 50], [100, 80], [120, 90]])] as LineString[])
def plane = qupath.lib.regions.ImagePlane.getDefaultPlane()
def roi = qupath.lib.roi.GeometryTools.geometryToROI(lines, plane)
def object = qupath.lib.objects.PathObjects.createAnnotationObject(roi)
object.setName("merged")
viewer.getHierarchy().addObject(object)
return roi.getGeometry().getGeometryType()
"""
GONE = """
def there = viewer.getHierarchy().getAnnotationObjects().findAll { it.getName() == "merged" }
viewer.getHierarchy().removeObjects(there, true)
return there.size()
"""


def merged(client: WireClient) -> dict[str, Any]:
    found, _ = client.objects(client.images()[0]["key"])
    (one,) = [o for o in found if o["properties"].get("name") == "merged"]
    return one


def test_merged_lines_are_said_and_come_back(window: Window, client: WireClient) -> None:
    assert window.ask(MERGED) == "MultiLineString"
    try:
        said = merged(client)
        assert said["geometry"] == {
            "type": "MultiLineString",
            "coordinates": [[[10, 20], [30.5, 20]], [[100, 50], [100, 80], [120, 90]]],
        }
        client.change_objects(client.images()[0]["key"], replace=[said])
        assert merged(client) == said
    finally:
        assert window.ask(GONE) == "1"
