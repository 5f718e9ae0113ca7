"""A monitor that was chosen in QuPath's window: found among the system's, and remembered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from qpgaze.cli.monitor import monitor as command
from qpgaze.errors import SessionError, UsageError
from qpgaze.recording.validation import choosing
from qpgaze.recording.validation.choosing import choose_as_seen
from qpgaze.recording.validation.monitors import Monitor, place_logically
from qpgaze.recording.validation.settings import load_settings
from qpgaze.viewing import Rect


def two(scale: float | None = None) -> Sequence[Monitor]:
    factor = scale or 1.0
    return place_logically(
        [
            Monitor("left", Rect(0, 0, 1920, 1080), factor, 527, 296, primary=True),
            Monitor("right", Rect(1920, 0, 2560, 1440), factor),
        ]
    )


def none_listed(_scale: float | None) -> Sequence[Monitor]:
    raise SessionError("No desktop is seen.")


def test_it_is_found_by_its_bounds_and_kept(tmp_path: Path) -> None:
    chosen = choose_as_seen(Rect(0, 0, 1920, 1080), 1.0, folder=tmp_path, monitors=two)
    assert (chosen.name, chosen.number, chosen.width_mm) == ("left", 1, 527)
    assert load_settings(tmp_path).monitor == chosen
    assert not chosen.scale_by_hand


def test_one_that_does_not_say_its_size_is_asked_for(tmp_path: Path) -> None:
    right = Rect(1920, 0, 2560, 1440)
    with pytest.raises(UsageError) as asked:
        choose_as_seen(right, 1.0, folder=tmp_path, monitors=two)
    assert "--size-mm" in str(asked.value.hint)
    assert load_settings(tmp_path).monitor is None
    chosen = choose_as_seen(right, 1.0, size_mm=(597, 336), folder=tmp_path, monitors=two)
    assert (chosen.number, chosen.height_mm) == (2, 336)


def test_qupaths_scale_counts(tmp_path: Path) -> None:
    chosen = choose_as_seen(Rect(0, 0, 1280, 720), 1.5, folder=tmp_path, monitors=two)
    assert (chosen.name, chosen.scale, chosen.scale_by_hand) == ("left", 1.5, True)


def test_one_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There are: 1: left"):
        choose_as_seen(Rect(5, 5, 800, 600), 1.0, folder=tmp_path, monitors=two)


def test_where_none_is_listed_qupath_is_believed(tmp_path: Path) -> None:
    box = Rect(0, 0, 1280, 720)
    chosen = choose_as_seen(box, 2.0, size_mm=(600, 340), folder=tmp_path, monitors=none_listed)
    assert chosen.bounds_screen_px == box
    assert chosen.bounds_physical_px == Rect(0, 0, 2560, 1440)
    assert chosen.forced_scale == 2.0


def test_the_verb_says_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QPGAZE_SETTINGS", str(tmp_path))
    monkeypatch.setattr("qpgaze.recording.validation.screens.list_monitors", two)
    monkeypatch.setattr(
        choosing.choose_as_seen,
        "__kwdefaults__",
        {**(choosing.choose_as_seen.__kwdefaults__ or {}), "monitors": two},
    )
    run = CliRunner().invoke
    assert "None was chosen" in run(command).stdout
    said = json.loads(run(command, ["--bounds", "0", "0", "1920", "1080", "--json"]).stdout)
    assert said["chosen"]["name"] == "left"
    assert "The eye tracker's: 1: left" in run(command).stdout
