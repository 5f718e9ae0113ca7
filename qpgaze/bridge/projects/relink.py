"""Find the images of a project again after they or the project moved.

QuPath reads an image from where the project file's server builder says; what ``server.json`` and
``data.qpdata`` say of it is never asked (0.5 - 0.7), so the project file alone is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

from qpgaze.bridge.projects.embedded import EmbeddedCodec
from qpgaze.bridge.projects.files import Change, Snapshot, read_file, replace_files
from qpgaze.bridge.projects.folder import FolderProject
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.images import candidates as recorded_places
from qpgaze.bridge.projects.lock import writer_lock
from qpgaze.bridge.projects.relink_facts import (
    FileFacts,
    RememberedImages,
    file_facts,
    has_checksum,
    known_checksum,
    picture_size,
)
from qpgaze.bridge.projects.relink_json import replace_uris
from qpgaze.bridge.projects.relink_judging import Candidate, choose, folders_alike, one_file_twice
from qpgaze.bridge.projects.relink_search import Search, search_folders
from qpgaze.bridge.projects.uris import (
    names_device,
    parse_uri,
    plain_name,
    same_place,
    uri_from_path,
)
from qpgaze.bridge.projects.writes import write_and_note
from qpgaze.errors import ProjectError, SlideError, UsageError

IN_PLACE = "in place"
FOUND = "found"
SEVERAL = "several"
MISSING = "missing"
NOT_OPENED = "not opened"


@dataclass
class RelinkedImage:
    """What became of one place that an image is read from.

    Parameters
    ----------
    entry, name : str
        Id and name of the image.
    uri : str
        As the project had it.
    status : str
        ``in place``, ``found``, ``several`` (nothing was chosen), ``missing``, or ``not opened``
        (a server, another computer, a device).
    path : str or None
        Where it is.
    why : str
        By what it was found, or why not.
    candidates : list of (path, how it compares)
        Files of that name that were not taken.
    """

    entry: str
    name: str
    uri: str
    status: str
    path: str | None = None
    why: str = ""
    candidates: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class RelinkReport:
    """What :func:`relink_project` did.

    Parameters
    ----------
    project : str
    dry_run : bool
        Nothing was written.
    images : list of RelinkedImage
    notes : list of str
    """

    project: str
    dry_run: bool
    images: list[RelinkedImage]
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many images of each status."""
        return dict(Counter(image.status for image in self.images))

    @property
    def complete(self) -> bool:
        """Whether every image is in its place now."""
        return all(image.status in (IN_PLACE, FOUND) for image in self.images)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {**asdict(self), "counts": self.counts, "complete": self.complete}


@dataclass
class _Place:
    """One URI of one image while it is worked on."""

    number: int
    entry: FolderEntry
    report: RelinkedImage
    path: PurePath | None = None
    facts: FileFacts | None = None

    @property
    def lost(self) -> bool:
        """Whether it is to be looked for; what is on another computer may be here as well."""
        wanted = self.report.status in (MISSING, NOT_OPENED)
        return wanted and self.path is not None and not names_device(self.path)

    def size(self) -> tuple[int, int] | None:
        """Return the pixels of this file, where the project's record is of the file itself."""
        builder = self.entry.raw.get("serverBuilder")
        if not isinstance(builder, dict) or builder.get("builderType") != "uri":
            return None
        args = builder.get("args")
        if isinstance(args, list) and any(
            flag == "--series" and str(value) != "0" for flag, value in pairwise(args)
        ):
            return None
        width, height = self.entry.width_px, self.entry.height_px
        return None if width is None or height is None else (width, height)


