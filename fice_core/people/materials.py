"""Mitsuba shapes and surfaces from arrays. sRGB colours are made linear by the callers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .extra import mitsuba
from .maths import Array, unit
from .topology import normals as vertex_normals
from .topology import triangles

COLOUR = "vertex_color"


def rgb(value: Any) -> dict[str, Any]:
    """A constant linear colour."""
    return {"type": "rgb", "value": [float(v) for v in np.broadcast_to(value, 3)]}


def surface(**settings: float) -> dict[str, Any]:
    """A principled surface that takes its colour from the mesh."""
    return {
        "type": "principled",
        "base_color": {"type": "mesh_attribute", "name": COLOUR},
        **settings,
    }


def cloth() -> dict[str, Any]:
    """A diffuse surface, equal from both sides, that takes its albedo from the mesh."""
    colour = {"type": "mesh_attribute", "name": COLOUR}
    return {"type": "twosided", "b": {"type": "diffuse", "reflectance": colour}}


def mesh(
    vertices: Array, faces: Array, bsdf: dict[str, Any], colour: Array, normals: Array | None = None
) -> Any:
    """A triangle mesh with linear colours (V, 3) at its vertices."""
    mi = mitsuba()
    props = mi.Properties()
    props["bsdf"] = mi.load_dict(bsdf)
    shape = mi.Mesh("mesh", len(vertices), len(faces), has_vertex_normals=True, props=props)
    colour = np.broadcast_to(colour, (len(vertices), 3))
    shape.add_attribute(COLOUR, 3, np.ascontiguousarray(colour, np.float32).ravel())
    if normals is None:
        normals = vertex_normals(vertices, faces)
    parameters = mi.traverse(shape)
    parameters["vertex_positions"] = np.ascontiguousarray(vertices, np.float32).ravel()
    parameters["faces"] = np.ascontiguousarray(faces, np.uint32).ravel()
    parameters["vertex_normals"] = np.ascontiguousarray(normals, np.float32).ravel()
    parameters.update()
    return shape


def ribbons(points: Array, radius: Array, eye: Array) -> tuple[Array, Array, Array]:
    """Strands (N, K, 3) with radii (N, K) as ribbons that face `eye`: vertices, faces and normals.

    The normals turn across a ribbon as on a round hair, so that it is shaded like one. The vertices of
    strand n at point k have the numbers 2 (n K + k) and one more.
    """
    n, k, _ = points.shape
    along = unit(np.gradient(points, axis=1))
    towards = unit(eye - points)
    side = unit(np.cross(along, towards))
    facing = np.cross(side, along)
    offset = side * radius[..., None]
    vertices = np.stack([points - offset, points + offset], 2).reshape(-1, 3)
    normal = unit(np.stack([facing - 1.2 * side, facing + 1.2 * side], 2)).reshape(-1, 3)
    start = 2 * (np.arange(n)[:, None] * k + np.arange(k - 1)[None]).ravel()
    quads = np.stack([start, start + 1, start + 3, start + 2], 1)
    return vertices, triangles(quads), normal


def lamp(
    name: str, position: Array, target: Array, width: float, height: float, radiance: Array
) -> dict[str, Any]:
    """A rectangular area light called `name` that looks at `target`."""
    t = mitsuba().ScalarTransform4f
    pose = t().look_at(
        origin=[float(v) for v in position], target=[float(v) for v in target], up=[0, 0, 1]
    )
    return {
        "type": "rectangle",
        "to_world": pose @ t().scale([width / 2, height / 2, 1]),
        "emitter": {"type": "area", "id": f"{name} light", "radiance": rgb(radiance)},
    }
