"""What lies where on a synthetic slide, and how it is stained: drawn before any pixel is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from uuid import UUID, uuid5

import numpy as np

from qpgaze.errors import UsageError
from qpgaze.simulate.noise import generator
from qpgaze.simulate.outlines import Outline
from qpgaze.simulate.records import TruthObject

TISSUE_NAMESPACE = UUID("0d2a4f0e-6f0a-5a55-8c59-3a1c0f3a7d10")
"""Ids of synthetic objects are made from this, the slide's name and their number."""

LOOKALIKES = ("vessel", "muscle", "necrosis", "gland")
TARGET_CLASS = "Pearl"


@dataclass(frozen=True)
class Stain:
    """How a laboratory's stain looks: optical density of red, green, blue at full strength.

    Parameters
    ----------
    haematoxylin, eosin, keratin : (r, g, b) float
        Of nuclei; of cytoplasm and fibres; of keratin and blood.
    strength : (float, float, float)
        Factor of each of them.
    glass : (r, g, b) int
        What light comes through where nothing lies, 0..255.
    """

    haematoxylin: tuple[float, float, float] = (0.62, 0.78, 0.32)
    eosin: tuple[float, float, float] = (0.12, 0.68, 0.36)
    keratin: tuple[float, float, float] = (0.06, 0.92, 0.80)
    strength: tuple[float, float, float] = (1.0, 1.0, 1.0)
    glass: tuple[int, int, int] = (243, 242, 244)


@dataclass(frozen=True)
class TissueSettings:
    """One synthetic slide.

    Parameters
    ----------
    name : str
        Patient or slide; part of the objects' ids.
    seed : int
    width_px, height_px : int
        Multiples of 16, so that its pyramid divides evenly.
    pixel_size_um : float
    pieces : tuple of (x, y, radius)
        Pieces of tissue, as shares of width, height and height.
    pearls, lookalikes, nests : int
        How many of each; nests are epithelium without a pearl.
    pearl_radius_px : (float, float)
        Smallest and largest mean radius.
    stain : Stain
    """

    name: str
    seed: int
    width_px: int = 4608
    height_px: int = 3584
    pixel_size_um: float = 0.5
    pieces: tuple[tuple[float, float, float], ...] = ((0.36, 0.5, 0.42), (0.66, 0.5, 0.4))
    pearls: int = 11
    lookalikes: int = 9
    nests: int = 7
    pearl_radius_px: tuple[float, float] = (62.0, 270.0)
    stain: Stain = Stain()

    def __post_init__(self) -> None:
        if self.width_px % 16 or self.height_px % 16 or min(self.width_px, self.height_px) < 256:
            raise UsageError(
                "A synthetic slide's sides are multiples of 16 from 256 px on, but "
                f"{self.width_px} x {self.height_px} came."
            )


@dataclass(frozen=True)
class Structure:
    """Something with an outline on the slide: a pearl or what may be taken for one."""

    kind: str
    outline: Outline
    seed: int


@dataclass(frozen=True)
class TissuePlan:
    """Everything that rendering needs, and the truth.

    Parameters
    ----------
    settings : TissueSettings
    pieces, nests : tuple of Outline
        Tissue, and islands of epithelium in it.
    structures : tuple of Structure
        Pearls first.
    """

    settings: TissueSettings
    pieces: tuple[Outline, ...]
    nests: tuple[Outline, ...]
    structures: tuple[Structure, ...]

    def truth(self) -> list[TruthObject]:
        """Return the objects on the slide: pearls are targets, look-alikes are not."""
        return [
            TruthObject(
                id=str(uuid5(TISSUE_NAMESPACE, f"{self.settings.name}/{number}")),
                class_name=TARGET_CLASS if s.kind == "pearl" else s.kind.capitalize(),
                geometry=s.outline.polygon(),
                target=s.kind == "pearl",
            )
            for number, s in enumerate(self.structures, start=1)
        ]


