"""Options that several verbs about projects share."""

from __future__ import annotations

import click

IMAGE_TYPES = {
    "h-e": "BRIGHTFIELD_H_E",
    "h-dab": "BRIGHTFIELD_H_DAB",
    "brightfield": "BRIGHTFIELD_OTHER",
    "fluorescence": "FLUORESCENCE",
    "other": "OTHER",
    "unset": "UNSET",
}
"""What is typed after ``--type``, and QuPath's name for it."""

backend_option = click.option(
    "--backend",
    type=click.Choice(["auto", "embedded", "paquo"]),
    default="auto",
    show_default=True,
    help="How a project is reached: through an installed QuPath (paquo) or without one.",
)
