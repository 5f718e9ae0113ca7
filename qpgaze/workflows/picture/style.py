"""Colours, type and small drawing tools of the picture; nothing here knows about gaze.

Everything is drawn three times as large and reduced, which smooths what Pillow draws with hard
edges. Text is drawn at its final size: FreeType smooths it better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
FinePoints = Sequence[tuple[float, float]]

SUPERSAMPLE = 3

PAPER: Color = (252, 250, 247)
CARD: Color = (255, 255, 255)
INK: Color = (33, 37, 48)
QUIET: Color = (112, 118, 132)
RULE: Color = (226, 222, 216)

# Okabe and Ito's palette: told apart with every common colour blindness.
TRUTH: Color = (0, 158, 115)
BASELINE: Color = (213, 94, 0)
REFINED: Color = (0, 114, 178)

# Opacity of a tinted area: the tissue under it must stay readable.
TINT = 58

# Gaze: gold for how long, blue for when. Both run from light to dark, so grey print keeps order.
HEAT: tuple[Color, ...] = ((255, 241, 184), (253, 200, 60), (240, 140, 10))
TIME: tuple[Color, ...] = ((120, 198, 226), (38, 110, 186), (26, 32, 98))


# The typeface lacks these; a box in their place would be worse.
_PLAIN = str.maketrans({"µ": "u", "μ": "u", "×": "x", "–": "-", "≥": ">", "≤": "<", "→": ">"})


@lru_cache(maxsize=32)
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the typeface that travels with Pillow, so that no system font is needed."""
    return ImageFont.load_default(size=size)


def text(
    draw: ImageDraw.ImageDraw,
    xy: tuple[float, float],
    words: str,
    *,
    size: float = 20,
    color: Color = INK,
    anchor: str = "la",
    bold: bool = False,
) -> float:
    """Draw one line of text and return its width, px."""
    words = words.translate(_PLAIN)
    # The typeface has one weight; a hairline round each letter makes the other.
    stroke = max(0.35, size / 70) if bold else 0
    draw.text(xy, words, font=font(size), fill=color, anchor=anchor, stroke_width=stroke)
    return float(draw.textlength(words, font=font(size))) + 2 * stroke


def text_width(words: str, size: float) -> float:
    """Return how wide one line of text is, px."""
    return float(font(size).getlength(words.translate(_PLAIN)))


def gradient(colors: Sequence[Color], at: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mix colours along a scale.

    Parameters
    ----------
    colors : sequence of (r, g, b)
        Evenly spaced from 0 to 1.
    at : array_like, any shape
        0..1.

    Returns
    -------
    (..., 3) float64
        0..255.

    Examples
    --------
    >>> gradient([(0, 0, 0), (100, 200, 50)], [0.5]).tolist()
    [[50.0, 100.0, 25.0]]
    """
    stops = np.linspace(0.0, 1.0, len(colors))
    table = np.asarray(colors, dtype=np.float64)
    place = np.clip(np.asarray(at, dtype=np.float64), 0.0, 1.0)
    return np.stack([np.interp(place, stops, table[:, channel]) for channel in range(3)], axis=-1)


def color_at(colors: Sequence[Color], at: float) -> Color:
    """Return one colour of a scale."""
    r, g, b = gradient(colors, at).round().astype(int)
    return int(r), int(g), int(b)


def rounded_mask(size: tuple[int, int], radius: int) -> Image.Image:
    """Return a smooth mask of a rectangle with round corners."""
    k = SUPERSAMPLE
    mask = Image.new("L", (size[0] * k, size[1] * k), 0)
    box = (0, 0, size[0] * k - 1, size[1] * k - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * k, fill=255)
    return mask.reduce(k)


def paste_rounded(page: Image.Image, picture: Image.Image, xy: tuple[int, int]) -> None:
    """Put a picture on the page with round corners and a hairline round it."""
    width, height = picture.size
    frame = Image.new("RGB", (width + 2, height + 2), RULE)
    page.paste(frame, (xy[0] - 1, xy[1] - 1), rounded_mask(frame.size, 11))
    page.paste(picture, xy, rounded_mask(picture.size, 10))


def nice_length(most: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above `most`.

    Examples
    --------
    >>> nice_length(730.0), nice_length(0.3)
    (500.0, 0.2)
    """
    power = 10.0 ** math.floor(math.log10(most))
    return max(round(m * power, 9) for m in (1, 2, 5) if m * power <= most * (1 + 1e-9))


def scale_bar(picture: Image.Image, um_per_px: float, *, size: int = 15) -> None:
    """Draw a scale bar into the lower right corner of a finished panel.

    Parameters
    ----------
    picture : RGB image
        Changed in place.
    um_per_px : float
        Micron per pixel of this picture.
    size : int
        Of the type, px.
    """
    width, height = picture.size
    length_um = nice_length(um_per_px * width * 0.24)
    length = round(length_um / um_per_px)
    words = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} um"
    pad, gap = round(size * 0.6), round(size * 0.8)
    wide = max(length, math.ceil(text_width(words, size)))
    tall = round(size * 1.55)
    box = (wide + 2 * pad, tall + 2 * pad - 4)
    plate = Image.new("RGB", box, (255, 255, 255))
    draw = ImageDraw.Draw(plate)
    middle = box[0] / 2
    text(draw, (middle, pad - 3), words, size=size, anchor="ma")
    y = box[1] - pad
    left = round(middle - length / 2)
    draw.rectangle((left, y - 2, left + length - 1, y), fill=INK)
    place = (width - box[0] - gap, height - box[1] - gap)
    mask = rounded_mask(box, 6).point(lambda value: round(value * 0.86))
    picture.paste(plate, place, mask)


