"""Viewer states and images as JSON: one codec for a session's files and the wire to QuPath.

A key of a viewer state that this version does not know is kept in its ``extra``. JSON has no NaN:
what is not finite is written as null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from qpgaze.errors import FormatError
from qpgaze.viewing import Cover, ImageIdentity, Rect, ViewerState

# The fields of a viewer state are its keys; an ``extra`` key of a line would be one of its own.
_STATE_KEYS = frozenset(f.name for f in fields(ViewerState)) - {"extra"}

_FLOATS = {float}
_LARGEST = 2**63
"""Whole numbers beyond 64 bits are no stamps, sizes or planes."""


def dump_line(value: Mapping[str, Any]) -> bytes:
    """Return one line of UTF-8 JSON with its line feed."""
    return dump_value(value) + b"\n"


def dump_value(value: Any) -> bytes:
    """Return any value as JSON in UTF-8."""
    try:  # nearly every line holds nothing that JSON cannot say
        text = _dumps(value, ascii_only=False)
    except (TypeError, ValueError):
        value = plain_json(value)
        text = _dumps(value, ascii_only=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair, which Java strings may hold
        return _dumps(value, ascii_only=True).encode("ascii")


def _dumps(value: Any, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"))


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
    known: dict[str, Any] = {
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
    if not math.isfinite(state.downsample + state.rotation_rad + state.screen_scale):
        known = plain_json(known)
    if state.extra:
        kept = {k: v for k, v in state.extra.items() if k not in _STATE_KEYS}
        return {**known, **plain_json(kept)}
    return known


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
        number = image.get("id") if images and isinstance(image, dict) else None
        known = images.get(number) if images and type(number) is int else None
        # Nearly every line names a known image: it is not read anew.
        identity = known or image_from_json(image)
    downsample = value.get("downsample")
    if downsample is None and identity is not None:
        raise FormatError("The viewer state shows an image, but names no downsample.")
    return ViewerState(
        t_us=integer_field(value, "t_us"),
        viewer=str(value.get("viewer", "")),
        image=identity,
        corners_image_px=_corners_from_json(value.get("corners_image_px")),
        downsample=math.nan if downsample is None else float_field(value, "downsample", 1.0),
        rotation_rad=float_field(value, "rotation_rad", 0.0),
        bounds_screen_px=rect_from_json(value.get("bounds_screen_px")),
        screen_bounds_px=rect_from_json(value.get("screen_bounds_px")),
        screen_scale=float_field(value, "screen_scale", 1.0),
        z=integer_field(value, "z", 0),
        t=integer_field(value, "t", 0),
        shown=_flag(value, "shown", True),
        iconified=_flag(value, "iconified", False),
        focused=_flag(value, "focused", True),
        cursor_viewer_px=_point_from_json(value.get("cursor_viewer_px")),
        covers=_covers_from_json(value.get("covers") or []),
        read_us=None if value.get("read_us") is None else integer_field(value, "read_us"),
        painted_us=None if value.get("painted_us") is None else integer_field(value, "painted_us"),
        extra={k: v for k, v in value.items() if k not in _STATE_KEYS},
    )


def rect_to_json(rect: Rect | None) -> list[float] | None:
    """Write a rectangle as ``[x, y, width, height]``; null where it is none or not finite."""
    if rect is None:
        return None
    values = [float(v) for v in (rect.x, rect.y, rect.width, rect.height)]
    return values if all(map(math.isfinite, values)) else None


def rect_from_json(value: Any) -> Rect | None:
    """Read what :func:`rect_to_json` wrote.

    Raises
    ------
    FormatError
        If it is no list of four numbers.
    """
    if value is None:
        return None
    return Rect(*numbers(value, 4, "a rectangle [x, y, width, height]"))


def image_to_json(image: ImageIdentity) -> dict[str, Any]:
    """Write the identity of a slide with its URIs as they are."""
    return {
        "name": image.name,
        "width_px": image.width_px,
        "height_px": image.height_px,
        "entry_id": image.entry_id,
        "uris": list(image.uris),
    }


def image_from_json(value: Any) -> ImageIdentity:
    """Read what :func:`image_to_json` wrote.

    Raises
    ------
    FormatError
        If name or size is missing or of the wrong kind.
    """
    if not isinstance(value, dict):
        raise FormatError(f"Expected an image as a JSON object, but {value!r} came.")
    width, height = value.get("width_px"), value.get("height_px")
    if not isinstance(value.get("name"), str) or not is_number(width) or not is_number(height):
        raise FormatError(
            "Expected an image with name, width_px and height_px, "
            f"but it has {', '.join(map(str, value)) or 'nothing'}."
        )
    uris = value.get("uris") or []
    entry = value.get("entry_id")
    if not isinstance(uris, list):
        raise FormatError(f"Expected the uris of an image as a list, but {uris!r} came.")
    return ImageIdentity(
        name=value["name"],
        width_px=int(value["width_px"]),
        height_px=int(value["height_px"]),
        entry_id=None if entry is None else str(entry),
        uris=tuple(str(uri) for uri in uris),
    )


def numbers(value: Any, count: int, what: str) -> list[float]:
    """Return `value` as a list of `count` finite numbers.

    Raises
    ------
    FormatError
        If it is something else.
    """
    if type(value) is list and len(value) == count:
        # Floats whose sum is finite are finite: one question for the list, not one for each.
        if set(map(type, value)) == _FLOATS and math.isfinite(sum(value)):
            return value
        if all(map(is_number, value)):
            return [float(v) for v in value]
    raise FormatError(f"Expected {what}, but {value!r} came.")


def is_number(value: Any) -> bool:
    """Tell whether a JSON value is a finite number (true and false are none)."""
    # Called for every number of every line: the exact type is the quickest question.
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int and -_LARGEST < value < _LARGEST


def integer_field(value: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """Return a field that must be a whole number, or the default where it is missing.

    Raises
    ------
    FormatError
        If it is something else.
    """
    number = value.get(name, default)
    if type(number) is float and not number.is_integer():
        number = None
    if not is_number(number):
        raise FormatError(f"Expected {name} as a whole number, but {number!r} came.")
    return int(number)


def float_field(value: Mapping[str, Any], name: str, default: float) -> float:
    """Return a field that must be a number, or the default where it is missing.

    Raises
    ------
    FormatError
        If it is something else.
    """
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
