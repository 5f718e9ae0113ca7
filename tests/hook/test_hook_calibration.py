"""Tracker, monitor, calibration and accuracy by the menu, each to its end, on two real monitors.

The tracker is the stand-in for Tobii's library. It measures an eye that looks at the points on the
second monitor's own pixels: a point drawn elsewhere than where the tracker takes it to be would not
be calibrated, and would be measured far off.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from qpgaze_hook_desk import (
    EYES,
    EYES_MM,
    MAIN,
    Desk,
    Eye,
    look_at,
    picture_of,
    point_in,
    until,
)
from qpgaze_hook_views import Views

from qpgaze.gaze import map_samples
from qpgaze.session import open_session
from qpgaze.viewing import Rect
from qpgaze.wire import connect

pytestmark = pytest.mark.qupath

POINTS_SEEN_PX = 8.0
"""So far to the right of each point the eye looks: a tracker is never exact."""
CALIBRATING, CHECKING = "Calibrating the eye tracker", "Checking the eye tracker"


def program(desk: Desk, *before: str) -> str:
    """The qpgaze program as a Groovy list, with words before it."""
    return json.dumps([*before, sys.executable, "-m", "qpgaze"])


def choose_by_program(desk: Desk) -> None:
    bounds = [str(v) for v in (EYES.x, EYES.y, EYES.width, EYES.height)]
    line = [sys.executable, "-m", "qpgaze", "monitor", "--bounds", *bounds, "--size-mm"]
    size = map(str, EYES_MM)
    subprocess.run([*line, *size], env=desk.env, check=True, capture_output=True)


@pytest.fixture
def tracker(desk: Desk) -> Iterator[Desk]:
    """The stand-in for a Tobii on the second monitor; no dialog is left."""
    if "monitor" not in desk.kept():
        choose_by_program(desk)
    desk.ask("hook.setup.chooseTracker('tobii')")
    desk.steps.unlink(missing_ok=True)
    desk.eyes.unlink(missing_ok=True)
    yield desk
    desk.ask("hook.settings.keep('command', null)")
    left = desk.dialogs()
    if left:  # so that one failure does not make the next
        desk.ask("javafx.stage.Window.getWindows().toList().drop(1).each { it.hide() }")
    assert left == []
    assert desk.ask("return hook.setup.busy") == "false"


def steps(desk: Desk) -> list[str]:
    return desk.steps.read_text("utf-8").split("\n")[:-1] if desk.steps.exists() else []


def begin(desk: Desk, item: str, title: str) -> None:
    """Choose it in the menu and wait until its first screen stands on the second monitor."""
    desk.choose("Extensions", "qpgaze", item)
    desk.wait_window(title)
    until(lambda: (picture_of(desk, EYES) == 0x80).all(axis=2).mean() > 0.9)
    # The first monitor goes on showing QuPath.
    assert (picture_of(desk, MAIN) == 0x80).all(axis=2).mean() < 0.5
    time.sleep(1)


def test_tracker_and_monitor_are_chosen_in_the_menu(desk: Desk) -> None:
    (desk.settings / "settings.json").unlink(missing_ok=True)
    desk.choose("Extensions", "qpgaze", "Eye tracker", "Gazepoint")
    desk.until("return hook.settings.source", "gazepoint")
    desk.choose("Extensions", "qpgaze", "Eye tracker", "Tobii")
    desk.until("return hook.settings.source", "tobii")
    kept = json.loads((desk.at / "user" / "qpgaze" / "settings.json").read_text("utf-8"))
    assert kept["source"] == "tobii"
    desk.choose("Extensions", "qpgaze", "Monitor of the eye tracker ...")
    said = desk.dialog()
    assert said.endswith("1: 1100 x 800 at 0, 0 (100 %)\n2: 800 x 700 at 1100, 50 (100 %)")
    time.sleep(1)
    desk.picture("monitors")
    # White on blue, on each monitor its number.
    for box, number in ((MAIN, "1"), (EYES, "2")):
        at = json.loads(
            desk.ask(
                "def w = javafx.stage.Window.getWindows().find {\n"
                "  it.getWidth() == 240 && it.getScene().getRoot().lookupAll('.label')"
                f".any {{ it.getText() == '{number}' }} }}\nreturn [w.getX(), w.getY()]"
            )
        )
        assert box.x <= at[0] < box.x + box.width
        assert box.y <= at[1] < box.y + box.height
        shown = picture_of(desk, Rect(*at, 240, 240))
        assert (shown == (0x1A, 0x52, 0x76)).all(axis=2).mean() > 0.5
        assert (shown == 255).all(axis=2).sum() > 300
    desk.answer("2")
    # It does not say how large it is.
    desk.until(
        "return javafx.stage.Window.getWindows().any { it.getScene().getRoot()"
        " instanceof javafx.scene.control.DialogPane }",
        "true",
    )
    said = desk.dialog()
    assert said.startswith("The monitor 'eyes' does not say how large it is.")
    assert "--" not in said
    time.sleep(0.5)
    desk.picture("monitor-size")
    desk.hands("type", "{} x {}".format(*EYES_MM))
    desk.hands("sleep", 0.3, "key", "Return")
    until(lambda: "monitor" in desk.kept())
    monitor = desk.kept()["monitor"]
    assert monitor["bounds_screen_px"] == [EYES.x, EYES.y, EYES.width, EYES.height]
    assert (monitor["number"], monitor["width_mm"]) == (2, EYES_MM[0])
    # The hook keeps it once qpgaze, which kept it first, has ended.
    desk.until("return hook.settings.@chosen.get('monitor')?.number", "2")
    assert desk.dialogs() == []
    time.sleep(1)
    desk.picture("monitor-chosen")


def test_cancelled_monitors_change_nothing(tracker: Desk) -> None:
    desk, before = tracker, tracker.kept()
    desk.choose("Extensions", "qpgaze", "Monitor of the eye tracker ...")
    desk.dialog()
    desk.answer("Cancel")
    desk.until("return javafx.stage.Window.getWindows().size()", "1")
    desk.choose("Extensions", "qpgaze", "Monitor of the eye tracker ...")
    desk.dialog()
    time.sleep(0.5)
    desk.hands("key", "Escape")
    desk.until("return javafx.stage.Window.getWindows().size()", "1")
    assert desk.kept() == before


def test_calibrated_to_the_end(tracker: Desk) -> None:
    desk = tracker
    begin(desk, "Calibrate the eye tracker", CALIBRATING)
    desk.picture("calibrate-first")
    with Eye(desk, POINTS_SEEN_PX) as eye:
        desk.hands("key", "space")
        until(lambda: len(eye.points) >= 2)
        desk.picture("calibrate-point")
        until(lambda: "compute" in steps(desk), 120)
        time.sleep(1)
    desk.picture("calibrate-last")
    desk.hands("key", "space")
    said = desk.dialog()
    assert said.splitlines() == [
        "Tobii Pro Fusion is calibrated.",
        "Now measure its accuracy.",
    ]
    time.sleep(0.5)
    desk.picture("calibrated")
    desk.answer("OK")
    corners = {(x, y) for x in (80, 720) for y in (70, 630)} | {(400, 350)}
    assert {(round(x), round(y)) for x, y in eye.points} == corners
    done = steps(desk)
    assert (done[0], done[-2:]) == ("enter", ["compute", "leave"])
    assert len(done) == 8


def test_the_accuracy_is_measured_shown_and_kept(tracker: Desk) -> None:
    desk = tracker
    begin(desk, "Measure accuracy", CHECKING)
    look_at(desk, (400, 350))
    time.sleep(1)
    desk.picture("measure-first")
    with Eye(desk, POINTS_SEEN_PX) as eye:
        desk.hands("key", "space")
        until(lambda: len(eye.points) >= 5, 120)
        until(lambda: point_in(picture_of(desk, EYES)) is None)
        time.sleep(1)
    desk.picture("measure-last")
    desk.hands("key", "Return")
    said = desk.dialog()
    time.sleep(0.5)
    desk.picture("measured")
    desk.answer("OK")
    # 8 of 800 pixels of a display area of 520 mm, at some 650 mm.
    meant = math.degrees(math.atan(520 * POINTS_SEEN_PX / EYES.width / 650))
    kept = desk.kept()["validation"]["data"]
    assert kept["accuracy_deg"] == pytest.approx(meant, rel=0.1)
    assert kept["accuracy_screen_px"] == pytest.approx(POINTS_SEEN_PX, rel=0.15)
    assert (kept["verdict"], kept["points"], kept["missed"]) == ("good", 5, [])
    assert kept["tracker"] == "Tobii Pro Fusion"
    assert kept["monitor"] == "2: eyes"
    first = said.splitlines()[0]
    assert first == (
        f"Good: {kept['accuracy_deg']:.1f} degrees. On this screen that is "
        f"{kept['accuracy_screen_px']:.0f} pixels."
    )
    assert "point" not in said.splitlines()[-1]
    assert "qpgaze" not in said


@pytest.mark.parametrize("how", ["Escape", "alt+F4"])
@pytest.mark.parametrize(
    ("item", "title"),
    [("Calibrate the eye tracker", CALIBRATING), ("Measure accuracy", CHECKING)],
)
def test_cancelled_in_the_middle(tracker: Desk, item: str, title: str, how: str) -> None:
    desk, before = tracker, tracker.kept()
    notices = "Cancelled"
    begin(desk, item, title)
    with Eye(desk) as eye:
        desk.hands("key", "space")
        until(lambda: len(eye.points) >= 2, 120)
        desk.hands("key", how)
        desk.wait_window(title, there=False)
    desk.until("return hook.setup.busy", "false")
    time.sleep(0.7)
    desk.picture(f"cancelled-{title.split()[0]}")
    assert desk.dialogs() == []
    assert notices in (desk.at / "log").read_text("utf-8", "replace")
    assert desk.kept() == before
    if title == CALIBRATING:
        assert steps(desk)[-1] == "leave"
        assert "compute" not in steps(desk)


def test_no_session_begins_while_points_are_shown(tracker: Desk) -> None:
    desk = tracker
    begin(desk, "Measure accuracy", CHECKING)
    desk.choose("Extensions", "qpgaze", "Start gaze session")
    time.sleep(1)
    desk.picture("start-while-measuring")
    assert desk.ask("return hook.sessions.state") == "idle"
    desk.hands("windowactivate", "--sync", desk.number(CHECKING), "sleep", 0.3, "key", "Escape")
    desk.wait_window(CHECKING, there=False)
    desk.until("return hook.setup.busy", "false")


@pytest.mark.parametrize(
    ("item", "failure"),
    [
        ("Calibrate the eye tracker", "The eye tracker was not calibrated."),
        ("Measure accuracy", "The accuracy was not measured."),
    ],
)
def test_a_tracker_that_is_not_there(tracker: Desk, item: str, failure: str) -> None:
    desk = tracker
    none = program(desk, "env", "FAKE_TOBII_MODEL=none")
    desk.ask(f"hook.settings.keep('command', {none})")
    desk.choose("Extensions", "qpgaze", item)
    said = desk.dialog()
    time.sleep(0.5)
    desk.picture(f"no-tracker-{item.split()[0]}")
    desk.answer("OK")
    assert said.startswith(f"{failure}\n\nNo Tobii tracker was found.")
    assert "plugged in" in said
    assert "--" not in said


def test_a_program_that_is_not_there(tracker: Desk) -> None:
    desk = tracker
    desk.ask("hook.settings.keep('command', ['/nowhere/qpgaze'])")
    for item in ("Calibrate the eye tracker", "Measure accuracy"):
        desk.choose("Extensions", "qpgaze", item)
        said = desk.dialog()
        desk.answer("OK")
        assert "qpgaze cannot be started" in said
        assert "Install the menu again" in said


@pytest.mark.parametrize(
    ("source", "item", "words"),
    [
        ("Gazepoint", "Calibrate the eye tracker", "Gazepoint Control"),
        ("Lab Streaming Layer", "Calibrate the eye tracker", "calibrate in the program"),
        ("Mouse (to practise)", "Calibrate the eye tracker", "needs no calibration"),
        ("Mouse (to practise)", "Measure accuracy", "nothing to measure"),
    ],
)
def test_what_cannot_be_done_from_here(tracker: Desk, source: str, item: str, words: str) -> None:
    desk = tracker
    desk.choose("Extensions", "qpgaze", "Eye tracker", source)
    desk.choose("Extensions", "qpgaze", item)
    said = desk.dialog()
    time.sleep(0.5)
    desk.picture(f"not-from-here-{source.split()[0]}-{item.split()[0]}")
    desk.answer("OK")
    assert words in said
    assert "'qpgaze" not in said


def test_a_monitor_of_unknown_size_is_asked_for_first(tracker: Desk) -> None:
    desk = tracker
    (desk.settings / "settings.json").unlink()
    desk.choose("Extensions", "qpgaze", "Measure accuracy")
    # qpgaze itself shows the numbers, full screen; it cannot know the size.
    until(lambda: (picture_of(desk, EYES) == 0x80).all(axis=2).mean() > 0.8)
    time.sleep(1)
    desk.picture("numbers-full-screen")
    desk.hands("mousemove", round(EYES.x + 300), round(EYES.y + 500), "click", 1)
    assert desk.dialog().startswith("Which number do you see")
    desk.answer("2")
    until(lambda: any("does not say how large" in said for said in desk.dialogs()))
    time.sleep(0.5)
    desk.hands("type", "{},0 * {}".format(*EYES_MM))
    desk.hands("sleep", 0.3, "key", "Return")
    # And goes on.
    desk.wait_window(CHECKING)
    until(lambda: (picture_of(desk, EYES) == 0x80).all(axis=2).mean() > 0.9)
    time.sleep(0.5)
    desk.hands("key", "Escape")
    desk.wait_window(CHECKING, there=False)
    desk.until("return hook.setup.busy", "false")
    assert desk.kept()["monitor"]["width_mm"] == EYES_MM[0]


def test_gaze_on_the_second_monitor_lies_where_qupath_shows_it(tracker: Desk) -> None:
    """From the tracker's display area to the pixels of the slide, through a session of the menu."""
    desk = tracker
    desk.ask(
        "viewer.getImageData()?.setChanged(false)\n"
        "gui.openImageEntry(gui.getProject().getImageList()[1])\n"
        "viewer.setRotation(0.4); viewer.setDownsampleFactor(1.3)\n"
        "viewer.setCenterPixelLocation(1300, 950)"
    )
    x, y = desk.title_bar()
    desk.drag((x, y), (x + 960, y + 60))
    desk.ask("gui.getStage().with { setX(1105); setY(60); setWidth(790); setHeight(680) }")
    desk.choose("Extensions", "qpgaze", "Start gaze session")
    try:
        desk.until("return hook.sessions.state", "recording", wait_s=120)
        (folder,) = [
            f for f in desk.at.glob("study/qpgaze/sessions/*.qpgaze") if not manifest(f).exists()
        ]
        with connect(name="test", folders=desk.folders, wait_s=30) as client:
            client.subscribe(viewer=True)
            views = Views(desk, client)
            state = views.agree()
            box = state.bounds_screen_px
            assert box is not None
            assert state.screen_bounds_px == EYES
            rng = np.random.default_rng(5)
            at = rng.uniform((0.2, 0.2), (0.8, 0.8), (6, 2)) * (box.width, box.height)
            at += (box.x, box.y)
            for place in at:
                look_at(desk, (place[0] - EYES.x, place[1] - EYES.y))
                time.sleep(0.6)
            views.agree()
        said = desk.ask(
            f"return {at.tolist()}.collect {{\n"
            "  def l = viewer.getView().screenToLocal(it[0] as double, it[1] as double)\n"
            "  def p = viewer.componentPointToImagePoint(l.getX(), l.getY(), null, false)\n"
            "  return [p.getX(), p.getY()] }"
        )
        want = np.array(json.loads(said))
        shot = desk.screenshot()
        desk.picture("second-monitor")
    finally:
        desk.choose("Extensions", "qpgaze", "Stop")
        said = desk.dialog(120)
        desk.answer("OK")
        desk.place()
    assert "It has no labels" in said
    session = open_session(folder)
    mapped = map_samples(session.gaze, session.viewer_states, session.header.display)
    seen = mapped.image.xy[mapped.reason == 0]
    for place, meant in zip(at, want, strict=True):
        near = np.hypot(*(seen - meant).T).min()
        assert near <= 0.01
        # What stands on the very pixel that was looked at says where it lies on the slide.
        assert np.abs(decoded_at(shot, place) + 0.5 - meant).max() <= 1.3 + 0.5
    (measured,) = [e for e in session.events if e.kind == "validation"] or [None]
    if "validation" in desk.kept():
        assert measured is not None
        assert measured.data["monitor"] == "2: eyes"


def manifest(folder: Path) -> Path:
    return folder / "manifest.json"


def decoded_at(shot: np.ndarray, place: np.ndarray) -> np.ndarray:
    from qpgaze_hook_views import decoded

    x, y = (int(v) for v in np.floor(place))
    return decoded(shot[y : y + 1, x : x + 1])[0, 0].astype(float)


def test_quitting_in_the_middle_leaves_no_tracker_calibrating(desk: Desk) -> None:
    """Last: QuPath ends here."""
    desk.steps.unlink(missing_ok=True)
    begin(desk, "Calibrate the eye tracker", CALIBRATING)
    with Eye(desk) as eye:
        desk.hands("key", "space")
        until(lambda: len(eye.points) >= 2, 120)
    desk.qupath.terminate()
    assert desk.qupath.wait(60) == 143
    desk.wait_window(CALIBRATING, there=False)
    until(lambda: steps(desk)[-1] == "leave", 30)
