"""Scenes like those in photos, to train networks that detect persons.

Rendered figures are cut out by their true masks, moved, scaled, and composited over painted backgrounds,
sometimes with a second figure behind. The true labels and masks are transformed in the same way.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..demo.backdrops import backdrops
from .pool import Batch


def stage(
    figures: Batch,
    generator: torch.Generator,
    studio: float = 0.35,
    roaming: float = 0.45,
    crowd: float = 0.3,
) -> Batch:
    """Scenes with the figures; images, labels and masks are transformed in the same way.

    Labels are those of the first figure only, as DensePose labels one person. Masks include all figures.

    Args:
        figures: rendered in front of their own wall, in the generator's framing.
        generator: of everything random.
        studio: share of figures that are not changed.
        roaming: share of figures that are moved anywhere and scaled by 0.25 to 1.5; the others move
            only slightly.
        crowd: share of scenes with another figure of the batch behind the first.
    """
    count, _, size, _ = figures.images.shape

    def chosen(share: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) < share

    scenery = backdrops(count, size, generator)
    wall = F.interpolate(figures.images[:, :, :2, :2], size=(size, size))
    scenery = torch.where(chosen(0.3), wall, scenery)
    far = chosen(1.0)
    behind = _moved(_rolled(figures), _placements(count, generator, far))
    front = _moved(figures, _placements(count, generator, chosen(roaming / max(1 - studio, 1e-6))))

    present = chosen(crowd)
    images = torch.where(present, _over(behind, scenery), scenery)
    body = torch.where(present, behind.body, 0.0)
    head = torch.where(present, behind.head, 0.0)
    garment = torch.where(present, behind.garment, 0.0)

    clear = 1 - _cover(front)
    images = _over(front, images)
    body, head = front.body + clear * body, front.head + clear * head
    garment = front.garment + clear * garment
    exposure = 0.7 + 0.5 * torch.rand(count, 1, 1, 1, generator=generator)
    images = (images * exposure).clamp(0, 1)

    stays = chosen(studio)
    return replace(
        figures,
        images=torch.where(stays, figures.images, images),
        labels=torch.where(stays[:, 0], figures.labels, front.labels),
        body=torch.where(stays, figures.body, body),
        head=torch.where(stays, figures.head, head),
        garment=torch.where(stays, figures.garment, garment),
    )


def _cover(figures: Batch) -> Tensor:
    return (figures.body + figures.head).clamp(0, 1)


def _over(figures: Batch, scenery: Tensor) -> Tensor:
    return torch.lerp(scenery, figures.images, _cover(figures))


def _rolled(figures: Batch) -> Batch:
    """The next figure of the batch for each figure."""
    return Batch(**{name: getattr(figures, name).roll(1, 0) for name in figures.__annotations__})


def _placements(count: int, generator: torch.Generator, roams: Tensor) -> Tensor:
    """Affine maps (count, 2, 3) from coordinates of the new image to those of the figure, in [-1, 1]."""
    far = roams.flatten()

    def between(near: float, low: float, high: float) -> Tensor:
        value = torch.rand(count, generator=generator)
        return torch.where(far, low + (high - low) * value, near * (2 * value - 1))

    scale = torch.exp(between(0.15, -1.4, 0.4))
    shift_x, shift_y = between(0.12, -1.0, 1.0), between(0.12, -0.9, 1.0)
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0) * far + 1.0 * ~far
    zero = torch.zeros(count)
    rows = (
        torch.stack([flip / scale, zero, -flip * shift_x / scale], 1),
        torch.stack([zero, 1 / scale, -shift_y / scale], 1),
    )
    return torch.stack(rows, 1)


def _moved(figures: Batch, placement: Tensor) -> Batch:
    """The figures after an affine map; pixels outside of their images are empty.

    Left and right labels of mirrored figures are not exchanged. Figures are mirrored only to train the
    segmenter, which does not use labels.
    """
    grid = F.affine_grid(placement, list(figures.images.shape), align_corners=False)

    def soft(x: Tensor, padding: str = "zeros") -> Tensor:
        return F.grid_sample(x, grid, "bilinear", padding, align_corners=False)

    labels = F.grid_sample(
        figures.labels[:, None].float(), grid, "nearest", "zeros", align_corners=False
    )
    return replace(
        figures,
        images=soft(figures.images, "border"),
        labels=labels[:, 0].long(),
        body=soft(figures.body),
        head=soft(figures.head),
        garment=soft(figures.garment),
    )
