"""A project that is open in a QuPath: what goes into its window, and what to its folder."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.account import verify_project
from qpgaze.bridge.ledger import Ledger, Operation, records_of
from qpgaze.bridge.pending import commit_recorded, open_ledger, pending_files
from qpgaze.bridge.projects import live_entry
from qpgaze.bridge.projects.in_use import warnings_of_use
from qpgaze.bridge.projects.live import LiveProject, note_windows
from qpgaze.bridge.projects.live_features import features_of, objects_of
from qpgaze.bridge.projects.live_standin import open_in_standin
from qpgaze.bridge.projects.live_windows import Windows
from qpgaze.bridge.projects.snapshots import snapshots_of
from qpgaze.errors import ConflictError, ProjectError, WireError
from qpgaze.model import SlideObject
from qpgaze.wire import StandIn, connect
from qpgaze.wire.standin import OpenImage

Make = Callable[..., SlideObject]


@pytest.fixture
def study(tmp_path: Path, picture: Path) -> Path:
    """Two images without objects."""
    other = tmp_path / "other.png"
    other.write_bytes(picture.read_bytes())
    with create_project(tmp_path / "study", backend="embedded") as made:
        made.add_image(picture)
        made.add_image(other)
        made.commit()
    return tmp_path / "study"


@pytest.fixture
def shown(study: Path, standin: StandIn) -> OpenImage:
    """The first image, open in the stand-in."""
    return open_in_standin(standin, study, "1")


@pytest.fixture
def live(study: Path, shown: OpenImage) -> Iterator[LiveProject]:
    with open_project(study, mode="r+") as opened:
        assert isinstance(opened, LiveProject)
        assert shown.changed is False
        yield opened


def on_disk(study: Path, entry: str) -> set[Any]:
    with open_project(study, backend="embedded") as opened:
        return {item.id for item in opened.entry(entry).objects()}


def in_window(shown: OpenImage) -> set[str]:
    return set(shown.objects)


def ids(*items: SlideObject) -> set[str]:
    return {str(item.id) for item in items}


def test_what_is_open_goes_into_the_window_and_what_is_closed_to_the_disk(
    study: Path, shown: OpenImage, live: LiveProject, make_object: Make
) -> None:
    one, two = make_object(1), make_object(2)
    live.entry("1").add([one])
    live.entry("2").add([two])
    live.commit()
    assert in_window(shown) == ids(one)
    assert on_disk(study, "1") == set()
    assert on_disk(study, "2") == {two.id}
    (told,) = live.save_open()
    assert "QuPath saved it" in told
    assert on_disk(study, "1") == {one.id}
    assert live.save_open() == []


def test_a_window_gives_back_what_it_got_where_the_folder_cannot_be_written(
    study: Path,
    shown: OpenImage,
    live: LiveProject,
    make_object: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    top = make_object(1, geometry=shapely.box(0, 0, 90, 90))
    below = make_object(2, parent=top.id)
    changed = make_object(3)
    live.entry("1").add([top, below, changed])
    live.commit()
    before = {i: dict(f) for i, f in shown.objects.items()}
    live.entry("1").remove([top.id])
    live.entry("1").replace([dataclasses.replace(changed, name="other")])
    live.entry("1").add([make_object(4)])
    live.entry("2").add([make_object(5)])

    def full(*_: object, **__: object) -> None:
        raise ProjectError("The disk is full.")

    monkeypatch.setattr("qpgaze.bridge.projects.folder.write_and_note", full)
    with pytest.raises(ProjectError, match="disk is full"):
        live.commit()
    assert shown.objects == before
    assert on_disk(study, "2") == set()


def test_where_a_window_cannot_give_it_back_that_is_said(
    shown: OpenImage,
    live: LiveProject,
    standin: StandIn,
    make_object: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live.entry("1").add([make_object(1)])
    live.entry("2").add([make_object(2)])

    def full(*_: object, **__: object) -> None:
        standin.close_image(shown.key)
        raise ProjectError("The disk is full.")

    monkeypatch.setattr("qpgaze.bridge.projects.folder.write_and_note", full)
    with pytest.raises(ConflictError, match=r"disk is full.*could not be taken out again: image 1"):
        live.commit()


def test_what_a_person_did_meanwhile_is_built_upon(
    shown: OpenImage, live: LiveProject, standin: StandIn, make_object: Make
) -> None:
    drawn, one = make_object(9), make_object(1)
    live.entry("1").add([one])
    standin.edit(shown.key, features_of([drawn], {}))
    live.commit()
    assert in_window(shown) == ids(drawn, one)
    (told,) = live.save_open()
    assert "changes that nobody saved" in told
    assert "--save-open saves both" in told
    assert shown.changed


def test_what_a_person_changed_is_never_written_over(
    shown: OpenImage, live: LiveProject, standin: StandIn, make_object: Make
) -> None:
    one = make_object(1)
    live.entry("1").add([one])
    live.commit()
    live.entry("1").replace([dataclasses.replace(one, name="better")])
    redrawn = dataclasses.replace(one, geometry=shapely.box(1, 2, 30, 40))
    standin.edit(shown.key, features_of([redrawn], {}))
    with pytest.raises(ConflictError, match=r"open in QuPath: Object .* got another shape"):
        live.commit()
    (kept,), _ = objects_of(list(shown.objects.values()))
    assert kept.name == one.name
    assert kept.geometry.equals(redrawn.geometry)


def test_a_stroke_in_the_very_moment_is_looked_at_again(
    shown: OpenImage,
    live: LiveProject,
    standin: StandIn,
    make_object: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    do, strokes = standin.request, iter(range(50, 60))

    def drawing(request: dict[str, Any]) -> Any:
        if request["type"] == "change_objects" and (request["put"] or request["replace"]):
            number = next(strokes)
            if number < 50 + times:
                standin.edit(shown.key, features_of([make_object(number)], {}))
        return do(request)

    monkeypatch.setattr(standin, "request", drawing)
    times = 2
    live.entry("1").add([make_object(1)])
    live.commit()
    assert in_window(shown) == ids(make_object(50), make_object(51), make_object(1))
    strokes, times = iter(range(60, 70)), 100
    live.entry("1").add([make_object(2)])
    with pytest.raises(ConflictError, match="changed since"):  # no end to it
        live.commit()
    assert str(make_object(2).id) not in shown.objects


def test_an_image_that_is_closed_or_opened_meanwhile(
    study: Path, shown: OpenImage, live: LiveProject, standin: StandIn, make_object: Make
) -> None:
    live.entry("1").add([make_object(1)])
    standin.close_image(shown.key)
    with pytest.raises(ConflictError, match="was closed in QuPath meanwhile"):
        live.commit()
    again = open_in_standin(standin, study, "1")
    with pytest.raises(ConflictError, match="was closed in QuPath meanwhile"):
        live.commit()  # another look at it: not what was read
    live.entry("2").add([make_object(2)])
    live.entry("1").forget()  # type: ignore[attr-defined]
    open_in_standin(standin, study, "2")
    with pytest.raises(ConflictError, match="was opened in QuPath meanwhile"):
        live.commit()
    assert in_window(again) == set()
    assert on_disk(study, "1") == on_disk(study, "2") == set()


def test_two_qupaths_with_one_image_are_refused(
    study: Path, shown: OpenImage, hooks: Path, standin: StandIn
) -> None:
    with StandIn(hooks, pid=os.getppid()) as second:
        open_in_standin(second, study, "1")
        with (
            open_project(study, mode="r+") as opened,
            pytest.raises(ConflictError, match="open 2 times"),
        ):
            opened.entry("1").objects()
        (problem,) = verify_project(study).problems
        assert "open 2 times" in problem.message


def test_other_projects_are_none_of_ours(study: Path, tmp_path: Path, standin: StandIn) -> None:
    with create_project(tmp_path / "else", backend="embedded") as made:
        made.add_image(study.parent / "other.png")
        made.commit()
    open_in_standin(standin, tmp_path / "else", "1")
    with open_project(study, mode="r+") as opened:
        assert opened.backend == "embedded"
    with pytest.raises(ProjectError, match=r"No QuPath .* has an image of"):
        open_project(study, backend="live")
    linked = tmp_path / "by another way"
    linked.symlink_to(tmp_path / "else", target_is_directory=True)
    with open_project(linked, mode="r+") as opened:
        assert opened.backend == "live"


def test_a_qupath_that_does_not_answer_is_named(
    study: Path, shown: OpenImage, standin: StandIn, hooks: Path
) -> None:
    said = json.loads((hooks / f"hook-{os.getpid()}.json").read_text())
    other = hooks / f"hook-{os.getppid()}.json"
    changes: list[tuple[dict[str, object], str]] = [
        ({"token": "another"}, "token"),
        ({"version": 99}, "version 99"),
    ]
    for change, words in changes:
        other.write_text(json.dumps({**said, "pid": os.getppid(), **change}))
        other.chmod(0o600)
        with Windows(study / "project.qpproj") as windows:
            (trouble,) = windows.look().troubles
            assert windows.entries == {"1"}
        assert f"process {os.getppid()}) cannot be asked what it has open" in trouble
        assert words in trouble
    other.write_text(json.dumps({**said, "pid": 2**22 + 1}))  # left by one that is gone
    with Windows(study / "project.qpproj") as windows:
        assert windows.look().troubles == []


def test_the_folder_is_not_written_under_what_nobody_saved(
    study: Path, shown: OpenImage, standin: StandIn, make_object: Make
) -> None:
    with open_project(study, mode="r+", backend="embedded") as opened:
        opened.entry("1").add([make_object(1)])
        standin.edit(shown.key, features_of([make_object(9)], {}))
        with pytest.raises(ConflictError, match=r"changes that nobody saved.*leave --backend away"):
            opened.commit()
        assert on_disk(study, "1") == set()
        with connect(name="person") as person:
            person.save(shown.key)
        opened.commit()
        (warning,) = warnings_of_use(opened, {"1"})
        assert "is open in QuPath: QuPath says so" in warning
    assert on_disk(study, "1") == {make_object(1).id, make_object(9).id}


@pytest.mark.parametrize("wanted", [None, True, False])
@pytest.mark.parametrize("before", [False, True])
def test_what_a_person_left_unsaved_is_saved_only_where_that_is_wanted(
    study: Path,
    shown: OpenImage,
    standin: StandIn,
    make_object: Make,
    wanted: bool | None,
    before: bool,
) -> None:
    if before:
        standin.edit(shown.key, features_of([make_object(9)], {}))
    with open_project(study, mode="r+") as opened:
        opened.entry("1").add([make_object(1)])
        opened.commit()
        opened.entry("1").add([make_object(2)])
        opened.commit()
        (told,) = note_windows(opened, wanted)
    saved = wanted or (wanted is None and not before)
    assert shown.changed is not saved
    assert ("QuPath saved it" in told) is saved
    assert (on_disk(study, "1") != set()) is saved
    data = study / "data" / "1" / "data.qpdata"
    assert bool(snapshots_of(study, data)) is bool(saved)


def test_a_save_that_fails_is_said_and_takes_nothing_away(
    study: Path, shown: OpenImage, live: LiveProject, standin: StandIn, make_object: Make
) -> None:
    shown.read_only = True
    live.entry("1").add([make_object(1)])
    live.commit()
    (told,) = live.save_open()
    assert "could not be saved now" in told
    assert "read-only" in told
    assert in_window(shown) == ids(make_object(1))
    shown.read_only = False
    live.entry("1").add([make_object(2)])
    live.commit()
    standin.edit(shown.key, features_of([make_object(9)], {}))  # before the save came to it
    (told,) = live.save_open(True)
    assert "was changed since" in told
    assert on_disk(study, "1") == set()


def test_a_new_image_in_a_list_that_qupath_holds_is_pointed_out(
    study: Path, live: LiveProject, picture: Path, tmp_path: Path, make_object: Make
) -> None:
    third = tmp_path / "third.png"
    third.write_bytes(picture.read_bytes())
    live.add_image(third).add([make_object(1)])
    live.commit()
    (told,) = live.save_open()
    assert "keeps a list of its images" in told
    assert on_disk(study, "3") == {make_object(1).id}


def test_its_type_is_the_windows_to_set(live: LiveProject) -> None:
    with pytest.raises(ConflictError, match="Set it there"):
        live.entry("1").set_image_type("FLUORESCENCE")
    live.entry("2").set_image_type("FLUORESCENCE")
    live.commit()
    assert live.entry("2").image_type == "FLUORESCENCE"


# -- the account -----------------------------------------------------------------------------------


def add_recorded(live: LiveProject, *items: SlideObject) -> None:
    ledger = open_ledger(live)
    live.entry("1").add(items)
    commit_recorded(live, ledger, records_of(Operation.ADD, "1", items))


def standings(study: Path) -> set[str]:
    report = verify_project(study)
    return {finding.kind for finding in [*report.problems, *report.remarks]}


def test_the_account_tells_what_is_not_saved_yet(
    study: Path, shown: OpenImage, live: LiveProject, standin: StandIn, make_object: Make
) -> None:
    add_recorded(live, make_object(1))
    (record,) = Ledger.open(study).records
    assert record.extra == {"in_window": True}
    report = verify_project(study)
    assert (report.problems, report.ours, report.untouched) == ([], 1, 1)
    assert [finding.kind for finding in report.remarks] == ["unsaved"]
    standin.close_image(shown.key)
    report = verify_project(study)
    (lost,) = report.problems
    assert lost.kind == "lost"
    assert "did not save it" in lost.message
    # Put in again, saved this time.
    shown = open_in_standin(standin, study, "1")
    with open_project(study, mode="r+") as again:
        assert isinstance(again, LiveProject)
        add_recorded(again, make_object(1))
        note_windows(again)
    standin.close_image(shown.key)
    assert standings(study) == set()


@pytest.mark.parametrize("done", [True, False])
def test_a_qupath_that_falls_silent_in_the_middle(
    study: Path,
    shown: OpenImage,
    live: LiveProject,
    standin: StandIn,
    make_object: Make,
    monkeypatch: pytest.MonkeyPatch,
    done: bool,
) -> None:
    do = standin.request

    def silent(request: dict[str, Any]) -> Any:
        if request["type"] == "change_objects" and request["put"]:
            if done:
                do(request)
            for client in list(standin.server._clients):
                client.channel.close("the cable was pulled")
        return do({**request, "put": []})

    monkeypatch.setattr(standin, "request", silent)
    with pytest.raises(WireError, match="Whether the objects came in is not known"):
        add_recorded(live, make_object(1))
    monkeypatch.setattr(standin, "request", do)
    assert len(pending_files(study)) == 1
    with open_project(study, mode="r+") as again:
        ledger = open_ledger(again)
    assert pending_files(study) == []
    assert len(ledger.records) == len(in_window(shown)) == done


def test_a_client_that_ends_between_the_parts_of_a_change_leaves_nothing(
    shown: OpenImage, standin: StandIn, make_object: Make
) -> None:
    half = features_of([make_object(1)], {})
    with connect(name="store") as store:
        store._request("change_objects", {"image": shown.key, "put": half, "more": True})
    with connect(name="store") as other:
        answer = other.change_objects(shown.key, put=features_of([make_object(2)], {}))
    assert (answer["put"], in_window(shown)) == (1, ids(make_object(2)))


def test_a_qupath_that_is_too_busy(
    shown: OpenImage,
    live: LiveProject,
    standin: StandIn,
    make_object: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live.entry("1").add([make_object(1)])
    monkeypatch.setattr(live_entry, "WAIT_S", 0.05)
    with standin._lock:
        busy = live.windows.image("1")
        assert busy is not None
        with pytest.raises(WireError) as caught:
            live.entry("1").put({})  # type: ignore[attr-defined]
    assert caught.value.code == "timeout"
    assert "Look into the window" in str(caught.value)


# -- words -----------------------------------------------------------------------------------------


def test_shapes_that_no_store_keeps_do_not_stand_in_the_way(make_object: Make) -> None:
    features = features_of([make_object(1), make_object(2)], {})
    features[0]["geometry"] = {"type": "Polygon", "coordinates": [[[0, 0], [1, "x"], [2, 2]]]}
    features[0]["parent"] = features[1]["id"]
    (second, first), _ = objects_of(features)
    assert second.id == make_object(2).id
    assert first.geometry.is_empty
    assert first.parent == second.id
    features[1]["parent"] = features[0]["id"]
    with pytest.raises(ProjectError, match="lies under itself"):
        objects_of(features)
