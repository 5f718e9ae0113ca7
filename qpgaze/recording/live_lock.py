"""One recorder a session: an exclusive lock that the system takes off when its holder dies."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from qpgaze.errors import SessionError

_PLACE = 1 << 20
"""Windows locks bytes and keeps others from reading them: one far behind the words."""


@contextmanager
def session_lock(folder: Path) -> Iterator[None]:
    """Hold ``NAME.qpgaze.lock`` beside a session folder while a block runs.

    Parameters
    ----------
    folder : Path
        Of the session; it need not exist yet.

    Raises
    ------
    SessionError
        If another program holds it, or the place cannot be written.
    """
    path = folder.with_name(folder.name + ".lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        raise SessionError(
            f"The sessions' folder '{folder.parent}' cannot be written: {error.strerror}."
        ) from error
    with file:
        if not _try_lock(file):
            raise SessionError(
                f"The session '{folder.name}' is being recorded{_by_whom(path)}.",
                hint="End that recording first, or choose another name.",
            )
        try:
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid()}).encode("ascii"))
            file.flush()
            yield
        finally:
            if sys.platform != "win32":  # an open file can be removed, so that none is left
                with suppress(OSError):
                    path.unlink()
            _unlock(file)
    if sys.platform == "win32":
        with suppress(OSError):
            path.unlink()


def _by_whom(path: Path) -> str:
    try:
        return f" by process {int(json.loads(path.read_bytes())['pid'])}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


if sys.platform == "win32":  # pragma: no cover - needs Windows
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        file.seek(_PLACE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(_PLACE)
        with suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a share without locks: SessionWriter still refuses a second
            return True
        # Its holder may have removed the file between our open and our lock.
        try:
            same = os.fstat(file.fileno()).st_ino == Path(file.name).stat().st_ino
        except OSError:
            return False
        return same

    def _unlock(file: IO[bytes]) -> None:
        with suppress(OSError):
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)
