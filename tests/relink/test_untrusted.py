"""Nothing read from a project is trusted: hostile ones open nothing and get plain words."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.projects.images import candidates
from qpgaze.bridge.projects.inside import is_inside
from qpgaze.bridge.projects.relink import relink_project
from qpgaze.bridge.projects.uris import names_device, parse_uri, uri_from_path
from qpgaze.cli.app import run
from qpgaze.errors import ProjectError, QpgazeError, SlideError
from qpgaze.workflows.collect import collect_projects
from qpgaze.workflows.export import export_project

W, P = PureWindowsPath, PurePosixPath


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a project file that nobody should trust."""

    def make(*, name: str = "hostile", **image: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        given: dict[str, Any] = {
            "serverBuilder": {"builderType": "uri", "uri": "file:/nowhere/a.svs", "args": []},
            "entryID": 1,
            "imageName": "a.svs",
            "metadata": {},
        }
        uri = image.pop("uri", None)
        if uri is not None:
            given["serverBuilder"]["uri"] = uri
        raw = {"version": "0.5.1", "lastID": 1, "uri": None, "images": [{**given, **image}]}
        (folder / "project.qpproj").write_text(json.dumps(raw), "utf-8")
        return folder

    return make


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Everything outside of the test's folder that is opened or asked for, by name."""
    seen: list[str] = []
    mine = (str(tmp_path), str(Path(os.__file__).parent), str(Path(__file__).parents[2]))

    def watch(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, *args: Any, **options: Any) -> Any:
            if isinstance(file, (str, bytes, os.PathLike)):
                name = os.fsdecode(file)
                if not name.startswith(mine):
                    seen.append(name)
            return real(file, *args, **options)

        return call

    for where, what in ((builtins, "open"), (os, "open"), (os, "stat"), (os, "scandir")):
        monkeypatch.setattr(where, what, watch(getattr(where, what)))
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return seen


ENTRY_IDS = [
    "../../1",
    "..",
    "/etc/passwd",
    "C:\\Windows",
    "1/../../x",
    "1\0",
    "CON",
    "٣",  # a digit to Unicode, and to int()
    "1 ",
    "-1",
    "0x1",
    "1e3",
    "9" * 30,
    10**30,
    -1,
    1.5,
    True,
    None,
    [1],
    {"a": 1},
]


@pytest.mark.parametrize("identity", ENTRY_IDS, ids=repr)
def test_entry_ids_are_plain_numbers(hostile: Callable[..., Path], identity: object) -> None:
    project = hostile(entryID=identity)
    for work in (open_project, relink_project):
        with pytest.raises(ProjectError, match="expected a plain number"):
            work(project)


URIS = {
    "http://example.org/a.svs": "from a server",
    "https://user:word@example.org/a.svs": "from a server",
    "ftp://example.org/a.svs": "from a server",
    "jar:file:/a.zip!/a.svs": "from a server",
    "javascript:alert(1)": "from a server",
    "file://evil/share/a.svs": "another computer (evil)",
    "file:////evil/share/a.svs": "another computer (evil)",
    "file://evil.example:445/share/a.svs": "another computer",
    "\\\\evil\\share\\a.svs": "another computer (evil)",
    "//evil/share/a.svs": "another computer (evil)",
    "file:///C:/CON": "a device of Windows",
    "file:///C:/slides/aux.svs": "a device of Windows",
    "C:\\slides\\NUL .svs": "a device of Windows",
    "C:\\slides\\com1": "a device of Windows",
    "C:\\slides\\a.svs:hidden": "a device of Windows",
    "\\\\.\\PhysicalDrive0": "a device of Windows",
    "\\\\.\\pipe\\a": "a device of Windows",
    "\\\\?\\UNC\\evil\\share\\a.svs": "a device of Windows",
    "file:/a%00b.svs": "empty or broken",
    "": "empty or broken",
    "a.svs": "full path",
    "../../a.svs": "full path",
    "file:../a.svs": "full path",
}


@pytest.mark.parametrize("uri", URIS)
def test_images_are_local_files_or_nothing(
    hostile: Callable[..., Path], opened: list[str], uri: str
) -> None:
    project = hostile(uri=uri)
    with open_project(project, backend="embedded") as found:
        with pytest.raises(SlideError) as refused:
            found.entries[0].image_path()
        assert URIS[uri] in str(refused.value)
    report = relink_project(project)
    assert not report.complete
    assert [name for name in opened if not name.startswith(("/proc", "/sys"))] == []


def test_what_is_no_picture_is_not_read_as_one(
    hostile: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("my secret")
    project = hostile(uri=uri_from_path(secret))
    with open_project(project, backend="embedded") as found:
        from qpgaze.slides import open_slide

        with pytest.raises(SlideError) as refused:
            open_slide(found.entries[0].image_path())
    assert "my secret" not in str(refused.value)
    run(["project", "show", str(project)])
    assert "my secret" not in "".join(capsys.readouterr())


def test_a_programs_picture_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qpgaze.slides import open_slide

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "check_call", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    script = tmp_path / "a.png"
    script.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    )
    with pytest.raises(SlideError):
        open_slide(script)


@pytest.mark.skipif(os.name == "nt", reason="needs the right to make links")
def test_links_do_not_lead_out_of_a_project(hostile: Callable[..., Path], tmp_path: Path) -> None:
    project = hostile()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "data.qpdata").write_bytes(b"not yours")
    (project / "data").mkdir()
    (project / "data" / "1").symlink_to(outside)
    refused = pytest.raises(ProjectError, match="leads out of the project's folder")
    with open_project(project, backend="embedded") as found, refused:
        found.entries[0].objects()
    other = hostile(name="into")
    report = collect_projects([project], other, backend="embedded")
    assert "leads out" in report.copies[0].images[0].problem
    assert (outside / "data.qpdata").read_bytes() == b"not yours"


