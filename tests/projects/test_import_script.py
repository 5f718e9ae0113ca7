"""The Groovy script that imports our GeoJSON inside QuPath, run by QuPath's own Groovy."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shapely

from qpgaze.bridge import create_project
from qpgaze.bridge.geojson import write_geojson
from qpgaze.bridge.projects.codec import ImageOfData
from qpgaze.bridge.projects.embedded import EmbeddedCodec
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.paquo_store import PaquoCodec
from qpgaze.model import SlideObject
from qpgaze.resources import groovy_dir

OURS = EmbeddedCodec()


def run_script(codec: PaquoCodec, data: bytes, image: ImageOfData, file: Path) -> bytes:
    """Run the script on an image's data as QuPath's script editor does."""
    from paquo.jpype_backend import JClass

    java: Any = codec._java
    with java.quiet("The script failed"):
        image_data = java.image_data(data, image)
        imports = JClass("org.codehaus.groovy.control.customizers.ImportCustomizer")()
        imports.addStaticStars("qupath.lib.scripting.QP")
        settings = JClass("org.codehaus.groovy.control.CompilerConfiguration")()
        settings.addCompilationCustomizers(imports)
        binding = JClass("groovy.lang.Binding")()
        arguments = java.ArrayList()
        arguments.add(java.JString(str(file)))
        binding.setVariable("args", arguments)
        JClass("qupath.lib.scripting.QP").setBatchProjectAndImage(None, image_data)
        script = (groovy_dir() / "import_geojson.groovy").read_text(encoding="utf-8")
        JClass("groovy.lang.GroovyShell")(binding, settings).evaluate(java.JString(script))
        out = java.ByteArrayOutputStream()
        java.PathIO.writeImageData(out, image_data)
        image_data.getServer().close()
    return bytes(out.toByteArray())


@pytest.mark.qupath
def test_objects_are_imported_once(
    tmp_path: Path, picture: Path, make_object: Callable[..., SlideObject], qupath: str
) -> None:
    top = make_object(1, geometry=shapely.box(0, 0, 90, 90), description="told", locked=True)
    middle = make_object(2, geometry=shapely.box(0, 0, 50, 50), parent=top.id, kind="detection")
    low = make_object(3, geometry=shapely.box(1, 1, 9, 7), is_ellipse=True, parent=middle.id)
    other = make_object(4, class_name="Tumor: Big")
    meant = {item.id: item for item in (top, middle, low, other)}
    out = tmp_path / "Ü.geojson"
    write_geojson(out, list(meant.values()), {"Tumor: Big": 0x123456})
    with create_project(tmp_path / "p", backend="embedded") as made:
        entry = made.add_image(picture)
        assert isinstance(entry, FolderEntry)
        entry.add([top, dataclasses.replace(low, parent=None, name="kept")])
        made.commit()
        data = entry.data_path.read_bytes()
        image = ImageOfData(entry.raw["serverBuilder"], "UNSET", qupath, picture)
    codec = PaquoCodec()
    for _ in range(2):
        data = run_script(codec, data, image, out)
        found = {item.id: item for item in codec.read(data)[0]}
        assert found.keys() == meant.keys()
        assert found[middle.id].parent == top.id
        assert (found[low.id].parent, found[low.id].name) == (None, "kept")
        for identity in (top.id, middle.id, other.id):
            one, two = found[identity], meant[identity]
            assert (one.kind, one.name, one.class_name) == (two.kind, two.name, two.class_name)
            assert dict(one.metadata) == dict(two.metadata)
            assert dict(one.measurements) == dict(two.measurements)
            assert (one.description, one.locked) == (two.description, two.locked)


@pytest.mark.qupath
def test_cells_and_tiles_come_in_and_cores_are_left_out(
    tmp_path: Path, picture: Path, make_object: Callable[..., SlideObject], qupath: str
) -> None:
    core = make_object(1, geometry=shapely.box(0, 0, 90, 90), is_ellipse=True, kind="tma_core")
    tile = make_object(2, kind="tile", parent=core.id, geometry=shapely.box(0, 0, 64, 64))
    cell = make_object(3, kind="cell", parent=tile.id, nucleus=shapely.box(33, 2, 36, 5), z=1)
    round_ = make_object(
        4, kind="cell", nucleus=shapely.box(42, 2, 46, 5), nucleus_is_ellipse=True, parent=core.id
    )
    plain = make_object(5, kind="cell")
    meant = {item.id: item for item in (core, tile, cell, round_, plain)}
    out = tmp_path / "kinds.geojson"
    write_geojson(out, list(meant.values()), {})
    with create_project(tmp_path / "p", backend="embedded") as made:
        entry = made.add_image(picture)
        assert isinstance(entry, FolderEntry)
        made.commit()
        data = entry.data_path.read_bytes()
        image = ImageOfData(entry.raw["serverBuilder"], "UNSET", qupath, picture)
    codec = PaquoCodec()
    for _ in range(2):
        data = run_script(codec, data, image, out)
        for found in ({item.id: item for item in one.read(data)[0]} for one in (codec, OURS)):
            assert found.keys() == meant.keys() - {core.id}
            parents = {identity: item.parent for identity, item in found.items()}
            assert parents == {tile.id: None, cell.id: tile.id, round_.id: None, plain.id: None}
            for identity, item in found.items():
                assert (item.kind, item.name) == (meant[identity].kind, meant[identity].name)
                assert (item.z, item.t, item.c) == (meant[identity].z, 0, -1)
                inner, asked = item.nucleus, meant[identity].nucleus
                assert (inner is None) == (asked is None)
                if inner is not None and asked is not None:
                    assert inner.bounds == asked.bounds
                    assert item.nucleus_is_ellipse == meant[identity].nucleus_is_ellipse


def test_the_script_names_no_part_that_qupath_lacks() -> None:
    """No JSON parser of Groovy's (QuPath bundles none), no class that moved between versions."""
    script = (groovy_dir() / "import_geojson.groovy").read_text(encoding="utf-8")
    for absent in ("groovy.json", "JsonSlurper", "Dialogs", "FileChoosers", "FXUtils"):
        assert absent not in script
    assert json.dumps(script).isascii()
