"""Gaze of a Lab Streaming Layer stream, through ``pylsl``."""

from __future__ import annotations

import ctypes
import importlib
import math
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qpgaze.recording.vendor.pipe import Pipe

FIND_S = 3.0
CORRECT_EVERY_S = 5.0
CORRECTION_ERROR_US = 1000.0
"""Assumed where the library does not tell how sure it is of its correction."""

FLOATS = [
    f"{eye}_{what}"
    for eye in ("left", "right")
    for what in ("x_adcs", "y_adcs", "origin_x_mm", "origin_y_mm", "origin_z_mm", "pupil_mm")
]


def run(pipe: Pipe, options: dict[str, Any]) -> None:
    """Find the stream, pass it on until told to stop."""
    try:
        pylsl = importlib.import_module("pylsl")
    except ImportError as error:
        raise pipe.Trouble(
            "missing", "This Python has no pylsl.", "Run 'pip install qpgaze[lsl]'."
        ) from error
    info = find(pipe, pylsl, options.get("stream"), float(options.get("find_s") or FIND_S))
    inlet = pylsl.StreamInlet(info, max_buflen=60, recover=True)
    full = inlet.info(5.0)
    labels, units = channels(full)
    places = assign(pipe, options.get("channels") or labels, full.name())
    pipe.clock = lambda: round(pylsl.local_clock() * 1e6)
    inlet.open_stream(5.0)
    rate = full.nominal_srate()
    pipe.write(
        {
            "type": "ready",
            "library": "pylsl",
            "version": str(getattr(pylsl, "__version__", "")),
            "model": full.name(),
            "serial": full.source_id(),
            "rate_hz": rate if rate > 0 else None,
            "units": [units[place] if place < len(units) else "" for place in places.values()],
            "columns": ["device_us", *places],
            "labels": labels,
        }
    )
    stream(pipe, pylsl, inlet, list(places.values()))


def find(pipe: Pipe, pylsl: Any, name: str | None, wait_s: float) -> Any:
    """Return the stream of this name, or the only one of type Gaze."""
    ask = ("name", name) if name else ("type", "Gaze")
    found = list(pylsl.resolve_byprop(*ask, minimum=1, timeout=wait_s))
    if not found and name is None:
        found = [s for s in pylsl.resolve_streams(1.0) if "gaze" in s.type().lower()]
    what = f"of the name {name!r}" if name else "of the type 'Gaze'"
    if not found:
        raise pipe.Trouble(
            "none_found",
            f"No LSL stream {what} is on this network.",
            "Start the application that sends it, and see that no firewall is between.",
        )
    names = sorted({stream.name() for stream in found})
    if len({stream.uid() for stream in found}) > 1 and (name is None or len(names) == 1):
        raise pipe.Trouble(
            "several", f"Several LSL streams {what}: {', '.join(names)}.", "Name one: lsl:NAME."
        )
    return found[0]


def channels(info: Any) -> tuple[list[str], list[str]]:
    """Return labels and units of a stream's channels, empty where it tells none."""
    labels, units = [], []
    channel = info.desc().child("channels").child("channel")
    for _ in range(info.channel_count()):
        labels.append(channel.child_value("label") or channel.child_value("name"))
        units.append(channel.child_value("unit"))
        channel = channel.next_sibling()
    return (labels, units) if any(labels) else ([], [])


def assign(pipe: Pipe, labels: list[str], name: str) -> dict[str, int]:
    """Return which channel holds which of our columns."""
    places = {}
    for number, label in enumerate(labels):
        column = meaning(label)
        if column is not None and column not in places:
            places[column] = number
    needed = {"left_x_adcs", "left_y_adcs", "right_x_adcs", "right_y_adcs"}
    if not needed <= set(places):
        listed = ", ".join(labels) or "none"
        raise pipe.Trouble(
            "channels",
            f"The LSL stream '{name}' does not say which channels hold gaze (labels: {listed}).",
            "Name them in order: --channels left_x,left_y,right_x,right_y,left_pupil,right_pupil.",
        )
    return {column: places[column] for column in FLOATS if column in places}


def meaning(label: str) -> str | None:
    """Return our column for a channel's label; None for another."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", label.replace("_", " "))
    low = [word.lower() for word in words]
    eye = next(
        (full for word in low for full in ("left", "right") if word in (full, full[0])), None
    )
    if eye is None:
        return None
    if any(word in ("pupil", "diameter") for word in low):
        return f"{eye}_pupil_mm"
    axis = next((word for word in reversed(low) if word in ("x", "y", "z")), None)
    if axis is None:
        return None
    if any(word in ("origin", "position", "pos", "eyepos") for word in low):
        return f"{eye}_origin_{axis}_mm"
    return f"{eye}_{axis}_adcs" if axis in ("x", "y") else None


def stream(pipe: Pipe, pylsl: Any, inlet: Any, places: list[int]) -> None:
    """Send what comes until told to stop."""
    corrected_s = -math.inf
    while True:
        command = pipe.command(0.0)
        if command is not None and command["type"] == "stop":
            inlet.close_stream()
            return
        if time.monotonic() - corrected_s > CORRECT_EVERY_S:
            corrected_s = time.monotonic()
            pipe.write({"type": "correction", **correction(pylsl, inlet)})
        samples, stamps = inlet.pull_chunk(timeout=0.01, max_samples=4096, as_numpy=False)
        if stamps:
            rows = [
                [round(stamp * 1e6), *(float(sample[place]) for place in places)]
                for sample, stamp in zip(samples, stamps)  # noqa: B905 - also runs on old Pythons
            ]
            pipe.write({"type": "gaze", "rows": rows})


def correction(pylsl: Any, inlet: Any) -> dict[str, float]:
    """Return what to add to the sender's stamps to have them on this computer's LSL clock."""
    ask = getattr(getattr(getattr(pylsl, "lib", None), "lib", None), "lsl_time_correction_ex", None)
    if ask is not None and hasattr(inlet, "obj"):
        ask.restype = ctypes.c_double
        remote, error, code = ctypes.c_double(), ctypes.c_double(), ctypes.c_int()
        seconds = ask(
            ctypes.c_void_p(inlet.obj if isinstance(inlet.obj, int) else inlet.obj.value),
            ctypes.byref(remote),
            ctypes.byref(error),
            ctypes.c_double(5.0),
            ctypes.byref(code),
        )
        if code.value == 0:
            return {"us": seconds * 1e6, "error_us": error.value * 1e6}
    return {"us": inlet.time_correction(5.0) * 1e6, "error_us": CORRECTION_ERROR_US}
