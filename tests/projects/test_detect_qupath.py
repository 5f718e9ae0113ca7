"""Finding a QuPath without starting Java."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.projects import detect_qupath
from qpgaze.bridge.projects.detect_qupath import paquo_or_reason, qupath_version
from qpgaze.errors import ProjectError, UsageError


def install(folder: Path, version: str | None, system: str | None = None) -> Path:
    """Lay out what an installation is known by."""
    app, machine = detect_qupath._LAYOUT[system or platform.system()]
    (folder / app).mkdir(parents=True)
    (folder / machine).parent.mkdir(parents=True)
    (folder / machine).write_bytes(b"")
    if version is not None:
        (folder / app / f"qupath-core-{version}.jar").write_bytes(b"")
        (folder / app / f"qupath-core-processing-{version}.jar").write_bytes(b"")
    return folder


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
def test_versions_are_read_on_every_system(tmp_path: Path, system: str) -> None:
    assert qupath_version(install(tmp_path / "QuPath", "0.5.1", system), system) == "0.5.1"
    assert qupath_version(tmp_path, system) is None
    assert qupath_version(tmp_path, "Plan 9") is None


@pytest.mark.parametrize(
    ("version", "usable", "words"),
    [
        ("0.5.1", True, "QuPath 0.5.1 was found"),
        ("0.6.0-rc5", True, "QuPath 0.6.0-rc5 was found"),
        ("0.4.4", False, "0.4.4"),
        ("0.7.0", False, "0.7.0"),
        (None, False, "does not say its version"),
    ],
)
def test_what_is_found_is_judged(
    tmp_path: Path, version: str | None, usable: bool, words: str
) -> None:
    folder = install(tmp_path / "QuPath-x", version)
    for found in (
        paquo_or_reason(environment={"PAQUO_QUPATH_DIR": str(folder)}, search=[]),
        paquo_or_reason(environment={}, search=[str(tmp_path)]),
    ):
        assert (found.folder, found.usable) == (folder, usable)
        assert words in found.reason


def test_nothing_found_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gone = str(tmp_path / "gone")
    assert paquo_or_reason(environment={}, search=[gone]).reason == "no QuPath was found"
    named = paquo_or_reason(environment={"PAQUO_QUPATH_DIR": gone}, search=[])
    assert not named.usable
    assert "PAQUO_QUPATH_DIR" in named.reason
    folder = install(tmp_path / "here", "0.6.0")
    (tmp_path / ".paquo.toml").write_text(f"qupath_dir = '{folder}'\n", encoding="utf-8")
    assert paquo_or_reason(environment={}, search=[]).usable
    (tmp_path / ".paquo.toml").write_text(f"qupath_dir = '{gone}'\n", encoding="utf-8")
    assert ".paquo.toml" in paquo_or_reason(environment={}, search=[]).reason


def test_auto_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_project(tmp_path / "p", backend="embedded").close()
    nothing = detect_qupath.Found(None, "", False, "no QuPath was found")
    monkeypatch.setattr(detect_qupath, "paquo_or_reason", lambda: nothing)
    with open_project(tmp_path / "p") as opened:
        assert (opened.backend, opened.backend_reason) == ("embedded", "no QuPath was found")
    with pytest.raises(ProjectError, match="no QuPath was found"):
        open_project(tmp_path / "p", backend="paquo")
    with pytest.raises(UsageError, match="Expected backend"):
        open_project(tmp_path / "p", backend="java")  # type: ignore[arg-type]


HEAVY = (
    "paquo", "jpype", "pandas", "pyarrow", "numba", "scipy", "skimage", "torch", "dynaconf",
)  # fmt: skip
OF_OTHERS = (
    "openslide", "tifffile", "secrets", "click", "rich", "qpgaze.frames",
    "qpgaze.viewing", "qpgaze.wire", "qpgaze.bridge.ledger",
    "qpgaze.bridge.projects.detect_qupath", "qpgaze.bridge.projects.in_use",
    "qpgaze.bridge.projects.live", "qpgaze.bridge.projects.live_windows",
    "qpgaze.slides.tiff_slide", *(() if sys.platform == "win32" else ("socket",)),
)  # fmt: skip
"""What a first annotation in a fresh project has no use for: each costs its start a millisecond or
more, most of them in Python's dataclasses."""


def loaded(code: str, names: tuple[str, ...]) -> str:
    """Run a program in an interpreter of its own and say which modules it loaded."""
    ask = f"import sys; print([m for m in {names} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + ask],
        capture_output=True, text=True, env={**os.environ, "PYTHONUTF8": "1"}, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_the_embedded_store_starts_nothing(tmp_path: Path) -> None:
    """Neither paquo nor a JVM, nor anything heavy, is imported for it."""
    code = (
        "from qpgaze.bridge import create_project, open_project\n"
        "from qpgaze.bridge.ledger import Ledger\n"
        f"create_project({str(tmp_path / 'p')!r}, backend='embedded').close()\n"
        f"open_project({str(tmp_path / 'p')!r}, backend='embedded').close()\n"
        f"Ledger.open({str(tmp_path / 'p')!r})\n"
    )
    assert loaded(code, HEAVY) == "[]"


def test_a_cold_start_loads_what_it_needs(tmp_path: Path, picture: Path) -> None:
    code = (
        "from uuid import UUID\n"
        "import shapely\n"
        "from qpgaze.bridge import create_project\n"
        "from qpgaze.model import SlideObject\n"
        f"with create_project({str(tmp_path / 'p')!r}, backend='embedded') as project:\n"
        "    label = SlideObject(UUID(int=1), shapely.box(1, 2, 30, 40))\n"
        f"    project.add_image({str(picture)!r}).add([label])\n"
        "    project.commit()\n"
    )
    assert loaded(code, HEAVY + OF_OTHERS) == "[]"
    with open_project(tmp_path / "p", backend="embedded") as opened:
        assert len(opened.entries[0].objects()) == 1


@pytest.mark.qupath
def test_java_does_not_talk_on_stdout(tmp_path: Path, picture: Path, qupath: str) -> None:
    code = (
        "from pathlib import Path\n"
        "from qpgaze.cli.app import run\n"
        f"run(['project', 'create', {str(tmp_path / 'p')!r}])\n"
        f"run(['project', 'add', {str(tmp_path / 'p')!r}, {str(picture)!r}])\n"
        f"run(['project', 'show', {str(tmp_path / 'p')!r}, '--json'])\n"
    )
    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Made ")
    assert lines[1].startswith("Added ")
    assert lines[2] == "{"
    assert lines[-1] == "}"
    assert f'"backend_reason": "QuPath {qupath} was found"' in done.stdout
