"""A person as one row of numbers, for networks that learn what the numbers look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import numpy as np

from .attributes import Person, Texture
from .maths import Array

#: metres after which the patterns with horizontal rows repeat, at scale 1 (`textures.py`)
_PERIODS = (0.032, 0.034)


def numbers(person: Person) -> Array:
    """All attributes (F,) float32, always in the same order, and products that tell textures apart.

    A pattern shows in proportion to its strength and to the contrast between ink and ground, and a shift by
    its period changes nothing: both would be hard to learn from the attributes alone.
    """
    rows = [*_flat(person), *_woven(person.top_texture)]
    return np.array(rows, np.float32)


def _flat(value: object) -> Iterator[float]:
    if is_dataclass(value):
        for field in fields(value):
            yield from _flat(getattr(value, field.name))
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from _flat(value[key])
    elif isinstance(value, (tuple, np.ndarray)):
        for item in value:
            yield from _flat(item)
    else:
        yield float(value)  # type: ignore[arg-type]


def _woven(texture: Texture) -> Iterator[float]:
    for strength in texture.pattern[1:]:
        yield from strength * (texture.ink - texture.colour)
        yield strength * texture.motif
        yield strength * texture.scale
    for period in _PERIODS:
        angle = 2 * np.pi * float(texture.phase[1]) / (period * texture.scale)
        yield from (float(np.sin(angle)), float(np.cos(angle)))
