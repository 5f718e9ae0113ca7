"""How Python finds a running QuPath: one small file for each, that only its user can read.

The hook listens on a free port of this computer and writes the port, a token that is new at each
start, its process and the wire's version. A file that a crashed QuPath left behind is recognised
by its process, and where the process number was given to another one, by its port.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qpgaze.errors import WireError
from qpgaze.wire.schema import VERSION

_NAME = re.compile(r"hook-(\d{1,10})\.json")
_MAX_BYTES: Final = 4096
_TOKEN_BYTES: Final = 32
START_QUPATH: Final = "Start QuPath with the qpgaze hook, or start it again."


@dataclass(frozen=True)
class HookFile:
    """What a running QuPath says of itself.

    Parameters
    ----------
    path : Path
        The file; it is read again before each connection.
    version : int
        Of the wire.
    port : int
        On 127.0.0.1.
    token : str
        Proves that the client may read the file. Never shown.
    pid : int
        Process of QuPath.
    software, qupath : str
        Versions of the hook and of QuPath, empty where unknown.
    """

    path: Path
    version: int
    port: int
    token: str
    pid: int
    software: str = ""
    qupath: str = ""

    def __repr__(self) -> str:  # a token belongs into no log and no traceback
        return f"HookFile({self.path.name}, port {self.port}, version {self.version})"


@dataclass(frozen=True)
class FoundHooks:
    """What lies in the discovery folders.

    Parameters
    ----------
    hooks : tuple of HookFile
        Whose process runs and whose version is ours, the newest first.
    troubles : tuple of (Path, str)
        The other files and what is wrong with each, in a sentence.
    """

    hooks: tuple[HookFile, ...]
    troubles: tuple[tuple[Path, str], ...]


def discovery_folders(
    platform: str = sys.platform, environ: Mapping[str, str] | None = None, home: Path | None = None
) -> tuple[Path, ...]:
    """Return where discovery files may lie; the hook writes into the first that can be made.

    QuPath is started from a desktop and Python from a terminal, which may not share every
    variable: so a reader looks into all of them.

    Parameters
    ----------
    platform : str
        As ``sys.platform`` names it.
    environ : mapping of str to str, optional
    home : Path, optional

    Examples
    --------
    >>> [f.as_posix() for f in discovery_folders("linux", {}, Path("/h"))]
    ['/h/.local/state/qpgaze/hooks']
    """
    environ = os.environ if environ is None else environ
    home = Path.home() if home is None else home
    if platform == "win32":
        local = environ.get("LOCALAPPDATA")
        bases = [Path(local) if local else home / "AppData" / "Local"]
    elif platform == "darwin":
        bases = [home / "Library" / "Application Support"]
    else:
        given = [environ.get("XDG_RUNTIME_DIR"), environ.get("XDG_STATE_HOME")]
        bases = [Path(base) for base in given if base and Path(base).is_absolute()]
        bases.append(home / ".local" / "state")
    return tuple(dict.fromkeys(base / "qpgaze" / "hooks" for base in bases))


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def proof_of(token: str, nonce: str) -> str:
    """Return what only an end that knows the token can answer to a nonce.

    Parameters
    ----------
    token, nonce : str

    Returns
    -------
    str
        HMAC-SHA256, hexadecimal.
    """
    key, said = token.encode("utf-8", "surrogatepass"), nonce.encode("utf-8", "surrogatepass")
    return hmac.new(key, said, "sha256").hexdigest()


def write_hook_file(
    port: int,
    token: str,
    *,
    pid: int | None = None,
    version: int = VERSION,
    software: str = "",
    qupath: str = "",
    folder: Path | None = None,
) -> HookFile:
    """Leave a discovery file that only the user can read.

    Raises
    ------
    WireError
        If no folder can be written.
    """
    pid = os.getpid() if pid is None else pid
    said = {
        "wire": "qpgaze",
        "version": version,
        "port": port,
        "token": token,
        "pid": pid,
        "software": software,
        "qupath": qupath,
    }
    last: OSError | None = None
    for place in discovery_folders() if folder is None else (folder,):
        path = place / f"hook-{pid}.json"
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_private(path, json.dumps(said).encode("ascii") + b"\n")
        except OSError as error:
            last = error
            continue
        return HookFile(path, version, port, token, pid, software, qupath)
    raise WireError(
        f"No discovery file could be written: {last}.",
        hint="See that your user folder can be written.",
    ) from last


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that is never, not even for a moment, readable by others."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - only os.open takes a mode
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def read_hook_file(path: Path) -> HookFile:
    """Read a discovery file.

    Raises
    ------
    WireError
        If it is gone (code ``gone``), others could have read or written it, or it is malformed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            _check_private(path, os.fstat(file.fileno()))
            data = file.read(_MAX_BYTES + 1)
        value = json.loads(data.decode("utf-8")) if len(data) <= _MAX_BYTES else None
    except FileNotFoundError as error:
        raise WireError(
            f"The discovery file {path.name} is gone: that QuPath has ended.",
            hint=START_QUPATH,
            code="gone",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise WireError(
            f"The discovery file {path.name} cannot be read: {error}.", code="malformed"
        ) from error
    if not isinstance(value, dict) or value.get("wire") != "qpgaze":
        raise WireError(f"{path.name} is no discovery file of qpgaze.", code="malformed")
    numbers = [value.get(name) for name in ("version", "port", "pid")]
    token = value.get("token")
    if not all(type(n) is int for n in numbers) or not isinstance(token, str) or not token:
        raise WireError(
            f"The discovery file {path.name} lacks version, port, pid or token.",
            code="malformed",
        )
    version, port, pid = (int(str(n)) for n in numbers)
    if not 0 < port < 65536:
        raise WireError(f"The discovery file {path.name} names port {port}.", code="malformed")
    said = [str(value.get(name) or "")[:80] for name in ("software", "qupath")]
    return HookFile(path, version, port, token, pid, *said)


def _check_private(path: Path, found: os.stat_result) -> None:
    """Refuse a file that another user planted or could have read (Windows: AppData is private)."""
    if sys.platform == "win32":
        return
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise WireError(
            f"The discovery file {path.name} can be read or was written by others; not used.",
            hint="Delete it and start QuPath again.",
            code="malformed",
        )


def find_hooks(folders: tuple[Path, ...] | None = None) -> FoundHooks:
    """Look for running QuPaths; nothing is connected to and nothing deleted.

    Parameters
    ----------
    folders : tuple of Path, optional
        Where to look instead of :func:`discovery_folders`.
    """
    hooks: list[tuple[float, HookFile]] = []
    troubles: list[tuple[Path, str]] = []
    for folder in discovery_folders() if folders is None else folders:
        try:
            paths = sorted(p for p in folder.iterdir() if _NAME.fullmatch(p.name))
        except OSError:  # no such folder: no QuPath ever wrote there
            continue
        for path in paths:
            try:
                hook = read_hook_file(path)
                require_usable(hook)
                hooks.append((path.stat().st_mtime, hook))
            except WireError as error:
                if error.code != "gone":
                    troubles.append((path, str(error)))
            except OSError as error:
                troubles.append((path, str(error)))
    hooks.sort(key=lambda item: item[0], reverse=True)
    return FoundHooks(tuple(hook for _, hook in hooks), tuple(troubles))


def require_usable(hook: HookFile) -> None:
    """Refuse a file whose QuPath is gone or speaks another version.

    Raises
    ------
    WireError
        With the code ``stale`` or ``version``.
    """
    if not process_runs(hook.pid):
        raise WireError(
            f"The discovery file {hook.path.name} is stale: process {hook.pid} runs no more.",
            hint=START_QUPATH,
            code="stale",
        )
    if hook.version != VERSION:
        raise version_mismatch(hook.version, hook.software)


def version_mismatch(theirs: int, software: str = "") -> WireError:
    """Return the error that names both versions and which side is to be renewed."""
    older = "the hook inside QuPath" if theirs < VERSION else "this qpgaze"
    hook = f"The hook inside QuPath ({software})" if software else "The hook inside QuPath"
    return WireError(
        f"{hook} speaks version {theirs} of the wire, this qpgaze version {VERSION}.",
        hint=f"Renew {older}: 'qpgaze install-hook' puts the hook that belongs to this qpgaze.",
        code="version",
    )


def process_runs(pid: int) -> bool:
    """Tell whether a process of this number runs (it may be another one by now)."""
    if pid <= 0:
        return False
    if sys.platform == "win32":  # there os.kill(pid, 0) would end it
        return _windows_process_runs(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return not pid > 2**31
    return True


def _windows_process_runs(pid: int) -> bool:
    import ctypes

    synchronize, timed_out = 0x00100000, 0x00000102
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined, unused-ignore]
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return bool(ctypes.get_last_error() == 5)  # type: ignore[attr-defined, unused-ignore]
    try:
        return bool(kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0) == timed_out)
    finally:
        kernel.CloseHandle(ctypes.c_void_p(handle))
