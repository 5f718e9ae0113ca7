"""QuPath's whole view of each object, for those who ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from qpgaze.bridge.qpdata.identities import stored_ids
from qpgaze.bridge.qpdata.records import QupathObject
from qpgaze.bridge.qpdata.scan import Scan, quick_and_guarded
from qpgaze.bridge.qpdata.shapes import build_kind
from qpgaze.model import SlideObject


def make_details(scan: Scan, objects: Sequence[SlideObject]) -> tuple[QupathObject, ...]:
    """Read each object of a scan once more, with everything that QuPath keeps of it."""
    with quick_and_guarded(scan.data):
        return tuple(
            _detail(scan, number, made, stored is not None)
            for number, (made, stored) in enumerate(
                zip(objects, stored_ids(scan)[1:], strict=True), 1
            )
        )


def _detail(scan: Scan, number: int, made: SlideObject, id_stored: bool) -> QupathObject:
    raw = scan.raw(number)
    nucleus = raw.nucleus
    return QupathObject(
        made,
        int(scan.depths[number]),
        raw.roi,
        raw.path_class.color if raw.path_class else None,
        raw.color,
        raw.probability,
        None if nucleus is None else build_kind(nucleus.kind, [nucleus.shape])[0],
        nucleus,
        raw.missing,
        id_stored,
    )
