"""Truth about a render by first hits of 3 x 3 rays a pixel: classes, garment coordinates, body parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy import ndimage

from .assets import PARTS, assets
from .classes import (
    ARMS,
    BACKGROUND,
    DRESS,
    FACE,
    HAIR,
    HANDS,
    LEGS,
    LOWER,
    NECK,
    SUBSAMPLES,
    UPPER,
)
from .extra import mitsuba
from .face import face_map
from .garments import is_dress
from .materials import mesh, surface
from .maths import Array
from .scene import Studio
from .transport import shape_numbers

HEAD_RIGHT, HEAD_LEFT = 23, 24
#: class of bare skin by DensePose part, 0 where there is no body
SKIN_CLASS = np.array(
    [BACKGROUND, NECK, NECK, HANDS, HANDS, LEGS, LEGS, *[LEGS] * 8, *[ARMS] * 8, FACE, FACE]
)


@dataclass
class Truth:
    """For an image of S pixels: `classes` (3S, 3S) of `classes.CLASSES`; `parts` (S, S) of DensePose;
    `cloth` (3S, 3S) where cloth is hit (buttons are not);
    `panel` (N,) and `uv` (N, 2), metres, of the cloth's subsamples in raster order; `joints` (B, 2) pixels.
    """

    classes: Array
    cloth: Array
    parts: Array
    panel: Array
    uv: Array
    joints: Array


def _rays(sensor: Any, n: int) -> Any:
    """Camera rays through the centres of n x n cells of the image."""
    mi = mitsuba()
    at = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(at, at)
    film = mi.Point2f(x.ravel().astype(np.float32), y.ravel().astype(np.float32))
    ray, _ = sensor.sample_ray(0.0, 0.5, film, mi.Point2f(0.5))
    return ray


def measure(studio: Studio, size: int) -> Truth:
    """The truth about a built scene."""
    n = size * SUBSAMPLES
    ray = _rays(studio.scene.sensors()[0], n)
    hit = studio.scene.ray_intersect_preliminary(ray, coherent=True)
    shape = shape_numbers(hit.shape)
    prim, bary = np.array(hit.prim_index), np.array(hit.prim_uv).T
    at = {k: shape == int(shape_numbers(s)[0]) for k, s in studio.shapes.items()}
    part = _undressed_parts(studio, ray)
    seen = part.copy()
    body_faces = studio.body[1]
    seen[at["body"]] = _face_parts()[_face_number(studio)[prim[at["body"]]]]
    classes = np.zeros(n * n, np.uint8)
    on_body = at["body"]
    classes[on_body] = SKIN_CLASS[seen[on_body]]
    scalp = face_map().scalp[body_faces[prim[on_body]]].min(1) > 0.002
    classes[np.flatnonzero(on_body)[scalp]] = HAIR
    classes[at["eyes"] | at["lashes"]] = FACE
    classes[at["hair"]] = HAIR
    worn = DRESS if is_dress(studio.wardrobe.person.top) else UPPER
    classes[at["upper"] | at["buttons"]] = worn
    classes[at["lower"]] = LOWER
    cloth = at["upper"] | at["lower"]
    panel, uv = _coordinates(studio, at, prim, bary)
    parts = _filled_parts(studio, part.reshape(n, n), classes.reshape(n, n), size)
    joints = studio.camera.project(studio.posed.joints, size)
    return Truth(
        classes.reshape(n, n), cloth.reshape(n, n), parts, panel, uv, joints.astype(np.float32)
    )


def _face_number(studio: Studio) -> Array:
    """The fine face that each face in sight is."""
    _, seen, every = studio.body
    if len(seen) == len(every):
        return np.arange(len(every))
    size = int(every.max()) + 1
    key = (every[:, 0].astype(np.int64) * size + every[:, 1]) * size + every[:, 2]
    wanted = (seen[:, 0].astype(np.int64) * size + seen[:, 1]) * size + seen[:, 2]
    order = np.argsort(key)
    return np.asarray(order[np.searchsorted(key, wanted, sorter=order)])


@cache
def _face_parts() -> Array:
    """The part of each fine face: what most of its smoothed corners are."""
    shared = assets()
    share = shared.body_fine.fine(np.eye(PARTS + 1)[shared.parts])
    return np.asarray(share[shared.body_fine.faces].sum(1).argmax(1))


def _undressed_parts(studio: Studio, ray: Any) -> Array:
    """DensePose parts of the first hits on the whole body, without garments and hair; 0 beside it."""
    mi = mitsuba()
    vertices, _, faces = studio.body
    skin = mesh(vertices, faces, surface(), np.full(3, 0.5))
    hit = mi.load_dict({"type": "scene", "body": skin}).ray_intersect_preliminary(
        ray, coherent=True
    )
    found = np.array(hit.is_valid()).astype(bool)
    prim = np.where(found, np.array(hit.prim_index), 0)
    return np.where(found, _face_parts()[prim], 0)


def _coordinates(
    studio: Studio, at: dict[str, Array], prim: Array, bary: Array
) -> tuple[Array, Array]:
    """Panel and garment coordinates of the subsamples on cloth (not on buttons), in raster order."""
    garment = at["upper"] | at["lower"]
    panel = np.zeros(len(prim), np.uint8)
    uv = np.zeros((len(prim), 2))
    for name, arrays in (("upper", studio.upper), ("lower", studio.lower)):
        here = at[name]
        corners = arrays["faces"][prim[here]]
        b = bary[here]
        weights = np.stack([1 - b.sum(1), b[:, 0], b[:, 1]], 1)
        uv[here] = (arrays["uv"][corners] * weights[..., None]).sum(1)
        worn = arrays["panel"][corners[:, 0]]
        # the lower garment's panels are told from a dress's by the top bit
        panel[here] = worn + (128 if name == "lower" else 0)
    return panel[garment], uv[garment].astype(np.float32)


def _filled_parts(studio: Studio, part: Array, classes: Array, size: int) -> Array:
    """Part labels (S, S): cloth beyond the body takes the nearest part's, hair the head's."""
    nearest = ndimage.distance_transform_edt(part == 0, return_distances=False, return_indices=True)
    filled = part[nearest[0], nearest[1]]
    head = studio.camera.project(studio.posed.joints, classes.shape[0])[assets().bone("head")]
    column = np.arange(classes.shape[1])[None]
    filled = np.where(classes == HAIR, np.where(column > head[0], HEAD_LEFT, HEAD_RIGHT), filled)
    filled = np.where(classes == BACKGROUND, 0, filled)
    middle = SUBSAMPLES // 2
    return filled[middle::SUBSAMPLES, middle::SUBSAMPLES][:size, :size].astype(np.uint8)
