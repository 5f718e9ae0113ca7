"""``qpgaze project``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qpgaze.bridge import open_project
from qpgaze.cli.app import run
from qpgaze.model import SlideObject


@pytest.fixture(autouse=True)
def no_qupath(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAQUO_QUPATH_DIR", str(tmp_path / "none"))


def test_create_add_show_export(
    tmp_path: Path,
    picture: Path,
    make_object: Callable[..., SlideObject],
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = str(tmp_path / "My study")
    other = tmp_path / "b.png"
    other.write_bytes(picture.read_bytes())
    assert run(["project", "create", project]) == 0
    assert run(["project", "add", project, str(picture), str(other), "--patient", "P7"]) == 0
    with open_project(project, mode="r+") as opened:
        opened.entry("1").add([make_object(1), make_object(2, class_name=None)])
        opened.commit()
    capsys.readouterr()
    assert run(["project", "show", project]) == 0
    shown = capsys.readouterr().out
    assert "P7" in shown
    assert "Keratin pearl" in shown
    assert run(["project", "show", project, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["version"] == 1
    assert facts["backend"] == "embedded"
    first, second = facts["images"]
    assert (first["id"], first["objects"], first["metadata"]) == ("1", 2, {"patient": "P7"})
    assert first["by_class"] == {"Keratin pearl": 1, "Unclassified": 1}
    assert (second["objects"], second["problems"]) == (0, [])
    out = tmp_path / "out.geojson"
    assert run(["project", "export", project, str(out)]) == 2
    assert "Say which image" in capsys.readouterr().err
    assert run(["project", "export", project, str(out), "--image", "1"]) == 0
    assert len(json.loads(out.read_text(encoding="utf-8"))["features"]) == 2
    assert run(["project", "export", project, str(out), "--image", "1"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(["project", "export", project, str(out), "--image", "2", "--overwrite"]) == 0


def test_what_is_wrong_is_said(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = str(tmp_path / "p")
    assert run(["project", "show", project]) == 2
    assert "no project" in capsys.readouterr().err
    assert run(["project", "create", project]) == 0
    assert run(["project", "create", project]) == 2
    assert "already holds" in capsys.readouterr().err
    assert run(["project", "add", project, str(picture), str(tmp_path / "no.svs")]) == 2
    assert "no.svs" in capsys.readouterr().err
    assert run(["project", "add", project, str(picture), str(picture), "--name", "x"]) == 2
    assert "--name is for one image" in capsys.readouterr().err
    assert run(["project", "add", project, str(picture), "--backend", "paquo"]) == 2
    assert "PAQUO_QUPATH_DIR" in capsys.readouterr().err
    with open_project(project) as opened:
        assert opened.entries == ()


def test_a_broken_image_does_not_hide_the_others(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "p"
    assert run(["project", "create", str(project)]) == 0
    assert run(["project", "add", str(project), str(picture), "--type", "h-dab"]) == 0
    (project / "data" / "1" / "data.qpdata").write_bytes(b"\xac\xed\0\5x")
    picture.unlink()
    capsys.readouterr()
    assert run(["project", "show", str(project), "--json"]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["objects"] is None
    assert len(image["problems"]) == 2
    assert run(["project", "show", str(project)]) == 0