@pytest.mark.parametrize(
    "name",
    ["__class__", "__import__('os')", "{0.__class__}", "${jndi:ldap://x/a}", "[bold]x[/]", "../x"],
)
def test_names_are_only_text(
    hostile: Callable[..., Path], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    project = hostile(imageName=name, metadata={name: name, "patient": name})
    (project / "classifiers").mkdir()
    classes = {"pathClasses": [{"name": name, "color": -1}]}
    (project / "classifiers" / "classes.json").write_text(json.dumps(classes), "utf-8")
    into = hostile(name="into")
    assert run(["project", "relink", str(project)]) == 1
    assert f"1 {name}:" in capsys.readouterr().out
    assert run(["project", "collect", str(project), "--into", str(into)]) in (0, 1)
    assert f"New classes: {name}" in capsys.readouterr().out
    with open_project(into, backend="embedded") as found:
        assert list(found.classes) == [name]
    # Nothing was made of a name.
    assert sorted(path.name for path in into.parent.iterdir()) == ["hostile", "into"]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("utf-8", ["show"]), ("cp1252", ["relink"]), ("cp1252", ["relink", "--json"])],
)
def test_names_that_no_terminal_can_write(
    hostile: Callable[..., Path], encoding: str, words: list[str]
) -> None:
    project = hostile(imageName="half \ud800 of a pair, 病", uri="file:/a%FFb.svs")
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "qpgaze", "project", words[0], str(project), *words[1:]]
    said = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert said.returncode == (1 if "relink" in words else 0), said.stderr
    assert b"\\ud800" in said.stdout
    assert said.stderr == b""
    if "--json" in words:
        assert json.loads(said.stdout.decode(encoding))["project"]


@pytest.mark.skipif(os.name == "nt", reason="such names are only possible elsewhere")
def test_files_whose_names_are_no_text(hostile: Callable[..., Path], tmp_path: Path) -> None:
    project = hostile(uri="file:/nowhere/a%FFb.png")
    path = tmp_path / os.fsdecode(b"a\xffb.png")
    try:
        Image.fromarray(np.zeros((4, 5, 3), dtype=np.uint8)).save(path)
    except OSError:  # macOS refuses such names
        return
    assert relink_project(project, look_in=[tmp_path]).complete
    assert relink_project(project).counts == {"in place": 1}


@pytest.mark.parametrize("number", [10**30, -5, 10**400, 1.5, "12", None, True], ids=str)
def test_numbers_of_any_size_are_read(hostile: Callable[..., Path], number: object) -> None:
    project = hostile()
    file = project / "project.qpproj"
    raw = json.loads(file.read_text("utf-8"))
    raw["lastID"] = number
    raw["images"][0]["serverBuilder"]["metadata"] = {"width": number, "height": number}
    file.write_text(json.dumps(raw), "utf-8")
    assert relink_project(project).counts == {"missing": 1}
    with pytest.raises(QpgazeError):
        export_project(project, project.parent / "out", backend="embedded")


