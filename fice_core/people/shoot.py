"""One person rendered: scene, two layers of light, denoising, truth -> `Record`."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from scipy import ndimage

from .attributes import Person
from .extra import mitsuba, need
from .maths import Array
from .record import Record
from .sampling import person_from_code
from .scene import Studio, build
from .transport import BOUNCE, TwoLayers, shape_id
from .truth import Truth, measure

SAMPLES = 16  # camera rays a pixel
LOWER_SHEEN = 0.2


@cache
def integrator() -> Any:
    """The one integrator of this process, whose kernel is compiled once."""
    return TwoLayers()


def layers(studio: Studio, person: Person, samples: int, seed: int) -> Array:
    """The raw render (S, S, 13): rest, light, albedo, normal, cover; not denoised."""
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


def denoised_layers(raw: Array, glossy: bool) -> tuple[Array, Array]:
    """Rest and light (S, S, 3) of a raw render, without noise.

    Denoising each layer by itself darkens the garment's edges: the denoiser makes both fall too steeply. So
    the light is denoised as it is on the cloth, beyond its edges too, and covers a pixel as far as the cloth
    does; the rest is what is missing to the denoised image of a grey garment.
    """
    rest, light, albedo, normal = raw[..., :3], raw[..., 3:6], raw[..., 6:9], raw[..., 9:12]
    cover = raw[..., 12:13]
    grey = denoised(rest + BOUNCE * light, albedo + BOUNCE * cover, normal)
    sure = cover[..., 0] >= 0.25
    if not sure.any():
        return grey, np.zeros_like(grey)
    nearest = ndimage.distance_transform_edt(~sure, return_distances=False, return_indices=True)
    whole = (light / np.maximum(cover, 1e-6))[nearest[0], nearest[1]]
    around = normal[nearest[0], nearest[1]]
    clean = cover * denoised(whole, np.ones_like(whole), around)
    left = np.maximum(grey - BOUNCE * clean, 0)
    return (left if glossy else np.where(cover < 1, left, 0)), clean


def record_of(truth: Truth, raw: Array, code: Array, glossy: bool = True) -> Record:
    """The record of a raw render and its truth; `glossy` tells that garments reflect light as they are."""
    rest, light = denoised_layers(raw, glossy)
    return Record(
        rest=rest,
        light=light,
        classes=truth.classes,
        parts=truth.parts,
        cloth=truth.cloth,
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
    return record_of(measure(studio, size), raw, code, person.top.gloss > 0)
