"""What a client gets back: a round trip to the other clock, and lines of the stream."""

from __future__ import annotations

from dataclasses import dataclass

from qpgaze.wire.schema import Message


@dataclass(frozen=True)
class RoundTrip:
    """A question for the other clock and its answer, microseconds, each on its own clock.

    Parameters
    ----------
    sent_us, back_us : int
        Here: when the question left, when the answer came.
    there_us, left_us : int
        There: when the question came, when the answer left.
    """

    sent_us: int
    there_us: int
    left_us: int
    back_us: int


@dataclass(frozen=True)
class Streamed:
    """A line of the stream and when it came, on the host clock."""

    message: Message
    arrived_us: int
