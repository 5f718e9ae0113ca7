"""Coordinate frames and clocks, so that a mix-up is refused by the type checker and at run time.

A frame is an empty marker class. ``Points[ViewerPx]`` cannot be passed where ``Points[ImagePx]``
is expected: a type checker sees the parameter, and the functions here compare the marker that
each value carries. Clocks work alike: a time is microseconds on a named clock.

The way of a gaze sample::

    Adcs --(display area on its monitor)--> ScreenPx --(view bounds)--> ViewerPx
         --(three corners from QuPath)----> ImagePx --(pixel size)----> Micron
                                                     --(tile)---------> TilePx
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from qpgaze.errors import FrameError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Frame:
    """A coordinate frame; never instantiated."""


class Adcs(Frame):
    """Active display coordinates: 0..1 of the tracker's display area, top-left, y down.

    Values outside 0..1 are allowed: the eye looked beside the screen.
    """


class ScreenPx(Frame):
    """JavaFX logical pixels of the whole desktop, y down. Physical pixels = logical x scale."""


class ViewerPx(Frame):
    """Logical pixels from the top-left of one QuPath viewer component, y down."""


class ImagePx(Frame):
    """Level-0 pixels of the slide, continuous: pixel i covers [i, i + 1), y down."""


class Micron(Frame):
    """Level-0 pixels x pixel size, micron; x and y may have different sizes."""


class TilePx(Frame):
    """Pixels inside an exported tile, after resampling, y down."""


class Clock:
    """A clock that counts microseconds from an origin of its own; never instantiated."""


class DeviceClock(Clock):
    """The eye tracker's own clock."""


class HostClock(Clock):
    """The recording computer's monotonic clock (``time.perf_counter_ns() / 1000``)."""


class ViewerClock(Clock):
    """The clock of the hook inside QuPath (``System.nanoTime() / 1000``)."""


class SessionClock(Clock):
    """Microseconds since a session began: the one clock that mapping and labels use (``t_us``)."""


F = TypeVar("F", bound=Frame)
S = TypeVar("S", bound=Frame)
T = TypeVar("T", bound=Frame)
U = TypeVar("U", bound=Frame)
C = TypeVar("C", bound=Clock)
D = TypeVar("D", bound=Clock)


def require(expected: type[Frame] | type[Clock], came: type[Frame] | type[Clock]) -> None:
    """Refuse a value of another frame or clock.

    Raises
    ------
    FrameError
        If `came` is not `expected`.

    Examples
    --------
    >>> require(ImagePx, ViewerPx)
    Traceback (most recent call last):
    ...
    qpgaze.errors.FrameError: Expected ImagePx, but ViewerPx came.
    """
    if came is not expected:
        raise FrameError(f"Expected {expected.__name__}, but {came.__name__} came.")


def _frozen(array: npt.ArrayLike, dtype: type[np.generic], shape_tail: tuple[int, ...]) -> Any:
    value = np.array(array, dtype=dtype, copy=True)
    if value.size == 0:
        value = value.reshape((0, *shape_tail))
    if value.shape[1:] != shape_tail or value.ndim != 1 + len(shape_tail):
        wanted = ", ".join(["n", *map(str, shape_tail)])
        raise FrameError(f"Expected an array of shape ({wanted}), but {value.shape} came.")
    value.setflags(write=False)
    return value


@dataclass(frozen=True, eq=False, init=False)
class Points(Generic[F]):
    """Points in one frame.

    Parameters
    ----------
    frame : type[Frame]
    xy : array_like, (n, 2), float64
        Column order x, y. NaN marks a point that does not exist. Copied and frozen.

    Raises
    ------
    FrameError
        If `xy` has another shape.

    Examples
    --------
    >>> Points(ImagePx, [[3, 4], [5, 6]]).x
    array([3., 5.])
    """

    frame: type[F]
    xy: FloatArray

    def __init__(self, frame: type[F], xy: npt.ArrayLike) -> None:
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "xy", _frozen(xy, np.float64, (2,)))

    @property
    def x(self) -> FloatArray:
        """The x coordinates, (n,)."""
        return self.xy[:, 0]

    @property
    def y(self) -> FloatArray:
        """The y coordinates, (n,)."""
        return self.xy[:, 1]

    def __len__(self) -> int:
        return len(self.xy)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return ((float(x), float(y)) for x, y in self.xy)

    def __getitem__(self, index: slice | npt.NDArray[Any]) -> Points[F]:
        return Points(self.frame, self.xy[index])

    def expect(self, frame: type[T]) -> Points[T]:
        """Return these points if they are in `frame`.

        Raises
        ------
        FrameError
            If they are in another.
        """
        require(frame, self.frame)
        return self  # type: ignore[return-value]


