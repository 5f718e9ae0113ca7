"""Smooth random fields that are the same to the bit on every machine.

Only ``Generator.random`` (a fixed stream) and ``+ - *`` on float32 (fixed by IEEE 754) are used.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]


def generator(seed: int, *path: int) -> np.random.Generator:
    """Return a generator of its own for each seed and path of numbers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *path])))


def value_noise(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> Float32Array:
    """Draw a smooth random field.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (rows, columns)
    cell : int
        Size of its lumps, pixels.

    Returns
    -------
    (rows, columns) float32
        Between -1 and 1, mean 0.
    """
    rows, columns = math.ceil(shape[0] / cell) + 1, math.ceil(shape[1] / cell) + 1
    lattice = (2.0 * rng.random((rows, columns)) - 1.0).astype(np.float32)
    return stretch(lattice, cell, shape)


def stretch(lattice: Float32Array, factor: int, shape: tuple[int, int]) -> Float32Array:
    """Blow a lattice up by a whole factor, smoothly, and cut it to `shape`."""
    share = ((np.arange(factor) + 0.5) / factor).astype(np.float32)
    weight = share * share * (np.float32(3.0) - np.float32(2.0) * share)
    columns = np.arange(shape[1])
    at, w = columns // factor, weight[columns % factor][None, :]
    left = lattice[:, at]
    wide = left + (lattice[:, np.minimum(at + 1, lattice.shape[1] - 1)] - left) * w
    rows = np.arange(shape[0])
    at, w = rows // factor, weight[rows % factor][:, None]
    top = wide[at]
    below = wide[np.minimum(at + 1, wide.shape[0] - 1)]
    below -= top
    below *= w
    top += below
    return np.asarray(top, dtype=np.float32)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: int, octaves: int
) -> Float32Array:
    """Sum `octaves` fields, each with lumps half as large and half as high."""
    total = value_noise(rng, shape, cell)
    height = 1.0
    for _ in range(octaves - 1):
        cell, height = max(1, cell // 2), height / 2
        finer = value_noise(rng, shape, cell)
        finer *= np.float32(height)
        total += finer
    return total


def ridge(phase: Float32Array) -> Float32Array:
    """Return 0..1: 1 at whole numbers of `phase`, 0 halfway between."""
    part = phase - np.floor(phase)
    return np.asarray(np.abs(part * np.float32(2.0) - np.float32(1.0)), dtype=np.float32)


def double(small: ByteArray) -> ByteArray:
    """Double an image's size, each pixel a 3:1 mix with its neighbours; whole numbers only."""
    return np.ascontiguousarray(_double_rows(_double_rows(small).T).T)


def _double_rows(small: ByteArray) -> ByteArray:
    padded = np.empty((small.shape[0] + 2, small.shape[1]), dtype=np.uint16)
    padded[1:-1] = small
    padded[0], padded[-1] = small[0], small[-1]
    out = np.empty((2 * small.shape[0], small.shape[1]), dtype=np.uint8)
    middle = padded[1:-1] * np.uint16(3) + np.uint16(2)
    out[0::2] = (middle + padded[:-2]) >> np.uint16(2)
    out[1::2] = (middle + padded[2:]) >> np.uint16(2)
    return out
