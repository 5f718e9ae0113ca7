"""A small, independent scene for measuring fixation detection: gaze over a slide that moves.

It shares no code with ``qpgaze.simulate``, so that the two cannot agree by a common mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from qpgaze.samples import GazeSamples, empty_records
from qpgaze.viewing import Cover, Display, ImageIdentity, Rect, ViewerState

FloatArray = npt.NDArray[np.float64]
SCREEN = Rect(0.0, 0.0, 1920.0, 1080.0)
DISPLAY = Display(SCREEN, 528.0, 297.0)
SLIDE = ImageIdentity("scene", 400_000, 400_000, "1")
PX_PER_DEGREE = DISPLAY.screen_px_per_degree()
STARES = 0.4
"""Share of what the eye does during a pan that lets the slide pass."""
SLIPS_DEG_S = 5.0
"""A place that moves faster than this under the eye is not rested on."""
COVERS = (Cover("overview", Rect(1760.0, 0.0, 160.0, 120.0)),)


@dataclass(frozen=True, eq=False)
class Scene:
    """What was looked at, and what a tracker made of it.

    ``truth_us`` (k, 2) holds start and end of each true fixation, ``truth_image_px`` (k, 2) its
    place, ``panning`` (k,) whether the view moved; ``true_image_px`` (n, 2) is where the eye
    really was at each sample.
    """

    gaze: GazeSamples
    states: tuple[ViewerState, ...]
    display: Display
    truth_us: npt.NDArray[np.int64]
    truth_image_px: FloatArray
    panning: npt.NDArray[np.bool_]
    true_image_px: FloatArray
    downsample: FloatArray


class _View:
    """Centre (image px) and downsample of the viewer at any time, from a plan of episodes."""

    def __init__(self, rng: np.random.Generator, seconds: float, panning: float) -> None:
        starts, centres, speeds, zooms = [0.0], [np.full(2, 200_000.0)], [np.zeros(2)], [4.0]
        while starts[-1] < seconds:
            moves = bool(speeds[-1].any())
            length = rng.uniform(0.8, 2.0)
            if not moves:
                # Pans take the wanted share of the time.
                length = rng.uniform(0.8, 2.0) * (1 / panning - 1) if panning > 0 else 10.0
            elapsed = min(length, 1e9)
            centre = centres[-1] + speeds[-1] * elapsed
            starts.append(starts[-1] + elapsed)
            zoom = zooms[-1]
            if not moves and panning > 0:
                angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(4.0, 25.0)
                # Towards the slide's middle, so that ten minutes stay on it.
                direction = np.array([np.cos(angle), np.sin(angle)])
                direction *= np.where((direction > 0) == (centre > 200_000), -1.0, 1.0)
                speeds.append(direction * speed * PX_PER_DEGREE * zoom)
            else:
                speeds.append(np.zeros(2))
                zoom = float(rng.choice([2.0, 4.0, 8.0])) if rng.random() < 0.5 else zoom
            centres.append(centre)
            zooms.append(zoom)
        self.starts, self.centres = np.array(starts), np.array(centres)
        self.speeds, self.zooms = np.array(speeds), np.array(zooms)

    def at(self, t_s: FloatArray) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
        i = np.searchsorted(self.starts, t_s, side="right") - 1
        centre = self.centres[i] + self.speeds[i] * (t_s - self.starts[i])[:, None]
        return centre, self.zooms[i], i


def make_scene(
    rate_hz: float,
    seconds: float,
    *,
    noise_deg: float = 0.3,
    panning: float = 0.2,
    jitter_us: float = 0.0,
    loss: float = 0.0,
    seed: int = 0,
) -> Scene:
    """Simulate fixations on places of the slide (so that the eye follows a pan) and saccades."""
    rng = np.random.default_rng(seed)
    view = _View(rng, seconds, panning)
    t_us = np.rint(np.arange(int(seconds * rate_hz)) * 1e6 / rate_hz)
    t_us = np.sort(t_us + rng.uniform(-jitter_us, jitter_us, len(t_us))).astype(np.int64)
    t_us -= t_us[0]
    fixations = _plan(rng, view, seconds)
    place = _follow(fixations, t_us / 1e6)
    centre, zoom, _ = view.at(t_us / 1e6)
    screen = (place - centre) / zoom[:, None] + (SCREEN.width / 2, SCREEN.height / 2)
    gaze = _record(rng, t_us, screen, noise_deg, loss)
    truth_us, truth_px, panned = _truth(fixations, view, seconds)
    return Scene(gaze, _states(view, seconds), DISPLAY, truth_us, truth_px, panned, place, zoom)


def _plan(rng: np.random.Generator, view: _View, seconds: float) -> FloatArray:
    """Rows of start, end (s), image x, y, drift x, y (image px/s); saccades fill the time between.

    The drift is what the eye does not follow: a tenth of a pan while it pursues a place, all of it
    while it stares at the screen and lets the slide pass, which is no fixation on the slide.
    """
    rows: list[tuple[float, ...]] = []
    t, screen = 0.0, np.array([960.0, 540.0])
    while t < seconds:
        duration = float(np.clip(rng.lognormal(np.log(0.28), 0.45), 0.1, 1.2))
        centre, zoom, episode = view.at(np.array([t]))
        pan = view.speeds[episode[0]]
        drift = pan * (1.0 if rng.random() < STARES else 0.1)
        place = centre[0] + (screen - (SCREEN.width / 2, SCREEN.height / 2)) * zoom[0]
        # A change of view ends what the eye was doing there.
        left = view.starts[episode[0] + 1] - t if episode[0] + 1 < len(view.starts) else duration
        duration = min(duration, max(left, 0.03))
        rows.append((t, t + duration, *place.tolist(), *drift.tolist()))
        amplitude_deg = float(np.clip(rng.lognormal(np.log(3.0), 0.6), 1.0, 15.0))
        angle = rng.uniform(0, 2 * np.pi)
        # Back towards the middle, as readers do who want to see what lies around.
        step = np.array([np.cos(angle), np.sin(angle)]) * amplitude_deg * PX_PER_DEGREE
        target = np.array([960.0, 540.0]) + rng.normal(0, 120, 2)
        step *= np.where((step > 0) == (screen > target), -1.0, 1.0)
        screen = np.clip(screen + step, [250, 200], [1650, 880])
        t += duration + 0.021 + 0.0022 * amplitude_deg
    return np.array(rows)


def _follow(fixations: FloatArray, t_s: FloatArray) -> FloatArray:
    i = np.clip(np.searchsorted(fixations[:, 0], t_s, side="right") - 1, 0, len(fixations) - 1)
    j = np.minimum(i + 1, len(fixations) - 1)
    flight = np.maximum(fixations[j, 0] - fixations[i, 1], 1e-6)
    part = np.clip((t_s - fixations[i, 1]) / flight, 0, 1)
    part = part**3 * (10 - 15 * part + 6 * part**2)  # minimum jerk
    since = np.minimum(t_s, fixations[i, 1]) - fixations[i, 0]
    here = fixations[i, 2:4] + fixations[i, 4:] * since[:, None]
    place: FloatArray = here + part[:, None] * (fixations[j, 2:4] - here)
    return place


def _record(
    rng: np.random.Generator,
    t_us: npt.NDArray[np.int64],
    screen: FloatArray,
    noise_deg: float,
    loss: float,
) -> GazeSamples:
    records = empty_records(len(t_us))
    records["t_us"] = t_us
    lost = np.zeros(len(t_us), dtype=np.bool_)
    if loss > 0:
        for start in rng.uniform(0, t_us[-1], int(loss * t_us[-1] / 150_000)):
            lost |= (t_us > start) & (t_us < start + 150_000)
    # The noise of the mean of both eyes is the one asked for.
    noise = rng.normal(0, noise_deg * PX_PER_DEGREE, (len(t_us), 2))
    for eye in ("left", "right"):
        xy = (screen + noise) / (SCREEN.width, SCREEN.height)
        records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = xy[:, 0], xy[:, 1]
        records[f"{eye}_gaze_valid"] = ~lost
    return GazeSamples(records)


def _states(view: _View, seconds: float) -> tuple[ViewerState, ...]:
    """Poll at 60 Hz, send on change, with a keyframe each second."""
    t_s = np.arange(int(seconds * 60)) / 60.0
    centre, zoom, _ = view.at(t_s)
    states: list[ViewerState] = []
    sent, pose = -1e9, None
    for t, (cx, cy), ds in zip(t_s.tolist(), centre.tolist(), zoom.tolist(), strict=True):
        if (cx, cy, ds) == pose and t - sent < 1.0 - 1e-9:
            continue
        sent, pose = t, (cx, cy, ds)
        x0, y0 = cx - ds * SCREEN.width / 2, cy - ds * SCREEN.height / 2
        x1, y1 = x0 + ds * SCREEN.width, y0 + ds * SCREEN.height
        states.append(
            ViewerState(
                round(t * 1e6),
                "1",
                SLIDE,
                ((x0, y0), (x1, y0), (x0, y1)),
                ds,
                bounds_screen_px=SCREEN,
                screen_bounds_px=SCREEN,
                covers=COVERS,
            )
        )
    return tuple(states)


def _truth(
    fixations: FloatArray, view: _View, seconds: float
) -> tuple[npt.NDArray[np.int64], FloatArray, npt.NDArray[np.bool_]]:
    """Cut true fixations where the zoom changed, and drop pieces below 60 ms."""
    zoomed = view.starts[1:][view.zooms[1:] != view.zooms[:-1]]
    times, places, panned = [], [], []
    for start, end, x, y, *drift in fixations.tolist():
        _, zoom, _ = view.at(np.array([start]))
        if np.hypot(*drift) > SLIPS_DEG_S * PX_PER_DEGREE * zoom[0]:
            continue
        stop = min(end, seconds)
        inner = zoomed[(zoomed > start) & (zoomed < stop)]
        edges = [start, *inner.tolist(), stop]
        for low, high in pairwise(edges):
            if high - low >= 0.06:
                _, _, episode = view.at(np.array([low, high]))
                times.append((round(low * 1e6), round(high * 1e6)))
                places.append((x, y))
                panned.append(bool(view.speeds[episode].any()))
    return np.array(times, np.int64), np.array(places), np.array(panned)


def match_f1(
    found_us: npt.NDArray[np.int64], truth_us: npt.NDArray[np.int64], *, iou: float = 0.5
) -> tuple[float, npt.NDArray[np.int64]]:
    """Match intervals in time; return F1 and, for each found one, the truth it is or -1.

    Above one half no interval overlaps two others so well, so there is nothing to choose.
    """
    which = np.full(len(found_us), -1)
    for i, (start, end) in enumerate(found_us.tolist()):
        low = int(np.searchsorted(truth_us[:, 1], start))
        high = int(np.searchsorted(truth_us[:, 0], end))
        for k in range(low, high):
            inter = min(end, truth_us[k, 1]) - max(start, truth_us[k, 0])
            union = max(end, truth_us[k, 1]) - min(start, truth_us[k, 0])
            if inter >= iou * union and k not in which[:i]:
                which[i] = k
    return 2 * float((which >= 0).sum()) / max(len(found_us) + len(truth_us), 1), which
