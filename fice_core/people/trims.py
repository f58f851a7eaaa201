"""Ribs, seams, collars, plackets, buttons, hoods and waistbands."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .assets import SIDES
from .cloth import Obstacle
from .drape import sleeve_coordinates
from .maths import Array, rotation_between, smoothstep, unit
from .pieces import LEFT_LEG, LEFT_SLEEVE, RIGHT_LEG, RIGHT_SLEEVE, SKIRT, TORSO, TRIM, Outfit
from .topology import Sheet, loop_matrix, normals, triangles

SEAM = 0.5  # arm weight at which sleeve and trunk meet
SLEEVES = {"L": LEFT_SLEEVE, "R": RIGHT_SLEEVE}
BUTTON_RADIUS = 0.0048


def _raised(sheet: Sheet, height: float) -> Sheet:
    return sheet.with_values(p=sheet["p"] + sheet["n"] * height)


def finish_top(outfit: Outfit, sheet: Sheet, body: Obstacle) -> None:
    """Add the upper garment's panels and trims to its mesh."""
    top, mesh = outfit.person.top, outfit.upper
    arms = sheet["L"] + sheet["R"]
    mesh.add_sheet(sheet.clip(SEAM - arms), TORSO)
    if top.sleeve > 0.02:
        for side in SIDES:
            piece = sheet.clip(np.minimum(arms - SEAM, sheet[side] - 0.25))
            mesh.add_sheet(_on_sleeve(outfit, piece, side), SLEEVES[side])
    plain = 1 - max(top.collar, top.dress * 0.5)
    rib = 0.015 + 0.012 * top.knit
    if plain > 0.05:
        band = sheet.clip(rib * min(plain * 2, 1) - sheet["f_neck"])
        mesh.add_sheet(_raised(band, 0.0014), TORSO, 0.97 - 0.03 * top.knit)
    _edges(outfit, sheet)
    if top.collar > 0.05:
        collar(outfit, sheet, body)
    if top.closure > 0.05:
        placket(outfit, sheet)
    if top.hood > 0.05:
        hood(outfit, sheet, body)


def _on_sleeve(outfit: Outfit, piece: Sheet, side: str) -> Sheet:
    uv = sleeve_coordinates(outfit.posed, piece["rest"], side, piece[f"arm{side}"])
    return piece.with_values(uv=uv)


def _edges(outfit: Outfit, sheet: Sheet) -> None:
    """Knitted cuffs and hem, or stitched lines."""
    top, mesh = outfit.person.top, outfit.upper
    for name in ("hem", *SIDES):
        if name == "hem" and top.dress > 0.5:
            continue
        if name != "hem" and top.sleeve < 0.1:
            continue
        panel = TORSO if name == "hem" else SLEEVES[name]
        field = sheet[f"f_{name}"]
        if top.knit > 0.05:
            piece = sheet.clip(0.05 * top.knit - field)
            if name != "hem":
                piece = _on_sleeve(outfit, piece, name)
            mesh.add_sheet(_raised(piece, 0.0016), panel, 0.95)
        else:
            piece = sheet.clip(0.0011 - np.abs(field - 0.021))
            if name != "hem":
                piece = _on_sleeve(outfit, piece, name)
            mesh.add_sheet(_raised(piece, 0.0006), panel, 0.72, fold=False)


def neck_loop(sheet: Sheet, centre: Array, n: int = 160) -> tuple[Array, Array, Array]:
    """The neckline as n points in the order of their angle from the front: angles, points and rest."""
    edge = sheet.border()
    edge = edge[(np.abs(sheet["f_neck"][edge]) < 1e-4).all(1)]
    points = np.unique(edge)
    rest = sheet["rest"][points]
    angle = np.arctan2(rest[:, 0] - centre[0], -(rest[:, 1] - centre[1]))
    order = np.argsort(angle)
    at = np.linspace(-np.pi + 0.02, np.pi - 0.02, n)

    def sampled(x: Array) -> Array:
        columns = [np.interp(at, angle[order], x[points[order], k]) for k in range(3)]
        return np.asarray(ndimage.gaussian_filter1d(np.stack(columns, 1), 2, axis=0, mode="wrap"))

    return at, sampled(sheet["p"]), sampled(sheet["rest"])


