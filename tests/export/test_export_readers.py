"""Other people's readers load what we write as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from qpgaze.export import export_coco

LABELS = "_annotations.coco.json"


@pytest.fixture
def data_set(tmp_path, make_image, make_object) -> Path:
    """A disc, a ring, an object of two parts, one across a border, and object-free tiles."""
    disc = shapely.Point(320, 60).buffer(25)
    ring = shapely.Point(420, 160).buffer(40) - shapely.Point(425, 155).buffer(15)
    two = shapely.union_all([shapely.box(600, 300, 640, 330), shapely.box(660, 310, 690, 350)])
    across = shapely.Point(512, 256).buffer(30)
    objects = [
        make_object(1, disc),
        make_object(2, ring, "Ring"),
        make_object(3, two),
        make_object(4, across, "Ring"),
    ]
    out = tmp_path / "set"
    export_coco([make_image("1", objects)], out, tile_size=256, negatives=1, image_format="png")
    return out / "train"


# pycocotools 2.0.11 sets the shape of an array in place, which NumPy 2.5 takes ill.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pycocotools_loads_it_and_scores_it_full(data_set: Path) -> None:
    coco_module = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    coco = coco_module.COCO(str(data_set / LABELS))
    found = coco.loadAnns(coco.getAnnIds())
    assert len(found) == 7
    for record in found:
        mask = coco.annToMask(record)
        assert mask.sum() == pytest.approx(record["area"], rel=0.06)
    claims = [
        {k: r[k] for k in ("image_id", "category_id", "bbox", "segmentation")} | {"score": 0.9}
        for r in found
    ]
    for kind in ("bbox", "segm"):
        score = COCOeval(coco, coco.loadRes(json.loads(json.dumps(claims))), kind)
        score.evaluate()
        score.accumulate()
        score.summarize()
        assert score.stats[0] == pytest.approx(1.0)


def test_supervision_loads_it_with_masks_and_holes(data_set: Path) -> None:
    sv = pytest.importorskip("supervision")
    loaded = sv.DetectionDataset.from_coco(
        images_directory_path=str(data_set),
        annotations_path=str(data_set / LABELS),
        force_masks=True,
    )
    assert loaded.classes == ["Pearl", "Ring"]
    assert len(loaded) == len(json.loads((data_set / LABELS).read_text("utf-8"))["images"])
    boxes = 0
    for _, image, detections in loaded:
        assert image.shape == (256, 256, 3)
        if not len(detections):
            continue
        boxes += len(detections)
        for xyxy, mask in zip(detections.xyxy, detections.mask, strict=True):
            ys, xs = np.nonzero(mask)
            edges = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert edges == pytest.approx(list(xyxy), abs=1.5)
    assert boxes == 7


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchvision_loads_it_for_training(data_set: Path) -> None:
    try:
        import torch
        from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
    except (ImportError, RuntimeError) as error:
        # Versions that do not fit together fail with RuntimeError on import.
        pytest.skip(f"train: torch and torchvision cannot be imported ({error})")
    loaded = CocoDetection(str(data_set), str(data_set / LABELS))
    wrapped = wrap_dataset_for_transforms_v2(loaded, target_keys="all")
    boxes = 0
    for _, target in wrapped:
        if "boxes" not in target:  # what torchvision makes of an image without annotations
            continue
        assert (target["boxes"][:, 2:] > target["boxes"][:, :2]).all()
        assert target["masks"].dtype == torch.uint8
        assert len(target["masks"]) == len(target["boxes"]) == len(target["labels"])
        boxes += len(target["boxes"])
    assert boxes == 7
