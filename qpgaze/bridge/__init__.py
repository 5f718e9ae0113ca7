"""Into QuPath: labels to annotation objects, and projects behind one protocol."""

from __future__ import annotations

from qpgaze.bridge.projects import create_project, open_project

__all__ = ["create_project", "open_project"]
