"""Read the files of a session as they lie: whole lines, whole records, and what was torn."""

from __future__ import annotations

import codecs
import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from qpgaze.errors import FormatError, SessionError
from qpgaze.samples import Column
from qpgaze.session.layout import (
    DATA_FILES,
    GAZE_FILE,
    HEADER_FILE,
    MANIFEST_FILE,
    check_format,
    columns_from_json,
    record_dtype,
)

T = TypeVar("T")


class Line(NamedTuple):
    """One line of a ``.jsonl`` file: its number from 1, and its JSON value (None where broken)."""

    number: int
    value: Any


class Lines(NamedTuple):
    """The whole lines of a file by number, and the bytes of a last one that was cut off."""

    rows: tuple[tuple[int, bytes], ...]
    torn_bytes: int


def session_folder(path: Path) -> Path:
    """Return `path` if it is a folder that claims to be a session.

    Raises
    ------
    SessionError
        If nothing is there.
    FormatError
        If it is a file, or a folder without ``session.json``.
    """
    path = Path(path)
    if not path.exists():
        raise SessionError(f"There is no session at '{path}'.")
    if not path.is_dir():
        raise FormatError(
            f"'{path}' is a file; a session is a folder that holds {HEADER_FILE}.",
            hint="Give the folder, or bring a recorder's table in with 'qpgaze import'.",
        )
    if not (path / HEADER_FILE).is_file():
        raise FormatError(
            f"The folder '{path}' holds no {HEADER_FILE}: this is no qpgaze session.",
            hint=f"A session folder holds {', '.join((HEADER_FILE, *DATA_FILES))}.",
        )
    return path


def read_json(path: Path) -> Any:
    """Read a whole JSON file.

    Raises
    ------
    FormatError
        If it is no JSON.
    SessionError
        If it cannot be read.
    """
    data = read_bytes(path)
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path.name} is damaged or no JSON: {error}.") from error


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises
    ------
    SessionError
        If it is not there or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FormatError(
            f"The session '{path.parent.name}' lacks its file {path.name}."
        ) from error
    except OSError as error:
        raise SessionError(f"{path.name} cannot be read: {error.strerror or error}.") from error


def read_lines(path: Path) -> Lines:
    """Read a ``.jsonl`` file; a last line that a cut left incomplete is told apart.

    Raises
    ------
    SessionError
        If the file is not there or cannot be read.
    """
    data = read_bytes(path)
    # After a power cut some file systems leave zeros where the last block should be.
    whole = data.removeprefix(codecs.BOM_UTF8).rstrip(b"\0")
    torn_bytes = len(data) - len(data.rstrip(b"\0"))
    *ended, last = whole.split(b"\n")
    rows = [(number, row) for number, row in enumerate(ended, 1) if row.strip()]
    if last.strip():  # no line feed behind it: the write was cut, unless it can be read anyway
        if _parse(last)[1] is None:
            rows.append((len(ended) + 1, last))
        else:
            torn_bytes += len(last)
    return Lines(tuple(rows), torn_bytes)


def _parse(row: bytes) -> tuple[Any, str | None]:
    try:
        return json.loads(row.decode("utf-8")), None
    except (ValueError, RecursionError) as error:
        return None, f"no JSON: {error}"


def parse_lines(
    lines: Lines, parse: Callable[[Any], T]
) -> Iterator[tuple[Line, T | None, str | None]]:
    """Turn each line into a record, or say what is wrong with it."""
    for number, row in lines.rows:
        value, problem = _parse(row)
        if problem is not None:
            yield Line(number, None), None, problem
            continue
        try:
            yield Line(number, value), parse(value), None
        except FormatError as error:
            yield Line(number, value), None, str(error)


@contextmanager
def many_records() -> Iterator[None]:
    """Hold the garbage collector off while many records are made.

    None of them is garbage, yet it looks through all of them again and again: two fifths of the
    time that a long viewer log takes to read.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True)
class GazeFile:
    """``gaze.bin`` as it lies.

    Parameters
    ----------
    records : (n,) structured array
        Read-only memory map of the whole records.
    size_bytes, record_bytes : int
    torn_bytes : int
        Behind the last whole record, or zeros that a power cut left there.
    """

    records: npt.NDArray[np.void]
    size_bytes: int
    record_bytes: int
    torn_bytes: int


def map_gaze(folder: Path, columns: tuple[Column, ...]) -> GazeFile:
    """Map ``gaze.bin`` into memory.

    Raises
    ------
    SessionError
        If it is not there or cannot be read.
    """
    path = folder / GAZE_FILE
    dtype = record_dtype(columns)
    try:
        size = path.stat().st_size
        count = size // dtype.itemsize
        # An empty file cannot be mapped.
        records: npt.NDArray[np.void] = (
            np.memmap(path, dtype=dtype, mode="r", shape=(count,))
            if count
            else np.empty(0, dtype=dtype)
        )
    except FileNotFoundError as error:
        raise FormatError(f"The session '{folder.name}' lacks its file {GAZE_FILE}.") from error
    except OSError as error:
        raise SessionError(f"{GAZE_FILE} cannot be read: {error.strerror or error}.") from error
    kept = count - _zero_records_at_end(records)
    torn = size - kept * dtype.itemsize
    return GazeFile(records[:kept], size, dtype.itemsize, torn)


def _zero_records_at_end(records: npt.NDArray[np.void]) -> int:
    """Count trailing records of nothing but zeros, which no recorder writes."""
    count = 0
    while count < len(records) and not any(records[-1 - count].tobytes()):
        count += 1
    return count


def read_columns(header: Any) -> tuple[Column, ...]:
    """Return the columns that a session's description names, format checked first.

    Raises
    ------
    FormatError
        If it is of another format or describes no proper columns.
    """
    check_format(header)
    return columns_from_json(header.get("gaze_columns"))


def read_manifest(folder: Path) -> tuple[dict[str, dict[str, Any]] | None, str | None]:
    """Return the files that the manifest lists, None where it is absent, and what is wrong.

    A manifest that cannot be read counts as absent: the session is then 'not closed'.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return None, None
    try:
        value = read_json(path)
    except SessionError as error:
        return None, str(error)
    files = value.get("files") if isinstance(value, dict) else None
    good = isinstance(files, dict) and all(
        isinstance(f, dict) and isinstance(f.get("bytes"), int) and isinstance(f.get("sha256"), str)
        for f in files.values()
    )
    if not good:
        return None, f"{MANIFEST_FILE} lists no files with bytes and sha256."
    return files, None
