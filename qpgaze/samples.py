"""Gaze samples as fixed-size records: the layout of ``gaze.bin`` and of every source of gaze.

One record is one moment; both eyes lie side by side. Readers keep columns that they do not know,
so a later version may add some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qpgaze.errors import FrameError
from qpgaze.frames import Adcs, FloatArray, Points, SessionClock, Times


@dataclass(frozen=True)
class Column:
    """One column of a gaze record.

    Parameters
    ----------
    name : str
    dtype : str
        NumPy type string, little-endian.
    unit : str
        ``us``, ``1`` (a fraction), ``mm``, ``flag``.
    frame : str
        Frame or clock that the value lives in, ``-`` for none.
    """

    name: str
    dtype: str
    unit: str
    frame: str


def _eye_columns(suffix: str, dtype: str, unit: str, frame: str) -> tuple[Column, ...]:
    return tuple(Column(f"{eye}_{suffix}", dtype, unit, frame) for eye in ("left", "right"))


GAZE_COLUMNS: tuple[Column, ...] = (
    Column("t_us", "<i8", "us", "SessionClock"),
    Column("device_us", "<i8", "us", "DeviceClock"),
    Column("system_us", "<i8", "us", "HostClock"),
    *_eye_columns("x_adcs", "<f4", "1", "Adcs"),
    *_eye_columns("y_adcs", "<f4", "1", "Adcs"),
    *_eye_columns("origin_x_mm", "<f4", "mm", "UCS"),
    *_eye_columns("origin_y_mm", "<f4", "mm", "UCS"),
    *_eye_columns("origin_z_mm", "<f4", "mm", "UCS"),
    *_eye_columns("pupil_mm", "<f4", "mm", "-"),
    *_eye_columns("gaze_valid", "|u1", "flag", "-"),
    *_eye_columns("origin_valid", "|u1", "flag", "-"),
    *_eye_columns("pupil_valid", "|u1", "flag", "-"),
    # Two spare bytes keep the 8-byte stamps of every record aligned for memory mapping.
    Column("spare", "<u2", "flag", "-"),
)
"""The columns of format 1, in the order they lie in a record."""

GAZE_DTYPE: np.dtype[np.void] = np.dtype([(c.name, c.dtype) for c in GAZE_COLUMNS])
"""The record type of format 1."""

MISSING_STAMP = np.iinfo(np.int64).min
"""A stamp that the source did not give."""


def empty_records(n: int) -> npt.NDArray[np.void]:
    """Return `n` records in which nothing is valid: stamps missing, gaze NaN, flags 0."""
    records = np.zeros(n, dtype=GAZE_DTYPE)
    for column in GAZE_COLUMNS:
        if column.dtype == "<f4":
            records[column.name] = np.nan
        elif column.dtype == "<i8":
            records[column.name] = MISSING_STAMP
    return records


@dataclass(frozen=True, eq=False)
class GazeSamples:
    """Gaze records of one recording, in the order they came.

    Parameters
    ----------
    records : (n,) structured array
        At least the columns ``t_us``, ``left_/right_ x_adcs, y_adcs, gaze_valid``; often a
        read-only ``numpy.memmap`` of :data:`GAZE_DTYPE`, with more columns where a later
        version wrote them.

    Raises
    ------
    FrameError
        If a needed column is missing.
    """

    records: npt.NDArray[np.void]

    def __post_init__(self) -> None:
        names = self.records.dtype.names or ()
        needed = ["t_us"]
        needed += [
            f"{eye}_{what}"
            for eye in ("left", "right")
            for what in ("x_adcs", "y_adcs", "gaze_valid")
        ]
        missing = [name for name in needed if name not in names]
        if missing:
            raise FrameError(f"Gaze records lack the column(s) {', '.join(missing)}.")

    def __len__(self) -> int:
        return len(self.records)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return one column, (n,), in its stored type."""
        return np.ascontiguousarray(self.records[name])

    @property
    def times(self) -> Times[SessionClock]:
        """When each sample was taken, on the session clock."""
        return Times(SessionClock, self.column("t_us"))

    def eye(self, eye: str) -> Points[Adcs]:
        """Return the gaze of ``"left"`` or ``"right"``, NaN where it is not valid."""
        xy = np.column_stack([self.records[f"{eye}_x_adcs"], self.records[f"{eye}_y_adcs"]])
        xy = xy.astype(np.float64)
        xy[self.records[f"{eye}_gaze_valid"] == 0] = np.nan
        return Points(Adcs, xy)

    def average(self) -> Points[Adcs]:
        """Return the mean of the valid eyes: both, the one there is, else NaN."""
        return Points(Adcs, _mean_of_valid(self.eye("left").xy, self.eye("right").xy))

    def origin_ucs_mm(self) -> FloatArray:
        """Return the mean eye position, (n, 3), UCS millimetres, NaN where unknown.

        UCS: origin at the tracker, x right, y up, z towards the user.
        """
        eyes = []
        for eye in ("left", "right"):
            names = [f"{eye}_origin_{axis}_mm" for axis in "xyz"]
            if not set(names) <= set(self.records.dtype.names or ()):
                return np.full((len(self), 3), np.nan)
            xyz = np.column_stack([self.records[name] for name in names]).astype(np.float64)
            xyz[self.records[f"{eye}_origin_valid"] == 0] = np.nan
            eyes.append(xyz)
        return _mean_of_valid(*eyes)


def _mean_of_valid(left: FloatArray, right: FloatArray) -> FloatArray:
    """Average row by row; where one row has a NaN, the other stands alone."""
    both = (left + right) / 2
    for here, there in ((left, right), (right, left)):
        # A sum is NaN where any column is; reducing so short an axis is much slower.
        lost = np.isnan(sum(here.T[1:], start=here[:, 0]))
        if lost.any():
            both[lost] = there[lost]
    return both
