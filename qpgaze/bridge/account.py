"""The account of a project: whether all that we wrote into it is still there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from qpgaze import keys
from qpgaze.bridge.ledger import Ledger, Standing
from qpgaze.bridge.pending import IN_WINDOW, not_yet, pending_files, read_pending, settled
from qpgaze.bridge.projects.holder import read_holder, who
from qpgaze.bridge.projects.live import LiveProject
from qpgaze.bridge.projects.opening import open_project
from qpgaze.bridge.projects.uris import parse_uri
from qpgaze.bridge.reading_notes import cut_ledger, data_from_backup
from qpgaze.bridge.records import Operation, Record, has_details
from qpgaze.errors import QpgazeError, SlideError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.bridge.projects.protocol import Entry, Project

Objects = Mapping[str, Sequence[SlideObject]]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written.

    Parameters
    ----------
    kind : str
        ``unreadable``, ``lost``, ``moved``, ``duplicated``, ``no_image``, ``no_slide``,
        ``other_slide``; or, where it is no problem, ``changed``, ``slide_moved``, ``left_over``,
        ``unsaved`` (open in a QuPath with changes that nobody saved), ``cut`` (the ledger's end),
        ``backup`` (data are gone, the version before was read).
    entry, image : str
        Id and name of the image; empty where it concerns none.
    object : str
        Id of the object; empty where it concerns none.
    message : str
        For a person.
    """

    kind: str
    entry: str
    image: str
    object: str
    message: str


@dataclass
class VerifyReport:
    """What :func:`verify_project` found.

    Parameters
    ----------
    project, backend : str
    images, objects : int
        In the project, where they can be read.
    ours : int
        Objects that we wrote and that should be there.
    untouched : int
        Those of them that are as we wrote them.
    problems : list of Finding
        What is lost, moved, duplicated or cannot be read.
    remarks : list of Finding
        What people changed, slides that moved with the project, traces of writes that were cut.
    """

    project: str
    backend: str
    images: int = 0
    objects: int = 0
    ours: int = 0
    untouched: int = 0
    problems: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


