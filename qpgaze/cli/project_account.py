"""``qpgaze project log``, ``verify`` and ``rollback``: what was written, and taking it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qpgaze.cli.annotate import save_open_option
from qpgaze.cli.locks import break_lock_option, free_lock
from qpgaze.cli.output import console, emit_json, json_option, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qpgaze.bridge.account import Finding, VerifyReport
    from qpgaze.bridge.account_log import LogLine
    from qpgaze.bridge.rollback import RollbackReport

_backend_option = click.option(
    "--backend",
    type=click.Choice(["auto", "embedded", "paquo", "live"]),
    default="auto",
    show_default=True,
    help="How the project is reached: through an installed QuPath (paquo), without one, or through "
    "the window of a QuPath that has it open (live).",
)

_OPERATIONS = {
    "add": "added",
    "replace": "refined",
    "remove": "removed",
    "put_back": "put back",
    "adopt": "taken in",
    "add_image": "new image",
    "add_class": "new class",
    "collect": "collected",
    "import": "imported",
    "set": "set",
    "relink": "relinked",
    "rescue": "rescued",
    "write": "written",
}

_KINDS = {
    "unreadable": "Unreadable",
    "lost": "Lost",
    "moved": "Moved",
    "duplicated": "Duplicated",
    "no_image": "Image gone",
    "no_slide": "Slide missing",
    "other_slide": "Another slide",
    "changed": "Changed",
    "slide_moved": "Slide moved",
    "left_over": "Left over",
    "cut": "Ledger",
    "backup": "Older data",
    "unsaved": "Not saved",
}


@click.command("log")
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@json_option
def log_(project_path: Path, as_json: bool) -> None:
    """List every write of qpgaze into PROJECT, oldest first."""
    from qpgaze.bridge.account_log import log_project
    from qpgaze.bridge.reading_notes import notes_of_reading

    lines, notes = log_project(project_path), notes_of_reading(project_path)
    if as_json:
        writes = [line.to_json() for line in lines]
        emit_json("project log", {"writes": writes, "notes": notes})
        return
    if lines:
        _show_log(lines)
    else:
        click.echo("Nothing was written into this project by qpgaze.")
    for note in notes:
        console().print(f"Note: {note}", markup=False)


def _show_log(lines: Sequence[LogLine]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("time (UTC)", "what", "count", "classes", "image", "session"):
        right = heading == "count"
        whole = heading in ("time (UTC)", "what", "count", "session")
        table.add_column(heading, justify="right" if right else "left", no_wrap=whole)
    for line in lines:
        table.add_row(
            line.time_utc[:16].replace("T", " "),
            _OPERATIONS.get(line.op, line.op),
            str(line.count or ""),
            # Text, not str: a name may hold what rich takes for mark-up.
            Text(", ".join(line.classes)),
            Text(f"{line.entry} {line.image}".strip()),
            line.session[:8],
        )
    console().print(table)


@click.command()
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@_backend_option
@json_option
@click.pass_context
def verify(context: click.Context, project_path: Path, backend: Any, as_json: bool) -> None:
    """Compare what qpgaze wrote into PROJECT with what is there now.

    Names objects that are lost, moved, there twice or changed by a person, images whose data
    cannot be read and slides that are missing or others. Nothing is written. Exit status 1 where
    there are problems; what people changed is none.
    """
    from qpgaze.bridge.account import verify_project

    with progress("verify") as update:
        report = verify_project(project_path, backend=backend, progress=update)
    if as_json:
        emit_json("project verify", report.to_json())
    else:
        _show_verify(report)
    if report.problems:
        context.exit(1)


def _show_verify(report: VerifyReport) -> None:
    out = console()
    ours = f"{report.untouched} of the {report.ours} that qpgaze wrote are as it wrote them."
    if not report.ours:
        ours = "qpgaze wrote none of them."
    out.print(
        f"{_count(report.images, 'image')} with {_count(report.objects, 'object')}; {ours}",
        markup=False,
    )
    _show_findings([*report.problems, *report.remarks])
    if not report.problems:
        out.print("No problems.")
        return
    kinds = {finding.kind for finding in report.problems}
    out.print(f"{_count(len(report.problems), 'problem')}.")
    if "unreadable" in kinds:
        out.print("'qpgaze project rescue PROJECT' brings back data that cannot be read.")
    if "lost" in kinds:
        out.print(
            "Lost objects were deleted in QuPath, or a QuPath that had the image open saved over "
            "them. 'qpgaze annotate SESSION PROJECT --put-back' writes them again."
        )
    if "no_slide" in kinds:
        out.print("'qpgaze project relink PROJECT --look-in FOLDER' finds slides that were moved.")


def _show_findings(findings: Sequence[Finding]) -> None:
    """Show what was found, image by image; what concerns none comes last."""
    from rich.padding import Padding

    out = console()
    image = None
    for finding in sorted(findings, key=lambda f: int(f.entry) if f.entry else 10**18):
        if finding.entry and (finding.entry, finding.image) != image:
            image = finding.entry, finding.image
            out.print(f"Image {finding.entry} {finding.image}".rstrip() + ":", markup=False)
        text = f"{_KINDS.get(finding.kind, finding.kind)}: {finding.message}"
        indent = 2 if finding.entry else 0
        out.print(Padding(_plain(text), (0, 0, 0, indent)))


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


@click.command()
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@click.option(
    "--session",
    required=True,
    help="Id of the session, or its first characters; 'qpgaze project log' lists them.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--also-changed", is_flag=True, help="Also remove objects that a person changed since."
)
@break_lock_option
@_backend_option
@save_open_option
@json_option
def rollback(
    project_path: Path,
    session: str,
    dry_run: bool,
    also_changed: bool,
    break_lock: bool,
    backend: Any,
    save_open: bool | None,
    as_json: bool,
) -> None:
    """Take back what a session wrote into PROJECT, refined objects too.

    What a person changed since (shape, class, name, review) is left and listed. Doing it again
    does nothing.
    """
    from qpgaze.bridge.rollback import rollback_session

    free_lock(project_path, break_lock)
    report = rollback_session(
        project_path,
        session,
        dry_run=dry_run,
        also_changed=also_changed,
        backend=backend,
        save_open=save_open,
    )
    if as_json:
        emit_json("project rollback", report.to_json())
    else:
        _show_rollback(report)


def _show_rollback(report: RollbackReport) -> None:
    out = console()
    did = "Would remove" if report.dry_run else "Removed"
    total = sum(image.removed for image in report.images)
    out.print(f"{did} {_count(total, 'object')} of session {report.session}.", markup=False)
    if not report.images:
        out.print("Nothing of it is in the project any more.")
    for image in report.images:
        parts = [f"{image.removed} removed"]
        if image.left:
            parts.append(f"{len(image.left)} left, changed by a person ({_few(image.left)})")
        if image.gone:
            parts.append(f"{image.gone} gone before")
        out.print(f"Image {image.entry} {image.name}: {'; '.join(parts)}.", markup=False)
    if any(image.left for image in report.images):
        out.print("--also-changed removes those that a person changed, too.")
    for note in report.notes:
        out.print(f"Note: {note}", markup=False)
    if total and not report.dry_run and report.backend != "live":
        out.print("An image that is open in QuPath must be reopened (File > Reload data).")


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
