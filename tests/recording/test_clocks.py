"""Clocks related by ping-pong: the truth lies within what is stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpgaze.errors import UsageError
from qpgaze.frames import DeviceClock, SessionClock, Times, ViewerClock
from qpgaze.recording.clocks import (
    BURST,
    INTERVAL_US,
    LATE_US,
    SETTLING_US,
    WINDOW,
    ClockTracker,
    Comparison,
    NeverBack,
    compare,
    compare_one_way,
    fit,
)
from qpgaze.samples import MISSING_STAMP
from qpgaze.wire import RoundTrip


class Clocks:
    """Two clocks of known offset and drift, and a way between them that takes its time."""

    def __init__(self, offset_us: int, drift_ppm: float, jitter_us: float, seed: int) -> None:
        self.offset_us, self.drift, self.jitter_us = offset_us, drift_ppm * 1e-6, jitter_us
        self.rng = np.random.default_rng(seed)

    def there(self, host_us: float) -> float:
        return (host_us + self.offset_us) * (1 + self.drift)

    def host(self, there_us: float) -> float:
        return there_us / (1 + self.drift) - self.offset_us

    def burst(self, host_us: int) -> list[RoundTrip]:
        trips = []
        now = float(host_us)
        for _ in range(BURST):
            # One way may take much longer than the other.
            out, busy, back = 20 + self.rng.exponential([self.jitter_us, 30.0, 3 * self.jitter_us])
            came, left, end = now + out, now + out + busy, now + out + busy + back
            there = [int(self.there(t)) for t in (came, left)]
            trips.append(RoundTrip(int(now), *there, int(end)))
            now = end + 1000.0
        return trips


@settings(max_examples=60)
@given(
    st.integers(-(10**13), 10**13),
    st.floats(-90, 90),
    st.sampled_from([1.0, 50.0, 500.0, 5000.0]),
    st.integers(1, WINDOW + 12),
    st.integers(0, 2**31),
)
def test_the_truth_lies_within_the_uncertainty(
    offset_us: int, drift_ppm: float, jitter_us: float, count: int, seed: int
) -> None:
    clocks = Clocks(offset_us, drift_ppm, jitter_us, seed)
    tracker = ClockTracker(DeviceClock, origin_us=5_000_000)
    for number in range(count):
        host_us = 5_000_000 + number * INTERVAL_US
        relation = tracker.add(compare(clocks.burst(host_us)))
    assert tracker.steps == 0
    moments = host_us + np.array([0, INTERVAL_US // 2, INTERVAL_US])
    stamps = [int(clocks.there(t)) for t in moments]
    error = relation(Times(DeviceClock, stamps)).t_us - (moments - 5_000_000)
    assert np.abs(error).max() <= relation.uncertainty_us
    np.testing.assert_allclose(
        tracker.to_session(stamps), relation(Times(DeviceClock, stamps)).t_us, atol=1
    )


def test_drift_is_found_and_uncertainty_shrinks() -> None:
    clocks = Clocks(123_456_789, 40.0, 100.0, 3)
    tracker = ClockTracker(ViewerClock, origin_us=0)
    relations = [tracker.add(compare(clocks.burst(n * INTERVAL_US))) for n in range(WINDOW)]
    assert relations[0].drift_ppm == 0.0
    assert relations[0].uncertainty_us > 2000  # nothing is known of the drift
    assert relations[-1].drift_ppm == pytest.approx(-40.0, abs=2.0)
    assert relations[-1].uncertainty_us < 200
    assert relations[-1].target is SessionClock


@given(st.integers(-(10**13), 10**13), st.floats(-90, 90), st.integers(0, 2**31))
def test_it_is_sure_from_the_first_second_on(offset_us: int, drift_ppm: float, seed: int) -> None:
    clocks = Clocks(offset_us, drift_ppm, 20.0, seed)
    tracker = ClockTracker(ViewerClock, 0, SETTLING_US)
    host_us = 0
    for _ in range(2 * len(SETTLING_US)):
        relation = tracker.add(compare(clocks.burst(host_us)))
        assert relation.uncertainty_us < 700
        # What it promises holds until the next comparison, and a little longer.
        moments = host_us + np.array([0, tracker.pause_us, tracker.pause_us + LATE_US])
        stamps = [int(clocks.there(t)) for t in moments]
        error = relation(Times(ViewerClock, stamps)).t_us - moments
        assert np.abs(error).max() <= relation.uncertainty_us
        host_us += tracker.pause_us
    assert tracker.steps == 0
    assert tracker.pause_us == INTERVAL_US


def test_a_clock_that_jumped_is_followed_at_once() -> None:
    before, after = Clocks(0, 10.0, 50.0, 1), Clocks(3_600_000_000, 10.0, 50.0, 2)
    tracker = ClockTracker(DeviceClock, origin_us=0)
    for number in range(8):
        clocks = before if number < 4 else after
        relation = tracker.add(compare(clocks.burst((number + 1) * INTERVAL_US)))
        moment = (number + 1) * INTERVAL_US
        error = relation(Times(DeviceClock, [int(clocks.there(moment))])).t_us[0] - moment
        assert abs(error) <= relation.uncertainty_us
    assert tracker.steps == 1


def test_a_clock_set_back_is_a_jump() -> None:
    tracker = ClockTracker(DeviceClock, origin_us=0)
    tracker.add(Comparison(1_000_000, 1_000_000, 10.0))
    tracker.add(Comparison(500, 2_000_000, 10.0))
    assert tracker.steps == 1


def test_the_smallest_round_trip_wins() -> None:
    good = RoundTrip(1000, 1_001_020, 1_001_030, 1050)
    best = compare([RoundTrip(0, 1_000_500, 1_000_510, 900), good])
    assert best == Comparison(1_001_025, 1025, 21.0)
    with pytest.raises(UsageError):
        compare([])
    with pytest.raises(UsageError):
        compare([RoundTrip(100, 5, 6, 50)])


def test_one_way_stamps_are_compared_by_the_fastest_line() -> None:
    rng = np.random.default_rng(4)
    true = np.arange(0, 10_000_000, 16_667, dtype=np.int64)
    arrived = true + 7_000_000 + 200 + rng.exponential(3000, len(true)).astype(np.int64)
    stamps = true.copy()
    stamps[5] = MISSING_STAMP
    relation = fit(DeviceClock, [compare_one_way(stamps, arrived, most_us=500.0)])
    error = relation(Times(DeviceClock, [true[-1]])).t_us[0] - (true[-1] + 7_000_000)
    assert abs(error) <= relation.uncertainty_us
    with pytest.raises(UsageError):
        compare_one_way(stamps[5:6], arrived[:1], most_us=1.0)


def test_missing_stamps_stay_missing() -> None:
    tracker = ClockTracker(DeviceClock, origin_us=100)
    with pytest.raises(UsageError):
        tracker.to_session([1])
    tracker.add(Comparison(0, 100, 1.0))
    assert tracker.to_session([MISSING_STAMP, 7]).tolist() == [MISSING_STAMP, 7]


def test_one_stamp_is_carried_as_many_are() -> None:
    tracker = ClockTracker(DeviceClock, origin_us=-3_000_000_000)
    with pytest.raises(UsageError):
        tracker.one_to_session(1)
    for n in range(4):
        tracker.add(Comparison(n * 10_000_000, n * 10_000_700 + 123, 20.0))
    stamps = [0, 5, 12_345_678, 40_000_001]
    assert [tracker.one_to_session(s) for s in stamps] == tracker.to_session(stamps).tolist()


@given(st.lists(st.lists(st.integers(-1000, 1000), max_size=5), max_size=6))
def test_time_never_runs_back(pieces: list[list[int]]) -> None:
    keep = NeverBack()
    whole = [int(t) for piece in pieces for t in keep(np.array(piece, dtype=np.int64))]
    flat = [t for piece in pieces for t in piece]
    assert whole == np.maximum.accumulate(np.array(flat, dtype=np.int64)).tolist()
    highest = [max(flat[: i + 1]) for i in range(len(flat))]
    assert keep.backward == sum(t < h for t, h in zip(flat[1:], highest, strict=False))
    assert keep.repeated == sum(t == h for t, h in zip(flat[1:], highest, strict=False))
