"""One picture of what happened: where a reader looked, what became of it, and how good it is."""

from __future__ import annotations

from qpgaze.workflows.picture.cases import PictureCase
from qpgaze.workflows.picture.page import draw_demo_picture

__all__ = ["PictureCase", "draw_demo_picture"]
