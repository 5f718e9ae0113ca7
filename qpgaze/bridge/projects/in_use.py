"""Has a QuPath one of the images open? Then it would write over our objects when it saves.

QuPath locks nothing, so there are only signs: a QuPath that can be asked (by the hook in it), a
running Java process that holds the slide's file (Bio-Formats keeps it open, OpenSlide does not),
data that another program saved a moment ago, and a QuPath that runs on this computer at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qpgaze.bridge.projects.live_windows import windows_of
from qpgaze.bridge.projects.protocol import Entry, Project
from qpgaze.bridge.projects.writes import last_written, read_writes
from qpgaze.errors import ConflictError, ProjectError, SlideError

RECENT_S = 600.0
"""Data that another program saved less than this ago are taken for open there: readers save and go
on looking."""

PROC = Path("/proc")
"""Where Linux shows processes and the files that they hold; elsewhere there is none."""


class OpenImages(Protocol):
    """Somebody who knows which images a running QuPath has open: the hook's client, for one."""

    def open_entries(self, project_file: Path) -> Collection[str]:
        """Return the entry ids of a project's images that are open in QuPath."""
        ...


@dataclass(frozen=True)
class Sign:
    """A sign that a QuPath has an image open.

    Parameters
    ----------
    entry : str
        Entry id.
    certain : bool
        Whether QuPath itself said so.
    why : str
        In words that follow "because": ``process 77 (QuPath) holds its slide``.
    """

    entry: str
    certain: bool
    why: str


def signs_of_use(
    project_file: Path,
    entries: Iterable[Entry],
    *,
    client: OpenImages | None = None,
    now_s: float | None = None,
    proc: Path | None = None,
    answered: Collection[int] = (),
) -> list[Sign]:
    """Look for a QuPath that has images open.

    Parameters
    ----------
    project_file : Path
    entries : iterable of Entry
        The images that are to be written.
    client : OpenImages, optional
        Asked first; its answer is certain.
    now_s : float, optional
        Seconds since 1970; default the wall clock.
    proc : Path, optional
        Instead of :data:`PROC`.
    answered : collection of int
        Processes of QuPaths that said what they have open: nothing is guessed of these.

    Returns
    -------
    list of Sign
        At most one an image, the best; none is no proof that the image is closed.
    """
    known = frozenset(client.open_entries(project_file)) if client is not None else frozenset()
    now_s = time.time() if now_s is None else now_s
    holders: dict[tuple[int, int], str] = {}
    running: list[str] = []
    for who, held in _java(PROC if proc is None else proc, answered):
        holders.update(dict.fromkeys(_files(held), who))
        if any(_is_part_of_qupath(one) for one in held):
            running.append(who)
    try:
        written = last_written(read_writes(project_file.parent))
    except ProjectError:  # no account: then every recent save counts as another's
        written = {}
    signs = []
    for entry in entries:
        data = project_file.parent / "data" / entry.id / "data.qpdata"
        if entry.id in known:
            signs.append(Sign(entry.id, True, "QuPath says so"))
            continue
        why = _held(entry, data, holders) or _saved_lately(
            data, written.get(f"data/{entry.id}/data.qpdata"), now_s
        )
        if why is None and running:
            why = f"a QuPath runs on this computer ({running[0]})"
        if why is not None:
            signs.append(Sign(entry.id, False, why))
    return signs


def in_words(sign: Sign, name: str) -> str:
    """Say what a sign means and what can be done.

    Parameters
    ----------
    sign : Sign
    name : str
        Of the image.
    """
    seems = "is open" if sign.certain else "may be open"
    return (
        f"Image {sign.entry} ('{name}') {seems} in QuPath: {sign.why}. A save there would write "
        "over these objects: close it without saving, or reload it (File > Reload data) before "
        "anything else. Or bring them in there as GeoJSON: 'qpgaze project export PROJECT "
        f"OUT.geojson --image {sign.entry}', then drag OUT.geojson onto the open image."
    )


