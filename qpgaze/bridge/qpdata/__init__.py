"""QuPath's ``data.qpdata``: read, write anew, and edit with everything else kept to the byte."""

from __future__ import annotations

from qpgaze.bridge.qpdata.editing import edit_qpdata
from qpgaze.bridge.qpdata.fresh import new_qpdata
from qpgaze.bridge.qpdata.reading import read_qpdata
from qpgaze.bridge.qpdata.records import QpData, QupathObject, Roi

__all__ = [
    "QpData",
    "QupathObject",
    "Roi",
    "edit_qpdata",
    "new_qpdata",
    "read_qpdata",
]
