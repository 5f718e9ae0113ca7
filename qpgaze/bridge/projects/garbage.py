"""Python's collector of reference cycles, kept out while very many objects are made at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_cyclic_garbage() -> Iterator[None]:
    """Keep Python from searching a hundred thousand fresh objects for rings again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
