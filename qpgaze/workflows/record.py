"""Record a session into a project, with live labels in QuPath."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from qpgaze.bridge.projects.uris import parse_uri
from qpgaze.errors import QpgazeError, SessionError, UsageError, WireError
from qpgaze.model import Event
from qpgaze.recording.live import LiveSetup
from qpgaze.recording.live_choice import RunningQuPath, choose_hook
from qpgaze.recording.live_recorder import Outcome, Recording, Told, record_live
from qpgaze.recording.opening import SOURCES, open_source
from qpgaze.recording.validation.settings import Settings, load_settings, still_holds
from qpgaze.recording.watch_end import Ending
from qpgaze.session import SessionHeader, sessions_dir
from qpgaze.session.layout import SUFFIX
from qpgaze.wire import connect

if TYPE_CHECKING:
    from qpgaze.recording.live_labels import LiveLabels
    from qpgaze.recording.protocol import LiveSource
    from qpgaze.session import SessionHeader
    from qpgaze.viewing import Display

Views = Literal["auto", "qupath", "source", "none"]

RECORDED: Final = frozenset({"replay", "simulated"})
"""Sources that bring views and keys of their own, and no eyes of this computer."""
HOOK_VARIABLE: Final = "QPGAZE_HOOK"
"""Names the discovery file of the QuPath that started us."""
OLD_HOURS: Final = 4.0
"""A validation older than this is another sitting's."""

_NAME = re.compile(r"[^\x00-\x1f/\\:*?\"<>|]+")


@dataclass(frozen=True)
class RecordOptions:
    """What to record, and where to.

    Parameters
    ----------
    source : str
        As :data:`qpgaze.recording.opening.SOURCES` shows.
    project : Path, optional
        A ``.qpproj`` file or its folder.
    sessions : Path, optional
        Folder of the session's folder; that of the project where not given.
    name : str, optional
        Of the session, without suffix; date and time in UTC where not given.
    reader : str
        Pseudonym.
    views : "auto", "qupath", "source" or "none"
        Where views and keys come from. ``auto``: from QuPath, but for a replay or a simulation,
        which bring their own.
    rate_hz : float, optional
        To set the tracker to.
    python : str, optional
        The Python that has the vendor's library.
    channels : tuple of str
        Of an LSL stream that does not say so itself.
    hook : str, optional
        Which QuPath, where several run: its process, or its discovery file.
    hooks : tuple of Path, optional
        Where to look for QuPath instead of the user's discovery folders.
    settings : Path, optional
        Folder of the settings.
    """

    source: str = "tobii"
    project: Path | None = None
    sessions: Path | None = None
    name: str | None = None
    reader: str = ""
    views: Views = "auto"
    rate_hz: float | None = None
    python: str | None = None
    channels: tuple[str, ...] = ()
    hook: str | None = None
    hooks: tuple[Path, ...] | None = None
    settings: Path | None = None


def record_session(
    options: RecordOptions,
    *,
    ending: Ending | None = None,
    told: Told | None = None,
    labels: bool = True,
) -> Outcome:
    """Record until somebody wants it to end.

    Parameters
    ----------
    options : RecordOptions
    ending, told : optional
        As for :func:`qpgaze.recording.live_recorder.record_live`.
    labels : bool
        Make provisional labels while recording.

    Raises
    ------
    UsageError
        If it is not said where to, or which of several QuPaths; if a name cannot be one.
    SessionError, SourceError
        If source or disk fail.
    """
    kind = options.source.partition(":")[0].strip().lower()
    views = options.views
    if views == "auto":
        views = "source" if kind in RECORDED else "qupath"
    needed = views == "qupath" or kind == "mouse" or not (options.project or options.sessions)
    hook = _hook_of(options, os.environ) if needed else None
    folder = session_folder_of(options, hook)
    settings = load_settings(options.settings)
    # The mouse is on whatever monitor QuPath is on; what is no source is refused below.
    trackers = SOURCES.keys() - RECORDED - {"mouse"}
    display = chosen_display(settings) if kind in trackers else None
    setup = LiveSetup(
        display=display,
        pseudonym=options.reader,
        rate_hz=options.rate_hz,
        python=options.python,
        channels=options.channels,
    )
    if labels:  # it takes a moment, in which gaze would go by without a view
        from qpgaze.workflows.live_labels import rehearse_labels

        rehearse_labels()
    source = _open(options, setup, hook)
    recording = Recording(
        source,
        zero=setup.zero,
        restart=kind not in RECORDED,
        pseudonym=options.reader or None,
        events=_validation_before(settings if kind in trackers else None),
        viewer=views == "qupath",
        hooks=options.hooks,
        hook=hook,
        gaze_only=views in ("qupath", "none"),
        labels=_make_labels if labels else None,
    )
    return record_live(recording, folder, ending=ending, told=told)


