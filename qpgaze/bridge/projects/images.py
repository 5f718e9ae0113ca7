"""The picture behind an image of a project: where it is now, how large, its thumbnail."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from qpgaze.bridge.projects.held import Tally, tally_of
from qpgaze.bridge.projects.uris import (
    Location,
    names_device,
    parse_uri,
    relative_place,
    share_host,
)
from qpgaze.errors import ProjectError, SlideError
from qpgaze.model import SlideObject

THUMBNAIL_PX = (1000, 600)
"""Largest width and height of a thumbnail: QuPath's own."""


@dataclass(frozen=True)
class ImageFacts:
    """What is recorded of a new image.

    Parameters
    ----------
    width_px, height_px : int
        Level 0.
    thumbnail : bytes
        JPEG.
    pixel_size_um : (x, y) or None
        Micron per level-0 pixel where the slide says it.
    level_downsamples : tuple of float
        The first is 1.
    """

    width_px: int
    height_px: int
    thumbnail: bytes
    pixel_size_um: tuple[float, float] | None = None
    level_downsamples: tuple[float, ...] = (1.0,)


def read_image(path: Path) -> ImageFacts:
    """Open a slide once and take from it what a project keeps.

    Raises
    ------
    SlideError
        If it is not a slide that we can read.
    """
    from PIL import Image

    from qpgaze.slides import open_slide

    with open_slide(path) as slide:
        width, height = slide.width_px, slide.height_px
        shrink = max(width / THUMBNAIL_PX[0], height / THUMBNAIL_PX[1], 1.0)
        pixels = slide.read(0, 0, width, height, downsample=shrink)
        pixel_size_um, levels = slide.pixel_size_um, slide.level_downsamples
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return ImageFacts(width, height, buffer.getvalue(), pixel_size_um, levels)


def image_summary(facts: ImageFacts, *, image_type: str, timestamp_ms: int) -> dict[str, Any]:
    """Return a new image's ``summary.json``: what QuPath shows of it without opening it."""
    return {
        "timestamp": timestamp_ms,
        "imageType": image_type,
        "server": {
            "width": facts.width_px,
            "height": facts.height_px,
            "sizeC": 3,
            "sizeZ": 1,
            "sizeT": 1,
        },
    }


