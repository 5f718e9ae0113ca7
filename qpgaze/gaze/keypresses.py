"""Labelling keys in the order of a session: which stretch each means, and what was undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qpgaze.errors import SessionError
from qpgaze.keys import LabelEvent
from qpgaze.model import Event

Note = tuple[int, str]
"""Session clock in us, and a sentence."""


@dataclass(frozen=True)
class Press:
    """One labelling action.

    Parameters
    ----------
    number : int
        From 1, in the order of the session; undone ones keep theirs.
    event : LabelEvent
        ``MARK``, ``HOLD`` or ``TOGGLE``.
    class_name : str
    start_us, end_us : int
        As the keys were pressed, no lag taken off. Equal for a mark.
    """

    number: int
    event: LabelEvent
    class_name: str
    start_us: int
    end_us: int


class PressReader:
    """Follows the keys through a session, one event after the other.

    Attributes
    ----------
    presses : dict of int to Press
        By number, undone ones included; one that is still open ends where it begins.
    open : dict
        Numbers of the holds and toggles that were not ended yet.
    undone : set of int
    changed : set of int
        Numbers of presses that were completed or taken back; whoever follows empties it.
    notes : list of (us, str)
    """

    def __init__(self) -> None:
        self.presses: dict[int, Press] = {}
        self.open: dict[tuple[LabelEvent, str], int] = {}
        self.changed: set[int] = set()
        # A cancelled hold is still down: its release is awaited, and means nothing.
        self.cancelled: set[tuple[LabelEvent, str]] = set()
        self.undone: set[int] = set()
        self.notes: list[Note] = []

    def take(self, item: Event) -> None:
        """Follow one label event; they come in time order.

        Raises
        ------
        SessionError
            If it lacks its class, or its ``down`` is not true or false.
        """
        name, at = item.data.get("event"), f"{item.t_us / 1e6:.1f} s"
        if name == LabelEvent.UNDO.value:
            self._undo(item.t_us)
        elif name == LabelEvent.MARK.value:
            # A recorder that also sends the key going up means nothing by it.
            if item.data.get("down") is not False:
                self.changed.add(self._begin(LabelEvent.MARK, _class_of(item), item.t_us))
        elif name in (LabelEvent.HOLD.value, LabelEvent.TOGGLE.value):
            event = LabelEvent(name)
            self._key(event, _class_of(item), _down_of(item, event), item.t_us)
        else:
            self._note(item.t_us, f"Label event {name!r} at {at} is not known and was left out.")

    def _begin(self, event: LabelEvent, class_name: str, t_us: int) -> int:
        number = len(self.presses) + 1
        self.presses[number] = Press(number, event, class_name, t_us, t_us)
        return number

    def _key(self, event: LabelEvent, class_name: str, down: bool | None, t_us: int) -> None:
        """Take a key of a hold or a toggle going down (on) or up (off)."""
        key = (event, class_name)
        if down is None:
            down = key not in self.open and key not in self.cancelled
        if down:
            # A keyboard repeats a key that is kept down: only the first press counts.
            if key not in self.open:
                self.cancelled.discard(key)
                self.open[key] = self._begin(event, class_name, t_us)
        elif key in self.open:
            number = self.open.pop(key)
            self.presses[number] = replace(self.presses[number], end_us=t_us)
            self.changed.add(number)
        elif key in self.cancelled:
            self.cancelled.discard(key)
        else:
            self._note(
                t_us,
                f"The end of a {event.value} ({class_name}, at {t_us / 1e6:.1f} s) has no "
                "beginning and was left out.",
            )

    def _undo(self, t_us: int) -> None:
        """Take back the last label that is not taken back yet."""
        number = next((n for n in reversed(self.presses) if n not in self.undone), 0)
        if not number:
            self._note(t_us, f"Undo at {t_us / 1e6:.1f} s: there was no label to take back.")
            return
        self.undone.add(number)
        self.changed.add(number)
        press = self.presses[number]
        key = (press.event, press.class_name)
        if self.open.get(key) == number:
            del self.open[key]
            self.cancelled.add(key)

    def _note(self, t_us: int, text: str) -> None:
        self.notes.append((t_us, text))

    def finish(self, end_us: int) -> None:
        """End what was never released."""
        for (event, class_name), number in self.open.items():
            start_us = self.presses[number].start_us
            self.presses[number] = replace(self.presses[number], end_us=max(end_us, start_us))
            what = "the key was never released" if event == LabelEvent.HOLD else "never ended"
            self._note(
                start_us,
                f"Label {number} ({class_name}, at {start_us / 1e6:.1f} s): {what}; it ends with "
                "the session.",
            )


def read_presses(
    events: Sequence[Event], *, end_us: int, keep_undone: bool = False
) -> tuple[list[Press], list[Note]]:
    """Read the labelling keys of a session.

    Parameters
    ----------
    events : sequence of Event
        Of any kind and in any order; only ``label`` counts.
    end_us : int
        End of the session, which ends what was never released.
    keep_undone : bool
        Return undone ones too.

    Returns
    -------
    presses : list of Press
        By number, undone ones left out.
    notes : list of (us, str)

    Raises
    ------
    SessionError
        If a label event lacks its class, or its ``down`` is not true or false.

    Notes
    -----
    Every mark and every beginning of a hold or toggle takes the next number. Holds and toggles of
    different classes are independent. *Undo* takes back the one with the highest number, be it
    still open. An event that a later version introduced is left out and noted.

    Examples
    --------
    >>> keys = [Event(5, "label", {"event": "mark", "class": "Pearl"}),
    ...     Event(7, "label", {"event": "undo"}),
    ...     Event(9, "label", {"event": "mark", "class": "Nerve"})]
    >>> [(press.number, press.class_name) for press in read_presses(keys, end_us=10)[0]]
    [(2, 'Nerve')]
    """
    reader = PressReader()
    labels = sorted((e for e in events if e.kind == "label"), key=lambda e: e.t_us)
    for item in labels:
        reader.take(item)
    reader.finish(end_us)
    kept = [p for n, p in reader.presses.items() if keep_undone or n not in reader.undone]
    return kept, reader.notes


def _class_of(item: Event) -> str:
    name = item.data.get("class")
    if not isinstance(name, str) or not name.strip():
        raise SessionError(
            f"The label event at {item.t_us / 1e6:.1f} s needs the name of a class, but "
            f"{name!r} came.",
            hint="Give 'class' in its data, as in QuPath's class list.",
        )
    return name


def _down_of(item: Event, event: LabelEvent) -> bool | None:
    down = item.data.get("down")
    if isinstance(down, bool) or (down is None and event == LabelEvent.TOGGLE):
        return down
    raise SessionError(
        f"The {event.value} at {item.t_us / 1e6:.1f} s says with 'down' whether the key went down "
        f"(true) or up (false), but {down!r} came.",
        hint="Write true for its beginning and false for its end.",
    )
