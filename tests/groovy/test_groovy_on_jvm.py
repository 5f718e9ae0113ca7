"""The scripts that run inside QuPath, without a QuPath: parsed, compiled, and run on a JVM.

Every script is compiled with Groovy 4 and 5 against signatures of QuPath and JavaFX (see README.md
beside this file), and what needs no QuPath is checked on the JVM. ``QPGAZE_QUPATH_DIRS`` adds real
QuPaths to compile against.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qpgaze.bridge.qupath_scripts import launcher

pytestmark = pytest.mark.jvm

PROGRAMS = Path(__file__).resolve().parent
GROOVY = PROGRAMS.parents[1] / "groovy"
CHECKS = sorted(p.stem for p in (PROGRAMS / "checks").glob("*Checks.groovy"))
QUPATHS = [f for f in os.environ.get("QPGAZE_QUPATH_DIRS", "").split(os.pathsep) if f]


def test_every_script_compiles_and_calls_what_qupath_has(attempt: Any) -> None:
    assert not attempt.errors, "\n".join(attempt.errors)
    for source in (GROOVY / "qpgaze").glob("*.groovy"):
        assert (attempt.folder / "classes" / "qpgaze" / f"{source.stem}.class").exists()
    for source in GROOVY.glob("*.groovy"):
        assert any((attempt.folder / "scripts" / source.name).glob("*.class"))


@pytest.mark.qupath
@pytest.mark.parametrize("folder", [*map(Path, QUPATHS)] or [None], ids=lambda f: f and f.name)
def test_a_real_qupath_has_what_the_stubs_say(
    folder: Path | None, java: Any, run: Callable[..., Any], tmp_path: Path
) -> None:
    """Compiled with that QuPath's own Groovy and Java against its own jars."""
    if folder is None:
        pytest.skip("qupath: QPGAZE_QUPATH_DIRS names no QuPath")
    jars = next(p for p in (folder / "lib" / "app", folder / "Contents" / "app") if p.is_dir())
    line = launcher(folder)
    runtime = jars.parent / "runtime" / "bin" / "java"
    own = line[0] if line and line[-1] == "qupath.QuPath" else str(runtime)
    compiler = str(Path(java.program).with_name("javac"))
    options = ["-nowarn", "-d", tmp_path, "-cp", java.path("4")]
    made = run(compiler, "--release", "11", *options, *PROGRAMS.glob("*.java"))
    assert made.returncode == 0, made.stderr
    theirs = [
        p for p in jars.glob("*.jar") if p.name.startswith(("groovy-", "gson-", "slf4j-api-"))
    ]
    path = os.pathsep.join(map(str, [tmp_path, *theirs]))
    where = [jars, GROOVY, PROGRAMS / "checks"]
    done = run(own, "-cp", path, "Build", tmp_path / "out", *where)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    ours = java.path("4", tmp_path)
    run(java.program, "-cp", ours, "Build", tmp_path, PROGRAMS / "stubs")
    done = run(own, "-cp", path, "Stubs", tmp_path / "stubs", jars)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_the_checks_hold_on_the_jvm(built: Any, run: Callable[..., Any]) -> None:
    done = run(*built.line("checks.Run", *(f"checks.{name}" for name in CHECKS)))
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    failed = [f"{one['check']}\n{one['error']}" for one in said if one["error"]]
    assert not failed, "\n".join(failed)
    written = sum(
        (PROGRAMS / "checks" / f"{name}.groovy").read_text("utf-8").count('    void "')
        for name in CHECKS
    )
    assert len(said) == written > 30
