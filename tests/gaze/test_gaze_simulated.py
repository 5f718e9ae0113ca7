"""Mapping, fixations and labels against the truth of the simulated reader."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from qpgaze.gaze import detect_fixations, make_labels, map_samples
from qpgaze.simulate import TrackerSettings, TruthObject, simulate_reading
from qpgaze.viewing import ImageIdentity


@pytest.mark.parametrize("rate", [60.0, 120.0, 300.0])
def test_labels_of_a_simulated_reader_lie_on_the_objects_it_meant(rate: float) -> None:
    places = [(1500, 1500), (5500, 1800), (3000, 4500), (6500, 6000), (1200, 6600), (4200, 7000)]
    truth = [
        TruthObject(str(i), "Pearl", shapely.Point(x, y).buffer(100 + 30 * i), target=i != 3)
        for i, (x, y) in enumerate(places)
    ]
    reading = simulate_reading(
        truth,
        ImageIdentity("slide", 8000, 8000, "1"),
        pixel_size_um=0.5,
        tracker=TrackerSettings(rate_hz=rate, accuracy_deg=0.3, precision_deg=0.2),
        seed=4,
    )
    mapped = map_samples(reading.gaze, reading.states, reading.display)
    fixations = detect_fixations(
        reading.gaze, mapped, reading.states, reading.display, accuracy_deg=0.3
    )
    span = np.array([(f.start_us, f.end_us) for f in fixations])
    # While a view zooms, nothing counts as resting: those truths are cut on purpose.
    still = [f for f in reading.fixations if not f.moving and np.isfinite(f.x_image_px)]
    found = 0
    for f in still:
        inter = np.minimum(span[:, 1], f.end_us) - np.maximum(span[:, 0], f.start_us)
        union = np.maximum(span[:, 1], f.end_us) - np.minimum(span[:, 0], f.start_us)
        best = int(np.argmax(inter / union))
        if inter[best] >= 0.5 * union[best]:
            found += 1
            off = np.hypot(
                fixations[best].x_image_px - f.x_image_px, fixations[best].y_image_px - f.y_image_px
            )
            # Offset of the tracker, plus what noise and drift leave of a mean.
            assert off < 2.5 * reading.display.screen_px_per_degree() * f.downsample
    assert found >= 0.85 * len(still)
    result = make_labels(
        reading.session_id, mapped, reading.states, fixations, reading.events,
        accuracy_deg=0.3, precision_deg=0.2,
    )  # fmt: skip
    kept = [meant for meant in reading.labels if not meant.undone]
    assert len(result.labels) == len(kept)
    by_id = {obj.id: obj for obj in truth}
    for label, meant in zip(result.labels, kept, strict=True):
        gaze = shapely.MultiPoint([(f.x_image_px, f.y_image_px) for f in label.fixations])
        reach = 2 * max(f.accuracy_image_px for f in label.fixations)
        assert by_id[meant.object_id].geometry.buffer(reach).contains(gaze.centroid)
