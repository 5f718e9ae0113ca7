"""Open a session for reading."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import numpy as np

from qpgaze.errors import CoverageError, FormatError
from qpgaze.frames import ClockRelation
from qpgaze.model import Event
from qpgaze.samples import Column, GazeSamples
from qpgaze.session import content
from qpgaze.session.codec import (
    clock_from_json,
    clocks_known,
    event_from_json,
    viewer_state_from_json,
)
from qpgaze.session.files import (
    GazeFile,
    many_records,
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
    EVENTS_FILE,
    GAZE_FILE,
    HEADER_FILE,
    HOOK_FILE,
    MANIFEST_FILE,
    VIEWER_FILE,
    SessionHeader,
    header_from_json,
    images_from_json,
)
from qpgaze.viewing import ImageIdentity, ViewerState

ASSUMED_ACCURACY_DEG = 1.0
"""Where a session holds no validation. Trackers promise 0.4 - 0.5 deg; readers who move their head
after calibrating reach about twice that."""

ASSUMED_PRECISION_DEG = 0.5
"""Where a session holds no validation."""

ASSUMED_SYNC_UNCERTAINTY_US = 30_000
"""Where a session compares no clocks: 95 % of view changes, polled from QuPath at its drawing rate,
arrive within 30 ms."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Session:
    """A recorded reading.

    Parameters
    ----------
    path : Path
        The folder.
    header : SessionHeader
    columns : tuple of Column
        Of the gaze records, unknown ones included.
    images : mapping of int to ImageIdentity
        Every image that a viewer showed, with full URIs, by its number in the session.
    closed : bool
        False: the recording was cut, or is still going on.
    gaze : GazeSamples
        Read-only memory map; in time order.
    viewer_states : tuple of ViewerState
        In time order.
    events : tuple of Event
        In time order, kinds of later versions included.
    clocks : tuple of ClockRelation
        In the order they were measured.
    notes : tuple of str
        What the reader had to leave out, in words.
    """

    path: Path
    header: SessionHeader
    columns: tuple[Column, ...]
    images: dict[int, ImageIdentity]
    closed: bool
    gaze: GazeSamples
    viewer_states: tuple[ViewerState, ...]
    events: tuple[Event, ...]
    clocks: tuple[ClockRelation[Any, Any], ...]
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> UUID:
        """The session's id, from which those of its objects follow."""
        return self.header.id

    @property
    def sync_uncertainty_us(self) -> int:
        """How surely gaze and viewer share one clock, microseconds.

        The sum over pairs of clocks of the median uncertainty of their comparisons;
        30 ms where none were compared.
        """
        pairs: dict[tuple[str, str], list[int]] = {}
        for c in self.clocks:
            pairs.setdefault((c.source.__name__, c.target.__name__), []).append(c.uncertainty_us)
        if not pairs:
            return ASSUMED_SYNC_UNCERTAINTY_US
        return int(sum(np.median(values) for values in pairs.values()))

    def accuracy(self) -> tuple[float, float, bool]:
        """Return the tracker's error as last measured.

        Returns
        -------
        accuracy_deg : float
            Angle between mean gaze and target.
        precision_deg : float
            Standard deviation of gaze round its mean; RMS of sample to sample where only that
            was measured.
        assumed : bool
            True where no validation measured them: 1.0 and 0.5 deg then.
        """
        for event in reversed(self.events):
            if event.kind != "validation":
                continue
            accuracy = _positive(event.data.get("accuracy_deg"))
            precision = _positive(event.data.get("precision_sd_deg"))
            if precision is None:
                precision = _positive(event.data.get("precision_rms_deg"))
            if accuracy is not None:
                return accuracy, ASSUMED_PRECISION_DEG if precision is None else precision, False
        return ASSUMED_ACCURACY_DEG, ASSUMED_PRECISION_DEG, True


