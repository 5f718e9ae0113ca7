"""Bring back a project that QuPath no longer opens, from what is left of it.

What breaks is the project file, the list of classes, our ledger, or an image's data. Each is taken
from the best that is there: the backup that QuPath or we left beside it, else our newest whole
snapshot, else it is built anew from what the images' own folders hold. What is broken is kept
beside under another name; nothing is ever deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any

from qpgaze.bridge.ledger import FILE as LEDGER_FILE
from qpgaze.bridge.projects import qpproj
from qpgaze.bridge.projects.files import Change, Snapshot, read_file
from qpgaze.bridge.projects.lock import writer_lock
from qpgaze.bridge.projects.snapshots import is_whole, snapshots_of
from qpgaze.bridge.projects.uris import uri_from_path
from qpgaze.bridge.projects.writes import write_and_note
from qpgaze.bridge.records import parse_record
from qpgaze.bridge.rescue_images import image_folders, rebuilt_images
from qpgaze.errors import ProjectError, UnsupportedDataError, UsageError


@dataclass(frozen=True)
class Rescued:
    """One file that is brought back.

    Parameters
    ----------
    file : str
        Path within the project.
    source : str
        Where its content came from, in words.
    kept_as : str
        Where the broken file is kept; empty where there was none.
    lost : str
        What could not be brought back, in words; empty where nothing is known to be lost.
    """

    file: str
    source: str
    kept_as: str = ""
    lost: str = ""


@dataclass
class RescueReport:
    """What :func:`rescue_project` did.

    Parameters
    ----------
    project : str
    dry_run : bool
        Whether nothing was written.
    rescued : list of Rescued
    hopeless : list of str
        Broken files of which nothing whole is left, in words.
    doubtful : list of str
        Files that hold something we do not understand, so that nobody can tell here whether they
        are broken.
    """

    project: str
    dry_run: bool
    rescued: list[Rescued] = field(default_factory=list)
    hopeless: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


def rescue_project(
    path: str | PathLike[str],
    *,
    dry_run: bool = False,
    also_unsupported: bool = False,
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> RescueReport:
    """Bring back a missing or broken project file, list of classes, ledger or image data.

    Parameters
    ----------
    path : path
        The project's folder or its ``.qpproj`` file, there or not.
    dry_run : bool
        Only say what would be done.
    also_unsupported : bool
        Take image data for broken that hold something we do not understand.
    clock_ms : callable
        Gives the time, milliseconds since 1970.

    Raises
    ------
    UsageError
        If nothing is broken, or this is no folder of a project.
    ProjectError
        If nothing is left to bring a file back from, or it cannot be written.
    """
    file = _project_file(Path(path))
    report = RescueReport(str(file), dry_run)
    if dry_run:
        _plan(file, report, clock_ms(), also_unsupported)
        return _require_work(report)
    with writer_lock(file.parent) as held:
        now_ms = clock_ms()
        changes = _plan(file, report, now_ms, also_unsupported)
        _require_work(report)
        if changes:
            write_and_note(file.parent, changes, held=held, now_ms=now_ms, occasion="rescue")
    return report


def _require_work(report: RescueReport) -> RescueReport:
    if not report.rescued and not report.hopeless:
        hint = "'qpgaze project verify' compares what was written with what is there."
        if report.doubtful:
            hint = (
                f"But there is something we do not understand: {report.doubtful[0]} If QuPath "
                "cannot open it either, add --also-unsupported."
            )
        raise UsageError(
            f"Nothing is surely broken in {report.project}; nothing was changed.", hint=hint
        )
    return report


def _project_file(path: Path) -> Path:
    """Say which file the project file is or should be."""
    if path.suffix.lower() == ".qpproj" and not path.is_dir():
        folder, file = path.parent, path
    else:
        folder = path
        named = sorted(p for p in path.glob("*.qpproj") if p.is_file()) if path.is_dir() else []
        backups = sorted(path.glob("*.qpproj.backup")) if path.is_dir() else []
        if len(named) > 1 and path / qpproj.FILE_NAME not in named:
            return qpproj.find_project_file(path)  # which refuses, and lists them
        if len(named) == 1:
            file = named[0]
        elif not named and len(backups) == 1:
            file = backups[0].with_suffix("")
        else:
            file = path / qpproj.FILE_NAME
    has = file.is_file() or file.with_name(f"{file.name}.backup").is_file()
    if not has and not any(image_folders(folder)):
        raise UsageError(
            f"{folder} is no folder of a QuPath project: it has no project file, no backup of one "
            "and no folder 'data' with images.",
            hint="Give the folder that holds 'data'.",
        )
    return file


class _Plan:
    """Collects what is to be written."""

    def __init__(self, folder: Path, report: RescueReport, now_ms: int) -> None:
        self.folder, self.report, self.now_ms = folder, report, now_ms
        self.changes: list[Change] = []

    def bring_back(
        self, path: Path, content: bytes, before: Snapshot, *, source: str, lost: str = ""
    ) -> None:
        """Write content in place of a broken file, which is kept beside."""
        kept = ""
        if before.exists:
            stamp = datetime.fromtimestamp(self.now_ms / 1000, timezone.utc)
            aside = path.with_name(f"{path.name}.broken-{stamp:%Y%m%dT%H%M%SZ}")
            for number in count(2):
                if not aside.exists():
                    break
                aside = path.with_name(f"{path.name}.broken-{stamp:%Y%m%dT%H%M%SZ}-{number}")
            broken, _ = read_file(path)
            self.changes.append(Change(aside, broken, Snapshot(aside)))
            kept = self.name(aside)
        self.changes.append(Change(path, content, before))
        self.report.rescued.append(Rescued(self.name(path), source, kept, lost))

    def name(self, path: Path) -> str:
        """Name a file within the project."""
        return path.relative_to(self.folder).as_posix()

    def first_good(
        self, places: list[Path], check: Callable[[bytes], object]
    ) -> tuple[bytes, Path] | None:
        """Return the first file that passes a check."""
        for place in places:
            try:
                content = place.read_bytes()
                check(content)
            except (OSError, ProjectError):  # not there, or broken as well: the next
                continue
            return content, place
        return None

    def copies(self, path: Path) -> list[Path]:
        """Return our whole snapshots of a file, newest first."""
        return [copy for copy in snapshots_of(self.folder, path) if is_whole(copy)]


def _plan(file: Path, report: RescueReport, now_ms: int, also_unsupported: bool) -> list[Change]:
    plan = _Plan(file.parent, report, now_ms)
    for folder in image_folders(file.parent):
        _plan_data(plan, folder, also_unsupported)
    _plan_classes(plan)
    _plan_ledger(plan)
    _plan_project(plan, file)
    return plan.changes


def _plan_data(plan: _Plan, folder: Path, also_unsupported: bool) -> None:
    """Bring back an image's data where they cannot be read."""
    from qpgaze.bridge.qpdata import read_qpdata

    path, backup = folder / "data.qpdata", folder / "data.qpdata.bkp"
    content, before = read_file(path)
    if not before.exists and not backup.is_file():
        return  # never opened: there is nothing to lose
    if content:
        try:
            read_qpdata(content)
        except UnsupportedDataError as error:
            if not also_unsupported:
                plan.report.doubtful.append(f"{plan.name(path)}: {error.message}")
                return
        except ProjectError:  # broken
            pass
        else:
            return
    found = plan.first_good([backup, *plan.copies(path)], read_qpdata)
    if found is None:
        plan.report.hopeless.append(
            f"{plan.name(path)} is broken, and no whole version of it is left."
        )
        return
    good, place = found
    lost = "what was changed after that version was kept" if before.exists else ""
    plan.bring_back(path, good, before, source=plan.name(place), lost=lost)


