"""From the tracker's display area onto the slide, each sample by the view in force at its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from qpgaze.errors import SessionError, UsageError
from qpgaze.frames import Adcs, Affine, FloatArray, ImagePx, IntArray, Points, ScreenPx
from qpgaze.gaze.views import BoolArray, ViewTable, view_table
from qpgaze.samples import GazeSamples
from qpgaze.viewing import Display, ViewerState

KEYFRAMES_UNTIL_UNKNOWN = 3
"""A viewer that missed this many keyframes is gone: nobody knows what it shows."""


class LeftOut(IntEnum):
    """Why a sample has no place on the slide."""

    OK = 0
    """It has one."""
    INVALID = 1
    """The tracker saw no eye."""
    NO_STATE = 2
    """No viewer state is known at its time, or the last one is too old to be believed."""
    NO_IMAGE = 3
    """The viewer there shows no image, or no viewer is on the screen."""
    OFF_VIEWER = 4
    """It lies beside every viewer."""
    COVERED = 5
    """Something lies over the slide there: overview map, scale bar, another window."""
    OFF_IMAGE = 6
    """It lies in a viewer, but beside the slide."""


@dataclass(frozen=True, eq=False)
class MappedGaze:
    """Gaze on the slide, one row a sample.

    Parameters
    ----------
    t_us : (n,) int64
        Session clock.
    screen : Points[ScreenPx]
        NaN where no eye was valid.
    image : Points[ImagePx]
        NaN where the sample was left out.
    reason : (n,) uint8
        A :class:`LeftOut`, 0 where it was not.
    state : (n,) int32
        Index of the viewer state that the sample fell on, -1 where it fell on none.
    downsample : (n,) float64
        Image pixels per viewer pixel in that state, NaN where the sample was left out.
    cover : (n,) int16
        For ``COVERED``: index into `cover_kinds`, else -1.
    cover_kinds : tuple of str
    views : ViewTable
        The states as columns, so that later steps need not build them again.
    """

    t_us: IntArray
    screen: Points[ScreenPx]
    image: Points[ImagePx]
    reason: npt.NDArray[np.uint8]
    state: npt.NDArray[np.int32]
    downsample: FloatArray
    cover: npt.NDArray[np.int16]
    cover_kinds: tuple[str, ...]
    views: ViewTable = field(repr=False)

    def __len__(self) -> int:
        return len(self.t_us)

    def counts(self) -> dict[str, int]:
        """Count samples by what became of them.

        Returns
        -------
        dict of str to int
            ``ok``, ``invalid``, ``no_state``, ``no_image``, ``off_viewer``, ``off_image``, and
            ``covered: KIND`` for each kind that was met. The sum is the number of samples.
        """
        by_reason = np.bincount(self.reason, minlength=len(LeftOut))
        counts = {r.name.lower(): int(by_reason[r]) for r in LeftOut if r != LeftOut.COVERED}
        by_kind = np.bincount(self.cover[self.reason == LeftOut.COVERED])
        counts |= {f"covered: {self.cover_kinds[k]}": int(n) for k, n in enumerate(by_kind) if n}
        return counts


def display_to_screen(display: Display) -> Affine[Adcs, ScreenPx]:
    """Return the map from the tracker's display area onto the desktop.

    Examples
    --------
    >>> from qpgaze.viewing import Rect
    >>> second = Display(Rect(1920, 0, 2560, 1440), 597, 336)
    >>> display_to_screen(second)(Points(Adcs, [[0.5, 0.5]])).xy
    array([[3200.,  720.]])
    """
    box = display.bounds_screen_px
    return Affine(Adcs, ScreenPx, np.array([[box.width, 0.0, box.x], [0.0, box.height, box.y]]))


def check_time_order(t_us: IntArray) -> None:
    """Refuse samples that do not come in time order.

    Raises
    ------
    SessionError
        If a sample is earlier than the one before it.
    """
    backwards = np.flatnonzero(t_us[1:] < t_us[:-1])
    if len(backwards):
        at = int(backwards[0]) + 1
        raise SessionError(
            f"Gaze samples must come in time order, but time runs backwards at sample {at}: "
            f"{t_us[at]} us after {t_us[at - 1]} us.",
            hint="Sort the recording by time, or look for two recordings in one file.",
        )


def map_samples(
    gaze: GazeSamples,
    states: Sequence[ViewerState],
    display: Display,
    *,
    keyframe_us: int | None = None,
) -> MappedGaze:
    """Map gaze onto the slide: display area, desktop, viewer, image.

    Parameters
    ----------
    gaze : GazeSamples
        In time order. The mean of the valid eyes is mapped.
    states : sequence of ViewerState
        All viewers together, in time order.
    display : Display
        Where the tracker's display area lies on the desktop.
    keyframe_us : int, optional
        How often the hook repeats an unchanged state. A state older than three of these is not
        believed any more. None: a state holds until the next.

    Returns
    -------
    MappedGaze
        Empty input gives empty columns.

    Raises
    ------
    SessionError
        If samples or states run backwards in time.
    UsageError
        If `keyframe_us` is not positive.

    Notes
    -----
    The state in force is a viewer's last one with ``t_us`` not after the sample. Where viewers
    overlap, one that nothing covers there wins over one that is covered, and the focused one over
    others.

    Examples
    --------
    >>> from qpgaze.samples import empty_records
    >>> from qpgaze.viewing import Rect
    >>> mapped = map_samples(GazeSamples(empty_records(0)), [], Display(Rect(0, 0, 9, 9), 9, 9))
    >>> len(mapped), mapped.counts()["ok"]
    (0, 0)
    """
    if keyframe_us is not None and keyframe_us <= 0:
        raise UsageError(f"A keyframe interval is positive, but {keyframe_us} us came.")
    t_us = gaze.column("t_us").astype(np.int64, copy=False)
    check_time_order(t_us)
    screen = display_to_screen(display)(gaze.average())
    views = view_table(states)
    landing = _Landing(t_us, screen.xy, views)
    stale_us = None if keyframe_us is None else keyframe_us * KEYFRAMES_UNTIL_UNKNOWN
    for viewer in range(int(views.viewer.max(initial=-1)) + 1):
        landing.try_viewer(viewer, stale_us)
    return landing.result(screen)


# How good a claim on a sample is; the best one of all viewers decides.
_NOTHING, _HIDDEN, _BESIDE, _EMPTY, _UNDER, _ON, _ON_FOCUSED = range(7)
_REASON = np.array(
    [
        LeftOut.NO_STATE,
        LeftOut.NO_IMAGE,
        LeftOut.OFF_VIEWER,
        LeftOut.NO_IMAGE,
        LeftOut.COVERED,
        LeftOut.OK,
        LeftOut.OK,
    ],
    dtype=np.uint8,
)


class _Landing:
    """Finds for every sample the viewer it falls on, one viewer after the other."""

    def __init__(self, t_us: IntArray, screen: FloatArray, views: ViewTable) -> None:
        self.t_us, self.views = t_us, views
        self.x, self.y = np.ascontiguousarray(screen[:, 0]), np.ascontiguousarray(screen[:, 1])
        self.claim = np.full(len(t_us), _NOTHING, dtype=np.uint8)
        self.state = np.full(len(t_us), -1, dtype=np.int64)
        self.cover = np.full(len(t_us), -1, dtype=np.int16)
        self.reason = np.zeros(len(t_us), dtype=np.uint8)

    def try_viewer(self, viewer: int, stale_us: int | None) -> None:
        """Let one viewer claim the samples that fall on it."""
        views = self.views
        rows = np.flatnonzero(views.viewer == viewer)
        row = rows[0] + np.zeros(len(self.t_us), dtype=np.int64)
        begins = np.searchsorted(self.t_us, views.t_us[rows], side="left")
        known = np.arange(len(row)) >= begins[0]
        row[begins[0] :] = np.repeat(rows, np.diff(np.append(begins, len(row))))
        if stale_us is not None:
            known &= self.t_us - views.t_us[row] <= stale_us
        left, top, right, bottom = (column[row] for column in views.box_screen_px.T.copy())
        inside = (self.x >= left) & (self.x < right) & (self.y >= top) & (self.y < bottom)
        with_image = np.where(views.focused, np.uint8(_ON_FOCUSED), np.uint8(_ON))
        on_it = np.where(views.has_image, with_image, np.uint8(_EMPTY))
        beside = np.where(views.has_image, np.uint8(_BESIDE), np.uint8(_HIDDEN))
        claim = np.where(inside, on_it[row], beside[row])
        claim[~views.visible[row]] = _HIDDEN
        claim[~known] = _NOTHING
        cover = self._covers(row, claim >= _ON, self.x - left, self.y - top)
        claim[cover >= 0] = _UNDER
        better = claim > self.claim
        self.claim[better] = claim[better]
        self.cover[better] = cover[better]
        self.state[better] = np.where(claim >= _EMPTY, row, -1)[better]

    def _covers(
        self, row: IntArray, on_slide: BoolArray, u: FloatArray, v: FloatArray
    ) -> npt.NDArray[np.int16]:
        """Tell what covers each sample, -1 for nothing; u and v are ViewerPx."""
        views = self.views
        cover = np.full(len(row), -1, dtype=np.int16)
        for k in range(views.cover_rects.shape[1]):
            # Few samples lie where anything ever covers the slide: only those are looked up.
            low = np.fmin.reduce(views.cover_rects[:, k, :2])
            high = np.fmax.reduce(views.cover_rects[:, k, 2:])
            near = on_slide & (u >= low[0]) & (u < high[0]) & (v >= low[1]) & (v < high[1])
            at = np.flatnonzero(near & (cover < 0))
            group = views.cover[row[at]]
            rect = views.cover_rects[group, k]
            under = (u[at] >= rect[:, 0]) & (u[at] < rect[:, 2])
            under &= (v[at] >= rect[:, 1]) & (v[at] < rect[:, 3])
            cover[at[under]] = views.cover_kind[group[under], k]
        return cover

    def result(self, screen: Points[ScreenPx]) -> MappedGaze:
        """Put everything together."""
        image, downsample = self.onto_slide()
        covered = self.reason == LeftOut.COVERED
        return MappedGaze(
            self.t_us,
            screen,
            Points(ImagePx, image),
            self.reason,
            self.state.astype(np.int32),
            downsample,
            np.where(covered, self.cover, np.int16(-1)),
            self.views.cover_kinds,
            self.views,
        )

    def onto_slide(self) -> tuple[FloatArray, FloatArray]:
        """Carry what fell on a slide onto it; say why of all else."""
        self.reason = _REASON[self.claim]
        invalid = np.isnan(self.x) | np.isnan(self.y)
        self.reason[invalid], self.state[invalid] = LeftOut.INVALID, -1
        image = np.full((len(self.x), 2), np.nan)
        downsample = np.full(len(self.x), np.nan)
        hit = self.reason == LeftOut.OK
        if not hit.any():
            return image, downsample
        row = np.maximum(self.state, 0)
        matrix = self.views.matrix.reshape(-1, 6).T.copy()
        sizes = self.views.size_image_px.T.copy()
        on = hit.copy()
        for axis in (0, 1):
            a, b, c = (column[row] for column in matrix[3 * axis : 3 * axis + 3])
            place = a * self.x + b * self.y + c
            on &= (place >= 0) & (place < sizes[axis][row])
            image[:, axis] = place
        image[~on] = np.nan
        np.copyto(downsample, self.views.downsample[row], where=on)
        self.reason[hit & ~on] = LeftOut.OFF_IMAGE
        return image, downsample
