"""Scores: optimal matching, symmetric, and right where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.errors import UsageError
from qpgaze.scoring import pairwise_iou, score_boxes

box = st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(1, 50), st.floats(1, 50)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)
boxes = st.lists(box, max_size=6)


@given(boxes)
def test_the_truth_itself_scores_one(truth: list[list[float]]) -> None:
    score = score_boxes(truth, truth)
    assert (score.missed, score.false, score.f1) == (0, 0, 1.0)


@given(boxes, boxes)
def test_sides_may_be_swapped(a: list[list[float]], b: list[list[float]]) -> None:
    one, other = score_boxes(a, b), score_boxes(b, a)
    assert (one.found, one.missed, one.false) == (other.found, other.false, other.missed)


@given(boxes, boxes, st.randoms())
def test_order_does_not_matter(a: list[list[float]], b: list[list[float]], random) -> None:
    before = score_boxes(a, b)
    random.shuffle(a)
    assert score_boxes(a, b).found == before.found


def test_matching_is_optimal_where_greedy_is_not() -> None:
    # Either truth could take the first box; greedy by overlap gives it to the left one, and the
    # second box, which only fits there, is lost.
    truth = [[0, 0, 10, 10], [4, 0, 14, 10]]
    claimed = [[1.6, 0, 11.6, 10], [-3, 0, 7.2, 10]]
    iou = pairwise_iou(np.array(claimed, float), np.array(truth, float))
    assert iou[0, 0] > iou[0, 1] > 0.5 < iou[1, 0]
    assert score_boxes(claimed, truth).found == 2


def test_nothing_to_find() -> None:
    nothing = score_boxes([], [])
    assert nothing.f1 == 1.0
    assert math.isnan(nothing.mean_iou)
    assert score_boxes([], [[0, 0, 1, 1]]).missed == 1
    assert score_boxes([[0, 0, 1, 1]], []).false == 1


def test_threshold_out_of_range() -> None:
    with pytest.raises(UsageError, match="threshold"):
        score_boxes([], [], iou_threshold=0)