def collar(outfit: Outfit, sheet: Sheet, body: Obstacle) -> None:
    """A stand and fall along the neckline, two wings apart in front; its size grows from nothing."""
    posed, size = outfit.posed, outfit.person.top.collar
    neck = posed.rest_joints[posed.shared.bone("neck01")] + np.array([0, -0.01, 0])
    angle, loop, _ = neck_loop(sheet, neck)
    up = unit(posed.transforms[posed.shared.bone("spine01")][:3, :3] @ np.array([0, 0.12, 1.0]))
    middle = loop.mean(0)
    outward = unit((loop - middle) - ((loop - middle) @ up)[:, None] * up)
    back = np.abs(angle) / np.pi
    front = np.clip(1 - back / 0.25, 0, 1)
    stand = size * (0.020 + 0.016 * back**0.7)
    fall = size * (0.050 + 0.014 * front)
    side = posed.transforms[posed.shared.bone("spine01")][:3, 0] * np.sign(angle)[:, None]
    rows, rings = [], 11
    for k in range(rings):
        s = k / (rings - 1)
        if s < 0.4:
            q = s / 0.4
            x = loop + up * (stand * q)[:, None] + outward * (0.003 * q - 0.012 * back * q)[:, None]
        else:
            q = (s - 0.4) / 0.6
            lift = stand * np.cos(q * 1.15) - fall * q**1.1 + fall * 0.12 * np.sin(q * np.pi)
            spread = 0.003 + size * 0.024 * np.sin(min(q * 1.5, 1) * 1.57) - 0.012 * back * (1 - q)
            x = loop + up * lift[:, None] + outward * (spread + 0.004 * q)[:, None]
            x = x + side * (size * front * 0.028 * q)[:, None]
        rows.append(x)
    grid = np.stack(rows)
    n = len(angle)
    grid = body.push_out(grid.reshape(-1, 3), 0.006, 0.05).reshape(rings, n, 3)
    below = Obstacle(sheet["p"], sheet.faces)
    flat = grid.reshape(-1, 3)
    fallen = np.repeat(np.arange(rings) >= 4, n)
    flat[fallen] = below.push_out(flat[fallen], 0.005, 0.03)
    grid = ndimage.gaussian_filter1d(flat.reshape(rings, n, 3), 1.0, axis=0)
    for sign in (-1, 1):
        chosen = np.flatnonzero(sign * angle >= 0)
        _add_grid(outfit, grid[:, chosen], angle[chosen] * 0.07, np.arange(rings) * 0.009)


def _add_grid(outfit: Outfit, grid: Array, u: Array, v: Array, tone: float = 1.0) -> None:
    """Add a grid of points (K, N, 3) as one refined piece of trim."""
    rings, n, _ = grid.shape
    index = np.arange(rings * n).reshape(rings, n)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1)
    faces = triangles(quads.reshape(-1, 4))
    points = grid.reshape(-1, 3)
    uv = np.stack([np.tile(u, rings), np.repeat(v, n)], 1)
    finer, faces = loop_matrix(faces, len(points))
    points = finer @ points
    sheet = Sheet(faces, {"p": points, "n": normals(points, faces), "uv": finer @ uv})
    outfit.upper.add_sheet(sheet, TRIM, tone)


def placket(outfit: Outfit, sheet: Sheet) -> None:
    """A raised strip with buttons down the front, as long as the closure says."""
    top, mesh = outfit.person.top, outfit.upper
    u, v = sheet["uv"].T
    in_front = sheet["rest"][:, 1] < 0
    high = float(v[(np.abs(sheet["f_neck"]) < 1e-4) & in_front].min())
    long = float(smoothstep(top.closure, 0.5, 1.0))
    low = high - 0.10 * min(top.closure * 2, 1) - 0.62 * long
    field = np.minimum(np.minimum(0.016 - np.abs(u), np.where(in_front, 0.1, -0.1)), v - low)
    mesh.add_sheet(_raised(sheet.clip(field), 0.0014), TORSO, 0.985)
    step = 0.040 + 0.045 * long
    at = high - 0.012
    while at > max(low, float(v.min())) + 0.01:
        distance = np.hypot(u, v - at) + np.where(in_front, 0, 9)
        k = int(distance.argmin())
        if distance[k] < 0.02:
            outfit.buttons.append((sheet["p"][k] + sheet["n"][k] * 0.0022, sheet["n"][k]))
        at -= step


