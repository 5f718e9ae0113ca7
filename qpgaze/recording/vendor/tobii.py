"""Gaze of a Tobii tracker, through whichever of Tobii's libraries this Python has."""

from __future__ import annotations

import importlib
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qpgaze.recording.vendor.pipe import Pipe

ADAPTERS = {"tobii_research": "tobii_sdk", "TittaPy_v2": "tobii_titta"}
"""Module to import: the file here that speaks to it."""

EYE_TRACKER_5 = re.compile(r"eye\s*tracker\s*5(?!\d)|\bET5\b|EyeTracker5", re.IGNORECASE)

COLUMNS = [
    "device_us",
    "system_us",
    *(
        f"{eye}_{what}"
        for eye in ("left", "right")
        for what in ("x_adcs", "y_adcs", "origin_x_mm", "origin_y_mm", "origin_z_mm", "pupil_mm")
    ),
    *(f"{eye}_{what}_valid" for eye in ("left", "right") for what in ("gaze", "origin", "pupil")),
]
"""Of a row; the adapters fill it in this order."""

POLL_S = 0.008
SYNC_EVERY = 125
"""Rounds of the loop between two looks for comparisons of the clocks: about a second."""


def run(pipe: Pipe, options: dict[str, Any]) -> None:
    """Find the tracker, stream until told to stop."""
    library = load(pipe, options.get("library"))
    adapter = importlib.import_module(ADAPTERS[library.__name__])
    tracker = adapter.Tracker(library, find(pipe, adapter.find(library), options.get("address")))
    refuse(pipe, tracker)
    pipe.clock = tracker.now_us
    wanted_hz = options.get("rate_hz")
    if wanted_hz:
        set_rate(pipe, tracker, wanted_hz)
    pipe.write({"type": "ready", **tracker.describe(), "columns": COLUMNS})
    tracker.start()
    try:
        stream(pipe, tracker, wanted_hz)
    finally:
        tracker.stop()


def load(pipe: Pipe, wanted: str | None) -> Any:
    """Import the library that this Python has."""
    names = [wanted] if wanted else ["tobii_research", "TittaPy_v2"]
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    version = ".".join(map(str, sys.version_info[:2]))
    raise pipe.Trouble(
        "missing",
        f"Python {version} has none of Tobii's libraries ({' or '.join(names)}).",
        "Run 'pip install qpgaze[tobii]': it takes tobii-research on Python 3.10, TittaPy above.",
    )


def find(pipe: Pipe, found: list[tuple[str, Any]], address: str | None) -> Any:
    """Return the tracker of this address, or the only one."""
    if not found:
        raise pipe.Trouble(
            "none_found",
            "No Tobii tracker was found.",
            "See that it is plugged in, has power, and that Tobii's runtime is installed.",
        )
    if address is None and len(found) == 1:
        return found[0][1]
    for where, tracker in found:
        if where == address:
            return tracker
    listed = ", ".join(where for where, _ in found)
    if address is None:
        raise pipe.Trouble(
            "several", f"Several Tobii trackers: {listed}.", "Name one: tobii:ADDRESS."
        )
    raise pipe.Trouble("none_found", f"No Tobii tracker at {address}; there: {listed}.")


def refuse(pipe: Pipe, tracker: Any) -> None:
    """Refuse the consumer Eye Tracker 5."""
    said = tracker.describe()
    if any(EYE_TRACKER_5.search(str(said.get(key, ""))) for key in ("model", "name")):
        raise pipe.Trouble(
            "refused",
            "The Tobii Eye Tracker 5 is for games: Tobii's licence does not allow its gaze to be "
            "stored or analysed without a special agreement, so qpgaze does not record from it.",
            "Use one of Tobii's trackers for research, a Gazepoint, or an LSL stream.",
        )


def set_rate(pipe: Pipe, tracker: Any, wanted_hz: float) -> None:
    """Set the rate, where the tracker has it."""
    rates = tracker.describe().get("rates_hz") or []
    if rates and not any(abs(rate - wanted_hz) < 0.5 for rate in rates):
        listed = ", ".join(f"{rate:g}" for rate in rates)
        raise pipe.Trouble(
            "rate", f"This tracker has no rate of {wanted_hz:g} Hz.", f"It has {listed} Hz."
        )
    tracker.set_rate(wanted_hz)


def stream(pipe: Pipe, tracker: Any, wanted_hz: float | None) -> None:
    """Send what comes until told to stop."""
    rounds = 0
    while True:
        command = pipe.command(POLL_S)
        while command is not None:
            if command["type"] == "stop":
                return
            do(pipe, tracker, command, wanted_hz)
            command = pipe.command(0.0)
        rows, bad = tracker.take()
        if rows:
            pipe.write({"type": "gaze", "rows": rows})
        if bad:
            pipe.write({"type": "note", "what": f"{bad} samples could not be read"})
        for what in tracker.notes():
            pipe.write({"type": "note", "what": what})
            if "frequency" in what or "calibration" in what:
                tell_rate(pipe, tracker, wanted_hz)
        rounds += 1
        if rounds % SYNC_EVERY == 1:
            trips = tracker.trips()
            if trips:
                pipe.write({"type": "sync", "trips": trips})


def tell_rate(pipe: Pipe, tracker: Any, wanted_hz: float | None) -> None:
    """Read the rate again: it may fall after a calibration. Ask for the wanted one once more."""
    rate_hz = tracker.rate_hz()
    if wanted_hz and abs(rate_hz - wanted_hz) > 0.5:
        tracker.set_rate(wanted_hz)
        rate_hz = tracker.rate_hz()
    pipe.write({"type": "rate", "rate_hz": rate_hz})


def do(pipe: Pipe, tracker: Any, command: dict[str, Any], wanted_hz: float | None) -> None:
    """Do what was asked, and answer."""
    if command["type"] == "rate":
        tell_rate(pipe, tracker, wanted_hz)
    elif command["type"] == "calibrate":
        answer = {"type": "answer", "id": command["id"]}
        try:
            ok, detail = tracker.calibrate(command["do"], command.get("x"), command.get("y"))
        except Exception as error:  # the SDK raises what it likes; the caller is told
            ok, detail = False, f"{type(error).__name__}: {error}"
        pipe.write({**answer, "ok": bool(ok), "detail": detail})
        if command["do"] in ("compute", "leave"):
            tell_rate(pipe, tracker, wanted_hz)
