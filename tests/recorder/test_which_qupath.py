"""Several QuPaths, and monitors that QuPath sees elsewhere: asked about, said, never guessed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qpgaze.cli.app import run
from qpgaze.errors import UsageError
from qpgaze.recording import SimulatedSource
from qpgaze.recording.live import LiveSetup, PacedSource
from qpgaze.recording.live_choice import choose_hook, running_qupaths
from qpgaze.recording.live_display import TROUBLE, DisplayWatch
from qpgaze.recording.live_recorder import Recording, Told, record_live
from qpgaze.recording.status import Status
from qpgaze.recording.watch_end import Ending
from qpgaze.session import open_session
from qpgaze.simulate import Reading
from qpgaze.viewing import Display, ImageIdentity, Rect, ViewerState
from qpgaze.wire import StandIn, find_hooks
from qpgaze.workflows.record import RecordOptions, _hook_of

HOOK = """
import sys
from pathlib import Path
from qpgaze.viewing import ImageIdentity
from qpgaze.wire import StandIn
with StandIn(Path(sys.argv[1]), qupath="0.6.0") as qupath:
    opened = qupath.open_image(ImageIdentity(sys.argv[2], 10, 10))
    opened.project_uri = sys.argv[3] or None
    print("ready", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_qupath(hooks: Path, image: str, project: str = "") -> Iterator[int]:
    """A QuPath in a process of its own; gives its number."""
    line = [sys.executable, "-c", HOOK, str(hooks), image, project]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
        yield one.pid
        one.communicate("\n")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int, int]]:
    """Two QuPaths, of which the first shows an image of a project."""
    hooks = tmp_path_factory.mktemp("hooks")
    project = tmp_path_factory.mktemp("study") / "project.qpproj"
    project.write_text("{}", "utf-8")
    with (
        another_qupath(hooks, "a.svs", project.as_uri()) as first,
        another_qupath(hooks, "b.svs") as second,
    ):
        yield hooks, first, second


def test_the_only_one_need_not_be_named(tmp_path: Path) -> None:
    assert choose_hook(None, (tmp_path,)) is None
    with StandIn(tmp_path):
        assert choose_hook(None, (tmp_path,)) is None
        named = choose_hook(str(os.getpid()), (tmp_path,))
        assert named is not None
        assert named == choose_hook(str(named.path), (tmp_path,))


def test_of_several_one_must_be_named(two: tuple[Path, int, int]) -> None:
    hooks, first, second = two
    with pytest.raises(UsageError, match="Several QuPaths run") as caught:
        choose_hook(None, (hooks,))
    assert f"{first} (QuPath 0.6.0, shows a.svs)" in str(caught.value)
    assert f"{second} (QuPath 0.6.0, shows b.svs)" in str(caught.value)
    assert "--hook " in str(caught.value)
    for pid in (first, second):
        hook = choose_hook(str(pid), (hooks,))
        assert hook is not None
        assert hook.pid == pid
    with pytest.raises(UsageError, match=f"No QuPath '1' runs.*{first}"):
        choose_hook("1", (hooks,))


def test_the_one_that_shows_the_project_is_meant(
    two: tuple[Path, int, int], tmp_path: Path
) -> None:
    hooks, first, _ = two
    shown = next(one for one in running_qupaths((hooks,)) if one.hook.pid == first)
    folder = Path(shown.projects[0].removeprefix("file:" if os.name != "nt" else "file:///")).parent
    for project in (folder, folder / "project.qpproj"):
        options = RecordOptions(project=project, hooks=(hooks,))
        found = _hook_of(options, {})
        assert found == shown.hook.path
    with pytest.raises(UsageError, match="Several"):
        _hook_of(RecordOptions(project=tmp_path, hooks=(hooks,)), {})
    # The QuPath that started the recorder is meant, whatever else runs.
    assert _hook_of(RecordOptions(hooks=(hooks,)), {"QPGAZE_HOOK": str(shown.hook.path)}) == (
        shown.hook.path
    )


