"""Open a source by the words that a person types: ``tobii``, ``gazepoint:host:port``, ..."""

from __future__ import annotations

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
    "simulated": "simulated[:SEED]",
    "mouse": "mouse",
}
"""Every source and how it is written."""
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
        For ``replay`` and ``simulated``: leave out their views and events, where those come
        from QuPath.
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
lsl[:STREAM], gazepoint[:HOST[:PORT]], replay:SESSION, simulated[:SEED], mouse.
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
    """Simulate a reader of a slide of twelve round objects; views and keys come with it."""
    if rest and not rest.isdigit():
        raise UsageError(f"Expected {SOURCES['simulated']}, but the seed '{rest}' is no number.")
    return SimulatedSource(practice_reading(int(rest or 0), setup), PACED_US)


def practice_reading(seed: int, setup: LiveSetup | None = None) -> Reading:
    """Simulate a reading of a made-up slide.

    Parameters
    ----------
    seed : int
    setup : LiveSetup, optional
        Its display, where it has one.
    """
    import shapely

    from qpgaze.simulate import TruthObject, simulate_reading
    from qpgaze.viewing import ImageIdentity

    truth = [
        TruthObject(
            f"{row}{column}",
            "Target",
            shapely.Point(2500 + 5000 * column, 2500 + 5000 * row).buffer(300 + 40 * column),
            target=(row + column) % 3 != 2,
        )
        for row in range(3)
        for column in range(4)
    ]
    image = ImageIdentity("practice", 20_000, 15_000)
    display = setup.display if setup is not None else None
    return simulate_reading(truth, image, pixel_size_um=0.25, display=display, seed=seed)
