"""The first two lines of a client: hello, and whether the answer is a welcome."""

from __future__ import annotations

import hmac
import secrets
import socket
import time
from contextlib import suppress

from qpgaze.errors import WireError
from qpgaze.wire.channel import first_line, no_delay
from qpgaze.wire.discovery import START_QUPATH, HookFile, proof_of, version_mismatch
from qpgaze.wire.lines import LineSplitter
from qpgaze.wire.schema import VERSION, Message, decode, encode


def greet(
    hook: HookFile, name: str, software: str, wait_s: float
) -> tuple[socket.socket, Message, LineSplitter, list[bytes]]:
    """Connect and say hello.

    Returns
    -------
    sock : socket.socket
    welcome : dict
    splitter : LineSplitter
        With what came of the next line.
    rest : list of bytes
        Lines that came with the welcome.

    Raises
    ------
    WireError
        With the code ``stale``, ``token``, ``version`` or ``busy``.
    """
    until = time.monotonic() + wait_s
    try:
        sock = socket.create_connection(("127.0.0.1", hook.port), wait_s)
    except OSError as error:
        raise WireError(
            f"The discovery file {hook.path.name} is stale: nobody listens on port {hook.port}.",
            hint=START_QUPATH,
            code="stale",
        ) from error
    splitter = LineSplitter()
    nonce = secrets.token_urlsafe(24)
    hello = {"type": "hello", "version": VERSION, "token": hook.token, "client": name}
    try:
        no_delay(sock)
        sock.sendall(encode({**hello, "software": software, "nonce": nonce}, "client"))
        line, rest = first_line(sock, splitter, until - time.monotonic())
        answer = decode(line, "hook")
        if answer["type"] == "refused":
            raise _refusal(hook, answer)
        if answer["type"] != "welcome":
            raise WireError(f"Expected a welcome, but '{answer['type']}' came.", code="malformed")
        if answer["version"] != VERSION:
            raise version_mismatch(answer["version"], answer.get("software", ""))
        proof = str(answer.get("proof", "")).encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(proof, proof_of(hook.token, nonce).encode("ascii")):
            raise WireError("it does not know the token", code="malformed")
    except (OSError, WireError) as error:
        with suppress(OSError):
            sock.close()
        if isinstance(error, WireError) and error.code not in ("malformed", "unknown"):
            raise
        raise WireError(
            f"What listens on port {hook.port} is no qpgaze hook: {error}.",
            hint=f"The discovery file {hook.path.name} is stale. {START_QUPATH}",
            code="stale",
        ) from error
    return sock, answer, splitter, rest


def _refusal(hook: HookFile, answer: Message) -> WireError:
    """Put the hook's refusal into words for whoever connects."""
    if answer["code"] == "version":
        return version_mismatch(int(answer.get("version", 0)), hook.software)
    if answer["code"] == "token":
        return WireError(
            f"QuPath refused the token of {hook.path.name}: the file is of an earlier start.",
            hint=START_QUPATH,
            code="token",
        )
    return WireError(f"QuPath refused the connection: {answer['message']}", code=answer["code"])
