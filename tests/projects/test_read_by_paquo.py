"""paquo, which asks QuPath's own classes, finds what we wrote, and saves it again as it was."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
import shapely

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.differing import difference
from qpgaze.model import SlideObject

pytestmark = pytest.mark.qupath

CLASSES = {"Tumor": 0xC80000, "Tumor: Margin": 0x0000C8, "Unused": 0x123456}


def numbered(number: int, geometry: shapely.Geometry, **more: object) -> SlideObject:
    given: dict[str, object] = {"id": UUID(int=number, version=4), "geometry": geometry}
    return SlideObject(**{**given, **more})  # type: ignore[arg-type]


OBJECTS = (
    numbered(
        1,
        shapely.box(10, 10, 60, 50),
        class_name="Tumor",
        name="whole",
        description="see margin",
        locked=True,
        measurements={"Area": 2000.0, "Mean": 0.25},
        metadata={"seen by": "A. B."},
    ),
    numbered(2, shapely.box(20, 20, 40, 40), class_name="Tumor: Margin", is_ellipse=True),
    numbered(3, shapely.Polygon([(100, 10), (140, 12), (120, 60)]), color=0x00FF00),
    numbered(4, shapely.Polygon([(0, 0), (9, 0), (9, 9)], [[(6, 1), (8, 1), (8, 3)]])),
    numbered(5, shapely.MultiPolygon([shapely.box(0, 99, 9, 109), shapely.box(20, 99, 29, 109)])),
    numbered(6, shapely.LineString([(5, 5), (50, 6), (60, 90)])),
    numbered(7, shapely.MultiPoint([(1, 2), (3, 4)])),
    numbered(8, shapely.box(15, 15, 18, 18), kind="detection", parent=UUID(int=1, version=4)),
    numbered(
        9,
        shapely.box(70, 70, 90, 90),
        kind="cell",
        nucleus=shapely.box(75, 75, 80, 80),
        measurements={"Nucleus: Area": 25.0},
    ),
)


@pytest.fixture
def study(tmp_path: Path, picture: Path) -> Path:
    with create_project(tmp_path / "study", backend="embedded") as made:
        made.add_classes(CLASSES)
        entry = made.add_image(
            picture, name="Fall 7", image_type="BRIGHTFIELD_H_DAB", metadata={"patient": "P7"}
        )
        entry.describe("süßer Text")
        entry.add(OBJECTS)
        made.commit()
        return made.path


@pytest.fixture(autouse=True)
def _needs(qupath: str) -> None:
    """Skip where there is no QuPath."""


def test_paquo_reads_everything(study: Path, picture: Path) -> None:
    from paquo.projects import QuPathProject

    with QuPathProject(study, mode="r") as project:
        assert {c.id: c.color.to_rgb() for c in project.path_classes} == {
            name: (color >> 16, color >> 8 & 255, color & 255) for name, color in CLASSES.items()
        }
        (image,) = project.images
        assert (image.entry_id, image.image_name, image.description) == (
            "1",
            "Fall 7",
            "süßer Text",
        )
        assert dict(image.metadata) == {"patient": "P7"}
        assert image.image_type.name == "BRIGHTFIELD_H_DAB"
        assert (image.width, image.height, image.num_channels) == (300, 200, 3)
        assert image.is_readable()
        hierarchy = image.hierarchy
        counts = len(hierarchy.annotations), len(hierarchy.detections), len(hierarchy.cells)
        assert counts == (7, 2, 1)
        found = {str(one.java_object.getID()): one for one in hierarchy.annotations}
        found |= {str(one.java_object.getID()): one for one in hierarchy.detections}
        assert set(found) == {str(item.id) for item in OBJECTS}
        for item in OBJECTS:
            assert_same(item, found[str(item.id)])
        (cell,) = hierarchy.cells
        assert shapely.equals(cell.nucleus_roi, OBJECTS[8].nucleus)


def assert_same(item: SlideObject, found: object) -> None:
    """Compare what we wrote with what paquo says of it."""
    assert (found.name, found.locked) == (item.name, item.locked)
    if item.kind == "annotation":
        assert (found.description or None) == item.description
    named = found.path_class
    assert (None if named is None else named.id) == item.class_name
    assert dict(found.measurements) == pytest.approx(dict(item.measurements))
    java = found.java_object
    assert (str(java.getROI().getRoiName()) == "Ellipse") == item.is_ellipse
    if not item.is_ellipse:
        assert shapely.hausdorff_distance(found.roi, item.geometry) < 0.01
    parent = java.getParent()
    assert (None if parent.isRootObject() else str(parent.getID())) == (
        None if item.parent is None else str(item.parent)
    )
    for key, text in item.metadata.items():
        assert str(java.getMetadata().get(key)) == text
    if item.color is not None:
        assert java.getColor() & 0xFFFFFF == item.color


def test_a_picture_that_is_gone_leaves_its_size(study: Path, picture: Path) -> None:
    from paquo.projects import QuPathProject

    picture.unlink()
    with QuPathProject(study, mode="r") as project:
        (image,) = project.images
        assert (image.width, image.height, image.num_channels) == (300, 200, 3)


def test_what_paquo_saves_again_is_what_it_was(study: Path) -> None:
    from paquo.projects import QuPathProject

    with QuPathProject(study, mode="r+") as project:
        project.images[0].metadata["seen"] = "yes"
        # QuPath writes data only where something changed.
        project.images[0].hierarchy.add_annotation(shapely.box(200, 100, 210, 110))
    with open_project(study, backend="embedded") as opened:
        (entry,) = opened.entries
        assert dict(entry.metadata) == {"patient": "P7", "seen": "yes"}
        assert (entry.description, entry.image_type) == ("süßer Text", "BRIGHTFIELD_H_DAB")
        now = {item.id: item for item in entry.objects()}
        assert len(now) == len(OBJECTS) + 1
        assert [difference(item, now[item.id]) for item in OBJECTS] == [None] * len(OBJECTS)
        assert [now[item.id].parent for item in OBJECTS] == [item.parent for item in OBJECTS]
        assert dict(opened.classes) == CLASSES
