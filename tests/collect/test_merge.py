"""Merging is the same in every order, adds nothing twice, and loses nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from qpgaze import keys
from qpgaze.bridge.differing import difference
from qpgaze.bridge.ledger import Operation, Record, records_of
from qpgaze.bridge.merge import ImageMerge, merge_objects
from qpgaze.model import SlideObject

SESSION = UUID("6f1f0e0a-2b7b-4a37-9d7e-0a6a3a5f9d01")


def made(number: int) -> SlideObject:
    """A label by qpgaze below 4, what a person drew from there on."""
    box = shapely.box(10 * number, 0, 10 * number + 8, 9)
    if number >= 4:
        return SlideObject(id=UUID(int=number, version=4), geometry=box, class_name="Tumor")
    texts = {keys.SESSION: str(SESSION), keys.LABEL: str(number), keys.PART: "0"}
    texts[keys.STATE] = "proposed"
    identity = uuid5(SESSION, f"{number}/0")
    return SlideObject(id=identity, geometry=box, class_name="Pearl", metadata=texts)


@dataclass(frozen=True)
class Side:
    """One image in one copy."""

    objects: tuple[SlideObject, ...]
    records: tuple[Record, ...]

    def known(self) -> dict[UUID, SlideObject]:
        return {item.id: item for item in self.objects}


START = Side(
    tuple(made(n) for n in (0, 1, 2, 3, 4, 5)),
    tuple(records_of(Operation.ADD, "1", [made(n) for n in (0, 1, 2, 3)], time_utc="t0")),
)


def edit(item: SlideObject, what: str) -> SlideObject | None:
    if what == "delete":
        return None
    if what in ("accepted", "rejected"):
        return dataclasses.replace(item, metadata={**item.metadata, keys.STATE: what})
    if what in ("move", "refine"):
        shift = 3 if what == "move" else 5
        shape = shapely.affinity.translate(item.geometry, shift, shift)
        return dataclasses.replace(item, geometry=shape)
    if what == "describe":
        return dataclasses.replace(item, description="look here")
    return item


WHAT = ["keep", "keep", "keep", "accepted", "rejected", "move", "refine", "describe", "delete"]


@st.composite
def sides(draw: st.DrawFn) -> Side:
    """What a reader made of the start."""
    objects: list[SlideObject] = []
    records = list(START.records)
    when = draw(st.sampled_from(["t1", "t2"]))
    for item in START.objects:
        what = draw(st.sampled_from(WHAT))
        after = edit(item, what)
        if after is None:
            continue
        objects.append(after)
        if what == "refine" and item.metadata:
            records += records_of(Operation.REPLACE, "1", [after], time_utc=when)
    for number in sorted(draw(st.sets(st.integers(6, 9), max_size=3))):
        parents = [None, *(item.id for item in objects)]
        parent = draw(st.sampled_from(parents)) if number > 7 else None
        objects.append(dataclasses.replace(made(number), parent=parent))
    return Side(tuple(objects), tuple(records))


def merge(
    here: Side, there: Side, *, base: bool = False, deletions: bool = False
) -> tuple[Side, ImageMerge]:
    found = merge_objects(
        here.objects,
        there.objects,
        here_records=here.records,
        there_records=there.records,
        base=lambda: START.objects if base else (),
        take_deletions=deletions,
    )
    now = here.known()
    for item in found.remove:
        now = {
            identity: dataclasses.replace(kept, parent=item.parent)
            if kept.parent == item.id
            else kept
            for identity, kept in now.items()
            if identity != item.id
        }
    for item in found.add:
        assert item.id not in now
        now[item.id] = item
    for item in found.change:
        now[item.id] = dataclasses.replace(item, parent=now[item.id].parent)
    removed = records_of(Operation.REMOVE, "1", found.remove, time_utc="t9")
    return Side(tuple(now.values()), (*here.records, *found.records, *removed)), found


def together(here: Side, others: Sequence[Side], **options: bool) -> tuple[Side, bool]:
    clean = True
    for other in others:
        here, found = merge(here, other, **options)
        clean &= not found.conflicts
    return here, clean


def assert_alike(one: Side, other: Side) -> None:
    first, second = one.known(), other.known()
    assert set(first) == set(second)
    for identity, item in first.items():
        assert difference(item, second[identity]) is None
    assert sorted(map(str, one.records)) == sorted(map(str, other.records))


@settings(max_examples=40)
@given(sides(), sides(), sides(), st.booleans(), st.booleans())
def test_the_order_of_copies_does_not_matter(
    here: Side, a: Side, b: Side, base: bool, deletions: bool
) -> None:
    forth, clean = together(here, [a, b], base=base, deletions=deletions)
    back, clean_too = together(here, [b, a], base=base, deletions=deletions)
    assert clean == clean_too
    if clean:
        assert_alike(forth, back)


@settings(max_examples=40)
@given(sides(), sides(), st.booleans(), st.booleans())
def test_twice_is_once(here: Side, there: Side, base: bool, deletions: bool) -> None:
    once, first = merge(here, there, base=base, deletions=deletions)
    twice, second = merge(once, there, base=base, deletions=deletions)
    assert not second.add
    assert not second.change
    assert not second.remove
    assert not second.records
    assert twice == once
    assert len(second.conflicts) == len(first.conflicts)


@settings(max_examples=40)
@given(sides(), sides(), st.booleans())
def test_nothing_is_lost(here: Side, there: Side, base: bool) -> None:
    after, found = merge(here, there, base=base)
    now = after.known()
    assert set(here.known()) <= set(now)
    told = {one.id for one in (*found.conflicts, *found.gone_here, *found.left_out)}
    for identity, item in there.known().items():
        assert identity in now or str(identity) in told
        mine = here.known().get(identity)
        if mine is None and identity in now:
            assert difference(now[identity], item) is None
        elif mine is not None:
            # Whole from one side, never a mixture.
            assert None in (difference(now[identity], mine), difference(now[identity], item))


@given(sides())
def test_a_copy_of_the_present_state_brings_nothing(here: Side) -> None:
    after, found = merge(here, here)
    assert after == here
    assert found.same == len(here.objects)
    assert not found.conflicts


@settings(max_examples=40)
@given(sides())
def test_a_readers_work_comes_home_whole(there: Side) -> None:
    """From an untouched project's point of view no change of labels is a conflict."""
    after, found = merge(START, there)
    now = after.known()
    for item in there.objects:
        if keys.LABEL in item.metadata:
            assert difference(now[item.id], item) is None
    assert all(UUID(told.id).version == 4 for told in found.conflicts)


