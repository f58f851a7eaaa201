"""What light and a camera make of a scene: sun, shadow and flash, tone, noise, blur, sharpening, JPEG."""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .dice import Dice, blur


def lit(images: Tensor, dice: Dice, strength: float = 1.0) -> Tensor:
    """Images (n, 3, H, W) in another light: gain, slope, cast shadows; not clamped."""
    size = (images.shape[-2], images.shape[-1])
    y = torch.linspace(-1, 1, size[0])[:, None]
    x = torch.linspace(-1, 1, size[1])[None]
    slope = dice.draw(-0.5, 0.5) * x + dice.draw(-0.4, 0.4) * y
    gain = torch.exp(strength * (dice.draw(-0.25, 0.4) + slope * dice.chance(0.6)))
    # Shadows of anything: the levels of a smooth field, with a soft or a hard edge.
    cells = 3 if float(dice.draw()[0]) < 0.5 else 8
    height = dice.field(cells, size) + dice.draw(-2, 2) * x + dice.draw(-1.2, 1.2)
    shade = torch.sigmoid(height * dice.draw(2, 40))
    depth = torch.where(dice.chance(0.4), strength * dice.draw(0.0, 0.65), 0.0)
    return images * (gain * (1 - depth * shade))


def photographed(images: Tensor, generator: torch.Generator, harm: float = 1.0) -> Tensor:
    """Photographs (n, 3, H, W) in [0, 1], to eight bits, of scenes in [0, 1].

    Args:
        images: of the scenes.
        generator: of everything random.
        harm: scales noise, blur and colour casts; 0 changes next to nothing.
    """
    dice = Dice(generator, len(images))
    return taken(_toned(images, dice, harm), dice, harm)


def taken(images: Tensor, dice: Dice, harm: float = 1.0) -> Tensor:
    """What a camera of any quality makes of images (n, 3, H, W), colours and contrast aside.

    Blur or sharpening, lost resolution, noise and JPEG; in [0, 1], to eight bits.
    """
    images = _focused(images, dice, harm)
    noise = torch.randn(images.shape, generator=dice.generator)
    coarse = blur(noise) * 2
    noise = torch.where(dice.chance(0.5), noise, coarse)
    level = harm * 0.075 * dice.draw() ** 2.5
    images = (images + level * noise).clamp(0, 1)
    return _compressed(images, dice.draw().flatten().tolist(), harm)


def _toned(images: Tensor, dice: Dice, harm: float) -> Tensor:
    """Images in other colours: cast, gamma, contrast, saturation; a few in grey."""
    cast = torch.exp(harm * 0.16 * dice.draw(-1, 1, 3))
    images = (images * cast).clamp(0, 1)
    images = images ** torch.exp(harm * dice.draw(-0.5, 0.3))
    contrast = 1 + harm * dice.draw(-0.35, 0.45)
    images = (images - 0.5) * contrast + 0.5 + harm * dice.draw(-0.1, 0.12)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (1 + harm * dice.draw(-0.6, 0.4))
    rows = dice.some(0.05 * harm)
    images[rows] = grey[rows].expand(-1, 3, -1, -1)
    return images


def _focused(images: Tensor, dice: Dice, harm: float) -> Tensor:
    """Blurred, sharpened or left, and with some shares at a lower resolution."""
    blurred = blur(F.pad(images, (1, 1, 1, 1), "replicate"))[..., 1:-1, 1:-1]
    amount = torch.where(dice.chance(0.5), dice.draw(-1.2, 0.0), dice.draw(0, 1))
    images = torch.lerp(images, blurred, harm * amount)
    rows = dice.some(0.2 * harm)
    if len(rows):
        size = (images.shape[-2], images.shape[-1])
        factor = float(torch.rand(1, generator=dice.generator)) * 0.45 + 0.35
        small = F.interpolate(images[rows], scale_factor=factor, mode="bilinear", antialias=True)
        images[rows] = F.interpolate(small, size=size, mode="bilinear")
    return images


def _compressed(images: Tensor, chance: list[float], harm: float) -> Tensor:
    """Each image after JPEG at a random quality, or not compressed at all."""
    eight = (images * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for i, u in enumerate(chance):
        if u > 0.7 * harm:
            continue
        quality = round(25 + 100 * u)
        buffer = io.BytesIO()
        Image.fromarray(eight[i]).save(buffer, "JPEG", quality=min(quality, 95))
        eight[i] = np.asarray(Image.open(buffer))
    return torch.from_numpy(eight).permute(0, 3, 1, 2).float() / 255
