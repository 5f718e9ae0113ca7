"""One client of the hook's end: its requests, what it watches, what waits for it."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from qpgaze.errors import WireError
from qpgaze.viewing import ViewerState
from qpgaze.viewing_json import viewer_state_to_json
from qpgaze.wire.channel import Channel
from qpgaze.wire.lines import TOO_LONG, LineSplitter, Outbox
from qpgaze.wire.schema import Message, decode, encode

log = logging.getLogger("qpgaze.wire")

MAX_HELD_PARTS: Final = 4096
"""Parts of one change that are held back for its last one."""
NOTES: Final = frozenset({"show_gaze", "show_labels", "status"})
"""Lines of a client that ask for no answer."""


class Handler(Protocol):
    """What a hook does about the requests of its clients; every call may come from any thread."""

    def states(self) -> Sequence[ViewerState]:
        """Return the present state of every viewer: the keyframe of a new subscriber."""
        ...

    def images(self) -> list[dict[str, Any]]:
        """Return the open images, as ``open_image`` of the schema."""
        ...

    def request(self, request: Message) -> Mapping[str, Any]:
        """Do what ``objects``, ``change_objects`` or ``save`` asks; return what ``ok`` says.

        Raises
        ------
        WireError
            If it cannot be done; nothing of it was.
        """
        ...

    def note(self, note: Message) -> None:
        """Take ``show_gaze``, ``show_labels`` or ``status``."""
        ...


class Client:
    """One client of the server: what it watches and what waits for it."""

    def __init__(
        self,
        handler: Handler,
        sock: socket.socket,
        splitter: LineSplitter,
        number: int,
        name: str,
        clock: Callable[[], int],
        gone: Callable[[Client, str], None],
        queued_lines: int,
    ) -> None:
        self._handler, self._clock = handler, clock
        self.number, self.name = number, name
        self.topics: frozenset[str] = frozenset()
        self.outbox = Outbox(queued_lines)
        self._telling = False
        self._held: dict[str, list[Message]] = {}
        self.channel = Channel(
            sock,
            self.outbox,
            self.on_line,
            lambda reason: gone(self, reason),
            splitter=splitter,
            name=f"qpgaze-hook-{number}",
        )

    def stream(self, line: bytes, *, supersedes: bool) -> None:
        """Queue a line of the stream; say first how many were lost since the last word on it."""
        before = self.outbox.dropped
        self.outbox.stream(line, supersedes=supersedes)
        if self.outbox.dropped > before and not self._telling:
            self._telling = True
            self.outbox.answer(self._tell_dropped)

    def _tell_dropped(self) -> bytes:
        self._telling = False
        return encode({"type": "dropped", "lines": self.outbox.dropped}, "hook")

    def on_line(self, line: bytes, _arrived_us: int) -> None:
        """Do what a line asks; a bad one is answered, logged and forgotten."""
        received_us = self._clock()
        try:
            if line == TOO_LONG:
                raise WireError("A line was longer than 1 MiB.", code="too_long")
            self._do(decode(line, "client"), received_us)
        except WireError as error:
            self._refuse(line, error.code, str(error))
        except Exception as error:
            log.exception("A request of client %d failed.", self.number)
            self._refuse(line, "failed", f"The hook failed: {str(error) or type(error).__name__}.")

    def _do(self, message: Message, received_us: int) -> None:
        kind, handler = message["type"], self._handler
        if kind == "ping":
            self.outbox.answer(lambda: self._pong(message, received_us))
        elif kind == "subscribe":
            self._subscribe(message)
        elif kind == "images":
            self._answer(message, {"images": handler.images()})
        elif kind in NOTES:
            handler.note(message)
        elif kind == "bye":
            self.channel.close("it said bye")
        elif kind == "hello":
            raise WireError("This client said hello already.", code="unsupported")
        elif kind == "change_objects":
            whole = self._whole_change(message)
            self._answer(message, {} if whole is None else handler.request(whole))
        else:
            self._answer(message, handler.request(message))

    def _pong(self, ping: Message, received_us: int) -> bytes:
        said = {"re": ping["id"], "client_us": ping["client_us"], "received_us": received_us}
        return encode({"type": "pong", **said, "sent_us": self._clock()}, "hook")

    def _subscribe(self, message: Message) -> None:
        topics = {t for t in ("viewer", "events", "images") if message.get(t)}
        self._answer(message, {})
        self.topics = frozenset(topics)
        if "viewer" in topics:
            for state in self._handler.states():
                fields = {"type": "viewer", "state": viewer_state_to_json(state)}
                self.stream(encode(fields, "hook"), supersedes=True)
        if "images" in topics:
            images = {"type": "images", "images": self._handler.images()}
            self.stream(encode(images, "hook"), supersedes=False)

    def _whole_change(self, message: Message) -> Message | None:
        """Put the parts of a change together; None while more is to come."""
        held = self._held.setdefault(message["image"], [])
        held.append(message)
        if message.get("more") and len(held) <= MAX_HELD_PARTS:
            return None
        del self._held[message["image"]]
        if len(held) > MAX_HELD_PARTS:
            raise WireError(f"A change came in more than {MAX_HELD_PARTS} parts.", code="failed")
        whole = dict(held[0])
        for name in ("put", "replace", "remove"):
            whole[name] = [one for part in held for one in part.get(name, ())]
        return whole

    def _answer(self, request: Message, fields: Mapping[str, Any]) -> None:
        self.outbox.answer(encode({"type": "ok", "re": request["id"], **fields}, "hook"))

    def _refuse(self, line: bytes, code: str, message: str) -> None:
        log.warning("Client %d (%s): %s", self.number, self.name, message)
        said = _readable(line)
        number = said.get("id")
        if said.get("type") == "change_objects":  # the parts before it are none of the next change
            self._held.pop(str(said.get("image")), None)
        known = {"malformed", "too_long", "unknown", "no_image", "conflict", "unsupported"}
        fields = {
            "re": number if type(number) is int and 0 <= number < 2**63 else None,
            "code": code if code in known | {"read_only"} else "failed",
            "message": message[:4000],
        }
        self.outbox.answer(encode({"type": "error", **fields}, "hook"))


def _readable(line: bytes) -> dict[str, Any]:
    """Return what can be read of a line, even where it is no good; empty where it is no JSON."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
