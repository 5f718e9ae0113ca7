"""Which patients train a detector and which test it: never one patient for both."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Sequence

from qpgaze.errors import UsageError

PARTS = ("train", "valid", "test")


def rank(seed: int, *what: object) -> str:
    """Return a key to sort by that looks random, yet is the same on every machine.

    It depends on nothing but its arguments: neither on the order in which things come nor on a
    version of Python, as shuffling would.
    """
    return hashlib.sha256("/".join(map(str, (seed, *what))).encode("utf-8")).hexdigest()


def group(links: Sequence[Iterable[Hashable]], names: Sequence[str]) -> tuple[str, ...]:
    """Put things that share anything into one group.

    Parameters
    ----------
    links : sequence of iterables
        What each thing must not be parted from: its patient, its file.
    names : sequence of str
        The name of each thing.

    Returns
    -------
    tuple of str
        For each thing the least name in its group.

    Examples
    --------
    >>> group([["Ann", "a.svs"], ["Bob"], ["a.svs"]], ["3", "2", "1"])
    ('1', '2', '1')
    """
    root = list(range(len(links)))

    def find(index: int) -> int:
        while root[index] != index:
            index = root[index]
        return index

    first: dict[Hashable, int] = {}
    for index, link in enumerate(links):
        for key in link:
            root[find(index)] = find(first.setdefault(key, index))
    least: dict[int, str] = {}
    for index, name in enumerate(names):
        least[find(index)] = min(name, least.get(find(index), name))
    return tuple(least[find(index)] for index in range(len(links)))


def split(
    groups: Iterable[str], *, fractions: Sequence[float] = (0.7, 0.15, 0.15), seed: int = 0
) -> dict[str, str]:
    """Give each group to one part.

    Parameters
    ----------
    groups : iterable of str
        Repeats count once; their order does not matter.
    fractions : three floats
        Shares of train, valid and test, summing up to 1. A part with a share gets at least one
        group; a part without gets none.
    seed : int
        Another seed, another draw.

    Returns
    -------
    dict of group to part
        Everything in ``train`` where there are fewer groups than parts with a share.

    Raises
    ------
    UsageError
        If the fractions are not three shares of one, or nothing is left to train with.

    Examples
    --------
    >>> sorted(split(["Ann", "Bob", "Cem"], seed=1).values())
    ['test', 'train', 'valid']
    >>> split(["Ann", "Bob"])
    {'Ann': 'train', 'Bob': 'train'}
    """
    check_fractions(fractions)
    names = sorted(set(groups))
    wanted = [part for part, share in zip(PARTS, fractions, strict=True) if share > 0]
    if len(names) < len(wanted):
        return dict.fromkeys(names, "train")
    counts = [
        max(1, round(len(names) * share)) if share > 0 else 0
        for share in (fractions[1], fractions[2])
    ]
    # Rounding up twice may leave nothing to train with: the larger part gives back.
    while len(names) - sum(counts) < 1:
        counts[counts.index(max(counts))] -= 1
    drawn = sorted(names, key=lambda name: rank(seed, name))
    parts = ["valid"] * counts[0] + ["test"] * counts[1]
    parts += ["train"] * (len(names) - len(parts))
    given = dict(zip(drawn, parts, strict=True))
    return {name: given[name] for name in names}


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse shares that are not three parts of one.

    Raises
    ------
    UsageError
    """
    fine = len(fractions) == 3 and all(0 <= share <= 1 for share in fractions)
    if not fine or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6) or fractions[0] == 0:
        raise UsageError(
            "A split is three shares that sum up to 1, the first (train) above 0, but "
            f"{', '.join(map(str, fractions))} came.",
            hint="Give 0.7,0.15,0.15, say.",
        )
