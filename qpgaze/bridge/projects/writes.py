"""What we wrote into which file of a project, one line a commit: ``qpgaze/writes.jsonl``.

The ledger knows objects; this knows files. By it a file that another program saved after us is told
from one that is as we left it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from qpgaze.bridge.projects.files import Change, replace_files
from qpgaze.bridge.projects.lock import Held
from qpgaze.bridge.projects.snapshots import discard, prune, take_snapshots
from qpgaze.errors import ProjectError

VERSION: Final = 1
FILE: Final = "writes.jsonl"
RECORDED: Final = "recorded"
"""Occasion of a write of which the ledger tells, object by object."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """How many objects of one image were written.

    Parameters
    ----------
    added, replaced, removed : int
    classes : mapping of str to int
        How many of which class were added or replaced.
    """

    added: int = 0
    replaced: int = 0
    removed: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Counts:
        """Read what :func:`dataclasses.asdict` made.

        Raises
        ------
        ValueError, KeyError, TypeError, AttributeError
            If it is something else.
        """
        added, replaced, removed = (int(raw[key]) for key in ("added", "replaced", "removed"))
        classes = {str(name): int(n) for name, n in raw["classes"].items()}
        return cls(added, replaced, removed, classes)


@dataclass(frozen=True)
class Write:
    """One commit.

    Parameters
    ----------
    time_utc : str
        ISO 8601.
    files : mapping of str to str
        Path within the project (with ``/``) to the SHA-256 of what was written, hexadecimal.
    images : mapping of str to str
        Id and name of images that were added.
    classes : tuple of str
        Names of classes that were added.
    occasion : str
        What it was for: ``recorded``, ``import``, ``collect``, ``set``, ``relink``, ``rescue``;
        empty where nobody said.
    objects : mapping of str to Counts
        For each image by its id, how many objects were written.
    """

    time_utc: str
    files: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    occasion: str = ""
    objects: Mapping[str, Counts] = field(default_factory=dict)


def write_and_note(
    project_folder: Path,
    changes: Sequence[Change],
    *,
    held: Held,
    now_ms: int,
    images: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
    occasion: str = "",
    objects: Mapping[str, Counts] | None = None,
) -> None:
    """Write files of a project, all or none, with a copy kept of each that is replaced.

    Parameters
    ----------
    project_folder : Path
    changes : sequence of Change
    held : Held
        The project's lock.
    now_ms : int
        Milliseconds since 1970, for names and the account.
    images, classes, occasion, objects
        For the account, see :class:`Write`.

    Raises
    ------
    ConflictError
        If a file changed since it was read, or the lock was broken meanwhile.
    ProjectError
        If one cannot be written. Nothing was changed then.
    """
    paths = [change.path for change in changes]
    copies: list[Path] = []

    def keep() -> None:
        take_snapshots(project_folder, paths, now_ms=now_ms, made=copies)
        held.require()

    try:
        replace_files(changes, before_publish=keep)
    except BaseException:
        discard(copies, project_folder)
        raise
    prune(project_folder, paths)
    line = {
        "version": VERSION,
        "time_utc": datetime.fromtimestamp(now_ms / 1000, timezone.utc).isoformat(
            timespec="milliseconds"
        ),
        "files": {
            change.path.relative_to(project_folder).as_posix(): change.digest.hex()
            for change in changes
        },
        "images": dict(images or {}),
        "classes": list(classes),
        "occasion": occasion,
        "objects": {entry: asdict(counts) for entry, counts in (objects or {}).items()},
    }
    _append(project_folder, line)


def _append(project_folder: Path, line: Mapping[str, Any]) -> None:
    """Append to the account; where that fails, only the account is poorer."""
    path = project_folder / "qpgaze" / FILE
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
    try:
        with path.open("ab+") as file:
            if file.tell() and not _ends_whole(path):
                text = b"\n" + text  # the line before was cut: it stays alone
            file.write(text)  # not flushed to the disk: a line lost with a power cut is only that
    except OSError as error:
        _log.warning("%s cannot be written: %s", path, error)


def read_writes(project_folder: Path) -> list[Write]:
    """Return all commits, oldest first; cut or damaged lines are passed over.

    Raises
    ------
    ProjectError
        If the file is there and cannot be read.
    """
    path = project_folder / "qpgaze" / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror or error}.") from error
    writes = []
    for line in content.split(b"\n"):
        try:
            raw = json.loads(line)
            writes.append(
                Write(
                    str(raw["time_utc"]),
                    {str(k): str(v) for k, v in raw["files"].items()},
                    {str(k): str(v) for k, v in raw["images"].items()},
                    tuple(str(name) for name in raw["classes"]),
                    str(raw.get("occasion", "")),
                    {str(k): Counts.from_json(v) for k, v in raw.get("objects", {}).items()},
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return writes


def last_written(writes: Sequence[Write]) -> dict[str, str]:
    """Return for each file the SHA-256 of what we wrote last.

    Examples
    --------
    >>> last_written([Write("t", {"a": "01"}), Write("t", {"a": "02", "b": "03"})])
    {'a': '02', 'b': '03'}
    """
    latest: dict[str, str] = {}
    for write in writes:
        latest.update(write.files)
    return latest


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
