"""Label whole slides by looking at them: gaze to QuPath annotations to COCO data sets.

Importing this package is free: a name is loaded when it is first used, so that neither a JVM nor
pandas, torch or scikit-image starts behind ``import qpgaze``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "open_session": "qpgaze.session",
    "open_slide": "qpgaze.slides",
    "open_project": "qpgaze.bridge",
    "annotate": "qpgaze.workflows",
    "refine": "qpgaze.workflows",
    "export_coco": "qpgaze.workflows",
    "QpgazeError": "qpgaze.errors",
}

__all__ = [
    "QpgazeError",
    "__version__",
    "annotate",
    "export_coco",
    "open_project",
    "open_session",
    "open_slide",
    "refine",
]

if TYPE_CHECKING:
    from qpgaze.bridge import open_project
    from qpgaze.errors import QpgazeError
    from qpgaze.session import open_session
    from qpgaze.slides import open_slide
    from qpgaze.workflows import annotate, export_coco, refine


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'qpgaze' has no attribute '{name}'")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
