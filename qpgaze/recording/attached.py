"""Which eye trackers are attached now: each vendor is asked in its own way, nothing is started."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from qpgaze.errors import QpgazeError
from qpgaze.recording.gazepoint import PORT, GazepointSource
from qpgaze.recording.live import LiveSetup
from qpgaze.recording.protocol import LiveSource
from qpgaze.recording.trackers import TobiiSource
from qpgaze.viewing import Display, Rect

LISTENS_S = 0.5


@dataclass(frozen=True)
class Attached:
    """What was found.

    Parameters
    ----------
    found : tuple of str
        Each tracker with its rate.
    troubles : tuple of str
        Why there is not more, a sentence for each vendor.
    """

    found: tuple[str, ...]
    troubles: tuple[str, ...]


def attached_trackers(python: str | None = None, gazepoint_port: int = PORT) -> Attached:
    """Ask Tobii's library and Gazepoint Control for their trackers; it takes a few seconds.

    Parameters
    ----------
    python : str, optional
        The Python that has Tobii's library; this one where not given.
    gazepoint_port : int
        On this computer.
    """
    # Where gaze lies on a desktop is of no interest here.
    setup = LiveSetup(display=Display(Rect(0, 0, 1920, 1080), 528.0, 297.0), python=python)
    found: list[str] = []
    troubles: list[str] = []
    _ask(lambda: TobiiSource(setup), found, troubles)
    try:
        socket.create_connection(("127.0.0.1", gazepoint_port), LISTENS_S).close()
    except OSError:
        troubles.append(f"No Gazepoint Control listens on port {gazepoint_port}.")
    else:
        _ask(lambda: GazepointSource(setup, port=gazepoint_port), found, troubles)
    return Attached(tuple(found), tuple(troubles))


def _ask(make: Callable[[], LiveSource], found: list[str], troubles: list[str]) -> None:
    source = make()
    try:
        header = source.start()
    except QpgazeError as error:
        troubles.append(str(error))
        return
    source.stop()
    rate = "" if header.gaze_rate_hz is None else f" at {header.gaze_rate_hz:g} Hz"
    found.append(f"{header.tracker}{rate}")
