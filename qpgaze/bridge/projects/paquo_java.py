"""QuPath's classes as paquo brings them, and objects made with them.

Objects are made whole and only then put into a hierarchy, in one go for each parent; ids, metadata,
planes and ellipses go through the Java object, for which paquo's own methods have no words.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import shapely

from qpgaze.bridge.projects.codec import ImageOfData
from qpgaze.bridge.projects.colors import from_java_color, to_java_color
from qpgaze.bridge.projects.staging import Batch
from qpgaze.bridge.projects.uris import uri_from_path
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

DESCRIPTION_KEY: Final = "ANNOTATION_DESCRIPTION"
_HIDDEN_KEYS: Final = frozenset({DESCRIPTION_KEY, "Object ID"})

_CLASSES = {
    "ArrayList": "java.util.ArrayList",
    "BufferedImage": "java.awt.image.BufferedImage",
    "ByteArrayInputStream": "java.io.ByteArrayInputStream",
    "ByteArrayOutputStream": "java.io.ByteArrayOutputStream",
    "EllipseROI": "qupath.lib.roi.EllipseROI",
    "GeometryFactory": "org.locationtech.jts.geom.GeometryFactory",
    "GsonTools": "qupath.lib.io.GsonTools",
    "ImageData": "qupath.lib.images.ImageData",
    "ImagePlane": "qupath.lib.regions.ImagePlane",
    "ImageType": "qupath.lib.images.ImageData$ImageType",
    "Integer": "java.lang.Integer",
    "JUUID": "java.util.UUID",
    "JString": "java.lang.String",
    "PathClass": "qupath.lib.objects.classes.PathClass",
    "ROIs": "qupath.lib.roi.ROIs",
    "ServerBuilder": "qupath.lib.images.servers.ImageServerBuilder$ServerBuilder",
    "WKBReader": "org.locationtech.jts.io.WKBReader",
    "WKBWriter": "org.locationtech.jts.io.WKBWriter",
}


class _Heard(logging.Handler):
    """Keeps QuPath's warnings and errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())


