"""A short simulated reading, and its parts as a source."""

from __future__ import annotations

import pytest
import shapely

from qpgaze.simulate import Reading, TruthObject, simulate_reading
from qpgaze.viewing import ImageIdentity

SLIDE = ImageIdentity("slide", 2000, 1500, "1", ("file:/x/slide.tif",))


@pytest.fixture(scope="session")
def reading() -> Reading:
    pearls = [
        TruthObject("a", "Pearl", shapely.Point(900, 700).buffer(120)),
        TruthObject("b", "Pearl", shapely.Point(1500, 400).buffer(80)),
    ]
    return simulate_reading(pearls, SLIDE, pixel_size_um=0.5, seed=3)
