"""Keep ledger and project together when a computer stops between the two.

Before objects are written, their records go to ``<project>/qpgaze/pending-<number>.jsonl``; once
the objects are in the project, the records are appended to the ledger and the file goes. What is
still there later was cut in the middle: the objects then say whether they were written.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from qpgaze.bridge.ledger import Ledger
from qpgaze.bridge.projects.files import write_durably
from qpgaze.bridge.projects.holder import unlink
from qpgaze.bridge.projects.lock import writer_lock
from qpgaze.bridge.projects.opening import Backend, open_project
from qpgaze.bridge.projects.protocol import Project
from qpgaze.bridge.records import (
    Operation,
    Record,
    as_recorded,
    has_details,
    parse_record,
    record_line,
)
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject


def commit_recorded(project: Project, ledger: Ledger, records: Sequence[Record]) -> None:
    """Commit a project and record in the ledger what was staged.

    Parameters
    ----------
    project : Project
        With changes staged.
    ledger : Ledger
        Of that project.
    records : sequence of Record
        From :func:`~qpgaze.bridge.records.records_of`, one for each staged object.

    Raises
    ------
    ConflictError
        If the project changed so that what is staged does not go with it, or is being written.
    ProjectError
        If it cannot be written. Neither project nor ledger changed then.
    """
    folder = project.path.parent
    with writer_lock(folder):
        pending = _write_pending(folder, records)
        try:
            project.commit()
        except ProjectError:  # nothing was written
            _drop(pending)
            raise
        except BaseException:  # Ctrl-C: it may have come just after the write
            if pending is not None:
                with open_project(project.path, backend=_backend(project)) as again:
                    _settle(pending, again, ledger)
            raise
        ledger.append(records)
        _drop(pending)


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
    records = read_pending(file)
    needed = {record.entry for record in records}
    there = {entry.id: entry.objects() for entry in project.entries if entry.id in needed}
    ledger.append(not_yet(settled(records, there), ledger))
    _drop(file)


def _backend(project: Project) -> Backend:
    return "paquo" if project.backend == "paquo" else "embedded"


def pending_files(project_folder: Path) -> list[Path]:
    """Return what writes that were cut left, the oldest name first."""
    try:
        return sorted((project_folder / "qpgaze").glob("pending-*.jsonl"))
    except OSError:  # not ours to look into
        return []


def read_pending(file: Path) -> list[Record]:
    """Read the records of a write that was cut; a line that was cut itself counts as none.

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
    return [parse_record(line, file, number) for number, line in enumerate(lines[:-1], 1)]


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
