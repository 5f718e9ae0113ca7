"""Who holds a project's lock, and whether that program still works."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from qpgaze.errors import ConflictError

LIVELY_S = 60.0
"""A heartbeat younger than this counts as a living holder, whose lock is never broken."""
STALE_S = 600.0
"""A heartbeat older than this is said to be a lock left behind."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, as the file says.

    Parameters
    ----------
    host, user : str
    pid : int
    since_utc : str
    space : str
        Tells two machines, or two containers of one machine, that share a name apart.
    token : str
        Of this lock alone.
    """

    host: str
    user: str
    pid: int
    since_utc: str
    space: str = ""
    token: str = ""

    @property
    def surely_gone(self) -> bool:
        """Whether it was a process of this computer that no longer runs."""
        here = self.host == _host() and self.space in ("", _space())
        return here and not _runs(self.pid)


def read_holder(path: Path) -> Holder | None:
    """Read who holds a lock; None where it is not there or not to be understood."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Holder(
            host=str(raw["host"]),
            user=str(raw["user"]),
            pid=raw["pid"] if isinstance(raw["pid"], int) else 0,
            since_utc=str(raw["since_utc"]),
            space=str(raw.get("space", "")),
            token=str(raw.get("token", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def heartbeat_age_s(path: Path) -> float | None:
    """Return seconds since the holder's last sign of life, None where that cannot be told.

    The share's own clock decides: clocks of two computers may be minutes apart.
    """
    probe = path.with_name(f"{path.name}.{os.urandom(4).hex()}~")
    try:
        probe.write_bytes(b"")
        return max(0.0, probe.stat().st_mtime - path.stat().st_mtime)
    except OSError:  # read-only, or the lock went meanwhile
        return None
    finally:
        unlink(probe)


def myself(token: str) -> dict[str, Any]:
    """Return what the lock says of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user on this system: containers
        user = "unknown"
    return {
        "version": 1,
        "host": _host(),
        "user": user,
        "pid": os.getpid(),
        "space": _space(),
        "since_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "token": token,
    }


def who(holder: Holder) -> str:
    """Name a holder."""
    return f"{holder.user} on {holder.host} (process {holder.pid}, since {holder.since_utc})"


def explained(path: Path) -> ConflictError:
    """Say who holds a lock and what can be done about it."""
    holder, age_s = read_holder(path), heartbeat_age_s(path)
    stale = age_s is not None and age_s >= STALE_S
    sign = "" if age_s is None else f" Its last sign of life is {_duration(age_s)} old."
    if holder is None:
        return ConflictError(
            f"Another program is writing to this project ({path}); nothing was written.{sign}",
            hint="Try again; if nobody is, add --break-lock.",
        )
    if stale:
        hint = "It was surely left behind: add --break-lock to remove it."
    else:
        hint = "Wait and try again; if that program was ended, add --break-lock after a minute."
    return ConflictError(
        f"{who(holder)} is writing to this project; nothing was written.{sign}", hint=hint
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _host() -> str:
    """Name this computer."""
    if sys.platform != "win32":
        return os.uname().nodename  # what socket.gethostname() says, and nothing to load
    import socket

    return socket.gethostname()


def _space() -> str:
    """Name what process numbers count in: this start of this machine, this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot[:8]}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return ""


def _runs(pid: int) -> bool:
    """Tell whether a process of this computer runs; True where we cannot know."""
    if pid <= 0:
        return True
    if sys.platform == "win32":  # os.kill would end it there
        return _runs_on_windows(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _runs_on_windows(pid: int) -> bool:
    if sys.platform != "win32":
        raise AssertionError
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return ctypes.get_last_error() != 87  # ERROR_INVALID_PARAMETER: no such process
    code = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return not known or code.value == 259  # STILL_ACTIVE


def unlink(path: Path) -> None:
    """Remove a file; on Windows a reader may hold it for a moment."""
    for pause_s in (0.01, 0.05, 0.2, 0.0):
        try:
            path.unlink(missing_ok=True)
        except PermissionError:
            time.sleep(pause_s)
        except OSError:  # the share is gone: the lock is explained to whoever comes next
            return
        else:
            return
