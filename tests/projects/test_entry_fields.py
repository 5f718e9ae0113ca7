"""What a project says of an image besides its objects, with every backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.projects.codec import ImageOfData
from qpgaze.bridge.projects.paquo_store import PaquoCodec
from qpgaze.bridge.qpdata import read_qpdata
from qpgaze.bridge.qpdata.opening import read_opening, set_image_type
from qpgaze.bridge.qpdata.stains import set_stains
from qpgaze.bridge.qupath_names import BRIGHTFIELD
from qpgaze.cli.app import run
from qpgaze.errors import ProjectError, UnsupportedDataError, UsageError
from qpgaze.model import SlideObject

REAL = Path(__file__).resolve().parent.parent / "data" / "qupath"


@pytest.fixture
def project(tmp_path: Path, picture: Path, backend: str) -> Path:
    with create_project(tmp_path / "study", backend=backend) as made:
        made.add_image(picture, metadata={"patient": "P1", "block": "A"})
        made.commit()
    file = tmp_path / "study" / "project.qpproj"
    raw = json.loads(file.read_text("utf-8"))
    raw["images"][0]["unknown"] = {"kept": [1]}
    raw["later"] = True
    file.write_text(json.dumps(raw), "utf-8")
    return tmp_path / "study"


def test_fields_are_staged_and_written(project: Path, backend: str) -> None:
    data = (project / "data" / "1" / "data.qpdata").read_bytes()
    with open_project(project, mode="r+", backend=backend) as opened:
        entry = opened.entry("1")
        assert (entry.description, entry.tags, entry.image_type) == (None, (), "BRIGHTFIELD_H_E")
        entry.describe("zwei\nZeilen")
        entry.set_metadata({"patient": "P2", "block": None, "stain": "H&E"})
        entry.set_tags(["first", "first", "µ"])
        for _ in range(2):  # staged, then written
            assert entry.description == "zwei\nZeilen"
            assert entry.metadata == {"patient": "P2", "stain": "H&E"}
            assert entry.tags == ("first", "µ")
            opened.commit()
    raw = json.loads((project / "project.qpproj").read_text("utf-8"))
    assert raw["later"] is True
    (image,) = raw["images"]
    assert image["unknown"] == {"kept": [1]}
    assert image["tags"] == ["first", "µ"]
    assert image["description"] == "zwei\nZeilen"
    assert (project / "data" / "1" / "data.qpdata").read_bytes() == data
    with open_project(project, mode="r+", backend=backend) as opened:
        opened.entry("1").describe(None)
        opened.commit()
        assert opened.entry("1").description is None


def test_the_image_type_changes_and_nothing_else(
    project: Path, backend: str, make_object: Callable[..., SlideObject]
) -> None:
    with open_project(project, mode="r+", backend=backend) as opened:
        entry = opened.entry("1")
        entry.set_image_type("FLUORESCENCE")
        assert entry.image_type == "FLUORESCENCE"
        entry.add([make_object(1)])
        opened.commit()
        assert entry.image_type == "FLUORESCENCE"
        assert len(entry.objects()) == 1
    summary = json.loads((project / "data" / "1" / "summary.json").read_text("utf-8"))
    assert summary["imageType"] == "FLUORESCENCE"
    with (
        open_project(project, backend=backend) as opened,
        pytest.raises(UsageError, match="reading only"),
    ):
        opened.entry("1").set_image_type("OTHER")
    with open_project(project, mode="r+", backend=backend) as opened:
        with pytest.raises(UsageError, match="image type"):
            opened.entry("1").set_image_type("H&E")
        with pytest.raises(UsageError, match="key"):
            opened.entry("1").set_metadata({" ": "x"})


STAINS = (
    '{"Name": "ours", "Stain 1": "Hematoxylin", "Values 1": "0.65 0.70 0.29", "Stain 2": "Eosin", '
    '"Values 2": "0.2 0.8 0.56", "Background": "243 240 241"}'
)


def test_stains_are_set_and_follow_the_type(
    project: Path, backend: str, make_object: Callable[..., SlideObject]
) -> None:
    file = project / "data" / "1" / "data.qpdata"
    before = file.read_bytes()
    with open_project(project, mode="r+", backend=backend) as opened:
        entry = opened.entry("1")
        was = entry.stains  # QuPath's own file says its defaults, ours leaves them to QuPath
        entry.set_stains(STAINS)
        assert json.loads(entry.stains or "")["Name"] == "ours"
        opened.commit()
        assert json.loads(entry.stains or "")["Values 1"] == "0.65 0.7 0.29"
        entry.set_stains(STAINS)
        entry.add([make_object(1)])
        opened.commit()
        entry.remove([make_object(1).id])
        entry.set_stains(was)
        opened.commit()
        if backend == "embedded":
            assert file.read_bytes() == before
        entry.set_stains(STAINS)
        entry.set_image_type("BRIGHTFIELD_H_DAB")
        opened.commit()
        assert json.loads(entry.stains or "")["Name"] == "ours"
        # QuPath does not read stains of an image that is not brightfield.
        entry.set_image_type("FLUORESCENCE")
        opened.commit()
        assert entry.stains is None
        with pytest.raises(UsageError, match="not brightfield"):
            entry.set_stains(STAINS)
    assert read_qpdata(file.read_bytes()).image_type == "FLUORESCENCE"


@pytest.mark.qupath
def test_qupath_reads_the_stains(project: Path, picture: Path, qupath: str) -> None:
    codec = PaquoCodec()
    builder = {"builderType": "uri", "uri": picture.as_uri(), "args": []}
    image = ImageOfData(builder, "UNSET", qupath, picture)

    def stains_in_qupath() -> str | None:
        data = (project / "data" / "1" / "data.qpdata").read_bytes()
        java = codec._java
        with java.quiet("QuPath cannot read it"):
            read = java.image_data(data, image)
            found = read.getColorDeconvolutionStains()
            read.getServer().close()
        return None if found is None else str(found.getName())

    with open_project(project, mode="r+", backend="embedded") as opened:
        opened.entry("1").set_stains(STAINS)
        opened.commit()
        assert "ours" in (stains_in_qupath() or "")
        opened.entry("1").set_image_type("FLUORESCENCE")
        opened.commit()
        assert stains_in_qupath() is None
        opened.entry("1").set_image_type("BRIGHTFIELD_H_DAB")
        opened.commit()
        assert "H-DAB default" in (stains_in_qupath() or "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ({"Background": None}, "no text"),
        ({"Name": "a\nb"}, "one line"),
        ({"Values 1": "0.1 0.2"}, "three numbers"),
        ({"Values 1": "0 0 0"}, "too small"),
        ({"Values 1": "nan 1 1"}, "three numbers"),
        ({"Background": "0 0 255"}, "too small"),
        ({"Stain 3": "Residual"}, "third stain"),
        ({"More": "x"}, "it has 'More'"),
        ({"Name": "x" * 20_000}, "too long"),
    ],
)
def test_stains_that_qupath_would_choke_on_are_refused(
    project: Path, backend: str, change: Any, words: str
) -> None:
    text = change if isinstance(change, str) else json.dumps({**json.loads(STAINS), **change})
    with (
        open_project(project, mode="r+", backend=backend) as opened,
        pytest.raises(UsageError, match=words),
    ):
        opened.entry("1").set_stains(text)


@pytest.mark.parametrize("name", ["v0.3.2", "v0.5.1tma", "c_all_roi_kinds", "b3_no_objects"])
def test_stains_of_real_data_come_and_go(name: str) -> None:
    data = (REAL / f"{name}.qpdata").read_bytes()
    before = read_qpdata(data)
    if before.image_type not in BRIGHTFIELD:
        with pytest.raises(UsageError, match="not brightfield"):
            set_stains(data, STAINS)
        return
    made = set_stains(data, STAINS)
    after = read_qpdata(made)
    assert [str(one) for one in after.objects] == [str(one) for one in before.objects]
    assert json.loads(after.stains or "")["Name"] == "ours"
    assert set_stains(made, STAINS) == made
    plain = set_stains(made, None)
    assert read_qpdata(plain).stains is None
    assert set_stains(data, None) == plain
    fluorescent = set_image_type(data, "FLUORESCENCE")
    assert read_qpdata(fluorescent).stains is None


def test_nothing_is_written_without_commit(
    project: Path, backend: str, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    before = contents(project)
    with open_project(project, mode="r+", backend=backend) as opened:
        entry = opened.entry("1")
        entry.describe("x")
        entry.set_metadata({"a": "b"})
        entry.set_image_type("OTHER")
        entry.refresh_thumbnail()
    assert contents(project) == before


def test_a_thumbnail_comes_back(project: Path, backend: str) -> None:
    thumbnail = project / "data" / "1" / "thumbnail.jpg"
    before = thumbnail.read_bytes()
    thumbnail.unlink()
    with open_project(project, mode="r+", backend=backend) as opened:
        opened.entry("1").refresh_thumbnail()
        opened.commit()
    assert thumbnail.read_bytes() == before


def test_what_another_wrote_meanwhile_stays(project: Path, backend: str) -> None:
    with (
        open_project(project, mode="r+", backend=backend) as first,
        open_project(project, mode="r+", backend=backend) as second,
    ):
        first.entry("1").set_metadata({"a": "1"})
        second.entry("1").set_metadata({"b": "2"})
        first.commit()
        second.commit()
        want = {"patient": "P1", "block": "A", "a": "1", "b": "2"}
        assert second.entry("1").metadata == want


@pytest.mark.parametrize("name", ["v0.3.2", "v0.5.1tma", "c_all_roi_kinds", "b3_no_objects"])
def test_the_type_of_real_data(name: str) -> None:
    data = (REAL / f"{name}.qpdata").read_bytes()
    before = read_qpdata(data)
    opening = read_opening(data)
    assert (opening.image_type, opening.stains) == (before.image_type, before.stains)
    made = set_image_type(data, "BRIGHTFIELD_H_E")
    after = read_qpdata(made)
    assert after.image_type == "BRIGHTFIELD_H_E"
    assert [str(one) for one in after.objects] == [str(one) for one in before.objects]
    if before.stains and "default" in before.stains:
        assert json.loads(after.stains or "")["Name"] == "H&E default"
    else:
        assert after.stains == before.stains
    assert made.endswith(data[-500:])
    if before.image_type and not before.stains:
        assert set_image_type(made, before.image_type) == data


def test_data_without_a_type_are_refused() -> None:
    data = (REAL / "c_all_roi_kinds.qpdata").read_bytes()
    with pytest.raises((UnsupportedDataError, ProjectError)):
        set_image_type(data.replace(b"$ImageType", b"$ImageTypo"), "OTHER")


def test_project_set(
    project: Path, backend: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["project", "set", str(project), picture.name, "--backend", backend]
    assert run([*base, "--patient", "P9", "--meta", "block=", "--meta", "a=b=c"]) == 0
    assert capsys.readouterr().out == f"Set {picture.name} (image 1)\n"
    assert run([*base, "--description", "told", "--tag", "seen", "--type", "h-dab"]) == 0
    with open_project(project, backend=backend) as opened:
        entry = opened.entry("1")
        assert entry.metadata == {"patient": "P9", "a": "b=c"}
        assert (entry.description, entry.tags) == ("told", ("seen",))
        assert entry.image_type == "BRIGHTFIELD_H_DAB"
    assert run(base) == 2
    assert run([*base, "--meta", "nothing"]) == 2
