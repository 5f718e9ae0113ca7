"""The hook as "qpgaze install-hook --qupath" puts it in place, started by a real QuPath itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from qpgaze_hook_driver import Window, make_study

from qpgaze.bridge.hook_install import install_hook, uninstall_hook
from qpgaze.bridge.qupath_scripts import launcher, run_preference_script

pytestmark = pytest.mark.qupath

SETTLE = """
import qupath.lib.gui.prefs.PathPrefs
def named = PathPrefs.getMethods().any { it.getName() == "startupScriptProperty" }
PathPrefs.userPathProperty().set(%(user)s)
if (named) PathPrefs.startupScriptProperty().set(%(site)s)
else PathPrefs.runStartupScriptProperty().set(true)
PathPrefs.savePreferences()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and a QuPath whose preferences lie in the same folder."""
    make_study(tmp_path)
    for name in ("user", "prefs"):
        (tmp_path / name).mkdir(mode=0o700)
    prefs = tmp_path / "prefs"
    monkeypatch.setenv(
        "JAVA_TOOL_OPTIONS",
        f"-Duser.home={tmp_path} -Djava.util.prefs.userRoot={prefs} "
        f"-Djava.util.prefs.systemRoot={prefs}",
    )
    return tmp_path


def test_a_sites_script_goes_on_and_all_goes_again(
    qupath_folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = place / "user"
    probe = Path(__file__).with_name("probe.groovy")
    # QuPath 0.4 runs this one, the others the one that is named.
    site = user / "startup.groovy"
    shutil.copy(probe, site)
    settle = place / "settle.groovy"
    said = {"user": json.dumps(str(user)), "site": json.dumps(str(site))}
    settle.write_text(SETTLE % said, encoding="utf-8")
    start = launcher(qupath_folder)
    assert start is not None
    subprocess.run([*start, "script", str(settle)], check=True, capture_output=True)

    report = install_hook(qupath=qupath_folder)
    assert report.startup == "set"
    assert report.folder == user / "qpgaze"
    assert Path(report.startup_before).read_bytes() == probe.read_bytes()
    again = install_hook(qupath=qupath_folder)
    assert (again.changed, again.startup) == ((), "kept")

    monkeypatch.delenv("JAVA_TOOL_OPTIONS")
    options = os.environ.get("JAVA_TOOL_OPTIONS")
    assert options is None
    window = Window(qupath_folder, place, preferred=True)
    try:
        window.wait()
        # The probe answers: the site's script ran, too; and the menu is there once.
        menu = window.ask("return gui.getMenu('Extensions', false).getItems()*.getText()")
        assert menu.count("qpgaze") == 1
        window.ask("hook.close()")
    finally:
        window.close()

    prefs = place / "prefs"
    monkeypatch.setenv(
        "JAVA_TOOL_OPTIONS",
        f"-Duser.home={place} -Djava.util.prefs.userRoot={prefs} "
        f"-Djava.util.prefs.systemRoot={prefs}",
    )
    gone = uninstall_hook(qupath=qupath_folder)
    assert gone.startup == "restored"
    assert not (user / "qpgaze").exists()
    assert site.read_bytes() == probe.read_bytes()
    assert [p.name for p in user.iterdir() if "qpgaze" in p.name] == []
    there = run_preference_script(qupath_folder, "get")
    if there.runs_file is None:
        assert Path(there.startup_script) == site
    else:
        assert there.runs_file
