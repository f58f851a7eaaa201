"""One person rendered: scene, two layers of light, denoising, truth -> `Record`."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .attributes import Person
from .classes import SUBSAMPLES
from .extra import mitsuba, need
from .maths import Array
from .record import Record
from .sampling import person_from_code
from .scene import Studio, build
from .transport import TwoLayers, shape_id
from .truth import Truth, measure

SAMPLES = 16  # camera rays a pixel
LOWER_SHEEN = 0.2


@cache
def integrator() -> Any:
    """The one integrator of this process, whose kernel is compiled once."""
    return TwoLayers()


def layers(studio: Studio, person: Person, samples: int, seed: int) -> Array:
    """The raw render (S, S, 12): rest, light, albedo, normal; not denoised."""
    top = person.top
    numbers = [int(np.array(shape_id(studio.shapes[k]))[0]) for k in ("upper", "lower")]
    tracer = integrator()
    tracer.set_person(
        *numbers,
        sheen=(top.sheen, LOWER_SHEEN),
        gloss=(0.5 * top.gloss, 0.5 * top.gloss * top.dress),
        roughness=(0.52, 0.52),
    )
    tracer.set_lamps(studio.scene)
    image = mitsuba().render(studio.scene, integrator=tracer, spp=samples, seed=seed)
    return np.array(image, np.float32)


def denoised(colour: Array, albedo: Array, normal: Array) -> Array:
    """`colour` (S, S, 3) without Monte Carlo noise.

    Raises:
        FiceError: pyoidn is not installed.
    """
    parts = [np.ascontiguousarray(a, np.float32) for a in (colour, albedo, normal)]
    result = need("pyoidn").denoise(parts[0], albedo=parts[1], normal=parts[2], hdr=True)
    return np.maximum(np.asarray(result, np.float32), 0)


def record_of(studio: Studio, truth: Truth, raw: Array, code: Array, size: int) -> Record:
    """The record of a render and its truth."""
    cloth = truth.cloth
    share = cloth.reshape(size, SUBSAMPLES, size, SUBSAMPLES).mean((1, 3), dtype=np.float32)
    normal = raw[..., 9:12]
    garment = np.repeat(share[..., None], 3, 2)
    light = denoised(raw[..., 3:6], garment, normal)
    light[raw[..., 3:6].max(-1) == 0] = 0
    return Record(
        rest=denoised(raw[..., :3], raw[..., 6:9], normal),
        light=light,
        classes=truth.classes,
        parts=truth.parts,
        cloth=cloth,
        panel=truth.panel,
        uv=truth.uv,
        joints=truth.joints,
        code=code.astype(np.float32),
    )


def shoot(code: Array, size: int = 256, samples: int = SAMPLES, seed: int = 0) -> Record:
    """The record of the person that `code` stands for, at `size` pixels.

    The same code, size, samples and seed give the same record on the same machine.

    Raises:
        FiceError: the extra `people` is not installed.
    """
    code = code.astype(np.float32).astype(np.float64)  # what a stored code gives again
    person = person_from_code(code)
    studio = build(person, size, samples)
    raw = layers(studio, person, samples, seed)
    return record_of(studio, measure(studio, size), raw, code, size)
