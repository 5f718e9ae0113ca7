"""What the picture is drawn from, and which objects it shows up close."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from qpgaze.frames import FloatArray
from qpgaze.scoring import pairwise_iou
from qpgaze.slides.protocol import Slide
from qpgaze.workflows.picture import style
from qpgaze.workflows.picture.panels import Layer


def _open(path: Path) -> Slide:
    from qpgaze.slides import open_slide

    return open_slide(path)


@dataclass(frozen=True, eq=False)
class PictureCase:
    """One slide with what was looked at on it and what became of it.

    Parameters
    ----------
    slide : Path
    name : str
        Shown to people: ``Patient A``, say.
    truth, baseline, refined : sequence of shapely geometry, ImagePx
        The objects, and the boxes of two methods.
    gaze : (n, 3) array_like
        x and y on the slide (ImagePx) and duration (ms) of each fixation, in time order.
    pixel_size_um : float, optional
        Micron per level-0 pixel; without it there are no scale bars.
    open : callable
        How to open `slide`.
    """

    slide: Path
    name: str
    truth: Sequence[BaseGeometry]
    baseline: Sequence[BaseGeometry]
    refined: Sequence[BaseGeometry]
    gaze: npt.ArrayLike
    pixel_size_um: float | None = None
    open: Callable[[Path], Slide] = field(default=_open)

    @property
    def fixations(self) -> FloatArray:
        """The gaze as (n, 3) float64."""
        return np.asarray(self.gaze, dtype=np.float64).reshape(-1, 3)

    def layers(self) -> tuple[Layer, ...]:
        """Return truth below, then the baseline, then the refined boxes."""
        return (
            Layer(self.truth, style.TRUTH, filled=True),
            Layer(self.baseline, style.BASELINE),
            Layer(self.refined, style.REFINED),
        )


@dataclass(frozen=True)
class Words:
    """What the picture says.

    Parameters
    ----------
    title, subtitle : str
    baseline, refined : str
        Names of the two methods.
    table : sequence of sequence of str
        Results, the first row heads, then a row a method.
    footnote : str
        What stands below the table.
    """

    title: str
    subtitle: str
    baseline: str
    refined: str
    table: Sequence[Sequence[str]]
    footnote: str


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
            np.array([shape.bounds for shape in shapes], dtype=np.float64).reshape(-1, 4)
            for shapes in (case.truth, case.refined, case.baseline)
        )
        best = (_best(truth, refined), _best(truth, baseline))
        found += [(r, b, case, box) for r, b, box in zip(*best, truth, strict=True)]
    found.sort(key=lambda item: -item[0])
    titles = ["best", "typical", "worst"][: min(count, len(found))]
    last = len(found) - 1
    places = [0, last // 2, last] if len(titles) == 3 else list(range(len(titles)))
    return [
        Look(case, f"{title} of {len(found)} · {case.name}", _surroundings(box), b, r)
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
