"""One contract for all backends, on files made here and on real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from qpgaze.errors import SlideError
from qpgaze.slides import open_slide
from qpgaze.slides.openslide_slide import OpenSlideSlide
from qpgaze.slides.plain_slide import PlainSlide
from qpgaze.slides.tiff_slide import TiffSlide

WIDTH, HEIGHT = 702, 530


def picture(width: int = WIDTH, height: int = HEIGHT, seed: int = 5) -> np.ndarray:
    """Smooth colours with some noise, no two places alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], axis=2)
    return (base * 0.9 + rng.uniform(0, 25, base.shape)).astype(np.uint8)


def halves(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).reduce(2))[
        : pixels.shape[0] // 2, : pixels.shape[1] // 2
    ]


def write_aperio(path: Path, pixels: np.ndarray) -> None:
    """An Aperio-like pyramid: level, stripped thumbnail, level; lossless where OpenSlide can."""
    text = "Aperio Image Library v12\n702x530 (128x128) JPEG|AppMag = 20|MPP = 0.5000"
    jpeg = {"photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 95}}
    with tifffile.TiffWriter(path) as out:
        out.write(pixels, tile=(128, 128), description=text, metadata=None, **jpeg)
        out.write(pixels[:64, :64], description=text, metadata=None, rowsperstrip=64, **jpeg)
        out.write(halves(pixels), tile=(128, 128), description=text, metadata=None, **jpeg)


def write_pyramid(path: Path, pixels: np.ndarray, **options) -> None:
    with tifffile.TiffWriter(path, ome=options.pop("ome", False)) as out:
        common = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate", **options}
        out.write(pixels, subifds=1, resolution=(20000, 20000), resolutionunit=3, **common)
        common.pop("metadata", None)
        out.write(halves(pixels), subfiletype=1, metadata=None, **common)


def write_strips(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, photometric="rgb", compression="lzw", rowsperstrip=50)


def write_raw(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, photometric="rgb")


def write_planar(path: Path, pixels: np.ndarray) -> None:
    planes = np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(
        path, planes, photometric="rgb", planarconfig="separate", tile=(64, 64), compression="zlib"
    )


def write_raw_planar(path: Path, pixels: np.ndarray) -> None:
    planes = np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", byteorder=">")


def write_generic(path: Path, pixels: np.ndarray) -> None:
    with tifffile.TiffWriter(path) as out:
        common = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
        out.write(pixels, metadata=None, resolution=(20000, 20000), resolutionunit=3, **common)
        out.write(halves(pixels), metadata=None, subfiletype=1, **common)


def write_png(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


CASES = {
    "aperio": (write_aperio, OpenSlideSlide, 0.5, 2),
    "aperio-by-tifffile": (write_aperio, TiffSlide, 0.5, 2),
    "generic": (write_generic, TiffSlide, 0.5, 2),
    "generic-by-openslide": (write_generic, OpenSlideSlide, 0.5, 2),
    "subifds": (write_pyramid, TiffSlide, 0.5, 2),
    "strips": (write_strips, TiffSlide, None, 1),
    "raw": (write_raw, TiffSlide, None, 1),
    "planar": (write_planar, TiffSlide, None, 1),
    "raw-planar": (write_raw_planar, TiffSlide, None, 1),
    "png": (write_png, PlainSlide, None, 1),
}


@pytest.fixture(scope="module", params=sorted(CASES))
def case(request, tmp_path_factory):
    write, backend, size, levels = CASES[request.param]
    path = tmp_path_factory.mktemp("slides") / f"{request.param}.tif"
    pixels = picture()
    if write is write_png:
        path = path.with_suffix(".png")
    write(path, pixels)
    with backend(path) as slide:
        # JPEG changes pixels: what the backend reads as a whole is the picture from there on.
        if write is write_aperio:
            whole = slide.read(0, 0, WIDTH, HEIGHT)
            assert np.abs(whole.astype(int) - pixels).mean() < 8
            pixels = whole
        yield slide, pixels, size, levels


def test_size_levels_and_pixel_size(case):
    slide, _, size, levels = case
    assert (slide.width_px, slide.height_px) == (WIDTH, HEIGHT)
    assert slide.pixel_size_um == (None if size is None else pytest.approx((size, size)))
    assert slide.level_downsamples == (1.0, 2.0)[:levels]


def test_whole_picture(case):
    slide, pixels, _, _ = case
    assert np.array_equal(slide.read(0, 0, WIDTH, HEIGHT), pixels)


@pytest.mark.parametrize("place", [(0, 0, 10, 10), (120, 100, 300, 250), (690, 520, 11, 10)])
def test_inner_regions(case, place):
    slide, pixels, _, _ = case
    x, y, w, h = place
    assert np.array_equal(slide.read(x, y, w, h), pixels[y : y + h, x : x + w])


def test_outside_is_white(case):
    slide, pixels, _, _ = case
    came = slide.read(-20, -10, WIDTH + 50, HEIGHT + 30)
    wanted = np.full((HEIGHT + 30, WIDTH + 50, 3), 255, dtype=np.uint8)
    wanted[10 : 10 + HEIGHT, 20 : 20 + WIDTH] = pixels
    assert np.array_equal(came, wanted)
    assert (slide.read(5000, -900, 40, 30) == 255).all()


def test_downsample_is_an_area_mean(case):
    slide, pixels, _, _ = case
    came = slide.read(100, 60, 300, 200, downsample=2.5)
    assert came.shape == (80, 120, 3)
    wanted = pixels[60:260, 100:400].repeat(2, 0).repeat(2, 1).astype(float)
    wanted = wanted.reshape(80, 5, 120, 5, 3).mean(axis=(1, 3))
    # The half level was rounded (and, as JPEG, coded) on its own.
    assert np.abs(came - wanted).mean() < 2.5


def test_downsample_finer_than_the_second_level_is_exact(case):
    slide, pixels, _, _ = case
    came = slide.read(100.5, 60.25, 30, 30, downsample=1.5)
    fine = pixels.repeat(4, 0).repeat(4, 1).astype(float)
    wanted = fine[241 : 241 + 120, 402 : 402 + 120].reshape(20, 6, 20, 6, 3).mean(axis=(1, 3))
    assert np.abs(came - wanted).max() <= 0.5 + 1e-3


def test_coarse_read_crosses_blocks_without_a_seam(case):
    slide, _, _, _ = case
    whole = slide.read(0, 0, WIDTH, HEIGHT, downsample=3.3)
    part = slide.read(33, 66, 330, 330, downsample=3.3)
    assert np.abs(whole[20:120, 10:110].astype(int) - part).max() <= 1


def test_at_least_one_pixel(case):
    slide, _, _, _ = case
    assert slide.read(10, 10, 1, 1, downsample=64).shape == (1, 1, 3)


@pytest.mark.parametrize(
    "bad", [(0, 0, 0, 5, 1), (0, 0, 5, -1, 1), (float("nan"), 0, 5, 5, 1), (0, 0, 5, 5, 0.5)]
)
def test_senseless_regions_are_refused(case, bad):
    slide, _, _, _ = case
    with pytest.raises(SlideError):
        slide.read(*bad[:4], downsample=bad[4])


def test_a_result_beyond_memory_is_refused(case):
    slide, _, _, _ = case
    with pytest.raises(SlideError, match="too large"):
        slide.read(0, 0, 1e6, 1e6)


def test_reading_after_close(tmp_path):
    for name, (write, backend, _, _) in CASES.items():
        path = tmp_path / f"{name}.{'png' if backend is PlainSlide else 'tif'}"
        write(path, picture(200, 150))
        slide = backend(path)
        slide.close()
        slide.close()
        with pytest.raises(SlideError, match="closed"):
            slide.read(0, 0, 5, 5)


# -- choosing ----------------------------------------------------------------------------------


def test_chosen_by_content_not_by_name(tmp_path):
    for name, backend in [("aperio", OpenSlideSlide), ("generic", TiffSlide), ("png", PlainSlide)]:
        plain = tmp_path / f"{name}.png"
        CASES[name][0](plain, picture())
        odd = plain.rename(tmp_path / f"{name}.slide")
        with open_slide(odd) as slide:
            assert type(slide) is backend


def test_odd_sizes_stay_in_register_over_levels(tmp_path):
    path = tmp_path / "odd.tif"
    smooth = np.asarray(Image.fromarray(picture(703, 531)).reduce(3).resize((703, 531)))
    write_generic(path, smooth)
    for backend in (TiffSlide, OpenSlideSlide):
        with backend(path) as slide:
            assert slide.level_downsamples == (1.0, 2.0)
            fine = slide.read(400, 300, 300, 200, downsample=1.9).astype(float)
            coarse = slide.read(400, 300, 300, 200, downsample=2.1).astype(float)
        fine = np.asarray(Image.fromarray(fine.astype(np.uint8)).resize(coarse.shape[1::-1]))
        assert np.abs(fine - coarse).mean() < 3


def test_ome_pyramid(tmp_path):
    path = tmp_path / "a.ome.tif"
    size = {"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "axes": "YXS"}
    size |= {"PhysicalSizeY": 0.26, "PhysicalSizeYUnit": "µm"}
    write_pyramid(path, picture(), ome=True, metadata=size)
    with open_slide(path) as slide:
        assert slide.level_downsamples == (1.0, 2.0)
        assert slide.pixel_size_um == pytest.approx((0.25, 0.26))


def test_imagej_pixel_size(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, picture(), imagej=True, resolution=(4, 2), metadata={"unit": "um", "axes": "YXS"}
    )
    with open_slide(path) as slide:
        assert slide.pixel_size_um == (0.25, 0.5)


def test_print_resolution_is_no_pixel_size(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", resolution=(300, 300), resolutionunit=2)
    with open_slide(path) as slide:
        assert slide.pixel_size_um is None


def test_missing_folder_and_foreign_files(tmp_path):
    with pytest.raises(SlideError, match="does not exist"):
        open_slide(tmp_path / "none.svs")
    with pytest.raises(SlideError, match="folder"):
        open_slide(tmp_path)
    for content in (b"", b"II*\0", b"hello, no picture", b"II*\0" + bytes(200)):
        path = tmp_path / "foreign.svs"
        path.write_bytes(content)
        with pytest.raises(SlideError, match=r"foreign.svs cannot be read as a slide\. Tried"):
            open_slide(path)


@pytest.mark.parametrize("name", sorted(CASES))
def test_cut_files(tmp_path, name):
    write, backend, _, _ = CASES[name]
    path = tmp_path / f"cut.{'png' if backend is PlainSlide else 'tif'}"
    write(path, picture())
    whole = path.read_bytes()
    for share in (0.05, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(SlideError), open_slide(path) as slide:
            slide.read(0, 0, WIDTH, HEIGHT)


def test_damaged_tile(tmp_path):
    path = tmp_path / "a.tif"
    write_generic(path, picture())
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = bytes(count)
    path.write_bytes(content)
    with open_slide(path) as slide:
        with pytest.raises(SlideError, match="cannot be decoded"):
            slide.read(0, 0, 20, 20)
        slide.read(300, 300, 20, 20)


# -- kinds of pixels -----------------------------------------------------------------------------


def test_grey_and_transparent_pngs(tmp_path):
    grey = picture()[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    with open_slide(tmp_path / "grey.png") as slide:
        assert np.array_equal(slide.read(0, 0, WIDTH, HEIGHT), np.repeat(grey[..., None], 3, 2))
    rgba = np.dstack([picture(), np.zeros_like(grey)])
    rgba[:, :100, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    with open_slide(tmp_path / "rgba.png") as slide:
        came = slide.read(0, 0, WIDTH, HEIGHT)
    assert np.array_equal(came[:, :100], picture()[:, :100])
    assert (came[:, 100:] == 255).all()


def test_kinds_of_tiff(tmp_path):
    path = tmp_path / "a.tif"
    pixels = picture()
    tifffile.imwrite(path, pixels[..., 0], photometric="miniswhite", tile=(64, 64))
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(0, 0, WIDTH, HEIGHT)[..., 1], 255 - pixels[..., 0])
    tifffile.imwrite(path, pixels.astype(np.uint16) * 257, photometric="rgb")
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(0, 0, WIDTH, HEIGHT), pixels)
    rgba = np.dstack([pixels, np.full_like(pixels[..., 0], 255)])
    tifffile.imwrite(path, rgba, photometric="rgb", extrasamples=["unassalpha"])
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(0, 0, WIDTH, HEIGHT), pixels)


@pytest.mark.parametrize(
    ("pixels", "options", "match"),
    [
        (np.zeros((90, 80), np.uint16), {"photometric": "minisblack"}, "8-bit"),
        (np.zeros((90, 80), np.float32), {"photometric": "minisblack"}, "8-bit"),
        (np.zeros((4, 90, 80), np.uint8), {"photometric": "minisblack"}, "stack"),
    ],
)
def test_refused_tiffs(tmp_path, pixels, options, match):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, **options)
    with pytest.raises(SlideError, match=match):
        open_slide(path)


def test_deep_png_is_refused(tmp_path):
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(SlideError, match="8-bit"):
        open_slide(tmp_path / "deep.png")


def test_pictures_beyond_pillows_limit(tmp_path, monkeypatch):
    path = tmp_path / "big.png"
    write_png(path, picture())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT - 1)
    with open_slide(path) as slide:  # it would warn; a picture of that size is no bomb
        assert slide.width_px == WIDTH
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT // 3)
    with pytest.raises(SlideError, match="too large for a plain picture"):
        open_slide(path)


def test_tiles_left_out_are_white(tmp_path):
    path = tmp_path / "sparse.tif"
    tiles = iter([np.full((64, 64, 3), 9, np.uint8), None, None, np.full((64, 64, 3), 7, np.uint8)])
    tifffile.imwrite(
        path,
        tiles,
        shape=(128, 128, 3),
        dtype=np.uint8,
        tile=(64, 64),
        photometric="rgb",
        compression="zlib",
    )
    with open_slide(path) as slide:
        corners = slide.read(0, 0, 128, 128)[::100, ::100, 0]
    assert corners.tolist() == [[9, 255], [255, 7]]
