"""The sample that travels with qpgaze: find it, and rebuild it.

``recipe.json`` beside the sample holds what it is made from (seeds and settings) and what came out
(SHA-256 of every file, of every slide's pixels before compression, and the versions that matter).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import shapely

from qpgaze.errors import FormatError, QpgazeError
from qpgaze.resources import sample_dir
from qpgaze.simulate import TruthObject
from qpgaze.workflows.sample_build import BuildReport, build_sample
from qpgaze.workflows.sample_recipe import read_recipe

__all__ = ["BuildReport", "SampleCase", "build_sample", "load_sample"]


@dataclass(frozen=True, eq=False)
class SampleCase:
    """One patient of the sample.

    Parameters
    ----------
    patient : str
    slide_path : Path
    truth : list of TruthObject
        Pearls (targets) and look-alikes, ImagePx.
    session_path : Path
        A simulated reader's session at this slide.
    pixel_size_um : float
    """

    patient: str
    slide_path: Path
    truth: list[TruthObject]
    session_path: Path
    pixel_size_um: float


def load_sample(folder: Path | None = None) -> list[SampleCase]:
    """Return the cases of the sample.

    Parameters
    ----------
    folder : Path, optional
        A rebuilt sample; the one that travels with qpgaze where not given.

    Raises
    ------
    QpgazeError
        If the sample or a file of it is missing or damaged.
    """
    root = Path(folder) if folder is not None else sample_dir()
    cases = []
    for case in read_recipe(root)[1]:
        slide, session = root / case.slide_file, root / case.session_folder
        for path in (slide, session):
            if not path.exists():
                raise QpgazeError(
                    f"The sample lacks {path.name}.", hint="Rebuild it: qpgaze sample build OUT."
                )
        truth = _read_outlines(root / case.truth_file, target=True)
        truth += _read_outlines(root / case.lookalike_file, target=False)
        cases.append(SampleCase(case.patient, slide, truth, session, case.tissue.pixel_size_um))
    return cases


def _read_outlines(path: Path, *, target: bool) -> list[TruthObject]:
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        return [
            TruthObject(
                id=str(feature["id"]),
                class_name=str(feature["properties"]["classification"]["name"]),
                geometry=shapely.geometry.shape(feature["geometry"]),
                target=target,
            )
            for feature in features
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"The outlines in '{path.name}' cannot be read: {error}.",
            hint="Rebuild the sample: qpgaze sample build OUT.",
        ) from error
