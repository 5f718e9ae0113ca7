"""Records of the Open Gaze API, which Gazepoint's trackers speak. Pure."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpgaze.samples import MISSING_STAMP

SENT: Final = (
    "COUNTER",
    "TIME",
    "TIME_TICK",
    "POG_LEFT",
    "POG_RIGHT",
    "POG_BEST",
    "EYE_LEFT",
    "EYE_RIGHT",
    "PUPILMM",
)
"""What the tracker is asked to send."""
ASKED: Final = ("PRODUCT_ID", "SERIAL_ID", "API_ID", "SCREEN_SIZE", "TIME_TICK_FREQUENCY")
"""What the tracker is asked to tell of itself."""

_TAG = re.compile(r"<\s*(\w+)")
# Not an XML parser: a record is one line of attributes, some versions end it with '/>>', and an
# entity in it could do harm.
_ATTRIBUTE = re.compile(r'([\w.()=]+?)\s*=\s*"([^"]*)"')
_TICKS = re.compile(r"TIME_?TICK\s*\(\s*f\s*=\s*(\d+(?:\.\d+)?)\s*\)", re.IGNORECASE)
_PLAUSIBLE_HZ = (1e3, 1e11)


def read_line(line: str) -> tuple[str, dict[str, str]]:
    """Read one line of the tracker.

    Returns
    -------
    tag : str
        ``REC``, ``ACK``, ``NACK``, ``CAL``; empty where the line is no record.
    attributes : dict

    Examples
    --------
    >>> read_line('<REC CNT="7" BPOGX="0.5" BPOGV="1" />>')
    ('REC', {'CNT': '7', 'BPOGX': '0.5', 'BPOGV': '1'})
    """
    tag = _TAG.match(line.strip())
    return (tag[1].upper(), dict(_ATTRIBUTE.findall(line))) if tag else ("", {})


def get(name: str) -> bytes:
    """Return the line that asks for a value."""
    return f'<GET ID="{name}" />\r\n'.encode("ascii")


def enable(name: str, on: bool = True) -> bytes:
    """Return the line that has something sent, or no longer."""
    return f'<SET ID="ENABLE_SEND_{name}" STATE="{int(on)}" />\r\n'.encode("ascii")


def tick_frequency(text: str | None) -> float | None:
    """Return how many ticks a second has; None where that cannot be told.

    Some versions print the bits of a double as a whole number, and a CSV's header names the
    frequency as ``TIMETICK(f=...)``.

    Examples
    --------
    >>> tick_frequency("10000000"), tick_frequency("4704405731611246592")
    (10000000.0, 3330093.0)
    >>> tick_frequency("TIMETICK(f=2405480000)")
    2405480000.0
    >>> tick_frequency("0")
    """
    found = _TICKS.search(text or "")
    number = found[1] if found else (text or "")
    try:
        value = float(number)
        bits = int(number) if number.strip().isdigit() else None
    except ValueError:
        return None
    if bits is not None and _PLAUSIBLE_HZ[1] < bits < 2**63:
        (value,) = struct.unpack("<d", struct.pack("<q", bits))
    return value if math.isfinite(value) and _PLAUSIBLE_HZ[0] < value < _PLAUSIBLE_HZ[1] else None


def columns_of(
    records: Sequence[Mapping[str, str]], ticks_hz: float | None
) -> dict[str, npt.NDArray[Any]]:
    """Return records as columns of format 1.

    Parameters
    ----------
    records : sequence of mapping
        Attributes of ``REC`` lines.
    ticks_hz : float or None
        Ticks a second; None: the stamps are those of ``TIME``, in seconds.

    Notes
    -----
    Positions are fractions of the screen from its top left, as ADCS. Eyes are in metres from the
    camera, pupils in metres or millimetres. Values persist while their flag is 0: the flag goes
    with them. A tracker that sends the best of both eyes only gives it to both.
    """
    columns: dict[str, npt.NDArray[Any]] = {"device_us": _stamps(records, ticks_hz)}
    for eye, letter in (("left", "L"), ("right", "R")):
        own = any(f"{letter}POGX" in record for record in records)
        point = f"{letter}POG" if own else "BPOG"
        for axis in "XY":
            columns[f"{eye}_{axis.lower()}_adcs"] = _floats(records, f"{point}{axis}")
            columns[f"{eye}_origin_{axis.lower()}_mm"] = (
                _floats(records, f"{letter}EYE{axis}") * 1e3
            )
        columns[f"{eye}_origin_z_mm"] = _floats(records, f"{letter}EYEZ") * 1e3
        columns[f"{eye}_gaze_valid"] = _flags(records, f"{point}V")
        columns[f"{eye}_origin_valid"] = _flags(records, f"{letter}PUPILV")
        if any(f"{letter}PMM" in record for record in records):
            columns[f"{eye}_pupil_mm"] = _floats(records, f"{letter}PMM")
            columns[f"{eye}_pupil_valid"] = _flags(records, f"{letter}PMMV")
        else:
            columns[f"{eye}_pupil_mm"] = _floats(records, f"{letter}PUPILD") * 1e3
            columns[f"{eye}_pupil_valid"] = _flags(records, f"{letter}PUPILV")
    return columns


def _stamps(records: Sequence[Mapping[str, str]], ticks_hz: float | None) -> npt.NDArray[np.int64]:
    stamps = np.full(len(records), MISSING_STAMP, dtype=np.int64)
    name, per_second = ("TIME", 1.0) if ticks_hz is None else ("TIME_TICK", ticks_hz)
    for number, record in enumerate(records):
        try:
            # Ticks are whole and may be larger than a double can count.
            value = int(record[name]) if ticks_hz is not None else float(record[name])
            stamps[number] = round(value * 1_000_000 / per_second)
        except (KeyError, ValueError, OverflowError):
            continue
    return stamps


def _floats(records: Sequence[Mapping[str, str]], name: str) -> npt.NDArray[np.float64]:
    return np.array([_float(record.get(name)) for record in records], dtype=np.float64)


def _float(text: str | None) -> float:
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan


def _flags(records: Sequence[Mapping[str, str]], name: str) -> npt.NDArray[np.uint8]:
    return np.array([record.get(name) == "1" for record in records], dtype=np.uint8)
