"""The baseline: heat of the gaze, a threshold, one box per blob (Mariam et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import shapely

from qpgaze.errors import UsageError
from qpgaze.frames import ImagePx, IntArray, Points
from qpgaze.model import Label, RefinedLabel
from qpgaze.refine.heat import Blob, HeatField
from qpgaze.slides.protocol import Slide

METHOD = "mariam2022"


@dataclass(frozen=True)
class MariamParameters:
    """What the authors' scripts fix.

    Parameters
    ----------
    window_px : int
        Side of the square in which a point's Gaussian counts, level-0 pixels.
    sigma_per_window : float
        Sigma as a share of the window.
    threshold_per_mean : float
        Threshold over the mean of the heat where it is not zero.
    rate_hz : float
        Samples are thinned to this rate: the authors' viewer took 10 a second.
    """

    window_px: int = 400
    sigma_per_window: float = 1 / 6
    threshold_per_mean: float = 4.0
    rate_hz: float = 10.0

    def __post_init__(self) -> None:
        if not 2 <= self.window_px <= 8192:
            raise UsageError(f"window_px lies in 2..8192, but {self.window_px} came.")
        for name in ("sigma_per_window", "threshold_per_mean", "rate_hz"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is above 0, but {getattr(self, name)} came.")


def heat_blobs(
    points: Points[ImagePx],
    width_px: int,
    height_px: int,
    *,
    parameters: MariamParameters | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Blob]:
    """Return the blobs of gaze on a slide of any size.

    Parameters
    ----------
    points : Points[ImagePx]
        Gaze; what is NaN or beside the slide is left out.
    width_px, height_px : int
        Size of the slide, level-0 pixels.
    parameters : MariamParameters, optional
    progress : callable, optional
        Called with work done and work in all.

    Returns
    -------
    list of Blob
        Sorted by upper left corner (y, then x); none for no points. `Blob.points` counts those
        points that are on the slide, by their index in `points`.

    Raises
    ------
    FrameError
        If the points are in another frame.

    Notes
    -----
    The steps of Mariam et al. 2022 without the shift by half a window and the cuts at tile edges
    of their scripts. Equal to a dense run; memory follows the size of a block, not of the slide.

    Examples
    --------
    >>> [blob.box_image_px for blob in heat_blobs(Points(ImagePx, [[500.2, 300.9]]), 1000, 800)]
    [(444, 244, 557, 357)]
    """
    chosen = parameters or MariamParameters()
    xy = points.expect(ImagePx).xy
    on = np.isfinite(xy).all(axis=1)
    on &= (xy >= 0).all(axis=1) & (xy < (width_px, height_px)).all(axis=1)
    index = np.flatnonzero(on)
    if not len(index):
        return []
    pixels: IntArray = np.floor(xy[index]).astype(np.int64)
    field = HeatField(
        pixels,
        width_px,
        height_px,
        window_px=chosen.window_px,
        sigma_px=chosen.window_px * chosen.sigma_per_window,
    )
    threshold = chosen.threshold_per_mean * field.mean_of_nonzero()
    found = field.blobs(threshold, progress=progress)
    return [Blob(blob.box_image_px, index[blob.points]) for blob in found]


def thin(t_us: IntArray, rate_hz: float) -> IntArray:
    """Return the indices of the first sample in each period of ``1 / rate_hz`` seconds.

    Parameters
    ----------
    t_us : (n,) int64
        Times in order.
    rate_hz : float

    Examples
    --------
    >>> thin(np.arange(0, 300_000, 8_333), 10.0)
    array([ 0, 13, 25])
    """
    if not len(t_us):
        return np.empty(0, dtype=np.int64)
    period = ((t_us - t_us[0]) * (rate_hz * 1e-6)).astype(np.int64)
    return np.flatnonzero(np.diff(period, prepend=-1) > 0)


def refine(
    labels: Sequence[Label],
    slide: Slide | None,  # noqa: ARG001 - the authors' pipeline looks at gaze alone
    parameters: MariamParameters,
    step: Callable[[int], None] | None = None,
) -> list[RefinedLabel]:
    """Give each label the box of the blob that holds most of its gaze.

    Parameters
    ----------
    labels : sequence of Label
        Of one session and one image. The gaze of all labels of one class and plane is pooled.
    slide : Slide or None
        Not looked at.
    parameters : MariamParameters
    step : callable, optional
        Called with the number of labels done.

    Returns
    -------
    list of RefinedLabel
        At most one a label. A blob belongs to the label with most samples in it (the earlier one
        if equal); labels without a blob of their own whose samples lie in it are `merged`. Of
        several blobs of a label, the one with most of its samples is kept: a label is one
        object. A label whose gaze nowhere exceeds the threshold is left out.
    """
    pools: dict[tuple[str, int, int], list[Label]] = {}
    for label in labels:
        pools.setdefault((label.class_name, label.z, label.t), []).append(label)
    refined: list[RefinedLabel] = []
    done = 0
    for pool in pools.values():
        refined += _refine_pool(pool, parameters)
        done += len(pool)
        if step:
            step(done)
    return refined


def _refine_pool(labels: Sequence[Label], parameters: MariamParameters) -> list[RefinedLabel]:
    kept = [thin(label.sample_t_us, parameters.rate_hz) for label in labels]
    owner = np.repeat(np.arange(len(labels)), [len(k) for k in kept])
    xy = [label.samples.expect(ImagePx).xy[k] for label, k in zip(labels, kept, strict=True)]
    image = labels[0].image
    points = Points(ImagePx, np.concatenate(xy))
    blobs = heat_blobs(points, image.width_px, image.height_px, parameters=parameters)
    counts = np.zeros((len(blobs), len(labels)), dtype=np.int64)
    for n, blob in enumerate(blobs):
        np.add.at(counts[n], owner[blob.points], 1)
    return _assign(labels, blobs, counts, parameters)


def _assign(
    labels: Sequence[Label],
    blobs: Sequence[Blob],
    counts: IntArray,
    parameters: MariamParameters,
) -> list[RefinedLabel]:
    """Match blobs and labels by the samples they share, (blobs, labels) counts."""
    blob_of: dict[int, int] = {}
    for n in range(len(blobs)):
        best = int(np.argmax(counts[n]))
        if counts[n, best] == 0:
            continue  # heat between points, none of them on a pixel above the threshold
        if best not in blob_of or counts[n, best] > counts[blob_of[best], best]:
            blob_of[best] = n
    refined = []
    for number, n in sorted(blob_of.items()):
        swallowed = [
            label
            for other, label in enumerate(labels)
            if other not in blob_of and counts[n, other] > 0 and n == np.argmax(counts[:, other])
        ]
        refined.append(
            RefinedLabel(
                label=labels[number],
                geometry=shapely.box(*blobs[n].box_image_px),
                method=METHOD,
                parameters=asdict(parameters),
                merged=tuple(swallowed),
            )
        )
    return refined
