"""Labels as QuPath objects: shapes, names, measurements and metadata."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from qpgaze import keys
from qpgaze.errors import RefineError, UsageError
from qpgaze.model import Fixation, Label, RefinedLabel, SlideObject
from qpgaze.viewing import ImageIdentity

QUADRANT_SEGMENTS = 12
"""Corners of a disc in a quarter turn: 48 in all, at most 0.3 % of the radius inside the circle."""
SIMPLIFY = 0.005
"""Union of discs: corners that matter less than this part of the smallest radius are dropped."""

PixelSize = tuple[float, float]


def fixation_radius_image_px(fixation: Fixation) -> float:
    """Return the radius within which the eye probably rested: the larger of spread and accuracy.

    Parameters
    ----------
    fixation : Fixation

    Returns
    -------
    float
        Level-0 pixels, at least half a pixel.
    """
    return max(fixation.spread_image_px, fixation.accuracy_image_px, 0.5)


def union_of_discs(fixations: tuple[Fixation, ...], image: ImageIdentity) -> BaseGeometry:
    """Unite a disc round each fixation, cut at the edge of the slide.

    Parameters
    ----------
    fixations : tuple of Fixation
        At least one.
    image : ImageIdentity

    Returns
    -------
    Polygon or MultiPolygon, ImagePx
        Valid. Several parts where discs do not touch.

    Raises
    ------
    UsageError
        If there is no fixation, or none near the slide.
    """
    if not fixations:
        raise UsageError("A label needs at least one fixation, but none came.")
    radius = np.array([fixation_radius_image_px(f) for f in fixations])
    centre = shapely.points([(f.x_image_px, f.y_image_px) for f in fixations])
    discs = shapely.buffer(centre, radius, quad_segs=QUADRANT_SEGMENTS)
    united = shapely.simplify(shapely.union_all(discs), SIMPLIFY * float(radius.min()))
    shape = _on_slide(united, image)
    if shape.is_empty:
        raise UsageError(
            f"The fixations lie beside the slide {image.name} "
            f"({image.width_px} x {image.height_px} px).",
            hint="Map the gaze with the states of this slide.",
        )
    return shape


def label_object(label: Label, *, pixel_size_um: PixelSize | None, version: str) -> SlideObject:
    """Turn a label into the one annotation object that stands for it.

    Parameters
    ----------
    label : Label
    pixel_size_um : (x, y) or None
        Micron per level-0 pixel; None writes lengths in pixels.
    version : str
        Of qpgaze, kept with the shape.

    Returns
    -------
    SlideObject
        Id ``label.object_id()``, state proposed, the union of discs round its fixations.

    Raises
    ------
    UsageError
        If the label has no fixation on its slide, or a pixel size is not positive.
    """
    parameters = {
        "accuracy_deg": label.accuracy_deg,
        "assumed_accuracy": label.assumed_accuracy,
        "precision_deg": label.precision_deg,
        "radius": "larger of spread and accuracy",
    }
    return SlideObject(
        id=label.object_id(),
        geometry=union_of_discs(label.fixations, label.image),
        class_name=label.class_name,
        name=f"{label.class_name} {label.number}",
        measurements=_measurements(label, label.fixations, pixel_size_um),
        metadata=_metadata(label, 0, keys.METHOD_DISCS, parameters, version)
        | {keys.START_US: str(label.start_us), keys.END_US: str(label.end_us)},
        z=label.z,
        t=label.t,
    )


def fixation_objects(
    label: Label, *, pixel_size_um: PixelSize | None, version: str
) -> list[SlideObject]:
    """Draw each fixation of a label as an ellipse of its own.

    Parameters
    ----------
    label : Label
    pixel_size_um : (x, y) or None
    version : str

    Returns
    -------
    list of SlideObject
        Class ``Gaze: Fixation``, in time order. Part 0 where the label *is* a fixation
        (:attr:`~qpgaze.keys.LabelEvent.FIXATION`); else parts from 1, since part 0 is the
        label's own object.

    Raises
    ------
    UsageError
        If a pixel size is not positive.
    """
    alone = label.event == keys.LabelEvent.FIXATION
    parameters = {
        "accuracy_deg": label.accuracy_deg,
        "assumed_accuracy": label.assumed_accuracy,
        "motion": "",
        "near_view_change": False,
        "radius": "larger of spread and accuracy",
    }
    objects = []
    for part, fixation in enumerate(label.fixations, 0 if alone else 1):
        parameters["motion"] = fixation.motion
        parameters["near_view_change"] = fixation.near_view_change
        metadata = _metadata(label, part, keys.METHOD_FIXATION, parameters, version)
        metadata |= {keys.START_US: str(fixation.start_us), keys.END_US: str(fixation.end_us)}
        objects.append(
            SlideObject(
                id=label.object_id(part),
                geometry=_ellipse_bounds(fixation, label.image),
                class_name=keys.FIXATION_CLASS,
                name=f"Fixation {label.number}" if alone else f"Fixation {label.number}.{part}",
                measurements=_measurements(label, (fixation,), pixel_size_um),
                metadata=metadata,
                is_ellipse=True,
                z=fixation.z,
                t=fixation.t,
            )
        )
    return objects


def refined_object(
    previous: SlideObject,
    refined: RefinedLabel,
    *,
    pixel_size_um: PixelSize | None,
    version: str,
) -> SlideObject:
    """Give an object that we wrote a better shape.

    Parameters
    ----------
    previous : SlideObject
        As the project holds it now.
    refined : RefinedLabel
    pixel_size_um : (x, y) or None
    version : str

    Returns
    -------
    SlideObject
        Same id, name, class, colour, lock, plane and state; every measurement and metadata value
        that is not about the shape is kept, whoever wrote it.

    Raises
    ------
    UsageError
        If `previous` is the object of another label, or a pixel size is not positive.
    RefineError
        If the shape is empty, not finite, or lies beside the slide.
    """
    label = refined.label
    if previous.id != label.object_id():
        raise UsageError(
            f"Object {previous.id} is not that of label {label.number} of session {label.session}.",
            hint="Find the object by label.object_id().",
        )
    stale = (keys.REFINED_UNCERTAINTY_UM, keys.REFINED_UNCERTAINTY_PX)
    measurements = {k: v for k, v in previous.measurements.items() if k not in stale}
    measurements |= _refined_measurements(refined, pixel_size_um)
    parameters = dict(refined.parameters)
    if refined.merged:
        parameters["merged_labels"] = sorted(other.number for other in refined.merged)
    metadata = dict(previous.metadata) | {
        keys.METHOD: refined.method,
        keys.PARAMETERS: _json(parameters),
        keys.VERSION: version,
    }
    return replace(
        previous,
        geometry=_refined_shape(refined),
        measurements=measurements,
        metadata=metadata,
        is_ellipse=False,
    )


def _refined_measurements(
    refined: RefinedLabel, pixel_size_um: PixelSize | None
) -> dict[str, float]:
    weight = {keys.REFINED_PICTURE_WEIGHT: float(refined.picture_weight)}
    if not math.isfinite(refined.uncertainty_image_px):
        return weight
    return weight | _length(
        refined.uncertainty_image_px,
        keys.REFINED_UNCERTAINTY_UM,
        keys.REFINED_UNCERTAINTY_PX,
        pixel_size_um,
    )


def _refined_shape(refined: RefinedLabel) -> BaseGeometry:
    label, shape = refined.label, refined.geometry
    if shape.is_empty or not np.isfinite(shapely.get_coordinates(shape)).all():
        raise RefineError(
            f"{refined.method} gave label {label.number} ({label.class_name}) no shape.",
            hint="Keep the gaze's own shape for it, or choose another method.",
        )
    shape = _on_slide(shape, label.image)
    if shape.is_empty:
        raise RefineError(
            f"{refined.method} put label {label.number} ({label.class_name}) beside the slide "
            f"{label.image.name} ({label.image.width_px} x {label.image.height_px} px).",
            hint="Check that labels and slide belong together.",
        )
    return shape


def _on_slide(shape: BaseGeometry, image: ImageIdentity) -> BaseGeometry:
    """Cut a shape at the slide's edge; a valid polygon or several, or an empty one."""
    if not shape.is_valid:
        shape = shapely.make_valid(shape)
    slide = shapely.box(0, 0, image.width_px, image.height_px)
    if not shapely.covers(slide, shape):
        shape = shapely.intersection(shape, slide)
    # Where a shape only touches an edge, the cut leaves lines and points too.
    parts = [part for part in _polygons(shape) if part.area > 0]
    if len(parts) == 1:
        return parts[0]
    return shapely.MultiPolygon(parts) if parts else shapely.Polygon()


