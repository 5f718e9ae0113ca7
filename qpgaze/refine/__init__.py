"""Coarse labels to good labels: pure functions over records and a slide."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from qpgaze.errors import RefineError, UsageError
from qpgaze.model import Label, RefinedLabel
from qpgaze.refine import mariam2022, posterior
from qpgaze.slides.protocol import Slide

__all__ = ["DEFAULT_METHOD", "METHODS", "Method", "refine_labels"]


@dataclass(frozen=True)
class Method:
    """One way of refining.

    Parameters
    ----------
    name : str
        As ``qpgaze refine --method`` takes it and as it is kept on each object.
    summary : str
        One line for people who choose.
    parameters : type
        Dataclass of its parameters, all with defaults.
    refine : callable
        ``(labels of one session and image, slide or None, parameters, progress)`` to refined
        labels; progress counts labels.
    needs_slide : bool
        Whether it looks at the picture.
    """

    name: str
    summary: str
    parameters: type[Any]
    refine: Callable[..., list[RefinedLabel]]
    needs_slide: bool = False


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            posterior.METHOD,
            "boxes drawn from what gaze allows, weighted by how they stand out in the picture",
            posterior.PosteriorParameters,
            posterior.refine_with_picture,
            needs_slide=True,
        ),
        Method(
            posterior.METHOD_WITHOUT_PICTURE,
            "the same from gaze alone; needs no pixels, and says what the picture adds",
            posterior.PosteriorParameters,
            posterior.refine_without_picture,
        ),
        Method(
            mariam2022.METHOD,
            "heat map, threshold, one box per blob: the baseline of Mariam et al. 2022",
            mariam2022.MariamParameters,
            mariam2022.refine,
        ),
    )
}
"""All ways of refining by name, the default first."""

DEFAULT_METHOD = posterior.METHOD


def refine_labels(
    labels: Sequence[Label],
    slide: Slide | None,
    *,
    method: str = DEFAULT_METHOD,
    parameters: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[RefinedLabel]:
    """Give labels of one image better shapes.

    Parameters
    ----------
    labels : sequence of Label
        All labels of the image: methods learn from a session's labels together. Sessions never
        mix. May be empty.
    slide : Slide or None
        Its pixels; None for methods that need none.
    method : str
        A name in :data:`METHODS`.
    parameters : mapping, optional
        Values that differ from the method's defaults.
    progress : callable, optional
        Called with labels done and labels in all.

    Returns
    -------
    list of RefinedLabel
        In the order of `labels`, at most one each: ``mariam2022`` finds no shape for some.

    Raises
    ------
    UsageError
        If there is no such method or parameter, or a value is out of range.
    RefineError
        If the labels are of several images, the slide is not theirs, or the method needs one.
    SlideError
        If the slide's pixels cannot be read.

    Notes
    -----
    The same labels, slide and parameters give the same shapes, whatever else is in `labels`
    before or after a session's own.
    """
    chosen = _method(method)
    values = _parameters(chosen, parameters or {})
    _check(labels, slide, chosen)
    made = {
        (refined.label.session, refined.label.number): refined
        for refined in _by_session(labels, slide, chosen, values, progress)
    }
    order = [made.get((label.session, label.number)) for label in labels]
    return [refined for refined in order if refined is not None]


def _by_session(
    labels: Sequence[Label],
    slide: Slide | None,
    method: Method,
    values: Any,
    progress: Callable[[int, int], None] | None,
) -> Iterator[RefinedLabel]:
    """Refine the labels of each session on their own."""
    sessions: dict[UUID, list[Label]] = {}
    for label in labels:
        sessions.setdefault(label.session, []).append(label)
    done = 0
    for ours in sessions.values():

        def step(n: int, before: int = done) -> None:
            if progress:
                progress(before + n, len(labels))

        yield from method.refine(ours, slide, values, step)
        step(len(ours))
        done += len(ours)


def _method(name: str) -> Method:
    if name not in METHODS:
        raise UsageError(
            f"There is no refinement called '{name}'.", hint=f"There are: {', '.join(METHODS)}."
        )
    return METHODS[name]


def _parameters(method: Method, values: Mapping[str, Any]) -> Any:
    known = {field.name for field in dataclasses.fields(method.parameters)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UsageError(
            f"The method '{method.name}' has no parameter '{unknown[0]}'.",
            hint=f"It has: {', '.join(sorted(known))}.",
        )
    return method.parameters(**values)


def _check(labels: Sequence[Label], slide: Slide | None, method: Method) -> None:
    images = {(x.image.entry_id, x.image.name, x.image.width_px, x.image.height_px) for x in labels}
    if len(images) > 1:
        names = ", ".join(sorted({name for _, name, _, _ in images}))
        raise RefineError(
            f"Labels of one image were expected, but they are of {len(images)}: {names}.",
            hint="Refine the labels of each image on their own.",
        )
    if slide is None:
        if method.needs_slide and labels:
            raise RefineError(
                f"The method '{method.name}' looks at the picture, but no slide was given.",
                hint=f"Give the slide, or use '{posterior.METHOD_WITHOUT_PICTURE}'.",
            )
        return
    for _, name, width, height in images:
        if (width, height) != (slide.width_px, slide.height_px):
            raise RefineError(
                f"The labels are of '{name}' with {width} x {height} px, but "
                f"{slide.path.name} has {slide.width_px} x {slide.height_px} px.",
                hint="Give the slide that was looked at.",
            )
