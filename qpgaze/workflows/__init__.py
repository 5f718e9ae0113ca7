"""Whole jobs made of the rooms: what the command line calls, and what a library user can call.

Names are loaded when first used, so that one job does not pay for the imports of another.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_WHERE = {
    "annotate_project": "qpgaze.workflows.annotate",
    "collect_projects": "qpgaze.workflows.collect",
    "export_project": "qpgaze.workflows.export",
    "read_labels": "qpgaze.workflows.labels",
    "refine_project": "qpgaze.workflows.refine",
    "run_demo": "qpgaze.workflows.demo",
}

__all__ = [
    "annotate_project",
    "collect_projects",
    "export_project",
    "read_labels",
    "refine_project",
    "run_demo",
]

if TYPE_CHECKING:
    from qpgaze.workflows.annotate import annotate_project
    from qpgaze.workflows.collect import collect_projects
    from qpgaze.workflows.demo import run_demo
    from qpgaze.workflows.export import export_project
    from qpgaze.workflows.labels import read_labels
    from qpgaze.workflows.refine import refine_project


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'qpgaze.workflows' has no attribute '{name}'")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value
