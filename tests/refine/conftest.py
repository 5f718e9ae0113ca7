"""Labels and pictures that tests of refinement share."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from qpgaze.frames import ImagePx, Points
from qpgaze.keys import LabelEvent
from qpgaze.model import Fixation, Label
from qpgaze.slides.levels import LevelSlide
from qpgaze.viewing import ImageIdentity

SESSION = UUID("5c2c0b2e-9f0a-4d2c-8a54-0d1f0e2b7a11")


class ArraySlide(LevelSlide):
    """Pixels in memory, as a slide of one level."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        super().__init__(Path("memory"), [(pixels.shape[1], pixels.shape[0])], None)

    def _read_level(self, level, x, y, width, height):
        return self.pixels[y : y + height, x : x + width]


def label_at(
    xy,
    number=1,
    *,
    width=4000,
    height=2000,
    session=SESSION,
    class_name="Pearl",
    downsample=2.0,
    accuracy_deg=0.5,
    px_per_deg=41.0,
    rate_hz=120.0,
    dwell_us=250_000,
    spread=4.0,
    name="slide",
):
    """A label with one fixation at each place and samples round it."""
    xy = np.asarray(xy, dtype=float).reshape(-1, 2)
    rng = np.random.default_rng(number)
    image = ImageIdentity(name=name, width_px=width, height_px=height)
    per = int(dwell_us * 1e-6 * rate_hz)
    fixations, samples, times = [], [], []
    start = number * 10_000_000
    for x, y in xy:
        t = start + (np.arange(per) * 1e6 / rate_hz).astype(np.int64)
        samples.append(np.array([x, y]) + rng.normal(0, spread, (per, 2)))
        times.append(t)
        fixations.append(
            Fixation(
                start_us=int(t[0]),
                end_us=int(t[-1]),
                x_image_px=float(x),
                y_image_px=float(y),
                spread_image_px=spread * 1.4,
                accuracy_image_px=accuracy_deg * px_per_deg * downsample,
                downsample=downsample,
                samples=per,
                image=image,
            )
        )
        start += dwell_us + 40_000
    t_us = np.concatenate(times)
    return Label(
        session=session,
        number=number,
        event=LabelEvent.HOLD,
        class_name=class_name,
        image=image,
        fixations=tuple(fixations),
        start_us=int(t_us[0]),
        end_us=int(t_us[-1]),
        samples=Points(ImagePx, np.concatenate(samples)),
        sample_t_us=t_us,
        sample_downsample=np.full(len(t_us), downsample),
        accuracy_deg=accuracy_deg,
        precision_deg=0.3,
    )


def disc_points(n, x, y, a, b, rng):
    """Places spread evenly over an ellipse."""
    r, angle = np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([x + a * r * np.cos(angle), y + b * r * np.sin(angle)])


@pytest.fixture(scope="session")
def make_label():
    return label_at


@pytest.fixture(scope="session")
def array_slide():
    return ArraySlide


@pytest.fixture(scope="session")
def scene():
    """Eight ellipses on a textured ground, a reader's labels with one offset, and the truth."""
    rng = np.random.default_rng(12)
    width, height = 4000, 2000
    noise = rng.normal(0, 1, (height // 4, width // 4)).repeat(4, 0).repeat(4, 1)
    pixels = np.stack([205 + 6 * noise, 150 + 12 * noise, 195 + 8 * noise], axis=2)
    truth, labels = [], []
    offset = np.array([34.0, -26.0])
    y, x = np.mgrid[:height, :width]
    for number in range(8):
        cx, cy = 500 + 1000 * (number % 4), 500 + 1000 * (number // 4)
        a, b = rng.uniform(110, 240, 2)
        inside = ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1
        pixels[inside] += [10, -45, -20]
        truth.append((cx - a, cy - b, cx + a, cy + b))
        seen = disc_points(rng.integers(4, 10), cx, cy, a, b, rng) + offset
        labels.append(label_at(seen, number + 1))
    slide = ArraySlide(np.clip(pixels, 0, 255).astype(np.uint8))
    return slide, tuple(labels), np.array(truth)
