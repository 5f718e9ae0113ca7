"""Which of several running QuPaths a recording follows: the one that is named, or the only one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import qpgaze
from qpgaze.errors import UsageError, WireError
from qpgaze.wire import HookFile, connect, find_hooks


@dataclass(frozen=True)
class RunningQuPath:
    """A QuPath that answers.

    Parameters
    ----------
    hook : HookFile
    images : tuple of str
        Names of its open images.
    projects : tuple of str
        URIs of the projects that they belong to.
    """

    hook: HookFile
    images: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()

    def describe(self) -> str:
        """Say in a few words which it is."""
        shown = f"shows {self.images[0]}" if self.images else "shows no image"
        more = f" and {len(self.images) - 1} more" if len(self.images) > 1 else ""
        return f"{self.hook.pid} (QuPath {self.hook.qupath or 'of unknown version'}, {shown}{more})"


def running_qupaths(folders: tuple[Path, ...] | None = None) -> tuple[RunningQuPath, ...]:
    """Ask every QuPath that left a discovery file; those that do not answer are left out.

    Parameters
    ----------
    folders : tuple of Path, optional
        Where to look instead of the user's discovery folders.
    """
    running = []
    for hook in find_hooks(folders).hooks:
        try:
            with connect(hook, name="recorder", software=qpgaze.__version__) as client:
                opened = client.images()
        except WireError:  # stale, or of another version: 'qpgaze doctor' says so
            continue
        names = tuple(str(one["image"]["name"]) for one in opened)
        uris = (one.get("project_uri") for one in opened)
        running.append(RunningQuPath(hook, names, tuple(dict.fromkeys(filter(None, uris)))))
    return tuple(running)


def choose_hook(
    named: str | None = None,
    folders: tuple[Path, ...] | None = None,
    *,
    meant: Callable[[RunningQuPath], bool] | None = None,
) -> HookFile | None:
    """Return the QuPath to follow; None where it need not be named, or none runs yet.

    Parameters
    ----------
    named : str, optional
        Number of QuPath's process, or its discovery file.
    folders : tuple of Path, optional
    meant : callable, optional
        Tells whether one of several is meant by what else is known: it shows the project.

    Raises
    ------
    UsageError
        If the named one does not run, or none is named and several run: the message lists them.
    """
    hooks = find_hooks(folders).hooks
    if named is None:
        # Nearly always there is one file, and nobody need be asked.
        running = running_qupaths(folders) if len(hooks) > 1 else ()
        if len(running) < 2:
            return None
        chosen = [one for one in running if meant is not None and meant(one)]
        if len(chosen) != 1:
            raise several(running)
        return chosen[0].hook
    for hook in hooks:
        if named == str(hook.pid) or Path(named) == hook.path or named == hook.path.name:
            return hook
    there = "; ".join(one.describe() for one in running_qupaths(folders)) or "none"
    raise UsageError(
        f"No QuPath '{named}' runs with the qpgaze hook. Running: {there}.",
        hint="Give the number of its process, or its discovery file.",
    )


def several(running: tuple[RunningQuPath, ...]) -> UsageError:
    """Return the question which of several QuPaths is meant."""
    return UsageError(
        f"Several QuPaths run: {'; '.join(one.describe() for one in running)}.",
        hint=f"Name the one to record: --hook {running[0].hook.pid}; or close the others.",
    )
