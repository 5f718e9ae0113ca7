"""Open or create a project with the backend that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path
from typing import Literal

from qpgaze.bridge.projects.codec import Codec
from qpgaze.bridge.projects.embedded import EmbeddedCodec
from qpgaze.bridge.projects.files import Change, Snapshot, replace_files
from qpgaze.bridge.projects.folder import FolderProject, now_ms
from qpgaze.bridge.projects.protocol import Project
from qpgaze.bridge.projects.qpproj import (
    FILE_NAME,
    QUPATH_VERSION,
    dump_json,
    find_project_file,
    new_project,
)
from qpgaze.bridge.projects.uris import uri_from_path
from qpgaze.errors import ConflictError, ProjectError, UsageError

Backend = Literal["auto", "embedded", "paquo", "live"]
BACKENDS: tuple[Backend, ...] = ("auto", "embedded", "paquo", "live")


def open_project(
    path: str | PathLike[str],
    *,
    mode: Literal["r", "r+"] = "r",
    backend: Backend = "auto",
    allow_hosts: Collection[str] = (),
    look_in_windows: bool | None = None,
) -> Project:
    """Open a QuPath project.

    Parameters
    ----------
    path : path
        The ``.qpproj`` file, or the folder that holds it.
    mode : "r" or "r+"
        Read, or read and change.
    backend : "auto", "embedded", "paquo" or "live"
        ``paquo`` works through an installed QuPath, ``embedded`` needs none. ``live`` reaches
        images that are open in a running QuPath through the hook in its window, all else through
        the embedded store. ``auto`` takes live, where a QuPath with our hook has an image of the
        project open; else paquo, where a QuPath is found that paquo knows; else embedded.
    allow_hosts : collection of str
        Computers, besides the project's own, whose shares images may be opened from.
    look_in_windows : bool, optional
        Whether ``auto`` asks running QuPaths; by default only where the project is to be changed.

    Returns
    -------
    Project
        Its ``backend`` says which was taken, ``backend_reason`` why.

    Raises
    ------
    ProjectError
        If it is no project, or the backend asked for cannot work here.
    UnsupportedDataError
        If its format is not understood.
    """
    where = Path(path)
    look = mode == "r+" if look_in_windows is None else look_in_windows
    if backend == "live" or (backend == "auto" and look):
        live = _open_live(where, mode, backend, allow_hosts)
        if live is not None:
            return live
    from qpgaze.bridge.projects.in_use import refuse_unsaved  # a new project is in no QuPath

    codec, reason = choose_codec(backend)
    project = FolderProject(where, codec=codec, mode=mode, reason=reason, allow_hosts=allow_hosts)
    project.before_write = refuse_unsaved
    return project


def _open_live(
    path: Path, mode: str, backend: Backend, allow_hosts: Collection[str]
) -> Project | None:
    """Open a project of which a QuPath has images open; None where none has."""
    from qpgaze.bridge.projects.live import LiveProject, require_live
    from qpgaze.bridge.projects.live_windows import Windows

    windows = Windows(find_project_file(path))
    try:
        windows.look()
        if backend == "live":
            require_live(windows, path)
        if windows.entries:
            return LiveProject(
                path,
                windows,
                codec=EmbeddedCodec(),
                mode=mode,
                reason="asked for" if backend == "live" else "it is open in QuPath",
                allow_hosts=allow_hosts,
            )
    except BaseException:
        windows.close()
        raise
    windows.close()
    return None


def choose_codec(backend: Backend) -> tuple[Codec, str]:
    """Return what reads and writes an image's data, and why that was taken.

    Raises
    ------
    ProjectError
        If paquo was asked for and cannot work here.
    UsageError
        If there is no such backend.
    """
    if backend not in BACKENDS:
        raise UsageError(f"Expected backend {', '.join(BACKENDS)}, but '{backend}' came.")
    if backend in ("embedded", "live"):
        return EmbeddedCodec(), "asked for"
    from qpgaze.bridge.projects.detect_qupath import paquo_or_reason

    found = paquo_or_reason()
    if found.usable:
        from qpgaze.bridge.projects.paquo_store import PaquoCodec

        return PaquoCodec(), "asked for" if backend == "paquo" else found.reason
    if backend == "paquo":
        raise ProjectError(
            f"The backend paquo cannot work here: {found.reason}.",
            hint="Install QuPath 0.5 or 0.6 or point PAQUO_QUPATH_DIR to it; or take 'embedded'.",
        )
    return EmbeddedCodec(), found.reason


def create_project(
    path: str | PathLike[str],
    *,
    backend: Backend = "auto",
    qupath_version: str = QUPATH_VERSION,
    clock_ms: Callable[[], int] = now_ms,
) -> Project:
    """Make an empty QuPath project and open it for changes.

    Parameters
    ----------
    path : path
        A folder without a project, made where it is missing, or the ``.qpproj`` file to be.
    backend : "auto", "embedded", "paquo" or "live"
        What the new project is opened with; the files are the same. No QuPath can have it open
        yet, so that ``live`` is ``embedded``.
    qupath_version : str
        Version that the project file claims.
    clock_ms : callable
        Gives the time stamps, milliseconds since 1970.

    Raises
    ------
    ConflictError
        If there is a project already.
    ProjectError
        If it cannot be written.
    """
    file = Path(path).absolute()
    if file.suffix.lower() != ".qpproj":
        file = file / FILE_NAME
    if file.exists() or any(file.parent.glob("*.qpproj")):
        raise ConflictError(
            f"{file.parent} already holds a project; nothing was changed.",
            hint="Choose another folder, or add to that project.",
        )
    raw = new_project(uri=uri_from_path(file), timestamp_ms=clock_ms(), version=qupath_version)
    codec, reason = choose_codec(backend)
    replace_files([Change(file, dump_json(raw), Snapshot(file))])
    return FolderProject(file, codec=codec, mode="r+", reason=reason, clock_ms=clock_ms)
