"""Tiles per second of the export against plain OpenSlide reads and Pillow JPEG.

Run ``python benchmarks/export.py [--side 10240] [--tile 512]``. A slide of noise-free texture is
written first (Aperio layout, JPEG quality 90); both ways then cut all of its tiles, each in CPU
seconds of one process. The export also clips one object a tile and writes its label.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np
import numpy.typing as npt
import shapely

from qpgaze.export import ExportImage, export_coco
from qpgaze.model import SlideObject


def texture(side: int) -> npt.NDArray[np.uint8]:
    """Make something that compresses about as tissue does."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(90, 230, (side // 8, side // 8, 3), dtype=np.uint8)
    fine = rng.integers(0, 24, (side, side, 1), dtype=np.uint8)
    return np.asarray(coarse.repeat(8, axis=0).repeat(8, axis=1) + fine, dtype=np.uint8)


def write_slide(path: Path, side: int) -> None:
    """Write an Aperio-like slide: level 0, a stripped thumbnail, level 1."""
    import tifffile

    rgb = texture(side)
    head = f"Aperio Image Library v11.2.1 \r\n{side}x{side} (256x256) JPEG/RGB Q=90"
    tiled = {"tile": (256, 256), "compression": "jpeg", "compressionargs": {"level": 90}}
    with tifffile.TiffWriter(path, bigtiff=False) as tiff:
        about = f"{head}|AppMag = 40|MPP = 0.25"
        tiff.write(rgb, photometric="rgb", description=about, metadata=None, **tiled)
        tiff.write(rgb[::16, ::16], photometric="rgb", description=head, metadata=None)
        tiff.write(rgb[::4, ::4], photometric="rgb", description=head, metadata=None, **tiled)


def plain(slide: Path, out: Path, tile: int) -> int:
    """Cut every tile the plain way."""
    import openslide

    out.mkdir()
    count = 0
    with openslide.OpenSlide(str(slide)) as opened:
        width, height = opened.dimensions
        for y in range(0, height, tile):
            for x in range(0, width, tile):
                rgb = opened.read_region((x, y), 0, (tile, tile)).convert("RGB")
                rgb.save(out / f"{x}_{y}.jpg", quality=90)
                count += 1
    return count


def ours(slide: Path, out: Path, tile: int, side: int, image_format: str) -> int:
    """Cut every tile with an object in each."""
    corners = [(x, y) for y in range(0, side, tile) for x in range(0, side, tile)]
    objects = [
        SlideObject(UUID(int=n + 1), shapely.Point(x + 200, y + 200).buffer(90), class_name="A")
        for n, (x, y) in enumerate(corners)
    ]
    image = ExportImage(slide, "bench", "1", objects)
    return export_coco([image], out, tile_size=tile, image_format=image_format).tiles


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=10240)
    parser.add_argument("--tile", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        slide = place / "slide.svs"
        write_slide(slide, options.side)
        ways: dict[str, Callable[[], int]] = {
            "OpenSlide + Pillow JPEG 90": lambda: plain(slide, place / "plain", options.tile),
            "qpgaze export, JPEG": lambda: ours(
                slide, place / "jpeg", options.tile, options.side, "jpeg"
            ),
            "qpgaze export, PNG": lambda: ours(
                slide, place / "png", options.tile, options.side, "png"
            ),
        }
        first = None
        for name, cut in ways.items():
            start = time.process_time()
            tiles = cut()
            rate = tiles / (time.process_time() - start)
            first = first or rate
            print(f"{name:28} {tiles} tiles {rate:7.0f} tiles/s CPU  x {rate / first:.2f}")


if __name__ == "__main__":
    main()
