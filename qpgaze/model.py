"""The frozen records that travel from room to room.

A record says frame and unit in its field names (``_image_px``, ``_us``, ``_deg``, ``_um``). None
of them knows how it is stored: sessions are written by :mod:`qpgaze.session`, objects by
:mod:`qpgaze.bridge`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt

from qpgaze.frames import Affine, ImagePx, Points, ScreenPx, ViewerPx
from qpgaze.keys import LabelEvent

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

# -- geometry helpers --------------------------------------------------------------------------


@dataclass(frozen=True)
class Rect:
    """An axis-parallel rectangle; its frame is named by the field that holds it.

    Parameters
    ----------
    x, y : float
        Top-left corner.
    width, height : float
        Not negative.
    """

    x: float
    y: float
    width: float
    height: float

    def contains(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Tell which points lie inside; the right and lower edges do not belong to it.

        Parameters
        ----------
        xy : (n, 2) float64
            In the rectangle's own frame. NaN lies nowhere.
        """
        x, y = xy[:, 0], xy[:, 1]
        inside = (x >= self.x) & (x < self.x + self.width)
        return np.asarray(inside & (y >= self.y) & (y < self.y + self.height), dtype=np.bool_)


# -- what was looked at, with what -------------------------------------------------------------


@dataclass(frozen=True)
class ImageIdentity:
    """Which slide a viewer shows, by all that QuPath says of it.

    Parameters
    ----------
    name : str
        The entry's or server's name, as shown to people.
    width_px, height_px : int
        Level-0 size.
    entry_id : str, optional
        Id of the entry in its project; None where the image belongs to no project.
    uris : tuple of str
        Where QuPath read the pixels from.
    """

    name: str
    width_px: int
    height_px: int
    entry_id: str | None = None
    uris: tuple[str, ...] = ()


@dataclass(frozen=True)
class Display:
    """The screen that carries the tracker.

    Parameters
    ----------
    bounds_screen_px : Rect
        The tracker's display area on the desktop, logical pixels.
    width_mm, height_mm : float
        Its physical size.
    corners_ucs_mm : tuple of three (x, y, z), optional
        Top-left, top-right and bottom-left corner in the tracker's frame (UCS: origin at the
        tracker, x right, y up, z to the user).
    distance_mm : float
        Eye to screen, used where a sample has no eye position. 650 mm is Tobii's assumption.
    monitor : str
        Name or number of the monitor.
    scale : float
        Physical pixels per logical pixel.
    """

    bounds_screen_px: Rect
    width_mm: float
    height_mm: float
    corners_ucs_mm: tuple[tuple[float, float, float], ...] | None = None
    distance_mm: float = 650.0
    monitor: str = ""
    scale: float = 1.0

    def screen_px_per_degree(self, distance_mm: float | None = None) -> float:
        """Return logical pixels per degree of visual angle at the centre of the screen.

        Parameters
        ----------
        distance_mm : float, optional
            Eye to screen; the display's own assumption where not given.
        """
        mm = (distance_mm or self.distance_mm) * math.tan(math.radians(1.0))
        return mm * self.bounds_screen_px.width / self.width_mm


@dataclass(frozen=True)
class Cover:
    """Something that lies over the slide in a viewer: gaze on it is not on tissue.

    Parameters
    ----------
    kind : str
        ``overview``, ``scalebar``, ``location``, ``window`` or what the hook calls it.
    rect_viewer_px : Rect
    """

    kind: str
    rect_viewer_px: Rect


