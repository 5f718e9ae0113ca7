"""qpgaze inspect, validate and import."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qpgaze.cli.app import run

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_inspect_fits_80_columns(make_session: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(make_session())]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for word in (
        "reader 1", "Test tracker", "1920 x 1080 px", "120.0 Hz", "100.0% valid",
        "0.60 deg, precision 0.20 deg (measured)", "within 0.1 ms", "11 states",
        "slide A (4000 x 3000 px, entry 3)", "1 validation, 4 label", "1 Keratin pearl",
        "1 undone", "closed",
    ):  # fmt: skip
        assert word in out, word


def test_inspect_json(make_session: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(make_session(close=False)), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["qpgaze"], report["version"], report["closed"]) == ("inspect", 1, False)
    assert report["labels"] == {"Keratin pearl": 1, "Tumor: invasive": 1}
    assert report["display"]["bounds_screen_px"] == [0.0, 0.0, 1920.0, 1080.0]
    assert report["images"][0]["entry_id"] == "3"


def test_inspect_shows_what_cannot_be_used(
    make_session: Make,
    parts,  # type: ignore[no-untyped-def]
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = make_session(gaze=parts.gaze(0), states=[], events=())
    assert run(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "assumed" in out
    assert "0 samples" in out


def test_validate(make_session: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_session()
    assert run(["validate", str(path)]) == 0
    assert capsys.readouterr().out == "a.qpgaze: no problems.\n"
    (path / "gaze.bin").write_bytes((path / "gaze.bin").read_bytes()[:-13])
    assert run(["validate", str(path)]) == 1
    out = capsys.readouterr().out
    assert "byte 47920" in out
    assert max(map(len, out.splitlines())) <= 80
    assert run(["validate", str(path), "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert problems[0]["file"] == "gaze.bin"
    assert set(problems[0]) == {"file", "place", "message"}


@pytest.mark.parametrize("verb", ["inspect", "validate"])
def test_nothing_there_is_exit_2(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([verb, str(tmp_path / "none")]) == 2
    assert "qpgaze: There is no session at" in capsys.readouterr().err


def test_import(tmp_path: Path, viewer_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    table.write_text("Zeit;X;Y\n0,1;480;270\n0,2;960;540\n", "utf-8")
    session = tmp_path / "s.qpgaze"
    arguments = [
        "import", str(table), str(session), "--viewer", str(viewer_log), "--column", "t=Zeit",
        "--column", "x=X", "--column", "y=Y", "--unit", "s", "--frame", "screen-px",
        "--screen", "1920x1080", "--screen-mm", "528x297", "--distance-mm", "600",
        "--pseudonym", "r1", "--offset-ms", "1500",
    ]  # fmt: skip
    assert run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["samples"], report["valid"], report["kind"]) == (2, 1.0, "mapping")
    assert report["display"]["distance_mm"] == 600.0
    assert run(["inspect", str(session), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pseudonym"] == "r1"
    assert run(arguments) == 2
    assert "not empty" in capsys.readouterr().err
    arguments[2] = str(tmp_path / "t.qpgaze")
    assert run(arguments) == 0
    assert "t.qpgaze: 2 samples (100.0% valid), 61 viewer states" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--column", "t"], "ROLE=NAME"),
        (["--unit", "s"], "none is named"),
        (["--column", "t=T"], "needs a column for t, and for x and y"),
        (["--mapping", "none.json"], "no mapping file"),
        (["--screen", "big"], "such as 1920x1080"),
        ([], "lacks"),
    ],
)
def test_wrong_use_of_import_is_exit_2(
    tmp_path: Path,
    viewer_log: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    word: str,
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("timestamp,left_x,left_y,target_id,tar_x,tar_y\n1,2,3,4,5,6\n", "utf-8")
    session = tmp_path / "s.qpgaze"
    assert run(["import", str(table), str(session), "--viewer", str(viewer_log), *more]) == 2
    err = capsys.readouterr().err
    assert word in err
    assert "Traceback" not in err
    assert not session.exists()


def test_a_mapping_file_and_columns_together(
    tmp_path: Path, viewer_log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = {"columns": {"t": "T", "x": "X", "y": "Y"}, "unit": "ms", "size_mm": [528, 297]}
    (tmp_path / "m.json").write_text(json.dumps(mapping), "utf-8")
    (tmp_path / "t.tsv").write_text("T\tX\tY\tOK\n1\t.5\t.5\t1\n2\t.5\t.5\t0\n", "utf-8")
    arguments = [
        "import", str(tmp_path / "t.tsv"), str(tmp_path / "s.qpgaze"), "--viewer", str(viewer_log),
        "--mapping", str(tmp_path / "m.json"), "--column", "valid=OK", "--json",
    ]  # fmt: skip
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["valid"] == 0.5
