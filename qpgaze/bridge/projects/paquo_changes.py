"""Changes made to QuPath's own objects: made whole, then put into the hierarchy in one go.

Ids, metadata, planes, nuclei and ellipses go through the Java object, for which paquo's own methods
have no words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import shapely

from qpgaze.bridge.projects.colors import to_java_color
from qpgaze.bridge.projects.staging import Batch
from qpgaze.bridge.qupath_names import DESCRIPTION_KEY
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from qpgaze.bridge.projects.paquo_java import QupathJava

Shapes = tuple["BaseGeometry", "BaseGeometry | None"]
"""Of an object and of its nucleus."""


class Changes:
    """Makes a batch of changes.

    Parameters
    ----------
    java : QupathJava
    class_colors : mapping of str to int
        0xRRGGBB by whole class name.
    """

    def __init__(self, java: QupathJava, class_colors: Mapping[str, int]) -> None:
        self._java = java
        self._colors = class_colors

    def make(self, hierarchy: Any, batch: Batch) -> None:
        """Change a hierarchy: whole objects only, so that nothing half-set is ever saved."""
        root = hierarchy.getRootObject()
        there: dict[UUID, Any] = {}
        stack = [root]
        while stack:
            one = stack.pop()
            for child in one.getChildObjectsAsArray():
                there[UUID(str(child.getID()))] = child
                stack.append(child)
        self._replace(batch.replace, there)
        for identity in batch.remove:
            old = there.pop(identity)
            parent = old.getParent()
            parent.addChildObjects(self._java.ArrayList(old.getChildObjects()))
            parent.removeChildObject(old)
        grown: dict[UUID | None, Any] = {}
        for identity, item in batch.add.items():
            there[identity] = self._path_object(item)
            there[identity].setPathClass(self._class(item.class_name))
            self._fill(there[identity], item)
            grown.setdefault(item.parent, self._java.ArrayList()).add(there[identity])
        for above, children in grown.items():
            (root if above is None else there[above]).addChildObjects(children)

    def _replace(self, items: Mapping[UUID, SlideObject], there: dict[UUID, Any]) -> None:
        """Put objects in place of others; a shape that did not change stays QuPath's own."""
        before = self._java.shapes([there[identity] for identity in items])
        for (identity, item), shapes in zip(items.items(), before, strict=True):
            old = there[identity]
            probability = float(old.getClassProbability())
            now = old.getPathClass()
            kept = None if now is None else str(now.toString())
            if item.kind == "tma_core":  # the grid holds it: changed in place
                new = old
                old.getMeasurementList().clear()
                old.clearMetadata()
                old.setName(None)
                old.setColor(None)
            else:
                new = self._path_object(item, *self._stored(item, old, shapes))
                new.addChildObjects(self._java.ArrayList(old.getChildObjects()))
                parent = old.getParent()
                parent.removeChildObject(old)
                parent.addChildObject(new)
            made = self._class(item.class_name)
            if made is not None and kept == item.class_name and not math.isnan(probability):
                new.setPathClass(made, probability)
            else:
                new.setPathClass(made)
            self._fill(new, item)
            there[identity] = new

    def _stored(self, item: SlideObject, old: Any, shapes: Shapes) -> tuple[Any, Any]:
        """Return an object's ROI and its nucleus' ROI; None for each that is another now."""
        plane = old.getROI().getImagePlane() if old.getROI() is not None else None
        where = (-1, 0, 0) if plane is None else (plane.getC(), plane.getZ(), plane.getT())
        if where != (item.c, item.z, item.t):
            return None, None
        roi = nucleus = None
        round_ = isinstance(old.getROI(), self._java.EllipseROI)
        if item.is_ellipse == round_ and item.geometry.equals_exact(shapes[0], 0.0):
            roi = old.getROI()
        if item.nucleus is not None and shapes[1] is not None:
            round_ = isinstance(old.getNucleusROI(), self._java.EllipseROI)
            if item.nucleus_is_ellipse == round_ and item.nucleus.equals_exact(shapes[1], 0.0):
                nucleus = old.getNucleusROI()
        return roi, nucleus

    def _path_object(self, item: SlideObject, roi: Any = None, nucleus: Any = None) -> Any:
        """Make an object without name, class and the rest, of given ROIs or of its shapes."""
        if roi is None and not item.geometry.is_empty:
            roi = self._roi(item, item.geometry, item.is_ellipse)
        if nucleus is None and item.nucleus is not None:
            nucleus = self._roi(item, item.nucleus, item.nucleus_is_ellipse)
        java = self._java
        # By itself a detection would keep its measurements in single precision.
        numbers = java.ListFactory.createMeasurementList(
            len(item.measurements), java.ListType.GENERAL
        )
        if item.kind == "cell":
            one = java.PathObjects.createCellObject(roi, nucleus, None, numbers)
        elif item.kind == "tile":
            one = java.PathObjects.createTileObject(roi, None, numbers)
        elif item.kind == "detection":
            one = java.PathObjects.createDetectionObject(roi, None, numbers)
        else:
            one = java.PathObjects.createAnnotationObject(roi, None, numbers)
        one.setID(self._java.JUUID.fromString(str(item.id)))
        return one

    def _fill(self, one: Any, item: SlideObject) -> None:
        """Give an object what its shape, id and class leave open; a class takes the colour away."""
        if item.name is not None:
            one.setName(self._java.JString(item.name))
        if item.color is not None:
            one.setColor(self._java.Integer(to_java_color(item.color)))
        one.setLocked(item.locked)
        if item.kind == "tma_core":
            one.setMissing(item.missing)
        measured = one.getMeasurementList()
        for key, value in item.measurements.items():
            measured.put(self._java.JString(key), math.nan if value is None else float(value))
        measured.close()
        texts = dict(item.metadata)
        if item.description is not None:
            texts[DESCRIPTION_KEY] = item.description
        for key, text in texts.items():
            # Not through getMetadata(): for a detection QuPath 0.5 hands out a view that
            # cannot be changed.
            self._java.store.invoke(one, self._java.JString(key), self._java.JString(text))

    def _roi(self, item: SlideObject, shape: BaseGeometry, is_ellipse: bool) -> Any:
        plane = self._java.ImagePlane.getPlaneWithChannel(item.c, item.z, item.t)
        if is_ellipse:
            x0, y0, x1, y1 = shape.bounds
            return self._java.ROIs.createEllipseROI(x0, y0, x1 - x0, y1 - y0, plane)
        wkb = self._java.bytes(shapely.to_wkb(shape, output_dimension=2))
        return self._java.GeometryTools.geometryToROI(self._java.WKBReader().read(wkb), plane)

    def _class(self, name: str | None) -> Any:
        """Return a class, its parents with their colours first: the first one made wins."""
        if name is None:
            return None
        parts = name.split(": ")
        made = None
        for length in range(1, len(parts) + 1):
            whole = ": ".join(parts[:length])
            made = self._java.PathClass.fromString(self._java.JString(whole), self._color(whole))
        color = self._colors.get(name)
        if made is not None and color is not None:
            made.setColor(self._java.Integer(to_java_color(color)))
        return made

    def _color(self, name: str) -> Any:
        color = self._colors.get(name)
        return None if color is None else self._java.Integer(to_java_color(color))
