"""Viewer states, events and clock comparisons as lines of JSON, and back.

A key that this version does not know is kept: in ``extra`` of a viewer state, in ``data`` of an
event. JSON has no NaN: what is not finite is written as null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from qpgaze.errors import FormatError
from qpgaze.frames import Clock, ClockRelation, DeviceClock, HostClock, SessionClock, ViewerClock
from qpgaze.model import Event
from qpgaze.session.layout import (
    image_from_json,
    image_to_json,
    is_number,
    numbers,
    rect_from_json,
    rect_to_json,
)
from qpgaze.viewing import Cover, ImageIdentity, Rect, ViewerState

# The fields of a viewer state are its keys; an ``extra`` key of a line would be one of its own.
_STATE_KEYS = frozenset(f.name for f in fields(ViewerState)) - {"extra"}

CLOCKS: dict[str, type[Clock]] = {
    clock.__name__: clock for clock in (DeviceClock, HostClock, ViewerClock, SessionClock)
}
"""Clocks by the name that files use."""


def dump_line(value: Mapping[str, Any]) -> bytes:
    """Return one line of UTF-8 JSON with its line feed."""
    plain = plain_json(value)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode("utf-8") + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which Java strings may hold
        return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def plain_json(value: Any) -> Any:
    """Return what JSON can say: NumPy numbers become numbers, what is not finite null."""
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "tolist"):
        return plain_json(value.tolist())
    return str(value)


def viewer_state_to_json(state: ViewerState) -> dict[str, Any]:
    """Return a viewer state as a JSON object.

    Corners that are not finite are written as null: QuPath's centre is NaN without an image.

    Examples
    --------
    >>> state = ViewerState(0, "1", None, None, downsample=1.0)
    >>> viewer_state_from_json(viewer_state_to_json(state)) == state
    True
    """
    known = {
        "t_us": int(state.t_us),
        "viewer": state.viewer,
        "image": None if state.image is None else image_to_json(state.image),
        "corners_image_px": _corners_to_json(state.corners_image_px),
        "downsample": state.downsample,
        "rotation_rad": state.rotation_rad,
        "bounds_screen_px": rect_to_json(state.bounds_screen_px),
        "screen_bounds_px": rect_to_json(state.screen_bounds_px),
        "screen_scale": state.screen_scale,
        "z": state.z,
        "t": state.t,
        "shown": state.shown,
        "iconified": state.iconified,
        "focused": state.focused,
        "cursor_viewer_px": _point_to_json(state.cursor_viewer_px),
        "covers": [
            {"kind": c.kind, "rect_viewer_px": rect_to_json(c.rect_viewer_px)} for c in state.covers
        ],
        "read_us": state.read_us,
        "painted_us": state.painted_us,
    }
    kept = {k: v for k, v in state.extra.items() if k not in _STATE_KEYS}
    plain: dict[str, Any] = plain_json({**known, **kept})
    return plain


def viewer_state_from_json(
    value: Any, images: Mapping[int, ImageIdentity] | None = None
) -> ViewerState:
    """Read a viewer state.

    Parameters
    ----------
    value : JSON object
        Only ``t_us`` and, with an image, ``bounds_screen_px``, ``corners_image_px`` and
        ``downsample`` are needed to place gaze; the rest has defaults.
    images : mapping of int to ImageIdentity, optional
        The session's images by number: an image that names its number gets its full URIs back.

    Raises
    ------
    FormatError
        If a field is missing or of the wrong kind.
    """
    if not isinstance(value, dict):
        raise FormatError(f"Expected a viewer state as a JSON object, but {value!r} came.")
    image = value.get("image")
    identity = None
    if image is not None:
        identity = image_from_json(image)
        number = image.get("id")
        if images and type(number) is int:
            identity = images.get(number, identity)
    downsample = value.get("downsample")
    if downsample is None and identity is not None:
        raise FormatError("The viewer state shows an image, but names no downsample.")
    return ViewerState(
        t_us=_integer(value, "t_us"),
        viewer=str(value.get("viewer", "")),
        image=identity,
        corners_image_px=_corners_from_json(value.get("corners_image_px")),
        downsample=math.nan if downsample is None else _float(value, "downsample", 1.0),
        rotation_rad=_float(value, "rotation_rad", 0.0),
        bounds_screen_px=rect_from_json(value.get("bounds_screen_px")),
        screen_bounds_px=rect_from_json(value.get("screen_bounds_px")),
        screen_scale=_float(value, "screen_scale", 1.0),
        z=_integer(value, "z", 0),
        t=_integer(value, "t", 0),
        shown=_flag(value, "shown", True),
        iconified=_flag(value, "iconified", False),
        focused=_flag(value, "focused", True),
        cursor_viewer_px=_point_from_json(value.get("cursor_viewer_px")),
        covers=_covers_from_json(value.get("covers") or []),
        read_us=None if value.get("read_us") is None else _integer(value, "read_us"),
        painted_us=None if value.get("painted_us") is None else _integer(value, "painted_us"),
        extra={k: v for k, v in value.items() if k not in _STATE_KEYS},
    )


def short_image(image: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return an image as a line of a session names it: its number, and URIs without folders.

    Full paths stand only in ``session.json``, so that anonymising a session stays simple.

    Examples
    --------
    >>> short_image({"name": "a", "uris": ["file:/data/J. Doe/a%20b.svs"]}, 1)["uris"]
    ['a%20b.svs']
    """
    return {"id": number, **image, "uris": [short_uri(uri) for uri in image["uris"]]}


