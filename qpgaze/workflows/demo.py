"""Everything once, on the sample: replay, annotate, refine, export, score, and a picture."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpgaze import keys
from qpgaze.bridge import create_project, open_project
from qpgaze.bridge.objects import label_object
from qpgaze.errors import ProjectError, UsageError
from qpgaze.recording import ReplaySource, record
from qpgaze.refine import DEFAULT_METHOD, refine_labels
from qpgaze.scoring import Score, score_boxes
from qpgaze.session import sessions_dir
from qpgaze.slides import open_slide
from qpgaze.workflows.annotate import annotate_project
from qpgaze.workflows.export import export_project
from qpgaze.workflows.labels import SessionLabels, read_labels
from qpgaze.workflows.picture import PictureCase, draw_demo_picture
from qpgaze.workflows.refine import refine_project
from qpgaze.workflows.sample import SampleCase, load_sample

if TYPE_CHECKING:
    from qpgaze.session import Session

BASELINE = "mariam2022"
METHODS = (keys.METHOD_DISCS, BASELINE, DEFAULT_METHOD)
"""What the demo compares: gaze as it came, the paper's authors' way, and ours."""

EXPORT_MPP = 1.0
"""Micron per pixel of the demo's tiles: a pearl of 300 um then spans 300 px."""

Box = tuple[float, float, float, float]
Steps = Callable[[str, int, int], None]


@dataclass
class DemoReport:
    """What the demo found.

    Parameters
    ----------
    scores : mapping of str to Score
        By method, over all cases, at IoU 0.5.
    labels : int
        Labels that the readers gave.
    seconds_per_label : float
        Recorded time over labels: searching, looking closer and all.
    project, coco, picture : Path
        What was made.
    tiles : int
    """

    scores: Mapping[str, Score]
    labels: int
    seconds_per_label: float
    project: Path
    coco: Path
    picture: Path
    tiles: int
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        methods = {
            name: {
                "found": score.found,
                "missed": score.missed,
                "false": score.false,
                "f1": score.f1,
                "mean_iou": score.mean_iou,
            }
            for name, score in self.scores.items()
        }
        return {
            "methods": methods,
            "labels": self.labels,
            "seconds_per_label": self.seconds_per_label,
            "tiles": self.tiles,
            "project": str(self.project),
            "coco": str(self.coco),
            "picture": str(self.picture),
            "notes": self.notes,
        }


@dataclass(frozen=True, eq=False)
class _Case:
    """One patient of the sample on its way through the demo."""

    sample: SampleCase
    slide: Path
    session: Session
    found: SessionLabels
    boxes: Mapping[str, list[Box]]


def run_demo(out: str | Path, *, steps: Steps | None = None) -> DemoReport:
    """Make a QuPath project, a COCO data set and a picture from the sample.

    Parameters
    ----------
    out : path
        A folder that does not exist yet, or is empty.
    steps : callable, optional
        Called with the name of a step, what is done of it and what there is in all.

    Raises
    ------
    UsageError
        If `out` holds something already.
    QpgazeError
        If a step fails; what the demo made until then is removed again.
    """
    folder = Path(out).absolute()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{out}' is a file.", hint="Name a new folder for the demo.")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"'{out}' is not empty, and the demo overwrites nothing.",
            hint="Name a new folder, or remove that one first.",
        )
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _run(folder, steps or (lambda _name, _done, _all: None))
    except OSError as error:
        _clear(folder, new)
        raise ProjectError(
            f"The demo could not be written to '{out}': {error.strerror or error}. Nothing was "
            "left behind.",
            hint="Choose a folder that can be written and has 20 MB of room.",
        ) from error
    except BaseException:
        _clear(folder, new)
        raise


