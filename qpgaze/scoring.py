"""How well boxes agree with the truth: one-to-one matching at an overlap threshold.

The matching is optimal (Hungarian), not greedy: the order of the boxes never changes the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qpgaze.errors import UsageError


@dataclass(frozen=True)
class Score:
    """Counts of one comparison; precision, recall and F1 follow from them.

    Parameters
    ----------
    found, missed, false : int
        True positives, false negatives, false positives.
    mean_iou : float
        Mean overlap over the truth, with 0 for a missed object; NaN without truth.
    """

    found: int
    missed: int
    false: int
    mean_iou: float

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where there was nothing to find and nothing was claimed."""
        total = 2 * self.found + self.missed + self.false
        return 2 * self.found / total if total else 1.0


def pairwise_iou(
    a_xyxy: npt.NDArray[np.float64], b_xyxy: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Compute the overlap of every box with every other.

    Parameters
    ----------
    a_xyxy, b_xyxy : (n, 4) and (m, 4) float64
        Corners x0, y0, x1, y1, both in one frame.

    Returns
    -------
    (n, m) float64
        Intersection over union, 0..1.

    Examples
    --------
    >>> import numpy as np
    >>> pairwise_iou(np.array([[0., 0, 2, 2]]), np.array([[1., 0, 3, 2]])).round(3)
    array([[0.333]])
    """
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    inter = np.prod(np.clip(high - low, 0.0, None), axis=2)
    area_a = np.prod(a_xyxy[:, 2:] - a_xyxy[:, :2], axis=1)
    area_b = np.prod(b_xyxy[:, 2:] - b_xyxy[:, :2], axis=1)
    union = area_a[:, None] + area_b[None, :] - inter
    iou: npt.NDArray[np.float64] = np.divide(
        inter, union, out=np.zeros_like(inter), where=union > 0
    )
    return iou


def score_boxes(
    boxes_xyxy: npt.ArrayLike, truth_xyxy: npt.ArrayLike, *, iou_threshold: float = 0.5
) -> Score:
    """Match boxes with the truth one to one and count.

    Parameters
    ----------
    boxes_xyxy, truth_xyxy : array_like, (n, 4) and (m, 4)
        Corners x0, y0, x1, y1, both in one frame. Either may be empty.
    iou_threshold : float
        A pair counts as found from this overlap on.

    Raises
    ------
    UsageError
        If the threshold is not in (0, 1].

    Examples
    --------
    >>> score_boxes([[0, 0, 10, 10], [50, 50, 60, 60]], [[1, 0, 11, 10]]).f1.__round__(3)
    0.667
    """
    if not 0.0 < iou_threshold <= 1.0:
        raise UsageError(f"An overlap threshold lies in (0, 1], but {iou_threshold} came.")
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    truth = np.asarray(truth_xyxy, dtype=np.float64).reshape(-1, 4)
    if not len(boxes) or not len(truth):
        return Score(0, len(truth), len(boxes), 0.0 if len(truth) else float("nan"))
    from scipy.optimize import linear_sum_assignment

    iou = pairwise_iou(boxes, truth)
    # What is found comes first, whatever all other overlaps add up to; they only break ties.
    worth = iou + (iou >= iou_threshold) * (1.0 + min(iou.shape))
    rows, columns = linear_sum_assignment(-worth)
    matched = iou[rows, columns]
    found = int(np.count_nonzero(matched >= iou_threshold))
    return Score(found, len(truth) - found, len(boxes) - found, float(matched.sum() / len(truth)))