def test_depth_without_end_is_refused(hostile: Callable[..., Path]) -> None:
    project = hostile()
    file = project / "project.qpproj"
    file.write_text('{"lastID": 1, "images": ' + "[" * 100_000, "utf-8")
    with pytest.raises(ProjectError):
        relink_project(project)


def where(uri: str, project: str, *hosts: str) -> list[str]:
    found = candidates(
        parse_uri(uri), project_file=W(project), project_uri=None, native=W, allow_hosts=hosts
    )
    return [str(path) for path in found]


def test_shares_are_opened_by_leave_only() -> None:
    uri = "file://Nas/slides/a.svs"
    with pytest.raises(SlideError, match="--allow-host nas"):
        where(uri, "C:/p/project.qpproj")
    with pytest.raises(SlideError, match="--allow-host nas"):
        where(uri, "//other/p/project.qpproj", "another")
    assert where(uri, "C:/p/project.qpproj", "NAS") == ["\\\\Nas\\slides\\a.svs"]
    assert where(uri, "//nas/p/project.qpproj") == ["\\\\Nas\\slides\\a.svs"]
    with pytest.raises(SlideError, match="device"):
        where("\\\\.\\pipe\\a", "C:/p/project.qpproj", ".")


def test_a_share_that_moved_along_is_found_without_asking_it() -> None:
    found = candidates(
        parse_uri("file://nas/study/slides/a.svs"),
        project_file=P("/mnt/study/qupath/project.qpproj"),
        project_uri="file://nas/study/qupath/project.qpproj",
        native=P,
    )
    assert [P(path) for path in found] == [P("/mnt/study/slides/a.svs")]


def test_the_way_along_does_not_lead_to_devices_or_above() -> None:
    for image in ("file:/D:/study/con.svs", "file:/D:/study/../../x.svs"):
        try:
            found = candidates(
                parse_uri(image),
                project_file=W("E:/new/project.qpproj"),
                project_uri="file:/D:/study/project.qpproj",
                native=W,
            )
        except SlideError:
            continue
        assert [str(path) for path in found] == [str(W("D:/study/../../x.svs"))]


@given(st.text(max_size=30), st.sampled_from(["", "file:", "file://", "C:\\", "\\\\", "/"]))
def test_any_uri_is_a_place_or_refused(text: str, start: str) -> None:
    try:
        location = parse_uri(start + text)
        found = candidates(location, project_file=P("/p/x.qpproj"), project_uri=start, native=P)
    except QpgazeError:
        return
    assert all(P(path).is_absolute() for path in found)


@pytest.mark.parametrize(
    "path",
    [
        "C:/CON",
        "C:/a/nul",
        "C:/a/NUL.txt",
        "C:/a/lpt1 .svs",
        "C:/com9/a.svs",
        "C:/a.svs:b",
        "//./x",
        "//?/C:/a",
        "COM²",
    ],
)
def test_devices(path: str) -> None:
    assert names_device(W(path))
    assert not names_device(P(path))


@pytest.mark.parametrize("path", ["C:/a.svs", "C:/console/a.svs", "//nas/x/nullte.svs", "C:/com0"])
def test_no_devices(path: str) -> None:
    assert not names_device(W(path))


def test_inside(tmp_path: Path) -> None:
    assert is_inside(tmp_path, tmp_path)
    assert is_inside(tmp_path, tmp_path / "a" / "b")
    assert not is_inside(tmp_path, tmp_path / ".." / "b")
    assert not is_inside(tmp_path, tmp_path.with_name(tmp_path.name + "x"))


def test_verbs_have_the_leave_to_open_shares(tmp_path: Path) -> None:
    for verb in (["refine"], ["annotate"], ["export", "coco"], ["project", "relink"]):
        assert run([*verb, "--allow-host", "nas", "--help"]) == 0


def test_a_projects_own_pictures_are_still_found(tmp_path: Path) -> None:
    path = tmp_path / "aux" / "Präparat [1].png"
    path.parent.mkdir()
    Image.fromarray(np.zeros((4, 5, 3), dtype=np.uint8)).save(path)
    with create_project(tmp_path / "p", backend="embedded") as project:
        entry = project.add_image(path)
        project.commit()
        assert entry.image_path() == path
