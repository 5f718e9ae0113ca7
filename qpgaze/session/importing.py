"""Make a session of another recorder's table and a viewer log."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import qpgaze
from qpgaze.errors import CoverageError, FormatError, SessionError
from qpgaze.frames import ClockRelation, DeviceClock, SessionClock
from qpgaze.model import Event
from qpgaze.session import content
from qpgaze.session.codec import event_from_json, viewer_state_from_json
from qpgaze.session.files import parse_lines, read_json, read_lines
from qpgaze.session.layout import (
    HEADER_FILE,
    SessionHeader,
    header_from_json,
    images_from_json,
)
from qpgaze.session.reader import ASSUMED_SYNC_UNCERTAINTY_US
from qpgaze.session.tables.geometry import DisplayHints, display_of, prose_resolution
from qpgaze.session.tables.kinds import (
    PRESETS,
    TableMapping,
    mapping_from,
    no_samples_kind,
    recognise,
)
from qpgaze.session.tables.reading import (
    Table,
    find_header,
    likely_names,
    read_table,
    read_text,
)
from qpgaze.session.tables.samples import TableSamples, convert
from qpgaze.session.writer import SessionWriter
from qpgaze.viewing import Display, ImageIdentity, ViewerState

_NAMESPACE = UUID("b61a3c0e-5b0c-4f0a-9a52-6d3d0f2f4c11")
"""Ids of imported sessions follow from what was imported, so that doing it twice gives the same."""


@dataclass(frozen=True)
class ImportReport:
    """What :func:`import_table` did.

    Parameters
    ----------
    session : Path
        The new folder.
    id : UUID
    kind : str
        Preset that read the table, or ``mapping``.
    display : Display
    samples : int
    valid : float
        Share of samples with at least one valid eye.
    covered : float
        Share of samples at whose time the viewer log knows a view.
    skipped_rows : int
        Rows without gaze (clicks, log messages).
    torn_row : bool
        Whether a last row was cut off and left out.
    viewer_states, events : int
    notes : tuple of str
    """

    session: Path
    id: UUID
    kind: str
    display: Display
    samples: int
    valid: float
    covered: float
    skipped_rows: int
    torn_row: bool
    viewer_states: int
    events: int
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class ImportOptions:
    """How a table is read, and what is known besides.

    Parameters
    ----------
    mapping : TableMapping, optional
        For tables that are not recognised.
    y_axis : "down" or "up", optional
        Against what mapping or preset say.
    hints : DisplayHints
        What is known of the display; it wins over table and preset.
    decimal : "auto", "." or ","
    offset_us : int
        Session time of the first sample.
    keyframe_us : int, optional
        The viewer log repeats unchanged states after at most this long; as the session beside
        the log says where not given.
    sync_uncertainty_us : int
        How surely gaze and viewer log share a clock.
    pseudonym, started_utc : str
        For the session's description.
    tracker : str, optional
        The preset's word where not given.
    """

    mapping: TableMapping | None = None
    y_axis: str | None = None
    hints: DisplayHints = field(default_factory=DisplayHints)
    decimal: str = "auto"
    offset_us: int = 0
    keyframe_us: int | None = None
    sync_uncertainty_us: int = ASSUMED_SYNC_UNCERTAINTY_US
    pseudonym: str = ""
    tracker: str | None = None
    started_utc: str = ""


def import_table(
    file: Path | str,
    session_folder: Path | str,
    *,
    viewer_log: Path | str,
    events_log: Path | str | None = None,
    options: ImportOptions | None = None,
) -> ImportReport:
    """Make a session of a table of gaze samples and a viewer log.

    Parameters
    ----------
    file : path
        Separated text. Tables of Tobii TX300 (I2MC), the Tobii SDK, ETDQualitizer and Tobii
        Studio are recognised.
    session_folder : path
        The new session.
    viewer_log : path
        Lines as in ``viewer.jsonl``, ``t_us`` on the session's clock.
    events_log : path, optional
        Lines as in ``events.jsonl``.
    options : ImportOptions, optional

    Raises
    ------
    FormatError
        If the table holds no gaze samples, or something in it cannot be understood.
    CoverageError
        If gaze is in another unit than said, or the viewer log is of another time.
    SessionError
        If a file cannot be read, or the session not be written; nothing is left behind then.
    """
    files = [Path(f) for f in (file, viewer_log, events_log) if f is not None]
    options = options or ImportOptions()
    table, kind, mapping = _read(files[0], options.mapping, options.y_axis)
    images, keyframe_us = _beside(files[1])
    options = replace(options, keyframe_us=options.keyframe_us or keyframe_us)
    states = _viewer_states(files[1], images)
    events = _events(files[2]) if len(files) > 2 else []
    resolution = _resolution(table, mapping, options)
    samples = convert(table, mapping, resolution, options.decimal)
    samples.records["t_us"] = samples.device_us - samples.device_us[0] + options.offset_us
    display, notes = display_of(samples, mapping, resolution, states, options.hints)
    _check_fit(samples, states, options.keyframe_us)
    header = SessionHeader(
        id=_identity(files, options.offset_us),
        pseudonym=options.pseudonym,
        tracker=mapping.tracker if options.tracker is None else options.tracker,
        display=display,
        started_utc=options.started_utc,
        software={"qpgaze": qpgaze.__version__, "imported from": f"{kind} ({files[0].name})"},
        viewer_keyframe_us=options.keyframe_us,
    )
    _write(Path(session_folder), header, samples, states, events, _clock(samples, options))
    return _report(Path(session_folder), header, kind, table, samples, states, events, notes)


def _clock(
    samples: TableSamples, options: ImportOptions
) -> ClockRelation[DeviceClock, SessionClock]:
    """Return how the session's clock follows from the table's, by definition."""
    first = int(samples.device_us[0])
    return ClockRelation(
        DeviceClock,
        SessionClock,
        offset_us=options.offset_us - first,
        at_us=first,
        uncertainty_us=options.sync_uncertainty_us,
    )


def _report(
    folder: Path,
    header: SessionHeader,
    kind: str,
    table: Table,
    samples: TableSamples,
    states: Sequence[ViewerState],
    events: Sequence[Event],
    display_notes: Sequence[str],
) -> ImportReport:
    records = samples.records
    covered = content.states_in_force(records["t_us"], states, header.viewer_keyframe_us)
    valid = (records["left_gaze_valid"] | records["right_gaze_valid"]) != 0
    torn = table.torn is not None or samples.dropped_last
    return ImportReport(
        session=folder,
        id=header.id,
        kind=kind,
        display=header.display,
        samples=len(records),
        valid=float(valid.mean()),
        covered=float(covered.mean()),
        skipped_rows=samples.skipped_rows,
        torn_row=torn,
        viewer_states=len(states),
        events=len(events),
        notes=(*samples.notes, *display_notes, *_notes(samples, torn, covered, valid)),
    )


def _notes(samples: TableSamples, torn: bool, covered: Any, valid: Any) -> list[str]:
    notes = []
    if torn:
        notes.append("the last row was cut off and is left out")
    if samples.skipped_rows:
        notes.append(f"{samples.skipped_rows} rows without gaze (clicks, messages) are left out")
    if not valid.any():
        notes.append("no sample is valid: the tracker saw no eye")
    if not covered.all():
        notes.append(f"the viewer log covers {covered.mean():.1%} of the gaze")
    return notes


# -- reading -----------------------------------------------------------------------------------


def _read(
    path: Path, mapping: TableMapping | None, y_axis: str | None
) -> tuple[Table, str, TableMapping]:
    """Read the table, by the mapping given or the preset that its columns fit."""
    text = read_text(path)
    lines = text.splitlines()
    names = likely_names(lines)
    refused = no_samples_kind(names)
    if refused is not None and mapping is None:
        raise FormatError(
            f"'{path.name}' is a table of {refused}, not of gaze samples.",
            hint="Export the samples instead (in Tobii Studio: 'All data').",
        )
    if mapping is not None:
        needed = frozenset(mapping.columns.values())
        found = find_header(lines, [needed])
        if found is None:
            missing = [name for name in mapping.columns.values() if name not in names]
            raise FormatError(
                f"'{path.name}' lacks the column(s) {', '.join(missing)}.",
                hint=f"It has {', '.join(names) or 'no column names'}.",
            )
        kind = "mapping"
    else:
        found = find_header(lines, [preset.needs for preset in PRESETS])
        preset = recognise(names)
        if found is None or preset is None:
            raise FormatError(
                f"'{path.name}' is none of the tables that need no mapping "
                f"({', '.join(p.title for p in PRESETS)}).",
                hint="Name its columns: --column t=... --column x=... --column y=... "
                f"It has {', '.join(names) or 'no column names'}.",
            )
        mapping, kind = preset.mapping, preset.name
    if y_axis is not None:
        mapping = mapping_from({"y_axis": y_axis}, mapping)
    table = read_table(path.name, text, *found)
    missing = [name for name in mapping.columns.values() if name not in table.names]
    if missing:
        raise FormatError(f"'{path.name}' lacks the column(s) {', '.join(missing)}.")
    return table, kind, mapping


def _resolution(
    table: Table, mapping: TableMapping, options: ImportOptions
) -> tuple[int, int] | None:
    """Return the resolution that pixels of the table refer to: what is said wins over a preset."""
    box = options.hints.bounds_screen_px
    screen = None if box is None else (int(box.width), int(box.height))
    if options.mapping is not None and mapping.resolution_px is not None:
        return mapping.resolution_px
    return prose_resolution(table.prose) or screen or mapping.resolution_px


def _beside(log: Path) -> tuple[dict[int, ImageIdentity], int | None]:
    """Return what the ``session.json`` beside a log says of it: images and keyframes."""
    if not (log.parent / HEADER_FILE).is_file():
        return {}, None
    raw = read_json(log.parent / HEADER_FILE)
    header = header_from_json(raw)
    return images_from_json(raw.get("images") or []), header.viewer_keyframe_us


def _viewer_states(log: Path, images: dict[int, ImageIdentity]) -> list[ViewerState]:
    if not log.is_file():
        raise SessionError(f"There is no viewer log at '{log}'.")
    states: list[ViewerState] = []
    lines = read_lines(log)
    if lines.torn_bytes:
        raise FormatError(
            f"'{log.name}' ends in the middle of a line.",
            hint="Delete that line, or copy the log again.",
        )
    for line, state, problem in parse_lines(lines, lambda v: viewer_state_from_json(v, images)):
        if state is None:
            raise FormatError(
                f"'{log.name}', line {line.number}: {problem}",
                hint="A viewer log has one viewer state a line, as docs/session-format.md says.",
            )
        states.append(state)
    if not states:
        raise FormatError(f"The viewer log '{log.name}' holds no viewer state.")
    return sorted(states, key=lambda s: s.t_us)


def _events(log: Path) -> list[Event]:
    if not log.is_file():
        raise SessionError(f"There is no event log at '{log}'.")
    events: list[Event] = []
    for line, event, problem in parse_lines(read_lines(log), event_from_json):
        if event is None:
            raise FormatError(f"'{log.name}', line {line.number}: {problem}")
        events.append(event)
    return sorted(events, key=lambda e: e.t_us)


def _check_fit(
    samples: TableSamples, states: Sequence[ViewerState], keyframe_us: int | None
) -> None:
    wrong = content.wrong_unit(samples.records)
    if wrong:
        raise CoverageError(wrong, hint="Say --frame screen-px or screen-centre-px if they are.")
    wrong = content.not_covered(samples.records["t_us"], states, keyframe_us)
    if wrong:
        raise CoverageError(wrong, hint="Shift the gaze with --offset-ms, or give the right log.")


def _identity(files: Sequence[Path], offset_us: int) -> UUID:
    digest = hashlib.sha256(str(offset_us).encode("ascii"))
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return uuid5(_NAMESPACE, digest.hexdigest())


# -- writing -----------------------------------------------------------------------------------


def _write(
    folder: Path,
    header: SessionHeader,
    samples: TableSamples,
    states: Sequence[ViewerState],
    events: Sequence[Event],
    clock: ClockRelation[DeviceClock, SessionClock],
) -> None:
    existed = folder.exists()
    writer = SessionWriter.create(folder, header)
    try:
        with writer:
            writer.append_clock(clock)
            writer.append_viewer(states)
            writer.append_gaze(samples.records)
            for event in events:
                writer.append_event(event)
    except BaseException as error:
        # Half an import is worth nothing: the table is still there.
        for path in folder.iterdir():
            with suppress(OSError):
                path.unlink()
        if not existed:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, SessionError):
            raise SessionError(error.message, hint="Nothing was left behind.") from error
        raise
