"""Viewer states as columns: what each sample needs of them, looked up by whole arrays.

A session of ten minutes holds tens of thousands of states; turning each into objects of its own
for every sample would take longer than the reading itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from qpgaze.errors import SessionError
from qpgaze.frames import FloatArray, IntArray
from qpgaze.viewing import Cover, ImageIdentity, Rect, ViewerState

BoolArray = npt.NDArray[np.bool_]
NEVER_US = np.int64(2**62)
"""Further away than any session lasts; half the range, so that differences do not overflow."""
JUMP_SCREEN_PX = 60.0
"""A view that moves further than this at once (more than a degree between two frames) has jumped:
no eye follows that, so before and after are two views, not a pan."""

_RECT = attrgetter("x", "y", "width", "height")
_COVER = attrgetter("kind", "rect_viewer_px.x", "rect_viewer_px.y",
                    "rect_viewer_px.width", "rect_viewer_px.height")  # fmt: skip
H = TypeVar("H", bound=Hashable)


@dataclass(frozen=True, eq=False)
class ViewTable:
    """The states of all viewers, one row a state, in time order.

    Parameters
    ----------
    t_us : (m,) int64
        Session clock.
    viewer : (m,) int64
        Number of the viewer, in the order of appearance.
    box_screen_px : (m, 4) float64
        Left, top, right, bottom of the viewer on the desktop; NaN while it has no place.
    visible, focused : (m,) bool
        Visible: shown, not iconified, with a place on the desktop.
    has_image : (m,) bool
        Whether there is a slide and a way onto it.
    matrix : (m, 2, 3) float64
        ScreenPx to ImagePx, NaN without an image.
    size_image_px : (m, 2) float64
        Width and height of the slide.
    downsample : (m,) float64
    cover : (m,) int64
        Row of `cover_rects`.
    cover_rects : (g, k, 4) float64
        Left, top, right, bottom in ViewerPx of what covers the slide; NaN fills up.
    cover_kind : (g, k) int16
        Index into `cover_kinds`, -1 fills up.
    cover_kinds : tuple of str
    place : (m,) int64
        Equal for equal image, z and t.
    segment : (m,) int64
        Changes with image, plane and zoom of a viewer, and where its view jumps; never shared by
        two viewers.
    pose : (m,) int64
        Changes with anything that moves the picture on the screen.
    pan_start_us, pan_end_us : (m,) int64
        When the present pose followed and will be followed by another of the same segment:
        far away where it was not, or will not.
    change_start_us, change_end_us : (m,) int64
        The same for a change of any kind.
    """

    t_us: IntArray
    viewer: IntArray
    box_screen_px: FloatArray
    visible: BoolArray
    focused: BoolArray
    has_image: BoolArray
    matrix: FloatArray
    size_image_px: FloatArray
    downsample: FloatArray
    cover: IntArray
    cover_rects: FloatArray
    cover_kind: npt.NDArray[np.int16]
    cover_kinds: tuple[str, ...]
    place: IntArray
    segment: IntArray
    pose: IntArray
    pan_start_us: IntArray
    pan_end_us: IntArray
    change_start_us: IntArray
    change_end_us: IntArray

    def __len__(self) -> int:
        return len(self.t_us)


def view_table(states: Sequence[ViewerState]) -> ViewTable:
    """Turn viewer states into columns.

    Parameters
    ----------
    states : sequence of ViewerState
        All viewers together, in time order.

    Raises
    ------
    SessionError
        If time runs backwards.
    """
    corners = [s.corners_image_px for s in states]
    downsample = [s.downsample for s in states]
    t_us = np.array([s.t_us for s in states], dtype=np.int64)
    backwards = np.flatnonzero(np.diff(t_us) < 0)
    if len(backwards):
        at = int(backwards[0]) + 1
        raise SessionError(
            "Viewer states must come in time order, but time runs backwards at state "
            f"{at}: {t_us[at]} us after {t_us[at - 1]} us.",
            hint="Sort the viewer log by time, or look for two logs in one file.",
        )
    viewer = _codes([s.viewer for s in states])[0]
    image, distinct = _codes([s.image for s in states])
    box = _boxes([s.bounds_screen_px for s in states])
    scale = np.array(downsample, dtype=np.float64)
    matrix = _matrices(corners, box)
    sizes = [(i.width_px, i.height_px) if i is not None else (0, 0) for i in distinct]
    size = np.array(sizes, np.float64).reshape(-1, 2)[image]
    has_image = np.asarray(np.isfinite(matrix).all(axis=(1, 2)) & (size > 0).all(axis=1))
    place = image
    for plane in ([s.z for s in states], [s.t for s in states]):
        low = min(plane, default=0)
        place = place * (max(plane, default=0) - low + 1) + (np.array(plane, np.int64) - low)
    visible = np.array([s.shown and not s.iconified for s in states], dtype=np.bool_)
    visible &= (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
    # A viewer out of sight or without an image is another view than one that shows something.
    what = np.where(visible & has_image, place, -1)
    segment, pose, times = _changes(t_us, viewer, what, scale, matrix, box)
    focused = np.array([s.focused for s in states], dtype=np.bool_)
    group, distinct_covers = _codes([s.covers for s in states])
    rects, kind, kinds = _cover_table(distinct_covers)
    return ViewTable(
        t_us, viewer, box, visible, focused, has_image, matrix,
        size, scale, group, rects, kind, kinds, place, segment, pose, *times,
    )  # fmt: skip


def _codes(values: Iterable[H]) -> tuple[IntArray, list[H]]:
    """Give equal values equal numbers; most are equal to the one before, or the same object."""
    seen: dict[H, int] = {}
    codes: list[int] = []
    last: Any = seen  # equal to nothing that comes
    code = -1
    for value in values:
        if value is not last and value != last:
            code = seen.setdefault(value, len(seen))
        last = value
        codes.append(code)
    return np.array(codes, dtype=np.int64), list(seen)


def _boxes(rects: Sequence[Rect | None]) -> FloatArray:
    nowhere = (np.nan,) * 4
    flat = chain.from_iterable(nowhere if rect is None else _RECT(rect) for rect in rects)
    box = np.fromiter(flat, np.float64).reshape(-1, 4)
    box[:, 2:] += box[:, :2]
    return box


def _matrices(
    corners: Sequence[tuple[tuple[float, float], ...] | None], box: FloatArray
) -> FloatArray:
    """Compose ScreenPx -> ViewerPx -> ImagePx for every state; NaN where there is no way."""
    nowhere = ((np.nan, np.nan),) * 3
    pairs = chain.from_iterable(nowhere if three is None else three for three in corners)
    xy = np.fromiter(chain.from_iterable(pairs), np.float64)
    if len(xy) != 6 * len(corners):
        raise SessionError(
            "A viewer state gives the image positions of three corners as (x, y), but another "
            "number came.",
            hint="Look at 'corners' in the viewer log.",
        )
    corner = xy.reshape(-1, 3, 2)
    size = np.where(box[:, 2:] > box[:, :2], box[:, 2:] - box[:, :2], np.nan)
    matrix = np.empty((len(corners), 2, 3))
    matrix[:, :, :2] = ((corner[:, 1:] - corner[:, :1]) / size[:, :, None]).transpose(0, 2, 1)
    matrix[:, :, 2] = corner[:, 0] - np.einsum("nij,nj->ni", matrix[:, :, :2], box[:, :2])
    determinant = matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0]
    matrix[~(np.abs(determinant) > 1e-12)] = np.nan
    return matrix


def _changes(
    t_us: IntArray,
    viewer: IntArray,
    what: IntArray,
    downsample: FloatArray,
    matrix: FloatArray,
    box: FloatArray,
) -> tuple[IntArray, IntArray, tuple[IntArray, ...]]:
    """Tell for every state which segment and pose it belongs to, and from when to when."""
    n = len(t_us)
    segment, pose = np.zeros(n, np.int64), np.zeros(n, np.int64)
    # Order: pan start, pan end, change start, change end.
    times = tuple(np.full(n, sign * NEVER_US) for sign in (-1, 1, -1, 1))
    flat = np.nan_to_num(matrix.reshape(n, 6))
    segments = poses = 0
    for v in range(int(viewer.max(initial=-1)) + 1):
        rows = np.flatnonzero(viewer == v)
        cut = np.diff(what[rows]) != 0
        # A hook sends what QuPath computes; the last digits may waver without any zoom.
        cut |= np.abs(np.diff(downsample[rows])) > 1e-6 * downsample[rows][1:]
        cut |= _leaps(matrix[rows], box[rows]) > JUMP_SCREEN_PX * downsample[rows][1:]
        moved = cut | (
            np.abs(np.diff(flat[rows], axis=0)) > 1e-9 * (1 + np.abs(flat[rows][1:]))
        ).any(axis=1)
        segment[rows] = segments + np.concatenate([[0], np.cumsum(cut)])
        pose[rows] = poses + np.concatenate([[0], np.cumsum(moved)])
        segments, poses = segment[rows[-1]] + 1, pose[rows[-1]] + 1
        first = np.concatenate([[0], np.flatnonzero(moved) + 1])
        length = np.diff(np.append(first, len(rows)))
        is_pan = ~cut[first[1:] - 1]
        at = t_us[rows[first[1:]]]
        for start, end, wanted in (
            (times[0], times[1], is_pan),
            (times[2], times[3], is_pan | True),
        ):
            start[rows] = np.repeat(
                np.concatenate([[-NEVER_US], np.where(wanted, at, -NEVER_US)]), length
            )
            end[rows] = np.repeat(np.append(np.where(wanted, at, NEVER_US), NEVER_US), length)
    return segment, pose, times


def _leaps(matrix: FloatArray, box: FloatArray) -> FloatArray:
    """Return how far the slide moved under any corner of the viewer since the state before."""
    step = np.diff(matrix, axis=0)
    farthest = np.zeros(len(step))
    for x, y in ((0, 1), (2, 1), (0, 3), (2, 3)):
        corner = box[1:, [x, y]]
        moved = (step[:, :, :2] * corner[:, None, :]).sum(axis=2) + step[:, :, 2]
        farthest = np.fmax(farthest, np.hypot(moved[:, 0], moved[:, 1]))
    return farthest


def _cover_table(
    groups: Sequence[tuple[Cover, ...]],
) -> tuple[FloatArray, npt.NDArray[np.int16], tuple[str, ...]]:
    most = max(map(len, groups), default=0)
    rects = np.full((len(groups), most, 4), np.nan)
    kind = np.full((len(groups), most), -1, dtype=np.int16)
    kinds: dict[str, int] = {}
    for g, covers in enumerate(groups):
        for k, cover in enumerate(covers):
            name, x, y, width, height = _COVER(cover)
            kind[g, k] = kinds.setdefault(name, len(kinds))
            rects[g, k] = x, y, x + width, y + height
    return rects, kind, tuple(kinds)


def image_of(states: Sequence[ViewerState], state: int) -> ImageIdentity:
    """Return the slide of a state that gaze was mapped by.

    Raises
    ------
    SessionError
        If that state shows none: gaze and states do not belong together.
    """
    image = states[state].image
    if image is None:
        raise SessionError(
            f"Viewer state {state} shows no image, though gaze was mapped by it.",
            hint="Give the same states that the gaze was mapped with.",
        )
    return image
