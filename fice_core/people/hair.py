"""Hair as B-spline strands, grown from the scalp with gravity, kept off head and garment."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from .assets import assets
from .attributes import Hair
from .cloth import Obstacle
from .face import face_map
from .maths import Array, smoothstep, unit
from .pose import Posed
from .topology import normals

STRANDS = 9000
POINTS = 14
CLUMPS = 340
DOWN = np.array([0.0, 0.0, -1.0])


@cache
def _roots() -> tuple[Array, Array, Array]:
    """Faces and barycentric coordinates of all roots on the body mesh, and strand noise; always the same."""
    shared = assets()
    rng = np.random.default_rng(17)
    faces = shared.body_faces
    face = face_map()
    head = shared.weights[:, [shared.bone(b) for b in ("head", "neck03", "neck02")]].sum(1)
    height = face.height_over_hairline(shared.template, head)
    corners = shared.template[faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    density = np.clip(height[faces].mean(1) / 0.010, 0, 1) * (height[faces].min(1) > -0.004)
    front = smoothstep(-shared.template[faces].mean(1)[:, 1], 0.06, 0.13)
    density = density * (1 + 2.0 * front)
    chosen = rng.choice(len(faces), STRANDS, p=area * density / (area * density).sum())
    bary = rng.random((STRANDS, 2))
    bary = np.where(bary.sum(1, keepdims=True) > 1, 1 - bary, bary)
    weights = np.stack([1 - bary.sum(1), bary[:, 0], bary[:, 1]], 1)
    return faces[chosen], weights, rng.standard_normal((STRANDS, 24))


def _at_roots(values: Array) -> Array:
    faces, weights, _ = _roots()
    return np.asarray((values[faces] * weights[..., None]).sum(1))


@cache
def _clumps() -> tuple[Array, Array]:
    """The clump of each strand (N,) and the strand that leads it (N,): nearest of evenly drawn leaders."""
    roots = _at_roots(assets().template)
    leaders = np.random.default_rng(18).choice(len(roots), CLUMPS, replace=False)
    near = cKDTree(roots[leaders]).query(roots)[1]
    return near, leaders[near]


def grow(posed: Posed, hair: Hair, cover: Obstacle) -> tuple[Array, Array]:
    """Control points (N, K, 3) and radii (N, K) of all strands, in metres."""
    shared, face = posed.shared, face_map()
    _, _, noise = _roots()
    root = _at_roots(posed.vertices)
    rest = _at_roots(shared.template)
    outward = unit(_at_roots(normals(posed.vertices, shared.body_faces)))
    height = face.height_over_hairline(rest, np.ones(len(rest)))
    axes, pivot = posed.head_axes(), posed.joints[shared.bone("head")]
    eye = (np.mean([posed.vertices[v].mean(0) for v in shared.eyes.values()], 0) - pivot) @ axes
    length, long = hair.length, float(smoothstep(hair.length, 0.08, 0.17))
    loose = 1 - hair.tied
    # short hair is shorter towards its edges: a fade
    length += (min(length, 0.055 + 0.05 * hair.volume) - length) * hair.curl
    fade = np.clip(0.12 + height / 0.07, 0.12, 1.0)
    level = 0.15 + 0.85 * smoothstep(rest[:, 2] - face.eyes[2], -0.03, 0.06)
    fade = np.minimum(fade, level)
    own = length * (1 + 0.10 * noise[:, 0].clip(-2, 2)) * (fade * (1 - long) + long)
    knot = pivot + axes @ (eye + np.array([0.0, 0.205, 0.03]))
    own = own * loose + (np.linalg.norm(root - knot, axis=1) * 1.08) * hair.tied
    comb = unit(_comb(hair, rest, eye, long) @ axes.T)
    curl = hair.curl
    lift = _lift(hair, rest, long)
    mess = 0.07 + 0.05 * (1 - long)
    direction = unit(comb * (1 - lift) + outward * lift + noise[:, 1:4] * mess * 0.5)
    out = (direction * outward).sum(1)
    direction = unit(direction - np.minimum(out - 0.08, 0)[:, None] * outward)
    clump, leader = _clumps()
    rng = np.random.default_rng(19)
    clump_way = rng.standard_normal((CLUMPS, 3))[clump]
    layer = (0.004 + 0.016 * hair.volume * (1 - 0.5 * hair.tied)) * (
        0.5 + 0.25 * noise[:, 4].clip(-1.8, 1.8)
    )
    layer = layer + 0.0012
    gravity = 0.95 * long * loose * (1 - 0.9 * curl) + 0.05 * (1 - long)
    hug = (0.30 + 0.25 * long + 0.45 * hair.tied) * (1 - curl * loose)
    points, at = [root], root.copy()
    step = (own / (POINTS - 1))[:, None]
    for k in range(1, POINTS):
        t = k / (POINTS - 1)
        stray = noise[:, 5 + k % 6 : 8 + k % 6] * (0.010 + 0.55 * curl)
        direction = unit(direction * loose + unit(knot - at) * hair.tied)
        direction = unit(direction + DOWN * gravity * (0.35 + 1.1 * t) + clump_way * 0.03 + stray)
        at = at + direction * step
        if curl < 0.5 and long > 0:
            at = _off_the_face(at, hair, axes, pivot, eye, long)
        pull = hug * np.exp(-((t * own / (0.16 + 0.6 * hair.tied)) ** 2))
        at = cover.push_out(at, layer * min(1.0, 0.25 + 2.0 * t), 0.08, pull)
        points.append(at.copy())
        direction = unit(direction * 0.5 + unit(at - points[-2]) * 0.5)
    strands = np.stack(points, 1)
    strands = _clumped(strands, leader, noise, hair, long)
    strands = _waved(strands, own, clump, noise, hair, long)
    strands[:, 1:] = cover.push_out(strands[:, 1:].reshape(-1, 3), 0.0015, 0.04).reshape(
        -1, POINTS - 1, 3
    )
    kept = _clear_of_face(strands, axes, pivot, eye)
    s = np.linspace(0, 1, POINTS)
    thick = 0.00050 + 0.00012 * curl - 0.00008 * long
    radius = thick * (1 - 0.55 * s**3) * (1 + 0.15 * noise[:, 22:23].clip(-2, 2))
    shown = strands[:, :1] + (strands - strands[:, :1]) * kept[:, None, None]
    return shown, radius * np.maximum(kept, 0.02)[:, None]


def _lift(hair: Hair, rest: Array, long: float) -> Array:
    """How far hair leaves the scalp at its root (N, 1): 0 along it, 1 straight out."""
    loose = 1 - hair.tied
    before = smoothstep(-rest[:, 1], 0.05, 0.11) * smoothstep(rest[:, 2], 0.93, 0.97)
    flat = (0.10 + 0.25 * hair.volume * (1 - long) + 0.25 * before * long) * loose
    return np.asarray(flat + (0.93 - flat) * hair.curl * loose)[:, None]


def _comb(hair: Hair, rest: Array, eye: Array, long: float) -> Array:
    """The direction (N, 3) that hair is combed in, in the head's axes."""
    eyes = face_map().eyes
    side = np.tanh((rest[:, 0] - hair.part) / 0.012)
    front = smoothstep(-(rest[:, 1] + 0.03), -0.02, 0.07)
    top = smoothstep(rest[:, 2] - eyes[2], 0.05, 0.11)
    swept = 0.35 * side * 0.4 + hair.sweep * top * 0.9
    back = 0.45 + 0.45 * top * np.tanh(2 * (hair.part + 0.03) / 0.03)
    short = np.stack([swept, back * (1 - 1.2 * hair.fringe * front), np.full_like(side, -0.5)], 1)
    fall = np.stack(
        [side * (0.55 + 0.65 * front), 0.55 * front + 0.25, -0.55 * (1 - top) - 0.15], 1
    )
    fall[:, 1] += 1.4 * hair.tied
    fall[:, 2] += 1.4 * hair.tied * (1 - smoothstep(rest[:, 2] - eyes[2], -0.06, 0.03))
    return np.asarray(unit(short) * (1 - long) + unit(fall) * long)


