"""The whole export: what is written, what is refused, and that nothing half written stays."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from qpgaze import keys
from qpgaze.errors import ExportError, QpgazeError, UsageError
from qpgaze.export import export_coco, files

LABELS = "_annotations.coco.json"


def labels(out: Path, part: str = "train") -> dict:
    return json.loads((out / part / LABELS).read_text("utf-8"))


def tree(out: Path) -> dict[str, bytes]:
    found = sorted(p for p in out.rglob("*") if p.is_file())
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in found}


@pytest.fixture
def three(make_image, make_object):
    """Three patients with two objects each, one of them across a tile border."""
    return [
        make_image(
            str(n),
            [make_object(10 * n, (300, 60, 340, 90)), make_object(10 * n + 1, (500, 20, 530, 50))],
            patient=f"P{n}",
        )
        for n in (1, 2, 10)
    ]


def test_three_patients_fill_three_parts(tmp_path, three) -> None:
    report = export_coco(three, tmp_path / "set", tile_size=256)
    assert set(report.parts) == {"train", "valid", "test"}
    for name, part in report.parts.items():
        assert (part.groups, part.slides, part.objects, part.annotations) == (1, 1, 2, 3)
        coco = labels(tmp_path / "set", name)
        assert [image["id"] for image in coco["images"]] == [1, 2]
        assert [a["id"] for a in coco["annotations"]] == [1, 2, 3]
        assert len({a["source_id"] for a in coco["annotations"]}) == 2
        assert coco["categories"] == [{"id": 1, "name": "Pearl", "supercategory": "Pearl"}]
        for image in coco["images"]:
            with Image.open(tmp_path / "set" / name / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"]) == (256, 256)
    assert report.tiles == 6
    assert report.notes == ()


def test_too_few_patients_all_train_and_it_is_said(tmp_path, three) -> None:
    report = export_coco(three[:2], tmp_path / "set")
    assert set(report.parts) == {"train"}
    assert not (tmp_path / "set" / "valid").exists()
    assert "too few" in report.notes[0]
    assert "too few" in (tmp_path / "set" / "README.md").read_text("utf-8")


def test_no_patient_and_no_slide_is_cut_by_the_split(tmp_path, make_image, make_object) -> None:
    box = (300, 60, 340, 90)
    images = [
        make_image(str(n), [make_object(n, box)], patient=f"P{n // 3}" if n < 12 else None)
        for n in range(16)
    ]
    # A slide that two entries show, one of them without a patient.
    images.append(make_image("16", [make_object(99, box)], slide=images[0].slide))
    for seed in range(5):
        out = tmp_path / str(seed)
        report = export_coco(images, out, seed=seed)
        part_of_entry = {slide["entry"]: slide["part"] for slide in report.slides}
        assert part_of_entry["16"] == part_of_entry["0"]
        for n in range(12):
            assert part_of_entry[str(n)] == part_of_entry[str(n - n % 3)]


def test_the_same_bytes_each_time_whatever_the_order_and_place(tmp_path, three) -> None:
    export_coco(three, tmp_path / "a", seed=3, negatives=1)
    export_coco(three[::-1], tmp_path / "deep" / "er" / "b", seed=3, negatives=1)
    first, second = tree(tmp_path / "a"), tree(tmp_path / "deep" / "er" / "b")
    assert first == second
    text = b"".join(data for name, data in first.items() if name.endswith((".json", ".md")))
    assert b"somewhere" not in text
    assert str(tmp_path).encode() not in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "deep"]


def test_only_one_slide_is_open_at_a_time(tmp_path, three, array_slide) -> None:
    export_coco(three, tmp_path / "set")
    assert array_slide.most_open == 1
    assert array_slide.now_open == 0


def test_places_of_tiles_lead_back_to_the_slide(tmp_path, make_image, make_object) -> None:
    image = make_image("1", [make_object(1, (320, 60, 360, 90))], file_um=(0.25, 0.25))
    report = export_coco([image], tmp_path / "set", tile_size=64, mpp=0.4, image_format="png")
    coco = labels(tmp_path / "set")
    (found,) = coco["annotations"]
    (tile,) = coco["images"]
    assert tile["downsample"] == pytest.approx(1.6)
    assert tile["mpp"] == 0.4
    x, y, w, h = found["bbox"]
    box = [tile["x0"] + x * 1.6, tile["y0"] + y * 1.6, w * 1.6, h * 1.6]
    assert box == pytest.approx([320, 60, 40, 30], abs=0.02)
    assert report.slides[0]["mpp"] == 0.4


def test_tiles_over_the_edge_are_white_there(tmp_path, make_image, make_object) -> None:
    image = make_image("1", [make_object(1, (950, 650, 1100, 800))])
    export_coco([image], tmp_path / "set", tile_size=256, image_format="png")
    coco = labels(tmp_path / "set")
    (found,) = coco["annotations"]
    (tile,) = coco["images"]
    assert (tile["x0"], tile["y0"]) == (768, 512)
    assert found["bbox"] == [182, 138, 50, 50]
    with Image.open(tmp_path / "set" / "train" / tile["file_name"]) as picture:
        rgb = np.asarray(picture)
    assert (rgb[:, 232:] == 255).all()
    assert (rgb[188:] == 255).all()
    assert not (rgb[:188, :232] == 255).all(axis=2).any()


def test_mpp_without_pixel_size_is_refused_and_pixel_size_helps(
    tmp_path, make_image, make_object
) -> None:
    image = make_image("1", [make_object(1, (300, 60, 340, 90))])
    with pytest.raises(ExportError, match="--pixel-size") as refusal:
        export_coco([image], tmp_path / "set", mpp=0.5)
    assert "Image 1" in str(refusal.value)
    assert not list(tmp_path.iterdir())
    export_coco([image], tmp_path / "set", mpp=0.5, pixel_size_um=0.25)
    assert labels(tmp_path / "set")["images"][0]["downsample"] == 2


def test_the_project_knows_the_pixel_size_better_than_the_file(
    tmp_path, make_image, make_object
) -> None:
    image = make_image(
        "1", [make_object(1, (300, 60, 340, 90))], file_um=(0.25, 0.25), pixel_size_um=(0.5, 0.5)
    )
    export_coco([image], tmp_path / "set", mpp=1.0, pixel_size_um=9)
    assert labels(tmp_path / "set")["images"][0]["downsample"] == 2


@pytest.mark.parametrize(
    ("file_um", "mpp", "words"),
    [((0.5, 0.5), 0.25, "does not hold"), ((0.25, 0.5), 1.0, "not square")],
)
def test_a_scale_that_cannot_be_had_is_refused(
    tmp_path, make_image, make_object, file_um, mpp, words
) -> None:
    image = make_image("1", [make_object(1, (300, 60, 340, 90))], file_um=file_um)
    with pytest.raises(ExportError, match=words):
        export_coco([image], tmp_path / "set", mpp=mpp)


def test_a_pixel_size_that_nearly_fits_is_full_resolution(
    tmp_path, make_image, make_object
) -> None:
    image = make_image("1", [make_object(1, (300, 60, 340, 90))], file_um=(0.2528, 0.2526))
    export_coco([image], tmp_path / "set", mpp=0.25)
    tile = labels(tmp_path / "set")["images"][0]
    assert tile["downsample"] == 1
    assert tile["mpp"] == pytest.approx(0.2527)


@pytest.mark.parametrize(
    "bad",
    [
        {"mpp": 0.5, "downsample": 2},
        {"mpp": -1},
        {"downsample": 0.5},
        {"downsample": 0},
        {"tile_size": 0},
        {"min_visible": 2},
        {"negatives": -1},
        {"image_format": "bmp"},
        {"fractions": (1, 1, 1)},
        {"pixel_size_um": float("nan")},
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_read(tmp_path, three, bad) -> None:
    with pytest.raises(UsageError):
        export_coco(three, tmp_path / "set", **bad)
    assert not list(tmp_path.iterdir())


def test_rejected_objects_and_fixations_never_come_out(tmp_path, make_image, make_object) -> None:
    objects = [
        make_object(1, (300, 60, 340, 90)),
        make_object(2, (400, 60, 440, 90), metadata={keys.STATE: "rejected"}),
        make_object(3, (400, 60, 440, 90), keys.FIXATION_CLASS),
    ]
    report = export_coco([make_image("1", objects)], tmp_path / "set")
    assert {a["source_id"] for a in labels(tmp_path / "set")["annotations"]} == {
        "00000000-0000-0000-0000-000000000001"
    }
    assert report.skipped == {"rejected in review": 1, "single fixations": 1}


def test_nothing_to_export_is_an_error_with_the_reasons(tmp_path, make_image, make_object) -> None:
    gone = make_object(2, (400, 60, 440, 90), metadata={keys.STATE: "rejected"})
    with pytest.raises(ExportError, match="1 rejected in review"):
        export_coco([make_image("1", [gone])], tmp_path / "set")
    with pytest.raises(ExportError, match="no objects at all"):
        export_coco([], tmp_path / "set")
    outside = make_object(3, (4000, 60, 4040, 90))
    with pytest.raises(ExportError, match="1 outside the slide"):
        export_coco([make_image("1", [outside])], tmp_path / "set")
    tiny = make_object(4, (400, 60, 402, 62))
    with pytest.raises(ExportError, match="1 smaller than one pixel"):
        export_coco([make_image("1", [tiny])], tmp_path / "set", downsample=4)
    with pytest.raises(ExportError, match="class names"):
        export_coco([make_image("1", [tiny])], tmp_path / "set", classes=["Perl"])
    assert not list(tmp_path.iterdir())


def test_classes_are_numbered_by_name_in_every_part(tmp_path, make_image, make_object) -> None:
    images = [
        make_image(str(n), [make_object(n, (300, 60, 340, 90), name)])
        for n, name in enumerate(["Tumor: Pearl", "Alike", "Müller | cell"])
    ]
    report = export_coco(images, tmp_path / "set")
    assert report.categories == ("Alike", "Müller | cell", "Tumor: Pearl")
    for part in report.parts:
        assert [c["id"] for c in labels(tmp_path / "set", part)["categories"]] == [1, 2, 3]
    assert sum("No tile of train shows" in note for note in report.notes) == 2


def test_negatives_are_tissue_without_objects(tmp_path, make_image, make_object) -> None:
    objects = [
        make_object(1, (300, 60, 340, 90)),
        make_object(2, (600, 300, 640, 330), None),
        make_object(3, (900, 300, 910, 330), metadata={keys.STATE: "rejected"}),
        make_object(4, shapely.Point(64.0 * 10, 64.0 * 5)),
    ]
    out = tmp_path / "set"
    report = export_coco(
        [make_image("1", objects)], out, tile_size=64, negatives=20, image_format="png"
    )
    coco = labels(out)
    labelled = {a["image_id"] for a in coco["annotations"]}
    empty = [image for image in coco["images"] if image["id"] not in labelled]
    assert len(empty) == report.parts["train"].negatives == 20 * len(labelled)
    for image in empty:
        window = shapely.box(image["x0"], image["y0"], image["x0"] + 64, image["y0"] + 64)
        assert not window.intersects(shapely.box(300.1, 60.1, 339.9, 89.9))
        assert not window.intersects(shapely.box(600.1, 300.1, 639.9, 329.9))
        assert image["x0"] + 64 > 250, "glass is no tissue"


def test_unrefined_gaze_is_named(tmp_path, make_image, make_object) -> None:
    raw = {keys.METHOD: keys.METHOD_DISCS}
    objects = [
        make_object(1, (300, 60, 340, 90), metadata=raw),
        make_object(2, (400, 60, 440, 90), metadata={keys.METHOD: "gaze-picture"}),
        make_object(3, (4000, 60, 4040, 90), metadata=raw),
    ]
    report = export_coco([make_image("1", objects)], tmp_path / "set")
    assert any("1 of 2 objects are discs" in note for note in report.notes)


def test_progress_counts_every_tile(tmp_path, three) -> None:
    seen: list[tuple[int, int]] = []
    export_coco(three, tmp_path / "set", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 6) for n in range(1, 7)]


# -- the folder -------------------------------------------------------------------------------


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, three) -> None:
    out = tmp_path / "set"
    out.mkdir()
    (out / "thesis.txt").write_text("do not lose me")
    for overwrite in (False, True):
        with pytest.raises(ExportError):
            export_coco(three, out, overwrite=overwrite)
        assert tree(out) == {"thesis.txt": b"do not lose me"}
    with pytest.raises(ExportError, match="is a file"):
        export_coco(three, out / "thesis.txt", overwrite=True)


def test_an_empty_folder_is_filled(tmp_path, three) -> None:
    (tmp_path / "set").mkdir()
    export_coco(three, tmp_path / "set")
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_overwrite_replaces_a_data_set_of_ours_whole(tmp_path, three) -> None:
    out = tmp_path / "set"
    export_coco(three, out)
    with pytest.raises(ExportError, match="--overwrite"):
        export_coco(three, out)
    export_coco(three[:1], out, image_format="png", overwrite=True)
    assert {p.name for p in out.iterdir()} == {"train", "dataset.json", "README.md"}
    assert {p.suffix for p in (out / "train").iterdir()} == {".png", ".json"}
    (out / "train" / "weights.pt").write_bytes(b"days of work")
    with pytest.raises(ExportError, match=r"train/weights\.pt"):
        export_coco(three, out, overwrite=True)
    assert (out / "train" / "weights.pt").exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_a_stop_half_way_leaves_what_was_there(tmp_path, three, monkeypatch, stop) -> None:
    out = tmp_path / "set"
    export_coco(three[:1], out)
    before = tree(out)
    written = Path.write_bytes
    count = 0

    def write_some(self: Path, data: bytes) -> int:
        nonlocal count
        count += 1
        if count == 4:
            raise stop
        return written(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_some)
    expected = ExportError if isinstance(stop, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        export_coco(three, out, overwrite=True)
    assert tree(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_swap_that_fails_brings_the_old_data_set_back(tmp_path, three, monkeypatch) -> None:
    out = tmp_path / "set"
    export_coco(three[:1], out)
    before = tree(out)
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise PermissionError(errno.EACCES, "Access is denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ExportError, match="Access is denied"):
        export_coco(three, out, overwrite=True)
    assert tree(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    "slide", ["CON.svs", "a/b\\c:d*?.svs", "..svs", "Ünï cödé.ndpi", "x" * 300 + ".svs", ".", "a."]
)
def test_names_of_tiles_are_safe_anywhere(slide) -> None:
    name = files.tile_name("12", slide, 10240.6, 0)
    assert name.isascii()
    assert not set('<>:"/\\|?* ') & set(name)
    assert name.startswith("12_")
    assert name.endswith("_10240_0")
    assert len(name) < 100
    assert files.tile_name("a/b", slide, 0, 0) != files.tile_name("a-b", slide, 0, 0)


def test_two_entries_of_one_id_are_refused(tmp_path, make_image, make_object) -> None:
    image = make_image("1", [make_object(1, (300, 60, 340, 90))])
    with pytest.raises(QpgazeError, match="came twice"):
        export_coco([image, image], tmp_path / "set")
