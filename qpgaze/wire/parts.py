"""Cut a large change of objects into lines that may be sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from qpgaze.errors import WireError
from qpgaze.viewing_json import dump_line
from qpgaze.wire.schema import MAX_LINE_BYTES

PART_BYTES: Final = MAX_LINE_BYTES // 2
"""A change larger than this goes in parts."""


def parts(changes: Sequence[tuple[str, Any]]) -> Iterator[dict[str, list[Any]]]:
    """Cut a change into parts that fit into a line; one empty part where there is no change.

    Parameters
    ----------
    changes : sequence of (str, JSON value)
        The list that each belongs to, such as ``put``, and what goes into it.

    Raises
    ------
    WireError
        If one of them fits into no line.

    Examples
    --------
    >>> list(parts([("remove", "a"), ("remove", "b")]))
    [{'remove': ['a', 'b']}]
    """
    part: dict[str, list[Any]] = {}
    size = 0
    for name, value in changes:
        length = len(dump_line({"": value}))
        if length > MAX_LINE_BYTES - 4096:
            which = value.get("id") if isinstance(value, dict) else value
            raise WireError(
                f"Object {which} takes {length:,} bytes; QuPath takes at most 1 MiB at once.",
                hint="Simplify its shape.",
                code="too_long",
            )
        if part and size + length > PART_BYTES:
            yield part
            part, size = {}, 0
        part.setdefault(name, []).append(value)
        size += length
    yield part
