"""What is kept of one image's data: QuPath's view of each object, and of the file as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from shapely.geometry.base import BaseGeometry

from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from qpgaze.bridge.qpdata.scan import Scan

KINDS: Final = {
    "qupath.lib.objects.PathAnnotationObject": "annotation",
    "qupath.lib.objects.PathDetectionObject": "detection",
    "qupath.lib.objects.PathCellObject": "cell",
    "qupath.lib.objects.PathTileObject": "tile",
    "qupath.lib.objects.TMACoreObject": "tma_core",
}
JAVA_NAMES: Final = {kind: name for name, kind in KINDS.items()}
ROOT: Final = "qupath.lib.objects.PathRootObject"


class Roi(NamedTuple):
    """A region as QuPath stores it.

    `kind` is QuPath's class (``RectangleROI``). `shape` depends on it: x, y, x2, y2 (float64) for
    rectangles, ellipses and lines; big-endian float32 x and y as bytes for polygons, polylines and
    points; a tuple of such pairs for areas; WKB for geometries.
    """

    kind: str
    c: int
    z: int
    t: int
    shape: Any


class PathClass(NamedTuple):
    """A class as the file holds it: its whole name and its colour (signed ARGB) or None."""

    name: str
    color: int | None


class Raw:
    """One object's content before shapes and ids are made of it."""

    __slots__ = (
        "color", "description", "kind", "locked", "measurements", "metadata", "missing", "name",
        "nucleus", "path_class", "probability", "roi", "uid",
    )  # fmt: skip

    kind: str
    uid: str | None
    name: str | None
    color: int | None
    description: str | None
    metadata: dict[str, str]
    measurements: dict[str, float]
    locked: bool
    path_class: PathClass | None
    roi: Roi | None
    probability: float
    nucleus: Roi | None
    missing: bool


@dataclass(frozen=True, eq=False)
class QupathObject:
    """Everything that QuPath keeps of an object, beyond what every backend knows.

    Parameters
    ----------
    object : SlideObject
    depth : int
        1 for an object that lies under the root.
    roi : Roi or None
        As stored.
    class_color, color : int or None
        Signed ARGB, as stored.
    probability : float
        Of the class; NaN where none was given.
    nucleus : shapely geometry, ImagePx, or None
        A cell's nucleus.
    missing : bool
        Whether a TMA core is marked as missing.
    id_stored : bool
        False where the id was made up because the file holds none.
    """

    object: SlideObject
    depth: int
    roi: Roi | None
    class_color: int | None = None
    color: int | None = None
    probability: float = math.nan
    nucleus: BaseGeometry | None = None
    nucleus_roi: Roi | None = None
    missing: bool = False
    id_stored: bool = True


@dataclass(frozen=True, eq=False)
class QpData:
    """The content of one ``data.qpdata``.

    Parameters
    ----------
    objects : tuple of SlideObject
        Parents before children, in the file's order.
    qupath_version : str
        Version that saved the file, empty where it does not say.
    header : mapping
        The file's own JSON: ``dataVersion``, ``server`` (the builder) and more.
    server_json : str
        The server builder as JSON text, empty where the file has none.
    locale : str
        Language tag (``en`` or ``en-US``), empty where the file has none.
    image_type : str or None
        Name of QuPath's constant (``BRIGHTFIELD_H_E``).
    stains : str or None
        Colour deconvolution stains, JSON text.
    workflow_steps : int
        Number of recorded commands.
    properties : mapping of str to object
        The image's properties; what is no text, number, list or map is a `JavaObject`.
    class_colors : mapping of str to int
        Colours (0xRRGGBB) of the classes in the order in which they first occur; classes without
        a colour are left out.
    root_id : UUID or None
    scan : Scan
        Where everything lies.
    """

    objects: tuple[SlideObject, ...]
    qupath_version: str
    header: Mapping[str, Any]
    server_json: str
    locale: str
    image_type: str | None
    stains: str | None
    workflow_steps: int
    properties: Mapping[str, Any]
    class_colors: Mapping[str, int]
    root_id: UUID | None
    scan: Scan = field(repr=False)

    @cached_property
    def details(self) -> tuple[QupathObject, ...]:
        """The same objects with what only QuPath knows; made when first asked for."""
        from qpgaze.bridge.qpdata.details import make_details

        return make_details(self.scan, self.objects)
