"""Look through folders for images that are not where a project says."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qpgaze.bridge.projects.inside import is_inside
from qpgaze.bridge.projects.uris import names_device, plain_name
from qpgaze.errors import UsageError

MOST_FILES = 1_000_000
"""Files looked at before a search ends: a whole share was named by mistake."""

_OF_A_PROJECT = frozenset({"data", "classifiers", "qpgaze"})


@dataclass
class Search:
    """What was found.

    Parameters
    ----------
    by_name : dict of str to list of Path
        Files by :func:`~qpgaze.bridge.projects.uris.plain_name`, those that were asked for.
    by_size : dict of int to list of Path
        Files by bytes, those that were asked for.
    notes : list of str
        What was not looked at, in words.
    files : int
        Files looked at.
    """

    by_name: dict[str, list[Path]] = field(default_factory=dict)
    by_size: dict[int, list[Path]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    files: int = 0


def search_folders(
    folders: Sequence[Path], *, names: Collection[str], sizes: Collection[int] = ()
) -> Search:
    """Look for files of given names or sizes in folders and everything below.

    Parameters
    ----------
    folders : sequence of Path
    names : collection of str
        From :func:`~qpgaze.bridge.projects.uris.plain_name`.
    sizes : collection of int
        Bytes.

    Raises
    ------
    UsageError
        If one is no folder.

    Notes
    -----
    Links to folders are not followed, and links to files only where they stay inside the folder
    that a person named. What QuPath and qpgaze keep in a project's own folders is passed over.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {folder} to look in.", hint="Give one that exists."
            )
    search = Search()
    seen: set[str] = set()
    shut = led_out = 0
    for top in folders:
        waiting = [str(top)]
        while waiting and search.files < MOST_FILES:
            here = waiting.pop()
            if os.path.realpath(here) in seen:
                continue
            seen.add(os.path.realpath(here))
            try:
                with os.scandir(here) as listed:
                    items = sorted(listed, key=lambda item: item.name)
            except OSError:
                shut += 1
                continue
            waiting += _below(items)
            led_out += _take(items, top, search, names, sizes)
    if search.files >= MOST_FILES:
        search.notes.append(
            f"The search ended after {MOST_FILES} files: name a folder nearer to the images."
        )
    if shut:
        search.notes.append(f"{shut} folders may not be read and were left out.")
    if led_out:
        search.notes.append(f"{led_out} links that lead out of the named folders were left out.")
    return search


def _below(items: Sequence[os.DirEntry[str]]) -> list[str]:
    is_project = any(item.name.lower().endswith(".qpproj") for item in items)
    return [
        item.path
        for item in reversed(items)
        if item.is_dir(follow_symlinks=False) and not (is_project and item.name in _OF_A_PROJECT)
    ]


def _take(
    items: Sequence[os.DirEntry[str]],
    top: Path,
    search: Search,
    names: Collection[str],
    sizes: Collection[int],
) -> int:
    """Sort in what is wanted; returns how many links led out."""
    led_out = 0
    for item in items:
        if item.is_dir(follow_symlinks=False):
            continue
        search.files += 1
        name = plain_name(item.name)
        path = Path(item.path)
        try:
            size = item.stat().st_size if sizes else -1
            if (name not in names and size not in sizes) or not path.is_file():
                continue
        except OSError:  # a link to nothing, or gone meanwhile
            continue
        if names_device(path):
            continue
        if item.is_symlink() and not is_inside(top, path):
            led_out += 1
            continue
        if name in names:
            search.by_name.setdefault(name, []).append(path)
        if size in sizes:
            search.by_size.setdefault(size, []).append(path)
    return led_out
