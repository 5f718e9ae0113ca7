"""Where the images of a project lie: URIs as QuPath writes them, on all three systems.

Pure functions: nothing here touches a disk. A URI that was written on Windows is understood on
Linux and the other way round, so that an error can name the place in the words of its own system
and a project that moved together with its slides finds them again.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from urllib.parse import quote, unquote

from qpgaze.errors import ProjectError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):(.*)", re.DOTALL)
_DRIVE = re.compile(r"/?[A-Za-z]:(?:[/\\]|$)")
_SAFE = "/-._~!$&'()*+,;=:@"
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{n}" for port in ("com", "lpt") for n in "123456789¹²³"]
)


@dataclass(frozen=True)
class Location:
    """A parsed URI.

    Parameters
    ----------
    scheme : str
        Lower case, ``file`` for anything on a disk.
    host : str
        Lower case; empty for the own computer.
    path : PureWindowsPath, PurePosixPath or None
        Of the system that the URI was written on; None for other schemes than ``file``.
    """

    scheme: str
    host: str
    path: PurePath | None

    @property
    def is_file(self) -> bool:
        """Whether it names a place on a disk."""
        return self.path is not None


def parse_uri(uri: str) -> Location:
    r"""Take a URI apart.

    Parameters
    ----------
    uri : str
        ``file:/C:/a.svs``, ``file:///a.svs``, ``file://host/share/a.svs``, ``http://...``; a bare
        path (``C:\a.svs``, ``\\host\share\a.svs``, ``/a.svs``) is taken as such.

    Returns
    -------
    Location

    Raises
    ------
    ProjectError
        If it is empty, relative, or holds a NUL character.

    Notes
    -----
    A query or fragment of a file URI is dropped, as QuPath does; in a name both are encoded.

    Examples
    --------
    >>> parse_uri("file:/C:/My%20slides/a.svs").path
    PureWindowsPath('C:/My slides/a.svs')
    >>> parse_uri("file://Nas/share/a.svs").host
    'nas'
    """
    text = uri.strip()
    if not text or "\0" in unquote(text):
        raise ProjectError("Expected where an image lies (a URI), but an empty or broken one came.")
    if _DRIVE.match(text) or text.startswith(("\\\\", "//")):
        return _windows(text)
    if text.startswith("/"):
        return Location("file", "", PurePosixPath(text))
    match = _SCHEME.fullmatch(text)
    if match is None:
        raise ProjectError(f"Expected a URI that names a full path, but '{uri}' came.")
    scheme, rest = match.group(1).lower(), match.group(2)
    if scheme != "file":
        host = rest[2:].split("/", 1)[0].rsplit("@", 1)[-1] if rest.startswith("//") else ""
        return Location(scheme, host.lower(), None)
    return _file_location(uri, re.split(r"[?#]", rest, maxsplit=1)[0])


def _file_location(uri: str, rest: str) -> Location:
    """Read what follows ``file:``."""
    host = ""
    if rest.startswith("//"):
        host, slash, tail = rest[2:].partition("/")
        rest = slash + tail
    path = unquote(rest, encoding="utf-8", errors="surrogateescape")
    host = unquote(host)
    if _DRIVE.fullmatch(host):  # file://C:/a.svs: wrong, but met
        return _windows(host + path)
    if host and host.lower() != "localhost":
        return _windows(f"//{host}{path}")
    if path.startswith("//") or _DRIVE.match(path):
        return _windows(path)
    if not path.startswith("/"):
        raise ProjectError(f"Expected a URI that names a full path, but '{uri}' came.")
    return Location("file", "", PurePosixPath(path))


def _windows(text: str) -> Location:
    path = PureWindowsPath(text[1:] if re.match(r"/[A-Za-z]:", text) else text)
    return Location("file", share_host(path), path)


def share_host(path: PurePath) -> str:
    r"""Return the computer that a Windows share lies on, lower case; empty for a local path.

    Examples
    --------
    >>> share_host(PureWindowsPath(r"\\Nas\slides\a.svs"))
    'nas'
    """
    if isinstance(path, PurePosixPath):
        return ""
    drive = path.drive.replace("/", "\\")
    return drive[2:].split("\\", 1)[0].lower() if drive.startswith("\\\\") else ""


def names_device(path: PurePath) -> bool:
    r"""Tell whether Windows would open something else than a file under this path.

    Those are devices (``CON``, ``C:\slides\aux.svs``, ``\\.\pipe\x``), whatever their ending,
    and streams beside a file (``a.svs:hidden``).

    Examples
    --------
    >>> names_device(PureWindowsPath("C:/slides/Aux.svs"))
    True
    >>> names_device(PurePosixPath("/slides/aux.svs"))
    False
    """
    if isinstance(path, PurePosixPath):
        return False
    if share_host(path) in (".", "?"):
        return True
    parts = path.parts[1:] if path.anchor else path.parts
    return any(
        ":" in part or part.split(".", 1)[0].rstrip(" ").casefold() in _DEVICES for part in parts
    )


def base_name(uri: str) -> str:
    """Return the last name of where an image lies; empty where it is no file.

    Examples
    --------
    >>> base_name("file:/C:/My%20slides/a%20b.svs")
    'a b.svs'
    """
    try:
        path = parse_uri(uri).path
    except ProjectError:
        return ""
    return "" if path is None else path.name


def plain_name(name: str) -> str:
    """Return a file's name so that it compares alike on every system.

    macOS takes letters and their accents apart, Windows and macOS see no difference of case.

    Examples
    --------
    >>> plain_name("Pra\u0308parat.SVS") == plain_name("Pr\u00e4parat.svs")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def uri_from_path(path: PurePath) -> str:
    r"""Build the URI of a full path, in the way QuPath's project files spell it.

    Parameters
    ----------
    path : PurePath
        Absolute; of either system.

    Returns
    -------
    str
        Pure ASCII: ``file:/C:/...``, ``file:/...``, or ``file://host/share/...``.

    Raises
    ------
    ProjectError
        If the path is relative.

    Examples
    --------
    >>> uri_from_path(PureWindowsPath(r"C:\Präparate\a b.svs"))
    'file:/C:/Pr%C3%A4parate/a%20b.svs'
    >>> uri_from_path(PureWindowsPath(r"\\nas\slides\a.svs"))
    'file://nas/slides/a.svs'
    """
    if not path.is_absolute():
        raise ProjectError(f"Expected a full path, but '{path}' came.")
    text = path.as_posix()
    if share_host(path):
        host, _, rest = text[2:].partition("/")
        return f"file://{host}/{quote(rest, safe=_SAFE, errors='surrogateescape')}"
    # A second slash (POSIX allows "//a") would read as a host.
    text = "/" + text.lstrip("/")
    return "file:" + quote(text, safe=_SAFE, errors="surrogateescape")


