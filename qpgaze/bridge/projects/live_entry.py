"""One image of a project that may be open in a QuPath: then its objects are what the window has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn
from uuid import UUID

from qpgaze.bridge.projects.colors import class_color, with_parents
from qpgaze.bridge.projects.files import Change, FileChangedError, read_file
from qpgaze.bridge.projects.folder_entry import FolderEntry
from qpgaze.bridge.projects.live_features import features_of, objects_of
from qpgaze.bridge.projects.live_windows import OpenImage, Windows
from qpgaze.bridge.projects.staging import Staging
from qpgaze.errors import ConflictError, ProjectError, WireError
from qpgaze.model import SlideObject

if TYPE_CHECKING:
    from qpgaze.bridge.projects.folder import FolderProject

WAIT_S: Final = 60.0
"""How long QuPath may take for a change: ten thousand objects take seconds."""
READS: Final = 5
"""How often an image is read anew that changes while it is read: a person draws."""


@dataclass(frozen=True)
class Put:
    """What was done to an open image, and how to take it back.

    Parameters
    ----------
    image : OpenImage
        As it was before.
    revision : int
        Of the image afterwards.
    undo : mapping
        Arguments of ``change_objects`` that bring back what was there.
    """

    image: OpenImage
    revision: int
    undo: Mapping[str, Any]

    def take_back(self) -> None:
        """Undo it; what a person did since stays.

        Raises
        ------
        WireError
            If it cannot be done; the objects are in the window still.
        """
        self.image.client.change_objects(self.image.key, **self.undo, wait_s=WAIT_S)


class LiveEntry(FolderEntry):
    """An image whose objects are read from and put into a QuPath's window while it is open there.

    All else of it, and all of it while it is closed, is the folder's.
    """

    def __init__(self, project: FolderProject, raw: dict[str, Any], windows: Windows) -> None:
        super().__init__(project, raw)
        self._windows = windows
        self._read_from: OpenImage | None = None
        self._features: dict[str, Mapping[str, Any]] = {}

    @property
    def is_open(self) -> bool:
        """Whether a QuPath had it open when it was asked last."""
        return not self.is_new and self.id in self._windows.entries

    def forget(self) -> None:
        """Drop what was read and staged, so that it is read again."""
        super().forget()
        self._read_from = None
        self._features = {}

    def merge(self) -> None:
        """Put what is staged on top of what the window has become since it was read."""
        self._windows.look()
        now = self._windows.image(self.id)
        if self._read_from is None:
            if now is not None and not self.is_new:
                raise ConflictError(
                    f"Image {self.id} ('{self.name}') was opened in QuPath meanwhile; nothing was "
                    "written.",
                    hint="Do the same again.",
                )
            super().merge()
            return
        staged, before = self._staged(), self._read_from
        if now is None or (now.client is not before.client or now.key != before.key):
            raise ConflictError(
                f"Image {self.id} ('{self.name}') was closed in QuPath meanwhile; nothing was "
                "written.",
                hint="Do the same again.",
            )
        if now.revision != before.revision:
            try:
                self._staging = staged.onto(self._look_in(now))
            except ConflictError as error:
                raise ConflictError(
                    f"Image '{self.name}', open in QuPath: {error.message}", hint=error.hint
                ) from error

    def changes(self, classes: Mapping[str, int]) -> list[Change]:
        """Return the files to write: none for objects that go into the window."""
        if self._read_from is None:
            return super().changes(classes)
        path = self.folder / "thumbnail.jpg"
        if self._thumbnail is None:
            return []
        return [Change(path, self._thumbnail, read_file(path)[1])]

    def set_image_type(self, image_type: str) -> None:
        """Stage what QuPath is to take the image for; see the protocol."""
        self._refuse_open("type")
        super().set_image_type(image_type)

    def set_stains(self, stains: str | None) -> None:
        """Stage colour deconvolution stains; see the protocol."""
        self._refuse_open("stains")
        super().set_stains(stains)

    def _refuse_open(self, what: str) -> None:
        """Refuse what the window would write over with its own when it saves."""
        self._project.require_writable()
        if self.is_open:
            raise ConflictError(
                f"Image {self.id} ('{self.name}') is open in QuPath: its {what} cannot be changed "
                "from here.",
                hint="Set it there (tab Image), or close the image first.",
            )

    def put(self, classes: Mapping[str, int]) -> Put | None:
        """Put what is staged into the window; :meth:`merge` goes before.

        Returns
        -------
        Put or None
            None where the objects are the folder's to write, or nothing is staged.

        Raises
        ------
        ConflictError
            If the image changed in this very moment (then try again), was closed, or QuPath
            refused. Nothing was changed then.
        WireError
            If QuPath did not answer: whether the change was made is not known.
        """
        image = self._read_from
        if image is None or self._staging is None or not self._staging.dirty:
            return None
        change, undo = self._change(self._staging, classes)
        try:
            answer = image.client.change_objects(
                image.key, **change, revision=image.revision, wait_s=WAIT_S
            )
        except WireError as error:
            self._in_words(error)
        return Put(image, int(answer["revision"]), undo)

    # -- within --------------------------------------------------------------------------------

    def _staged(self) -> Staging:
        self._project.require_open()
        if self._staging is None and self.is_open:
            image = self._windows.image(self.id)
            if image is not None:
                self._staging = Staging(self._look_in(image))
        return super()._staged()

    def _look_in(self, image: OpenImage) -> tuple[SlideObject, ...]:
        """Read the objects of the window, and remember what it was like then."""
        for turn in range(1, READS + 1):
            try:
                features, revision = image.client.objects(image.key)
                break
            except WireError as error:
                if error.code != "conflict" or turn == READS:
                    raise self._unread(error) from error
        objects, colors = objects_of(features)
        changed = image.changed or revision != image.revision
        self._read_from = OpenImage(image.entry, image.key, changed, revision, image.client)
        self._features = {str(f["id"]): f for f in features}
        self._colors = {**self._colors, **colors}
        return objects

    def _unread(self, error: WireError) -> ProjectError:
        kind = ConflictError if error.code in ("conflict", "no_image") else ProjectError
        return kind(
            f"Image {self.id} ('{self.name}') is open in QuPath, and its objects cannot be read "
            f"there: {error.message} Nothing was changed.",
            hint="Do the same again, or save and close the image in QuPath first.",
        )

    def _change(
        self, staged: Staging, classes: Mapping[str, int]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what makes the window's objects those that are staged, and what unmakes it."""
        before = {UUID(identity): feature for identity, feature in self._features.items()}
        now = {item.id: item for item in staged.current()}
        touched: set[UUID] = set()
        added: set[UUID] = set()
        for batch in staged.batches:
            touched |= batch.add.keys() | batch.replace.keys()
            added |= batch.add.keys()
        colors = {
            name: classes.get(name, self._colors.get(name, class_color(name)))
            for name in with_parents(staged.class_names())
        }
        put = [now[i] for i in now if i not in before]
        swap = [now[i] for i in now if i in before and i in touched]
        remove = [str(i) for i in before if i not in now]
        replace = features_of(swap, colors)
        for item, feature in zip(swap, replace, strict=True):
            if item.id not in added:  # else it was taken out and put in elsewhere
                del feature["parent"]
        gone = set(remove)
        back = [str(item.id) for item in swap]
        # What lay under an object that goes was moved up, and is put back below it.
        back += [i for i, f in self._features.items() if f.get("parent") in gone and i not in gone]
        undo = {
            "put": [self._features[i] for i in remove],
            "replace": [{"parent": None, **self._features[i]} for i in dict.fromkeys(back)],
            "remove": [str(item.id) for item in put],
        }
        return {"put": features_of(put, colors), "replace": replace, "remove": remove}, undo

    def _in_words(self, error: WireError) -> NoReturn:
        """Raise what an answer (or none) means for the project."""
        image = f"Image {self.id} ('{self.name}'), open in QuPath"
        if error.code == "conflict":  # between the last look and now: look again
            raise FileChangedError(
                f"{image}: {error.message} Nothing was written.", hint="Do the same again."
            ) from error
        if error.code in ("timeout", "gone"):
            raise WireError(
                f"{image}: {error.message} Whether the objects came in is not known.",
                hint="Look into the window. The next run of qpgaze finds out, too.",
                code=error.code,
            ) from error
        if error.code == "no_image":
            raise ConflictError(
                f"{image}, was closed meanwhile; nothing was written.", hint="Do the same again."
            ) from error
        raise ProjectError(
            f"{image}, did not take the change: {error.message} Nothing was written.",
            hint=error.hint or "Save and close the image in QuPath, and do the same again.",
        ) from error
