"""The store on a project that a real QuPath has open: its window, its list of classes, its save."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid5

import pytest
import shapely

from qpgaze.bridge import open_project
from qpgaze.bridge.projects.live import LiveProject
from qpgaze.errors import ConflictError
from qpgaze.model import SlideObject

pytestmark = pytest.mark.qupath
driver = sys.modules["qpgaze_hook_driver"]
ALL = "viewer.getImageData().getHierarchy().getAllObjects(false)"
SELECTED = "viewer.getImageData().getHierarchy().getSelectionModel().getSelectedObject()"


def item(number: int, **changes: object) -> SlideObject:
    given: dict[str, object] = {
        "id": uuid5(UUID(int=6), f"store {number}"),
        "geometry": shapely.box(9 * number, 50, 9 * number + 60, 90),
        "class_name": "Store pearl",
        "name": f"pearl {number}",
        "measurements": {"Gaze: dwell ms": 0.1},
        "metadata": {"qpgaze": "yes"},
    }
    return SlideObject(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture
def study(window: driver.Window, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The window's project, its image empty and saved; what a test leaves in it goes."""
    monkeypatch.setattr("qpgaze.wire.discovery.discovery_folders", lambda: window.folders)
    empty = (
        "def data = viewer.getImageData(); data.getHierarchy().clearAll()\n"
        "gui.getAvailablePathClasses().removeIf { it.toString() == 'Store pearl' }\n"
        "gui.getProject().getEntry(data).saveImageData(data)"
    )
    window.ask(empty)
    yield window.at / "study"
    window.ask(empty)


def in_window(window: driver.Window) -> set[str]:
    return set(
        json.loads(window.ask(f"return '[' + {ALL}.collect {{ /\"${{it.ID}}\"/ }}.join(',') + ']'"))
    )


def on_disk(study: Path) -> dict[str, SlideObject]:
    with open_project(study, backend="embedded") as opened:
        return {str(o.id): o for o in opened.entries[0].objects()}


def test_objects_appear_in_the_window_and_are_saved_there(
    window: driver.Window, study: Path
) -> None:
    top, below, alone = item(1), item(2, parent=item(1).id), item(3)
    with open_project(study, mode="r+") as opened:
        assert isinstance(opened, LiveProject)
        entry = opened.entries[0]
        entry.add([top, below, alone])
        opened.commit()
        assert in_window(window) == {str(o.id) for o in (top, below, alone)}
        assert on_disk(study) == {}
        assert "Store pearl" in window.ask("return gui.getAvailablePathClasses().toString()")
        (told,) = opened.save_open()
        assert "QuPath saved it" in told
        saved = on_disk(study)
        assert {o.id: o.parent for o in saved.values()} == {
            top.id: None,
            below.id: top.id,
            alone.id: None,
        }
        assert all(dict(o.measurements) == {"Gaze: dwell ms": 0.1} for o in saved.values())
        assert window.ask("return viewer.getImageData().isChanged()") == "false"
        # Who has one selected has its successor selected; what lay below stays there.
        window.ask(
            f"def one = {ALL}.find {{ it.ID.toString() == '{top.id}' }}\n"
            "viewer.getImageData().getHierarchy().getSelectionModel().setSelectedObject(one)"
        )
        entry.replace([dataclasses.replace(top, name="better")])
        entry.remove([alone.id])
        opened.commit()
        time.sleep(0.5)
        assert window.ask(f"return {SELECTED}.getName()") == "better"
        assert window.ask(f"return {SELECTED}.getChildObjects().size()") == "1"
        entry.remove([top.id])
        opened.commit()
        assert {o.id: o.parent for o in entry.objects()} == {below.id: None}
        opened.save_open()
    with open_project(study, backend="embedded") as opened:
        assert "Store pearl" in opened.classes
    assert set(on_disk(study)) == {str(below.id)}


def test_a_persons_stroke_is_kept_and_left_unsaved(window: driver.Window, study: Path) -> None:
    with open_project(study, mode="r+") as opened:
        assert isinstance(opened, LiveProject)
        opened.entries[0].add([item(1)])
        window.ask(
            "def plane = qupath.lib.regions.ImagePlane.getDefaultPlane()\n"
            "def roi = qupath.lib.roi.ROIs.createEllipseROI(5, 6, 70, 80, plane)\n"
            "def mine = qupath.lib.objects.PathObjects.createAnnotationObject(roi)\n"
            "viewer.getImageData().getHierarchy().addObject(mine)"
        )
        opened.commit()
        (told,) = opened.save_open()
        assert "changes that nobody saved" in told
        there = {o.id: o for o in opened.entries[0].objects()}
        assert there.pop(item(1).id).name == "pearl 1"
        (mine,) = there.values()
        assert mine.is_ellipse
        assert mine.geometry.bounds == (5, 6, 75, 86)
        assert on_disk(study) == {}
        with open_project(study, mode="r+", backend="embedded") as other:
            other.entries[0].add([item(9)])
            with pytest.raises(ConflictError, match="changes that nobody saved"):
                other.commit()
        opened.entries[0].replace([dataclasses.replace(mine, name="ours")])
        window.ask(
            f"def mine = {ALL}.find {{ it.ID.toString() == '{mine.id}' }}\n"
            "mine.setName('hers')\n"
            "viewer.getImageData().getHierarchy().fireObjectsChangedEvent(null, [mine])"
        )
        with pytest.raises(ConflictError, match="got another name"):
            opened.commit()
