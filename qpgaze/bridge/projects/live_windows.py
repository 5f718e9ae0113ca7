"""The QuPaths that run on this computer with our hook, and which images of a project they show."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import qpgaze
from qpgaze.bridge.projects.uris import parse_uri, same_place, uri_from_path
from qpgaze.errors import ConflictError, QpgazeError, WireError

if TYPE_CHECKING:
    from qpgaze.wire import WireClient

CLIENT: Final = "store"


@dataclass(frozen=True)
class OpenImage:
    """An image of the project that is open in a QuPath.

    Parameters
    ----------
    entry : str
        Entry id.
    key : str
        QuPath's name for it as long as it is open.
    changed : bool
        Whether something in it is not saved.
    revision : int
        Grows with every change of its objects.
    client : WireClient
        To that QuPath.
    """

    entry: str
    key: str
    changed: bool
    revision: int
    client: WireClient


class Windows:
    """What running QuPaths show of one project.

    Parameters
    ----------
    project_file : Path
    folders : tuple of Path, optional
        Where to look for hooks instead of the user's discovery folders.
    """

    def __init__(self, project_file: Path, folders: tuple[Path, ...] | None = None) -> None:
        self._file = project_file
        self._folders = folders
        self._clients: dict[Path, WireClient] = {}
        self._images: dict[str, list[OpenImage]] = {}
        self.asked: frozenset[int] = frozenset()
        """Processes that answered."""
        self.troubles: list[str] = []
        """What is known of QuPaths that could not be asked."""

    @property
    def entries(self) -> frozenset[str]:
        """Entry ids of the images that are open, as of the last :meth:`look`."""
        return frozenset(self._images)

    @property
    def unsaved(self) -> frozenset[str]:
        """Entry ids of those among them in which something is not saved."""
        return frozenset(e for e, found in self._images.items() if any(i.changed for i in found))

    def open_entries(self, project_file: Path) -> frozenset[str]:
        """Return the entry ids of a project's images that are open."""
        return self.entries if project_file == self._file else frozenset()

    def look(self) -> Windows:
        """Ask every running QuPath anew."""
        from qpgaze.wire import find_hooks  # most commands ask no QuPath

        found = find_hooks(self._folders)
        self.troubles = [
            f"A QuPath (process {pid}) cannot be asked what it has open: {why}"
            for pid, why in _running(found.troubles)
        ]
        self._images = {}
        asked = set()
        for hook in found.hooks:
            try:
                client = self._client(hook.path)
                images = client.images()
            except WireError as error:
                self._drop(hook.path)
                if error.code != "stale":  # else another program runs under its number
                    self.troubles.append(
                        f"A QuPath (process {hook.pid}) cannot be asked what it has open: {error}"
                    )
                continue
            asked.add(hook.pid)
            for image in images:
                self._note(image, client)
        self.asked = frozenset(asked)
        return self

    def image(self, entry: str) -> OpenImage | None:
        """Return an open image, as of the last :meth:`look`; None where it is not open.

        Raises
        ------
        ConflictError
            If it is open twice, in two QuPaths or two viewers: whichever is saved last wins there.
        """
        found = self._images.get(entry, [])
        if len(found) > 1:
            raise ConflictError(
                f"Image {entry} is open {len(found)} times at once; nothing was changed.",
                hint="Close it in all but one QuPath, or viewer.",
            )
        return found[0] if found else None

    def learn_classes(self) -> None:
        """Let the QuPaths take over the classes that the project has on the disk."""
        for images in self._images.values():
            for image in images:
                with contextlib.suppress(WireError):  # what it must do is asked of it later
                    image.client.change_objects(image.key)

    def close(self) -> None:
        """End the connections."""
        for path in list(self._clients):
            self._drop(path)
        self._images = {}

    def __enter__(self) -> Windows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _client(self, path: Path) -> WireClient:
        from qpgaze.wire import WireClient

        known = self._clients.get(path)
        if known is None or known.ended is not None:
            self._clients[path] = known = WireClient(path, CLIENT, qpgaze.__version__)
        return known

    def _drop(self, path: Path) -> None:
        client = self._clients.pop(path, None)
        if client is not None:
            client.close()

    def _note(self, image: dict[str, Any], client: WireClient) -> None:
        entry = image["image"].get("entry_id")
        uri = image.get("project_uri")
        if entry is None or uri is None or not _is_file(uri, self._file):
            return
        opened = OpenImage(entry, image["key"], image["changed"], image["revision"], client)
        self._images.setdefault(entry, []).append(opened)


def _running(troubles: Iterable[tuple[Path, str]]) -> Iterator[tuple[int, str]]:
    """Choose hooks that cannot be used although their QuPath runs: of another version, say."""
    from qpgaze.wire.discovery import process_runs, read_hook_file

    for path, why in troubles:
        with contextlib.suppress(WireError):
            hook = read_hook_file(path)
            if process_runs(hook.pid):
                yield hook.pid, why


def _is_file(uri: str, file: Path) -> bool:
    """Tell whether QuPath's name of a project is this file, by whatever way each came to it."""
    if same_place(uri, uri_from_path(file.absolute())):
        return True
    with contextlib.suppress(QpgazeError, OSError, ValueError):
        path = parse_uri(uri).path
        return path is not None and Path(path).samefile(file)
    return False


@contextlib.contextmanager
def windows_of(project_file: Path, folders: tuple[Path, ...] | None = None) -> Iterator[Windows]:
    """Ask the running QuPaths once, and let go of them again."""
    with Windows(project_file, folders) as windows:
        yield windows.look()
