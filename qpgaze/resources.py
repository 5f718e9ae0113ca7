"""Find what travels with the package: the Groovy scripts and the sample projects.

In a checkout they lie at the top level, where people look for them; in a wheel they lie inside
the package. Both are found without an install step.
"""

from __future__ import annotations

from pathlib import Path

from qpgaze.errors import QpgazeError

_PACKAGE = Path(__file__).resolve().parent


def _find(in_wheel: str, in_checkout: str) -> Path:
    for place in (_PACKAGE / in_wheel, _PACKAGE.parent / in_checkout):
        if place.is_dir():
            return place
    raise QpgazeError(
        f"The folder '{in_checkout}' that belongs to qpgaze is missing from this installation.",
        hint="Install qpgaze again.",
    )


def groovy_dir() -> Path:
    """Return the folder of the scripts that run inside QuPath.

    Raises
    ------
    QpgazeError
        If the installation is incomplete.
    """
    return _find("_groovy", "groovy")


def sample_dir(name: str = "keratin_pearls") -> Path:
    """Return the folder of the sample project `name`.

    Raises
    ------
    QpgazeError
        If the installation is incomplete or has no such sample.
    """
    folder = _find("_sample_projects", "sample_projects") / name
    if not folder.is_dir():
        raise QpgazeError(f"There is no sample project named '{name}'.")
    return folder
