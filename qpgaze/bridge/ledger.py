"""What we wrote into a project, so that a person's work is told from ours.

``<project>/qpgaze/ledger.jsonl`` gets one line for each object that we add, replace, remove or put
back, after the write succeeded. Lines are never changed. Where a computer stopped between the two,
objects that are certainly ours (their id follows from session and label) are taken in later with
:meth:`Ledger.adopt`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from qpgaze import keys
from qpgaze.bridge.projects.lock import writer_lock
from qpgaze.bridge.shapecode import encode_shapes, same_shape
from qpgaze.errors import ProjectError, UnsupportedDataError, UsageError
from qpgaze.model import SlideObject

VERSION: Final = 1
FILE: Final = "ledger.jsonl"


class Operation(str, Enum):
    """What was done to an object."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"
    PUT_BACK = "put_back"
    ADOPT = "adopt"


class Standing(str, Enum):
    """How an object stands to what we wrote."""

    UNTOUCHED = "untouched"
    CHANGED = "changed"
    MISSING = "missing"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Record:
    """One line of the ledger.

    Parameters
    ----------
    op : Operation
    id : UUID
        Of the object.
    entry : str
        Id of the image.
    session : str
        Id of the session, empty where the object names none.
    label : str
        Label id within the session.
    method : str
        What made the shape.
    class_name : str or None
    shape : mapping
        From :func:`~qpgaze.bridge.shapecode.encode_shape`; empty for a removal.
    time_utc : str
        ISO 8601; when the line was written.
    extra : mapping
        Keys of a later version, kept.
    """

    op: Operation
    id: UUID
    entry: str
    session: str = ""
    label: str = ""
    method: str = ""
    class_name: str | None = None
    shape: Mapping[str, Any] = field(default_factory=dict)
    time_utc: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def records_of(
    op: Operation, entry: str, objects: Iterable[SlideObject], *, time_utc: str | None = None
) -> list[Record]:
    """Make the ledger's records of objects that were just written.

    Parameters
    ----------
    op : Operation
    entry : str
        Id of the image.
    objects : iterable of SlideObject
    time_utc : str, optional
        Default the wall clock.
    """
    stamp = time_utc or datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    every = list(objects)
    shapes: list[dict[str, Any]] = [{} for _ in every]
    if op is not Operation.REMOVE:
        shapes = encode_shapes([i.geometry for i in every], [i.is_ellipse for i in every])
    return [
        Record(
            op=op,
            id=item.id,
            entry=entry,
            session=item.metadata.get(keys.SESSION, ""),
            label=item.metadata.get(keys.LABEL, ""),
            method=item.metadata.get(keys.METHOD, ""),
            class_name=item.class_name,
            shape=shape,
            time_utc=stamp,
        )
        for item, shape in zip(every, shapes, strict=True)
    ]


def is_ours(item: SlideObject) -> bool:
    """Tell whether an object was certainly made by qpgaze.

    A copy that a person makes in QuPath keeps our metadata but gets another id, which then does
    not follow from session and label: it is the person's.
    """
    try:
        session = UUID(item.metadata[keys.SESSION])
        label = int(item.metadata[keys.LABEL])
        part = int(item.metadata.get(keys.PART, "0"))
    except (KeyError, ValueError):
        return False
    return uuid5(session, f"{label}/{part}") == item.id


class Ledger:
    """The ledger of one project; :meth:`open` reads it.

    Parameters
    ----------
    path : Path
        The file, there or not.
    records : sequence of Record
    """

    def __init__(self, path: Path, records: Sequence[Record]) -> None:
        self.path = path
        self._records = list(records)

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
        lines.pop()  # a line is whole once its line break is on the disk: this one was cut
        records = [
            _parse(line, path, number) for number, line in enumerate(lines, 1) if line.strip()
        ]
        return cls(path, records)

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
        text = "".join(_line(record) for record in fresh).encode("utf-8")
        try:
            with writer_lock(self.path.parent.parent):
                _append(self.path, text)
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
    if _reviewed(item) or item.class_name != record.class_name:
        return Standing.CHANGED
    same = same_shape(dict(record.shape), item.geometry, is_ellipse=item.is_ellipse)
    return Standing.UNTOUCHED if same else Standing.CHANGED


def _reviewed(item: SlideObject) -> bool:
    state = item.metadata.get(keys.STATE)
    return state is not None and state != keys.ReviewState.PROPOSED.value


def _line(record: Record) -> str:
    raw = {
        "version": VERSION,
        "op": record.op.value,
        "id": str(record.id),
        "entry": record.entry,
        "session": record.session,
        "label": record.label,
        "method": record.method,
        "class": record.class_name,
        "shape": dict(record.shape),
        "time_utc": record.time_utc,
        **record.extra,
    }
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n"


_KEYS = frozenset(
    {"version", "op", "id", "entry", "session", "label", "method", "class", "shape", "time_utc"}
)


def _parse(line: bytes, path: Path, number: int) -> Record:
    try:
        raw = json.loads(line.decode("utf-8"))
        version = raw["version"]
        if version != VERSION:
            raise UnsupportedDataError(
                f"{path}, line {number}: written by a later qpgaze (ledger version {version}; "
                f"this one knows {VERSION}).",
                hint="Update qpgaze.",
            )
        return Record(
            op=Operation(raw["op"]),
            id=UUID(raw["id"]),
            entry=str(raw["entry"]),
            session=str(raw.get("session", "")),
            label=str(raw.get("label", "")),
            method=str(raw.get("method", "")),
            class_name=raw.get("class"),
            shape=dict(raw.get("shape", {})),
            time_utc=str(raw.get("time_utc", "")),
            extra={key: value for key, value in raw.items() if key not in _KEYS},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProjectError(
            f"{path}, line {number} is damaged; expected one record a line.",
            hint="Move that line to a file of its own to go on without it.",
        ) from error


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
