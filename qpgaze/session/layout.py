"""Names of the files of a session folder, and its description: ``session.json``.

What each field means, with unit and frame, stands in ``docs/session-format.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from qpgaze.errors import FormatError
from qpgaze.samples import GAZE_COLUMNS, Column
from qpgaze.viewing import Display, ImageIdentity
from qpgaze.viewing_json import (
    image_from_json,
    image_to_json,
    is_number,
    numbers,
    rect_from_json,
    rect_to_json,
)

FORMAT = 1
"""The one format that this version writes and reads."""

SUFFIX = ".qpgaze"
HEADER_FILE = "session.json"
GAZE_FILE = "gaze.bin"
VIEWER_FILE = "viewer.jsonl"
CLOCKS_FILE = "clocks.jsonl"
EVENTS_FILE = "events.jsonl"
HOOK_FILE = "viewer-hook.jsonl"
MANIFEST_FILE = "manifest.json"

DATA_FILES = (GAZE_FILE, VIEWER_FILE, CLOCKS_FILE, EVENTS_FILE)
"""Append-only files that every session has from its first moment on."""


@dataclass(frozen=True)
class SessionHeader:
    """What is known of a session when it starts.

    Parameters
    ----------
    id : UUID
        Ids of the objects made from the session follow from it.
    pseudonym : str
        Who looked. Never filled in from the system's user name.
    tracker : str
        Model of the eye tracker, or what stood in for one.
    display : Display
        The screen that carries the tracker.
    started_utc : str
        ISO 8601 date and time in UTC; empty where nobody knows.
    gaze_rate_hz : float or None
        The rate that the tracker was set to.
    software : mapping of str to str
        Names and versions of what took part.
    viewer_keyframe_us : int or None
        The hook repeats an unchanged viewer state after at most this long, microseconds. None:
        it writes changes only.
    extra : mapping
        JSON values under keys that this version does not know, kept as they came.
    """

    id: UUID
    pseudonym: str
    tracker: str
    display: Display
    started_utc: str = ""
    gaze_rate_hz: float | None = None
    software: Mapping[str, str] = field(default_factory=dict)
    viewer_keyframe_us: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


_HEADER_KEYS = {f.name for f in fields(SessionHeader)} - {"extra"} | {
    "format",
    "gaze_columns",
    "images",
}


def sessions_dir(project_dir: Path) -> Path:
    """Return the folder in which a project keeps its sessions unless told otherwise.

    Examples
    --------
    >>> sessions_dir(Path("study")).as_posix()
    'study/qpgaze/sessions'
    """
    return project_dir / "qpgaze" / "sessions"


def record_dtype(columns: Sequence[Column]) -> np.dtype[np.void]:
    """Return the type of one record of ``gaze.bin``."""
    return np.dtype([(c.name, c.dtype) for c in columns])


# -- to and from JSON --------------------------------------------------------------------------


def display_to_json(display: Display) -> dict[str, Any]:
    """Write the geometry of a display."""
    corners = display.corners_ucs_mm
    return {
        "bounds_screen_px": rect_to_json(display.bounds_screen_px),
        "width_mm": display.width_mm,
        "height_mm": display.height_mm,
        "corners_ucs_mm": None if corners is None else [list(corner) for corner in corners],
        "distance_mm": display.distance_mm,
        "monitor": display.monitor,
        "scale": display.scale,
    }


def display_from_json(value: Any) -> Display:
    """Read what :func:`display_to_json` wrote.

    Raises
    ------
    FormatError
        If the bounds or the size are missing, or anything is of the wrong kind.
    """
    if not isinstance(value, dict):
        raise FormatError(f"Expected the display as a JSON object, but {value!r} came.")
    bounds = rect_from_json(value.get("bounds_screen_px"))
    size = numbers(
        [value.get("width_mm"), value.get("height_mm")], 2, "the display's width_mm and height_mm"
    )
    if bounds is None or min(bounds.width, bounds.height, *size) <= 0:
        raise FormatError("The display needs bounds_screen_px, width_mm and height_mm above 0.")
    corners = value.get("corners_ucs_mm")
    if corners is not None:
        if not isinstance(corners, list) or len(corners) != 3:
            raise FormatError(f"Expected three corners of the display, but {corners!r} came.")
        corners = tuple(_corner(corner) for corner in corners)
    distance, scale = numbers(
        [value.get("distance_mm", 650.0), value.get("scale", 1.0)],
        2,
        "the display's distance_mm and scale",
    )
    return Display(
        bounds_screen_px=bounds,
        width_mm=size[0],
        height_mm=size[1],
        corners_ucs_mm=corners,
        distance_mm=distance,
        monitor=str(value.get("monitor", "")),
        scale=scale,
    )


def _corner(value: Any) -> tuple[float, float, float]:
    x, y, z = numbers(value, 3, "a corner of the display as [x, y, z]")
    return x, y, z


def header_to_json(
    header: SessionHeader,
    columns: Sequence[Column] = GAZE_COLUMNS,
    images: Sequence[ImageIdentity] = (),
) -> dict[str, Any]:
    """Write ``session.json``; keys of `extra` never hide a known one."""
    known = {
        "format": FORMAT,
        "id": str(header.id),
        "pseudonym": header.pseudonym,
        "tracker": header.tracker,
        "started_utc": header.started_utc,
        "gaze_rate_hz": header.gaze_rate_hz,
        "viewer_keyframe_us": header.viewer_keyframe_us,
        "software": dict(header.software),
        "display": display_to_json(header.display),
        "gaze_columns": [
            {"name": c.name, "dtype": c.dtype, "unit": c.unit, "frame": c.frame} for c in columns
        ],
        "images": [{"id": n, **image_to_json(image)} for n, image in enumerate(images, 1)],
    }
    return {**known, **{k: v for k, v in header.extra.items() if k not in _HEADER_KEYS}}


def header_from_json(value: Any) -> SessionHeader:
    """Read a session's description.

    Raises
    ------
    FormatError
        If it is of another format, or a field is missing or of the wrong kind.
    """
    check_format(value)
    try:
        identity = UUID(str(value["id"]))
    except (KeyError, ValueError) as error:
        raise FormatError(f"The session's id is no UUID: {value.get('id')!r}.") from error
    rate, keyframe = value.get("gaze_rate_hz"), value.get("viewer_keyframe_us")
    for name, number, least in (("gaze_rate_hz", rate, 1e-3), ("viewer_keyframe_us", keyframe, 1)):
        if number is not None and (not is_number(number) or number < least):
            raise FormatError(f"Expected {name} as a number above 0, but {number!r} came.")
    software = value.get("software") or {}
    if not isinstance(software, dict):
        raise FormatError(f"Expected software as a JSON object, but {software!r} came.")
    return SessionHeader(
        id=identity,
        pseudonym=str(value.get("pseudonym", "")),
        tracker=str(value.get("tracker", "")),
        display=display_from_json(value.get("display")),
        started_utc=str(value.get("started_utc", "")),
        gaze_rate_hz=None if rate is None else float(rate),
        software={str(k): str(v) for k, v in software.items()},
        viewer_keyframe_us=None if keyframe is None else int(keyframe),
        extra={k: v for k, v in value.items() if k not in _HEADER_KEYS},
    )


def check_format(value: Any) -> None:
    """Refuse what is no session description, or one of another format.

    Raises
    ------
    FormatError
        Always when the format is not 1.
    """
    if not isinstance(value, dict) or "format" not in value:
        raise FormatError(f"The {HEADER_FILE} names no format: this is no qpgaze session.")
    if value["format"] is True or value["format"] != FORMAT:
        raise FormatError(
            f"This session is format {value['format']}; this qpgaze reads format {FORMAT}.",
            hint="Install a newer qpgaze.",
        )


def columns_from_json(value: Any) -> tuple[Column, ...]:
    """Read the columns of ``gaze.bin``, those of later versions included.

    Raises
    ------
    FormatError
        If there are none, one is named twice, or a type is no plain little-endian number.
    """
    if not isinstance(value, list) or not value:
        raise FormatError(f"The {HEADER_FILE} describes no gaze columns.")
    columns = []
    for item in value:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise FormatError(f"Expected a gaze column with a name, but {item!r} came.")
        dtype = str(item.get("dtype", ""))
        # Only plain numbers: an object or string type from a file could do anything.
        if not re.fullmatch(r"<[iuf][248]|[<|][iu]1", dtype):
            raise FormatError(
                f"The gaze column {item['name']!r} has the type {dtype!r}; "
                "expected a little-endian number such as '<f4'."
            )
        unit, frame = str(item.get("unit", "")), str(item.get("frame", "-"))
        columns.append(Column(item["name"], dtype, unit, frame))
    names = [c.name for c in columns]
    if len(set(names)) < len(names):
        raise FormatError(f"The {HEADER_FILE} names a gaze column twice.")
    return tuple(columns)


def images_from_json(value: Any) -> dict[int, ImageIdentity]:
    """Read the table of images, full URIs and all, by their number in the session.

    Raises
    ------
    FormatError
        If an image in it is malformed.
    """
    if not isinstance(value, list):
        raise FormatError(f"Expected the images of a session as a list, but {value!r} came.")
    images = {}
    for item in value:
        image = image_from_json(item)
        if not isinstance(item.get("id"), int):
            raise FormatError(f"The image {image.name!r} of the session has no number.")
        images[item["id"]] = image
    return images
