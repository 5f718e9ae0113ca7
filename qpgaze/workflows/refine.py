"""Give a project's gaze labels better shapes, in place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qpgaze
from qpgaze import keys
from qpgaze.bridge import open_project
from qpgaze.bridge.committing import commit_and_tell
from qpgaze.bridge.ledger import Ledger, Operation, Record, Standing, is_ours, records_of
from qpgaze.bridge.objects import refined_object
from qpgaze.bridge.pending import open_ledger
from qpgaze.bridge.reading_notes import cut_ledger, data_from_backup
from qpgaze.bridge.records import noting_a_persons_details
from qpgaze.errors import CoverageError, RefineError, SessionError
from qpgaze.refine import DEFAULT_METHOD, refine_labels
from qpgaze.session import open_session, sessions_dir
from qpgaze.slides import open_slide
from qpgaze.workflows.labels import pixel_size_of, read_labels

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.bridge.projects.protocol import Entry
    from qpgaze.gaze import IvtParameters, LabelParameters
    from qpgaze.model import Label, SlideObject
    from qpgaze.slides import Slide

SAME_WITHIN_PX = 0.05
"""A shape whose edge moved less than this (on average) is the one that was stored."""


@dataclass
class RefinedImage:
    """What happened to one image: counts of objects.

    Parameters
    ----------
    entry, name : str
    refined : int
        Given a new shape now.
    same : int
        The method gave the shape that they have already.
    reviewed : int
        A person changed, accepted or rejected them: left alone.
    without : int
        The method found no shape for them: left as they are.
    """

    entry: str
    name: str
    refined: int = 0
    same: int = 0
    reviewed: int = 0
    without: int = 0


@dataclass
class RefineReport:
    """What :func:`refine_project` did.

    Parameters
    ----------
    project, backend, method : str
    images : list of RefinedImage
    notes : list of str
    """

    project: str
    backend: str
    method: str
    images: list[RefinedImage]
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


def refine_project(
    project_path: str | Path,
    *,
    method: str = DEFAULT_METHOD,
    sessions: Sequence[str | Path] = (),
    image: str | None = None,
    backend: Backend = "auto",
    save_open: bool | None = None,
    ivt: IvtParameters | None = None,
    rules: LabelParameters | None = None,
    allow_hosts: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> RefineReport:
    """Refine every gaze label of a project that no person has touched.

    The labels are made again from their sessions, so nothing is lost by refining twice or with
    another method: ids stay, shapes are replaced.

    Parameters
    ----------
    project_path : path
        A ``.qpproj`` file or its folder.
    method : str
        A name in :data:`qpgaze.refine.METHODS`.
    sessions : sequence of path
        Session folders, or folders of such, besides the project's own ``qpgaze/sessions``.
    image : str, optional
        Only this entry (id or name).
    backend : "auto", "embedded", "paquo" or "live"
    save_open, ivt, rules : optional
        As given to :func:`~qpgaze.workflows.annotate_project`.
    allow_hosts : collection of str
        Computers, besides the project's own, whose shares slides may be opened from.
    progress : callable, optional
        Called with labels done and labels in all.

    Raises
    ------
    RefineError, SessionError
        If there is nothing to refine, or a session that a label came from is not found.
    SlideError, ProjectError
        If a slide or the project cannot be used; nothing was changed then.
    """
    with open_project(project_path, mode="r+", backend=backend, allow_hosts=allow_hosts) as project:
        ledger = open_ledger(project)
        work = _work(project.entries if image is None else (project.entry(image),), image)
        needed = {o.metadata[keys.SESSION] for _, ours in work for o in ours}
        places = [sessions_dir(project.path.parent), *_existing(sessions)]
        labels = _labels_of_sessions(needed, places, ivt, rules)
        report = RefineReport(str(project.path), project.backend, method, [])
        report.notes += cut_ledger(ledger) + data_from_backup(entry for entry, _ in work)
        records: list[Record] = []
        total, done = sum(len(ours) for _, ours in work), 0
        for entry, ours in work:
            report.images.append(_refine_entry(entry, ours, labels, ledger, method, records))
            done += len(ours)
            if progress:
                progress(done, total)
        report.notes += commit_and_tell(project, ledger, records, save_open=save_open)
        return report


def _work(entries: Sequence[Entry], image: str | None) -> list[tuple[Entry, list[SlideObject]]]:
    """Return the images that have gaze labels, with these."""
    work = [(entry, ours) for entry in entries if (ours := _gaze_labels(entry))]
    if not work:
        raise _nothing_to_refine(entries, image)
    return work


def _gaze_labels(entry: Entry) -> list[SlideObject]:
    """Return the objects of an entry that stand for a label.

    A copy that a person made of one is the person's, and single fixations are none: all parts of
    a label but the first are its fixations.
    """
    return [
        o
        for o in entry.objects()
        if is_ours(o)
        and o.metadata.get(keys.PART, "0") == "0"
        and o.metadata.get(keys.EVENT) != keys.LabelEvent.FIXATION.value
    ]


def _nothing_to_refine(entries: Sequence[Entry], image: str | None) -> RefineError:
    """Say why there is nothing to do."""
    where = "this project" if image is None else f"image '{image}'"
    if not entries:
        return RefineError(
            "This project has no images.", hint="Add one with 'qpgaze project add PROJECT SLIDE'."
        )
    if any(is_ours(o) for entry in entries for o in entry.objects()):
        return RefineError(
            f"There are only single fixations in {where}, and no labels to refine.",
            hint="Labels come from label keys, pressed while the session was recorded.",
        )
    return RefineError(
        f"There are no gaze labels in {where}.",
        hint="Make some with 'qpgaze annotate SESSION PROJECT'.",
    )


def _labels_of_sessions(
    needed: set[str],
    places: Sequence[Path],
    ivt: IvtParameters | None,
    rules: LabelParameters | None,
) -> Mapping[tuple[str, str], Label]:
    """Make the labels of the sessions again, by session id and label number."""
    labels: dict[tuple[str, str], Label] = {}
    missing = set(needed)
    for folder in _session_folders(places):
        if not missing:
            break
        session = open_session(folder)
        if str(session.id) in missing:
            missing.discard(str(session.id))
            for label in read_labels(session, ivt=ivt, rules=rules).labels:
                labels[str(session.id), str(label.number)] = label
    if missing:
        looked = ", ".join(f"'{place.name}'" for place in places)
        raise SessionError(
            f"The session {sorted(missing)[0]} that labels of this project came from is not there "
            f"(looked in {looked}).",
            hint="Say where it is with --sessions FOLDER.",
        )
    return labels


def _existing(places: Sequence[str | Path]) -> list[Path]:
    for place in map(Path, places):
        if not place.is_dir():
            raise SessionError(
                f"There is no folder '{place}'.",
                hint="--sessions takes a session or a folder of sessions.",
            )
    return [Path(place) for place in places]


def _session_folders(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if (place / "session.json").is_file():
            yield place
        elif place.is_dir():
            yield from sorted(p.parent for p in place.glob("*.qpgaze/session.json"))


def _refine_entry(
    entry: Entry,
    ours: Sequence[SlideObject],
    labels: Mapping[tuple[str, str], Label],
    ledger: Ledger,
    method: str,
    records: list[Record],
) -> RefinedImage:
    """Stage new shapes for one image, and note for the ledger what was staged."""
    report = RefinedImage(entry.id, entry.name)
    standing = ledger.compare(entry.objects(), entry=entry.id)
    free: dict[tuple[str, str], SlideObject] = {}
    for made in ours:
        if standing.get(made.id) is Standing.CHANGED:
            report.reviewed += 1
        else:
            free[made.metadata[keys.SESSION], made.metadata[keys.LABEL]] = made
    # All labels of the image, also those that a person has reviewed: a method that pools gaze or
    # estimates the session's offset needs them.
    here = {(o.metadata[keys.SESSION], o.metadata[keys.LABEL]) for o in ours}
    chosen = [label for key, label in labels.items() if key in here]
    with open_slide(entry.image_path()) as slide:
        _check_slide(entry, slide, chosen)
        refined = refine_labels(chosen, slide, method=method)
    pixel_size_um = pixel_size_of(entry)
    staged = []
    for better in refined:
        before = free.pop((str(better.label.session), str(better.label.number)), None)
        if before is None:
            continue
        after = refined_object(
            before, better, pixel_size_um=pixel_size_um, version=qpgaze.__version__
        )
        if _same(before, after):
            report.same += 1
        else:
            staged.append(after)
    entry.replace(staged)
    records += noting_a_persons_details(
        records_of(Operation.REPLACE, entry.id, staged),
        {made.id: made for made in ours},
        ledger.last(entry.id),
    )
    report.refined, report.without = len(staged), len(free)
    return report


def _check_slide(entry: Entry, slide: Slide, labels: Sequence[Label]) -> None:
    """Refuse a slide that is not the one that was looked at."""
    for label in labels:
        seen = label.image
        if (slide.width_px, slide.height_px) != (seen.width_px, seen.height_px):
            raise CoverageError(
                f"The labels of '{entry.name}' (image {entry.id}) were made on {seen.width_px} x "
                f"{seen.height_px} px, but the slide there now has {slide.width_px} x "
                f"{slide.height_px} px.",
                hint="Put the slide back that was looked at.",
            )


def _same(before: SlideObject, after: SlideObject) -> bool:
    """Tell whether a refinement changes nothing: same method, parameters, and shape as stored."""
    keys_alike = all(
        before.metadata.get(key) == after.metadata.get(key)
        for key in (keys.METHOD, keys.PARAMETERS)
    )
    # Stores write corners in an order of their own, so edges are compared and not corners.
    apart = before.geometry.symmetric_difference(after.geometry).area
    return keys_alike and apart <= SAME_WITHIN_PX * after.geometry.length
