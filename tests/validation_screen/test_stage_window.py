"""What stands on the screen, drawn on a canvas that only writes down what it is told."""

from __future__ import annotations

import builtins
import math
from typing import Any

import pytest

from qpgaze.errors import SessionError
from qpgaze.recording.protocol import Batch
from qpgaze.recording.validation import Phase, SimulatedEyes, ValidationRun, target_layout
from qpgaze.recording.validation import window as window_module
from qpgaze.recording.validation.feed import LONGEST_QUEUE, Feed
from qpgaze.recording.validation.monitors import Monitor, place_logically
from qpgaze.recording.validation.stage import Disc, Stage, Words, draw
from qpgaze.recording.validation.window import (
    CLOSING_SHOWN_S,
    PLACED_AFTER,
    NumberChoice,
    StageWindow,
    geometry,
    how_to_install,
    open_toolkit,
    require_covered,
    toolkit_bounds,
)
from qpgaze.samples import GAZE_COLUMNS, empty_records
from qpgaze.simulate import default_display
from qpgaze.viewing import Rect

FIVE = target_layout(5, 0.15)
BOX = Rect(1920, 40, 1280, 1024)


class Canvas:
    """Draws nothing; keeps what stands on it."""

    def __init__(self) -> None:
        self.ovals: list[tuple[float, ...]] = []
        self.texts: list[tuple[float, float, str]] = []

    def delete(self, what: str) -> None:
        assert what == "all"
        self.ovals, self.texts = [], []

    def create_oval(self, *corners: float, **_: Any) -> None:
        self.ovals.append(corners)

    def create_text(self, x: float, y: float, *, text: str, **_: Any) -> None:
        self.texts.append((x, y, text))

    def says(self, words: str) -> bool:
        return any(words in text for _, _, text in self.texts)


class Stream:
    """A feed whose samples follow the test's clock."""

    def __init__(self, eyes: SimulatedEyes, clock: list[int]) -> None:
        self.eyes, self.clock = eyes, clock

    def take(self) -> tuple[Batch, ...]:
        return (self.eyes.until(self.clock[0]),)


def sitting(note: str = "") -> tuple[StageWindow, Stage, Canvas, list[int]]:
    clock = [0]
    eyes = SimulatedEyes(sd_deg=0.05, offset_deg=(0.3, 0.4))
    stage = Stage(ValidationRun(FIVE, eyes.display), note)
    feed: Any = Stream(eyes, clock)
    window = StageWindow(
        None,  # type: ignore[arg-type]
        stage,
        BOX,
        feed=feed,
        look_at=eyes.look_at,
        clock=lambda: clock[0],
    )
    return window, stage, Canvas(), clock


def test_a_whole_validation_before_a_canvas() -> None:
    window, stage, canvas, clock = sitting("Practice.")
    assert window.step(canvas, BOX)
    assert canvas.says("Checking the eye tracker")
    assert canvas.says("Space: begin     Esc: cancel")
    assert canvas.says("Practice.")
    clock[0] = 500_000
    assert window.step(canvas, BOX)
    assert canvas.says("left eye seen")
    assert len(canvas.ovals) == 2
    stage.key("space", clock[0])
    centres = set()
    while stage.run.phase in (Phase.SETTLING, Phase.COLLECTING):
        clock[0] += 50_000
        assert window.step(canvas, BOX)
        if stage.run.phase in (Phase.SETTLING, Phase.COLLECTING):
            x0, y0, x1, y1 = canvas.ovals[0]
            centres.add((round((x0 + x1) / 2 / BOX.width, 3), round((y0 + y1) / 2 / BOX.height, 3)))
    assert centres == set(FIVE)
    assert canvas.says("Good: 0.5 degrees. On this screen that is 21 pixels.")
    assert canvas.says("Good: up to 0.6 degrees. Usable: up to 1.0")
    stage.key("Return", clock[0])
    assert not window.step(canvas, BOX)


def test_targets_lie_on_the_monitor_even_where_the_window_does_not_begin_there() -> None:
    window, stage, canvas, _ = sitting()
    stage.key("space", 0)
    window.step(canvas, Rect(BOX.x, BOX.y + 30, BOX.width, BOX.height - 30))
    x0, y0, x1, y1 = canvas.ovals[0]
    x, y = stage.run.target or (math.nan, math.nan)
    assert (x0 + x1) / 2 == pytest.approx(x * BOX.width)
    assert (y0 + y1) / 2 == pytest.approx(y * BOX.height - 30)


def test_the_target_shrinks_while_the_eye_settles() -> None:
    window, stage, canvas, clock = sitting()
    stage.key("space", 0)
    sizes = []
    for clock[0] in range(50_000, 700_000, 50_000):
        window.step(canvas, BOX)
        x0, _, x1, _ = canvas.ovals[0]
        sizes.append(x1 - x0)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[-1]


def test_escape_cancels_at_any_time_and_closes() -> None:
    for before in (0, 3):
        window, stage, canvas, clock = sitting()
        for _ in range(before):
            clock[0] += 50_000
            window.step(canvas, BOX)
            stage.key("space", clock[0])
        stage.key("Escape", clock[0])
        assert stage.run.phase is Phase.CANCELLED
        assert not window.step(canvas, BOX)


def test_other_keys_do_nothing() -> None:
    _, stage, _, _ = sitting()
    for name in ("a", "Tab", "F11", ""):
        stage.key(name, 0)
    assert stage.run.phase is Phase.READY
    assert not stage.closed


