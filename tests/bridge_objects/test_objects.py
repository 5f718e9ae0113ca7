from __future__ import annotations

import json
import math
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon, box

from qpgaze import keys
from qpgaze.bridge.objects import (
    fixation_objects,
    fixation_radius_image_px,
    label_object,
    refined_object,
    union_of_discs,
)
from qpgaze.errors import RefineError, UsageError
from qpgaze.frames import ImagePx, Points
from qpgaze.keys import LabelEvent
from qpgaze.model import Fixation, Label, RefinedLabel
from qpgaze.viewing import ImageIdentity

SLIDE = ImageIdentity("slide", 10_000, 8000, "1")


def fix(
    x: float, y: float, *, spread: float = 10.0, accuracy: float = 40.0, ms: int = 300
) -> Fixation:
    return Fixation(0, ms * 1000, x, y, spread, accuracy, 2.0, 30, SLIDE)


def make_label(*fixations: Fixation, event: LabelEvent = LabelEvent.HOLD) -> Label:
    return Label(
        session=UUID(int=5),
        number=3,
        event=event,
        class_name="Pearl" if event != LabelEvent.FIXATION else keys.FIXATION_CLASS,
        image=SLIDE,
        fixations=fixations,
        start_us=1000,
        end_us=900_000,
        samples=Points(ImagePx, [[5.0, 5.0]] * 3),
        sample_t_us=np.array([1, 2, 3]),
        sample_downsample=np.array([2.0, 4.0, 4.0]),
        accuracy_deg=0.5,
        precision_deg=0.3,
        reader="R1",
        tracker="GP3",
        z=2,
        t=1,
    )


def test_a_label_becomes_one_object_with_all_that_is_known() -> None:
    label = make_label(fix(1000, 1000, spread=30, ms=300), fix(1050, 1000, spread=60, ms=100))
    made = label_object(label, pixel_size_um=(0.5, 0.5), version="9.9")
    assert made.id == label.object_id(0)
    assert (made.class_name, made.name, made.kind) == ("Pearl", "Pearl 3", "annotation")
    assert (made.z, made.t, made.c, made.locked, made.is_ellipse) == (2, 1, -1, False, False)
    spread = math.sqrt((300 * 30**2 + 100 * 60**2) / 400)
    assert dict(made.measurements) == {
        keys.DWELL_MS: 400.0,
        keys.FIXATIONS: 2.0,
        keys.DOWNSAMPLE: 4.0,
        keys.SPREAD_UM: pytest.approx(spread * 0.5),
        keys.ACCURACY_UM: pytest.approx(20.0),
    }
    assert all(type(value) is float for value in made.measurements.values())
    parameters = made.metadata[keys.PARAMETERS]
    assert dict(made.metadata) == {
        keys.SESSION: str(UUID(int=5)),
        keys.LABEL: "3",
        keys.PART: "0",
        keys.EVENT: "hold",
        keys.READER: "R1",
        keys.TRACKER: "GP3",
        keys.START_US: "1000",
        keys.END_US: "900000",
        keys.METHOD: keys.METHOD_DISCS,
        keys.PARAMETERS: parameters,
        keys.VERSION: "9.9",
        keys.STATE: "proposed",
    }
    assert json.loads(parameters)["accuracy_deg"] == 0.5
    assert made.geometry.geom_type == "Polygon"
    x0, y0, x1, y1 = made.geometry.bounds
    # Radii: accuracy 40 for the first, spread 60 for the second.
    assert (x0, x1, y0, y1) == pytest.approx((960, 1110, 940, 1060), abs=0.5)


