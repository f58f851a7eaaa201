"""Eyes as small meshes with painted iris, and where they look."""

from __future__ import annotations

import numpy as np

from .assets import SIDES
from .attributes import Look
from .maths import Array, linear, rotation_between, smoothstep, unit
from .pose import Posed

SCLERA = (0.74, 0.69, 0.67)
RINGS = (*np.linspace(0, 40, 41), *np.linspace(43, 100, 20))  # degrees from the pupil
SPOKES = 40


def eye_meshes(posed: Posed, look: Look) -> tuple[Array, Array, Array]:
    """Both eyeballs' fronts: vertices (N, 3), faces and linear colours (N, 3)."""
    angle = np.radians(RINGS)
    around = np.arange(SPOKES) * 2 * np.pi / SPOKES
    a, b = np.meshgrid(angle, around, indexing="ij")
    sphere = np.stack([np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)], -1).reshape(-1, 3)
    rings = len(RINGS)
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(SPOKES), indexing="ij")
    k = (j + 1) % SPOKES
    p, q = i * SPOKES, (i + 1) * SPOKES
    quads = np.stack([p + j, q + j, q + k, p + k], -1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    colour = _colours(np.degrees(a).ravel(), b.ravel(), look)
    head = posed.head_axes()
    gaze = head @ unit(np.array([look.gaze[0], -1, look.gaze[1]]))
    turn = rotation_between(np.array([0, 0, 1.0]), gaze)
    vertices, all_faces = [], []
    for n, side in enumerate(SIDES):
        index = posed.shared.eyes[side]
        ball = posed.rest[index]
        radius = (ball[:, 0].max() - ball[:, 0].min()) / 2
        centre = posed.vertices[index].mean(0) + head @ np.array([0, 0.0006, 0])
        vertices.append(centre + radius * sphere @ turn.T)
        all_faces.append(faces + n * len(sphere))
    return np.concatenate(vertices), np.concatenate(all_faces), np.tile(colour, (2, 1))


def _colours(angle: Array, around: Array, look: Look) -> Array:
    """Linear colours by the angle from the pupil (degrees): pupil, iris with a dark rim, sclera."""
    iris = linear(look.iris)
    fibres = 1 + 0.12 * np.sin(around * 17) + 0.08 * np.sin(around * 31 + 1)
    inside = (
        (0.75 + 0.6 * smoothstep(angle, 11, 22)) * (1 - 0.6 * smoothstep(angle, 22.5, 28)) * fibres
    )
    colour = iris * inside[:, None]
    white = smoothstep(angle, 27.0, 30.5)[:, None]
    red = smoothstep(angle, 45, 75)[:, None] * np.array([0.0, -0.12, -0.12])
    colour = colour * (1 - white) + (linear(np.array(SCLERA)) + red) * white
    pupil = smoothstep(angle, 9.5, 12.0)[:, None]
    return np.asarray(0.004 * (1 - pupil) + colour * pupil)
