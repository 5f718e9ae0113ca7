"""The page: which panels there are, where they lie, and the words round them."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from qpgaze.errors import QpgazeError, UsageError
from qpgaze.scoring import Score
from qpgaze.slides.protocol import Slide
from qpgaze.workflows.picture import style
from qpgaze.workflows.picture.cases import Look, PictureCase, Words, choose_objects, score_table
from qpgaze.workflows.picture.panels import View, fixation_radius, gaze_panel, shapes_panel

WIDTH = 1800
_MARGIN = 52
_GAP = 28
_INSETS = 3
_TALLEST = 900


def draw_demo_picture(
    out: str | os.PathLike[str],
    cases: Sequence[PictureCase],
    *,
    scores: Mapping[str, Score],
    seconds_per_label: float | None = None,
    baseline: str = "mariam2022",
    refined: str | None = None,
    title: str = "Label slides by looking at them",
    subtitle: str = "What a reader looked at, the boxes that came of it, and the truth.",
) -> None:
    """Draw where a reader looked, what became of it, and how good it is, into one PNG.

    Parameters
    ----------
    out : path
        The PNG, 1800 px wide; replaced if it is there.
    cases : sequence of PictureCase
        The first is shown large, up to three others small beneath it.
    scores : mapping of str to Score
        By method, for the table; may be empty.
    seconds_per_label : float, optional
        Reading time over labels.
    baseline, refined : str
        Which methods the two sets of boxes come from; `refined` is the last one in `scores`
        where not given.
    title, subtitle : str

    Raises
    ------
    UsageError
        If there is no case.
    SlideError
        If a slide cannot be read.
    QpgazeError
        If the picture cannot be written.

    Notes
    -----
    The same input gives the same pixels with the same version of Pillow.
    """
    if not cases:
        raise UsageError("A picture needs at least one slide, but none came.")
    footnote = "Found: a box and an object overlap by an IoU of 0.5 or more."
    if seconds_per_label is not None:
        footnote += f" The reader took {seconds_per_label:.1f} s a label, searching included."
    last = list(scores)[-1] if scores else "refined"
    page = _Page(Words(title, subtitle, baseline, refined or last, scores, footnote))
    page.header()
    page.main_case(cases[0])
    page.close_ups(cases)
    page.other_cases(cases[1:4])
    _save(page.finished(), Path(out))


def _save(picture: Image.Image, out: Path) -> None:
    data = io.BytesIO()
    picture.save(data, "PNG", optimize=False, compress_level=7)
    part = out.with_name(f".{out.name}-{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(data.getvalue())
        part.replace(out)
    except OSError as error:
        raise QpgazeError(
            f"The picture '{out.name}' could not be written: {error.strerror or error}."
        ) from error
    finally:
        part.unlink(missing_ok=True)


class _Page:
    """A page that grows downwards while it is filled."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.sheet = Image.new("RGB", (WIDTH, 4200), style.PAPER)
        self.draw = ImageDraw.Draw(self.sheet)
        self.y = _MARGIN
        self.number = 0

    def finished(self) -> Image.Image:
        return self.sheet.crop((0, 0, WIDTH, self.y + _MARGIN - _GAP))

    def header(self) -> None:
        style.text(self.draw, (_MARGIN, self.y - 6), self.words.title, size=46, bold=True)
        self.y += 60
        if self.words.subtitle:
            style.text(
                self.draw, (_MARGIN, self.y), self.words.subtitle, size=21, color=style.QUIET
            )
            self.y += 34
        self.y += 20

    def heading(self, x: float, words: str, *, numbered: bool = True) -> float:
        """Write a heading, with the next number unless told otherwise; return where it ends."""
        if numbered:
            self.number += 1
            style.text(self.draw, (x, self.y), str(self.number), size=25, color=style.QUIET)
            x += 30
        return x + style.text(self.draw, (x, self.y), words, size=25, bold=True)

    # -- the large panels ----------------------------------------------------------------------

    def main_case(self, case: PictureCase) -> None:
        width = (WIDTH - 2 * _MARGIN - _GAP) // 2
        left, right = _MARGIN, _MARGIN + width + _GAP
        self.heading(left, "Where the reader looked")
        self.heading(right, "What became of it")
        self.y += 42
        self.gaze_legend(left, self.y + 12)
        self.shapes_legend(right, self.y + 12)
        self.y += 42
        with case.open(case.slide_path) as slide:
            view = _whole(slide, width)
            gaze = gaze_panel(view, case.gaze)
            boxes = shapes_panel(view, case.layers(), line=2.2)
        for picture, x in ((gaze, left), (boxes, right)):
            self.place(picture, x, case, view, caption=case.title)
        self.y += view.height + _GAP + 12

    def place(
        self, picture: Image.Image, x: int, case: PictureCase, view: View, *, caption: str = ""
    ) -> None:
        """Put a panel on the page, with its scale bar and its name in the corner."""
        um_per_px = case.um_per_px(view.slide)
        if um_per_px is not None:
            small = view.width < 500
            style.scale_bar(picture, view.image_px_per_px * um_per_px, size=14 if small else 16)
        if caption:
            style.tag(picture, caption, size=14 if view.width < 500 else 16)
        style.paste_rounded(self.sheet, picture, (x, self.y))

    def gaze_legend(self, x: float, middle: float) -> None:
        x = self.bar(x, middle, style.HEAT, "short", "long dwell")
        x = self.bar(x + 30, middle, style.TIME, "first", "last fixation")
        x += 30
        for ms in (100, 300, 900):
            radius = fixation_radius(ms)
            style.disc(self.sheet, (x + radius, middle), radius, style.TIME[1])
            x += 2 * radius + 7
            x += style.text(
                self.draw, (x, middle), f"{ms} ms", size=17, color=style.QUIET, anchor="lm"
            )
            x += 16

    def bar(
        self, x: float, middle: float, colors: Sequence[style.Color], low: str, high: str
    ) -> float:
        """Draw a colour scale between two words, and return where it ends."""
        x += style.text(self.draw, (x, middle), low, size=17, color=style.QUIET, anchor="lm") + 9
        size = (92, 12)
        row = style.gradient(colors, np.linspace(0, 1, size[0])).round().astype(np.uint8)
        scale = Image.fromarray(np.repeat(row[None], size[1], axis=0))
        self.sheet.paste(scale, (round(x), round(middle) - 6), style.rounded_mask(size, 6))
        x += size[0] + 9
        return x + style.text(self.draw, (x, middle), high, size=17, color=style.QUIET, anchor="lm")

    def shapes_legend(self, x: float, middle: float) -> None:
        entries = (
            (style.TRUTH, "truth", True),
            (style.BASELINE, self.words.baseline, False),
            (style.REFINED, self.words.refined, False),
        )
        for color, words, filled in entries:
            style.swatch(self.sheet, (round(x), round(middle) - 9), color, filled=filled)
            x += 32
            x += style.text(self.draw, (x, middle), words, size=17, color=style.QUIET, anchor="lm")
            x += 30

    # -- single objects and the numbers --------------------------------------------------------

    def close_ups(self, cases: Sequence[PictureCase]) -> None:
        chosen = choose_objects(cases, _INSETS)
        scores = self.words.scores
        if not chosen and not scores:
            return
        side = (WIDTH - 2 * _MARGIN - 3 * _GAP) // 4
        x = _MARGIN
        if chosen:
            end = self.heading(x, "Up close")
            style.marker(self.sheet, (end + 34, self.y + 17))
            style.text(
                self.draw,
                (end + 46, self.y + 17),
                "fixation",
                size=17,
                color=style.QUIET,
                anchor="lm",
            )
        table_x = x + len(chosen) * (side + _GAP)
        if scores:
            self.heading(table_x, "How good it is")
        self.y += 44
        for look in chosen:
            self.close_up(look, x, side)
            x += side + _GAP
        tall = self.numbers(table_x, min(WIDTH - _MARGIN - table_x, 2 * side)) if scores else 0
        self.y += max(side + 66 if chosen else 0, tall) + _GAP

    def numbers(self, x: float, width: float) -> int:
        """Draw the results, bars first, and return their height, px."""
        scores = self.words.scores
        colors = {self.words.baseline: style.BASELINE, self.words.refined: style.REFINED}
        y = float(self.y)
        for name, score in scores.items():
            style.text(self.draw, (x, y), name, size=17, color=style.QUIET)
            style.text(
                self.draw, (x + width, y - 6), f"F1 {score.f1:.2f}", size=24, anchor="ra", bold=True
            )
            y += 28
            style.bar(self.sheet, (x, y, x + width, y + 12), style.RULE)
            if score.f1 > 0:
                style.bar(
                    self.sheet, (x, y, x + width * score.f1, y + 12), colors.get(name, style.QUIET)
                )
            y += 32
        y += 4
        y += style.table(self.sheet, (x, y), width, score_table(scores), colors, size=17) + 14
        for line in style.wrap(self.words.footnote, 16, width):
            style.text(self.draw, (x, y), line, size=16, color=style.QUIET)
            y += 24
        return round(y - self.y)

    def close_up(self, look: Look, x: int, side: int) -> None:
        case = look.case
        with case.open(case.slide_path) as slide:
            view = View(slide, look.box_image_px, side)
            picture = shapes_panel(view, case.layers(), line=3.2, gaze=case.gaze)
        self.place(picture, x, case, view, caption=look.title)
        y = self.y + side + 12
        for color, name, iou in (
            (style.BASELINE, self.words.baseline, look.baseline_iou),
            (style.REFINED, self.words.refined, look.refined_iou),
        ):
            style.disc(self.sheet, (x + 8, y + 10), 6, color)
            style.text(self.draw, (x + 24, y + 10), name, size=17, anchor="lm")
            style.text(self.draw, (x + side, y + 10), f"IoU {iou:.2f}", size=17, anchor="rm")
            y += 27

    # -- the other slides ----------------------------------------------------------------------

    def other_cases(self, cases: Sequence[PictureCase]) -> None:
        if not cases:
            return
        self.heading(
            _MARGIN, "The other slides" if len(cases) > 1 else "The other slide", numbered=False
        )
        self.y += 44
        width = (WIDTH - 2 * _MARGIN - (2 * len(cases) - 1) * _GAP) // (2 * max(2, len(cases)))
        x, tallest = _MARGIN, 0
        for case in cases:
            with case.open(case.slide_path) as slide:
                view = _whole(slide, width)
                thick = width / 850 * 1.35
                gaze = gaze_panel(view, case.gaze, thick=thick)
                boxes = shapes_panel(view, case.layers(), line=1.6)
            self.place(gaze, x, case, view, caption=case.title)
            self.place(boxes, x + width + _GAP, case, view)
            x += 2 * (width + _GAP)
            tallest = max(tallest, view.height)
        self.y += tallest + _GAP


def _whole(slide: Slide, width: int) -> View:
    """Show a whole slide; a tall one stands in the middle of its panel."""
    w, h = float(slide.width_px), float(slide.height_px)
    tallest = max(_TALLEST * width / 834, 1.0)
    if h / w * width <= tallest:
        return View(slide, (0.0, 0.0, w, h), width)
    wide = h * width / tallest
    return View(slide, ((w - wide) / 2, 0.0, (w + wide) / 2, h), width)