def _polygons(shape: BaseGeometry) -> list[shapely.Polygon]:
    if isinstance(shape, shapely.Polygon):
        return [shape]
    inner = getattr(shape, "geoms", ())
    return [polygon for part in inner for polygon in _polygons(part)]


def _ellipse_bounds(fixation: Fixation, image: ImageIdentity) -> BaseGeometry:
    """Return the bounds of a disc; at the slide's edge they end there."""
    radius = fixation_radius_image_px(fixation)
    x, y = fixation.x_image_px, fixation.y_image_px
    box: BaseGeometry = shapely.box(
        max(x - radius, 0.0),
        max(y - radius, 0.0),
        min(x + radius, float(image.width_px)),
        min(y + radius, float(image.height_px)),
    )
    return box


def _measurements(
    label: Label, fixations: tuple[Fixation, ...], pixel_size_um: PixelSize | None
) -> dict[str, float]:
    dwell = sum(f.duration_ms for f in fixations)
    weights = [f.duration_ms if dwell > 0 else 1.0 for f in fixations]
    squares = sum(w * f.spread_image_px**2 for w, f in zip(weights, fixations, strict=True))
    spread = math.sqrt(squares / sum(weights))
    accuracy = median(f.accuracy_image_px for f in fixations)
    downsample = median(f.downsample for f in fixations)
    if len(fixations) > 1 and len(label.sample_downsample):
        downsample = float(np.median(label.sample_downsample))
    return {
        keys.DWELL_MS: float(dwell),
        keys.FIXATIONS: float(len(fixations)),
        keys.DOWNSAMPLE: float(downsample),
        **_length(spread, keys.SPREAD_UM, keys.SPREAD_PX, pixel_size_um),
        **_length(accuracy, keys.ACCURACY_UM, keys.ACCURACY_PX, pixel_size_um),
    }