@dataclass(frozen=True, eq=False, init=False)
class Affine(Generic[S, T]):
    """An affine map from one frame into another.

    Parameters
    ----------
    source, target : type[Frame]
    matrix : array_like, (2, 3), float64
        Rows give x' and y' of the target: ``[a, b, c] -> a x + b y + c``.

    Raises
    ------
    FrameError
        If `matrix` has another shape.

    Examples
    --------
    >>> zoom = Affine(ViewerPx, ImagePx, [[4, 0, 100], [0, 4, 200]])
    >>> zoom(Points(ViewerPx, [[1, 1]])).xy
    array([[104., 204.]])
    >>> zoom(Points(ScreenPx, [[1, 1]]))
    Traceback (most recent call last):
    ...
    qpgaze.errors.FrameError: Expected ViewerPx, but ScreenPx came.
    """

    source: type[S]
    target: type[T]
    matrix: FloatArray

    def __init__(self, source: type[S], target: type[T], matrix: npt.ArrayLike) -> None:
        frozen = _frozen(matrix, np.float64, (3,))
        if frozen.shape != (2, 3):
            raise FrameError(f"Expected a matrix of shape (2, 3), but {frozen.shape} came.")
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "matrix", frozen)

    @classmethod
    def from_three_points(cls, source: Points[S], target: Points[T]) -> Affine[S, T]:
        """Fit the only affine that carries three points onto three others.

        Parameters
        ----------
        source, target : Points, (3, 2)

        Raises
        ------
        FrameError
            If there are not three points each, or they lie on one line.
        """
        if len(source) != 3 or len(target) != 3:
            raise FrameError(
                f"Expected three points each, but {len(source)} and {len(target)} came."
            )
        system = np.column_stack([source.xy, np.ones(3)])
        if not np.isfinite(system).all() or abs(np.linalg.det(system)) < 1e-12:
            raise FrameError("Three points on one line (or not numbers) fix no affine map.")
        return cls(source.frame, target.frame, np.linalg.solve(system, target.xy).T)

    @property
    def scale(self) -> float:
        """Target lengths per source length, averaged over directions."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def __call__(self, points: Points[S]) -> Points[T]:
        """Carry points from the source frame into the target frame.

        Raises
        ------
        FrameError
            If the points are in another frame than the source.
        """
        require(self.source, points.frame)
        # Written out: the same digits whatever linear algebra library is behind NumPy, and no
        # threads for a product so narrow.
        x, y = points.x, points.y
        return Points(self.target, np.stack([a * x + b * y + c for a, b, c in self.matrix], axis=1))

    def then(self, after: Affine[T, U]) -> Affine[S, U]:
        """Return the map that applies this one, then `after`.

        Raises
        ------
        FrameError
            If `after` does not start where this one ends.
        """
        require(self.target, after.source)
        linear = after.matrix[:, :2]
        shift = linear @ self.matrix[:, 2] + after.matrix[:, 2]
        return Affine(
            self.source, after.target, np.column_stack([linear @ self.matrix[:, :2], shift])
        )

    def inverse(self) -> Affine[T, S]:
        """Return the map back.

        Raises
        ------
        FrameError
            If the map flattens the plane and has no way back.
        """
        linear = self.matrix[:, :2]
        if not np.isfinite(linear).all() or abs(np.linalg.det(linear)) < 1e-15:
            raise FrameError("This map flattens the plane; it has no inverse.")
        back = np.linalg.inv(linear)
        return Affine(self.target, self.source, np.column_stack([back, -back @ self.matrix[:, 2]]))


@dataclass(frozen=True, eq=False, init=False)
class Times(Generic[C]):
    """Moments on one clock.

    Parameters
    ----------
    clock : type[Clock]
    t_us : array_like, (n,), int64
        Microseconds. Copied and frozen.
    """

    clock: type[C]
    t_us: IntArray

    def __init__(self, clock: type[C], t_us: npt.ArrayLike) -> None:
        object.__setattr__(self, "clock", clock)
        object.__setattr__(self, "t_us", _frozen(t_us, np.int64, ()))

    def __len__(self) -> int:
        return len(self.t_us)


@dataclass(frozen=True)
class ClockRelation(Generic[C, D]):
    """How one clock reads when another shows a time, and how surely.

    ``target = source + offset_us + drift_ppm * 1e-6 * (source - at_us)``

    Parameters
    ----------
    source, target : type[Clock]
    offset_us : int
        Target minus source at the moment `at_us`, microseconds.
    at_us : int
        The moment of comparison on the source clock, microseconds.
    drift_ppm : float
        How much the target gains on the source, microseconds per second.
    uncertainty_us : int
        Half of the smallest round trip of the comparison, microseconds.

    Examples
    --------
    >>> relation = ClockRelation(DeviceClock, SessionClock, offset_us=-500, at_us=0)
    >>> relation(Times(DeviceClock, [600, 700])).t_us
    array([100, 200])
    """

    source: type[C]
    target: type[D]
    offset_us: int
    at_us: int
    drift_ppm: float = 0.0
    uncertainty_us: int = 0

    def __call__(self, times: Times[C]) -> Times[D]:
        """Tell what the target clock reads at these moments of the source clock.

        Raises
        ------
        FrameError
            If the times are on another clock than the source.
        """
        require(self.source, times.clock)
        drift = np.rint((times.t_us - self.at_us) * (self.drift_ppm * 1e-6)).astype(np.int64)
        return Times(self.target, times.t_us + self.offset_us + drift)
