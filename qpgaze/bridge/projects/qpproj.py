"""The project file: ``project.qpproj`` and ``classifiers/classes.json`` as JSON.

What is in the file and unknown to us stays there, in its order: a file is changed by adding to
what was read, never by writing it anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from qpgaze.bridge.projects.colors import from_java_color, to_java_color
from qpgaze.errors import ProjectError, UnsupportedDataError

FILE_NAME = "project.qpproj"
QUPATH_VERSION = "0.5.1"
"""Version that a new project claims: every QuPath from 0.3 on reads it without remark."""

_PLAIN_NUMBER = re.compile(r"[0-9]{1,18}")


def find_project_file(path: Path) -> Path:
    """Find the project file from itself or from its folder.

    Raises
    ------
    ProjectError
        If there is none, or a folder holds several.
    """
    if path.is_dir():
        named = sorted(p for p in path.glob("*.qpproj") if p.is_file())
        if len(named) == 1:
            return named[0]
        if (path / FILE_NAME) in named:
            return path / FILE_NAME
        if named:
            raise ProjectError(
                f"{path} holds several projects: {', '.join(p.name for p in named)}.",
                hint="Name one of them.",
            )
        left = any(path.glob("*.qpproj.backup")) or (path / "data").is_dir()
        raise ProjectError(
            f"{path} holds no QuPath project (no .qpproj file).",
            hint="It held one: 'qpgaze project rescue PROJECT --dry-run' says what is left of it."
            if left
            else "Give the project's folder, or make one with 'qpgaze project create'.",
        )
    if not path.is_file():
        raise ProjectError(
            f"There is no project {path}.", hint="Make one with 'qpgaze project create'."
        )
    if path.suffix.lower() != ".qpproj":
        raise ProjectError(f"Expected a .qpproj file or its folder, but {path} came.")
    return path


def parse_project(content: bytes, path: Path) -> dict[str, Any]:
    """Read a project file's content.

    Raises
    ------
    ProjectError
        If it is no project file, or cut.
    UnsupportedDataError
        If a QuPath before 0.2 wrote it.
    """
    raw = _load_json(content, path)
    images = raw.get("images", [])
    if not isinstance(images, list) or not all(isinstance(item, dict) for item in images):
        raise ProjectError(f"{path} is no QuPath project: its 'images' are no list of images.")
    version = raw.get("version")
    if (version is None and "lastID" not in raw) or str(version).startswith("v0.2.0-m"):
        raise UnsupportedDataError(
            f"{path} was written by a QuPath before 0.2, whose projects are not understood.",
            hint="Open and save it with a newer QuPath first.",
        )
    for item in images:
        entry_id(item)
    return raw


def entry_id(item: Mapping[str, Any]) -> str:
    """Return an image's id as a plain decimal number.

    Raises
    ------
    ProjectError
        If it is anything else: it names a folder.

    Examples
    --------
    >>> entry_id({"entryID": 7}), entry_id({"entryID": "7"})
    ('7', '7')
    """
    value = item.get("entryID")
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not _PLAIN_NUMBER.fullmatch(text):
        raise ProjectError(
            f"The project names an image by {value!r}; expected a plain number.",
            hint="The file is damaged or was changed by hand.",
        )
    return str(int(text))


def new_project(*, uri: str, timestamp_ms: int, version: str = QUPATH_VERSION) -> dict[str, Any]:
    """Return an empty project as QuPath writes it.

    Examples
    --------
    >>> list(new_project(uri="file:/p/project.qpproj", timestamp_ms=0))
    ['version', 'createTimestamp', 'modifyTimestamp', 'uri', 'lastID', 'images']
    """
    return {
        "version": version,
        "createTimestamp": timestamp_ms,
        "modifyTimestamp": timestamp_ms,
        "uri": uri,
        "lastID": 0,
        "images": [],
    }


def new_image(*, identity: int, uri: str, name: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return an image as QuPath lists it.

    No provider is named, so that each QuPath takes the one it has; no server metadata either,
    since QuPath refuses an image whose metadata disagree with what its provider finds.
    """
    return {
        "serverBuilder": {"builderType": "uri", "uri": uri, "args": []},
        "entryID": identity,
        "randomizedName": str(uuid4()),
        "imageName": name,
        "metadata": dict(metadata),
    }


def builder_uris(builder: Any) -> tuple[str, ...]:
    """Collect where a (possibly nested) server builder reads from, in order, each once.

    Examples
    --------
    >>> inner = {"builderType": "uri", "uri": "file:/a.svs", "args": []}
    >>> builder_uris({"builderType": "rotated", "rotation": "ROTATE_90", "builder": inner})
    ('file:/a.svs',)
    """
    found: dict[str, None] = {}
    todo = [builder]
    while todo:
        item = todo.pop(0)
        if isinstance(item, dict):
            uri = item.get("uri")
            if isinstance(uri, str):
                found[uri] = None
            todo += [value for key, value in item.items() if key != "metadata"]
        elif isinstance(item, list):
            todo += item
    return tuple(found)


def dump_json(raw: Mapping[str, Any]) -> bytes:
    """Write JSON as QuPath does: UTF-8, two spaces; half of a character pair as its JSON escape."""
    return json.dumps(raw, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")


def parse_classes(content: bytes, path: Path) -> dict[str, Any]:
    """Read ``classes.json``; no content reads as no classes.

    Raises
    ------
    ProjectError
        If it is not what it claims to be.
    """
    if not content:
        return {"pathClasses": []}
    raw = _load_json(content, path)
    listed = raw.setdefault("pathClasses", [])
    if not isinstance(listed, list) or not all(
        isinstance(item, dict) and isinstance(item.get("name"), str) for item in listed
    ):
        raise ProjectError(f"{path} holds no list of classes.")
    return raw


def class_colors(raw: Mapping[str, Any]) -> dict[str, int]:
    """Return name and colour (0xRRGGBB) of each class, in the file's order."""
    colors: dict[str, int] = {}
    for item in raw["pathClasses"]:
        color = item.get("color")
        known = isinstance(color, int) and not isinstance(color, bool)
        colors.setdefault(item["name"], from_java_color(color) if known else 0)
    return colors


def append_classes(raw: Mapping[str, Any], classes: Mapping[str, int]) -> dict[str, Any]:
    """Return ``classes.json`` with classes appended; those that it has stay as they are."""
    have = {item["name"] for item in raw["pathClasses"]}
    extra = [
        {"name": name, "color": to_java_color(color)}
        for name, color in classes.items()
        if name not in have
    ]
    return {**raw, "pathClasses": [*raw["pathClasses"], *extra]}


def _load_json(content: bytes, path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ProjectError(
            f"{path} is cut, damaged, or no JSON: {error}.",
            hint="'qpgaze project rescue PROJECT --dry-run' says what can be brought back.",
        ) from error
    if not isinstance(raw, dict):
        raise ProjectError(f"{path} is not what its name says: expected a JSON object.")
    return raw
