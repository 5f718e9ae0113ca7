"""Which objects become labels, and which part a patient goes to."""

from __future__ import annotations

from collections import Counter

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from qpgaze import keys
from qpgaze.errors import UsageError
from qpgaze.export import select
from qpgaze.export.split import PARTS, group, split

BOX = (10, 10, 60, 60)


def test_every_reason_to_leave_an_object_out(make_object) -> None:
    rejected = {keys.STATE: keys.ReviewState.REJECTED.value}
    objects = [
        make_object(1, BOX),
        make_object(2, BOX, metadata={keys.STATE: keys.ReviewState.PROPOSED.value}),
        make_object(3, BOX, metadata=rejected),
        make_object(4, BOX, keys.FIXATION_CLASS),
        make_object(5, BOX, None),
        make_object(6, BOX, "Ignore*"),
        make_object(7, BOX, kind="cell"),
        make_object(8, BOX, z=2),
        make_object(9, shapely.LineString([(0, 0), (9, 9)])),
        make_object(10, shapely.Point(5, 5)),
        make_object(11, shapely.Polygon()),
        make_object(12, BOX, "Stroma"),
    ]
    chosen, skipped = select.choose(objects, classes=["Pearl"])
    assert [c.id.int for c in chosen] == [1, 2]
    assert skipped == Counter(
        {
            select.REJECTED: 1,
            select.FIXATION: 1,
            select.UNCLASSIFIED: 1,
            select.IGNORED: 1,
            select.OTHER_KIND: 1,
            select.OTHER_PLANE: 1,
            select.NO_AREA: 3,
            select.OTHER_CLASS: 1,
        }
    )


def test_an_ellipse_is_drawn_out(make_object) -> None:
    (one,), _ = select.choose([make_object(1, (0, 0, 40, 20), is_ellipse=True)])
    assert one.shape.bounds == pytest.approx((0, 0, 40, 20))
    assert one.shape.area == pytest.approx(3.14159 * 20 * 10, rel=0.002)


def test_a_shape_that_crosses_itself_is_made_valid(make_object) -> None:
    bow = shapely.Polygon([(0, 0), (40, 40), (40, 0), (0, 40)])
    (one,), _ = select.choose([make_object(1, bow)])
    assert one.shape.is_valid
    assert one.shape.area == pytest.approx(800)


@given(
    st.sets(st.text("abcdef", min_size=1), max_size=40),
    st.integers(0, 5),
    st.sampled_from(
        [(0.7, 0.15, 0.15), (0.8, 0.2, 0.0), (1, 0, 0), (0.1, 0.45, 0.45), (0.5, 0, 0.5)]
    ),
)
def test_each_group_has_one_part_and_each_share_a_group(groups, seed, fractions) -> None:
    given_parts = split(groups, fractions=fractions, seed=seed)
    assert set(given_parts) == groups
    wanted = {part for part, share in zip(PARTS, fractions, strict=True) if share}
    if len(groups) < len(wanted):
        assert set(given_parts.values()) <= {"train"}
    else:
        assert set(given_parts.values()) == wanted
    assert split(sorted(groups, reverse=True), fractions=fractions, seed=seed) == given_parts


def test_another_seed_is_another_draw() -> None:
    names = [f"patient {n}" for n in range(30)]
    assert split(names, seed=1) != split(names, seed=2)
    assert Counter(split(names).values()) == {"train": 22, "valid": 4, "test": 4}


@pytest.mark.parametrize(
    "fractions",
    [(0.5, 0.5), (0.5, 0.6, 0.1), (1.2, -0.1, -0.1), (0, 0.5, 0.5), (float("nan"),) * 3],
)
def test_shares_that_make_no_split_are_refused(fractions) -> None:
    with pytest.raises(UsageError, match="sum up to 1"):
        split(["a", "b", "c"], fractions=fractions)


@given(st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=15))
def test_what_shares_a_link_shares_a_group(links) -> None:
    names = [f"{n:02}" for n in range(len(links))]
    groups = group(links, names)
    for i, mine in enumerate(links):
        for j, other in enumerate(links):
            if set(mine) & set(other):
                assert groups[i] == groups[j]
    assert all(groups[int(name)] == name for name in groups)
