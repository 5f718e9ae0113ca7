"""Bring the recorded sessions of a project's copy home, each file checked by its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from qpgaze.errors import QpgazeError, SessionError
from qpgaze.session import sessions_dir
from qpgaze.session.files import read_json, read_manifest
from qpgaze.session.layout import HEADER_FILE, MANIFEST_FILE, SUFFIX, header_from_json
from qpgaze.session.writer import sha256


@dataclass
class CollectedSession:
    """What became of a copy's session.

    Parameters
    ----------
    name : str
        Its folder.
    id : str
        Empty where it cannot be read.
    status : str
        ``added``, ``there``, ``conflict`` (same id, other content) or ``damaged``.
    why : str
    """

    name: str
    id: str
    status: str
    why: str = ""


@dataclass(frozen=True)
class SessionFiles:
    """A session folder as files.

    Parameters
    ----------
    folder : Path
    id : UUID
    digests : dict of str to str
        SHA-256 of each file, ``manifest.json`` left out.
    closed : bool
    """

    folder: Path
    id: UUID
    digests: dict[str, str]
    closed: bool


@dataclass
class SessionShelf:
    """The sessions of the project that is collected into, and those on their way there.

    Parameters
    ----------
    project_folder : Path
    """

    project_folder: Path
    known: dict[UUID, SessionFiles] = field(default_factory=dict)
    _waiting: list[tuple[Path, Path]] = field(default_factory=list)
    _planned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for folder in session_folders(self.project_folder):
            # What cannot be read here stays as it is, and its name is taken.
            with contextlib.suppress(QpgazeError):
                files = read_session_files(folder)
                self.known[files.id] = files

    def plan(self, folder: Path, *, copy: bool) -> CollectedSession:
        """Look at a session of a copy, and bring it beside its place here where it is new.

        Parameters
        ----------
        folder : Path
        copy : bool
            False only says what would be done.

        Raises
        ------
        SessionError
            If the files cannot be copied.
        """
        try:
            files = read_session_files(folder)
        except QpgazeError as error:
            return CollectedSession(folder.name, "", "damaged", str(error))
        mine = self.known.get(files.id)
        if mine is not None:
            if mine.digests == files.digests:
                return CollectedSession(folder.name, str(files.id), "there")
            why = "the project has a session of this id with other content"
            if not (mine.closed and files.closed):
                why += ", and one of them was not closed"
            return CollectedSession(folder.name, str(files.id), "conflict", why)
        if copy:
            fault = self._fetch(files)
            if fault is not None:
                return CollectedSession(folder.name, str(files.id), "damaged", fault)
        self.known[files.id] = files
        why = "" if files.closed else "it was not closed: a recording that was cut"
        return CollectedSession(folder.name, str(files.id), "added", why)

    def sweep(self) -> None:
        """Remove what a collection that was cut left on its way.

        Only for who holds the project's lock: a living collection's files look the same.
        """
        for part in sessions_dir(self.project_folder).glob(".*.part~"):
            shutil.rmtree(part, ignore_errors=True)

    def publish(self) -> None:
        """Move the copied sessions into place.

        Raises
        ------
        SessionError
            If one cannot be moved.
        """
        while self._waiting:
            part, target = self._waiting[0]
            try:
                part.rename(target)
            except OSError as error:
                raise SessionError(
                    f"The session {target.name} cannot be put in place: {error.strerror or error}.",
                    hint="Objects were collected; do the same again for the sessions.",
                ) from error
            self._waiting.pop(0)

    def clear(self) -> None:
        """Remove what was copied and not put in place."""
        for part, _ in self._waiting:
            shutil.rmtree(part, ignore_errors=True)
        self._waiting.clear()
        for folder in (sessions_dir(self.project_folder), self.project_folder / "qpgaze"):
            with contextlib.suppress(OSError):  # in use, or never made
                folder.rmdir()

    def _fetch(self, files: SessionFiles) -> str | None:
        """Copy a session beside its place; says what is wrong with its files, if anything is."""
        target = self._free_place(files)
        part = target.with_name(f".{target.name}.{os.getpid()}.part~")
        try:
            part.mkdir(parents=True)
            self._waiting.append((part, target))
            for name in [*files.digests, *([MANIFEST_FILE] if files.closed else [])]:
                digest = _copy(files.folder / name, part / name)
                if digest != files.digests.get(name, digest):
                    shutil.rmtree(part)
                    self._waiting.pop()
                    return (
                        f"its file {name} is not what its manifest says: damaged, or changed "
                        "after the recording"
                    )
        except OSError as error:
            raise SessionError(
                f"The session '{files.folder.name}' cannot be copied: {error.strerror or error}."
            ) from error
        return None

    def _free_place(self, files: SessionFiles) -> Path:
        """Return where a session goes: under its name, unless another bears it here."""
        folder = sessions_dir(self.project_folder)
        name = files.folder.name
        if name.casefold() in self._planned or (folder / name).exists():
            name = f"{name.removesuffix(SUFFIX)}-{files.id.hex[:8]}{SUFFIX}"
        self._planned.add(name.casefold())
        return folder / name


def session_folders(project_folder: Path) -> Iterator[Path]:
    """Go through the session folders of a project, by name."""
    folder = sessions_dir(project_folder)
    if folder.is_dir():
        yield from sorted(path.parent for path in folder.glob(f"*{SUFFIX}/{HEADER_FILE}"))


def read_session_files(folder: Path) -> SessionFiles:
    """Take stock of a session folder.

    Of a closed session the manifest's checksums are taken; they are checked when it is copied.

    Raises
    ------
    SessionError
        If it is no session, or holds links or folders: none of ours does.
    """
    header = header_from_json(read_json(folder / HEADER_FILE))
    listed, _ = read_manifest(folder)
    digests: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            raise SessionError(
                f"The session '{folder.name}' holds '{path.name}', which is no plain file.",
                hint="Remove it: no session holds links or folders.",
            )
        if path.name == MANIFEST_FILE:
            continue
        known = None if listed is None else listed.get(path.name)
        digests[path.name] = sha256(path) if known is None else str(known["sha256"])
    missing = sorted(set(listed or {}) - set(digests))
    if missing:
        raise SessionError(f"The session '{folder.name}' lacks its file {missing[0]}.")
    return SessionFiles(folder, header.id, digests, listed is not None)


def _copy(source: Path, target: Path) -> str:
    """Copy a file, wait until it is on the disk, and return its checksum as read back."""
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as write:
        while chunk := read.read(1 << 20):
            digest.update(chunk)
            write.write(chunk)
        write.flush()
        os.fsync(write.fileno())
    back = sha256(target)
    if back != digest.hexdigest():
        raise SessionError(
            f"{target.name} did not come back from the disk as it was written.",
            hint="Check the disk or network share.",
        )
    return back
