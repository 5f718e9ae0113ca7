"""Say what a session holds, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qpgaze.keys import LabelEvent
from qpgaze.model import Event
from qpgaze.session.content import states_in_force
from qpgaze.session.layout import display_to_json
from qpgaze.session.reader import Session
from qpgaze.viewing import Display


@dataclass(frozen=True)
class ImageSummary:
    """How often a viewer showed a slide; sizes in level-0 pixels."""

    name: str
    entry_id: str | None
    width_px: int
    height_px: int
    states: int


@dataclass(frozen=True)
class SessionSummary:
    """What a session holds.

    Parameters
    ----------
    id, pseudonym, tracker, started_utc : str
    closed : bool
    display : Display
    samples : int
    duration_s : float
        From the first to the last gaze sample.
    rate_hz : float
        Samples per second; NaN for fewer than two.
    effective_hz : float
        Valid samples per second.
    valid : float
        Share of samples with at least one valid eye.
    largest_gap_s : float
        Longest time without a valid sample between two of them.
    viewer_states : int
    viewers : tuple of str
    covered : float
        Share of samples at whose time the viewer log knows a view.
    downsample : (smallest, largest) or None
        Over the viewer states that show an image.
    images : tuple of ImageSummary
    events : mapping of str to int
        By kind.
    labels : mapping of str to int
        Label events by class; a hold or toggle counts once.
    undone : int
        Undo keys.
    accuracy_deg, precision_deg : float
    accuracy_assumed : bool
        True where no validation measured them.
    sync_uncertainty_us : int
    sync_assumed : bool
        True where no clocks were compared.
    notes : tuple of str
    """

    id: str
    pseudonym: str
    tracker: str
    started_utc: str
    closed: bool
    display: Display
    samples: int
    duration_s: float
    rate_hz: float
    effective_hz: float
    valid: float
    largest_gap_s: float
    viewer_states: int
    viewers: tuple[str, ...]
    covered: float
    downsample: tuple[float, float] | None
    images: tuple[ImageSummary, ...]
    events: dict[str, int]
    labels: dict[str, int]
    undone: int
    accuracy_deg: float
    precision_deg: float
    accuracy_assumed: bool
    sync_uncertainty_us: int
    sync_assumed: bool
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {**asdict(self), "display": display_to_json(self.display)}


def summarise(session: Session) -> SessionSummary:
    """Say what a session holds.

    Notes
    -----
    Effective frequency (valid samples per second of recording) is the figure of Niehorster et
    al.'s data quality tools: it tells a slow tracker from one that loses the eyes.
    """
    header, records = session.header, session.gaze.records
    t_us = np.asarray(records["t_us"])
    seen = (records["left_gaze_valid"] != 0) | (records["right_gaze_valid"] != 0)
    duration_s = float(t_us[-1] - t_us[0]) / 1e6 if len(t_us) else 0.0
    gaps = np.diff(t_us[seen])
    covered = states_in_force(t_us, session.viewer_states, header.viewer_keyframe_us)
    shown = [s for s in session.viewer_states if s.image is not None]
    accuracy_deg, precision_deg, assumed = session.accuracy()
    labels, undone = _labels(session.events)
    return SessionSummary(
        id=str(session.id),
        pseudonym=header.pseudonym,
        tracker=header.tracker,
        started_utc=header.started_utc,
        closed=session.closed,
        display=header.display,
        samples=len(t_us),
        duration_s=duration_s,
        rate_hz=(len(t_us) - 1) / duration_s if duration_s else float("nan"),
        effective_hz=float(seen.sum()) / duration_s if duration_s else float("nan"),
        valid=float(seen.mean()) if len(seen) else 0.0,
        largest_gap_s=float(gaps.max()) / 1e6 if len(gaps) else float("nan"),
        viewer_states=len(session.viewer_states),
        viewers=tuple(sorted({s.viewer for s in session.viewer_states})),
        covered=float(covered.mean()) if len(covered) else 0.0,
        downsample=(min(s.downsample for s in shown), max(s.downsample for s in shown))
        if shown
        else None,
        images=_images(session),
        events=dict(Counter(event.kind for event in session.events)),
        labels=labels,
        undone=undone,
        accuracy_deg=accuracy_deg,
        precision_deg=precision_deg,
        accuracy_assumed=assumed,
        sync_uncertainty_us=session.sync_uncertainty_us,
        sync_assumed=not session.clocks,
        notes=session.notes,
    )


def _images(session: Session) -> tuple[ImageSummary, ...]:
    counts = Counter(s.image for s in session.viewer_states if s.image is not None)
    return tuple(
        ImageSummary(image.name, image.entry_id, image.width_px, image.height_px, count)
        for image, count in counts.items()
    )


def _labels(events: tuple[Event, ...]) -> tuple[dict[str, int], int]:
    """Count label events by class, and undo keys; a key that goes up again counts once."""
    labels: Counter[str] = Counter()
    undone = 0
    for event in events:
        if event.kind != "label":
            continue
        if event.data.get("event") == LabelEvent.UNDO.value:
            undone += 1
        elif event.data.get("down", True):
            labels[str(event.data.get("class", ""))] += 1
    return dict(labels), undone
