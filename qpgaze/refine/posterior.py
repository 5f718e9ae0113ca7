"""Ours: boxes drawn from what gaze allows, weighted by how they stand out in the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import shapely

from qpgaze.errors import UsageError
from qpgaze.frames import FloatArray
from qpgaze.model import Label, RefinedLabel
from qpgaze.refine.ellipses import LOG_SIZE, Ellipses, Gaussian
from qpgaze.refine.gaze_model import (
    GazeEvidence,
    Scanning,
    lend_sizes,
    log_likelihood,
    log_prior_shape,
)
from qpgaze.refine.picture import Appearance, Patch, Sampled, contrast, fit, read_patch
from qpgaze.slides.protocol import Slide

METHOD = "gaze-picture"
METHOD_WITHOUT_PICTURE = "gaze-posterior"

_SIZE_SD = 0.5
"""Before a session is known: sizes of its objects differ by a factor of 1.65 either way."""
_SESSION_WEIGHT = 3.0
"""That prior counts as so many labels when a session's own sizes are learnt."""
_ALONE = 0.1
"""Share of belief that a label's offset is its own: a turned view, a moved head."""
_TOGETHER = 60
"""Labels that are learnt from together, in time order: trackers drift, and memory is finite."""
_NOT_AN_ELLIPSE = 0.05
"""Objects are no ellipses: their boxes differ from those of the best ones by such a share."""
_WINDOW = 3.2
"""Half side of a label's patch over its size by gaze: all likely candidates with their rings."""


@dataclass(frozen=True)
class PosteriorParameters:
    """How candidates are drawn and weighed.

    Parameters
    ----------
    candidates : int
        Ellipses a label and round.
    contrast_pieces : float
        Independent observations that an inside is worth when it is told from its ring.
    appearance_pieces : float
        The same when it is compared with the session's other labels of the class.
    """

    candidates: int = 400
    contrast_pieces: float = 8.0
    appearance_pieces: float = 16.0

    def __post_init__(self) -> None:
        if not 16 <= self.candidates <= 100_000:
            raise UsageError(f"candidates lies in 16..100000, but {self.candidates} came.")
        for name in ("contrast_pieces", "appearance_pieces"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} is not negative, but {getattr(self, name)} came.")


class _Work:
    """One label while it is refined: candidates, and the parts of their weights."""

    def __init__(self, label: Label, gaze: GazeEvidence) -> None:
        self.label = label
        self.gaze = gaze
        seed = [label.session.int % 2**64, label.session.int >> 64, label.number]
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
        self.patch: Patch | None = None
        self.sampled: Sampled | None = None
        self.candidates = Ellipses(np.empty((0, 5)))
        self.log_drawn: FloatArray = np.empty(0)
        self.gaze_grid: npt.NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        self.shape: FloatArray = np.empty(0)
        self.picture: FloatArray = np.empty(0)
        self.weights: FloatArray = np.empty(0)

    def draw(self, parts: Sequence[Gaussian], n: int, scanning: Scanning) -> None:
        """Draw candidates from an even mixture and compare them with the gaze."""
        each = n // len(parts)
        drawn = np.concatenate([part.draw(each, self.rng) for part in parts])
        self.candidates = Ellipses(drawn)
        densities = [part.log_density(drawn) for part in parts]
        self.log_drawn = np.logaddexp.reduce(densities, axis=0) - math.log(len(parts))
        self.gaze_grid = log_likelihood(self.gaze, self.candidates, scanning)
        self.picture = np.zeros(len(drawn))
        if self.patch is not None:
            self.sampled = Sampled.of(self.patch, self.candidates)

    def look(self, parameters: PosteriorParameters, appearance: Appearance | None) -> None:
        """Compare the candidates with the picture."""
        if self.patch is None or self.sampled is None:
            return
        self.picture = contrast(self.patch, self.sampled, parameters.contrast_pieces)
        if appearance is not None:
            pieces = parameters.appearance_pieces
            self.picture = self.picture + fit(self.patch, self.sampled, appearance, pieces)

    def log_weights(self, *, with_picture: bool = True) -> npt.NDArray[np.float32]:
        """Return each candidate's log weight for each way of scanning, (m, g)."""
        fixed = self.shape - self.log_drawn + (self.picture if with_picture else 0.0)
        return np.asarray(fixed[:, None].astype(np.float32) + self.gaze_grid)


