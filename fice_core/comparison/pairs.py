"""Pairs of photo and text: drawn by a seed, and written down, so that others can edit the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from ..errors import FiceError
from ..files import read_bytes, write_bytes


@dataclass(frozen=True)
class Pair:
    """One edit to make.

    Attributes:
        photo: the photo's name in its data set.
        text: what the person shall wear.
        worn: what the person wears now; "" if nobody says.
        colour, pattern, sleeve: what the text asks for, where it is known; else "".
    """

    photo: str
    text: str
    worn: str = ""
    colour: str = ""
    pattern: str = ""
    sleeve: str = ""


COLUMNS = tuple(field.name for field in fields(Pair))
_REQUIRED = ("photo", "text")


def draw(
    photos: Sequence[str], worn: Sequence[str], texts: Sequence[str], count: int, seed: int
) -> list[Pair]:
    """`count` pairs: every photo and every text comes once before one comes again, in random order.

    Args:
        photos: their names.
        worn: what the persons wear, "" for unknown; one a photo.
        texts: at least one.
        count: of the pairs.
        seed: of the order; it decides everything.

    Raises:
        FiceError: there are no photos or texts, or the count is below one.
    """
    if count < 1:
        raise FiceError(f"the number of pairs is {count}, but must be at least 1")
    if not photos or not texts:
        raise FiceError(f"there are no {'texts' if photos else 'photos'} to draw pairs from")
    # Two generators: more pairs begin with the same ones.
    chosen = _cycled(np.random.default_rng([seed, 0]), len(photos), count)
    said = _cycled(np.random.default_rng([seed, 1]), len(texts), count)
    return [Pair(photos[p], texts[t], worn[p]) for p, t in zip(chosen, said, strict=True)]


def _cycled(rng: np.random.Generator, size: int, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        found += rng.permutation(size).tolist()
    return found[:count]


def write_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Write pairs as CSV in UTF-8, one a row, whole or not at all.

    Raises:
        FiceError: the file cannot be written, or a name is not UTF-8.
    """
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    writer.writerows(astuple(pair) for pair in pairs)
    try:
        data = lines.getvalue().encode()
    except UnicodeEncodeError as error:
        raise FiceError(
            f"{error.object[max(0, error.start - 20) : error.end]!r} is in the name of a photo or in a "
            "text, but cannot be written in UTF-8: rename the photo, or correct the text"
        ) from error
    write_bytes(path, data)


def read_pairs(path: str | Path) -> list[Pair]:
    """The pairs of a CSV file as `write_pairs` writes it; columns it does not know are left out.

    Raises:
        FiceError: it cannot be read, has no such columns, or a row lacks its photo or text.
    """
    data = read_bytes(path, "a table of pairs")
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FiceError(f"{path} is no table in CSV and UTF-8: {error}") from error
    if not rows:
        raise FiceError(
            f"{path} has no pairs: it needs a row of names, {', '.join(COLUMNS)}, and more"
        )
    pairs = []
    for number, row in enumerate(rows, start=2):
        for name in _REQUIRED:
            if not (row.get(name) or "").strip():
                raise FiceError(f"{path} row {number} has no {name}")
        pairs.append(Pair(**{name: (row.get(name) or "").strip() for name in COLUMNS}))
    return pairs
