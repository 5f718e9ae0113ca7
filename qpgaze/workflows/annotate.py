"""Put gaze-made annotation objects into the images of a QuPath project."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qpgaze
from qpgaze import keys
from qpgaze.bridge import open_project
from qpgaze.bridge.committing import commit_and_tell
from qpgaze.bridge.ledger import Ledger, Operation, Record, Standing, records_of
from qpgaze.bridge.objects import fixation_objects, label_object
from qpgaze.bridge.pending import open_ledger
from qpgaze.bridge.reading_notes import cut_ledger, data_from_backup
from qpgaze.errors import CoverageError, UsageError
from qpgaze.session import open_session
from qpgaze.workflows.labels import (
    entry_for,
    labels_given,
    left_out_in_words,
    pixel_size_of,
    read_labels,
)

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.bridge.projects.protocol import Entry, Project
    from qpgaze.gaze import IvtParameters, LabelParameters
    from qpgaze.model import Label, SlideObject
    from qpgaze.session import Session
    from qpgaze.viewing import ImageIdentity
    from qpgaze.workflows.labels import SessionLabels


@dataclass
class ImageReport:
    """What happened to one image: counts of objects.

    Parameters
    ----------
    entry, name : str
    added : int
        Written now.
    there : int
        There already, as we wrote them.
    reviewed : int
        There, but a person changed shape or class: left alone.
    missing : list of str
        Ids that we wrote once and that somebody deleted or a program overwrote: not put back.
    put_back : int
        Such objects that were written again because that was asked for.
    way : str
        ``window``: through the QuPath that has it open, to be saved there; ``file``: into the
        project's files, beneath any QuPath that has it open.
    """

    entry: str
    name: str
    added: int = 0
    there: int = 0
    reviewed: int = 0
    missing: list[str] = field(default_factory=list)
    put_back: int = 0
    way: str = "file"


@dataclass
class AnnotateReport:
    """What :func:`annotate_project` did.

    Parameters
    ----------
    session : str
        Session id.
    project : str
    backend : str
    labels, fixations : int
        What the session holds.
    samples : int
    left_out : dict of str to int
        Gaze samples on no slide, by reason.
    images : list of ImageReport
    notes : list of str
    """

    session: str
    project: str
    backend: str
    labels: int
    fixations: int
    samples: int
    left_out: dict[str, int]
    images: list[ImageReport]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


def annotate_project(
    session_path: str | Path,
    project_path: str | Path,
    *,
    image: str | None = None,
    fixations: bool | None = None,
    put_back: bool = False,
    backend: Backend = "auto",
    save_open: bool | None = None,
    ivt: IvtParameters | None = None,
    rules: LabelParameters | None = None,
    allow_hosts: Collection[str] = (),
) -> AnnotateReport:
    """Write the labels of a session into a project, one annotation object a label.

    Doing it again adds nothing again: an object's id follows from session and label.

    Parameters
    ----------
    session_path : path
        A ``.qpgaze`` folder.
    project_path : path
        A ``.qpproj`` file or its folder.
    image : str, optional
        Entry id or name, where the session cannot tell by itself.
    fixations : bool, optional
        Also draw one ellipse a fixation; by default only where the session has no labels.
    put_back : bool
        Write again what we wrote once and what is gone now.
    backend : "auto", "embedded", "paquo" or "live"
    save_open : bool, optional
        See :func:`~qpgaze.bridge.committing.commit_and_tell`.
    ivt, rules : optional
        See :func:`qpgaze.workflows.read_labels`.
    allow_hosts : collection of str
        Computers, besides the project's own, whose shares slides may be opened from.

    Raises
    ------
    SessionError, CoverageError
        If session or gaze cannot be used.
    ProjectError
        If the project or an image's data cannot be read or written; nothing was changed then.
    """
    session = open_session(session_path)
    found = read_labels(session, ivt=ivt, rules=rules)
    labels, notes = _choose(session, found, fixations)
    with open_project(project_path, mode="r+", backend=backend, allow_hosts=allow_hosts) as project:
        images, warnings = _write(project, _by_image(labels), image, put_back, save_open)
        return AnnotateReport(
            session=str(session.id),
            project=str(project.path),
            backend=project.backend,
            labels=len(found.labels),
            fixations=len(found.fixations),
            samples=found.samples,
            left_out=dict(found.left_out),
            images=images,
            notes=notes + warnings,
        )


def _choose(
    session: Session, found: SessionLabels, fixations: bool | None
) -> tuple[list[Label], list[str]]:
    """Choose what becomes an object, and collect what a person should know."""
    has_keys = any(event.kind == "label" for event in session.events)
    labels, notes = list(found.labels), list(found.notes)
    if fixations or (fixations is None and not has_keys):
        labels += found.fixation_labels
    if not labels:
        notes.append(_why_nothing(session, found, has_keys, fixations))
    return labels, notes


def _why_nothing(
    session: Session, found: SessionLabels, has_keys: bool, fixations: bool | None
) -> str:
    """Say why a session gives no object, where that is as its reader wanted it.

    Raises
    ------
    CoverageError, UsageError
        Where it is not.
    """
    if not has_keys and fixations is False:
        raise UsageError(
            "The session has no label keys, and with --no-fixations there is nothing to draw.",
            hint="Leave --no-fixations out to draw where the reader looked.",
        )
    if not found.fixations:
        raise CoverageError(
            f"In {found.samples} gaze samples no fixation was found on a slide, so there is "
            f"nothing to draw. {_left_out_sentence(found)}".rstrip(),
            hint="Look at the session with 'qpgaze inspect'.",
        )
    lost = labels_given(session.events)
    if lost:
        raise CoverageError(
            f"The session has {lost} labels, but none with gaze on a slide: "
            f"{' '.join(found.notes)}",
            hint="--fixations draws where the reader looked instead.",
        )
    return "Every label of the session was taken back with undo: there is nothing to add."


def _left_out_sentence(found: SessionLabels) -> str:
    if not found.left_out:
        return ""
    lost = sum(found.left_out.values())
    return f"{lost} of them lie on no slide: {left_out_in_words(found.left_out)}."


def _write(
    project: Project,
    wanted: Mapping[ImageIdentity, Sequence[Label]],
    image: str | None,
    put_back: bool,
    save_open: bool | None,
) -> tuple[list[ImageReport], list[str]]:
    """Write what is new, all images together or none, and remember it in the ledger.

    Returns what became of each image, and warnings: of a QuPath that has some open, or of what
    could not be read as it should.
    """
    ledger = open_ledger(project)
    # Every image is looked up before anything is staged: one that is not there stops it all.
    entries = _entries_for(project, list(wanted), image)
    reports: list[ImageReport] = []
    records: list[Record] = []
    in_windows: Collection[str] = getattr(project, "open_entries", ())
    warnings = cut_ledger(ledger) + data_from_backup(entries.values())
    for identity, labels in wanted.items():
        entry = entries[identity]
        objects = _make_objects(labels, pixel_size_of(entry))
        report, new = _stage(entry, objects, ledger, put_back=put_back)
        # The commit refuses an image that was opened or closed since.
        report.way = "window" if entry.id in in_windows else "file"
        reports.append(report)
        records += new
    project.add_classes({record.class_name: None for record in records if record.class_name})
    warnings += commit_and_tell(project, ledger, records, save_open=save_open)
    return reports, warnings


def _by_image(labels: Sequence[Label]) -> dict[ImageIdentity, list[Label]]:
    """Sort labels by the image they lie on."""
    by_image: dict[ImageIdentity, list[Label]] = {}
    for label in labels:
        by_image.setdefault(label.image, []).append(label)
    return by_image


def _entries_for(
    project: Project, images: Sequence[ImageIdentity], chosen: str | None
) -> dict[ImageIdentity, Entry]:
    if chosen is not None and len(images) > 1:
        names = ", ".join(f"'{image.name}'" for image in images)
        raise UsageError(
            f"The session looked at several images ({names}); --image names only one.",
            hint="Leave it out, and each goes to the image of its name.",
        )
    return {image: entry_for(project, image, chosen) for image in images}


def _make_objects(
    labels: Sequence[Label], pixel_size_um: tuple[float, float] | None
) -> list[SlideObject]:
    objects = []
    for label in labels:
        if label.event is keys.LabelEvent.FIXATION:
            objects += fixation_objects(
                label, pixel_size_um=pixel_size_um, version=qpgaze.__version__
            )
        else:
            objects.append(
                label_object(label, pixel_size_um=pixel_size_um, version=qpgaze.__version__)
            )
    return objects


def _stage(
    entry: Entry, objects: Sequence[SlideObject], ledger: Ledger, *, put_back: bool
) -> tuple[ImageReport, list[Record]]:
    """Stage what is new on one entry and say what became of the rest."""
    report = ImageReport(entry.id, entry.name)
    there = entry.objects()
    ledger.adopt(there, entry=entry.id)
    standing = ledger.compare(there, entry=entry.id)
    new: list[SlideObject] = []
    returned: list[SlideObject] = []
    for made in objects:
        stands = standing.get(made.id)
        if stands is None:
            new.append(made)
        elif stands is Standing.MISSING:
            if put_back:
                returned.append(made)
            else:
                report.missing.append(str(made.id))
        elif stands is Standing.CHANGED:
            report.reviewed += 1
        else:
            report.there += 1
    entry.add([*new, *returned])
    report.added, report.put_back = len(new), len(returned)
    return report, [
        *records_of(Operation.ADD, entry.id, new),
        *records_of(Operation.PUT_BACK, entry.id, returned),
    ]
