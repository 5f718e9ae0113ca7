"""Gaze records: the layout of format 1, and eyes averaged as they are valid."""

from __future__ import annotations

import numpy as np
import pytest

from qpgaze.errors import FrameError
from qpgaze.samples import GAZE_COLUMNS, GAZE_DTYPE, GazeSamples, empty_records


def test_a_record_is_80_aligned_bytes() -> None:
    assert GAZE_DTYPE.itemsize == 80
    assert list(GAZE_DTYPE.names or ()) == [column.name for column in GAZE_COLUMNS]
    assert all(dtype.str[0] in "<|" for dtype, *_ in GAZE_DTYPE.fields.values())  # type: ignore[union-attr]


def test_the_average_takes_the_eyes_that_are_valid() -> None:
    records = empty_records(4)
    records["left_x_adcs"], records["left_y_adcs"] = 0.2, 0.4
    records["right_x_adcs"], records["right_y_adcs"] = 0.4, 0.6
    records["left_gaze_valid"] = [1, 1, 0, 0]
    records["right_gaze_valid"] = [1, 0, 1, 0]
    expected = [[0.3, 0.5], [0.2, 0.4], [0.4, 0.6], [np.nan, np.nan]]
    np.testing.assert_allclose(GazeSamples(records).average().xy, expected, rtol=1e-6)


def test_eye_positions_are_averaged_alike() -> None:
    records = empty_records(2)
    for axis, value in zip("xyz", (-30.0, 5.0, 640.0), strict=True):
        records[f"left_origin_{axis}_mm"] = value
    records["left_origin_valid"] = [1, 0]
    origin = GazeSamples(records).origin_ucs_mm()
    np.testing.assert_allclose(origin[0], [-30, 5, 640])
    assert np.isnan(origin[1]).all()


def test_a_missing_column_is_named() -> None:
    with pytest.raises(FrameError, match="right_y_adcs"):
        GazeSamples(empty_records(1)[[n for n in GAZE_DTYPE.names if n != "right_y_adcs"]])
