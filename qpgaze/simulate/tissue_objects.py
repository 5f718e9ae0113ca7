"""Keratin pearls and what may be taken for them, drawn into a slide's stain maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qpgaze.simulate.noise import (
    ByteArray,
    Float32Array,
    fractal_noise,
    generator,
    ridge,
    value_noise,
)
from qpgaze.simulate.nuclei import (
    DEBRIS,
    EPITHELIAL,
    FIBROBLAST,
    FLAT,
    LYMPHOCYTE,
    NucleusKind,
    NucleusList,
    turn_of,
)
from qpgaze.simulate.outlines import Outline, PolarField, Window, soft_step
from qpgaze.simulate.tissue_plan import Structure

F = np.float32


@dataclass(frozen=True, eq=False)
class StainMaps:
    """How much stain each pixel holds, 0..255 for 0..2.55 of optical density at strength 1.

    Parameters
    ----------
    haematoxylin, eosin, keratin : (h, w) uint8
    nuclei : NucleusList
        Stamped into `haematoxylin` at the end.
    """

    haematoxylin: ByteArray
    eosin: ByteArray
    keratin: ByteArray
    nuclei: NucleusList

    def blend(
        self, window: Window, alpha: Float32Array, h: Float32Array, e: Float32Array, k: Float32Array
    ) -> None:
        """Lay amounts over a window; `alpha` 1 hides what was there."""
        for plane, amount in ((self.haematoxylin, h), (self.eosin, e), (self.keratin, k)):
            part = plane[window.index]
            mixed = part + (amount - part) * alpha
            plane[window.index] = np.clip(mixed + F(0.5), 0, 255).astype(np.uint8)


def draw_structure(structure: Structure, maps: StainMaps, seed: int) -> None:
    """Draw one object into the maps.

    Parameters
    ----------
    structure : Structure
    maps : StainMaps
        Changed in place.
    seed : int
        The slide's.
    """
    height, width = maps.eosin.shape
    grow = 1.7 if structure.kind == "pearl" else 1.2
    window = structure.outline.window(grow, height, width)
    field = structure.outline.field(window)
    rng = generator(seed, 3, structure.seed)
    _DRAW[structure.kind](structure.outline, window, field, maps, rng)


def _pearl(
    outline: Outline,
    window: Window,
    field: PolarField,
    maps: StainMaps,
    rng: np.random.Generator,
) -> None:
    """Draw concentric whorls: flat cells outside, then keratin, cracked, dense in the middle."""
    shape, radius = window.shape, outline.radius_image_px
    warp = fractal_noise(rng, shape, max(24, int(radius / 2)), 2)
    crumple = value_noise(rng, shape, 11)
    draws = [float(v) for v in rng.random(6)]
    # The whorls' middle lies off centre; rings draw together on one side.
    tilt = (draws[0] - 0.5) * 0.6 * field.cos + (draws[1] - 0.5) * 0.6 * field.sin
    rho = field.rho
    bent = rho + F(0.10) * warp + tilt * rho * np.clip(F(1.0) - rho, 0, 1)
    # Lamellae of uneven thickness, thinner towards the middle, that fray and merge.
    rings = (bent + F(0.25) * bent * (F(1.0) - bent)) * F(radius / (12.0 + 8.0 * draws[2]))
    rings = rings + F(0.9) * value_noise(rng, shape, max(18, int(radius / 4))) + F(0.22) * crumple
    clear = np.clip(F(0.8) + F(0.6) * value_noise(rng, shape, 26), 0.15, 1.2)
    lamella = ridge(rings)
    lamella = (lamella * lamella * (F(3.0) - F(2.0) * lamella) - F(0.5)) * clear + F(0.5)
    edge = soft_step(F(1.0) - rho + F(0.02) * crumple + F(0.02) * warp, 20.0 / radius)
    # Outside the outline lies the halo of flattened squamous cells.
    halo = np.clip((F(1.62) - rho + F(0.14) * warp) * F(2.2), 0, 1) * F(0.7)
    core = np.clip((F(0.45 + 0.4 * draws[3]) - bent) * F(2.2), 0, 1)
    fine = value_noise(rng, shape, 3)
    rich = 0.65 + 0.5 * draws[4]
    eosin = F(52) + F(20) * lamella + F(6) * core + F(4) * fine + F(5) * warp
    keratin = F(rich) * (F(14) + F(13) * lamella + core * (F(28) + F(16) * lamella) + F(4) * warp)
    # Cracks run along every other lamella or so, where the blade tore brittle keratin.
    torn = np.clip(value_noise(rng, shape, max(12, int(radius / 4))) * F(3.0) - F(0.35), 0, 1)
    gap = ridge(rings * F(0.5) + F(0.25)) + F(0.12) * crumple
    crack = torn * np.clip((F(0.34) - gap) * F(7.0), 0, 1) * np.clip(core * 2 + F(0.25), 0, 1)
    solid = F(1.0) - F(0.93) * crack
    outer = eosin * F(0.85)
    alpha = np.maximum(edge, halo)
    e = outer + (eosin - outer) * edge
    k = (keratin * edge + F(3)) * solid
    h = F(11) + F(7) * (F(1.0) - lamella) - F(7) * edge
    maps.blend(window, alpha, h * solid, e * solid, k)
    for low, high, spacing in ((1.0, 1.62, 17), (0.55, 1.0, 30)):
        _tangential(outline, low, high, spacing, FLAT if high == 1.0 else EPITHELIAL, maps, rng)


def _vessel(
    outline: Outline,
    window: Window,
    field: PolarField,
    maps: StainMaps,
    rng: np.random.Generator,
) -> None:
    """Draw a vessel: a wall of muscle round a lumen with red cells."""
    shape, radius = window.shape, outline.radius_image_px
    rho = field.rho + F(0.04) * fractal_noise(rng, shape, max(8, int(radius / 3)), 2)
    wall_at = 0.58 + 0.2 * float(rng.random())
    edge = soft_step(F(1.0) - rho, 8.0 / radius)
    lumen = soft_step(F(wall_at) - rho, 4.0 / radius)
    muscle = ridge(rho * F(radius / 9.0))
    cells = np.clip(value_noise(rng, shape, 9) * F(3.0) + F(1.2), 0, 1)
    filled = np.clip(value_noise(rng, shape, max(16, int(radius / 2))) * F(4.0) + F(0.6), 0, 1)
    blood = lumen * cells * filled
    wall = F(1.0) - lumen
    e = wall * (F(58) + F(14) * muscle) + blood * F(38) + F(2)
    k = blood * F(58)
    h = wall * F(12)
    maps.blend(window, edge, h, e, k)
    _tangential(outline, wall_at - 0.04, wall_at + 0.02, 16, FLAT, maps, rng)
    _tangential(outline, wall_at + 0.08, 0.98, 24, FIBROBLAST, maps, rng)


def _muscle(
    outline: Outline,
    window: Window,
    field: PolarField,
    maps: StainMaps,
    rng: np.random.Generator,
) -> None:
    """Draw a bundle of muscle fibres cut across: pink fields with nuclei at their rims."""
    radius = outline.radius_image_px
    spacing = 38.0
    side = int(2.6 * radius / spacing) + 2
    jitter = rng.random((side, side, 2)) * 0.7
    at = (np.arange(side)[:, None, None] * np.array([0.0, 1.0])) + (
        np.arange(side)[None, :, None] * np.array([1.0, 0.0])
    )
    seeds = ((at + jitter).reshape(-1, 2) - side / 2) * spacing
    seeds = seeds[(seeds**2).sum(axis=1) < (1.25 * radius) ** 2]
    dx, dy = window.offsets(outline.x_image_px, outline.y_image_px)
    bend = F(4.0) * value_noise(rng, window.shape, 24)
    first = np.full(window.shape, 1e9, dtype=np.float32)
    second = first.copy()
    for sx, sy in seeds.astype(np.float32):
        far = np.sqrt((dx - sx) ** 2 + (dy - sy) ** 2)
        second = np.minimum(second, np.maximum(first, far))
        first = np.minimum(first, far)
    gap = np.clip((second - first + bend - F(0.5)) * F(0.42), 0, 1)
    mottle = value_noise(rng, window.shape, 5)
    edge = soft_step(F(1.0) - field.rho, 8.0 / radius)
    e = F(8) + gap * (F(74) + F(8) * mottle)
    k = gap * (F(9) + F(3) * mottle)
    h = F(4) + F(4) * gap
    maps.blend(window, edge, h, e, k)
    _at_rims(outline, seeds, spacing, maps, rng)


def _necrosis(
    outline: Outline,
    window: Window,
    field: PolarField,
    maps: StainMaps,
    rng: np.random.Generator,
) -> None:
    """Draw dead tissue: smudged, granular, with crumbs of nuclei; fading into what surrounds it."""
    shape, radius = window.shape, outline.radius_image_px
    rough = fractal_noise(rng, shape, max(16, int(radius / 2)), 4)
    edge = soft_step(F(1.0) - field.rho + F(0.06) * rough, 30.0 / radius)
    grain = fractal_noise(rng, shape, 12, 2)
    holes = np.clip(grain * F(1.6) - F(0.75), 0, 1)
    solid = F(1.0) - F(0.6) * holes
    e = (F(62) + F(14) * rough + F(9) * grain) * solid
    k = (F(16) + F(8) * rough) * solid
    h = F(14) + F(10) * grain
    maps.blend(window, edge, h, e, k)
    crumbs = _in_ring(outline, 0.0, 0.95, 15, rng)
    keep = rng.random(len(crumbs)) < 0.6
    _add(maps, crumbs[keep], DEBRIS, (rng.random(int(keep.sum())) * 12).astype(np.int64), rng)


def _gland(
    outline: Outline,
    window: Window,
    field: PolarField,
    maps: StainMaps,
    rng: np.random.Generator,
) -> None:
    """Draw a lobule of glands: rings of cells round pale middles."""
    radius = outline.radius_image_px
    spacing = max(50.0, radius * 0.62)
    steps = np.arange(-2, 3, dtype=np.float64)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    grid[:, 0] = grid[:, 0] + 0.5 * (grid[:, 1] % 2)
    seeds = (grid + 0.24 * (rng.random(grid.shape) - 0.5)) * spacing
    seeds = seeds[(seeds**2).sum(axis=1) < (0.8 * radius) ** 2]
    edge = soft_step(F(1.0) - field.rho, 14.0 / radius)
    noise = value_noise(rng, window.shape, 7)
    base = np.full(window.shape, 42, dtype=np.float32)
    maps.blend(window, edge * F(0.8), F(0.2) * base, base + F(8) * noise, F(0) * base)
    height, width = maps.eosin.shape
    for sx, sy in seeds:
        size = spacing * (0.42 + 0.08 * float(rng.random()))
        ring = Outline.draw(
            outline.x_image_px + float(sx), outline.y_image_px + float(sy), size, 0.1, rng
        )
        inner = ring.window(1.1, height, width)
        polar = ring.field(inner)
        body = soft_step(F(1.0) - polar.rho, 6.0 / size)
        lumen = soft_step(F(0.32) - polar.rho, 6.0 / size)
        mucin = value_noise(rng, inner.shape, 8)
        foam = np.clip((F(0.85) - polar.rho) * F(2.5), 0, 1)
        h = F(32) + F(8) * mucin - F(14) * foam - F(14) * lumen
        e = F(40) - F(16) * foam - F(18) * lumen + F(5) * mucin
        maps.blend(inner, body, h, e, F(0) * e)
        _tangential(ring, 0.72, 0.98, 10, LYMPHOCYTE, maps, rng)


_DRAW: dict[
    str,
    Callable[[Outline, Window, PolarField, StainMaps, np.random.Generator], None],
] = {
    "pearl": _pearl,
    "vessel": _vessel,
    "muscle": _muscle,
    "necrosis": _necrosis,
    "gland": _gland,
}


# -- nuclei of an object -----------------------------------------------------------------------


def _in_ring(
    outline: Outline, low: float, high: float, spacing: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Spread places over the ring between two multiples of an outline, (n, 2) level-0 px."""
    side = int(2 * outline.reach() * high / spacing) + 2
    jitter = rng.random((side, side, 2))
    x = (np.arange(side)[None, :] + jitter[..., 0] - side / 2) * spacing
    y = (np.arange(side)[:, None] + jitter[..., 1] - side / 2) * spacing
    dx, dy = x.reshape(-1), y.reshape(-1)
    r = np.sqrt(dx * dx + dy * dy)
    cos, sin = dx / np.maximum(r, 1e-6), dy / np.maximum(r, 1e-6)
    scale, ck, sk = np.ones_like(r), cos, sin
    for number, (a, b) in enumerate(outline.waves):
        if number:
            ck, sk = ck * cos - sk * sin, sk * cos + ck * sin
        scale = scale + a * ck + b * sk
    rho = r / (outline.radius_image_px * scale)
    inside = (rho >= low) & (rho < high)
    return np.column_stack([dx[inside] + outline.x_image_px, dy[inside] + outline.y_image_px])