def test_without_pixel_size_lengths_are_pixels() -> None:
    made = label_object(make_label(fix(500, 500)), pixel_size_um=None, version="1")
    assert made.measurements[keys.SPREAD_PX] == 10
    assert made.measurements[keys.ACCURACY_PX] == 40
    assert keys.SPREAD_UM not in made.measurements
    oblong = label_object(make_label(fix(500, 500)), pixel_size_um=(0.25, 1.0), version="1")
    assert oblong.measurements[keys.ACCURACY_UM] == pytest.approx(20)
    for bad in ((0.0, 1.0), (math.nan, 1.0)):
        with pytest.raises(UsageError, match="pixel size"):
            label_object(make_label(fix(500, 500)), pixel_size_um=bad, version="1")


def test_an_unknown_reader_is_not_written() -> None:
    nobody = replace(make_label(fix(500, 500)), reader="", tracker="")
    metadata = label_object(nobody, pixel_size_um=None, version="1").metadata
    assert keys.READER not in metadata
    assert keys.TRACKER not in metadata


def test_discs_that_do_not_touch_are_several_parts_and_all_stay_on_the_slide() -> None:
    made = label_object(make_label(fix(500, 500), fix(800, 500)), pixel_size_um=None, version="1")
    assert made.geometry.geom_type == "MultiPolygon"
    corner = label_object(make_label(fix(0, 7999)), pixel_size_um=None, version="1")
    assert corner.geometry.bounds == (0, 7959, pytest.approx(40, abs=0.2), 8000)
    touching = union_of_discs((fix(-39.99, 100), fix(100, 100)), SLIDE)
    assert touching.geom_type in ("Polygon", "MultiPolygon")
    with pytest.raises(UsageError, match="beside the slide"):
        union_of_discs((fix(-500, 100),), SLIDE)
    with pytest.raises(UsageError, match="at least one"):
        union_of_discs((), SLIDE)


places = st.builds(
    fix,
    st.floats(0, 9999),
    st.floats(0, 7999),
    spread=st.floats(0, 500),
    accuracy=st.floats(0, 500),
)


@given(st.lists(places, min_size=1, max_size=30))
def test_every_union_is_valid_small_and_covers_its_fixations(fixations: list[Fixation]) -> None:
    shape = union_of_discs(tuple(fixations), SLIDE)
    assert shape.is_valid
    assert shape.geom_type in ("Polygon", "MultiPolygon")
    assert shapely.get_num_coordinates(shape) <= 64 * len(fixations)
    x0, y0, x1, y1 = shape.bounds
    assert min(x0, y0) >= 0
    assert x1 <= SLIDE.width_px
    assert y1 <= SLIDE.height_px
    for f in fixations:
        radius = fixation_radius_image_px(f)
        assert radius >= max(f.spread_image_px, f.accuracy_image_px)
        disc = Point(f.x_image_px, f.y_image_px).buffer(0.97 * radius)
        assert disc.intersection(box(0, 0, 10_000, 8000)).difference(shape).area < 1e-6 * disc.area


def test_fixations_become_ellipses_with_ids_of_their_own() -> None:
    label = make_label(fix(1000, 1000), fix(20, 2000, spread=100))
    first, second = fixation_objects(label, pixel_size_um=(0.5, 0.5), version="1")
    assert {made.id for made in (first, second)} == {label.object_id(1), label.object_id(2)}
    assert [made.metadata[keys.PART] for made in (first, second)] == ["1", "2"]
    assert [made.name for made in (first, second)] == ["Fixation 3.1", "Fixation 3.2"]
    assert first.is_ellipse
    assert first.class_name == keys.FIXATION_CLASS
    assert first.geometry.equals(box(960, 960, 1040, 1040))
    assert second.geometry.bounds == (0, 1900, 120, 2100)
    assert first.metadata[keys.METHOD] == keys.METHOD_FIXATION
    assert first.metadata[keys.END_US] == "300000"
    assert first.measurements[keys.FIXATIONS] == 1
    assert first.measurements[keys.DOWNSAMPLE] == 2
    assert json.loads(first.metadata[keys.PARAMETERS])["motion"] == "static"
    alone = make_label(fix(1000, 1000), event=LabelEvent.FIXATION)
    (made,) = fixation_objects(alone, pixel_size_um=None, version="1")
    assert made.id == alone.object_id(0)
    assert (made.name, made.metadata[keys.PART]) == ("Fixation 3", "0")


