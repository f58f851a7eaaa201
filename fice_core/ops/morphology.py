"""Dilation, maximum filter, box filter and blur of masks (N, 1, H, W)."""

import torch
import torch.nn.functional as F


def dilate(mask: torch.Tensor, radius: float) -> torch.Tensor:
    """The bool mask (N, 1, H, W) dilated by a disk; `radius` is a fraction of the height."""
    disk = (_distances(mask, radius) <= 1).to(torch.float32)
    if disk.numel() == 1:
        return mask
    padding = (disk.shape[-2] // 2, disk.shape[-1] // 2)
    return F.conv2d(mask.float(), disk, padding=padding) > 0.5


def max_filter(values: torch.Tensor, pixels: int) -> torch.Tensor:
    """Maximum of (N, 1, H, W) over squares of radius `pixels`; separable, so fast for large squares."""
    size = 2 * pixels + 1
    across = F.max_pool2d(values, (1, size), 1, (0, pixels))
    return F.max_pool2d(across, (size, 1), 1, (pixels, 0))


def box_filter(values: torch.Tensor, pixels: int) -> torch.Tensor:
    """Mean of (N, 1, H, W) over squares of radius `pixels`; the border is replicated."""
    size = 2 * pixels + 1
    padded = F.pad(values, (pixels, pixels, pixels, pixels), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (1, size), 1), (size, 1), 1)


def blur(values: torch.Tensor, radius: float) -> torch.Tensor:
    """Mean of (N, 1, H, W) over a disk, with weights that fall linearly; the border is replicated.

    Pixels farther than `radius` (a fraction of the height) have no influence.
    """
    cone = (1 - _distances(values, radius)).clamp_min(0)
    if cone.numel() == 1:
        return values
    reach = cone.shape[-1] // 2
    padded = F.pad(values, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(padded, cone / cone.sum())


def _distances(values: torch.Tensor, radius: float) -> torch.Tensor:
    """Distances from the centre of a kernel (1, 1, k, k), in units of `radius` times the height."""
    pixels = radius * values.shape[-2]
    reach = int(pixels)
    offsets = torch.arange(-reach, reach + 1, device=values.device, dtype=torch.float32)
    return torch.hypot(offsets[:, None], offsets[None, :])[None, None] / max(pixels, 1)
