"""Discovery files: where they lie, who may read them, and what is wrong with one."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qpgaze.errors import WireError
from qpgaze.wire import StandIn, connect, discovery_folders, find_hooks
from qpgaze.wire.discovery import process_runs, proof_of, read_hook_file, write_hook_file


@pytest.mark.parametrize(
    ("platform", "environ", "folders"),
    [
        ("win32", {"LOCALAPPDATA": "/u/AppData/Local"}, ["/u/AppData/Local"]),
        ("win32", {}, ["/h/AppData/Local"]),
        ("darwin", {"XDG_RUNTIME_DIR": "/run/1"}, ["/h/Library/Application Support"]),
        ("linux", {}, ["/h/.local/state"]),
        ("linux", {"XDG_RUNTIME_DIR": "/run/1"}, ["/run/1", "/h/.local/state"]),
        ("linux", {"XDG_STATE_HOME": "/s"}, ["/s", "/h/.local/state"]),
        ("linux", {"XDG_STATE_HOME": "s"}, ["/h/.local/state"]),
    ],
)
def test_where_the_files_lie(platform: str, environ: dict[str, str], folders: list[str]) -> None:
    found = discovery_folders(platform, environ, Path("/h"))
    assert [f.as_posix() for f in found] == [f"{base}/qpgaze/hooks" for base in folders]


def test_only_the_user_may_read_it(folder: Path) -> None:
    hook = write_hook_file(1234, "secret", folder=folder)
    assert "secret" not in repr(hook)
    if sys.platform != "win32":  # there AppData belongs to the user alone
        assert stat.S_IMODE(hook.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        hook.path.chmod(0o644)
        ((_, trouble),) = find_hooks((folder,)).troubles
        assert "by others" in trouble


def test_a_token_is_new_at_each_start(folder: Path) -> None:
    tokens = set()
    for _ in range(2):
        with StandIn(folder) as qupath:
            assert qupath.server.hook is not None
            tokens.add(qupath.server.hook.token)
    assert len(tokens) == 2


def test_the_newest_of_several_is_first(folder: Path) -> None:
    for number, (pid, age) in enumerate([(os.getpid(), 100), (os.getppid(), 50)]):
        hook = write_hook_file(1000 + number, "t", pid=pid, folder=folder)
        os.utime(hook.path, (1e9 - age, 1e9 - age))
    assert [h.pid for h in find_hooks((folder,)).hooks] == [os.getppid(), os.getpid()]


def test_no_hook_at_all(folder: Path) -> None:
    with pytest.raises(WireError, match="the qpgaze hook is running"):
        connect(name="recorder", folders=(folder,))


def gone_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return child.pid


def test_a_file_of_a_process_that_is_gone_is_stale(folder: Path) -> None:
    pid = gone_pid()
    write_hook_file(1234, "t", pid=pid, folder=folder)
    with pytest.raises(WireError, match=f"is stale: process {pid} runs no more") as caught:
        connect(name="recorder", folders=(folder,))
    assert "runs no more" in str(caught.value)
    with pytest.raises(WireError) as caught:
        connect(folder / f"hook-{pid}.json", name="recorder")
    assert caught.value.code == "stale"


def test_a_file_whose_port_is_closed_is_stale(folder: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        hook = write_hook_file(sock.getsockname()[1], "t", folder=folder)
    with pytest.raises(WireError, match="nobody listens on port") as caught:
        connect(hook, name="recorder")
    assert caught.value.code == "stale"


WELCOME = b'{"type":"welcome","version":1,"t_us":1,"pid":1}\n'
GUESSED = WELCOME.replace(b"}", b',"proof":"%s"}' % proof_of("guessed", "x").encode("ascii"))


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0\r\n",
        b"",
        b'{"type":"bye"}\n',
        WELCOME,
        GUESSED,
        WELCOME[:-2] + b',"proof":"\xc3\xa4"}\n',
    ],
    ids=["ssh", "nothing", "bye", "no proof", "guessed proof", "no hexadecimal"],
)
def test_another_program_on_the_port_is_recognised(folder: Path, answer: bytes) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        hook = write_hook_file(listener.getsockname()[1], "t", folder=folder)
        with pytest.raises(WireError, match="is no qpgaze hook") as caught:
            connect(hook, name="recorder")
        thread.join()
    assert caught.value.code == "stale"


def test_the_proof_is_hmac_sha256() -> None:
    # By another implementation; the hook computes the same in tests/groovy.
    assert proof_of("token", "nonce") == (
        "7d42e0efff6175e87513ed657d653d6f7574437346e94ac9970393be1baf3e12"
    )


def test_a_token_of_an_earlier_start_is_refused(folder: Path, qupath: StandIn) -> None:
    hook = qupath.server.hook
    assert hook is not None
    old = write_hook_file(hook.port, "old", folder=folder.parent / "copied")
    with pytest.raises(WireError, match="of an earlier start") as caught:
        connect(old, name="recorder")
    assert caught.value.code == "token"


def test_the_file_is_read_again_before_each_connection(folder: Path) -> None:
    with StandIn(folder) as first:
        old = first.server.hook
    assert old is not None
    with StandIn(folder), connect(old, name="recorder") as client:
        assert client.hook.port != old.port or client.hook.token != old.token
    with pytest.raises(WireError, match="is gone: that QuPath has ended") as caught:
        connect(old, name="recorder")
    assert caught.value.code == "gone"


@pytest.mark.parametrize(("theirs", "older"), [(0, "the hook inside QuPath"), (9, "this qpgaze")])
def test_another_version_is_named(folder: Path, theirs: int, older: str) -> None:
    with (
        StandIn(folder, version=theirs, software="0.9.1"),
        pytest.raises(WireError, match=f"version {theirs} of the wire, this qpgaze") as caught,
    ):
        connect(name="recorder", folders=(folder,))
    assert f"Renew {older}" in str(caught.value)
    assert "(0.9.1)" in str(caught.value)


def test_a_version_that_only_the_connection_tells_is_named_too(
    folder: Path, qupath: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpgaze.wire.greeting.VERSION", 2)
    with pytest.raises(WireError, match="version 1 of the wire") as caught:
        connect(name="recorder", folders=(folder,))
    assert caught.value.code == "version"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"wire": "other"}',
        b'{"wire": "qpgaze", "version": 1, "port": 80, "pid": 1}',
        b'{"wire": "qpgaze", "version": 1, "port": "80", "pid": 1, "token": "t"}',
        b'{"wire": "qpgaze", "version": 1, "port": 99999, "pid": 1, "token": "t"}',
        b" " * 10_000,
    ],
)
def test_a_file_that_is_none_is_explained(folder: Path, content: bytes) -> None:
    hook = write_hook_file(1234, "t", folder=folder)
    hook.path.write_bytes(content)
    with pytest.raises(WireError, match=r"hook-\d+.json|discovery file") as caught:
        read_hook_file(hook.path)
    assert caught.value.code == "malformed"
    with pytest.raises(WireError):
        connect(name="recorder", folders=(folder,))


def test_other_files_in_the_folder_are_left_alone(folder: Path, qupath: StandIn) -> None:
    (folder / "readme.txt").write_text("x", encoding="utf-8")
    (folder / "hook-x.json").write_text("x", encoding="utf-8")
    assert len(find_hooks((folder,)).hooks) == 1
    assert find_hooks((folder,)).troubles == ()


def test_the_file_says_all_that_the_page_says(folder: Path) -> None:
    hook = write_hook_file(1, "t", folder=folder)
    page = (Path(__file__).resolve().parents[2] / "docs" / "wire.md").read_text("utf-8")
    section = page.split("## Finding QuPath\n", 1)[1].split("\n## ", 1)[0]
    for name in json.loads(hook.path.read_text("utf-8")):
        assert f"`{name}`" in section


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(WireError, match="No discovery file could be written"):
        StandIn(tmp_path / "file" / "hooks").start()


def test_which_processes_run() -> None:
    assert process_runs(os.getpid())
    assert not process_runs(0)
    assert not process_runs(-5)
    assert not process_runs(2**40)
    assert not process_runs(gone_pid())
