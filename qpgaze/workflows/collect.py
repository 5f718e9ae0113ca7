"""Merge readers' copies of a project into one: sessions, objects, review states, ledger, classes.

Copies are only read. What goes into the project is staged first and written at one commit, so that
a fault on the way leaves the project as it was; collecting the same again adds nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from qpgaze.bridge import open_project
from qpgaze.bridge.ledger import Ledger, Record
from qpgaze.bridge.merge import ImageMerge, Prefer, Told, merge_objects
from qpgaze.bridge.merge_images import match_images
from qpgaze.bridge.pending import open_ledger
from qpgaze.bridge.projects.in_use import warnings_of_use
from qpgaze.bridge.projects.lock import writer_lock
from qpgaze.errors import ProjectError, QpgazeError, UsageError
from qpgaze.workflows.collect_sessions import CollectedSession, SessionShelf, session_folders

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.bridge.projects.protocol import Entry, Project


@dataclass
class CollectedImage:
    """What became of one image of a copy: counts of objects, and those to look at.

    Parameters
    ----------
    entry, name : str
        Here.
    copy_entry : str
        Its id in the copy.
    new : bool
        The image itself was added.
    added : int
        Objects that were only in the copy.
    changed : int
        Taken because only the copy changed them.
    same : int
    kept : int
        Left as they are because only the project changed them.
    gone_here, gone_there : list of Told
        Deleted here and not brought back; deleted in the copy and not deleted here.
    conflicts : list of Told
        Changed on both sides: left as they are here.
    decided : list of Told
        The same, where a side was preferred.
    left_out : list of Told
        What cannot be carried over.
    problem : str
        Why the image's objects could not be read, in here or there.
    """

    entry: str
    name: str
    copy_entry: str
    new: bool = False
    added: int = 0
    changed: int = 0
    same: int = 0
    kept: int = 0
    gone_here: list[Told] = field(default_factory=list)
    gone_there: list[Told] = field(default_factory=list)
    conflicts: list[Told] = field(default_factory=list)
    decided: list[Told] = field(default_factory=list)
    left_out: list[Told] = field(default_factory=list)
    problem: str = ""


@dataclass
class CollectedCopy:
    """What became of one copy.

    Parameters
    ----------
    copy : str
        The project file.
    images : list of CollectedImage
    unmatched : list of (id, name, why)
        Images that are only in the copy and were not added.
    sessions : list of CollectedSession
    classes : list of str
        New here.
    notes : list of str
    """

    copy: str
    images: list[CollectedImage] = field(default_factory=list)
    unmatched: list[tuple[str, str, str]] = field(default_factory=list)
    sessions: list[CollectedSession] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is left for a person to decide."""
        sessions = any(one.status in ("conflict", "damaged") for one in self.sessions)
        images = any(one.conflicts or one.left_out or one.problem for one in self.images)
        return not (sessions or images or self.unmatched)


