"""Putting the hook into QuPath's user folder and taking it away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import qpgaze
from qpgaze.bridge import hook_install
from qpgaze.bridge.hook_install import install_hook, program, uninstall_hook, user_folders
from qpgaze.bridge.qupath_scripts import Preference, launcher
from qpgaze.cli.hook import install_hook as command
from qpgaze.errors import FormatError, UsageError


class FakeQuPath:
    """Keeps the two preferences that a QuPath keeps."""

    def __init__(self, user: Path, startup: str = "") -> None:
        self.user, self.startup, self.sets = user, startup, 0

    def __call__(self, _folder: Path, verb: str, value: str = "") -> Preference:
        if verb == "set":
            self.startup, self.sets = value, self.sets + 1
        return Preference(str(self.user), self.startup)


@pytest.fixture
def user(tmp_path: Path) -> Path:
    folder = tmp_path / "Ü ser"
    folder.mkdir()
    return folder


@pytest.fixture
def fake(user: Path, monkeypatch: pytest.MonkeyPatch) -> FakeQuPath:
    made = FakeQuPath(user)
    monkeypatch.setattr(hook_install, "run_preference_script", made)
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_it_is_put_there_once_and_leaves_nothing_behind(user: Path, fake: FakeQuPath) -> None:
    first = install_hook(qupath=user)
    assert (first.startup, first.version) == ("set", qpgaze.__version__)
    assert Path(fake.startup) == user / "qpgaze" / "start.groovy"
    there = tree(user)
    assert {"qpgaze/start.groovy", "qpgaze/hook/qpgaze/Hook.groovy"} <= set(there)
    said = json.loads(there["qpgaze/install.json"])
    assert said["command"] == program()
    again = install_hook(qupath=user)
    assert (again.changed, again.startup, fake.sets) == ((), "kept", 1)
    assert tree(user) == there
    # What the hook makes while it runs goes as well.
    (user / "qpgaze" / "cache" / "abc").mkdir(parents=True)
    (user / "qpgaze" / "settings.json").write_text("{}", encoding="utf-8")
    gone = uninstall_hook(qupath=user)
    assert (gone.startup, fake.startup) == ("restored", "")
    assert list(user.iterdir()) == []
    assert uninstall_hook(qupath=user).changed == ()


def test_a_sites_start_up_script_is_chained_and_restored(user: Path, fake: FakeQuPath) -> None:
    fake.startup = str(user / "site.groovy")
    assert install_hook(qupath=user).startup_before == str(user / "site.groovy")
    assert install_hook(qupath=user).startup_before == str(user / "site.groovy")
    said = json.loads((user / "qpgaze" / "install.json").read_text("utf-8"))
    assert said["startup_before"] == str(user / "site.groovy")
    uninstall_hook(qupath=user)
    assert fake.startup == str(user / "site.groovy")


def test_a_script_chosen_since_stays(user: Path, fake: FakeQuPath) -> None:
    install_hook(qupath=user)
    fake.startup = "other.groovy"
    assert uninstall_hook(qupath=user).startup == "kept"
    assert fake.startup == "other.groovy"


def test_an_upgrade_replaces_and_removes(user: Path, fake: FakeQuPath) -> None:
    install_hook(qupath=user)
    folder = user / "qpgaze"
    said = json.loads((folder / "install.json").read_text("utf-8"))
    said["version"] = "0.0.1"
    said["files"] |= {"hook/qpgaze/Old.groovy": "x", "../outside.txt": "x"}
    (folder / "install.json").write_text(json.dumps(said), encoding="utf-8")
    (folder / "hook" / "qpgaze" / "Old.groovy").write_text("old", encoding="utf-8")
    (folder / "hook" / "qpgaze" / "Json.groovy").write_text("old", encoding="utf-8")
    (user / "outside.txt").write_text("kept", encoding="utf-8")
    report = install_hook(qupath=user)
    assert report.version_before == "0.0.1"
    assert set(report.changed) == {
        "hook/qpgaze/Old.groovy",
        "hook/qpgaze/Json.groovy",
        "install.json",
    }
    assert not (folder / "hook" / "qpgaze" / "Old.groovy").exists()
    assert (user / "outside.txt").exists()


def test_what_is_not_ours_stays(user: Path, fake: FakeQuPath) -> None:
    install_hook(qupath=user)
    (user / "qpgaze" / "mine.txt").write_text("mine", encoding="utf-8")
    report = uninstall_hook(qupath=user)
    assert [p.name for p in (user / "qpgaze").iterdir()] == ["mine.txt"]
    assert "mine.txt" in report.notes[0]


def test_without_a_qupath_the_person_is_told(user: Path) -> None:
    report = install_hook(user, startup_before="site.groovy")
    assert (report.startup, report.startup_before) == ("by hand", "site.groovy")
    assert "install_qpgaze.groovy" in report.notes[0]
    assert "site.groovy" in uninstall_hook(user).notes[0]


def test_what_cannot_be_is_refused(user: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        install_hook(user / "absent")
    with pytest.raises(UsageError, match="does not start"):
        install_hook(user, command=[str(user / "absent")])
    with pytest.raises(UsageError, match="no QuPath in"):
        install_hook(user, qupath=user)
    assert list(user.iterdir()) == []
    (user / "qpgaze").mkdir()
    (user / "qpgaze" / "install.json").write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match="cannot be read"):
        install_hook(user)


def test_the_newest_user_folder_is_taken(tmp_path: Path) -> None:
    for name in ("v0.5", "v0.10", "v0.6", "other"):
        (tmp_path / "QuPath" / name).mkdir(parents=True)
    assert [p.name for p in user_folders(tmp_path)] == ["v0.10", "v0.6", "v0.5"]
    assert user_folders(tmp_path / "nobody") == ()


@pytest.mark.parametrize(
    ("system", "file"),
    [
        ("Windows", "QuPath-0.6.0 (console).exe"),
        ("Darwin", "Contents/MacOS/QuPath"),
        ("Linux", "bin/QuPath"),
    ],
)
def test_the_launcher_of_each_system(tmp_path: Path, system: str, file: str) -> None:
    assert launcher(tmp_path, system) is None
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    (tmp_path / "QuPath-0.6.0.exe").touch()
    assert launcher(tmp_path, system) == [str(tmp_path / file)]


def test_the_verb_says_what_it_did(user: Path) -> None:
    arguments = ["--user-dir", str(user), "--files-only"]
    done = CliRunner().invoke(command, [*arguments, "--json"])
    said = json.loads(done.stdout)
    assert (said["version"], said["hook_version"]) == (1, qpgaze.__version__)
    assert "Nothing changed" in CliRunner().invoke(command, arguments).stdout
    assert "removed" in CliRunner().invoke(command, [*arguments, "--uninstall"]).stdout


def test_every_script_keeps_to_what_qupath_brings() -> None:
    """QuPath has no JSON of Groovy's, and its classes of dialogs moved between versions."""
    scripts = sorted(hook_install.groovy_dir().rglob("*.groovy"))
    assert len(scripts) > 20
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        assert text.count("\n") <= 400
        for absent in ("groovy.json", "JsonSlurper", "import qupath.fx", "com.sun.net"):
            assert absent not in text, script.name