def _positive(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def open_session(path: Path | str, *, check_content: bool = True) -> Session:
    """Open a session folder.

    A record or line that a cut left incomplete at the end of a file is left out and named in
    ``notes``. In a session that was closed nothing can be incomplete: there it is refused.

    Parameters
    ----------
    path : Path or str
        The folder ``NAME.qpgaze``.
    check_content : bool
        Also refuse sessions whose content cannot be placed on a slide (time running backwards,
        gaze in another unit, a viewer log of another time). Reports switch this off, to show
        what is there.

    Raises
    ------
    SessionError
        If there is nothing or it cannot be read.
    FormatError
        If it is no session, of another format, damaged, or lacks a column.
    CoverageError
        If gaze and viewer log do not belong together.
    """
    folder = session_folder(Path(path))
    raw = read_json(folder / HEADER_FILE)
    columns = read_columns(raw)
    header = header_from_json(raw)
    images = images_from_json(raw.get("images") or [])
    notes: list[str] = []
    closed = _check_manifest(folder, notes)
    gaze_file = map_gaze(folder, columns)
    _check_gaze(gaze_file, closed, notes)
    states = _read(folder / VIEWER_FILE, lambda v: viewer_state_from_json(v, images), closed, notes)
    states.sort(key=lambda s: s.t_us)
    events = _read(folder / EVENTS_FILE, event_from_json, closed, notes)
    events.sort(key=lambda e: e.t_us)
    clocks = _read_clocks(folder, closed, notes)
    if (folder / HOOK_FILE).is_file():
        notes.append(f"{HOOK_FILE} holds viewer states that are not merged into {VIEWER_FILE}.")
    if check_content:
        _check_content(gaze_file, states, header)
    gaze = GazeSamples(gaze_file.records)
    return Session(
        path=folder,
        header=header,
        columns=columns,
        images=images,
        closed=closed,
        gaze=gaze,
        viewer_states=tuple(states),
        events=tuple(events),
        clocks=tuple(clocks),
        notes=tuple(notes),
    )


def _check_manifest(folder: Path, notes: list[str]) -> bool:
    """Tell whether the session was closed; refuse it where a file has not the size it had then."""
    listed, problem = read_manifest(folder)
    if listed is None:
        still = "The session was not closed: the recording was cut, or is still going on."
        notes.append(problem or still)
        return False
    for name, entry in listed.items():
        # Names come from a file: only plain names of this folder are looked at.
        path = folder / Path(name).name
        size = path.stat().st_size if path.is_file() else None
        if size == entry["bytes"]:
            continue
        came = "it is missing" if size is None else f"it has {size}"
        raise FormatError(
            f"{name} had {entry['bytes']} bytes when the session was closed; now {came}.",
            hint=f"Copy the session again; or delete its {MANIFEST_FILE} to use what is left.",
        )
    return True


def _check_gaze(gaze: GazeFile, closed: bool, notes: list[str]) -> None:
    missing = content.needed_columns_missing(gaze.records)
    if missing:
        raise FormatError(missing, hint="The session cannot be placed on a slide without them.")
    if gaze.size_bytes and not len(gaze.records):
        raise FormatError(
            f"{GAZE_FILE} has {gaze.size_bytes} bytes, less than one record of "
            f"{gaze.record_bytes}: it is damaged or belongs to another session."
        )
    if gaze.torn_bytes and closed:
        raise FormatError(
            f"{GAZE_FILE} ends with {gaze.torn_bytes} bytes that are no whole record of "
            f"{gaze.record_bytes}: it is damaged or belongs to another session."
        )
    if gaze.torn_bytes:
        notes.append(f"{GAZE_FILE}: the last {gaze.torn_bytes} bytes are incomplete; left out.")
    problem = content.foreign(gaze.records)
    if problem:
        raise FormatError(problem, hint="Run 'qpgaze validate' for every problem with its place.")


def _read(path: Path, parse: Callable[[Any], T], closed: bool, notes: list[str]) -> list[T]:
    lines = read_lines(path)
    if lines.torn_bytes and closed:
        raise FormatError(f"{path.name} ends in the middle of a line.")
    if lines.torn_bytes:
        notes.append(f"{path.name}: the last {lines.torn_bytes} bytes are incomplete; left out.")
    records: list[T] = []
    with many_records():
        for line, record, problem in parse_lines(lines, parse):
            if record is None:
                raise FormatError(
                    f"{path.name}, line {line.number}: {problem}",
                    hint="Run 'qpgaze validate' for every problem with its place.",
                )
            records.append(record)
    return records


def _read_clocks(folder: Path, closed: bool, notes: list[str]) -> list[ClockRelation[Any, Any]]:
    """Read the clock comparisons; one with a clock of a later version is left out and noted."""
    found = _read(
        folder / CLOCKS_FILE,
        lambda v: (clock_from_json(v),) if clocks_known(v) else (),
        closed,
        notes,
    )
    unknown = found.count(())
    if unknown:
        notes.append(f"{CLOCKS_FILE}: {unknown} comparisons with unknown clocks are left out.")
    return [relation for relations in found for relation in relations]


def _check_content(gaze: GazeFile, states: list[ViewerState], header: SessionHeader) -> None:
    t_us = np.asarray(gaze.records["t_us"])
    number = content.first_backwards(t_us)
    if number is not None:
        raise FormatError(
            f"Time runs backwards in {GAZE_FILE}: record {number} is at {t_us[number]} us, the "
            f"one before it at {t_us[number - 1]} us.",
            hint="Run 'qpgaze validate' for every such place.",
        )
    for problem in (
        content.wrong_unit(gaze.records),
        content.not_covered(t_us, states, header.viewer_keyframe_us),
    ):
        if problem:
            raise CoverageError(problem)
