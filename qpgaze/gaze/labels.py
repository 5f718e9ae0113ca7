"""From labelling keys and fixations to labels: a class, and the gaze that says where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

import numpy as np

from qpgaze.errors import UsageError
from qpgaze.frames import ImagePx, Points
from qpgaze.gaze.keypresses import Note, Press, read_presses
from qpgaze.gaze.mapping import LeftOut, MappedGaze
from qpgaze.keys import FIXATION_CLASS, LabelEvent
from qpgaze.model import Event, Fixation, Label
from qpgaze.viewing import ImageIdentity, ViewerState


@dataclass(frozen=True)
class LabelParameters:
    """How key presses become labels.

    Parameters
    ----------
    key_lag_ms : float
        From the moment the eye decides until the key is down (or up): taken off both ends.
    mark_within_ms : float
        A mark without a fixation in force takes the last one that ended at most so long before.
    dwell_gap_ms : float
        A mark reaches back over pauses up to this long.
    dwell_radius_deg : float
        A mark takes earlier fixations within this distance of the centre (weighted by duration)
        of those already taken, degrees of visual angle at the zoom it was given at.
    dwell_zoom : float
        It stops at a fixation made from this many times further away (or nearer): that was
        search, not dwell.

    Raises
    ------
    UsageError
        If a number is negative or not a number, or `dwell_zoom` is below 1.

    Notes
    -----
    A lag of 300 ms is a simple reaction; correcting it is worth more than any refinement after it.
    6 deg is the radius of an object that fills half of a screen's height, about the most that
    readers zoom in to. On simulated marks it takes 92 % of the fixations that examined the object
    (2.5 deg: 26 %, 4 deg: 52 %) and 2 % others. Where many small objects are marked from afar, a
    smaller radius keeps neighbours out.
    """

    key_lag_ms: float = 300.0
    mark_within_ms: float = 1000.0
    dwell_gap_ms: float = 500.0
    dwell_radius_deg: float = 6.0
    dwell_zoom: float = 1.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= (1 if name == "dwell_zoom" else 0):
                raise UsageError(f"{name} is out of its range: {value!r} came.")


@dataclass(frozen=True)
class Labelling:
    """What became of the labelling keys.

    Parameters
    ----------
    labels : tuple of Label
        In the order of their numbers. Undone ones, and ones without gaze on the slide, leave a
        hole in the numbers.
    notes : tuple of str
        What a person should know: labels without gaze, keys never released, gaze left out.
    """

    labels: tuple[Label, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Origin:
    """What all labels of a session have in common."""

    session: UUID
    mapped: MappedGaze
    states: Sequence[ViewerState]
    accuracy_deg: float
    precision_deg: float
    assumed_accuracy: bool
    reader: str
    tracker: str

    @cached_property
    def _codes(self) -> dict[tuple[ImageIdentity | None, int, int], int]:
        """Which place of the view table each image and plane is."""
        codes, at = np.unique(self.mapped.views.place, return_index=True)
        first = [self.states[i] for i in at.tolist()]
        return {(s.image, s.z, s.t): int(c) for s, c in zip(first, codes, strict=True)}

    def label(
        self,
        number: int,
        event: LabelEvent,
        class_name: str,
        fixations: tuple[Fixation, ...],
        span_us: tuple[int, int],
    ) -> Label:
        """Make a label with every sample of its stretch that lay on its slide and plane."""
        image, z, t = _place(fixations[0])
        start_us, end_us = span_us
        mapped = self.mapped
        low = int(np.searchsorted(mapped.t_us, start_us, side="left"))
        high = int(np.searchsorted(mapped.t_us, end_us, side="right"))
        on_it = mapped.views.place[mapped.state[low:high]] == self._codes.get((image, z, t), -1)
        index = low + np.flatnonzero(on_it & (mapped.reason[low:high] == LeftOut.OK))
        return Label(
            session=self.session,
            number=number,
            event=event,
            class_name=class_name,
            image=image,
            fixations=fixations,
            start_us=start_us,
            end_us=end_us,
            samples=Points(ImagePx, mapped.image.xy[index]),
            sample_t_us=mapped.t_us[index],
            sample_downsample=mapped.downsample[index],
            accuracy_deg=self.accuracy_deg,
            precision_deg=self.precision_deg,
            assumed_accuracy=self.assumed_accuracy,
            reader=self.reader,
            tracker=self.tracker,
            z=z,
            t=t,
        )


def make_labels(
    session_id: UUID,
    mapped: MappedGaze,
    states: Sequence[ViewerState],
    fixations: Sequence[Fixation],
    events: Sequence[Event],
    *,
    parameters: LabelParameters | None = None,
    accuracy_deg: float,
    precision_deg: float,
    assumed_accuracy: bool = False,
    reader: str = "",
    tracker: str = "",
    presses: Sequence[Press] | None = None,
) -> Labelling:
    """Turn labelling keys into labels.

    Parameters
    ----------
    session_id, mapped, states, fixations
        Fixations in time order; the states that the gaze was mapped with.
    events : sequence of Event
        Of any kind; only ``label`` counts.
    parameters : LabelParameters, optional
    accuracy_deg, precision_deg, assumed_accuracy, reader, tracker
        Kept with each label; accuracy must be positive.
    presses : sequence of Press, optional
        Read already, in their order; the events are not read then.

    Raises
    ------
    UsageError, SessionError
        If the accuracy is not positive; if a label event is damaged.

    Notes
    -----
    *Hold* and *toggle* take fixations of which half lies inside the stretch (or which fill half
    of it), both ends moved back by the key lag. *Mark* takes the fixation at the (moved) press, or
    the last one shortly before, and reaches back over earlier ones that stay near, but not into
    what an earlier label took. Gaze on two images (or planes): the one with more dwell.
    """
    if not accuracy_deg > 0:
        raise UsageError(f"Accuracy is a positive number of degrees, but {accuracy_deg} came.")
    finder = _Finder(fixations, accuracy_deg, parameters or LabelParameters())
    last_us = int(mapped.t_us[-1]) if len(mapped) else 0
    given, notes = ([*presses], []) if presses is not None else _read(events, last_us, finder)
    origin = _Origin(
        session_id, mapped, states, accuracy_deg, precision_deg, assumed_accuracy, reader, tracker
    )
    labels: list[Label] = []
    for press in given:
        found, span, note = finder.find(press)
        if note:
            where = f"Label {press.number} ({press.class_name}, at {press.start_us / 1e6:.1f} s)"
            notes.append((press.start_us, f"{where}: {note}."))
        if found:
            labels.append(origin.label(press.number, press.event, press.class_name, found, span))
    notes.sort(key=lambda note: note[0])
    return Labelling(tuple(labels), tuple(text for _, text in notes))


def _read(events: Sequence[Event], last_us: int, finder: _Finder) -> tuple[list[Press], list[Note]]:
    # What nobody released ends with the session: no reaction lies between.
    return read_presses(events, end_us=last_us + finder.lag_us)


def make_fixation_labels(
    session_id: UUID,
    mapped: MappedGaze,
    states: Sequence[ViewerState],
    fixations: Sequence[Fixation],
    *,
    first_number: int = 1,
    accuracy_deg: float,
    precision_deg: float,
    assumed_accuracy: bool = False,
    reader: str = "",
    tracker: str = "",
) -> tuple[Label, ...]:
    """Make every fixation a label of its own, for sessions without labelling keys.

    Parameters
    ----------
    session_id, mapped, states, fixations
        As for :func:`make_labels`.
    first_number : int
        Number of the first; where the session has labels too, one after its last, or the ids
        would collide.
    accuracy_deg, precision_deg, assumed_accuracy, reader, tracker
        As for :func:`make_labels`.

    Returns
    -------
    tuple of Label
        Class ``Gaze: Fixation``, event ``fixation``, in time order.

    Raises
    ------
    UsageError
        If `first_number` is below 1.
    """
    if first_number < 1:
        raise UsageError(f"Labels are numbered from 1, but {first_number} came.")
    origin = _Origin(
        session_id, mapped, states, accuracy_deg, precision_deg, assumed_accuracy, reader, tracker
    )
    return tuple(
        origin.label(number, LabelEvent.FIXATION, FIXATION_CLASS, (fixation,), _span(fixation))
        for number, fixation in enumerate(fixations, first_number)
    )


def count_label_numbers(events: Sequence[Event]) -> int:
    """Return the highest label number that these events use, undone ones included.

    Raises
    ------
    SessionError
        If a label event lacks its class.

    Examples
    --------
    >>> count_label_numbers([Event(5, "label", {"event": "mark", "class": "Pearl"})])
    1
    """
    presses, _ = read_presses(events, end_us=0, keep_undone=True)
    return max((press.number for press in presses), default=0)


def _span(fixation: Fixation) -> tuple[int, int]:
    return fixation.start_us, fixation.end_us


def _place(fixation: Fixation) -> tuple[ImageIdentity, int, int]:
    return fixation.image, fixation.z, fixation.t


class _Finder:
    """Finds the fixations that each press means; knows what earlier labels took."""

    def __init__(
        self, fixations: Sequence[Fixation], accuracy_deg: float, parameters: LabelParameters
    ) -> None:
        self.fixations, self.accuracy_deg, self.p = fixations, accuracy_deg, parameters
        self.lag_us = round(parameters.key_lag_ms * 1000)
        # Both are in time order, since fixations do not overlap.
        self.starts_us = np.array([f.start_us for f in fixations], dtype=np.int64)
        self.ends_us = np.array([f.end_us for f in fixations], dtype=np.int64)
        self.taken: set[Fixation] = set()

    def find(self, press: Press) -> tuple[tuple[Fixation, ...], tuple[int, int], str]:
        """Return the fixations, the stretch they were looked for in, and a note or nothing."""
        span = (press.start_us - self.lag_us, press.end_us - self.lag_us)
        if press.event == LabelEvent.MARK:
            found = self.dwell_before(span[0])
            span = (found[0].start_us, found[-1].end_us) if found else span
            when = f"within {self.p.mark_within_ms / 1000:g} s before the key"
        else:
            found = self.inside(*span)
            held = press.event == LabelEvent.HOLD
            when = "while the key was down" if held else "between the two presses"
        if not found:
            return (), span, f"no gaze on the slide {when}"
        kept, note = _one_image(found)
        self.taken.update(kept)
        return tuple(kept), span, note

    def inside(self, start_us: int, end_us: int) -> list[Fixation]:
        """Return the fixations that belong to a stretch."""
        low = int(np.searchsorted(self.ends_us, start_us))
        high = int(np.searchsorted(self.starts_us, end_us))
        return [f for f in self.fixations[low:high] if _half_inside(f, start_us, end_us)]

    def dwell_before(self, key_us: int) -> list[Fixation]:
        """Return the fixations that a mark means, in time order; empty where there is none."""
        p, fixations = self.p, self.fixations
        at = int(np.searchsorted(self.starts_us, key_us, side="right")) - 1
        if at < 0 or key_us - fixations[at].end_us > p.mark_within_ms * 1000:
            return []
        marked = fixations[at]
        # A fixation carries the accuracy to the slide, and so how many px a degree is there.
        radius_px = p.dwell_radius_deg * marked.accuracy_image_px / self.accuracy_deg
        cluster = [marked]
        for i in range(at - 1, -1, -1):
            earlier = fixations[i]
            pause_us = cluster[0].start_us - earlier.end_us
            zoom = earlier.downsample / marked.downsample
            if (
                earlier in self.taken
                or pause_us > p.dwell_gap_ms * 1000
                or _place(earlier) != _place(marked)
                or max(zoom, 1 / zoom) > p.dwell_zoom
                or _distance_px(earlier, cluster) > radius_px
            ):
                break
            cluster.insert(0, earlier)
        return cluster


def _half_inside(fixation: Fixation, start_us: int, end_us: int) -> bool:
    """Tell whether half of the fixation lies in the stretch, or half of the stretch in it."""
    inside = min(fixation.end_us, end_us) - max(fixation.start_us, start_us)
    shorter = min(fixation.end_us - fixation.start_us, end_us - start_us)
    return inside > 0 and 2 * inside >= shorter


def _distance_px(fixation: Fixation, cluster: Sequence[Fixation]) -> float:
    """Return how far a fixation lies from the centre of others, weighted by duration."""
    weight = np.array([f.duration_ms for f in cluster]) + 1e-9
    centre = np.average([(f.x_image_px, f.y_image_px) for f in cluster], axis=0, weights=weight)
    return float(np.hypot(fixation.x_image_px - centre[0], fixation.y_image_px - centre[1]))


def _one_image(fixations: Sequence[Fixation]) -> tuple[list[Fixation], str]:
    """Keep what lies on the image and plane with most dwell; say what was left out."""
    dwell: dict[tuple[ImageIdentity, int, int], float] = {}
    for fixation in fixations:
        key = _place(fixation)
        dwell[key] = dwell.get(key, 0.0) + fixation.duration_ms
    best = max(dwell, key=lambda key: dwell[key])
    kept = [f for f in fixations if _place(f) == best]
    others = [f"{_say_place(key)} ({ms:.0f} ms)" for key, ms in dwell.items() if key != best]
    if not others:
        return kept, ""
    note = f"gaze lay on several images or planes; kept {_say_place(best)} ({dwell[best]:.0f} ms)"
    return kept, f"{note}, left out {', '.join(others)}"


def _say_place(place: tuple[ImageIdentity, int, int]) -> str:
    image, z, t = place
    entry = f" [{image.entry_id}]" if image.entry_id is not None else ""
    return f"{image.name}{entry}" + (f", z {z}, t {t}" if z or t else "")
