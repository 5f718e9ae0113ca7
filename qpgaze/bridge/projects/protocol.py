"""What every way into a QuPath project offers: embedded, paquo, later the live hook.

Changes are staged on entries and written by :meth:`Project.commit`, all of an image's changes or
none of them. Leaving a ``with`` block without a commit writes nothing, error or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol
from uuid import UUID

from qpgaze.model import SlideObject


class Entry(Protocol):
    """One image of a project.

    Attributes
    ----------
    id : str
        The entry id, a plain decimal number.
    name : str
        As shown in QuPath; several entries may share one.
    uris : tuple of str
        Where QuPath reads the pixels from.
    metadata : mapping of str to str
        The entry's own key-value pairs (``patient``, for one).
    description : str or None
        What a person wrote about the image.
    tags : tuple of str
        Words that sort images in QuPath 0.6 and newer.
    image_type : str or None
        What QuPath takes the image for (``BRIGHTFIELD_H_E``).
    stains : str or None
        Colour deconvolution stains, JSON text; None where QuPath's defaults hold.
    width_px, height_px : int or None
        Level-0 size where the project records it.
    pixel_size_um : (x, y) or None
        Micron per level-0 pixel where the project records it.
    """

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def uris(self) -> tuple[str, ...]: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...
    @property
    def description(self) -> str | None: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def image_type(self) -> str | None: ...
    @property
    def stains(self) -> str | None: ...
    @property
    def width_px(self) -> int | None: ...
    @property
    def height_px(self) -> int | None: ...
    @property
    def pixel_size_um(self) -> tuple[float, float] | None: ...

    def image_path(self) -> Path:
        """Return the image as a local file.

        Raises
        ------
        SlideError
            If it is not a local file or not there: the message names where it was looked for.
        """
        ...

    def objects(self) -> tuple[SlideObject, ...]:
        """Return all objects, parents before children, staged changes included.

        Raises
        ------
        UnsupportedDataError, ProjectError
            If the image's data cannot be understood.
        """
        ...

    def add(self, objects: Iterable[SlideObject]) -> None:
        """Stage new objects.

        Raises
        ------
        ConflictError
            If an id is already there.
        ProjectError
            If a geometry is empty, invalid or not finite.
        """
        ...

    def replace(self, objects: Iterable[SlideObject]) -> None:
        """Stage objects in place of those with the same ids; children stay where they are.

        Raises
        ------
        EntryError
            If there is no object of that id.
        """
        ...

    def remove(self, ids: Iterable[UUID]) -> None:
        """Stage the removal of objects; their children move to their parent.

        Raises
        ------
        EntryError
            If there is no object of that id.
        """
        ...

    def describe(self, text: str | None) -> None:
        """Stage what is written about the image; None takes it away."""
        ...

    def set_metadata(self, pairs: Mapping[str, str | None]) -> None:
        """Stage key-value pairs; others stay, a value of None takes the key away.

        Raises
        ------
        UsageError
            If a key is empty or has several lines.
        """
        ...

    def set_tags(self, tags: Iterable[str]) -> None:
        """Stage tags in place of those that the entry has; QuPath before 0.6 ignores them."""
        ...

    def set_image_type(self, image_type: str) -> None:
        """Stage what QuPath is to take the image for; its default stains follow the type.

        Raises
        ------
        UsageError
            If QuPath has no such type.
        """
        ...

    def set_stains(self, stains: str | None) -> None:
        """Stage colour deconvolution stains, JSON text; None: QuPath's defaults.

        Raises
        ------
        UsageError
            If they are none that QuPath reads, or the image's type has no stains.
        """
        ...

    def refresh_thumbnail(self) -> None:
        """Stage a thumbnail made anew from the slide.

        Raises
        ------
        SlideError
            If the slide is not there or cannot be read.
        """
        ...


class Project(Protocol):
    """A QuPath project.

    Attributes
    ----------
    path : Path
        The ``.qpproj`` file.
    backend : str
        ``embedded`` or ``paquo``.
    backend_reason : str
        Why that one was taken, in a few words.
    classes : mapping of str to int
        Names and colours (0xRRGGBB) of the project's classes, in order.
    """

    @property
    def path(self) -> Path: ...
    @property
    def backend(self) -> str: ...
    @property
    def backend_reason(self) -> str: ...
    @property
    def classes(self) -> Mapping[str, int]: ...
    @property
    def entries(self) -> tuple[Entry, ...]: ...

    def entry(self, id_or_name: str) -> Entry:
        """Find an entry by its id, else by a name that only one bears.

        Raises
        ------
        EntryError
            If there is none, or several share the name: the message lists their ids.
        """
        ...

    def add_image(
        self,
        image: Path,
        *,
        name: str | None = None,
        image_type: str = "BRIGHTFIELD_H_E",
        metadata: Mapping[str, str] | None = None,
    ) -> Entry:
        """Stage a new image.

        Raises
        ------
        SlideError
            If it is not a slide that we can read.
        ConflictError
            If the project already has an image at that place.
        """
        ...

    def add_classes(self, classes: Mapping[str, int | None]) -> None:
        """Stage classes that the project lacks; those it has keep name, colour and place.

        A colour of None is chosen from the name, the same each time.
        """
        ...

    def commit(self) -> None:
        """Write everything that is staged, each file atomically, the old one kept as backup.

        Where project or image changed on disk since they were read, what is staged goes on top
        of what they are now; a new image may get another id by that.

        Raises
        ------
        ConflictError
            If the two do not go together (an object to be replaced was changed by another), or
            another writer holds the project.
        ProjectError
            If a file cannot be written; what was there before is still there.
        """
        ...

    def close(self) -> None:
        """Forget what is staged and release everything."""
        ...

    def __enter__(self) -> Project: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
