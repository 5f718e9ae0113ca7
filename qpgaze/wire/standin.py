"""A QuPath that is none: open images with objects, and viewers, behind the hook's end of the wire.

For tests, practice and demonstrations. It keeps what it is given, refuses what QuPath would refuse,
and can play a recorded reading's viewer states as if a person moved about.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from qpgaze.errors import WireError
from qpgaze.model import Event
from qpgaze.viewing import ImageIdentity, ViewerState
from qpgaze.viewing_json import dump_line, image_to_json
from qpgaze.wire.discovery import HookFile
from qpgaze.wire.parts import PART_BYTES
from qpgaze.wire.schema import Message
from qpgaze.wire.server import WireServer

KEYFRAME_US: Final = 1_000_000


@dataclass
class OpenImage:
    """An image that is open in the stand-in.

    Parameters
    ----------
    key : str
    image : ImageIdentity
    objects : dict of str to GeoJSON Feature
        By object id.
    viewers : tuple of str
    changed : bool
    revision : int
    read_only : bool
        Whether the project lies where nothing can be written.
    project_uri : str or None
    pixel_size_um : (x, y) or None
    keep : callable or None
        Writes the image into its project when it is saved.
    saved : list of dict
        What each save wrote.
    """

    key: str
    image: ImageIdentity
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    viewers: tuple[str, ...] = ()
    changed: bool = False
    revision: int = 0
    read_only: bool = False
    project_uri: str | None = None
    pixel_size_um: tuple[float, float] | None = None
    keep: Callable[[OpenImage], None] | None = None
    saved: list[dict[str, dict[str, Any]]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return what the wire says of it."""
        return {
            "key": self.key,
            "image": image_to_json(self.image),
            "changed": self.changed,
            "revision": self.revision,
            "viewers": list(self.viewers),
            "project_uri": self.project_uri,
            "pixel_size_um": None if self.pixel_size_um is None else list(self.pixel_size_um),
        }


class StandIn:
    """A stand-in for QuPath with its hook.

    Parameters
    ----------
    folder : Path, optional
        Where its discovery file goes.
    **server
        Further arguments of :class:`~qpgaze.wire.server.WireServer`.
    """

    def __init__(self, folder: Path | None = None, **server: Any) -> None:
        self._lock = threading.RLock()
        self._images: dict[str, OpenImage] = {}
        self._keys = 0
        self._states: dict[str, ViewerState] = {}
        self._stop = threading.Event()
        self._player: threading.Thread | None = None
        self.notes: list[Message] = []
        """What clients asked to show, in order."""
        self.server = WireServer(self, folder=folder, **server)

    def start(self) -> HookFile:
        """Begin to listen."""
        return self.server.start()

    def close(self) -> None:
        """End as QuPath does when its window is closed."""
        self._stop.set()
        if self._player is not None:
            self._player.join()
        self.server.close()

    def __enter__(self) -> StandIn:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what a person does --------------------------------------------------------------------

    def open_image(
        self,
        image: ImageIdentity,
        viewers: Sequence[str] = ("1",),
        *,
        objects: Iterable[Mapping[str, Any]] = (),
        project_uri: str | None = None,
        keep: Callable[[OpenImage], None] | None = None,
    ) -> OpenImage:
        """Open an image and tell the clients.

        Parameters
        ----------
        image : ImageIdentity
        viewers : sequence of str
            Names of those that show it.
        objects : iterable of GeoJSON Feature
            What the image has in its project, each with the id of its ``parent``.
        project_uri : str, optional
        keep : callable, optional
            Writes the image into its project when it is saved; an ``OSError`` fails the save.
        """
        with self._lock:
            self._keys += 1
            opened = OpenImage(str(self._keys), image, viewers=tuple(viewers))
            opened.objects = {str(feature["id"]): dict(feature) for feature in objects}
            opened.project_uri, opened.keep = project_uri, keep
            self._images[opened.key] = opened
        self._tell("image opened", opened)
        return opened

    def close_image(self, key: str) -> None:
        """Close an image; what was not saved is lost, as a person chose."""
        with self._lock:
            closed = self._images.pop(key)
        self._tell("image closed", closed)

    def edit(self, key: str, features: Iterable[Mapping[str, Any]]) -> None:
        """Put objects into an image as a person does."""
        with self._lock:
            opened = self._images[key]
            opened.objects.update({str(f["id"]): dict(f) for f in features})
            opened.changed, opened.revision = True, opened.revision + 1
        self._tell("image changed", opened)

    def show(self, state: ViewerState) -> None:
        """Let a viewer show something else; ``t_us`` is on the viewer's clock."""
        with self._lock:
            self._states[state.viewer] = state
        self.server.publish_state(state)

    def play(
        self,
        states: Sequence[ViewerState],
        events: Sequence[Event] = (),
        *,
        start_us: int | None = None,
        speed: float = 1.0,
    ) -> threading.Thread:
        """Play a reading's viewer states and events from now on, on a thread of its own.

        Parameters
        ----------
        states, events
            Each in time order, on the session clock.
        start_us : int, optional
            When the session clock was 0, on the viewer's clock: now where not given.
        speed : float
            Seconds of the reading in a second.
        """
        start_us = self.server.clock() if start_us is None else start_us
        moments: list[tuple[int, ViewerState | Event]] = [(s.t_us, s) for s in states]
        moments += [(e.t_us, e) for e in events]
        moments.sort(key=lambda moment: moment[0])
        self._player = threading.Thread(
            target=self._play, args=(moments, start_us, speed), name="qpgaze-hook-play", daemon=True
        )
        self._player.start()
        return self._player

    def _play(
        self, moments: list[tuple[int, ViewerState | Event]], start_us: int, speed: float
    ) -> None:
        for t_us, what in moments:
            due_us = start_us + round(t_us / speed)
            wait_s = (due_us - self.server.clock()) / 1e6
            if self._stop.wait(max(wait_s, 0.0)):
                return
            if isinstance(what, ViewerState):
                self.show(replace(what, t_us=due_us, read_us=due_us))
            else:
                self.server.publish_event(due_us, what.kind, what.data)

    # -- what the wire asks --------------------------------------------------------------------

    def states(self) -> list[ViewerState]:
        """Return every viewer's present state."""
        with self._lock:
            return list(self._states.values())

    def images(self) -> list[dict[str, Any]]:
        """Return the open images."""
        with self._lock:
            return [opened.to_json() for opened in self._images.values()]

    def note(self, note: Message) -> None:
        """Keep what is to be shown."""
        with self._lock:
            self.notes.append(note)

    def request(self, request: Message) -> Mapping[str, Any]:
        """Do what a client asks.

        Raises
        ------
        WireError
            If the image is not open, or the change cannot be made; then nothing of it was.
        """
        with self._lock:
            opened = self._images.get(request["image"])
            if opened is None:
                raise WireError(f"No image {request['image']} is open.", code="no_image")
            if request["type"] == "objects":
                return _page(opened, request.get("start", 0))
            if request["type"] == "save":
                answer, kind = _save(opened, request), "image saved"
            elif request["type"] == "change_objects":
                answer, kind = _change(opened, request), "image changed"
            else:
                raise WireError(f"'{request['type']}' is not done here.", code="unknown")
        self._tell(kind, opened)
        return answer

    def _tell(self, kind: str, opened: OpenImage) -> None:
        data = {"key": opened.key, "name": opened.image.name, "revision": opened.revision}
        self.server.publish_event(self.server.clock(), kind, data)
        self.server.publish_images()


