"""Export a QuPath project: its images and objects become tiles with COCO labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpgaze import keys

if TYPE_CHECKING:
    from qpgaze.bridge.projects.opening import Backend
    from qpgaze.bridge.projects.protocol import Entry
    from qpgaze.export import ExportImage, ExportReport


def export_project(
    project: str | Path,
    out: str | Path,
    *,
    images: Sequence[str] = (),
    backend: Backend = "auto",
    allow_hosts: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> ExportReport:
    """Turn a QuPath project into tiles with COCO labels; the project is only read.

    Parameters
    ----------
    project : path
        The ``.qpproj`` file or its folder.
    out : path
        The data set's folder, new or empty.
    images : sequence of str
        Entry ids or names; all images where empty.
    backend : str
        ``auto``, ``embedded`` or ``paquo``.
    allow_hosts : collection of str
        Computers, besides the project's own, whose shares slides may be opened from.
    progress : callable(done, total), optional
        Called after each tile.
    **options
        Tile size, scale, split and so on: the keywords of :func:`qpgaze.export.export_coco`.

    Returns
    -------
    ExportReport

    Raises
    ------
    ProjectError, EntryError
        If the project cannot be read, or has no such image.
    SlideError
        If a slide with objects is not where the project says.
    ExportError
        If no object can be exported, the scale cannot be had, or `out` cannot be written.
    """
    from qpgaze.bridge import open_project
    from qpgaze.export import export_coco

    with open_project(Path(project), mode="r", backend=backend, allow_hosts=allow_hosts) as opened:
        entries = [opened.entry(name) for name in images] if images else opened.entries
        # Naming an image by id and by name as well is no reason to export it twice.
        unique = {entry.id: entry for entry in entries}
        sources = [_source(entry) for entry in unique.values()]
    return export_coco(
        [source for source in sources if source is not None],
        Path(out),
        progress=progress,
        **options,
    )


def _source(entry: Entry) -> ExportImage | None:
    """Describe an entry for the export; None without objects, so that its slide may be missing."""
    from qpgaze.export import ExportImage

    objects = entry.objects()
    if not objects:
        return None
    return ExportImage(
        # Resolved, so that two entries of one file are known to be one slide.
        slide=entry.image_path().resolve(),
        name=entry.name,
        entry_id=entry.id,
        objects=objects,
        patient=entry.metadata.get(keys.PATIENT),
        pixel_size_um=entry.pixel_size_um,
    )
