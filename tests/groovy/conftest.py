"""A JDK, what Maven gets for it, the compiled hook, and the hook's end of the wire on a JVM."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).resolve().parent
ROOT = PROGRAMS.parents[1]
GROOVY = ROOT / "groovy"
SCHEMA = ROOT / "qpgaze" / "wire" / "wire-schema.json"
# Short runs: compile little, collect simply.
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx384m")
OLD_GROOVY_4_KNOWS_JAVA = 20
NEWER_GROOVY_4 = "4.0.33"


def run_to_end(*line: object, wait_s: float = 300.0) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [str(part) for part in line],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=wait_s,
    )


@dataclass(frozen=True)
class Java:
    """A JDK and the jars that Maven brought."""

    program: str
    number: str
    jars: Path
    cache: Path

    def path(self, groovy: str, *more: Path) -> str:
        """Return the class path with one Groovy (4 or 5)."""
        others = [j for j in self.jars.glob("*.jar") if not j.name.startswith("groovy-")]
        one = sorted(self.jars.glob(f"groovy-{groovy}.*.jar"))[:1]
        return os.pathsep.join(str(p) for p in [*one, *sorted(others), *more])


@pytest.fixture(scope="session")
def java(request: pytest.FixtureRequest) -> Java:
    """The JDK of this computer and what Maven gets for it, once for all runs of this checkout."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(home, "bin")) if home else None)
    maven = shutil.which("mvn")
    if program is None or maven is None:
        pytest.skip("jvm: java and mvn are needed")
    modules = run_to_end(program, "--list-modules").stdout.split()
    number = next((m.partition("@")[2] for m in modules if m.startswith("java.base@")), "")
    if not any(m.startswith("jdk.compiler@") for m in modules):
        pytest.skip("jvm: a JDK (11 or newer) is needed, this Java cannot compile")
    cache = Path(request.config.cache.mkdir("groovy"))  # type: ignore[union-attr]
    old = int(number.split(".")[0]) <= OLD_GROOVY_4_KNOWS_JAVA
    choice = [] if old else [f"-Dgroovy4={NEWER_GROOVY_4}"]
    pom = PROGRAMS / "pom.xml"
    jars = cache / f"jars-{digest(pom.read_bytes(), *choice)}"
    with alone(cache):
        if not jars.exists():
            with_jars(maven, pom, choice, jars)
    return Java(program, number, jars, cache)


def with_jars(maven: str, pom: Path, choice: list[str], jars: Path) -> None:
    """Have Maven copy the jars there, from its own store where it has them already."""
    part = Path(tempfile.mkdtemp(dir=jars.parent))
    line = [maven, "-q", "-B", "-f", pom, *choice, "dependency:copy", f"-DoutputDirectory={part}"]
    done = run_to_end(*line, "-o")
    if done.returncode != 0:
        done = run_to_end(*line)
    if done.returncode != 0:
        shutil.rmtree(part)
        said = [x for x in (done.stdout + done.stderr).splitlines() if "ERROR" in x]
        pytest.skip(f"jvm: Maven could not bring the libraries ({(said or ['it failed'])[0]:.200})")
    part.rename(jars)


def digest(*parts: object) -> str:
    """Return a short name for these contents."""
    made = hashlib.sha256()
    for part in parts:
        made.update(part if isinstance(part, bytes) else str(part).encode())
        made.update(b"\0")
    return made.hexdigest()[:20]


class alone:
    """Hold other processes of the tests back (not on Windows: there each works for itself)."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / "lock"

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


# -- compiling -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Built:
    """What became of the scripts under one Groovy."""

    java: Java
    groovy: str
    folder: Path
    errors: tuple[str, ...]

    def line(self, *what: object) -> list[str]:
        """Return the command that runs a program on the hook's classes, without the stubs."""
        path = self.java.path(self.groovy, self.folder / "classes", self.folder / "checks")
        return [self.java.program, *QUICK, "-cp", path, *map(str, what)]


@pytest.fixture(scope="session", params=["4", "5"], ids=["Groovy 4", "Groovy 5"])
def attempt(request: pytest.FixtureRequest, java: Java) -> Built:
    """Compile stubs, classes, scripts and checks; kept for as long as none of them changes."""
    sources = sorted(
        p
        for folder in (GROOVY, PROGRAMS)
        for p in folder.rglob("*")
        if p.suffix in (".groovy", ".java")
    )
    texts = [x for p in sources for x in (p.relative_to(ROOT).as_posix(), p.read_bytes())]
    name = f"built-{request.param}-{digest(java.number, java.jars.name, *texts)}"
    folder = java.cache / name
    with alone(java.cache):
        if folder.exists():
            return Built(java, request.param, folder, ())
        part = Path(tempfile.mkdtemp(dir=java.cache))
        program = ["-cp", java.path(request.param), PROGRAMS / "Build.java", part]
        where = [PROGRAMS / "stubs", GROOVY, PROGRAMS / "checks"]
        done = run_to_end(java.program, *QUICK, *program, *where)
        errors = [x for x in done.stdout.splitlines() if x.startswith("ERROR ")]
        if done.returncode == 0:
            older = sorted(java.cache.glob("built-*"), key=lambda p: p.stat().st_mtime)
            for one in older[:-8]:
                shutil.rmtree(one)
            part.rename(folder)
        else:
            shutil.rmtree(part)
            errors = errors or [done.stderr[-3000:]]
    return Built(java, request.param, folder, tuple(errors))


@pytest.fixture
def built(attempt: Built) -> Built:
    if attempt.errors:
        pytest.fail("the hook does not compile: see test_every_script_compiles")
    return attempt


class Peer:
    """The hook's end of the wire on a JVM."""

    def __init__(self, built: Built, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            built.line("checks.Peer", SCHEMA, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self.watch = threading.Timer(1800.0, self.process.kill)  # only a broken program needs it
        self.watch.daemon = True
        self.watch.start()
        self.file = Path(self._hear()["file"])

    def _hear(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the JVM ended"
        return json.loads(line)

    def tell(self, told: str, **more: object) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"told": told, **more}) + "\n")
        self.process.stdin.flush()
        return self._hear()["answer"]

    def show(self, start: int, stop: int) -> None:
        self.tell("show", start=start, stop=stop)

    @property
    def token(self) -> str:
        return str(json.loads(self.file.read_text("utf-8"))["token"])

    @property
    def port(self) -> int:
        return int(json.loads(self.file.read_text("utf-8"))["port"])

    def end(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()
        status = self.process.wait(60)
        self.process.stdout.close()
        self.watch.cancel()
        return status


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    return run_to_end


@pytest.fixture
def start_peer(built: Built) -> Callable[[Path], Peer]:
    return lambda folder: Peer(built, folder)


@pytest.fixture(scope="module")
def peer(attempt: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    if attempt.errors:
        pytest.fail("the hook does not compile: see test_every_script_compiles")
    made = Peer(attempt, tmp_path_factory.mktemp("jvm") / "hooks")
    yield made
    made.end()