def _page(opened: OpenImage, start: int) -> dict[str, Any]:
    """Return as many objects from `start` on as go into a line."""
    every = list(opened.objects.values())
    page: list[dict[str, Any]] = []
    size = 0
    for feature in every[start:]:
        size += len(dump_line(feature))
        if page and size > PART_BYTES:
            break
        page.append(feature)
    end = start + len(page)
    return {
        "objects": page,
        "next": end if end < len(every) else None,
        "total": len(every),
        "revision": opened.revision,
    }


def _change(opened: OpenImage, request: Message) -> dict[str, Any]:
    put, new, remove = (request.get(name, []) for name in ("put", "replace", "remove"))
    _require_revision(opened, request)
    named = [f["id"] for f in [*put, *new]] + list(remove)
    _require_fit(opened.objects, put, new, remove)
    there = _without(opened.objects, set(remove))
    there.update({f["id"]: dict(f) for f in put})
    for feature in new:
        parent = feature.get("parent", there[feature["id"]].get("parent"))
        there[feature["id"]] = {**feature, "parent": parent}
    opened.objects = {i: _with_place(f) for i, f in there.items()}
    if named:
        opened.changed, opened.revision = True, opened.revision + 1
    counts = {"put": len(put), "replaced": len(new), "removed": len(remove)}
    return {**counts, "revision": opened.revision}


def _require_fit(
    there: Mapping[str, Any],
    put: Sequence[Mapping[str, Any]],
    new: Sequence[Mapping[str, Any]],
    remove: Sequence[str],
) -> None:
    """Refuse what QuPath would refuse."""
    twice = [f["id"] for f in put if f["id"] in there]
    gone = [f["id"] for f in new if f["id"] not in there] + [i for i in remove if i not in there]
    if twice or gone:
        what = f"has object {twice[0]} already" if twice else f"has no object {gone[0]}"
        raise WireError(f"The image {what}; nothing was changed.", code="conflict")
    named = [f["id"] for f in [*put, *new]] + list(remove)
    if len(set(named)) < len(named):
        raise WireError("The change names an object twice; nothing was changed.", code="conflict")
    left = {*there, *(f["id"] for f in put)} - set(remove)
    for feature in [*put, *new]:
        if feature.get("parent") is not None and feature["parent"] not in left:
            raise WireError(
                f"The image has no object {feature['parent']}, under which others are to lie; "
                "nothing was changed.",
                code="conflict",
            )


def _without(there: Mapping[str, dict[str, Any]], remove: set[str]) -> dict[str, dict[str, Any]]:
    """Take objects out; what lies under them moves up."""

    def heir(parent: str | None) -> str | None:
        while parent is not None and parent in remove:
            parent = there[parent].get("parent")
        return parent

    return {i: {**f, "parent": heir(f.get("parent"))} for i, f in there.items() if i not in remove}


def _with_place(feature: dict[str, Any]) -> dict[str, Any]:
    """Name the parent as QuPath's hook does: only where there is one."""
    if feature.get("parent") is None:
        feature.pop("parent", None)
    return feature


def _save(opened: OpenImage, request: Message) -> dict[str, Any]:
    _require_revision(opened, request)
    if opened.read_only:
        raise WireError("The project's folder is read-only; nothing was saved.", code="read_only")
    if opened.keep is not None:
        try:
            opened.keep(opened)
        except OSError as error:
            raise WireError(f"QuPath could not save: {error}", code="failed") from error
    opened.saved.append(dict(opened.objects))
    opened.changed = False
    return {"revision": opened.revision}


def _require_revision(opened: OpenImage, request: Message) -> None:
    revision = request.get("revision")
    if revision is not None and revision != opened.revision:
        raise WireError(
            f"The image is at revision {opened.revision}, not {revision}: it was changed since.",
            code="conflict",
        )
