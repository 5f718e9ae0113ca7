"""Names and encodings of tiles, and a folder that appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qpgaze.errors import ExportError, UsageError
from qpgaze.export.split import PARTS

ANNOTATIONS = "_annotations.coco.json"
DATASET = "dataset.json"
DATASHEET = "README.md"
FORMAT = "qpgaze COCO tiles"
JPEG_QUALITY = 90
"""Pathology archives use 80 to 90; above, files grow faster than what they show."""
PNG_LEVEL = 1
"""3.3 times faster than level 6, for 8 % more bytes."""
SUFFIXES = {"jpeg": ".jpg", "png": ".png"}
_LONGEST_STEM = 60


def tile_name(entry_id: str, slide: str, x0_image_px: float, y0_image_px: float) -> str:
    """Name a tile after entry, slide and place, without suffix, fit for every file system.

    Parameters
    ----------
    entry_id : str
    slide : str
        Base name of the slide's file.
    x0_image_px, y0_image_px : float
        Top-left corner, level-0 pixels; cut to whole ones.

    Examples
    --------
    >>> tile_name("3", "Müller 12/4.svs", 1024.0, 0.0)
    '3_M-ller-12-4_1024_0'
    >>> tile_name("3", "CON.svs", 0, 0)
    '3_CON_0_0'
    """
    stem = _safe(re.sub(r"\.[A-Za-z0-9]{1,5}$", "", slide))[:_LONGEST_STEM].rstrip("-.") or "slide"
    entry = _safe(entry_id)
    if entry != entry_id:
        # Two ids must not become one by losing what is not safe in a name.
        entry = f"{entry[:20]}-{hashlib.sha256(entry_id.encode('utf-8')).hexdigest()[:8]}"
    return f"{entry}_{stem}_{math.floor(x0_image_px)}_{math.floor(y0_image_px)}"


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")


def encoder(image_format: str) -> Callable[[npt.NDArray[np.uint8]], bytes]:
    """Return the function that turns RGB pixels into the bytes of a file.

    Parameters
    ----------
    image_format : str
        ``jpeg`` (quality 90) or ``png`` (without loss, compression level 1).

    Raises
    ------
    UsageError
        If it is neither.
    """
    if image_format not in SUFFIXES:
        raise UsageError(f"Tiles are written as jpeg or png, not as '{image_format}'.")
    import imagecodecs

    def as_jpeg(rgb: npt.NDArray[np.uint8]) -> bytes:
        return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(rgb), level=JPEG_QUALITY))

    def as_png(rgb: npt.NDArray[np.uint8]) -> bytes:
        return bytes(imagecodecs.png_encode(np.ascontiguousarray(rgb), level=PNG_LEVEL))

    return as_jpeg if image_format == "jpeg" else as_png


@contextmanager
def new_folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a folder to fill, and put it in the place of `out` once it is filled.

    On any error (Ctrl-C and a full disk too) nothing stays behind and `out` is as it was.

    Parameters
    ----------
    out : Path
        New or empty, or a data set of ours where `overwrite` is set.
    overwrite : bool

    Raises
    ------
    ExportError
        If something else is there, or it cannot be written.
    """
    check_place(out, overwrite=overwrite)
    out = out.resolve()
    base = out.parent
    while not base.exists():
        base = base.parent
    mark = secrets.token_hex(4)
    staged = base / f".{out.name}-{mark}.part"
    try:
        staged.mkdir()
        yield staged
        out.parent.mkdir(parents=True, exist_ok=True)
        _swap(staged, out, base / f".{out.name}-{mark}.old")
    except OSError as error:
        raise ExportError(
            f"The data set '{out.name}' could not be written: {error.strerror or error}.",
            hint="Nothing was left behind. Check the space and rights of that folder.",
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _swap(staged: Path, out: Path, old: Path) -> None:
    """Move `staged` to `out`; what was there goes away only when that has worked."""
    if not out.exists():
        staged.replace(out)
        return
    out.replace(old)
    try:
        staged.replace(out)
    except BaseException:
        old.replace(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_place(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a place where writing a data set could destroy something.

    Raises
    ------
    ExportError
    """
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise ExportError(
            f"'{out.name}' is a file; a data set is a folder.", hint="Name another folder."
        )
    if not any(out.iterdir()):
        return
    if not overwrite:
        raise ExportError(
            f"The folder '{out.name}' is not empty.",
            hint="Name a new folder, or give --overwrite to replace a data set made by qpgaze.",
        )
    foreign = _foreign(out)
    if foreign:
        raise ExportError(
            f"The folder '{out.name}' holds what no export of ours wrote: {foreign}.",
            hint="Name a new folder, or clear this one yourself.",
        )


def _foreign(out: Path) -> str | None:
    """Name the first thing in a folder that an export did not write."""
    try:
        made_by = json.loads((out / DATASET).read_text("utf-8")).get("format")
    except (OSError, ValueError, AttributeError):
        made_by = None
    if made_by != FORMAT:
        return f"no {DATASET} of ours"
    known = {DATASET, DATASHEET, *PARTS}
    for item in sorted(out.iterdir()):
        if item.name not in known or item.is_symlink() or item.is_dir() != (item.name in PARTS):
            return item.name
        if item.is_dir():
            for tile in sorted(item.iterdir()):
                ours = tile.name == ANNOTATIONS or tile.suffix in SUFFIXES.values()
                if not ours or tile.is_dir():
                    return f"{item.name}/{tile.name}"
    return None