def _tangential(
    outline: Outline,
    low: float,
    high: float,
    spacing: int,
    kind: NucleusKind,
    maps: StainMaps,
    rng: np.random.Generator,
) -> None:
    """Put nuclei into a ring, lying along it."""
    places = _in_ring(outline, low, high, spacing, rng)
    keep = rng.random(len(places)) < 0.8
    places = places[keep]
    dx, dy = places[:, 0] - outline.x_image_px, places[:, 1] - outline.y_image_px
    _add(maps, places, kind, turn_of(-dy, dx), rng)


def _at_rims(
    outline: Outline,
    seeds: npt.NDArray[np.float64],
    spacing: float,
    maps: StainMaps,
    rng: np.random.Generator,
) -> None:
    """Put one or two flat nuclei at the rim of each muscle fibre."""
    for _ in range(2):
        away = rng.random((len(seeds), 2)) - 0.5
        size = np.sqrt((away**2).sum(axis=1, keepdims=True))
        unit = away / np.maximum(size, 1e-6)
        places = seeds + unit * spacing * 0.46
        inside = (places**2).sum(axis=1) < (0.85 * outline.radius_image_px) ** 2
        inside &= rng.random(len(seeds)) < 0.6
        places = places[inside] + [outline.x_image_px, outline.y_image_px]
        _add(maps, places, FLAT, turn_of(-unit[inside, 1], unit[inside, 0]), rng)


def _add(
    maps: StainMaps,
    places: npt.NDArray[np.float64],
    kind: NucleusKind,
    turn: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    maps.nuclei.add(places, kind, turn, rng)
