"""The panels of the picture: one view of a slide each, with gaze or with boxes on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from shapely.geometry.base import BaseGeometry

from qpgaze.frames import Affine, FloatArray, Frame, ImagePx, Points
from qpgaze.slides.protocol import Slide
from qpgaze.workflows.picture import style

# Grey and light tissue lets few colours say much.
_FADE = 0.62
_GREY = 0.75


class PanelPx(Frame):
    """Pixels of a panel while it is drawn, three times as large as in the end."""


@dataclass(frozen=True, eq=False)
class View:
    """A part of a slide and the size that it is shown at.

    Parameters
    ----------
    slide : Slide
        Open.
    box_image_px : (x0, y0, x1, y1)
        What is shown; may reach outside the slide.
    width : int
        Of the panel, px; the height follows from the box.
    """

    slide: Slide
    box_image_px: tuple[float, float, float, float]
    width: int

    @property
    def height(self) -> int:
        """Of the panel, px."""
        x0, y0, x1, y1 = self.box_image_px
        return max(1, round(self.width * (y1 - y0) / (x1 - x0)))

    @property
    def image_px_per_px(self) -> float:
        """Level-0 pixels per pixel of the finished panel."""
        return (self.box_image_px[2] - self.box_image_px[0]) / self.width

    def to_panel(self) -> Affine[ImagePx, PanelPx]:
        """Return the map from the slide into the panel while it is drawn."""
        scale = style.SUPERSAMPLE / self.image_px_per_px
        x0, y0 = self.box_image_px[:2]
        return Affine(
            ImagePx, PanelPx, np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]])
        )

    @cached_property
    def _pixels(self) -> npt.NDArray[np.uint8]:
        """The slide's own pixels, read once for all panels of this view."""
        x0, y0, x1, y1 = self.box_image_px
        # Twice the final size is as sharp as anyone sees after the reduction.
        downsample = max(1.0, self.image_px_per_px / 2)
        return self.slide.read(x0, y0, x1 - x0, y1 - y0, downsample=downsample)

    def tissue(self, *, faded: bool = False) -> Image.Image:
        """Return the pixels, three times as large as in the end.

        Parameters
        ----------
        faded : bool
            Grey and light, as a ground for colours.

        Raises
        ------
        SlideError
            If the slide cannot be read.
        """
        rgb = self._pixels
        if faded:
            grey = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
            mixed = _GREY * grey[..., None] + (1 - _GREY) * rgb
            rgb = np.asarray(255 - (255 - mixed) * _FADE, dtype=np.uint8)
        size = (self.width * style.SUPERSAMPLE, self.height * style.SUPERSAMPLE)
        return Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC)


def gaze_panel(view: View, gaze: FloatArray, *, thick: float = 1.0) -> Image.Image:
    """Show where somebody looked: heat, scanpath and fixations on faded tissue.

    Parameters
    ----------
    view : View
    gaze : (n, 3) float64
        x and y on the slide (ImagePx) and duration (ms) of each fixation, in time order.
    thick : float
        Of lines and circles, against those of a panel of 850 px.

    Returns
    -------
    RGB image
    """
    picture = view.tissue(faded=True)
    if len(gaze):
        xy = view.to_panel()(Points(ImagePx, gaze[:, :2])).xy
        picture = _heat(picture, xy, gaze[:, 2], thick)
        _scanpath(picture, xy, gaze[:, 2], thick)
    return picture.reduce(style.SUPERSAMPLE)


