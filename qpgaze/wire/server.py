"""The hook's end of the wire, in Python: what QuPath's hook does, for tests and practice.

qpgaze itself never listens. This server keeps to the letter what the hook inside QuPath promises:
any number of clients, each with two threads and a bounded queue of its own, so that one that is
slow or stuck delays nobody; whoever cannot show the token, sends a line over 1 MiB or one that is
no line of the schema is refused and logged, and everything else goes on.
"""

from __future__ import annotations

import hmac
import itertools
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from qpgaze.errors import WireError
from qpgaze.viewing import ViewerState
from qpgaze.viewing_json import viewer_state_to_json
from qpgaze.wire.channel import first_line, no_delay, now_us
from qpgaze.wire.discovery import HookFile, new_token, proof_of, write_hook_file
from qpgaze.wire.lines import QUEUED_LINES, TOO_LONG, LineSplitter
from qpgaze.wire.schema import VERSION, Message, decode, encode
from qpgaze.wire.serving import Client, Handler

log = logging.getLogger("qpgaze.wire")

HELLO_WAIT_S: Final = 5.0
"""A connection that has not said hello by then is closed."""
MAX_CLIENTS: Final = 32
"""Connections at once, those without a hello included."""


class WireServer:
    """Listen on 127.0.0.1 and serve every client that knows the token.

    Parameters
    ----------
    handler : Handler
    port : int
        0: a free one.
    folder : Path, optional
        Where the discovery file goes; the user's own folder where not given.
    clock : callable
        The viewer's clock, microseconds.
    keyframe_us : int or None
        What ``welcome`` says of keyframes; sending them is the handler's part.
    version, software, qupath, pid
        What the hook says of itself.
    queued_lines : int
        Bound of each client's queue.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        port: int = 0,
        folder: Path | None = None,
        clock: Callable[[], int] = now_us,
        keyframe_us: int | None = 1_000_000,
        version: int = VERSION,
        software: str = "",
        qupath: str = "",
        pid: int | None = None,
        queued_lines: int = QUEUED_LINES,
    ) -> None:
        self._handler, self._port, self._folder = handler, port, folder
        self.clock, self._keyframe_us, self._version = clock, keyframe_us, version
        self._software, self._qupath = software, qupath
        self._pid = os.getpid() if pid is None else pid
        self._queued_lines = queued_lines
        self._token = new_token()
        self._lock = threading.Lock()
        self._clients: set[Client] = set()
        self._threads: list[threading.Thread] = []
        self._pending = 0
        self._closing = False
        self._listener: socket.socket | None = None
        self.hook: HookFile | None = None
        """The discovery file, once started."""

    def start(self) -> HookFile:
        """Begin to listen and leave the discovery file.

        Raises
        ------
        WireError
            If the port is taken or the file cannot be written.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
            if exclusive is not None:  # Windows lets a second program take a port otherwise
                listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
            listener.bind(("127.0.0.1", self._port))
            listener.listen(MAX_CLIENTS)
        except OSError as error:
            listener.close()
            raise WireError(
                f"Port {self._port} of this computer cannot be used: {error.strerror or error}.",
                hint="Let the system choose one: port 0.",
            ) from error
        port = int(listener.getsockname()[1])
        try:
            self.hook = write_hook_file(
                port,
                self._token,
                pid=self._pid,
                version=self._version,
                software=self._software,
                qupath=self._qupath,
                folder=self._folder,
            )
        except WireError:
            listener.close()
            raise
        self._listener = listener
        self._spawn(self._accept, "accept", listener)
        return self.hook

    def close(self) -> None:
        """Say bye, end every connection and thread, remove the discovery file."""
        with self._lock:
            if self._closing or self._listener is None:
                return
            self._closing = True
            clients = list(self._clients)
        if self.hook is not None:
            with suppress(OSError):
                self.hook.path.unlink()
        for client in clients:
            client.outbox.stream(encode({"type": "bye", "message": "the hook ends"}, "hook"))
            client.channel.finish(0.2)
        with suppress(OSError):  # wakes the thread that accepts
            socket.create_connection(self._listener.getsockname(), 1.0).close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(HELLO_WAIT_S)
        self._listener.close()
        for client in clients:
            client.channel.join()

    def __enter__(self) -> WireServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what goes to the clients --------------------------------------------------------------

    @property
    def clients(self) -> dict[str, int]:
        """Lines dropped for each client so far, by its name and number."""
        with self._lock:
            return {f"{c.name} {c.number}": c.outbox.dropped for c in self._clients}

    def publish_state(self, state: ViewerState) -> None:
        """Send a viewer's state (``t_us`` on the viewer's clock) to those who watch."""
        self._publish("viewer", {"state": viewer_state_to_json(state)}, "viewer")

    def publish_event(self, t_us: int, kind: str, data: Mapping[str, Any]) -> None:
        """Send an event, on the viewer's clock."""
        event = {"t_us": t_us, "kind": kind, "data": dict(data)}
        self._publish("event", {"event": event}, "events")

    def publish_control(self, action: str, data: Mapping[str, Any] | None = None) -> None:
        """Send what a person chose in the menu."""
        self._publish("control", {"action": action, "data": dict(data or {})}, "events")

    def publish_images(self) -> None:
        """Send which images are open."""
        self._publish("images", {"images": self._handler.images()}, "images")

    def _publish(self, kind: str, fields: Mapping[str, Any], topic: str) -> None:
        with self._lock:
            watching = [c for c in self._clients if topic in c.topics]
        if not watching:  # idle it costs nothing
            return
        line = encode({"type": kind, **fields}, "hook")
        for client in watching:
            client.stream(line, supersedes=topic == "viewer")

    # -- connections ---------------------------------------------------------------------------

    def _spawn(self, target: Callable[..., None], name: str, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name=f"qpgaze-hook-{name}", daemon=True)
        with self._lock:
            self._threads = [t for t in self._threads if t.is_alive() or not t.ident]
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        for number in itertools.count(1):
            try:
                sock, _ = listener.accept()
            except OSError as error:
                if not self._closing:
                    log.error("The hook can take no more connections: %s", error)
                return
            if self._closing:
                sock.close()
                return
            with self._lock:
                busy = self._pending + len(self._clients) >= MAX_CLIENTS
                self._pending += 1
            self._spawn(self._greet, f"greet-{number}", sock, number, busy)

    def _greet(self, sock: socket.socket, number: int, busy: bool) -> None:
        """Wait for a good hello, then let the client in."""
        splitter = LineSplitter()
        client: Client | None = None
        try:
            no_delay(sock)
            line, rest = first_line(sock, splitter, HELLO_WAIT_S)
            hello = self._good_hello(line, busy)
            name = str(hello["client"])
            client = Client(
                self._handler,
                sock,
                splitter,
                number,
                name,
                self.clock,
                self._gone,
                self._queued_lines,
            )
            welcome = {
                "type": "welcome",
                "version": self._version,
                "t_us": self.clock(),
                "pid": self._pid,
                "software": self._software,
                "qupath": self._qupath,
                "viewer_keyframe_us": self._keyframe_us,
            }
            if "nonce" in hello:
                welcome["proof"] = proof_of(self._token, hello["nonce"])
            sock.sendall(encode(welcome, "hook"))
        except WireError as refused:
            log.warning("Connection %d was refused: %s", number, refused.message)
            said = {"code": refused.code, "message": refused.message, "version": self._version}
            with suppress(OSError):  # whoever was refused may be gone already
                sock.sendall(encode({"type": "refused", **said}, "hook"))
                sock.shutdown(socket.SHUT_WR)
            sock.close()
            client = None
        except OSError as error:
            log.warning("Connection %d ended before it said hello: %s", number, error)
            sock.close()
            client = None
        finally:
            with self._lock:
                self._pending -= 1
                late = self._closing
                if client is not None and not late:
                    self._clients.add(client)
        if client is not None and late:
            client.channel.close("the hook ended meanwhile")
        elif client is not None:
            log.info("Client %d is %s.", number, client.name)
            for waiting in rest:
                client.on_line(waiting, now_us())
            client.channel.start()

    def _good_hello(self, line: bytes, busy: bool) -> Message:
        if busy:
            raise _refused(f"There are {MAX_CLIENTS} connections already.", "busy")
        if line == TOO_LONG:
            raise _refused("The first line is longer than 1 MiB.", "hello")
        try:
            hello = decode(line, "client")
        except WireError as error:
            raise _refused(f"Expected a hello. {error.message}", "hello") from error
        if hello["type"] != "hello":
            raise _refused(f"Expected a hello, but '{hello['type']}' came.", "hello")
        if not hmac.compare_digest(
            hello["token"].encode("utf-8", "surrogatepass"), self._token.encode("ascii")
        ):
            raise _refused("The token is not the one of this start of QuPath.", "token")
        if hello["version"] != self._version:
            raise _refused(
                f"The client speaks version {hello['version']} of the wire, "
                f"this hook version {self._version}.",
                "version",
            )
        return hello

    def _gone(self, client: Client, reason: str) -> None:
        """Forget a client whose connection ended."""
        with self._lock:
            self._clients.discard(client)
        log.info("Client %d (%s) left: %s.", client.number, client.name, reason)


def _refused(message: str, code: str) -> WireError:
    """Return why a hello is not good enough."""
    return WireError(message, code=code)
