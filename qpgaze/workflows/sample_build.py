"""Make the sample's slides, truth and sessions anew, and compare them with what they were."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt
import shapely

from qpgaze.errors import QpgazeError, UsageError
from qpgaze.resources import sample_dir
from qpgaze.session import SessionHeader, SessionWriter
from qpgaze.simulate import Reading, TruthObject, default_display, simulate_reading
from qpgaze.simulate.slide_file import write_slide
from qpgaze.simulate.tissue import TissuePlan, plan_tissue, render_tissue
from qpgaze.viewing import ImageIdentity
from qpgaze.workflows.sample_recipe import RECIPE, CaseRecipe, read_recipe

SAMPLE_NAMESPACE = UUID("3b8f6a52-3c1f-5f0e-8b61-8d0a4e1f7c55")
VERSIONS_THAT_MATTER = ("numpy", "shapely", "tifffile", "imagecodecs")
"""With these versions the files come out equal to the byte; with others, pixels and truth do."""

PEARL_COLOR = (200, 0, 80)
LOOKALIKE_COLOR = (120, 120, 120)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BuildReport:
    """What a rebuild gave, compared with what the recipe says.

    Parameters
    ----------
    out : Path
    files : int
    pixels_differ, truth_differ : tuple of str
        Slides and outlines that came out otherwise; must be empty everywhere.
    bytes_differ : tuple of str
        Files that differ in any byte.
    versions : mapping of str to (str, str)
        Packages whose version differs from the recipe's: the recipe's, this one's.
    """

    out: Path
    files: int
    pixels_differ: tuple[str, ...]
    truth_differ: tuple[str, ...]
    bytes_differ: tuple[str, ...]
    versions: Mapping[str, tuple[str, str]]

    @property
    def as_promised(self) -> bool:
        """Whether all is equal that must be: bytes too, where the versions are the same."""
        if self.pixels_differ or self.truth_differ:
            return False
        return bool(self.versions) or not self.bytes_differ


def build_sample(
    out: str | Path, *, recipe: Path | None = None, progress: Progress | None = None
) -> BuildReport:
    """Make slides, truth and sessions anew from the recipe.

    Parameters
    ----------
    out : path
        A folder that does not exist yet, or is empty.
    recipe : Path, optional
        Folder of the sample whose recipe to follow; the one that travels with qpgaze.
    progress : callable, optional
        Called with steps done and steps in all.

    Returns
    -------
    BuildReport
        How what was made compares with what the recipe promises.

    Raises
    ------
    UsageError
        If `out` holds something already.
    QpgazeError
        If something cannot be made; what was made until then is removed again.
    """
    folder, source = Path(out), recipe if recipe is not None else sample_dir()
    whole, cases = read_recipe(source)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"'{out}' is not empty, and nothing is overwritten.",
            hint="Name a new folder, or remove that one first.",
        )
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pixels = _make_all(folder, cases, progress or (lambda _done, _total: None))
        if (source / "README.md").is_file():
            shutil.copyfile(source / "README.md", folder / "README.md")
        made = _made(folder, cases, pixels)
        _write_json(folder / RECIPE, {**whole, **made})
    except OSError as error:
        _remove(folder, was_there)
        raise QpgazeError(
            f"The sample could not be written to '{out}': {error.strerror or error}.",
            hint="Choose a folder that can be written and has 10 MB of room.",
        ) from error
    except BaseException:
        _remove(folder, was_there)
        raise
    return _compare(folder, cases, whole, made)


def _remove(folder: Path, was_there: bool) -> None:
    """Take away what was made; all of it is ours, since the folder was empty."""
    if not folder.is_dir():
        return
    for child in folder.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    if not was_there:
        folder.rmdir()


def _make_all(folder: Path, cases: list[CaseRecipe], progress: Progress) -> dict[str, str]:
    """Make every file; return the SHA-256 of each slide's pixels before compression."""
    pixels = {}
    for place in ("slides", "truth/lookalikes", "sessions"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(cases):
        progress(number, len(cases))
        plan = plan_tissue(case.tissue)
        rgb = render_tissue(plan)
        pixels[case.slide_file] = pixel_hash(rgb)
        write_slide(
            folder / case.slide_file,
            rgb,
            pixel_size_um=case.tissue.pixel_size_um,
            quality=case.jpeg_quality,
        )
        write_truth(folder, case, plan)
        write_session(folder / case.session_folder, case, read_slide(case, plan))
    progress(len(cases), len(cases))
    return pixels


def pixel_hash(rgb: npt.NDArray[np.uint8]) -> str:
    """Return the SHA-256 of pixels, row by row."""
    return hashlib.sha256(np.ascontiguousarray(rgb).tobytes()).hexdigest()


def write_truth(folder: Path, case: CaseRecipe, plan: TissuePlan) -> None:
    """Write the outlines of pearls and of look-alikes as GeoJSON that QuPath imports."""
    truth = plan.truth()
    for path, target in ((case.truth_file, True), (case.lookalike_file, False)):
        features = [_feature(thing) for thing in truth if thing.target == target]
        target_file = folder / path
        target_file.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(json.dumps(f, separators=(",", ":")) for f in features)
        text = '{"type":"FeatureCollection","features":[\n' + lines + "\n]}\n"
        target_file.write_bytes(text.encode("utf-8"))


def _feature(thing: TruthObject) -> dict[str, Any]:
    name = thing.class_name if thing.target else f"Look-alike: {thing.class_name}"
    ring = shapely.get_coordinates(thing.geometry).tolist()
    color = PEARL_COLOR if thing.target else LOOKALIKE_COLOR
    return {
        "type": "Feature",
        "id": thing.id,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": list(color)},
        },
    }


