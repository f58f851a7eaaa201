"""The code of the same person in another garment.

A code is normalised as a whole, so that a changed component would move all the others. Three components count
by their direction alone (the colour's, the pattern's, the neckline's); their lengths take up what the
changed ones add or leave, and everything that was not asked for stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np

from ..errors import FiceError
from .attributes import PATTERNS
from .code import normalised, slices, spread_directions
from .colours import COLOURS, icosahedron
from .maths import Array
from .sampling import person_from_code
from .wording import SLEEVES

PLAIN, PATTERNED = 0.2, 0.75  # where on the pattern's first uniform number cloth is plain, or not
#: where in a class's range of the sleeve's uniform number a sleeve is: the middle of its plateau
_SLEEVE_START, _SLEEVE_FEMININE = 0.05, 0.17
_SLEEVE_AT = {"short": 0.17, "elbow": 0.355, "long": 0.60}
_SHORTEST = 1e-3  # of a direction, that it stays one


def dressed(
    code: Array,
    colour: str | None = None,
    pattern: str | None = None,
    sleeve: str | None = None,
) -> Array:
    """The code (CODE_DIM,) float64 of the person with an upper garment of another colour, pattern or sleeve.

    Args:
        code: the person's (CODE_DIM,).
        colour: a key of `COLOURS`; None keeps the garment's.
        pattern: one of `PATTERNS`; None keeps it. A dress or an open shirt has no print.
        sleeve: one of `wording.SLEEVES`; None keeps it. Sleeveless garments have no collar, and only long
            sleeves make a knitted garment.

    Raises:
        FiceError: an unknown name.
    """
    at, result = slices(), normalised(np.asarray(code, np.float64))
    free = {
        "colour": np.arange(at["colour"].start, at["colour"].start + 3),
        "pattern": np.arange(at["pattern"].start + 1, at["pattern"].start + 4),
        "neckline": np.arange(at["neckline"].start, at["neckline"].start + 3),
    }
    total = float(np.square(result).sum())
    if colour is not None:
        result[free["colour"]] = _known(
            colour, COLOURS, dict(zip(COLOURS, icosahedron(), strict=True))
        )
        result[at["colour"].start + 3] = 0.0
    if pattern is not None:
        directions = dict(zip(PATTERNS[1:], spread_directions(len(PATTERNS) - 1), strict=True))
        if pattern != PATTERNS[0]:
            result[free["pattern"]] = _known(pattern, PATTERNS, directions)
        result[at["pattern"].start] = _normal(PLAIN if pattern == PATTERNS[0] else PATTERNED)
    if sleeve is not None:
        result[at["sleeve"]] = _sleeve_number(result, sleeve)
    return _of_length(result, total, list(free.values()))


def _known(
    name: str, names: tuple[str, ...] | Mapping[str, object], values: Mapping[str, Array]
) -> Array:
    if name not in values:
        raise FiceError(f"there is no {name!r}: choose from {', '.join(names)}")
    return values[name]


def _normal(uniform: float) -> float:
    return NormalDist().inv_cdf(uniform)


def _sleeve_number(code: Array, sleeve: str) -> float:
    if sleeve not in SLEEVES:
        raise FiceError(f"there are no {sleeve!r} sleeves: choose from {', '.join(SLEEVES)}")
    start = _SLEEVE_START + _SLEEVE_FEMININE * person_from_code(code).body.feminine
    return _normal(0.5 * start if sleeve == "sleeveless" else start + _SLEEVE_AT[sleeve])


def _of_length(code: Array, total: float, free: list[Array]) -> Array:
    """`code` with the sum of squares `total`, by stretching the numbers whose direction alone counts."""
    directions = np.concatenate(free)
    fixed = np.setdiff1d(np.arange(len(code)), directions)
    left = total - float(np.square(code[fixed]).sum())
    now = np.array([np.square(code[k]).sum() for k in free])
    share = left * now / now.sum()
    result = code.copy()
    for k, square in zip(free, share, strict=True):
        length = max(float(np.sqrt(max(square, 0.0))), _SHORTEST)
        result[k] = code[k] * (length / max(float(np.linalg.norm(code[k])), 1e-12))
    return result
