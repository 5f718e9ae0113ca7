"""Files of five QuPath versions read as those versions' own classes read them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import shapely

from qpgaze.bridge.qpdata import QpData, QupathObject, Roi, read_qpdata

VERSIONS = ("0.3.2", "0.4.4", "0.5.1", "0.6.0", "0.7.0")
NAMES = [f"v{v}{grid}" for v in VERSIONS for grid in ("", "tma")]
TYPES = {"BRIGHTFIELD_H_DAB": "Brightfield (H-DAB)"}
JAVA = {
    "annotation": "PathAnnotationObject",
    "detection": "PathDetectionObject",
    "cell": "PathCellObject",
    "tile": "PathTileObject",
    "tma_core": "TMACoreObject",
}

pytestmark = pytest.mark.shared_data


def _java(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(value)


def _pairs(items: dict[str, str]) -> str:
    return "{" + ", ".join(f"{k}={v}" for k, v in sorted(items.items())) + "}"


def _roi(roi: Roi, geometry: shapely.Geometry) -> str:
    head = f"{roi.kind} c{roi.c} z{roi.z} t{roi.t} "
    if roi.kind in ("RectangleROI", "EllipseROI"):
        x0, y0, x1, y1 = roi.shape
        w, h = x1 - x0, y1 - y0
        round_ = roi.kind == "EllipseROI"
        assert not round_ or w == h  # the circumference of others is no closed formula
        area = math.pi * w * h / 4 if round_ else w * h
        length = math.pi * w if round_ else 2 * (w + h)
        assert geometry.bounds == (x0, y0, x1, y1)
        head += f"{x0} {y0} {w} {h}"
    elif roi.kind == "GeometryROI":
        area, length = geometry.area, geometry.length
        head += f"{roi.shape.hex()} valid={str(geometry.is_valid).lower()}"
    else:
        corners = shapely.get_coordinates(geometry)
        area, length = geometry.area, geometry.length
        listed = " ".join(f"{x},{y}" for x, y in corners.tolist())
        head += f"n={len(corners)} {listed}"
    return f"{head} area={area:.3f} len={length:.3f}"


def _line(found: QupathObject) -> str:
    o = found.object
    metadata = dict(o.metadata)
    if o.description is not None:
        metadata["ANNOTATION_DESCRIPTION"] = o.description
    return "|".join(
        [
            str(found.depth),
            JAVA[o.kind],
            f"name={o.name or 'null'}",
            f"color={'null' if found.color is None else found.color}",
            f"id={o.id if found.id_stored else ''}",
            f"class={o.class_name or 'null'}",
            f"ccol={'null' if found.class_color is None else found.class_color}",
            f"locked={str(o.locked).lower()}",
            f"prob={_java(found.probability)}",
            f"roi={_roi(found.roi, o.geometry)}",
            f"meas={_pairs({k: _java(v) for k, v in o.measurements.items()})}",
            f"meta={_pairs(metadata)}",
            "parentok=true",
        ]
    )


def _load(folder: Path, name: str) -> tuple[QpData, list[str]]:
    data = (folder / "qupath" / "versions" / f"{name}.qpdata").read_bytes()
    text = (folder / "qupath" / "versions" / f"{name}.objects.txt").read_text(encoding="utf-8")
    return read_qpdata(data), text.split("\n")


@pytest.mark.parametrize("name", NAMES)
def test_objects_read_as_their_own_version_reads_them(shared_data: Path, name: str) -> None:
    found, lines = _load(shared_data, name)
    lines = [line for line in lines[1:] if line]
    assert [_line(d) for d in found.details] == lines
    assert [d.object for d in found.details] == list(found.objects)


def _stains(text: str) -> str:
    """Say in QuPath's way which stains a JSON text describes; the third is at right angles."""
    stains = json.loads(text)
    vectors = [np.array(stains[f"Values {i}"].split(), dtype=float) for i in (1, 2)]
    vectors.append(np.cross(*vectors))
    names = (stains["Stain 1"], stains["Stain 2"], "Residual")
    parts = []
    for name, vector in zip(names, vectors, strict=True):
        numbers = " ".join(f"{v:.3f}".rstrip("0") for v in vector / np.linalg.norm(vector))
        parts.append(f"{name}: {numbers}")
    return "Color deconvolution stains: " + ", ".join(parts)


@pytest.mark.parametrize("name", NAMES)
def test_the_rest_of_the_file_is_read_too(shared_data: Path, name: str) -> None:
    found, lines = _load(shared_data, name)
    said = dict(part.split("=", 1) for part in lines[0].split("|"))
    assert TYPES[found.image_type or ""] == said["type"]
    assert _stains(found.stains or "") == said["stains"]
    # QuPath records further steps (image type, stains) while it opens the file.
    assert 4 == found.workflow_steps < int(said["steps"])
    assert found.locale == "en"
    for key in found.properties:
        assert f"{key}=" in said["props"]
    assert f"uuid={found.properties['uuid']}" in said["props"]
    assert found.properties["list"] == ["a", "b"]
    assert found.properties["int"] == 42
    assert found.header["dataVersion"] == 3


@pytest.mark.parametrize("name", NAMES)
def test_cells_keep_their_nuclei_and_parents(shared_data: Path, name: str) -> None:
    found, _ = _load(shared_data, name)
    cells = [d for d in found.details if d.object.kind == "cell"]
    nuclei = [d for d in cells if d.nucleus is not None]
    assert nuclei
    for d in nuclei:
        assert d.object.geometry.envelope.contains(d.nucleus)
    known = set()
    for o in found.objects:
        assert o.parent is None or o.parent in known
        known.add(o.id)
    assert len(known) == len(found.objects)
    assert {c.object.parent for c in cells} == {found.objects[0].id}


def test_ids_that_a_file_lacks_are_the_same_each_time(shared_data: Path) -> None:
    first, _ = _load(shared_data, "v0.3.2tma")
    again, _ = _load(shared_data, "v0.3.2tma")
    assert [o.id for o in first.objects] == [o.id for o in again.objects]
    assert not any(d.id_stored for d in first.details)


def test_every_kind_of_region_in_a_real_project(shared_data: Path) -> None:
    folder = shared_data / "qupath" / "projects" / "c_all_roi_kinds" / "data" / "1"
    found = read_qpdata((folder / "data.qpdata").read_bytes())
    kinds = {d.roi.kind for d in found.details if d.roi}
    assert kinds == {
        "RectangleROI", "EllipseROI", "PolygonROI", "LineROI", "PolylineROI", "PointsROI",
        "GeometryROI",
    }  # fmt: skip
    by_name = {o.name: o for o in found.objects}
    assert by_name["child of rect"].parent is not None
    assert by_name["ellipse"].is_ellipse
    assert by_name["single point"].geometry.geom_type == "Point"
    assert by_name["points (fixations)"].geometry.geom_type == "MultiPoint"
    assert len(by_name["polygon with hole"].geometry.interiors) == 1
    assert by_name["multipolygon"].geometry.geom_type == "MultiPolygon"
    assert found.class_colors["Gaze: Fixation"] == 0xDAF221
    assert {o.kind for o in found.objects} == {"annotation", "detection", "cell"}
    counts = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert counts["hierarchy"]["nObjects"] == len(found.objects) + 1  # with the root
