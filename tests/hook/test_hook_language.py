"""The hook in a QuPath that speaks another language, with a comma in its numbers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from qpgaze_hook_driver import Window, make_study

from qpgaze.bridge.qupath_scripts import launcher
from qpgaze.wire import connect

pytestmark = pytest.mark.qupath

GERMAN = "Menu.Extensions = Erweiterungen\n"
TITLES = "gui.getMenuBar().getMenus()*.getText()"
ITEMS = "gui.getMenuBar().getMenus().find { it.getText() == 'Erweiterungen' }.getItems()*.getText()"


def test_the_menu_is_where_that_language_has_its_extensions(
    qupath_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if qupath_folder.name.startswith("QuPath-0.4"):
        pytest.skip("qupath: 0.4 speaks English only")
    make_study(tmp_path)
    user, prefs = tmp_path / "user", tmp_path / "prefs"
    (user / "localization").mkdir(parents=True)
    words = user / "localization" / "qupath-gui-strings_de.properties"
    words.write_text(GERMAN, encoding="utf-8")
    settle = tmp_path / "settle.groovy"
    settle.write_text(
        "import qupath.lib.gui.prefs.PathPrefs\n"
        f"PathPrefs.userPathProperty().set({json.dumps(str(user))})\n"
        "PathPrefs.defaultLocaleDisplayProperty().set(Locale.GERMANY)\n"
        "PathPrefs.defaultLocaleFormatProperty().set(Locale.GERMANY)\nPathPrefs.savePreferences()\n",
        encoding="utf-8",
    )
    start = launcher(qupath_folder)
    assert start is not None
    with monkeypatch.context() as there:
        there.setenv(
            "JAVA_TOOL_OPTIONS",
            f"-Duser.home={tmp_path} -Djava.util.prefs.userRoot={prefs} "
            f"-Djava.util.prefs.systemRoot={prefs}",
        )
        subprocess.run([*start, "script", str(settle)], check=True, capture_output=True)

    window = Window(qupath_folder, tmp_path)
    try:
        window.wait()
        assert window.ask("return String.format('%.1f', 0.5d)") == "0,5"
        assert window.ask(f"return {TITLES}.count('Erweiterungen')") == "1"
        assert window.ask(f"return {TITLES}.contains('Extensions')") == "false"
        window.until(f"return {ITEMS}.count('qpgaze')", "1")
        with connect(name="test", folders=window.folders, wait_s=30) as client:
            client.subscribe(viewer=True)
            said = [s.message["state"] for s in client.take(10) if s.message["type"] == "viewer"]
            assert said
            assert all(state["downsample"] > 0 for state in said)
        window.ask("hook.close()")
        assert window.ask(f"return {ITEMS}.count('qpgaze')") == "0"
    finally:
        window.close()