def plan_tissue(settings: TissueSettings) -> TissuePlan:
    """Lay out a synthetic slide.

    Parameters
    ----------
    settings : TissueSettings

    Returns
    -------
    TissuePlan
        The same for the same settings, on every machine.

    Raises
    ------
    UsageError
        If so many objects find no room.
    """
    rng = generator(settings.seed, 1)
    width, height = settings.width_px, settings.height_px
    pieces = tuple(
        Outline.draw(x * width, y * height, r * height, 0.12, rng) for x, y, r in settings.pieces
    )
    structures: list[Structure] = []
    low, high = settings.pearl_radius_px
    for number in range(settings.pearls):
        # Small pearls are more frequent than large ones.
        share = float(rng.random())
        radius = low + (high - low) * share * math.sqrt(share)
        near = structures[int(rng.random() * len(structures))] if number % 3 == 2 else None
        outline = _place(settings, pieces, structures, radius, 0.17, near, rng)
        structures.append(Structure("pearl", outline, number))
    for number in range(settings.lookalikes):
        radius = 60.0 + 120.0 * float(rng.random())
        outline = _place(settings, pieces, structures, radius, 0.15, None, rng)
        kind = LOOKALIKES[number % len(LOOKALIKES)]
        structures.append(Structure(kind, outline, 100 + number))
    return TissuePlan(
        settings, pieces, _nests(settings, pieces, structures, rng), tuple(structures)
    )


def _place(
    settings: TissueSettings,
    pieces: tuple[Outline, ...],
    taken: list[Structure],
    radius: float,
    roughness: float,
    near: Structure | None,
    rng: np.random.Generator,
) -> Outline:
    """Find room for an outline inside the tissue, beside `near` where that is given."""
    for attempt in range(4000):
        u, v = (float(w) for w in rng.random(2))
        if near is not None and attempt < 40:
            away = (near.outline.reach() + radius * 1.3) * (1.0 + 0.1 * v)
            angle = 2.0 * math.pi * u
            x = near.outline.x_image_px + away * math.cos(angle)
            y = near.outline.y_image_px + away * math.sin(angle)
        else:
            x, y = u * settings.width_px, v * settings.height_px
        outline = Outline.draw(x, y, radius, roughness, rng)
        if _fits(settings, pieces, taken, outline):
            return outline
    raise UsageError(
        f"No room was found for an object of radius {radius:.0f} px on slide '{settings.name}'.",
        hint="Ask for fewer or smaller objects, or a larger slide.",
    )


def _fits(
    settings: TissueSettings,
    pieces: tuple[Outline, ...],
    taken: list[Structure],
    outline: Outline,
) -> bool:
    x, y, reach = outline.x_image_px, outline.y_image_px, outline.reach()
    margin = reach + 60.0
    if not (margin < x < settings.width_px - margin and margin < y < settings.height_px - margin):
        return False
    if not any(
        math.dist((x, y), (p.x_image_px, p.y_image_px)) + reach < 0.85 * p.radius_image_px
        for p in pieces
    ):
        return False
    return all(
        math.dist((x, y), (s.outline.x_image_px, s.outline.y_image_px))
        > s.outline.reach() + reach + 12.0
        for s in taken
    )


def _nests(
    settings: TissueSettings,
    pieces: tuple[Outline, ...],
    structures: list[Structure],
    rng: np.random.Generator,
) -> tuple[Outline, ...]:
    """Put a nest of epithelium round every pearl, and some where there is none."""
    nests = []
    for structure in structures:
        if structure.kind == "pearl":
            o = structure.outline
            radius = o.radius_image_px * (1.45 + 0.5 * float(rng.random())) + 40.0
            nests.append(Outline.draw(o.x_image_px, o.y_image_px, radius, 0.2, rng))
    for _ in range(settings.nests):
        piece = pieces[int(rng.random() * len(pieces))]
        angle, far = 2.0 * math.pi * float(rng.random()), math.sqrt(float(rng.random()))
        x = piece.x_image_px + 0.8 * far * piece.radius_image_px * math.cos(angle)
        y = piece.y_image_px + 0.8 * far * piece.radius_image_px * math.sin(angle)
        nests.append(Outline.draw(x, y, 110.0 + 260.0 * float(rng.random()), 0.26, rng))
    return tuple(nests)
