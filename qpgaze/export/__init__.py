"""Tiles with COCO labels: cut slides, split by patient, write what every reader takes as it is."""

from __future__ import annotations

from qpgaze.export.dataset import export_coco
from qpgaze.export.plan import ExportImage, TileOptions
from qpgaze.export.report import ExportReport, PartCounts

__all__ = ["ExportImage", "ExportReport", "PartCounts", "TileOptions", "export_coco"]
