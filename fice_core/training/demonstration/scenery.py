"""Painted backgrounds without a person: walls, rooms, streets, plants, clutter.

Their shapes, edges and colours are as varied as those of photographs, so that a network that sees persons in
front of them learns what a person is, not what a studio is.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

Array = NDArray[np.float32]
Rng = np.random.Generator
_Colour = tuple[int, int, int]

SIDE = 320  # of a painted background in pixels


def noise(rng: Rng, side: int, roughness: float = 0.6, smallest: int = 2) -> Array:
    """Multi-octave noise (side, side) of mean 0 and deviation 1; a higher roughness has finer grain."""
    total = np.zeros((side, side), np.float32)
    cells, weight = int(rng.integers(2, 5)), 1.0
    while side // cells >= smallest:
        grid = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
        total += weight * np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC))
        cells, weight = cells * 2, weight * roughness
    return np.asarray((total - total.mean()) / (total.std() + 1e-6))


def _palette(rng: Rng) -> Array:
    """Eight colours (8, 3) in [0, 255] that go together: close to a few hues, mostly dull."""
    usual = rng.normal(
        rng.choice([0.08, 0.1, 0.28, 0.58]), 0.04
    )  # earth, skin and wood, leaves, sky
    hue = (np.array([usual, rng.random()]) + rng.normal(0, 0.04, (4, 2))).ravel()
    saturation = rng.beta(1.2, rng.choice([2.0, 5.0, 10.0]), 8)
    value = rng.beta(1.4, rng.choice([0.8, 1.2, 1.8]), 8)
    k = (hue[:, None] * 6 + np.array([5, 3, 1])) % 6
    rgb = value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))
    return np.asarray(255 * rgb, np.float32)


def _pick(rng: Rng, palette: Array, spread: float = 18.0) -> _Colour:
    colour = palette[rng.integers(len(palette))] + rng.normal(0, spread) + rng.normal(0, 5, 3)
    r, g, b = np.clip(colour, 0, 255).astype(int).tolist()
    return r, g, b


def _shape(draw: ImageDraw.ImageDraw, rng: Rng, fill: _Colour, reach: float) -> None:
    """One box, ellipse, polygon or thick line anywhere, of a size up to `reach` pixels."""
    x, y = rng.uniform(-0.1, 1.1, 2) * SIDE
    w, h = reach * rng.uniform(0.15, 1.0, 2)
    kind = rng.integers(4)
    if kind == 0:
        draw.rectangle((x - w, y - h, x + w, y + h), fill)
    elif kind == 1:
        draw.ellipse((x - w, y - h, x + w, y + h), fill)
    elif kind == 2:
        angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        points = np.stack([x + w * np.cos(angle), y + h * np.sin(angle)], 1)
        draw.polygon([tuple(p) for p in points.tolist()], fill)
    else:
        turn = rng.uniform(0, np.pi)
        dx, dy = 2.5 * w * np.cos(turn), 2.5 * w * np.sin(turn)
        draw.line((x - dx, y - dy, x + dx, y + dy), fill, max(1, int(h * 0.25)))


def _canvas(colour: _Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (SIDE, SIDE), colour)
    return image, ImageDraw.Draw(image)


def _leaves(rng: Rng, palette: Array, count: int, largest: float) -> Image.Image:
    """Shapes over shapes, whose sizes follow a power law as things in photographs do."""
    image, draw = _canvas(_pick(rng, palette))
    reach = largest * rng.power(0.5, count) + 2
    for size in np.sort(reach)[::-1]:
        _shape(draw, rng, _pick(rng, palette), float(size))
    return image


def _wall(rng: Rng, palette: Array) -> Image.Image:
    """A wall, perhaps with a corner, a floor, panels or a doorway."""
    image, draw = _canvas(_pick(rng, palette))
    if rng.random() < 0.4:
        draw.rectangle((0, 0, rng.uniform(0.1, 0.9) * SIDE, SIDE), _pick(rng, palette, 8))
    if rng.random() < 0.35:
        _grid(draw, rng, (0, 0, SIDE, SIDE), _pick(rng, palette))
    for _ in range(rng.integers(0, 4)):
        x, w = rng.uniform(-0.2, 1) * SIDE, rng.uniform(0.05, 0.4) * SIDE
        y = rng.uniform(-0.5, 0.6) * SIDE
        draw.rectangle(
            (x, y, x + w, y + rng.uniform(0.2, 1.5) * SIDE),
            _pick(rng, palette),
            _pick(rng, palette),
            int(rng.integers(1, 6)),
        )
    if rng.random() < 0.6:
        _ground(draw, rng, palette, rng.uniform(0.6, 1.0) * SIDE)
    return image


def _grid(
    draw: ImageDraw.ImageDraw, rng: Rng, box: tuple[float, float, float, float], colour: _Colour
) -> None:
    """Courses of bricks, tiles, planks or shutters in a box."""
    left, top, right, bottom = box
    tall, wide = rng.uniform(5, 40), rng.choice([rng.uniform(8, 60), 4 * SIDE])
    if rng.random() < 0.3:
        tall, wide = 4 * SIDE, rng.uniform(5, 40)
    thick, bond = int(rng.integers(1, 4)), rng.choice([0.0, 0.5])
    for i, y in enumerate(np.arange(top, bottom, tall)):
        draw.line((left, y, right, y), colour, thick)
        for x in np.arange(left + wide * bond * (i % 2), right, wide):
            draw.line((x, y, x, min(y + tall, bottom)), colour, thick)


def _ground(draw: ImageDraw.ImageDraw, rng: Rng, palette: Array, horizon: float) -> None:
    """Floor or street below `horizon`, with stripes that run to a vanishing point."""
    draw.rectangle((0, horizon, SIDE, SIDE), _pick(rng, palette))
    if rng.random() < 0.6:
        line, vanish = _pick(rng, palette, 10), rng.uniform(-0.5, 1.5) * SIDE
        for x in np.arange(-2 * SIDE, 3 * SIDE, rng.uniform(20, 160)):
            draw.line((vanish, horizon - 20, x, SIDE * 1.3), line, int(rng.integers(1, 4)))
        draw.rectangle((0, horizon - 20, SIDE, horizon - 1), _pick(rng, palette))
    y, step = horizon, 2.0
    while rng.random() < 0.95 and y < SIDE:
        y, step = y + step, step * 1.6
        draw.line((0, y, SIDE, y), _pick(rng, palette, 4), 1)


def _street(rng: Rng, palette: Array) -> Image.Image:
    """Sky, houses with windows, a street, and what stands in it."""
    image, draw = _canvas(_pick(rng, np.maximum(palette, 255 * rng.beta(4, 1.5))))
    horizon = rng.uniform(0.45, 0.95) * SIDE
    x = -rng.uniform(0, 0.3) * SIDE
    while x < SIDE:
        width, top = rng.uniform(0.1, 0.9) * SIDE, rng.uniform(-0.6, 0.8) * horizon
        _house(draw, rng, palette, (x, top, x + width, horizon))
        x += width
    _ground(draw, rng, palette, horizon)
    for _ in range(rng.integers(0, 5)):
        _thing(draw, rng, palette, horizon)
    if rng.random() < 0.5:
        _plants(image, rng, rng.uniform(-0.6, 0.9) * SIDE)
    return image


def _house(
    draw: ImageDraw.ImageDraw, rng: Rng, palette: Array, box: tuple[float, float, float, float]
) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, _pick(rng, palette))
    if rng.random() < 0.3:
        _grid(draw, rng, box, _pick(rng, palette))
    pitch_x, pitch_y = rng.uniform(14, 110, 2)
    share_x, share_y = rng.uniform(0.3, 0.85, 2)
    glass, frame = _pick(rng, palette, 30), _pick(rng, palette)
    edge = int(rng.integers(0, 4))
    if rng.random() < 0.2:
        return
    for y in np.arange(top + rng.uniform(0, pitch_y), bottom, pitch_y):
        for x in np.arange(left + rng.uniform(0, pitch_x / 2), right - pitch_x * share_x, pitch_x):
            low = min(y + share_y * pitch_y, bottom)
            pane = _pick(rng, palette, 40) if rng.random() < 0.3 else glass
            draw.rectangle((x, y, x + pitch_x * share_x, low), pane, frame, edge)
            if edge and rng.random() < 0.5:
                middle = x + pitch_x * share_x / 2
                draw.line((middle, y, middle, low), frame, edge)


def _thing(draw: ImageDraw.ImageDraw, rng: Rng, palette: Array, horizon: float) -> None:
    """A pole, a trunk, a sign or a car."""
    x, base = rng.uniform(0, 1) * SIDE, horizon + rng.uniform(0, 0.3) * SIDE
    kind, fill = rng.integers(4), _pick(rng, palette, 35)
    if kind == 0:
        draw.line((x, -10, x + rng.normal(0, 6), base), fill, int(rng.integers(2, 14)))
    elif kind == 1:
        draw.line((x, -10, x + rng.normal(0, 12), base), fill, int(rng.integers(8, 40)))
    elif kind == 2:
        w, h, y = *rng.uniform(8, 50, 2), rng.uniform(0.1, 0.8) * SIDE
        draw.rectangle((x, y, x + w, y + h), fill, _pick(rng, palette), 2)
        draw.line((x + w / 2, y + h, x + w / 2, base), fill, 3)
    else:
        w, h = rng.uniform(40, 160), rng.uniform(20, 60)
        draw.rounded_rectangle((x - w, base - h, x + w, base), h / 3, fill)
        draw.rounded_rectangle((x - w * 0.6, base - 1.7 * h, x + w * 0.6, base - h), h / 3, fill)
        glass = _pick(rng, palette)
        draw.rectangle((x - w * 0.5, base - 1.55 * h, x + w * 0.5, base - h), glass)
        for wheel in (-0.6, 0.6):
            c = x + wheel * w
            draw.ellipse((c - h / 3, base - h / 3, c + h / 3, base + h / 3), (20, 20, 22))


def _plants(image: Image.Image, rng: Rng, top: float) -> None:
    """Leaves and grass painted over an image below, or above, a height."""
    y = np.arange(SIDE, dtype=np.float32)[:, None]
    side = 1 if rng.random() < 0.6 else -1
    field = noise(rng, SIDE, rng.uniform(0.5, 0.85)) + side * (y - top) / (0.15 * SIDE)
    green = np.array([rng.uniform(0.2, 0.9), rng.uniform(0.45, 0.9), rng.uniform(0.1, 0.6)])
    light = np.clip(0.45 + rng.uniform(0.15, 0.35) * noise(rng, SIDE, rng.uniform(0.7, 1.0)), 0, 1)
    leaves = 255 * light[..., None] * green * rng.uniform(0.5, 1.3)
    old = np.asarray(image, np.float32)
    mixed = np.where((field > 0)[..., None], leaves, old)
    image.paste(Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)))


def _garden(rng: Rng, palette: Array) -> Image.Image:
    image, draw = _canvas(_pick(rng, palette))
    _ground(draw, rng, palette, rng.uniform(0.4, 1.0) * SIDE)
    for _ in range(rng.integers(1, 4)):
        _plants(image, rng, rng.uniform(-0.4, 0.9) * SIDE)
    for _ in range(rng.integers(0, 4)):
        _thing(draw, rng, palette, 0.8 * SIDE)
    return image


def _shelves(rng: Rng, palette: Array) -> Image.Image:
    """A shop or a room: rows of small things."""
    image, draw = _canvas(_pick(rng, palette))
    y = rng.uniform(0, 30)
    while y < SIDE:
        step, x = rng.uniform(18, 90), rng.uniform(-20, 10)
        while x < SIDE:
            w, h = rng.uniform(3, 40), step * rng.uniform(0.3, 1.0)
            colour = _pick(rng, palette, 40)
            if rng.random() < 0.3:
                draw.ellipse((x, y + step - h, x + w, y + step), colour)
            else:
                draw.rectangle((x, y + step - h, x + w, y + step), colour)
            x += w + rng.exponential(6)
        draw.line((0, y + step, SIDE, y + step), _pick(rng, palette), int(rng.integers(1, 7)))
        y += step
    return image


#: painters of a kind of place, and how common it is
_KINDS = (
    (_wall, 0.24),
    (_street, 0.30),
    (_garden, 0.12),
    (_shelves, 0.10),
    (partial(_leaves, count=40, largest=160.0), 0.12),
    (partial(_leaves, count=260, largest=70.0), 0.12),
)


def paint(rng: Rng) -> NDArray[np.uint8]:
    """One background (SIDE, SIDE, 3)."""
    kinds, share = zip(*_KINDS, strict=True)
    image: Image.Image = kinds[rng.choice(len(kinds), p=share)](rng, _palette(rng))
    if rng.random() < 0.35:
        image = image.rotate(rng.normal(0, 8), Image.Resampling.BILINEAR, fillcolor=(99, 97, 94))
    blur = rng.choice([0.0, 0.6, rng.uniform(1, 7)], p=[0.35, 0.3, 0.35])
    grain = noise(rng, SIDE, rng.uniform(0.5, 1.0))
    relief = np.asarray(image, np.float32) * (1 + rng.uniform(0, 0.22) * grain)[..., None]
    image = Image.fromarray(np.clip(relief, 0, 255).astype(np.uint8))
    if blur > 0:
        image = image.filter(ImageFilter.GaussianBlur(float(blur)))
    y, x = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j].astype(np.float32) - 0.5
    slope = rng.normal(0, 0.35, 2)
    light = np.exp(slope[0] * x + slope[1] * y)[..., None]
    lit = np.asarray(image, np.float32) * light
    if rng.random() < 0.4:
        lit *= np.where(noise(rng, SIDE, 0.5)[..., None] > rng.normal(), 1, rng.uniform(0.35, 0.9))
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


class Scenery:
    """Painted backgrounds, kept in memory; their crops serve as many more.

    Args:
        count: of backgrounds. Each is painted when it is needed first, in some 20 ms, and takes 0.3 MB.
        seed: the same seed gives the same backgrounds.
    """

    def __init__(self, count: int, seed: int = 0) -> None:
        self.count, self.seed = count, seed
        self._painted: dict[int, Tensor] = {}

    def __getitem__(self, index: int) -> Tensor:
        """Background `index`, (3, SIDE, SIDE) uint8."""
        if index not in self._painted:
            image = paint(np.random.default_rng([self.seed, 7, index]))
            self._painted[index] = torch.from_numpy(image).permute(2, 0, 1)
        return self._painted[index]

    def crops(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        """Random crops (count, 3, size, size) in [0, 1], mirrored at random, in random light."""
        draw = torch.rand(count, 9, generator=generator)
        rows = []
        for one in draw.tolist():
            image = self[int(one[0] * self.count)]
            side = int(SIDE * (0.3 + 0.7 * one[1] ** 0.5))
            y, x = (int(v * (SIDE - side)) for v in one[2:4])
            part = image[:, y : y + side, x : x + side].float()
            if one[4] < 0.5:
                part = part.flip(-1)
            rows.append(F.interpolate(part[None], size=(size, size), mode="bilinear"))
        crops = torch.cat(rows) / 255
        tint = (draw[:, 6:9, None, None] - 0.5) * 0.3
        return (crops * torch.exp(1.2 * (draw[:, 5, None, None, None] - 0.5) + tint)).clamp(0, 1)
