"""The log of a project: every write of qpgaze, from the ledger and from the account of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any

from qpgaze.bridge.ledger import Ledger
from qpgaze.bridge.projects.opening import open_project
from qpgaze.bridge.projects.qpproj import find_project_file
from qpgaze.bridge.projects.writes import RECORDED, Write, read_writes
from qpgaze.bridge.records import Operation, Record
from qpgaze.errors import ProjectError


@dataclass(frozen=True)
class LogLine:
    """One write.

    Parameters
    ----------
    time_utc : str
        ISO 8601.
    op : str
        A value of :class:`~qpgaze.bridge.records.Operation`; ``add_image``, ``add_class``; or what
        a write was for that the ledger does not tell of: ``import``, ``collect``, ``set``,
        ``relink``, ``rescue``, ``write``.
    session : str
        Id of the session that the objects came from; empty for images and classes.
    entry, image : str
        Id and name of the image; the name is empty where the project has none of that id.
    method : str
        What made the shapes.
    count : int
        Objects (images, classes, files) written.
    classes : mapping of str to int
        How many of which class.
    """

    time_utc: str
    op: str
    session: str = ""
    entry: str = ""
    image: str = ""
    method: str = ""
    count: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the line as JSON values."""
        return asdict(self)


def log_project(path: str | PathLike[str]) -> list[LogLine]:
    """List every write of ours into a project, oldest first.

    Parameters
    ----------
    path : path
        The project's folder or its ``.qpproj`` file.

    Raises
    ------
    ProjectError
        If there is no project, or the ledger is damaged.
    """
    file = find_project_file(Path(path))
    names: dict[str, str] = {}
    try:
        with open_project(file, backend="embedded") as project:
            names = {entry.id: entry.name for entry in project.entries}
    except ProjectError:  # broken: the account is of use all the more
        names = {}
    writes = read_writes(file.parent)
    told = {entry for write in writes if write.occasion == "collect" for entry in write.objects}
    records = [
        record
        for record in Ledger.open(file).records
        if not (record.op is Operation.COLLECT and record.entry in told)
    ]
    lines = [*_ledger_lines(records, names), *_write_lines(writes, names)]
    return sorted(lines, key=lambda line: line.time_utc)


def _write_lines(writes: Sequence[Write], names: Mapping[str, str]) -> Iterator[LogLine]:
    """Tell of the writes what the ledger does not."""
    for write in writes:
        for entry, name in write.images.items():
            yield LogLine(write.time_utc, "add_image", "", entry, name, "", 1)
        for entry, counts in write.objects.items():
            count = counts.added + counts.replaced + counts.removed
            if write.occasion != RECORDED and (count or entry not in write.images):
                op = write.occasion or "write"
                name = names.get(entry, "")
                yield LogLine(write.time_utc, op, "", entry, name, "", count, counts.classes)
        data = any(path.endswith(".qpdata") for path in write.files)
        if write.classes and not write.images and not data:
            classes = dict.fromkeys(write.classes, 1)
            yield LogLine(write.time_utc, "add_class", count=len(classes), classes=classes)
        if write.occasion in ("relink", "rescue"):
            yield LogLine(write.time_utc, write.occasion, count=len(write.files))


def _ledger_lines(records: Sequence[Record], names: Mapping[str, str]) -> Iterator[LogLine]:
    def alike(r: Record) -> tuple[str, str, str, str, str]:
        return r.time_utc, r.op.value, r.session, r.entry, r.method

    for (time_utc, op, session, entry, method), group in groupby(records, key=alike):
        classes = Counter(record.class_name or "Unclassified" for record in group)
        yield LogLine(
            time_utc,
            op,
            session,
            entry,
            names.get(entry, ""),
            method,
            sum(classes.values()),
            dict(classes),
        )
