"""Synthetic tissue: what is drawn where, and that it is the same to the bit everywhere."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import shapely

from qpgaze.errors import SlideError, UsageError
from qpgaze.simulate.noise import double, generator, ridge, value_noise
from qpgaze.simulate.nuclei import SIZE, stamps, turn_of
from qpgaze.simulate.outlines import Outline
from qpgaze.simulate.slide_file import reduce_by, write_slide
from qpgaze.simulate.tissue import TissueSettings, plan_tissue, render_tissue

SMALL = TissueSettings(
    "small",
    5,
    width_px=1792,
    height_px=1536,
    pieces=((0.5, 0.5, 0.7),),
    pearls=2,
    lookalikes=4,
    nests=1,
    pearl_radius_px=(80.0, 150.0),
)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return render_tissue(plan_tissue(SMALL))


def test_pixels_are_known_to_the_bit(picture):
    # Changes only when the way of drawing does; then the sample must be built anew.
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    assert digest == "ec022f66a96bca745365211bf35e8a367a952f0831a8aaf9005e0cd4f84016d9"


def test_plan_is_the_same_for_the_same_seed():
    assert plan_tissue(SMALL) == plan_tissue(SMALL)
    assert plan_tissue(SMALL) != plan_tissue(replace(SMALL, seed=6))


def test_pearls_are_redder_than_what_surrounds_them(picture):
    plan = plan_tissue(SMALL)
    for thing in plan.truth():
        if not thing.target:
            continue
        inside, around = (mean_colour(picture, shape) for shape in rings(thing.geometry))
        assert inside[0] - inside[2] > around[0] - around[2] + 15


def rings(shape: shapely.Polygon) -> tuple[shapely.Geometry, shapely.Geometry]:
    return shape.buffer(-20), shape.buffer(90).difference(shape.buffer(40))


def mean_colour(picture: np.ndarray, shape: shapely.Geometry) -> np.ndarray:
    x0, y0, x1, y1 = (int(v) for v in shape.bounds)
    columns, rows = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
    keep = shapely.contains_xy(shape, columns + 0.5, rows + 0.5)
    rows, columns = np.clip(rows, 0, 1535), np.clip(columns, 0, 1791)
    return picture[rows[keep], columns[keep]].astype(float).mean(axis=0)


def test_glass_is_empty(picture):
    assert (picture[:16, :16] == SMALL.stain.glass).all()


def test_truth_follows_the_plan():
    plan = plan_tissue(SMALL)
    truth = plan.truth()
    assert [t.target for t in truth] == [s.kind == "pearl" for s in plan.structures]
    assert {t.class_name for t in truth} == {"Pearl", "Vessel", "Muscle", "Necrosis", "Gland"}
    assert len({t.id for t in truth}) == len(truth)


def test_too_many_objects_are_refused():
    with pytest.raises(UsageError, match="No room"):
        plan_tissue(replace(SMALL, pearls=60))
    with pytest.raises(UsageError, match="multiples of 16"):
        TissueSettings("a", 1, width_px=1000)


def test_an_outlines_polygon_and_field_agree():
    outline = Outline.draw(300.0, 200.0, 90.0, 0.2, generator(4))
    window = outline.window(1.3, 400, 600)
    inside = outline.field(window).rho < 1
    rows, columns = np.mgrid[window.rows, window.columns]
    polygon = shapely.contains_xy(outline.polygon(720), columns + 0.5, rows + 0.5)
    assert (inside != polygon).mean() < 2e-3
    assert inside.any()
    distance = np.hypot(*(np.array(outline.polygon().exterior.coords) - [300, 200]).T)
    assert distance.max() <= outline.reach() + 0.02


def test_noise_is_even_and_smooth():
    noise = value_noise(generator(1), (256, 320), 16)
    assert noise.shape == (256, 320)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.1
    assert np.abs(noise).max() <= 1
    assert np.abs(np.diff(noise, axis=0)).max() < 0.2
    assert ridge(np.array([0.0, 0.5, 1.0, -0.25], np.float32)).tolist() == [1, 0, 1, 0.5]


def test_doubling_keeps_the_mean():
    small = (generator(2).random((40, 50)) * 255).astype(np.uint8)
    large = double(small)
    assert large.shape == (80, 100)
    assert large.mean() == pytest.approx(small.mean(), abs=1.0)
    flat = np.full((5, 6), 255, dtype=np.uint8)
    assert (double(flat) == 255).all()


def test_reducing_rounds_to_the_nearest():
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[0, 0] = 24
    assert reduce_by(rgb, 4).ravel().tolist() == [2, 2, 2]  # 1.5 rounds up


def test_stamps_have_room_around_them():
    images = stamps(3)
    assert images.shape[-2:] == (SIZE, SIZE)
    assert images.max(axis=(-1, -2)).min() > 60
    assert images[..., 0, :].max() == images[..., :, 0].max() == 0
    assert turn_of(np.array([1.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0])).tolist() == [0, 6, 0]


def test_slides_of_a_wrong_form_are_refused(tmp_path):
    with pytest.raises(UsageError, match="multiples of 16"):
        write_slide(tmp_path / "a.svs", np.zeros((100, 160, 3), np.uint8), pixel_size_um=0.5)
    blank = np.zeros((160, 160, 3), np.uint8)
    with pytest.raises(SlideError, match=r"a\.svs"):
        write_slide(tmp_path / "none" / "a.svs", blank, pixel_size_um=0.5)