# -- refined ------------------------------------------------------------------------------------


def test_refining_changes_the_shape_and_keeps_everything_else() -> None:
    label = make_label(fix(1000, 1000))
    plain = label_object(label, pixel_size_um=(0.5, 0.5), version="1")
    previous = replace(
        plain,
        color=0xFF0000,
        locked=True,
        description="mine",
        measurements={**plain.measurements, "Cells": 4.0, keys.REFINED_UNCERTAINTY_PX: 3.0},
        metadata={**plain.metadata, "study": "A", keys.STATE: "accepted", keys.REVIEWER: "M"},
        parent=UUID(int=1),
    )
    refined = RefinedLabel(
        label, box(900, 900, 1100, 1100), "best", {"b": 1, "a": [2]},
        merged=(replace(label, number=9), replace(label, number=4)),
        uncertainty_image_px=12.0, picture_weight=0.75,
    )  # fmt: skip
    made = refined_object(previous, refined, pixel_size_um=(0.5, 0.5), version="2")
    assert made.geometry.equals(box(900, 900, 1100, 1100))
    same = ("id", "name", "class_name", "color", "locked", "description", "parent", "z", "t", "c")
    for name in same:
        assert getattr(made, name) == getattr(previous, name)
    assert made.measurements == {
        **plain.measurements,
        "Cells": 4.0,
        keys.REFINED_UNCERTAINTY_UM: 6.0,
        keys.REFINED_PICTURE_WEIGHT: 0.75,
    }
    changed = {
        keys.METHOD: "best",
        keys.PARAMETERS: '{"a": [2], "b": 1, "merged_labels": [4, 9]}',
        keys.VERSION: "2",
    }
    assert made.metadata == {**previous.metadata, **changed}
    unsure = replace(refined, uncertainty_image_px=math.nan)
    again = refined_object(made, unsure, pixel_size_um=None, version="2")
    assert keys.REFINED_UNCERTAINTY_UM not in again.measurements
    assert keys.REFINED_UNCERTAINTY_PX not in again.measurements


def test_refined_shapes_are_cut_repaired_or_refused() -> None:
    label = make_label(fix(1000, 1000))
    previous = label_object(label, pixel_size_um=None, version="1")

    def refine(shape: shapely.Geometry) -> shapely.Geometry:
        refined = RefinedLabel(label, shape, "best", {})  # type: ignore[arg-type]
        return refined_object(previous, refined, pixel_size_um=None, version="1").geometry

    assert refine(box(9900, 7900, 12_000, 9000)).bounds == (9900, 7900, 10_000, 8000)
    bow = refine(Polygon([(0, 0), (10, 10), (10, 0), (0, 10)]))
    assert bow.is_valid  # type: ignore[attr-defined]
    for bad in (Polygon(), box(-50, -50, 0, 0), Point(5, 5)):
        with pytest.raises(RefineError, match="label 3 \\(Pearl\\)"):
            refine(bad)
    other = replace(label, number=4)
    with pytest.raises(UsageError, match="label 4"):
        refined_object(
            previous, RefinedLabel(other, box(0, 0, 9, 9), "best", {}),
            pixel_size_um=None, version="1",
        )  # fmt: skip


def test_doing_it_twice_gives_the_same_object() -> None:
    label = make_label(fix(1000, 1000), fix(1060, 1010))
    first = label_object(label, pixel_size_um=(0.5, 0.5), version="1")
    second = label_object(label, pixel_size_um=(0.5, 0.5), version="1")
    assert first.geometry.wkb == second.geometry.wkb
    assert replace(first, geometry=second.geometry).__dict__ == second.__dict__