def test_a_result_that_nobody_closes_goes_away() -> None:
    window, stage, canvas, clock = sitting()
    stage.run.cancel()
    assert window.step(canvas, BOX)
    clock[0] = int(CLOSING_SHOWN_S * 1e6) + 1
    assert not window.step(canvas, BOX)


def test_a_window_on_the_wrong_monitor_is_refused() -> None:
    window, _, canvas, _ = sitting()
    elsewhere = Rect(0, 0, 1280, 1024)
    for _ in range(PLACED_AFTER - 1):
        assert window.step(canvas, elsewhere)
    with pytest.raises(SessionError, match=r"should cover 1280x1024\+1920\+40.*1280x1024\+0\+0"):
        window.step(canvas, elsewhere)
    require_covered(BOX, Rect(1920, 67, 1280, 997))


def test_words_fit_on_upright_screens_too() -> None:
    for width, height in ((1920, 1080), (1080, 1920), (1280, 1024), (3840, 1080)):
        run = ValidationRun(FIVE, default_display())
        shapes = [
            *Stage(run, "Practice: the eyes are simulated, and nothing is kept.").shapes(
                width, height
            )
        ]
        run.cancel()
        shapes += Stage(run).shapes(width, height)
        for shape in shapes:
            if isinstance(shape, Words):
                # A letter is about 0.6 of its height wide.
                assert 0.6 * shape.size * len(shape.text) < width
                assert 0 < shape.y < height


def test_an_error_of_the_source_reaches_the_caller() -> None:
    class Broken:
        def take(self) -> tuple[Batch, ...]:
            raise SessionError("The tracker is gone.")

    broken: Any = Broken()
    stage = Stage(ValidationRun(FIVE, default_display()))
    window = StageWindow(None, stage, BOX, feed=broken)  # type: ignore[arg-type]
    with pytest.raises(SessionError, match="gone"):
        window.step(Canvas(), BOX)


def test_drawing_shifts_and_replaces() -> None:
    canvas = Canvas()
    draw(canvas, (Disc(10, 20, 5, "#000000"), Words(1, 2, "a", 12)), (100, -10))
    assert canvas.ovals == [(105, 5, 115, 15)]
    assert canvas.texts == [(101, -8, "a")]
    draw(canvas, ())
    assert canvas.ovals == canvas.texts == []


def test_a_number_is_typed_or_escape() -> None:
    choice = NumberChoice(2)
    for name in ("0", "3", "x", "KP_9", "Shift_L", "²"):
        choice.key(name)
        assert not choice.made
    choice.key("KP_2")
    assert (choice.made, choice.number) == (True, 2)
    choice = NumberChoice(2)
    choice.key("Escape")
    assert (choice.made, choice.number) == (True, None)


def test_places_in_the_toolkits_pixels() -> None:
    monitor = place_logically([Monitor("a", Rect(-3840, 0, 3840, 2160), 2.0, primary=True)])[0]
    assert geometry(toolkit_bounds(monitor, "linux")) == "3840x2160+-3840+0"
    assert geometry(toolkit_bounds(monitor, "win32")) == "3840x2160+-3840+0"
    assert geometry(toolkit_bounds(monitor, "darwin")) == "1920x1080+-1920+0"


def test_a_missing_tkinter_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "tkinter":
            raise ImportError("No module named '_tkinter'")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SessionError, match="needs tkinter, which this Python lacks"):
        open_toolkit()
    assert "python3-tk" in how_to_install("linux")
    assert "brew install python-tk@3." in how_to_install("darwin")


def test_no_desktop_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Toolkit:
        class TclError(Exception):
            pass

        @staticmethod
        def Tk() -> None:
            raise Toolkit.TclError("no display name and no $DISPLAY environment variable")

    monkeypatch.setitem(window_module.sys.modules, "tkinter", Toolkit())
    with pytest.raises(SessionError, match=r"No window can be opened here: no display name"):
        open_toolkit()


class Source:
    """A source that gives so many batches, then fails or ends."""

    columns = GAZE_COLUMNS
    duration_us = None

    def __init__(self, batches: int, error: Exception | None = None) -> None:
        self.many, self.error, self.stopped = batches, error, 0

    def start(self) -> Any:
        return SimulatedEyes().start()

    def batches(self) -> Any:
        for number in range(self.many):
            yield Batch(number, empty_records(0))
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        self.stopped += 1


def taken(feed: Feed) -> list[Batch]:
    feed._thread.join(10.0)
    return list(feed.take())


def test_a_feed_gives_what_came_in_order_and_stops() -> None:
    source = Source(5)
    feed = Feed(source)
    assert feed.start().tracker == "Simulated eyes"
    assert [batch.end_us for batch in taken(feed)] == [0, 1, 2, 3, 4]
    assert feed.take() == ()
    assert feed.ended
    feed.stop()
    assert source.stopped == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SessionError("The tracker is gone."), "^The tracker is gone.$"),
        (ValueError("odd"), "^The source of gaze failed: odd.$"),
        (KeyError(), "^The source of gaze failed: KeyError.$"),
    ],
)
def test_a_feed_that_fails_gives_what_came_first(error: Exception, words: str) -> None:
    feed = Feed(Source(2, error))
    feed.start()
    assert len(taken(feed)) == 2
    with pytest.raises(SessionError, match=words):
        feed.take()
    feed.stop()


def test_a_window_that_takes_nothing_loses_the_oldest() -> None:
    feed = Feed(Source(LONGEST_QUEUE + 10))
    feed.start()
    came = taken(feed)
    assert len(came) == LONGEST_QUEUE
    assert came[-1].end_us == LONGEST_QUEUE + 9
    feed.stop()
