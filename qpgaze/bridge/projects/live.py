"""The live store: a project that is open in a QuPath, reached through the hook in its window.

What is open there is read from and put into the window, so that the labels appear and QuPath's own
save keeps them; images that are closed, the list of images and the classes are written to the
folder as ever. All of it or none: a window that took its objects gives them back where another
image, or the folder, cannot be written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qpgaze.bridge.projects import qpproj
from qpgaze.bridge.projects.codec import Codec
from qpgaze.bridge.projects.files import read_file
from qpgaze.bridge.projects.folder import FolderProject, now_ms
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.live_entry import LiveEntry, Put
from qpgaze.bridge.projects.live_windows import Windows
from qpgaze.bridge.projects.lock import Held, writer_lock
from qpgaze.bridge.projects.snapshots import prune, take_snapshots
from qpgaze.bridge.projects.writes import write_and_note
from qpgaze.errors import ConflictError, ProjectError, QpgazeError, WireError

BACKEND = "live"


@dataclass
class InWindow:
    """An open image that got objects.

    Parameters
    ----------
    entry, name : str
    changed_before : bool
        Whether a person had not saved what they did.
    put : Put
        The last change.
    """

    entry: str
    name: str
    changed_before: bool
    put: Put


class LiveProject(FolderProject):
    """A project of which a QuPath has images open; see the protocol.

    Parameters
    ----------
    path, codec, mode, reason, allow_hosts
        As for :class:`~qpgaze.bridge.projects.folder.FolderProject`.
    windows : Windows
        Which has looked already; closed with the project.
    """

    def __init__(
        self,
        path: Path,
        windows: Windows,
        *,
        codec: Codec,
        mode: str = "r",
        reason: str = "",
        allow_hosts: Collection[str] = (),
    ) -> None:
        self.windows = windows
        self._in_windows: dict[str, InWindow] = {}
        self._lists_images = False
        super().__init__(path, codec=codec, mode=mode, reason=reason, allow_hosts=allow_hosts)

    @property
    def backend(self) -> str:
        """How the project is reached."""
        return BACKEND

    @property
    def open_entries(self) -> frozenset[str]:
        """Ids of the images that are open in a QuPath."""
        return self.windows.entries

    @property
    def unsaved_entries(self) -> frozenset[str]:
        """Ids of those among them that are not saved as they are."""
        return self.windows.unsaved

    def make_entry(self, raw: dict[str, Any]) -> FolderEntry:
        """Return an image of the project file."""
        return LiveEntry(self, raw, self.windows)

    def close(self) -> None:
        """Forget what is staged, and let go of QuPath."""
        super().close()
        self.windows.close()

    def _write(self, touched: list[FolderEntry], held: Held) -> None:
        """Put into windows what is open there, then write the rest; all or none.

        Classes come first: a window learns them from the project when it gets objects, and writes
        its own list over the file's later.
        """
        for entry in touched:
            self._new_classes.update(entry.new_classes(self.classes))
        self._write_classes(held)
        self._lists_images |= bool(self._project_changes())
        done: list[tuple[LiveEntry, Put]] = []
        try:
            for entry in touched:
                put = entry.put(self.classes) if isinstance(entry, LiveEntry) else None
                if put is not None and isinstance(entry, LiveEntry):
                    done.append((entry, put))
            super()._write(touched, held)
        except BaseException as error:
            _take_back(done, error)
            raise
        for entry, put in done:
            first = self._in_windows.get(entry.id)
            changed = put.image.changed if first is None else first.changed_before
            self._in_windows[entry.id] = InWindow(entry.id, entry.name, changed, put)

    def _write_classes(self, held: Held) -> None:
        changes = self._class_changes()
        if not changes:
            return
        write_and_note(
            self.folder,
            changes,
            held=held,
            now_ms=self.clock_ms(),
            classes=list(self._new_classes),
            occasion=self.occasion,
        )
        content, self._classes_snapshot = read_file(self._classes_path)
        self._classes_raw = qpproj.parse_classes(content, self._classes_path)
        self._new_classes = {}
        self.windows.learn_classes()

    def save_open(self, wanted: bool | None = None) -> list[str]:
        """Ask QuPath to save the open images that got objects, and say what became of each.

        Parameters
        ----------
        wanted : bool, optional
            True: also those in which a person had something unsaved. False: none. By default
            those in which nothing was unsaved before: there it changes nothing but what we put.

        Returns
        -------
        list of str
            A sentence or two for each image; none where nothing went into a window.
        """
        told = []
        with writer_lock(self.folder):
            for item in self._in_windows.values():
                told.append(self._save(item, wanted))
        if self._in_windows:
            self.windows.look()
        if self._lists_images:
            told.append(
                "QuPath has this project open and keeps a list of its images and their metadata of "
                "its own: open the project anew there before anything else is changed in it."
            )
        self._in_windows, self._lists_images = {}, False
        return told

    def _save(self, item: InWindow, wanted: bool | None) -> str:
        image = f"Image {item.entry} ('{item.name}') is open in QuPath"
        lies = "the change shows there and is not on the disk until it is saved (File > Save)"
        if wanted is False:
            return f"{image}: {lies}."
        if wanted is None and item.changed_before:
            return f"{image} with changes that nobody saved: {lies}; --save-open saves both."
        data = self.folder / "data" / item.entry / "data.qpdata"
        try:
            take_snapshots(self.folder, [data], now_ms=now_ms(), made=[])
            item.put.image.client.save(item.put.image.key, revision=item.put.revision)
            prune(self.folder, [data])
        except (WireError, OSError) as error:
            why = error.message if isinstance(error, WireError) else str(error)
            return f"{image}: {lies}. It could not be saved now: {why}"
        return f"{image}: the change shows there, and QuPath saved it."


def _take_back(done: list[tuple[LiveEntry, Put]], why: BaseException) -> None:
    """Free windows of what they got.

    Raises
    ------
    ConflictError
        If one cannot be freed: the message says which, and what `why` was.
    """
    left = []
    for entry, put in reversed(done):
        try:
            put.take_back()
        except WireError as error:
            left.append(f"image {entry.id} ('{entry.name}'): {error.message}")
    if left:
        first = why.message if isinstance(why, QpgazeError) else repr(why)
        raise ConflictError(
            f"{first} But what had come into the window before could not be taken out again: "
            f"{'; '.join(left)}",
            hint="Look into the window: delete the new objects there, or save and go on with them.",
        ) from why


def note_windows(project: object, wanted: bool | None = None) -> list[str]:
    """Save open images as :meth:`LiveProject.save_open` does, where there are any.

    Parameters
    ----------
    project : Project
    wanted : bool, optional
    """
    if not isinstance(project, LiveProject):
        return []
    return [*project.windows.troubles, *project.save_open(wanted)]


def require_live(windows: Windows, path: Path) -> None:
    """Refuse the backend ``live`` where no QuPath has an image of the project open.

    Raises
    ------
    ProjectError
    """
    if not windows.entries:
        more = "".join(f" {trouble}" for trouble in windows.troubles)
        raise ProjectError(
            f"No QuPath with the qpgaze hook has an image of {path} open.{more}",
            hint="Open one there, install the hook (qpgaze install-hook), or leave out --backend.",
        )