class QupathJava:
    """QuPath's classes and what is made with them."""

    ArrayList: Any
    BufferedImage: Any
    ByteArrayInputStream: Any
    ByteArrayOutputStream: Any
    EllipseROI: Any
    GeometryFactory: Any
    GsonTools: Any
    ImageData: Any
    ImagePlane: Any
    ImageType: Any
    Integer: Any
    JUUID: Any
    JString: Any
    PathClass: Any
    ROIs: Any
    ServerBuilder: Any
    WKBReader: Any
    WKBWriter: Any

    def __init__(self) -> None:
        try:
            from paquo.java import GeometryTools, PathIO, PathObjects
            from paquo.java import compatibility as known
            from paquo.jpype_backend import JClass
        except Exception as error:  # paquo and jpype raise what they like when Java fails
            raise ProjectError(
                f"QuPath's Java does not start: {error}.", hint="Use the embedded backend."
            ) from error
        from jpype.types import JArray, JByte

        self._bytes = JArray(JByte)
        self.PathIO, self.PathObjects, self.GeometryTools = PathIO, PathObjects, GeometryTools
        self.version = str(known.version)
        for name, where in _CLASSES.items():
            setattr(self, name, JClass(where))
        self._kinds = [
            (kind, JClass(f"qupath.lib.objects.{java}"))
            for kind, java in (
                ("annotation", "PathAnnotationObject"),
                ("cell", "PathCellObject"),
                ("tile", "PathTileObject"),
                ("tma_core", "TMACoreObject"),
                ("detection", "PathDetectionObject"),
            )
        ]
        text = self.JString.class_
        self._store = JClass("qupath.lib.objects.PathObject").class_.getDeclaredMethod(
            "storeMetadataValue", text, text
        )
        self._store.setAccessible(True)
        self._load_openslide(JClass)

    @staticmethod
    def _load_openslide(find: Any) -> None:
        """Switch OpenSlide on: QuPath's own start does so, paquo's does not (0.5)."""
        with contextlib.suppress(Exception):  # another version, or built without it
            find("qupath.lib.images.servers.openslide.jna.OpenSlideLoader").tryToLoadQuietly()

    @contextlib.contextmanager
    def quiet(self, what: str) -> Iterator[list[str]]:
        """Keep Java's log lines off stdout and turn its exceptions into ours.

        What is yielded holds the warnings and errors among them once the block was left.
        """
        import jpype
        from paquo._logging import redirect

        heard = _Heard()
        logger = logging.getLogger("qupath")
        logger.addHandler(heard)
        try:
            with redirect(stdout=True, stderr=True):
                yield heard.lines
        except jpype.JException as error:
            raise ProjectError(f"{what}: {error}.") from error
        finally:
            logger.removeHandler(heard)

    def input(self, data: bytes) -> Any:
        """Return bytes as a Java stream."""
        return self.ByteArrayInputStream(self._bytes(data))

    # -- reading ----------------------------------------------------------------------------

    def slide_object(
        self,
        one: Any,
        identity: UUID,
        parent: UUID | None,
        shape: BaseGeometry,
        colors: dict[str, int],
    ) -> SlideObject:
        """Turn a PathObject into a SlideObject."""
        roi = one.getROI()
        plane = roi.getImagePlane() if roi is not None else None
        path_class = one.getPathClass()
        class_name = None if path_class is None else str(path_class.toString())
        if class_name is not None and path_class.getColor() is not None:
            colors.setdefault(class_name, from_java_color(int(path_class.getColor())))
        metadata = {str(k): str(v) for k, v in dict(one.getMetadata()).items()}
        measured = one.getMeasurementList()
        name, color = one.getName(), one.getColor()
        return SlideObject(
            id=identity,
            geometry=shape,
            kind=next((kind for kind, java in self._kinds if isinstance(one, java)), "annotation"),
            class_name=class_name,
            color=None if color is None else from_java_color(int(color)),
            name=None if name is None else str(name),
            description=metadata.get(DESCRIPTION_KEY),
            measurements={
                str(key): float(measured.get(key)) for key in measured.getMeasurementNames()
            },
            metadata={k: v for k, v in metadata.items() if k not in _HIDDEN_KEYS},
            locked=bool(one.isLocked()),
            is_ellipse=isinstance(roi, self.EllipseROI),
            c=-1 if plane is None else int(plane.getC()),
            z=0 if plane is None else int(plane.getZ()),
            t=0 if plane is None else int(plane.getT()),
            parent=parent,
        )

    def geometries(self, rois: Sequence[Any]) -> list[BaseGeometry]:
        """Turn ROIs into shapely geometries, all in one crossing from Java to Python."""
        from qpgaze.bridge.qpdata.shapes import ellipse

        shapes: list[BaseGeometry] = [shapely.Polygon() for _ in rois]
        others = self.ArrayList()
        places: list[int] = []
        for place, roi in enumerate(rois):
            if isinstance(roi, self.EllipseROI):
                x, y = float(roi.getBoundsX()), float(roi.getBoundsY())
                width, height = float(roi.getBoundsWidth()), float(roi.getBoundsHeight())
                shapes[place] = ellipse(x, y, x + width, y + height)
            elif roi is not None:
                others.add(self.GeometryTools.roiToGeometry(roi))
                places.append(place)
        if not places:
            return shapes
        array = self.GeometryFactory.toGeometryArray(others)
        together = self.GeometryFactory().createGeometryCollection(array)
        parts = shapely.get_parts(shapely.from_wkb(bytes(self.WKBWriter(2).write(together))))
        for place, part in zip(places, parts, strict=True):
            shapes[place] = part
        return shapes

    # -- writing ----------------------------------------------------------------------------

    def image_data(self, data: bytes | None, image: ImageOfData) -> Any:
        """Return QuPath's ImageData with what the image has so far.

        QuPath needs the slide for that: without it, it would write data that forget where the
        slide lies.
        """
        if image.path is None:
            raise ProjectError(
                "QuPath cannot write an image's data without its slide, which is not there.",
                hint="Put the slide back, or use the embedded backend.",
            )
        builder = {**image.builder, "uri": uri_from_path(image.path)}
        text = self.JString(json.dumps(builder))
        server = self.GsonTools.getInstance().fromJson(text, self.ServerBuilder.class_).build()
        if server is None:
            raise ProjectError("QuPath has no reader for the slide.")
        if data is None:
            kind = getattr(self.ImageType, image.image_type)
            return self.ImageData(server, kind)
        read = self.PathIO.readImageData(self.input(data), None, server, self.BufferedImage.class_)
        if read is None:
            server.close()
            raise ProjectError("QuPath cannot read the image's data: they are damaged or cut.")
        return read

    def make_changes(self, hierarchy: Any, batch: Batch, class_colors: Mapping[str, int]) -> None:
        """Change a hierarchy: whole objects only, so that nothing half-set is ever saved."""
        root = hierarchy.getRootObject()
        there: dict[UUID, Any] = {}
        stack = [root]
        while stack:
            one = stack.pop()
            for child in one.getChildObjectsAsArray():
                there[UUID(str(child.getID()))] = child
                stack.append(child)
        for identity, item in batch.replace.items():
            old = there[identity]
            new = self._path_object(item, class_colors)
            parent = old.getParent()
            new.addChildObjects(self.ArrayList(old.getChildObjects()))
            parent.removeChildObject(old)
            parent.addChildObject(new)
            there[identity] = new
        for identity in batch.remove:
            old = there.pop(identity)
            parent = old.getParent()
            parent.addChildObjects(self.ArrayList(old.getChildObjects()))
            parent.removeChildObject(old)
        grown: dict[UUID | None, Any] = {}
        for identity, item in batch.add.items():
            there[identity] = self._path_object(item, class_colors)
            grown.setdefault(item.parent, self.ArrayList()).add(there[identity])
        for above, children in grown.items():
            (root if above is None else there[above]).addChildObjects(children)

    def _path_object(self, item: SlideObject, class_colors: Mapping[str, int]) -> Any:
        make = (
            self.PathObjects.createAnnotationObject
            if item.kind == "annotation"
            else self.PathObjects.createDetectionObject
        )
        one = make(self._roi(item), self._class(item.class_name, class_colors), None)
        one.setID(self.JUUID.fromString(str(item.id)))
        if item.name is not None:
            one.setName(self.JString(item.name))
        if item.color is not None:
            one.setColor(self.Integer(to_java_color(item.color)))
        one.setLocked(item.locked)
        measured = one.getMeasurementList()
        for key, value in item.measurements.items():
            measured.put(self.JString(key), math.nan if value is None else float(value))
        measured.close()
        texts = dict(item.metadata)
        if item.description is not None:
            texts[DESCRIPTION_KEY] = item.description
        for key, text in texts.items():
            # Not through getMetadata(): for a detection QuPath 0.5 hands out a view that
            # cannot be changed.
            self._store.invoke(one, self.JString(key), self.JString(text))
        return one

    def _roi(self, item: SlideObject) -> Any:
        plane = self.ImagePlane.getPlaneWithChannel(item.c, item.z, item.t)
        if item.is_ellipse:
            x0, y0, x1, y1 = item.geometry.bounds
            return self.ROIs.createEllipseROI(x0, y0, x1 - x0, y1 - y0, plane)
        wkb = self._bytes(shapely.to_wkb(item.geometry, output_dimension=2))
        return self.GeometryTools.geometryToROI(self.WKBReader().read(wkb), plane)

    def _class(self, name: str | None, class_colors: Mapping[str, int]) -> Any:
        """Return a class, its parents with their colours first: the first one made wins."""
        if name is None:
            return None
        parts = name.split(": ")
        made = None
        for length in range(1, len(parts) + 1):
            whole = ": ".join(parts[:length])
            made = self.PathClass.fromString(self.JString(whole), self._color(whole, class_colors))
        color = class_colors.get(name)
        if made is not None and color is not None:
            made.setColor(self.Integer(to_java_color(color)))
        return made

    def _color(self, name: str, class_colors: Mapping[str, int]) -> Any:
        color = class_colors.get(name)
        return None if color is None else self.Integer(to_java_color(color))
