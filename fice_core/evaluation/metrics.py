"""Measures of an edit that need no network: only images, masks and part maps."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ..ops.color import to_lab

_HARD = 1 / 256  # an opacity that 8 bits cannot show


def part_labels(parts: torch.Tensor) -> torch.Tensor:
    """The most probable part of every pixel, 1..14, or 0 where all together stay below one half.

    Args:
        parts: part map (N, 14, h, w) in [0, 1].

    Returns:
        (N, h, w) int64.
    """
    confidence, label = parts.max(dim=1)
    return torch.where(parts.sum(dim=1) > 0.5, label + 1, 0) * (confidence > 0)


def part_iou(parts: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Intersection over union of two part maps (N, 14, h, w), averaged over the parts that occur in
    either; 1 where neither shows a person. (N,)."""
    first, second = part_labels(parts), part_labels(target)
    kinds = torch.arange(1, parts.shape[1] + 1, device=parts.device).view(1, -1, 1, 1)
    a, b = first[:, None] == kinds, second[:, None] == kinds
    both = (a & b).flatten(2).sum(dim=2)
    either = (a | b).flatten(2).sum(dim=2)
    score = (both / either.clamp_min(1)).sum(dim=1)
    occurring = (either > 0).sum(dim=1)
    return torch.where(occurring > 0, score / occurring.clamp_min(1), 1.0)


def mask_iou(mask: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Intersection over union of masks (N, 1, H, W), cut at one half; 1 where both are empty. (N,)."""
    a, b = (mask > 0.5).flatten(1), (target > 0.5).flatten(1)
    either = (a | b).sum(dim=1)
    return torch.where(either > 0, (a & b).sum(dim=1) / either.clamp_min(1), 1.0)


def unchanged_outside(
    images: torch.Tensor, original: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Whether every pixel where `mask` (N, 1, H, W) is 0 equals the original bit for bit. (N,) bool."""
    return ((images == original) | (mask > 0)).flatten(1).all(dim=1)


def mean_difference(images: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of images (N, 3, H, W) over a soft mask (N, 1, H, W). (N,)."""
    difference = ((images - target).abs().mean(dim=1, keepdim=True) * mask).flatten(1).sum(dim=1)
    return difference / mask.flatten(1).sum(dim=1).clamp_min(1e-8)


def seam_visibility(
    images: torch.Tensor, sources: Sequence[torch.Tensor], mask: torch.Tensor
) -> torch.Tensor:
    """How much steeper a result is than both of its sources along the border of the mask, CIELAB a pixel.

    The mean of max(0, |grad result| - max(|grad source|)) over the border: the soft part of the mask
    (values within 1/256 of 0 or 1 are hard) and two pixels on both sides of it. The gradient is that of
    all three components together, by differences to the next row and column. An edge of the photo, or
    the outline of the new garment, is no seam; an edge that neither source has is one.

    Args:
        images: the stitched images, (N, 3, H, W) in [0, 1].
        sources: the images they are stitched from, each of the same shape: photo and generated image.
        mask: (N, 1, H, W) in [0, 1].

    Returns:
        (N,); 0 if the mask has no border.
    """
    found = []
    for i, (result, soft) in enumerate(zip(images.detach(), mask, strict=True)):
        near = [
            F.max_pool2d(side.float(), 5, 1, 2)[0] > 0 for side in (soft > _HARD, soft < 1 - _HARD)
        ]
        border = (near[0] & near[1]).cpu().numpy()
        if not border.any():
            found.append(0.0)
            continue
        own = np.maximum.reduce([_steepness(source[i].detach()) for source in sources])
        found.append(float(np.maximum(_steepness(result) - own, 0)[border].mean()))
    return torch.tensor(found, device=images.device)


def _steepness(image: torch.Tensor) -> np.ndarray:
    """Length of the CIELAB gradient of (3, H, W), forward differences: (H, W)."""
    lab = to_lab(image.permute(1, 2, 0).double().cpu().numpy())
    down = np.diff(lab, axis=0, append=lab[-1:])
    across = np.diff(lab, axis=1, append=lab[:, -1:])
    return np.asarray(np.sqrt((down**2 + across**2).sum(axis=-1)))
