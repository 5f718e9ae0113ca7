"""Add to a session that was closed, so that a cut at any moment leaves it readable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qpgaze.errors import SessionError
from qpgaze.model import Event
from qpgaze.session.codec import dump_line, event_to_json
from qpgaze.session.files import read_json, session_folder
from qpgaze.session.layout import EVENTS_FILE, FORMAT, MANIFEST_FILE
from qpgaze.session.reader import open_session
from qpgaze.session.writer import sha256, write_whole


def add_event(path: Path | str, kind: str, data: Mapping[str, Any]) -> Event:
    """Append an event to the end of a closed session.

    Parameters
    ----------
    path : Path or str
        The folder ``NAME.qpgaze``.
    kind : str
    data : mapping
        JSON values.

    Returns
    -------
    Event
        As it was stored: at the time of the session's last sample or event.

    Raises
    ------
    SessionError
        If the session was not closed (its recorder may still write), is damaged, or the event
        cannot be written.

    Notes
    -----
    The manifest goes first and comes back last: cut in between, the session reads as not closed,
    with or without the event, but never as damaged.
    """
    session = open_session(path, check_content=False)
    if not session.closed:
        raise SessionError(
            f"The session '{Path(path).name}' is not closed: it may still be recorded.",
            hint="End the recording first; a session that was cut is closed by "
            "'qpgaze session recover'.",
        )
    folder = session_folder(Path(path))
    t_us = session.gaze.records["t_us"]
    last = max(int(t_us[-1]) if len(t_us) else 0, *(e.t_us for e in session.events), 0)
    event = Event(last, kind, data)
    manifest = read_json(folder / MANIFEST_FILE)
    try:
        # Checked before anything changes: a file that cannot be written keeps its manifest.
        with (folder / EVENTS_FILE).open("ab") as file:
            (folder / MANIFEST_FILE).unlink()
            file.write(dump_line(event_to_json(event)))
            file.flush()
            os.fsync(file.fileno())
        events = folder / EVENTS_FILE
        listed = {"bytes": events.stat().st_size, "sha256": sha256(events)}
        manifest = {**manifest, "format": FORMAT}
        manifest["files"] = {**manifest["files"], EVENTS_FILE: listed}
        write_whole(folder / MANIFEST_FILE, manifest)
    except OSError as error:
        why = error.strerror or str(error)
        raise SessionError(f"The session '{folder.name}' cannot be written: {why}.") from error
    return event