@dataclass(frozen=True)
class ViewerState:
    """The state of one QuPath viewer from `t_us` until its next state.

    Parameters
    ----------
    t_us : int
        Session clock: when the state was read (or, better, painted).
    viewer : str
        Which viewer; several may be open.
    image : ImageIdentity or None
        None: the viewer shows nothing.
    corners_image_px : ((x, y), (x, y), (x, y)) or None
        Image positions of the viewer's top-left, top-right and bottom-left corner, computed by
        QuPath itself. None without an image.
    downsample : float
        Image pixels per viewer pixel.
    rotation_rad : float
        Positive turns the picture clockwise on the screen.
    bounds_screen_px : Rect or None
        The viewer component on the desktop; None while it is not shown.
    screen_bounds_px : Rect or None
        The monitor that it lies on.
    screen_scale : float
        Physical pixels per logical pixel there.
    z, t : int
        Slice and time point.
    shown, iconified, focused : bool
    cursor_viewer_px : (x, y) or None
    covers : tuple of Cover
    read_us, painted_us : int or None
        Stamps in the hook's own clock.
    extra : mapping
        Whatever else the log held, kept as it came.
    """

    t_us: int
    viewer: str
    image: ImageIdentity | None
    corners_image_px: tuple[tuple[float, float], ...] | None
    downsample: float
    rotation_rad: float = 0.0
    bounds_screen_px: Rect | None = None
    screen_bounds_px: Rect | None = None
    screen_scale: float = 1.0
    z: int = 0
    t: int = 0
    shown: bool = True
    iconified: bool = False
    focused: bool = True
    cursor_viewer_px: tuple[float, float] | None = None
    covers: tuple[Cover, ...] = ()
    read_us: int | None = None
    painted_us: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def screen_to_viewer(self) -> Affine[ScreenPx, ViewerPx] | None:
        """Return the map from the desktop into this viewer, None while it is not shown."""
        box = self.bounds_screen_px
        if box is None:
            return None
        return Affine(ScreenPx, ViewerPx, np.array([[1.0, 0.0, -box.x], [0.0, 1.0, -box.y]]))

    def viewer_to_image(self) -> Affine[ViewerPx, ImagePx] | None:
        """Return the map from this viewer onto the slide, None where it shows none.

        Raises
        ------
        FrameError
            If the three corners fix no map.
        """
        box = self.bounds_screen_px
        if self.corners_image_px is None or box is None:
            return None
        viewer = np.array([[0.0, 0.0], [box.width, 0.0], [0.0, box.height]])
        corners = np.array(self.corners_image_px, dtype=np.float64)
        return Affine.from_three_points(Points(ViewerPx, viewer), Points(ImagePx, corners))


@dataclass(frozen=True)
class Event:
    """Something that happened during a session.

    Parameters
    ----------
    t_us : int
        Session clock.
    kind : str
        ``label`` (a labelling key), ``validation`` (measured accuracy), ``gap``, ``note``,
        ``drawing`` or a kind of a later version, kept as it came.
    data : mapping
        JSON values. For ``label``: ``event`` (a :class:`~qpgaze.keys.LabelEvent` value),
        ``class`` and, for hold and toggle, ``down`` (true: begins, false: ends). For
        ``validation``: ``accuracy_deg``, ``precision_sd_deg``, ``precision_rms_deg``.
    """

    t_us: int
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


# -- what the eye did --------------------------------------------------------------------------


@dataclass(frozen=True)
class Fixation:
    """The eye rested on one place of the slide.

    Parameters
    ----------
    start_us, end_us : int
        Session clock; the end is the time of the last sample.
    x_image_px, y_image_px : float
        Mean gaze on the slide.
    spread_image_px : float
        RMS distance of its samples from that mean, level-0 pixels.
    accuracy_image_px : float
        The tracker's accuracy carried to the slide at this downsample, level-0 pixels.
    downsample : float
        Median over its samples.
    samples : int
        Number of samples mapped onto the slide.
    image : ImageIdentity
    z, t : int
    motion : "static" or "panning"
        Whether the view stood still.
    near_view_change : bool
        Whether it began or ended within the sync uncertainty of a change of view.
    """

    start_us: int
    end_us: int
    x_image_px: float
    y_image_px: float
    spread_image_px: float
    accuracy_image_px: float
    downsample: float
    samples: int
    image: ImageIdentity
    z: int = 0
    t: int = 0
    motion: Literal["static", "panning"] = "static"
    near_view_change: bool = False

    @property
    def duration_ms(self) -> float:
        """How long the eye rested, milliseconds."""
        return (self.end_us - self.start_us) / 1000.0


