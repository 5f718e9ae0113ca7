"""What we wrote into a project, so that a person's work is told from ours.

``<project>/qpgaze/ledger.jsonl`` gets one line for each object that we add, replace, remove or put
back, after the write succeeded. Lines are never changed. Where a computer stopped between the two,
objects that are certainly ours (their id follows from session and label) are taken in later with
:meth:`Ledger.adopt`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Final
from uuid import UUID

from qpgaze import keys
from qpgaze.bridge.projects.files import RETRY_AFTER_S
from qpgaze.bridge.projects.lock import writer_lock
from qpgaze.bridge.records import (
    Operation,
    Record,
    as_recorded,
    is_ours,
    parse_record,
    record_line,
    records_of,
)
from qpgaze.errors import ProjectError, UsageError
from qpgaze.model import SlideObject

__all__ = ["Ledger", "Operation", "Record", "Standing", "is_ours", "records_of", "remember"]

FILE: Final = "ledger.jsonl"


class Standing(str, Enum):
    """How an object stands to what we wrote."""

    UNTOUCHED = "untouched"
    CHANGED = "changed"
    MISSING = "missing"
    FOREIGN = "foreign"


class Ledger:
    """The ledger of one project; :meth:`open` reads it.

    Parameters
    ----------
    path : Path
        The file, there or not.
    records : sequence of Record
    cut : bool
        The file ends in the middle of a line: a computer stopped while it was written.
    """

    def __init__(self, path: Path, records: Sequence[Record], *, cut: bool = False) -> None:
        self.path = path
        self._records = list(records)
        self.cut = cut

    @classmethod
    def open(cls, project: str | PathLike[str]) -> Ledger:
        """Read the ledger of a project; none yet reads as empty.

        Parameters
        ----------
        project : path
            The project's folder or its ``.qpproj`` file.

        Raises
        ------
        ProjectError
            If a line that is not the last is damaged.
        UnsupportedDataError
            If a later version of qpgaze wrote it.
        """
        place = Path(project)
        folder = place.parent if place.suffix.lower() == ".qpproj" else place
        path = folder / "qpgaze" / FILE
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return cls(path, [])
        except OSError as error:
            raise ProjectError(f"{path} cannot be read: {error.strerror or error}.") from error
        lines = content.split(b"\n")
        rest = lines.pop()  # a line is whole once its line break is on the disk: this one was cut
        records = [
            parse_record(line, path, number) for number, line in enumerate(lines, 1) if line.strip()
        ]
        return cls(path, records, cut=bool(rest))

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, oldest first."""
        return tuple(self._records)

    def last(self, entry: str | None = None) -> dict[UUID, Record]:
        """Return the latest record of each object.

        Parameters
        ----------
        entry : str, optional
            Only of this image.
        """
        latest: dict[tuple[str, UUID], Record] = {}
        for record in self._records:
            if entry is None or record.entry == entry:
                latest[(record.entry, record.id)] = record
        return {identity: record for (_, identity), record in latest.items()}

    def append(self, records: Iterable[Record]) -> None:
        """Add records and wait until they are on the disk.

        Raises
        ------
        ConflictError
            If another program holds the project's lock.
        ProjectError
            If the file cannot be written; what was in it stays.
        """
        fresh = list(records)
        if not fresh:
            return
        text = "".join(record_line(record) for record in fresh).encode("utf-8")
        try:
            with writer_lock(self.path.parent.parent):
                _append_patiently(self.path, text)
        except OSError as error:
            raise ProjectError(
                f"The ledger {self.path} cannot be written: {error.strerror or error}. The "
                "objects themselves are in the project and will be recognised.",
            ) from error
        self._records += fresh

    def compare(
        self, objects: Iterable[SlideObject], *, entry: str | None = None
    ) -> dict[UUID, Standing]:
        """Say of every object, and of every one that we wrote, how it stands.

        Parameters
        ----------
        objects : iterable of SlideObject
            All objects of one image as they are now.
        entry : str, optional
            Id of that image; without it, every image's records are compared.

        Returns
        -------
        dict of UUID to Standing
            ``untouched`` is as we wrote it; ``changed`` was given another shape, class or review
            state by a person; ``missing`` we wrote and it is gone; ``foreign`` is not ours. An
            object that we removed and that is gone is not listed.
        """
        last = self.last(entry)
        standings: dict[UUID, Standing] = {}
        for item in objects:
            record = last.pop(item.id, None)
            standings[item.id] = _standing(item, record)
        for identity, record in last.items():
            if record.op is not Operation.REMOVE:
                standings[identity] = Standing.MISSING
        return standings

    def adopt(self, objects: Iterable[SlideObject], *, entry: str) -> tuple[SlideObject, ...]:
        """Take in objects that are ours and have no record: a write was cut before its record.

        Parameters
        ----------
        objects : iterable of SlideObject
            All objects of one image as they are now.
        entry : str
            Id of that image.

        Returns
        -------
        tuple of SlideObject
            Those taken in. Their present shape counts as ours where nobody reviewed them.
        """
        last = self.last(entry)
        found = tuple(
            item
            for item in objects
            if item.id not in last and not item.geometry.is_empty and is_ours(item)
        )
        self.append(records_of(Operation.ADOPT, entry, found))
        return found


def _standing(item: SlideObject, record: Record | None) -> Standing:
    if record is None:
        if not is_ours(item):
            return Standing.FOREIGN
        return Standing.CHANGED if _reviewed(item) else Standing.UNTOUCHED
    if record.op is Operation.REMOVE:
        return Standing.CHANGED  # we took it away and somebody brought it back
    if _reviewed(item) and record.op is not Operation.COLLECT:
        return Standing.CHANGED
    return Standing.UNTOUCHED if as_recorded(item, record) else Standing.CHANGED


def _reviewed(item: SlideObject) -> bool:
    state = item.metadata.get(keys.STATE)
    return state is not None and state != keys.ReviewState.PROPOSED.value


def _append_patiently(path: Path, text: bytes) -> None:
    """Append; where another program (a virus scanner) holds the file for a moment, try again."""
    for pause_s in RETRY_AFTER_S:
        try:
            return _append(path, text)
        except PermissionError:
            time.sleep(pause_s)
    return _append(path, text)


def _append(path: Path, text: bytes) -> None:
    """Write at the end; after a torn line, at the end of the last whole one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        if end:
            os.lseek(descriptor, end - 1, os.SEEK_SET)
            if os.read(descriptor, 1) != b"\n":
                end = path.read_bytes().rfind(b"\n") + 1
                os.ftruncate(descriptor, end)
        os.lseek(descriptor, end, os.SEEK_SET)
        try:
            view = memoryview(text)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)


def remember(ledger: Ledger, op: str, entry: str, objects: Sequence[SlideObject]) -> None:
    """Append the records of objects that were just written.

    Raises
    ------
    UsageError
        If there is no such operation.
    """
    try:
        operation = Operation(op)
    except ValueError as error:
        names = ", ".join(item.value for item in Operation)
        raise UsageError(f"Expected one of {names}, but '{op}' came.") from error
    ledger.append(records_of(operation, entry, objects))