def _length(
    value_px: float, name_um: str, name_px: str, pixel_size_um: PixelSize | None
) -> dict[str, float]:
    """Return a length under its name in micron, or in pixels where their size is unknown."""
    if pixel_size_um is None:
        return {name_px: float(value_px)}
    if not all(math.isfinite(size) and size > 0 for size in pixel_size_um):
        raise UsageError(
            f"A pixel size is two positive numbers of micron, but {pixel_size_um} came."
        )
    # Lengths have no direction here: pixels that are not square count as squares of equal area.
    return {name_um: float(value_px) * math.sqrt(pixel_size_um[0] * pixel_size_um[1])}


def _metadata(
    label: Label, part: int, method: str, parameters: Mapping[str, Any], version: str
) -> dict[str, str]:
    metadata = {
        keys.SESSION: str(label.session),
        keys.LABEL: str(label.number),
        keys.PART: str(part),
        keys.EVENT: label.event.value,
        keys.READER: label.reader,
        keys.TRACKER: label.tracker,
        keys.METHOD: method,
        keys.PARAMETERS: _json(parameters),
        keys.VERSION: version,
        keys.STATE: keys.ReviewState.PROPOSED.value,
    }
    return {key: value for key, value in metadata.items() if value}


def _json(parameters: Mapping[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True, ensure_ascii=False)
