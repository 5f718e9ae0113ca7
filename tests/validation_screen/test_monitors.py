"""Which monitor: logical and physical pixels, what is remembered, and when it is asked again."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpgaze.errors import FormatError, SessionError, UsageError
from qpgaze.recording.validation import (
    ChosenMonitor,
    LastValidation,
    Monitor,
    Settings,
    contradiction,
    load_settings,
    place_logically,
    save_settings,
    screens,
    settings_folder,
    still_holds,
)
from qpgaze.recording.validation.settings import FILE
from qpgaze.recording.validation.sitting import ASK, MonitorWish, pick_monitor
from qpgaze.simulate import default_display
from qpgaze.viewing import Display, Rect, ViewerState

LEFT = Monitor("DP-1", Rect(0, 0, 1920, 1080), 1.0, 527, 296, True)
RIGHT = Monitor("DP-2", Rect(1920, 0, 3840, 2160), 1.5, 600, 340)
TWO = place_logically([LEFT, RIGHT])


def never(_: Sequence[Monitor]) -> Monitor | None:
    raise AssertionError("nobody should be asked")


def test_one_scale_divides_everything() -> None:
    placed = place_logically(
        [
            Monitor("a", Rect(1920, 0, 1920, 1080), 2.0, primary=True),
            Monitor("b", Rect(0, 0, 1920, 1080), 2.0),
        ]
    )
    assert [m.logical for m in placed] == [Rect(960, 0, 960, 540), Rect(0, 0, 960, 540)]


@pytest.mark.parametrize(
    ("place", "logical"),
    [
        # Neighbour of 3840 x 2160 at 200 %, beside a primary of 1920 x 1080 at 100 %.
        (Rect(1920, 0, 3840, 2160), Rect(1920, 270, 1920, 1080)),
        (Rect(-3840, 0, 3840, 2160), Rect(-1920, 270, 1920, 1080)),
        (Rect(1920, -540, 3840, 2160), Rect(1920, 0, 1920, 1080)),
        (Rect(0, 1080, 3840, 2160), Rect(480, 1080, 1920, 1080)),
        (Rect(0, -2160, 3840, 2160), Rect(480, -1080, 1920, 1080)),
        # Touches nothing: it keeps its physical corner.
        (Rect(4000, 3000, 3840, 2160), Rect(4000, 3000, 1920, 1080)),
    ],
)
def test_a_neighbour_of_another_scale_keeps_the_middle_of_the_shared_edge(
    place: Rect, logical: Rect
) -> None:
    primary = Monitor("p", Rect(0, 0, 1920, 1080), 1.0, primary=True)
    other = Monitor("o", place, 2.0)
    assert place_logically([primary, other])[1].logical == logical
    assert place_logically([other, primary])[0].logical == logical


def test_a_row_is_laid_out_from_the_primary_monitor() -> None:
    row = [
        Monitor("c", Rect(5760, 0, 1920, 1080), 1.0),
        Monitor("a", Rect(0, 0, 1920, 1080), 1.0, primary=True),
        Monitor("b", Rect(1920, 0, 3840, 1080), 2.0),
    ]
    c, a, b = (m.logical for m in place_logically(row))
    assert (a.x, b.x, c.x) == (0, 1920, 3840)


@given(
    st.lists(st.sampled_from([1.0, 1.25, 1.5, 2.0]), min_size=2, max_size=5),
    st.sampled_from([(1920, 1080), (2560, 1440), (3840, 2160)]),
)
def test_neighbours_in_a_row_neither_overlap_nor_part(
    scales: list[float], size: tuple[int, int]
) -> None:
    width, height = size
    row = [
        Monitor(str(n), Rect(n * width, 0, width, height), scale, primary=n == 0)
        for n, scale in enumerate(scales)
    ]
    placed = [m.logical for m in place_logically(row)]
    if len(set(scales)) > 1:
        for before, after in pairwise(placed):
            assert before.x + before.width == after.x
    for monitor, box in zip(row, placed, strict=True):
        assert box.width == pytest.approx(width / monitor.scale, abs=1)


def test_a_monitor_says_what_it_is_in_both_kinds_of_pixels() -> None:
    assert TWO[1].describe(2) == (
        "2: DP-2, 3840 x 2160 physical = 2560 x 1440 logical px at 1920, 180 (150 %), 600 x 340 mm"
    )
    unknown = place_logically([Monitor("VGA", Rect(0, 0, 1024, 768))])[0]
    assert unknown.describe(1).endswith("(100 %)")
    with pytest.raises(UsageError, match="not placed"):
        _ = LEFT.logical


def test_the_only_monitor_and_the_one_chosen_before_need_no_question() -> None:
    alone = place_logically([LEFT])
    chosen, now = pick_monitor(alone, None, MonitorWish(), never)
    assert (chosen.name, chosen.number, now) == ("DP-1", 1, alone[0])
    before = ChosenMonitor.of(TWO[1], 2)
    assert pick_monitor(TWO, before, MonitorWish(), never) == (before, TWO[1])


@pytest.mark.parametrize(
    "changed",
    [
        place_logically([LEFT]),
        place_logically([LEFT, Monitor("DP-2", Rect(1920, 300, 3840, 2160), 1.5, 600, 340)]),
        place_logically([LEFT, Monitor("DP-2", Rect(1920, 0, 3840, 2160), 2.0, 600, 340)]),
        place_logically([LEFT, Monitor("DP-2", Rect(1920, 0, 2560, 1440), 1.5, 600, 340)]),
        place_logically([LEFT, Monitor("DP-3", Rect(1920, 0, 3840, 2160), 1.5, 600, 340)]),
    ],
    ids=["gone", "moved", "scale", "resolution", "another"],
)
def test_a_changed_arrangement_asks_again(changed: tuple[Monitor, ...]) -> None:
    asked: list[Sequence[Monitor]] = []

    def ask(monitors: Sequence[Monitor]) -> Monitor | None:
        asked.append(monitors)
        return monitors[-1]

    chosen, now = pick_monitor(changed, ChosenMonitor.of(TWO[1], 2), MonitorWish(), ask)
    assert asked == [changed]
    assert now == changed[-1]
    assert chosen.number == len(changed)


def test_several_monitors_ask_and_wishes_decide() -> None:
    before = ChosenMonitor.of(TWO[1], 2)
    assert pick_monitor(TWO, None, MonitorWish(), lambda m: m[0])[0].number == 1
    assert pick_monitor(TWO, before, MonitorWish(1), never)[0].name == "DP-1"
    assert pick_monitor(TWO, before, MonitorWish(ASK), lambda m: m[0])[0].number == 1
    assert pick_monitor(TWO, before, MonitorWish(size_mm=(610, 345)), never)[0].width_mm == 610
    by_hand = pick_monitor(TWO, None, MonitorWish(2, scale=1.5), never)[0]
    assert by_hand.forced_scale == 1.5
    assert before.forced_scale is None
    with pytest.raises(SessionError, match="No monitor was chosen; nothing was changed"):
        pick_monitor(TWO, None, MonitorWish(), lambda _: None)
    with pytest.raises(UsageError, match=r"no monitor 3\. There are: 1: DP-1, .*; 2: DP-2"):
        pick_monitor(TWO, None, MonitorWish(3), never)


@pytest.mark.parametrize(("width", "height"), [(0, 0), (16, 9), (5000, 3000), (527, 0)])
def test_a_size_that_cannot_be_is_asked_for(width: float, height: float) -> None:
    monitor = place_logically([Monitor("VGA", Rect(0, 0, 1920, 1080), 1.0, width, height)])[0]
    with pytest.raises(UsageError, match="--size-mm WIDTH HEIGHT"):
        ChosenMonitor.of(monitor, 1)
    assert ChosenMonitor.of(monitor, 1, (527, 296)).height_mm == 296
    with pytest.raises(UsageError, match="does not fit 1920 x 1080 pixels"):
        ChosenMonitor.of(monitor, 1, (20.8, 11.7))


def test_the_trackers_geometry_and_the_monitors_place_make_the_display() -> None:
    chosen = ChosenMonitor.of(TWO[1], 2)
    plain = chosen.display()
    assert plain.bounds_screen_px == Rect(1920, 180, 2560, 1440)
    assert (plain.scale, plain.monitor, plain.width_mm) == (1.5, "2: DP-2", 600)
    tracker = default_display()
    both = chosen.display(tracker)
    assert both.bounds_screen_px == plain.bounds_screen_px
    assert both.corners_ucs_mm == tracker.corners_ucs_mm
    assert both.width_mm == tracker.width_mm
    # A tracker that knows no corners knows no size either.
    assert chosen.display(Display(Rect(0, 0, 1, 1), 1, 1)) == plain


def viewer(bounds: Rect | None, scale: float) -> ViewerState:
    return ViewerState(0, "1", None, None, 1.0, screen_bounds_px=bounds, screen_scale=scale)


def test_qupaths_view_of_the_monitor_is_held_against_ours() -> None:
    display = ChosenMonitor.of(TWO[1], 2).display()
    assert contradiction(display, viewer(Rect(1920, 180, 2560, 1440), 1.5)) is None
    assert contradiction(display, viewer(Rect(0, 0, 1920, 1080), 1.0)) is None
    assert contradiction(display, viewer(None, 1.0)) is None
    said = contradiction(display, viewer(Rect(1920, 0, 3840, 2160), 1.0))
    assert said is not None
    assert "2560 x 1440 logical px at 1920, 180 (150%)" in said
    assert "QuPath sees 3840 x 2160 at 1920, 0 (100%)" in said
    assert contradiction(display, viewer(Rect(1920, 180, 2560, 1440), 1.25)) is not None


rects = st.builds(
    Rect, *[st.integers(-5000, 5000).map(float)] * 2, *[st.integers(300, 8000).map(float)] * 2
)
chosen_monitors = st.builds(
    ChosenMonitor,
    name=st.text(max_size=20),
    number=st.integers(1, 9),
    bounds_physical_px=rects,
    bounds_screen_px=rects,
    scale=st.floats(0.25, 8),
    width_mm=st.floats(1, 2000),
    height_mm=st.floats(1, 2000),
    scale_by_hand=st.booleans(),
)
validations = st.builds(
    LastValidation,
    at_utc=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(
        lambda d: d.replace(microsecond=0, tzinfo=timezone.utc)
    ),
    data=st.dictionaries(st.text(max_size=9), st.floats(-9, 9) | st.text(max_size=9)),
)


@given(st.builds(Settings, monitor=st.none() | chosen_monitors, validation=st.none() | validations))
def test_settings_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings
) -> None:
    folder = tmp_path_factory.mktemp("settings")
    save_settings(settings, folder)
    assert load_settings(folder) == settings


def test_keys_of_other_versions_stay(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"version": 1, "later": [1]}', encoding="utf-8")
    before = load_settings(tmp_path)
    assert before == Settings(extra={"later": [1]})
    save_settings(Settings(ChosenMonitor.of(TWO[0], 1), None, before.extra), tmp_path)
    assert json.loads((tmp_path / FILE).read_text("utf-8"))["later"] == [1]
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "are no JSON"),
        ("[]", "not of version 1"),
        ('{"version": 2}', "not of version 1"),
        ('{"version": 1, "monitor": 3}', "Expected a monitor as a JSON object"),
        ('{"version": 1, "monitor": {"number": 1}}', "Expected a monitor's size"),
        ('{"version": 1, "validation": {"data": 1}}', "no JSON object with data"),
        ('{"version": 1, "validation": {"data": {}, "at_utc": "now"}}', "no date and time"),
    ],
)
def test_damaged_settings_are_named_with_what_to_do(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=words) as caught:
        load_settings(tmp_path)
    assert "Delete the file" in str(caught.value)
    assert FILE in str(caught.value)


def test_settings_that_cannot_be_written_leave_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(tmp_path / "none yet") == Settings()
    save_settings(Settings(ChosenMonitor.of(TWO[0], 1)), tmp_path)

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SessionError, match="cannot be written: No space left on device"):
        save_settings(Settings(), tmp_path)
    assert load_settings(tmp_path).monitor == ChosenMonitor.of(TWO[0], 1)
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_each_system_has_its_own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = Path("home")
    assert settings_folder("linux", {"XDG_CONFIG_HOME": "x"}, home) == Path("x/qpgaze")
    assert settings_folder("win32", {}, home) == home / "AppData" / "Roaming" / "qpgaze"
    assert settings_folder("darwin", {"QPGAZE_SETTINGS": "there"}, home) == Path("there")
    monkeypatch.setenv("QPGAZE_SETTINGS", str(tmp_path))
    assert settings_folder() == tmp_path


def test_a_validation_becomes_an_event_with_its_date() -> None:
    last = LastValidation(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), {"accuracy_deg": 0.4})
    event = last.event(7)
    assert (event.t_us, event.kind) == (7, "validation")
    assert event.data == {"accuracy_deg": 0.4, "at_utc": "2026-01-02T03:04:05Z"}


def test_whether_the_last_validation_still_holds() -> None:
    at = datetime(2026, 1, 2, 8, 0, tzinfo=timezone.utc)
    last = LastValidation(at, {"tracker": "Spectrum", "monitor": "1: DP-1"})
    settings = Settings(validation=last)
    later = at + timedelta(hours=11)
    assert still_holds(settings, "Spectrum", "1: DP-1", later) == (last, "")
    for asked, words in (
        ((Settings(), "Spectrum", "1: DP-1", later), "was not checked on this computer"),
        ((settings, "Nano", "1: DP-1", later), "with the tracker 'Spectrum'"),
        ((settings, "Spectrum", "2: DP-2", later), "with the monitor '1: DP-1'"),
        ((settings, "Spectrum", "1: DP-1", at + timedelta(days=1)), "on 2026-01-02 08:00 UTC"),
        ((settings, "Spectrum", "1: DP-1", at - timedelta(days=1)), "on 2026-01-02 08:00 UTC"),
    ):
        found, reason = still_holds(*asked)
        assert found is None
        assert words in reason
        assert "Run 'qpgaze validate-gaze'" in reason


def test_monitors_are_listed_primary_first_and_then_from_the_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    third = Monitor("DP-3", Rect(-1280, 0, 1280, 1024), 1.0, 376, 301)
    monkeypatch.setattr(screens, "_x11", lambda _: [RIGHT, third, LEFT])
    assert [m.name for m in screens.list_monitors()] == ["DP-1", "DP-3", "DP-2"]
    assert [m.scale for m in screens.list_monitors(1.25)] == [1.25] * 3
    monkeypatch.setattr(screens, "_x11", lambda _: [])
    with pytest.raises(SessionError, match="names no monitor"):
        screens.list_monitors()


def test_no_desktop_is_said() -> None:
    with pytest.raises(SessionError, match=r"DISPLAY is not set\. Run this at the computer"):
        screens._x11({})


def test_windows_is_asked_for_physical_pixels_once_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Shcore:
        @staticmethod
        def SetProcessDpiAwareness(value: int) -> None:
            asked.append(value)
            raise OSError("set before")

    class Windll:
        shcore = Shcore

    monkeypatch.setattr(screens.ctypes, "windll", Windll, raising=False)
    screens.prepare_windows()
    assert asked == [2]
    monkeypatch.delattr(screens.ctypes, "windll")
    screens.prepare_windows()
    assert asked == [2]


def bad(value: Any) -> Any:
    return {**ChosenMonitor.of(TWO[0], 1).to_json(), **value}


@pytest.mark.parametrize(
    "value", [bad({"number": "1"}), bad({"scale": 0}), bad({"bounds_screen_px": None})]
)
def test_a_remembered_monitor_with_nonsense_is_refused(value: Any) -> None:
    with pytest.raises(FormatError):
        ChosenMonitor.from_json(value)
