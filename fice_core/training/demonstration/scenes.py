"""Scenes like those of photographs, to train networks that see people in them.

Rendered people are cut out, dressed anew, placed anywhere before painted scenery, lit and photographed. The
truth is transformed alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import lit, photographed
from ..dice import Dice, blur
from .dataset import Batch
from .figures import MIRRORED, Figures, cut_out, dress, street_colours
from .scenery import Scenery

FIGURE = 1.68  # height of a whole figure over the side of its render


@dataclass(frozen=True)
class Scene:
    """n images with truth.

    Attributes:
        images: (n, 3, S, S) in [0, 1].
        classes: `people.classes.CLASSES` of every person in sight, (n, S, S).
        parts: DensePose's 24 parts of the foremost person, 0 elsewhere, (n, S, S).
        harm: how much a photograph of the scene may differ from it; see `camera.photographed`.
    """

    images: Tensor
    classes: Tensor
    parts: Tensor
    harm: float


@dataclass(frozen=True)
class Mixture:
    """What kinds of scenes there are, as shares of a batch.

    Attributes:
        studio: people as they were rendered, before their own wall; the others are before scenery.
        roaming: of the others, people of any size anywhere, mostly whole; the rest fill the frame of an edit.
        crowd: of the others, scenes with more people behind the first.
        occluded: of the others, scenes with things in front.
        empty: of the others, scenes without a person.
        padded: scenes whose left or right border is repeated, as where a frame reaches beyond the photo.
        harm: how much camera and light change the images; see `camera.photographed`.
    """

    studio: float = 0.12
    roaming: float = 0.72
    crowd: float = 0.25
    occluded: float = 0.25
    empty: float = 0.03
    padded: float = 0.12
    harm: float = 1.0


def stage(
    batch: Batch, scenery: Scenery, generator: torch.Generator, mixture: Mixture, size: int
) -> Scene:
    """Scenes of `size` pixels, at most the renders', with the people of a batch; not photographed yet."""
    n = len(batch.images)
    dice = Dice(generator, n)
    side = batch.images.shape[-1]
    own = cut_out(batch, side // (side // size))
    people = dress(own, dice)
    backdrop = lit(scenery.crops(n, size, generator), dice, 0.5)
    walls = F.interpolate(batch.images[:, :, :4, :4].mean((2, 3), keepdim=True), (size, size))
    backdrop = torch.where(dice.chance(0.06), walls, backdrop)

    scene = Figures(
        backdrop, torch.ones(n, 1, size, size), *torch.zeros(2, n, 1, size, size).unbind(0)
    )
    for rank in range(2):
        rows = dice.some(mixture.crowd / (1 + rank))
        if len(rows):
            few = Dice(generator, len(rows))
            other = people[(rows + 1 + rank) % n]
            behind = _placed(other, _anywhere(few), size)
            scene.put(rows, _over(behind, scene[rows]))
    roams = dice.chance(mixture.roaming)
    where = torch.where(roams[..., 0], _anywhere(dice), _framed(dice))
    front = _placed(people, where, size)
    front.images = lit(front.images, dice, 0.5)
    front.cover = front.cover * ~dice.chance(mixture.empty)
    front.parts = front.parts * (front.cover > 0.5)
    scene.parts = torch.zeros_like(scene.parts)
    scene.images = _on_ground(scene.images, scene.classes == 0, front.cover, dice)
    scene.images = scene.images * _shadow(front.cover, dice)
    scene = _over(front, scene)
    rows = dice.some(mixture.occluded)
    if len(rows):
        scene.put(rows, _occluded(scene[rows], scenery, generator))

    stays = dice.chance(mixture.studio)
    side = own.images.shape[-1]
    area = [size, size]
    studio = F.interpolate(batch.images, area, mode="bilinear", antialias=True)
    truth = torch.cat([own.classes, own.parts], 1)[..., :side, :]
    classes, parts = F.interpolate(truth, area, mode="nearest-exact").split(1, 1)
    images = torch.where(stays, studio, scene.images)
    classes = torch.where(stays, classes, scene.classes)
    parts = torch.where(stays, parts, scene.parts)
    images, classes, parts = _padded(images, classes, parts, dice, mixture.padded)
    return Scene(images, classes[:, 0].long(), parts[:, 0].long(), mixture.harm)


def _padded(
    images: Tensor, classes: Tensor, parts: Tensor, dice: Dice, share: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The same where a frame reaches beyond the photo: its border columns repeated, nobody in them."""
    size = images.shape[-1]
    x = torch.arange(size).expand(images.shape[0], 1, size, size)
    there = dice.chance(share)
    left = (size * 0.4 * dice.draw(-0.5, 1.0)).clamp_min(0).long() * there
    right = size - 1 - (size * 0.4 * dice.draw(-0.5, 1.0)).clamp_min(0).long() * there
    inside = (x >= left) & (x <= right)
    nearest = torch.minimum(torch.maximum(x, left), right)
    images = images.gather(3, nearest.expand_as(images))
    return images, classes * inside, parts * inside


def photographs(scene: Scene, generator: torch.Generator) -> Scene:
    """Two photographs of every scene (2 n), in other light and by other cameras; the second mirrored."""
    images = torch.cat([scene.images, scene.images.flip(-1)])
    classes = torch.cat([scene.classes, scene.classes.flip(-1)])
    parts = torch.cat([scene.parts, MIRRORED[scene.parts.flip(-1)]])
    images = lit(images, Dice(generator, len(images)), 0.7 * scene.harm).clamp(0, 1)
    return Scene(photographed(images, generator, scene.harm), classes, parts, scene.harm)


def _over(front: Figures, scene: Figures) -> Figures:
    """A scene with figures in front of it."""
    solid = front.cover > 0.5
    return Figures(
        torch.lerp(scene.images, front.images, front.cover),
        scene.cover,
        torch.where(solid, front.classes, scene.classes),
        torch.where(solid, front.parts, scene.parts),
    )


def _on_ground(images: Tensor, free: Tensor, cover: Tensor, dice: Dice) -> Tensor:
    """The images with asphalt, sand, paving or carpet where half of the people stand.

    Large even ground is what is most easily taken for clothes.

    Args:
        images: (n, 3, S, S).
        free: where no person is yet, bool (n, 1, S, S).
        cover: of the people who will stand there.
        dice: random numbers.
    """
    size = images.shape[-1]
    line = torch.linspace(-1, 1, size)
    y, x = line[:, None], line[None]
    feet = torch.where(cover.amax(3, keepdim=True) > 0.5, y, -1.0).amax(2, keepdim=True)
    horizon = feet - dice.draw(0.05, 0.9)
    depth = 1 / (y - horizon + 0.15).clamp_min(0.05)  # what is farther away looks smaller
    grey, tint = dice.draw(0.1, 0.95), dice.draw(-1, 1, 3) * 0.07 * dice.draw()
    coarse = dice.draw(0, 0.12) * dice.field(7, (size, size))
    grain = dice.draw() ** 2 * 0.12 * torch.randn(cover.shape, generator=dice.generator)
    vanish = dice.draw(-2, 2)
    across = ((x - vanish) * depth * dice.draw(0.5, 3)).frac().abs() < dice.draw(0.02, 0.15)
    along = (depth * dice.draw(1, 5)).frac() < dice.draw(0.02, 0.15)
    joints = (across & dice.chance(0.4)) | (along & dice.chance(0.4))
    ground = (grey + tint) * (1 + coarse + grain + dice.draw(-0.4, 0.4) * joints)
    there = dice.chance(0.5) & free & (y > horizon)
    return torch.where(there, ground.clamp(0, 1), images)


def _shadow(cover: Tensor, dice: Dice) -> Tensor:
    """Factors (n, 1, S, S) of the light where people stand before a wall or on a ground in the sun."""
    size = cover.shape[-1]
    line = torch.linspace(-1, 1, size)
    y, x = line[None, None, :, None], line[None, None, None, :]
    feet = torch.where(cover.amax(3, keepdim=True) > 0.5, y, -1.0).amax(2, keepdim=True)
    lying = dice.chance(0.5)
    flat = dice.draw(-1.0, 1.0).clamp(-1, 0.7)  # length of the shadow over the height of the person
    flat = torch.where(flat.abs() < 0.15, 0.15, flat)
    lean = dice.draw(-1.5, 1.5)
    on_wall = x + dice.draw(-0.25, 0.25), y + dice.draw(-0.15, 0.05)
    on_ground = x - lean * (y - feet), feet + (y - feet) / flat
    axes = [torch.where(lying, a, b) for a, b in zip(on_ground, on_wall, strict=True)]
    grid = torch.stack([axis[:, 0].expand(-1, size, size) for axis in axes], -1)
    cast = F.grid_sample(cover, grid, "bilinear", "zeros", align_corners=False)
    if float(dice.draw()[0]) < 0.5:
        cast = F.interpolate(F.avg_pool2d(cast, 4), [size, size], mode="bilinear")
    depth = torch.where(dice.chance(0.4), dice.draw(0.1, 0.75), 0.0)
    return 1 - depth * cast


def _affine(dice: Dice, scale: Tensor, x: Tensor, y: Tensor, turn: Tensor, wide: Tensor) -> Tensor:
    """Maps (n, 2, 3) from the scene's coordinates to the render's, both in [-1, 1] over one side.

    Args:
        dice: decides who is mirrored.
        scale: side of the render over that of the scene.
        x, y: where the centre of the render goes.
        turn: by an angle in radians.
        wide: factor of the width.
    """
    flip = torch.where(dice.chance(0.5), -1.0, 1.0)
    cos, sin = turn.cos() / scale, turn.sin() / scale
    a, b = flip * cos / wide, flip * sin / wide
    rows = [a, b, -(a * x + b * y), -sin, cos, sin * x - cos * y]
    return torch.cat([r.flatten(1) for r in rows], 1).view(-1, 2, 3)


def _anywhere(dice: Dice) -> Tensor:
    """Placements of people of any size: half of them whole, the others cut by any side of the image."""
    whole = dice.chance(0.55)
    tall = dice.draw(0.45, 1.05)  # height of the whole figure over that of the scene
    scale = torch.where(whole, tall / FIGURE, 0.4 * 4 ** dice.draw())
    above = -1 + scale * dice.draw(0.8, 1.15)  # the head is near the upper edge
    room = (2 - 2 * tall).clamp_min(0.02)
    standing = -1 + scale + room * dice.draw(0.1, 0.9)
    anywhere = dice.draw(-1.2, 1.2)
    y = torch.where(whole, standing, torch.where(dice.chance(0.7), above, anywhere))
    spread = torch.where(dice.chance(0.6), 0.25, 0.9)
    x = spread * dice.draw(-1, 1)
    return _affine(dice, scale, x, y, 0.12 * dice.draw(-1, 1), dice.draw(0.85, 1.15))


def _framed(dice: Dice) -> Tensor:
    """Placements of people as an edit frames them: from the head to the thighs."""
    scale = torch.exp(dice.draw(-0.22, 0.22))
    x, y = 0.14 * dice.draw(-1, 1), 0.14 * dice.draw(-1, 1)
    return _affine(dice, scale, x, y, 0.08 * dice.draw(-1, 1), dice.draw(0.92, 1.08))


def _placed(figures: Figures, where: Tensor, size: int) -> Figures:
    """Figures moved by affine maps, whose left and right are exchanged where mirrored."""
    n, side = len(where), figures.images.shape[-1]
    grid = F.affine_grid(where, [n, 1, size, size], align_corners=False)
    tall = figures.images.shape[-2] / side
    # The rows of the figures go on below the render, whose own are [-1, 1].
    grid = torch.stack([grid[..., 0], (grid[..., 1] + 1) / tall - 1], -1)
    pixels = torch.cat([figures.images * figures.cover, figures.cover], 1)
    labels = torch.cat([figures.classes, figures.parts], 1)
    shrink = (where[:, 1, :2].norm(dim=1) * side / size > 1.6).nonzero()[:, 0]
    moved = F.grid_sample(pixels, grid, "bilinear", "zeros", align_corners=False)
    if len(shrink):
        half = F.avg_pool2d(pixels[shrink], 2)
        moved[shrink] = F.grid_sample(half, grid[shrink], "bilinear", "zeros", align_corners=False)
    cover = moved[:, 3:]
    exact = F.grid_sample(labels, grid, "nearest", "zeros", align_corners=False)
    classes, parts = exact[:, :1], exact[:, 1:]
    mirrored = (torch.det(where[:, :, :2]) < 0)[:, None, None, None]
    parts = torch.where(mirrored, MIRRORED[parts.long()].float(), parts)
    return Figures(moved[:, :3] / cover.clamp_min(1e-3), cover, classes, parts)


def _occluded(scene: Figures, scenery: Scenery, generator: torch.Generator) -> Figures:
    """The scene behind bars, boxes, leaves, strands, or the reflections of a pane."""
    n, _, size, _ = scene.images.shape
    dice = Dice(generator, n)
    y, x = torch.linspace(-1, 1, size)[:, None], torch.linspace(-1, 1, size)[None]
    cx, cy, turn = dice.draw(-1, 1), dice.draw(-1, 1), dice.draw(-1.6, 1.6)
    u = (x - cx) * turn.cos() + (y - cy) * turn.sin()
    v = (y - cy) * turn.cos() - (x - cx) * turn.sin()
    bar = u.abs() < dice.draw(0.01, 0.12)
    power = torch.where(dice.chance(0.5), 2.0, 9.0)
    box = (u / dice.draw(0.1, 0.5)).abs() ** power + (v / dice.draw(0.1, 0.5)).abs() ** power < 1
    ripple = 0.1 * dice.draw() * dice.field(5, (size, size))
    strands = ((u + ripple) * dice.draw(8, 30)).frac().abs() < dice.draw(0.05, 0.25)
    strands &= (u.abs() < dice.draw(0.1, 0.8)) & (v > dice.draw(-1, 0))
    leaves = dice.field(16, (size, size)) + dice.field(5, (size, size)) > dice.draw(1.2, 2.5)
    kind = dice.draw(0, 5).floor()
    mask = torch.zeros(n, 1, size, size, dtype=torch.bool)
    for k, shape in enumerate((bar, box, strands, leaves)):
        mask |= (kind == k) & shape
    alpha = blur(mask.float())
    plain = street_colours(n, generator) * (1 + 0.3 * dice.field(6, (size, size)))
    thing = torch.where(dice.chance(0.5), plain, scenery.crops(n, size, generator))
    images = torch.lerp(scene.images, thing.clamp(0, 1), alpha)
    glare = dice.draw(0.05, 0.45) * scenery.crops(n, size, generator)
    images = torch.where(kind == 4, (images * dice.draw(0.7, 1.0) + glare).clamp(0, 1), images)
    hidden = alpha > 0.5
    classes, parts = (torch.where(hidden, 0.0, x) for x in (scene.classes, scene.parts))
    return Figures(images, scene.cover, classes, parts)