def same_place(one: str, other: str) -> bool:
    """Tell whether two URIs name the same file, however they are spelled.

    Examples
    --------
    >>> same_place("file:///C:/A%20b.svs", "file:/c:/a b.svs")
    True
    """
    try:
        first, second = parse_uri(one), parse_uri(other)
    except ProjectError:
        return one == other
    if not first.is_file or not second.is_file:
        return one == other
    return first == second


def relative_place(image: PurePath, project_file: PurePath) -> tuple[str, ...] | None:
    """Say how an image lay to its project, so that it is found when both moved.

    Parameters
    ----------
    image : PurePath
        Where the project says the image lies.
    project_file : PurePath
        Where the project file says it lay itself.

    Returns
    -------
    tuple of str or None
        Parts of the way from the project's folder, ``".."`` for each step up; None where the two
        shared no folder or the image's path is not plain.

    Examples
    --------
    >>> project = PureWindowsPath("C:/study/qupath/project.qpproj")
    >>> relative_place(PureWindowsPath("c:/Study/slides/a.svs"), project)
    ('..', 'slides', 'a.svs')
    >>> relative_place(PureWindowsPath("D:/slides/a.svs"), project) is None
    True
    """
    if image.__class__ is not project_file.__class__ or ".." in image.parts:
        return None
    fold = isinstance(image, PureWindowsPath)
    here, there = project_file.parent.parts, image.parts
    common = 0
    for one, other in zip(here, there[:-1], strict=False):
        if (one.casefold() != other.casefold()) if fold else (one != other):
            break
        common += 1
    # With nothing but the root in common, moving together means nothing; a share has a name.
    if common < (1 if share_host(image) else 2):
        return None
    return ("..",) * (len(here) - common) + there[common:]
