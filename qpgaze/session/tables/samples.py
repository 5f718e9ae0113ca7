"""From a table's columns to gaze records: units, frames, validity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qpgaze.errors import FormatError
from qpgaze.samples import empty_records
from qpgaze.session.tables.kinds import EYES, TableMapping
from qpgaze.session.tables.reading import Table, numbers, vectors

_US_PER = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}

_TOBII_VALID = (0, 1)
"""Of Tobii's codes 0..4: 0 is both eyes surely, 1 one eye surely; from 2 on it guesses."""

_FARTHEST_US = 2.0**62
_LARGEST = 1e30
"""Numbers beyond are what a recorder makes of a lost eye; 32 bits hold them no more."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TableSamples:
    """What a table of gaze samples holds.

    Parameters
    ----------
    records : (n,) structured array
        Of :data:`qpgaze.samples.GAZE_DTYPE`; ``t_us`` is not set yet.
    device_us : (n,) int64
        The table's own stamps.
    gaze_ucs_mm : (n, 2, 3) float64
        Gaze points of both eyes in the tracker's frame, NaN where not given.
    distance_mm : (n,) float64
        Eye to screen as the recorder said, NaN where not given.
    skipped_rows : int
        Rows that hold no gaze sample (clicks, log messages).
    dropped_last : bool
        Whether the last row was left out because a cut made nonsense of its time.
    notes : tuple of str
    """

    records: npt.NDArray[np.void]
    device_us: npt.NDArray[np.int64]
    gaze_ucs_mm: Floats
    distance_mm: Floats
    skipped_rows: int
    dropped_last: bool
    notes: tuple[str, ...]


def convert(
    table: Table, mapping: TableMapping, resolution_px: tuple[int, int] | None, decimal: str
) -> TableSamples:
    """Convert the rows of a table that are gaze samples.

    Parameters
    ----------
    table : Table
    mapping : TableMapping
        All its columns are in the table.
    resolution_px : (width, height) or None
        Of the display, for the pixel frames.
    decimal : "auto", "." or ","

    Raises
    ------
    FormatError
        If a cell is no number, there is no sample, or time runs backwards: the message names
        the row.
    """
    rows = _sample_rows(table, mapping)
    if not len(rows):
        raise FormatError(f"'{table.name}' has {len(table)} rows, but none with gaze.")
    skipped = len(table) - len(rows)
    device_us, dropped = _times(table, mapping, rows, decimal)
    rows = rows[: len(device_us)]
    notes: list[str] = []
    records = empty_records(len(rows))
    records["device_us"] = device_us
    _system_stamps(table, mapping, rows, records)
    grows_up = _y_direction(table, mapping, decimal, notes)
    gaze_ucs_mm = np.full((len(rows), 2, 3), np.nan)
    for number, eye in enumerate(EYES):
        xy = _gaze(table, mapping, eye, decimal)[rows]
        adcs = _to_adcs(xy, mapping, resolution_px, grows_up)
        valid = np.isfinite(adcs).all(axis=1) & _valid(table, mapping, eye, rows, decimal)
        records[f"{eye}_x_adcs"] = np.where(valid, adcs[:, 0], np.nan)
        records[f"{eye}_y_adcs"] = np.where(valid, adcs[:, 1], np.nan)
        records[f"{eye}_gaze_valid"] = valid
        _origin(table, mapping, eye, rows, decimal, valid, records)
        _pupil(table, mapping, eye, rows, decimal, valid, records)
        names = ("gaze_x_mm", "gaze_y_mm", "gaze_z_mm")
        mm = _triple(table, mapping, eye, names, "gaze_xyz_mm", decimal)
        if mm is not None:
            gaze_ucs_mm[:, number] = np.where(valid[:, None], mm[rows], np.nan)
    distance = _distance(table, mapping, rows, decimal)
    return TableSamples(records, device_us, gaze_ucs_mm, distance, skipped, dropped, tuple(notes))


# -- rows and times ----------------------------------------------------------------------------


def _sample_rows(table: Table, mapping: TableMapping) -> npt.NDArray[np.int64]:
    """Return the rows that are gaze samples: with a time, and not silent about gaze altogether.

    Only where the table says of each sample whether it is valid, a row without a word about gaze
    is another thing (a click, a log message); else it is a sample with lost eyes.
    """
    keep = table.columns[mapping.columns["t"]] != ""
    validity = [r for r in ("valid", "left_valid", "right_valid") if r in mapping.columns]
    if validity:
        said = np.zeros(len(table), dtype=np.bool_)
        for role in (*mapping.gaze_roles, *validity):
            said |= table.columns[mapping.columns[role]] != ""
        keep &= said
    return np.flatnonzero(keep)


def _times(
    table: Table, mapping: TableMapping, rows: npt.NDArray[np.int64], decimal: str
) -> tuple[npt.NDArray[np.int64], bool]:
    """Return the stamps in microseconds, and whether the last row had to go."""
    values = numbers(table, mapping.columns["t"], decimal)[rows] * _US_PER[mapping.unit]
    hollow = np.flatnonzero(~(np.abs(values) < _FARTHEST_US))
    if len(hollow):
        cell = table.columns[mapping.columns["t"]][rows[hollow[0]]]
        raise FormatError(f"'{table.name}', row {rows[hollow[0]] + 1} has no time, but {cell!r}.")
    t = np.rint(values).astype(np.int64)
    backwards = np.flatnonzero(np.diff(t) < 0)
    # A file that ends within its last cell may end within its last time.
    if table.ends_cut and table.torn is None and len(backwards) and backwards[0] == len(t) - 2:
        return t[:-1], True
    if len(backwards):
        i = int(backwards[0]) + 1
        raise FormatError(
            f"Time runs backwards in '{table.name}', row {rows[i] + 1}: {t[i]} us after "
            f"{t[i - 1]} us.",
            hint="Split the file where a new recording begins.",
        )
    return t, False


def _system_stamps(
    table: Table,
    mapping: TableMapping,
    rows: npt.NDArray[np.int64],
    records: npt.NDArray[np.void],
) -> None:
    """Take over the computer's stamps, unless the recorder rounded them (1.56466617033e+15)."""
    if "system_t" not in mapping.columns:
        return
    cells = table.columns[mapping.columns["system_t"]][rows]
    if all(cell.lstrip("-").isdigit() and len(cell) < 19 for cell in cells):
        records["system_us"] = cells.astype(np.int64)


