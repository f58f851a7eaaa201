"""Mitsuba shapes and surfaces from arrays. sRGB colours are made linear by the callers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .extra import mitsuba
from .maths import Array
from .topology import normals as vertex_normals

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


def strands(points: Array, radius: Array, bsdf: dict[str, Any]) -> Any:
    """Cubic B-spline hairs: control points (N, K, 3) and radii (N, K)."""
    n, k, _ = points.shape
    rows = np.concatenate([points, radius[..., None]], 2).reshape(n, -1)
    line = "%.5f %.5f %.5f %.6f\n" * k + "\n"
    handle, name = tempfile.mkstemp(".txt")
    try:
        with os.fdopen(handle, "w") as file:
            file.write("".join(line % tuple(row) for row in rows))
        return mitsuba().load_dict({"type": "bsplinecurve", "filename": name, "bsdf": bsdf})
    finally:
        Path(name).unlink()


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
