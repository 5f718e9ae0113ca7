"""Any mix of objects that one backend wrote is read alike by the others and by itself."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.geojson import Dialect, to_geojson
from qpgaze.bridge.geojson.reading import read_stream
from qpgaze.bridge.projects.codec import Codec, ImageOfData
from qpgaze.bridge.projects.comparing import moved, unlike
from qpgaze.bridge.projects.embedded import EmbeddedCodec
from qpgaze.bridge.projects.paquo_store import PaquoCodec
from qpgaze.bridge.projects.staging import Staging
from qpgaze.bridge.qpdata import read_qpdata
from qpgaze.errors import ProjectError
from qpgaze.model import SlideObject

TMA = Path(__file__).resolve().parent.parent / "data" / "qupath" / "v0.5.1tma.qpdata"

# Quarters of a pixel: QuPath's rounding to hundredths leaves them alone.
quarters = st.integers(0, 4000).map(lambda n: n / 4)
sides = st.integers(4, 400).map(lambda n: n / 4)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
names = st.text("abXYZ019-µ\N{GRINNING FACE}", min_size=1, max_size=6)
numbers = st.floats(-1e9, 1e9) | st.sampled_from([0.1, 1 / 3, float("nan"), 1e-300])


@st.composite
def boxes(draw: st.DrawFn) -> BaseGeometry:
    x, y, w, h = draw(quarters), draw(quarters), draw(sides), draw(sides)
    return shapely.box(x, y, x + w, y + h)


@st.composite
def outlines(draw: st.DrawFn) -> BaseGeometry:
    """Corners on a grid around a middle, each on its own ray: it cannot cross itself."""
    x, y, size = draw(quarters) + 200, draw(quarters) + 200, draw(st.integers(1, 20)) * 2
    rays = [(4, 0), (4, 3), (0, 4), (-3, 4), (-4, 0), (-4, -3), (0, -4), (3, -4)]
    reach = draw(st.lists(st.integers(1, 4), min_size=8, max_size=8))
    return shapely.Polygon(
        [
            (x + a * r * size / 4, y + b * r * size / 4)
            for (a, b), r in zip(rays, reach, strict=True)
        ]
    )


@st.composite
def areas(draw: st.DrawFn) -> BaseGeometry:
    shape = draw(boxes() | outlines())
    if draw(st.integers(0, 3)) == 0:
        x, y, x2, y2 = shape.bounds
        x, y = round((x + x2) / 2), round((y + y2) / 2)
        shape = shapely.difference(shape, shapely.box(x - 0.25, y - 0.25, x + 0.25, y + 0.25))
    if draw(st.integers(0, 3)) == 0:
        shape = shapely.union(shape, shapely.box(2000, 2000, 2010, 2005))
    return shape


@st.composite
def others(draw: st.DrawFn) -> BaseGeometry:
    corners = draw(st.lists(st.tuples(quarters, quarters), min_size=2, max_size=5, unique=True))
    return draw(
        st.sampled_from(
            [shapely.Point(corners[0]), shapely.MultiPoint(corners), shapely.LineString(corners)]
        )
    )


@st.composite
def mixes(draw: st.DrawFn) -> list[SlideObject]:
    made: list[SlideObject] = []
    for number in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["annotation", "detection", "tile", "cell", "cell"]))
        is_ellipse = draw(st.booleans())
        nucleus = draw(st.none() | areas()) if kind == "cell" else None
        round_ = nucleus is not None and draw(st.booleans())
        made.append(
            SlideObject(
                UUID(int=draw(st.integers(1, 2**64)) << 16 | number, version=4),
                draw(boxes() if is_ellipse else areas() | others() if kind != "cell" else areas()),
                kind=kind,
                class_name=draw(st.none() | st.lists(names, min_size=1, max_size=2).map(": ".join)),
                color=draw(st.none() | st.integers(0, 0xFFFFFF)),
                name=draw(st.none() | texts),
                description=draw(st.none() | texts),
                measurements=draw(st.dictionaries(names, numbers, max_size=3)),
                metadata=draw(st.dictionaries(names, texts, max_size=2)),
                locked=draw(st.booleans()),
                is_ellipse=is_ellipse,
                c=draw(st.integers(-1, 2)),
                z=draw(st.integers(0, 3)),
                t=draw(st.integers(0, 3)),
                parent=draw(st.sampled_from([None, *(item.id for item in made)])),
                nucleus=nucleus,
                nucleus_is_ellipse=round_,
            )
        )
    return made


def alike(came: Sequence[SlideObject], meant: Sequence[SlideObject]) -> None:
    there = {item.id: item for item in came}
    assert there.keys() == {item.id for item in meant}
    for item in meant:
        assert unlike(item, there[item.id]) is None, item
        assert moved([item], [there[item.id]]) is None, item


def check(
    writer: Codec,
    readers: Sequence[Codec],
    image: ImageOfData,
    made: Sequence[SlideObject],
    draw: st.DataObject,
) -> None:
    staging = Staging(())
    staging.add(made)
    data = writer.write(None, staging.batches, image=image, class_colors={})
    for reader in readers:
        alike(reader.read(data)[0], made)
    # Some get another class or lose what they had, some go; children stay or move up.
    staging = Staging(readers[0].read(data)[0])
    chosen = draw.draw(st.lists(st.sampled_from(list(made)), unique_by=lambda item: item.id))
    half = len(chosen) // 2
    staging.replace(
        dataclasses.replace(item, class_name="Other", nucleus=None, nucleus_is_ellipse=False)
        for item in chosen[:half]
    )
    staging.remove(item.id for item in chosen[half:])
    if staging.dirty:
        data = writer.write(data, staging.batches, image=image, class_colors={})
    for reader in readers:
        alike(reader.read(data)[0], staging.current())


@settings(max_examples=40)
@given(mixes(), st.data())
def test_a_mix_is_read_as_it_was_written(made: list[SlideObject], draw: st.DataObject) -> None:
    image = ImageOfData({"builderType": "uri", "uri": "file:/a.tif", "args": []}, "OTHER", "", None)
    check(EmbeddedCodec(), [EmbeddedCodec()], image, made, draw)


@settings(max_examples=40)
@given(mixes(), st.sampled_from(["0.4", "0.5", "0.7"]))
def test_a_mix_goes_through_geojson(made: list[SlideObject], dialect: Dialect) -> None:
    file = io.BytesIO(json.dumps(to_geojson(made, {}, dialect=dialect)).encode("utf-8"))
    found = [one.object for one in read_stream(file, "file")]
    assert len(found) == len(made)
    alike(found, made)


@pytest.mark.qupath
@pytest.mark.parametrize("writes", ["embedded", "paquo"])
def test_a_mix_is_read_alike_by_all(writes: str, picture: Path, qupath: str) -> None:
    builder = {"builderType": "uri", "uri": picture.as_uri(), "args": []}
    image = ImageOfData(builder, "OTHER", qupath, picture)
    ours, theirs = EmbeddedCodec(), PaquoCodec()
    writer = ours if writes == "embedded" else theirs

    @settings(max_examples=25)
    @given(mixes(), st.data())
    def one(made: list[SlideObject], draw: st.DataObject) -> None:
        check(writer, [ours, theirs], image, made, draw)

    one()


def test_cores_are_changed_in_their_grid(tmp_path: Path, picture: Path, backend: str) -> None:
    with create_project(tmp_path / "study", backend="embedded") as made:
        made.add_image(picture)
        made.commit()
    path = tmp_path / "study" / "data" / "1" / "data.qpdata"
    path.write_bytes(TMA.read_bytes())
    with open_project(tmp_path / "study", mode="r+", backend=backend) as opened:
        entry = opened.entry("1")
        before = {item.id: item for item in entry.objects()}
        first, second = [item for item in before.values() if item.kind == "tma_core"][:2]
        low = SlideObject(UUID(int=1), shapely.box(0, 0, 5, 5), parent=first.id)
        entry.add([low])
        opened.commit()
        changed = dataclasses.replace(
            first,
            name="K-9",
            class_name="Tumor: Positive",
            missing=True,
            measurements={"stained": 0.1},
            metadata={"Case ID": "17"},
            description="told",
            color=0x0A141E,
            locked=True,
        )
        entry.replace([changed, dataclasses.replace(second, metadata={}, class_name=None)])
        opened.commit()
        found = {item.id: item for item in entry.objects()}
        alike([found[first.id]], [changed])
        assert found[low.id].parent == first.id
        assert found.keys() == {*before, low.id}
        with pytest.raises(ProjectError, match="cannot be removed"):
            entry.remove([second.id])
        for change in ({"geometry": shapely.box(0, 0, 9, 9)}, {"z": 1}, {"kind": "annotation"}):
            with pytest.raises(ProjectError, match="Nothing was staged"):
                entry.replace([dataclasses.replace(second, **change)])  # type: ignore[arg-type]
    # QuPath's own grid still holds the same cores, by whichever way they were changed.
    data = read_qpdata(path.read_bytes())
    cores = [item.id for item in data.objects if item.kind == "tma_core"]
    assert cores == [item.id for item in read_qpdata(TMA.read_bytes()).objects if item.id in cores]
    assert len(cores) == 6
