"""``qpgaze project set``: what a project says of an image besides its objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qpgaze.cli.locks import break_lock_option, free_lock
from qpgaze.cli.project_options import IMAGE_TYPES, backend_option


@click.command("set")
@click.argument("project_path", metavar="PROJECT", type=click.Path(path_type=Path))
@click.argument("image", metavar="IMAGE")
@click.option("--patient", help="Groups slides: splits never cut through a patient.")
@click.option("--description", help="What QuPath shows as the image's description; '' for none.")
@click.option(
    "--meta", multiple=True, metavar="KEY=VALUE", help="Metadata; KEY= takes the key away."
)
@click.option("--tag", multiple=True, help="Tags in place of those it has (QuPath 0.6 and newer).")
@click.option(
    "--type",
    "image_type",
    type=click.Choice(list(IMAGE_TYPES)),
    help="What QuPath takes the image for.",
)
@click.option(
    "--stains",
    metavar="JSON",
    help="Colour deconvolution stains of a brightfield image, as QuPath's command "
    "setColorDeconvolutionStains takes them; 'default' for QuPath's own.",
)
@click.option("--thumbnail", is_flag=True, help="Make the thumbnail anew from the slide.")
@backend_option
@break_lock_option
def set_(
    project_path: Path,
    image: str,
    patient: str | None,
    description: str | None,
    meta: tuple[str, ...],
    tag: tuple[str, ...],
    image_type: str | None,
    stains: str | None,
    thumbnail: bool,
    backend: Any,
    break_lock: bool,
) -> None:
    """Set what PROJECT says of an image: IMAGE is its entry id or its name."""
    from qpgaze import keys
    from qpgaze.bridge import open_project
    from qpgaze.bridge.pending import commit_for

    pairs: dict[str, str | None] = {}
    for one in meta:
        key, equals, value = one.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"Expected --meta KEY=VALUE, but '{one}' came.")
        pairs[key] = value or None
    if patient is not None:
        pairs[keys.PATIENT] = patient or None
    given = (description, image_type, stains)
    if not (pairs or tag or thumbnail) and all(one is None for one in given):
        raise click.UsageError("Say what to set, for example --patient P07.")
    free_lock(project_path, break_lock)
    with open_project(project_path, mode="r+", backend=backend) as opened:
        entry = opened.entry(image)
        if pairs:
            entry.set_metadata(pairs)
        if description is not None:
            entry.describe(description or None)
        if tag:
            entry.set_tags(tag)
        if image_type is not None:
            entry.set_image_type(IMAGE_TYPES[image_type])
        if stains is not None:
            entry.set_stains(None if stains == "default" else stains)
        if thumbnail:
            entry.refresh_thumbnail()
        commit_for(opened, "set")
        click.echo(f"Set {entry.name} (image {entry.id})")
