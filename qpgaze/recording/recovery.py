"""Close a session that was cut: torn ends go, what the hook wrote comes in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from qpgaze.errors import SessionError
from qpgaze.frames import ClockRelation, SessionClock, Times, ViewerClock
from qpgaze.model import Event
from qpgaze.recording.live_audit import SyncAudit
from qpgaze.recording.live_lock import session_lock
from qpgaze.session import Session, open_session, viewer_state_from_json
from qpgaze.session.codec import (
    dump_line,
    event_from_json,
    event_to_json,
    short_image,
    viewer_state_to_json,
)
from qpgaze.session.files import (
    map_gaze,
    parse_lines,
    read_columns,
    read_json,
    read_lines,
    read_manifest,
    session_folder,
)
from qpgaze.session.layout import (
    CLOCKS_FILE,
    DATA_FILES,
    EVENTS_FILE,
    FORMAT,
    GAZE_FILE,
    HEADER_FILE,
    HOOK_FILE,
    MANIFEST_FILE,
    VIEWER_FILE,
    images_from_json,
    record_dtype,
)
from qpgaze.session.writer import sha256, write_whole
from qpgaze.viewing import ImageIdentity, ViewerState

_CHUNK: Final = 1 << 16
_SAME_EVENT_US: Final = 20_000


@dataclass(frozen=True)
class Recovery:
    """What :func:`recover_session` found and did.

    Parameters
    ----------
    path : Path
    was_closed : bool
        Whether it had been closed properly: then only what the hook wrote was merged.
    duration_us : int
        From the first to the last sample.
    samples, viewer_states, events : int
        What the session holds now.
    torn_bytes : dict of str to int
        Incomplete ends that were cut off, by file.
    merged : int
        Viewer states that the hook wrote itself.
    left_out : int
        Lines of the hook that could not be read or placed in time.
    lost : tuple of str
        What is lost, in sentences; empty where nothing is.
    """

    path: Path
    was_closed: bool
    duration_us: int
    samples: int
    viewer_states: int
    events: int
    torn_bytes: dict[str, int]
    merged: int
    left_out: int
    lost: tuple[str, ...]


def recover_session(path: Path | str) -> Recovery:
    """Close a session whose recorder was cut, and merge what the hook wrote meanwhile.

    Parameters
    ----------
    path : Path or str
        The folder ``NAME.qpgaze``.

    Raises
    ------
    SessionError
        If it is still being recorded, damaged in a way that no cut makes, or cannot be written.
        Cut in the middle, it can be done again.
    """
    folder = session_folder(Path(path))
    with session_lock(folder):
        try:
            return _recover(folder)
        except OSError as error:
            why = error.strerror or str(error)
            raise SessionError(f"The session '{folder.name}' cannot be written: {why}.") from error


def _recover(folder: Path) -> Recovery:
    was_closed = read_manifest(folder)[0] is not None
    has_hook_file = (folder / HOOK_FILE).is_file()
    torn: dict[str, int] = {}
    if not was_closed:
        torn = _cut_torn_ends(folder)
    # Asked before anything else changes: a session that no cut explains is left alone.
    session = open_session(folder, check_content=False)
    if was_closed and not has_hook_file:
        return _report(session, True, torn, 0, 0, ())
    merged = left_out = 0
    heard: list[Event] = []
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    if has_hook_file:
        merged, left_out, heard = _merge(folder, session)
        session = open_session(folder, check_content=False)
    lost = [] if was_closed else _lost(session, torn)
    if left_out:
        lost.append(f"{left_out} lines of the hook could not be read or placed in time.")
    _append(folder, [*heard, *_events(session, was_closed, merged, lost)])
    if has_hook_file:
        (folder / HOOK_FILE).unlink()
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in (HEADER_FILE, *DATA_FILES)
    }
    write_whole(folder / MANIFEST_FILE, {"format": FORMAT, "files": files})
    done = open_session(folder, check_content=False)
    return _report(done, was_closed, torn, merged, left_out, tuple(lost))


def _report(
    session: Session,
    was_closed: bool,
    torn: dict[str, int],
    merged: int,
    left_out: int,
    lost: tuple[str, ...],
) -> Recovery:
    t_us = session.gaze.records["t_us"]
    return Recovery(
        path=session.path,
        was_closed=was_closed,
        duration_us=int(t_us[-1] - t_us[0]) if len(t_us) else 0,
        samples=len(t_us),
        viewer_states=len(session.viewer_states),
        events=len(session.events),
        torn_bytes=torn,
        merged=merged,
        left_out=left_out,
        lost=lost,
    )


# -- torn ends ---------------------------------------------------------------------------------


def _cut_torn_ends(folder: Path) -> dict[str, int]:
    """Cut off what a reader would leave out; files that a cut kept from being made are made."""
    torn: dict[str, int] = {}
    for name in DATA_FILES:
        path = folder / name
        if not path.exists():
            path.touch()
            continue
        size = path.stat().st_size
        keep = _whole_gaze(folder) if name == GAZE_FILE else _whole_lines(path)
        if keep < size:
            torn[name] = size - keep
            with path.open("r+b") as file:
                file.truncate(keep)
                os.fsync(file.fileno())
    for part in folder.glob("*.part"):
        part.unlink()
    return torn


def _whole_gaze(folder: Path) -> int:
    """Return the bytes of whole records, without the zeros that a power cut leaves behind."""
    columns = read_columns(read_json(folder / HEADER_FILE))
    return len(map_gaze(folder, columns).records) * record_dtype(columns).itemsize


def _whole_lines(path: Path) -> int:
    """Return the bytes up to the end of the last whole line."""
    data = path.read_bytes().rstrip(b"\0")
    return data.rfind(b"\n") + 1


# -- what the hook wrote -----------------------------------------------------------------------


def _merge(folder: Path, session: Session) -> tuple[int, int, list[Event]]:
    """Put the hook's own states among the recorder's, in time order; the file is replaced whole.

    Returns how many came in, how many lines could not be used, and the hook's new events.
    """
    images = images_from_json(read_json(folder / HEADER_FILE).get("images") or [])
    lines = read_lines(folder / HOOK_FILE)
    relations = [c for c in session.clocks if c.source is ViewerClock and c.target is SessionClock]
    states: list[ViewerState] = []
    events: list[Event] = []
    left_out = 1 if lines.torn_bytes else 0

    def read(value: Any) -> ViewerState | Event:
        if isinstance(value, dict) and "kind" in value:
            return event_from_json(value)
        return viewer_state_from_json(value, images)

    for _, read_one, _ in parse_lines(lines, read):
        t_us = None if read_one is None else _on_session_clock(read_one.t_us, relations)
        if t_us is None:
            left_out += 1
        elif isinstance(read_one, ViewerState):
            states.append(replace(read_one, t_us=t_us))
        elif isinstance(read_one, Event):
            events.append(replace(read_one, t_us=t_us))
    known = {_key(s) for s in session.viewer_states}
    new = [s for s in states if _key(s) not in known]
    merged = sorted((*session.viewer_states, *new), key=lambda s: s.t_us)
    _write_states(folder, merged, images)
    # Done again after a cut, or heard by both: an event comes in once.
    fresh = [e for e in events if not _near(e, session.events)]
    return len(new), left_out, fresh


def _near(event: Event, others: Sequence[Event]) -> bool:
    """Tell whether one of the others is the same one, its time related by another comparison."""
    return any(
        o.kind == event.kind and o.data == event.data and abs(o.t_us - event.t_us) <= _SAME_EVENT_US
        for o in others
    )


def _key(state: ViewerState) -> tuple[Any, ...]:
    """Tell whether the recorder got a state that the hook wrote, too."""
    return (state.viewer, state.read_us if state.read_us is not None else state.t_us)


def _on_session_clock(viewer_us: int, relations: Sequence[ClockRelation[Any, Any]]) -> int | None:
    """Place a moment of the hook's, which is on the viewer's clock, as on the wire.

    None where the clocks were never compared, or it belongs to a time before the session.
    """
    if not relations:
        return None
    nearest = min(relations, key=lambda r: abs(r.at_us - viewer_us))
    t_us = int(nearest(Times(ViewerClock, [viewer_us])).t_us[0])
    return None if t_us < 0 else t_us


def _write_states(
    folder: Path, states: Sequence[ViewerState], images: dict[int, ImageIdentity]
) -> None:
    numbers = {image: number for number, image in images.items()}
    header = read_json(folder / HEADER_FILE)
    part = folder / f"{VIEWER_FILE}.part"
    with part.open("wb") as file:
        for state in states:
            line = viewer_state_to_json(state)
            if state.image is not None:
                if state.image not in numbers:
                    numbers[state.image] = max(numbers.values(), default=0) + 1
                    entry = {"id": numbers[state.image], **line["image"]}
                    header["images"] = [*(header.get("images") or []), entry]
                line["image"] = short_image(line["image"], numbers[state.image])
            file.write(dump_line(line))
        file.flush()
        os.fsync(file.fileno())
    write_whole(folder / HEADER_FILE, header)
    part.replace(folder / VIEWER_FILE)


# -- what is said ------------------------------------------------------------------------------


def _lost(session: Session, torn: dict[str, int]) -> list[str]:
    """Say what a cut took away, as far as the session itself can tell."""
    lost = []
    record = session.gaze.records.dtype.itemsize
    if torn.get(GAZE_FILE):
        count = -(-torn[GAZE_FILE] // record)
        lost.append(f"The last gaze record(s): {torn[GAZE_FILE]} bytes, {count} at most.")
    for name in (VIEWER_FILE, EVENTS_FILE, CLOCKS_FILE):
        if torn.get(name):
            lost.append(f"The last line of {name}: {torn[name]} bytes were incomplete.")
    lost.append(
        "What had not reached the disk when the recorder was cut: of a killed program less than "
        "a second, of a power cut what came since the last half second."
    )
    return lost


def _events(session: Session, was_closed: bool, merged: int, lost: Sequence[str]) -> list[Event]:
    t_us = session.gaze.records["t_us"]
    last_us = int(t_us[-1]) if len(t_us) else 0
    events: list[Event] = []
    if not was_closed:
        audit = _audit(session)
        events += [Event(last_us, "audit", audit)]
        text = "The recorder was cut here; the session was closed afterwards by 'session recover'."
        events.append(Event(last_us, "note", {"text": text, "lost": list(lost)}))
    if merged:
        text = f"{merged} viewer states that the hook wrote itself were merged."
        events.append(Event(last_us, "note", {"text": text}))
    return events


def _audit(session: Session) -> dict[str, Any]:
    """Follow the recorder's audit on what is on disk: arrivals are not known any more."""
    audit = SyncAudit()
    for relation in session.clocks:
        audit.clock(relation)
    audit.views(session.viewer_states, None)
    t_us = np.asarray(session.gaze.records["t_us"])
    for start in range(0, len(t_us), _CHUNK):
        audit.gaze(t_us[start : start + _CHUNK], None)
    return audit.result()


def _append(folder: Path, events: Sequence[Event]) -> None:
    with (folder / EVENTS_FILE).open("ab") as file:
        for event in events:
            file.write(dump_line(event_to_json(event)))
        file.flush()
        os.fsync(file.fileno())