def image_server(facts: ImageFacts, *, name: str, builder: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new image's ``server.json``: what is known of the picture where it is out of reach.

    QuPath writes it when it saves an image, and reads it never; other programs do.
    """
    x_um, y_um = facts.pixel_size_um or (1.0, 1.0)
    unit = "px" if facts.pixel_size_um is None else "\N{MICRO SIGN}m"
    colors = {"Red": 0xFFFF0000, "Green": 0xFF00FF00, "Blue": 0xFF0000FF}
    metadata = {
        "name": name,
        "width": facts.width_px,
        "height": facts.height_px,
        "sizeZ": 1,
        "sizeT": 1,
        "channelType": "DEFAULT",
        "isRGB": True,
        "pixelType": "UINT8",
        "levels": [
            {
                "downsample": shrink,
                "width": max(1, round(facts.width_px / shrink)),
                "height": max(1, round(facts.height_px / shrink)),
            }
            for shrink in facts.level_downsamples
        ],
        "channels": [{"name": k, "color": v - (1 << 32)} for k, v in colors.items()],
        "pixelCalibration": {
            "pixelWidth": {"value": x_um, "unit": unit},
            "pixelHeight": {"value": y_um, "unit": unit},
            "zSpacing": {"value": 1.0, "unit": "z-slice"},
            "timeUnit": "SECONDS",
            "timepoints": [],
        },
    }
    return {"builder": dict(builder), "metadata": metadata}


_NAMES = {
    "annotation": "Annotations",
    "detection": "Detections",
    "cell": "Cells",
    "tile": "Tiles",
    "tma_core": "TMA cores",
}


def count_objects(objects: Sequence[SlideObject] | Tally) -> dict[str, Any]:
    """Return the ``hierarchy`` of an image's ``summary.json``: how many objects of which class."""
    tally = objects if isinstance(objects, Counter) else tally_of(objects)
    kinds: Counter[str] = Counter()
    classes: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for (kind, class_name), count in tally.items():
        kinds[_NAMES[kind]] += count
        if kind != "tma_core":
            classes[kind == "annotation"][class_name or "Unclassified"] += count
    return {
        "nObjects": tally.total() + 1,
        "objectTypeCounts": {"Root objects": 1, **kinds},
        "annotationClassificationCounts": dict(classes[True]),
        "detectionClassificationCounts": dict(classes[False]),
    }


def recorded_size(*sources: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """Return the first width and height that server metadata or a summary record."""
    for source in sources:
        if isinstance(source, Mapping):
            width, height = source.get("width"), source.get("height")
            if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
                return width, height
    return None, None


def recorded_pixel_size(*sources: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Return the first pixel size in micron (x, y) that server metadata record.

    Examples
    --------
    >>> side = {"value": 0.25, "unit": "µm"}
    >>> recorded_pixel_size({"pixelCalibration": {"pixelWidth": side, "pixelHeight": side}})
    (0.25, 0.25)
    """
    for source in sources:
        calibration = source.get("pixelCalibration") if isinstance(source, Mapping) else None
        if not isinstance(calibration, Mapping):
            continue
        sides = [_micron(calibration.get(key)) for key in ("pixelWidth", "pixelHeight")]
        if sides[0] is not None and sides[1] is not None:
            return sides[0], sides[1]
    return None


def _micron(side: Any) -> float | None:
    if not isinstance(side, Mapping) or side.get("unit") not in ("µm", "μm", "um"):
        return None
    value = side.get("value")
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def find_image(
    builder: Any,
    uris: Sequence[str],
    *,
    name: str,
    project_file: Path,
    project_uri: str | None,
    allow_hosts: Collection[str] = (),
) -> Path:
    """Return an entry's image as a local file.

    Parameters
    ----------
    builder : JSON value
        The entry's server builder.
    uris : sequence of str
        Where it reads from.
    name : str
        Of the entry, for messages.
    project_file : Path
        Where the project is now.
    project_uri : str or None
        Where the project file says it is: slides that moved along lie alike relative to it.
    allow_hosts : collection of str
        Computers, besides the project's own, whose shares may be opened.

    Raises
    ------
    SlideError
        If it is no plain local file, or is not there: the message names each place.
    """
    if len(uris) != 1 or not isinstance(builder, Mapping) or builder.get("builderType") != "uri":
        kind = builder.get("builderType") if isinstance(builder, Mapping) else None
        raise SlideError(
            f"Image '{name}' is not one plain file but made by QuPath from others "
            f"({kind or 'unknown'}): its pixels cannot be read here.",
            hint="Add the original image to the project.",
        )
    _refuse_series(builder.get("args"), name)
    try:
        location = parse_uri(uris[0])
    except ProjectError as error:
        raise SlideError(f"Image '{name}': {error}") from error
    if location.path is None:
        raise SlideError(
            f"Image '{name}' comes from a server ({location.scheme}://{location.host}), "
            "which is never asked for pixels.",
            hint="Add a local copy of the slide to the project.",
        )
    places = candidates(
        location, project_file=project_file, project_uri=project_uri, allow_hosts=allow_hosts
    )
    for place in places:
        if _is_file(place):
            return place
    looked = ", ".join(str(place) for place in places) or f"{location.path} (of another system)"
    raise SlideError(
        f"The slide of image '{name}' is not there. Looked for: {looked}.",
        hint="Put it back, or look for it: 'qpgaze project relink PROJECT --look-in FOLDER'.",
    )


def candidates(
    location: Location,
    *,
    project_file: PurePath,
    project_uri: str | None,
    native: type[PurePath] | None = None,
    allow_hosts: Collection[str] = (),
) -> list[Path]:
    """List where a local image may be: as recorded, then relative to a project that moved.

    Parameters
    ----------
    location : Location
        Of a file.
    project_file, project_uri, allow_hosts
        As for :func:`find_image`.
    native : PureWindowsPath or PurePosixPath, optional
        System that runs; default this one.

    Raises
    ------
    SlideError
        If it names a device, or lies on another computer's share than the project itself.
    """
    native = native or _here()
    if location.path is None:
        return []
    if names_device(location.path):
        raise SlideError(
            f"{location.path} is no file but a device of Windows, which is never opened.",
            hint="The project is damaged or was changed by hand.",
        )
    known = {"", share_host(native(project_file)), *(host.lower() for host in allow_hosts)}
    known_host = location.host in known
    places = [location.path] if known_host and isinstance(location.path, native) else []
    moved = _moved_along(location.path, native(project_file), project_uri)
    if moved is not None and moved not in places:
        places.append(moved)
    if not known_host and not places:
        raise SlideError(
            f"The slide {location.path} lies on another computer ({location.host}) and is not "
            "opened on the word of a project's file.",
            hint=f"If you trust that computer, add --allow-host {location.host}.",
        )
    return [Path(place) for place in places] if native is _here() else places  # type: ignore[return-value]


def _moved_along(image: PurePath, project: PurePath, project_uri: str | None) -> PurePath | None:
    """Return where an image is when project and image moved together; None where they cannot."""
    try:
        old = parse_uri(project_uri).path if project_uri else None
    except ProjectError:
        return None
    way = relative_place(image, old) if old is not None else None
    if way is None:
        return None
    ups = sum(1 for part in way if part == "..")
    if ups >= len(project.parent.parts):
        return None
    base = project.parent.parents[ups - 1] if ups else project.parent
    return base.joinpath(*way[ups:])


def _here() -> type[PurePath]:
    return PureWindowsPath if os.name == "nt" else PurePosixPath


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):  # a name that this system cannot have
        return False


def _refuse_series(args: Any, name: str) -> None:
    """Refuse another image of a file than its first: its pixels would be others."""
    if not isinstance(args, list):
        return
    for flag, value in pairwise(args):
        if flag == "--series" and str(value) != "0":
            raise SlideError(
                f"Image '{name}' is number {value} within its file; only the first can be read.",
                hint="Save it as a slide of its own and add that.",
            )
