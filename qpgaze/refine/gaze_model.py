"""What the gaze of a label says of an ellipse, given how trackers err and how readers scan.

A label's fixations are taken as draws from a flat-topped density over the object,
``exp(-(r / reach)^4)`` with ``r`` = 1 on its outline, moved by the session's offset; a few lie
anywhere. ``reach`` is how a reader scans: about 1 for one who looks all over an object, 0.6 for
one who looks at its core. Offset and reach are the same for all labels of a session.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qpgaze.frames import FloatArray
from qpgaze.model import Fixation, Label
from qpgaze.refine.ellipses import DIMENSIONS, H1, H2, LOG_SIZE, Ellipses, Gaussian

REACHES = np.array([0.5, 0.6, 0.72, 0.86, 1.0, 1.15])
"""Reaches that are told apart."""
_REACH_MEAN, _REACH_SD = 0.94, 0.25
"""Before any picture: places spread evenly over an object have reach 0.94 (and SD of the log)."""
_STRAY = 0.06
"""Share of a label's fixations that lie elsewhere: late keys, glances."""
_ROUNDNESS_SD = 0.17
"""SD of h1 and h2: half of all objects are less than 1.5 times as long as wide."""
_MOST_FIXATIONS = 48
_ENOUGH_FIXATIONS = 3
_TYPICAL_DEG = 2.5
"""Half width of what is examined, where nothing else tells: readers zoom in until it is large."""
_UNSURE_SD = 0.7
_SCREEN_PX_PER_DEGREE = 41.0
"""A 24 inch, 1920 px screen at 650 mm, where a label has no accuracy to tell from."""
_OFFSETS_PER_AXIS = 9
_OFFSET_REACH_SD = 2.2
_FLAT_TOP = 2.0 / math.pi**1.5
"""Makes ``exp(-r^4)`` a density over the plane."""


@dataclass(frozen=True, eq=False)
class GazeEvidence:
    """What a label's fixations say before any picture.

    Parameters
    ----------
    xy : (n, 2) float64
        Fixations, level-0 pixels.
    noise : float
        SD per axis of a fixation's own error (the tracker's noise averaged over its samples).
    offset_sd : float
        SD per axis of the session's offset at this label's magnification, level-0 pixels.
    centre : (2,) float64
        Robust middle of the fixations.
    size : float
        Size of the object that would spread them so, at a reach of 1, level-0 pixels.
    degree_px : float
        A degree of visual angle on the slide, level-0 pixels.
    size_sd : float
        How unsure the size is: SD of its logarithm.
    """

    xy: FloatArray
    noise: float
    offset_sd: float
    centre: FloatArray
    size: float
    degree_px: float
    size_sd: float = 0.45

    @classmethod
    def of(cls, label: Label) -> GazeEvidence:
        """Collect the evidence of one label."""
        fixations = _some(label.fixations)
        xy = np.array([[f.x_image_px, f.y_image_px] for f in fixations])
        accuracy = float(np.median([f.accuracy_image_px for f in fixations]))
        # Mean length of a round normal draw is 1.2533 SD per axis.
        offset_sd = max(accuracy, 1e-6) / math.sqrt(math.pi / 2)
        noises = [f.spread_image_px / math.sqrt(2 * max(f.samples, 1) / 3) for f in fixations]
        centre, square = _robust_spread(xy)
        # Fixations drawn evenly over a disc have a mean square distance of half its radius squared.
        size = math.sqrt(2.0 * max(square, 0.0))
        degree_px = _SCREEN_PX_PER_DEGREE * float(np.median([f.downsample for f in fixations]))
        if label.accuracy_deg > 0 and accuracy > 0:
            degree_px = accuracy / label.accuracy_deg
        size = max(size, offset_sd)
        return cls(xy, float(np.median(noises)), offset_sd, centre, size, degree_px)

    def proposal(self) -> Gaussian:
        """Return a wide distribution of ellipses that this gaze allows."""
        n = len(self.xy)
        mean = np.zeros(DIMENSIONS)
        mean[:2] = self.centre
        mean[LOG_SIZE] = math.log(self.size)
        place = self.offset_sd**2 + self.size**2 / (2.0 * n)
        spread = np.array([place, place, self.size_sd**2, _ROUNDNESS_SD**2, _ROUNDNESS_SD**2])
        return Gaussian(mean, np.diag(spread))


