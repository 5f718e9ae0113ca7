"""What the picture is drawn from, and which objects it shows up close."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from qpgaze.frames import FloatArray
from qpgaze.model import Fixation
from qpgaze.scoring import Score, pairwise_iou
from qpgaze.slides.protocol import Slide
from qpgaze.workflows.picture import style
from qpgaze.workflows.picture.panels import Layer


def _open(path: Path) -> Slide:
    from qpgaze.slides import open_slide

    return open_slide(path)


Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class PictureCase:
    """One slide with what was looked at on it and what became of it.

    Parameters
    ----------
    slide_path : Path
    title : str
        Shown to people: the patient, say.
    truth, baseline, refined : sequence of shapely geometry or (x0, y0, x1, y1), ImagePx
        The objects, and what two methods made of the gaze.
    fixations : sequence of Fixation
        In time order.
    pixel_size_um : float, optional
        Micron per level-0 pixel, where the slide itself does not say it; without either there
        are no scale bars.
    open : callable
        How to open the slide.
    """

    slide_path: Path
    title: str
    truth: Sequence[BaseGeometry | Box]
    baseline: Sequence[BaseGeometry | Box]
    refined: Sequence[BaseGeometry | Box]
    fixations: Sequence[Fixation]
    pixel_size_um: float | None = None
    open: Callable[[Path], Slide] = field(default=_open)

    @property
    def gaze(self) -> FloatArray:
        """The fixations as (n, 3) float64: x, y (ImagePx) and duration (ms)."""
        rows = [(f.x_image_px, f.y_image_px, f.duration_ms) for f in self.fixations]
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    def layers(self) -> tuple[Layer, ...]:
        """Return truth below, then the baseline, then the refined boxes."""
        return (
            Layer(shapes(self.truth), style.TRUTH, filled=True),
            Layer(shapes(self.baseline), style.BASELINE),
            Layer(shapes(self.refined), style.REFINED),
        )

    def um_per_px(self, slide: Slide) -> float | None:
        """Return micron per level-0 pixel, None where nobody knows."""
        known = slide.pixel_size_um
        return self.pixel_size_um if known is None else float(np.sqrt(known[0] * known[1]))


def shapes(items: Sequence[BaseGeometry | Box]) -> tuple[BaseGeometry, ...]:
    """Make rectangles of boxes; geometries stay as they are."""
    return tuple(item if isinstance(item, BaseGeometry) else shapely.box(*item) for item in items)


@dataclass(frozen=True)
class Words:
    """What the picture says.

    Parameters
    ----------
    title, subtitle : str
    baseline, refined : str
        Names of the two methods.
    scores : mapping of str to Score
        By method.
    footnote : str
        What stands below the table.
    """

    title: str
    subtitle: str
    baseline: str
    refined: str
    scores: Mapping[str, Score]
    footnote: str


def score_table(scores: Mapping[str, Score]) -> list[list[str]]:
    """Put scores into rows of words, heads first, a method a column.

    Examples
    --------
    >>> for row in score_table({"mine": Score(found=3, missed=1, false=2, mean_iou=0.5)}):
    ...     print(row)
    ['', 'mine']
    ['found', '3 of 4']
    ['false', '2']
    ['mean IoU', '0.50']
    """
    each = scores.values()
    return [
        ["", *scores],
        ["found", *(f"{score.found} of {score.found + score.missed}" for score in each)],
        ["false", *(str(score.false) for score in each)],
        ["mean IoU", *(f"{score.mean_iou:.2f}" for score in each)],
    ]


@dataclass(frozen=True, eq=False)
class Look:
    """One object up close: where it lies and how well it was met."""

    case: PictureCase
    title: str
    box_image_px: tuple[float, float, float, float]
    baseline_iou: float
    refined_iou: float


def choose_objects(cases: Sequence[PictureCase], count: int) -> list[Look]:
    """Choose objects to show up close: the best, the middle and the worst refined one.

    An honest choice needs the bad case as well. Ties go to the first slide and object.

    Parameters
    ----------
    cases : sequence of PictureCase
    count : int
        At most so many, 1 to 3.
    """
    found: list[tuple[float, float, PictureCase, FloatArray]] = []
    for case in cases:
        truth, refined, baseline = (
            np.array([s.bounds for s in shapes(some)], dtype=np.float64).reshape(-1, 4)
            for some in (case.truth, case.refined, case.baseline)
        )
        best = (_best(truth, refined), _best(truth, baseline))
        found += [(r, b, case, box) for r, b, box in zip(*best, truth, strict=True)]
    found.sort(key=lambda item: -item[0])
    titles = ["best", "typical", "worst"][: min(count, len(found))]
    last = len(found) - 1
    places = [0, last // 2, last] if len(titles) == 3 else list(range(len(titles)))
    return [
        Look(case, f"{title} of {len(found)} · {case.title}", _surroundings(box), b, r)
        for title, (r, b, case, box) in zip(titles, (found[p] for p in places), strict=True)
    ]


def _best(truth: FloatArray, boxes: FloatArray) -> FloatArray:
    if not len(boxes):
        return np.zeros(len(truth))
    return np.asarray(pairwise_iou(truth, boxes).max(axis=1), dtype=np.float64)


def _surroundings(box_xyxy: FloatArray) -> tuple[float, float, float, float]:
    """Return a square three times as wide as the object, round its centre."""
    x0, y0, x1, y1 = (float(value) for value in box_xyxy)
    half = 1.35 * max(x1 - x0, y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x - half, y - half, x + half, y + half
