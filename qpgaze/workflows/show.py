"""What a project holds, image by image, as far as it can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from os import PathLike
from typing import TYPE_CHECKING, Any

from qpgaze.bridge import open_project
from qpgaze.bridge.ledger import Ledger
from qpgaze.bridge.reading_notes import cut_ledger, data_from_backup
from qpgaze.errors import QpgazeError
from qpgaze.slides import open_slide

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.bridge.projects.protocol import Entry, Project


def project_facts(
    path: str | PathLike[str], *, backend: Backend = "auto", allow_hosts: Collection[str] = ()
) -> dict[str, Any]:
    """Say what a project holds, as JSON values.

    Parameters
    ----------
    path : path
        The project's folder or its ``.qpproj`` file.
    backend : "auto", "embedded" or "paquo"
    allow_hosts : collection of str
        Computers, besides the project's own, whose shares slides may be opened from.

    Raises
    ------
    ProjectError
        If it is no project. What cannot be read of one image is told with that image.
    """
    with open_project(path, backend=backend, allow_hosts=allow_hosts) as opened:
        return {
            "project": str(opened.path),
            "backend": opened.backend,
            "backend_reason": opened.backend_reason,
            "classes": [{"name": k, "color": f"#{v:06x}"} for k, v in opened.classes.items()],
            "images": [_image_facts(entry) for entry in opened.entries],
            "notes": _notes(opened),
        }


def _notes(opened: Project) -> list[str]:
    notes = data_from_backup(opened.entries)
    try:
        return cut_ledger(Ledger.open(opened.path)) + notes
    except QpgazeError as error:  # the account is not what is asked for here
        return [str(error), *notes]


def _image_facts(entry: Entry) -> dict[str, Any]:
    """Say what is known of one image; what cannot be read of it is said, not fatal."""
    facts: dict[str, Any] = {
        "id": entry.id,
        "name": entry.name,
        "uris": list(entry.uris),
        "metadata": dict(entry.metadata),
        "width_px": entry.width_px,
        "height_px": entry.height_px,
        "pixel_size_um": entry.pixel_size_um,
        "objects": None,
        "by_class": {},
        "slide": None,
        "problems": [],
    }
    try:
        objects = entry.objects()
    except QpgazeError as error:
        facts["problems"].append(str(error))
    else:
        facts["objects"] = len(objects)
        facts["by_class"] = dict(Counter(o.class_name or "Unclassified" for o in objects))
    try:
        place = entry.image_path()
        facts["slide"] = str(place)
        if None in (facts["width_px"], facts["height_px"], facts["pixel_size_um"]):
            with open_slide(place) as slide:
                known = {
                    "width_px": slide.width_px,
                    "height_px": slide.height_px,
                    "pixel_size_um": slide.pixel_size_um,
                }
            facts |= {key: value for key, value in known.items() if facts[key] is None}
    except QpgazeError as error:
        facts["problems"].append(str(error))
    return facts
