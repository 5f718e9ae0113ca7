"""QuPath 0.4, which names no start-up script: startup.groovy of its user folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qpgaze.bridge import hook_install
from qpgaze.bridge.hook_install import install_hook, uninstall_hook
from qpgaze.bridge.qupath_scripts import Preference
from qpgaze.errors import UsageError


class OldQuPath:
    """Keeps the switch that a QuPath 0.4 keeps."""

    def __init__(self, user: Path, runs: bool = False) -> None:
        self.user, self.runs, self.sets = user, runs, 0

    def __call__(self, _folder: Path, verb: str, value: str = "") -> Preference:
        if verb == "set":
            self.runs, self.sets = bool(value), self.sets + 1
        return Preference(str(self.user), "", self.runs)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OldQuPath:
    made = OldQuPath(tmp_path)
    monkeypatch.setattr(hook_install, "run_preference_script", made)
    return made


def test_it_is_put_there_once_and_leaves_nothing_behind(tmp_path: Path, old: OldQuPath) -> None:
    first = install_hook(qupath=tmp_path)
    assert (first.startup, first.startup_before, old.runs) == ("set", "", True)
    assert "startup.groovy" in first.changed
    assert "start.groovy" in (tmp_path / "startup.groovy").read_text("utf-8")
    again = install_hook(qupath=tmp_path)
    assert (again.changed, again.startup, old.sets) == ((), "kept", 1)
    gone = uninstall_hook(qupath=tmp_path)
    assert (gone.startup, old.runs) == ("restored", False)
    assert list(tmp_path.iterdir()) == []
    assert uninstall_hook(qupath=tmp_path).startup == "kept"


def test_a_sites_own_script_is_chained_and_comes_back(tmp_path: Path, old: OldQuPath) -> None:
    (tmp_path / "startup.groovy").write_text("// the site's\n", encoding="utf-8")
    old.runs = True
    kept = tmp_path / "startup-before-qpgaze.groovy"
    for _ in range(2):
        assert install_hook(qupath=tmp_path).startup_before == str(kept)
    assert kept.read_text("utf-8") == "// the site's\n"
    before = (tmp_path / "qpgaze" / "startup_before.txt").read_text("utf-8")
    assert before == f"{kept}\n"
    uninstall_hook(qupath=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["startup.groovy"]
    assert (tmp_path / "startup.groovy").read_text("utf-8") == "// the site's\n"
    assert old.runs


def test_one_that_was_switched_off_does_not_run(tmp_path: Path, old: OldQuPath) -> None:
    (tmp_path / "startup.groovy").write_text("// the site's\n", encoding="utf-8")
    for _ in range(2):
        assert install_hook(qupath=tmp_path).startup_before == ""
    assert not (tmp_path / "qpgaze" / "startup_before.txt").exists()
    uninstall_hook(qupath=tmp_path)
    assert not old.runs
    assert (tmp_path / "startup.groovy").read_text("utf-8") == "// the site's\n"


def test_two_scripts_are_not_chosen_between(tmp_path: Path, old: OldQuPath) -> None:
    for name in ("startup.groovy", "startup-before-qpgaze.groovy"):
        (tmp_path / name).write_text("// a site's\n", encoding="utf-8")
    with pytest.raises(UsageError, match="There are both"):
        install_hook(qupath=tmp_path)


def test_the_script_inside_it_says_whether_it_runs_the_file(tmp_path: Path) -> None:
    report = install_hook(tmp_path, runs_file=False)
    assert (report.startup, report.startup_before) == ("by hand", "")
    assert "Run startup script" in report.notes[0]
    said = json.loads((tmp_path / "qpgaze" / "install.json").read_text("utf-8"))
    assert said["ran_file"] is False
    assert uninstall_hook(tmp_path).startup == "restored"
    assert list(tmp_path.iterdir()) == []