def table(
    page: Image.Image,
    xy: tuple[float, float],
    width: float,
    rows: Sequence[Sequence[str]],
    colors: Mapping[str, Color],
    *,
    size: float = 19,
) -> float:
    """Draw a table, the first row its heads, and return its height, px.

    Parameters
    ----------
    page : RGB image
    xy : (x, y)
        Top-left corner.
    width : float
    rows : sequence of sequence of str
        The first column reads from the left, the others from the right.
    colors : mapping of str to colour
        Cells with one of these words get a dot of that colour.
    """
    draw = ImageDraw.Draw(page)
    x, y = xy

    def need(column: int, at: float) -> float:
        dot = 20 if any(row[column] in colors for row in rows) else 0
        return max(text_width(row[column], at) for row in rows) + dot

    columns = range(len(rows[0]))
    while size > 10 and sum(need(c, size) for c in columns) + 14 * (len(columns) - 1) > width:
        size -= 0.5
    spare = (width - sum(need(c, size) for c in columns)) / max(1, len(columns) - 1)
    step = size * 2.05
    for index, row in enumerate(rows):
        middle = y + step * (index + 0.5)
        right = x
        for c, words in enumerate(row):
            right += need(c, size) + (spare if c else 0)
            quiet = (index == 0 and words not in colors) or (index > 0 and c == 0)
            place, anchor = ((x, middle), "lm") if c == 0 else ((right, middle), "rm")
            color = QUIET if quiet else INK
            length = text(draw, place, words, size=size, color=color, anchor=anchor)
            if words in colors:
                disc(page, (place[0] - length - 12, middle), 5.5, colors[words])
        line = y + step * (index + 1)
        draw.line((x, line, x + width, line), fill=INK if index == 0 else RULE, width=1)
    return step * len(rows)


def bar(page: Image.Image, box: tuple[float, float, float, float], color: Color) -> None:
    """Draw a bar with round ends into the box x0, y0, x1, y1."""
    x0, y0, x1, y1 = (round(value) for value in box)
    size = (max(y1 - y0, x1 - x0), y1 - y0)
    page.paste(color, (x0, y0, x0 + size[0], y1), rounded_mask(size, size[1] // 2))


def wrap(words: str, size: float, width: float) -> list[str]:
    """Break a text into lines that fit a width, px."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def disc(page: Image.Image, centre: tuple[float, float], radius: float, color: Color) -> None:
    """Draw a smooth disc."""
    k, side = SUPERSAMPLE, math.ceil(2 * radius) + 2
    mask = Image.new("L", (side * k, side * k), 0)
    low, high = (side / 2 - radius) * k, (side / 2 + radius) * k
    ImageDraw.Draw(mask).ellipse((low, low, high, high), fill=255)
    place = (round(centre[0] - side / 2), round(centre[1] - side / 2))
    page.paste(color, (*place, place[0] + side, place[1] + side), mask.reduce(k))


def marker(page: Image.Image, centre: tuple[float, float]) -> None:
    """Draw a fixation as panels mark it: a gold dot with a dark edge."""
    disc(page, centre, 5, INK)
    disc(page, centre, 3.8, HEAT[1])


def swatch(page: Image.Image, xy: tuple[int, int], color: Color, *, filled: bool) -> None:
    """Draw the little square of a legend as shapes are drawn: tinted, or an outline."""
    k, side = SUPERSAMPLE, 20
    tile = Image.new("RGB", (side * k, side * k), PAPER)
    draw = ImageDraw.Draw(tile, "RGBA")
    box = (2 * k, 2 * k, (side - 2) * k, (side - 2) * k)
    fill = (*color, TINT) if filled else None
    draw.rectangle(box, fill=fill, outline=color, width=round((1.4 if filled else 2.6) * k))
    page.paste(tile.reduce(k), xy)


def tag(picture: Image.Image, words: str, *, size: int = 15) -> None:
    """Write a name on a pale plate into the upper left corner of a finished panel."""
    gap, pad = round(size * 0.8), round(size * 0.65)
    box = (math.ceil(text_width(words, size)) + 2 * pad, round(size * 1.9))
    plate = Image.new("RGB", box, (255, 255, 255))
    text(ImageDraw.Draw(plate), (box[0] / 2, box[1] / 2), words, size=size, anchor="mm")
    mask = rounded_mask(box, 6).point(lambda value: round(value * 0.86))
    picture.paste(plate, (gap, gap), mask)
