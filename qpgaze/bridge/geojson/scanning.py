"""Features out of a JSON file of any size, one at a time.

Only a window of the file is held: the feature at hand and a block behind it. So a million objects
take no more memory than a hundred, and a file that never ends a feature is refused at a limit.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import orjson

from qpgaze.bridge.geojson.words import COLLECTION_KEYS
from qpgaze.errors import ProjectError

BLOCK: Final = 1 << 20
"""Bytes read at once."""

MOST_CHARACTERS: Final = 1 << 26
"""Longest single feature, characters: 67 million, some four million corners."""

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SCALAR: Final = re.compile(r"[-+.\w]*")
_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]|"', re.DOTALL)
_LAST: Final = '"Feature"'
_BEFORE: Final = re.compile(r'\}[ \t\r\n]*(,)[ \t\r\n]*\{[ \t\r\n]*"type"[ \t\r\n]*:[ \t\r\n]*\Z')
_NEAR: Final = 80
"""Characters before ``"Feature"`` in which the comma is looked for that goes before the feature."""
_ANY_DIGIT: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG: Final = b"0" * 19
_decode: Final = json.JSONDecoder().raw_decode
_GZIP: Final = b"\x1f\x8b"


@contextmanager
def open_text(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, unpacked where it is a ``.gz``, and turn what goes wrong into our errors."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield unpacked  # type: ignore[misc]
            else:
                yield file
    except FileNotFoundError as error:
        raise ProjectError(f"There is no file {path}.") from error
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise ProjectError(f"{path} cannot be read: {why}.") from error


def scan_features(file: IO[bytes], name: str, extra: dict[str, Any]) -> Iterator[Any]:
    """Yield the features of a FeatureCollection, an array, or the one Feature.

    Parameters
    ----------
    file : binary file
        UTF-8, at its beginning.
    name : str
        Of the file, for messages.
    extra : dict
        Takes what a FeatureCollection holds besides its features and is not known.

    Yields
    ------
    JSON value
        Not yet looked at.

    Raises
    ------
    ProjectError
        If it is cut, damaged or no GeoJSON: the message names the feature where it went wrong.
    """
    window = _Window(file, name)
    first = window.peek()
    if first == "[":
        yield from window.items()
    elif first == "{":
        yield from _of_object(window, extra)
    else:
        raise window.refused("is no GeoJSON: it begins with neither '{' nor '['")
    if window.peek():
        raise window.refused("goes on after its end")


def _of_object(window: _Window, extra: dict[str, Any]) -> Iterator[Any]:
    """Read a FeatureCollection or one Feature, whatever the order of their keys."""
    others: dict[str, Any] = {}
    streamed = False
    window.take("{")
    if window.peek() == "}":
        window.take("}")
    else:
        while True:
            key = window.value()
            if type(key) is not str:
                raise window.refused("is damaged: a key is no text")
            window.take(":")
            if key == "features" and window.peek() == "[":
                if streamed:
                    raise window.refused("has 'features' twice")
                streamed = True
                yield from window.items()
            else:
                others[key] = window.value()
            if window.take(",}") == "}":
                break
    if streamed:
        extra.update((k, v) for k, v in others.items() if k not in COLLECTION_KEYS)
    elif others.get("type") == "Feature":
        window.number = 1
        yield others
    else:
        raise window.refused(
            "is no GeoJSON that QuPath reads: expected a FeatureCollection, an array of Features "
            "or a Feature"
        )


class _Window:
    """What is read of the file and not yet used."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._ended = False
        self.number = 0
        self._luck = 3

    def refused(self, why: str) -> ProjectError:
        """Say what is wrong with the file, and where."""
        where = f" (at feature {self.number})" if self.number else ""
        return ProjectError(f"{self._name} {why}{where}.")

    def _more(self) -> bool:
        """Read on; False at the end. The window grows by doubling, so that copies stay few."""
        if self._ended:
            return False
        held = len(self._text) - self._at
        if held > MOST_CHARACTERS:
            raise self.refused(
                f"holds a single value of more than {MOST_CHARACTERS // 1_000_000} million "
                "characters"
            )
        block = self._file.read(max(BLOCK, held))
        self._ended = not block
        try:
            fresh = self._decoder.decode(block, final=self._ended)
        except UnicodeDecodeError as error:
            raise self.refused("is no UTF-8 text") from error
        self._text = self._text[self._at :] + fresh
        self._at = 0
        return True

    def peek(self) -> str:
        """Return the next character that is no space; nothing at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, wanted: str) -> str:
        """Step over one of some characters, which must come next."""
        found = self.peek()
        if not found:
            raise self.refused("is cut")
        if found not in wanted:
            choice = " or ".join(f"'{one}'" for one in wanted)
            raise self.refused(f"is damaged: expected {choice}, but '{found}' came")
        self._at += 1
        return found

    def items(self) -> Iterator[Any]:
        """Yield the values of an array."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            for value in self._many():
                self.number += 1
                yield value
            self.number += 1
            yield self.value()
            if self.take(",]") == "]":
                return

    def _many(self) -> list[Any]:
        """Read all features at once that the window holds whole, but for the last of them.

        The text is cut where the last one seems to begin. Were that place inside of another value
        or a text, what lies before would not be whole, and no list; then nothing is read. Where
        that happens often (features within features), it is not tried any more.
        """
        if self._luck < 0:
            return []
        if not self._ended and len(self._text) - self._at < BLOCK:
            self._more()
        last = self._text.rfind(_LAST, self._at)
        begins = max(last - _NEAR, self._at)
        cut = _BEFORE.search(self._text, begins, last) if last >= 0 else None
        if cut is None:
            self._luck -= 1
            return []
        try:
            values = _array(f"[{self._text[self._at : cut.start(1)]}]")
        except (ValueError, RecursionError):
            self._luck -= 1
            return []
        self._luck += 1
        self._at = cut.end(1)
        return values  # type: ignore[no-any-return]

    def value(self) -> Any:
        """Read one JSON value, the whole of which is brought into the window."""
        first = self.peek()
        if first and first in '{["':
            try:
                value, self._at = _decode(self._text, self._at)
            except (ValueError, RecursionError):
                self._bring_whole()
            else:
                return value
        else:
            while (match := _SCALAR.match(self._text, self._at)) is not None:
                if match.end() < len(self._text) or not self._more():
                    break
        try:
            value, self._at = _decode(self._text, self._at)
        except RecursionError as error:
            raise self.refused("is nested too deep") from error
        except ValueError as error:
            raise self.refused(f"is damaged: {_why(error)}") from error
        return value

    def _bring_whole(self) -> None:
        """Read on until the value that begins here has its end in the window."""
        depth, seen = 0, self._at
        while True:
            for match in _TOKEN.finditer(self._text, seen):
                found = match.group()
                if found == '"':  # a text whose end is not here yet
                    seen = match.start()
                    break
                seen = match.end()
                depth += 1 if found in "{[" else (-1 if found in "]}" else 0)
                if depth <= 0:
                    return
            else:
                seen = len(self._text)
            seen -= self._at
            if not self._more():
                raise self.refused("is cut")
            seen += self._at


def _array(text: str) -> Any:
    """Read an array of features; with orjson, where it reads as the standard library would.

    It knows neither NaN nor halves of character pairs, and makes floats of whole numbers of more
    than 64 bit.
    """
    raw = text.encode()
    if _LONG not in raw.translate(_ANY_DIGIT):
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(raw)
    return json.loads(text)


def _why(error: ValueError) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else "a number is too long"
