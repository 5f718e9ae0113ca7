"""Take back what a session wrote into a project, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from os import PathLike
from typing import TYPE_CHECKING, Any

from qpgaze import keys
from qpgaze.bridge.committing import commit_and_tell
from qpgaze.bridge.ledger import Ledger, Standing
from qpgaze.bridge.pending import open_ledger
from qpgaze.bridge.projects.opening import open_project
from qpgaze.bridge.reading_notes import cut_ledger, data_from_backup
from qpgaze.bridge.records import Operation, Record, has_a_persons_details, records_of
from qpgaze.errors import ProjectError, UsageError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.bridge.projects.protocol import Entry, Project

_SHORTEST = 4


@dataclass
class RolledBack:
    """What happened to one image.

    Parameters
    ----------
    entry, name : str
    removed : int
        Objects taken back (or that would be, in a dry run).
    left : list of str
        Names (or ids) of objects that a person changed since (shape, class, review, but also
        name, description, colour or lock): left alone.
    gone : int
        Objects that were written and that somebody removed before; from now on nobody misses
        them.
    """

    entry: str
    name: str
    removed: int = 0
    left: list[str] = field(default_factory=list)
    gone: int = 0


@dataclass
class RollbackReport:
    """What :func:`rollback_session` did.

    Parameters
    ----------
    project, backend, session : str
    dry_run : bool
        Whether nothing was written.
    images : list of RolledBack
        Those that the session wrote to.
    notes : list of str
    """

    project: str
    backend: str
    session: str
    dry_run: bool
    images: list[RolledBack] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


def rollback_session(
    path: str | PathLike[str],
    session: str,
    *,
    dry_run: bool = False,
    also_changed: bool = False,
    backend: Backend = "auto",
    save_open: bool | None = None,
) -> RollbackReport:
    """Remove the objects that a session wrote into a project; doing it again does nothing.

    Parameters
    ----------
    path : path
        The project's folder or its ``.qpproj`` file.
    session : str
        Id of the session, or its first characters (at least four).
    dry_run : bool
        Only say what would be done.
    also_changed : bool
        Also remove objects that a person changed since.
    backend : "auto", "embedded", "paquo" or "live"
    save_open : bool, optional
        See :func:`~qpgaze.bridge.committing.commit_and_tell`.

    Returns
    -------
    RollbackReport

    Raises
    ------
    UsageError
        If no session of that name wrote into the project, or several did.
    ProjectError
        If the project or an image that the session wrote to cannot be read or written; nothing
        was changed then.
    """
    with open_project(
        path, mode="r" if dry_run else "r+", backend=backend, look_in_windows=True
    ) as project:
        ledger = Ledger.open(project.path) if dry_run else open_ledger(project)
        objects, unread = _read(project)
        whole = _session_id(session, ledger, objects)
        _require_read(whole, ledger, unread)
        report = RollbackReport(str(project.path), project.backend, whole, dry_run)
        report.notes += cut_ledger(ledger) + data_from_backup(entry for entry, _ in objects)
        report.notes += [f"Image {e.id} ('{e.name}') cannot be read: left out." for e in unread]
        records: list[Record] = []
        for entry, items in objects:
            image, chosen = _choose(entry, items, ledger, whole, also_changed=also_changed)
            if image.removed or image.left or image.gone:
                report.images.append(image)
            if not dry_run:
                entry.remove([item.id for item in chosen])
                records += records_of(Operation.REMOVE, entry.id, chosen)
                records += _nobody_misses(ledger, entry, items, whole)
        report.notes += commit_and_tell(project, ledger, records, save_open=save_open)
    return report


def _read(
    project: Project,
) -> tuple[list[tuple[Entry, Sequence[SlideObject]]], list[Entry]]:
    objects: list[tuple[Entry, Sequence[SlideObject]]] = []
    unread: list[Entry] = []
    for entry in project.entries:
        try:
            objects.append((entry, entry.objects()))
        except ProjectError:
            unread.append(entry)
    return objects, unread


def _session_id(
    wanted: str, ledger: Ledger, objects: Sequence[tuple[Entry, Sequence[SlideObject]]]
) -> str:
    """Find the whole id of a session that wrote into the project."""
    known = {record.session for record in ledger.records}
    known |= {item.metadata.get(keys.SESSION, "") for _, items in objects for item in items}
    known.discard("")
    text = wanted.strip().lower()
    found = [one for one in sorted(known) if one.lower().startswith(text)]
    if len(text) < _SHORTEST or not found:
        listed = ", ".join(sorted(known)) or "none"
        raise UsageError(
            f"Expected a session that wrote into this project, but '{wanted}' came; those that "
            f"did: {listed}.",
            hint="Give its id or the first characters of it, four at least.",
        )
    if len(found) > 1:
        raise UsageError(f"Several sessions begin with '{wanted}': {', '.join(found)}.")
    return found[0]


def _require_read(session: str, ledger: Ledger, unread: Sequence[Entry]) -> None:
    """Refuse to take back a part only."""
    for entry in unread:
        last = ledger.last(entry.id).values()
        if any(r.session == session and r.op is not Operation.REMOVE for r in last):
            raise ProjectError(
                f"The session wrote to image {entry.id} ('{entry.name}'), whose data cannot be "
                "read; nothing was changed.",
                hint="'qpgaze project rescue' may bring them back.",
            )


def _nobody_misses(
    ledger: Ledger, entry: Entry, items: Sequence[SlideObject], session: str
) -> list[Record]:
    """Make records that take back what of a session was gone already."""
    there = {item.id for item in items}
    stamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return [
        replace(record, op=Operation.REMOVE, shape={}, time_utc=stamp)
        for identity, record in ledger.last(entry.id).items()
        if record.session == session
        and identity not in there
        and record.op not in (Operation.REMOVE, Operation.COLLECT)
    ]


def _choose(
    entry: Entry,
    items: Sequence[SlideObject],
    ledger: Ledger,
    session: str,
    *,
    also_changed: bool,
) -> tuple[RolledBack, list[SlideObject]]:
    """Pick what of one image is to be removed."""
    image = RolledBack(entry.id, entry.name)
    last = ledger.last(entry.id)
    there = {item.id: item for item in items}
    chosen: list[SlideObject] = []
    for identity, standing in ledger.compare(items, entry=entry.id).items():
        item, record = there.get(identity), last.get(identity)
        of = record.session if record is not None else ""
        if item is not None and not of:
            of = item.metadata.get(keys.SESSION, "")
        if of != session or standing is Standing.FOREIGN:
            continue
        if record is not None and record.op is Operation.COLLECT:
            continue  # a person's copy of a label, brought home from a reader
        if item is None:
            image.gone += 1
        elif also_changed or (
            standing is Standing.UNTOUCHED
            and (record is None or not has_a_persons_details(item, record))
        ):
            chosen.append(item)
        else:
            image.left.append(item.name or str(item.id))
    image.removed = len(chosen)
    return image, chosen