def _clear(folder: Path, new: Sequence[Path]) -> None:
    """Remove what the demo made: all of it is ours, and half a demo is of no use to anybody.

    `new` names the folders that were not there before, innermost first.
    """
    for child in folder.iterdir() if folder.is_dir() else ():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    for place in new:
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def _run(folder: Path, steps: Steps) -> DemoReport:
    samples = load_sample()
    project_file = _make_project(folder, samples, steps)
    sessions = _replay(project_file.parent, samples, steps)
    for n, session in enumerate(sessions):
        steps("annotate", n, len(sessions))
        annotate_project(session.path, project_file)
    steps("annotate", len(sessions), len(sessions))
    cases = [
        _compare(sample, folder / "slides" / sample.slide_path.name, session, steps)
        for sample, session in zip(samples, sessions, strict=True)
    ]
    refined = refine_project(project_file, progress=lambda n, total: steps("refine", n, total))
    coco = export_project(
        project_file,
        folder / "coco",
        mpp=EXPORT_MPP,
        progress=lambda n, total: steps("export", n, total),
    )
    scores = _score(cases)
    labels = sum(len(case.found.labels) for case in cases)
    seconds = sum(_duration_s(case.session) for case in cases)
    picture = folder / "picture.png"
    steps("picture", 0, 1)
    _draw(picture, cases, scores, seconds / max(labels, 1))
    steps("picture", 1, 1)
    return DemoReport(
        scores=scores,
        labels=labels,
        seconds_per_label=seconds / max(labels, 1),
        project=project_file,
        coco=folder / "coco",
        picture=picture,
        tiles=coco.tiles,
        notes=[*refined.notes, *coco.notes],
    )


def _make_project(folder: Path, samples: Sequence[SampleCase], steps: Steps) -> Path:
    """Copy the slides beside the project, so that the folder can be moved as a whole."""
    slides = folder / "slides"
    slides.mkdir()
    create_project(folder / "project").close()
    with open_project(folder / "project", mode="r+", backend="embedded") as project:
        for n, sample in enumerate(samples):
            steps("project", n, len(samples))
            copy = slides / sample.slide_path.name
            shutil.copyfile(sample.slide_path, copy)
            project.add_image(copy, metadata={keys.PATIENT: sample.patient})
        project.commit()
        steps("project", len(samples), len(samples))
        return project.path


def _replay(project_dir: Path, samples: Sequence[SampleCase], steps: Steps) -> list[Session]:
    """Record every sample session anew, as if its reader sat here."""
    sessions = []
    for n, sample in enumerate(samples):
        steps("replay", n, len(samples))
        target = sessions_dir(project_dir) / sample.session_path.name
        source = ReplaySource(sample.session_path)
        sessions.append(record(source, target, interrupt_ends=False))
    steps("replay", len(samples), len(samples))
    return sessions


def _compare(sample: SampleCase, slide_path: Path, session: Session, steps: Steps) -> _Case:
    """Make the boxes of every method in memory."""
    found = read_labels(session)
    boxes: dict[str, list[Box]] = {}
    with open_slide(slide_path) as slide:
        for n, method in enumerate(METHODS):
            steps(f"compare {sample.patient}", n, len(METHODS))
            if method == keys.METHOD_DISCS:
                made = [
                    label_object(label, pixel_size_um=None, version="").geometry.bounds
                    for label in found.labels
                ]
            else:
                made = [r.box_image_px for r in refine_labels(found.labels, slide, method=method)]
            boxes[method] = made
        steps(f"compare {sample.patient}", len(METHODS), len(METHODS))
    return _Case(sample, slide_path, session, found, boxes)


def _truth_boxes(case: _Case) -> list[Box]:
    return [truth.geometry.bounds for truth in case.sample.truth if truth.target]


def _score(cases: Sequence[_Case]) -> dict[str, Score]:
    """Match within each slide, then add the counts up."""
    scores = {}
    for method in METHODS:
        each = [score_boxes(case.boxes[method], _truth_boxes(case)) for case in cases]
        objects = [len(_truth_boxes(case)) for case in cases]
        overlap = sum(s.mean_iou * n for s, n in zip(each, objects, strict=True) if n)
        scores[method] = Score(
            found=sum(s.found for s in each),
            missed=sum(s.missed for s in each),
            false=sum(s.false for s in each),
            mean_iou=overlap / max(sum(objects), 1),
        )
    return scores


def _duration_s(session: Session) -> float:
    t_us = session.gaze.times.t_us
    return float(t_us[-1] - t_us[0]) / 1e6


def _draw(
    path: Path, cases: Sequence[_Case], scores: Mapping[str, Score], seconds_per_label: float
) -> None:
    draw_demo_picture(
        path,
        [
            PictureCase(
                slide_path=case.slide,
                title=case.sample.patient,
                truth=[truth.geometry for truth in case.sample.truth if truth.target],
                baseline=case.boxes[BASELINE],
                refined=case.boxes[DEFAULT_METHOD],
                fixations=case.found.fixations,
            )
            for case in cases
        ],
        scores=scores,
        seconds_per_label=seconds_per_label,
    )
