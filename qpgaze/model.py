"""The frozen records that travel from room to room: events, fixations, labels, objects.

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

if TYPE_CHECKING:  # a store of objects needs none of these
    import numpy as np
    import numpy.typing as npt
    from shapely.geometry.base import BaseGeometry

    from qpgaze.frames import ImagePx, Points
    from qpgaze.keys import LabelEvent
    from qpgaze.viewing import ImageIdentity


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
    nucleus : shapely geometry, ImagePx, or None
        Of a cell, on the cell's plane; other objects and many cells have none.
    nucleus_is_ellipse : bool
        The nucleus is the ellipse inscribed in the bounds of `nucleus`.
    missing : bool
        A TMA core that is marked as missing.
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
    nucleus: BaseGeometry | None = None
    nucleus_is_ellipse: bool = False
    missing: bool = False
