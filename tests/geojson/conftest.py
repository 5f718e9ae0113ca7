"""Fixtures of the GeoJSON tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pytest
import shapely
from PIL import Image

from qpgaze.bridge import create_project
from qpgaze.model import SlideObject

SESSION = UUID("6f1f0e0a-2b7b-4a37-9d7e-0a6a3a5f9d02")


@pytest.fixture
def make_object() -> Callable[..., SlideObject]:
    """Return what makes the n-th object of a file."""

    def make(number: int, **changes: object) -> SlideObject:
        x, y = 10.0 * (number % 20), 10.0 * (number // 20)
        given: dict[str, object] = {
            "id": uuid5(SESSION, f"{number}/0"),
            "geometry": shapely.Polygon([(x, y), (x + 8, y + 1), (x + 7.25, y + 8), (x, y + 6)]),
            "class_name": "Keratin pearl",
            "name": f"label {number}",
            "measurements": {"a": 312.5, "b": 2.0},
            "metadata": {"who": "r01"},
        }
        return SlideObject(**{**given, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes JSON, or text as it is, to a file."""

    def put(data: Any, name: str = "in.geojson") -> Path:
        path = tmp_path / name
        text = data if isinstance(data, (str, bytes)) else json.dumps(data)
        path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        return path

    return put


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one image and no objects."""
    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((200, 300, 3), np.uint8)).save(picture)
    with create_project(tmp_path / "study", backend="embedded") as made:
        made.add_image(picture)
        made.commit()
    return tmp_path / "study"
