"""Nothing that a project names leads out of its folder."""

from __future__ import annotations

import os
from pathlib import Path

from qpgaze.errors import ProjectError


def is_inside(folder: Path, path: Path) -> bool:
    """Tell whether a path, links followed, lies in a folder or is the folder itself.

    Parameters
    ----------
    folder : Path
    path : Path
        There or not.
    """
    home, real = (os.path.normcase(os.path.realpath(place)) for place in (folder, path))
    try:
        return os.path.commonpath([home, real]) == home
    except ValueError:  # two drives of Windows, or a name that cannot be
        return False


def require_inside(folder: Path, path: Path) -> None:
    """Refuse a path that leads out of a project's folder, by ``..`` or by a link.

    Raises
    ------
    ProjectError
        Naming both.
    """
    if not is_inside(folder, path):
        raise ProjectError(
            f"{path} leads out of the project's folder (to {os.path.realpath(path)}) and is not "
            "opened.",
            hint="Replace the link by what it points to, if you trust that.",
        )
