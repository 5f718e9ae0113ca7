"""Write a session: every file only ever grows, so that a cut loses at most its last record."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from qpgaze.errors import SessionError, UsageError
from qpgaze.frames import ClockRelation
from qpgaze.model import Event
from qpgaze.samples import GAZE_COLUMNS, Column
from qpgaze.session.codec import (
    clock_to_json,
    dump_line,
    event_to_json,
    plain_json,
    short_image,
    viewer_state_to_json,
)
from qpgaze.session.layout import (
    CLOCKS_FILE,
    DATA_FILES,
    EVENTS_FILE,
    FORMAT,
    GAZE_FILE,
    HEADER_FILE,
    HOOK_FILE,
    MANIFEST_FILE,
    VIEWER_FILE,
    SessionHeader,
    header_to_json,
    record_dtype,
)
from qpgaze.viewing import ImageIdentity, ViewerState


class _Appender:
    """One append-only file that never keeps half a record after a failed write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("xb", buffering=0)
        self._good_bytes = 0

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:  # Ctrl-C too may come between two halves of a record
            # Take the torn record off again. Where even that fails, readers drop it.
            with suppress(OSError):
                self._file.truncate(self._good_bytes)
            raise
        self._good_bytes += len(data)

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class SessionWriter:
    """Write one session folder.

    Made by :meth:`create`. As a context manager it closes the session at the end of the block;
    after an exception it only releases the files, and the session reads as 'not closed'.
    """

    def __init__(
        self,
        folder: Path,
        header: SessionHeader,
        columns: Sequence[Column],
        files: Mapping[str, _Appender],
    ) -> None:
        self.path = folder
        self.header = header
        self._columns = tuple(columns)
        self._dtype = record_dtype(columns)
        self._files = dict(files)
        self._images: dict[ImageIdentity, int] = {}
        self._failed: str | None = None

    @classmethod
    def create(
        cls, folder: Path, header: SessionHeader, columns: Sequence[Column] = GAZE_COLUMNS
    ) -> SessionWriter:
        """Begin a new session.

        Parameters
        ----------
        folder : Path
            Made with its parents; it may exist only if it is empty.
        header : SessionHeader
        columns : sequence of Column
            Of ``gaze.bin``; more than format 1 asks for where a source has more.

        Raises
        ------
        SessionError
            If the folder holds something already or cannot be written.
        UsageError
            If a column that format 1 needs is missing.
        """
        folder = Path(folder)
        names = [c.name for c in columns]
        missing = [c.name for c in GAZE_COLUMNS if c.name not in names and c.name != "spare"]
        if missing:
            raise UsageError(f"A session needs the gaze column(s) {', '.join(missing)}.")
        files: dict[str, _Appender] = {}
        made = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise SessionError(
                    f"The folder '{folder}' is not empty; a session is never written over another.",
                    hint="Choose another name, or move the old session away.",
                )
            write_whole(folder / HEADER_FILE, header_to_json(header, columns))
            for name in DATA_FILES:
                files[name] = _Appender(folder / name)
        except OSError as error:
            for file in files.values():
                file.close()
            for name in (HEADER_FILE, *files):
                with suppress(OSError):
                    (folder / name).unlink()
            if made:
                with suppress(OSError):
                    folder.rmdir()
            raise _in_words(folder, error, "begun") from error
        return cls(folder, header, columns, files)

    def append_gaze(self, records: npt.NDArray[np.void]) -> None:
        """Append gaze records.

        Parameters
        ----------
        records : (n,) structured array
            With every column of the session; in time order, after those that came before.

        Raises
        ------
        UsageError
            If a column is missing.
        SessionError
            If it cannot be written; what was written before stays.
        """
        if records.dtype != self._dtype:
            names = records.dtype.names or ()
            missing = [c.name for c in self._columns if c.name not in names]
            if missing:
                raise UsageError(f"The gaze records lack the column(s) {', '.join(missing)}.")
            same = np.empty(len(records), dtype=self._dtype)
            for column in self._columns:
                same[column.name] = records[column.name]
            records = same
        self._append(GAZE_FILE, np.ascontiguousarray(records).tobytes())

    def append_viewer(self, states: Iterable[ViewerState]) -> None:
        """Append viewer states.

        Raises
        ------
        SessionError
            If they cannot be written; what was written before stays.
        """
        lines = []
        for state in states:
            line = viewer_state_to_json(state)
            if state.image is not None:
                line["image"] = short_image(line["image"], self._number(state.image))
            lines.append(dump_line(line))
        self._append(VIEWER_FILE, b"".join(lines))

    def append_event(self, event: Event) -> None:
        """Append an event.

        Raises
        ------
        SessionError
            If it cannot be written; what was written before stays.
        """
        self._append(EVENTS_FILE, dump_line(event_to_json(event)))

    def append_clock(
        self, relation: ClockRelation[Any, Any], extra: Mapping[str, Any] | None = None
    ) -> None:
        """Append a clock comparison, with raw stamps beside it where the source has them.

        Raises
        ------
        SessionError
            If it cannot be written; what was written before stays.
        """
        self._append(CLOCKS_FILE, dump_line(clock_to_json(relation, extra)))

    def flush(self) -> None:
        """Have the system put everything on the disk.

        Raises
        ------
        SessionError
            If it cannot.
        """
        self._require_open()
        try:
            for file in self._files.values():
                file.sync()
        except OSError as error:
            raise self._fail(error) from error

    def close(self) -> None:
        """Write the manifest, after which the session is complete. Closing twice does nothing.

        Raises
        ------
        SessionError
            If it cannot be written; the session then reads as 'not closed'.
        """
        if not self._files:
            return
        self.flush()
        self.release()
        listed = [HEADER_FILE, *DATA_FILES, HOOK_FILE]
        try:
            files = {
                name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
                for name in listed
                if (path := self.path / name).is_file()
            }
            write_whole(self.path / MANIFEST_FILE, {"format": FORMAT, "files": files})
        except OSError as error:
            raise self._fail(error) from error

    def release(self) -> None:
        """Let go of the files without a manifest: the session reads as 'not closed'."""
        for file in self._files.values():
            with suppress(OSError):  # unbuffered: nothing that could still be lost here
                file.close()
        self._files = {}

    def __enter__(self) -> SessionWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.release()

    def _append(self, name: str, data: bytes) -> None:
        self._require_open()
        try:
            self._files[name].write(data)
        except OSError as error:
            raise self._fail(error) from error

    def _number(self, image: ImageIdentity) -> int:
        """Return the image's number in ``session.json``, after adding it there if it is new."""
        if image not in self._images:
            self._require_open()
            images = [*self._images, image]
            try:
                write_whole(
                    self.path / HEADER_FILE, header_to_json(self.header, self._columns, images)
                )
            except OSError as error:
                raise self._fail(error) from error
            self._images[image] = len(images)
        return self._images[image]

    def _require_open(self) -> None:
        if self._failed is not None:
            raise SessionError(self._failed)
        if not self._files:
            raise SessionError(f"The session '{self.path.name}' is closed already.")

    def _fail(self, error: OSError) -> SessionError:
        ours = _in_words(self.path, error, "written any further")
        self._failed = str(ours)
        return ours


def sha256(path: Path) -> str:
    """Return the checksum of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def write_whole(path: Path, value: Mapping[str, Any]) -> None:
    """Write a small JSON file so that a cut leaves the old one or the new one, never half."""
    part = path.with_name(path.name + ".part")
    text = json.dumps(plain_json(value), indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    try:
        with part.open("wb") as file:
            file.write(text.encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _in_words(folder: Path, error: OSError, what: str) -> SessionError:
    """Say why the folder cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        why = "the disk is full"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        why = "the folder is read-only"
    else:
        why = error.strerror or str(error)
    return SessionError(
        f"The session '{folder.name}' could not be {what}: {why}.",
        hint="What was recorded until then is kept and can be read." if what != "begun" else None,
    )