def lend_sizes(evidences: Sequence[GazeEvidence]) -> list[GazeEvidence]:
    """Give labels of one or two fixations the size that the session's others have on the screen.

    Such gaze says where, but hardly how large.
    """
    known = [e.size / e.degree_px for e in evidences if len(e.xy) >= _ENOUGH_FIXATIONS]
    typical = float(np.median(known)) if known else _TYPICAL_DEG
    return [
        e
        if len(e.xy) >= _ENOUGH_FIXATIONS
        else replace(e, size=max(e.size, typical * e.degree_px), size_sd=_UNSURE_SD)
        for e in evidences
    ]


def _some(fixations: Sequence[Fixation]) -> Sequence[Fixation]:
    """Return at most so many fixations, evenly over time: beyond that they only cost time."""
    if len(fixations) <= _MOST_FIXATIONS:
        return fixations
    chosen = np.linspace(0, len(fixations) - 1, _MOST_FIXATIONS).round().astype(int)
    return [fixations[n] for n in chosen]


def _robust_spread(xy: FloatArray) -> tuple[FloatArray, float]:
    """Return middle and unbiased mean square distance, far strays left out."""
    middle = np.median(xy, axis=0)
    if len(xy) >= 4:
        away = np.sqrt(((xy - middle) ** 2).sum(axis=1))
        xy = xy[away <= 3.0 * np.median(away)]
    middle = xy.mean(axis=0)
    if len(xy) < 2:
        return middle, 0.0
    return middle, float(((xy - middle) ** 2).sum() / (len(xy) - 1))


def log_prior_shape(parameters: FloatArray, log_size: float, log_size_sd: float) -> FloatArray:
    """Return the log prior of size and roundness, (m,), up to a constant."""
    size = (parameters[:, LOG_SIZE] - log_size) / log_size_sd
    roundness = (parameters[:, H1] ** 2 + parameters[:, H2] ** 2) / _ROUNDNESS_SD**2
    return np.asarray(-0.5 * (size**2 + roundness) - math.log(log_size_sd))


@dataclass(frozen=True, eq=False)
class Scanning:
    """All combinations of session offset and reach that are weighed against each other.

    Parameters
    ----------
    offsets : (g, 2) float64
        In SDs of the offset (per axis).
    reaches : (g,) float64
    log_prior : (g,) float64
    """

    offsets: FloatArray
    reaches: FloatArray
    log_prior: FloatArray

    @classmethod
    def grid(cls) -> Scanning:
        """Return the grid, with its prior: offsets normal, reach log-normal."""
        axis = np.linspace(-_OFFSET_REACH_SD, _OFFSET_REACH_SD, _OFFSETS_PER_AXIS)
        x, y, reach = np.meshgrid(axis, axis, REACHES, indexing="ij")
        log_prior = -0.5 * (x**2 + y**2) - 0.5 * (np.log(reach / _REACH_MEAN) / _REACH_SD) ** 2
        log_prior = log_prior.ravel()
        log_prior -= np.logaddexp.reduce(log_prior)
        return cls(np.column_stack([x.ravel(), y.ravel()]), reach.ravel(), log_prior)


def log_likelihood(
    evidence: GazeEvidence, candidates: Ellipses, scanning: Scanning
) -> npt.NDArray[np.float32]:
    """Return the log density of a label's fixations, (m, g) float32.

    Parameters
    ----------
    evidence : GazeEvidence
    candidates : Ellipses
        m of them.
    scanning : Scanning
        g combinations of offset and reach.
    """
    inverse = candidates.inverse_matrices().astype(np.float32)
    size = np.exp(candidates.parameters[:, LOG_SIZE])
    # The tracker's noise widens the cloud: variances add (that of exp(-r^4) is 0.28 per axis).
    noise = (evidence.noise**2 / 0.28) / (scanning.reaches * size[:, None]) ** 2
    widths = scanning.reaches * np.sqrt(1.0 + noise)
    peak = ((1.0 - _STRAY) * _FLAT_TOP / (widths * size[:, None]) ** 2).astype(np.float32)
    per_fourth = (1.0 / widths**4).astype(np.float32)
    stray = np.float32(_STRAY / (math.pi * (4.0 * evidence.size) ** 2))
    shift = (scanning.offsets * evidence.offset_sd).astype(np.float32)
    moved = inverse[:, :, :1] * shift[:, 0] + inverse[:, :, 1:] * shift[:, 1]
    total = np.zeros(widths.shape, dtype=np.float32)
    for point in evidence.xy:
        away = (point - candidates.centres).astype(np.float32)
        on_disc = inverse[:, :, 0] * away[:, :1] + inverse[:, :, 1] * away[:, 1:]
        square = ((on_disc[:, :, None] - moved) ** 2).sum(axis=1)
        total += np.log(peak * np.exp(-square * square * per_fourth) + stray)
    return np.asarray(total)
