"""Small slides in memory and on disk, and objects to put on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import shapely

from qpgaze.export import ExportImage
from qpgaze.model import SlideObject


class ArraySlide:
    """A slide that lies in memory; counts how many are open at once."""

    now_open = 0
    most_open = 0

    def __init__(self, path: Path, rgb: np.ndarray, pixel_size_um: Any) -> None:
        self.path, self.rgb, self.pixel_size_um = path, rgb, pixel_size_um
        self.height_px, self.width_px = rgb.shape[:2]
        self.level_downsamples = (1.0,)
        ArraySlide.now_open += 1
        ArraySlide.most_open = max(ArraySlide.most_open, ArraySlide.now_open)

    def read(self, x_px, y_px, width_px, height_px, *, downsample=1):
        rows, columns = round(height_px / downsample), round(width_px / downsample)
        ys = np.floor(y_px + (np.arange(rows) + 0.5) * downsample).astype(int)
        xs = np.floor(x_px + (np.arange(columns) + 0.5) * downsample).astype(int)
        out = np.full((rows, columns, 3), 255, np.uint8)
        inside_y = (ys >= 0) & (ys < self.height_px)
        inside_x = (xs >= 0) & (xs < self.width_px)
        out[np.ix_(inside_y, inside_x)] = self.rgb[np.ix_(ys[inside_y], xs[inside_x])]
        return out

    def close(self) -> None:
        ArraySlide.now_open -= 1

    def __enter__(self) -> ArraySlide:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def array_slide() -> type[ArraySlide]:
    ArraySlide.now_open = ArraySlide.most_open = 0
    return ArraySlide


@pytest.fixture
def make_object() -> Callable[..., SlideObject]:
    """Make an object from a number, a shape (or box corners) and a class."""

    def make(number: int, shape: Any, class_name: str | None = "Pearl", **more: Any) -> SlideObject:
        geometry = shapely.box(*shape) if isinstance(shape, tuple) else shape
        return SlideObject(UUID(int=number), geometry, class_name=class_name, **more)

    return make


@pytest.fixture
def make_image(array_slide: type[ArraySlide]) -> Callable[..., ExportImage]:
    """Make a pink slide with objects on it."""

    def make(
        entry_id: str,
        objects: list[SlideObject],
        *,
        patient: str | None = None,
        size: tuple[int, int] = (1000, 700),
        file_um: tuple[float, float] | None = None,
        **more: Any,
    ) -> ExportImage:
        rgb = np.full((size[1], size[0], 3), (200, 120, 170), np.uint8)
        rgb[:, : size[0] // 4] = 245
        more.setdefault("slide", Path("somewhere") / f"slide {entry_id}.svs")
        return ExportImage(
            name=f"Image {entry_id}",
            entry_id=entry_id,
            objects=objects,
            patient=patient,
            open=lambda path: array_slide(path, rgb, file_um),
            **more,
        )

    return make