def _heat(picture: Image.Image, xy: FloatArray, ms: FloatArray, thick: float) -> Image.Image:
    """Lay a glow over the picture, stronger the longer gaze rested."""
    step = 2 * style.SUPERSAMPLE
    width, height = (max(1, side // step) for side in picture.size)
    sigma = 8.5 * thick
    # A Gaussian falls apart into x and y: each fixation is one column and one row, and their
    # products sum up as one product of matrices.
    across = _bumps(xy[:, 0] / step, width, sigma)
    down = _bumps(xy[:, 1] / step, height, sigma)
    dwell = (down * ms[:, None]).T @ across
    strength = np.clip(dwell / max(float(np.quantile(dwell, 0.997)), 1e-9), 0, 1)
    color = style.gradient(style.HEAT, strength).round().astype(np.uint8)
    alpha = np.clip((strength - 0.015) * 3.2, 0, 1) * (0.42 + 0.4 * strength)
    glow = Image.fromarray(color).resize(picture.size, Image.Resampling.BICUBIC)
    cover = Image.fromarray((alpha * 255).astype(np.uint8))
    return Image.composite(glow, picture, cover.resize(picture.size, Image.Resampling.BICUBIC))


def _bumps(centre: FloatArray, length: int, sigma: float) -> npt.NDArray[np.float32]:
    at = np.arange(length, dtype=np.float32) + 0.5
    bump = np.exp(-0.5 * ((at[None, :] - centre[:, None]) / sigma) ** 2)
    return np.asarray(bump, dtype=np.float32)


def fixation_radius(ms: float, thick: float = 1.0) -> float:
    """Return the radius of a fixation's circle, px: its area grows with its duration."""
    return float(4.6 * thick * np.sqrt(max(ms, 20.0) / 300.0))


def _scanpath(picture: Image.Image, xy: FloatArray, ms: FloatArray, thick: float) -> None:
    """Draw the way of the eye, light at its beginning and dark at its end."""
    k = style.SUPERSAMPLE
    draw = ImageDraw.Draw(picture, "RGBA")
    colors = style.gradient(style.TIME, np.linspace(0, 1, len(xy))).round().astype(int).tolist()
    points = [tuple(point) for point in xy.tolist()]
    for a, b, color in zip(points, points[1:], colors, strict=False):
        draw.line((*a, *b), fill=(*color, 125), width=max(1, round(1.2 * thick * k)))
    for (x, y), color, duration in zip(points, colors, ms.tolist(), strict=True):
        r = fixation_radius(duration, thick) * k
        edge = max(1, round(0.9 * thick * k))
        draw.ellipse(
            (x - r, y - r, x + r, y + r), fill=(*color, 165), outline=(255, 255, 255), width=edge
        )


@dataclass(frozen=True, eq=False)
class Layer:
    """Shapes that are drawn alike.

    Parameters
    ----------
    shapes : sequence of shapely geometry, ImagePx
    color : (r, g, b)
    filled : bool
        A tinted area with a thin edge; else an outline.
    """

    shapes: Sequence[BaseGeometry]
    color: style.Color
    filled: bool = False


def shapes_panel(
    view: View, layers: Iterable[Layer], *, line: float = 2.4, gaze: FloatArray | None = None
) -> Image.Image:
    """Show shapes on the slide, the first layer lowest.

    Parameters
    ----------
    view : View
    layers : iterable of Layer
    line : float
        Width of an outline, px.
    gaze : (n, 3) float64, optional
        Fixations to mark with dots: x, y (ImagePx), duration (ms).

    Returns
    -------
    RGB image
    """
    picture = view.tissue()
    draw = ImageDraw.Draw(picture, "RGBA")
    k = style.SUPERSAMPLE
    to_panel = view.to_panel()
    for layer in layers:
        for ring in _rings(layer.shapes, view):
            points = [tuple(p) for p in to_panel(Points(ImagePx, ring)).xy.tolist()]
            closed = [*points, *points[1:2]]
            if layer.filled:
                draw.polygon(points, fill=(*layer.color, style.TINT))
                draw.line(closed, fill=(*layer.color, 235), width=round(line * 0.7 * k))
                continue
            # A pale casing keeps a line apart from tissue of any colour.
            casing = (255, 255, 255, 170)
            draw.line(closed, fill=casing, width=round((line + 1.8) * k), joint="curve")
            draw.line(closed, fill=(*layer.color, 255), width=round(line * k), joint="curve")
    if gaze is not None and len(gaze):
        for x, y in to_panel(Points(ImagePx, gaze[:, :2])).xy.tolist():
            r = 3.4 * k
            draw.ellipse(
                (x - r, y - r, x + r, y + r), fill=(*style.HEAT[1], 235), outline=style.INK, width=k
            )
    return picture.reduce(k)


def _rings(shapes: Iterable[BaseGeometry], view: View) -> Iterable[FloatArray]:
    """Go through the outlines that reach into the view."""
    x0, y0, x1, y1 = view.box_image_px
    for shape in shapes:
        a, b, c, d = shape.bounds
        if a > x1 or c < x0 or b > y1 or d < y0:
            continue
        for part in getattr(shape, "geoms", [shape]):
            yield np.asarray(part.exterior.coords, dtype=np.float64)[:, :2]
