"""Every source keeps the same promises, whatever speaks behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qpgaze.samples import GAZE_COLUMNS, MISSING_STAMP

SOURCES = ["tobii_research", "TittaPy_v2", "lsl", "gazepoint", "replay", "simulated", "mouse"]
DEVICES = SOURCES[:4]
Gather = Callable[..., tuple[Any, list[Any], list[Any]]]

everyone = pytest.mark.parametrize("rig", SOURCES, indirect=True)
devices = pytest.mark.parametrize("rig", DEVICES, indirect=True)


def enough(count: int) -> Callable[..., bool]:
    return lambda records, _events, _clocks: len(records) >= count


@everyone
def test_a_source_describes_itself_and_gives_records_in_order(rig: Any, gather: Gather) -> None:
    source = rig.source
    header = source.start()
    try:
        assert header.tracker.startswith(rig.tracker)
        assert header.pseudonym == "reader 7"
        assert header.gaze_rate_hz == rig.rate_hz
        assert header.display.bounds_screen_px.width == 1920.0
        records, _, _ = gather(
            source, lambda r, _e, _c: len(r) > 60 and not r["left_gaze_valid"].all()
        )
    finally:
        source.stop()
    assert records.dtype == np.dtype([(c.name, c.dtype) for c in source.columns])
    assert {c.name for c in GAZE_COLUMNS} <= set(records.dtype.names)
    t_us = records["t_us"]
    assert (np.diff(t_us) >= 0).all()
    # What was taken before the start was still on its way; nothing comes from the future.
    assert t_us[0] > -2_000_000
    assert t_us[-1] <= rig.setup.zero.now_us() + 100_000
    for eye in ("left", "right"):
        assert set(np.unique(records[f"{eye}_gaze_valid"])) == {0, 1}
        seen = records[f"{eye}_gaze_valid"] == 1
        for axis in "xy":
            assert np.isfinite(records[f"{eye}_{axis}_adcs"][seen]).all()
    # A vendor's library stays out of this process.
    vendors = {"tobii_research", "TittaPy_v2", "TittaPy_v1", "pylsl"}
    assert vendors & set(sys.modules) == set()


@everyone
def test_stopping_ends_the_iterator_and_may_be_done_twice(rig: Any) -> None:
    rig.source.start()
    for number, _batch in enumerate(rig.source.batches()):
        if number == 5:
            rig.source.stop()
    assert rig.source.ended == "stopped"
    rig.source.stop()


@everyone
def test_a_source_that_is_started_again_goes_on(rig: Any, gather: Gather) -> None:
    if not rig.restarts:
        return
    rig.source.start()
    before, _, _ = gather(rig.source, enough(10))
    rig.source.stop()
    origin = rig.setup.zero.host_us
    rig.source.start()
    try:
        assert rig.source.ended is None
        after, _, _ = gather(rig.source, enough(10))
        assert rig.setup.zero.host_us == origin
        if rig.is_live:
            assert after["t_us"][0] >= before["t_us"][-1]
    finally:
        rig.source.stop()


@devices
def test_times_are_true_within_what_is_stated_and_no_sample_is_lost(
    rig: Any, gather: Gather
) -> None:
    source = rig.source
    source.start()
    try:
        records, _, clocks = gather(source, lambda r, _e, c: len(r) > 130 and len(c) > 0)
    finally:
        source.stop()
    truth = records["left_origin_z_mm"].astype(np.int64)
    error = (records["system_us"] - truth + 5_000_000) % 10_000_000 - 5_000_000
    limit = max(c.uncertainty_us for c in clocks)
    assert np.abs(error).max() <= limit + 3
    np.testing.assert_array_equal(records["t_us"], records["system_us"] - rig.setup.zero.host_us)
    assert (records["device_us"] != MISSING_STAMP).all()
    # Ten samples were never sent; they stay absent, and all others are there, in order.
    x = records["left_x_adcs"][records["left_gaze_valid"] == 1]
    numbers = np.rint(x.astype(np.float64) * 1000).astype(int)
    sent = [k for k in range(numbers[0], numbers[-1] + 1) if k % 50 not in range(40, 45)]
    assert numbers.tolist() == [k for k in sent if k not in range(100, 110)]
    assert numbers[-1] > 110
