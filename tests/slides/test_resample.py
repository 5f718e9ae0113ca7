"""Area means on any grid, and the downsample of a level."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.slides.levels import level_downsample
from qpgaze.slides.resample import area_average


@given(
    x=st.floats(0, 3), y=st.floats(0, 3), step=st.floats(1, 5), w=st.integers(1, 4), h=st.just(2)
)
def test_area_average_equals_the_integral(x, y, step, w, h):
    pixels = np.random.default_rng(3).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    came = area_average(pixels, x, y, step, w, h)

    def weights(start: float, n: int, size: int) -> np.ndarray:
        low = start + step * np.arange(n)[:, None]
        cell = np.arange(size)[None]
        return np.clip(np.minimum(low + step, cell + 1) - np.maximum(low, cell), 0, 1) / step

    wanted = np.einsum("ia,abc,jb->ijc", weights(y, h, 24), pixels, weights(x, w, 30))
    assert np.abs(came - wanted).max() <= 0.5 + 1e-3


@given(full=st.tuples(st.integers(2000, 100_000), st.integers(2000, 100_000)), n=st.integers(1, 32))
def test_level_downsample_undoes_rounding(full, n):
    assert level_downsample(full, (full[0] // n, full[1] // n)) == n
    assert level_downsample(full, (-(-full[0] // n), -(-full[1] // n))) == n
