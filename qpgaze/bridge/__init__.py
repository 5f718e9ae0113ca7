"""Into QuPath: labels to annotation objects, and projects behind one protocol."""

from __future__ import annotations

from qpgaze.bridge.ledger import Ledger
from qpgaze.bridge.projects import create_project, open_project

__all__ = ["Ledger", "create_project", "open_project"]