def short_uri(uri: str) -> str:
    """Return the last name of a URI or path as a relative URI."""
    path = urlsplit(uri).path or uri
    # "C:\\slides\\a.svs" has no forward slash at all; "file:/C:/slides/a.svs" has only such.
    return quote(unquote(PurePosixPath(path.replace("\\", "/")).name))


def event_to_json(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object.

    Examples
    --------
    >>> event_to_json(Event(5, "note", {"text": "tired"}))
    {'t_us': 5, 'kind': 'note', 'data': {'text': 'tired'}}
    """
    return {"t_us": int(event.t_us), "kind": event.kind, "data": plain_json(event.data)}


def event_from_json(value: Any) -> Event:
    """Read an event of any kind; keys that this version does not know go into its data.

    Raises
    ------
    FormatError
        If time or kind is missing or of the wrong kind.
    """
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise FormatError("Expected an event as a JSON object with t_us and kind.")
    data = value.get("data", {})
    if not isinstance(data, dict):
        raise FormatError(f"Expected the data of an event as a JSON object, but {data!r} came.")
    unknown = {k: v for k, v in value.items() if k not in ("t_us", "kind", "data")}
    return Event(_integer(value, "t_us"), value["kind"], {**unknown, **data})


def clock_to_json(
    relation: ClockRelation[Any, Any], extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a clock comparison as a JSON object, with raw stamps beside it where given."""
    known = {
        "source": relation.source.__name__,
        "target": relation.target.__name__,
        "offset_us": int(relation.offset_us),
        "at_us": int(relation.at_us),
        "drift_ppm": float(relation.drift_ppm),
        "uncertainty_us": int(relation.uncertainty_us),
    }
    return {**plain_json(extra or {}), **known}


def clocks_known(value: Any) -> bool:
    """Tell whether a comparison is between clocks of this version; later ones may have more."""
    names = [value.get("source"), value.get("target")] if isinstance(value, dict) else [None]
    return not all(isinstance(n, str) for n in names) or all(n in CLOCKS for n in names)


def clock_from_json(value: Any) -> ClockRelation[Any, Any]:
    """Read a clock comparison.

    Raises
    ------
    FormatError
        If a number is missing, or a clock is none that this version knows.
    """
    if not isinstance(value, dict):
        raise FormatError(f"Expected a clock comparison as a JSON object, but {value!r} came.")
    names = [value.get("source"), value.get("target")]
    for name in names:
        if name not in CLOCKS:
            raise FormatError(f"Expected one of the clocks {', '.join(CLOCKS)}, but {name!r} came.")
    return ClockRelation(
        CLOCKS[str(names[0])],
        CLOCKS[str(names[1])],
        offset_us=_integer(value, "offset_us"),
        at_us=_integer(value, "at_us"),
        drift_ppm=_float(value, "drift_ppm", 0.0),
        uncertainty_us=_integer(value, "uncertainty_us", 0),
    )


# -- fields ------------------------------------------------------------------------------------


def _integer(value: Mapping[str, Any], name: str, default: int | None = None) -> int:
    number = value.get(name, default)
    if type(number) is float and not number.is_integer():
        number = None
    if not is_number(number):
        raise FormatError(f"Expected {name} as a whole number, but {number!r} came.")
    return int(number)


def _float(value: Mapping[str, Any], name: str, default: float) -> float:
    number = value.get(name, default)
    if not is_number(number):
        raise FormatError(f"Expected {name} as a number, but {number!r} came.")
    return float(number)


def _flag(value: Mapping[str, Any], name: str, default: bool) -> bool:
    flag = value.get(name, default)
    if not isinstance(flag, bool):
        raise FormatError(f"Expected {name} as true or false, but {flag!r} came.")
    return flag


def _point_to_json(point: tuple[float, float] | None) -> list[float] | None:
    if point is None or not all(map(math.isfinite, point)):
        return None
    return [float(v) for v in point]


def _point_from_json(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    x, y = numbers(value, 2, "a point [x, y]")
    return x, y


def _corners_to_json(
    corners: tuple[tuple[float, float], ...] | None,
) -> list[list[float]] | None:
    if corners is None or not all(math.isfinite(v) for corner in corners for v in corner):
        return None
    return [[float(x), float(y)] for x, y in corners]


def _corners_from_json(value: Any) -> tuple[tuple[float, float], ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise FormatError(f"Expected three corners of the viewer, but {value!r} came.")
    points = [numbers(corner, 2, "a corner as [x, y]") for corner in value]
    return tuple((x, y) for x, y in points)


def _covers_from_json(value: Any) -> tuple[Cover, ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise FormatError(f"Expected covers as a list of JSON objects, but {value!r} came.")
    return tuple(_cover(str(item.get("kind", "")), item.get("rect_viewer_px")) for item in value)


def _cover(kind: str, rect: Any) -> Cover:
    numbers(rect, 4, "the rectangle of a cover as [x, y, width, height]")
    return _same_cover(kind, *rect)


@lru_cache(maxsize=256)
def _same_cover(kind: str, x: float, y: float, width: float, height: float) -> Cover:
    """Return one record for a cover that every line repeats."""
    return Cover(kind, Rect(float(x), float(y), float(width), float(height)))
