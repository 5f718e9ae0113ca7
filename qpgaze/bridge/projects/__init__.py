"""A QuPath project behind one protocol: embedded store, paquo, GeoJSON."""

from __future__ import annotations

from qpgaze.bridge.projects.opening import BACKENDS, create_project, open_project
from qpgaze.bridge.projects.protocol import Entry, Project

__all__ = ["BACKENDS", "Entry", "Project", "create_project", "open_project"]