def hood(outfit: Outfit, sheet: Sheet, body: Obstacle) -> None:
    """A hood that lies on the back and frames the neck; it grows from the neckline."""
    posed, size = outfit.posed, outfit.person.top.hood
    neck = posed.rest_joints[posed.shared.bone("neck01")] + np.array([0, -0.01, 0])
    angle, loop, _ = neck_loop(sheet, neck)
    spine = posed.transforms[posed.shared.bone("spine01")][:3, :3]
    up, behind = unit(spine @ np.array([0, 0.1, 1.0])), spine @ np.array([0.0, 1.0, 0.0])
    middle = loop.mean(0)
    outward = unit((loop - middle) - ((loop - middle) @ up)[:, None] * up)
    back = smoothstep(np.abs(angle) / np.pi, 0.05, 0.75)
    rows, rings = [], 13
    for k in range(rings):
        s = k / (rings - 1)
        arc = np.sin(np.pi * min(s * 1.25, 1.0))
        lift = size * (0.018 + 0.042 * back) * arc - size * 0.045 * s**2 * back
        spread = size * (0.010 + 0.022 * s + 0.012 * back * s)
        rear = size * 0.085 * s**1.3 * back**2
        rows.append(loop + up * lift[:, None] + outward * spread[:, None] + rear[:, None] * behind)
    grid = np.stack(rows)
    n = len(angle)
    grid = body.push_out(grid.reshape(-1, 3), 0.008, 0.05).reshape(rings, n, 3)
    below = Obstacle(sheet["p"], sheet.faces)
    grid = below.push_out(grid.reshape(-1, 3), 0.005, 0.03).reshape(rings, n, 3)
    grid = ndimage.gaussian_filter1d(grid, 0.8, axis=0)
    _add_grid(outfit, grid, angle * 0.09, np.arange(rings) * 0.012)


def button_mesh(position: Array, normal: Array) -> tuple[Array, Array]:
    """A small domed disc on the cloth: vertices and faces."""
    n = 10
    a = np.arange(n) * 2 * np.pi / n
    rim = np.stack([np.cos(a), np.sin(a), np.zeros(n)], 1) * BUTTON_RADIUS
    top = np.concatenate([rim * 0.8 + [0, 0, 0.0015], [[0, 0, 0.0018]]])
    turn = rotation_between(np.array([0, 0, 1.0]), normal)
    points = np.concatenate([rim - [0, 0, 0.003], top]) @ turn.T + position
    i, j = np.arange(n), (np.arange(n) + 1) % n
    faces = [np.stack([i, j, n + j], 1), np.stack([i, n + j, n + i], 1)]
    faces.append(np.stack([n + i, n + j, np.full(n, 2 * n)], 1))
    return points, np.concatenate(faces)


def finish_lower(outfit: Outfit, name: str, sheet: Sheet) -> None:
    """Add trousers or skirt to the lower mesh (a dress's skirt to the upper one), with a waistband."""
    dress = outfit.person.top.dress > 0.5
    if name == "skirt":
        mesh = outfit.upper if dress else outfit.lower
        mesh.add_sheet(sheet, SKIRT)
    else:
        mesh = outfit.lower
        x = sheet["rest"][:, 0]
        mesh.add_sheet(sheet.clip(x), LEFT_LEG, fold=False)
        mesh.add_sheet(sheet.clip(-x), RIGHT_LEG, fold=False)
    if not dress:
        band = sheet.clip(0.035 - sheet["f_waist"])
        shifted = band.with_values(uv=band["uv"] + np.array([0.3, 0.0]))
        mesh.add_sheet(_raised(shifted, 0.0012), TRIM)
