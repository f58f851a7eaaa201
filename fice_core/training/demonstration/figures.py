"""Rendered people cut out of their studio, dressed for the street: legs, coats, other colours, hats.

Renders end at the thigh. Here they get legs and shoes, so that whole persons can be seen; a coat, bag, hat or
pair of glasses that the renderer does not have; and clothes of any colour. All of it changes the truth too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...people.classes import (
    ARMS,
    BACKGROUND,
    DRESS,
    FACE,
    HAIR,
    HANDS,
    LEGS,
    LOWER,
    NECK,
    UPPER,
)
from ..dice import Dice, blur
from .dataset import Batch

#: rows of a cut-out over those of the render: below its lower edge there is room for the legs
TALL = 1.75
TORSO, THIGHS = (1, 2), (7, 8, 9, 10)
_LIMBS = (3, 4, *range(15, 23))  # hands and arms
#: DensePose's parts of the leg on the left of the image, the person's right, from above; then the other
_LEG_PARTS = ((9, 13, 6), (10, 14, 5))
#: what each part is called in a mirrored image
MIRRORED = torch.tensor([0, 1, 2, *(p + 1 if p % 2 else p - 1 for p in range(3, 25))])


@dataclass
class Figures:
    """n people without a background, H >= S rows of S pixels.

    Attributes:
        images: (n, 3, H, S) in [0, 1].
        cover: how much of a pixel the person covers, (n, 1, H, S) in [0, 1].
        classes: `people.classes.CLASSES`, (n, 1, H, S) float, whole numbers.
        parts: DensePose's 24 parts, (n, 1, H, S) float, whole numbers.
    """

    images: Tensor
    cover: Tensor
    classes: Tensor
    parts: Tensor

    def __getitem__(self, index: Tensor) -> Figures:
        return Figures(*(x[index] for x in vars(self).values()))

    def put(self, index: Tensor, few: Figures) -> None:
        """Replace the figures of these indices."""
        for mine, new in zip(vars(self).values(), vars(few).values(), strict=True):
            mine[index] = new

    def paint(self, mask: Tensor, colour: Tensor, label: Tensor | int) -> None:
        """Paint over all figures where `mask` (n, 1, H, S) in [0, 1] is, in place."""
        below = (1 - mask) * self.cover
        self.cover = mask + below
        share = mask / self.cover.clamp_min(1e-3)
        self.images = torch.lerp(self.images, colour.expand_as(self.images), share)
        label = torch.as_tensor(label, dtype=self.classes.dtype).expand_as(self.classes)
        self.classes = torch.where(mask > 0.5, label, self.classes)


def _is(values: Tensor, *wanted: int) -> Tensor:
    """Where a map of whole numbers has one of the wanted ones."""
    found = values == wanted[0]
    for number in wanted[1:]:
        found |= values == number
    return found


def _mean(images: Tensor, mask: Tensor, fallback: Tensor) -> Tensor:
    """Mean colour (n, 3, 1, 1) under a mask (n, 1, H, W); `fallback` where it is empty."""
    area = mask.sum((2, 3), keepdim=True)
    mean = (images * mask).sum((2, 3), keepdim=True) / area.clamp_min(1)
    return torch.where(area >= 8, mean, fallback)


def _cell(size: int) -> int:
    """A 64th of an image's side in pixels: as finely as coats are cut."""
    return max(1, size // 64)


def _loosened(mask: Tensor, cells: int) -> Tensor:
    """A bool mask (n, 1, H, S) dilated by that many 64ths of S, with a smooth outline."""
    low = F.max_pool2d(mask.float(), _cell(mask.shape[-1]))
    low = F.max_pool2d(low, 2 * cells + 1, 1, cells)
    size = (mask.shape[-2], mask.shape[-1])
    return F.interpolate(low, size, mode="bilinear", align_corners=False) > 0.5


def _soft(mask: Tensor) -> Tensor:
    """A bool mask with an edge one pixel wide."""
    return blur(mask.float())


def _grid(like: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns as fractions of the render's side, (H, 1) and (1, S)."""
    rows, side = like.shape[-2:]
    return (torch.arange(rows)[:, None] + 0.5) / side, (torch.arange(side)[None] + 0.5) / side


def cut_out(batch: Batch, size: int) -> Figures:
    """The people of a batch in renders of `size` pixels, without their wall, with empty rows below."""
    images, cover = batch.images, (batch.body + batch.head).clamp(0, 1)
    classes, parts = batch.classes[:, None].float(), batch.parts[:, None].float()
    factor = images.shape[-1] // size
    if factor > 1:
        images, cover = F.avg_pool2d(images, factor), F.avg_pool2d(cover, factor)
        start = factor // 2
        classes, parts = (x[..., start::factor, start::factor] for x in (classes, parts))
    # The wall shows through the edges: there the colour continues from within.
    inner = (cover > 0.98).float()
    near = blur(inner)
    inside = blur(images * inner) / near.clamp_min(1e-3)
    images = torch.where((inner == 0) & (near > 0), inside, images)
    below = (0, 0, 0, round((TALL - 1) * size))
    return Figures(*(F.pad(x, below) for x in (images, cover, classes, parts)))


def street_colours(n: int, generator: torch.Generator) -> Tensor:
    """Random colours of clothes (n, 3, 1, 1), mostly dull, often black, white or blue."""
    value = torch.rand(n, 1, 1, 1, generator=generator)
    chroma = torch.randn(n, 3, 1, 1, generator=generator)
    chroma = chroma - chroma.mean(1, keepdim=True)
    spread = 0.3 * torch.rand(n, 1, 1, 1, generator=generator) ** 2.5
    dark = torch.rand(n, 1, 1, 1, generator=generator) < 0.35
    value = torch.where(dark, 0.02 + 0.2 * value, value)
    blue = torch.tensor([-0.5, -0.1, 0.6])[None, :, None, None]
    jeans = torch.rand(n, 1, 1, 1, generator=generator) < 0.15
    chroma = torch.where(jeans, blue + 0.1 * chroma, chroma)
    return (value + (spread + 0.25 * jeans) * chroma).clamp(0, 1)


def recolour(figures: Figures, dice: Dice) -> None:
    """Give clothes other colours, in place: a smooth field times the folds' light and shadow."""
    size = figures.images.shape[-1]
    top = figures.images[..., :size, :]
    for classes, share in (((UPPER, DRESS), 0.45), ((LOWER,), 0.6)):
        rows = dice.some(share)
        if not len(rows):
            continue
        few = Dice(dice.generator, len(rows))
        image = top[rows]
        mask = _is(figures.classes[rows, :, :size], *classes)
        grey = image.mean(1, keepdim=True)
        mean = _mean(grey.expand(-1, 3, -1, -1), mask, few.draw(0.3, 0.6))[:, :1]
        relief = (grey / mean.clamp_min(0.05)).clamp(0, 2.5) ** few.draw(0.3, 1.3)
        base = street_colours(len(rows), dice.generator)
        cells = 3 if float(few.draw()[0]) < 0.6 else 24
        field = few.draw(0, 1) ** 3 * 0.35 * few.field(cells, (size, size), 3)
        top[rows] = torch.where(mask, (base * relief + field).clamp(0, 1), image)


def add_legs(figures: Figures, dice: Dice) -> None:
    """Continue the people below the render's edge, in place: garments to their hems, legs, shoes."""
    n, side = len(figures.images), figures.images.shape[-1]
    y, x = _grid(figures.images)
    y = y[side:] - 1  # below the edge
    edge = slice(side - 3, side)
    parts, images = figures.parts[:, :, edge], figures.images[:, :, edge]
    classes = figures.classes[:, :, edge]
    trunk = _is(parts, *TORSO, *range(7, 15)).any(2)[:, :, None]  # (n, 1, 1, S)
    left = torch.where(trunk, x, 1.0).amin(3, keepdim=True)
    right = torch.where(trunk, x, 0.0).amax(3, keepdim=True)
    there = right > left
    left, right = torch.where(there, left, 0.3), torch.where(there, right, 0.7)
    middle, half = (left + right) / 2, ((right - left) / 2).clamp(0.05, 0.3)
    _end_arms(figures, edge, trunk)

    worn = _is(classes, LOWER)
    robe = _is(classes, DRESS, UPPER).float().mean((2, 3), keepdim=True) > 0.05
    dressed = robe & (worn.float().mean((2, 3), keepdim=True) < 0.02)
    one_piece = _is(classes, DRESS).any(3, keepdim=True).any(2, keepdim=True) | dice.chance(0.25)
    any_colour = street_colours(n, dice.generator)
    lower = torch.where(dice.chance(0.8), _mean(images, worn, any_colour), any_colour)
    robe_colour = _mean(images, _is(classes, DRESS, UPPER), any_colour)
    skin = _mean(
        figures.images[:, :, :side],
        _is(figures.classes[:, :, :side], FACE, ARMS, HANDS, NECK),
        dice.draw(0.2, 0.8).expand(-1, 3, -1, -1),
    )
    tights = dice.chance(0.25)
    leg = torch.where(tights, street_colours(n, dice.generator), skin * dice.draw(0.75, 1.1))

    length = dice.draw(0.62, 0.74) * (half / 0.19).clamp(0.75, 1.1)
    t = y / length  # 0 at the edge of the render, 1 at the soles
    skirt = (dressed & one_piece) | dice.chance(0.2)
    hem = torch.where(skirt, dice.draw(0.02, 0.8), dice.draw(0.55, 1.0).clamp(max=0.97))
    boots = torch.where(dice.chance(0.4), dice.draw(0.4, 0.9), dice.draw(0.92, 0.97))
    wide = dice.draw(0, 1) ** 2  # of trousers
    shoe = street_colours(n, dice.generator)
    step = dice.draw(-0.35, 0.35) * half  # where the feet stand, beside the hips
    cloth = 1 + 0.1 * dice.draw() * dice.field(40, (len(y), side))
    cloth = cloth * (1 + 0.14 * dice.draw() * dice.field(9, (len(y), side)))
    light = dice.draw(-0.35, 0.35)
    robe_end = torch.where(dressed, dice.draw(0, 0.35), 0.0)
    top_class = torch.where(one_piece, torch.tensor(DRESS), torch.tensor(UPPER)).float()

    legs = Figures(*(v[..., side:, :] for v in vars(figures).values()))
    behind = int(dice.draw()[0] < 0.5)
    for k in (behind, 1 - behind):
        side_sign = 2 * k - 1  # the leg on the left of the image first, or last
        foot = middle + step + side_sign * half * dice.draw(-0.1, 0.85)
        bow = dice.draw(-0.08, 0.12) * half * side_sign
        axis = middle + side_sign * half * 0.5
        axis = axis + (foot - axis) * t.clamp(0, 1) + bow * (3.1 * t.clamp(0, 1)).sin()
        thigh, knee = 0.52 * half, dice.draw(0.26, 0.36) * half
        ankle = dice.draw(0.14, 0.2) * half
        bare = torch.where(
            t < 0.42,
            thigh + (knee - thigh) * (t / 0.42).clamp(min=0),
            torch.where(t < 0.65, knee, knee + (ankle - knee) * ((t - 0.65) / 0.28).clamp(0, 1)),
        )
        loose = torch.maximum(1.06 * bare, thigh * (0.55 + 0.6 * wide) * (t > 0.2))
        covered = (t < hem) & ~skirt
        width = torch.where(covered, loose, bare)
        heel = ((t - 0.93) / 0.07).clamp(0, 1)
        width = width + heel * dice.draw(0.05, 0.2) * half
        short = torch.where(
            dice.chance(0.25), dice.draw(0.75, 1.0), 1.0
        )  # a foot behind or bent away
        u = (x - axis) / width.clamp_min(1e-3)
        inside = (u.abs() < 1) & (t < short)
        shade = (0.72 + 0.28 * (1 - u * u).clamp(min=0) + light * u) * cloth
        colour = torch.where(covered, lower, torch.where(t > boots, shoe, leg))
        label = torch.where(covered, torch.tensor(float(LOWER)), torch.tensor(float(LEGS)))
        legs.paint(_soft(inside), (colour * shade).clamp(0, 1), label)
        upper, under, sole = _LEG_PARTS[k]
        part = torch.where(t < 0.42, upper, torch.where(t < 0.93, under, sole)).float()
        legs.parts = torch.where(inside, part, legs.parts)

    flare = half * (1 + dice.draw(-0.15, 0.9) * t.clamp(0, 1))
    u = (x - middle) / flare
    inside = (u.abs() < 1) & (t < torch.where(skirt, hem, robe_end))
    shade = (0.75 + 0.25 * (1 - u * u).clamp(min=0) + light * u) * cloth
    from_robe = (dressed & one_piece) | (t < robe_end)
    colour = torch.where(from_robe, robe_colour, lower)
    label = torch.where(from_robe, top_class, torch.tensor(float(LOWER)))
    legs.paint(_soft(inside), (colour * shade).clamp(0, 1), label)
    side_part = torch.where(x < middle, torch.tensor(9.0), torch.tensor(10.0))
    legs.parts = torch.where(inside & (legs.parts == 0), side_part, legs.parts)
    for whole, low in zip(vars(figures).values(), vars(legs).values(), strict=True):
        whole[..., side:, :] = low


def _end_arms(figures: Figures, edge: slice, trunk: Tensor) -> None:
    """Round off hands and arms that the render's lower edge cuts, in place."""
    side = figures.images.shape[-1]
    limb = (_is(figures.parts[:, :, edge], *_LIMBS).any(2)[:, :, None] & ~trunk).float()
    deep = max(4, side // 16)
    inner, distance = limb, limb.clone()
    for _ in range(deep - 1):
        inner = -F.max_pool2d(-inner, (1, 3), 1, (0, 1))
        distance += inner
    down = torch.arange(1, 2 * deep + 1)[:, None] / (2 * deep)
    most = F.max_pool2d(distance, (1, 2 * deep + 1), 1, (0, deep))
    tip = (distance > most * (1 - (1 - down**2).sqrt())).float() * (limb > 0)
    rows = slice(side, side + 2 * deep)
    for name in ("images", "cover", "classes", "parts"):
        values = getattr(figures, name)
        last = values[:, :, side - 1 : side]
        values[:, :, rows] = torch.where(tip > 0.5, last, values[:, :, rows])


def add_coats(figures: Figures, dice: Dice) -> None:
    """Put a coat, jacket or cardigan over the clothes of all figures, in place."""
    size = figures.images.shape[-1]
    y, x = _grid(figures.images)
    parts, classes = figures.parts, figures.classes
    loose = 1 + int(dice.draw(0, 2.7)[0])
    trunk = _is(parts, *TORSO)
    rows = trunk.any(3, keepdim=True)
    top = torch.where(rows, y, 9.0).amin(2, keepdim=True)
    centre = (trunk * x).sum((2, 3), keepdim=True) / trunk.sum((2, 3), keepdim=True).clamp_min(1)
    hem = top + dice.draw(0.45, 1.25)
    # Parts lie under the clothes: the coat is wider than the garment below it too.
    worn = _is(parts, *TORSO, 15, 16, 17, 18, 19, 20, 21, 22) | _is(classes, UPPER)
    skirted = _is(parts, *THIGHS, 13, 14) | _is(classes, DRESS, LOWER)
    sleeves = dice.chance(0.85)
    arms = _is(parts, *range(15, 23)) & ~sleeves
    coat = _loosened((worn | skirted) & (y < hem) & ~arms, loose) & (y < hem) & (y > top - 0.02)
    keep = _is(classes, FACE, HAIR, HANDS) | _is(parts, 3, 4)
    gap = torch.where(dice.chance(0.7), dice.draw(0.0, 0.11), 0.0)
    widening = dice.draw(-0.05, 0.2)
    opening = gap + widening * (gap > 0) * (y - top)
    collar = (0.09 - (y - top) * dice.draw(0.25, 0.8)).clamp(min=0)
    opened = (x - centre - dice.draw(-0.02, 0.02)).abs() < torch.maximum(opening, collar)
    coat &= ~keep & ~opened & rows.any(2, keepdim=True)
    colour = street_colours(dice.count, dice.generator)
    area = (figures.images.shape[-2], figures.images.shape[-1])
    folds = 1 + 0.2 * dice.draw() * dice.field(12, area) + 0.1 * dice.draw() * dice.field(60, area)
    check = 0.2 * (dice.draw() - 0.6).clamp(min=0) * dice.field(24, area, 3)
    depth = F.avg_pool2d(F.avg_pool2d(coat.float(), _cell(size)), 5, 1, 2)
    depth = F.interpolate(depth, area, mode="bilinear", align_corners=False)
    shade = folds * (0.55 + 0.45 * depth)
    edge = (_soft(opened) > 0) & coat
    shade = torch.where(edge, shade * dice.draw(0.5, 1.2), shade)
    figures.paint(_soft(coat) * ~keep, (colour * shade + check).clamp(0, 1), UPPER)
    near = F.max_pool2d(figures.parts * (figures.parts < 23), _cell(size))
    near = F.interpolate(F.max_pool2d(near, 2 * loose + 1, 1, loose), area, mode="nearest")
    figures.parts = torch.where(coat & (figures.parts == 0), near, figures.parts)


def add_headwear(figures: Figures, dice: Dice) -> None:
    """Put hats, glasses and scarves on all figures, in place."""
    y, x = _grid(figures.images)
    face = _is(figures.classes, FACE)
    seen = face.any(3, keepdim=True).any(2, keepdim=True)
    rows, columns = face.any(3, keepdim=True), face.any(2, keepdim=True)
    top, low = torch.where(rows, y, 9.0).amin(2, keepdim=True), (rows * y).amax(2, keepdim=True)
    left, right = (
        torch.where(columns, x, 9.0).amin(3, keepdim=True),
        (columns * x).amax(3, keepdim=True),
    )
    middle, tall, wide = (left + right) / 2, (low - top).clamp_min(0.02), (right - left)

    def disc(cy: Tensor, cx: Tensor, h: Tensor, w: Tensor, power: float = 2.0) -> Tensor:
        return seen & (((y - cy) / h).abs() ** power + ((x - cx) / w).abs() ** power < 1)

    def worn(mask: Tensor, share: float, label: int) -> None:
        mask = mask & dice.chance(share)
        colour = street_colours(dice.count, dice.generator)
        shade = 1 + 0.3 * (x - middle) / wide.clamp_min(0.02) * dice.draw(-1, 1)
        figures.paint(_soft(mask), (colour * shade).clamp(0, 1), label)

    eyes = top + tall * dice.draw(0.36, 0.44)
    lens, apart = wide * dice.draw(0.17, 0.26), wide * dice.draw(0.2, 0.26)
    glasses = disc(eyes, middle - apart, lens, lens, 3) | disc(eyes, middle + apart, lens, lens, 3)
    worn(glasses & face, 0.4, FACE)
    scarf = disc(low + 0.1 * tall, middle, tall * dice.draw(0.2, 0.6), wide * dice.draw(0.6, 1.2))
    worn(scarf & (y > low - 0.06 * tall), 0.25, UPPER)
    crown = disc(
        top + dice.draw(-0.15, 0.1) * tall, middle, tall * dice.draw(0.3, 0.75),
        wide * dice.draw(0.55, 0.85), 3,
    ) & (y < top + dice.draw(0.02, 0.25) * tall)  # fmt: skip
    brim = disc(top + 0.1 * tall, middle, tall * dice.draw(0.05, 0.14), wide * dice.draw(0.7, 1.6))
    worn(crown | (brim & dice.chance(0.5)), 0.3, HAIR)


def add_bags(figures: Figures, dice: Dice) -> None:
    """Hang a bag at the side of all figures, in place: neither the bag nor its strap is the person."""
    y, x = _grid(figures.images)
    trunk = _is(figures.parts, *TORSO)
    there = trunk.any(3, keepdim=True).any(2, keepdim=True)
    area = trunk.sum((2, 3), keepdim=True).clamp_min(1)
    cx, cy = (
        (trunk * x).sum((2, 3), keepdim=True) / area,
        (trunk * y).sum((2, 3), keepdim=True) / area,
    )
    sign = torch.where(dice.chance(0.5), 1.0, -1.0)
    bx, by = cx + sign * dice.draw(0.05, 0.32), cy + dice.draw(0.0, 0.5)
    h, w = dice.draw(0.04, 0.16), dice.draw(0.05, 0.14)
    p = torch.where(dice.chance(0.5), 2.0, 8.0)
    bag = ((y - by) / h).abs() ** p + ((x - bx) / w).abs() ** p < 1
    sx = torch.where(dice.chance(0.5), cx - sign * 0.12, bx)
    run = ((by - y) / (by - cy + 0.2).clamp_min(0.05)).clamp(0, 1)
    strap = (
        ((x - (bx + (sx - bx) * run)).abs() < dice.draw(0.004, 0.016)) & (y < by) & (y > cy - 0.2)
    )
    head = _is(figures.classes, FACE, HAIR)
    front = (bag | (strap & (figures.cover > 0.5))) & there & ~head
    colour = street_colours(dice.count, dice.generator)
    size = (figures.images.shape[-2], figures.images.shape[-1])
    shade = 1 + 0.2 * dice.draw(-1, 1) * (x - bx) / w + 0.12 * dice.field(20, size)
    mask = _soft(front)
    figures.paint(mask, (colour * shade).clamp(0, 1), BACKGROUND)
    figures.parts = torch.where(mask > 0.5, 0.0, figures.parts)


def dress(figures: Figures, dice: Dice) -> Figures:
    """The figures with legs, and at random other colours, coats, hats, glasses, scarves and bags."""
    result = Figures(*(x.clone() for x in vars(figures).values()))
    recolour(result, dice)
    add_legs(result, dice)
    for add, share in ((add_coats, 0.3), (add_headwear, 0.3), (add_bags, 0.3)):
        rows = dice.some(share)
        if len(rows):
            few = result[rows]
            add(few, Dice(dice.generator, len(rows)))
            result.put(rows, few)
    return result
