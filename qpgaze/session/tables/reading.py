"""Read separated text as columns of text: encoding, prose before the header, a torn last row."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qpgaze.errors import FormatError, SessionError, UsageError

_SEPARATORS = "\t;,"
_HEADER_WITHIN = 200
"""Lines of prose that recorders put before the table; Tobii Studio writes about thirty."""

TextArray = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Table:
    """A table as text.

    Parameters
    ----------
    name : str
        Of the file.
    names : tuple of str
        Column names in order.
    columns : dict of str to (n,) object array of str
        ``""`` where a cell is empty.
    header_line : int
        Line of the file that holds the names, from 1.
    prose : tuple of str
        The lines before it.
    torn : str or None
        A last row that was cut off, left out.
    ends_cut : bool
        Whether the file ends without a line end: its last cell may be cut as well.
    """

    name: str
    names: tuple[str, ...]
    columns: dict[str, TextArray]
    header_line: int
    prose: tuple[str, ...]
    torn: str | None
    ends_cut: bool

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, in UTF-16 with its mark (Tobii's), or else in Windows' 1252.

    Raises
    ------
    SessionError
        If it cannot be read.
    FormatError
        If it is empty or no text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise SessionError(f"There is no table at '{path}'.") from error
    except OSError as error:
        raise SessionError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    if not data.strip():
        raise FormatError(f"'{path.name}' is empty.", hint="Export the recording again.")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in data:
        raise FormatError(f"'{path.name}' is no text: a table as CSV or TSV was expected.")
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def find_header(lines: Sequence[str], wanted: Collection[frozenset[str]]) -> tuple[int, str] | None:
    """Return index and separator of the first line that names all columns of one wanted set.

    Examples
    --------
    >>> find_header(["Recording: 1", "", "t;x;y", "0;1;2"], [frozenset("txy")])
    (2, ';')
    """
    for index, line in enumerate(lines[:_HEADER_WITHIN]):
        for separator in _SEPARATORS:
            names = set(split_row(line, separator))
            if any(names >= needs for needs in wanted):
                return index, separator
    return None


def split_row(line: str, separator: str) -> list[str]:
    """Split one row into its cells, quotes and outer blanks taken off."""
    row = next(csv.reader([line], delimiter=separator), [])
    return [cell.strip() for cell in row]


def likely_names(lines: Sequence[str]) -> list[str]:
    """Return the cells of the line that looks most like a header, for a message."""
    best: list[str] = []
    for line in lines[:_HEADER_WITHIN]:
        for separator in _SEPARATORS:
            cells = [cell for cell in split_row(line, separator) if cell]
            words = [cell for cell in cells if not _is_number(cell)]
            if len(words) == len(cells) and len(cells) > max(1, len(best)):
                best = cells
    return best


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def read_table(name: str, text: str, header: int, separator: str) -> Table:
    """Read the table whose names stand in line `header` (from 0).

    Raises
    ------
    FormatError
        If there are no rows, or a row has more cells than there are names.
    """
    import pandas as pd

    ends_cut = not text.endswith(("\n", "\r"))
    # Rows may end in CR CR LF (a dump written twice through text mode): blank lines fall away.
    lines = text.splitlines()
    names = split_row(lines[header], separator)
    rows = [line for line in lines[header + 1 :] if line.strip()]
    torn = None
    if rows and len(split_row(rows[-1], separator)) < len(names):
        torn = rows.pop()
    if not rows:
        raise FormatError(f"'{name}' has column names, but no whole row.")
    unique = _unique(names)
    frame = pd.read_csv(
        io.StringIO("\n".join(_even_rows(name, rows, separator, len(names)))),
        sep=separator,
        header=None,
        names=unique,
        index_col=False,
        dtype=str,
        na_filter=False,
    )
    columns = {column: np.array(frame[column].tolist(), dtype=object) for column in unique}
    return Table(name, tuple(unique), columns, header + 1, tuple(lines[:header]), torn, ends_cut)


def _even_rows(name: str, rows: list[str], separator: str, count: int) -> list[str]:
    """Return rows of `count` cells each; empty cells too many at the end are taken off.

    Raises
    ------
    FormatError
        If a row has another number of cells.
    """
    even = []
    for number, row in enumerate(rows, 1):
        cells = row.count(separator) + 1
        if cells != count:  # a separator within quotes counts as none
            cells = len(split_row(row, separator))
        while cells > count and row.endswith(separator):
            row, cells = row[:-1], cells - 1
        if cells != count:
            raise FormatError(
                f"'{name}', row {number} has {cells} cells, but there are {count} column names."
            )
        even.append(row)
    return even


def _unique(names: Sequence[str]) -> list[str]:
    """Give columns without a name, or with another's, a name of their own."""
    seen: set[str] = set()
    unique = []
    for number, name in enumerate(names, 1):
        name = name if name and name not in seen else f"{name}#{number}"
        seen.add(name)
        unique.append(name)
    return unique


def numbers(table: Table, column: str, decimal: str = "auto") -> npt.NDArray[np.float64]:
    """Return a column as numbers, NaN where a cell is empty or says nan.

    Parameters
    ----------
    table : Table
    column : str
    decimal : "auto", "." or ","
        ``auto`` takes the comma where cells such as ``0,51`` say so.

    Raises
    ------
    FormatError
        If a cell is no number: the message names its row.
    """
    if decimal not in ("auto", ".", ","):
        raise UsageError(f"Expected the decimal sign as auto, '.' or ',', but {decimal!r} came.")
    cells = table.columns[column]
    plain = _to_float(cells)
    if plain is not None and decimal != ",":
        return plain
    commas = _to_float(np.array([c.replace(",", ".") for c in cells], dtype=object))
    if commas is not None and decimal != "." and not any("." in c for c in cells if "," in c):
        return commas
    row = next(n for n, c in enumerate(cells, 1) if _to_float(np.array([c], dtype=object)) is None)
    raise FormatError(
        f"'{table.name}', row {row}: column {column!r} should hold a number, "
        f"but {cells[row - 1]!r} came.",
        hint="Export with decimal points and without thousands separators.",
    )


def _to_float(cells: TextArray) -> npt.NDArray[np.float64] | None:
    """Return cells as numbers, None where one is none; empty ones become NaN."""
    filled = np.where(cells == "", "nan", cells)
    try:
        return filled.astype(np.float64)
    except ValueError:
        return None


def vectors(table: Table, column: str, length: int) -> npt.NDArray[np.float64]:
    """Return a column of texts such as ``(0.1, 0.2)`` as (n, length) numbers.

    The text is taken apart by hand: nothing that was read is ever evaluated.

    Raises
    ------
    FormatError
        If a cell is something else: the message names its row.
    """
    out = np.full((len(table), length), np.nan)
    for i, cell in enumerate(table.columns[column]):
        if not cell.strip():
            continue
        parts = cell.strip().strip("()[]").split(",")
        try:
            out[i] = [float(part) for part in parts]
        except ValueError as error:
            raise FormatError(
                f"'{table.name}', row {i + 1}: column {column!r} should hold {length} numbers "
                f"such as {'(' + ', '.join(['0.5'] * length) + ')'}, but {cell!r} came."
            ) from error
    return out
