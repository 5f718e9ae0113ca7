"""Keep ledger and project together when a computer stops between the two.

Before objects are written, their records go to ``<project>/qpgaze/pending-<number>.jsonl``; once
the objects are in the project, the records are appended to the ledger and the file goes. What is
still there later was cut in the middle: the objects then say whether they were written.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from qpgaze.bridge.ledger import Ledger
from qpgaze.bridge.projects.folder import FolderProject
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.holder import unlink
from qpgaze.bridge.projects.lock import writer_lock
from qpgaze.bridge.projects.opening import Backend, open_project
from qpgaze.bridge.projects.pieces import write_durably
from qpgaze.bridge.projects.protocol import Entry, Project
from qpgaze.bridge.projects.uris import same_place
from qpgaze.bridge.projects.writes import RECORDED
from qpgaze.bridge.records import (
    Operation,
    Record,
    as_recorded,
    has_details,
    parse_record,
    record_line,
)
from qpgaze.errors import ProjectError, WireError
from qpgaze.model import SlideObject

_NEW_IMAGE: Final = "new_image"
"""Key of a pending record of an image that is new itself: its place. The number of such an image
is certain only after the commit."""
IN_WINDOW: Final = "in_window"
"""Key of records of what went into a QuPath's window."""


def commit_recorded(
    project: Project, ledger: Ledger, records: Sequence[Record], *, occasion: str = RECORDED
) -> None:
    """Commit a project and record in the ledger what was staged.

    Parameters
    ----------
    project : Project
        With changes staged.
    ledger : Ledger
        Of that project.
    records : sequence of Record
        From :func:`~qpgaze.bridge.records.records_of`, one for each staged object. Those of a new
        image bear the id that it has while it is staged; in the ledger they get its final one.
    occasion : str
        What the write is called in the account, see :mod:`~qpgaze.bridge.projects.writes`.

    Raises
    ------
    ConflictError
        If the project changed so that what is staged does not go with it, or is being written.
    ProjectError
        If it cannot be written. Neither project nor ledger changed then.
    """
    folder = project.path.parent
    staged = {entry.id: entry for entry in project.entries}
    windows: Collection[str] = getattr(project, "open_entries", ())
    records = [_in_window(record) if record.entry in windows else record for record in records]
    if isinstance(project, FolderProject):
        project.occasion = occasion
    with writer_lock(folder):
        pending = _write_pending(folder, [_placed(record, staged) for record in records])
        try:
            project.commit()
        except ProjectError:  # nothing was written
            _drop(pending)
            raise
        except WireError:  # a QuPath fell silent and may still do it: the next writer finds out
            raise
        except BaseException:  # Ctrl-C: it may have come just after the write
            if pending is not None:
                with open_project(
                    project.path, backend=_backend(project), look_in_windows=True
                ) as again:
                    _settle(pending, again, ledger)
            raise
        ledger.append(replace(record, entry=staged[record.entry].id) for record in records)
        _drop(pending)


def commit_for(project: Project, occasion: str) -> None:
    """Commit a project whose objects are not ours to keep account of, object by object.

    Parameters
    ----------
    project : Project
    occasion : str
        What the write is called in the account: ``import``, ``set``.

    Raises
    ------
    ConflictError, ProjectError
        As :meth:`~qpgaze.bridge.projects.protocol.Project.commit`.
    """
    if isinstance(project, FolderProject):
        project.occasion = occasion
    project.commit()


def _in_window(record: Record) -> Record:
    """Say that an object went into a QuPath's window: it is on the disk once that has saved it."""
    return replace(record, extra={**record.extra, IN_WINDOW: True})


def _placed(record: Record, staged: Mapping[str, Entry]) -> Record:
    """Add to a record of a new image where that image lies."""
    entry = staged[record.entry]
    if not (isinstance(entry, FolderEntry) and entry.is_new):
        return record
    return replace(record, extra={**record.extra, _NEW_IMAGE: entry.uris[0]})