@dataclass(frozen=True, eq=False)
class Label:
    """What a reader labelled: a class and the gaze that says where.

    Parameters
    ----------
    session : UUID
    number : int
        Label id: from 1, in the order of the session.
    event : LabelEvent
        How it was given.
    class_name : str
        A QuPath class, ``"A: B"`` for derived ones.
    image : ImageIdentity
    fixations : tuple of Fixation
        At least one, in time order.
    start_us, end_us : int
        The labelled stretch on the session clock, key lag already taken off.
    samples : Points[ImagePx]
        Every gaze sample of the stretch that lay on the slide.
    sample_t_us : (n,) int64
        Their times.
    sample_downsample : (n,) float64
        Downsample of the view in force at each sample.
    accuracy_deg, precision_deg : float
        Tracker error that the label was made with: measured (or, see `assumed_accuracy`, not).
    assumed_accuracy : bool
        True where the session holds no validation.
    reader, tracker : str
        Pseudonym and model.
    z, t : int
    """

    session: UUID
    number: int
    event: LabelEvent
    class_name: str
    image: ImageIdentity
    fixations: tuple[Fixation, ...]
    start_us: int
    end_us: int
    samples: Points[ImagePx]
    sample_t_us: npt.NDArray[np.int64]
    sample_downsample: npt.NDArray[np.float64]
    accuracy_deg: float
    precision_deg: float
    assumed_accuracy: bool = False
    reader: str = ""
    tracker: str = ""
    z: int = 0
    t: int = 0

    def object_id(self, part: int = 0) -> UUID:
        """Return the id of the QuPath object that part `part` of this label becomes.

        It follows from session, label and part alone, so doing a thing twice adds nothing twice.
        """
        return uuid5(self.session, f"{self.number}/{part}")

    @property
    def dwell_ms(self) -> float:
        """Summed duration of the fixations, milliseconds."""
        return sum(f.duration_ms for f in self.fixations)


@dataclass(frozen=True, eq=False)
class RefinedLabel:
    """A better shape for one or more labels.

    Parameters
    ----------
    label : Label
        The label that the shape belongs to.
    geometry : shapely geometry, ImagePx
    method : str
        Name of the refinement, as ``qpgaze refine --method`` takes it.
    parameters : mapping
        JSON values, enough to do it again.
    merged : tuple of Label
        Other labels that the same shape swallowed (``mariam2022`` pools all gaze).
    uncertainty_image_px : float
        Standard deviation of the box's edges, NaN where the method gives none.
    picture_weight : float
        0..1, how much the picture decided; 0 for methods that see none.
    """

    label: Label
    geometry: BaseGeometry
    method: str
    parameters: Mapping[str, Any]
    merged: tuple[Label, ...] = ()
    uncertainty_image_px: float = math.nan
    picture_weight: float = 0.0

    @property
    def box_image_px(self) -> tuple[float, float, float, float]:
        """The shape's bounds as x0, y0, x1, y1, level-0 pixels."""
        x0, y0, x1, y1 = self.geometry.bounds
        return float(x0), float(y0), float(x1), float(y1)


# -- what QuPath keeps -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SlideObject:
    """A QuPath object as every backend of a project reads and writes it.

    Parameters
    ----------
    id : UUID
        QuPath's object id. Objects of QuPath 0.3 have none; their reader makes one up.
    geometry : shapely geometry, ImagePx
        Empty for an object without a shape.
    kind : str
        ``annotation``, ``detection``, ``cell``, ``tile`` or ``tma_core``.
    class_name : str or None
        ``"A: B"`` for a derived class.
    color : int or None
        The object's own colour, 0xRRGGBB; the class has one too.
    name, description : str or None
    measurements : mapping of str to float
        In QuPath's order.
    metadata : mapping of str to str
        Without QuPath's internal keys (object id, description).
    locked : bool
    is_ellipse : bool
        The shape is the ellipse inscribed in the bounds of `geometry`.
    c, z, t : int
        Plane; c = -1 is every channel.
    parent : UUID or None
        The object it lies under, None for the root.
    """

    id: UUID
    geometry: BaseGeometry
    kind: str = "annotation"
    class_name: str | None = None
    color: int | None = None
    name: str | None = None
    description: str | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    locked: bool = False
    is_ellipse: bool = False
    c: int = -1
    z: int = 0
    t: int = 0
    parent: UUID | None = None
