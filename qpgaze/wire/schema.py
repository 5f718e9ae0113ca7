"""The one schema of the wire, read from ``wire-schema.json``, and the check of a line against it.

Both ends check every line that they write and every line that they read. The file is plain JSON
Schema of few keywords, so that a script inside QuPath, which has no validator, can read it too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, Final, Literal

from qpgaze.errors import WireError
from qpgaze.viewing_json import dump_line, is_number, plain_json

SCHEMA_FILE: Final = "wire-schema.json"

VERSION: Final = 1
"""Of the wire. A hook of another version is not spoken to."""

MAX_LINE_BYTES: Final = 1 << 20
"""Longest line, its line feed included."""

KEYWORDS: Final = frozenset(
    {"$ref", "description", "enum", "items", "maxItems", "maxLength", "minItems", "minLength"}
    | {"minimum", "properties", "required", "type"}
)
"""All that the schema may use: what a reader in Groovy has to know."""

End = Literal["client", "hook"]
Message = dict[str, Any]


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """Return the schema: ``version``, ``max_line_bytes``, ``$defs``, ``client``, ``hook``."""
    text = resources.files("qpgaze.wire").joinpath(SCHEMA_FILE).read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def check(message: Any, sender: End) -> Message:
    """Hold a message against the schema.

    Parameters
    ----------
    message : JSON value
    sender : "client" or "hook"
        Who sent it.

    Returns
    -------
    dict
        The message itself.

    Raises
    ------
    WireError
        If it is no message of this end: the message names the place, what was expected, what
        came. Its code is ``unknown`` for a type that this version does not know, else
        ``malformed``.

    Examples
    --------
    >>> check({"type": "ping", "id": 1, "client_us": 5}, "client")["id"]
    1
    >>> check({"type": "ping", "id": "1", "client_us": 5}, "client")
    Traceback (most recent call last):
    ...
    qpgaze.errors.WireError: In a line 'ping', id: expected integer, but '1' came.
    """
    fault = _fault(message, sender)
    if fault is not None:
        raise fault
    checked: Message = message
    return checked


def _fault(message: Any, sender: End) -> WireError | None:
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return WireError("A line holds no JSON object with a type.", code="malformed")
    known = schema()[sender].get(message["type"])
    if known is None:
        return WireError(
            f"A line is of the type {_short(message['type'])}, which this version does not know.",
            code="unknown",
        )
    wrong = _mismatch(message, known, "")
    if wrong is not None:
        return WireError(f"In a line '{message['type']}', {wrong}.", code="malformed")
    return None


def encode(message: Mapping[str, Any], sender: End) -> bytes:
    """Return a message as one line of UTF-8, checked.

    Raises
    ------
    WireError
        If it does not keep to the schema, or the line is longer than 1 MiB.
    """
    plain = dict(message)
    if _fault(plain, sender) is not None:  # NumPy numbers, tuples, NaN: what JSON makes of them
        plain = check(plain_json(message), sender)
    line = dump_line(plain)
    if len(line) > MAX_LINE_BYTES:
        raise WireError(
            f"A line '{plain['type']}' of {len(line):,} bytes is longer than the "
            f"{MAX_LINE_BYTES:,} that may be sent at once.",
            code="too_long",
        )
    return line


def decode(line: bytes, sender: End) -> Message:
    """Read one line, checked.

    Raises
    ------
    WireError
        If it is no JSON or does not keep to the schema (code ``malformed`` or ``unknown``).
    """
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise WireError("A line is no JSON.", code="malformed") from error
    return check(value, sender)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# -- the check ---------------------------------------------------------------------------------


def _mismatch(value: Any, rule: Mapping[str, Any], place: str) -> str | None:
    """Say where and how a value breaks a rule; None where it keeps to it."""
    if "$ref" in rule:
        return _mismatch(value, schema()["$defs"][rule["$ref"].rpartition("/")[2]], place)
    kinds = rule.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"{place or 'it'}: expected {' or '.join(kinds)}, but {_short(value)} came"
    if "enum" in rule and value not in rule["enum"]:
        return f"{place}: expected one of {', '.join(rule['enum'])}, but {_short(value)} came"
    if isinstance(value, dict):
        return _object_mismatch(value, rule, place)
    if isinstance(value, list):
        return _list_mismatch(value, rule, place)
    if isinstance(value, str):
        return _size_mismatch(len(value), rule, "Length", "characters", place)
    if "minimum" in rule and value is not None and value < rule["minimum"]:
        return f"{place}: expected at least {rule['minimum']}, but {_short(value)} came"
    return None


def _object_mismatch(value: dict[str, Any], rule: Mapping[str, Any], place: str) -> str | None:
    for name in rule.get("required", ()):
        if name not in value:
            return f"{_in(place, name)} is missing"
    for name, inner in rule.get("properties", {}).items():
        if name in value:
            wrong = _mismatch(value[name], inner, _in(place, name))
            if wrong is not None:
                return wrong
    return None


def _list_mismatch(value: list[Any], rule: Mapping[str, Any], place: str) -> str | None:
    wrong = _size_mismatch(len(value), rule, "Items", "items", place)
    if wrong is None and "items" in rule:
        for number, item in enumerate(value):
            wrong = _mismatch(item, rule["items"], f"{place}[{number}]")
            if wrong is not None:
                break
    return wrong


def _size_mismatch(
    size: int, rule: Mapping[str, Any], what: str, unit: str, place: str
) -> str | None:
    if size < rule.get(f"min{what}", 0):
        return f"{place}: expected at least {rule[f'min{what}']} {unit}, but {size} came"
    if f"max{what}" in rule and size > rule[f"max{what}"]:
        return f"{place}: expected at most {rule[f'max{what}']} {unit}, but {size} came"
    return None


def _is(value: Any, kind: str) -> bool:
    if kind == "null":
        return value is None
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "number":
        return is_number(value)
    if kind == "integer":
        # 5.0 is a whole number: so JSON Schema says, and so some writers write.
        return is_number(value) and (type(value) is int or value.is_integer())
    return isinstance(value, {"string": str, "array": list, "object": dict}[kind])


def _in(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
