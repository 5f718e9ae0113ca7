"""The baseline equals a dense run, holds no slide in memory, and has none of the known defects."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from qpgaze.errors import UsageError
from qpgaze.frames import ImagePx, Points, ScreenPx
from qpgaze.refine import refine_labels
from qpgaze.refine.heat import HeatField
from qpgaze.refine.mariam2022 import MariamParameters, heat_blobs, thin
from qpgaze.refine.stitch import Stitcher


def dense(xy, width, height, window=400, sigma_share=1 / 6, factor=4.0):
    """The plain way: the whole slide as one array."""
    before, after = window // 2, window - window // 2
    line = np.exp(-0.5 * (np.arange(-before, after) / (window * sigma_share)) ** 2)
    kernel = np.outer(line, line)
    heat = np.zeros((height, width))
    for x, y in np.floor(xy).astype(int):
        x0, x1 = max(x - before, 0), min(x + after, width)
        y0, y1 = max(y - before, 0), min(y + after, height)
        heat[y0:y1, x0:x1] += kernel[
            y0 - y + before : y1 - y + before, x0 - x + before : x1 - x + before
        ]
    threshold = factor * heat[heat > 0].mean()
    labels, _ = ndimage.label(heat > threshold, structure=np.ones((3, 3)))
    boxes = [(c.start, r.start, c.stop, r.stop) for r, c in ndimage.find_objects(labels)]
    return heat, threshold, sorted(boxes, key=lambda box: (box[1], box[0]))


def places(n_places, n, spread, width, height, seed):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, (width, height), (n_places, 2))
    xy = centres[rng.integers(0, n_places, n)] + rng.normal(0, spread, (n, 2))
    return np.clip(xy, 0, (width - 1, height - 1))


@pytest.mark.parametrize(
    ("n_places", "n", "spread", "side"),
    [(6, 900, 150.0, 10_000), (2, 300, 1500.0, 6_000), (40, 400, 60.0, 6_000)],
)
def test_equals_a_dense_run_on_10k(n_places, n, spread, side):
    xy = places(n_places, n, spread, side, side, seed=n)
    _, _, wanted = dense(xy, side, side)
    came = [blob.box_image_px for blob in heat_blobs(Points(ImagePx, xy), side, side)]
    assert came == wanted


@given(
    size=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    n=st.integers(1, 30),
    window=st.integers(2, 90),
    share=st.floats(0.08, 0.6),
    factor=st.floats(0.5, 5.0),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40)
def test_equals_a_dense_run_on_any_slide(size, n, window, share, factor, seed):
    width, height = size
    xy = np.random.default_rng(seed).uniform(0, size, (n, 2))
    heat, threshold, wanted = dense(xy, width, height, window, share, factor)
    field = HeatField(
        np.floor(xy).astype(np.int64), width, height, window_px=window, sigma_px=window * share
    )
    assert field.mean_of_nonzero() * factor == pytest.approx(threshold, rel=1e-9)
    assert np.allclose(field.evaluate(0, 0, width, height), heat)
    # Ties between the two ways of adding are no difference of method.
    if np.abs(heat - threshold).min() > 1e-9:
        parameters = MariamParameters(window, share, factor)
        came = heat_blobs(Points(ImagePx, xy), width, height, parameters=parameters)
        assert [blob.box_image_px for blob in came] == wanted
        labels, _ = ndimage.label(heat > threshold, structure=np.ones((3, 3)))
        at = labels[tuple(np.floor(xy[:, ::-1]).astype(int).T)]
        assert sum(len(blob.points) for blob in came) == np.count_nonzero(at)
        for blob in came:
            assert len(set(at[blob.points])) <= 1


def test_one_point_gives_a_box_round_it_without_a_shift():
    (blob,) = heat_blobs(Points(ImagePx, [[5000.5, 4000.5]]), 100_000, 80_000)
    x0, y0, x1, y1 = blob.box_image_px
    assert (x0 + x1) / 2 == 5000.5
    assert (y0 + y1) / 2 == 4000.5
    assert blob.points.tolist() == [0]


def test_an_object_on_a_tile_edge_stays_whole():
    rng = np.random.default_rng(3)
    xy = np.array([4000.0, 8192.0]) + rng.normal(0, 80, (200, 2))
    assert len(heat_blobs(Points(ImagePx, xy), 20_000, 20_000)) == 1


def test_no_points_points_beside_the_slide_and_gaps():
    assert heat_blobs(Points(ImagePx, []), 1000, 1000) == []
    odd = [[np.nan, 3.0], [-1.0, 5.0], [1000.0, 5.0], [500.0, 500.0]]
    (blob,) = heat_blobs(Points(ImagePx, odd), 1000, 1000)
    assert blob.points.tolist() == [3]


def test_another_frame_is_refused():
    with pytest.raises(TypeError, match="ImagePx"):
        heat_blobs(Points(ScreenPx, [[1.0, 1.0]]), 100, 100)


def test_memory_follows_the_gaze_not_the_slide():
    xy = places(30, 3000, 150.0, 100_000, 80_000, seed=1)
    heat_blobs(Points(ImagePx, xy[:10]), 100_000, 80_000)  # imports
    tracemalloc.start()
    try:
        blobs = heat_blobs(Points(ImagePx, xy), 100_000, 80_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(blobs) >= 25
    assert peak < 60e6


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    block=st.integers(1, 15),
    share=st.floats(0.1, 0.9),
    seed=st.integers(0, 10**6),
)
def test_blocks_are_stitched_to_the_same_components(shape, block, share, seed):
    mask = np.random.default_rng(seed).random(shape) < share
    stitcher = Stitcher()
    for y in range(0, shape[0], block):
        for x in range(0, shape[1], block):
            stitcher.add(mask[y : y + block, x : x + block], x, y)
    labels, n = ndimage.label(mask, structure=np.ones((3, 3)))
    wanted = {(c.start, r.start, c.stop, r.stop) for r, c in ndimage.find_objects(labels)}
    _, boxes = stitcher.finish()
    assert len(boxes) == n
    assert set(boxes.values()) == wanted


# -- labels ------------------------------------------------------------------------------------


def test_thinning():
    t_us = np.arange(0, 1_000_000, 8_333)
    assert len(thin(t_us, 10.0)) == 10
    assert thin(t_us, 1000.0).tolist() == list(range(len(t_us)))
    assert thin(np.array([], dtype=np.int64), 10.0).tolist() == []
    gap = np.array([0, 50_000, 900_000, 950_000])
    assert thin(gap, 10.0).tolist() == [0, 2]


def test_labels_get_the_blob_that_holds_most_of_them(make_label):
    labels = [
        make_label([[600, 600], [640, 620], [620, 580]], 1),
        make_label([[650, 610]], 2),
        make_label([[2600, 1600], [2640, 1620], [2620, 1610]], 3),
    ]
    refined = refine_labels(labels, None, method="mariam2022")
    assert [r.label.number for r in refined] == [1, 3]
    assert [m.number for m in refined[0].merged] == [2]
    assert refined[1].merged == ()
    x0, y0, x1, y1 = refined[1].box_image_px
    assert x0 < 2600 < 2640 < x1
    assert y0 < 1600 < 1620 < y1
    assert refined[0].picture_weight == 0
    assert refined[0].parameters["window_px"] == 400


def test_classes_and_sessions_are_not_pooled(make_label):
    from uuid import UUID

    two = UUID(int=77)
    labels = [
        make_label([[600, 600]], 1),
        make_label([[610, 600]], 2, class_name="Vessel"),
        make_label([[620, 600]], 1, session=two),
    ]
    refined = refine_labels(labels, None, method="mariam2022")
    assert [(r.label.session, r.label.number) for r in refined] == [
        (x.session, x.number) for x in labels
    ]


def test_thin_gaze_beside_much_gaze_gets_no_shape(make_label):
    labels = [make_label([[600, 600]] * 20, 1), make_label([[2000, 2000]], 2, dwell_us=90_000)]
    refined = refine_labels(labels, None, method="mariam2022")
    assert [r.label.number for r in refined] == [1]


@pytest.mark.parametrize(
    "bad", [{"window_px": 1}, {"sigma_per_window": 0}, {"threshold_per_mean": float("inf")}]
)
def test_senseless_parameters(make_label, bad):
    with pytest.raises(UsageError):
        refine_labels([make_label([[5, 5]])], None, method="mariam2022", parameters=bad)
