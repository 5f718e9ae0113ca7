"""Python's end of the wire: find a running QuPath, connect, ask, and take what it streams."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from qpgaze.errors import WireError
from qpgaze.wire.answers import RoundTrip, Streamed
from qpgaze.wire.channel import Channel, now_us
from qpgaze.wire.discovery import (
    START_QUPATH,
    HookFile,
    find_hooks,
    read_hook_file,
    require_usable,
)
from qpgaze.wire.greeting import greet
from qpgaze.wire.lines import TOO_LONG, Outbox
from qpgaze.wire.parts import join, parts
from qpgaze.wire.schema import Message, decode, encode, plain_message

log = logging.getLogger("qpgaze.wire")

WAIT_S: Final = 5.0
KEPT_LINES: Final = 200_000
"""Stream lines that wait to be taken: an hour of one viewer at 60 Hz."""


def connect(
    hook: HookFile | Path | None = None,
    *,
    name: str,
    software: str = "",
    folders: tuple[Path, ...] | None = None,
    wait_s: float = WAIT_S,
) -> WireClient:
    """Connect to a running QuPath.

    Parameters
    ----------
    hook : HookFile or path, optional
        Which one; the file is read again, for each start of QuPath has a new port and token. The
        newest that answers where not given.
    name : str
        What the client is: ``recorder``, ``store``, ``review``.
    software : str
        Its version, for the hook's log.
    folders : tuple of Path, optional
        Where to look instead of the user's discovery folders.
    wait_s : float
        How long a connection and an answer may take.

    Raises
    ------
    WireError
        If there is none, or none that can be spoken to: the message explains each.
    """
    if hook is not None:
        return WireClient(hook.path if isinstance(hook, HookFile) else hook, name, software, wait_s)
    found = find_hooks(folders)
    troubles = [WireError(text) for _, text in found.troubles]
    for one in found.hooks:
        try:
            return WireClient(one.path, name, software, wait_s)
        except WireError as error:
            troubles.append(error)
    if len(troubles) == 1:
        raise troubles[0]
    if troubles:
        raise WireError(" ".join(dict.fromkeys(str(t) for t in troubles)), code="gone")
    raise WireError("No QuPath with the qpgaze hook is running.", hint=START_QUPATH, code="gone")


class WireClient:
    """A connection to one QuPath; use :func:`connect`.

    Requests block until they are answered, on whatever thread asks; what the hook streams waits
    in a bounded box until :meth:`take` is called. Neither waits for the other.
    """

    def __init__(self, path: Path, name: str, software: str = "", wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._numbers = itertools.count(1)
        self._lock = threading.Condition()
        self._waiting: dict[int, tuple[Message, int] | None] = {}
        self._box: deque[Streamed] = deque()
        self._ended: str | None = None
        self.dropped_here = 0
        """Stream lines thrown away because nobody took them."""
        self.dropped_there = 0
        """Lines that the hook says it threw away for this client."""
        self.malformed = 0
        """Lines of the hook that were no lines of the schema."""
        self.hook = read_hook_file(path)
        require_usable(self.hook)
        sock, self.welcome, splitter, rest = greet(self.hook, name, software, wait_s)
        self._channel = Channel(
            sock,
            Outbox(),
            self._on_line,
            self._on_close,
            splitter=splitter,
            name=f"qpgaze-{name}",
        )
        for line in rest:
            self._on_line(line, now_us())
        self._channel.start()

    @property
    def ended(self) -> str | None:
        """Why the connection ended; None while it stands."""
        return self._ended

    @property
    def dropped_out(self) -> int:
        """Lines for the hook that were thrown away because it took none."""
        return self._channel.outbox.dropped

    def close(self) -> None:
        """Say bye and close. Closing twice does nothing."""
        if self._ended is None:
            self._channel.outbox.answer(encode({"type": "bye"}, "client"))
            self._channel.finish()
        self._channel.join()

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the stream ----------------------------------------------------------------------------

    def subscribe(
        self, *, viewer: bool = False, events: bool = False, images: bool = False
    ) -> None:
        """Choose what is streamed from now on; a keyframe of every viewer comes first."""
        self._request("subscribe", {"viewer": viewer, "events": events, "images": images})

    def take(self, wait_s: float = 0.0) -> list[Streamed]:
        """Return what was streamed since the last call, in order.

        Parameters
        ----------
        wait_s : float
            How long to wait for the first line where none is there.
        """
        with self._lock:
            if not self._box and wait_s > 0 and self._ended is None:
                self._lock.wait_for(lambda: self._box or self._ended is not None, wait_s)
            taken = list(self._box)
            self._box.clear()
        return taken

    # -- requests ------------------------------------------------------------------------------

    def ping(self) -> RoundTrip:
        """Ask the viewer's clock once.

        Raises
        ------
        WireError
            If no answer comes.
        """
        number = next(self._numbers)

        def line() -> bytes:  # made when it leaves: time in the queue is no part of the way
            return encode({"type": "ping", "id": number, "client_us": now_us()}, "client")

        pong, back_us = self._await(number, line)
        return RoundTrip(pong["client_us"], pong["received_us"], pong["sent_us"], back_us)

    def images(self) -> list[dict[str, Any]]:
        """Return the open images: ``key``, ``image``, ``changed``, ``revision``, ``viewers``."""
        images: list[dict[str, Any]] = self._request("images", {}).get("images", [])
        return images

    def objects(self, image: str) -> tuple[list[dict[str, Any]], int]:
        """Return the objects of an open image as GeoJSON Features, and the image's revision.

        Raises
        ------
        WireError
            With the code ``no_image``; ``conflict`` where it changes while it is read.
        """
        found: list[dict[str, Any]] = []
        start: int | None = 0
        revision: int | None = None
        while start is not None:
            page = self._request("objects", {"image": image, "start": start})
            if revision not in (None, page.get("revision")):
                raise WireError("The image changed while it was read.", code="conflict")
            revision = page.get("revision", 0)
            found += page.get("objects", [])
            start = page.get("next")
        return found, int(revision or 0)

    def change_objects(
        self,
        image: str,
        *,
        put: Sequence[Mapping[str, Any]] = (),
        replace: Sequence[Mapping[str, Any]] = (),
        remove: Collection[UUID | str] = (),
        revision: int | None = None,
        wait_s: float | None = None,
    ) -> Message:
        """Put, replace and remove objects of an open image: all, or none.

        Parameters
        ----------
        image : str
            Key of the open image.
        put, replace : sequence of GeoJSON Feature
            As ``qpgaze.bridge.geojson`` writes them.
        remove : collection of UUID
        revision : int, optional
            Refuse where a person changed the image since this revision.

        Returns
        -------
        dict
            ``put``, ``replaced``, ``removed``, ``revision``.

        Raises
        ------
        WireError
            With the hook's code (``conflict``, ``no_image``, ``unsupported``); nothing was done.
        """
        known = {"type": "change_objects", "image": image, "revision": revision}
        put, replace = [dict(f) for f in put], [dict(f) for f in replace]
        lists = {"put": put, "replace": replace, "remove": [str(i) for i in remove]}
        whole = plain_message({**known, "id": 0, **lists}, "client")
        # All of it before the first is sent: nothing may fail in between.
        cut = list(parts((n, one) for n in lists for one in whole[n]))
        answer: Message = {}
        for number, part in enumerate(cut, 1):
            request, more = next(self._numbers), number < len(cut)
            line = join({**known, "id": request, "more": more}, part)
            answer = self._await(request, line, wait_s)[0]
        return answer

    def save(self, image: str, *, revision: int | None = None, wait_s: float = 60.0) -> Message:
        """Save an open image, as *File > Save* does.

        Where a revision is named, refused (``conflict``) if the image is at another.
        """
        return self._request("save", {"image": image, "revision": revision}, wait_s)

    # -- notes: nothing is answered, nobody waits ----------------------------------------------

    def show_gaze(
        self,
        viewer: str,
        point_image_px: tuple[float, float] | None,
        *,
        radius_image_px: float = 0.0,
        hint: str = "",
    ) -> None:
        """Show where the eye is (None: nothing), as a halo of this radius (0: as a dot)."""
        self._note(
            "show_gaze",
            {
                "viewer": viewer,
                "point_image_px": None if point_image_px is None else list(point_image_px),
                "radius_image_px": radius_image_px,
                "hint": hint,
            },
            supersedes=True,
        )

    def show_labels(
        self,
        image: str,
        labels: Sequence[Mapping[str, Any]] = (),
        *,
        remove: Collection[UUID | str] = (),
        clear: bool = False,
    ) -> None:
        """Show labels over an open image without touching it."""
        self._require_open()
        lists = {"labels": [dict(f) for f in labels], "remove": [str(i) for i in remove]}
        whole = plain_message({"type": "show_labels", "image": image, **lists}, "client")
        for number, part in enumerate(parts((n, one) for n in lists for one in whole[n])):
            first = {"type": "show_labels", "image": image, "clear": clear and number == 0}
            self._channel.outbox.stream(join(first, part), supersedes=False)

    def show_status(
        self,
        state: str,
        text: str = "",
        session: str | None = None,
        session_folder: str | None = None,
    ) -> None:
        """Say how it fares: ``ready``, ``recording``, ``paused``, ``ended`` or ``trouble``.

        Parameters
        ----------
        state, text : str
        session, session_folder : str, optional
            Id and absolute path of the session: in it the hook writes what the viewers show
            should this connection be lost.
        """
        said = {"state": state, "text": text, "session": session}
        if session_folder is not None:
            said["session_folder"] = session_folder
        self._note("status", said)

    # -- within --------------------------------------------------------------------------------

    def _note(self, kind: str, fields: Mapping[str, Any], *, supersedes: bool = False) -> None:
        self._require_open()
        line = encode({"type": kind, **fields}, "client")
        self._channel.outbox.stream(line, supersedes=supersedes)

    def _request(
        self, kind: str, fields: Mapping[str, Any], wait_s: float | None = None
    ) -> Message:
        number = next(self._numbers)
        line = encode({"type": kind, "id": number, **fields}, "client")
        return self._await(number, line, wait_s)[0]

    def _await(
        self, number: int, line: bytes | Callable[[], bytes], wait_s: float | None = None
    ) -> tuple[Message, int]:
        """Send a request and wait for its answer."""
        wait_s = self._wait_s if wait_s is None else wait_s
        with self._lock:
            self._require_open()
            self._waiting[number] = None
        self._channel.outbox.answer(line)
        with self._lock:
            self._lock.wait_for(
                lambda: self._waiting[number] is not None or self._ended is not None, wait_s
            )
            answer = self._waiting.pop(number)
        if answer is None:
            self._require_open()
            raise WireError(
                f"QuPath did not answer within {wait_s:g} s.",
                hint="It may be busy, or a dialog waits in it.",
                code="timeout",
            )
        message, back_us = answer
        if message["type"] == "error":
            raise WireError(f"QuPath says: {message['message']}", code=message["code"])
        return message, back_us

    def _require_open(self) -> None:
        if self._ended is not None:
            raise WireError(
                f"The connection to QuPath ended: {self._ended}.", hint=START_QUPATH, code="gone"
            )

    def _on_line(self, line: bytes, arrived_us: int) -> None:
        try:
            if line == TOO_LONG:
                raise WireError("A line was longer than 1 MiB.", code="too_long")
            message = decode(line, "hook")
        except WireError as error:
            self.malformed += 1
            log.warning("A line of QuPath was left out: %s", error)
            return
        kind = message["type"]
        if kind in ("ok", "pong", "error"):
            self._on_answer(message, arrived_us)
        elif kind == "dropped":
            self.dropped_there = message["lines"]
        else:
            with self._lock:
                if len(self._box) >= KEPT_LINES:
                    self._box.popleft()
                    self.dropped_here += 1
                self._box.append(Streamed(message, arrived_us))
                self._lock.notify_all()

    def _on_answer(self, message: Message, arrived_us: int) -> None:
        number = message["re"]
        with self._lock:
            if number in self._waiting:
                self._waiting[number] = (message, arrived_us)
                self._lock.notify_all()
                return
        if message["type"] == "error":
            log.warning("QuPath says: %s", message["message"])

    def _on_close(self, reason: str) -> None:
        with self._lock:
            self._ended = reason
            self._lock.notify_all()
