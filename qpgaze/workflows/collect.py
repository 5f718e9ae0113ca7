"""Merge readers' copies of a project into one: sessions, objects, review states, ledger, classes.

Copies are only read. What goes into the project is staged first and written at one commit, so that
a fault on the way leaves the project as it was; collecting the same again adds nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpgaze.bridge import open_project
from qpgaze.bridge.ancestor import keep_versions, last_common_version
from qpgaze.bridge.ledger import Ledger, Operation, Record, is_ours, records_of
from qpgaze.bridge.merge import Prefer, merge_objects
from qpgaze.bridge.merge_fields import Fields, merge_fields
from qpgaze.bridge.merge_images import match_images
from qpgaze.bridge.pending import commit_recorded, open_ledger
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.in_use import warnings_of_use
from qpgaze.bridge.projects.live import note_windows
from qpgaze.bridge.projects.lock import writer_lock
from qpgaze.bridge.projects.qpproj import entry_id, find_project_file, parse_project
from qpgaze.bridge.reading_notes import cut_ledger, data_from_backup
from qpgaze.errors import ProjectError, QpgazeError, UsageError
from qpgaze.workflows.collect_report import (
    CollectedCopy,
    CollectedImage,
    CollectReport,
    count_objects,
    tell_fields,
)
from qpgaze.workflows.collect_sessions import SessionShelf, session_folders

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.bridge.projects.protocol import Entry, Project
    from qpgaze.model import SlideObject

__all__ = ["CollectReport", "collect_projects"]


def collect_projects(
    copies: Sequence[str | PathLike[str]],
    into: str | PathLike[str],
    *,
    dry_run: bool = False,
    add_images: bool = False,
    prefer: Prefer | None = None,
    take_deletions: bool = False,
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
        What to do with what both sides changed; None leaves and lists it.
    take_deletions : bool
        Delete what was deleted in a copy, where it is known to have been there and nobody changed
        it in the project; else it is only listed.
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
    choices = _Choices(add_images, take_deletions, prefer)
    folder = find_project_file(Path(into)).parent
    with contextlib.ExitStack() as opened:
        if not dry_run:  # for as long as it takes: what was read stays true until it is written
            opened.enter_context(writer_lock(folder))
        project = opened.enter_context(open_project(into, mode="r+", **options))
        others = [opened.enter_context(open_project(path, **options)) for path in copies]
        _refuse_itself(project, others)
        report = CollectReport(str(project.path), dry_run)
        ledger = Ledger.open(folder) if dry_run else open_ledger(project)
        report.notes += cut_ledger(ledger) + data_from_backup(project.entries)
        _Collecting(project, ledger, choices).run(others, report)
    return report


def _changed(report: CollectReport) -> set[str]:
    """Return the ids of images that were there before and get other objects."""
    return {
        image.entry
        for copy in report.copies
        for image in copy.images
        if (image.added or image.changed or image.removed) and not image.new
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


@dataclass(frozen=True)
class _Choices:
    add_images: bool
    take_deletions: bool
    prefer: Prefer | None


class _Collecting:
    """One collection while it goes on: what is staged, and what the ledger is to be told."""

    def __init__(self, project: Project, ledger: Ledger, choices: _Choices) -> None:
        self.project = project
        self.choices = choices
        self.ledger = ledger
        self._records: list[Record] = []

    def run(self, others: Sequence[Project], report: CollectReport) -> None:
        """Stage what every copy brings, and write it where it is no dry run."""
        shelf = SessionShelf(self.project.path.parent)
        try:
            if not report.dry_run:
                shelf.sweep()
            for other in others:
                found = self.collect(other)
                found.sessions = [
                    shelf.plan(session, copy=not report.dry_run)
                    for session in session_folders(other.path.parent)
                ]
                report.copies.append(found)
            report.notes += warnings_of_use(self.project, _changed(report))
            if not report.dry_run:
                self.write()
                report.notes += note_windows(self.project)
                shelf.publish()
        finally:
            shelf.clear()

    def collect(self, other: Project) -> CollectedCopy:
        """Stage what a copy brings."""
        found = CollectedCopy(str(other.path))
        ledger = Ledger.open(other.path.parent)
        records: dict[str, list[Record]] = {}
        for record in ledger.records:
            records.setdefault(record.entry, []).append(record)
        found.notes += cut_ledger(ledger) + data_from_backup(other.entries)
        self._take_classes(other, found)
        matches = match_images(self.project.entries, other.entries)
        said = _said_once(self.project, other) if matches.pairs else {}
        for mine, theirs in matches.pairs:
            image = self._merge(mine, theirs, records.get(theirs.id, []))
            if not image.problem:
                same_id = mine.id == theirs.id
                self._merge_fields(mine, theirs, said.get(mine.id) if same_id else None, image)
            found.images.append(image)
        for theirs, why in matches.unmatched:
            self._unmatched(theirs, why, records.get(theirs.id, []), found)
        return found

    def _take_classes(self, other: Project, found: CollectedCopy) -> None:
        have = self.project.classes
        found.classes = [name for name in other.classes if name not in have]
        for name, color in other.classes.items():
            if have.get(name, color) != color:
                found.notes.append(
                    f"The class '{name}' has another colour in the copy (#{color:06x}); it keeps "
                    f"the one that it has here (#{have[name]:06x})."
                )
        self.project.add_classes({name: other.classes[name] for name in found.classes})

    def _unmatched(
        self, theirs: Entry, why: str, records: Sequence[Record], found: CollectedCopy
    ) -> None:
        """Add an image that only the copy has, where that is wanted and can be done."""
        if not self.choices.add_images:
            found.unmatched.append((theirs.id, theirs.name, why))
            return
        try:
            theirs.objects()  # what cannot be read is no reason to add an image without it
            mine = self.project.add_image(
                theirs.image_path(),
                name=theirs.name,
                image_type=theirs.image_type or "UNSET",
                metadata=theirs.metadata,
            )
        except QpgazeError as error:
            found.unmatched.append((theirs.id, theirs.name, f"{why}; not added: {error}"))
            return
        if theirs.description:
            mine.describe(theirs.description)
        if theirs.tags:
            mine.set_tags(theirs.tags)
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
            base=lambda: _objects_once(mine, theirs),
            prefer=self.choices.prefer,
            take_deletions=self.choices.take_deletions,
        )
        mine.add(merged.add)
        mine.replace(merged.change)
        mine.remove([item.id for item in merged.remove])
        self._records += merged.records
        told = {record.id for record in records}
        drawn = [item for item in (*merged.add, *merged.change) if item.id not in told]
        drawn = [item for item in drawn if not is_ours(item)]
        self._records += [  # a person's own: no session's, even if it is a copy of a label
            replace(record, session="", label="", method="")
            for record in records_of(Operation.COLLECT, mine.id, drawn)
        ]
        self._records += records_of(Operation.REMOVE, mine.id, merged.remove)
        count_objects(image, merged)
        return image

    def _merge_fields(
        self, mine: Entry, theirs: Entry, once: Fields | None, image: CollectedImage
    ) -> None:
        """Stage what the copy says of an image besides its objects."""
        here, there = Fields.of(mine), Fields.of(theirs)
        merged = merge_fields(
            mine,
            here,
            there,
            once,
            base_type=None if here == there else _type_once(mine, theirs),
            prefer=self.choices.prefer,
        )
        tell_fields(image, merged)

    def _here(self, entry: Entry) -> Iterator[Record]:
        """Go through what the ledger says of an image, what it is to be told included."""
        for record in (*self.ledger.records, *self._records):
            if record.entry == entry.id:
                yield record

    def write(self) -> None:
        """Write what is staged, objects and ledger together."""
        changed = [
            entry
            for entry in self.project.entries
            if isinstance(entry, FolderEntry) and (entry.dirty or entry.fields_dirty)
        ]
        commit_recorded(self.project, self.ledger, self._records, occasion="collect")
        if changed:
            keep_versions(self.project, changed)


def _objects_once(mine: Entry, theirs: Entry) -> Sequence[SlideObject]:
    """Return the objects of the last version that an image and its copy both had."""
    from qpgaze.bridge.qpdata import read_qpdata

    content = _data_once(mine, theirs)
    try:
        return () if content is None else read_qpdata(content).objects
    except ProjectError:  # a version that nobody could read: it tells nothing
        return ()


def _type_once(mine: Entry, theirs: Entry) -> str | None:
    """Return the image type that both once had, None where that is not known."""
    from qpgaze.bridge.qpdata.opening import read_opening

    content = _data_once(mine, theirs)
    return None if content is None else read_opening(content).image_type


def _data_once(mine: Entry, theirs: Entry) -> bytes | None:
    if not isinstance(mine, FolderEntry) or not isinstance(theirs, FolderEntry):
        return None
    if mine.is_new:
        return None
    return last_common_version(mine.data_path, theirs.data_path)


def _said_once(project: Project, other: Project) -> dict[str, Fields]:
    """Return for each image, by its id, what both projects once said of it."""
    content = last_common_version(project.path, other.path)
    if content is None:
        return {}
    try:
        raw = parse_project(content, project.path)
    except ProjectError:  # a version that nobody could read: it tells nothing
        return {}
    return {entry_id(item): Fields.of_raw(item) for item in raw.get("images", [])}
