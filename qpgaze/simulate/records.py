"""What a simulation takes and returns: objects on a slide, and a reading with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from qpgaze.frames import ClockRelation
from qpgaze.model import Event
from qpgaze.samples import GazeSamples
from qpgaze.simulate.settings import ReaderSettings, TrackerSettings
from qpgaze.viewing import Display, ImageIdentity, ViewerState

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True, eq=False)
class TruthObject:
    """Something on a slide that draws a reader's eye.

    Parameters
    ----------
    id : str
    class_name : str
        Class of the label that a reader gives it (or would, by mistake).
    geometry : shapely geometry, ImagePx
    target : bool
        False for a look-alike, which a reader examines but does not label.
    """

    id: str
    class_name: str
    geometry: BaseGeometry
    target: bool = True


@dataclass(frozen=True)
class TruthFixation:
    """Where the eye really rested.

    Parameters
    ----------
    start_us, end_us : int
        Session clock.
    x_image_px, y_image_px : float
        Where on the slide, at the middle of the fixation; NaN beside the slide's viewer.
    x_screen_px, y_screen_px : float
        Where on the screen, at the middle of the fixation; NaN while it follows a moving view.
    downsample : float
        Image pixels per screen pixel (at the end, where the view moved).
    phase : str
        ``overview``, ``search``, ``notice``, ``navigate``, ``examine``, ``check`` (a look-alike),
        ``leave`` or ``glance`` (at the overview map, or beside the viewer).
    object_id : str or None
        The object that it was on.
    visit : int
        Number of the visit to an object that it belongs to, from 0; -1 for none.
    moving : bool
        Whether the eye followed a moving view.
    """

    start_us: int
    end_us: int
    x_image_px: float
    y_image_px: float
    x_screen_px: float
    y_screen_px: float
    downsample: float
    phase: str
    object_id: str | None = None
    visit: int = -1
    moving: bool = False


@dataclass(frozen=True)
class TruthLabel:
    """A label as the reader meant it.

    Parameters
    ----------
    object_id, class_name : str
    start_us, end_us : int
        From the first to the last look, without the key's lag.
    correct : bool
        False where a look-alike was labelled.
    undone : bool
    """

    object_id: str
    class_name: str
    start_us: int
    end_us: int
    correct: bool = True
    undone: bool = False


@dataclass(frozen=True, eq=False)
class Reading:
    """One simulated session: what a recorder would have got, and the truth behind it.

    Parameters
    ----------
    session_id : UUID
    seed : int
    gaze : GazeSamples
        Records of :data:`~qpgaze.samples.GAZE_DTYPE`.
    states : tuple of ViewerState
        In time order.
    events : tuple of Event
        In time order; the first is a validation with the tracker's figures.
    clocks : tuple of ClockRelation
        Device to session, and viewer to session, compared every ten seconds.
    display : Display
    image : ImageIdentity
    pixel_size_um : float or None
    reader, tracker : ReaderSettings, TrackerSettings
    objects : tuple of TruthObject
    fixations : tuple of TruthFixation
    labels : tuple of TruthLabel
    extra : mapping
        What else was drawn: ``offset_deg`` (right, up), ``sync_error_us``.
    """

    session_id: UUID
    seed: int
    gaze: GazeSamples
    states: tuple[ViewerState, ...]
    events: tuple[Event, ...]
    clocks: tuple[ClockRelation[Any, Any], ...]
    display: Display
    image: ImageIdentity
    pixel_size_um: float | None
    reader: ReaderSettings
    tracker: TrackerSettings
    objects: tuple[TruthObject, ...]
    fixations: tuple[TruthFixation, ...]
    labels: tuple[TruthLabel, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def records(self) -> npt.NDArray[np.void]:
        """The gaze records, (n,) of :data:`~qpgaze.samples.GAZE_DTYPE`."""
        return self.gaze.records

    @property
    def duration_us(self) -> int:
        """Time of the last sample on the session clock."""
        return int(self.gaze.records["t_us"][-1]) if len(self.gaze) else 0