def read_slide(case: CaseRecipe, plan: TissuePlan) -> Reading:
    """Let the case's simulated reader read its slide."""
    image = ImageIdentity(Path(case.slide_file).name, case.tissue.width_px, case.tissue.height_px)
    pieces = shapely.unary_union([piece.polygon() for piece in plan.pieces])
    return simulate_reading(
        plan.truth(),
        image,
        pixel_size_um=case.tissue.pixel_size_um,
        display=default_display(),
        reader=case.reader,
        tracker=case.tracker,
        seed=case.reading_seed,
        session_id=uuid5(SAMPLE_NAMESPACE, f"{case.patient}/{case.reader.name}"),
        tissue=pieces.intersection(shapely.box(0, 0, image.width_px, image.height_px)),
    )


def write_session(folder: Path, case: CaseRecipe, reading: Reading) -> None:
    """Write a reading as a session."""
    header = SessionHeader(
        id=reading.session_id,
        pseudonym=reading.reader.name,
        tracker=reading.tracker.name,
        display=reading.display,
        started_utc=case.started_utc,
        gaze_rate_hz=reading.tracker.rate_hz,
        software={"source": "qpgaze.simulate"},
        viewer_keyframe_us=reading.reader.keyframe_ms * 1000,
        extra={
            "simulation": {
                "seed": reading.seed,
                "reader": asdict(reading.reader),
                "tracker": asdict(reading.tracker),
            }
        },
    )
    with SessionWriter.create(folder, header) as writer:
        writer.append_gaze(reading.records)
        writer.append_viewer(reading.states)
        for event in reading.events:
            writer.append_event(event)
        for relation in reading.clocks:
            writer.append_clock(relation)


# -- compare -----------------------------------------------------------------------------------


def versions_here() -> dict[str, str]:
    """Return the versions on which bytes depend."""
    return {name: importlib.metadata.version(name) for name in VERSIONS_THAT_MATTER}


def _made(folder: Path, cases: list[CaseRecipe], pixels: Mapping[str, str]) -> dict[str, Any]:
    """Describe what was made: versions, pixels, and every file's size and SHA-256."""
    made_places = [case.session_folder for case in cases]
    made_places += ["slides", "truth"]
    paths = sorted(
        path for place in made_places for path in (folder / place).rglob("*") if path.is_file()
    )
    files = {}
    for path in paths:
        data = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {"made_with": versions_here(), "pixels_sha256": dict(pixels), "files": files}


def _compare(
    folder: Path, cases: list[CaseRecipe], promised: Mapping[str, Any], made: Mapping[str, Any]
) -> BuildReport:
    old_files, old_pixels = promised.get("files", {}), promised.get("pixels_sha256", {})
    names = sorted({*old_files, *made["files"]})
    differ = tuple(name for name in names if old_files.get(name) != made["files"].get(name))
    old_versions = promised.get("made_with", {})
    versions = {
        name: (str(old_versions.get(name, "none")), here)
        for name, here in made["made_with"].items()
        if old_versions.get(name) != here
    }
    return BuildReport(
        out=folder,
        files=len(made["files"]),
        pixels_differ=tuple(
            case.slide_file
            for case in cases
            if old_pixels.get(case.slide_file) != made["pixels_sha256"][case.slide_file]
        ),
        truth_differ=tuple(name for name in differ if name.startswith("truth/")),
        bytes_differ=differ,
        versions=versions,
    )


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    path.write_bytes(text.encode("utf-8"))
