"""How a person, the system or a parent process says that a recording should end."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
AT_ONCE_S: Final = 0.5
"""Standard input that ends so soon was closed before we ran: whoever started us says nothing."""
_WORDS: Final = {"SIGINT": "Ctrl-C", "SIGTERM": "the system asked for it (SIGTERM)"}


class Ending:
    """Notices Ctrl-C, the system's signals and, where standard input is a pipe, its end.

    As a context manager it takes the signals and gives them back. A second Ctrl-C is the usual
    one, for a recorder that does not end.

    Parameters
    ----------
    stdin : file descriptor, optional
        Standard input; None: it is not watched. Only a pipe is: a terminal or ``/dev/null``
        says nothing about whoever started us.
    """

    def __init__(self, stdin: int | None = None) -> None:
        self.reason: str | None = None
        """Why to end, in words; None while nobody wants that."""
        self._wake: Callable[[], None] = lambda: None
        self._before: dict[int, Any] = {}
        self._stdin = stdin if stdin is not None and is_pipe(stdin) else None

    def on_end(self, wake: Callable[[], None]) -> None:
        """Have a function called, from any thread, when it is time to end."""
        self._wake = wake
        if self.reason is not None:
            wake()

    def end(self, reason: str) -> None:
        """Say that it is time to end; the first reason counts."""
        if self.reason is None:
            self.reason = reason
        self._wake()

    def __enter__(self) -> Ending:
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name, None)
                if number is not None:
                    self._before[number] = signal.signal(number, self._signalled)
        if self._stdin is not None:
            threading.Thread(target=self._watch, name="qpgaze-stdin", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if name == "SIGINT" and self.reason is not None:
            raise KeyboardInterrupt
        # No lock may be taken here: the recorder looks at the reason a few times a second.
        self.reason = self.reason or _WORDS.get(name, name)

    def _watch(self) -> None:
        began = time.monotonic()
        try:
            while self._stdin is not None and os.read(self._stdin, 4096):
                began -= AT_ONCE_S
        except OSError:  # closed under our feet: the same thing
            pass
        if time.monotonic() - began >= AT_ONCE_S:
            self.end("standard input was closed")


def is_pipe(descriptor: int) -> bool:
    """Tell whether a file descriptor is a pipe or a socket, whose other end may close.

    Examples
    --------
    >>> import os
    >>> reading, writing = os.pipe()
    >>> is_pipe(reading)
    True
    >>> os.close(reading), os.close(writing)
    (None, None)
    """
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def standard_input() -> int | None:
    """Return the file descriptor of standard input, None where there is none."""
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):
        return None
