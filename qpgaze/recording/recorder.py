"""The recorder: whatever a source gives goes to disk at once, and a cut costs half a second."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from qpgaze.errors import QpgazeError, SessionError
from qpgaze.recording.protocol import Batch, Source
from qpgaze.session import Session, SessionWriter, open_session

FLUSH_US = 500_000
"""The system is told to put everything on the disk after this much of the session."""

Progress = Callable[[int, int], None]


def record(
    source: Source,
    folder: Path | str,
    *,
    pseudonym: str | None = None,
    interrupt_ends: bool = True,
    progress: Progress | None = None,
) -> Session:
    """Record a source into a new session folder until it ends or Ctrl-C is pressed.

    Parameters
    ----------
    source : Source
    folder : path
        The new session; it may exist only if it is empty.
    pseudonym : str, optional
        Who looks; the source's own word where not given.
    interrupt_ends : bool
        Whether Ctrl-C is a normal end, as if the source had ended: the session is closed and
        returned. Where a recording is only one step of something longer, it stops that too.
    progress : callable, optional
        Called with seconds done and seconds in all (0 where nobody knows).

    Returns
    -------
    Session
        The session as it can be read from disk.

    Raises
    ------
    SessionError
        If the source or the disk fails. What came until then stays, readable and 'not closed'.
    """
    header = source.start()
    if pseudonym is not None:
        header = replace(header, pseudonym=pseudonym)
    try:
        # Ctrl-C: the reader has finished. It ends the inner block, and leaving the outer closes.
        with (
            SessionWriter.create(Path(folder), header, source.columns) as writer,
            suppress(*((KeyboardInterrupt,) if interrupt_ends else ())),
        ):
            _write_all(source, writer, progress)
    except QpgazeError:
        raise
    except Exception as error:
        raise SessionError(
            f"The source of gaze failed: {str(error) or type(error).__name__}.",
            hint=f"What came until then is in '{folder}', not closed.",
        ) from error
    finally:
        source.stop()
    return open_session(folder, check_content=False)


def _write_all(source: Source, writer: SessionWriter, progress: Progress | None) -> None:
    flushed_us: int | None = None
    seconds = (source.duration_us or 0) // 1_000_000
    for batch in source.batches():
        _write(batch, writer)
        if flushed_us is None or batch.end_us - flushed_us >= FLUSH_US:
            writer.flush()
            flushed_us = batch.end_us
        if progress is not None:
            progress(min(batch.end_us // 1_000_000, seconds) if seconds else 0, seconds)


def _write(batch: Batch, writer: SessionWriter) -> None:
    """Write the views first: a cut must not leave gaze without the view that it fell on."""
    for relation in batch.clocks:
        writer.append_clock(relation)
    if batch.viewer:
        writer.append_viewer(batch.viewer)
    if len(batch.gaze):
        writer.append_gaze(batch.gaze)
    for event in batch.events:
        writer.append_event(event)
