"""Put reader, viewer and tracker together: one simulated session with its truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from qpgaze.errors import UsageError
from qpgaze.frames import ClockRelation, DeviceClock, SessionClock, ViewerClock
from qpgaze.model import Event
from qpgaze.samples import GazeSamples
from qpgaze.simulate.navigation import Viewer
from qpgaze.simulate.reader import SimulatedReader
from qpgaze.simulate.records import Reading, TruthObject
from qpgaze.simulate.settings import ReaderSettings, TrackerSettings, default_display
from qpgaze.simulate.tracker import simulate_tracker
from qpgaze.viewing import Display, ImageIdentity

SIMULATION_NAMESPACE = UUID("6f1d2a52-0c0b-5d0e-9a3f-51a5b7a0f3c1")
"""Session ids of simulations are made from this and the seed."""
CLOCK_CHECK_US = 10_000_000
"""Clocks are compared so often."""


def simulate_reading(
    truth: Sequence[TruthObject],
    image: ImageIdentity,
    *,
    pixel_size_um: float | None = None,
    display: Display | None = None,
    reader: ReaderSettings | None = None,
    tracker: TrackerSettings | None = None,
    seed: int = 0,
    session_id: UUID | None = None,
    tissue: BaseGeometry | None = None,
) -> Reading:
    """Simulate a reader who labels objects on a slide while an eye tracker runs.

    Parameters
    ----------
    truth : sequence of TruthObject
        Targets and look-alikes, ImagePx. At least one.
    image : ImageIdentity
    pixel_size_um : float, optional
        Limits how far the reader zooms in.
    display, reader, tracker : optional
        The frozen defaults where not given.
    seed : int
        The same seed gives the same reading, to the bit, with the same NumPy.
    session_id : UUID, optional
        Follows from the seed and the image's name where not given.
    tissue : shapely geometry, ImagePx, optional
        Where the reader searches; the hull of all objects where not given.

    Raises
    ------
    UsageError
        If no object comes, one has no shape, ids repeat, or sizes are not positive.

    Examples
    --------
    >>> pearl = TruthObject("a", "Pearl", shapely.Point(900, 700).buffer(120))
    >>> reading = simulate_reading([pearl], ImageIdentity("slide", 2000, 1500), seed=1)
    >>> [event.kind for event in reading.events]
    ['validation', 'label', 'label']
    """
    display, reader = display or default_display(), reader or ReaderSettings()
    tracker = tracker or TrackerSettings()
    _check(truth, image, pixel_size_um)
    seeds = np.random.SeedSequence(seed).spawn(3)
    hand, eye, device = (np.random.Generator(np.random.PCG64(s)) for s in seeds)
    where = tissue if tissue is not None else _hull(truth, image)
    viewer = Viewer(display, image, hand)
    closest = reader.finest_um_per_screen_px / (pixel_size_um or 1.0)
    person = SimulatedReader(viewer, truth, where, reader, closest_downsample=closest, rng=eye)
    person.read()
    return Reading(
        session_id=session_id or uuid5(SIMULATION_NAMESPACE, f"{image.name}/{seed}"),
        seed=seed,
        image=image,
        pixel_size_um=pixel_size_um,
        objects=tuple(truth),
        **_measure(person, display, tracker, device),
    )


def _measure(
    person: SimulatedReader, display: Display, tracker: TrackerSettings, rng: np.random.Generator
) -> dict[str, Any]:
    """Let tracker and hook log what the reader did: the rest of a Reading."""
    records, drawn = simulate_tracker(person.path, person.fixations, display, tracker, rng)
    limit = tracker.sync_uncertainty_us
    sync_error = int(rng.integers(-limit, limit + 1))
    origin = int(rng.integers(10**9, 10**11))
    keyframe_ms = person.settings.keyframe_ms
    return {
        "display": display,
        "reader": person.settings,
        "tracker": tracker,
        "fixations": tuple(person.fixations),
        "labels": tuple(person.labels),
        "events": _events(person, tracker),
        "gaze": GazeSamples(records),
        "states": person.viewer.states(person.path.end_us, keyframe_ms, origin, sync_error),
        "clocks": _clocks(int(records["t_us"][-1]), drawn, tracker, origin, sync_error),
        "extra": {**drawn, "sync_error_us": sync_error, "viewer_origin_us": origin},
    }


def _check(truth: Sequence[TruthObject], image: ImageIdentity, pixel_size_um: float | None) -> None:
    if not truth:
        raise UsageError("A reading needs at least one object on the slide, but none came.")
    if image.width_px <= 0 or image.height_px <= 0:
        raise UsageError(f"The slide needs a size, but {image.width_px} x {image.height_px} came.")
    if pixel_size_um is not None and not 0 < pixel_size_um < math.inf:
        raise UsageError(f"A pixel size is above 0 um, but {pixel_size_um} came.")
    empty = [thing.id for thing in truth if thing.geometry.is_empty]
    if empty:
        raise UsageError(f"Objects need a shape, but these have none: {', '.join(empty)}.")
    if len({thing.id for thing in truth}) < len(truth):
        raise UsageError("Every object needs an id of its own, but some ids repeat.")


def _hull(truth: Sequence[TruthObject], image: ImageIdentity) -> BaseGeometry:
    """Return a hull of all objects with some margin, within the slide."""
    hull = shapely.unary_union([thing.geometry for thing in truth]).convex_hull
    margin = 0.1 * max(image.width_px, image.height_px)
    return hull.buffer(margin).intersection(shapely.box(0, 0, image.width_px, image.height_px))


def _events(person: SimulatedReader, tracker: TrackerSettings) -> tuple[Event, ...]:
    """Return the validation, then the keys in time order."""
    validation = Event(
        0,
        "validation",
        {
            "accuracy_deg": tracker.accuracy_deg,
            "precision_sd_deg": tracker.precision_deg,
            "precision_rms_deg": round(tracker.precision_deg * math.sqrt(2.0), 6),
        },
    )
    # A key-up that belongs to an earlier key-down never comes after the next key-down: the
    # reader is on the way to the next object by then.
    return (validation, *sorted(person.events, key=lambda event: event.t_us))


def _clocks(
    end_us: int,
    drawn: dict[str, object],
    tracker: TrackerSettings,
    viewer_origin_us: int,
    sync_error_us: int,
) -> tuple[ClockRelation[Any, Any], ...]:
    """Return what the comparisons of the clocks found, every ten seconds."""
    device_origin = int(str(drawn["device_origin_us"]))
    relations: list[ClockRelation[Any, Any]] = []
    for t in range(0, end_us + 1, CLOCK_CHECK_US):
        gained = round(t * tracker.drift_ppm * 1e-6)
        relations.append(
            ClockRelation(
                DeviceClock,
                SessionClock,
                offset_us=-device_origin - gained,
                at_us=device_origin + t + gained,
                drift_ppm=-tracker.drift_ppm,
                uncertainty_us=100,
            )
        )
        relations.append(
            ClockRelation(
                ViewerClock,
                SessionClock,
                offset_us=sync_error_us - viewer_origin_us,
                at_us=viewer_origin_us + t,
                uncertainty_us=tracker.sync_uncertainty_us,
            )
        )
    return tuple(relations)
