"""Which libraries of eye trackers a Python has: this one, or another that somebody names."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

from qpgaze.errors import SourceError

LIBRARIES: Final = {
    "tobii_research": ("tobii-research", "Tobii's own library"),
    "TittaPy_v2": ("TittaPy", "Tobii trackers through TittaPy"),
    "pylsl": ("pylsl", "Lab Streaming Layer"),
}
"""Import name: distribution, and what it is for."""

_ANSWERS_S: Final = 20.0
# In a process of its own even for this Python: the other may be too old to import anything of ours.
_ASK: Final = """
import importlib.util, json, sys
try:
    from importlib.metadata import version
except ImportError:
    version = lambda package: ""
there = {}
for name, package in json.loads(sys.argv[1]).items():
    if importlib.util.find_spec(name):
        try:
            there[name] = version(package)
        except Exception:
            there[name] = ""
print(json.dumps(there))
"""


def tracker_libraries(python: str | None = None) -> tuple[str, ...]:
    """Name the libraries of trackers that a Python has, each with its version and what it is for.

    Parameters
    ----------
    python : str, optional
        The Python to ask; this one where not given.

    Raises
    ------
    SourceError
        If it cannot be started or does not answer.
    """
    asked = json.dumps({name: package for name, (package, _) in LIBRARIES.items()})
    command = [python or sys.executable, "-c", _ASK, asked]
    try:
        said = subprocess.run(  # noqa: S603 - no shell, and a program that the user names
            command, capture_output=True, timeout=_ANSWERS_S, check=True
        )
        versions = json.loads(said.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise SourceError(
            f"The Python '{command[0]}' does not answer: {why}.",
            hint="Name the Python that has the tracker's library.",
        ) from error
    return tuple(
        f"{package} {versions[name]} ({what})".replace("  ", " ")
        for name, (package, what) in LIBRARIES.items()
        if name in versions
    )
