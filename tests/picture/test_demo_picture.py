"""The demo's picture: drawn from anything, shows what it should, the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from qpgaze.errors import QpgazeError, UsageError
from qpgaze.model import Fixation
from qpgaze.scoring import Score
from qpgaze.viewing import ImageIdentity
from qpgaze.workflows.picture import PictureCase, draw_demo_picture, style
from qpgaze.workflows.picture.cases import choose_objects
from qpgaze.workflows.picture.panels import Layer, View, gaze_panel, shapes_panel


class PinkSlide:
    """An even slide of any size."""

    def __init__(self, width: int, height: int) -> None:
        self.path, self.width_px, self.height_px = Path("pink.tif"), width, height
        self.pixel_size_um, self.level_downsamples = None, (1.0,)

    def read(self, x_px, y_px, width_px, height_px, *, downsample=1):
        shape = (max(1, round(height_px / downsample)), max(1, round(width_px / downsample)), 3)
        return np.full(shape, (232, 190, 214), np.uint8)

    def close(self) -> None: ...

    def __enter__(self) -> PinkSlide:
        return self

    def __exit__(self, *_: object) -> None: ...


def look(x: float, y: float, ms: float) -> Fixation:
    """Make a fixation of which only place and duration matter."""
    image = ImageIdentity("pink", 2000, 1500)
    return Fixation(0, int(ms * 1000), x, y, 4.0, 8.0, 2.0, 30, image)


def make_case(title: str = "Patient A", size=(2000, 1500), count: int = 4, **more) -> PictureCase:
    rng = np.random.default_rng(3)
    centres = rng.uniform(300, 1200, (count, 2))
    truth = [shapely.Point(c).buffer(60) for c in centres]
    places = np.repeat(centres, 5, axis=0) + rng.normal(0, 30, (5 * count, 2))
    durations = rng.uniform(80, 900, 5 * count)
    looks = [look(x, y, ms) for (x, y), ms in zip(places, durations, strict=True)]
    given = {
        "truth": truth,
        "baseline": [t.buffer(40).bounds for t in truth],
        "refined": [shapely.box(*t.buffer(3 * n).bounds) for n, t in enumerate(truth)],
        "fixations": looks,
        "pixel_size_um": 0.5,
        "open": lambda _: PinkSlide(*size),
        **more,
    }
    return PictureCase(slide_path=Path("pink.tif"), title=title, **given)


SCORES = {
    "discs": Score(1, 3, 3, 0.2),
    "mariam2022": Score(2, 2, 1, 0.4),
    "ours": Score(4, 0, 0, 0.9),
}


def has(rgb: np.ndarray, color: style.Color) -> bool:
    return bool((np.abs(rgb.astype(int) - color).max(axis=-1) <= 6).any())


def test_the_picture_shows_gaze_boxes_and_truth_the_same_each_time(tmp_path) -> None:
    cases = [make_case(), make_case("Patient B", (900, 2600)), make_case("Patient C", (3000, 700))]
    for name in ("a.png", "b.png"):
        draw_demo_picture(tmp_path / name, cases, scores=SCORES, seconds_per_label=2.34)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]
    with Image.open(tmp_path / "a.png") as picture:
        rgb = np.asarray(picture.convert("RGB"))
    assert rgb.shape[1] == 1800
    for color in (style.TRUTH, style.BASELINE, style.REFINED, style.TIME[1], style.INK):
        assert has(rgb, color)


def test_a_box_is_drawn_where_it_lies() -> None:
    view = View(PinkSlide(1000, 500), (0, 0, 1000, 500), 500)
    box = shapely.box(200, 100, 400, 300)
    rgb = np.asarray(shapes_panel(view, [Layer([box], style.REFINED)])).astype(int)
    assert rgb.shape == (250, 500, 3)
    ys, xs = np.nonzero(np.abs(rgb - style.REFINED).max(axis=2) <= 60)
    assert (xs.min(), xs.max()) == (pytest.approx(100, abs=2), pytest.approx(200, abs=2))
    assert (ys.min(), ys.max()) == (pytest.approx(50, abs=2), pytest.approx(150, abs=2))


def test_gaze_glows_where_the_eye_rested() -> None:
    view = View(PinkSlide(1000, 1000), (0, 0, 1000, 1000), 400)
    gaze = np.array([[250.0, 250.0, 600.0]] * 3)
    rgb = np.asarray(gaze_panel(view, gaze)).astype(int)
    assert np.abs(rgb[100, 100] - rgb[300, 300]).max() > 60
    glow = rgb[100, 110] - rgb[300, 300]
    assert glow[2] < -60, "gold lacks blue"
    assert (gaze_panel(view, np.empty((0, 3))).size) == (400, 400)


@pytest.mark.parametrize(
    "changes",
    [
        {"truth": [], "baseline": [], "refined": []},
        {"fixations": []},
        {"fixations": [look(500, 500, 120)]},
        {"baseline": []},
        {"pixel_size_um": None},
        {"count": 1},
        {"count": 2},
        {"size": (40, 3000)},
        {"size": (20000, 300)},
    ],
)
def test_odd_slides_make_a_picture_too(tmp_path, changes) -> None:
    draw_demo_picture(tmp_path / "p.png", [make_case(**changes)], scores=SCORES)
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size[0] == 1800


def test_a_picture_without_scores_has_no_table(tmp_path) -> None:
    draw_demo_picture(tmp_path / "with.png", [make_case(truth=[])], scores=SCORES)
    draw_demo_picture(tmp_path / "without.png", [make_case(truth=[])], scores={})
    heights = []
    for name in ("with.png", "without.png"):
        with Image.open(tmp_path / name) as picture:
            heights.append(picture.size[1])
    assert heights[0] > heights[1] + 200


def test_objects_up_close_are_the_best_the_middle_and_the_worst() -> None:
    case = make_case(count=5)
    looks = choose_objects([case], 3)
    assert [one.title.split(" of ")[0] for one in looks] == ["best", "typical", "worst"]
    ious = [one.refined_iou for one in looks]
    assert ious == sorted(ious, reverse=True)
    assert ious[0] == pytest.approx(1.0)
    for one in looks:
        x0, y0, x1, y1 = one.box_image_px
        assert x1 - x0 == pytest.approx(y1 - y0)
    assert choose_objects([make_case(truth=[])], 3) == []


def test_bad_input_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="at least one slide"):
        draw_demo_picture(tmp_path / "p.png", [], scores={})
    with pytest.raises(QpgazeError, match="could not be written"):
        draw_demo_picture(tmp_path / "not there" / "p.png", [make_case(count=1)], scores={})
    assert not list(tmp_path.iterdir())


def test_text_without_a_letter_in_the_typeface_is_spelt_out() -> None:
    assert style.text_width("20 µm", 20) == style.text_width("20 um", 20)
    assert style.wrap("one two three", 20, style.text_width("one two", 20)) == ["one two", "three"]
