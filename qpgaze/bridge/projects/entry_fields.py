"""What a project says of an image besides its objects: description, metadata, tags, image type.

Description, metadata and tags lie in the project file; the image type in the image's data. All are
staged and written by the project's commit; what the files hold besides stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from qpgaze.bridge.projects.images import read_image
from qpgaze.bridge.qupath_names import check_image_type, require_brightfield
from qpgaze.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from qpgaze.bridge.projects.folder import FolderProject
    from qpgaze.bridge.projects.images import ImageFacts


class EntryFields:
    """The part of a :class:`~.folder_entry.FolderEntry` that knows fields, not objects."""

    raw: dict[str, Any]
    facts: ImageFacts | None
    new_image_type: str
    _project: FolderProject

    image_path: Callable[[], Path]
    data_now: Callable[[], bytes]

    def _forget_fields(self) -> None:
        """Drop what is staged here."""
        self._description: tuple[str | None] | None = None
        self._pairs: dict[str, str | None] = {}
        self._tags: tuple[str, ...] | None = None
        self._type: str | None = None
        self._stains: tuple[str | None] | None = None
        self._thumbnail: bytes | None = None

    @property
    def fields_dirty(self) -> bool:
        """Whether the entry in the project file is to change."""
        return self._description is not None or bool(self._pairs) or self._tags is not None

    @property
    def description(self) -> str | None:
        """What a person wrote about the image."""
        if self._description is not None:
            return self._description[0]
        text = self.raw.get("description")
        return text if isinstance(text, str) else None

    @property
    def metadata(self) -> Mapping[str, str]:
        """The entry's own key-value pairs, staged ones included."""
        given = self.raw.get("metadata")
        pairs = given if isinstance(given, dict) else {}
        now = {**pairs, **self._pairs}
        return {str(key): str(value) for key, value in now.items() if value is not None}

    @property
    def tags(self) -> tuple[str, ...]:
        """Words that sort images in QuPath 0.6 and newer."""
        if self._tags is not None:
            return self._tags
        given = self.raw.get("tags")
        return (
            tuple(tag for tag in given if isinstance(tag, str)) if isinstance(given, list) else ()
        )

    @property
    def image_type(self) -> str | None:
        """What QuPath takes the image for; None where that was never set."""
        if self._type is not None:
            return self._type
        if self.facts is not None:
            return self.new_image_type
        from qpgaze.bridge.qpdata.opening import read_opening

        return read_opening(self.data_now()).image_type

    @property
    def stains(self) -> str | None:
        """Colour deconvolution stains as JSON text; None where QuPath's defaults hold."""
        if self._stains is not None:
            return self._stains[0]
        from qpgaze.bridge.qpdata.opening import read_opening

        return None if self.facts is not None else read_opening(self.data_now()).stains

    def describe(self, text: str | None) -> None:
        """Stage what is written about the image; None takes it away."""
        self._project.require_writable()
        self._description = (text,)

    def set_metadata(self, pairs: Mapping[str, str | None]) -> None:
        """Stage key-value pairs; others stay, a value of None takes the key away."""
        self._project.require_writable()
        for key, value in pairs.items():
            if not key.strip() or "\n" in key:
                raise UsageError(f"Expected a key of one line for the metadata, but {key!r} came.")
            self._pairs[key] = value

    def set_tags(self, tags: Iterable[str]) -> None:
        """Stage tags in place of those that the entry has; QuPath before 0.6 ignores them."""
        self._project.require_writable()
        self._tags = tuple(dict.fromkeys(tag for tag in tags if tag.strip()))

    def set_image_type(self, image_type: str) -> None:
        """Stage what QuPath is to take the image for; default stains follow it."""
        self._project.require_writable()
        check_image_type(image_type)
        if self.facts is not None:
            self.new_image_type = image_type
        elif image_type != self.image_type:
            self._type = image_type

    def set_stains(self, stains: str | None) -> None:
        """Stage colour deconvolution stains, JSON text; None: QuPath's defaults."""
        from qpgaze.bridge.qpdata.stains import check_stains

        self._project.require_writable()
        if stains is not None:
            stains = check_stains(stains)
            require_brightfield(self.image_type)
        self._stains = (stains,)

    def header_now(self, content: bytes) -> bytes:
        """Return the image's data with the type and the stains that are staged."""
        from qpgaze.bridge.qpdata.opening import set_image_type
        from qpgaze.bridge.qpdata.stains import set_stains

        if self._type is not None:
            content = set_image_type(content, self._type)
        if self._stains is not None:
            content = set_stains(content, self._stains[0])
        return content

    def refresh_thumbnail(self) -> None:
        """Stage a thumbnail made anew from the slide."""
        self._project.require_writable()
        self._thumbnail = read_image(self.image_path()).thumbnail

    def raw_now(self) -> dict[str, Any]:
        """Return the entry as the project file is to have it; unknown keys stay."""
        raw = dict(self.raw)
        if self._description is not None:
            raw.pop("description", None)
            if self._description[0] is not None:
                raw["description"] = self._description[0]
        if self._pairs:
            given = raw.get("metadata")
            now = {**(given if isinstance(given, dict) else {}), **self._pairs}
            raw["metadata"] = {key: value for key, value in now.items() if value is not None}
        if self._tags is not None:
            raw["tags"] = list(self._tags)
        return raw