def warnings_of_use(
    project: Project, entries: Collection[str], *, client: OpenImages | None = None
) -> list[str]:
    """Say of a project's images that are to be written which ones a QuPath seems to have open.

    Parameters
    ----------
    project : Project
    entries : collection of str
        Entry ids.
    client : OpenImages, optional
        Instead of the running QuPaths with our hook.

    Returns
    -------
    list of str
        None for images that are written through QuPath's window.
    """
    in_windows: Collection[str] = getattr(project, "open_entries", ())
    chosen = {e.id: e for e in project.entries if e.id in entries and e.id not in in_windows}
    if not chosen:
        return []
    if client is not None:
        signs = signs_of_use(project.path, chosen.values(), client=client)
        return [in_words(sign, chosen[sign.entry].name) for sign in signs]
    with windows_of(project.path) as windows:
        signs = signs_of_use(project.path, chosen.values(), client=windows, answered=windows.asked)
        return [*windows.troubles, *(in_words(sign, chosen[sign.entry].name) for sign in signs)]


def refuse_unsaved(project_file: Path, images: Mapping[str, str]) -> None:
    """Refuse to write over an image that is open in QuPath with changes that nobody saved.

    Parameters
    ----------
    project_file : Path
    images : mapping of str to str
        Names of the images that are to be written, by entry id.

    Raises
    ------
    ConflictError
        If a QuPath with our hook says so: whichever of both writes last would undo the other.
    """
    if not images:
        return
    with windows_of(project_file) as windows:
        for entry in sorted(windows.unsaved & images.keys()):
            raise ConflictError(
                f"Image {entry} ('{images[entry]}') is open in QuPath with changes that nobody "
                "saved: that QuPath's next save would write over ours. Nothing was written.",
                hint="Save and close it in QuPath; or leave --backend away, and the objects go "
                "in through QuPath's window.",
            )


def _held(entry: Entry, data: Path, holders: dict[tuple[int, int], str]) -> str | None:
    """Say which Java process holds an image's slide or data."""
    if not holders:
        return None
    places = [(data, "its data")]
    with contextlib.suppress(SlideError):  # not there: nobody holds it
        places.append((entry.image_path(), "its slide"))
    for place, what in places:
        try:
            status = place.stat()
        except OSError:
            continue
        who = holders.get((status.st_dev, status.st_ino))
        if who is not None:
            return f"{who} holds {what}"
    return None


def _java(proc: Path, answered: Collection[int]) -> Iterator[tuple[str, list[Path]]]:
    """List Java processes and what they hold, where the system shows that."""
    try:
        processes = [path for path in proc.iterdir() if path.name.isdigit()]
    except OSError:  # not Linux
        return
    for process in processes:
        if process.name == str(os.getpid()):  # QuPath's classes within this very process
            continue
        if int(process.name) in answered:
            continue
        try:
            name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
            if name.lower().startswith(("java", "qupath")):
                yield f"process {process.name}, {name}", list((process / "fd").iterdir())
        except OSError:  # ended meanwhile, or another person's
            continue


def _files(held: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """Identify files that are held, by device and number."""
    for one in held:
        try:
            status = one.stat()
        except OSError:  # closed meanwhile
            continue
        yield status.st_dev, status.st_ino


def _is_part_of_qupath(held: Path) -> bool:
    """Tell whether a file that is held is one of QuPath's own programs."""
    try:
        name = held.readlink().name.lower()
    except OSError:  # closed meanwhile, or no link
        return False
    return name.startswith("qupath") and name.endswith(".jar")


def _saved_lately(data: Path, ours: str | None, now_s: float) -> str | None:
    """Say when another program saved an image's data, if that was lately."""
    try:
        age_s = now_s - data.stat().st_mtime
        if not -RECENT_S <= age_s <= RECENT_S:
            return None
        content = data.read_bytes()
    except OSError:  # none yet
        return None
    if hashlib.sha256(content).hexdigest() == ours:
        return None
    minutes = max(0, round(age_s / 60))
    when = "less than a minute" if minutes < 1 else f"{minutes} min"
    return f"another program saved its data {when} ago"
