"""A simulated eye tracker: what it reports of where the eye really was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qpgaze.samples import empty_records
from qpgaze.simulate.eye import EyePath
from qpgaze.simulate.records import TruthFixation
from qpgaze.simulate.settings import TrackerSettings
from qpgaze.viewing import Display

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

EYE_DISTANCE_MM = 63.0
"""Between the two eyes of an adult."""
RAYLEIGH_MEAN = math.sqrt(math.pi / 2)
"""Mean length of a round 2-D normal draw of standard deviation 1."""


@dataclass(frozen=True, eq=False)
class ScreenPlane:
    """Where the display stands in the tracker's frame (UCS, mm)."""

    origin: FloatArray
    right: FloatArray
    down: FloatArray

    @classmethod
    def of(cls, display: Display) -> ScreenPlane:
        """Take the corners that a display names, or stand it upright above the tracker."""
        corners = display.corners_ucs_mm
        if corners is None:
            half, high = display.width_mm / 2, display.height_mm
            corners = ((-half, high, 0.0), (half, high, 0.0), (-half, 0.0, 0.0))
        origin, right, low = (np.array(corner, dtype=np.float64) for corner in corners)
        return cls(origin, right - origin, low - origin)

    def point(self, adcs: FloatArray) -> FloatArray:
        """Carry ADCS positions (n, 2) into UCS, (n, 3) mm."""
        return self.origin + adcs[:, :1] * self.right + adcs[:, 1:] * self.down

    def hit(self, eye: FloatArray, direction: FloatArray) -> FloatArray:
        """Return where rays from the eyes meet the screen, ADCS (n, 2)."""
        normal = np.cross(self.right, self.down)
        reach = ((self.origin - eye) @ normal) / (direction @ normal)
        on = eye + reach[:, None] * direction - self.origin
        u = (on @ self.right) / (self.right @ self.right)
        v = (on @ self.down) / (self.down @ self.down)
        return np.column_stack([u, v])

    def eye_centre(self, distance_mm: float) -> FloatArray:
        """Return the place midway between the eyes, straight before the screen's centre."""
        normal = np.cross(self.down, self.right)
        normal = normal / math.sqrt(float(normal @ normal))
        if normal[2] < 0:
            normal = -normal
        centre = self.origin + self.right / 2 + self.down / 2
        return np.asarray(centre + distance_mm * normal, dtype=np.float64)


def deflect(eye: FloatArray, point: FloatArray, error_deg: FloatArray) -> FloatArray:
    """Turn the lines of sight from `eye` to `point` by an error.

    Parameters
    ----------
    eye, point : (n, 3) float64
        UCS, mm.
    error_deg : (n, 2) float64
        To the right and upwards.

    Returns
    -------
    (n, 3) float64
        New directions, not of unit length; the angle between old and new is the error's length.
    """
    sight = point - eye
    sight /= np.sqrt((sight**2).sum(axis=1, keepdims=True))
    side = np.cross(sight, np.array([0.0, 1.0, 0.0]))
    side /= np.sqrt((side**2).sum(axis=1, keepdims=True))
    above = np.cross(side, sight)
    size = np.sqrt((error_deg**2).sum(axis=1, keepdims=True))
    unit = np.divide(error_deg, size, out=np.zeros_like(error_deg), where=size > 0)
    tangent = np.tan(np.radians(size)) * unit
    return np.asarray(sight + tangent[:, :1] * side + tangent[:, 1:] * above, dtype=np.float64)


def simulate_tracker(
    path: EyePath,
    fixations: Sequence[TruthFixation],
    display: Display,
    settings: TrackerSettings,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.void], dict[str, object]]:
    """Sample the eye's course as an eye tracker does.

    Parameters
    ----------
    path : EyePath
        The eye on the screen; the session clock.
    fixations : sequence of TruthFixation
        What the errors of a fixation or an object are drawn for.
    display : Display
    settings : TrackerSettings
    rng : numpy.random.Generator

    Returns
    -------
    records : (n,) of GAZE_DTYPE
    drawn : dict
        ``offset_deg``, the session's offset (right, up); ``host_origin_us``, what the host's
        clock showed at the session's start; ``device_origin_us`` the same for the device's.
    """
    t_us = _stamps(path.end_us, settings, rng)
    plane = ScreenPlane.of(display)
    screen = display.bounds_screen_px
    true = path.at(t_us)
    adcs = (true - [screen.x, screen.y]) / [screen.width, screen.height]
    target = plane.point(adcs)
    head = plane.eye_centre(display.distance_mm) + _sway(t_us, rng)
    offset, session_offset = _offsets(t_us, fixations, settings, rng)
    noise = _noise(len(t_us), settings, rng)
    lost = _lost(t_us, settings, rng)
    host_origin, device_origin = (int(v) for v in rng.integers(10**9, 10**11, 2))

    records = empty_records(len(t_us))
    records["t_us"] = t_us
    records["system_us"] = t_us + host_origin
    drifted = np.rint(t_us * (settings.drift_ppm * 1e-6)).astype(np.int64)
    records["device_us"] = t_us + device_origin + drifted
    pupil = 3.4 + 0.25 * np.sin(t_us / 1e6 * 2 * math.pi / 9.0)
    for number, eye in enumerate(("left", "right")):
        place = head + np.array([(number - 0.5) * EYE_DISTANCE_MM, 0.0, 0.0])
        gaze = plane.hit(place, deflect(place, target, offset + noise[number]))
        seen = ~lost[number]
        _fill(records, eye, seen, gaze, place, pupil + 0.02 * rng.normal(size=len(t_us)))
    drawn: dict[str, object] = {
        "offset_deg": tuple(round(float(v), 6) for v in session_offset),
        "host_origin_us": host_origin,
        "device_origin_us": device_origin,
    }
    return records, drawn


