"""Overlap of soft masks."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_iou(masks: Tensor, target: Tensor, start_dim: int = 1) -> Tensor:
    """Soft Jaccard index of masks in [0, 1]: the sum of minima over the sum of maxima.

    Args:
        masks, target: shapes that broadcast, for example (N, C, H, W) and (N, 1, H, W).
        start_dim: dimensions from this one on are summed: 1 gives (N,), 2 gives (N, C).
    """
    intersection = torch.minimum(masks, target).flatten(start_dim).sum(start_dim)
    union = torch.maximum(masks, target).flatten(start_dim).sum(start_dim)
    return intersection / union.clamp_min(1e-6)
