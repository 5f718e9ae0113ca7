"""Whether QuPath sees the tracker's monitor where the recording takes it to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qpgaze.model import Event
from qpgaze.recording.validation.monitors import contradiction
from qpgaze.viewing import Display, Rect, ViewerState

TROUBLE: Final = "QuPath sees the tracker's monitor elsewhere"
"""For the status; the sentence stands in the notes."""


class DisplayWatch:
    """Holds what the viewers say of their monitors against the display of a session.

    Gaze is placed on the desktop by the display. Where QuPath sees that monitor elsewhere, in
    another size or scale (another monitor was plugged in, the wrong one chosen), every sample lands
    beside what was looked at: that is said at once and stays in the session.

    Parameters
    ----------
    display : Display
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._seen: dict[str, tuple[Rect | None, float]] = {}
        self._wrong: dict[str, str] = {}
        self._said: set[str] = set()

    @property
    def trouble(self) -> str:
        """What is wrong now, in a few words; empty where all agrees."""
        return TROUBLE if self._wrong else ""

    def take(self, states: Sequence[ViewerState]) -> list[Event]:
        """Look at viewer states; return notes about what is new."""
        events: list[Event] = []
        for state in states:
            now = (state.screen_bounds_px, state.screen_scale)
            if self._seen.get(state.viewer) == now:
                continue
            self._seen[state.viewer] = now
            events += self._look(state)
        return events

    def _look(self, state: ViewerState) -> list[Event]:
        text = contradiction(self._display, state)
        was_wrong = bool(self._wrong)
        if text is None:
            self._wrong.pop(state.viewer, None)
            if not was_wrong or self._wrong:
                return []
            agreed = "QuPath sees the tracker's monitor where it was chosen to be again."
            self._said.clear()
            return [Event(state.t_us, "note", {"text": agreed, "display": "agrees"})]
        self._wrong[state.viewer] = text
        if text in self._said:
            return []
        self._said.add(text)
        return [Event(state.t_us, "note", {"text": text, "display": "contradicted"})]