def verify_project(
    path: str | PathLike[str],
    *,
    backend: Backend = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Compare a project's ledger, objects and images; nothing is written.

    Parameters
    ----------
    path : path
        The project's folder or its ``.qpproj`` file.
    backend : "auto", "embedded", "paquo" or "live"
        By default images that are open in a QuPath with our hook are looked at in its window.
    progress : callable, optional
        Called with images read and images in all.

    Raises
    ------
    ProjectError
        If the project file or the ledger cannot be read.
    """
    with open_project(path, backend=backend, look_in_windows=True) as project:
        folder = project.path.parent
        report = VerifyReport(str(project.path), project.backend, len(project.entries))
        objects: dict[str, Sequence[SlideObject]] = {}
        for number, entry in enumerate(project.entries, 1):
            try:
                objects[entry.id] = entry.objects()
            except QpgazeError as error:
                report.problems.append(_finding("unreadable", entry, str(error)))
            report.remarks += [
                _finding("backup", entry, note) for note in data_from_backup([entry])
            ]
            _check_slide(entry, report)
            if progress:
                progress(number, len(project.entries))
        ledger = _whole_ledger(folder, project.entries, objects, report)
        report.objects = sum(len(items) for items in objects.values())
        for entry in project.entries:
            if entry.id not in objects:
                report.ours += _written(ledger, entry)
            else:
                _check_entry(entry, objects, ledger, report)
        _check_gone_images(project, ledger, report)
        _check_twice(project, objects, report)
        _check_left_over(folder, report)
        _check_windows(project, report)
    return report


def _whole_ledger(
    folder: Path, entries: Sequence[Entry], objects: Objects, report: VerifyReport
) -> Ledger:
    """Open the ledger and add what a cut write should have added, in memory only."""
    ledger = Ledger.open(folder)
    report.remarks += [Finding("cut", "", "", "", note) for note in cut_ledger(ledger)]
    extra: list[Record] = []
    for file in pending_files(folder):
        extra += not_yet(settled(read_pending(file, entries), objects), ledger)
        words = f"A write was cut in the middle ({file.name}); the next one settles that."
        report.remarks.append(Finding("left_over", "", "", "", words))
    return Ledger(ledger.path, [*ledger.records, *extra])


def _check_entry(entry: Entry, objects: Objects, ledger: Ledger, report: VerifyReport) -> None:
    """Compare one image with its records."""
    last = ledger.last(entry.id)
    named = {item.id: item for item in objects[entry.id]}
    for identity, standing in ledger.compare(objects[entry.id], entry=entry.id).items():
        if standing is Standing.FOREIGN:
            continue
        report.ours += 1
        record = last.get(identity)
        if standing is Standing.UNTOUCHED and (
            record is None or has_details(named[identity], record)
        ):
            report.untouched += 1
        elif standing is not Standing.MISSING or record is None:
            back = record is not None and record.op is Operation.REMOVE
            how = "was taken back and is there again" if back else "was changed by a person since"
            words = f"{_called(named[identity])} {how}."
            report.remarks.append(_finding("changed", entry, words, identity))
        else:
            elsewhere = [
                other
                for other, items in objects.items()
                if other != entry.id and any(item.id == identity for item in items)
            ]
            what = f"label {record.label}" if record.label else "an object"
            what += f" ({record.class_name})" if record.class_name else ""
            if elsewhere:
                words = f"{what} was written here and is on image {', '.join(elsewhere)} now."
                report.problems.append(_finding("moved", entry, words, identity))
            else:
                words = f"{what} was written on {record.time_utc[:10]} and is gone."
                if record.extra.get(IN_WINDOW):
                    words += (
                        " It went into the image while that was open in a QuPath, which did not "
                        "save it, or has not yet."
                    )
                report.problems.append(_finding("lost", entry, words, identity))


def _check_windows(project: Project, report: VerifyReport) -> None:
    """Say of which images the window was looked at and not the disk."""
    if not isinstance(project, LiveProject):
        return
    for trouble in project.windows.troubles:
        report.remarks.append(Finding("unsaved", "", "", "", trouble))
    for entry in project.entries:
        if entry.id in project.unsaved_entries:
            words = (
                "it is open in QuPath and not saved: what is said of its objects is what that "
                "window shows, and what nobody saves there is lost."
            )
            report.remarks.append(_finding("unsaved", entry, words))


def _written(ledger: Ledger, entry: Entry) -> int:
    """Count what we wrote to an image and did not take back."""
    last = ledger.last(entry.id).values()
    return sum(record.op is not Operation.REMOVE for record in last)


def _check_gone_images(project: Project, ledger: Ledger, report: VerifyReport) -> None:
    """Name images that we wrote to and that the project no longer has."""
    there = {entry.id for entry in project.entries}
    last = {(r.entry, r.id): r for r in ledger.records if r.entry not in there}
    gone = Counter(r.entry for r in last.values() if r.op is not Operation.REMOVE)
    for entry, count in sorted(gone.items()):
        words = f"image {entry} is no longer in the project; we wrote {count} objects to it."
        report.problems.append(Finding("no_image", entry, "", "", words))


def _check_twice(project: Project, objects: Objects, report: VerifyReport) -> None:
    """Name ids and labels that are there more than once."""
    names = {entry.id: entry for entry in project.entries}
    ids: dict[UUID, list[str]] = {}
    labels: dict[tuple[str, str, str], list[tuple[str, SlideObject]]] = {}
    for entry, items in objects.items():
        for item in items:
            ids.setdefault(item.id, []).append(entry)
            data = item.metadata
            if keys.SESSION in data and keys.LABEL in data:
                key = data[keys.SESSION], data[keys.LABEL], data.get(keys.PART, "0")
                labels.setdefault(key, []).append((entry, item))
    for identity, places in ids.items():
        if len(places) > 1:
            where = ", ".join(f"image {entry}" for entry in places)
            words = f"the id {identity} is there {len(places)} times: {where}."
            report.problems.append(_finding("duplicated", names[places[0]], words, identity))
    for (session, label, part), found in labels.items():
        different = {item.id for _, item in found}
        if len(different) > 1:
            part = "" if part == "0" else f", part {part}"
            words = (
                f"label {label}{part} of session {session[:8]} is there {len(found)} times: "
                + ", ".join(f"{_called(item)} on image {entry}" for entry, item in found)
                + "."
            )
            entry, item = found[0]
            report.problems.append(_finding("duplicated", names[entry], words, item.id))


def _check_slide(entry: Entry, report: VerifyReport) -> None:
    """Say whether an image's slide is where the project says, and the one it was."""
    from qpgaze.slides import open_slide

    try:
        place = entry.image_path()
        with open_slide(place) as slide:
            size = slide.width_px, slide.height_px
    except SlideError as error:
        report.problems.append(_finding("no_slide", entry, str(error)))
        return
    recorded = entry.width_px, entry.height_px
    if None not in recorded and recorded != size:
        words = (
            f"the slide is {size[0]} x {size[1]} px, but the project recorded "
            f"{recorded[0]} x {recorded[1]} px: it is another."
        )
        report.problems.append(_finding("other_slide", entry, words))
    if parse_uri(entry.uris[0]).path != place:
        words = f"the slide moved together with the project and is at {place} now."
        report.remarks.append(_finding("slide_moved", entry, words))


def _check_left_over(folder: Path, report: VerifyReport) -> None:
    """Mention a lock and files that a writer left."""
    holder = read_holder(folder / "qpgaze" / "lock")
    if holder is not None:
        gone = " It no longer runs; the next writer takes over." if holder.surely_gone else ""
        words = f"The project is locked by {who(holder)}.{gone}"
        report.remarks.append(Finding("left_over", "", "", "", words))


def _finding(kind: str, entry: Entry, message: str, identity: UUID | None = None) -> Finding:
    return Finding(kind, entry.id, entry.name, "" if identity is None else str(identity), message)


def _called(item: SlideObject) -> str:
    return f"'{item.name}'" if item.name else f"object {str(item.id)[:8]}"
