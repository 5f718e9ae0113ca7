"""What was looked at and on what screen: slides, displays, and the state of QuPath's viewers.

These records come from the hook inside QuPath and from the recorder. A field name says frame and
unit (``_screen_px``, ``_viewer_px``, ``_image_px``, ``_mm``, ``_us``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from qpgaze.frames import Affine, ImagePx, Points, ScreenPx, ViewerPx


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
