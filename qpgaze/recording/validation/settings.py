"""What is remembered for one user between two runs: the tracker's monitor, the last validation.

One small JSON file in the place that each system has for settings. Unknown keys are kept, so that
an older version does not undo what a newer one stored.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from qpgaze.errors import FormatError, SessionError
from qpgaze.model import Event
from qpgaze.recording.validation.monitors import ChosenMonitor
from qpgaze.viewing_json import plain_json

VERSION = 1
FILE = "settings.json"
FOLDER_VARIABLE = "QPGAZE_SETTINGS"
"""Names another folder than the system's, for a shared computer or a test."""


def settings_folder(
    platform: str = sys.platform, environ: Mapping[str, str] | None = None, home: Path | None = None
) -> Path:
    """Return where the settings lie.

    Examples
    --------
    >>> settings_folder("linux", {}, Path("home")).as_posix()
    'home/.config/qpgaze'
    >>> settings_folder("darwin", {}, Path("home")).as_posix()
    'home/Library/Application Support/qpgaze'
    >>> settings_folder("win32", {"APPDATA": "Roaming"}, Path("home")).as_posix()
    'Roaming/qpgaze'
    """
    given = os.environ if environ is None else environ
    if given.get(FOLDER_VARIABLE):
        return Path(given[FOLDER_VARIABLE])
    home = home or Path.home()
    if platform == "win32":
        return Path(given.get("APPDATA") or home / "AppData" / "Roaming") / "qpgaze"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "qpgaze"
    return Path(given.get("XDG_CONFIG_HOME") or home / ".config") / "qpgaze"


@dataclass(frozen=True)
class LastValidation:
    """The last validation on this computer.

    Parameters
    ----------
    at_utc : datetime
    data : mapping
        As in a ``validation`` event.
    """

    at_utc: datetime
    data: Mapping[str, Any]

    def event(self, t_us: int = 0) -> Event:
        """Return it as an event of a session that began afterwards."""
        return Event(t_us, "validation", {**self.data, "at_utc": _iso(self.at_utc)})


@dataclass(frozen=True)
class Settings:
    """What is remembered.

    Parameters
    ----------
    monitor : ChosenMonitor or None
    validation : LastValidation or None
    extra : mapping
        Keys of other versions.
    """

    monitor: ChosenMonitor | None = None
    validation: LastValidation | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def still_holds(
    settings: Settings, tracker: str, monitor: str, now_utc: datetime
) -> tuple[LastValidation | None, str]:
    """Tell whether the last validation says something of a session that begins now.

    Parameters
    ----------
    settings : Settings
    tracker : str
        Model, as the source names it.
    monitor : str
        The display's ``monitor``.
    now_utc : datetime
        With a time zone.

    Returns
    -------
    validation : LastValidation or None
    reason : str
        Why it does not hold, and what to do; empty where it does.

    Notes
    -----
    Half a day: a calibration drifts within hours, and the next reader has other eyes.
    """
    last = settings.validation
    if last is None:
        return None, f"The tracker was not checked on this computer. {_CHECK}"
    age = now_utc - last.at_utc
    if not timedelta(minutes=-5) <= age <= HOLDS_FOR:
        return None, f"The tracker was last checked on {last.at_utc:%Y-%m-%d %H:%M} UTC. {_CHECK}"
    for what, then, now in (
        ("tracker", last.data.get("tracker"), tracker),
        ("monitor", last.data.get("monitor"), monitor),
    ):
        if then != now:
            return None, f"The last check was made with the {what} '{then}'. {_CHECK}"
    return last, ""


HOLDS_FOR = timedelta(hours=12)

_CHECK = "Run 'qpgaze validate-gaze'; until then 1 degree is assumed."


def load_settings(folder: Path | None = None) -> Settings:
    """Read the settings; where there are none yet, all is None.

    Parameters
    ----------
    folder : Path, optional
        :func:`settings_folder` where not given.

    Raises
    ------
    FormatError
        If the file is damaged or of a newer version.
    SessionError
        If it cannot be read.
    """
    path = (folder or settings_folder()) / FILE
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise SessionError(f"The settings '{path}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"The settings '{path}' are no JSON.", hint=_DELETE) from error
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise FormatError(f"The settings '{path}' are not of version {VERSION}.", hint=_DELETE)
    monitor, validation = value.get("monitor"), value.get("validation")
    try:
        return Settings(
            None if monitor is None else ChosenMonitor.from_json(monitor),
            None if validation is None else _validation(validation),
            {k: v for k, v in value.items() if k not in ("version", "monitor", "validation")},
        )
    except FormatError as error:
        raise FormatError(f"The settings '{path}': {error.message}", hint=_DELETE) from error


def save_settings(settings: Settings, folder: Path | None = None) -> Path:
    """Write the settings: the old file stays whole until the new one is.

    Raises
    ------
    SessionError
        If they cannot be written.
    """
    path = (folder or settings_folder()) / FILE
    known: dict[str, Any] = {"version": VERSION}
    if settings.monitor is not None:
        known["monitor"] = settings.monitor.to_json()
    if settings.validation is not None:
        at_utc = _iso(settings.validation.at_utc)
        known["validation"] = {"at_utc": at_utc, "data": settings.validation.data}
    text = json.dumps(plain_json({**settings.extra, **known}), indent=1, allow_nan=False) + "\n"
    part = path.with_name(f"{FILE}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(text.encode("utf-8"))
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        why = error.strerror or str(error)
        raise SessionError(f"The settings '{path}' cannot be written: {why}.") from error
    return path


_DELETE = "Delete the file; the monitor is then asked for again."


def _validation(value: Any) -> LastValidation:
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict):
        raise FormatError("the last validation is no JSON object with data.")
    try:
        at_utc = datetime.strptime(str(value.get("at_utc")), _STAMP).replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise FormatError(f"{value.get('at_utc')!r} is no date and time.") from error
    return LastValidation(at_utc, value["data"])


_STAMP = "%Y-%m-%dT%H:%M:%SZ"


def _iso(at_utc: datetime) -> str:
    return at_utc.astimezone(timezone.utc).strftime(_STAMP)
