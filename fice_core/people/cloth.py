"""Cloth relaxation by position-based dynamics, as Warp kernels on the CPU.

The kernels run serially there, so that constraints are solved one after the other in place (Gauss-Seidel).
Source: Mueller et al., "Position Based Dynamics" (2007).
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, type-arg, untyped-decorator, valid-type"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .extra import quiet_warp
from .maths import Array
from .topology import edges

wp: Any = quiet_warp()
TIME_STEP = 1 / 60
TOP_SPEED = 1.5  # metres a second
REACH = 0.08  # metres within which a vertex sees the body


@wp.kernel
def _predict(
    x: wp.array(dtype=wp.vec3), v: wp.array(dtype=wp.vec3), p: wp.array(dtype=wp.vec3),
    w: wp.array(dtype=float), dt: float, g: float, damp: float,
):  # fmt: skip
    i = wp.tid()
    if w[i] > 0.0:
        v[i] = v[i] * damp + wp.vec3(0.0, 0.0, -g * dt)
        p[i] = x[i] + v[i] * dt
    else:
        p[i] = x[i]


@wp.kernel
def _attach(p: wp.array(dtype=wp.vec3), home: wp.array(dtype=wp.vec3), k: wp.array(dtype=float)):
    i = wp.tid()
    p[i] = p[i] + (home[i] - p[i]) * k[i]


@wp.kernel
def _stretch(
    p: wp.array(dtype=wp.vec3), a: wp.array(dtype=int), b: wp.array(dtype=int),
    length: wp.array(dtype=float), pull: wp.array(dtype=float), push: wp.array(dtype=float),
    w: wp.array(dtype=float),
):  # fmt: skip
    e = wp.tid()
    i = a[e]
    j = b[e]
    s = w[i] + w[j]
    if s > 0.0:
        d = p[j] - p[i]
        now = wp.length(d)
        if now > 1.0e-7:
            k = pull[e]
            if now < length[e]:
                k = push[e]
            c = d * (k * (now - length[e]) / now / s)
            p[i] = p[i] + c * w[i]
            p[j] = p[j] - c * w[j]


@wp.kernel
def _collide(
    m: wp.uint64, p: wp.array(dtype=wp.vec3), x: wp.array(dtype=wp.vec3), w: wp.array(dtype=float),
    gap: wp.array(dtype=float), friction: float, reach: float,
):  # fmt: skip
    i = wp.tid()
    if w[i] > 0.0:
        q = wp.mesh_query_point_no_sign(m, p[i], reach)
        if q.result:
            c = wp.mesh_eval_position(m, q.face, q.u, q.v)
            n = wp.mesh_eval_face_normal(m, q.face)
            d = wp.dot(p[i] - c, n)
            if d < gap[i]:
                out = p[i] + n * wp.min(gap[i] - d, 0.02)
                move = out - x[i]
                slide = move - n * wp.dot(move, n)
                p[i] = out - slide * friction


@wp.kernel
def _finish(
    x: wp.array(dtype=wp.vec3), v: wp.array(dtype=wp.vec3), p: wp.array(dtype=wp.vec3),
    dt: float, fastest: float,
):  # fmt: skip
    i = wp.tid()
    u = (p[i] - x[i]) / dt
    speed = wp.length(u)
    if speed > fastest:
        u = u * (fastest / speed)
    v[i] = u
    x[i] = p[i]


@wp.kernel
def _hug(
    m: wp.uint64, p: wp.array(dtype=wp.vec3), gap: wp.array(dtype=float), pull: wp.array(dtype=float),
    reach: float,
):  # fmt: skip
    i = wp.tid()
    q = wp.mesh_query_point_no_sign(m, p[i], reach)
    if q.result:
        c = wp.mesh_eval_position(m, q.face, q.u, q.v)
        n = wp.mesh_eval_face_normal(m, q.face)
        d = wp.dot(p[i] - c, n)
        if d < gap[i]:
            p[i] = p[i] + n * (gap[i] - d)
        elif pull[i] > 0.0:
            p[i] = p[i] + wp.normalize(c - p[i]) * ((d - gap[i]) * pull[i])


def _to(x: Any, kind: Any) -> Any:
    plain = np.int32 if kind is int else np.float32
    return wp.array(np.ascontiguousarray(x, dtype=plain), dtype=kind, device="cpu")


def _launch(kernel: Any, dim: int, inputs: list[Any]) -> None:
    wp.launch(kernel, dim=dim, inputs=inputs, device="cpu")


class Obstacle:
    """A closed or open mesh that cloth and hair stay out of."""

    def __init__(self, vertices: Array, faces: Array) -> None:
        self.mesh = wp.Mesh(_to(vertices, wp.vec3), _to(np.asarray(faces).ravel(), int))

    def push_out(
        self, points: Array, gap: Array | float, reach: float = 0.1, pull: Array | float = 0.0
    ) -> Array:
        """`points` (N, 3) at least `gap` metres outside; farther ones are drawn in by the share `pull`."""
        n = len(points)
        p = _to(points, wp.vec3)
        gaps, pulls = (_to(np.broadcast_to(a, n), float) for a in (gap, pull))
        _launch(_hug, n, [self.mesh.id, p, gaps, pulls, reach])
        return np.asarray(p.numpy(), float)


def _bend_pairs(faces: Array) -> Array:
    """Pairs of vertices (B, 2) that face each other across an inner edge."""
    _, face_edges = edges(faces)
    opposite = np.stack([faces[:, 2], faces[:, 0], faces[:, 1]], 1).ravel()
    order = np.argsort(face_edges.ravel(), kind="stable")
    edge, vertex = face_edges.ravel()[order], opposite[order]
    twice = np.flatnonzero(edge[1:] == edge[:-1])
    return np.stack([vertex[twice], vertex[twice + 1]], 1)


@dataclass(frozen=True)
class Stuff:
    """How a cloth behaves: stiffness against stretch, crumpling and bending in [0, 1], gravity in m/s^2."""

    stretch: float = 1.0
    crumple: float = 0.6
    bend: float = 0.08
    gravity: float = 9.8
    friction: float = 0.35
    damping: float = 0.93
    frames: int = 36
    rounds: int = 8


def relax(
    start: Array,
    faces: Array,
    shape: Array,
    mass: Array,
    obstacle: Obstacle,
    gap: float,
    stuff: Stuff,
    hold: Array | None = None,
    slack: Array | None = None,
) -> Array:
    """Vertices (N, 3) of a cloth after it has settled for a while.

    Args:
        start: where it starts, (N, 3); `hold` (N,) draws each vertex back there, as a share a frame.
        faces: its triangles.
        shape: the cut, (N, 3): edges want their lengths in it.
        mass: inverse masses (N,); 0 pins a vertex.
        obstacle: what it lies on, `gap` metres away.
        gap: the distance to the obstacle.
        stuff: the material.
        slack: extra length (N, 3) along a direction, as a share.
    """
    edge, _ = edges(faces)
    bends = _bend_pairs(faces)
    a, b = np.r_[edge[:, 0], bends[:, 0]], np.r_[edge[:, 1], bends[:, 1]]
    length = np.linalg.norm(shape[a] - shape[b], axis=1)
    if slack is not None:
        way = (shape[a] - shape[b]) / np.maximum(length, 1e-9)[:, None]
        length = length * (1 + np.abs((way * (slack[a] + slack[b]) / 2).sum(1)))
    bending = np.full(len(bends), stuff.bend)
    pull = np.r_[np.full(len(edge), stuff.stretch), bending]
    push = np.r_[np.full(len(edge), stuff.crumple), bending]
    order = np.random.default_rng(0).permutation(len(a))
    x, p = _to(start, wp.vec3), _to(start, wp.vec3)
    v, home = _to(np.zeros_like(start), wp.vec3), _to(start, wp.vec3)
    w = _to(mass, float)
    ends = [_to(a[order], int), _to(b[order], int)]
    springs = [_to(s[order], float) for s in (length, pull, push)]
    gaps = _to(np.full(len(start), gap), float)
    holds = None if hold is None else _to(hold, float)
    n = len(start)
    mesh = obstacle.mesh
    for _ in range(stuff.frames):
        _launch(_predict, n, [x, v, p, w, TIME_STEP, stuff.gravity, stuff.damping])
        if holds is not None:
            _launch(_attach, n, [p, home, holds])
        for i in range(stuff.rounds):
            _launch(_stretch, len(a), [p, *ends, *springs, w])
            if i in (stuff.rounds // 2, stuff.rounds - 1):
                _launch(_collide, n, [mesh.id, p, x, w, gaps, stuff.friction, REACH])
        _launch(_finish, n, [x, v, p, TIME_STEP, TOP_SPEED])
    return np.asarray(x.numpy(), float)