@dataclass
class CollectReport:
    """What :func:`collect_projects` did.

    Parameters
    ----------
    project : str
    dry_run : bool
        Nothing was written.
    copies : list of CollectedCopy
    notes : list of str
        Images that a QuPath seems to have open.
    """

    project: str
    dry_run: bool
    copies: list[CollectedCopy] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is left for a person to decide."""
        return all(copy.clean for copy in self.copies)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {**asdict(self), "clean": self.clean}


def collect_projects(
    copies: Sequence[str | PathLike[str]],
    into: str | PathLike[str],
    *,
    dry_run: bool = False,
    add_images: bool = False,
    prefer: Prefer | None = None,
    backend: Backend = "auto",
    allow_hosts: Collection[str] = (),
) -> CollectReport:
    """Merge copies of a project into it.

    Parameters
    ----------
    copies : sequence of path
        ``.qpproj`` files or their folders; only read.
    into : path
        The project that everything goes into.
    dry_run : bool
        Only say what would be done.
    add_images : bool
        Also add images that only a copy has; their slides must be there.
    prefer : "here", "copy" or None
        What to do with objects that both sides changed; None leaves and lists them.
    backend : "auto", "embedded" or "paquo"
    allow_hosts : collection of str
        Computers, besides the projects' own, whose shares slides may be opened from.

    Raises
    ------
    UsageError
        If there is no copy, or the project is among them.
    ProjectError, SessionError
        If a project cannot be read or written; nothing was changed then.
    """
    options: dict[str, Any] = {"backend": backend, "allow_hosts": allow_hosts}
    with contextlib.ExitStack() as opened:
        project = opened.enter_context(open_project(into, mode="r+", **options))
        others = [opened.enter_context(open_project(path, **options)) for path in copies]
        _refuse_itself(project, others)
        report = CollectReport(str(project.path), dry_run)
        shelf = SessionShelf(project.path.parent)
        ledger = Ledger.open(project.path.parent) if dry_run else open_ledger(project)
        work = _Collecting(project, ledger, add_images=add_images, prefer=prefer)
        try:
            for other in others:
                found = work.collect(other)
                found.sessions = [
                    shelf.plan(folder, copy=not dry_run)
                    for folder in session_folders(other.path.parent)
                ]
                report.copies.append(found)
            report.notes = warnings_of_use(project, _changed(report))
            if not dry_run:
                work.write(shelf)
        finally:
            shelf.clear()
    return report


def _changed(report: CollectReport) -> set[str]:
    """Return the ids of images that were there before and get other objects."""
    return {
        image.entry
        for copy in report.copies
        for image in copy.images
        if (image.added or image.changed) and not image.new
    }


def _refuse_itself(project: Project, others: Sequence[Project]) -> None:
    seen = {project.path.resolve()}
    if not others:
        raise UsageError("Expected the readers' copies to collect, but none was named.")
    for other in others:
        if other.path.resolve() in seen:
            raise UsageError(
                f"{other.path} is named twice, or is the project that is collected into.",
                hint="Name every copy once.",
            )
        seen.add(other.path.resolve())


class _Collecting:
    """One collection while it goes on: what is staged, and what the ledger is to be told."""

    def __init__(
        self, project: Project, ledger: Ledger, *, add_images: bool, prefer: Prefer | None
    ) -> None:
        self.project = project
        self.add_images = add_images
        self.prefer: Prefer | None = prefer
        self.ledger = ledger
        self._records: list[tuple[Entry, Record]] = []

    def collect(self, other: Project) -> CollectedCopy:
        """Stage what a copy brings."""
        found = CollectedCopy(str(other.path))
        records: dict[str, list[Record]] = {}
        for record in Ledger.open(other.path.parent).records:
            records.setdefault(record.entry, []).append(record)
        have = set(self.project.classes)
        found.classes = [name for name in other.classes if name not in have]
        self.project.add_classes({name: other.classes[name] for name in found.classes})
        matches = match_images(self.project.entries, other.entries)
        for mine, theirs in matches.pairs:
            found.images.append(self._merge(mine, theirs, records.get(theirs.id, [])))
            found.notes += _other_facts(mine, theirs)
        for theirs, why in matches.unmatched:
            self._unmatched(theirs, why, records.get(theirs.id, []), found)
        return found

    def _unmatched(
        self, theirs: Entry, why: str, records: Sequence[Record], found: CollectedCopy
    ) -> None:
        """Add an image that only the copy has, where that is wanted and can be done."""
        if not self.add_images:
            found.unmatched.append((theirs.id, theirs.name, why))
            return
        try:
            theirs.objects()  # what cannot be read is no reason to add an image without it
            mine = self.project.add_image(
                theirs.image_path(),
                name=theirs.name,
                image_type=_image_type(theirs),
                metadata=theirs.metadata,
            )
        except QpgazeError as error:
            found.unmatched.append((theirs.id, theirs.name, f"{why}; not added: {error}"))
            return
        _take_words(mine, theirs)
        image = self._merge(mine, theirs, records)
        image.new = True
        found.images.append(image)

    def _merge(self, mine: Entry, theirs: Entry, records: Sequence[Record]) -> CollectedImage:
        """Stage what one image's objects become."""
        image = CollectedImage(mine.id, mine.name, theirs.id)
        try:
            here, there = mine.objects(), theirs.objects()
        except ProjectError as error:
            image.problem = str(error)
            return image
        merged = merge_objects(
            here,
            there,
            here_records=[*self._here(mine)],
            there_records=[replace(record, entry=mine.id) for record in records],
            prefer=self.prefer,
        )
        mine.add(merged.add)
        mine.replace(merged.change)
        self._records += [(mine, record) for record in merged.records]
        _count(image, merged)
        return image

    def _here(self, entry: Entry) -> Iterator[Record]:
        """Go through what the ledger says of an image, what it is to be told included."""
        yield from (record for record in self.ledger.records if record.entry == entry.id)
        yield from (record for mine, record in self._records if mine is entry)

    def write(self, shelf: SessionShelf) -> None:
        """Write everything: objects first, then sessions and ledger, which can be caught up on."""
        with writer_lock(self.project.path.parent):
            self.project.commit()
            shelf.publish()
            # A new image may have got another id at the commit.
            self.ledger.append(replace(record, entry=mine.id) for mine, record in self._records)


def _count(image: CollectedImage, merged: ImageMerge) -> None:
    image.added, image.changed = len(merged.add), len(merged.change)
    image.same, image.kept = merged.same, merged.kept
    image.gone_here, image.gone_there = merged.gone_here, merged.gone_there
    image.conflicts, image.decided = merged.conflicts, merged.decided
    image.left_out = merged.left_out


def _other_facts(mine: Entry, theirs: Entry) -> list[str]:
    """Say what a copy knows of an image that is not merged: a person may want to take it over."""
    other = {
        key: value for key, value in theirs.metadata.items() if mine.metadata.get(key) != value
    }
    notes = []
    if other:
        said = ", ".join(f"{key} = {value}" for key, value in sorted(other.items()))
        notes.append(f"Image {mine.id} {mine.name}: in the copy its metadata say {said}.")
    return notes


def _take_words(mine: Entry, theirs: Entry) -> None:
    """Give a new image what people wrote about it in the copy."""
    from qpgaze.bridge.projects.folder_entry import FolderEntry

    if isinstance(mine, FolderEntry) and isinstance(theirs, FolderEntry):
        for key in ("description", "tags"):
            if key in theirs.raw:
                mine.raw[key] = theirs.raw[key]


def _image_type(entry: Entry) -> str:
    """Return what QuPath takes an image for; unset where the copy does not say."""
    from qpgaze.bridge.projects.folder_entry import FolderEntry
    from qpgaze.bridge.qpdata import read_qpdata

    if not isinstance(entry, FolderEntry) or not entry.data_path.is_file():
        return "UNSET"
    return read_qpdata(entry.data_path.read_bytes()).image_type or "UNSET"
