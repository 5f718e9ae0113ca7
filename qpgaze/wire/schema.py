"""The one schema of the wire, read from ``wire-schema.json``, and the check of a line against it.

Both ends check every line that they write and every line that they read. The file is plain JSON
Schema of few keywords, so that a script inside QuPath, which has no validator, can read it too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
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
    if _rules(sender)[message["type"]](message):
        return None
    wrong = _mismatch(message, known, "")
    if wrong is not None:
        return WireError(f"In a line '{message['type']}', {wrong}.", code="malformed")
    return None


def plain_message(message: Mapping[str, Any], sender: End) -> Message:
    """Return a message of what JSON can say, checked.

    Raises
    ------
    WireError
        If it does not keep to the schema.
    """
    plain = dict(message)
    if _fault(plain, sender) is not None:  # NumPy numbers, tuples, NaN: what JSON makes of them
        plain = check(plain_json(message), sender)
    return plain


def encode(message: Mapping[str, Any], sender: End) -> bytes:
    """Return a message as one line of UTF-8, checked.

    Raises
    ------
    WireError
        If it does not keep to the schema, or the line is longer than 1 MiB.
    """
    plain = plain_message(message, sender)
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
#
# Twice, for a viewer streams sixty lines a second: rules made into functions, which only tell
# whether a line keeps to them, and a slow walk that finds the words for one that does not.

Rule = Callable[[Any], bool]

_FLOATS: Final = {float}


@lru_cache(maxsize=2)
def _rules(sender: End) -> dict[str, Rule]:
    known = schema()
    defined: dict[str, Rule] = {}
    for name in known["$defs"]:
        _defined(name, defined)
    return {kind: _rule(rule, defined) for kind, rule in known[sender].items()}


def _defined(name: str, defined: dict[str, Rule]) -> Rule:
    if name not in defined:
        defined[name] = _rule(schema()["$defs"][name], defined)
    return defined[name]


def _rule(rule: Mapping[str, Any], defined: dict[str, Rule]) -> Rule:
    """Return a function that tells whether a value keeps to a rule; it may be too strict."""
    if "$ref" in rule:
        return _defined(rule["$ref"].rpartition("/")[2], defined)
    kinds = rule.get("type", [])
    named: dict[str, Rule] = {
        "object": _object_rule(rule, defined),
        "array": _array_rule(rule, defined),
        "string": _string_rule(rule),
        "null": lambda value: value is None,
        "boolean": lambda value: value is True or value is False,
        "number": _number_rule(rule, {int, float}),
        "integer": _number_rule(rule, {int}),
    }
    chosen = [named[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen or ("enum" in rule and kinds != "string"):  # left to the slow walk
        return lambda value: _mismatch(value, rule, "") is None
    first, *others = chosen
    return lambda value: first(value) or any(other(value) for other in others)


def _object_rule(rule: Mapping[str, Any], defined: dict[str, Rule]) -> Rule:
    required = tuple(rule.get("required", ()))
    inner = tuple((name, _rule(r, defined)) for name, r in rule.get("properties", {}).items())

    def keeps(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name in required:
            if name not in value:
                return False
        for name, holds in inner:  # noqa: SIM110 - all() of a generator takes twice as long
            if name in value and not holds(value[name]):
                return False
        return True

    return keeps


def _array_rule(rule: Mapping[str, Any], defined: dict[str, Rule]) -> Rule:
    least, most = rule.get("minItems", 0), rule.get("maxItems", 2**62)
    item = _rule(rule["items"], defined) if "items" in rule else lambda _value: True
    plain_numbers = rule.get("items") == {"type": "number"}

    def keeps(value: Any) -> bool:
        if type(value) is not list or not least <= len(value) <= most:
            return False
        # Floats whose sum is finite are finite: one question for the list, not one for each.
        if plain_numbers and set(map(type, value)) == _FLOATS and math.isfinite(sum(value)):
            return True
        return all(map(item, value))

    return keeps


def _string_rule(rule: Mapping[str, Any]) -> Rule:
    least, most = rule.get("minLength", 0), rule.get("maxLength", 2**62)
    words = frozenset(rule["enum"]) if "enum" in rule else None

    def keeps(value: Any) -> bool:
        fits = type(value) is str and least <= len(value) <= most
        return fits and (words is None or value in words)

    return keeps


def _number_rule(rule: Mapping[str, Any], types: set[type]) -> Rule:
    least = rule.get("minimum")

    def keeps(value: Any) -> bool:
        return type(value) in types and is_number(value) and (least is None or value >= least)

    return keeps


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
