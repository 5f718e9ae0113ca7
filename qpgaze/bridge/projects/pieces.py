"""Files read, compared and copied a piece at a time: an image's data may be as large as memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PIECE: Final = 1 << 20
"""Bytes held at once."""


def pieces_of(path: Path) -> Iterator[bytes]:
    """Read a file piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 of a file."""
    total = hashlib.sha256()
    for piece in pieces_of(path):
        total.update(piece)
    return total.digest()


def holds(path: Path, content: bytes) -> bool:
    """Tell whether a file holds just some bytes."""
    at = 0
    for piece in pieces_of(path):
        if content[at : at + len(piece)] != piece:
            return False
        at += len(piece)
    return at == len(content)


def same_files(one: Path, other: Path) -> bool:
    """Tell whether two files hold the same."""
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            piece = first.read(PIECE)
            if piece != second.read(PIECE):
                return False
            if not piece:
                return True


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    descriptor = _new_file(path)
    try:
        _write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_durably(source: Path, target: Path) -> bytes:
    """Copy a file to a new one and wait until that is on the disk; return the copy's SHA-256."""
    total = hashlib.sha256()
    descriptor = _new_file(target)
    try:
        for piece in pieces_of(source):
            total.update(piece)
            _write(descriptor, piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return total.digest()


def sync_folder(folder: Path) -> None:
    """Make moves survive a power cut; Windows does so itself, some shares refuse."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _new_file(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o666)


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