def _off_the_face(
    at: Array, hair: Hair, axes: Array, pivot: Array, eye: Array, long: float
) -> Array:
    """Strands in front of the temples and below the hairline move to the side and back."""
    local = (at - pivot) @ axes
    before = smoothstep(eye[1] + 0.060 - local[:, 1], 0, 0.012) * smoothstep(
        eye[2] + 0.050 - local[:, 2], 0, 0.02
    )
    below = np.clip((eye[2] - local[:, 2]) / 0.12, 0, 1)
    width = 0.064 + 0.016 * below * hair.tuck
    sign = np.where(local[:, 0] < 0, -1.0, 1.0)
    short_of = np.maximum(width - np.abs(local[:, 0]), 0) * before * long
    local[:, 0] += sign * short_of
    local[:, 1] += np.minimum(short_of * 1.2, 0.03)
    return np.asarray(local @ axes.T + pivot)


def _clear_of_face(strands: Array, axes: Array, pivot: Array, eye: Array) -> Array:
    """1 for strands (N,) that stay off the face, 0 for those that cross it."""
    local = (strands - pivot) @ axes
    inside = smoothstep(0.062 - np.abs(local[..., 0]), 0, 0.01)
    inside = inside * smoothstep(eye[1] + 0.04 - local[..., 1], 0, 0.01)
    inside = inside * smoothstep(eye[2] + 0.040 - local[..., 2], 0, 0.01)
    return np.asarray(1 - inside.max(1))


def _clumped(strands: Array, leader: Array, noise: Array, hair: Hair, long: float) -> Array:
    """Strands draw towards their clump's leader along their length."""
    s = np.linspace(0, 1, POINTS)[None, :, None]
    strength = (0.35 + 0.30 * long - 0.2 * hair.curl) * s**1.2
    gap = strands[:, :1] - strands[leader][:, :1]
    near = smoothstep(0.03 - np.linalg.norm(gap, axis=2, keepdims=True), 0, 0.012)
    led = strands[leader] + gap * 0.4 + noise[:, None, 12:15] * 0.0012 * s
    return np.asarray(strands * (1 - strength * near) + led * strength * near)


def _waved(
    strands: Array, own: Array, clump: Array, noise: Array, hair: Hair, long: float
) -> Array:
    """Waves and coils that clumps share."""
    s = np.linspace(0, 1, POINTS)[None, :, None]
    size = 0.0045 * hair.wave * long * (1 - hair.tied) * (1 - hair.curl) + 0.0035 * hair.curl
    turns = 1.0 + 0.8 * hair.wave + 3.0 * hair.curl
    rng = np.random.default_rng(20)
    phase = rng.uniform(0, 6.28, CLUMPS)[clump] + noise[:, 16] * (0.25 + 0.9 * hair.curl)
    along = unit(strands[:, -1] - strands[:, 0])
    first = unit(np.cross(along, noise[:, 17:20] * 0.2 + np.array([0, 1.0, 0])))
    second = unit(np.cross(along, first))
    angle = 2 * np.pi * turns * s * own[:, None, None] / 0.1 + phase[:, None, None]
    grown = size * np.clip(s * 3, 0, 1)
    offset = np.cos(angle) * first[:, None] + np.sin(angle) * second[:, None]
    return np.asarray(strands + grown * offset)
