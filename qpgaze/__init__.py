"""Label whole slides by looking at them: gaze to QuPath annotations to COCO data sets.

Importing this package is free: a name is loaded when it is first used, so that neither a JVM nor
pandas, torch or scikit-image starts behind ``import qpgaze``. This file itself imports nothing at
all: Ctrl-C shows Python's traceback until the program's own first line runs.
"""

__version__ = "0.1.0"

_WHERE = {
    "QpgazeError": "qpgaze.errors",
    "annotate_project": "qpgaze.workflows",
    "create_project": "qpgaze.bridge",
    "export_project": "qpgaze.workflows",
    "open_project": "qpgaze.bridge",
    "open_session": "qpgaze.session",
    "open_slide": "qpgaze.slides",
    "read_labels": "qpgaze.workflows",
    "refine_labels": "qpgaze.refine",
    "refine_project": "qpgaze.workflows",
}

__all__ = [
    "QpgazeError",
    "__version__",
    "annotate_project",
    "create_project",
    "export_project",
    "open_project",
    "open_session",
    "open_slide",
    "read_labels",
    "refine_labels",
    "refine_project",
]

TYPE_CHECKING = False  # as type checkers know it, without loading 'typing' for every command
if TYPE_CHECKING:
    from typing import Any

    from qpgaze.bridge import create_project, open_project
    from qpgaze.errors import QpgazeError
    from qpgaze.refine import refine_labels
    from qpgaze.session import open_session
    from qpgaze.slides import open_slide
    from qpgaze.workflows import annotate_project, export_project, read_labels, refine_project


def __getattr__(name: str) -> "Any":
    if name not in _WHERE:
        raise AttributeError(f"module 'qpgaze' has no attribute '{name}'")
    import importlib

    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
