"""From a session on disk to labels in memory, and to the image of a project that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qpgaze.errors import CoverageError, EntryError, SlideError
from qpgaze.gaze import (
    IvtParameters,
    LabelParameters,
    MappedGaze,
    count_label_numbers,
    detect_fixations,
    make_fixation_labels,
    make_labels,
    map_samples,
)
from qpgaze.gaze.keypresses import read_presses

if TYPE_CHECKING:
    from qpgaze.bridge.projects.protocol import Entry, Project
    from qpgaze.model import Event, Fixation, Label
    from qpgaze.session import Session
    from qpgaze.viewing import ImageIdentity


@dataclass(frozen=True, eq=False)
class SessionLabels:
    """All that one session says about slides.

    Parameters
    ----------
    labels : tuple of Label
        From the session's label keys; empty where it has none.
    fixations : tuple of Fixation
    fixation_labels : tuple of Label
        Every fixation as a label of its own.
    left_out : mapping of str to int
        Samples that lie on no slide, by reason.
    samples : int
        All samples.
    notes : tuple of str
        What a person should know: labels without gaze, keys never released.
    """

    labels: tuple[Label, ...]
    fixations: tuple[Fixation, ...]
    fixation_labels: tuple[Label, ...]
    left_out: Mapping[str, int]
    samples: int
    notes: tuple[str, ...]


def read_labels(
    session: Session,
    *,
    ivt: IvtParameters | None = None,
    rules: LabelParameters | None = None,
) -> SessionLabels:
    """Map a session's gaze, find its fixations and make its labels. Nothing is written.

    Parameters
    ----------
    session : Session
    ivt : IvtParameters, optional
        How fixations are found; Tobii's defaults where not given.
    rules : LabelParameters, optional
        How keys and fixations make labels.

    Raises
    ------
    CoverageError
        If no sample lies on a slide; the message counts why.
    SessionError
        If the session's files cannot be read.
    """
    header, states, gaze = session.header, session.viewer_states, session.gaze
    accuracy_deg, precision_deg, assumed = session.accuracy()
    mapped = map_samples(gaze, states, header.display, keyframe_us=header.viewer_keyframe_us)
    left_out = _left_out(mapped)
    fixations = detect_fixations(
        gaze,
        mapped,
        states,
        header.display,
        parameters=ivt,
        accuracy_deg=accuracy_deg,
        sync_uncertainty_us=session.sync_uncertainty_us,
    )
    about: dict[str, Any] = {
        "accuracy_deg": accuracy_deg,
        "precision_deg": precision_deg,
        "assumed_accuracy": assumed,
        "reader": header.pseudonym,
        "tracker": header.tracker,
    }
    events = session.events
    labelling = make_labels(
        session.id, mapped, states, fixations, events, parameters=rules, **about
    )
    first = count_label_numbers(events) + 1
    return SessionLabels(
        labels=labelling.labels,
        fixations=fixations,
        fixation_labels=make_fixation_labels(
            session.id, mapped, states, fixations, first_number=first, **about
        ),
        left_out=left_out,
        samples=len(gaze),
        notes=(*session.notes, *_about_accuracy(accuracy_deg, assumed), *labelling.notes),
    )


def _about_accuracy(accuracy_deg: float, assumed: bool) -> list[str]:
    if not assumed:
        return []
    degrees = "degree" if accuracy_deg == 1 else "degrees"
    return [
        f"No measurement of the tracker's accuracy came with this session: {accuracy_deg:g} "
        f"{degrees} was taken, which sets how large the labels are drawn."
    ]


def labels_given(events: Sequence[Event]) -> int:
    """Count the labels that a reader gave and did not take back.

    Examples
    --------
    >>> from qpgaze.model import Event
    >>> mark, undo = {"event": "mark", "class": "Pearl"}, {"event": "undo"}
    >>> labels_given([Event(5, "label", mark), Event(6, "label", mark), Event(7, "label", undo)])
    1
    """
    presses, _ = read_presses(events, end_us=0)
    return len(presses)


def _left_out(mapped: MappedGaze) -> dict[str, int]:
    """Count what lies on no slide, by reason; refuse gaze of which nothing lies on one."""
    if not len(mapped):
        raise CoverageError(
            "The session holds no gaze at all.",
            hint="Was the tracker on while it was recorded? 'qpgaze inspect' shows what there is.",
        )
    left_out = {reason: n for reason, n in mapped.counts().items() if reason != "ok" and n}
    if sum(left_out.values()) == len(mapped):
        raise CoverageError(
            f"None of the {len(mapped)} gaze samples lies on a slide: "
            f"{left_out_in_words(left_out)}.",
            hint="Look at the session with 'qpgaze inspect' and 'qpgaze validate'.",
        )
    return left_out


_REASONS = {
    "invalid": "without an eye that the tracker saw",
    "no_state": "at times of which no view is known",
    "no_image": "on a viewer without an image",
    "off_viewer": "beside the viewer",
    "off_image": "beside the slide",
}
_COVERS = {
    "overview": "the overview map",
    "scalebar": "the scale bar",
    "location": "the location text",
    "window": "another window",
}


def left_out_in_words(left_out: Mapping[str, int]) -> str:
    """Say for a person why gaze samples lie on no slide.

    Parameters
    ----------
    left_out : mapping of str to int
        Samples by reason, as :attr:`SessionLabels.left_out` has them.

    Examples
    --------
    >>> left_out_in_words({"off_viewer": 3, "covered: scalebar": 2})
    '3 beside the viewer, 2 on the scale bar'
    """
    said = []
    for reason, n in left_out.items():
        what, _, kind = reason.partition(": ")
        words = f"on {_COVERS.get(kind, kind)}" if what == "covered" else _REASONS.get(what, what)
        said.append(f"{n} {words}")
    return ", ".join(said)


def entry_for(project: Project, image: ImageIdentity, chosen: str | None = None) -> Entry:
    """Find the entry of a project that shows the image a session looked at.

    Parameters
    ----------
    project : Project
    image : ImageIdentity
        What QuPath said of the image while it was looked at.
    chosen : str, optional
        Entry id or name that a person named; else URIs decide, then id and name together, then
        the name alone. An id alone never does: every project counts its images from 1.

    Raises
    ------
    EntryError
        If there is no such entry, or several.
    CoverageError
        If the entry's image has another size: the session is for another image.
    """
    entry = project.entry(chosen) if chosen is not None else _recognise(project, image)
    size = _size_of(entry)
    if size != (image.width_px, image.height_px):
        raise CoverageError(
            f"The session is for another image: it looked at '{image.name}' of {image.width_px} x "
            f"{image.height_px} px, but '{entry.name}' (image {entry.id}) has {size[0]} x "
            f"{size[1]} px.",
            hint="Name the right one with --image.",
        )
    return entry


def _recognise(project: Project, image: ImageIdentity) -> Entry:
    entries = project.entries
    by_uri = [e for e in entries if set(e.uris) & set(image.uris)]
    by_id = [e for e in entries if e.id == image.entry_id and e.name == image.name]
    by_name = [e for e in entries if e.name == image.name]
    for candidates in (by_uri, by_id, by_name):
        if len(candidates) == 1:
            return candidates[0]
    several = [e.id for e in by_uri or by_name]
    if several:
        raise EntryError(
            f"The session looked at '{image.name}', and images {', '.join(several)} of the "
            "project may be it.",
            hint="Say which with --image ID.",
        )
    there = ", ".join(f"{e.id} '{e.name}'" for e in entries[:8]) or "no images"
    raise EntryError(
        f"The session looked at '{image.name}', which is not in the project (it has {there}).",
        hint="Add it with 'qpgaze project add', or name the image it is with --image ID.",
    )


def _size_of(entry: Entry) -> tuple[int, int]:
    if entry.width_px is not None and entry.height_px is not None:
        return entry.width_px, entry.height_px
    from qpgaze.slides import open_slide

    with open_slide(entry.image_path()) as slide:
        return slide.width_px, slide.height_px


def pixel_size_of(entry: Entry) -> tuple[float, float] | None:
    """Return micron per pixel from the project, else from the slide, None where neither knows."""
    if entry.pixel_size_um is not None:
        return entry.pixel_size_um
    from qpgaze.slides import open_slide

    try:
        with open_slide(entry.image_path()) as slide:
            return slide.pixel_size_um
    except SlideError:
        # Objects lie in pixels; without the slide they only lack their micron measurements.
        return None
