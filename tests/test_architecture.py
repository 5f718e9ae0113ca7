"""The drawing in docs/architecture.md and the code are held together."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "qpgaze"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, without its header."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def room_of(module: str) -> str:
    """Return the room of a dotted module name: ``core`` for what lies at the top."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else "core"


def imports(path: Path) -> set[str]:
    """Return the rooms that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qpgaze"):
            found |= {room_of(f"{node.module}.{alias.name}") for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {room_of(a.name) for a in node.names if a.name.startswith("qpgaze")}
    return found


DRAWN = {
    re.search(r"qpgaze/(\w+)/", row[0]).group(1): set(row[2].split(", "))  # type: ignore[union-attr]
    for row in rows("The way of the data")[1:]
}


def test_every_room_is_drawn_and_every_drawn_room_exists() -> None:
    there = {p.name for p in PACKAGE.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert set(DRAWN) == there


@pytest.mark.parametrize("room", sorted(DRAWN))
def test_a_room_imports_only_what_is_drawn(room: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        assert imports(path) <= DRAWN[room] | {room}, path.name


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda p: p.stem)
def test_the_core_imports_no_room(path: Path) -> None:
    # __init__ names rooms for type checkers, __main__ starts the command line.
    if path.stem not in {"__init__", "__main__"}:
        assert imports(path) <= {"core"}


@pytest.mark.parametrize("step", rows("The way of one sample"), ids=lambda row: row[0])
def test_every_step_of_a_sample_is_in_the_code(step: list[str]) -> None:
    module, path = re.fullmatch(r"`([\w.]+):([\w.]+)`", step[2]).groups()  # type: ignore[union-attr]
    assert reduce(getattr, path.split("."), importlib.import_module(module)) is not None
    frames = importlib.import_module("qpgaze.frames")
    for name in re.findall(r"`(\w+)`", step[1]):
        assert hasattr(frames, name), name


def test_the_frames_of_the_page_are_those_of_the_code() -> None:
    frames = importlib.import_module("qpgaze.frames")
    drawn = {row[0].strip("`") for row in rows("Frames")}
    there = {f.__name__ for f in frames.Frame.__subclasses__() if f.__module__ == frames.__name__}
    assert drawn == there


HEAVY = ["jpype", "paquo", "torch", "pandas", "pyarrow", "numba", "scipy", "skimage"]


@pytest.mark.parametrize(
    "code",
    [
        "import qpgaze",
        "from qpgaze.cli.app import run; assert run(['--help']) == 0",
        "import qpgaze; qpgaze.open_project, qpgaze.open_session, qpgaze.open_slide",
    ],
    ids=["import", "help", "names"],
)
def test_importing_is_free(code: str) -> None:
    ask = f"{code}\nimport sys; print('loaded:', *[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ask], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_every_class_of_the_hook_is_drawn() -> None:
    drawn = [
        name for row in rows("The hook inside QuPath") for name in re.findall(r"`(\w+)`", row[1])
    ]
    assert sorted(drawn) == sorted(p.stem for p in (ROOT / "groovy" / "qpgaze").glob("*.groovy"))
