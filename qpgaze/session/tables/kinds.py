"""Which column of a table means what: a mapping of the user's own, or of a recorder we know.

Tables that hold no gaze samples (fixations, events, clicks) are known too, to be refused by kind.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from qpgaze.errors import FormatError, UsageError

TimeUnit = Literal["ns", "us", "ms", "s"]
TableFrame = Literal["adcs", "screen-px", "screen-centre-px"]
YAxis = Literal["down", "up", "targets"]
Validity = Literal["flag", "tobii-0-4"]

EYES = ("left", "right")

ROLES: tuple[str, ...] = (
    "t",
    "x",
    "y",
    "valid",
    "system_t",
    *(
        f"{eye}_{what}"
        for eye in EYES
        for what in (
            "x",
            "y",
            "xy",
            "valid",
            "origin_x",
            "origin_y",
            "origin_z",
            "origin_xyz",
            "origin_valid",
            "pupil",
            "pupil_valid",
            "distance",
            "gaze_x_mm",
            "gaze_y_mm",
            "gaze_z_mm",
            "gaze_xyz_mm",
        )
    ),
)
"""What a column can mean. ``xy``, ``xyz`` are texts such as ``(0.1, 0.2)``."""


@dataclass(frozen=True)
class TableMapping:
    """How to read a table of gaze samples.

    Parameters
    ----------
    columns : mapping of str to str
        From a role of :data:`ROLES` to the name of the column. Needed: ``t`` and ``x``, ``y``, or
        those of at least one eye.
    unit : "ns", "us", "ms" or "s"
        Of the time.
    frame : "adcs", "screen-px" or "screen-centre-px"
        0..1 of the display from its top-left; pixels from its top-left; pixels from its centre.
    y_axis : "down", "up" or "targets"
        Which way y grows. ``targets``: see :func:`qpgaze.session.tables.samples.y_grows_up`.
    validity : "flag" or "tobii-0-4"
        1 is valid; or Tobii's codes, of which 0 and 1 are.
    missing : tuple of float
        A gaze coordinate of exactly this value is none.
    resolution_px : (width, height) or None
        Of the display, for the pixel frames.
    size_mm : (width, height) or None
        Of the display.
    tracker : str
        Model.
    assumed : tuple of str
        What a preset takes for granted, in words, for the report.
    """

    columns: Mapping[str, str]
    unit: TimeUnit = "us"
    frame: TableFrame = "adcs"
    y_axis: YAxis = "down"
    validity: Validity = "flag"
    missing: tuple[float, ...] = ()
    resolution_px: tuple[int, int] | None = None
    size_mm: tuple[float, float] | None = None
    tracker: str = ""
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [role for role in self.columns if role not in ROLES]
        if unknown:
            raise UsageError(
                f"A column cannot mean {', '.join(map(repr, unknown))}.",
                hint=f"Known are {', '.join(ROLES)}.",
            )
        if "t" not in self.columns or not self.gaze_roles:
            raise UsageError(
                "A mapping needs a column for t, and for x and y (or left_x, left_y, right_x, "
                f"right_y), but it has {', '.join(self.columns) or 'none'}."
            )
        for name, value, known in (
            ("unit", self.unit, get_args(TimeUnit)),
            ("frame", self.frame, get_args(TableFrame)),
            ("y_axis", self.y_axis, get_args(YAxis)),
            ("validity", self.validity, get_args(Validity)),
        ):
            if value not in known:
                raise UsageError(f"Expected {name} as {' or '.join(known)}, but {value!r} came.")

    @property
    def gaze_roles(self) -> tuple[str, ...]:
        """The roles that hold gaze, in pairs of x and y (or one text of both)."""
        pairs = [("x", "y"), *((f"{eye}_x", f"{eye}_y") for eye in EYES)]
        found = [role for pair in pairs if set(pair) <= set(self.columns) for role in pair]
        return (*found, *(f"{eye}_xy" for eye in EYES if f"{eye}_xy" in self.columns))


@dataclass(frozen=True)
class Preset:
    """A recorder's table that we know by its column names."""

    name: str
    title: str
    needs: frozenset[str]
    mapping: TableMapping


def _eyes(**columns: str) -> dict[str, str]:
    """Repeat columns for both eyes: ``{E}`` is Left, Right; ``{e}`` left, right; ``{1}`` L, R."""
    both = {}
    for eye in EYES:
        for role, name in columns.items():
            name = name.replace("{E}", eye.capitalize()).replace("{e}", eye)
            both[f"{eye}_{role}"] = name.replace("{1}", eye[0].upper())
    return both


