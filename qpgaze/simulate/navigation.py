"""A QuPath viewer that zooms, pans and turns, and the states that a hook would log of it."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qpgaze.viewing import Cover, Display, ImageIdentity, Rect, ViewerState

FloatArray = npt.NDArray[np.float64]

PULSE_MS = (16.7, 19.0)
"""A JavaFX pulse under load comes after so long (least, most)."""


@dataclass(frozen=True)
class Pose:
    """Which part of the slide a viewer shows.

    Parameters
    ----------
    cx_image_px, cy_image_px : float
        Slide position at the viewer's centre.
    downsample : float
        Image pixels per viewer pixel.
    rotation_rad : float
        Positive turns the picture clockwise on the screen.
    """

    cx_image_px: float
    cy_image_px: float
    downsample: float
    rotation_rad: float = 0.0

    def to_image(self, u: float, v: float) -> tuple[float, float]:
        """Map an offset from the viewer's centre (px, y down) onto the slide.

        Notes
        -----
        QuPath's own mapping: ``X = cx + d(cos t u + sin t v)``, ``Y = cy + d(-sin t u + cos t v)``.

        Examples
        --------
        >>> Pose(100.0, 50.0, 2.0).to_image(3.0, -4.0)
        (106.0, 42.0)
        """
        (cos, sin), d = _cos_sin(self.rotation_rad), self.downsample
        return (
            self.cx_image_px + d * (cos * u + sin * v),
            self.cy_image_px + d * (-sin * u + cos * v),
        )

    def to_offset(self, x: float, y: float) -> tuple[float, float]:
        """Map a slide position to an offset from the viewer's centre, px."""
        cos, sin = _cos_sin(self.rotation_rad)
        dx = (x - self.cx_image_px) / self.downsample
        dy = (y - self.cy_image_px) / self.downsample
        return cos * dx - sin * dy, sin * dx + cos * dy


def _cos_sin(angle_rad: float) -> tuple[float, float]:
    """Return cosine and sine, to 12 decimals: the last bits differ between machines."""
    return round(math.cos(angle_rad), 12), round(math.sin(angle_rad), 12)


def anchored(pose: Pose, x: float, y: float, u: float, v: float) -> Pose:
    """Return `pose` moved so that slide position (x, y) lies at offset (u, v) from its centre."""
    was_x, was_y = pose.to_image(u, v)
    return replace(
        pose, cx_image_px=pose.cx_image_px + x - was_x, cy_image_px=pose.cy_image_px + y - was_y
    )


