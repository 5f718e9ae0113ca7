"""QuPath's classes as paquo brings them, and objects made with them.

Objects are made whole and only then put into a hierarchy, in one go for each parent; ids, metadata,
planes and ellipses go through the Java object, for which paquo's own methods have no words.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import shapely

from qpgaze.bridge.projects.codec import ImageOfData
from qpgaze.bridge.projects.colors import from_java_color
from qpgaze.bridge.projects.uris import uri_from_path
from qpgaze.bridge.qupath_names import DESCRIPTION_KEY, ID_KEY
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_HIDDEN_KEYS: Final = frozenset({DESCRIPTION_KEY, ID_KEY})

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
    "ListFactory": "qupath.lib.measurements.MeasurementListFactory",
    "ListType": "qupath.lib.measurements.MeasurementList$MeasurementListType",
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
    ListFactory: Any
    ListType: Any
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

        self.bytes = JArray(JByte)
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
        self.store = JClass("qupath.lib.objects.PathObject").class_.getDeclaredMethod(
            "storeMetadataValue", text, text
        )
        self.store.setAccessible(True)
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
        return self.ByteArrayInputStream(self.bytes(data))

    # -- reading ----------------------------------------------------------------------------

    def slide_object(
        self,
        one: Any,
        identity: UUID,
        parent: UUID | None,
        shapes: tuple[BaseGeometry, BaseGeometry | None],
        colors: dict[str, int],
    ) -> SlideObject:
        """Turn a PathObject into a SlideObject; its shape and nucleus were made before."""
        roi = one.getROI()
        plane = roi.getImagePlane() if roi is not None else None
        path_class = one.getPathClass()
        class_name = None if path_class is None else str(path_class.toString())
        if class_name is not None and path_class.getColor() is not None:
            colors.setdefault(class_name, from_java_color(int(path_class.getColor())))
        metadata = {str(k): str(v) for k, v in dict(one.getMetadata()).items()}
        measured = one.getMeasurementList()
        name, color = one.getName(), one.getColor()
        kind = self._kind(one)
        return SlideObject(
            id=identity,
            geometry=shapes[0],
            kind=kind,
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
            nucleus=shapes[1],
            nucleus_is_ellipse=shapes[1] is not None
            and isinstance(one.getNucleusROI(), self.EllipseROI),
            missing=kind == "tma_core" and bool(one.isMissing()),
        )

    def _kind(self, one: Any) -> str:
        return next((kind for kind, java in self._kinds if isinstance(one, java)), "annotation")

    def shapes(self, objects: Sequence[Any]) -> list[tuple[BaseGeometry, BaseGeometry | None]]:
        """Return shape and nucleus of PathObjects; None where there is no nucleus."""
        outer = self.geometries([one.getROI() for one in objects])
        cell = dict(self._kinds)["cell"]
        nuclei = {
            place: one.getNucleusROI()
            for place, one in enumerate(objects)
            if isinstance(one, cell) and one.getNucleusROI() is not None
        }
        inner = dict(zip(nuclei, self.geometries(list(nuclei.values())), strict=True))
        return [(shape, inner.get(place)) for place, shape in enumerate(outer)]

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