PRESETS: tuple[Preset, ...] = (
    Preset(
        "tobii-tx300",
        "Tobii TX300 samples of the I2MC examples",
        frozenset({"Time", "LGazePos2dx", "LGazePos2dy", "RGazePos2dx", "LValidity", "RValidity"}),
        TableMapping(
            {
                "t": "Time",
                **_eyes(
                    x="{1}GazePos2dx",
                    y="{1}GazePos2dy",
                    valid="{1}Validity",
                    origin_x="{1}EyePos3dx",
                    origin_y="{1}EyePos3dy",
                    origin_z="{1}EyePos3dz",
                    pupil="{1}PupilDm",
                    gaze_x_mm="{1}GazePos3dx",
                    gaze_y_mm="{1}GazePos3dy",
                    gaze_z_mm="{1}GazePos3dz",
                ),
            },
            validity="tobii-0-4",
            missing=(-1.0,),
            resolution_px=(1920, 1080),
            tracker="Tobii TX300",
        ),
    ),
    Preset(
        "tobii-sdk",
        "dictionaries of the Tobii SDK, dumped as text",
        frozenset({"device_time_stamp", "left_gaze_point_on_display_area"}),
        TableMapping(
            {
                "t": "device_time_stamp",
                "system_t": "system_time_stamp",
                **_eyes(
                    xy="{e}_gaze_point_on_display_area",
                    valid="{e}_gaze_point_validity",
                    origin_xyz="{e}_gaze_origin_in_user_coordinate_system",
                    origin_valid="{e}_gaze_origin_validity",
                    pupil="{e}_pupil_diameter",
                    pupil_valid="{e}_pupil_validity",
                    gaze_xyz_mm="{e}_gaze_point_in_user_coordinate_system",
                ),
            },
            resolution_px=(1920, 1080),
            tracker="Tobii",
        ),
    ),
    Preset(
        "etdqualitizer",
        "validation samples of the ETDQualitizer",
        frozenset({"timestamp", "left_x", "left_y", "target_id", "tar_x", "tar_y"}),
        TableMapping(
            {"t": "timestamp", **_eyes(x="{e}_x", y="{e}_y")},
            unit="ms",
            frame="screen-centre-px",
            y_axis="targets",
            resolution_px=(1920, 1080),
            size_mm=(528.0, 297.0),
            tracker="Tobii Pro Spectrum",
        ),
    ),
    Preset(
        "tobii-studio",
        "all data of a Tobii Studio 2 export",
        frozenset({"Timestamp", "GazePointXLeft", "GazePointYLeft", "ValidityLeft"}),
        TableMapping(
            {
                "t": "MicroSecondTimestamp",
                **_eyes(
                    x="GazePointX{E}",
                    y="GazePointY{E}",
                    valid="Validity{E}",
                    pupil="Pupil{E}",
                    distance="Distance{E}",
                ),
            },
            frame="screen-px",
            validity="tobii-0-4",
            resolution_px=(1280, 1024),
            size_mm=(338.0, 270.0),
            tracker="Tobii Studio",
            assumed=("screen size 338 x 270 mm (17 inch, 5:4)",),
        ),
    ),
)
"""The tables that need no mapping."""

_NO_SAMPLES: tuple[tuple[str, frozenset[str]], ...] = (
    ("fixations", frozenset({"FixationIndex", "FixationDuration"})),
    ("fixations", frozenset({"FPOGX", "FPOGD", "FPOGID"})),
    ("events (clicks, keys, log messages)", frozenset({"Event", "EventKey", "Descriptor"})),
    ("clicks on targets, one gaze sample each", frozenset({"Target-ID", "Cursor-X", "Tracker"})),
)


def recognise(names: Collection[str]) -> Preset | None:
    """Return the preset whose columns are all there, None where there is none.

    Examples
    --------
    >>> recognise(["Timestamp", "GazePointXLeft", "GazePointYLeft", "ValidityLeft"]).name
    'tobii-studio'
    """
    there = set(names)
    return next((preset for preset in PRESETS if preset.needs <= there), None)


def no_samples_kind(names: Collection[str]) -> str | None:
    """Say what a table holds that is known to hold no gaze samples, None where none is known.

    Examples
    --------
    >>> no_samples_kind(["FixationIndex", "Timestamp", "FixationDuration"])
    'fixations'
    """
    if recognise(names) is not None:
        return None
    there = set(names)
    return next((kind for kind, needs in _NO_SAMPLES if needs <= there), None)


def read_mapping(path: Path) -> TableMapping:
    """Read a mapping from a JSON file: the fields of :class:`TableMapping`.

    Raises
    ------
    FormatError
        If it is no JSON object.
    UsageError
        If it names something that a mapping does not have.
    """
    try:
        value = json.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError as error:
        raise FormatError(f"There is no mapping file '{path}'.") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"The mapping '{Path(path).name}' is no JSON: {error}.") from error
    if not isinstance(value, dict) or not isinstance(value.get("columns"), dict):
        raise FormatError(
            f"The mapping '{Path(path).name}' needs an object 'columns' such as "
            '{"t": "Time", "x": "GazeX", "y": "GazeY"}.'
        )
    return mapping_from(value)


def mapping_from(value: Mapping[str, Any], base: TableMapping | None = None) -> TableMapping:
    """Build a mapping from plain values, on top of another where given.

    Raises
    ------
    UsageError
        If a field is unknown or of the wrong kind.
    """
    known = {k: v for k, v in value.items() if v is not None}
    for name in ("resolution_px", "size_mm", "missing", "assumed"):
        if name in known:
            known[name] = tuple(known[name])
    if "columns" in known:
        known["columns"] = {str(k): str(v) for k, v in known["columns"].items()}
    try:
        return TableMapping(**known) if base is None else replace(base, **known)
    except TypeError as error:
        fields = ", ".join(TableMapping.__dataclass_fields__)
        raise UsageError(
            f"A mapping has the fields {fields}, but {', '.join(known)} came."
        ) from error
