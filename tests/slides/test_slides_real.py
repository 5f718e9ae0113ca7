"""Real slides and pictures, read through every backend that can."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from qpgaze.slides import open_slide
from qpgaze.slides.openslide_slide import OpenSlideSlide
from qpgaze.slides.tiff_slide import TiffSlide


@pytest.mark.shared_data
def test_real_svs_reads_alike_through_both_backends(shared_data):
    path = shared_data / "slides" / "CMU-1-Small-Region.svs"
    with OpenSlideSlide(path) as one, TiffSlide(path) as two, open_slide(path) as chosen:
        assert type(chosen) is OpenSlideSlide
        assert (one.width_px, one.height_px) == (two.width_px, two.height_px) == (2220, 2967)
        assert one.pixel_size_um == two.pixel_size_um == (0.499, 0.499)
        for region in [(0, 0, 500, 400), (1900, 2800, 400, 300), (-30, 700, 200, 100)]:
            assert np.array_equal(one.read(*region), two.read(*region))
        a = one.read(101.5, 202.25, 900, 700, downsample=3.7)
        assert np.array_equal(a, two.read(101.5, 202.25, 900, 700, downsample=3.7))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "size", "pixel_size"),
    [
        ("synthetic_2000x1500.tif", (2000, 1500), (0.5, 0.5)),
        ("synthetic_800x600.png", (800, 600), None),
        ("oscc_tile_4000.jpg", (4000, 4000), None),
    ],
)
def test_real_pictures(shared_data, name, size, pixel_size):
    path = shared_data / "slides" / name
    with Image.open(path) as reference:
        wanted = np.asarray(reference.convert("RGB"))
    with open_slide(path) as slide:
        assert (slide.width_px, slide.height_px) == size
        assert slide.pixel_size_um == (None if pixel_size is None else pytest.approx(pixel_size))
        assert np.array_equal(slide.read(300, 200, 400, 300), wanted[200:500, 300:700])
        small = slide.read(0, 0, *size, downsample=4)
        assert small.shape == (size[1] // 4, size[0] // 4, 3)
        assert np.array_equal(small, np.asarray(Image.fromarray(wanted).reduce(4)))
