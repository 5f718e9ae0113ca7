"""``qpgaze export coco``: from a QuPath project on disk to a data set."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import shapely
from PIL import Image

from qpgaze import keys
from qpgaze.bridge import create_project, open_project
from qpgaze.cli.app import run
from qpgaze.errors import SlideError
from qpgaze.model import SlideObject
from qpgaze.workflows.export import export_project

LABELS = "_annotations.coco.json"


def pearl(number: int, x: float, **more) -> SlideObject:
    return SlideObject(UUID(int=number), shapely.box(x, 50, x + 50, 90), class_name="Pearl", **more)


@pytest.fixture
def project(tmp_path) -> Path:
    """Three patients, three pearls each, one of them rejected; and an image without objects."""
    folder = tmp_path / "study"
    create_project(folder).close()
    with open_project(folder, mode="r+", backend="embedded") as opened:
        for n in range(4):
            picture = tmp_path / f"slide {n}.png"
            Image.fromarray(np.full((400, 700, 3), (200, 120, 170), np.uint8)).save(picture)
            entry = opened.add_image(picture, metadata={keys.PATIENT: f"P{n}"})
            if n < 3:
                rejected = {keys.STATE: keys.ReviewState.REJECTED.value}
                objects = [pearl(10 * n + 1, 10), pearl(10 * n + 2, 300)]
                entry.add([*objects, pearl(10 * n + 3, 600, metadata=rejected)])
        opened.commit()
        return opened.path


def state_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_project_becomes_a_data_set_and_stays_as_it_was(project, tmp_path, capsys) -> None:
    before = state_of(project.parent)
    out = tmp_path / "set"
    arguments = ["export", "coco", str(project), str(out), "--tile-size", "256", "--json"]
    assert run([*arguments, "--backend", "embedded"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert state_of(project.parent) == before
    assert told["version"] == 1
    assert told["skipped"] == {"rejected in review": 3}
    assert {name: part["objects"] for name, part in told["parts"].items()} == dict.fromkeys(
        ("train", "valid", "test"), 2
    )
    for part in told["parts"]:
        coco = json.loads((out / part / LABELS).read_text("utf-8"))
        assert {image["slide"] for image in coco["images"]} <= {f"slide {n}.png" for n in range(3)}
        assert len({image["patient"] for image in coco["images"]}) == 1
        assert all((out / part / image["file_name"]).is_file() for image in coco["images"])


def test_a_person_reads_what_was_done(project, tmp_path, capsys) -> None:
    out = tmp_path / "set"
    assert run(["export", "coco", str(project), str(out), "--image", "1", "--image", "2"]) == 0
    told = capsys.readouterr().out
    assert "Pearl" in told
    assert "Left out: 2 rejected in review" in told
    assert "too few" in told


def test_mpp_is_refused_and_pixel_size_offered(project, tmp_path, capsys) -> None:
    arguments = ["export", "coco", str(project), str(tmp_path / "set"), "--mpp", "0.5"]
    assert run(arguments) == 2
    told = capsys.readouterr().err
    assert "--pixel-size" in told
    assert "Traceback" not in told
    assert not (tmp_path / "set").exists()
    assert run([*arguments, "--pixel-size", "0.25"]) == 0


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--mpp", "1", "--downsample", "2"], "not both"),
        (["--split", "a,b"], "not three numbers"),
        (["--split", "0.5,0.5"], "sum up to 1"),
        (["--image", "nothing of that name"], "nothing of that name"),
        (["--class", "Perl"], "class names"),
        (["--format", "bmp"], "bmp"),
        (["--downsample", "0.1"], "0.1"),
    ],
)
def test_wrong_use_is_told_in_words(project, tmp_path, capsys, extra, words) -> None:
    out = tmp_path / "set"
    assert run(["export", "coco", str(project), str(out), *extra]) == 2
    told = capsys.readouterr().err
    assert words in " ".join(told.split())
    assert "Traceback" not in told
    assert not out.exists()


def test_a_missing_slide_matters_only_where_there_are_objects(project, tmp_path) -> None:
    (tmp_path / "slide 3.png").unlink()
    assert export_project(project, tmp_path / "set").objects == 6
    (tmp_path / "slide 1.png").unlink()
    with pytest.raises(SlideError):
        export_project(project, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.shared_data
def test_a_real_slide_at_another_scale(shared_data, tmp_path) -> None:
    create_project(tmp_path / "study").close()
    with open_project(tmp_path / "study", mode="r+", backend="embedded") as opened:
        entry = opened.add_image(shared_data / "slides" / "CMU-1-Small-Region.svs")
        entry.add([SlideObject(UUID(int=1), shapely.box(1100, 1400, 1300, 1500), class_name="A")])
        opened.commit()
    export_project(tmp_path / "study", tmp_path / "set", mpp=1.0, tile_size=256, negatives=2)
    coco = json.loads((tmp_path / "set" / "train" / LABELS).read_text("utf-8"))
    assert {image["mpp"] for image in coco["images"]} == {1.0}
    assert coco["images"][0]["downsample"] == pytest.approx(1 / 0.499)
    found = coco["annotations"][0]
    tile = next(image for image in coco["images"] if image["id"] == found["image_id"])
    assert tile["x0"] + found["bbox"][0] * tile["downsample"] == pytest.approx(1100, abs=0.02)
    assert len(coco["images"]) == 3 * len({a["image_id"] for a in coco["annotations"]})
