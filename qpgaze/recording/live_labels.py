"""Provisional labels while a session is recorded, on a thread that nothing else waits for."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from qpgaze.model import Event
from qpgaze.recording.protocol import Batch
from qpgaze.viewing import ImageIdentity

log = logging.getLogger("qpgaze.recording")

WAITING_BATCHES: Final = 4096
"""More than that waits only where labels are slower than gaze: the oldest gaze goes, for labels
look back over seconds only. Keys never go."""


LOOK_S: Final = 0.1
"""So long gaze waits where no label waits for it."""


@dataclass(frozen=True)
class LabelChange:
    """Labels to show over one image.

    Parameters
    ----------
    image : ImageIdentity
    labels : tuple of GeoJSON Feature
        New ones, or ones that take the place of those with their id.
    remove : tuple of UUID
        Taken back.
    """

    image: ImageIdentity
    labels: tuple[Mapping[str, Any], ...] = ()
    remove: tuple[UUID, ...] = ()


class LiveLabels(Protocol):
    """Makes provisional labels of what came so far. Composed by whoever starts a recording."""

    @property
    def count(self) -> int:
        """How many labels there are now."""
        ...

    @property
    def in_a_hurry(self) -> bool:
        """Whether a label waits for nothing but the next gaze."""
        ...

    def take(
        self,
        gaze: npt.NDArray[np.void],
        states: Sequence[Any],
        events: Sequence[Event],
        now_us: int,
    ) -> Sequence[LabelChange]:
        """Take what was written since the last call, and return what is to be shown."""
        ...

    def of(self, image: ImageIdentity) -> LabelChange:
        """Return every label of an image that was just opened."""
        ...


class LabelThread:
    """Runs :class:`LiveLabels` beside the recorder; where they fail, the recording goes on.

    Parameters
    ----------
    labels : LiveLabels
    show : callable
        Takes image, labels and ids to remove.
    on_trouble : callable
        Called once, with a sentence, when no more labels can be made.
    """

    def __init__(
        self,
        labels: LiveLabels,
        show: Callable[[ImageIdentity, Sequence[Mapping[str, Any]], Collection[Any]], Any],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._labels, self._show, self._on_trouble = labels, show, on_trouble
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Batch, int]] = deque()
        self._opened: list[ImageIdentity] = []
        self._stopping = False
        self._failed = False
        self._hurrying = False
        self.dropped = 0
        """Batches of gaze that labels did not see."""
        self._thread = threading.Thread(target=self._run, name="qpgaze-labels", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def count(self) -> int | None:
        """How many labels there are; None where they failed."""
        return None if self._failed else self._labels.count

    def put(self, batch: Batch, now_us: int) -> None:
        """Hand on what was written. Never waits."""
        if self._failed:
            return
        with self._changed:
            self._waiting.append((batch, now_us))
            if len(self._waiting) > WAITING_BATCHES:
                self._make_room()
            # Keys, and what completes a label, are taken at once; other gaze can wait a little.
            if batch.events or self._labels.in_a_hurry:
                self._hurrying = True
                self._changed.notify()

    def opened(self, images: Collection[ImageIdentity]) -> None:
        """Show again what belongs to images that were opened."""
        with self._changed:
            self._opened += images
            self._changed.notify()

    def stop(self) -> None:
        """End after what waits, or after five seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def _make_room(self) -> None:
        for place, (batch, _) in enumerate(self._waiting):
            if not batch.events and not batch.viewer:
                del self._waiting[place]
                self.dropped += 1
                return

    def _is_time(self) -> bool:
        wanted = self._waiting and (self._hurrying or self._labels.in_a_hurry)
        return bool(wanted or self._opened or self._stopping)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._is_time():
                    if not self._changed.wait(LOOK_S) and self._waiting:
                        break
                self._hurrying = False
                waiting, opened = list(self._waiting), self._opened
                self._waiting.clear()
                self._opened = []
                if self._stopping and not waiting and not opened:
                    return
            try:
                self._work(waiting, opened)
            except Exception as error:
                log.exception("Live labels failed.")
                self._failed = True
                why = str(error) or type(error).__name__
                self._on_trouble(
                    f"No more labels are shown while recording: {why} They can be made afterwards."
                )
                return

    def _work(self, waiting: Sequence[tuple[Batch, int]], opened: Sequence[ImageIdentity]) -> None:
        if waiting:
            filled = [batch.gaze for batch, _ in waiting if len(batch.gaze)]
            gaze = joined(filled) if filled else _EMPTY
            states = [state for batch, _ in waiting for state in batch.viewer]
            events = [event for batch, _ in waiting for event in batch.events]
            for change in self._labels.take(gaze, states, events, waiting[-1][1]):
                self._show(change.image, change.labels, change.remove)
        for image in opened:
            change = self._labels.of(image)
            if change.labels:
                self._show(image, change.labels, ())


def joined(parts: Sequence[npt.NDArray[np.void]]) -> npt.NDArray[np.void]:
    """Return records of one type as one array; at least one part.

    NumPy's own way compares every part's columns first, which takes longer than all the rest.
    """
    if len(parts) == 1:
        return parts[0]
    whole = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    return np.frombuffer(whole, dtype=parts[0].dtype)


_EMPTY: npt.NDArray[np.void] = np.zeros(0, dtype=[("t_us", "<i8")])
