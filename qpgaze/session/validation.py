"""Find every problem in a session, each with its place. Nothing is changed or repaired."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qpgaze.errors import SessionError
from qpgaze.samples import GAZE_COLUMNS, MISSING_STAMP
from qpgaze.session import content
from qpgaze.session.files import (
    GazeFile,
    map_gaze,
    read_columns,
    read_json,
    read_lines,
    read_manifest,
    session_folder,
)
from qpgaze.session.layout import (
    DATA_FILES,
    GAZE_FILE,
    HEADER_FILE,
    HOOK_FILE,
    MANIFEST_FILE,
    VIEWER_FILE,
    SessionHeader,
    header_from_json,
    images_from_json,
)
from qpgaze.session.line_checks import (
    Problem,
    clock_problems,
    event_problems,
    viewer_problems,
)
from qpgaze.session.writer import sha256
from qpgaze.viewing import ImageIdentity

_LISTED = 20
"""Places of one kind that are named one by one; a damaged file would fill pages."""

_COVERED = 0.99
"""A recorder starts gaze and viewer log within moments of each other, not at once."""


def validate_session(path: Path | str) -> tuple[Problem, ...]:
    """Find every problem in a session.

    Parameters
    ----------
    path : Path or str
        The folder ``NAME.qpgaze``.

    Returns
    -------
    tuple of Problem
        In the order of the files; empty where all is well.

    Raises
    ------
    SessionError
        If there is no session at that place.
    """
    folder = session_folder(Path(path))
    problems: list[Problem] = []
    header, raw = _header(folder, problems)
    problems += _manifest_problems(folder)
    problems += _missing_files(folder)
    t_us = np.empty(0, dtype=np.int64)
    columns = _try(problems, HEADER_FILE, lambda: read_columns(raw)) if raw is not None else None
    if columns is not None and (folder / GAZE_FILE).is_file():
        gaze = map_gaze(folder, columns)
        problems += _gaze_problems(gaze)
        if "t_us" in (gaze.records.dtype.names or ()):
            t_us = np.asarray(gaze.records["t_us"])
    images: dict[int, ImageIdentity] = {}
    if isinstance(raw, dict):
        found = _try(problems, HEADER_FILE, lambda: images_from_json(raw.get("images") or []))
        images = found or {}
    states, more = viewer_problems(folder, images)
    problems += more
    if states is not None:
        problems += _coverage_problems(t_us, states, header)
    problems += clock_problems(folder)
    problems += event_problems(folder, t_us)
    problems += _hook_problems(folder)
    return tuple(problems)


def _try(problems: list[Problem], file: str, read: Any) -> Any:
    """Return what `read` gives; where it refuses, note why and return None."""
    try:
        return read()
    except SessionError as error:
        problem = Problem(file, "", str(error))
        if problem not in problems:
            problems.append(problem)
        return None


def _header(folder: Path, problems: list[Problem]) -> tuple[SessionHeader | None, Any]:
    raw = _try(problems, HEADER_FILE, lambda: read_json(folder / HEADER_FILE))
    if raw is None:
        return None, None
    header: SessionHeader | None = _try(problems, HEADER_FILE, lambda: header_from_json(raw))
    return header, raw


def _manifest_problems(folder: Path) -> Iterator[Problem]:
    listed, problem = read_manifest(folder)
    if listed is None:
        message = "The session was not closed: the recording was cut, or is still going on."
        yield Problem(MANIFEST_FILE, "", f"{message} {problem}" if problem else message)
        return
    for name, entry in listed.items():
        path = folder / Path(name).name
        if not path.is_file():
            yield Problem(name, "", "The manifest lists it, but it is missing.")
        elif path.stat().st_size != entry["bytes"]:
            yield Problem(
                name,
                f"byte {min(path.stat().st_size, entry['bytes'])}",
                f"It has {path.stat().st_size} bytes; when the session was closed it had "
                f"{entry['bytes']}.",
            )
        elif sha256(path) != entry["sha256"]:
            yield Problem(name, "", "It was changed since the session was closed (SHA-256).")


def _missing_files(folder: Path) -> Iterator[Problem]:
    listed = read_manifest(folder)[0] or {}
    for name in DATA_FILES:
        if not (folder / name).is_file() and name not in listed:
            yield Problem(name, "", "It is missing.")


# -- gaze --------------------------------------------------------------------------------------


def _gaze_problems(gaze: GazeFile) -> Iterator[Problem]:
    records, size = gaze.records, gaze.record_bytes
    if gaze.torn_bytes:
        at = gaze.size_bytes - gaze.torn_bytes
        yield Problem(
            GAZE_FILE,
            f"byte {at}",
            f"The last {gaze.torn_bytes} bytes are no whole record of {size} bytes.",
        )
    missing = [c.name for c in GAZE_COLUMNS if c.name not in (records.dtype.names or ())]
    missing = [name for name in missing if name != "spare"]
    if missing:
        yield Problem(HEADER_FILE, "gaze_columns", f"Columns are missing: {', '.join(missing)}.")
    if content.needed_columns_missing(records):
        return
    for message in (content.foreign(records), content.wrong_unit(records)):
        if message:
            yield Problem(GAZE_FILE, "", message)
    for name, stamps in (("t_us", "time"), ("device_us", "the device's clock")):
        if not content.missing_stamps(records, name):
            yield from _order_problems(records, size, name, stamps)
    yield from _flag_problems(records, size)


def _order_problems(
    records: npt.NDArray[np.void], size: int, name: str, what: str
) -> Iterator[Problem]:
    t = np.asarray(records[name])
    known = np.flatnonzero(t != MISSING_STAMP)
    steps = np.diff(t[known])
    backwards = np.flatnonzero(steps < 0)
    for i in backwards[:_LISTED]:
        here, before = known[i + 1], known[i]
        yield Problem(
            GAZE_FILE,
            _record(int(here), size),
            f"{what.capitalize()} runs backwards: {name} {t[here]} after {t[before]}.",
        )
    if len(backwards) > _LISTED:
        yield Problem(
            GAZE_FILE,
            _record(int(known[backwards[_LISTED] + 1]), size),
            f"{what.capitalize()} runs backwards in {len(backwards) - _LISTED} more places.",
        )
    repeated = np.flatnonzero(steps == 0)
    if len(repeated):
        yield Problem(
            GAZE_FILE,
            _record(int(known[repeated[0] + 1]), size),
            f"{len(repeated)} records repeat the {name} of the one before, first here.",
        )


def _flag_problems(records: npt.NDArray[np.void], size: int) -> Iterator[Problem]:
    for eye in ("left", "right"):
        flags = np.asarray(records[f"{eye}_gaze_valid"])
        odd = np.flatnonzero(flags > 1)
        if len(odd):
            yield Problem(
                GAZE_FILE,
                _record(int(odd[0]), size),
                f"{eye}_gaze_valid should be 0 or 1; {len(odd)} records hold something else.",
            )
        xy = np.column_stack([records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"]])
        hollow = np.flatnonzero((flags != 0) & ~np.isfinite(xy).all(axis=1))
        if len(hollow):
            yield Problem(
                GAZE_FILE,
                _record(int(hollow[0]), size),
                f"{len(hollow)} records say that the {eye} eye is valid, but hold no gaze.",
            )


def _record(number: int, size: int) -> str:
    return f"record {number} (byte {number * size})"


# -- gaze and viewer ---------------------------------------------------------------------------


def _coverage_problems(
    t_us: npt.NDArray[np.int64], states: Any, header: SessionHeader | None
) -> Iterator[Problem]:
    keyframe_us = header.viewer_keyframe_us if header else None
    message = content.not_covered(t_us, states, keyframe_us)
    if message:
        yield Problem(VIEWER_FILE, "", message)
    elif len(t_us):
        known = content.states_in_force(t_us, states, keyframe_us)
        share = float(known.mean())
        if share < _COVERED:
            first = int(np.flatnonzero(~known)[0])
            yield Problem(
                VIEWER_FILE,
                f"gaze record {first}",
                f"The viewer log covers {share:.1%} of the gaze; the first sample without a "
                f"known view is at {t_us[first] / 1e6:.3f} s.",
            )


def _hook_problems(folder: Path) -> Iterator[Problem]:
    if (folder / HOOK_FILE).is_file():
        lines = read_lines(folder / HOOK_FILE).rows
        yield Problem(
            HOOK_FILE,
            f"{len(lines)} lines",
            f"The hook wrote these while nobody listened; they are not merged into {VIEWER_FILE}.",
        )
