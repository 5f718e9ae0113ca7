"""One line of a project's ledger: what was done to an object, and what it was like then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from qpgaze import keys
from qpgaze.bridge.shapecode import encode_shapes, same_shape
from qpgaze.errors import ProjectError, UnsupportedDataError
from qpgaze.model import SlideObject

VERSION: Final = 1
_PERSONS_DETAILS: Final = "persons_details"


class Operation(str, Enum):
    """What was done to an object; ``collect`` brought a person's own home from a copy."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"
    PUT_BACK = "put_back"
    ADOPT = "adopt"
    COLLECT = "collect"


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
    details : str
        Fingerprint of name, description, colour and lock; empty in lines of the first versions.
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
    details: str = ""
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
            details=details_of(item),
            time_utc=stamp,
        )
        for item, shape in zip(every, shapes, strict=True)
    ]


def details_of(item: SlideObject) -> str:
    """Return a fingerprint of what a person may set on an object besides shape and class."""
    told = [item.name, item.description, item.color, item.locked]
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


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


def as_recorded(item: SlideObject, record: Record) -> bool:
    """Tell whether an object has the class and the shape that a record says."""
    if item.class_name != record.class_name:
        return False
    return same_shape(dict(record.shape), item.geometry, is_ellipse=item.is_ellipse)


def has_details(item: SlideObject, record: Record) -> bool:
    """Tell whether an object has the name, description, colour and lock that a record says."""
    return not record.details or record.details == details_of(item)


def has_a_persons_details(item: SlideObject, record: Record) -> bool:
    """Tell whether a person named, described, coloured or locked an object since we first made it.

    Unlike :func:`has_details` also where we gave it a better shape afterwards: the record of that
    holds the person's words, and says so.
    """
    return bool(record.extra.get(_PERSONS_DETAILS)) or not has_details(item, record)


def noting_a_persons_details(
    records: Iterable[Record], before: Mapping[UUID, SlideObject], last: Mapping[UUID, Record]
) -> list[Record]:
    """Note in new records which objects bore a person's name, description, colour or lock.

    Parameters
    ----------
    records : iterable of Record
        Of objects that are about to be replaced.
    before, last : mapping of UUID
        What they are now, and the ledger's last record of them.
    """
    noted = []
    for record in records:
        known = last.get(record.id)
        if known is not None and has_a_persons_details(before[record.id], known):
            record = replace(record, extra={**record.extra, _PERSONS_DETAILS: True})
        noted.append(record)
    return noted


def record_line(record: Record) -> str:
    """Write a record as one line of JSON."""
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
        "details": record.details,
        "time_utc": record.time_utc,
        **record.extra,
    }
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n"


_KEYS = frozenset(
    {"version", "op", "id", "entry", "session", "label", "method", "class", "shape", "details"}
    | {"time_utc"}
)


def parse_record(line: bytes, path: Path, number: int) -> Record:
    """Read one line of a ledger.

    Parameters
    ----------
    line : bytes
    path, number
        Where it stands, for messages.

    Raises
    ------
    ProjectError
        If it is damaged.
    UnsupportedDataError
        If a later version of qpgaze wrote it.
    """
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
            details=str(raw.get("details", "")),
            time_utc=str(raw.get("time_utc", "")),
            extra={key: value for key, value in raw.items() if key not in _KEYS},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProjectError(
            f"{path}, line {number} is damaged; expected one record a line.",
            hint="Move that line to a file of its own to go on without it.",
        ) from error
