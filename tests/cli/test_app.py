"""The root command: every verb is there, says what it does, and ends with the right status."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import click
import pytest

from qpgaze.cli.app import VERBS, LazyGroup, app, run
from qpgaze.cli.output import emit_json
from qpgaze.errors import SlideError


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every command line that can be asked for help."""
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("verb", commands(app), ids=" ".join)
def test_every_verb_explains_itself(verb: tuple[str, ...], capsys: pytest.CaptureFixture) -> None:
    assert run([*verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: qpgaze {' '.join(verb)} ")
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("name", VERBS)
def test_the_summary_is_the_verb_s_own_first_sentence(name: str) -> None:
    command = app.get_command(click.Context(app), name)
    assert command is not None
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == VERBS[name].summary


def test_help_lists_every_verb(capsys: pytest.CaptureFixture) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in VERBS)


def broken_by(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def broken() -> None:
        raise error

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: broken)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (SlideError("No pixel size.", hint="Give one."), 2, "qpgaze: No pixel size. Give one."),
        (OSError(errno.ENOSPC, "No space left on device", "a.bin"), 2, "No space left on device"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
    ids=["ours", "system", "ctrl-c"],
)
def test_an_error_is_a_sentence(
    error: BaseException,
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    broken_by(error, monkeypatch)
    assert run(["demo"]) == status
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_debug_shows_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    broken_by(SlideError("No pixel size."), monkeypatch)
    with pytest.raises(SlideError):
        run(["--debug", "demo"])


@pytest.mark.parametrize("line", [["nonsense"], ["demo"], ["demo", "a", "b"], ["--nonsense"]])
def test_wrong_use_is_status_2(line: list[str], capsys: pytest.CaptureFixture) -> None:
    assert run(line) == 2
    assert "Error: " in capsys.readouterr().err


def test_a_check_s_status_reaches_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @click.pass_context
    def finds(context: click.Context) -> None:
        context.exit(1)

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: finds)
    assert run(["validate"]) == 1


def test_the_module_runs_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qpgaze", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("qpgaze, version ")


def test_json_has_a_version_and_no_nan(capsys: pytest.CaptureFixture) -> None:
    emit_json("verb", {"a": float("nan"), "b": [1.5, {"c": None}]})
    assert json.loads(capsys.readouterr().out) == {
        "qpgaze": "verb",
        "version": 1,
        "a": None,
        "b": [1.5, {"c": None}],
    }