def _plan_classes(plan: _Plan) -> None:
    path = plan.folder / "classifiers" / "classes.json"
    content, before = read_file(path)
    if not before.exists or _passes(lambda data: qpproj.parse_classes(data, path), content):
        return

    def check(data: bytes) -> object:
        if not data:
            raise ProjectError("empty")
        return qpproj.parse_classes(data, path)

    found = plan.first_good(plan.copies(path), check)
    if found is not None:
        plan.bring_back(path, found[0], before, source=plan.name(found[1]))
        return
    fresh = qpproj.append_classes(qpproj.parse_classes(b"", path), _colors_in_use(plan.folder))
    plan.bring_back(
        path,
        qpproj.dump_json(fresh),
        before,
        source="the classes of the objects in the images",
        lost="classes that no object has",
    )


def _colors_in_use(folder: Path) -> dict[str, int]:
    from qpgaze.bridge.qpdata import read_qpdata

    colors: dict[str, int] = {}
    for place in image_folders(folder):
        try:
            found = read_qpdata((place / "data.qpdata").read_bytes())
        except (OSError, ProjectError):  # its own rescue, or none
            continue
        for name, color in found.class_colors.items():
            colors.setdefault(name, color)
    return colors


def _plan_ledger(plan: _Plan) -> None:
    """Take damaged lines out of the ledger; the whole ones stay."""
    path = plan.folder / "qpgaze" / LEDGER_FILE
    content, before = read_file(path)
    good, bad = [], 0
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            parse_record(line, path, number)
        except UnsupportedDataError:
            return  # a later version's: not ours to judge
        except ProjectError:
            bad += 1
        else:
            good.append(line + b"\n")
    torn = not content.endswith(b"\n") and bool(content)
    if bad and not (bad == 1 and torn):  # a torn last line is what every reader passes over
        lost = "1 damaged line" if bad == 1 else f"{bad} damaged lines"
        plan.bring_back(path, b"".join(good), before, source="its whole lines", lost=lost)


