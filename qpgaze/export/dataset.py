"""The whole export: choose objects, plan tiles, split by patient, write, say what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from qpgaze.errors import ExportError, UsageError
from qpgaze.export.files import check_place, encoder, new_folder
from qpgaze.export.plan import ExportImage, SlidePlan, TileOptions, plan_slide
from qpgaze.export.report import ExportReport
from qpgaze.export.select import REJECTED, choose
from qpgaze.export.split import check_fractions, group, split
from qpgaze.export.summary import Placed, parameters_of, patient_of, summarise
from qpgaze.export.write import write_documents, write_tiles

Progress = Callable[[int, int], None]


def export_coco(
    images: Sequence[ExportImage],
    out: Path,
    *,
    tile_size: int = 512,
    mpp: float | None = None,
    downsample: float | None = None,
    pixel_size_um: float | None = None,
    image_format: str = "jpeg",
    overlap: int = 0,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    min_visible: float = 0.25,
    negatives: float = 0.0,
    classes: Collection[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Cut slides into tiles with COCO labels, split by patient.

    Parameters
    ----------
    images : sequence of ExportImage
        Slides are opened one at a time.
    out : Path
        The data set's folder, new or empty. It appears whole or not at all.
    image_format : str
        ``jpeg`` (quality 90) or ``png``.
    fractions : three floats
        Shares of patients for train, valid and test.
    classes : collection of str, optional
        Only these classes.
    overwrite : bool
        Replace a data set that an earlier export wrote.
    progress : callable(done, total), optional
        Called after each tile.

    The others are explained by :class:`qpgaze.export.TileOptions`. The same images and arguments
    give the same bytes, whatever the clock, the machine and the order of the images.

    Raises
    ------
    ExportError
        If no object can be exported, the scale cannot be had, or the folder cannot be written.
    UsageError, SlideError
        If an argument is out of its range; if a slide cannot be read.
    """
    options = TileOptions(
        tile_size, mpp, downsample, pixel_size_um, overlap, min_visible, negatives, seed
    )
    check_fractions(fractions)
    encoder(image_format)
    check_place(Path(out), overwrite=overwrite)
    plans, skipped = _plan(images, options, classes)
    placed = _place(plans, fractions, seed)
    parameters = parameters_of(options, image_format, fractions)
    report = summarise(Path(out), placed, parameters, skipped)
    _write(placed, report, image_format, overwrite=overwrite, progress=progress)
    return report


def _write(
    placed: Sequence[Placed],
    report: ExportReport,
    image_format: str,
    *,
    overwrite: bool,
    progress: Progress | None,
) -> None:
    with new_folder(report.out, overwrite=overwrite) as folder:
        done = 0
        for one in placed:
            for _ in write_tiles(one, folder, image_format):
                done += 1
                if progress is not None:
                    progress(done, report.tiles)
        write_documents(folder, placed, report, image_format)


def _plan(
    images: Sequence[ExportImage], options: TileOptions, classes: Collection[str] | None
) -> tuple[list[SlidePlan], Counter[str]]:
    """Plan every slide that has something to show, in the order of entry ids."""
    ids = Counter(image.entry_id for image in images)
    twice = [entry for entry, count in ids.items() if count > 1]
    if twice:
        raise UsageError(f"Each image is exported once, but entry {twice[0]} came twice.")
    skipped: Counter[str] = Counter()
    plans: list[SlidePlan] = []
    for image in sorted(images, key=_entry_order):
        chosen, left_out = choose(image.objects, classes=classes)
        skipped += left_out
        if not chosen:
            continue
        with image.open(image.slide) as slide:
            plan = plan_slide(image, chosen, slide, options)
        skipped += plan.skipped
        if plan.tiles:
            plans.append(plan)
    if not plans:
        raise ExportError(_nothing(len(images), skipped), hint=_nothing_hint(skipped, classes))
    return plans, skipped


def _entry_order(image: ExportImage) -> tuple[int, str]:
    """Order 2 before 10; ids that are no numbers come last."""
    number = int(image.entry_id) if image.entry_id.isascii() and image.entry_id.isdigit() else None
    return (2**62 if number is None else number, image.entry_id)


def _nothing(count: int, skipped: Mapping[str, int]) -> str:
    why = "; ".join(f"{n} {reason}" for reason, n in skipped.items())
    found = f"found were {why}" if why else "there are no objects at all"
    return f"No object in {count} image(s) can be exported: {found}."


def _nothing_hint(skipped: Mapping[str, int], classes: Collection[str] | None) -> str:
    if classes is not None:
        return "Check the class names: they are written as QuPath shows them."
    if set(skipped) == {REJECTED}:
        return "Accept some of them in QuPath first."
    return "Export needs annotations with a class and an area; run qpgaze annotate first."


def _place(plans: Sequence[SlidePlan], fractions: Sequence[float], seed: int) -> list[Placed]:
    """Give each slide its group (one file, one patient) and each group its part."""
    links: list[list[tuple[str, object]]] = []
    names: list[str] = []
    for plan in plans:
        patient = patient_of(plan)
        links.append([("file", plan.image.slide)])
        links[-1] += [("patient", patient)] if patient else []
        names.append(f"patient {patient}" if patient else f"entry {plan.image.entry_id}")
    groups = group(links, names)
    part_of = split(groups, fractions=fractions, seed=seed)
    return [Placed(plan, part_of[name], name) for plan, name in zip(plans, groups, strict=True)]