def refine_with_picture(
    labels: Sequence[Label],
    slide: Slide | None,
    parameters: PosteriorParameters,
    step: Callable[[int], None] | None = None,
) -> list[RefinedLabel]:
    """Refine the labels of one session and image by gaze and picture.

    Parameters
    ----------
    labels : sequence of Label
    slide : Slide
    parameters : PosteriorParameters
    step : callable, optional
        Called with the number of labels done.

    Returns
    -------
    list of RefinedLabel
        One a label: the posterior mean box.
    """
    return _refine(labels, slide, parameters, METHOD, step)


def refine_without_picture(
    labels: Sequence[Label],
    slide: Slide | None,  # noqa: ARG001 - that is the point of it
    parameters: PosteriorParameters,
    step: Callable[[int], None] | None = None,
) -> list[RefinedLabel]:
    """Refine the labels of one session and image by gaze alone; see the method with picture."""
    return _refine(labels, None, parameters, METHOD_WITHOUT_PICTURE, step)


def _refine(
    labels: Sequence[Label],
    slide: Slide | None,
    parameters: PosteriorParameters,
    method: str,
    step: Callable[[int], None] | None,
) -> list[RefinedLabel]:
    refined: list[RefinedLabel] = []
    groups = math.ceil(len(labels) / _TOGETHER)
    for group in range(groups):
        ours = labels[group * len(labels) // groups : (group + 1) * len(labels) // groups]

        def tell(n: int, before: int = len(refined)) -> None:
            if step:
                step(before + n)

        refined += _refine_group(ours, slide, parameters, method, tell)
        tell(len(ours), len(refined) - len(ours))
    return refined


def _refine_group(
    labels: Sequence[Label],
    slide: Slide | None,
    parameters: PosteriorParameters,
    method: str,
    step: Callable[[int], None],
) -> list[RefinedLabel]:
    scanning = Scanning.grid()
    evidences = lend_sizes([GazeEvidence.of(label) for label in labels])
    works = [_Work(label, gaze) for label, gaze in zip(labels, evidences, strict=True)]
    for n, work in enumerate(works):
        if slide is not None:
            half = _WINDOW * work.gaze.size + work.gaze.offset_sd
            seen = float(np.median([f.downsample for f in work.label.fixations]))
            x, y = (float(v) for v in work.gaze.centre)
            work.patch = read_patch(slide, x, y, half, seen)
        work.draw([work.gaze.proposal()], parameters.candidates, scanning)
        work.look(parameters, None)
        step(n // 2)
    belief = _weigh(works, scanning)
    for n, work in enumerate(works):
        wide, near = work.gaze.proposal(), _around(work)
        work.draw([wide, near], parameters.candidates, scanning)
        work.look(parameters, None)
        step((len(works) + n) // 2)
    belief = _weigh(works, scanning)
    if slide is not None and parameters.appearance_pieces > 0:
        for _ in range(2):
            for work, appearance in zip(works, _appearances(works), strict=True):
                work.look(parameters, appearance)
            belief = _weigh(works, scanning)
    return [_result(work, belief, parameters, method) for work in works]


def _weigh(works: Sequence[_Work], scanning: Scanning) -> FloatArray:
    """Weigh all candidates; return the belief in each way of scanning, (g,).

    How large the objects of each class are is learnt on the way, by three rounds of EM.
    """
    classes = [_SizesOfClass(ours) for ours in _by_class(works).values()]
    belief = np.exp(scanning.log_prior)
    for round_of_em in range(3):
        if round_of_em:
            for sizes in classes:
                sizes.learn()
        evidences = []
        for work in works:
            evidence = _log_sum(work.log_weights())
            # A label that stands alone supports every offset alike (but each reach on its own).
            alone = _by_reach(evidence, scanning)
            evidences.append(np.logaddexp(evidence + math.log1p(-_ALONE), alone + math.log(_ALONE)))
        log_belief = scanning.log_prior + np.sum(evidences, axis=0)
        belief = np.exp(log_belief - np.logaddexp.reduce(log_belief))
        for work in works:
            work.weights = _mix(work.log_weights(), belief)
    return belief


def _by_class(works: Sequence[_Work]) -> dict[str, list[_Work]]:
    classes: dict[str, list[_Work]] = {}
    for work in works:
        classes.setdefault(work.label.class_name, []).append(work)
    return classes


class _SizesOfClass:
    """How large a session's objects of one class are: a log-normal that is learnt."""

    def __init__(self, works: Sequence[_Work]) -> None:
        self._works = works
        self._start = float(np.median([math.log(work.gaze.size) for work in works]))
        self._apply(self._start, _SIZE_SD)

    def _apply(self, log_size: float, sd: float) -> None:
        for work in self._works:
            work.shape = log_prior_shape(work.candidates.parameters, log_size, sd)

    def learn(self) -> None:
        """Fit to the weighted candidates, the prior counting as a few labels."""
        sizes = [(work.weights, work.candidates.parameters[:, LOG_SIZE]) for work in self._works]
        means = np.array([(w * s).sum() for w, s in sizes])
        squares = np.array([(w * s**2).sum() for w, s in sizes])
        total = len(sizes) + _SESSION_WEIGHT
        log_size = float((means.sum() + _SESSION_WEIGHT * self._start) / total)
        around = float((squares - 2 * log_size * means + log_size**2).sum())
        self._apply(log_size, math.sqrt((around + _SESSION_WEIGHT * _SIZE_SD**2) / total))


def _by_reach(evidence: FloatArray, scanning: Scanning) -> FloatArray:
    """Average evidence over offsets, (g,) to (g,)."""
    result = np.empty_like(evidence)
    for reach in np.unique(scanning.reaches):
        same = scanning.reaches == reach
        prior = scanning.log_prior[same] - np.logaddexp.reduce(scanning.log_prior[same])
        result[same] = np.logaddexp.reduce(evidence[same] + prior)
    return result


def _log_sum(logs: npt.NDArray[np.float32]) -> FloatArray:
    """Return the logarithm of the sums of exponentials over the first axis."""
    top = logs.max(axis=0)
    total = np.exp(logs - top).sum(axis=0, dtype=np.float64)
    return np.asarray(np.log(total) + top)


def _mix(log_weights: npt.NDArray[np.float32], belief: FloatArray) -> FloatArray:
    """Return normalised weights, averaged over the ways of scanning by belief, (m,)."""
    likely = np.flatnonzero(belief > 1e-4 * belief.max())
    chosen = log_weights[:, likely]
    shares = np.exp(chosen - _log_sum(chosen)) * belief[likely]
    weights = shares.sum(axis=1)
    return np.asarray(weights / weights.sum())


def _around(work: _Work) -> Gaussian:
    """Return a distribution somewhat wider than what a label's weights say."""
    parameters = work.candidates.parameters
    mean = work.weights @ parameters
    away = parameters - mean
    covariance = (away * work.weights[:, None]).T @ away
    floor = np.diag(work.gaze.proposal().covariance) * 0.02
    return Gaussian(mean, 2.0 * covariance + np.diag(floor))


def _appearances(works: Sequence[_Work]) -> list[Appearance]:
    """Learn what each class looks like; return that of each label's class."""
    learnt = {
        name: Appearance.learn(
            [w.patch for w in ours if w.patch is not None],
            [w.sampled for w in ours if w.sampled is not None],
            [w.weights for w in ours],
        )
        for name, ours in _by_class(works).items()
    }
    return [learnt[work.label.class_name] for work in works]


def _result(
    work: _Work, belief: FloatArray, parameters: PosteriorParameters, method: str
) -> RefinedLabel:
    boxes = work.candidates.boxes()
    box = work.weights @ boxes
    variance = float((work.weights @ (boxes - box) ** 2).mean())
    variance += (_NOT_AN_ELLIPSE * float(np.mean(box[2:] - box[:2])) / 2) ** 2
    blind = (
        work.weights if work.patch is None else _mix(work.log_weights(with_picture=False), belief)
    )
    return RefinedLabel(
        label=work.label,
        geometry=shapely.box(*_inside(box, work.label)),
        method=method,
        parameters=asdict(parameters),
        uncertainty_image_px=math.sqrt(variance),
        picture_weight=float(np.abs(work.weights - blind).sum() / 2),
    )


def _inside(box: FloatArray, label: Label) -> FloatArray:
    """Keep a box on its slide, at least a pixel wide."""
    width, height = label.image.width_px, label.image.height_px
    low = np.clip(box[:2], 0.0, [max(width - 1.0, 0.0), max(height - 1.0, 0.0)])
    high = np.clip(box[2:], low + 1.0, np.maximum(low + 1.0, [width, height]))
    return np.concatenate([low, high])
