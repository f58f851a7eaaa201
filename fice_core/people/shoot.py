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
from .transport import TwoLayers, shape_id
from .truth import Truth, measure

SAMPLES = 16  # camera rays a pixel
LOWER_SHEEN = 0.2
SURE = 0.25  # share of a pixel from which a layer's colour in it is trusted


@cache
def integrator() -> Any:
    """The one integrator of this process, whose kernel is compiled once."""
    return TwoLayers()


def layers(studio: Studio, person: Person, samples: int, seed: int) -> Array:
    """The raw render (S, S, 16): rest, light, albedo, normal, cover, gloss; not denoised."""
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


def denoised_share(layer: Array, share: Array, albedo: Array, normal: Array) -> Array:
    """A layer (S, S, 3) that covers the share (S, S, 1) of each pixel, without noise.

    Denoising it as it is would draw its edges too steeply, and leave a dark line between two layers. So it is
    denoised as it looks where it is, continued beyond its edges, and cut to its share again.
    """
    sure = share[..., 0] >= SURE
    if not sure.any():
        return np.zeros_like(layer)
    nearest = ndimage.distance_transform_edt(~sure, return_distances=False, return_indices=True)

    def whole(values: Array) -> Array:
        # where few rays met the layer, its colour is taken with the neighbours'
        near, weight = (ndimage.uniform_filter(v, (3, 3, 1)) for v in (values, share))
        own = values / np.maximum(share, 1e-6)
        mixed = share * own + (1 - share) * near / np.maximum(weight, 1e-6)
        return np.asarray(mixed[nearest[0], nearest[1]])

    around = normal[nearest[0], nearest[1]]
    return np.asarray(share * denoised(whole(layer), whole(albedo), around))


def denoised_layers(raw: Array) -> tuple[Array, Array]:
    """Rest with the garments' gloss, and light, both (S, S, 3), of a raw render, without noise."""
    normal, cover, gloss = raw[..., 9:12], raw[..., 12:13], raw[..., 13:16]
    garment = np.repeat(cover, 3, 2)
    rest = denoised_share(raw[..., :3], 1 - cover, raw[..., 6:9], normal)
    if gloss.any():
        rest = rest + denoised_share(gloss, cover, garment, normal)
    return rest, denoised_share(raw[..., 3:6], cover, garment, normal)


def record_of(truth: Truth, raw: Array, code: Array) -> Record:
    """The record of a raw render and its truth."""
    rest, light = denoised_layers(raw)
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
    return record_of(measure(studio, size), raw, code)
