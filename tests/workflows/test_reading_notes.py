"""Every verb says it when a ledger's end was cut or the data's last version stood in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qpgaze.bridge import create_project, open_project
from qpgaze.cli.app import run
from qpgaze.session import open_session
from qpgaze.workflows.sample import load_sample


@pytest.fixture
def hurt(small: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A project after annotate, whose computer stopped at a bad moment, and whose slide moved."""
    monkeypatch.setenv("PAQUO_QUPATH_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["annotate", str(small.session), str(small.project)]) == 0
    (place,) = (small.project / "data").iterdir()
    (place / "data.qpdata").replace(place / "data.qpdata.bkp")
    ledger = small.project / "qpgaze" / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes() + b'{"version":1,"op":"ad')
    return small


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, dict[str, Any]]:
    capsys.readouterr()
    assert run(list(words)) in (0, 1)
    text = " ".join(capsys.readouterr().out.split())
    assert run([*words, "--json"]) in (0, 1)
    return text, json.loads(capsys.readouterr().out)


def test_verbs_that_only_read_say_it(hurt: Any, capsys: pytest.CaptureFixture[str]) -> None:
    project, session = str(hurt.project), str(open_session(hurt.session).id)
    for words in (
        ("project", "show", project),
        ("project", "log", project),
        (
            "project",
            "rollback",
            project,
            "--session",
            session,
            "--dry-run",
        ),
    ):
        text, facts = said(capsys, *words)
        assert "last line of the ledger (qpgaze/ledger.jsonl) was cut" in text, words
        assert "data.qpdata.bkp, was read" in text, words
        assert len(facts["notes"]) == 2, facts["notes"]
    text, facts = said(capsys, "project", "verify", project)
    assert {"cut", "backup"} <= {one["kind"] for one in facts["remarks"]}
    assert "was cut" in text


def test_verbs_that_write_say_it_once(hurt: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sessions = str(hurt.session.parent)
    words = ["refine", str(hurt.project), "--sessions", sessions, "--json", "--method"]
    capsys.readouterr()
    assert run([*words, "mariam2022"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert [("ledger" in note, ".bkp" in note) for note in notes] == [(True, False), (False, True)]
    with open_project(hurt.project, backend="embedded") as opened:
        assert len(opened.entries[0].objects()) == 2
    assert run([*words, "gaze-posterior"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []


def test_annotate_says_it(hurt: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text, facts = said(capsys, "annotate", str(hurt.session), str(hurt.project))
    assert "was cut" in text
    assert [".bkp" in note for note in facts["notes"]] == [False, True]


def test_show_knows_what_only_the_slide_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with create_project(tmp_path / "study", backend="embedded") as made:
        made.add_image(load_sample()[0].slide_path)
        made.commit()
        place = made.entries[0].folder  # type: ignore[attr-defined]
    for name in ("server.json", "summary.json"):
        (place / name).unlink()
    text, facts = said(capsys, "project", "show", str(tmp_path / "study"), "--allow-host", "srv")
    (image,) = facts["images"]
    assert (image["width_px"] > 0, image["problems"], facts["notes"]) == (True, [], [])
    assert image["pixel_size_um"] == [0.5, 0.5]
    assert " 0.5 " in text
