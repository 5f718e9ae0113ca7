"""How well a tracker measures: accuracy, precision, loss, from gaze on targets of known place.

Angles lie on the sphere round the eye: every gaze is a direction in space, never a place on a
plane, so that the same error counts the same in the middle and in the corner of the screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qpgaze.errors import UsageError
from qpgaze.frames import Adcs, FloatArray, IntArray, Points
from qpgaze.gaze.degrees import display_size_mm, eye_positions
from qpgaze.gaze.views import BoolArray
from qpgaze.samples import GazeSamples
from qpgaze.viewing import Display

EYES = ("left", "right", "mean")
"""Each eye alone, and the mean of those that are valid, which is what maps onto the slide."""

ABSENT_AFTER = 1.5
"""Two rows further apart than this many sample intervals have lost rows between them."""


@dataclass(frozen=True, eq=False)
class TargetWindow:
    """The samples taken while the eye rested on one target.

    Parameters
    ----------
    x_adcs, y_adcs : float
        Where the target was.
    gaze : GazeSamples
        In time order; invalid samples belong to it, or loss could not be told.
    """

    x_adcs: float
    y_adcs: float
    gaze: GazeSamples


@dataclass(frozen=True)
class EyeQuality:
    """How well one eye was measured on one target, or on average over several.

    Parameters
    ----------
    accuracy_deg : float
        Angle between the mean direction of gaze and that of the target.
    offset_right_deg, offset_down_deg : float
        The same with its direction, as seen by the reader.
    precision_sd_deg : float
        Standard deviation: root of the mean squared angle to the mean direction.
    precision_rms_deg : float
        RMS-S2S: root of the mean squared angle from one sample to the next.
    loss : float
        Share of samples without a valid gaze, rows that never came included.
    effective_hz : float
        Valid samples per second.
    largest_gap_ms : float
        Longest time between two valid samples, or from an end of the window to the first or last.
    valid : int
        Number of valid samples.

    Notes
    -----
    NaN where there were too few valid samples: one for the accuracy, two for the precision.
    """

    accuracy_deg: float
    offset_right_deg: float
    offset_down_deg: float
    precision_sd_deg: float
    precision_rms_deg: float
    loss: float
    effective_hz: float
    largest_gap_ms: float
    valid: int

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


@dataclass(frozen=True)
class TargetQuality:
    """What was measured on one target.

    Parameters
    ----------
    x_adcs, y_adcs : float
    left, right, mean : EyeQuality
        Each eye alone, and the mean of the valid eyes.
    """

    x_adcs: float
    y_adcs: float
    left: EyeQuality
    right: EyeQuality
    mean: EyeQuality

    def to_json(self) -> dict[str, Any]:
        """Return place and figures by name."""
        eyes = {eye: getattr(self, eye).to_json() for eye in EYES}
        return {"x_adcs": self.x_adcs, "y_adcs": self.y_adcs, **eyes}


@dataclass(frozen=True)
class GazeQuality:
    """What was measured on all targets.

    Parameters
    ----------
    targets : tuple of TargetQuality
    """

    targets: tuple[TargetQuality, ...]

    def over(self, *eyes: str) -> EyeQuality:
        """Average over targets and over the given eyes.

        Parameters
        ----------
        *eyes : {"left", "right", "mean"}

        Returns
        -------
        EyeQuality
            Targets without a figure are left out of its mean; the largest gap is the largest of
            all, valid samples are summed.

        Raises
        ------
        UsageError
            If an eye has another name.
        """
        wrong = [eye for eye in eyes if eye not in EYES]
        if wrong or not eyes:
            raise UsageError(f"Expected eyes among {', '.join(EYES)}, but {eyes!r} came.")
        return average_quality(getattr(t, eye) for t in self.targets for eye in eyes)

    def to_json(self) -> dict[str, Any]:
        """Return the averages of each eye, and every target."""
        return {
            "eyes": {eye: self.over(eye).to_json() for eye in EYES},
            "targets": [target.to_json() for target in self.targets],
        }


def average_quality(parts: Iterable[EyeQuality]) -> EyeQuality:
    """Average figures of several targets or eyes, each with the same weight.

    Parameters
    ----------
    parts : iterable of EyeQuality
        NaN is left out; where nothing else came the result is NaN.
    """
    every = tuple(parts)
    means = {}
    for name in EyeQuality.__dataclass_fields__:
        values = np.array([getattr(part, name) for part in every], dtype=np.float64)
        values = values[np.isfinite(values)]
        means[name] = float(values.mean()) if len(values) else float("nan")
    gaps = [p.largest_gap_ms for p in every if np.isfinite(p.largest_gap_ms)]
    means["largest_gap_ms"] = max(gaps, default=float("nan"))
    return EyeQuality(**{**means, "valid": sum(p.valid for p in every)})  # type: ignore[arg-type]


def measure_quality(windows: Sequence[TargetWindow], display: Display) -> GazeQuality:
    """Measure a tracker by gaze on targets.

    Parameters
    ----------
    windows : sequence of TargetWindow
        One for each target.
    display : Display
        With corners in the tracker's frame, and measured eye positions, each eye is seen from
        where it was; without, from ``distance_mm`` before the display's centre.

    Notes
    -----
    Definitions as in the ETDQualitizer (Niehorster et al.): accuracy from the mean unit vector,
    standard deviation with n, not n - 1, RMS-S2S over pairs of which both are valid. It takes
    differences of azimuth and elevation; here the angle itself is taken, which no turn of the
    axes changes (0.2 % apart on its example recording).

    An eye's place is the mean over the window: the head hardly moves within a second, and the
    noise of the measured place is no noise of gaze.

    Examples
    --------
    >>> from qpgaze.samples import empty_records
    >>> from qpgaze.viewing import Rect
    >>> records = empty_records(3)
    >>> records["t_us"] = [0, 10_000, 20_000]
    >>> for eye in ("left", "right"):
    ...     records[f"{eye}_x_adcs"], records[f"{eye}_y_adcs"] = 0.52, 0.5
    ...     records[f"{eye}_gaze_valid"] = 1
    >>> display = Display(Rect(0, 0, 1920, 1080), 528, 297)
    >>> found = measure_quality([TargetWindow(0.5, 0.5, GazeSamples(records))], display)
    >>> round(found.over("mean").accuracy_deg, 2), found.over("left").loss
    (0.93, 0.0)
    """
    return GazeQuality(tuple(_target(window, display) for window in windows))


def _target(window: TargetWindow, display: Display) -> TargetQuality:
    gaze = window.gaze
    t_us = np.asarray(gaze.column("t_us"), dtype=np.int64)
    if len(t_us) > 1 and int(np.diff(t_us).min()) < 0:
        raise UsageError("The samples on a target run backwards in time.")
    target = np.array([[window.x_adcs, window.y_adcs]])
    found = {}
    for eye in EYES:
        place = _eye_place(gaze, display, eye)
        points = gaze.average() if eye == "mean" else gaze.eye(eye)
        towards = directions(points, display, place)
        aim = directions(Points(Adcs, target), display, place)[0]
        found[eye] = eye_quality(t_us, towards, aim)
    return TargetQuality(window.x_adcs, window.y_adcs, **found)


def _eye_place(gaze: GazeSamples, display: Display, eye: str) -> FloatArray:
    """Return where the eye was on average, (3,) mm in the display plane."""
    if eye != "mean":
        other = "right" if eye == "left" else "left"
        name = f"{other}_origin_valid"
        if name in (gaze.records.dtype.names or ()):
            alone = np.array(gaze.records)
            alone[name] = 0
            gaze = GazeSamples(alone)
    places = eye_positions(gaze, display)
    xyz = np.column_stack([places.x_mm, places.y_mm, places.z_mm])
    if places.measured.any():
        return np.asarray(xyz[places.measured].mean(axis=0), dtype=np.float64)
    return np.array([display.width_mm / 2, display.height_mm / 2, display.distance_mm])


def directions(points: Points[Adcs], display: Display, eye_mm: FloatArray) -> FloatArray:
    """Return unit vectors from an eye to places on the display.

    Parameters
    ----------
    points : Points[Adcs], (n, 2)
    display : Display
    eye_mm : (3,) float64
        Display plane: x right, y down, z to the reader, from the top-left corner.

    Returns
    -------
    (n, 3) float64
        Right, down, towards the display; NaN where the point is.
    """
    size = np.array(display_size_mm(display))
    on = points.expect(Adcs).xy * size - eye_mm[:2]
    rays = np.column_stack([on, np.full(len(on), eye_mm[2])])
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True), dtype=np.float64)


def eye_quality(t_us: IntArray, towards: FloatArray, target: FloatArray) -> EyeQuality:
    """Measure one eye on one target.

    Parameters
    ----------
    t_us : (n,) int64
        When, rising.
    towards : (n, 3) float64
        Unit vectors of gaze, NaN where not valid.
    target : (3,) float64
        Unit vector to the target.
    """
    seen = np.asarray(np.isfinite(towards).all(axis=1), dtype=np.bool_)
    loss, hertz, gap_ms = _loss(t_us, seen)
    accuracy, right, down, sd = (float("nan"),) * 4
    if seen.any():
        centre = towards[seen].mean(axis=0)
        centre /= np.linalg.norm(centre)
        accuracy = float(_angle_deg(centre, target))
        right, down = _offset_deg(centre, target)
    if int(seen.sum()) > 1:
        sd = _root_mean_square(_angle_deg(towards[seen], centre))
    pairs = seen[1:] & seen[:-1] & np.equal(_rows_between(t_us), 0)
    steps = _angle_deg(towards[1:][pairs], towards[:-1][pairs])
    rms = _root_mean_square(steps) if len(steps) else float("nan")
    return EyeQuality(accuracy, right, down, sd, rms, loss, hertz, gap_ms, int(seen.sum()))


def _loss(t_us: IntArray, seen: BoolArray) -> tuple[float, float, float]:
    """Return the lost share, valid samples per second, and the largest gap in ms."""
    if len(t_us) < 2:
        lost = 1.0 - float(seen.mean()) if len(seen) else 1.0
        return lost, float("nan"), float("nan")
    expected = len(t_us) + int(_rows_between(t_us).sum())
    # The last sample lasts as long as the others.
    duration_us = int(t_us[-1] - t_us[0]) + float(np.median(np.diff(t_us)))
    times = t_us[seen]
    ends = np.concatenate([t_us[:1], times, t_us[-1:]])
    gap_ms = float(np.diff(ends).max()) / 1e3
    hertz = len(times) / (duration_us / 1e6) if duration_us else float("nan")
    return 1.0 - len(times) / expected, hertz, gap_ms


def _rows_between(t_us: IntArray) -> IntArray:
    """Return how many rows are missing between each row and the next, (n - 1,)."""
    steps = np.diff(t_us)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual <= 0:
        return np.zeros(len(steps), dtype=np.int64)
    missing = np.rint(steps / usual).astype(np.int64) - 1
    return np.where(steps > ABSENT_AFTER * usual, np.maximum(missing, 1), 0)


def _angle_deg(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the angles between unit vectors, exact for small ones where acos is not."""
    cross = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.asarray(np.degrees(np.arctan2(cross, (a * b).sum(axis=-1))), dtype=np.float64)


def _offset_deg(centre: FloatArray, target: FloatArray) -> tuple[float, float]:
    """Return how far gaze lies to the right of and below the target."""
    right = np.array([target[2], 0.0, -target[0]])
    right /= np.linalg.norm(right)
    down = np.cross(target, right)
    x, y = float(centre @ right), float(centre @ down)
    length = float(np.hypot(x, y))
    if length == 0.0:
        return 0.0, 0.0
    angle = float(_angle_deg(centre, target))
    return angle * x / length, angle * y / length


def _root_mean_square(angles_deg: FloatArray) -> float:
    return float(np.sqrt(np.mean(angles_deg**2)))
