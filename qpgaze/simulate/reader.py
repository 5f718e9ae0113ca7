"""A simulated reader: search, notice, zoom in, look closer, label, go on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import shapely
import shapely.affinity
from shapely.geometry.base import BaseGeometry

from qpgaze.model import Event
from qpgaze.simulate.eye import EyePath, Follow, Rest, Saccade
from qpgaze.simulate.navigation import Pose, Viewer, anchored
from qpgaze.simulate.records import TruthFixation, TruthLabel, TruthObject
from qpgaze.simulate.saccades import saccade_duration_ms
from qpgaze.simulate.settings import ReaderSettings

FloatArray = npt.NDArray[np.float64]

PURSUIT_LAG_US = 50_000
"""The eye trails a view that its own hand moves by about so much."""
_MS = 1000


class SimulatedReader:
    """One reader at one slide; :meth:`read` runs the whole session.

    Parameters
    ----------
    viewer : Viewer
    objects : sequence of TruthObject
    tissue : shapely geometry, ImagePx
        Where the reader searches.
    settings : ReaderSettings
    closest_downsample : float
        The reader zooms in no further.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        viewer: Viewer,
        objects: Sequence[TruthObject],
        tissue: BaseGeometry,
        settings: ReaderSettings,
        *,
        closest_downsample: float,
        rng: np.random.Generator,
    ) -> None:
        self.viewer = viewer
        self.objects = _tour(objects)
        self.tissue = tissue
        self.settings = settings
        self.closest = closest_downsample
        self.px_per_deg = viewer.display.screen_px_per_degree()
        self.rng = rng
        self.path = EyePath()
        self.fixations: list[TruthFixation] = []
        self.labels: list[TruthLabel] = []
        self.events: list[Event] = []
        self.visit = -1
        self._object: TruthObject | None = None
        box = viewer.bounds
        centre = (box.x + box.width / 2, box.y + box.height / 2)
        self.path.add(Rest(0, 400 * _MS, *centre, 0.0, 0.0))
        self._record(0, 400 * _MS, centre, "overview")

    # -- the session ---------------------------------------------------------------------------

    def read(self) -> None:
        """Read the slide from the first overview to the last object."""
        for _ in range(self.settings.overview_fixations):
            self._search_once("overview")
        targets = sum(o.target for o in self.objects)
        turn_at, turn_back = int(0.4 * targets), max(int(0.4 * targets) + 1, int(0.7 * targets))
        done = 0
        for thing in self.objects:
            if thing.target and self.settings.rotation_deg:
                if done == turn_at:
                    self._turn(math.radians(self.settings.rotation_deg))
                elif done == turn_back:
                    self._turn(0.0)
            done += thing.target
            share = self.settings.missed_share if thing.target else self.settings.lookalike_share
            chosen = self.rng.random() < share
            if chosen == thing.target:  # missed targets, look-alikes that are not looked at
                continue
            self._approach(thing)
            self._inspect(thing)
        fit = Pose(
            self.viewer.image.width_px / 2,
            self.viewer.image.height_px / 2,
            self.viewer.fit_downsample,
            self.viewer.pose.rotation_rad,
        )
        self._move(fit, "navigate")
        for _ in range(2):
            self._search_once("overview")

    def _approach(self, thing: TruthObject) -> None:
        """Bring an object into sight at search magnification, search, and notice it."""
        x, y = _centre(thing.geometry)
        size = _extent(thing.geometry)
        fit = self.viewer.fit_downsample
        d = min(fit * 0.7, max(size / 45.0, self.closest * 2.0))
        d = max(min(d, fit), self.closest)
        box = self.viewer.bounds
        off = self.rng.uniform(-0.28, 0.28, 2)
        u, v = float(off[0]) * box.width, float(off[1]) * box.height
        here = replace(self.viewer.pose, downsample=d)
        self._move(replace(self.viewer.pose, downsample=d), "navigate")
        self._move(anchored(here, x, y, u, v), "navigate")
        if self.rng.random() < self.settings.glance_share:
            self._glance()
        low, high = self.settings.search_fixations
        for _ in range(int(self.rng.integers(low, high + 1))):
            self._search_once("search")
        self._object = thing
        self.visit += 1
        self._look(x, y, "notice")

    def _inspect(self, thing: TruthObject) -> None:
        """Zoom in on a noticed object, look closer, label it where it is (or seems) a target."""
        mistaken = (not thing.target) and self.rng.random() < self.settings.false_label_share
        labels = thing.target or mistaken
        fill = float(self.rng.uniform(*self.settings.close_fill))
        d = max(self.closest, _extent(thing.geometry) / (fill * self.viewer.bounds.height))
        if not labels:
            d *= 1.6  # a look-alike is often told from a little further away
        d = min(d, self.viewer.pose.downsample)
        x, y = _centre(thing.geometry)
        self._move(replace(self.viewer.pose, downsample=d), "navigate", anchor=(x, y))
        jitter = self.rng.normal(0.0, 0.03, 2) * self.viewer.bounds.height
        self._move(anchored(self.viewer.pose, x, y, float(jitter[0]), float(jitter[1])), "navigate")
        low, high = self.settings.fixations if labels else (2, 3)
        start = self._examine(
            thing, int(self.rng.integers(low, high + 1)), "examine" if labels else "check"
        )
        end = self.path.end_us
        if labels:
            self._press(thing, start, end, correct=thing.target)
        self._object = None
        for _ in range(int(self.rng.integers(1, 3))):
            self._search_once("leave")
        if mistaken and self.rng.random() < self.settings.undo_share:
            self._undo()

    # -- the hand ------------------------------------------------------------------------------

    def _press(self, thing: TruthObject, start_us: int, end_us: int, *, correct: bool) -> None:
        """Label what was looked at from `start_us` to `end_us`, late as hands are."""
        kind, name = self.settings.label_event, thing.class_name
        down, up = start_us + self._key_lag_us(), end_us + self._key_lag_us()
        down = min(down, up - 50 * _MS)
        if kind == "mark":
            # Decided during the last look; pressed a reaction later.
            decided = self.fixations[-1].start_us
            self._event(decided + self._key_lag_us(), {"event": "mark", "class": name})
        else:
            self._event(down, {"event": kind, "class": name, "down": True})
            self._event(up, {"event": kind, "class": name, "down": False})
        self.labels.append(TruthLabel(thing.id, name, start_us, end_us, correct))

    def _undo(self) -> None:
        last = self.labels[-1]
        # After the key that ended the label, whatever its lag.
        at = max(self.path.end_us, self.events[-1].t_us) + 300 * _MS
        self._event(at, {"event": "undo", "class": last.class_name})
        self.labels[-1] = replace(last, undone=True)
        while self.path.end_us < at:
            self._search_once("leave")

    def _event(self, t_us: int, data: dict[str, object]) -> None:
        self.events.append(Event(t_us, "label", data))

    def _key_lag_us(self) -> int:
        lag = self.rng.normal(self.settings.key_lag_ms, self.settings.key_lag_sd_ms)
        return round(_MS * max(float(lag), min(100.0, self.settings.key_lag_ms)))

    def _turn(self, rotation_rad: float) -> None:
        self._move(replace(self.viewer.pose, rotation_rad=rotation_rad), "navigate")

    def _move(self, target: Pose, phase: str, anchor: tuple[float, float] | None = None) -> None:
        """Zoom, pan or turn while the eye follows what it rests on, then settles."""
        pose = self.viewer.pose
        octaves = abs(math.log2(target.downsample / pose.downsample))
        way = math.hypot(
            target.cx_image_px - pose.cx_image_px, target.cy_image_px - pose.cy_image_px
        ) / min(target.downsample, pose.downsample)
        turn = abs(target.rotation_rad - pose.rotation_rad)
        if octaves < 0.05 and way < 2.0 and turn < 1e-6:
            return
        duration = 80.0 + 130.0 * octaves + (0.0 if anchor else 0.25 * way) + 600.0 * turn
        start = self.path.end_us
        held = self.viewer.to_image(*self.path.end_screen_px())
        end = self.viewer.animate(start, min(duration, 1500.0), target, anchor)
        settle = round(_MS * float(self.rng.uniform(60.0, 160.0))) + PURSUIT_LAG_US
        times, track = self.viewer.track(*held, start)
        inside = self._stays_in_viewer(track)
        self.path.add(Follow(start, end + settle, PURSUIT_LAG_US, times, inside))
        self._record_follow(start, end + settle, held, phase, bool((inside == track).all()))

    def _stays_in_viewer(self, track: FloatArray) -> FloatArray:
        """Keep the eye within the viewer, where what it followed leaves it."""
        box = self.viewer.bounds
        low = np.array([box.x + 20.0, box.y + 20.0])
        high = low + np.array([box.width - 40.0, box.height - 40.0])
        return np.asarray(np.clip(track, low, high), dtype=np.float64)

    # -- the eye -------------------------------------------------------------------------------

    def _examine(self, thing: TruthObject, count: int, phase: str) -> int:
        """Spread fixations over an object; return when the first begins."""
        start = -1
        pan_at = int(self.rng.integers(1, count + 1)) if count > 1 else 0
        pans = self.rng.random() < self.settings.pan_share
        seen: list[tuple[float, float]] = []
        shape = thing.geometry
        if self.settings.coverage == "core":
            centre = shape.centroid
            shrink = self.settings.core_share
            shape = shapely.affinity.scale(shape, shrink, shrink, origin=(centre.x, centre.y))
        for number in range(count):
            point = self._unseen_point(shape, seen)
            seen.append(point)
            self._look(*point, phase)
            start = self.fixations[-1].start_us if number == 0 else start
            if pans and number + 1 == pan_at < count:
                pose, box = self.viewer.pose, self.viewer.bounds
                move = self.rng.uniform(-0.1, 0.1, 2) * box.height
                cx, cy = pose.to_image(float(move[0]), float(move[1]))
                self._move(replace(pose, cx_image_px=cx, cy_image_px=cy), phase)
        return start

    def _unseen_point(
        self, shape: BaseGeometry, seen: list[tuple[float, float]]
    ) -> tuple[float, float]:
        """Draw a place on a shape; eyes tend not to return to where they just were."""
        candidates = [self._point_in(shape) for _ in range(3)]
        if not seen:
            return candidates[0]
        last = seen[-2:]
        return max(candidates, key=lambda p: min(math.dist(p, q) for q in last))

    def _point_in(self, shape: BaseGeometry) -> tuple[float, float]:
        x0, y0, x1, y1 = shape.bounds
        draws = self.rng.random((64, 2))
        x, y = x0 + draws[:, 0] * (x1 - x0), y0 + draws[:, 1] * (y1 - y0)
        inside = np.flatnonzero(shapely.contains_xy(shape, x, y))
        if not len(inside):
            return _centre(shape)
        return float(x[inside[0]]), float(y[inside[0]])

    def _search_once(self, phase: str) -> None:
        """Look somewhere on the tissue in view; anywhere in view where there is none."""
        for _ in range(12):
            x, y = self._point_in(self.tissue)
            if self.viewer.in_view(x, y):
                break
        else:
            box = self.viewer.bounds
            u, v = (self.rng.random(2) - 0.5) * 0.7
            x, y = self.viewer.pose.to_image(float(u) * box.width, float(v) * box.height)
        self._look(x, y, phase)

    def _glance(self) -> None:
        """Look at the overview map or at the panel beside the viewer."""
        box, cover = self.viewer.bounds, self.viewer.covers[0].rect_viewer_px
        share = self.rng.random(2)
        if self.rng.random() < 0.7:
            place = (
                box.x + cover.x + float(share[0]) * cover.width,
                box.y + cover.y + float(share[1]) * cover.height,
            )
        else:
            place = (box.x * (0.2 + 0.6 * float(share[0])), box.y + float(share[1]) * box.height)
        self._jump_and_rest(place, "glance")

    def _look(self, x: float, y: float, phase: str) -> None:
        self._jump_and_rest(self.viewer.to_screen(x, y), phase)

    def _jump_and_rest(self, aim: tuple[float, float], phase: str) -> None:
        """Make a saccade towards a screen position and rest where it lands."""
        begin = self.path.end_screen_px()
        spread = self.settings.landing_share * math.dist(begin, aim)
        error = self.rng.normal(0.0, 1.0, 2) * spread
        place = (aim[0] + float(error[0]), aim[1] + float(error[1]))
        median, sigma = self.settings.fixation_median_ms, self.settings.fixation_sigma
        duration = float(np.clip(median * math.exp(sigma * self.rng.normal()), 90.0, 1500.0))
        length = round(duration * _MS)
        speed = self.settings.drift_deg_per_s * self.px_per_deg / 1e6
        angle = float(self.rng.uniform(0.0, 2.0 * math.pi))
        drift = (speed * math.cos(angle), speed * math.sin(angle))
        landing = (place[0] - drift[0] * length / 2, place[1] - drift[1] * length / 2)
        amplitude = math.dist(begin, landing) / self.px_per_deg
        start = self.path.end_us
        land = start + round(_MS * saccade_duration_ms(amplitude))
        self.path.add(Saccade(start, land, begin, landing))
        self.path.add(Rest(land, land + length, *place, *drift))
        self._record(land, land + length, place, phase)

    # -- the truth -----------------------------------------------------------------------------

    def _record(self, start: int, end: int, place: tuple[float, float], phase: str) -> None:
        inside = phase != "glance"
        x, y = self.viewer.to_image(*place) if inside else (math.nan, math.nan)
        thing = self._object if inside else None
        self.fixations.append(
            TruthFixation(
                start_us=start,
                end_us=end,
                x_image_px=x,
                y_image_px=y,
                x_screen_px=place[0],
                y_screen_px=place[1],
                downsample=self.viewer.pose.downsample,
                phase=phase,
                object_id=thing.id if thing else None,
                visit=self.visit if thing else -1,
            )
        )

    def _record_follow(
        self, start: int, end: int, held: tuple[float, float], phase: str, kept: bool
    ) -> None:
        thing = self._object
        self.fixations.append(
            TruthFixation(
                start_us=start,
                end_us=end,
                x_image_px=held[0] if kept else math.nan,
                y_image_px=held[1] if kept else math.nan,
                x_screen_px=math.nan,
                y_screen_px=math.nan,
                downsample=self.viewer.pose.downsample,
                phase=phase,
                object_id=thing.id if thing else None,
                visit=self.visit if thing else -1,
                moving=True,
            )
        )


def _centre(shape: BaseGeometry) -> tuple[float, float]:
    x0, y0, x1, y1 = shape.bounds
    return (x0 + x1) / 2, (y0 + y1) / 2


def _extent(shape: BaseGeometry) -> float:
    x0, y0, x1, y1 = shape.bounds
    return max(x1 - x0, y1 - y0, 1.0)


def _tour(objects: Sequence[TruthObject]) -> list[TruthObject]:
    """Order objects as a reader meets them: always on to the nearest, from the top left."""
    left, here, order = list(objects), (0.0, 0.0), []
    while left:
        nearest = min(left, key=lambda o: math.dist(here, _centre(o.geometry)))
        left.remove(nearest)
        order.append(nearest)
        here = _centre(nearest.geometry)
    return order
