"""The doctor: the same checks in the same order, whatever is there, and what to do about it."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from qpgaze.bridge.projects.detect_qupath import Found
from qpgaze.cli.app import run
from qpgaze.recording import libraries
from qpgaze.recording.attached import Attached, attached_trackers
from qpgaze.recording.validation.settings import LastValidation, Settings, save_settings
from qpgaze.wire import StandIn
from qpgaze.workflows import doctor as doctor_module
from qpgaze.workflows.doctor import Check, examine, machines_of, to_json

NAMES = [
    "Python", "tracker library", "tracker", "settings", "monitor", "calibration", "window",
    "QuPath", "Java", "hook", "port", "discovery", "disk",
]  # fmt: skip


NONE = Attached((), ("No Tobii tracker was found.", "No Gazepoint Control listens."))


def nothing() -> Found:
    return Found(None, "", False, "no QuPath was found")


def look(
    tmp_path: Path,
    qupath: object = nothing,
    attached: Attached = NONE,
    python: str | None = None,
) -> dict[str, Check]:
    checks = examine(
        tmp_path,
        python=python,
        settings=tmp_path / "settings",
        hooks=(tmp_path / "hooks",),
        qupath=qupath,  # type: ignore[arg-type]
        trackers=lambda _python: attached,
    )
    assert [c.name for c in checks] == NAMES
    return {c.name: c for c in checks}


def test_a_bare_computer(tmp_path: Path) -> None:
    checks = look(tmp_path)
    for name in ("monitor", "calibration", "QuPath", "hook"):
        assert checks[name].state == "missing", name
        assert checks[name].how
    assert "0.4 or newer" in checks["QuPath"].how
    for name in ("Python", "settings", "port", "discovery", "disk"):
        assert checks[name].state == "ok", name
    assert to_json(tuple(checks.values()))["ready"] is False


def test_no_library_for_trackers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "LIBRARIES", {"no_such_module": ("none", "nothing")})
    check = look(tmp_path)["tracker library"]
    assert check.state == "missing"
    assert "pip install 'qpgaze[tobii]'" in check.how


def test_the_library_of_another_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_ins = Path(__file__).parent.parent / "recording" / "stand_ins"
    monkeypatch.setenv("PYTHONPATH", str(stand_ins))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    check = look(tmp_path, python=sys.executable)["tracker library"]
    assert check.state == "ok"
    assert check.text.startswith("tobii-research ")
    assert "(Tobii's own library)" in check.text
    assert check.text.endswith(f", in {sys.executable}")


def test_another_python_that_is_none(tmp_path: Path) -> None:
    check = look(tmp_path, python=str(tmp_path / "python"))["tracker library"]
    assert (check.state, check.how) == (
        "missing",
        "Name the Python that has the tracker's library.",
    )
    assert f"'{tmp_path / 'python'}' does not answer: No such file" in check.text


def test_the_trackers_are_asked_through_that_python(tmp_path: Path) -> None:
    asked: list[str | None] = []

    def trackers(python: str | None) -> Attached:
        asked.append(python)
        return NONE

    examine(tmp_path, python="that", hooks=(tmp_path,), qupath=nothing, trackers=trackers)
    assert asked == ["that"]


def test_trackers_that_are_attached_and_none(tmp_path: Path) -> None:
    none = look(tmp_path)["tracker"]
    assert (none.state, none.text) == (
        "note", "No Tobii tracker was found. No Gazepoint Control listens."
    )  # fmt: skip
    one = look(tmp_path, attached=Attached(("Tobii Pro Fusion at 250 Hz",), ()))["tracker"]
    assert (one.state, one.text, one.how) == ("ok", "Tobii Pro Fusion at 250 Hz", "")


@pytest.mark.parametrize(("model", "words"), [
    ("Tobii Pro Fusion", "Tobii Pro Fusion at 250 Hz"),
    ("none", "No Tobii tracker was found. See that it is plugged in, has power, and that Tobii's "
             "runtime is installed."),
    ("Tobii Eye Tracker 5", "licence"),
])  # fmt: skip
def test_each_vendor_is_asked(monkeypatch: pytest.MonkeyPatch, model: str, words: str) -> None:
    stand_ins = Path(__file__).parent.parent / "recording" / "stand_ins"
    for name, value in (("FAKE_TOBII", "tobii_research"), ("FAKE_TOBII_MODEL", model)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(stand_ins))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with socket.socket() as closed:  # bound and not listening: nobody answers there
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        attached = attached_trackers(gazepoint_port=port)
    said = [*attached.found, *attached.troubles]
    assert any(words in text for text in said)
    assert len(attached.found) == (model == "Tobii Pro Fusion")
    assert f"No Gazepoint Control listens on port {port}." in attached.troubles


def test_several_hooks_are_all_named(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    # Two that answer; the second as if it were another program's.
    with StandIn(hooks, qupath="0.5.1"), StandIn(hooks, qupath="0.6.0", pid=os.getppid()):
        check = look(tmp_path)["hook"]
    assert check.state == "note"
    assert f"process {os.getpid()}: QuPath 0.5.1" in check.text
    assert f"process {os.getppid()}: QuPath 0.6.0" in check.text
    assert "--hook" in check.how


def test_a_running_hook(tmp_path: Path) -> None:
    with StandIn(folder=tmp_path / "hooks", software="0.1", qupath="0.6.0"):
        check = look(tmp_path)["hook"]
    assert (check.state, check.text) == ("ok", "QuPath 0.6.0 with hook 0.1, 0 images open")


def test_a_running_qupath_is_one_wherever_it_is_installed(tmp_path: Path) -> None:
    with StandIn(folder=tmp_path / "hooks", software="0.1", qupath="0.6.0"):
        check = look(tmp_path)["QuPath"]
    assert (check.state, check.how) == ("ok", "")
    assert "is running" in check.text


@pytest.mark.parametrize(
    ("version", "state", "words"),
    [
        ("0.3.2", "missing", ""),  # the hook needs 0.4
        ("0.4.4", "ok", "own store (paquo cannot)"),
        ("0.6.0-rc5", "ok", "through paquo"),
        ("0.10.0", "ok", "own store (paquo cannot)"),
        ("", "ok", "(version unknown)"),
    ],
)
def test_which_qupath(tmp_path: Path, version: str, state: str, words: str) -> None:
    usable = version.startswith("0.6")
    found = Found(tmp_path, version, usable, "" if usable else "paquo cannot")
    check = look(tmp_path, lambda: found)["QuPath"]
    assert check.state == state
    assert words in check.text
    assert ("0.4 or newer" in check.how) == (state == "missing")


def test_a_hook_of_another_version(tmp_path: Path) -> None:
    with StandIn(folder=tmp_path / "hooks", version=99):
        check = look(tmp_path)["hook"]
    assert check.state == "missing"
    assert "version 99" in check.text


@pytest.mark.parametrize(("hours", "state"), [(0.5, "ok"), (30.0, "note")])
def test_a_validation_and_its_age(tmp_path: Path, hours: float, state: str) -> None:
    at = datetime.now(timezone.utc) - timedelta(hours=hours)
    last = LastValidation(at, {"accuracy_deg": 0.44})
    save_settings(Settings(validation=last), tmp_path / "settings")
    check = look(tmp_path)["calibration"]
    assert check.state == state
    assert "0.44 deg" in check.text


def test_damaged_settings_are_a_finding(tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "settings.json").write_text("{", "utf-8")
    check = look(tmp_path)["settings"]
    assert check.state == "missing"
    assert "Delete" in check.how


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=5 << 20)
    monkeypatch.setattr(doctor_module.shutil, "disk_usage", lambda _path: usage)
    assert look(tmp_path)["disk"].state == "missing"


ELF = b"\x7fELF" + bytes(14)
PE = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0"
FAT = struct.pack(">4sI", b"\xca\xfe\xba\xbe", 2) + struct.pack(">I16xI16x", 0x01000007, 0x0100000C)


@pytest.mark.parametrize(
    ("head", "machines"),
    [
        (ELF + struct.pack("<H", 0x3E), {"x86_64"}),
        (ELF + struct.pack("<H", 0xB7), {"arm64"}),
        (PE + struct.pack("<H", 0x8664), {"x86_64"}),
        (PE + struct.pack("<H", 0xAA64), {"arm64"}),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<I", 0x0100000C), {"arm64"}),
        (FAT, {"x86_64", "arm64"}),
        (b"", set()),
        (b"\x7fELF", set()),
        (b"MZ", set()),
    ],
)
def test_the_kind_of_java(tmp_path: Path, head: bytes, machines: set[str]) -> None:
    (tmp_path / "libjvm").write_bytes(head)
    assert machines_of(tmp_path / "libjvm") == machines


def test_java_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "QuPath/lib/runtime/lib/server/libjvm.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(ELF + struct.pack("<H", 0xB7))
    monkeypatch.setattr(doctor_module.platform, "machine", lambda: "AMD64")
    check = look(tmp_path, lambda: Found(tmp_path / "QuPath", "0.6.0", True, ""))["Java"]
    assert (check.state, check.text) == ("note", "QuPath's Java is arm64")
    assert "x86_64" in check.how
    alone = look(tmp_path, lambda: Found(tmp_path / "QuPath", "0.7.0", False, "x"))["Java"]
    assert (alone.state, alone.how) == ("ok", "")  # Python loads it not
    library.unlink()
    gone = look(tmp_path, lambda: Found(tmp_path / "QuPath", "0.6.0", True, ""))["Java"]
    assert gone.state == "missing"


def test_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = (Check("disk", "missing", "x [b]y[/b] " * 20, "Do so."), Check("port", "ok", "fine"))
    monkeypatch.setattr(doctor_module, "examine", lambda _folder, python: checks)
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["doctor", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "[b]y[/b]" in text
    assert "1 of 2 are missing." in text
    assert run(["doctor", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["qpgaze"], said["ready"]) == ("doctor", False)
    assert said["checks"][1] == {"name": "port", "state": "ok", "text": "fine", "how": ""}
    monkeypatch.setattr(doctor_module, "examine", lambda _folder, python: checks[1:])
    assert run(["doctor"]) == 0
