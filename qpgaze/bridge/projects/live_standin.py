"""Images of a real project in the stand-in of QuPath, saved as QuPath would save them.

For tests, practice and demonstrations, as :class:`~qpgaze.wire.StandIn` is.
"""

from __future__ import annotations

from pathlib import Path

from qpgaze.bridge.projects.codec import ImageOfData
from qpgaze.bridge.projects.colors import class_color, with_parents
from qpgaze.bridge.projects.embedded import EmbeddedCodec
from qpgaze.bridge.projects.folder import FolderProject
from qpgaze.bridge.projects.live_features import features_of, objects_of
from qpgaze.bridge.projects.staging import Staging
from qpgaze.bridge.projects.uris import uri_from_path
from qpgaze.viewing import ImageIdentity
from qpgaze.wire import StandIn
from qpgaze.wire.standin import OpenImage


def open_in_standin(standin: StandIn, project: Path, entry_id: str) -> OpenImage:
    """Open an image of a project in the stand-in, as a person does in QuPath.

    Parameters
    ----------
    standin : StandIn
        Started.
    project : Path
        The project's folder or its ``.qpproj`` file.
    entry_id : str

    Returns
    -------
    OpenImage
        A save writes its objects into the project; like QuPath's it knows no lock.

    Raises
    ------
    ProjectError
        If there is no such image, or its data cannot be read.
    """
    with FolderProject(project, codec=EmbeddedCodec()) as opened:
        entry = opened.entry(entry_id)
        return standin.open_image(
            ImageIdentity(
                entry.name, entry.width_px or 0, entry.height_px or 0, entry.id, entry.uris
            ),
            objects=features_of(entry.objects(), opened.classes),
            project_uri=uri_from_path(opened.path),
            keep=lambda image: _save(opened.path, entry_id, image),
        )


def _save(project: Path, entry_id: str, image: OpenImage) -> None:
    """Write what the window has into the image's data."""
    codec = EmbeddedCodec()
    with FolderProject(project, codec=codec) as opened:
        entry = opened.entry(entry_id)
        before = {item.id: item for item in entry.objects()}
        objects, colors = objects_of(list(image.objects.values()))
        now = {item.id: item for item in objects}
        staged = Staging(list(before.values()))
        staged.remove([i for i in before if i not in now])
        staged.replace([item for i, item in now.items() if i in before])
        staged.add([item for i, item in now.items() if i not in before])
        builder = entry.raw.get("serverBuilder")
        content = codec.write(
            entry.data_now() or None,
            staged.batches,
            image=ImageOfData(
                builder=builder if isinstance(builder, dict) else {},
                image_type="UNSET",
                qupath_version=opened.qupath_version,
                path=None,
            ),
            class_colors={
                name: colors.get(name, class_color(name))
                for name in with_parents(staged.class_names())
            },
        )
        part = entry.data_path.with_suffix(".part")
        part.write_bytes(content)
        if entry.data_path.exists():
            entry.data_path.replace(entry.backup_path)
        part.replace(entry.data_path)