def _plan_project(plan: _Plan, file: Path) -> None:
    content, before = read_file(file)

    def check(data: bytes) -> dict[str, Any]:
        return qpproj.parse_project(data, file)

    try:
        check(content)
        return
    except UnsupportedDataError:
        if before.exists and content:
            raise  # not broken, only older than we understand
    except ProjectError:  # missing or broken
        pass
    backup = file.with_name(f"{file.name}.backup")
    found = plan.first_good([backup, *plan.copies(file)], check)
    raw = qpproj.new_project(uri=uri_from_path(file.absolute()), timestamp_ms=plan.now_ms)
    if found is not None:
        raw = check(found[0])
    listed = {qpproj.entry_id(item) for item in raw.get("images", [])}
    extra, missed = rebuilt_images(plan.folder, except_ids=listed, copies=plan.copies)
    plan.report.hopeless += missed
    if found is None and not extra:
        raise ProjectError(
            f"Nothing is left to build {file.name} from: no backup, no snapshot, and no image in "
            "'data' that says where its slide lies.",
            hint="Make a new project and add the slides in the same order.",
        )
    lost = []
    if found is not None and before.exists:
        lost.append("what the project file said of images (metadata, places) after that version")
    if found is None:
        lost.append("image order, image metadata (patient) and names given in QuPath")
    elif extra:
        lost.append("metadata and names of the images that were not in the backup")
    if extra:
        raw = dict(raw)
        raw["images"] = [*raw.get("images", []), *extra]
        last = raw.get("lastID")
        ids = [int(qpproj.entry_id(item)) for item in raw["images"]]
        raw["lastID"] = max([last if isinstance(last, int) else 0, *ids])
        raw["modifyTimestamp"] = plan.now_ms
    ways = [] if found is None else [plan.name(found[1])]
    ways += [f"{len(extra)} image{'' if len(extra) == 1 else 's'} found in data/"] if extra else []
    content = qpproj.dump_json(raw) if extra or found is None else found[0]
    plan.bring_back(file, content, before, source=" and ".join(ways), lost="; ".join(lost))


def _passes(check: Callable[[bytes], object], content: bytes) -> bool:
    try:
        check(content)
    except UnsupportedDataError:
        return True
    except ProjectError:
        return False
    return True
