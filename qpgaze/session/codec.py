"""Events and clock comparisons as lines of JSON, and back; viewer states beside them.

The codec of viewer states is the core's (:mod:`qpgaze.viewing_json`): the wire speaks it too. A
key of an event that this version does not know is kept in its ``data``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from qpgaze.errors import FormatError
from qpgaze.frames import Clock, ClockRelation, DeviceClock, HostClock, SessionClock, ViewerClock
from qpgaze.model import Event
from qpgaze.viewing_json import (
    dump_line,
    float_field,
    integer_field,
    plain_json,
    viewer_state_from_json,
    viewer_state_to_json,
)

__all__ = [
    "CLOCKS",
    "clock_from_json",
    "clock_to_json",
    "clocks_known",
    "dump_line",
    "event_from_json",
    "event_to_json",
    "plain_json",
    "short_image",
    "short_uri",
    "viewer_state_from_json",
    "viewer_state_to_json",
]

CLOCKS: dict[str, type[Clock]] = {
    clock.__name__: clock for clock in (DeviceClock, HostClock, ViewerClock, SessionClock)
}
"""Clocks by the name that files use."""


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
    return Event(integer_field(value, "t_us"), value["kind"], {**unknown, **data})


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
        offset_us=integer_field(value, "offset_us"),
        at_us=integer_field(value, "at_us"),
        drift_ppm=float_field(value, "drift_ppm", 0.0),
        uncertainty_us=integer_field(value, "uncertainty_us", 0),
    )