# -- gaze --------------------------------------------------------------------------------------


def _gaze(table: Table, mapping: TableMapping, eye: str, decimal: str) -> Floats:
    """Return x and y of one eye; a table with one gaze for both gives it to each."""
    columns = mapping.columns
    if f"{eye}_xy" in columns:
        return vectors(table, columns[f"{eye}_xy"], 2)
    for x, y in ((f"{eye}_x", f"{eye}_y"), ("x", "y")):
        if x in columns and y in columns:
            return np.column_stack(
                [numbers(table, columns[x], decimal), numbers(table, columns[y], decimal)]
            )
    return np.full((len(table), 2), np.nan)


def _to_adcs(
    xy: Floats, mapping: TableMapping, resolution_px: tuple[int, int] | None, grows_up: bool
) -> Floats:
    missing = np.isin(xy, mapping.missing).any(axis=1) if mapping.missing else None
    out: Floats = xy.astype(np.float64)
    if mapping.frame != "adcs":
        if resolution_px is None:
            raise FormatError(
                "Gaze in pixels needs the resolution of the screen.",
                hint="Give --screen 1920x1080.",
            )
        out /= np.array(resolution_px, dtype=np.float64)
    centred = mapping.frame == "screen-centre-px"
    if grows_up:
        # Up from the centre, or up from the lower edge of the display.
        out[:, 1] = -out[:, 1] if centred else 1.0 - out[:, 1]
    if centred:
        out += 0.5
    if missing is not None:
        out[missing] = np.nan
    out[~(np.abs(out) < _LARGEST).all(axis=1)] = np.nan
    return out


def _y_direction(table: Table, mapping: TableMapping, decimal: str, notes: list[str]) -> bool:
    if mapping.y_axis != "targets":
        return mapping.y_axis == "up"
    ids, y = numbers(table, "target_id", decimal), numbers(table, "tar_y", decimal)
    up = y_grows_up(ids, y)
    if up is None:
        raise FormatError(
            f"'{table.name}' does not tell whether y grows up or down.", hint="Give --y-axis."
        )
    notes.append(
        f"y grows {'up' if up else 'down'}: the first target has the "
        f"{'largest' if up else 'smallest'} tar_y, and targets are numbered from the top."
    )
    return up