@settings(max_examples=40)
@given(sides(), st.booleans())
def test_with_the_version_that_both_had_every_change_of_one_comes_home(
    there: Side, deletions: bool
) -> None:
    """Drawn by hand or by gaze, moved, judged or deleted: who changed it is known."""
    after, found = merge(START, there, base=True, deletions=deletions)
    assert not found.conflicts
    now, theirs = after.known(), there.known()
    assert all(difference(now[identity], item) is None for identity, item in theirs.items())
    left = set(now) - set(theirs)
    assert not (left if deletions else left - set(START.known()))
    back, found = merge(there, START, base=True, deletions=deletions)
    assert back == there
    assert not found.conflicts


@settings(max_examples=40)
@given(sides(), sides())
def test_only_what_a_common_version_proves_is_deleted(here: Side, there: Side) -> None:
    _, found = merge(here, there, base=True, deletions=True)
    once, theirs = START.known(), there.known()
    for item in found.remove:
        assert item.id not in theirs
        # As both once had it, or as qpgaze wrote it into both.
        assert difference(item, once[item.id]) is None


def test_what_nobody_has_a_record_of_is_told_so() -> None:
    moved = edit(made(4), "move")
    assert moved is not None
    found = merge_objects([made(4)], [moved])
    assert found.conflicts[0].why == "differs in shape, with no record of what it was before"


def test_two_objects_of_one_id_are_told() -> None:
    found = merge_objects([made(4), made(4)], [made(4)])
    assert "several objects" in found.conflicts[0].why


def test_kinds_that_cannot_be_written_are_told_and_their_children_kept() -> None:
    core = dataclasses.replace(made(6), kind="tma_core")
    inside = dataclasses.replace(made(7), parent=core.id)
    bow_tie = shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])
    broken = dataclasses.replace(made(8), geometry=bow_tie)
    found = merge_objects([], [core, inside, broken])
    assert [item.id for item in found.add] == [inside.id]
    whys = [told.why for told in found.left_out]
    assert whys[0] == "a TMA core belongs to a grid, which only QuPath makes"
    assert "not valid" in whys[1]


def test_nuclei_and_marks_of_cores_are_compared() -> None:
    cell = dataclasses.replace(made(6), kind="cell", nucleus=shapely.box(1, 1, 3, 3))
    core = dataclasses.replace(made(7), kind="tma_core")
    for mine, changes, what in (
        (cell, {"nucleus": shapely.box(1, 1, 3, 4)}, "nucleus"),
        (cell, {"nucleus": None}, "nucleus"),
        (cell, {"nucleus_is_ellipse": True}, "nucleus"),
        (cell, {"nucleus": shapely.box(1, 1, 3.001, 3)}, None),
        (core, {"missing": True}, "mark as missing"),
    ):
        assert difference(mine, dataclasses.replace(mine, **changes)) == what
