"""What the sample is made from: ``recipe.json`` beside it, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qpgaze.errors import FormatError
from qpgaze.simulate import ReaderSettings, TrackerSettings
from qpgaze.simulate.tissue import Stain, TissueSettings

FORMAT = 1
RECIPE = "recipe.json"


@dataclass(frozen=True)
class CaseRecipe:
    """What one patient's slide and session are made from."""

    patient: str
    tissue: TissueSettings
    reader: ReaderSettings
    tracker: TrackerSettings
    reading_seed: int
    started_utc: str
    jpeg_quality: int

    @property
    def slide_file(self) -> str:
        """Path of the slide below the sample's folder."""
        return f"slides/{self.patient}.svs"

    @property
    def truth_file(self) -> str:
        """Path of the pearls' outlines below the sample's folder."""
        return f"truth/{self.patient}.geojson"

    @property
    def lookalike_file(self) -> str:
        """Path of the look-alikes' outlines below the sample's folder."""
        return f"truth/lookalikes/{self.patient}.geojson"

    @property
    def session_folder(self) -> str:
        """Path of the session below the sample's folder."""
        return f"sessions/{self.reader.name}-{self.patient}.qpgaze"


def read_recipe(root: Path) -> tuple[dict[str, Any], list[CaseRecipe]]:
    """Return a sample's recipe as it stands in its file, and its cases.

    Raises
    ------
    FormatError
        If the file is missing, damaged, or of another format.
    """
    path = root / RECIPE
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        if whole["format"] != FORMAT:
            raise FormatError(
                f"The sample's recipe is format {whole['format']}; this qpgaze reads {FORMAT}."
            )
        return whole, [_case(whole, entry) for entry in whole["cases"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"The sample's {RECIPE} cannot be read: {type(error).__name__}: {error}.",
            hint="Install qpgaze again, or take its folder from a fresh checkout.",
        ) from error


def _case(whole: Mapping[str, Any], entry: Mapping[str, Any]) -> CaseRecipe:
    tissue = dict(entry["tissue"])
    tissue["pieces"] = tuple(tuple(piece) for piece in tissue["pieces"])
    stain = {key: tuple(value) for key, value in entry["stain"].items()}
    patient = str(entry["patient"])
    if patient != Path(patient).name or not patient:
        raise ValueError(f"'{patient}' is no name for a patient")
    return CaseRecipe(
        patient=patient,
        tissue=TissueSettings(name=patient, stain=Stain(**stain), **tissue),
        reader=ReaderSettings(**entry["reader"]),
        tracker=TrackerSettings(),  # frozen: see qpgaze.simulate.settings
        reading_seed=int(entry["reading_seed"]),
        started_utc=str(whole["started_utc"]),
        jpeg_quality=int(whole["jpeg_quality"]),
    )
