"""Frames and clocks: a mix-up is refused at run time and by the type checker."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.errors import FrameError
from qpgaze.frames import (
    Affine,
    ClockRelation,
    DeviceClock,
    HostClock,
    ImagePx,
    Points,
    ScreenPx,
    SessionClock,
    Times,
    ViewerPx,
)

ROOT = Path(__file__).resolve().parents[2]
number = st.floats(-1e5, 1e5, allow_nan=False)


@st.composite
def affines(draw: st.DrawFn) -> Affine[ViewerPx, ImagePx]:
    angle, scale = draw(st.floats(-4, 4)), draw(st.floats(0.05, 400))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return Affine(ViewerPx, ImagePx, [[c, s, draw(number)], [-s, c, draw(number)]])


@given(affines(), st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 5000)), max_size=5))
def test_there_and_back(affine: Affine[ViewerPx, ImagePx], xy: list[tuple[float, float]]) -> None:
    points = Points(ViewerPx, np.array(xy).reshape(-1, 2))
    back = affine.inverse()(affine(points))
    assert back.frame is ViewerPx
    np.testing.assert_allclose(back.xy, points.xy, atol=1e-4)


@given(affines())
def test_three_corners_fix_the_map(affine: Affine[ViewerPx, ImagePx]) -> None:
    corners = Points(ViewerPx, [[0, 0], [1600, 0], [0, 900]])
    fitted = Affine.from_three_points(corners, affine(corners))
    np.testing.assert_allclose(fitted.matrix, affine.matrix, rtol=1e-7, atol=1e-6)


@given(affines(), number, number)
def test_then_is_one_after_the_other(affine: Affine[ViewerPx, ImagePx], x: float, y: float) -> None:
    shift = Affine(ScreenPx, ViewerPx, [[1, 0, -x], [0, 1, -y]])
    points = Points(ScreenPx, [[x, y], [3.0, 4.0]])
    np.testing.assert_allclose(
        shift.then(affine)(points).xy, affine(shift(points)).xy, rtol=1e-9, atol=1e-3
    )


def test_another_frame_is_refused() -> None:
    zoom = Affine(ViewerPx, ImagePx, [[2, 0, 0], [0, 2, 0]])
    with pytest.raises(FrameError, match="Expected ViewerPx, but ImagePx came"):
        zoom(Points(ImagePx, [[1, 1]]))  # type: ignore[arg-type]
    with pytest.raises(FrameError, match="Expected ImagePx, but ViewerPx came"):
        zoom.then(zoom)  # type: ignore[arg-type]
    with pytest.raises(FrameError, match="Expected ScreenPx"):
        Points(ImagePx, [[1, 1]]).expect(ScreenPx)


def test_another_clock_is_refused() -> None:
    relation = ClockRelation(DeviceClock, SessionClock, offset_us=10, at_us=0, drift_ppm=50)
    assert relation(Times(DeviceClock, [0, 1_000_000])).t_us.tolist() == [10, 1_000_060]
    with pytest.raises(FrameError, match="Expected DeviceClock, but HostClock came"):
        relation(Times(HostClock, [0]))  # type: ignore[arg-type]


@pytest.mark.parametrize("xy", [[1, 2], [[1, 2, 3]], [[[1, 2]]]])
def test_another_shape_is_refused(xy: object) -> None:
    with pytest.raises(FrameError, match="shape"):
        Points(ImagePx, xy)  # type: ignore[arg-type]


def test_points_on_a_line_fix_no_map() -> None:
    line = Points(ViewerPx, [[0, 0], [1, 1], [2, 2]])
    with pytest.raises(FrameError, match="line"):
        Affine.from_three_points(line, Points(ImagePx, [[0, 0], [1, 0], [0, 1]]))


def test_points_cannot_be_changed_afterwards() -> None:
    mine = np.zeros((2, 2))
    points = Points(ImagePx, mine)
    mine[:] = 7
    assert points.xy.sum() == 0
    with pytest.raises(ValueError, match="read-only"):
        points.xy[0, 0] = 1


def test_the_type_checker_refuses_a_mix_up(tmp_path: Path) -> None:
    code = tmp_path / "mix_up.py"
    code.write_text(
        textwrap.dedent(
            """
            from qpgaze.frames import Affine, ImagePx, Points, ScreenPx, ViewerPx

            zoom = Affine(ViewerPx, ImagePx, [[2, 0, 0], [0, 2, 0]])
            right: Points[ImagePx] = zoom(Points(ViewerPx, [[1, 1]]))
            zoom(Points(ScreenPx, [[1, 1]]))  # line 6
            wrong: Points[ScreenPx] = right  # line 7
            """
        ),
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if "mix_up.py" in line]
    assert any(":6:" in line and "arg-type" in line for line in lines), done.stdout + done.stderr
    assert any(":7:" in line and "assignment" in line for line in lines), done.stdout + done.stderr
    assert not any(":5:" in line for line in lines), done.stdout
