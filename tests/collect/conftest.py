"""A project of two pictures, and what people do to copies of it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid5

import numpy as np
import pytest
import shapely
from PIL import Image

from qpgaze import keys
from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.ledger import Ledger, Operation, records_of
from qpgaze.model import SlideObject
from qpgaze.samples import empty_records
from qpgaze.session import SessionHeader, SessionWriter
from qpgaze.viewing import Display, Rect

SESSION = UUID("6f1f0e0a-2b7b-4a37-9d7e-0a6a3a5f9d01")


def label(number: int, **changes: object) -> SlideObject:
    """The n-th label of a session, as qpgaze writes it."""
    given: dict[str, object] = {
        "id": uuid5(SESSION, f"{number}/0"),
        "geometry": shapely.box(10 * number, 10, 10 * number + 8, 18),
        "class_name": "Pearl",
        "name": f"Pearl {number}",
        "metadata": {
            keys.SESSION: str(SESSION),
            keys.LABEL: str(number),
            keys.PART: "0",
            keys.STATE: keys.ReviewState.PROPOSED.value,
            keys.METHOD: keys.METHOD_DISCS,
        },
    }
    return SlideObject(**{**given, **changes})  # type: ignore[arg-type]


def drawn(number: int, **changes: object) -> SlideObject:
    """The n-th object that a person drew."""
    given: dict[str, object] = {
        "id": UUID(int=number, version=4),
        "geometry": shapely.box(5 * number, 30, 5 * number + 4, 36),
        "class_name": "Tumor",
    }
    return SlideObject(**{**given, **changes})  # type: ignore[arg-type]


def reviewed(item: SlideObject, state: str = "accepted") -> SlideObject:
    """The same object after a person judged it."""
    return dataclasses.replace(item, metadata={**item.metadata, keys.STATE: state})


def picture(path: Path, seed: int, size: tuple[int, int] = (300, 200)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


def write(
    project: Path,
    *,
    add: Sequence[SlideObject] = (),
    change: Sequence[SlideObject] = (),
    remove: Sequence[UUID] = (),
    image: str = "1",
    by_qpgaze: bool = False,
    in_qupath: bool = False,
) -> None:
    """Change a project as a person does, or as qpgaze does with its ledger.

    QuPath keeps no account of what it saved, and removes the backup beside the data.
    """
    if in_qupath:
        before = tree(project / "qpgaze")
        write(project, add=add, change=change, remove=remove, image=image)
        for name in tree(project / "qpgaze").keys() - before.keys():
            (project / "qpgaze" / name).unlink()
        for name, content in before.items():
            (project / "qpgaze" / name).write_bytes(content)
        (project / "data" / image / "data.qpdata.bkp").unlink(missing_ok=True)
        return
    with open_project(project, mode="r+", backend="embedded") as opened:
        entry = opened.entry(image)
        entry.add(add)
        entry.replace(change)
        entry.remove(remove)
        opened.commit()
        if by_qpgaze:
            ledger = Ledger.open(project)
            ledger.append(records_of(Operation.ADD, image, add))
            ledger.append(records_of(Operation.REPLACE, image, change))


def objects(project: Path, image: str = "1") -> dict[UUID, SlideObject]:
    with open_project(project, backend="embedded") as opened:
        return {item.id: item for item in opened.entry(image).objects()}


def record_session(project: Path, name: str, identity: UUID, *, close: bool = True) -> Path:
    folder = project / "qpgaze" / "sessions" / f"{name}.qpgaze"
    folder.parent.mkdir(parents=True, exist_ok=True)
    display = Display(Rect(0, 0, 1920, 1080), 527.0, 296.0)
    header = SessionHeader(identity, name, "simulated", display)
    writer = SessionWriter.create(folder, header)
    records = empty_records(4)
    records["t_us"] = [0, 8000, 16000, 24000]
    writer.append_gaze(records)
    writer.close()
    if not close:
        (folder / "manifest.json").unlink()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two labels by qpgaze in the first image, and one drawn by hand."""
    folder = tmp_path / "study"
    with create_project(folder, backend="embedded") as made:
        for number in (1, 2):
            made.add_image(picture(tmp_path / "slides" / f"case {number}.png", number))
        made.commit()
    write(folder, add=[label(1), label(2), label(3)], by_qpgaze=True)
    write(folder, add=[drawn(1)])
    return folder


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path, str], Path]:
    """Return what gives a reader a copy of a project."""

    def make(project: Path, name: str) -> Path:
        target = tmp_path / name
        shutil.copytree(project, target)
        return target

    return make


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def people() -> SimpleNamespace:
    """Everything above, for the tests."""
    return SimpleNamespace(
        label=label,
        drawn=drawn,
        reviewed=reviewed,
        picture=picture,
        write=write,
        objects=objects,
        record_session=record_session,
        tree=tree,
    )
