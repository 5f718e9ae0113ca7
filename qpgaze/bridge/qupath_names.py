"""QuPath's own names for what an image's data hold, whichever store reads or writes them."""

from __future__ import annotations

from typing import Final

from qpgaze.errors import UsageError

ID_KEY: Final = "Object ID"
"""Metadata key under which QuPath 0.4 and later keep the object's id in a version 3 file."""
DESCRIPTION_KEY: Final = "ANNOTATION_DESCRIPTION"
"""Metadata key of the description that QuPath's annotation dialog edits."""

IMAGE_TYPES: Final = (
    "BRIGHTFIELD_H_DAB",
    "BRIGHTFIELD_H_E",
    "BRIGHTFIELD_OTHER",
    "FLUORESCENCE",
    "OTHER",
    "UNSET",
)
"""What QuPath may take an image for."""
BRIGHTFIELD: Final = frozenset({"BRIGHTFIELD_H_E", "BRIGHTFIELD_H_DAB", "BRIGHTFIELD_OTHER"})
"""Those of them that have stains."""


def check_image_type(image_type: str) -> str:
    """Refuse an image type that QuPath does not have.

    Raises
    ------
    UsageError
        Naming those that it has.
    """
    if image_type not in IMAGE_TYPES:
        raise UsageError(
            f"Expected an image type of QuPath ({', '.join(IMAGE_TYPES)}), but '{image_type}' came."
        )
    return image_type


def require_brightfield(image_type: str | None) -> None:
    """Refuse stains for an image that has none.

    Raises
    ------
    UsageError
        If it is not brightfield.
    """
    if image_type not in BRIGHTFIELD:
        raise UsageError(
            f"An image of type {image_type} has no stains: it is not brightfield.",
            hint="Set the image's type first (--type h-e or h-dab).",
        )