class Viewer:
    """One viewer on the screen, and every pose it was painted with.

    Parameters
    ----------
    display : Display
    image : ImageIdentity
    rng : numpy.random.Generator
        Draws the lengths of the pulses.
    """

    def __init__(self, display: Display, image: ImageIdentity, rng: np.random.Generator) -> None:
        screen = display.bounds_screen_px
        # QuPath's usual window: panels at the left, menu and toolbar above, a status line below.
        # Odd sizes, because a viewer's size need not be a whole number of pixels.
        left, top = round(0.168 * screen.width, 1), round(0.081 * screen.height, 1)
        low = round(0.03 * screen.height, 1)
        self.bounds = Rect(
            screen.x + left,
            screen.y + top,
            round(screen.width - left - 8.0, 1),
            round(screen.height - top - low, 1),
        )
        self.display = display
        self.image = image
        self._rng = rng
        # QuPath takes whole pixels, rounded up, for the centre of its mapping.
        self._half = (math.ceil(self.bounds.width) / 2, math.ceil(self.bounds.height) / 2)
        fit = max(image.width_px / self.bounds.width, image.height_px / self.bounds.height)
        self.fit_downsample = fit * 1.05
        self.pose = _rounded(Pose(image.width_px / 2, image.height_px / 2, self.fit_downsample))
        self.times_us: list[int] = [0]
        self.poses: list[Pose] = [self.pose]
        self.covers = _covers(self.bounds, image)

    def screen_to_offset(self, x: float, y: float) -> tuple[float, float]:
        """Map a screen position to an offset from the viewer's centre, px."""
        return x - self.bounds.x - self._half[0], y - self.bounds.y - self._half[1]

    def offset_to_screen(self, u: float, v: float) -> tuple[float, float]:
        """Map an offset from the viewer's centre to a screen position, px."""
        return u + self.bounds.x + self._half[0], v + self.bounds.y + self._half[1]

    def to_screen(self, x: float, y: float, pose: Pose | None = None) -> tuple[float, float]:
        """Map a slide position to the screen, px."""
        return self.offset_to_screen(*(pose or self.pose).to_offset(x, y))

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Map a screen position onto the slide, level-0 px."""
        return self.pose.to_image(*self.screen_to_offset(x, y))

    def in_view(self, x: float, y: float, margin: float = 0.06) -> bool:
        """Tell whether a slide position is well visible now, and under nothing."""
        sx, sy = self.to_screen(x, y)
        box = self.bounds
        u, v = (sx - box.x) / box.width, (sy - box.y) / box.height
        if not (margin <= u <= 1 - margin and margin <= v <= 1 - margin):
            return False
        point = np.array([[sx - box.x, sy - box.y]])
        return not any(cover.rect_viewer_px.contains(point)[0] for cover in self.covers)

    def animate(
        self,
        start_us: int,
        duration_ms: float,
        target: Pose,
        anchor_image_px: tuple[float, float] | None = None,
    ) -> int:
        """Move to another pose, pulse by pulse, and return when it is reached.

        Parameters
        ----------
        start_us : int
        duration_ms : float
        target : Pose
        anchor_image_px : (x, y), optional
            Stays where it is on the screen (as the point under the cursor does while the wheel
            zooms); the centre of `target` then follows from that.
        """
        begin = self.pose
        anchor_offset = begin.to_offset(*anchor_image_px) if anchor_image_px else None
        at, end = start_us, start_us + max(1, round(duration_ms * 1000))
        while at < end:
            at = min(end, at + round(1000 * self._rng.uniform(*PULSE_MS)))
            share = (at - start_us) / (end - start_us)
            pose = _between(begin, target, share * share * (3.0 - 2.0 * share))
            if anchor_image_px and anchor_offset:
                pose = anchored(pose, *anchor_image_px, *anchor_offset)
            self.pose = _rounded(pose)
            self.times_us.append(at)
            self.poses.append(self.pose)
        return end

    def track(self, x: float, y: float, start_us: int) -> tuple[FloatArray, FloatArray]:
        """Tell where a slide position was on the screen since `start_us`: times (m,), xy (m, 2)."""
        first = max(0, bisect_right(self.times_us, start_us) - 1)
        xy = [self.to_screen(x, y, pose) for pose in self.poses[first:]]
        return np.array(self.times_us[first:], dtype=np.float64), np.array(xy)

    def states(
        self, end_us: int, keyframe_ms: int, viewer_origin_us: int, sync_error_us: int
    ) -> tuple[ViewerState, ...]:
        """Return what the hook logged until `end_us`, keyframes included.

        Parameters
        ----------
        end_us : int
            True time; the session clock.
        keyframe_ms : int
            A state that has stood so long is sent again.
        viewer_origin_us : int
            What the viewer's clock showed at the session's start.
        sync_error_us : int
            By so much the stamps on the session clock are too late.
        """
        log: list[tuple[int, Pose]] = []
        gap = keyframe_ms * 1000
        ends = [*self.times_us[1:], end_us + 1]
        for at, until, pose in zip(self.times_us, ends, self.poses, strict=True):
            log.extend((t, pose) for t in range(at, until, gap))
        return tuple(self._state(t, pose, viewer_origin_us, sync_error_us) for t, pose in log)

    def _state(self, t_us: int, pose: Pose, origin_us: int, error_us: int) -> ViewerState:
        box = self.bounds
        left, top = -self._half[0], -self._half[1]
        right, bottom = left + box.width, top + box.height
        places = ((left, top), (right, top), (left, bottom))
        corners = tuple(
            # Seven decimals are exact but under rotation, and shorten the log.
            (round(x, 7), round(y, 7))
            for x, y in (pose.to_image(u, v) for u, v in places)
        )
        return ViewerState(
            # What stood at the start was sent before it, so that no sample precedes every state.
            t_us=max(0, t_us + error_us) if t_us else 0,
            viewer="1",
            image=self.image,
            corners_image_px=corners,
            downsample=pose.downsample,
            rotation_rad=pose.rotation_rad,
            bounds_screen_px=box,
            screen_bounds_px=self.display.bounds_screen_px,
            screen_scale=self.display.scale,
            covers=self.covers,
            read_us=t_us + origin_us,
            painted_us=t_us + origin_us,
        )


def _between(begin: Pose, target: Pose, share: float) -> Pose:
    """Interpolate two poses; zoom evenly in octaves, as a wheel does."""
    if share >= 1.0:
        return target
    ratio = target.downsample / begin.downsample
    return Pose(
        begin.cx_image_px + share * (target.cx_image_px - begin.cx_image_px),
        begin.cy_image_px + share * (target.cy_image_px - begin.cy_image_px),
        begin.downsample * ratio**share,
        begin.rotation_rad + share * (target.rotation_rad - begin.rotation_rad),
    )


def _rounded(pose: Pose) -> Pose:
    """Cut what differs between machines in the last bit, so that a session's bytes do not."""
    return Pose(
        round(pose.cx_image_px, 4),
        round(pose.cy_image_px, 4),
        round(pose.downsample, 4),
        round(pose.rotation_rad, 6),
    )


def _covers(bounds: Rect, image: ImageIdentity) -> tuple[Cover, ...]:
    """Return what QuPath draws over the slide: overview map, scale bar, location text."""
    map_width = 150.0
    map_height = round(min(250.0, map_width * image.height_px / image.width_px))
    right, low = round(bounds.width, 1), round(bounds.height - 45.0, 1)
    return (
        Cover("overview", Rect(round(right - map_width - 10.0, 1), 10.0, map_width, map_height)),
        Cover("scalebar", Rect(10.0, low, 120.0, 35.0)),
        Cover("location", Rect(round(right - 170.0, 1), low, 160.0, 35.0)),
    )
