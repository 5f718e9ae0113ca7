"""Cut a large change of objects into lines that may be sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from qpgaze.errors import WireError
from qpgaze.viewing_json import dump_value
from qpgaze.wire.schema import MAX_LINE_BYTES

PART_BYTES: Final = MAX_LINE_BYTES // 8
"""A change larger than this goes in parts: Java's garbage collector does not like large things."""

_SPARE_BYTES: Final = 4096
"""For what a line says besides the objects."""


def parts(changes: Iterable[tuple[str, Any]]) -> Iterator[dict[str, list[bytes]]]:
    """Cut a change into parts that fit into a line; one empty part where there is no change.

    Parameters
    ----------
    changes : iterable of (str, JSON value)
        The list that each belongs to, such as ``put``, and what goes into it.

    Yields
    ------
    dict
        The lists of one part, each value as JSON.

    Raises
    ------
    WireError
        If one of them fits into no line.

    Examples
    --------
    >>> list(parts([("remove", "a"), ("remove", "b")]))
    [{'remove': [b'"a"', b'"b"']}]
    """
    part: dict[str, list[bytes]] = {}
    size = 0
    for name, value in changes:
        text = dump_value(value)
        if len(text) > MAX_LINE_BYTES - _SPARE_BYTES:
            which = value.get("id") if isinstance(value, dict) else value
            raise WireError(
                f"Object {which} takes {len(text):,} bytes; QuPath takes at most 1 MiB at once.",
                hint="Simplify its shape.",
                code="too_long",
            )
        if part and size + len(text) > PART_BYTES:
            yield part
            part, size = {}, 0
        part.setdefault(name, []).append(text)
        size += len(text) + 1
    yield part


def join(fields: Mapping[str, Any], part: Mapping[str, list[bytes]]) -> bytes:
    r"""Return the line that says some fields and one part.

    Examples
    --------
    >>> join({"type": "change_objects"}, {"remove": [b'"a"', b'"b"']})
    b'{"type":"change_objects","remove":["a","b"]}\n'
    """
    lists = (b',"%s":[%s]' % (name.encode(), b",".join(texts)) for name, texts in part.items())
    return dump_value(fields)[:-1] + b"".join(lists) + b"}\n"
