"""Change where images lie in a project file, and nothing else: every other byte stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qpgaze.bridge.projects.qpproj import builder_uris, parse_project
from qpgaze.errors import ProjectError

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Span(NamedTuple):
    """A JSON value and where it stands in its text."""

    start: int
    end: int
    value: Any


def replace_uris(
    content: bytes, path: Path, images: Mapping[int, Mapping[str, str]], project_uri: str | None
) -> bytes:
    """Return a project file with other URIs of images.

    Parameters
    ----------
    content : bytes
        Of the project file.
    path : Path
        For messages.
    images : mapping of int to mapping of str to str
        For the number of an image in the file's list: old URI to new.
    project_uri : str or None
        The project's own new URI; None leaves what is there.

    Raises
    ------
    ProjectError
        If the file is no project, or cannot be changed in this way.
    """
    before = parse_project(content, path)
    text = content.decode("utf-8-sig")
    mark = content[: len(content) - len(text.encode("utf-8"))]
    changes: list[tuple[Span, str]] = []
    start = _SPACE.match(text, 0).end()  # type: ignore[union-attr]
    for key, value in _members(text, start):
        if key == "uri" and project_uri is not None and isinstance(value.value, str):
            changes.append((value, project_uri))
        elif key == "images":
            for number, image in enumerate(_items(text, value.start)):
                changes += _image_changes(text, image.start, images.get(number, {}))
    for span, uri in sorted(changes, reverse=True):
        text = text[: span.start] + json.dumps(uri) + text[span.end :]
    changed = mark + text.encode("utf-8")
    _check(before, parse_project(changed, path), images, path)
    return changed


def _image_changes(text: str, start: int, uris: Mapping[str, str]) -> list[tuple[Span, str]]:
    if not uris:
        return []
    return [
        (span, uris[span.value])
        for key, value in _members(text, start)
        if key == "serverBuilder"
        for span in _uris(text, value)
        if span.value in uris
    ]


def _uris(text: str, span: Span) -> Iterator[Span]:
    """Find the URIs of a (possibly nested) server builder."""
    if isinstance(span.value, dict):
        for key, value in _members(text, span.start):
            if key == "uri" and isinstance(value.value, str):
                yield value
            elif key != "metadata":
                yield from _uris(text, value)
    elif isinstance(span.value, list):
        for item in _items(text, span.start):
            yield from _uris(text, item)


def _members(text: str, start: int) -> Iterator[tuple[str, Span]]:
    """Go through the members of the JSON object that starts at `start`."""
    at = _skip(text, start + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # the colon
        value, end = _DECODER.raw_decode(text, at)
        yield key, Span(at, end, value)
        at = _comma(text, end)


def _items(text: str, start: int) -> Iterator[Span]:
    """Go through the items of the JSON array that starts at `start`."""
    at = _skip(text, start + 1)
    while text[at] != "]":
        value, end = _DECODER.raw_decode(text, at)
        yield Span(at, end, value)
        at = _comma(text, end)


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def _comma(text: str, at: int) -> int:
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at


def _check(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    images: Mapping[int, Mapping[str, str]],
    path: Path,
) -> None:
    """Make sure that nothing but URIs became another."""
    same = {**before, "uri": None, "images": None} == {**after, "uri": None, "images": None}
    pairs = list(zip(before.get("images", []), after.get("images", []), strict=True))
    for number, (old, new) in enumerate(pairs):
        wanted = images.get(number, {})
        uris = builder_uris(old.get("serverBuilder"))
        meant = tuple(dict.fromkeys(wanted.get(uri, uri) for uri in uris))
        same &= meant == builder_uris(new.get("serverBuilder"))
        same &= {**old, "serverBuilder": None} == {**new, "serverBuilder": None}
    if not same:
        raise ProjectError(
            f"{path} cannot be changed in its places alone; it was left as it was.",
            hint="Open and save it with QuPath, then try again.",
        )
