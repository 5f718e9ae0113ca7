"""Provisional labels while a session is recorded, by the same code as afterwards."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

import qpgaze
from qpgaze.bridge.geojson import to_geojson
from qpgaze.bridge.objects import label_object
from qpgaze.errors import UsageError
from qpgaze.gaze import (
    IvtParameters,
    LabelParameters,
    detect_fixations,
    make_labels,
    map_samples,
)
from qpgaze.gaze.keypresses import Press, PressReader
from qpgaze.model import Event, Label
from qpgaze.recording.live_labels import LabelChange, joined
from qpgaze.samples import GazeSamples, empty_records
from qpgaze.session import SessionHeader
from qpgaze.session.reader import ASSUMED_ACCURACY_DEG, ASSUMED_PRECISION_DEG
from qpgaze.viewing import Display, ImageIdentity, Rect, ViewerState

BEFORE_US: Final = 10_000_000
"""Gaze before a press that its label may reach back to, and that noise is judged by."""
AT_ONCE_US: Final = 3_000_000
"""Before a press, for the first answer: most labels reach back no further."""
EDGE_US: Final = 700_000
"""A label that begins so near to what was looked at may have begun before."""
FORGET_US: Final = 1_000_000
"""Views are looked through for old ones no more often than that."""
SAME_US: Final = 200_000
"""Of an unchanged view a state so often is enough: its age tells only whether QuPath still runs."""
LONGEST_US: Final = 600_000_000
"""A hold or toggle longer than this is labelled afterwards only."""
SETTLE_US: Final = 1_000_000
"""So long after a press the fixation that it meant has ended: the label is made once more."""
SYNC_US: Final = 5_000
"""What the recorder promises of the clocks; it only marks fixations near a change of view."""

Records = npt.NDArray[np.void]


@dataclass
class _Pending:
    """A press whose label is not settled yet."""

    press: Press
    made: bool = False


class ProvisionalLabels:
    """Makes labels of the last seconds whenever a key completes one.

    Parameters
    ----------
    header : SessionHeader
    ivt, rules : optional
        As for :func:`qpgaze.workflows.read_labels`.
    rehearse : bool
        Make a label of nothing first: what is loaded when first used is loaded then, and not
        while a reader waits for the first label.

    Notes
    -----
    A label is made at its key, of the fixations so far, and once more a second later, when the
    fixation that it meant is over. It is provisional: afterwards noise is judged by the whole
    session, and clocks by all their comparisons.
    """

    def __init__(
        self,
        header: SessionHeader,
        *,
        ivt: IvtParameters | None = None,
        rules: LabelParameters | None = None,
        rehearse: bool = True,
    ) -> None:
        self._header, self._ivt, self._rules = header, ivt, rules or LabelParameters()
        if rehearse:
            rehearse_labels()
        self._accuracy = (ASSUMED_ACCURACY_DEG, ASSUMED_PRECISION_DEG, True)
        self._gaze: deque[Records] = deque()
        self._states: deque[ViewerState] = deque()
        self._events: list[Event] = []
        self._reader = PressReader()
        self._pending: dict[int, _Pending] = {}
        self._kept: dict[str, ViewerState] = {}
        self._shown: dict[int, tuple[Label, Mapping[str, Any]]] = {}

    @property
    def count(self) -> int:
        """How many labels there are now."""
        return len(self._shown)

    @property
    def in_a_hurry(self) -> bool:
        """Whether a label waits for nothing but the next gaze."""
        return any(not pending.made for pending in list(self._pending.values()))

    def take(
        self, gaze: Records, states: Sequence[ViewerState], events: Sequence[Event], now_us: int
    ) -> list[LabelChange]:
        """Take what came, and return what is to be shown.

        Parameters
        ----------
        gaze : (n,) structured array
        states, events
            Session clock.
        now_us : int
            Session clock.
        """
        if len(gaze):
            self._gaze.append(gaze)
        self._keep_states(states)
        self._forget(now_us)
        changes: list[LabelChange] = []
        keys = [e for e in events if e.kind == "label"]
        self._measure(events)
        if keys:
            changes += self._keys(keys)
        due = [n for n, pending in self._pending.items() if self._is_due(pending, now_us)]
        # Whoever pressed a key just now waits; what is shown already can.
        new = [n for n in due if not self._pending[n].made]
        if due:
            changes += self._make(new or due)
        return changes

    def of(self, image: ImageIdentity) -> LabelChange:
        """Return every label of an image."""
        here = tuple(f for label, f in self._shown.values() if label.image == image)
        return LabelChange(image, here)

    # -- keys ----------------------------------------------------------------------------------

    def _measure(self, events: Sequence[Event]) -> None:
        for event in events:
            accuracy = event.data.get("accuracy_deg") if event.kind == "validation" else None
            if isinstance(accuracy, (int, float)) and accuracy > 0:
                precision = event.data.get("precision_sd_deg") or ASSUMED_PRECISION_DEG
                self._accuracy = (float(accuracy), float(precision), False)

    def _keys(self, keys: Sequence[Event]) -> list[LabelChange]:
        """Follow the keys: what is complete now is pending, what was taken back goes."""
        changes = []
        for number in sorted(self._follow(keys)):
            press = self._closed(number)
            if press is not None:
                self._pending[number] = _Pending(press)
                continue
            self._pending.pop(number, None)
            if number in self._shown:
                gone, _ = self._shown.pop(number)
                changes.append(LabelChange(gone.image, (), (gone.object_id(),)))
        return changes

    def _follow(self, keys: Sequence[Event]) -> set[int]:
        """Read keys, and return the numbers of the presses that they changed."""
        late = False
        for event in keys:
            late = late or (bool(self._events) and event.t_us < self._events[-1].t_us)
            self._events.append(event)
        if not late:
            for event in keys:
                self._reader.take(event)
            changed, self._reader.changed = self._reader.changed, set()
            return changed
        # One came late: numbers may mean other presses now, so all are read again.
        before = {number: self._closed(number) for number in self._reader.presses}
        self._events.sort(key=lambda event: event.t_us)
        self._reader = PressReader()
        for event in self._events:
            self._reader.take(event)
        self._reader.changed = set()
        every = before.keys() | self._reader.presses.keys()
        return {number for number in every if before.get(number) != self._closed(number)}

    def _closed(self, number: int) -> Press | None:
        """Return a press that is complete and was not taken back."""
        reader = self._reader
        if number in reader.undone or number in reader.open.values():
            return None
        return reader.presses.get(number)

    def _presses_since(self, start_us: int, last_us: int) -> list[Press]:
        """Return the presses that gaze since a moment can belong to, in their order."""
        reader, kept = self._reader, []
        open_now = set(reader.open.values())
        end_us = last_us + round(self._rules.key_lag_ms * 1000)
        for press in reversed(reader.presses.values()):
            if press.start_us < start_us - LONGEST_US:
                break
            if press.number in open_now:
                kept.append(replace(press, end_us=max(end_us, press.start_us)))
            elif press.end_us >= start_us and press.number not in reader.undone:
                kept.append(press)
        return kept[::-1]

    def _is_due(self, pending: _Pending, now_us: int) -> bool:
        """Tell whether a label can be made, or made for good."""
        last_us = int(self._gaze[-1]["t_us"][-1]) if self._gaze else -1
        press = pending.press
        if pending.made:
            return max(last_us, now_us) >= press.end_us + SETTLE_US
        seen_us = press.end_us - round(self._rules.key_lag_ms * 1000)
        return last_us >= seen_us or now_us >= press.end_us + SETTLE_US

    # -- labels --------------------------------------------------------------------------------

    def _make(self, numbers: Sequence[int]) -> list[LabelChange]:
        labels = self._labels(numbers)
        for number in numbers:
            pending = self._pending[number]
            if pending.made or number not in labels:
                settled = pending.made or self._last_us() >= pending.press.end_us + SETTLE_US
                if settled:
                    del self._pending[number]
                    continue
            pending.made = True
        return [
            change
            for number in numbers
            if number in labels and (change := self._change(labels[number])) is not None
        ]

    def _labels(self, numbers: Sequence[int]) -> dict[int, Label]:
        """Make labels: at the key of the last seconds at first, which is soon done."""
        first_us = min(self._pending[n].press.start_us for n in numbers)
        if not any(self._pending[n].made for n in numbers):
            start_us = first_us - AT_ONCE_US
            labels = {one.number: one for one in self._labels_since(start_us)}
            reach = [labels[n].fixations[0].start_us for n in numbers if n in labels]
            # What begins near the edge may begin before it.
            if len(reach) == len(numbers) and min(reach) > start_us + EDGE_US:
                return labels
        return {one.number: one for one in self._labels_since(first_us - BEFORE_US)}

    def _last_us(self) -> int:
        return int(self._gaze[-1]["t_us"][-1]) if self._gaze else -1

    def _labels_since(self, start_us: int) -> Sequence[Label]:
        parts: list[Records] = []
        for part in reversed(self._gaze):
            if part["t_us"][-1] < start_us:
                break
            parts.append(part)
        if not parts or not self._states:
            return ()
        parts.reverse()
        header, states = self._header, self._states_since(start_us)
        records = joined(parts)
        gaze = GazeSamples(records[np.searchsorted(records["t_us"], start_us) :])
        mapped = map_samples(gaze, states, header.display, keyframe_us=header.viewer_keyframe_us)
        accuracy, precision, assumed = self._accuracy
        fixations = detect_fixations(
            gaze, mapped, states, header.display, parameters=self._ivt,
            accuracy_deg=accuracy, sync_uncertainty_us=SYNC_US,
        )  # fmt: skip
        return make_labels(
            header.id, mapped, states, fixations, (), parameters=self._rules,
            accuracy_deg=accuracy, precision_deg=precision, assumed_accuracy=assumed,
            reader=header.pseudonym, tracker=header.tracker,
            presses=self._presses_since(start_us, self._last_us()),
        ).labels  # fmt: skip

    def _keep_states(self, states: Sequence[ViewerState]) -> None:
        """Keep what changes the way from the screen to the slide: mostly the cursor alone moved."""
        for state in states:
            last = self._kept.get(state.viewer)
            if last is None or state.t_us - last.t_us > SAME_US or _way(state) != _way(last):
                self._kept[state.viewer] = state
                self._states.append(state)

    def _states_since(self, start_us: int) -> list[ViewerState]:
        """Return the views from a moment on, and those in force then, in time order."""
        kept: list[ViewerState] = []
        known: set[str] = set()
        for state in reversed(self._states):
            if state.t_us >= start_us:
                kept.append(state)
            elif state.viewer not in known:
                known.add(state.viewer)
                kept.append(state)
        return sorted(kept, key=lambda s: s.t_us)

    def _change(self, label: Label) -> LabelChange | None:
        """Return what is to be shown of a label; None where that is shown already."""
        try:
            made = label_object(label, pixel_size_um=None, version=qpgaze.__version__)
        except UsageError:  # its fixations lie beside the slide
            return None
        feature = to_geojson([made], {})["features"][0]
        before = self._shown.get(label.number)
        if before is not None and before[1] == feature:
            return None
        self._shown[label.number] = (label, feature)
        return LabelChange(label.image, (feature,))

    # -- what is not needed any more -----------------------------------------------------------

    def _forget(self, now_us: int) -> None:
        """Keep gaze and views of the last seconds, or since the oldest press that needs them."""
        needed = [now_us, *(p.press.start_us for p in self._pending.values())]
        needed += [self._reader.presses[number].start_us for number in self._reader.open.values()]
        from_us = max(min(needed), now_us - LONGEST_US) - BEFORE_US
        while len(self._gaze) > 1 and self._gaze[0]["t_us"][-1] < from_us:
            self._gaze.popleft()
        if len(self._states) > 1 and self._states[1].t_us < from_us - FORGET_US:
            self._states = deque(self._states_since(from_us))


def _way(state: ViewerState) -> tuple[Any, ...]:
    """Return everything of a state that says where gaze on the screen lies on a slide."""
    return (
        state.corners_image_px, state.bounds_screen_px, state.downsample, state.z, state.t,
        state.shown, state.iconified, state.focused, state.covers, state.image,
    )  # fmt: skip


def rehearse_labels() -> None:
    """Label a still eye on a made-up slide: what is loaded when first used is loaded then."""
    display = Display(Rect(0.0, 0.0, 1920.0, 1080.0), 528.0, 297.0)
    header = SessionHeader(UUID(int=0), "", "rehearsal", display)
    gaze = empty_records(600)
    gaze["t_us"] = np.arange(600) * 2_000
    for eye in ("left", "right"):
        gaze[f"{eye}_x_adcs"] = gaze[f"{eye}_y_adcs"] = 0.5
        gaze[f"{eye}_gaze_valid"] = 1
    box = display.bounds_screen_px
    corners = ((0.0, 0.0), (box.width, 0.0), (0.0, box.height))
    image = ImageIdentity("rehearsal", math.ceil(box.width), math.ceil(box.height))
    view = ViewerState(0, "1", image, corners, 1.0, bounds_screen_px=box)
    mark = Event(1_000_000, "label", {"event": "mark", "class": "Rehearsal"})
    ProvisionalLabels(header, rehearse=False).take(gaze, (view,), (mark,), 1_200_000)