def y_grows_up(target_id: Floats, target_y: Floats) -> bool | None:
    """Tell from numbered targets whether y grows upwards.

    Notes
    -----
    ETDQualitizer documents y down from the screen's centre, yet its example recordings of May 2025
    hold y up: there the raw gaze of 304 px from the top edge of 1080 became +235. Its default
    targets are numbered row by row from the top, so the y of the first against that of the last
    tells the two apart. None where that cannot be told.

    Examples
    --------
    >>> import numpy as np
    >>> y_grows_up(np.array([-1.0, 1, 9]), np.array([-1.0, 270, -270]))
    True
    """
    shown = target_id > 0
    if not shown.any():
        return None
    first = target_y[target_id == target_id[shown].min()][0]
    last = target_y[target_id == target_id[shown].max()][0]
    return None if first == last else bool(first > last)


def _valid(
    table: Table,
    mapping: TableMapping,
    eye: str,
    rows: npt.NDArray[np.int64],
    decimal: str,
) -> Bools:
    for role in (f"{eye}_valid", "valid"):
        if role in mapping.columns:
            code = numbers(table, mapping.columns[role], decimal)[rows]
            good = np.isin(code, _TOBII_VALID) if mapping.validity == "tobii-0-4" else code == 1
            return np.asarray(good, dtype=np.bool_)
    return np.ones(len(rows), dtype=np.bool_)


# -- eye position and pupil --------------------------------------------------------------------


def _triple(
    table: Table,
    mapping: TableMapping,
    eye: str,
    names: tuple[str, str, str],
    text_name: str,
    decimal: str,
) -> Floats | None:
    roles = [f"{eye}_{name}" for name in names]
    if f"{eye}_{text_name}" in mapping.columns:
        return vectors(table, mapping.columns[f"{eye}_{text_name}"], 3)
    if not set(roles) <= set(mapping.columns):
        return None
    return np.column_stack([numbers(table, mapping.columns[r], decimal) for r in roles])


def _origin(
    table: Table,
    mapping: TableMapping,
    eye: str,
    rows: npt.NDArray[np.int64],
    decimal: str,
    valid: Bools,
    records: npt.NDArray[np.void],
) -> None:
    names = ("origin_x", "origin_y", "origin_z")
    mm = _triple(table, mapping, eye, names, "origin_xyz", decimal)
    if mm is None:
        return
    mm = mm[rows]
    role = f"{eye}_origin_valid"
    good = (
        valid
        if role not in mapping.columns
        else numbers(table, mapping.columns[role], decimal)[rows] == 1
    )
    # Recorders write 0, 0, 0 for an eye that they did not find.
    good = good & (np.abs(mm) < _LARGEST).all(axis=1) & (mm != 0).any(axis=1)
    for axis, values in zip("xyz", mm.T, strict=True):
        records[f"{eye}_origin_{axis}_mm"] = np.where(good, values, np.nan)
    records[f"{eye}_origin_valid"] = good


def _pupil(
    table: Table,
    mapping: TableMapping,
    eye: str,
    rows: npt.NDArray[np.int64],
    decimal: str,
    valid: Bools,
    records: npt.NDArray[np.void],
) -> None:
    if f"{eye}_pupil" not in mapping.columns:
        return
    mm = numbers(table, mapping.columns[f"{eye}_pupil"], decimal)[rows]
    role = f"{eye}_pupil_valid"
    good = (
        valid
        if role not in mapping.columns
        else numbers(table, mapping.columns[role], decimal)[rows] == 1
    )
    good = good & (mm > 0) & (mm < _LARGEST)
    records[f"{eye}_pupil_mm"] = np.where(good, mm, np.nan)
    records[f"{eye}_pupil_valid"] = good


def _distance(
    table: Table, mapping: TableMapping, rows: npt.NDArray[np.int64], decimal: str
) -> Floats:
    columns = [
        mapping.columns[r] for r in ("left_distance", "right_distance") if r in mapping.columns
    ]
    if not columns:
        return np.full(len(rows), np.nan)
    mm = np.column_stack([numbers(table, name, decimal)[rows] for name in columns])
    good = mm > 0
    count = good.sum(axis=1)
    total = np.where(good, mm, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