def open_ledger(project: Project) -> Ledger:
    """Open a project's ledger for writing; what was cut in the middle is settled first.

    Parameters
    ----------
    project : Project
        Nothing may be staged on it yet.

    Raises
    ------
    ProjectError
        If the ledger or an image's data that it needs cannot be read.
    """
    folder = project.path.parent
    ledger = Ledger.open(folder)
    if not pending_files(folder):
        return ledger
    with writer_lock(folder):  # whoever still writes is waited for
        ledger = Ledger.open(folder)
        for file in pending_files(folder):
            _settle(file, project, ledger)
    return ledger


def _settle(file: Path, project: Project, ledger: Ledger) -> None:
    """Record what of a write that was cut is in the project, and forget the rest."""
    records = read_pending(file, project.entries)
    needed = {record.entry for record in records}
    there = {entry.id: entry.objects() for entry in project.entries if entry.id in needed}
    ledger.append(not_yet(settled(records, there), ledger))
    _drop(file)


def _backend(project: Project) -> Backend:
    if project.backend == "live":
        return "auto"  # it may be closed by now
    return "paquo" if project.backend == "paquo" else "embedded"


def pending_files(project_folder: Path) -> list[Path]:
    """Return what writes that were cut left, the oldest name first."""
    try:
        return sorted((project_folder / "qpgaze").glob("pending-*.jsonl"))
    except OSError:  # not ours to look into
        return []


def read_pending(file: Path, entries: Sequence[Entry]) -> list[Record]:
    """Read the records of a write that was cut; a line that was cut itself counts as none.

    Parameters
    ----------
    file : Path
    entries : sequence of Entry
        Of the project: an image that was new then has its number from here.

    Raises
    ------
    ProjectError
        If a whole line is damaged.
    """
    try:
        lines = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ProjectError(f"{file} cannot be read: {error.strerror or error}.") from error
    records = [parse_record(line, file, number) for number, line in enumerate(lines[:-1], 1)]
    return [_numbered(record, entries) for record in records]


def _numbered(record: Record, entries: Sequence[Entry]) -> Record:
    """Give a record of an image that was new the number that the image got; none: not written."""
    place = record.extra.get(_NEW_IMAGE)
    if place is None:
        return record
    found = [e.id for e in entries if any(same_place(str(place), uri) for uri in e.uris)]
    extra = {key: value for key, value in record.extra.items() if key != _NEW_IMAGE}
    return replace(record, entry=found[0] if found else "", extra=extra)


def settled(records: Iterable[Record], there: Mapping[str, Sequence[SlideObject]]) -> list[Record]:
    """Return those records whose objects are in the project as the records say.

    Parameters
    ----------
    records : iterable of Record
    there : mapping of str to sequence of SlideObject
        All objects of each image, by entry id; a record of another image counts as not done.
    """
    by_id = {entry: {item.id: item for item in objects} for entry, objects in there.items()}
    return [
        record
        for record in records
        if record.entry in by_id and _is_done(record, by_id[record.entry].get(record.id))
    ]


def _is_done(record: Record, item: SlideObject | None) -> bool:
    if record.op is Operation.REMOVE:
        return item is None
    return item is not None and as_recorded(item, record) and has_details(item, record)


def not_yet(records: Iterable[Record], ledger: Ledger) -> list[Record]:
    """Leave out what the ledger has: the computer stopped after the append."""
    have = {(r.op, r.entry, r.id, r.time_utc) for r in ledger.records}
    return [r for r in records if (r.op, r.entry, r.id, r.time_utc) not in have]


def _write_pending(folder: Path, records: Sequence[Record]) -> Path | None:
    if not records:
        return None
    file = folder / "qpgaze" / f"pending-{secrets.token_hex(4)}.jsonl"
    text = "".join(record_line(record) for record in records)
    try:
        write_durably(file, text.encode("utf-8"))
    except OSError as error:
        _drop(file)
        raise ProjectError(
            f"{file} cannot be written: {error.strerror or error}. Nothing was changed."
        ) from error
    except BaseException:
        _drop(file)
        raise
    return file


def _drop(file: Path | None) -> None:
    if file is not None:
        unlink(file)
