"""What every reader of slide pixels offers, whatever library is behind it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Slide(Protocol):
    """Pixels of one slide; coordinates are ``ImagePx`` (level 0, top-left, y down).

    Attributes
    ----------
    path : Path
    width_px, height_px : int
        Level-0 size.
    pixel_size_um : (x, y) or None
        Micron per level-0 pixel; None where the file does not say.
    level_downsamples : tuple of float
        Downsample of each stored level, the first is 1.
    """

    @property
    def path(self) -> Path: ...
    @property
    def width_px(self) -> int: ...
    @property
    def height_px(self) -> int: ...
    @property
    def pixel_size_um(self) -> tuple[float, float] | None: ...
    @property
    def level_downsamples(self) -> tuple[float, ...]: ...

    def read(
        self, x_px: float, y_px: float, width_px: float, height_px: float, *, downsample: float = 1
    ) -> npt.NDArray[np.uint8]:
        """Read a region as RGB.

        Parameters
        ----------
        x_px, y_px, width_px, height_px : float
            The region in level-0 pixels; may reach outside the slide, which reads as white.
        downsample : float
            Level-0 pixels per returned pixel, >= 1; any number, not only that of a level.
            Reduced by area averaging from the nearest finer level.

        Returns
        -------
        (round(height / downsample), round(width / downsample), 3) uint8
            At least one pixel each way.

        Raises
        ------
        SlideError
            If the region has no size or the pixels cannot be decoded.
        """
        ...

    def close(self) -> None:
        """Release the file; reading afterwards raises SlideError."""
        ...

    def __enter__(self) -> Slide: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
