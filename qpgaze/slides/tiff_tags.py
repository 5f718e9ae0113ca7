"""What a TIFF's tags say of the picture: pixel size, and whether the file is whole."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from qpgaze.errors import SlideError

_UM_PER_UNIT = {2: 25_400.0, 3: 10_000.0}
_LARGEST_UM = 40.0
"""Coarser than any microscope: 635 dpi. Above it, resolution tags speak of print or screen."""
_OME_UNITS = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4}
_IMAGEJ_UNITS = {"micron": 1.0, "microns": 1.0, "um": 1.0, "µm": 1.0, "\\u00b5m": 1.0, "nm": 1e-3}


def check_complete(page: Any, path: Path) -> None:
    """Refuse a page whose pixels should lie behind the end of the file.

    Raises
    ------
    SlideError
        If so: the file was cut.
    """
    size = page.parent.filehandle.size
    end = max(
        (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0
    )
    # tifffile drops a level that it cannot read with no more than a line in the log.
    for offset, finer in zip(page.subifds or (), page.pages or (), strict=False):
        end = max(end, offset + 1)
        if offset < size:
            check_complete(finer.aspage(), path)
    if not page.dataoffsets or end > size:
        raise SlideError(
            f"{path.name} is cut: it has {size} bytes, its pixels need {end}.",
            hint="Copy the file again from where it came.",
        )


def pixel_size_um(tiff: Any, page: Any) -> tuple[float, float] | None:
    """Return micron per pixel (x, y) as OME, Aperio, ImageJ or the resolution tags name it."""
    for size in (_ome(tiff), _aperio(page), _imagej(tiff, page), _resolution(page)):
        if size is not None and all(0 < s < math.inf for s in size):
            return size
    return None


def _ome(tiff: Any) -> tuple[float, float] | None:
    if not tiff.is_ome or not tiff.ome_metadata:
        return None
    found = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", tiff.ome_metadata)
    tag = found.group(0) if found else ""
    sizes = []
    for axis in "XY":
        value = re.search(rf'PhysicalSize{axis}="([^"]+)"', tag)
        unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', tag)
        factor = _OME_UNITS.get(unit.group(1)) if unit else 1.0
        if value is None or factor is None:
            return None
        try:
            sizes.append(float(value.group(1)) * factor)
        except ValueError:
            return None
    return sizes[0], sizes[1]


def _aperio(page: Any) -> tuple[float, float] | None:
    if not page.description.startswith("Aperio"):
        return None
    found = re.search(r"\bMPP\s*=\s*([0-9.]+)", page.description)
    try:
        mpp = float(found.group(1)) if found else math.nan
    except ValueError:
        return None
    return (mpp, mpp)


def _densities(page: Any) -> tuple[float, float] | None:
    """Return the resolution tags as pixels per unit."""
    values = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        if tag is None or len(tag.value) != 2 or not tag.value[0] or not tag.value[1]:
            return None
        values.append(tag.value[0] / tag.value[1])
    return values[0], values[1]


def _imagej(tiff: Any, page: Any) -> tuple[float, float] | None:
    if not tiff.is_imagej:
        return None
    density = _densities(page)
    unit = _IMAGEJ_UNITS.get(str((tiff.imagej_metadata or {}).get("unit", "")))
    return (unit / density[0], unit / density[1]) if density and unit else None


def _resolution(page: Any) -> tuple[float, float] | None:
    unit = page.tags.get("ResolutionUnit")
    scale = _UM_PER_UNIT.get(int(unit.value) if unit is not None else 2)
    density = _densities(page)
    if scale is None or density is None:
        return None
    size = (scale / density[0], scale / density[1])
    return size if max(size) <= _LARGEST_UM else None
