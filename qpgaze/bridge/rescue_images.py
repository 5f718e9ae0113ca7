"""What an image's own folder in a project still says of it: enough to list it again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from qpgaze.bridge.projects.qpproj import builder_uris
from qpgaze.errors import ProjectError

_NUMBER = re.compile(r"[1-9][0-9]{0,17}|0")


def image_folders(project_folder: Path) -> list[Path]:
    """Return the folders in ``data`` that are named by an entry id, in the order of the ids."""
    try:
        inside = list((project_folder / "data").iterdir())
    except OSError:  # none
        return []
    named = [path for path in inside if _NUMBER.fullmatch(path.name) and path.is_dir()]
    return sorted(named, key=lambda path: int(path.name))


def rebuilt_images(
    project_folder: Path,
    *,
    except_ids: Collection[str],
    copies: Callable[[Path], list[Path]],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Make entries of a project file for the images in ``data``.

    Parameters
    ----------
    project_folder : Path
    except_ids : collection of str
        Images that are listed already.
    copies : callable
        Returns our snapshots of a file, newest first.

    Returns
    -------
    list of dict, list of str
        The entries, and in words the folders that do not say where their slide lies.
    """
    images: list[dict[str, Any]] = []
    missed: list[str] = []
    for folder in image_folders(project_folder):
        if folder.name in except_ids:
            continue
        found = _builder_of(folder, copies)
        if found is None:
            missed.append(f"data/{folder.name} does not say where its slide lies: left out.")
            continue
        builder, name = found
        images.append(
            {
                "serverBuilder": builder,
                "entryID": int(folder.name),
                "randomizedName": str(uuid4()),
                "imageName": name,
                "metadata": {},
            }
        )
    return images, missed


def _builder_of(
    folder: Path, copies: Callable[[Path], list[Path]]
) -> tuple[dict[str, Any], str] | None:
    """Return how QuPath opens an image's pixels, and the image's name."""
    try:
        server = json.loads((folder / "server.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # QuPath may leave it out
        server = None
    if isinstance(server, Mapping) and _usable(server.get("builder")):
        metadata = server.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        return dict(server["builder"]), _name(name, server["builder"])
    data = folder / "data.qpdata"
    for place in (data, data.with_name("data.qpdata.bkp"), *copies(data)):
        builder = _builder_in_data(place)
        if builder is not None:
            metadata = builder.get("metadata")
            name = metadata.get("name") if isinstance(metadata, Mapping) else None
            return builder, _name(name, builder)
    return None


def _builder_in_data(place: Path) -> dict[str, Any] | None:
    from qpgaze.bridge.qpdata import read_qpdata

    try:
        builder = json.loads(read_qpdata(place.read_bytes()).server_json or "null")
    except (OSError, ValueError, ProjectError):  # not there or broken: the next
        return None
    return builder if _usable(builder) else None


def _usable(builder: Any) -> bool:
    return isinstance(builder, Mapping) and bool(builder_uris(builder))


def _name(name: Any, builder: Any) -> str:
    """Name an image by what its server calls it, else by its file."""
    if isinstance(name, str) and name.strip():
        return name
    path = builder_uris(builder)[0].split("?")[0].split("#")[0].rstrip("/\\")
    return unquote(re.split(r"[/\\]", path)[-1]) or "Image"
