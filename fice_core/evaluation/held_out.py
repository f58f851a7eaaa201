"""More people to evaluate with than the gallery has: rendered once, and kept on disk."""

from __future__ import annotations

from pathlib import Path

from ..files import cache_folder
from ..people.pool import Pool
from ..people.render import fill
from .cases import PoolPerson

SEED = 5_000_011  # no training uses it
SIZE = 256
FOLDER = "FICE_PEOPLE"  # variable of the environment that names where renders are kept


def default_folder() -> Path:
    """Where rendered people are kept: FICE_PEOPLE, else the user's cache."""
    return cache_folder("people", FOLDER)


def held_out_people(count: int, folder: Path | None = None) -> list[PoolPerson]:
    """`count` people that no training has seen; those that the folder lacks are rendered into it.

    Raises:
        FiceError: some have to be rendered, and the extra `people` is not installed.
    """
    if count < 1:
        return []
    folder = folder or default_folder()
    fill(folder, count, SIZE, SEED)
    pool = Pool(folder)
    return [PoolPerson(pool, k) for k in range(count)]
