"""Overlap of soft masks."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_iou(masks: Tensor, target: Tensor, start_dim: int = 1) -> Tensor:
    """The soft Jaccard index of masks in [0, 1]: sum of minima over sum of maxima.

    Args:
        masks, target: shapes that broadcast, as (N, C, H, W) twice.
        start_dim: the dimensions from this one on are summed: 1 gives (N,), 2 gives (N, C).
    """
    shared = torch.minimum(masks, target).flatten(start_dim).sum(start_dim)
    joined = torch.maximum(masks, target).flatten(start_dim).sum(start_dim)
    return shared / joined.clamp_min(1e-6)
