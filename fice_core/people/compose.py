"""Images from records: any texture on the garment's light, then the camera's tone curve.

Needs numpy alone: neither Mitsuba nor anny.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from .attributes import Person, Texture
from .classes import SUBSAMPLES
from .maths import Array, encoded
from .record import Record
from .sampling import person_from_code
from .textures import albedo

EXPOSURE = 1.14
SHOULDER, SOFTNESS = 0.6, 0.42  # linear light from which highlights roll off, and how gently
CONTRAST = 0.10
GRAIN = 0.004  # standard deviation of the camera's noise


def tone(light: Array) -> Array:
    """Linear light -> sRGB in [0, 1]: a filmic shoulder and a little contrast."""
    x = light * EXPOSURE
    high = SHOULDER + (1 - np.exp(-(x - SHOULDER) / SOFTNESS)) * SOFTNESS
    y = encoded(np.where(x < SHOULDER, x, high))
    return np.asarray(np.clip(y + CONTRAST * (y - 0.5) * 4 * y * (1 - y), 0, 1))


#: linear colours (N, 3) of cloth at garment coordinates (N, 2), metres, on panels (N,)
Paint = Callable[[Array, Array], Array]


def painted(texture: Texture) -> Paint:
    """The paint of a texture."""
    return partial(albedo, texture)


def mean_albedo(record: Record, top: Paint, bottom: Paint) -> Array:
    """The mean albedo (S, S, 3) of the cloth in each pixel; 0 where there is none.

    Pixels that only the light's own rays found on cloth take the albedo of their neighbours.
    """
    low = record.panel >= 128
    colours = np.empty((len(record.panel), 3), np.float32)
    for mask, paint in ((~low, top), (low, bottom)):
        colours[mask] = paint(record.uv[mask], record.panel[mask])
    total, count = cloth_sums(record, colours)
    mean = total / np.maximum(count, 1)
    bare = count[..., 0] == 0
    lit = bare & (record.light.max(-1) > 0)
    if lit.any():
        mean[lit] = _from_neighbours(mean, ~bare)[lit]
    return np.asarray(mean, np.float32)


def cloth_sums(record: Record, values: Array) -> tuple[Array, Array]:
    """Sums (S, S, C) of values (N, C) at the points of a record's cloth, and their number (S, S, 1).

    There are SUBSAMPLES^2 points in a pixel, on cloth or not.
    """
    s = record.size
    row, column = np.nonzero(record.cloth)
    pixel = (row // SUBSAMPLES) * s + column // SUBSAMPLES
    count = np.bincount(pixel, minlength=s * s)
    sums = [np.bincount(pixel, column, minlength=s * s) for column in values.T]
    return np.stack(sums, 1).reshape(s, s, -1), count.reshape(s, s, 1)


def _from_neighbours(values: Array, known: Array) -> Array:
    """The mean of the known values among the eight neighbours (S, S, C), else the known values' mean."""
    weight = np.pad(known.astype(np.float32), 1)
    padded = np.pad(values * known[..., None], ((1, 1), (1, 1), (0, 0)))
    s = len(values)
    total, count = np.zeros_like(values), np.zeros((s, s), np.float32)
    for dy in range(3):
        for dx in range(3):
            total += padded[dy : dy + s, dx : dx + s]
            count += weight[dy : dy + s, dx : dx + s]
    overall = values[known].mean(0) if known.any() else np.zeros(values.shape[-1])
    return np.where(count[..., None] > 0, total / np.maximum(count, 1)[..., None], overall)


def compose(
    record: Record,
    top: Texture | Paint,
    bottom: Texture | Paint,
    rng: np.random.Generator | None = None,
) -> Array:
    """The image (S, S, 3), sRGB float32 in [0, 1], of the person in garments of these textures.

    `rng` adds the camera's grain.
    """
    paints = [painted(t) if isinstance(t, Texture) else t for t in (top, bottom)]
    light = record.rest + mean_albedo(record, *paints) * record.light
    image = tone(light)
    if rng is not None:
        image = np.clip(image + rng.normal(0, GRAIN, image.shape), 0, 1)
    return np.asarray(image, np.float32)


def own_image(record: Record) -> tuple[Array, Person]:
    """The image of the person in the textures of its own code, and the person."""
    person = person_from_code(np.asarray(record.code, np.float64))
    return compose(record, person.top_texture, person.bottom_texture), person
