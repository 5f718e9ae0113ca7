"""Open a source by the words that a person types: ``tobii``, ``gazepoint:host:port``, ..."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qpgaze.errors import UsageError
from qpgaze.recording.gazepoint import PORT, GazepointSource
from qpgaze.recording.live import LiveSetup, PacedSource
from qpgaze.recording.mouse import Connect, MouseSource
from qpgaze.recording.protocol import LiveSource, Source
from qpgaze.recording.replay import ReplaySource, SimulatedSource
from qpgaze.recording.trackers import LslSource, TobiiSource

if TYPE_CHECKING:
    from qpgaze.simulate import Reading

SOURCES: Final = {
    "tobii": "tobii[:ADDRESS]",
    "lsl": "lsl[:STREAM]",
    "gazepoint": "gazepoint[:HOST[:PORT]]",
    "replay": "replay:SESSION",
    "simulated": "simulated[:SEED[:OBJECTS]]",
    "mouse": "mouse",
}
"""Every source and how it is written."""
MOST_OBJECTS: Final = 1000
PACED_US: Final = 8_000
"""What happens in real time comes as often as a tracker's library is asked."""


def open_source(
    spec: str,
    setup: LiveSetup,
    *,
    gaze_only: bool = False,
    speed: float = 1.0,
    connect: Connect | None = None,
) -> LiveSource:
    """Make a source; nothing is started or connected yet.

    Parameters
    ----------
    spec : str
        As :data:`SOURCES` shows.
    setup : LiveSetup
    gaze_only : bool
        For ``replay`` and ``simulated``: leave out their views and keys, where those come
        from QuPath; what a validation measured of the tracker stays.
    speed : float
        For ``replay`` and ``simulated``: seconds of the recording in a second.
    connect : callable, optional
        For ``mouse``: connects to QuPath.

    Raises
    ------
    UsageError
        If there is no such source, or what follows its name is not what it takes.
    SessionError
        If a session to replay cannot be opened.

    Examples
    --------
    >>> open_source("gazepoint:192.168.1.5", LiveSetup()).columns[0].name
    't_us'
    >>> open_source("telescope", LiveSetup())
    Traceback (most recent call last):
    ...
    qpgaze.errors.UsageError: There is no source 'telescope'. Choose one of tobii[:ADDRESS], \
lsl[:STREAM], gazepoint[:HOST[:PORT]], replay:SESSION, simulated[:SEED[:OBJECTS]], mouse.
    """
    name, _, rest = spec.strip().partition(":")
    makers: dict[str, Callable[[], LiveSource]] = {
        "tobii": lambda: TobiiSource(setup, rest or None),
        "lsl": lambda: LslSource(setup, rest or None),
        "gazepoint": lambda: _gazepoint(setup, rest),
        "replay": lambda: _paced(_replay(rest), setup, speed, gaze_only),
        "simulated": lambda: _paced(_simulated(setup, rest), setup, speed, gaze_only),
        "mouse": lambda: MouseSource(setup, connect),
    }
    if name.lower() not in makers:
        raise UsageError(
            f"There is no source '{name}'.", hint=f"Choose one of {', '.join(SOURCES.values())}."
        )
    if rest and name.lower() == "mouse":
        raise UsageError(f"The source 'mouse' takes nothing, but '{rest}' came.")
    return makers[name.lower()]()


def _gazepoint(setup: LiveSetup, rest: str) -> LiveSource:
    host, _, port = rest.rpartition(":") if rest.count(":") else (rest, "", "")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"Expected {SOURCES['gazepoint']}, but the port '{port}' is no number.")
    return GazepointSource(setup, host or "127.0.0.1", int(port) if port else PORT)


def _paced(source: Source, setup: LiveSetup, speed: float, gaze_only: bool) -> LiveSource:
    return PacedSource(source, setup, speed=speed, gaze_only=gaze_only)


def _replay(rest: str) -> Source:
    if not rest:
        raise UsageError(f"Expected {SOURCES['replay']}, but no session came.")
    return ReplaySource(Path(rest), PACED_US)


def _simulated(setup: LiveSetup, rest: str) -> Source:
    """Simulate a reader of a slide of round objects; views and keys come with it."""
    seed, _, objects = rest.partition(":")
    for what, text in (("seed", seed), ("number of objects", objects)):
        if text and not (text.isascii() and text.isdigit()):
            raise UsageError(
                f"Expected {SOURCES['simulated']}, but the {what} '{text}' is no number."
            )
    if objects and not 0 < int(objects) <= MOST_OBJECTS:
        raise UsageError(f"A simulated slide has 1 to {MOST_OBJECTS} objects, but {objects} came.")
    reading = practice_reading(int(seed or 0), setup, int(objects or 12))
    return SimulatedSource(reading, PACED_US)


def practice_reading(seed: int, setup: LiveSetup | None = None, objects: int = 12) -> Reading:
    """Simulate a reading of a made-up slide.

    Parameters
    ----------
    seed : int
    setup : LiveSetup, optional
        Its display, where it has one.
    objects : int
        Round ones, in rows and columns; the reader takes about five seconds for each.
    """
    import shapely

    from qpgaze.simulate import TruthObject, simulate_reading
    from qpgaze.viewing import ImageIdentity

    columns = math.ceil(math.sqrt(objects * 4 / 3))
    pitch = 20_000 // columns
    truth = [
        TruthObject(
            f"{row}{column}" if objects <= 12 else f"{row}-{column}",
            "Target",
            shapely.Point(pitch // 2 + pitch * column, pitch // 2 + pitch * row).buffer(
                pitch * (0.06 + 0.032 * column / columns)
            ),
            target=(row + column) % 3 != 2,
        )
        for row, column in (divmod(n, columns) for n in range(objects))
    ]
    image = ImageIdentity("practice", 20_000, 15_000)
    display = setup.display if setup is not None else None
    return simulate_reading(truth, image, pixel_size_um=0.25, display=display, seed=seed)