def _fill(
    records: npt.NDArray[np.void],
    eye: str,
    seen: BoolArray,
    gaze: FloatArray,
    place: FloatArray,
    pupil: FloatArray,
) -> None:
    """Write one eye's columns where it was seen; elsewhere they stay NaN and invalid."""
    for axis, name in enumerate("xy"):
        records[f"{eye}_{name}_adcs"][seen] = gaze[seen, axis]
    for axis, name in enumerate("xyz"):
        records[f"{eye}_origin_{name}_mm"][seen] = place[seen, axis]
    records[f"{eye}_pupil_mm"][seen] = pupil[seen]
    for what in ("gaze", "origin", "pupil"):
        records[f"{eye}_{what}_valid"] = seen


def _stamps(end_us: int, settings: TrackerSettings, rng: np.random.Generator) -> IntArray:
    """Return rising sample times from 0 to just before `end_us`."""
    period = 1e6 / settings.rate_hz
    grid = np.arange(0.0, end_us, period)
    limit = 0.4 * period
    jitter = np.clip(rng.normal(0.0, settings.stamp_jitter_us, len(grid)), -limit, limit)
    t_us = np.rint(grid + jitter).astype(np.int64)
    return np.clip(t_us, 0, end_us - 1)


def _sway(t_us: IntArray, rng: np.random.Generator) -> FloatArray:
    """Return slow movements of the head, (n, 3) mm, a few millimetres each way."""
    seconds = t_us[:, None] / 1e6
    periods = rng.uniform(7.0, 19.0, (2, 3))
    phases = rng.uniform(0.0, 2 * math.pi, (2, 3))
    size = np.array([4.0, 2.5, 6.0])
    waves = np.sin(2 * math.pi * seconds / periods[0] + phases[0])
    waves = waves + 0.5 * np.sin(2 * math.pi * seconds / periods[1] + phases[1])
    return np.asarray(size * waves / 1.5, dtype=np.float64)


def _offsets(
    t_us: IntArray,
    fixations: Sequence[TruthFixation],
    settings: TrackerSettings,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return the offset at each sample, (n, 2) deg, and the session's part of it, (2,)."""
    per_axis = settings.accuracy_deg / RAYLEIGH_MEAN
    share = 1.0 - settings.fixation_share - settings.object_share
    session = rng.normal(size=2) * per_axis * math.sqrt(share)
    each = rng.normal(size=(len(fixations), 2)) * per_axis * math.sqrt(settings.fixation_share)
    visits = 2 + max((f.visit for f in fixations), default=-1)
    visit = rng.normal(size=(visits, 2)) * per_axis * math.sqrt(settings.object_share)
    if not fixations:
        return np.tile(session, (len(t_us), 1)), session
    # A saccade belongs to the fixation that it leads to, as far as errors go.
    ends = np.array([f.end_us for f in fixations])
    which = np.minimum(np.searchsorted(ends, t_us, side="right"), len(fixations) - 1)
    visit_of = np.array([f.visit for f in fixations])[which]
    return session + each[which] + visit[visit_of], session


def _noise(n: int, settings: TrackerSettings, rng: np.random.Generator) -> FloatArray:
    """Return both eyes' noise, (2, n, 2) deg, whose mean has the wanted precision."""
    shared = settings.eye_correlation
    per_axis = settings.precision_deg / math.sqrt(2.0)
    one_eye = per_axis * math.sqrt(2.0 / (1.0 + shared))
    both = rng.normal(size=(n, 2)) * math.sqrt(shared)
    alone = rng.normal(size=(2, n, 2)) * math.sqrt(1.0 - shared)
    return np.asarray(one_eye * (both + alone), dtype=np.float64)


def _lost(t_us: IntArray, settings: TrackerSettings, rng: np.random.Generator) -> BoolArray:
    """Return when each eye is lost, (2, n)."""
    lost = np.zeros((2, len(t_us)), dtype=np.bool_)
    seconds = t_us[-1] / 1e6 if len(t_us) else 0.0
    for _ in range(int(rng.poisson(settings.blinks_per_minute * seconds / 60.0))):
        start = rng.uniform(0.0, seconds * 1e6)
        length = 1000.0 * settings.blink_median_ms * math.exp(0.3 * rng.normal())
        lost[:, (t_us >= start) & (t_us < start + length)] = True
    period_ms = 1000.0 / settings.rate_hz
    _bursts(lost, (0, 1), settings.loss_share, 3.0, rng)
    for eye in (0, 1):
        share = settings.one_eye_loss_share / 2
        _bursts(lost, (eye,), share, max(1.0, 250.0 / period_ms), rng)
    return lost


def _bursts(
    lost: BoolArray, eyes: tuple[int, ...], share: float, mean: float, rng: np.random.Generator
) -> None:
    """Lose about `share` of the samples in bursts of `mean` samples on average."""
    n = lost.shape[1]
    for _ in range(int(rng.poisson(share * n / mean))):
        start, length = int(rng.integers(0, n)), int(rng.geometric(1.0 / mean))
        for eye in eyes:
            lost[eye, start : start + length] = True
