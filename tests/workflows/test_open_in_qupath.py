"""annotate, refine and rollback on a project that a QuPath has open."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import shapely

from qpgaze.bridge import open_project
from qpgaze.bridge.projects.live_features import features_of, objects_of
from qpgaze.bridge.projects.live_standin import open_in_standin
from qpgaze.wire import StandIn
from qpgaze.wire.standin import OpenImage


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    folder = tmp_path / "hooks"
    monkeypatch.setattr("qpgaze.wire.discovery.discovery_folders", lambda: (folder,))
    with StandIn(folder, qupath="0.6.0", pid=os.getpid()) as started:
        yield started


@pytest.fixture
def shown(small, standin: StandIn) -> OpenImage:
    return open_in_standin(standin, small.project, "1")


def in_window(shown: OpenImage):
    return {item.name: item for item in objects_of(list(shown.objects.values()))[0]}


def on_disk(small):
    with open_project(small.project, backend="embedded") as opened:
        return {item.name: item for item in opened.entries[0].objects()}


def test_the_whole_way_through_the_window(small, shown: OpenImage, cli) -> None:
    said = cli("annotate", small.session, small.project)
    assert said.status == 0, said.err
    words = " ".join(said.out.split())
    assert "Image 1 ('slide 1.png') is open in QuPath: the change shows there" in words
    assert "and QuPath saved it" in words
    assert "must be reopened" not in words
    coarse = in_window(shown)
    assert set(coarse) == {"Pearl 1", "Stroma 2"}
    assert {item.id for item in on_disk(small).values()} == {item.id for item in coarse.values()}
    said = cli("refine", small.project)
    assert said.status == 0, said.err
    better = in_window(shown)
    for name, item in better.items():
        assert item.id == coarse[name].id
        assert not item.geometry.equals_exact(coarse[name].geometry, 0.5)
        assert on_disk(small)[name].geometry.equals_exact(item.geometry, 0.01)
    said = cli("annotate", small.session, small.project)
    assert "shows there" not in said.out  # nothing was to be done
    assert cli("project", "verify", small.project).status == 0
    said = cli("project", "rollback", small.project, "--session", "0b5a", "--dry-run")
    assert "Would remove 2 objects" in said.out
    assert set(in_window(shown)) == set(better)
    said = cli("project", "rollback", small.project, "--session", "0b5a")
    assert "Removed 2 objects" in said.out
    assert in_window(shown) == on_disk(small) == {}


def test_what_a_reader_has_not_saved_stays_the_readers(
    small, shown: OpenImage, standin: StandIn, cli
) -> None:
    cli("annotate", small.session, small.project)
    made = in_window(shown)
    mine = dataclasses.replace(made["Pearl 1"], geometry=shapely.box(5, 5, 300, 300))
    standin.edit(shown.key, features_of([mine], {}))
    said = cli("refine", small.project)
    words = " ".join(said.out.split())
    assert "changes that nobody saved" in words
    assert "--save-open saves both" in words
    now = in_window(shown)
    assert now["Pearl 1"].geometry.equals(mine.geometry)
    assert not now["Stroma 2"].geometry.equals(made["Stroma 2"].geometry)
    disk = on_disk(small)
    assert disk["Stroma 2"].geometry.equals_exact(made["Stroma 2"].geometry, 0.01)
    said = cli("project", "verify", small.project)
    assert said.status == 0, said.out
    assert "Not saved: it is open in QuPath and not saved" in " ".join(said.out.split())
    said = cli("project", "rollback", small.project, "--session", "0b5a", "--save-open")
    assert "QuPath saved it" in " ".join(said.out.split())
    assert set(on_disk(small)) == {"Pearl 1"}


def test_another_backend_is_refused_where_it_would_be_lost(
    small, shown: OpenImage, standin: StandIn, refused, cli
) -> None:
    cli("annotate", small.session, small.project, "--no-save-open")
    assert shown.changed
    assert on_disk(small) == {}
    refused(
        *("annotate", small.session, small.project, "--put-back", "--backend", "embedded"),
        mentions=("open in QuPath with changes that nobody saved", "leave --backend away"),
    )
    standin.close_image(shown.key)
    refused(
        *("annotate", small.session, small.project, "--backend", "live"),
        mentions=("No QuPath with the qpgaze hook has an image of",),
    )
    said = cli("annotate", small.session, small.project, "--put-back")
    assert said.status == 0, said.err
    assert set(on_disk(small)) == {"Pearl 1", "Stroma 2"}


def test_the_report_says_which_way_the_labels_went(small, shown: OpenImage, standin, cli) -> None:
    """The hook's dialog offers to save only what came through its window."""
    line = ("annotate", small.session, small.project, "--no-save-open", "--json")
    (image,) = json.loads(cli(*line).out)["images"]
    assert (image["added"], image["way"]) == (2, "window")
    standin.close_image(shown.key)
    (image,) = json.loads(cli(*line, "--put-back").out)["images"]
    assert (image["put_back"], image["way"]) == (2, "file")


def test_a_file_is_imported_into_the_window(small, shown: OpenImage, cli, tmp_path: Path) -> None:
    cli("annotate", small.session, small.project)
    out = tmp_path / "out.geojson"
    assert cli("project", "export", small.project, out, "--image", "1").status == 0
    cli("project", "rollback", small.project, "--session", "0b5a")
    said = cli("project", "import", small.project, out)
    assert "QuPath saved it" in " ".join(said.out.split())
    assert set(in_window(shown)) == set(on_disk(small)) == {"Pearl 1", "Stroma 2"}