def _open(options: RecordOptions, setup: LiveSetup, hook: Path | None) -> LiveSource:
    there = hook if hook is not None and hook.exists() else None
    return open_source(
        options.source,
        setup,
        connect=lambda: connect(there, name="recorder", folders=options.hooks),
    )


def _make_labels(header: SessionHeader) -> LiveLabels:
    from qpgaze.workflows.live_labels import ProvisionalLabels

    return ProvisionalLabels(header, rehearse=False)


# -- where to ----------------------------------------------------------------------------------


def session_folder_of(options: RecordOptions, hook: Path | None = None) -> Path:
    """Return the folder of the session that is to be recorded.

    Raises
    ------
    UsageError
        If neither project nor folder is named and no project is open in QuPath, or the name
        cannot be that of a folder.
    """
    name = options.name
    if name is None:
        name = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    name = name.removesuffix(SUFFIX)
    if not _NAME.fullmatch(name) or name.strip(" .") != name or not name:
        raise UsageError(
            f"The name {name!r} cannot be that of a folder.",
            hint="Use letters, digits, spaces, '-' and '_'.",
        )
    if options.sessions is not None:
        folder = options.sessions
    elif options.project is not None:
        folder = sessions_dir(_project_folder(options.project))
    else:
        opened = project_open_in_qupath(hook, options.hooks)
        if opened is None:
            raise UsageError(
                "It is not said where to record to, and no project is open in QuPath.",
                hint="Name the project, or a folder with --sessions.",
            )
        folder = sessions_dir(opened)
    return folder / f"{name}{SUFFIX}"


def _project_folder(project: Path) -> Path:
    """Return the folder of a project, which must be there: a typing error makes no folders."""
    folder = project.parent if project.suffix == ".qpproj" else project
    there = project.is_file() if project.suffix == ".qpproj" else any(folder.glob("*.qpproj"))
    if not there:
        raise UsageError(
            f"There is no QuPath project at '{project}'.",
            hint="Name the .qpproj file or its folder; or give --sessions.",
        )
    return folder


def project_open_in_qupath(
    hook: Path | None = None, hooks: tuple[Path, ...] | None = None
) -> Path | None:
    """Return the folder of the project that is open in QuPath, None where none is."""
    try:
        there = hook if hook is not None and hook.exists() else None
        with connect(there, name="recorder", folders=hooks) as client:
            uris = [image.get("project_uri") for image in client.images()]
    except WireError:
        return None
    for uri in filter(None, uris):
        path = parse_uri(str(uri)).path
        folder = None if path is None else Path(path).parent
        if folder is not None and folder.is_dir():
            return folder
    return None


def _hook_of(options: RecordOptions, environ: Mapping[str, str]) -> Path | None:
    """Return the discovery file of the QuPath to follow; None where any will do."""
    started_by = environ.get(HOOK_VARIABLE)
    if options.hook is None and started_by and Path(started_by).exists():
        return Path(started_by)

    def shows_the_project(one: RunningQuPath) -> bool:
        project = options.project
        return project is not None and any(_is_in(uri, project) for uri in one.projects)

    chosen = choose_hook(options.hook, options.hooks, meant=shows_the_project)
    return None if chosen is None else chosen.path


def _is_in(uri: str, project: Path) -> bool:
    path = parse_uri(uri).path
    folder = project.parent if project.suffix == ".qpproj" else project
    return path is not None and Path(path).parent.resolve() == folder.resolve()


# -- what was measured before ------------------------------------------------------------------


def chosen_display(settings: Settings) -> Display:
    """Return the monitor that carries the tracker, as it was chosen and still is.

    Raises
    ------
    SessionError
        If none was chosen, or the monitors were arranged anew since.
    """
    if settings.monitor is None:
        raise SessionError(
            "It is not known which monitor carries the tracker.",
            hint="Run 'qpgaze validate-gaze': it asks, and measures how well the tracker measures.",
        )
    from qpgaze.recording.validation.screens import list_monitors

    try:
        monitors = list_monitors(settings.monitor.forced_scale)
    except QpgazeError:  # started from where no desktop is seen: what was chosen counts
        return settings.monitor.display()
    if settings.monitor.among(monitors) is None:
        raise SessionError(
            "The monitors are arranged in another way than when the tracker's was chosen.",
            hint="Run 'qpgaze validate-gaze': it asks again.",
        )
    return settings.monitor.display()


def _validation_before(
    settings: Settings | None,
) -> Callable[[SessionHeader], tuple[Event, ...]]:
    """Return what puts the last validation into a session that it says something of, or why not.

    Another tracker's accuracy, another monitor's or another day's must not pass as measured.
    """

    def known(header: SessionHeader) -> tuple[Event, ...]:
        if settings is None:
            return ()
        now = datetime.now(timezone.utc)
        last, reason = still_holds(settings, header.tracker, header.display.monitor, now)
        if last is None:
            return (Event(0, "note", {"text": reason, "validated": False}),)
        return (last.event(),)

    return known
