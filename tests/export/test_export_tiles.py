"""Grids, cutting and the way from a slide into a tile and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.errors import UsageError
from qpgaze.export import coco
from qpgaze.export.tiles import Grid, cut
from qpgaze.frames import Points, TilePx

sizes = st.integers(40, 3000)
grids = st.builds(
    lambda w, h, tile, share, ds: Grid(w, h, tile, ds, overlap=int(tile * share)),
    sizes,
    sizes,
    st.integers(64, 600),
    st.floats(0, 0.8),
    st.floats(1, 9),
)


@given(grids)
def test_a_grid_covers_its_slide_and_no_tile_lies_beside_it(grid: Grid) -> None:
    last = grid.tile(grid.columns - 1, grid.rows - 1)
    x0, y0, x1, y1 = last.bounds_image_px
    assert x1 >= grid.width_px - 1e-3
    assert y1 >= grid.height_px - 1e-3
    assert x0 < grid.width_px
    assert y0 < grid.height_px


@given(grids, st.floats(0, 1), st.floats(0, 1), st.floats(1, 900), st.floats(1, 900))
def test_over_finds_the_tiles_that_share_area_with_a_box(grid, left, top, width, height) -> None:
    x0, y0 = left * grid.width_px, top * grid.height_px
    target = shapely.box(x0, y0, x0 + width, y0 + height)
    found = {(t.column, t.row) for t in grid.over(target.bounds)}
    # An area of numerical noise is neither here nor there.
    areas = (
        {
            (t.column, t.row): shapely.box(*t.bounds_image_px).intersection(target).area
            for t in grid.all()
        }
        if grid.columns * grid.rows < 400
        else {}
    )
    assert {key for key, area in areas.items() if area > 1e-6} <= found
    assert all(areas[key] >= 0 for key in found if areas)


@given(
    grids,
    st.floats(-0.1, 1.05),
    st.floats(-0.1, 1.05),
    st.floats(0.5, 900),
    st.floats(0.5, 900),
    st.floats(0, 1),
)
def test_clipped_labels_stay_in_their_tile_and_lead_back_to_the_object(
    grid, left, top, width, height, min_visible
) -> None:
    x0, y0 = left * grid.width_px, top * grid.height_px
    disc = shapely.affinity.scale(shapely.Point(x0, y0).buffer(1), width / 2, height / 2)
    near = disc.buffer(0.02 * grid.downsample + 1e-6)
    for piece in cut(disc, grid, min_visible=min_visible):
        tile = piece.tile
        record = coco.annotation(piece.shape, category_id=1, source_id="a")
        if record is None:
            continue
        x, y, w, h = record["bbox"]
        assert w >= 1
        assert h >= 1
        assert x >= 0
        assert y >= 0
        assert x + w <= tile.size_px + 1e-6
        assert y + h <= tile.size_px + 1e-6
        assert 0 < record["area"] <= w * h + 0.0051  # rounded as well
        for ring in record["segmentation"]:
            assert len(ring) >= 6
            points = Points(TilePx, np.reshape(ring, (-1, 2)))
            back = tile.from_image().inverse()(points).xy
            assert shapely.covers(near, shapely.points(back)).all()


def test_an_object_inside_one_tile_is_labelled_there_alone() -> None:
    pieces = cut(shapely.box(300, 20, 350, 60), Grid(1024, 512, 256))
    assert [(p.tile.column, p.tile.row, p.visible) for p in pieces] == [(1, 0, 1.0)]
    assert pieces[0].shape.bounds == (44, 20, 94, 60)


def test_an_object_that_ends_on_a_border_is_not_labelled_beyond_it() -> None:
    pieces = cut(shapely.box(200, 20, 256, 256), Grid(512, 512, 256))
    assert [(p.tile.column, p.tile.row) for p in pieces] == [(0, 0)]


def test_a_cross_of_borders_leaves_every_quarter() -> None:
    pieces = cut(shapely.box(246, 246, 266, 266), Grid(512, 512, 256))
    assert [p.visible for p in pieces] == [0.25] * 4


def test_a_sliver_is_dropped_where_another_tile_shows_more() -> None:
    pieces = cut(shapely.box(250, 20, 290, 60), Grid(512, 512, 256))
    assert [(p.tile.column, p.visible) for p in pieces] == [(1, pytest.approx(0.85))]


def test_the_best_tile_keeps_an_object_that_no_tile_shows_enough_of() -> None:
    snake = shapely.LineString([(10, 10), (2500, 2500)]).buffer(3)
    pieces = cut(snake, Grid(2560, 2560, 256), min_visible=0.9)
    assert len(pieces) == 1


def test_an_object_larger_than_a_tile_counts_in_every_tile_it_fills() -> None:
    pieces = cut(shapely.box(0, 0, 1024, 1024), Grid(1024, 1024, 256))
    assert len(pieces) == 16
    assert {p.visible for p in pieces} == {1.0}


def test_objects_are_cut_at_the_edge_of_the_slide() -> None:
    (piece,) = cut(shapely.box(280, 180, 400, 300), Grid(300, 200, 256, overlap=0))[-1:]
    assert piece.shape.bounds == (24, 0, 44, 200 - 180) or piece.shape.bounds[2] == 44
    assert cut(shapely.box(500, 500, 600, 600), Grid(300, 200, 256)) == ()


def test_resampling_carries_the_box_along() -> None:
    (piece,) = cut(shapely.box(600, 100, 700, 300), Grid(4000, 4000, 512, downsample=2.5))
    assert piece.shape.bounds == pytest.approx((240, 40, 280, 120))


def test_overlap_labels_an_object_in_both_tiles() -> None:
    pieces = cut(shapely.box(200, 10, 240, 50), Grid(600, 256, 256, overlap=64))
    assert [(p.tile.column, p.visible) for p in pieces] == [(0, 1.0), (1, 1.0)]


@pytest.mark.parametrize(
    "bad",
    [
        {"tile_size": 8},
        {"overlap": 256},
        {"overlap": -1},
        {"downsample": 0.5},
        {"downsample": float("nan")},
        {"width_px": 0},
    ],
)
def test_a_grid_out_of_range_is_refused(bad) -> None:
    with pytest.raises(UsageError):
        Grid(**{"width_px": 100, "height_px": 100, "tile_size": 256, **bad})


# -- shapes with holes ------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(5, 75), st.integers(5, 75), st.floats(0.5, 9), st.floats(0.5, 9)),
        max_size=6,
    )
)
def test_holes_are_cut_away_without_losing_area(holes) -> None:
    shape = shapely.box(0, 0, 90, 90)
    for x, y, w, h in holes:
        shape = shape - shapely.box(x, y, x + w, y + h)
    parts = list(coco.polygons_without_holes(shape))
    assert all(not part.interiors and part.is_valid for part in parts)
    small = sum(
        shapely.Polygon(hole).area
        for part in shapely.get_parts(shape)
        for hole in part.interiors
        if shapely.Polygon(hole).area < 1.01
    )
    assert sum(part.area for part in parts) == pytest.approx(shape.area, abs=small + 1e-6)


def test_a_slit_that_rounding_could_miss_does_not_hang() -> None:
    shape = shapely.box(0, 0, 400, 400) - shapely.box(10.001, 5, 10.004, 395)
    assert len(list(coco.polygons_without_holes(shape))) == 1


def test_a_label_below_one_pixel_is_none() -> None:
    assert coco.annotation(shapely.box(0, 0, 0.9, 50), category_id=1, source_id="") is None
    assert coco.annotation(shapely.box(0, 0, 0.001, 0.001), category_id=1, source_id="") is None


def test_numbers_have_two_decimals() -> None:
    disc = shapely.Point(20.123456, 30.98765).buffer(7.7777)
    record = coco.annotation(disc, category_id=1, source_id="")
    assert record is not None
    numbers = [*record["bbox"], record["area"], *itertools.chain(*record["segmentation"])]
    assert all(round(number, 2) == number for number in numbers)
