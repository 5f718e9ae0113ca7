"""The reader and writer of Java object streams, and old regions, without any file of QuPath."""

from __future__ import annotations

import math
import struct
from uuid import UUID

import pytest
from shapely.geometry import Polygon, box

from qpgaze.bridge.qpdata import edit_qpdata, layouts, new_qpdata, read_qpdata
from qpgaze.bridge.qpdata.javastream import JavaReader
from qpgaze.bridge.qpdata.javatypes import JavaArray, JavaClass, JavaEnum, JavaObject
from qpgaze.bridge.qpdata.javawriter import ClassSpec, JavaWriter
from qpgaze.bridge.qpdata.scan import Scan
from qpgaze.errors import ProjectError, UnsupportedDataError
from qpgaze.model import SlideObject

POINT = ClassSpec(
    "a.Point",
    2**64 - 5,
    2,
    (("D", "x", ""), ("D", "y", ""), ("Z", "on", ""), ("L", "name", "Ljava/lang/String;")),
    ClassSpec("a.Base", 3, 2, (("J", "id", ""), ("B", "b", ""), ("C", "c", ""), ("S", "s", ""))),
)


def test_what_was_written_is_read() -> None:
    writer = JavaWriter()
    for name in ("first", "second"):
        writer.begin_object(POINT)
        writer.out += struct.pack(">qbHh", 2**40, -3, 0xE9, -7)
        writer.out += struct.pack(">dd?", 1.5, -math.inf, True)
        writer.text(name)
    writer.text("first")
    writer.enum(layouts.IMAGE_TYPE, "OTHER")
    writer.numbers(layouts.FLOATS, struct.pack(">3f", 1, 2, 3), 4)
    writer.texts(layouts.OBJECTS, ["a", "second"])
    writer.out += b"\x76"
    writer.class_desc(POINT)
    reader = JavaReader(bytes(writer.out))
    first, second = reader.value(), reader.value()
    assert isinstance(first, JavaObject)
    assert isinstance(second, JavaObject)
    assert first.desc is second.desc
    assert first.desc.suid == 2**64 - 5
    assert [level.name for level in first.desc.levels] == ["a.Base", "a.Point"]
    assert first.fields == {
        "id": 2**40, "b": -3, "c": 0xE9, "s": -7, "x": 1.5, "y": -math.inf, "on": True,
        "name": "first",
    }  # fmt: skip
    assert reader.value() is first.fields["name"]
    constant = reader.value()
    assert isinstance(constant, JavaEnum)
    assert constant.constant == "OTHER"
    numbers = reader.value()
    assert isinstance(numbers, JavaArray)
    assert (numbers.code, numbers.count) == ("F", 3)
    assert reader.data[numbers.at : numbers.at + 4] == struct.pack(">f", 1)
    texts = reader.value()
    assert isinstance(texts, JavaArray)
    assert texts.items == ["a", "second"]
    kind = reader.value()
    assert isinstance(kind, JavaClass)
    assert kind.desc is first.desc
    assert reader.pos == len(writer.out)
    assert reader.given == writer.next + 1  # a class as a value has a handle of its own
    assert list(reader.def_handle) == list(range(reader.given))
    assert all(s < e for s, e in zip(reader.def_start, reader.def_end, strict=True))


def test_an_object_that_refers_to_itself() -> None:
    node = ClassSpec("a.Node", 1, 2, (("L", "next", "La/Node;"),))
    writer = JavaWriter()
    writer.ref(writer.begin_object(node))
    found = JavaReader(bytes(writer.out)).value()
    assert found.fields["next"] is found


def test_a_class_of_the_oldest_external_format_is_refused() -> None:
    writer = JavaWriter()
    writer.begin_object(ClassSpec("a.Old", 1, 4))
    with pytest.raises(UnsupportedDataError, match=r"a\.Old"):
        JavaReader(bytes(writer.out)).value()
    writer = JavaWriter()
    writer.begin_object(ClassSpec("a.Nothing", 1, 0))
    with pytest.raises(ProjectError, match="not serializable"):
        JavaReader(bytes(writer.out)).value()


# -- a region that only old versions write ---------------------------------------------------------

AREA = ClassSpec(
    "qupath.lib.roi.AreaROI$SerializationProxy",
    1,
    2,
    (
        ("I", "c", ""),
        ("I", "t", ""),
        ("I", "z", ""),
        ("L", "name", "Ljava/lang/String;"),
        ("L", "stats", "Lqupath/lib/roi/ClosedShapeStatistics;"),
        ("[", "x", "[[F"),
        ("[", "y", "[[F"),
    ),
)
ROWS = ClassSpec("[[F", 0x5C7B1E0A3F9D2C44, 2)


def _with_region(spec: ClassSpec, content: bytes, rings: list[list[tuple[float, float]]]) -> bytes:
    """Return a file whose only object has a region of a kind that is never written."""
    empty = new_qpdata(server={"uri": "file:/a"}, qupath_version="0.3.2", image_type="OTHER")
    one = SlideObject(UUID(int=1), box(0, 0, 1, 1), name="old")
    data = edit_qpdata(empty, add=[one], class_colors={})
    name = b"\0\x2equpath.lib.roi.RectangleROI$SerializationProxy"
    start = data.index(name) - 2
    writer = JavaWriter()
    writer.next = sum(at <= start for at in Scan(data).reader.def_assign)
    writer.begin_object(spec)
    writer.out += content
    for column in (0, 1):
        writer.begin_array(ROWS, len(rings))
        for ring in rings:
            raw = struct.pack(f">{len(ring)}f", *(corner[column] for corner in ring))
            writer.numbers(layouts.FLOATS, raw, 4)
    end = data.index(b"w\x08\x7f\xf8", start)  # the probability; no reference follows it
    return data[:start] + bytes(writer.out) + data[end:]


def test_old_areas_fill_by_the_even_odd_rule() -> None:
    outer = [(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)]
    hole = [(10.0, 10.0), (20.0, 10.0), (20.0, 20.0), (10.0, 20.0)]
    apart = [(200.0, 0.0), (210.0, 0.0), (210.0, 10.0)]
    data = _with_region(AREA, struct.pack(">iii", -1, 2, 1) + b"pp", [outer, hole, apart])
    found = read_qpdata(data)
    (one,) = found.objects
    assert found.details[0].roi is not None
    assert found.details[0].roi.kind == "AreaROI"
    assert (one.c, one.z, one.t) == (-1, 1, 2)
    assert one.geometry.area == 10_000 - 100 + 50
    assert one.geometry.equals(Polygon(outer, [hole]).union(Polygon(apart)))
    # The region is never written, but what holds it can be edited.
    more = edit_qpdata(data, add=[SlideObject(UUID(int=2), box(0, 0, 5, 5))], class_colors={})
    assert len(read_qpdata(more).objects) == 2
    assert edit_qpdata(more, remove=[UUID(int=2)], class_colors={}) == data


def test_a_region_of_an_unknown_kind_is_refused_by_name() -> None:
    strange = ClassSpec("qupath.lib.roi.BlobROI$SerializationProxy", 1, 2, AREA.fields)
    data = _with_region(strange, struct.pack(">iii", -1, 0, 0) + b"pp", [[(0.0, 0.0)]])
    with pytest.raises(UnsupportedDataError, match="BlobROI"):
        read_qpdata(data)
