"""Nuclei of a synthetic slide: small stamps, placed by the thousand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from qpgaze.simulate.noise import ByteArray, generator, value_noise

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TURNS = 12
"""Stamps are drawn in so many directions (half a turn; a nucleus has no head)."""
VARIANTS = 5
SIZE = 34


@dataclass(frozen=True)
class NucleusKind:
    """How nuclei of one kind of cell look: half axes in px, haematoxylin 0..255, mottling 0..1."""

    number: int
    long_px: float
    short_px: float
    density: int
    mottled: float


FIBROBLAST = NucleusKind(0, 10.5, 2.6, 150, 0.15)
LYMPHOCYTE = NucleusKind(1, 5.6, 5.2, 190, 0.2)
EPITHELIAL = NucleusKind(2, 8.4, 6.2, 104, 0.5)
FLAT = NucleusKind(3, 8.0, 2.2, 150, 0.1)
DEBRIS = NucleusKind(4, 2.6, 1.9, 180, 0.1)
KINDS = (FIBROBLAST, LYMPHOCYTE, EPITHELIAL, FLAT, DEBRIS)

# Directions of the stamps; rounded, so that no libm's last bit shows.
DIRECTIONS: tuple[tuple[float, float], ...] = tuple(
    (round(math.cos(math.pi * n / TURNS), 6), round(math.sin(math.pi * n / TURNS), 6))
    for n in range(TURNS)
)


def stamps(seed: int) -> ByteArray:
    """Draw every stamp, (kinds, TURNS, VARIANTS, SIZE, SIZE) uint8, haematoxylin."""
    out = np.zeros((len(KINDS), TURNS, VARIANTS, SIZE, SIZE), dtype=np.uint8)
    grid = (np.arange(SIZE) - (SIZE - 1) / 2).astype(np.float32)
    dx, dy = (
        np.broadcast_to(grid[None, :], (SIZE, SIZE)),
        np.broadcast_to(grid[:, None], (SIZE, SIZE)),
    )
    for kind in KINDS:
        rng = generator(seed, 2, kind.number)
        for turn, (cos, sin) in enumerate(DIRECTIONS):
            for variant in range(VARIANTS):
                size = 0.82 + 0.4 * rng.random(2)
                long = np.float32(kind.long_px * float(size[0]))
                short = np.float32(kind.short_px * float(size[1]))
                along = dx * np.float32(cos) + dy * np.float32(sin)
                across = dy * np.float32(cos) - dx * np.float32(sin)
                bend = (rng.random() - 0.5) * 0.03
                across = across + np.float32(bend) * along * along
                edge = np.float32(1.0) - np.sqrt(
                    along * along / (long * long) + across * across / (short * short)
                )
                edge = edge + np.float32(0.14) * value_noise(rng, (SIZE, SIZE), 6)
                inside = np.clip(edge * short * np.float32(0.8) + np.float32(0.4), 0, 1)
                # A paler middle under a darker membrane, with lumps of chromatin.
                rim = np.clip(edge * np.float32(3.0), 0, 1)
                level = np.float32(1.0) - np.float32(kind.mottled * 0.5) * rim
                level = level + np.float32(kind.mottled * 0.7) * value_noise(rng, (SIZE, SIZE), 4)
                shade = np.float32(kind.density) * inside * level
                out[kind.number, turn, variant] = np.clip(shade, 0, 255).astype(np.uint8)
    return out


@dataclass
class NucleusList:
    """Nuclei to stamp: centres in level-0 px, kind, turn and variant of each."""

    parts: list[tuple[FloatArray, IntArray, IntArray, IntArray]] = field(default_factory=list)

    def add(
        self,
        xy: FloatArray,
        kind: NucleusKind,
        turn: IntArray,
        rng: np.random.Generator,
    ) -> None:
        """Append nuclei of one kind at (n, 2) places, turned as told."""
        variant = (rng.random(len(xy)) * VARIANTS).astype(np.int64)
        kinds = np.full(len(xy), kind.number, dtype=np.int64)
        self.parts.append((xy, kinds, turn % TURNS, variant))

    def stamp(self, haematoxylin: ByteArray, images: ByteArray) -> None:
        """Draw all nuclei into a haematoxylin map; where several meet, the darkest counts.

        Which is why their order does not matter.
        """
        height, width = haematoxylin.shape
        flat = haematoxylin.reshape(-1)
        offsets = (np.arange(SIZE)[:, None] * width + np.arange(SIZE)[None, :]).astype(np.int64)
        for xy, kinds, turns, variants in self.parts:
            corner = np.floor(xy - (SIZE - 1) / 2).astype(np.int64)
            keep = (corner >= 0).all(axis=1)
            keep &= (corner[:, 0] + SIZE <= width) & (corner[:, 1] + SIZE <= height)
            corner, kinds = corner[keep], kinds[keep]
            drawn = images[kinds, turns[keep], variants[keep]]
            for begin in range(0, len(corner), 2000):
                some = slice(begin, begin + 2000)
                start = corner[some, 1] * width + corner[some, 0]
                where = start[:, None, None] + offsets
                values = drawn[some]
                seen = values > 0
                np.maximum.at(flat, where[seen], values[seen])


def scatter(rng: np.random.Generator, height: int, width: int, spacing: int) -> FloatArray:
    """Spread places evenly but not regularly: one in each square of a grid, (n, 2) level-0 px."""
    rows, columns = height // spacing, width // spacing
    jitter = 0.1 + 0.8 * rng.random((rows, columns, 2))
    x = (np.arange(columns)[None, :] + jitter[..., 0]) * spacing
    y = (np.arange(rows)[:, None] + jitter[..., 1]) * spacing
    return np.column_stack([x.reshape(-1), y.reshape(-1)])


def turn_of(dx: FloatArray, dy: FloatArray) -> IntArray:
    """Return the stamp direction nearest to each vector, (n,)."""
    best = np.zeros(len(dx), dtype=np.int64)
    most = np.full(len(dx), -1.0)
    for number, (cos, sin) in enumerate(DIRECTIONS):
        along = np.abs(dx * cos + dy * sin)
        better = along > most
        best[better], most[better] = number, along[better]
    return best
