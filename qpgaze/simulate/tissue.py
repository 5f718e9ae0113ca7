"""Synthetic H&E: stroma, epithelium, keratin pearls and what may be taken for them.

The picture is made of amounts of three stains per pixel, turned into colour by the law of Beer and
Lambert. Everything is the same to the bit on every machine and Python: see
:mod:`qpgaze.simulate.noise` and :mod:`qpgaze.simulate.outlines` for how.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from qpgaze.simulate.noise import (
    ByteArray,
    Float32Array,
    double,
    fractal_noise,
    generator,
    ridge,
    stretch,
    value_noise,
)
from qpgaze.simulate.nuclei import (
    EPITHELIAL,
    FIBROBLAST,
    LYMPHOCYTE,
    NucleusKind,
    NucleusList,
    scatter,
    stamps,
    turn_of,
)
from qpgaze.simulate.outlines import Outline, soft_step
from qpgaze.simulate.tissue_objects import StainMaps, draw_structure
from qpgaze.simulate.tissue_plan import (
    Stain,
    Structure,
    TissuePlan,
    TissueSettings,
    plan_tissue,
)

__all__ = [
    "Stain",
    "Structure",
    "TissuePlan",
    "TissueSettings",
    "plan_tissue",
    "render_tissue",
]

F = np.float32
COARSE = 4
"""Where tissue and epithelium lie is worked out on a grid of so many pixels."""


def render_tissue(plan: TissuePlan) -> npt.NDArray[np.uint8]:
    """Paint a synthetic slide.

    Parameters
    ----------
    plan : TissuePlan

    Returns
    -------
    (height, width, 3) uint8
        RGB, level 0. The same bytes for the same plan on every supported machine and Python.
    """
    seed = plan.settings.seed
    tissue, nests = _regions(plan)
    flow, maps = _ground(plan, tissue, nests)
    _nuclei_of_ground(plan, tissue, nests, flow, maps)
    for structure in plan.structures:
        draw_structure(structure, maps, seed)
    maps.nuclei.stamp(maps.haematoxylin, stamps(seed))
    return _colours(maps, plan.settings.stain)


def _regions(plan: TissuePlan) -> tuple[Float32Array, Float32Array]:
    """Return how far inside tissue and epithelium each coarse pixel lies, px, negative outside."""
    shape = plan.settings.height_px // COARSE, plan.settings.width_px // COARSE
    rng = generator(plan.settings.seed, 4)
    tissue = _depth(plan.pieces, shape) + F(90) * fractal_noise(rng, shape, 96, 5)
    nests = _depth(plan.nests, shape) + F(34) * fractal_noise(rng, shape, 40, 4)
    return tissue, np.minimum(nests, tissue - F(30))


def _depth(outlines: tuple[Outline, ...], shape: tuple[int, int]) -> Float32Array:
    """Return the depth inside the nearest of some outlines, px."""
    depth = np.full(shape, -400, dtype=np.float32)
    for outline in outlines:
        window = outline.window(1.6, shape[0], shape[1], COARSE)
        inside = F(outline.radius_image_px) * (F(1.0) - outline.field(window).rho)
        depth[window.index] = np.maximum(depth[window.index], inside)
    return depth


def _ground(
    plan: TissuePlan, tissue: Float32Array, nests: Float32Array
) -> tuple[Float32Array, StainMaps]:
    """Paint stroma and epithelium; return the stroma's fibre phase (coarse) and the maps."""
    height, width = plan.settings.height_px, plan.settings.width_px
    half = height // 2, width // 2
    rng = generator(plan.settings.seed, 5)
    inside = stretch(soft_step(tissue, 8.0), COARSE // 2, half)
    nest = stretch(soft_step(nests, 14.0), COARSE // 2, half)
    # Fibres: stripes whose phase is bent by noise, so that they swirl.
    slope = rng.random(2) - 0.5
    swirl = F(26) * fractal_noise(rng, (tissue.shape[0], tissue.shape[1]), 160, 3)
    rows, columns = (np.arange(n, dtype=np.float32) for n in tissue.shape)
    flow = swirl + rows[:, None] * F(0.10 * slope[0]) + columns[None, :] * F(0.12 * slope[1])
    fine = fractal_noise(rng, half, 12, 2)
    phase = stretch(flow, COARSE // 2, half)
    fibres = ridge(phase + F(0.34) * fine)
    bundles = ridge(phase * F(0.23) + F(0.3) * value_noise(rng, half, 48))
    loose = fractal_noise(rng, half, 64, 3)
    torn = value_noise(rng, half, 22) + F(0.7) * loose
    cleft = np.clip((F(0.42) - fibres) * F(3.0), 0, 1) * np.clip(torn * F(2.5) - F(1.0), 0, 1)
    stroma = F(43) + F(9) * fibres + F(10) * bundles + F(9) * loose + F(8) * fine
    stroma -= F(0.85) * cleft * stroma
    mottle = fractal_noise(rng, half, 10, 2)
    epithelium = F(56) + F(9) * mottle + F(7) * loose
    # Where tissue shrank it came off the epithelium, which leaves a pale rim.
    rim = stretch(
        np.clip(F(1.0) - np.abs(nests + F(9)) * F(1 / 9), 0, 1), COARSE // 2, half
    ) * np.clip(loose * F(2.2) - F(0.1), 0, 1)
    thick = (F(1.0) + F(0.12) * value_noise(rng, half, 320)) * inside
    solid = thick * (F(1.0) - F(0.8) * rim)
    eosin = (stroma + (epithelium - stroma) * nest) * solid
    haematoxylin = (F(5) + F(3) * loose + (F(8) + F(5) * mottle) * nest) * solid
    keratin = np.clip(F(3) * bundles, 0, 255) * solid * (F(1.0) - nest)
    planes = [
        double(np.clip(plane + F(0.5), 0, 255).astype(np.uint8))
        for plane in (haematoxylin, eosin, keratin)
    ]
    return flow, StainMaps(planes[0], planes[1], planes[2], NucleusList())


def _nuclei_of_ground(
    plan: TissuePlan,
    tissue: Float32Array,
    nests: Float32Array,
    flow: Float32Array,
    maps: StainMaps,
) -> None:
    """Spread the nuclei of stroma, inflammation and epithelium, sparing the objects."""
    rng = generator(plan.settings.seed, 6)
    shape = tissue.shape
    spared = np.zeros(shape, dtype=np.bool_)
    for structure in plan.structures:
        grow = 1.55 if structure.kind == "pearl" else 1.02
        window = structure.outline.window(grow, shape[0], shape[1], COARSE)
        spared[window.index] |= structure.outline.field(window).rho < F(grow)
    inflamed = np.clip(fractal_noise(rng, shape, 120, 3) * F(1.8) - F(0.55), 0, 1)
    inside = (tissue > 10) & ~spared
    stroma, epithelium = inside & (nests < -6), inside & (nests > 2)
    basal = np.clip(F(1.0) - np.abs(nests - F(12)) * F(1 / 14), 0, 1)
    down, right = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    down[1:-1], right[:, 1:-1] = flow[2:] - flow[:-2], flow[:, 2:] - flow[:, :-2]
    chances: tuple[tuple[NucleusKind, int, Float32Array], ...] = (
        (FIBROBLAST, 30, stroma * F(0.55)),
        (LYMPHOCYTE, 15, stroma * (F(0.05) + F(0.6) * inflamed)),
        (EPITHELIAL, 21, epithelium * (F(0.74) + F(0.2) * basal)),
        (EPITHELIAL, 14, epithelium * F(0.5) * basal),
    )
    for kind, spacing, chance in chances:
        places = scatter(rng, plan.settings.height_px, plan.settings.width_px, spacing)
        row = np.minimum((places[:, 1] / COARSE).astype(np.int64), shape[0] - 1)
        column = np.minimum((places[:, 0] / COARSE).astype(np.int64), shape[1] - 1)
        keep = rng.random(len(places)) < chance[row, column]
        row, column = row[keep], column[keep]
        if kind is FIBROBLAST:  # along the fibres, that is, across the slope of their phase
            turn = turn_of(-down[row, column].astype(float), right[row, column].astype(float))
            turn = turn + (rng.random(len(turn)) * 3).astype(np.int64) - 1
        else:
            turn = (rng.random(len(row)) * 12).astype(np.int64)
        maps.nuclei.add(places[keep], kind, turn, rng)


def _colours(maps: StainMaps, stain: Stain) -> npt.NDArray[np.uint8]:
    """Turn amounts of stain into colour; whole numbers only."""
    vectors = (stain.haematoxylin, stain.eosin, stain.keratin)
    out = np.empty((*maps.eosin.shape, 3), dtype=np.uint8)
    for channel in range(3):
        weights = [
            round(64 * vector[channel] * strength)
            for vector, strength in zip(vectors, stain.strength, strict=True)
        ]
        table = _light(stain.glass[channel])
        for top in range(0, out.shape[0], 256):
            rows = slice(top, top + 256)
            density = maps.haematoxylin[rows].astype(np.uint32) * np.uint32(weights[0])
            density += maps.eosin[rows].astype(np.uint32) * np.uint32(weights[1])
            density += maps.keratin[rows].astype(np.uint32) * np.uint32(weights[2])
            out[rows, :, channel] = table[np.minimum(density >> np.uint32(4), len(table) - 1)]
    return out


def _light(glass: int) -> ByteArray:
    """Return what light passes at each density (in 1/400 of optical density, base e)."""
    return np.array(
        [math.floor(glass * math.exp(-n / 400.0) + 0.5) for n in range(3200)], dtype=np.uint8
    )