def relink_project(
    project_path: str | PathLike[str],
    *,
    look_in: Sequence[str | PathLike[str]] = (),
    chosen: Mapping[str, str | PathLike[str]] | None = None,
    dry_run: bool = False,
    allow_hosts: Collection[str] = (),
) -> RelinkReport:
    """Find images that are not where a project says, and write their new places into it.

    Objects are not touched. Images in their place are remembered (name, bytes, checksum of
    samples) in ``qpgaze/images.json``, so that they are known again under another name.

    Parameters
    ----------
    project_path : path
        The ``.qpproj`` file or its folder.
    look_in : sequence of path
        Folders to look in, with everything below; besides the project's own folder and those in
        which other images of the project lie.
    chosen : mapping of str to path, optional
        For an image's id, the file that a person says it is.
    dry_run : bool
        Only say what would be done.
    allow_hosts : collection of str
        Computers, besides the project's own, whose shares may be opened because the project
        names them. Folders in `look_in` are a person's word and need none.

    Raises
    ------
    ProjectError
        If the project cannot be read or written; nothing was changed then.
    UsageError
        If a folder to look in is none, or a chosen file does not fit.
    """
    project = FolderProject(Path(project_path), codec=EmbeddedCodec(), allow_hosts=allow_hosts)
    content, before = read_file(project.path)
    memory = RememberedImages(project.folder)
    places = _places(project, memory)
    report = RelinkReport(str(project.path), dry_run, [place.report for place in places])
    _take_chosen(places, chosen or {})
    lost = [place for place in places if place.lost]
    if lost:
        _search(lost, [Path(folder) for folder in look_in], places, project.folder, report)
    changes = _changes(project, places, content)
    report.notes += _remember(places, memory)
    remembered = memory.change()
    if changes is not None and any(_of_another_system(place) for place in places):
        report.notes.append(
            "Images lay on another kind of system; their new places are those that this computer "
            "sees. Computers that see the images elsewhere must relink a copy of their own."
        )
    if not dry_run and (changes, remembered) != (None, None):
        _write(project, changes, before, remembered)
    return report


def _write(
    project: FolderProject, content: bytes | None, before: Snapshot, remembered: Change | None
) -> None:
    with writer_lock(project.folder) as held:
        if content is not None:
            backup = project.path.with_name(f"{project.path.name}.backup")
            made = [Change(project.path, content, before, backup=backup)]
            now = project.clock_ms()
            write_and_note(project.folder, made, held=held, now_ms=now, occasion="relink")
        if remembered is not None:
            replace_files([remembered])


def _remember(places: Sequence[_Place], memory: RememberedImages) -> list[str]:
    """Remember the files that are in place; say where one took the place of another."""
    notes = []
    for place in places:
        report = place.report
        if report.status not in (IN_PLACE, FOUND) or report.path is None:
            continue
        facts = file_facts(Path(report.path))
        other = place.facts is not None and not place.facts.same_content(facts)
        if other:
            notes.append(
                f"Image {report.entry}: {report.path} is not the file that was there before "
                "(another checksum). Make sure that its objects still fit."
            )
        if not other or report.status == FOUND:
            memory.remember(report.entry, facts)
    fresh = [place.report.path for place in places if place.report.status == FOUND]
    return notes + one_file_twice([(p.report.entry, p.report.path) for p in places], fresh)


def _places(project: FolderProject, memory: RememberedImages) -> list[_Place]:
    """List every place that the project reads from, and see what is there."""
    places = []
    old = project.raw.get("uri")
    for number, entry in enumerate(project.entries):
        for uri in entry.uris:
            report = RelinkedImage(entry.id, entry.name, uri, MISSING)
            place = _Place(number, entry, report)
            places.append(place)
            try:
                location = parse_uri(uri)
                if location.path is None:
                    report.status = NOT_OPENED
                    report.why = f"it comes from a server ({location.scheme}://{location.host})"
                    continue
                place.path = location.path
                place.facts = memory.of(entry.id, location.path.name)
                there = recorded_places(
                    location,
                    project_file=project.path,
                    project_uri=old if isinstance(old, str) else None,
                    allow_hosts=project.allow_hosts,
                )
            except (ProjectError, SlideError) as error:
                report.status, report.why = NOT_OPENED, str(error)
                continue
            _look_at(place, there)
    return places


def _look_at(place: _Place, there: Sequence[Path]) -> None:
    """See whether an image is where it was recorded, or moved together with its project."""
    report = place.report
    report.why = f"it was at {place.path}"
    for path in there:
        if not _is_file(path):
            continue
        report.path = str(path)
        if same_place(uri_from_path(path.absolute()), report.uri):
            report.status, report.why = IN_PLACE, ""
            return
        candidate = _compare(place, path)
        if not candidate.refuted:
            report.status, report.why = FOUND, "moved together with the project"
            return
        report.path = None


