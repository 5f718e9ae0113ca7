"""``qpgaze install-hook``: the menu inside QuPath."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qpgaze.cli.output import console, emit_json, json_option

if TYPE_CHECKING:
    from qpgaze.bridge.hook_install import HookReport


@click.command("install-hook")
@click.option("--user-dir", type=click.Path(path_type=Path), help="QuPath's user folder.")
@click.option("--qupath", type=click.Path(path_type=Path), help="Folder of the QuPath to set up.")
@click.option("--uninstall", is_flag=True, help="Take it away again; leaves nothing behind.")
@click.option(
    "--files-only",
    is_flag=True,
    help="Do not start QuPath to set its start-up script: a script inside it does.",
)
@click.option("--startup-before", hidden=True, help="The site's start-up script.")
@click.option("--runs-file", type=bool, hidden=True, help="QuPath 0.4 runs startup.groovy.")
@json_option
def install_hook(
    user_dir: Path | None,
    qupath: Path | None,
    uninstall: bool,
    files_only: bool,
    startup_before: str | None,
    runs_file: bool | None,
    as_json: bool,
) -> None:
    """Put the qpgaze menu into QuPath, or renew it.

    Finds QuPath and its user folder, puts the hook there and names it as QuPath's
    start-up script. A start-up script that is named already goes on working.
    """
    from qpgaze.bridge import hook_install
    from qpgaze.bridge.projects.detect_qupath import paquo_or_reason

    if qupath is None and not files_only:
        qupath = paquo_or_reason().folder
    if uninstall:
        report = hook_install.uninstall_hook(user_dir, qupath=qupath)
    else:
        report = hook_install.install_hook(
            user_dir, qupath=qupath, startup_before=startup_before, runs_file=runs_file
        )
    if as_json:
        said = asdict(report)
        said["hook_version"] = said.pop("version")
        emit_json("install-hook", said)
    else:
        _show(report, uninstall)


def _show(report: HookReport, removed: bool) -> None:
    screen = console()
    if removed:
        what = "removed" if report.changed else "there was none"
        screen.print(f"The hook in {report.folder}: {what}.", soft_wrap=True)
    else:
        screen.print(f"The hook {report.version} is in {report.folder}.", soft_wrap=True)
        if report.version_before and report.version_before != report.version:
            screen.print(f"It was {report.version_before} before.")
        screen.print(
            f"{len(report.changed)} files were written." if report.changed else "Nothing changed."
        )
    startup = {
        "set": "QuPath starts it by itself from now on.",
        "kept": "QuPath's start-up script is as it should be.",
        "restored": "QuPath's start-up script is as it was before.",
        "by hand": "",
    }[report.startup]
    if startup:
        screen.print(startup)
    if report.startup_before and not removed:
        screen.print(f"Before it runs, as always, {report.startup_before}.", soft_wrap=True)
    for note in report.notes:
        screen.print(note, soft_wrap=True)
