"""docs/session-format.md names everything that the code writes, and its example runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qpgaze.frames import Clock, Frame
from qpgaze.keys import LabelEvent
from qpgaze.samples import GAZE_COLUMNS, MISSING_STAMP

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "session-format.md").read_text("utf-8")
NAMED = set(re.findall(r"`([^`\n]+)`", PAGE))


def section(heading: str) -> str:
    return PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("column", GAZE_COLUMNS, ids=lambda c: c.name)
def test_every_gaze_column_stands_there_with_type_unit_and_frame(column: Any) -> None:
    (row,) = [r for r in section("gaze.bin").splitlines() if f"`{column.name}`" in r]
    _, _, dtype, unit, frame, _, _ = re.split(r"(?<!\\)\|", row)
    assert dtype.strip().strip("`").replace("\\", "") == column.dtype
    assert (unit.strip(), frame.strip()) == (column.unit, column.frame)


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list)):
            yield from keys(inner)


@pytest.mark.parametrize("name", ["session.json", "viewer.jsonl", "clocks.jsonl", "manifest.json"])
def test_every_key_that_is_written_stands_there(
    make_session: Callable[..., Path], name: str
) -> None:
    text = (make_session() / name).read_text("utf-8")
    value = json.loads(text) if name.endswith(".json") else json.loads(text.splitlines()[0])
    if name == "session.json":
        del value["software"]
    if name == "manifest.json":
        assert set(value["files"]) <= NAMED
        value["files"] = list(value["files"].values())
    named = set(re.findall(r"`([^`\n]+)`", section(name)))
    assert {k for k in keys(value) if k != "format"} <= named


def test_the_keys_of_events_stand_there() -> None:
    named = set(re.findall(r"`([^`\n]+)`", section("events.jsonl")))
    assert {e.value for e in LabelEvent} - {"fixation"} <= named
    assert {"accuracy_deg", "precision_sd_deg", "precision_rms_deg", "class", "down"} <= named


def test_frames_clocks_and_the_missing_stamp_stand_there() -> None:
    assert {clock.__name__ for clock in Clock.__subclasses__()} <= NAMED
    written = {"Adcs", "ScreenPx", "ViewerPx", "ImagePx"}
    assert written <= NAMED & {frame.__name__ for frame in Frame.__subclasses__()}
    assert str(MISSING_STAMP) in PAGE


def test_the_example_reads_a_session(
    make_session: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_session("reader1.qpgaze").parent)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    space: dict[str, Any] = {}
    exec(code, space)
    assert len(space["gaze"]) == 600
    del space["gaze"]