def _take_chosen(places: Sequence[_Place], chosen: Mapping[str, str | PathLike[str]]) -> None:
    """Take the files that a person names.

    Raises
    ------
    UsageError
        If there is no such image or file, or it has another size.
    """
    for identity, file in chosen.items():
        path = Path(file).absolute()
        mine = [place for place in places if place.entry.id == identity]
        if len(mine) != 1:
            ids = ", ".join(dict.fromkeys(place.entry.id for place in places))
            raise UsageError(f"No image {identity} reads one file; the project has images {ids}.")
        if not _is_file(path):
            raise UsageError(f"There is no file {path}, named for image {identity}.")
        found = _compare(mine[0], path)
        if found.same_size is False:
            raise UsageError(
                f"{path} is no place for image {identity}: {found.words()}.",
                hint="Its objects would lie beside what they mark.",
            )
        report = mine[0].report
        report.status, report.path, report.why = FOUND, str(path), "as you said"


def _search(
    lost: Sequence[_Place],
    look_in: Sequence[Path],
    places: Sequence[_Place],
    home: Path,
    report: RelinkReport,
) -> None:
    """Look for what is lost, and judge what is found."""
    near = [Path(place.report.path).parent for place in places if place.report.path is not None]
    folders = list(dict.fromkeys(p.absolute() for p in [*look_in, home, *near]))
    names = {plain_name(place.path.name) for place in lost if place.path is not None}
    sizes = {place.facts.size for place in lost if place.facts is not None}
    search = search_folders(folders, names=names, sizes=sizes)
    report.notes += search.notes
    for place in lost:
        _judge(place, search)
    if not look_in and any(place.lost for place in lost):
        report.notes.append("Say with --look-in FOLDER where the images may be now.")


def _judge(place: _Place, search: Search) -> None:
    """Choose among the files of the image's name, else among those of its checksum."""
    report = place.report
    assert place.path is not None  # noqa: S101 - lost means that it has one
    named = search.by_name.get(plain_name(place.path.name), [])
    every = [_compare(place, path) for path in _unlinked(named)]
    best = choose(every)
    if best is None and place.facts is not None:
        sized = _unlinked(search.by_size.get(place.facts.size, []))
        alike = [item for item in (_compare(place, path) for path in sized) if item.same_content]
        best = choose(alike)
        every += [item for item in alike if item.path not in [other.path for other in every]]
    if best is not None:
        report.status, report.path, report.why = FOUND, str(best.path), best.words()
    elif [item for item in every if not item.refuted]:
        report.status = SEVERAL
        report.why = "none is clearly the one" if len(every) > 1 else "it cannot be made sure of"
    report.candidates = [(str(item.path), item.words()) for item in every if item is not best]


def _unlinked(paths: Sequence[Path]) -> list[Path]:
    """Return paths of different files: a link is no second candidate."""
    return list({path.resolve(): path for path in reversed(paths)}.values())[::-1]


def _compare(place: _Place, path: Path) -> Candidate:
    """Compare a file with what is known of a lost image."""
    assert place.path is not None  # noqa: S101
    same_content: bool | None = None
    checksum = known_checksum(place.entry.metadata)
    if checksum is not None and place.size() is not None:
        same_content = has_checksum(path, checksum)
    elif place.facts is not None:
        same_content = file_facts(path).samples == place.facts.samples
    recorded, found = place.size(), picture_size(path)
    return Candidate(
        path=path.absolute(),
        folders_alike=folders_alike(place.path, path.absolute()),
        same_size=None if recorded is None or found is None else recorded == found,
        same_content=same_content,
        size_px=found,
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that this system cannot have
        return False


def _changes(project: FolderProject, places: Sequence[_Place], content: bytes) -> bytes | None:
    """Return the project file with the places that were found; None where there are none."""
    images: dict[int, dict[str, str]] = {}
    for place in places:
        if place.report.status == FOUND and place.report.path is not None:
            uri = uri_from_path(Path(place.report.path).absolute())
            images.setdefault(place.number, {})[place.report.uri] = uri
    if not images:
        return None
    # Where the project lay is what images that moved with it are found by: as long as one is
    # lost, that must stay.
    whole = all(place.report.status in (IN_PLACE, FOUND) for place in places)
    own, had = uri_from_path(project.path.absolute()), project.raw.get("uri")
    moved = isinstance(had, str) and not same_place(had, own)
    return replace_uris(content, project.path, images, own if whole and moved else None)


def _of_another_system(place: _Place) -> bool:
    if place.report.status != FOUND or place.path is None or place.report.path is None:
        return False
    return type(place.path) is not type(PurePath(place.report.path))
