"""One person rendered: scene, two layers of light, denoising, truth -> `Record`."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.ndimage import maximum_filter, minimum_filter

from .attributes import Person
from .extra import mitsuba, need
from .maths import Array
from .record import Record
from .sampling import person_from_code
from .scene import Studio, build
from .transport import TwoLayers, shape_numbers
from .truth import Truth, measure

SAMPLES = 16  # camera rays a pixel
LOWER_SHEEN = 0.2
SURE = 0.25  # share of a pixel from which a layer's colour in it is trusted
FINE = 8  # rays along each side of a pixel on a border between garment and anything else


@cache
def integrator() -> Any:
    """The one integrator of this process, whose kernel is compiled once."""
    return TwoLayers()


def layers(studio: Studio, person: Person, samples: int, seed: int) -> Array:
    """The raw render (S, S, 16): rest, light, albedo, normal, cover, gloss; not denoised."""
    top = person.top
    numbers = [int(shape_numbers(studio.shapes[k])[0]) for k in ("upper", "lower")]
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


def cover(studio: Studio, coarse: Array) -> Array:
    """The share (S, S, 1) of each pixel that shows a garment, exact to 1 / FINE^2.

    Where the camera rays of `coarse` (S, S, 1) or of its neighbours met both a garment and something else,
    more rays are asked, without light: sixteen leave white garments with steps before a white wall, and grain
    where hair hangs over cloth.
    """
    size = len(coarse)
    low, high = (f(coarse[..., 0], 3, mode="nearest") for f in (minimum_filter, maximum_filter))
    rows, columns = np.nonzero(low < high)
    if not len(rows):
        return coarse
    mi = mitsuba()
    cell = (np.arange(FINE) + 0.5) / FINE
    down, across = np.meshgrid(cell, cell, indexing="ij")
    x = (columns[:, None] + across.ravel()) / size
    y = (rows[:, None] + down.ravel()) / size
    film = mi.Point2f(x.ravel().astype(np.float32), y.ravel().astype(np.float32))
    ray, _ = studio.scene.sensors()[0].sample_ray(0.0, 0.5, film, mi.Point2f(0.5))
    hit = studio.scene.ray_intersect_preliminary(ray, coherent=True)
    worn = [int(shape_numbers(studio.shapes[name])[0]) for name in ("upper", "lower")]
    result = coarse.copy()
    result[rows, columns, 0] = (
        np.isin(shape_numbers(hit.shape), worn).reshape(len(rows), -1).mean(1)
    )
    return result


def denoised_share(layer: Array, share: Array, albedo: Array, normal: Array, exact: Array) -> Array:
    """A layer (S, S, 3) that covers the share `exact` (S, S, 1) of each pixel, without noise.

    Denoising it as it is would draw its edges too steeply, and leave a dark line between two layers. So it is
    denoised as it looks where it is, continued beyond its edges, and cut to its share. `share` is what its
    few rays saw of it.
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
    return np.asarray(exact * denoised(whole(layer), whole(albedo), around))


def denoised_layers(raw: Array, exact: Array) -> tuple[Array, Array]:
    """Rest with the garments' gloss, and light, both (S, S, 3), of a raw render, without noise.

    `exact` is the `cover` of the render.
    """
    normal, seen, gloss = raw[..., 9:12], raw[..., 12:13], raw[..., 13:16]
    garment = np.repeat(seen, 3, 2)
    rest = denoised_share(raw[..., :3], 1 - seen, raw[..., 6:9], normal, 1 - exact)
    if gloss.any():
        rest = rest + denoised_share(gloss, seen, garment, normal, exact)
    return rest, denoised_share(raw[..., 3:6], seen, garment, normal, exact)


def record_of(truth: Truth, raw: Array, exact: Array, code: Array) -> Record:
    """The record of a raw render with its `cover` and its truth."""
    rest, light = denoised_layers(raw, exact)
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
    exact = cover(studio, raw[..., 12:13])
    return record_of(measure(studio, size), raw, exact, code)
