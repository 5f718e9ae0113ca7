"""One image of a project: its facts, its objects, the files it becomes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from qpgaze.bridge.projects import qpproj
from qpgaze.bridge.projects.codec import ImageOfData
from qpgaze.bridge.projects.colors import class_color, with_parents
from qpgaze.bridge.projects.entry_fields import EntryFields
from qpgaze.bridge.projects.files import Change, Snapshot, read_file
from qpgaze.bridge.projects.held import HeldObjects, Tally
from qpgaze.bridge.projects.images import (
    ImageFacts,
    count_objects,
    find_image,
    image_server,
    image_summary,
    recorded_pixel_size,
    recorded_size,
)
from qpgaze.bridge.projects.inside import require_inside
from qpgaze.bridge.projects.staging import Staging
from qpgaze.bridge.projects.writes import Counts
from qpgaze.errors import ConflictError, ProjectError, SlideError, UnsupportedDataError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from qpgaze.bridge.projects.folder import FolderProject

RESCUE = "'qpgaze project rescue PROJECT --dry-run' says what can be brought back."


class FolderEntry(EntryFields):
    """One image of an :class:`FolderProject`; see :class:`~..protocol.Entry`."""

    def __init__(
        self,
        project: FolderProject,
        raw: dict[str, Any],
        *,
        facts: ImageFacts | None = None,
        image_type: str = "UNSET",
    ) -> None:
        self._project = project
        self.raw = raw
        self.facts = facts
        self.new_image_type = image_type
        self._staging: Staging | None = None
        self._snapshot: Snapshot | None = None
        self._content: bytes | None = None
        self._colors: Mapping[str, int] = {}
        self._recorded: tuple[Mapping[str, Any] | None, ...] | None = None
        self._forget_fields()

    @property
    def id(self) -> str:
        """The entry id, a plain decimal number."""
        return qpproj.entry_id(self.raw)

    @property
    def name(self) -> str:
        """As shown in QuPath."""
        name = self.raw.get("imageName")
        return name if isinstance(name, str) else f"Image {self.id}"

    @property
    def uris(self) -> tuple[str, ...]:
        """Where QuPath reads the pixels from."""
        return qpproj.builder_uris(self.raw.get("serverBuilder"))

    @property
    def width_px(self) -> int | None:
        """Level-0 width where the project records it."""
        return recorded_size(*self._records())[0]

    @property
    def height_px(self) -> int | None:
        """Level-0 height where the project records it."""
        return recorded_size(*self._records())[1]

    @property
    def pixel_size_um(self) -> tuple[float, float] | None:
        """Micron per level-0 pixel (x, y) where the project records it."""
        return recorded_pixel_size(*self._records())

    @property
    def folder(self) -> Path:
        """Where QuPath keeps what belongs to this image."""
        return self._project.folder / "data" / self.id

    @property
    def data_path(self) -> Path:
        """The image's data file, there or not."""
        return self.folder / "data.qpdata"

    @property
    def backup_path(self) -> Path:
        """Where the version before is kept, by QuPath and by us."""
        return self.data_path.with_name("data.qpdata.bkp")

    @property
    def from_backup(self) -> bool:
        """Whether the data are gone and the version before stands in, as in QuPath."""
        return not self.data_path.exists() and self.backup_path.is_file()

    def image_path(self) -> Path:
        """Return the image as a local file; see the protocol."""
        uri = self._project.raw.get("uri")
        return find_image(
            self.raw.get("serverBuilder"),
            self.uris,
            name=self.name,
            project_file=self._project.path,
            project_uri=uri if isinstance(uri, str) else None,
            allow_hosts=self._project.allow_hosts,
        )

    def objects(self) -> tuple[SlideObject, ...]:
        """Return all objects, parents before children, staged changes included."""
        return self._staged().current()

    def add(self, objects: Iterable[SlideObject]) -> None:
        """Stage new objects; see the protocol."""
        self._writable().add(objects)

    def replace(self, objects: Iterable[SlideObject]) -> None:
        """Stage objects in place of those with the same ids; see the protocol."""
        self._writable().replace(objects)

    def remove(self, ids: Iterable[UUID]) -> None:
        """Stage the removal of objects; see the protocol."""
        self._writable().remove(ids)

    # -- for the project ------------------------------------------------------------------------

    @property
    def is_new(self) -> bool:
        """Whether the entry is staged and not yet in the project file."""
        return self.facts is not None

    @property
    def dirty(self) -> bool:
        """Whether its objects, its type, its stains or its thumbnail are to change."""
        objects = self._staging is not None and self._staging.dirty
        return objects or self._header_dirty or self._thumbnail is not None

    @property
    def _header_dirty(self) -> bool:
        return self._type is not None or self._stains is not None

    def forget(self) -> None:
        """Drop what was read and staged, so that it is read again."""
        self._staging = self._snapshot = self._recorded = self._content = None
        self._colors = {}
        self._forget_fields()

    def data_now(self) -> bytes:
        """Return the image's data as read."""
        return self._read()[0]

    def saved(self) -> None:
        """Take note that everything staged is on the disk."""
        self.facts = None
        self.forget()

    def merge(self) -> None:
        """Put what is staged on top of what the image has become since it was read.

        Raises
        ------
        ConflictError
            If the two do not go together; what is staged stays as it was.
        """
        staged, before = self._staged(), self._snapshot
        content, now = self._read()
        if before is not None and (now.exists, now.digest) != (before.exists, before.digest):
            objects, colors = self._decode(content, now)
            try:
                merged = staged.onto(objects)
            except ConflictError as error:
                raise ConflictError(f"Image '{self.name}': {error.message}", hint=error.hint) from (
                    error
                )
            self._staging, self._colors = merged, {**self._colors, **colors}
        else:
            content = staged.data or content  # the same: held once
        self._content, self._snapshot = content, now

    def new_classes(self, have: Mapping[str, int]) -> dict[str, int]:
        """Return the classes of staged objects that `have` lacks, with their colours."""
        names = self._staging.class_names() if self._staging is not None else []
        return {
            name: self._colors.get(name, class_color(name)) for name in names if name not in have
        }

    def staged_counts(self) -> Counts:
        """Count the objects that are to be written."""
        batches = self._staging.batches if self._staging is not None else ()
        added, replaced, removed, classes = 0, 0, 0, Counter[str]()
        for batch in batches:
            added, replaced = added + len(batch.add), replaced + len(batch.replace)
            removed += len(batch.remove)
            for item in (*batch.add.values(), *batch.replace.values()):
                classes[item.class_name or "Unclassified"] += 1
        return Counts(added, replaced, removed, dict(classes))

    def changes(self, classes: Mapping[str, int]) -> list[Change]:
        """Return the files to write; :meth:`merge` goes before."""
        staged = self._staged()
        thumbnail = self._thumbnail if self.facts is None else self.facts.thumbnail
        path = self.folder / "thumbnail.jpg"
        made = [] if thumbnail is None else [Change(path, thumbnail, read_file(path)[1])]
        if self.is_new or staged.dirty or self._header_dirty:
            made = [self._data_change(staged, classes), *made]
        if self.facts is not None:
            made.append(self._server_file(self.facts))
        return made + self._summary_change(staged.tally())

    def _data_change(self, staged: Staging, classes: Mapping[str, int]) -> Change:
        content, before = self._content, self._snapshot or Snapshot(self.data_path)
        names = with_parents(staged.class_names())
        colors = {
            name: classes.get(name, self._colors.get(name, class_color(name))) for name in names
        }
        builder = self.raw.get("serverBuilder")
        if staged.dirty or not content:
            content = self._project.codec.write(
                content or None,
                staged.batches,
                image=ImageOfData(
                    builder=builder if isinstance(builder, dict) else {},
                    image_type=self._type or self.new_image_type,
                    qupath_version=self._project.qupath_version,
                    path=self._path_or_none(),
                ),
                class_colors=colors,
            )
        content = self.header_now(content)
        target = before if before.path == self.data_path else Snapshot(self.data_path)
        verify = self._verifier(staged)
        return Change(self.data_path, content, target, backup=self.backup_path, verify=verify)

    def _server_file(self, facts: ImageFacts) -> Change:
        builder = self.raw["serverBuilder"]
        text = json.dumps(image_server(facts, name=self.name, builder=builder), ensure_ascii=False)
        path = self.folder / "server.json"
        return Change(path, text.encode("utf-8"), Snapshot(path))

    def _summary_change(self, tally: Tally) -> list[Change]:
        """Return the image's ``summary.json`` with new counts; where QuPath wrote none, none."""
        path = self.folder / "summary.json"
        now = self._project.clock_ms()
        if self.facts is not None:
            before = Snapshot(path)
            raw = image_summary(self.facts, image_type=self.new_image_type, timestamp_ms=now)
        else:
            _, before = read_file(path)
            raw = _optional_json(path)
            if not raw:
                return []
        raw = {**raw, "timestamp": now}
        if self._type is not None:
            raw["imageType"] = self._type
        raw["hierarchy"] = {**raw.get("hierarchy", {}), **count_objects(tally)}
        return [Change(path, json.dumps(raw, ensure_ascii=False).encode("utf-8"), before)]

    def _verifier(self, staged: Staging) -> Callable[[bytes], None] | None:
        """Return what checks the written data; the bytes themselves are compared in any case."""
        if self._project.codec.verifies:
            return None

        def verify(content: bytes) -> None:
            came, _ = self._project.codec.read(content)
            fault = staged.difference(came)
            if fault is not None:
                raise ProjectError(
                    f"The data of image '{self.name}' do not read back as meant ({fault}); "
                    "what was there before is still there.",
                    hint="Please report this: it is a fault of qpgaze.",
                )

        return verify

    def _path_or_none(self) -> Path | None:
        try:
            return self.image_path()
        except SlideError:
            return None

    def _read(self) -> tuple[bytes, Snapshot]:
        """Read the image's data; where a QuPath was ended while saving, what it had before."""
        if self.is_new:
            return b"", Snapshot(self.data_path)
        require_inside(self._project.folder, self.data_path)
        content, snapshot = read_file(self.data_path)
        if not snapshot.exists:
            kept, kept_snapshot = read_file(self.backup_path)
            if kept_snapshot.exists:
                return kept, kept_snapshot
        elif not content:
            raise UnsupportedDataError(
                f"The data of image '{self.name}' ({self.data_path}) are empty: a save was cut.",
                hint=RESCUE,
            )
        return content, snapshot

    def _staged(self) -> Staging:
        self._project.require_open()
        if self._staging is None:
            content, snapshot = self._read()
            objects, self._colors = self._decode(content, snapshot)
            self._staging, self._snapshot = Staging(objects), snapshot
        return self._staging

    def _decode(
        self, content: bytes, snapshot: Snapshot
    ) -> tuple[Sequence[SlideObject], Mapping[str, int]]:
        if not content:
            return (), {}

        def in_words(error: ProjectError) -> ProjectError:
            return type(error)(
                f"The data of image '{self.name}' ({snapshot.path}) cannot be read: "
                f"{error.message} Nothing was changed.",
                hint=error.hint if isinstance(error, UnsupportedDataError) else RESCUE,
            )

        try:
            objects, colors = self._project.codec.read(content)
        except ProjectError as error:
            raise in_words(error) from error
        if isinstance(objects, HeldObjects):
            objects.in_words = in_words
        return objects, colors

    def _writable(self) -> Staging:
        self._project.require_writable()
        return self._staged()

    def _records(self) -> tuple[Mapping[str, Any] | None, ...]:
        """Return every place that may record size and pixel size, QuPath's latest word first."""
        if self._recorded is None:
            builder = self.raw.get("serverBuilder")
            first = builder.get("metadata") if isinstance(builder, dict) else None
            if self.facts is not None:
                size = {"width": self.facts.width_px, "height": self.facts.height_px}
                self._recorded = (first, size)
            else:
                server = _optional_json(self.folder / "server.json")
                summary = _optional_json(self.folder / "summary.json")
                self._recorded = (first, server.get("metadata"), summary.get("server"))
        return self._recorded


def _optional_json(path: Path) -> dict[str, Any]:
    """Read a file that QuPath may leave out; what is not understood counts as left out."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}
