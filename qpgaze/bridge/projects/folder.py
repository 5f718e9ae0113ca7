"""A QuPath project as a folder of files, whatever reads and writes the objects in it.

The project file, the classes, locks, backups and atomic writes are the same for every backend; what
differs is the :class:`~qpgaze.bridge.projects.codec.Codec` of an image's ``data.qpdata``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from qpgaze.bridge.projects import qpproj
from qpgaze.bridge.projects.codec import Codec
from qpgaze.bridge.projects.colors import class_color
from qpgaze.bridge.projects.files import (
    Change,
    FileChangedError,
    read_file,
    sweep,
    sweep_image,
)
from qpgaze.bridge.projects.finding import find_entry
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.garbage import no_cyclic_garbage
from qpgaze.bridge.projects.images import read_image
from qpgaze.bridge.projects.lock import Held, writer_lock
from qpgaze.bridge.projects.uris import parse_uri, same_place, uri_from_path
from qpgaze.bridge.projects.writes import write_and_note
from qpgaze.bridge.qupath_names import check_image_type
from qpgaze.errors import ConflictError, EntryError, ProjectError, UsageError

TRIES = 3
"""How often a commit starts anew because another program saved in between."""


def now_ms() -> int:
    """Return the wall clock as QuPath's time stamps have it: milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class FolderProject:
    """A QuPath project; see :class:`~..protocol.Project`.

    Parameters
    ----------
    path : Path
        The project file or its folder.
    codec : Codec
        Reads and writes the images' data.
    mode : "r" or "r+"
    reason : str
        Why this backend was taken.
    clock_ms : callable, optional
        Gives the time stamps that are written; default the wall clock.
    allow_hosts : collection of str
        Computers, besides the project's own, whose shares images may be opened from.
    """

    def __init__(
        self,
        path: Path,
        *,
        codec: Codec,
        mode: str = "r",
        reason: str = "",
        clock_ms: Callable[[], int] = now_ms,
        allow_hosts: Collection[str] = (),
    ) -> None:
        if mode not in ("r", "r+"):
            raise UsageError(f"Expected mode 'r' or 'r+', but '{mode}' came.")
        self.path = qpproj.find_project_file(path)
        self.codec = codec
        self.mode = mode
        self.backend_reason = reason
        self.clock_ms = clock_ms
        self.allow_hosts = frozenset(allow_hosts)
        self.before_write: Callable[[Path, Mapping[str, str]], None] | None = None
        self.occasion = ""  # what the next commit is for, as the account has it
        self._closed = False
        self._load()

    def _load(self) -> None:
        content, self._snapshot = read_file(self.path)
        self.raw = qpproj.parse_project(content, self.path)
        self._classes_path = self.folder / "classifiers" / "classes.json"
        listed, self._classes_snapshot = read_file(self._classes_path)
        self._classes_raw = qpproj.parse_classes(listed, self._classes_path)
        self._new_classes: dict[str, int] = {}
        self._entries = [self.make_entry(item) for item in self.raw.get("images", [])]

    def make_entry(self, raw: dict[str, Any]) -> FolderEntry:
        """Return an image of the project file."""
        return FolderEntry(self, raw)

    @property
    def backend(self) -> str:
        """Name of what reads and writes the images' data."""
        return self.codec.name

    @property
    def folder(self) -> Path:
        """The folder that the project file lies in."""
        return self.path.parent

    @property
    def qupath_version(self) -> str:
        """Version of QuPath that wrote the project last."""
        return str(self.raw.get("version") or qpproj.QUPATH_VERSION)

    @property
    def classes(self) -> Mapping[str, int]:
        """Names and colours of the project's classes, staged ones included."""
        return {**qpproj.class_colors(self._classes_raw), **self._new_classes}

    @property
    def entries(self) -> tuple[FolderEntry, ...]:
        """All images, staged ones included, in the project's order."""
        return tuple(self._entries)

    def entry(self, id_or_name: str) -> FolderEntry:
        """Find an entry by its id, else by a name that only one bears."""
        return find_entry(self._entries, id_or_name)

    def add_image(
        self,
        image: Path,
        *,
        name: str | None = None,
        image_type: str = "BRIGHTFIELD_H_E",
        metadata: Mapping[str, str] | None = None,
    ) -> FolderEntry:
        """Stage a new image; see the protocol."""
        self.require_writable()
        check_image_type(image_type)
        path = Path(os.path.abspath(image))  # noqa: PTH100 - resolve() would follow links and drives
        uri = uri_from_path(path)
        self._require_new_place(uri)
        facts = read_image(path)
        identity = self._free_id()
        raw = qpproj.new_image(
            identity=identity, uri=uri, name=name or path.name, metadata=metadata or {}
        )
        entry = FolderEntry(self, raw, facts=facts, image_type=image_type)
        self._entries.append(entry)
        return entry

    def _require_new_place(self, uri: str) -> None:
        for other in self._entries:
            if any(same_place(uri, place) for place in other.uris):
                raise ConflictError(
                    f"The project already has {parse_uri(uri).path} as image {other.id} "
                    f"('{other.name}')."
                )

    def _free_id(self) -> int:
        last = self.raw.get("lastID")
        taken = [int(entry.id) for entry in self._entries]
        identity = max([last if isinstance(last, int) else 0, *taken]) + 1
        while (self.folder / "data" / str(identity)).exists():
            identity += 1  # left over from an image that was removed: not ours to adopt
        return identity

    def add_classes(self, classes: Mapping[str, int | None]) -> None:
        """Stage classes that the project lacks; see the protocol."""
        self.require_writable()
        have = self.classes
        for name, color in classes.items():
            if name not in have:
                self._new_classes[name] = class_color(name) if color is None else color

    @no_cyclic_garbage()
    def commit(self) -> None:
        """Write everything that is staged; see the protocol."""
        self.require_writable()
        touched = [entry for entry in self._entries if entry.dirty or entry.is_new]
        described = [entry for entry in self._entries if entry.fields_dirty]
        if not touched and not described and not self._new_classes:
            return
        with writer_lock(self.folder) as held:
            if self.before_write is not None:
                self.before_write(self.path, {e.id: e.name for e in touched if not e.is_new})
            self._sweep(touched)
            for turn in range(1, TRIES + 1):
                self._merge(touched)
                self._require_single_ids(touched)
                try:
                    self._write(touched, held)
                    break
                except FileChangedError:
                    if turn == TRIES:
                        raise
        for entry in {*touched, *described}:
            entry.saved()
        self.occasion = ""
        self._reload()

    def _write(self, touched: list[FolderEntry], held: Held) -> None:
        """Write what is staged, with a copy kept of each file that is replaced."""
        for entry in touched:
            self._new_classes.update(entry.new_classes(self.classes))
        classes = self.classes
        changes = [change for entry in touched for change in entry.changes(classes)]
        changes += self._class_changes() + self._project_changes()
        write_and_note(
            self.folder,
            changes,
            held=held,
            now_ms=self.clock_ms(),
            images={entry.id: entry.name for entry in touched if entry.is_new},
            classes=list(self._new_classes),
            occasion=self.occasion,
            objects={entry.id: entry.staged_counts() for entry in self._changed()},
        )

    def _changed(self) -> list[FolderEntry]:
        """Return the images of which anything is to be written."""
        return [e for e in self._entries if e.dirty or e.is_new or e.fields_dirty]

    def _merge(self, touched: list[FolderEntry]) -> None:
        """Put what is staged on top of what the files have become since they were read.

        Raises
        ------
        ConflictError
            If the two do not go together.
        """
        content, now = read_file(self.path)
        if (now.exists, now.digest) != (self._snapshot.exists, self._snapshot.digest):
            if not now.exists:
                raise ConflictError(
                    f"{self.path} is gone; nothing was written.",
                    hint="'qpgaze project rescue' brings it back.",
                )
            self._merge_images(qpproj.parse_project(content, self.path))
            self._snapshot = now
        content, now = read_file(self._classes_path)
        if (now.exists, now.digest) != (
            self._classes_snapshot.exists,
            self._classes_snapshot.digest,
        ):
            self._classes_raw = qpproj.parse_classes(content, self._classes_path)
            self._classes_snapshot = now
        have = qpproj.class_colors(self._classes_raw)
        self._new_classes = {k: v for k, v in self._new_classes.items() if k not in have}
        for entry in touched:
            entry.merge()

    def _merge_images(self, raw: dict[str, Any]) -> None:
        """Take the project's list of images as it is now, and ours after it."""
        known = {entry.id: entry for entry in self._entries if not entry.is_new}
        fresh = [entry for entry in self._entries if entry.is_new]
        entries = [self.make_entry(item) for item in raw.get("images", [])]
        for index, entry in enumerate(entries):
            held = known.pop(entry.id, None)
            if held is None:
                continue
            if held.dirty and held.uris != entry.uris:
                raise ConflictError(
                    f"Image {held.id} of the project is another since it was read "
                    f"('{entry.name}'); nothing was written.",
                    hint="Do the same again.",
                )
            held.raw, entries[index] = entry.raw, held
        lost = [entry for entry in known.values() if entry.dirty or entry.fields_dirty]
        if lost:
            raise ConflictError(
                f"Image '{lost[0].name}' was removed from the project since it was read; nothing "
                "was written.",
                hint="Do the same again.",
            )
        self.raw, self._entries = raw, entries
        for entry in fresh:
            self._require_new_place(entry.uris[0])
            entry.raw["entryID"] = self._free_id()
            self._entries.append(entry)

    def _sweep(self, touched: list[FolderEntry]) -> None:
        """Remove what a writer left that was ended in the middle, where we are to write."""
        sweep(self.path, self._backup)
        sweep(self._classes_path)
        for entry in touched:
            sweep_image(entry.folder)

    @property
    def _backup(self) -> Path:
        return self.path.with_name(f"{self.path.name}.backup")

    def _class_changes(self) -> list[Change]:
        if not self._new_classes:
            return []
        raw = qpproj.append_classes(self._classes_raw, self._new_classes)
        return [Change(self._classes_path, qpproj.dump_json(raw), self._classes_snapshot)]

    def _project_changes(self) -> list[Change]:
        if not any(entry.is_new or entry.fields_dirty for entry in self._entries):
            return []
        raw = dict(self.raw)
        raw["modifyTimestamp"] = self.clock_ms()
        raw["lastID"] = max(int(entry.id) for entry in self._entries)
        last = self.raw.get("lastID")
        if isinstance(last, int):
            raw["lastID"] = max(raw["lastID"], last)
        raw["images"] = [entry.raw_now() for entry in self._entries]
        return [Change(self.path, qpproj.dump_json(raw), self._snapshot, backup=self._backup)]

    def _reload(self) -> None:
        """Read the project anew, and keep the entries that a caller holds."""
        held = {entry.id: entry for entry in self._entries}
        self._load()
        for index, entry in enumerate(self._entries):
            known = held.get(entry.id)
            if known is not None:
                known.raw = entry.raw
                self._entries[index] = known

    def _require_single_ids(self, touched: list[FolderEntry]) -> None:
        ids = [entry.id for entry in self._entries]
        for entry in touched:
            if ids.count(entry.id) > 1:
                raise EntryError(
                    f"Two images of the project share the id {entry.id}; nothing was written.",
                    hint="Remove one of them in QuPath and add it again.",
                )

    def require_open(self) -> None:
        """Refuse work on a closed project."""
        if self._closed:
            raise ProjectError("The project was closed.", hint="Open it again.")

    def require_writable(self) -> None:
        """Refuse changes where the project was opened for reading."""
        self.require_open()
        if self.mode != "r+":
            raise UsageError(
                "The project was opened for reading only.", hint="Open it with mode='r+'."
            )

    def close(self) -> None:
        """Forget what is staged and release everything."""
        for entry in self._entries:
            entry.forget()
        self._closed = True

    def __enter__(self) -> FolderProject:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