def test_the_verb_asks_in_words(
    two: tuple[Path, int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hooks, first, second = two
    monkeypatch.setattr("qpgaze.wire.discovery.discovery_folders", lambda: (hooks,))
    monkeypatch.delenv("QPGAZE_HOOK", raising=False)
    words = ["record", "--source", "mouse", "--sessions", str(tmp_path), "--name", "s"]
    assert run(words) == 2
    shown = capsys.readouterr().err
    assert "Several QuPaths run" in shown
    assert f"--hook {first}" in shown or f"--hook {second}" in shown
    assert list(tmp_path.iterdir()) == []


def wait_for(recorder: threading.Thread, condition: Any) -> None:
    """Wait while the recorder runs: the reading that it records does not last for ever."""
    pause = threading.Event()
    while not condition():
        assert recorder.is_alive(), "the recording ended before"
        pause.wait(0.005)


def test_while_several_run_none_is_recorded(
    tmp_path: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpgaze.recording.live_viewer.LOOK_AGAIN_S", 0.01)
    setup, ending = LiveSetup(), Ending()
    source = PacedSource(SimulatedSource(reading, 20_000), setup, gaze_only=True)
    hooks, said, told = tmp_path / "hooks", [], []
    what = Recording(source, zero=setup.zero, hooks=(hooks,))
    heard = Told(status=told.append, note=lambda _t, text: said.append(text))
    thread = threading.Thread(
        target=lambda: record_live(what, tmp_path / "s.qpgaze", ending=ending, told=heard)
    )
    with another_qupath(hooks, "a.svs") as stays:
        with another_qupath(hooks, "b.svs"):
            thread.start()
            wait_for(thread, lambda: any("Several QuPaths run" in text for text in said))
        wait_for(thread, lambda: any("is connected" in text for text in said))
        wait_for(thread, lambda: told and told[-1].images)
        assert {hook.pid for hook in find_hooks((hooks,)).hooks} == {stays}
    ending.end("enough")
    thread.join()
    assert {s.images for s in told if s.images} == {("a.svs",)}
    assert sum("Several" in text for text in said) == 1


# -- the monitor ---------------------------------------------------------------------------------

HERE = Display(Rect(0.0, 0.0, 1920.0, 1080.0), 528.0, 297.0)


def seen(t_us: int, screen: Rect | None, scale: float = 1.0, viewer: str = "1") -> ViewerState:
    return ViewerState(t_us, viewer, None, None, 1.0, screen_bounds_px=screen, screen_scale=scale)


def test_a_monitor_that_qupath_sees_elsewhere_is_said_once_and_taken_back() -> None:
    watch = DisplayWatch(HERE)
    right = HERE.bounds_screen_px
    assert watch.take([seen(0, None), seen(1, right), seen(2, right)]) == []
    assert watch.trouble == ""
    wrong = replace(right, width=2560.0, height=1440.0)
    (note,) = watch.take([seen(3, wrong), seen(4, wrong), seen(5, wrong, viewer="2")])
    assert (note.t_us, note.kind, note.data["display"]) == (3, "note", "contradicted")
    assert "QuPath sees 2560 x 1440 at 0, 0 (100%)" in note.data["text"]
    assert "validate-gaze --monitor ask" in note.data["text"]
    assert watch.trouble == TROUBLE
    assert watch.take([seen(6, right)]) == []  # the other viewer still says so
    (note,) = watch.take([seen(7, right, viewer="2")])
    assert note.data["display"] == "agrees"
    assert watch.trouble == ""
    assert len(watch.take([seen(8, right, scale=1.25)])) == 1


def test_another_display_is_in_the_status_and_in_the_session(
    tmp_path: Path, reading: Reading
) -> None:
    setup, ending = LiveSetup(), Ending()
    source = PacedSource(SimulatedSource(reading, 20_000), setup, gaze_only=True)
    told: list[Status] = []
    what = Recording(source, zero=setup.zero, hooks=(tmp_path / "hooks",))
    thread = threading.Thread(
        target=lambda: record_live(
            what, tmp_path / "s.qpgaze", ending=ending, told=Told(status=told.append)
        )
    )
    with StandIn(tmp_path / "hooks") as qupath:
        qupath.open_image(ImageIdentity("a.svs", 10, 10))
        qupath.show(seen(qupath.server.clock(), Rect(0.0, 0.0, 1280.0, 720.0), 1.5))
        thread.start()
        wait_for(thread, lambda: any(TROUBLE in s.trouble for s in told))
        assert told[-1].state == "trouble"
        wait_for(
            thread,
            lambda: any(
                TROUBLE in n.get("text", "") for n in qupath.notes if n["type"] == "status"
            ),
        )
        ending.end("enough")
        thread.join()
    notes = [e.data for e in open_session(tmp_path / "s.qpgaze").events if e.kind == "note"]
    assert [n["display"] for n in notes if "display" in n] == ["contradicted"]
